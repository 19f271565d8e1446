//! *Replicate*: the roles are in a table of this service, which follows the customer service's events.

use std::collections::BTreeSet;

use sqlx::SqlitePool;

use super::Authorizer;
use crate::customers::{Event, Numbered, database};
use crate::domain::{Action, Actor, LocationId, Role, SecuritySystem};
use crate::problem::{Problem, Unavailable};

const SCHEMA: &str = "
    CREATE TABLE member (team TEXT NOT NULL, email TEXT NOT NULL, PRIMARY KEY (team, email));
    CREATE TABLE granted (location INTEGER NOT NULL, grantee TEXT NOT NULL, role TEXT NOT NULL,
        PRIMARY KEY (location, grantee, role));
    CREATE TABLE followed (number INTEGER NOT NULL);
";

/// The copy.
#[derive(Clone, Debug)]
pub struct Replica {
    pool: SqlitePool,
}

impl Replica {
    pub async fn create() -> Result<Self, sqlx::Error> {
        Ok(Self { pool: database(SCHEMA).await? })
    }

    /// Returns the number of the last event that was followed; `None` before the first.
    pub async fn last(&self) -> Result<Option<i64>, Problem> {
        Ok(sqlx::query_scalar("SELECT MAX(number) FROM followed").fetch_one(&self.pool).await?)
    }

    /// Follows events; those that come again change nothing.
    pub async fn follow(&self, events: Vec<Numbered>) -> Result<(), Problem> {
        let mut transaction = self.pool.begin().await?;
        for Numbered { number, event } in events {
            match event {
                Event::Joined(employee) => {
                    for team in employee.teams {
                        let insert = sqlx::query("INSERT OR IGNORE INTO member (team, email) VALUES (?, ?)");
                        insert.bind(team).bind(&employee.email).execute(&mut *transaction).await?;
                    }
                }
                Event::Granted(grant) => {
                    let insert =
                        sqlx::query("INSERT OR IGNORE INTO granted (location, grantee, role) VALUES (?, ?, ?)");
                    let insert = insert.bind(grant.location).bind(grant.grantee).bind(grant.role);
                    insert.execute(&mut *transaction).await?;
                }
            }
            sqlx::query("INSERT INTO followed (number) VALUES (?)").bind(number).execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Who has which role at a location.
    pub async fn granted(&self, location: LocationId) -> Result<Vec<(String, Role)>, Problem> {
        let select = sqlx::query_as("SELECT grantee, role FROM granted WHERE location = ?");
        Ok(select.bind(location).fetch_all(&self.pool).await?)
    }

    /// The teams of an employee.
    pub async fn teams(&self, email: &str) -> Result<Vec<String>, Problem> {
        Ok(sqlx::query_scalar("SELECT team FROM member WHERE email = ?").bind(email).fetch_all(&self.pool).await?)
    }

    /// A copy that has followed nothing yet knows nothing: neither yes nor no.
    pub async fn check_begun(&self) -> Result<(), Unavailable> {
        let last = self.last().await.map_err(|_| Unavailable)?;
        last.map(|_| ()).ok_or(Unavailable)
    }
}

/// Reads the copy.
#[derive(Clone, Debug)]
pub struct FromReplica(pub Replica);

#[tonic::async_trait]
impl Authorizer for FromReplica {
    async fn allows(&self, actor: &Actor, action: Action, system: &SecuritySystem) -> Result<bool, Unavailable> {
        let Self(replica) = self;
        replica.check_begun().await?;
        let teams = replica.teams(actor.name()).await.map_err(|_| Unavailable)?;
        let names: BTreeSet<String> = teams.into_iter().map(|team| format!("team:{team}")).collect();
        let granted = replica.granted(system.location).await.map_err(|_| Unavailable)?;
        let own = granted.into_iter().filter(|(grantee, _)| grantee == actor.name() || names.contains(grantee));
        Ok(action.is_for(&own.map(|(_, role)| role).collect()))
    }
}
