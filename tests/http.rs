//! The response matrix over HTTP: each row is a request, and the status and full challenge that it gets.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::{Duration, SystemTime};

use axum::routing::{get as route, post};
use axum::{Json, Router};
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use support::{challenge, get, get_with, send, status};
use tower_bearer::authz::Permission;
use tower_bearer::claims::{Claim, Scopes};
use tower_bearer::keys::Algorithm;
use tower_bearer::reject::{ProblemJson, Rejection};
use tower_bearer::testing::{Idp, ManualClock};
use tower_bearer::{
    AccessToken, BearerAuthLayer, Error, ErrorKind, Issuer, Require, RequireLayer, ResourceServer, Rule, permissions,
};

permissions! {
    ReadOrders = scope("orders:read");
    Refund = scope("orders:write") & (role("cashier") | role("admin"));
    Admin = role("admin");
}

#[derive(Deserialize)]
struct Tenant {
    tenant_id: String,
}

#[derive(Serialize)]
struct Me<'t> {
    issuer: &'t str,
    subject: Option<&'t str>,
    client: Option<&'t str>,
    scopes: Vec<&'t str>,
    roles: Vec<&'t str>,
}

async fn me(token: AccessToken) -> String {
    let me = Me {
        issuer: token.issuer(),
        subject: token.subject(),
        client: token.client_id(),
        scopes: token.scopes().collect(),
        roles: token.roles().collect(),
    };
    serde_json::to_string(&me).unwrap()
}

fn app(server: &ResourceServer<Tenant>) -> Router {
    Router::new()
        .route("/me", route(me))
        .route("/tenant", route(async |token: AccessToken<Tenant>| token.claims().tenant_id.clone()))
        .route("/orders", route(async |_: Require<ReadOrders>| "orders"))
        .route("/refund", route(async |_: Require<Refund>| "refund"))
        .route("/both", route(async |_: Require<(ReadOrders, Admin)>| "both"))
        .route("/typed", route(async |caller: Require<ReadOrders, Tenant>| caller.claims().tenant_id.clone()))
        .route("/ruled", route(async || "ruled").route_layer(RequireLayer::new(Rule::scope("stats:read"))))
        .layer(BearerAuthLayer::new(server.clone()))
}

fn world() -> (Idp, Router) {
    let idp = Idp::new("https://id.test/");
    let server = ResourceServer::new("https://api.test").trust(&idp).claims::<Tenant>().build().unwrap();
    (idp, app(&server))
}

const REALM: &str = r#"Bearer realm="https://api.test""#;

