//! An issuer on a loopback address, from which each crate fetches its keys as it would in production.

use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tower_bearer::keys::Algorithm;
use tower_bearer::testing::Idp;

/// Where Keycloak has its issuers, below the address of the server.
pub(crate) const REALM: &str = "shop";

/// Publishes the metadata and the keys of a new issuer.
///
/// It has one key only: one crate refuses a set with a key that is not RSA, another tries all keys until one fits.
pub(crate) async fn serve(algorithm: Algorithm) -> Idp {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let path = format!("/realms/{REALM}");
    let idp = Idp::with_algorithms(format!("http://{}{path}", listener.local_addr().unwrap()), &[algorithm]);
    // the service of `Idp` leaves out what only OpenID Connect requires; one crate insists on it
    let metadata = json!({
        "issuer": idp.issuer(),
        "jwks_uri": format!("{}/jwks", idp.issuer()),
        "authorization_endpoint": format!("{}/auth", idp.issuer()),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [algorithm.name()],
    });
    let router = Router::new()
        .route(&format!("{path}/.well-known/openid-configuration"), get(Json(metadata)))
        .route(&format!("{path}/jwks"), get(Json(idp.jwks())));
    tokio::spawn(async move { axum::serve(listener, router).await });
    idp
}
