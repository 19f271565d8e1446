//! Logs are behaviour (one test, since a subscriber of one thread and another thread without one disturb each other): one event per refusal, one per fetch, and never a token or a claim.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::get as route;
use http::{Response, header};
use support::endpoint::{Endpoint, alice, json};
use support::{get, get_with, send};
use tower::ServiceBuilder;
use tower_bearer::checks::{Answer, RequestContext, TokenCheck};
use tower_bearer::testing::Idp;
use tower_bearer::{AccessToken, BearerAuthLayer, Require, ResourceServer, permissions};
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;
use tower_http::trace::{DefaultMakeSpan, TraceLayer};
use tracing_subscriber::fmt::MakeWriter;

permissions! { ReadOrders = scope("orders:read"); }

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Captured {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Captured {
    /// All that has been written since the last call.
    fn text(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }

    /// The lines of it that our crate has written.
    fn lines(&self) -> Vec<String> {
        self.text().lines().filter(|line| line.contains("tower_bearer")).map(ToOwned::to_owned).collect()
    }
}

#[tokio::test]
async fn refusals_and_fetches_are_logged_once_and_without_any_text_of_the_token() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt().with_writer(captured.clone()).with_ansi(false);
    let _guard = tracing::subscriber::set_default(subscriber.with_max_level(tracing::Level::TRACE).finish());

    let idp = Idp::new("https://id.test/");
    let server = ResourceServer::new("https://api.test").trust(&idp).build().unwrap();
    let app = Router::new()
        .route("/me", route(async |_: AccessToken| "me"))
        .route("/orders", route(async |_: Require<ReadOrders>| "orders"))
        .layer(BearerAuthLayer::new(server));

    assert_eq!(send(&app, get_with("/me", &idp.token("s3cr3t-subject").sign())).await.status(), 200);
    let lines = captured.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("INFO") && lines[0].contains("issuer=https://id.test/ keys=1 skipped=0"), "{lines:?}");

    // each refusal is one event at debug, with kind, issuer and kid
    let token = || {
        let token = idp.token("s3cr3t-subject").claim("email", "s3cr3t@mail.test").claim("roles", vec!["s3cr3t-role"]);
        token.scope("s3cr3t-scope")
    };
    for (token, kind, says) in [
        (token().expired().sign(), "Expired", "exp passed 3600 s ago"),
        (token().audience("s3cr3t-aud").sign(), "WrongAudience", "expected one of [\"https://api.test\"]"),
        (token().issuer("https://s3cr3t.test/").sign(), "UnknownIssuer", "iss names none of the trusted issuers"),
        (token().issuer("https://id.test").sign(), "UnknownIssuer", "trailing slash"),
        (token().wrong_key().sign(), "BadSignature", "kid=es256-1"),
        (token().header("kid", "s3cr3t \u{7}").sign(), "UnknownKey", "kid=-"),
        (token().claim("exp", "s3cr3t").sign(), "MalformedClaim", "exp is a string, not a number"),
        (token().header("typ", "s3cr3t").sign(), "WrongType", "expected to be one of"),
        (token().header("alg", "s3cr3t").sign(), "UnsupportedAlgorithm", "alg is unknown here"),
        ("s3cr3t".to_owned(), "OpaqueToken", "no dots"),
    ] {
        assert_eq!(send(&app, get_with("/me", &token)).await.status(), 401);
        let lines = captured.lines();
        let refusals: Vec<_> = lines.iter().filter(|line| line.contains("DEBUG")).collect();
        assert_eq!(refusals.len(), 1, "{lines:?}");
        assert!(refusals[0].contains(&format!("kind={kind} ")) && refusals[0].contains(says), "{refusals:?}");
        let parts: Vec<_> = token.split('.').filter(|part| part.len() > 8).collect();
        for line in &lines {
            assert!(!line.contains("s3cr3t") && !parts.iter().any(|part| line.contains(part)), "{line}");
        }
    }
    assert_eq!(send(&app, get("/me", &[])).await.status(), 401);
    assert!(captured.lines()[0].contains("kind=MissingToken"));
    assert_eq!(send(&app, get_with("/orders", &token().sign())).await.status(), 403);
    let lines = captured.lines();
    assert!(lines[0].contains("kind=InsufficientScope") && lines[0].contains("orders:read"), "{lines:?}");
    assert!(!lines[0].contains("s3cr3t"));

    // a failed fetch is one warning
    idp.outage();
    idp.rotate();
    assert_eq!(send(&app, get_with("/me", &token().unknown_kid().sign())).await.status(), 503);
    let lines = captured.lines();
    let warnings: Vec<_> = lines.iter().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 1, "{lines:?}");
    assert!(warnings[0].contains("the test issuer is down"), "{warnings:?}");

    // a handler without a layer is an error that says what to do
    let bare = Router::new().route("/me", route(async |_: AccessToken| "me"));
    assert_eq!(send(&bare, get("/me", &[])).await.status(), 500);
    let lines = captured.lines();
    assert!(lines.iter().any(|line| line.contains("ERROR") && line.contains("BearerAuthLayer")), "{lines:?}");

    a_check_that_panics_is_an_error_without_what_it_has_said(&captured).await;
    a_trace_layer_outside_prints_the_token_unless_the_header_was_marked_before(&captured).await;
    an_issuer_that_cannot_be_asked_is_a_warning_when_that_begins_and_no_other(&captured).await;
}