/// The challenge of RFC 6750 §3 with an error.
fn with(error: &str, kind: ErrorKind) -> String {
    format!(r#"{REALM}, error="{error}", error_description="{kind}""#)
}

/// A name, the `Authorization` headers, the path, and what comes back: status and challenge.
type Row = (&'static str, Vec<String>, &'static str, (u16, String));

#[tokio::test]
async fn each_request_gets_the_status_and_the_challenge_of_the_table() {
    let (idp, app) = world();
    let good = || idp.token("alice").claim("tenant_id", "t1");
    let bearer = |token: String| format!("Bearer {token}");
    let invalid = |kind| (401, with("invalid_token", kind));
    let request = (400, with("invalid_request", ErrorKind::MalformedRequest));
    let bare = (401, REALM.to_owned());
    let ok = (200, String::new());
    let scope =
        |scope: &str| (403, format!("{}, scope=\"{scope}\"", with("insufficient_scope", ErrorKind::InsufficientScope)));
    let roles = (403, with("insufficient_scope", ErrorKind::InsufficientScope));

    #[rustfmt::skip]
    let matrix: Vec<Row> = vec![
        ("no header", vec![], "/me", bare.clone()),
        ("another scheme", vec!["Basic YTpi".into()], "/me", bare.clone()),
        ("not bound, under DPoP", vec![format!("DPoP {}", good().sign())], "/me", invalid(ErrorKind::NotSenderConstrained)),
        ("a good token", vec![bearer(good().sign())], "/me", ok.clone()),
        ("the scheme in capitals", vec![format!("BEARER {}", good().sign())], "/me", ok.clone()),
        ("two headers", vec![bearer(good().sign()), bearer(good().sign())], "/me", request.clone()),
        ("good and bad header", vec![bearer(good().sign()), "Bearer x".into()], "/me", request.clone()),
        ("two in one header", vec![format!("Bearer {0}, Bearer {0}", good().sign())], "/me", request.clone()),
        ("no token after the scheme", vec!["Bearer".into()], "/me", bare.clone()),
        ("spaces after the scheme", vec!["bearer   ".into()], "/me", bare.clone()),
        ("no token, twice", vec!["Bearer".into(), "Bearer".into()], "/me", request.clone()),
        ("no scheme before the token", vec![good().sign()], "/me", bare.clone()),
        ("what was never set", vec!["Bearer null".into()], "/me", invalid(ErrorKind::OpaqueToken)),
        ("what was never defined", vec!["Bearer undefined".into()], "/me", invalid(ErrorKind::OpaqueToken)),
        ("17 KiB", vec![bearer("a".repeat(17 * 1024))], "/me", request.clone()),
        ("an opaque token", vec!["Bearer 2YotnFZFEjr1zCsicMWpAA".into()], "/me", invalid(ErrorKind::OpaqueToken)),
        ("five parts", vec!["Bearer a.b.c.d.e".into()], "/me", invalid(ErrorKind::EncryptedToken)),
        ("garbage", vec!["Bearer a.b.c".into()], "/me", invalid(ErrorKind::MalformedToken)),
        ("alg none", vec![bearer(good().unsigned().sign())], "/me", invalid(ErrorKind::UnsupportedAlgorithm)),
        ("HS256", vec![bearer(good().secret(Algorithm::Hs256, &[7; 32]).sign())], "/me", invalid(ErrorKind::UnsupportedAlgorithm)),
        ("crit", vec![bearer(good().header("crit", vec!["x"]).sign())], "/me", invalid(ErrorKind::CriticalHeader)),
        ("another issuer", vec![bearer(good().issuer("https://evil.test/").sign())], "/me", invalid(ErrorKind::UnknownIssuer)),
        ("no issuer", vec![bearer(good().without("iss").sign())], "/me", invalid(ErrorKind::MissingClaim)),
        ("expired", vec![bearer(good().expired().sign())], "/me", invalid(ErrorKind::Expired)),
        ("not yet valid", vec![bearer(good().not_yet_valid().sign())], "/me", invalid(ErrorKind::NotYetValid)),
        ("exp as text", vec![bearer(good().claim("exp", "tomorrow").sign())], "/me", invalid(ErrorKind::MalformedClaim)),
        ("another audience", vec![bearer(good().audience("https://other.test").sign())], "/me", invalid(ErrorKind::WrongAudience)),
        ("no audience", vec![bearer(good().without("aud").sign())], "/me", invalid(ErrorKind::MissingClaim)),
        ("several audiences", vec![bearer(good().audience(vec!["x", "https://api.test"]).sign())], "/me", ok.clone()),
        ("a DPoP proof", vec![bearer(good().header("typ", "dpop+jwt").sign())], "/me", invalid(ErrorKind::WrongType)),
        ("bound to a key", vec![bearer(good().claim("cnf", serde_json::json!({"jkt": "x"})).sign())], "/me", invalid(ErrorKind::SenderConstrained)),
        ("a forged signature", vec![bearer(good().wrong_key().sign())], "/me", invalid(ErrorKind::BadSignature)),
        ("an unknown key", vec![bearer(good().unknown_kid().sign())], "/me", invalid(ErrorKind::UnknownKey)),
        ("claims that do not fit", vec![bearer(good().claim("tenant_id", 7).sign())], "/me", invalid(ErrorKind::MalformedClaim)),
        ("a typed claim", vec![bearer(good().sign())], "/tenant", ok.clone()),
        ("no scope", vec![bearer(good().sign())], "/orders", scope("orders:read")),
        ("another scope", vec![bearer(good().scope("orders:reader orders").sign())], "/orders", scope("orders:read")),
        ("the scope", vec![bearer(good().scope("x orders:read").sign())], "/orders", ok.clone()),
        ("the scope in scp", vec![bearer(good().claim("scp", vec!["orders:read"]).sign())], "/typed", ok.clone()),
        ("scope without role", vec![bearer(good().scope("orders:write").sign())], "/refund", roles.clone()),
        ("role without scope", vec![bearer(good().role("admin").sign())], "/refund", scope("orders:write")),
        ("scope and role", vec![bearer(good().scope("orders:write").role("cashier").sign())], "/refund", ok.clone()),
        ("half of a pair", vec![bearer(good().scope("orders:read").sign())], "/both", roles.clone()),
        ("a pair", vec![bearer(good().scope("orders:read").role("admin").sign())], "/both", ok.clone()),
        ("a ruled route", vec![bearer(good().sign())], "/ruled", scope("stats:read")),
        ("a ruled route, with scope", vec![bearer(good().scope("stats:read").sign())], "/ruled", ok),
    ];
    for (name, authorization, path, (status, expected)) in matrix {
        let values: Vec<_> = authorization.iter().map(String::as_str).collect();
        let response = send(&app, get(path, &values)).await;
        assert_eq!(response.status(), status, "{name}");
        let found = response.headers().get(header::WWW_AUTHENTICATE).map_or("", |value| value.to_str().unwrap());
        assert_eq!(found, expected, "{name}");
        let parsed = challenge(response.headers());
        assert_eq!(parsed.is_some(), status != 200, "{name}: every refusal has a challenge that parses");
        if let Some((scheme, params)) = parsed {
            assert_eq!((scheme.as_str(), params["realm"].as_str()), ("Bearer", "https://api.test"), "{name}");
            assert_eq!(params.contains_key("error"), expected != REALM, "{name}");
        }
        let error = response.extensions().get::<Error>();
        assert_eq!(error.is_some(), status != 200, "{name}: the reason stands in the response's extensions");
    }
}

#[tokio::test]
async fn a_handler_learns_who_calls_with_which_scopes_and_roles() {
    let (idp, app) = world();
    let token = idp.token("alice").claim("tenant_id", "t1").scope("a b").role("admin").sign();
    let body = send(&app, get_with("/me", &token)).await.into_body().collect().await.unwrap().to_bytes();
    let me: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let expected = serde_json::json!({
        "issuer": "https://id.test/", "subject": "alice", "client": "test-client", "scopes": ["a", "b"], "roles": ["admin"]
    });
    assert_eq!(me, expected);
    let body = send(&app, get_with("/tenant", &token)).await.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "t1");
}

