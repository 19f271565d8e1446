//! The customer service's data, and the events by which others keep a copy.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{Sqlite, SqlitePool, Transaction};

use crate::domain::{CustomerId, LocationId, Role, Roles};
use crate::problem::Problem;

const SCHEMA: &str = "
    CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE employee (customer INTEGER NOT NULL REFERENCES customer, subject TEXT NOT NULL, manager BOOLEAN NOT NULL,
        PRIMARY KEY (customer, subject));
    CREATE TABLE member (customer INTEGER NOT NULL, team TEXT NOT NULL, subject TEXT NOT NULL,
        PRIMARY KEY (customer, team, subject), FOREIGN KEY (customer, subject) REFERENCES employee);
    CREATE TABLE location (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customer, name TEXT NOT NULL);
    CREATE TABLE granted (customer INTEGER NOT NULL REFERENCES customer, location INTEGER NOT NULL REFERENCES location,
        kind TEXT NOT NULL, name TEXT NOT NULL, role TEXT NOT NULL, PRIMARY KEY (location, kind, name, role));
    CREATE TABLE event (number INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL);
";

/// The service's own data.
#[derive(Clone, Debug)]
pub struct Customers {
    pool: SqlitePool,
}

/// An employee, as it is added.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Employee {
    pub subject: String,
    #[serde(default)]
    pub teams: Vec<String>,
    /// Whether they may hire, open locations and give roles.
    #[serde(default)]
    pub manager: bool,
}

/// Who is given a role: an employee or a team of the location's customer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grantee {
    Employee(String),
    Team(String),
}

impl Grantee {
    /// In two parts, so that no name of the one is taken for one of the other.
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Employee(subject) => ("employee", subject),
            Self::Team(team) => ("team", team),
        }
    }
}

/// A role at a location.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Grant {
    pub location: LocationId,
    pub grantee: Grantee,
    pub role: Role,
}

/// What has happened, for services that keep a copy.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    Joined(CustomerId, Employee),
    Left(CustomerId, String),
    Granted(CustomerId, Grant),
    Revoked(CustomerId, Grant),
}

/// How many locations a customer may have.
const MAX_LOCATIONS: i64 = 1000;

/// How many events come at a time.
pub const PAGE: i64 = 1000;

/// An event and its number.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Numbered {
    pub number: i64,
    pub event: Event,
}

#[derive(Debug, Deserialize, Serialize, sqlx::FromRow)]
pub struct Customer {
    pub id: CustomerId,
    pub name: String,
}

/// Opens a database of its own, in memory.
pub async fn database(schema: &'static str) -> Result<SqlitePool, sqlx::Error> {
    let options = SqliteConnectOptions::new().in_memory(true).foreign_keys(true);
    // one connection, since each would have a memory of its own, and never another: not even if a request is broken off while it is being tested
    let pool = SqlitePoolOptions::new().max_connections(1).min_connections(1).idle_timeout(None).max_lifetime(None);
    let pool = pool.test_before_acquire(false);
    let pool = pool.connect_with(options).await?;
    sqlx::raw_sql(schema).execute(&pool).await?;
    Ok(pool)
}

impl Customers {
    /// Creates the tables.
    pub async fn create() -> Result<Self, sqlx::Error> {
        Ok(Self { pool: database(SCHEMA).await? })
    }

    pub async fn add_customer(&self, name: &str) -> Result<CustomerId, Problem> {
        let insert = sqlx::query_scalar("INSERT INTO customer (name) VALUES (?) RETURNING id");
        Ok(insert.bind(name).fetch_one(&self.pool).await?)
    }

    pub async fn add_location(&self, customer: CustomerId, name: &str) -> Result<LocationId, Problem> {
        // the roles of somebody who has some everywhere, at several customers, must still fit into one answer
        let insert = sqlx::query_scalar(
            "INSERT INTO location (customer, name) SELECT ?1, ?2
             WHERE (SELECT COUNT(*) FROM location WHERE customer = ?1) < ?3 RETURNING id",
        );
        let inserted = insert.bind(customer).bind(name).bind(MAX_LOCATIONS).fetch_optional(&self.pool).await?;
        inserted.ok_or(Problem::Conflict)
    }

