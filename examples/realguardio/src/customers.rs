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
    CREATE TABLE employee (email TEXT PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customer, manager BOOLEAN NOT NULL);
    CREATE TABLE member (customer INTEGER NOT NULL REFERENCES customer, team TEXT NOT NULL,
        email TEXT NOT NULL REFERENCES employee, PRIMARY KEY (customer, team, email));
    CREATE TABLE location (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customer, name TEXT NOT NULL);
    CREATE TABLE granted (location INTEGER NOT NULL REFERENCES location, kind TEXT NOT NULL, name TEXT NOT NULL,
        role TEXT NOT NULL, PRIMARY KEY (location, kind, name, role));
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
    Granted(CustomerId, Grant),
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
        let insert = sqlx::query("INSERT INTO employee (email, customer, manager) VALUES (?, ?, ?)");
        let insert = insert.bind(&employee.email).bind(customer).bind(employee.manager);
        insert.execute(&mut *transaction).await?;
        for team in &employee.teams {
            let insert = sqlx::query("INSERT INTO member (customer, team, email) VALUES (?, ?, ?)");
            insert.bind(customer).bind(team).bind(&employee.email).execute(&mut *transaction).await?;
        }
        record(&mut transaction, &Event::Joined(customer, employee)).await?;
        Ok(transaction.commit().await?)
    }

    /// Gives a role at a location of this customer, and of no other, to its own people.
    pub async fn grant(&self, customer: CustomerId, grant: Grant) -> Result<(), Problem> {
        let mut transaction = self.pool.begin().await?;
        let own = sqlx::query_scalar::<_, i64>("SELECT id FROM location WHERE id = ? AND customer = ?");
        own.bind(grant.location).bind(customer).fetch_one(&mut *transaction).await?;
        let (kind, name) = grant.grantee.parts();
        if kind == "employee" {
            let own = sqlx::query_scalar::<_, String>("SELECT email FROM employee WHERE email = ? AND customer = ?");
            own.bind(name).bind(customer).fetch_one(&mut *transaction).await?;
        }
        let insert = sqlx::query("INSERT OR IGNORE INTO granted (location, kind, name, role) VALUES (?, ?, ?, ?)");
        let insert = insert.bind(grant.location).bind(kind).bind(name).bind(grant.role);
        insert.execute(&mut *transaction).await?;
        record(&mut transaction, &Event::Granted(customer, grant)).await?;
        Ok(transaction.commit().await?)
    }

    /// The roles of an employee at a location, their own and those of their teams.
    pub async fn roles(&self, email: &str, location: LocationId) -> Result<BTreeSet<Role>, Problem> {
        let select = sqlx::query_scalar(
            "SELECT DISTINCT role FROM granted JOIN location ON location.id = granted.location
             WHERE location.id = ?1 AND (kind = 'employee' AND granted.name = ?2 OR kind = 'team' AND granted.name IN
                (SELECT team FROM member WHERE email = ?2 AND member.customer = location.customer))",
        );
        let roles: Vec<Role> = select.bind(location).bind(email).fetch_all(&self.pool).await?;
        Ok(roles.into_iter().collect())
    }

    /// A manager manages their own customer; that there are others is none of their business, and other employees manage nothing.
    async fn check_manager(&self, token: &AccessToken, customer: CustomerId) -> Result<(), Problem> {
        let select = sqlx::query_as("SELECT customer, manager FROM employee WHERE email = ?");
        let email = token.subject().unwrap_or_default();
        let found: Option<(CustomerId, bool)> = select.bind(email).fetch_optional(&self.pool).await?;
        match found {
            Some((own, true)) if own == customer => Ok(()),
            Some((own, false)) if own == customer => Err(Problem::Forbidden),
            Some((_, _)) | None => Err(Problem::NotFound),
        }
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
        customers.check_manager(&token, customer).await?;
    }
    customers.add_employee(customer, employee).await
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
    let select = sqlx::query_as("SELECT number, body FROM event WHERE number > ? ORDER BY number LIMIT ?");
    let rows: Vec<(i64, String)> = select.bind(after).bind(PAGE).fetch_all(&customers.pool).await?;
    let events = rows.into_iter().map(|(number, body)| Ok(Numbered { number, event: serde_json::from_str(&body)? }));
    events.collect::<Result<_, serde_json::Error>>().map(Json).map_err(|_| Problem::Broken)
}