#[tokio::test]
async fn every_algorithm_is_accepted_from_an_issuer_that_publishes_a_key_for_it() {
    let idp = Idp::with_algorithms("https://id.test/", Algorithm::ASYMMETRIC);
    let server = ResourceServer::new("https://api.test").trust(&idp).build().unwrap();
    for algorithm in Algorithm::ASYMMETRIC {
        let token = idp.token_signed_with(*algorithm, "alice");
        assert!(server.authenticate(&token.sign()).await.is_ok(), "{algorithm}");
        let forged = server.authenticate(&token.wrong_key().sign()).await;
        assert_eq!(forged.unwrap_err().kind(), ErrorKind::BadSignature, "{algorithm}");
    }
    let token = idp.token_signed_with(Algorithm::Ed25519, "alice").header("alg", "Ed25519").sign();
    assert!(server.authenticate(&token).await.is_ok(), "the name of RFC 9864");
    assert_eq!(idp.fetches(), 1);
}

#[tokio::test]
async fn optional_means_no_token_and_nothing_else() {
    let idp = Idp::new("https://id.test/");
    let server = ResourceServer::new("https://api.test").trust(&idp).build().unwrap();
    let who = async |token: Option<AccessToken>| {
        token.map_or_else(|| "nobody".into(), |token| token.subject().unwrap().to_owned())
    };
    let app = Router::new()
        .route("/who", route(who))
        .route("/me", route(me))
        .route("/orders", route(async |_: Require<ReadOrders>| "orders"))
        .layer(BearerAuthLayer::new(server).optional());

    let body = async |request| send(&app, request).await.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body(get("/who", &[])).await, "nobody");
    assert_eq!(body(get("/who", &["Basic YTpi"])).await, "nobody");
    assert_eq!(body(get("/who", &["Bearer"])).await, "nobody");
    assert_eq!(body(get("/who", &["bearer  "])).await, "nobody");
    assert_eq!(status(&app, "/who", "null").await, 401);
    assert_eq!(body(get_with("/who", &idp.token("alice").sign())).await, "alice");
    assert_eq!(status(&app, "/who", "garbage").await, 401);
    assert_eq!(status(&app, "/who", &idp.token("alice").expired().sign()).await, 401);
    assert_eq!(send(&app, get("/who", &["Bearer a", "Bearer b"])).await.status(), 400);

    // a handler that needs a token refuses the anonymous caller with the layer's own realm
    for path in ["/me", "/orders"] {
        let response = send(&app, get(path, &[])).await;
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], REALM);
    }
}

