//! Whom the services believe, and what each of their operations needs of the caller's token. What a caller may do to *this* customer or *this* system
//! is decided in the services, where the data are.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde::de::DeserializeOwned;
use tower_bearer::authz::{Access, AuthzRules};
use tower_bearer::config::Clock;
use tower_bearer::introspection::{ClientAuthentication, Introspection};
use tower_bearer::reject::ProblemJson;
use tower_bearer::revocation::RevocationList;
use tower_bearer::trust::Trust;
use tower_bearer::{BearerAuthLayer, ConfigError, Issuer, ResourceServer, Rule};

use crate::client::Credentials;
use crate::domain::{ADMIN, AUDITOR, EMPLOYEE};

/// The audience of all services of the system: they relay their callers' tokens to each other.
pub const AUDIENCE: &str = "https://realguardio.example";

/// The layer of a service.
pub type Guard<C = ()> = BearerAuthLayer<C, ProblemJson>;

/// Where each service is told that users have signed out. This needs no access token, since what comes there is signed.
pub const LOGOUT: &str = "/backchannel-logout";

/// For how long a service believes what it was told of an opaque token. Sign-outs do not wait for that, since services are told of them; all else that the
/// identity service takes back does.
const BELIEVED: Duration = Duration::from_secs(10);

/// How long ago whoever disarms a system may have signed in.
pub const FRESH: Duration = Duration::from_secs(5 * 60);

/// The identity service: what it signs must be an access token by RFC 9068, and no ID token.
pub fn issuer(url: &str) -> Issuer {
    Issuer::new(url).rfc9068()
}

/// How a service asks the identity service what an opaque token stands for: as a client of its own.
pub fn introspection(own: &Credentials) -> Introspection {
    Introspection::new(ClientAuthentication::client_secret_basic(&own.id, own.secret.as_str())).ttl(BELIEVED)
}

/// What a service remembers of sign-outs. No access token lives for more than an hour.
pub fn revocation_list(clock: Arc<dyn Clock>) -> RevocationList {
    RevocationList::builder(Duration::from_secs(60 * 60)).clock(clock).build()
}

/// A service that believes one issuer, and has keys of its own from there; but none of the tokens that were revoked.
pub fn server<C>(
    trust: impl Into<Trust>,
    revoked: RevocationList,
    clock: Arc<dyn Clock>,
) -> Result<ResourceServer<C>, ConfigError>
where
    C: DeserializeOwned + Send + Sync + 'static,
{
    ResourceServer::new(AUDIENCE).trust(trust).revocation_list(revoked).clock(clock).claims::<C>().build()
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

/// Has just signed in: who finds a browser that somebody has left open shall not disarm anything.
fn fresh() -> Rule {
    Rule::authenticated_within(FRESH)
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
        .route(Method::POST, "/systems/{system}/disarm", employee() & fresh())
        .grpc_method("realguardio.v1.SecuritySystems/List", admin() | employee())
        .grpc_method("realguardio.v1.SecuritySystems/Get", admin() | employee())
        .grpc_method("realguardio.v1.SecuritySystems/Watch", admin() | employee())
        .grpc_method("realguardio.v1.SecuritySystems/Arm", employee())
        .grpc_method("realguardio.v1.SecuritySystems/Disarm", employee() & fresh())
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
