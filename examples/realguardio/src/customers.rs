//! The customer service: customers, their employees, teams and locations, and who has which role where.

use std::collections::BTreeSet;

use axum::extract::{Path, Query, State};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{Sqlite, SqlitePool, Transaction};
use tower_bearer::AccessToken;

use crate::domain::{CustomerId, LocationId, Role, Roles};
use crate::guard::Guard;
use crate::problem::Problem;

const SCHEMA: &str = "
    CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE employee (customer INTEGER NOT NULL REFERENCES customer, email TEXT NOT NULL, manager BOOLEAN NOT NULL,
        PRIMARY KEY (customer, email));
    CREATE TABLE member (customer INTEGER NOT NULL, team TEXT NOT NULL, email TEXT NOT NULL,
        PRIMARY KEY (customer, team, email), FOREIGN KEY (customer, email) REFERENCES employee);
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
    pub email: String,
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
            Self::Employee(email) => ("employee", email),
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

/// How many events come at a time.
pub const PAGE: i64 = 1000;

/// An event and its number.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Numbered {
    pub number: i64,
    pub event: Event,
}

#[derive(Debug, Deserialize, Serialize)]
pub struct Named {
    pub name: String,
}

#[derive(Debug, Deserialize, Serialize, sqlx::FromRow)]
pub struct Customer {
    pub id: CustomerId,
    pub name: String,
}

#[derive(Debug, Deserialize)]
struct After {
    #[serde(default)]
    after: i64,
}