#[tokio::test]
async fn of_layers_one_inside_the_other_the_inner_one_decides() {
    let idp = Idp::new("https://id.test/");
    let trusting = || ResourceServer::new("https://api.test").trust(&idp);
    let outer = BearerAuthLayer::new(trusting().claims::<Tenant>().build().unwrap());
    let inner = BearerAuthLayer::new(trusting().build().unwrap()).optional();
    // between them, something takes the credential away
    let strip = axum::middleware::map_request(async |mut request: Request<axum::body::Body>| {
        request.headers_mut().remove(header::AUTHORIZATION);
        request
    });
    let app = Router::new()
        .route("/who", route(async |token: Option<AccessToken>| token.map_or("nobody", |_| "somebody")))
        .route("/typed", route(async |_: AccessToken<Tenant>| "never"))
        .layer(inner)
        .layer(strip)
        .layer(outer);
    let token = idp.token("alice").claim("tenant_id", "t").sign();
    let response = send(&app, get_with("/who", &token)).await;
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "nobody");
    assert_eq!(status(&app, "/typed", &token).await, 401);
}

#[tokio::test]
async fn an_outage_is_503_and_never_anonymous_or_401() {
    let idp = Idp::new("https://id.test/");
    idp.outage();
    let server = ResourceServer::new("https://api.test").trust(&idp).build().unwrap();
    let layers = [BearerAuthLayer::new(server.clone()), BearerAuthLayer::new(server).optional()];
    for layer in layers {
        let app = Router::new().route("/who", route(async |_: Option<AccessToken>| "hello")).layer(layer);
        let response = send(&app, get_with("/who", &idp.token("alice").sign())).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers().get(header::WWW_AUTHENTICATE), None);
        let wait: u64 = response.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait));
        let error = response.extensions().get::<Error>().unwrap();
        assert_eq!(error.kind(), ErrorKind::KeysUnavailable);
        assert!(Duration::from_secs(wait) >= error.retry_after().unwrap(), "who obeys must not come too early");
    }
}

#[tokio::test(start_paused = true)]
async fn who_obeys_retry_after_does_not_come_too_early() {
    let idp = Idp::new("https://id.test/");
    let server = ResourceServer::new("https://api.test").trust(&idp).build().unwrap();
    let app = Router::new().fallback(async || "ok").layer(BearerAuthLayer::new(server));
    assert_eq!(status(&app, "/", &idp.token("alice").sign()).await, 200);
    // both fetches that can be forced are used up, and then the issuer rotates
    for kid in ["forged-1", "forged-2"] {
        assert_eq!(status(&app, "/", &idp.token("m").header("kid", kid).sign()).await, 401);
    }
    idp.rotate();
    tokio::time::sleep(Duration::from_millis(10_500)).await;
    let token = idp.token("alice").sign();
    let response = send(&app, get_with("/", &token)).await;
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()[header::RETRY_AFTER], "20", "19.5 s, rounded up");
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(status(&app, "/", &token).await, 200);
}

#[tokio::test]
async fn a_handler_without_the_layer_is_a_500_that_says_which_layer_to_add() {
    let app = Router::new()
        .route("/me", route(me))
        .route("/who", route(async |_: Option<AccessToken>| "hello"))
        .route("/orders", route(async |_: Require<ReadOrders>| "orders"))
        .route("/ruled", route(async || "ruled").route_layer(RequireLayer::new(Rule::scope("a"))));
    for path in ["/me", "/who", "/orders", "/ruled"] {
        let response = send(&app, get(path, &["Bearer whatever"])).await;
        assert_eq!(response.status(), 500, "{path}");
        let error = response.extensions().get::<Error>().unwrap();
        assert_eq!(error.kind(), ErrorKind::LayerMissing);
        assert!(error.to_string().contains("BearerAuthLayer"), "{error}");
    }
}

