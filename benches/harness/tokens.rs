//! Tokens, and whoever trusts them.

use serde_json::json;
use tower_bearer::config::ResourceServerBuilder;
use tower_bearer::keys::{Algorithm, StaticKeys};
use tower_bearer::testing::{Idp, TokenBuilder};
use tower_bearer::{Issuer, ResourceServer};

/// Begins a token with claims as Keycloak makes them.
pub(crate) fn keycloak(idp: &Idp, algorithm: Algorithm) -> TokenBuilder {
    let token = idp
        .token_signed_with(algorithm, "f:9d6c1b1e-6c1b-4b1e-8c1b-0123456789ab:alice")
        .scope("openid profile email orders:read orders:write");
    let texts = [
        ("azp", "shop-web"),
        ("acr", "1"),
        ("sid", "3d2a7d86-5b1e-4e8b-a2b1-7f1f4c9a0f3e"),
        ("preferred_username", "alice"),
        ("email", "alice@example.com"),
        ("name", "Alice Example"),
        ("given_name", "Alice"),
        ("family_name", "Example"),
    ];
    let token = texts.into_iter().fold(token, |token, (name, text)| token.claim(name, text));
    token
        .claim("email_verified", true)
        .claim("allowed-origins", json!(["https://shop.example.com"]))
        .claim("realm_access", json!({ "roles": ["offline_access", "uma_authorization", "user"] }))
        .claim(
            "resource_access",
            json!({ "orders": { "roles": ["clerk", "viewer"] }, "account": { "roles": ["view-profile"] } }),
        )
}

pub(crate) fn trusting(idp: &Idp) -> ResourceServerBuilder {
    let keys = StaticKeys::jwks(&idp.jwks().to_string()).unwrap();
    ResourceServer::new("https://api.test").trust((Issuer::new(idp.issuer()), keys))
}
