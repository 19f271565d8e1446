//! Whom the services believe, and what each of their operations needs of the caller's token. What a caller may do to *this* customer or *this* system
//! is decided in the services, where the data are.

use std::sync::Arc;

use http::Method;
use serde::de::DeserializeOwned;
use tower_bearer::authz::{Access, AuthzRules};
use tower_bearer::config::Clock;
use tower_bearer::reject::ProblemJson;
use tower_bearer::trust::Trust;
use tower_bearer::{BearerAuthLayer, ConfigError, Issuer, ResourceServer, Rule};

use crate::domain::{ADMIN, AUDITOR, EMPLOYEE};

/// The audience of all services of the system: they relay their callers' tokens to each other.
pub const AUDIENCE: &str = "https://realguardio.example";

/// The layer of a service.
pub type Guard<C = ()> = BearerAuthLayer<C, ProblemJson>;

/// The identity service: what it signs must be an access token by RFC 9068, and no ID token.
pub fn issuer(url: &str) -> Issuer {
    Issuer::new(url).rfc9068()
}

/// A service that believes one issuer, and has keys of its own from there.
pub fn server<C>(trust: impl Into<Trust>, clock: Arc<dyn Clock>) -> Result<ResourceServer<C>, ConfigError>
where
    C: DeserializeOwned + Send + Sync + 'static,
{
    ResourceServer::new(AUDIENCE).trust(trust).clock(clock).claims::<C>().build()
}

/// Lets callers in by the rules, and keeps their token's text for calls to other services.
pub fn guard<C>(server: ResourceServer<C>, rules: AuthzRules) -> Result<Guard<C>, ConfigError> {
    Ok(BearerAuthLayer::new(server).authorize(rules)?.relayable().reject_with(ProblemJson::default()))
}

fn admin() -> Rule {
    Rule::role(ADMIN)
}

fn employee() -> Rule {
    Rule::role(EMPLOYEE)
}

/// Customers, their employees, teams and locations.
pub fn customers() -> Result<AuthzRules, ConfigError> {
    AuthzRules::new()
        .route(Method::GET, "/health", Access::Public)
        .route(Method::GET, "/customers", admin() | employee())
        .route(Method::POST, "/customers", admin())
        .route(Method::POST, "/customers/{customer}/employees", admin() | employee())
        .route(Method::DELETE, "/customers/{customer}/employees/{subject}", admin() | employee())
        .route(Method::POST, "/customers/{customer}/locations", employee())
        .route(Method::PUT, "/customers/{customer}/roles", employee())
        .route(Method::DELETE, "/customers/{customer}/roles", employee())
        // one's own
        .route(Method::GET, "/roles", Access::Authenticated)
        .route(Method::GET, "/events", Rule::scope("events:read"))
        .build()
}

/// Security systems, by REST and by gRPC.
pub fn systems() -> Result<AuthzRules, ConfigError> {
    AuthzRules::new()
        .route(Method::GET, "/health", Access::Public)
        .route(Method::GET, "/systems", admin() | employee())
        .route(Method::POST, "/systems", admin())
        .route(Method::GET, "/systems/{system}", admin() | employee())
        .route(Method::POST, "/systems/{system}/arm", employee())
        .route(Method::POST, "/systems/{system}/disarm", employee())
        .grpc_method("realguardio.v1.SecuritySystems/List", admin() | employee())
        .grpc_method("realguardio.v1.SecuritySystems/Get", admin() | employee())
        .grpc_method("realguardio.v1.SecuritySystems/Watch", admin() | employee())
        .grpc_method("realguardio.v1.SecuritySystems/Arm", employee())
        .grpc_method("realguardio.v1.SecuritySystems/Disarm", employee())
        .build()
}

/// May read the figures of all systems: an auditor, by a client that may read figures.
pub fn audit() -> Rule {
    Rule::role(AUDITOR) & Rule::scope("stats:read")
}

/// Figures: of all systems for administrators and auditors, and of their own for employees.
pub fn statistics() -> Result<AuthzRules, ConfigError> {
    AuthzRules::new()
        .route(Method::GET, "/health", Access::Public)
        .route(Method::GET, "/statistics", admin() | employee() | audit())
        .build()
}