#[tokio::test]
async fn a_handler_that_asks_for_other_claims_than_the_server_reads_is_told_so() {
    let (idp, app) = world();
    struct Other;
    let app = Router::new().route("/other", route(async |_: AccessToken<Other>| "never")).merge(app);
    let server = ResourceServer::new("https://api.test").trust(&idp).claims::<Tenant>().build().unwrap();
    let app = app.layer(BearerAuthLayer::new(server));
    let response = send(&app, get_with("/other", &idp.token("alice").claim("tenant_id", "t").sign())).await;
    assert_eq!(response.status(), 500);
    let error = response.extensions().get::<Error>().unwrap().to_string();
    assert!(error.contains(".claims::<") && error.contains("Other"), "{error}");
}

#[tokio::test]
async fn refusals_can_be_written_to_taste_and_keep_challenge_and_reason() {
    let idp = Idp::new("https://id.test/");
    let server = ResourceServer::new("https://api.test").trust(&idp).realm("the \"shop\"").build().unwrap();
    let problem = |rejection: Rejection| {
        let body = Json(serde_json::json!({ "title": rejection.error().kind().to_string() })).0.to_string();
        rejection.into_response(axum::body::Body::from(body))
    };
    let app = Router::new().route("/me", route(me)).layer(BearerAuthLayer::new(server).reject_with(problem));
    let response = send(&app, get("/me", &[])).await;
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()[header::WWW_AUTHENTICATE], r#"Bearer realm="the \"shop\"""#);
    assert_eq!(challenge(response.headers()).unwrap().1["realm"], "the \"shop\"");
    assert!(response.extensions().get::<Error>().is_some());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, r#"{"title":"a bearer token is required"}"#);

    // and a response made from nothing carries the reason all the same
    let app = Router::new().route("/me", route(me));
    let server = ResourceServer::new("https://api.test").trust(&idp).build().unwrap();
    let teapot = |_: Rejection| http::Response::builder().status(418).body(axum::body::Body::empty()).unwrap();
    let app = app.layer(BearerAuthLayer::new(server).reject_with(teapot));
    let response = send(&app, get("/me", &[])).await;
    assert_eq!(response.status(), 418);
    assert_eq!(response.extensions().get::<Error>().unwrap().kind(), ErrorKind::MissingToken);
}

#[tokio::test]
async fn times_are_checked_with_the_leeway_and_not_a_second_more() {
    let clock = ManualClock::new();
    let idp = Idp::new("https://id.test/").clock(clock.clone());
    let issuer = Issuer::new("https://id.test/").leeway(Duration::from_secs(10));
    let server =
        ResourceServer::new("https://api.test").trust((issuer, idp.clone())).clock(clock.clone()).build().unwrap();
    let token = idp.token("alice").expires_in(Duration::from_secs(60)).sign();
    clock.advance(Duration::from_secs(68));
    assert!(server.authenticate(&token).await.is_ok());
    clock.advance(Duration::from_secs(2));
    assert_eq!(server.authenticate(&token).await.unwrap_err().kind(), ErrorKind::Expired);
}

#[tokio::test]
async fn the_strict_profile_and_other_terms_belong_to_one_issuer() {
    let (strict, lenient) = (Idp::new("https://strict.test/"), Idp::new("https://lenient.test/"));
    let server = ResourceServer::new("https://api.test")
        .trust((Issuer::new("https://strict.test/").rfc9068().only_audiences(["api://strict"]), strict.clone()))
        .trust((
            Issuer::new("https://lenient.test/").only_types(["x-token"]).require(Claim::at(["tenant"])),
            lenient.clone(),
        ))
        .build()
        .unwrap();
    let kind = async |token: String| server.authenticate(&token).await.err().map(|error| error.kind());

    let good = || strict.token("alice").audience("api://strict");
    assert_eq!(kind(good().sign()).await, None);
    assert_eq!(kind(good().header("typ", "Application/AT+JWT").sign()).await, None);
    assert_eq!(kind(good().header("typ", "JWT").sign()).await, Some(ErrorKind::WrongType));
    assert_eq!(kind(good().without_header("typ").sign()).await, Some(ErrorKind::WrongType));
    for claim in ["sub", "client_id", "iat", "jti", "exp", "aud", "iss"] {
        assert_eq!(kind(good().without(claim).sign()).await, Some(ErrorKind::MissingClaim), "{claim}");
    }
    assert_eq!(kind(good().audience("https://api.test").sign()).await, Some(ErrorKind::WrongAudience));

    let good = || lenient.token("bob").header("typ", "X-Token").claim("tenant", 1);
    assert_eq!(kind(good().without("sub").sign()).await, None);
    assert_eq!(kind(good().without_header("typ").sign()).await, Some(ErrorKind::WrongType));
    assert_eq!(kind(good().without("tenant").sign()).await, Some(ErrorKind::MissingClaim));
}