/// Opens a database of its own, in memory.
pub async fn database(schema: &'static str) -> Result<SqlitePool, sqlx::Error> {
    let options = SqliteConnectOptions::new().in_memory(true).foreign_keys(true);
    // one connection, since each would have a memory of its own
    let pool = SqlitePoolOptions::new().max_connections(1).min_connections(1).idle_timeout(None).max_lifetime(None);
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
        let insert = sqlx::query_scalar("INSERT INTO location (customer, name) VALUES (?, ?) RETURNING id");
        Ok(insert.bind(customer).bind(name).fetch_one(&self.pool).await?)
    }

    pub async fn add_employee(&self, customer: CustomerId, employee: Employee) -> Result<(), Problem> {
        // tokens without a subject are nobody's
        if employee.email.is_empty() {
            return Err(Problem::Conflict);
        }
        let mut transaction = self.pool.begin().await?;
        let insert = sqlx::query("INSERT INTO employee (customer, email, manager) VALUES (?, ?, ?)");
        let insert = insert.bind(customer).bind(&employee.email).bind(employee.manager);
        insert.execute(&mut *transaction).await?;
        for team in &employee.teams {
            let insert = sqlx::query("INSERT INTO member (customer, team, email) VALUES (?, ?, ?)");
            insert.bind(customer).bind(team).bind(&employee.email).execute(&mut *transaction).await?;
        }
        record(&mut transaction, &Event::Joined(customer, employee)).await?;
        Ok(transaction.commit().await?)
    }

    /// Takes an employee from this customer, and with them the roles that they had there.
    pub async fn remove_employee(&self, customer: CustomerId, email: &str) -> Result<(), Problem> {
        let mut transaction = self.pool.begin().await?;
        forget(&mut transaction, customer, email).await?;
        let delete = sqlx::query("DELETE FROM employee WHERE customer = ? AND email = ?");
        let deleted = delete.bind(customer).bind(email).execute(&mut *transaction).await?;
        if deleted.rows_affected() == 0 {
            return Err(Problem::NotFound);
        }
        record(&mut transaction, &Event::Left(customer, email.to_owned())).await?;
        Ok(transaction.commit().await?)
    }

    /// Gives a role at a location of this customer, and of no other, to its own people.
    pub async fn grant(&self, customer: CustomerId, grant: Grant) -> Result<(), Problem> {
        let mut transaction = self.pool.begin().await?;
        let own = sqlx::query_scalar::<_, i64>("SELECT id FROM location WHERE id = ? AND customer = ?");
        own.bind(grant.location).bind(customer).fetch_one(&mut *transaction).await?;
        if let Grantee::Employee(email) = &grant.grantee {
            let own = sqlx::query_scalar::<_, String>("SELECT email FROM employee WHERE customer = ? AND email = ?");
            own.bind(customer).bind(email).fetch_one(&mut *transaction).await?;
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

    /// The roles of an employee, their own and those of their teams.
    pub async fn roles(&self, email: &str) -> Result<Roles, Problem> {
        Ok(roles_of(&self.pool, email).await?)
    }

    /// A manager manages their own customer; that there are others is none of their business, and other employees manage nothing.
    async fn check_manager(&self, token: &AccessToken, customer: CustomerId) -> Result<(), Problem> {
        let select = sqlx::query_scalar("SELECT manager FROM employee WHERE customer = ? AND email = ?");
        let email = token.subject().unwrap_or_default();
        match select.bind(customer).bind(email).fetch_optional(&self.pool).await? {
            Some(true) => Ok(()),
            Some(false) => Err(Problem::Forbidden),
            None => Err(Problem::NotFound),
        }
    }
}

/// The roles of an employee, here or in a copy: their own, and those of the teams that they are in *at the location's customer*.
pub async fn roles_of(pool: &SqlitePool, email: &str) -> Result<Roles, sqlx::Error> {
    let select = sqlx::query_as(
        "SELECT location, role FROM granted WHERE kind = 'employee' AND name = ?1 OR kind = 'team' AND EXISTS
            (SELECT 1 FROM member WHERE email = ?1 AND member.customer = granted.customer AND team = granted.name)",
    );
    let mut roles = Roles::new();
    for (location, role) in select.bind(email).fetch_all(pool).await? {
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
pub async fn forget(on: &mut Transaction<'_, Sqlite>, customer: CustomerId, email: &str) -> Result<(), sqlx::Error> {
    for delete in [
        "DELETE FROM member WHERE customer = ? AND email = ?",
        "DELETE FROM granted WHERE customer = ? AND kind = 'employee' AND name = ?",
    ] {
        sqlx::query(delete).bind(customer).bind(email).execute(&mut **on).await?;
    }
    Ok(())
}

async fn record(transaction: &mut Transaction<'_, Sqlite>, event: &Event) -> Result<(), Problem> {
    let body = serde_json::to_string(event).map_err(|_| Problem::Broken)?;
    sqlx::query("INSERT INTO event (body) VALUES (?)").bind(body).execute(&mut **transaction).await?;
    Ok(())
}

/// The service behind its guard.
pub fn service(customers: Customers, guard: Guard) -> Router {
    routes().layer(guard).with_state(customers)
}

/// The routes, unguarded, for a test that each has a rule.
pub fn routes() -> Router<Customers> {
    Router::new()
        .route("/health", get(async || "ok"))
        .route("/customers", get(list).post(create))
        .route("/customers/{customer}/employees", post(hire))
        .route("/customers/{customer}/employees/{email}", delete(dismiss))
        .route("/customers/{customer}/locations", post(open_location))
        .route("/customers/{customer}/roles", put(give_role).delete(take_role))
        .route("/roles", get(own_roles))
        .route("/events", get(events))
}

async fn list(State(customers): State<Customers>, token: AccessToken) -> Result<Json<Vec<Customer>>, Problem> {
    let email = token.subject().unwrap_or_default();
    let all = sqlx::query_as(
        "SELECT id, name FROM customer WHERE ?1 OR id IN (SELECT customer FROM employee WHERE email = ?2) ORDER BY id",
    );
    Ok(Json(all.bind(token.has_role("admin")).bind(email).fetch_all(&customers.pool).await?))
}

async fn create(State(customers): State<Customers>, Json(named): Json<Named>) -> Result<Json<CustomerId>, Problem> {
    Ok(Json(customers.add_customer(&named.name).await?))
}

async fn hire(
    State(customers): State<Customers>,
    Path(customer): Path<CustomerId>,
    token: AccessToken,
    Json(employee): Json<Employee>,
) -> Result<(), Problem> {
    check_staff(&customers, &token, customer).await?;
    customers.add_employee(customer, employee).await
}

async fn dismiss(
    State(customers): State<Customers>,
    Path((customer, email)): Path<(CustomerId, String)>,
    token: AccessToken,
) -> Result<(), Problem> {
    check_staff(&customers, &token, customer).await?;
    customers.remove_employee(customer, &email).await
}

/// The first employee of a new customer is the administrator's doing.
async fn check_staff(customers: &Customers, token: &AccessToken, customer: CustomerId) -> Result<(), Problem> {
    if token.has_role("admin") { Ok(()) } else { customers.check_manager(token, customer).await }
}

async fn open_location(
    State(customers): State<Customers>,
    Path(customer): Path<CustomerId>,
    token: AccessToken,
    Json(named): Json<Named>,
) -> Result<Json<LocationId>, Problem> {
    customers.check_manager(&token, customer).await?;
    Ok(Json(customers.add_location(customer, &named.name).await?))
}

async fn give_role(
    State(customers): State<Customers>,
    Path(customer): Path<CustomerId>,
    token: AccessToken,
    Json(grant): Json<Grant>,
) -> Result<(), Problem> {
    customers.check_manager(&token, customer).await?;
    customers.grant(customer, grant).await
}

async fn take_role(
    State(customers): State<Customers>,
    Path(customer): Path<CustomerId>,
    token: AccessToken,
    Json(grant): Json<Grant>,
) -> Result<(), Problem> {
    customers.check_manager(&token, customer).await?;
    customers.revoke(customer, grant).await
}

/// The roles of *the caller*: what the security-system service asks with its caller's token.
async fn own_roles(State(customers): State<Customers>, token: AccessToken) -> Result<Json<Roles>, Problem> {
    Ok(Json(customers.roles(token.subject().unwrap_or_default()).await?))
}

async fn events(
    State(customers): State<Customers>,
    Query(After { after }): Query<After>,
) -> Result<Json<Vec<Numbered>>, Problem> {
    let select = sqlx::query_as("SELECT number, body FROM event WHERE number > ? ORDER BY number LIMIT ?");
    let rows: Vec<(i64, String)> = select.bind(after).bind(PAGE).fetch_all(&customers.pool).await?;
    let events = rows.into_iter().map(|(number, body)| Ok(Numbered { number, event: serde_json::from_str(&body)? }));
    events.collect::<Result<_, serde_json::Error>>().map(Json).map_err(|_| Problem::Broken)
}
