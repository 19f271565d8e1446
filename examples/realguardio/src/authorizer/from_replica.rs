//! *Replicate*: the roles are in a table of this service, which follows the customer service's events.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::{Sqlite, SqlitePool, Transaction};
use tokio::time::Instant;

use super::{Authorizer, Permitted, by_roles};
use crate::actor::Actor;
use crate::customers::{Event, Grantee, Numbered, PAGE, database, forget, give, roles_of, take};
use crate::domain::{Action, CustomerId, LocationId, Role, Roles, SecuritySystem};
use crate::problem::{Problem, Unavailable};

const SCHEMA: &str = "
    CREATE TABLE member (customer INTEGER NOT NULL, team TEXT NOT NULL, subject TEXT NOT NULL,
        PRIMARY KEY (customer, team, subject));
    CREATE TABLE granted (customer INTEGER NOT NULL, location INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
        role TEXT NOT NULL, PRIMARY KEY (location, kind, name, role));
    CREATE TABLE followed (number INTEGER NOT NULL);
    INSERT INTO followed (number) VALUES (0);
";

/// How old the copy may be before it gives no answer.
const MAX_AGE: Duration = Duration::from_secs(60);

/// The copy.
#[derive(Clone, Debug)]
pub struct Replica {
    pool: SqlitePool,
    /// When it was last up to date.
    caught_up: Arc<Mutex<Option<Instant>>>,
}

impl Replica {
    pub async fn create() -> Result<Self, sqlx::Error> {
        Ok(Self { pool: database(SCHEMA).await?, caught_up: Arc::default() })
    }

    /// Returns the number of the last event that was followed.
    pub async fn last(&self) -> Result<i64, Problem> {
        Ok(sqlx::query_scalar("SELECT number FROM followed").fetch_one(&self.pool).await?)
    }

    /// Follows events. Those that come again change nothing; if one is missing among them, none of them is followed.
    pub async fn follow(&self, events: Vec<Numbered>) -> Result<(), Problem> {
        let complete = i64::try_from(events.len()).is_ok_and(|count| count < PAGE);
        let mut transaction = self.pool.begin().await?;
        let mut last: i64 = sqlx::query_scalar("SELECT number FROM followed").fetch_one(&mut *transaction).await?;
        for Numbered { number, event } in events {
            if number <= last {
                continue;
            }
            if number != last + 1 {
                return Err(Problem::Broken);
            }
            last = number;
            apply(&mut transaction, event).await?;
        }
        sqlx::query("UPDATE followed SET number = ?").bind(last).execute(&mut *transaction).await?;
        transaction.commit().await?;
        if complete {
            *self.caught_up.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        Ok(())
    }

    /// The roles of an employee, their own and those of their teams.
    pub async fn roles(&self, subject: &str) -> Result<Roles, Unavailable> {
        roles_of(&self.pool, subject).await.map_err(|_| Unavailable)
    }

    /// Who has which role at a location, and whose it is.
    pub async fn granted(&self, location: LocationId) -> Result<Vec<(CustomerId, Grantee, Role)>, Unavailable> {
        let select = sqlx::query_as("SELECT customer, kind, name, role FROM granted WHERE location = ?");
        let rows: Vec<(CustomerId, String, String, Role)> =
            select.bind(location).fetch_all(&self.pool).await.map_err(|_| Unavailable)?;
        let grantee = |kind: &str, name| if kind == "team" { Grantee::Team(name) } else { Grantee::Employee(name) };
        Ok(rows.into_iter().map(|(customer, kind, name, role)| (customer, grantee(&kind, name), role)).collect())
    }

    /// The teams of an employee, each its customer's.
    pub async fn teams(&self, subject: &str) -> Result<Vec<(CustomerId, String)>, Unavailable> {
        let select = sqlx::query_as("SELECT customer, team FROM member WHERE subject = ?");
        select.bind(subject).fetch_all(&self.pool).await.map_err(|_| Unavailable)
    }

    /// A copy that is not up to date knows nothing: neither yes nor no.
    pub fn check_fresh(&self) -> Result<(), Unavailable> {
        let caught_up = *self.caught_up.lock().unwrap_or_else(PoisonError::into_inner);
        caught_up.filter(|since| since.elapsed() < MAX_AGE).map(|_| ()).ok_or(Unavailable)
    }
}

/// Does to the copy what has happened to the original.
async fn apply(transaction: &mut Transaction<'_, Sqlite>, event: Event) -> Result<(), sqlx::Error> {
    match event {
        Event::Joined(customer, employee) => {
            for team in employee.teams {
                let insert = sqlx::query("INSERT OR IGNORE INTO member (customer, team, subject) VALUES (?, ?, ?)");
                insert.bind(customer).bind(team).bind(&employee.subject).execute(&mut **transaction).await?;
            }
            Ok(())
        }
        Event::Left(customer, subject) => forget(transaction, customer, &subject).await,
        Event::Granted(customer, grant) => give(transaction, customer, &grant).await,
        Event::Revoked(customer, grant) => take(transaction, customer, &grant).await,
    }
}

/// Reads the copy.
#[derive(Clone, Debug)]
pub struct FromReplica(pub Replica);

#[tonic::async_trait]
impl Authorizer for FromReplica {
    async fn filter(&self, actor: &Actor, action: Action, systems: &[SecuritySystem]) -> Permitted {
        let Self(replica) = self;
        replica.check_fresh()?;
        by_roles(&replica.roles(actor.subject()).await?, action, systems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::customers::Grant;

    fn granted(number: i64) -> Numbered {
        let grant =
            Grant { location: LocationId(number), grantee: Grantee::Employee("alice".to_owned()), role: Role::Viewer };
        Numbered { number, event: Event::Granted(CustomerId(1), grant) }
    }

    async fn locations(replica: &Replica) -> Vec<i64> {
        replica.roles("alice").await.unwrap().into_keys().map(|location| location.0).collect()
    }

    #[tokio::test]
    async fn what_comes_twice_counts_once_and_behind_a_gap_nothing_counts() {
        let replica = Replica::create().await.unwrap();
        replica.follow(vec![granted(1), granted(2)]).await.unwrap();
        replica.follow(vec![granted(2), granted(3)]).await.unwrap();
        assert_eq!((locations(&replica).await, replica.last().await), (vec![1, 2, 3], Ok(3)));
        assert_eq!(replica.follow(vec![granted(4), granted(6)]).await, Err(Problem::Broken));
        assert_eq!((locations(&replica).await, replica.last().await), (vec![1, 2, 3], Ok(3)));
    }

    #[tokio::test]
    async fn a_copy_without_news_for_a_minute_knows_nothing() {
        let replica = Replica::create().await.unwrap();
        assert!(replica.check_fresh().is_err());
        replica.follow(vec![]).await.unwrap();
        tokio::time::pause();
        tokio::time::advance(MAX_AGE - Duration::from_secs(1)).await;
        assert!(replica.check_fresh().is_ok());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(replica.check_fresh().is_err());
        // the database does not stand still
        tokio::time::resume();
        // a full page may not be all
        let page: Vec<_> = (1..=PAGE).map(granted).collect();
        replica.follow(page).await.unwrap();
        assert!(replica.check_fresh().is_err());
    }
}