#[tokio::test]
async fn the_credential_is_marked_so_that_nothing_prints_it() {
    let idp = Idp::new("https://id.test/");
    let server = ResourceServer::new("https://api.test").trust(&idp).build().unwrap();
    let shown = async |request: Request<axum::body::Body>| format!("{:?}", request.headers());
    let app = Router::new().route("/", route(shown)).layer(BearerAuthLayer::new(server));
    let token = idp.token("alice").sign();
    let body = send(&app, get_with("/", &token)).await.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    assert!(body.contains("Sensitive") && !body.contains(&token), "{body}");
}

#[tokio::test]
async fn the_token_is_never_taken_from_the_query_or_another_header() {
    let (idp, app) = world();
    let token = idp.token("alice").claim("tenant_id", "t1").sign();
    let mut request = get(&format!("/me?access_token={token}"), &[]);
    *request.method_mut() = Method::GET;
    request.headers_mut().insert(header::PROXY_AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    request.headers_mut().insert(header::COOKIE, format!("access_token={token}").parse().unwrap());
    let response = send(&app, request).await;
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()[header::WWW_AUTHENTICATE], REALM);
}

#[test]
fn a_permission_says_what_it_needs() {
    assert_eq!(Rule::of::<ReadOrders>(), Rule::scope("orders:read"));
    assert_eq!(Rule::of::<(ReadOrders, Admin)>(), Rule::scope("orders:read") & Rule::role("admin"));
}

#[tokio::test]
async fn a_permission_without_any_rule_permits_nothing() {
    struct Nothing;
    impl Permission for Nothing {
        fn rules() -> impl Iterator<Item = &'static Rule> {
            std::iter::empty()
        }
    }
    let idp = Idp::new("https://id.test/");
    let server = ResourceServer::new("https://api.test").trust(&idp).build().unwrap();
    let token = server.authenticate(&idp.token("alice").scope("a").sign()).await.unwrap();
    assert_eq!(Require::<Nothing, ()>::new(token.clone()).unwrap_err().kind(), ErrorKind::InsufficientScope);
    assert!(!token.permits(&Rule::of::<Nothing>()));
    // and joined with one that the token has, still nothing
    let both = idp.token("alice").scope("orders:read").sign();
    let both = server.authenticate(&both).await.unwrap();
    assert!(Require::<ReadOrders, ()>::new(both.clone()).is_ok());
    assert!(Require::<(ReadOrders, Nothing), ()>::new(both.clone()).is_err());
    assert!(Require::<(ReadOrders, (Nothing, ReadOrders)), ()>::new(both.clone()).is_err());
    assert!(!both.permits(&Rule::of::<(ReadOrders, Nothing)>()));
}

#[tokio::test]
async fn a_rule_that_is_checked_in_a_handler_refuses_with_the_same_challenge() {
    let idp = Idp::new("https://id.test/");
    let server = ResourceServer::new("https://api.test").trust(&idp).build().unwrap();
    async fn handler(token: AccessToken) -> Result<&'static str, Error> {
        token.require(&(Rule::scope("orders:write") & Rule::role("clerk")))?;
        Ok("done")
    }
    let app = Router::new().route("/", route(handler)).layer(BearerAuthLayer::new(server));
    assert_eq!(status(&app, "/", &idp.token("a").scope("orders:write").role("clerk").sign()).await, 200);
    let response = send(&app, get_with("/", &idp.token("a").role("clerk").sign())).await;
    assert_eq!(response.status(), 403);
    let expected = format!("{}, scope=\"orders:write\"", with("insufficient_scope", ErrorKind::InsufficientScope));
    assert_eq!(response.headers()[header::WWW_AUTHENTICATE], expected);
    assert_eq!(response.extensions().get::<Error>().unwrap().kind(), ErrorKind::InsufficientScope);
}

