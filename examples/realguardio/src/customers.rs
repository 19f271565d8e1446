//! The customer service: customers, their employees, teams and locations, and who has which role where.

mod store;

use axum::extract::{Path, Query, State};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tower_bearer::AccessToken;

pub use self::store::{
    Customer, Customers, Employee, Event, Grant, Grantee, Numbered, PAGE, database, forget, give, roles_of, take,
};
use crate::domain::{ADMIN, CustomerId, LocationId, Roles};
use crate::guard::Guard;
use crate::problem::Problem;

#[derive(Debug, Deserialize, Serialize)]
pub struct Named {
    pub name: String,
}

#[derive(Debug, Deserialize)]
struct After {
    #[serde(default)]
    after: i64,
}

/// A manager manages their own customer; that there are others is none of their business, and other employees manage nothing.
async fn check_manager(customers: &Customers, token: &AccessToken, customer: CustomerId) -> Result<(), Problem> {
    match customers.is_manager(customer, token.subject().unwrap_or_default()).await? {
        Some(true) => Ok(()),
        Some(false) => Err(Problem::Forbidden),
        None => Err(Problem::NotFound),
    }
}

/// Administrators hire and dismiss at every customer, since nobody else could hire the first employee; managers, at their own.
async fn check_staff(customers: &Customers, token: &AccessToken, customer: CustomerId) -> Result<(), Problem> {
    if token.has_role(ADMIN) { Ok(()) } else { check_manager(customers, token, customer).await }
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
        .route("/customers/{customer}/employees/{subject}", delete(dismiss))
        .route("/customers/{customer}/locations", post(open_location))
        .route("/customers/{customer}/roles", put(give_role).delete(take_role))
        .route("/roles", get(own_roles))
        .route("/events", get(events))
}

async fn list(State(customers): State<Customers>, token: AccessToken) -> Result<Json<Vec<Customer>>, Problem> {
    Ok(Json(customers.list(token.has_role(ADMIN), token.subject().unwrap_or_default()).await?))
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
    Path((customer, subject)): Path<(CustomerId, String)>,
    token: AccessToken,
) -> Result<(), Problem> {
    check_staff(&customers, &token, customer).await?;
    customers.remove_employee(customer, &subject).await
}

async fn open_location(
    State(customers): State<Customers>,
    Path(customer): Path<CustomerId>,
    token: AccessToken,
    Json(named): Json<Named>,
) -> Result<Json<LocationId>, Problem> {
    check_manager(&customers, &token, customer).await?;
    Ok(Json(customers.add_location(customer, &named.name).await?))
}

async fn give_role(
    State(customers): State<Customers>,
    Path(customer): Path<CustomerId>,
    token: AccessToken,
    Json(grant): Json<Grant>,
) -> Result<(), Problem> {
    check_manager(&customers, &token, customer).await?;
    customers.grant(customer, grant).await
}

async fn take_role(
    State(customers): State<Customers>,
    Path(customer): Path<CustomerId>,
    token: AccessToken,
    Json(grant): Json<Grant>,
) -> Result<(), Problem> {
    check_manager(&customers, &token, customer).await?;
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
    Ok(Json(customers.events(after).await?))
}