    pub async fn add_employee(&self, customer: CustomerId, employee: Employee) -> Result<(), Problem> {
        // tokens without a subject are nobody's
        if employee.subject.is_empty() {
            return Err(Problem::Invalid);
        }
        let mut transaction = self.pool.begin().await?;
        let insert = sqlx::query("INSERT INTO employee (customer, subject, manager) VALUES (?, ?, ?)");
        let insert = insert.bind(customer).bind(&employee.subject).bind(employee.manager);
        insert.execute(&mut *transaction).await?;
        for team in &employee.teams {
            let insert = sqlx::query("INSERT OR IGNORE INTO member (customer, team, subject) VALUES (?, ?, ?)");
            insert.bind(customer).bind(team).bind(&employee.subject).execute(&mut *transaction).await?;
        }
        record(&mut transaction, &Event::Joined(customer, employee)).await?;
        Ok(transaction.commit().await?)
    }

    /// Takes an employee from this customer, and with them the roles that they had there.
    pub async fn remove_employee(&self, customer: CustomerId, subject: &str) -> Result<(), Problem> {
        let mut transaction = self.pool.begin().await?;
        forget(&mut transaction, customer, subject).await?;
        let delete = sqlx::query("DELETE FROM employee WHERE customer = ? AND subject = ?");
        let deleted = delete.bind(customer).bind(subject).execute(&mut *transaction).await?;
        if deleted.rows_affected() == 0 {
            return Err(Problem::NotFound);
        }
        record(&mut transaction, &Event::Left(customer, subject.to_owned())).await?;
        Ok(transaction.commit().await?)
    }

    /// Gives a role at a location of this customer, and of no other, to its own people.
    pub async fn grant(&self, customer: CustomerId, grant: Grant) -> Result<(), Problem> {
        let mut transaction = self.pool.begin().await?;
        let own = sqlx::query_scalar::<_, i64>("SELECT id FROM location WHERE id = ? AND customer = ?");
        own.bind(grant.location).bind(customer).fetch_one(&mut *transaction).await?;
        if let Grantee::Employee(subject) = &grant.grantee {
            let own =
                sqlx::query_scalar::<_, String>("SELECT subject FROM employee WHERE customer = ? AND subject = ?");
            own.bind(customer).bind(subject).fetch_one(&mut *transaction).await?;
        }
        give(&mut transaction, customer, &grant).await?;
        record(&mut transaction, &Event::Granted(customer, grant)).await?;
        Ok(transaction.commit().await?)
    }

    /// Takes a role away. That nobody has it is what is wanted, and no error.
    pub async fn revoke(&self, customer: CustomerId, grant: Grant) -> Result<(), Problem> {
        let mut transaction = self.pool.begin().await?;
        take(&mut transaction, customer, &grant).await?;
        record(&mut transaction, &Event::Revoked(customer, grant)).await?;
        Ok(transaction.commit().await?)
    }

    /// The customers, all of them or those that have this employee.
    pub async fn list(&self, all: bool, subject: &str) -> Result<Vec<Customer>, Problem> {
        let select = sqlx::query_as(
            "SELECT id, name FROM customer WHERE ?1 OR id IN (SELECT customer FROM employee WHERE subject = ?2) ORDER BY id",
        );
        Ok(select.bind(all).bind(subject).fetch_all(&self.pool).await?)
    }

    /// Tells whether an employee of a customer is a manager there; `None` if they are no employee.
    pub async fn is_manager(&self, customer: CustomerId, subject: &str) -> Result<Option<bool>, Problem> {
        let select = sqlx::query_scalar("SELECT manager FROM employee WHERE customer = ? AND subject = ?");
        Ok(select.bind(customer).bind(subject).fetch_optional(&self.pool).await?)
    }