#[tokio::test]
async fn a_refusal_may_be_a_problem_document() {
    let idp = Idp::new("https://id.test/");
    let server = ResourceServer::new("https://api.test").trust(&idp).build().unwrap();
    let app = Router::new().route("/me", route(async || "me"));
    let app = app.layer(BearerAuthLayer::new(server).reject_with(ProblemJson::default()));
    let expired = format!("Bearer {}", idp.token("alice").expired().sign());
    let table: &[(&[&str], u16, &str)] = &[
        (
            &[],
            401,
            r#"{"detail":"a bearer token is required","status":401,"title":"Unauthorized","type":"about:blank"}"#,
        ),
        (
            &[&expired],
            401,
            r#"{"detail":"the token has expired","error":"invalid_token","status":401,"title":"Unauthorized","type":"about:blank"}"#,
        ),
        (
            &["Bearer a b"],
            400,
            r#"{"detail":"the request does not carry exactly one well-formed bearer token","error":"invalid_request","status":400,"title":"Bad Request","type":"about:blank"}"#,
        ),
    ];
    for (authorization, status, expected) in table {
        let response = send(&app, get("/me", authorization)).await;
        assert_eq!(response.status(), *status);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(
            challenge(response.headers()).unwrap().1.contains_key("error"),
            *status == 400 || !authorization.is_empty()
        );
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), *expected);
    }
    let mut grpc = get("/me", &[]);
    *grpc.method_mut() = Method::POST;
    *grpc.version_mut() = http::Version::HTTP_2;
    grpc.headers_mut().insert(header::CONTENT_TYPE, "application/grpc".parse().unwrap());
    let response = send(&app, grpc).await;
    assert_eq!((response.status().as_u16(), &response.headers()["grpc-status"] == "16"), (200, true));
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn public_routes_are_open_and_their_callers_anonymous() {
    let idp = Idp::new("https://id.test/");
    let server = ResourceServer::new("https://api.test").trust(&idp).build().unwrap();
    let who =
        async |token: Option<AccessToken>| token.map_or_else(|| "nobody".to_owned(), |token| format!("{token:?}"));
    let app = Router::new().route("/health", route(who).post(who)).route("/me", route(async |_: AccessToken| "me"));
    let app = app.route("/shop.Health/Check", post(who));
    let layer = BearerAuthLayer::new(server)
        .public_path(Method::GET, "/health")
        .and_then(|layer| layer.public_path(Method::GET, "/me"))
        .and_then(|layer| layer.public_service("shop.Health"))
        .unwrap();
    let app = app.layer(layer);
    let good = format!("Bearer {}", idp.token("alice").sign());
    for authorization in [&[][..], &["Bearer garbage"], &["Bearer a", "Bearer b"], &[&good]] {
        let response = send(&app, get("/health", authorization)).await;
        assert_eq!(response.status(), 200, "{authorization:?}");
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "nobody");
    }
    let mut posted = get("/health", &[]);
    *posted.method_mut() = Method::POST;
    assert_eq!(send(&app, posted).await.status(), 401);
    let mut check = get("/shop.Health/Check", &[]);
    *check.method_mut() = Method::POST;
    assert_eq!(send(&app, check).await.status(), 200);
    // a handler that needs a token still asks for it
    assert_eq!(send(&app, get("/me", &[])).await.status(), 401);
}

#[tokio::test]
async fn how_a_user_has_signed_in_is_read_and_nothing_made_up() {
    let idp = Idp::new("https://id.test/");
    let server = ResourceServer::new("https://api.test").trust(&idp).build().unwrap();
    let token = idp.token("alice").claim("acr", "gold").claim("sid", "s1").claim("auth_time", 1_700_000_000);
    let token = token.claim("amr", serde_json::json!(["pwd", 1, "otp"])).sign();
    let token = server.authenticate(&token).await.unwrap();
    assert_eq!((token.acr(), token.session_id()), (Some("gold"), Some("s1")));
    assert_eq!(token.amr().collect::<Vec<_>>(), ["pwd", "otp"]);
    assert_eq!(token.auth_time(), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)));
    let odd = idp.token("alice").claim("acr", 1).claim("sid", false).claim("auth_time", "x").claim("amr", 1).sign();
    let token = server.authenticate(&odd).await.unwrap();
    assert_eq!((token.acr(), token.session_id(), token.auth_time(), token.amr().count()), (None, None, None, 0));
}

