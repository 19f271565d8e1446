//! Each preset against tokens in its provider's shape: one that is accepted and read, and those of the wrong kind.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod hosted;
#[allow(dead_code, unreachable_pub, reason = "shared with another test")]
#[path = "../support/load_balancer.rs"]
mod load_balancer;
mod microsoft;
mod servers;
mod workloads;

use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use http::{Request, Response, header};
use serde_json::{Value, json};
use tower::service_fn;
use tower_bearer::claims::{Principal, Roles, Scopes, Segment};
use tower_bearer::config::{Clock, ResourceServerConfig};
use tower_bearer::keys::{Algorithm, HttpClient};
use tower_bearer::testing::{Idp, ManualClock};
use tower_bearer::trust::IssuerTemplate;
use tower_bearer::{AccessToken, ErrorKind, Issuer, ResourceServer};

/// A provider in miniature: one key for each algorithm, published wherever the preset looks for it.
struct Provider {
    idp: Idp,
    server: ResourceServer,
}

impl Provider {
    fn of(preset: Issuer) -> Self {
        let idp = Idp::with_algorithms(preset.id(), &[Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384]);
        let (issuer, jwks) = (preset.id().to_owned(), idp.jwks().to_string());
        let answer = service_fn(move |request: Request<Body>| {
            let metadata = json!({ "issuer": issuer, "jwks_uri": "https://keys.test/jwks" }).to_string();
            let wanted = request.uri().path().contains("/.well-known/openid-configuration");
            let body = if wanted { metadata } else { jwks.clone() };
            let response = Response::builder().header(header::CONTENT_TYPE, "application/json").body(Body::from(body));
            async { Ok::<_, Infallible>(response.unwrap()) }
        });
        let server =
            ResourceServer::new("https://api.test").trust(preset).http_client(HttpClient::from_service(answer));
        Self { idp, server: server.build().unwrap() }
    }

    /// Signs this header and these claims, which get the provider's `iss` and times unless they have their own.
    fn sign(&self, header: &Value, claims: &Value) -> String {
        let now = ManualClock::new().now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let (mut header, mut all) = (header.clone(), json!({ "iss": self.idp.issuer(), "iat": now, "exp": now + 300 }));
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        // as JSON has no other way to say that a claim is absent
        all.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let jwks = self.idp.jwks();
        let key = jwks["keys"].as_array().unwrap().iter().find(|key| key["alg"] == header["alg"]).unwrap();
        // Windows writes the key's name as the thumbprint of a certificate only
        if header.get("x5t").is_none() {
            header["kid"] = key["kid"].clone();
        }
        let algorithm = match header["alg"].as_str() {
            Some("ES256") => Algorithm::Es256,
            Some("ES384") => Algorithm::Es384,
            _ => Algorithm::Rs256,
        };
        let token = self.idp.token_signed_with(algorithm, "");
        token.raw_header(header.to_string()).raw_claims(all.to_string()).sign()
    }

    async fn accept(&self, header: &Value, claims: &Value) -> AccessToken<()> {
        self.server.authenticate(&self.sign(header, claims)).await.unwrap()
    }

    async fn refuse(&self, header: &Value, claims: &Value) -> ErrorKind {
        self.server.authenticate(&self.sign(header, claims)).await.expect_err("a token of the wrong kind").kind()
    }
}

