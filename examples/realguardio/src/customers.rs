//! The customer service: customers, their employees, teams and locations, and who has which role where.

use std::collections::BTreeSet;

use axum::extract::{Path, Query, State};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use tower_bearer::AccessToken;

use crate::domain::{CustomerId, LocationId, Role};
use crate::guard::Guard;
use crate::problem::Problem;

const SCHEMA: &str = "
    CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE employee (email TEXT PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customer);
    CREATE TABLE member (team TEXT NOT NULL, email TEXT NOT NULL REFERENCES employee, PRIMARY KEY (team, email));
    CREATE TABLE location (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customer, name TEXT NOT NULL);
    CREATE TABLE granted (location INTEGER NOT NULL REFERENCES location, grantee TEXT NOT NULL, role TEXT NOT NULL,
        PRIMARY KEY (location, grantee, role));
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
}

/// A role at a location, given to an employee by their address, or to a team as `team:name`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Grant {
    pub location: LocationId,
    pub grantee: String,
    pub role: Role,
}

/// What has happened, for services that keep a copy.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    Joined(Employee),
    Granted(Grant),
}

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
        let mut transaction = self.pool.begin().await?;
        let insert = sqlx::query("INSERT INTO employee (email, customer) VALUES (?, ?)");
        insert.bind(&employee.email).bind(customer).execute(&mut *transaction).await?;
        for team in &employee.teams {
            let insert = sqlx::query("INSERT INTO member (team, email) VALUES (?, ?)");
            insert.bind(team).bind(&employee.email).execute(&mut *transaction).await?;
        }
        record(&mut transaction, &Event::Joined(employee)).await?;
        Ok(transaction.commit().await?)
    }

    /// Gives a role at a location of this customer, and of no other.
    pub async fn grant(&self, customer: CustomerId, grant: Grant) -> Result<(), Problem> {
        let mut transaction = self.pool.begin().await?;
        let own = sqlx::query_scalar::<_, i64>("SELECT id FROM location WHERE id = ? AND customer = ?");
        own.bind(grant.location).bind(customer).fetch_one(&mut *transaction).await?;
        let insert = sqlx::query("INSERT OR IGNORE INTO granted (location, grantee, role) VALUES (?, ?, ?)");
        insert.bind(grant.location).bind(&grant.grantee).bind(grant.role).execute(&mut *transaction).await?;
        record(&mut transaction, &Event::Granted(grant)).await?;
        Ok(transaction.commit().await?)
    }

    /// The roles of an employee at a location, their own and those of their teams.
    pub async fn roles(&self, email: &str, location: LocationId) -> Result<BTreeSet<Role>, Problem> {
        let select = sqlx::query_scalar(
            "SELECT DISTINCT role FROM granted WHERE location = ?1
             AND (grantee = ?2 OR grantee IN (SELECT 'team:' || team FROM member WHERE email = ?2))",
        );
        let roles: Vec<Role> = select.bind(location).bind(email).fetch_all(&self.pool).await?;
        Ok(roles.into_iter().collect())
    }

    async fn customer_of(&self, email: &str) -> Result<CustomerId, Problem> {
        let select = sqlx::query_scalar("SELECT customer FROM employee WHERE email = ?");
        Ok(select.bind(email).fetch_one(&self.pool).await?)
    }

    /// An employee manages their own customer; that there are others is none of their business.
    async fn check_own(&self, token: &AccessToken, customer: CustomerId) -> Result<(), Problem> {
        let own = self.customer_of(token.subject().unwrap_or_default()).await?;
        if own == customer { Ok(()) } else { Err(Problem::NotFound) }
    }
}

async fn record(transaction: &mut sqlx::Transaction<'_, sqlx::Sqlite>, event: &Event) -> Result<(), Problem> {
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
        .route("/customers/{customer}/locations", post(open_location))
        .route("/customers/{customer}/roles", put(give_role))
        .route("/locations/{location}/roles", get(own_roles))
        .route("/events", get(events))
}

async fn list(State(customers): State<Customers>, token: AccessToken) -> Result<Json<Vec<Customer>>, Problem> {
    let email = token.subject().unwrap_or_default();
    let all = sqlx::query_as(
        "SELECT id, name FROM customer WHERE ?1 OR id = (SELECT customer FROM employee WHERE email = ?2) ORDER BY id",
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
    // the first employee of a new customer is the administrator's doing
    if !token.has_role("admin") {
        customers.check_own(&token, customer).await?;
    }
    customers.add_employee(customer, employee).await
}

async fn open_location(
    State(customers): State<Customers>,
    Path(customer): Path<CustomerId>,
    token: AccessToken,
    Json(named): Json<Named>,
) -> Result<Json<LocationId>, Problem> {
    customers.check_own(&token, customer).await?;
    Ok(Json(customers.add_location(customer, &named.name).await?))
}

async fn give_role(
    State(customers): State<Customers>,
    Path(customer): Path<CustomerId>,
    token: AccessToken,
    Json(grant): Json<Grant>,
) -> Result<(), Problem> {
    customers.check_own(&token, customer).await?;
    customers.grant(customer, grant).await
}

/// The roles of *the caller*: what the security-system service asks with its caller's token.
async fn own_roles(
    State(customers): State<Customers>,
    Path(location): Path<LocationId>,
    token: AccessToken,
) -> Result<Json<BTreeSet<Role>>, Problem> {
    Ok(Json(customers.roles(token.subject().unwrap_or_default(), location).await?))
}

async fn events(
    State(customers): State<Customers>,
    Query(After { after }): Query<After>,
) -> Result<Json<Vec<Numbered>>, Problem> {
    let select = sqlx::query_as("SELECT number, body FROM event WHERE number > ? ORDER BY number LIMIT 1000");
    let rows: Vec<(i64, String)> = select.bind(after).fetch_all(&customers.pool).await?;
    let events = rows.into_iter().map(|(number, body)| Ok(Numbered { number, event: serde_json::from_str(&body)? }));
    events.collect::<Result<_, serde_json::Error>>().map(Json).map_err(|_| Problem::Broken)
}
