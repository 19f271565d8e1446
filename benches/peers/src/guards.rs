//! Each crate in front of the same router, set up for the same job as its documentation says: one issuer, found by
//! its metadata, and one audience.
//!
//! Claims are read into the type that each crate takes by default or shows in its documentation. Some of these keep
//! all claims (ours, oauth-resource-server) or most (axum-keycloak-auth), the others a few and skip the rest.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use axum_jwks::{Claims, Jwks, ParseTokenClaims, TokenError};
use axum_keycloak_auth::Url;
use axum_keycloak_auth::instance::{KeycloakAuthInstance, KeycloakConfig};
use axum_keycloak_auth::layer::KeycloakAuthLayer;
use jwt_authorizer::{IntoLayer, JwtAuthorizer, Validation};
use oauth_resource_server::axum::AuthLayer;
use oauth_resource_server::{KeyNaming, OAuthConfig, OAuthValidator};
use serde::Deserialize;
use tower_bearer::keys::Algorithm;
use tower_bearer::testing::{DEFAULT_AUDIENCE, Idp};
use tower_bearer::{BearerAuthLayer, Issuer, ResourceServer};
use tower_oauth2_resource_server::server::OAuth2ResourceServer;
use tower_oauth2_resource_server::tenant::TenantConfiguration;

use crate::issuer::REALM;
use crate::service::Service;

/// What verifies the signature: aws-lc-rs wherever there is a choice; jsonwebtoken 9, with which four of the crates
/// verify, leaves none.
#[derive(Clone, Copy)]
pub(crate) enum BackEnd {
    AwsLc,
    Ring,
}

/// A guarded router.
pub(crate) struct Guard {
    pub(crate) name: &'static str,
    /// What else the name in the table says.
    pub(crate) remark: &'static str,
    pub(crate) back_end: BackEnd,
    pub(crate) service: Service,
}

/// All that can verify this algorithm.
pub(crate) async fn all(idp: &Idp, algorithm: Algorithm) -> Vec<Guard> {
    use BackEnd::{AwsLc, Ring};
    let guard = |name, remark, back_end, service| Guard { name, remark, back_end, service };
    let mut guards = vec![
        guard("tower-bearer", ", cold", AwsLc, tower_bearer(idp, false)),
        guard("tower-bearer", ", cached", AwsLc, tower_bearer(idp, true)),
        guard("tower-oauth2-resource-server", "", AwsLc, tower_oauth2_resource_server(idp).await),
        guard("oauth-resource-server", "", Ring, oauth_resource_server(idp)),
        guard("jwt-authorizer", " (axum 0.7)", Ring, jwt_authorizer(idp).await),
        guard("axum-keycloak-auth", "", Ring, axum_keycloak_auth(idp).await),
    ];
    // it knows RSA only
    if algorithm == Algorithm::Rs256 {
        guards.push(guard("axum-jwks", " (extractor)", Ring, axum_jwks(idp).await));
    }
    guards
}

/// The guarded service: one route that answers at once.
pub(crate) fn bare() -> Router {
    Router::new().route("/", get(async || "ok"))
}

/// The same for a crate that has not followed axum to 0.8.
pub(crate) fn bare_07() -> axum_07::Router {
    axum_07::Router::new().route("/", axum_07::routing::get(async || "ok"))
}

fn tower_bearer(idp: &Idp, cached: bool) -> Service {
    let server = ResourceServer::new(DEFAULT_AUDIENCE).trust(Issuer::new(idp.issuer()));
    let server = if cached { server } else { server.token_cache(0) };
    bare().layer(BearerAuthLayer::new(server.build().unwrap())).into()
}

async fn tower_oauth2_resource_server(idp: &Idp) -> Service {
    let tenant = TenantConfiguration::builder(idp.issuer()).audiences(&[DEFAULT_AUDIENCE]).build().await.unwrap();
    let server = <OAuth2ResourceServer>::builder().add_tenant(tenant).build().await.unwrap();
    bare().layer(server.into_layer()).into()
}

fn oauth_resource_server(idp: &Idp) -> Service {
    let config = OAuthConfig {
        enabled: true,
        issuer: idp.issuer().into(),
        audience: DEFAULT_AUDIENCE.into(),
        resource: DEFAULT_AUDIENCE.into(),
        // the others are not asked for scopes either
        allow_unscoped_tokens: true,
        ..OAuthConfig::default()
    };
    let config = config.resolve(KeyNaming::Dotted("oauth")).unwrap().unwrap();
    let validator = Arc::new(OAuthValidator::new(&config).unwrap());
    bare().layer(AuthLayer::builder().oauth(validator).build().unwrap()).into()
}

async fn jwt_authorizer(idp: &Idp) -> Service {
    let validation = Validation::new().iss(&[idp.issuer()]).aud(&[DEFAULT_AUDIENCE]);
    let authorizer: JwtAuthorizer = JwtAuthorizer::from_oidc(idp.issuer()).validation(validation);
    bare_07().layer(authorizer.build().await.unwrap().into_layer()).into()
}

async fn axum_keycloak_auth(idp: &Idp) -> Service {
    let (server, _) = idp.issuer().split_once("realms").unwrap();
    let config = KeycloakConfig::builder().server(Url::parse(server).unwrap()).realm(REALM.to_owned()).build();
    let instance = Arc::new(KeycloakAuthInstance::new(config));
    // it panics on a request that comes before its first fetch has begun
    while !instance.is_operational().await {
        tokio::task::yield_now().await;
    }
    let audiences = vec![DEFAULT_AUDIENCE.to_owned()];
    bare().layer(KeycloakAuthLayer::<String>::builder().instance(instance).expected_audiences(audiences).build()).into()
}

async fn axum_jwks(idp: &Idp) -> Service {
    let metadata = format!("{}/.well-known/openid-configuration", idp.issuer());
    let jwks = Jwks::from_oidc_url(&metadata, Some(DEFAULT_AUDIENCE)).await.unwrap();
    let handler = async |_: Claims<Subject>| "ok";
    Router::new().route("/", get(handler)).with_state(jwks).into()
}

/// The claims of the documentation's example.
#[derive(Deserialize)]
struct Subject {
    #[serde(rename = "sub")]
    _sub: String,
}

impl ParseTokenClaims for Subject {
    type Rejection = Refused;
}

struct Refused;

impl From<TokenError> for Refused {
    fn from(_: TokenError) -> Self {
        Self
    }
}

impl axum::response::IntoResponse for Refused {
    fn into_response(self) -> axum::response::Response {
        StatusCode::UNAUTHORIZED.into_response()
    }
}