/// The same claims with others, or without those that are `null` here.
fn but(claims: &Value, others: &Value) -> Value {
    let mut claims = claims.clone();
    for (name, value) in others.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn scopes(token: &AccessToken<()>) -> Vec<&str> {
    token.scopes().collect()
}

fn roles(token: &AccessToken<()>) -> Vec<&str> {
    token.roles().collect()
}

/// Whether a user or a client calls, and for which tenant.
fn caller(token: &AccessToken<()>) -> (Principal, Option<&str>) {
    (token.principal(), token.tenant())
}

/// The guide's table has a row for each constructor, and no other.
#[test]
fn every_preset_has_its_place_in_the_guide() {
    let guide = include_str!("../../src/guide/providers.md");
    let rows =
        guide.lines().filter(|line| line.starts_with("| ")).filter_map(|row| row.split("(crate::Issuer::").nth(1));
    let mut listed: Vec<_> = rows.map(|row| row.split(')').next().unwrap()).collect();
    listed.sort_unstable();
    assert_eq!(listed, presets());
}

/// The constructors' names, in alphabetical order.
fn presets() -> Vec<String> {
    let schema: Value = serde_json::from_str(ResourceServerConfig::JSON_SCHEMA).unwrap();
    let presets = schema["$defs"]["Preset"]["oneOf"].as_array().unwrap();
    presets.iter().map(|preset| preset["required"][0].as_str().unwrap().to_owned()).collect()
}

/// Presets with their arguments, and a text for each; with each preset's name.
macro_rules! rows {
    ($($name:ident($($argument:expr),*) => $text:expr,)*) => {
        [$((stringify!($name), Issuer::$name($($argument),*), $text.to_string())),*]
    };
}

/// Where each preset's keys are, by what is asked for first; those of `aws_alb` are asked for one by one.
#[tokio::test]
async fn keys_are_looked_for_where_the_provider_has_them() {
    let tenant = "11111111-1111-1111-1111-111111111111";
    let disc = "/.well-known/openid-configuration";
    let rows = rows![
        adfs("https://a.test/") => "https://a.test/adfs/discovery/keys",
        auth0("t.test") => format!("https://t.test{disc}"),
        authelia("https://a.test") => format!("https://a.test{disc}"),
        authentik("https://a.test", "s") => format!("https://a.test/application/o/s{disc}"),
        clerk("https://c.test", ["o"]) => "https://c.test/.well-known/jwks.json",
        cloudflare_access("t", "a") => "https://t.cloudflareaccess.com/cdn-cgi/access/certs",
        cognito("r", "p", ["c"]) => format!("https://cognito-idp.r.amazonaws.com/p{disc}"),
        descope("P") => "https://api.descope.com/P/.well-known/jwks.json",
        duende("https://d.test") => format!("https://d.test{disc}"),
        entra(tenant) => format!("https://login.microsoftonline.com/{tenant}/v2.0{disc}"),
        entra_v1(tenant) => format!("https://login.microsoftonline.com/{tenant}/discovery/keys"),
        entra_b2c("n", tenant, "P") => "https://n.b2clogin.com/n.onmicrosoft.com/P/discovery/v2.0/keys",
        firebase("p") => "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com",
        fusionauth("https://f.test/", "i", "a") => "https://f.test/.well-known/jwks.json",
        github_actions(["1"]) => format!("https://token.actions.githubusercontent.com{disc}"),
        gitlab_ci("https://g.test", ["1"]) => format!("https://g.test{disc}"),
        google() => format!("https://accounts.google.com{disc}"),
        google_iap("a") => "https://www.gstatic.com/iap/verify/public_key-jwk",
        hydra("https://h.test/") => format!("https://h.test{disc}"),
        kanidm("https://k.test", "c") => format!("https://k.test/oauth2/openid/c{disc}"),
        keycloak("https://k.test", "r") => format!("https://k.test/realms/r{disc}"),
        kubernetes("https://k.test") => format!("https://k.test{disc}"),
        logto("https://l.test") => format!("https://l.test/oidc{disc}"),
        okta("https://o.test", "s") => format!("https://o.test/oauth2/s{disc}"),
        pingone("p.test", "e") => format!("https://p.test/e/as{disc}"),
        spiffe("t", "https://s.test/keys") => "https://s.test/keys",
        spring("https://s.test") => format!("https://s.test{disc}"),
        supabase("p") => format!("https://p.supabase.co/auth/v1{disc}"),
        workos("c") => "https://api.workos.com/sso/jwks/c",
        wso2("https://w.test") => "https://w.test/oauth2/jwks",
        zitadel("https://z.test") => format!("https://z.test{disc}"),
    ];
    let mut named: Vec<_> = rows.iter().map(|(name, ..)| *name).chain(["aws_alb"]).collect();
    named.sort_unstable();
    assert_eq!(named, presets());
    for (_, preset, expected) in rows {
        let (asked, first) = tokio::sync::mpsc::unbounded_channel();
        let answer = service_fn(move |request: Request<Body>| {
            let _ = asked.send(request.uri().to_string());
            async { Ok::<_, Infallible>(Response::builder().status(404).body(Body::empty()).unwrap()) }
        });
        let server =
            ResourceServer::new("a").trust(preset).http_client(HttpClient::from_service(answer)).build().unwrap();
        assert!(server.ready().await.is_err());
        let mut first = first;
        assert_eq!(first.recv().await.unwrap(), expected);
    }
}
