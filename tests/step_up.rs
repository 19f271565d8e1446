//! Step-up authentication (RFC 9470): what asks for a sign-in, and how the client hears of it, over HTTP and gRPC.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use axum::Router;
use axum::routing::get as route;
use http::{Method, header};
use http_body_util::BodyExt;
use support::orders::PlaceRequest;
use support::orders::orders_client::OrdersClient;
use support::orders::orders_server::OrdersServer;
use support::shop::Shop;
use support::{challenge, get_with, send};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Code;
use tonic::transport::Server;
use tower_bearer::authz::{Access, AuthzRules};
use tower_bearer::checks::{Answer, Denied, RequestContext, TokenCheck};
use tower_bearer::reject::ProblemJson;
use tower_bearer::testing::{Idp, ManualClock};
use tower_bearer::{
    AccessToken, BearerAuthLayer, Error, ErrorKind, Require, RequireLayer, ResourceServer, Rule, permissions,
};

const FIVE_MINUTES: Duration = Duration::from_secs(300);

permissions! {
    CloseAccount = scope("account") & acr(["urn:x:gold", "mfa"]) & authenticated_within(FIVE_MINUTES);
    Account = scope("account");
    Fresh = authenticated_within(Duration::from_secs(60));
}

fn close_account() -> Rule {
    Rule::of::<CloseAccount>()
}

fn world() -> (Idp, ManualClock, ResourceServer) {
    let clock = ManualClock::new();
    let idp = Idp::new("https://id.test/").clock(clock.clone());
    let server = ResourceServer::new("https://api.test").trust(&idp).clock(clock.clone()).build().unwrap();
    (idp, clock, server)
}

/// The same operation, guarded in each way that there is.
fn apps(server: &ResourceServer) -> Vec<(&'static str, Router)> {
    let rules = AuthzRules::new().route(Method::GET, "/close", close_account()).build().unwrap();
    let plain = || Router::new().route("/close", route(async || "closed"));
    let layer = || BearerAuthLayer::new(server.clone());
    vec![
        (
            "an extractor",
            Router::new().route("/close", route(async |_: Require<CloseAccount>| "closed")).layer(layer()),
        ),
        ("a layer on the route", plain().route_layer(RequireLayer::new(close_account())).layer(layer())),
        ("rules of the service", plain().layer(layer().authorize(rules).unwrap())),
        (
            "code",
            Router::new()
                .route("/close", route(async |token: AccessToken| token.require(&close_account()).map(|()| "closed")))
                .layer(layer()),
        ),
    ]
}

#[tokio::test]
async fn each_guard_asks_for_the_sign_in_that_its_rule_needs() {
    let (idp, clock, server) = world();
    let realm = r#"Bearer realm="https://api.test""#;
    let sign_in = r#"acr_values="urn:x:gold mfa", max_age="300""#;
    let asked = format!(
        r#"{realm}, error="insufficient_user_authentication", error_description="{}", {sign_in}"#,
        ErrorKind::InsufficientAuthentication
    );
    let scope = format!(
        r#"{realm}, error="insufficient_scope", error_description="{}", scope="account""#,
        ErrorKind::InsufficientScope
    );
    let token = || idp.token("alice").scope("account").expires_in(Duration::from_secs(7200));
    let hour = Duration::from_secs(3600);
    let rows = [
        ("fresh and strong", token().claim("acr", "mfa").authenticated_before(Duration::ZERO), 200, ""),
        ("neither said", token(), 401, &asked),
        ("fresh and weak", token().claim("acr", "pwd").authenticated_before(Duration::ZERO), 401, &asked),
        ("strong and stale", token().claim("acr", "mfa").authenticated_before(hour), 401, &asked),
        ("no scope", token().scope("").claim("acr", "mfa").authenticated_before(Duration::ZERO), 403, &scope),
        ("no scope and stale", token().scope("").authenticated_before(hour), 403, &format!("{scope}, {sign_in}")),
        ("expired", token().expired(), 401, "invalid_token"),
    ];
    for (guard, app) in apps(&server) {
        for (name, token, status, expected) in &rows {
            let response = send(&app, get_with("/close", &token.clone().sign())).await;
            assert_eq!(response.status(), *status, "{guard}: {name}");
            let found = response.headers().get(header::WWW_AUTHENTICATE).map_or("", |value| value.to_str().unwrap());
            assert_eq!(challenge(response.headers()).is_some(), *status != 200, "{guard}: {name}");
            assert!(found == *expected || found.contains("invalid_token"), "{guard}: {name}: {found}");
        }
    }
    // a known token is judged anew
    let signed = token().claim("acr", "mfa").authenticated_before(Duration::ZERO).sign();
    for (guard, app) in apps(&server) {
        assert_eq!(send(&app, get_with("/close", &signed)).await.status(), 200, "{guard}");
    }
    clock.advance(FIVE_MINUTES + Duration::from_secs(31));
    for (guard, app) in apps(&server) {
        let response = send(&app, get_with("/close", &signed)).await;
        assert_eq!(response.status(), 401, "{guard}");
        let error = response.extensions().get::<Error>().unwrap();
        assert_eq!(error.kind(), ErrorKind::InsufficientAuthentication, "{guard}");
        assert_eq!((error.acr_values(), error.max_age()), (Some("urn:x:gold mfa"), Some(FIVE_MINUTES)), "{guard}");
    }
}