#[tokio::test]
async fn a_tenant_is_one_value_or_none() {
    let idp = Idp::new("https://id.test/");
    let issuer = Issuer::new(idp.issuer()).tenant_at(["orgs", "id"]);
    let server = ResourceServer::new("https://api.test").trust((issuer, idp.clone())).build().unwrap();
    for (orgs, expected) in [
        (serde_json::json!({ "id": "a" }), Some("a")),
        (serde_json::json!([{ "id": "a" }]), Some("a")),
        (serde_json::json!([{ "name": "x" }, { "id": "a" }, "id"]), Some("a")),
        (serde_json::json!([{ "id": "a" }, { "id": "b" }]), None),
        (serde_json::json!([{ "id": "a" }, { "id": "a" }]), None),
        (serde_json::json!([{ "id": "a" }, { "id": null }]), None),
        (serde_json::json!([{ "id": ["a"] }]), None),
        (serde_json::json!([{ "id": "" }]), None),
        (serde_json::json!([[{ "id": "a" }]]), None),
        (serde_json::json!([]), None),
    ] {
        let token = idp.token("alice").claim("orgs", orgs.clone()).sign();
        let token = server.authenticate(&token).await.unwrap();
        assert_eq!(token.tenant(), expected, "{orgs}");
    }
}

#[tokio::test]
async fn a_challenge_names_scopes_as_the_issuer_calls_them() {
    let idp = Idp::new("https://id.test/");
    let issuer = Issuer::new(idp.issuer()).scopes(Scopes::default().only_with_prefix("api://orders/"));
    let server = ResourceServer::new("https://api.test").trust((issuer, idp.clone())).build().unwrap();
    let app = Router::new().route(
        "/orders",
        route(async || "orders").layer(RequireLayer::new(Rule::scope("read") & Rule::scope("write"))),
    );
    let app = app.layer(BearerAuthLayer::new(server));
    let reader = idp.token("alice").scope("api://orders/read").sign();
    let refused = send(&app, get("/orders", &[&format!("Bearer {reader}")])).await;
    assert_eq!(refused.status(), 403);
    assert_eq!(challenge(refused.headers()).unwrap().1["scope"], "api://orders/read api://orders/write");
    let writer = idp.token("alice").scope("api://orders/read api://orders/write").sign();
    assert_eq!(send(&app, get("/orders", &[&format!("Bearer {writer}")])).await.status(), 200);
}

/// Statuses without a token of a guarded path, of a public one, and of one that nobody has; and with one of the last.
async fn statuses(app: &Router, token: &str) -> [u16; 4] {
    let mut statuses = [0; 4];
    let requests = [get("/me", &[]), get("/health", &[]), get("/nothing", &[]), get_with("/nothing", token)];
    for (status, request) in statuses.iter_mut().zip(requests) {
        *status = send(app, request).await.status().as_u16();
    }
    statuses
}

#[tokio::test]
async fn the_fallback_of_a_guarded_router_is_guarded_as_it_is_documented() {
    let idp = Idp::new("https://id.test/");
    let server = ResourceServer::new("https://api.test").trust(&idp).build().unwrap();
    let auth = || BearerAuthLayer::new(server.clone());
    let me = || route(async |token: AccessToken| token.subject().unwrap_or_default().to_owned());
    let guarded = || Router::new().route("/me", me()).layer(auth());
    let own = || Router::new().route("/me", me()).fallback(async || StatusCode::IM_A_TEAPOT).layer(auth());
    let public = || Router::new().route("/health", route(async || "well"));
    let outside = || Router::new().route("/me", me()).route_layer(auth());
    let token = idp.token("alice").sign();
    for (name, app, unknown, known) in [
        // the documented ways
        ("added after the layer", guarded().route("/health", route(async || "well")), 401, 404),
        ("the guarded one merged in", public().merge(guarded()), 401, 404),
        ("a fallback of its own", own().merge(public()), 401, 418),
        ("a fallback of its own, merged in", public().merge(own()), 401, 418),
        // and what they are for: here, anybody is answered
        ("the public one merged in", guarded().merge(public()), 404, 404),
        ("a layer of the routes only", public().merge(outside()), 404, 404),
    ] {
        assert_eq!(statuses(&app, &token).await, [401, 200, unknown, known], "{name}");
    }
    // what is nested has the fallback of the whole, unless it has one of its own
    for (name, nested, unknown, known) in [("none", guarded(), 404, 404), ("its own", own(), 401, 418)] {
        let app = Router::new().nest("/api", nested);
        assert_eq!(send(&app, get("/api/nothing", &[])).await.status(), unknown, "{name}");
        assert_eq!(status(&app, "/api/nothing", &token).await, known, "{name}");
    }
}