    /// The events after this one, in their order.
    pub async fn events(&self, after: i64) -> Result<Vec<Numbered>, Problem> {
        let select = sqlx::query_as("SELECT number, body FROM event WHERE number > ? ORDER BY number LIMIT ?");
        let rows: Vec<(i64, String)> = select.bind(after).bind(PAGE).fetch_all(&self.pool).await?;
        let event = |(number, body): (_, String)| Ok(Numbered { number, event: serde_json::from_str(&body)? });
        let events: Result<_, serde_json::Error> = rows.into_iter().map(event).collect();
        events.map_err(|_| Problem::Broken)
    }

    /// The roles of an employee, their own and those of their teams.
    pub async fn roles(&self, subject: &str) -> Result<Roles, Problem> {
        Ok(roles_of(&self.pool, subject).await?)
    }
}

/// The roles of an employee, here or in a copy: their own, and those of the teams that they are in *at the location's customer*.
pub async fn roles_of(pool: &SqlitePool, subject: &str) -> Result<Roles, sqlx::Error> {
    let select = sqlx::query_as(
        "SELECT location, role FROM granted WHERE kind = 'employee' AND name = ?1 OR kind = 'team' AND EXISTS
            (SELECT 1 FROM member WHERE subject = ?1 AND member.customer = granted.customer AND team = granted.name)",
    );
    let mut roles = Roles::new();
    for (location, role) in select.bind(subject).fetch_all(pool).await? {
        let at: &mut BTreeSet<Role> = roles.entry(location).or_default();
        at.insert(role);
    }
    Ok(roles)
}

/// Enters a role, here or in a copy.
pub async fn give(on: &mut Transaction<'_, Sqlite>, customer: CustomerId, grant: &Grant) -> Result<(), sqlx::Error> {
    let insert = "INSERT OR IGNORE INTO granted (customer, location, kind, name, role) VALUES (?, ?, ?, ?, ?)";
    change(on, insert, customer, grant).await
}

/// Strikes a role out, here or in a copy.
pub async fn take(on: &mut Transaction<'_, Sqlite>, customer: CustomerId, grant: &Grant) -> Result<(), sqlx::Error> {
    let delete = "DELETE FROM granted WHERE customer = ? AND location = ? AND kind = ? AND name = ? AND role = ?";
    change(on, delete, customer, grant).await
}

async fn change(
    on: &mut Transaction<'_, Sqlite>,
    sql: &'static str,
    customer: CustomerId,
    grant: &Grant,
) -> Result<(), sqlx::Error> {
    let (kind, name) = grant.grantee.parts();
    let query = sqlx::query(sql).bind(customer).bind(grant.location).bind(kind).bind(name).bind(grant.role);
    query.execute(&mut **on).await.map(drop)
}

/// Strikes out what an employee of a customer is and has there, here or in a copy.
pub async fn forget(on: &mut Transaction<'_, Sqlite>, customer: CustomerId, subject: &str) -> Result<(), sqlx::Error> {
    for delete in [
        "DELETE FROM member WHERE customer = ? AND subject = ?",
        "DELETE FROM granted WHERE customer = ? AND kind = 'employee' AND name = ?",
    ] {
        sqlx::query(delete).bind(customer).bind(subject).execute(&mut **on).await?;
    }
    Ok(())
}

async fn record(transaction: &mut Transaction<'_, Sqlite>, event: &Event) -> Result<(), Problem> {
    let body = serde_json::to_string(event).map_err(|_| Problem::Broken)?;
    sqlx::query("INSERT INTO event (body) VALUES (?)").bind(body).execute(&mut **transaction).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn requests_that_are_broken_off_leave_the_data_where_they_are() {
        let customers = Customers::create().await.unwrap();
        customers.add_customer("shop").await.unwrap();
        for turns in 0..2000 {
            let broken_off = async {
                for _ in 0..turns % 50 {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                biased;
                _ = customers.roles("alice") => {}
                () = broken_off => {}
            }
        }
        assert_eq!(customers.list(true, "").await.unwrap().len(), 1);
    }
}