async fn an_issuer_that_cannot_be_asked_is_a_warning_when_that_begins_and_no_other(captured: &Captured) {
    let endpoint = Endpoint::new(|_| json(503, ""));
    let server = endpoint.server(|asked| asked).build().unwrap();
    tokio::time::pause();
    let asks = async |tokens: usize| {
        let tokens = (0..tokens).map(|number| {
            let server = server.clone();
            async move { server.authenticate(&format!("s3cr3t-{number}")).await.is_ok() }
        });
        let good = futures_util::future::join_all(tokens).await.into_iter().filter(|good| *good).count();
        let (lines, mut found) = (captured.lines(), Vec::new());
        for line in lines.iter().filter(|line| line.contains("WARN") || line.contains("INFO")) {
            assert!(line.contains("issuer=https://id.test") && !line.contains("s3cr3t"), "{line}");
            found.push(if line.contains("WARN") { "begins" } else { "ends" });
            assert_eq!(line.contains("answers again"), line.contains("INFO"), "{line}");
        }
        (good, found)
    };
    captured.text();
    assert_eq!(asks(100).await, (0, vec!["begins"]));
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(asks(100).await, (0, vec![]), "the same goes on");
    endpoint.answer(|_| json(401, ""));
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(asks(100).await, (0, vec!["begins"]), "another reason");
    endpoint.answer(|_| json(200, &alice()));
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(asks(1).await, (1, vec!["ends"]));
    assert_eq!(asks(100).await, (100, vec![]));
    endpoint.answer(|_| json(500, ""));
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(asks(100).await, (0, vec!["begins"]));
    assert_eq!(asks(100).await, (0, vec![]));
}

async fn a_check_that_panics_is_an_error_without_what_it_has_said(captured: &Captured) {
    struct Panics;
    impl TokenCheck for Panics {
        fn name(&self) -> &'static str {
            "panics"
        }

        fn check(&self, token: &AccessToken, _: &RequestContext<'_>) -> Answer {
            panic!("{}", token.subject().unwrap())
        }
    }
    let idp = Idp::new("https://id.test/");
    let server = ResourceServer::new("https://api.test").trust(&idp).check(Panics).build().unwrap();
    server.ready().await.unwrap();
    captured.text();
    assert!(server.authenticate(&idp.token("s3cr3t-subject").sign()).await.is_err());
    let text = captured.text();
    let errors: Vec<_> = text.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(errors.len(), 1, "{text}");
    assert!(errors[0].contains("a check of tokens has panicked check=panics"), "{text}");
    assert!(!text.contains("s3cr3t"), "{text}");
}

async fn a_trace_layer_outside_prints_the_token_unless_the_header_was_marked_before(captured: &Captured) {
    let idp = Idp::new("https://id.test/");
    let server = ResourceServer::new("https://api.test").trust(&idp).build().unwrap();
    let auth = || BearerAuthLayer::new(server.clone());
    let trace = || TraceLayer::new_for_http().make_span_with(DefaultMakeSpan::new().include_headers(true));
    let mark = || SetSensitiveRequestHeadersLayer::new([header::AUTHORIZATION]);
    let app = || Router::new().route("/me", route(async |_: AccessToken| "me"));
    let boxed = |response: Response<_>| response.map(axum::body::Body::new);
    let token = idp.token("alice").sign();
    for (app, printed) in [
        (app().layer(auth()).layer(trace()), true),
        (app().layer(auth()).layer(trace()).layer(mark()), false),
        (app().layer(trace()).layer(auth()), false),
        (app().layer(ServiceBuilder::new().layer(trace()).layer(auth())), true),
        (app().layer(ServiceBuilder::new().layer(mark()).layer(trace()).layer(auth())), false),
        // a body that can be empty, for refusals
        (app().layer(ServiceBuilder::new().layer(auth()).map_response(boxed).layer(trace())), false),
    ] {
        assert_eq!(send(&app, get_with("/me", &token)).await.status(), 200);
        let text = captured.text();
        assert!(text.contains("\"authorization\": "), "{text}");
        assert_eq!(text.contains(&token), printed, "{text}");
    }
}