#[tokio::test]
async fn a_problem_document_has_the_code_and_a_pair_of_permissions_asks_once() {
    let (idp, _, server) = world();
    let app = Router::new()
        .route("/both", route(async |_: Require<(Account, Fresh)>| "both"))
        .layer(BearerAuthLayer::new(server).reject_with(ProblemJson::default()));
    let response = send(&app, get_with("/both", &idp.token("alice").scope("account").sign())).await;
    assert_eq!(challenge(response.headers()).unwrap().1["max_age"], "60");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&problem["status"], &problem["error"]), (&401.into(), &"insufficient_user_authentication".into()));
}

/// Asks for a fresh sign-in from whoever looks suspicious.
struct Suspicious;

impl TokenCheck for Suspicious {
    fn name(&self) -> &'static str {
        "suspicious"
    }

    fn check(&self, token: &AccessToken, _: &RequestContext<'_>) -> Answer {
        let fresh = Rule::authenticated_within(FIVE_MINUTES);
        if token.permits(&fresh) { Answer::Yes } else { Answer::No(Denied::insufficient_scope(fresh)) }
    }
}

#[tokio::test]
async fn a_check_can_ask_for_a_sign_in_and_an_explanation_says_so() {
    let (idp, _, _) = world();
    let server = ResourceServer::new("https://api.test").trust(&idp).check(Suspicious).build().unwrap();
    let app = Router::new().route("/", route(async || "in")).layer(BearerAuthLayer::new(server.clone()).optional());
    let response = send(&app, get_with("/", &idp.token("alice").sign())).await;
    assert_eq!(response.status(), 401);
    let (_, params) = challenge(response.headers()).unwrap();
    assert_eq!((&*params["error"], &*params["max_age"]), ("insufficient_user_authentication", "300"));
    let fresh = idp.token("alice").authenticated_before(Duration::ZERO).sign();
    assert_eq!(send(&app, get_with("/", &fresh)).await.status(), 200);
    let explained = server.explain(&idp.token("alice").sign()).await.to_string();
    let text = "the user must sign in again, or in a stronger way: the sign-in may be 300 s old; \
                auth_time is no date or absent; the issuer must be told to write it into access tokens";
    assert!(explained.contains(text), "{explained}");
}

#[tokio::test]
async fn grpc_hears_it_by_its_status_and_in_the_metadata() {
    let (idp, _, server) = world();
    let rules = AuthzRules::new().grpc_method("shop.Orders/Place", close_account()).build().unwrap();
    let ruled = BearerAuthLayer::new(server).authorize(rules).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let serving = Server::builder().layer(ruled).add_service(OrdersServer::new(Shop));
    tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
    let mut client = OrdersClient::connect(address).await.unwrap();
    let mut place = async |token: String| {
        let mut request = tonic::Request::new(PlaceRequest { item: "lamp".into() });
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        client.place(request).await
    };
    let token = || idp.token("alice").scope("account");
    let status = place(token().sign()).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unauthenticated, "the user must sign in again, or in a stronger way")
    );
    let headers = status.metadata().clone().into_headers();
    let (scheme, params) = challenge(&headers).unwrap();
    assert_eq!((&*scheme, &*params["error"]), ("Bearer", "insufficient_user_authentication"));
    assert_eq!((&*params["acr_values"], &*params["max_age"]), ("urn:x:gold mfa", "300"));
    let status = place(token().scope("").sign()).await.unwrap_err();
    assert_eq!((status.code(), challenge(&status.metadata().clone().into_headers())), (Code::PermissionDenied, None));
    assert!(place(token().claim("acr", "mfa").authenticated_before(Duration::ZERO).sign()).await.is_ok());
}

#[tokio::test]
async fn a_method_of_tonic_says_the_same_as_the_layer() {
    let (idp, _, server) = world();
    let token = server.authenticate(&idp.token("alice").scope("account").sign()).await.unwrap();
    let error = token.erase().require(&close_account()).unwrap_err();
    let status = tonic::Status::from(error);
    assert_eq!(status.code(), Code::Unauthenticated);
    let (_, params) = challenge(&status.metadata().clone().into_headers()).unwrap();
    assert_eq!(params["acr_values"], "urn:x:gold mfa");
    let status = tonic::Status::from(Error::from(ErrorKind::Expired));
    assert!(status.metadata().is_empty());
}

#[test]
fn rules_that_no_sign_in_can_satisfy_are_mistakes() {
    let build = |rule: Rule| AuthzRules::new().route(Method::GET, "/", rule).build();
    for rule in [
        Rule::acr([""; 0]),
        Rule::acr([""]),
        Rule::acr(["mfa", "a b"]),
        Rule::scope("a") & (Rule::role("r") | Rule::acr(["\r\n"])),
    ] {
        let problems = build(rule.clone()).unwrap_err();
        assert!(problems.to_string().contains("no token can have acr("), "{rule}: {problems}");
    }
    let rules = build(Rule::scope("a") & Rule::acr(["mfa"]) & Rule::authenticated_within(FIVE_MINUTES)).unwrap();
    assert!(rules.to_string().contains("scope(a) & acr(mfa) & authenticated_within(300s)"), "{rules}");
    assert_eq!(
        rules.access(&Method::GET, "/"),
        Some(&Access::Rule(Rule::scope("a") & Rule::acr(["mfa"]) & Rule::authenticated_within(FIVE_MINUTES)))
    );
}
