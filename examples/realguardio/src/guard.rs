//! Whom each service believes, and what each of its operations needs of the caller's token. What a caller may do to *this* customer or *this* system
//! is decided in the services, where the data are.

use http::Method;
use serde::de::DeserializeOwned;
use tower_bearer::{
    Access, AuthzRules, BearerAuthLayer, ConfigError, ProblemJson, ResourceServer, ResourceServerBuilder, Rule, Trust,
};

/// The audience of all services of the system: they relay their callers' tokens to each other.
pub const AUDIENCE: &str = "https://realguardio.example";

/// A layer of one of the services.
pub type Guard<C = ()> = BearerAuthLayer<C, ProblemJson>;

/// Trusts the identity service, or whom else the options name.
pub fn server<C: DeserializeOwned + Send + Sync + 'static>(
    trust: impl Into<Trust>,
    settings: impl FnOnce(ResourceServerBuilder<C>) -> ResourceServerBuilder<C>,
) -> Result<ResourceServer<C>, ConfigError> {
    settings(ResourceServer::new(AUDIENCE).trust(trust).claims::<C>()).build()
}

fn admin() -> Rule {
    Rule::role("admin")
}

fn employee() -> Rule {
    Rule::role("employee")
}

/// Customers, their employees, teams and locations.
pub fn customers(server: ResourceServer) -> Result<Guard, ConfigError> {
    Ok(BearerAuthLayer::new(server).authorize(customer_rules()?).reject_with(ProblemJson::default()))
}

/// What each of its operations needs.
pub fn customer_rules() -> Result<AuthzRules, ConfigError> {
    AuthzRules::new()
        .route(Method::GET, "/health", Access::Public)
        .route(Method::GET, "/customers", admin() | employee())
        .route(Method::POST, "/customers", admin())
        .route(Method::POST, "/customers/{customer}/employees", admin() | employee())
        .route(Method::DELETE, "/customers/{customer}/employees/{email}", admin() | employee())
        .route(Method::POST, "/customers/{customer}/locations", employee())
        .route(Method::PUT, "/customers/{customer}/roles", employee())
        .route(Method::DELETE, "/customers/{customer}/roles", employee())
        // one's own
        .route(Method::GET, "/roles", Access::Authenticated)
        .route(Method::GET, "/events", Rule::scope("events:read"))
        .build()
}

/// Security systems, by REST and by gRPC.
pub fn systems<C>(server: ResourceServer<C>) -> Result<Guard<C>, ConfigError> {
    Ok(BearerAuthLayer::new(server).authorize(system_rules()?).relayable().reject_with(ProblemJson::default()))
}

/// What each of its operations needs.
pub fn system_rules() -> Result<AuthzRules, ConfigError> {
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

/// Figures: of all systems for administrators and for machines that were given the scope, and of their own for employees.
pub fn statistics<C>(server: ResourceServer<C>) -> Result<Guard<C>, ConfigError> {
    Ok(BearerAuthLayer::new(server).authorize(statistics_rules()?).relayable().reject_with(ProblemJson::default()))
}

/// What each of its operations needs.
pub fn statistics_rules() -> Result<AuthzRules, ConfigError> {
    AuthzRules::new()
        .route(Method::GET, "/health", Access::Public)
        .route(Method::GET, "/statistics", admin() | employee() | Rule::scope("stats:read"))
        .build()
}
