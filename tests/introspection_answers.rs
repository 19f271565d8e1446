//! What issuers answer, and what comes of it: a table of answers of every kind, the recorded ones of
//! real servers, and a Kubernetes API server over HTTP.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::routing::{any, post};
use http::{HeaderMap, Response, StatusCode, header};
use serde_json::{Value, json};
use support::endpoint::{Endpoint, ISSUER};
use support::{challenge, get_with, kind, send};
use tokio::net::TcpListener;
use tokio::time::advance;
use tower_bearer::ErrorKind as K;
use tower_bearer::introspection::{ClientAuthentication, Introspection};
use tower_bearer::testing::Idp;
use tower_bearer::{BearerAuthLayer, Error, Issuer, ResourceServer};

const NOW: u64 = 1_800_000_000;
const API: &str = "https://api.test";

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

/// An answer as it comes over the wire.
#[derive(Clone)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    takes: Duration,
}

impl Answer {
    fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self { status, headers, body: body.into(), takes: Duration::ZERO }
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    fn takes(self, takes: Duration) -> Self {
        Self { takes, ..self }
    }

    fn response(&self) -> Response<Body> {
        let mut response = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(*name, value);
        }
        response.body(Body::from(self.body.clone())).unwrap()
    }
}

/// The answer about a good token, with these members in place of its own; `null` leaves one out.
fn said(changes: &str) -> Answer {
    let mut claims = json!({
        "active": true, "iss": ISSUER, "aud": API, "sub": "alice", "client_id": "shop", "scope": "orders:read",
        "token_type": "Bearer", "exp": NOW + 300, "iat": NOW, "jti": "one",
    });
    let changes: Value = serde_json::from_str(changes).unwrap();
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    Answer::new(200, claims.to_string())
}

/// Asked twice about the same token, within a moment: what a client gets the second time, why, and
/// how often the issuer was asked.
type Row = (&'static str, Answer, u16, Option<K>, usize);

/// Believed, and remembered.
fn yes(name: &'static str, answer: Answer) -> Row {
    (name, answer, 200, None, 1)
}

/// The token's fault, which is remembered.
fn no(name: &'static str, answer: Answer, kind: K) -> Row {
    (name, answer, 401, Some(kind), 1)
}

/// Of no use, perhaps because of the token: the next request asks again.
fn odd(name: &'static str, answer: Answer) -> Row {
    (name, answer, 503, Some(K::IntrospectionUnavailable), 2)
}

/// The same for all tokens: nobody asks for a while.
fn outage(name: &'static str, answer: Answer) -> Row {
    (name, answer, 503, Some(K::IntrospectionUnavailable), 1)
}

fn rows() -> Vec<Row> {
    let text = |body: &str| Answer::new(200, body);
    let status = |status: u16| Answer::new(status, "{}");
    let large = |len: usize| text(&format!("{{\"active\":true,\"aud\":\"{API}\",\"x\":\"{}\"}}", "x".repeat(len)));
    let utf16: Vec<u8> = "{\"active\":true}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        // a yes
        yes("as it should be", said("{}")),
        yes("without type", said("{}").header("content-type", "text/plain")),
        yes("with a charset", said("{}").header("content-type", "application/json; charset=utf-8")),
        yes("nothing but what must be", text(&format!("{{\"active\":true,\"aud\":\"{API}\"}}"))),
        yes("nulls", said(r#"{"sub":null,"exp":null,"nbf":null,"iat":null,"token_type":null,"iss":null}"#)),
        yes("a fraction of a second", said(&format!(r#"{{"exp":{}.25,"iat":{}.75}}"#, NOW + 60, NOW - 1))),
        yes("several audiences", said(r#"{"aud":["https://other.test","https://api.test"]}"#)),
        yes("another spelling of the type", said(r#"{"token_type":"bEARER"}"#)),
        yes("a kind of token for a type", said(r#"{"token_type":"access_token","token_use":"access"}"#)),
        yes("claims that nobody knows", said(r#"{"x":{"y":[1,2,{"z":null}]}}"#)),
        yes("the longest that is read", large(512 * 1024 - 100)),
        yes("after a second", said("{}").takes(Duration::from_secs(1))),
        // the token's fault
        no("not active", text(r#"{"active":false}"#), K::Inactive),
        no("not active, and more", text(r#"{"active":false,"aud":7,"exp":"x"}"#), K::Inactive),
        no("no audience", said(r#"{"aud":null}"#), K::MissingClaim),
        no("another audience", said(r#"{"aud":"https://other.test"}"#), K::WrongAudience),
        no("an audience that is almost ours", said(r#"{"aud":"https://api.test/"}"#), K::WrongAudience),
        no("an empty list of audiences", said(r#"{"aud":[]}"#), K::WrongAudience),
        no("another issuer", said(r#"{"iss":"https://other.test"}"#), K::UnknownIssuer),
        no("an issuer that is almost the one", said(r#"{"iss":"https://id.test/"}"#), K::UnknownIssuer),
        no("expired", said(&format!(r#"{{"exp":{}}}"#, NOW - 31)), K::Expired),
        no("expired in 1970", said(r#"{"exp":0}"#), K::Expired),
        no("not yet valid", said(&format!(r#"{{"nbf":{}}}"#, NOW + 31)), K::NotYetValid),
        no("a refresh token", said(r#"{"token_type":"refresh_token"}"#), K::WrongType),
        no("an ID token", said(r#"{"token_use":"id"}"#), K::WrongType),
        no(
            "bound to a key",
            said(r#"{"cnf":{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}"#),
            K::SenderConstrained,
        ),
        no("bound to something unknown", said(r#"{"cnf":{}}"#), K::SenderConstrained),
        no("of DPoP, without a key", said(r#"{"token_type":"DPoP"}"#), K::SenderConstrained),
        // wrong types: the issuer's fault
        odd("a binding that is no object", said(r#"{"cnf":[]}"#)),
        odd("active as a string", said(r#"{"active":"true"}"#)),
        odd("active as a number", said(r#"{"active":1}"#)),
        odd("active as null", said(r#"{"active":null}"#)),
        odd("active as an array", said(r#"{"active":[true]}"#)),
        odd("active as an object", said(r#"{"active":{"active":true}}"#)),
        odd("no active", text("{}")),
        odd("active in capitals", text(r#"{"ACTIVE":true}"#)),
        odd("the issuer as a number", said(r#"{"iss":7}"#)),
        odd("the audience as a number", said(r#"{"aud":7}"#)),
        odd("the audience as an object", said(r#"{"aud":{"https://api.test":true}}"#)),
        odd("the end as a string", said(&format!(r#"{{"exp":"{}"}}"#, NOW + 300))),
        odd("the end in milliseconds", said(&format!(r#"{{"exp":{}000}}"#, NOW + 300))),
        odd("the end before 1970", said(r#"{"exp":-1}"#)),
        odd("the end as a boolean", said(r#"{"exp":true}"#)),
        odd("the beginning as a word", said(r#"{"nbf":"now"}"#)),
        odd("the subject as a number", said(r#"{"sub":7}"#)),
        odd("the client as an object", said(r#"{"client_id":{}}"#)),
        odd("the id as a boolean", said(r#"{"jti":true}"#)),
        odd("the type as an array", said(r#"{"token_type":["Bearer"]}"#)),
        // no object of JSON
        odd("empty", text("")),
        odd("blank", text(" \r\n")),
        odd("a page", text("<html><title>Sign in</title></html>").header("content-type", "text/html")),
        odd("a form", text("active=true").header("content-type", "application/x-www-form-urlencoded")),
        odd("an array", text(r#"[{"active":true}]"#)),
        odd("a boolean", text("true")),
        odd("twice active, yes last", text(r#"{"active":false,"active":true}"#)),
        odd("twice active, no last", text(r#"{"active":true,"active":false}"#)),
        odd("twice an audience", text(&format!(r#"{{"active":true,"aud":"x","aud":"{API}"}}"#))),
        odd("cut off", text(r#"{"active":true,"aud":"https://api.te"#)),
        odd("with something behind", text(r#"{"active":true} {"active":false}"#)),
        odd("with a comment", text(r#"{"active":true /* yes */}"#)),
        odd("too deep", text(&format!("{{\"active\":true,\"x\":{}{}}}", "[".repeat(100), "]".repeat(100)))),
        odd("too long", large(512 * 1024)),
        odd("in UTF-16", Answer::new(200, utf16)),
        odd("in Latin-1", Answer::new(200, &b"{\"active\":true,\"sub\":\"\xe9\"}"[..])),
        odd("with a byte order mark", text("\u{feff}{\"active\":true}")),
        odd("compressed", Answer::new(200, &b"\x1f\x8b\x08\x00"[..]).header("content-encoding", "gzip")),
        odd("signed, which nobody wanted", said("{}").header("content-type", "application/token-introspection+jwt")),
        // other statuses, whatever they say
        odd("201", Answer { status: 201, ..said("{}") }),
        odd("202", Answer { status: 202, ..said("{}") }),
        odd("204", Answer::new(204, "")),
        odd("206", Answer { status: 206, ..said("{}") }),
        odd("301", Answer { status: 301, ..said("{}") }.header("location", "https://other.test/introspect")),
        odd("307", Answer { status: 307, ..said("{}") }.header("location", "https://id.test/elsewhere")),
        odd("400", Answer::new(400, r#"{"error":"invalid_request"}"#)),
        odd("403", Answer { status: 403, ..said("{}") }),
        odd("404", status(404)),
        odd("405", status(405)),
        odd("413", status(413)),
        odd("415", status(415)),
        odd("500", Answer { status: 500, ..said("{}") }),
        odd("501", status(501)),
        odd("a no with another status", Answer::new(404, r#"{"active":false}"#)),
        // of this service, or of the endpoint
        outage("400, the client is unknown", Answer::new(400, r#"{"error":"invalid_client"}"#)),
        outage("401", Answer { status: 401, ..said("{}") }),
        outage("401 with a no", Answer::new(401, r#"{"active":false}"#)),
        outage("429", status(429)),
        outage("429 for a minute", status(429).header("retry-after", "60")),
        outage("502", status(502)),
        outage("503", Answer { status: 503, ..said("{}") }),
        outage("503 for a while", status(503).header("retry-after", "5")),
        outage("504", status(504)),
        outage("after a minute", said("{}").takes(Duration::from_secs(60))),
    ]
}

#[tokio::test(start_paused = true)]
async fn whatever_an_issuer_answers_has_one_status_one_reason_and_few_questions() {
    let rows = rows();
    assert!(rows.len() >= 60, "{}", rows.len());
    for (name, answer, status, kind, calls) in rows {
        let takes = answer.takes;
        let endpoint = Endpoint::new(move |_| answer.response());
        endpoint.takes(takes);
        let server = endpoint.server(|asked| asked).clock(now).build().unwrap();
        let app = Router::new().fallback(any(async || {})).layer(BearerAuthLayer::new(server));
        for time in ["first", "second"] {
            let response = send(&app, get_with("/", "a-token")).await;
            let found = response.extensions().get::<Error>().map(Error::kind);
            assert_eq!((response.status().as_u16(), found), (status, kind), "{name}, the {time} time");
            assert_eq!(response.headers().contains_key(header::RETRY_AFTER), status == 503, "{name}");
            let error = challenge(response.headers()).map(|(_, parameters)| parameters["error"].clone());
            assert_eq!(error.as_deref(), (status == 401).then_some("invalid_token"), "{name}");
            advance(Duration::from_millis(100)).await;
        }
        assert_eq!(endpoint.calls(), calls, "{name}");
    }
}

/// The recorded answers of a server, by what was asked.
fn recorded(server: &str) -> BTreeMap<String, Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/introspection/answers").join(server);
    serde_json::from_str(&std::fs::read_to_string(path.with_extension("json")).unwrap()).unwrap()
}

/// What comes of a recorded answer. A signed one is signed anew: its signature was not recorded.
async fn verdict(name: &str, answer: &Value, client: &str) -> Option<K> {
    let idp = Idp::new(ISSUER);
    let signed = name.starts_with("signed");
    let recorded = &answer["body"];
    let body = if let Value::String(text) = recorded {
        text.clone()
    } else if signed {
        let typ = recorded["header"]["typ"].clone();
        idp.token("").header("typ", typ).raw_claims(recorded["claims"].to_string()).sign()
    } else {
        recorded.to_string()
    };
    let status = u16::try_from(answer["status"].as_u64().unwrap()).unwrap();
    let mut response = Answer::new(status, body);
    response.headers.clear();
    for (header, value) in answer["headers"].as_object().unwrap() {
        let known = ["cache-control", "content-type", "www-authenticate"].into_iter().find(|known| known == header);
        response = response.header(known.unwrap(), value.as_str().unwrap());
    }
    let endpoint = Endpoint::new(move |_| response.response());
    let introspection = Introspection::new(ClientAuthentication::client_secret_basic(client, "secret"));
    let introspection = introspection.endpoint(format!("{ISSUER}/introspect"));
    let introspection = if signed { introspection.signed() } else { introspection };
    let issuer = Issuer::new(ISSUER).introspection(introspection);
    let server = ResourceServer::new(API).trust((issuer, idp)).clock(now).http_client(endpoint.client());
    let verdict = kind(&server.build().unwrap(), "a-token").await;
    assert_eq!(endpoint.calls(), 1, "{name}");
    verdict
}

#[tokio::test(start_paused = true)]
async fn what_real_servers_have_answered_is_read_as_they_meant_it() {
    let ours = Some(K::IntrospectionUnavailable);
    let oidc_provider: &[(&str, Option<K>)] = &[
        ("active, of a client", None),
        ("active, of a client, without audience and scope", Some(K::MissingClaim)),
        ("active, of a user", None),
        ("active, of a user, without audience", Some(K::MissingClaim)),
        ("inactive, as the token is for others", Some(K::Inactive)),
        ("inactive, made up", Some(K::Inactive)),
        ("inactive, revoked", Some(K::Inactive)),
        ("of a JWT", ours),
        ("signed, active, of a user", None),
        ("signed, inactive", Some(K::Inactive)),
        ("to a client that is unknown", ours),
        ("to a client whose Basic is no form-encoding", ours),
        ("to a client whose secret is wrong", ours),
        ("to no client", ours),
    ];
    let glewlwyd: &[(&str, Option<K>)] = &[
        ("active, of a client", None),
        // its audience is the scope
        ("active, of a user", Some(K::WrongAudience)),
        ("inactive, a refresh token", Some(K::Inactive)),
        ("inactive, made up", Some(K::Inactive)),
        ("inactive, revoked", Some(K::Inactive)),
        // they are for whom the token is for, and not for who asks
        ("signed, active, of a client", ours),
        ("signed, active, of a user", ours),
        ("signed, inactive", ours),
        ("to a client that is unknown", ours),
        ("to a client whose Basic is form-encoded", ours),
        ("to a client whose secret is wrong", ours),
        ("to no client", ours),
    ];
    for (server, client, expected) in
        [("oidc-provider", "https://api.test/:a b", oidc_provider), ("glewlwyd", "shop", glewlwyd)]
    {
        let recorded = recorded(server);
        let names: Vec<_> = expected.iter().map(|(name, _)| *name).collect();
        assert_eq!(recorded.keys().collect::<Vec<_>>(), names, "all that is recorded of {server}");
        for (name, expected) in expected {
            assert_eq!(verdict(name, &recorded[*name], client).await, *expected, "{server}: {name}");
        }
    }
}

/// What an API server answers to a review, as far as its tokens go.
async fn review(State(asked): State<Arc<AtomicUsize>>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    let failed = |code: StatusCode, reason: &str| {
        let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason });
        (code, status.to_string())
    };
    asked.fetch_add(1, Ordering::SeqCst);
    if headers.get(header::AUTHORIZATION).is_none_or(|own| own != "Bearer own") {
        return failed(StatusCode::UNAUTHORIZED, "Unauthorized");
    }
    let review: Value = serde_json::from_slice(&body).unwrap_or_default();
    let typed = review["kind"] == "TokenReview" && review["apiVersion"] == "authentication.k8s.io/v1";
    if !typed || headers.get(header::CONTENT_TYPE).is_none_or(|typ| typ != "application/json") {
        return failed(StatusCode::BAD_REQUEST, "BadRequest");
    }
    let status = match review["spec"]["token"].as_str().unwrap_or_default() {
        "hanging" => std::future::pending().await,
        "broken" => return failed(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
        "forbidden" => return failed(StatusCode::FORBIDDEN, "Forbidden"),
        "doubtful" => json!({ "authenticated": true, "user": { "username": "a" }, "error": "lookup failed" }),
        "nameless" => json!({ "authenticated": true, "user": {} }),
        "elsewhere" => {
            json!({ "authenticated": true, "user": { "username": "a" }, "audiences": ["https://other.test"] })
        }
        token if token.starts_with("good") || token.len() > 100 => json!({
            "authenticated": true,
            "user": {
                "username": "system:serviceaccount:shop:orders",
                "uid": "a-uid",
                "groups": ["system:serviceaccounts", "system:authenticated"],
                "extra": { "authentication.kubernetes.io/pod-name": ["orders-1"] },
            },
            "audiences": review["spec"]["audiences"],
        }),
        _ => json!({ "user": {}, "error": "[invalid bearer token, Token has been invalidated]" }),
    };
    let answer = json!({
        "kind": "TokenReview",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {},
        "spec": review["spec"],
        "status": status,
    });
    (StatusCode::CREATED, answer.to_string())
}

#[tokio::test]
async fn a_kubernetes_api_server_is_asked_over_http() {
    let asked = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    let served = Router::new().route(path, post(review)).with_state(Arc::clone(&asked));
    tokio::spawn(axum::serve(listener, served).into_future());
    let cluster = Idp::new("https://kubernetes.default.svc.cluster.local");
    let server = |own: &str, wait: Duration| {
        let introspection = Introspection::kubernetes(&base, own);
        let issuer = Issuer::new(cluster.issuer()).introspection(introspection);
        ResourceServer::new(API).trust(issuer).key_wait_timeout(wait).build().unwrap()
    };
    let good = server("own", Duration::from_secs(30));
    for token in [cluster.token("orders").sign(), "good".to_owned()] {
        let token = good.authenticate(&token).await.unwrap();
        assert_eq!(token.subject(), Some("system:serviceaccount:shop:orders"));
        assert_eq!((token.issuer(), token.audiences().collect::<Vec<_>>()), (cluster.issuer(), vec![API]));
    }
    for (token, expected) in [
        ("bad", K::Inactive),
        ("elsewhere", K::WrongAudience),
        ("doubtful", K::IntrospectionUnavailable),
        ("nameless", K::IntrospectionUnavailable),
        ("broken", K::IntrospectionUnavailable),
        ("forbidden", K::IntrospectionUnavailable),
    ] {
        let before = asked.load(Ordering::SeqCst);
        assert_eq!(kind(&good, token).await, Some(expected), "{token}");
        assert_eq!(asked.load(Ordering::SeqCst), before + 1, "{token}");
        // none of them is an outage for others
        assert_eq!(kind(&good, &format!("good-after-{token}")).await, None);
    }
    let refused = server("another's", Duration::from_secs(30)).authenticate("good").await.unwrap_err();
    assert_eq!(refused.kind(), K::IntrospectionUnavailable);
    assert!(refused.to_string().contains("system:auth-delegator"), "{refused}");
    let late = server("own", Duration::from_millis(10)).authenticate("hanging").await.unwrap_err();
    assert_eq!(late.kind(), K::IntrospectionUnavailable);
    assert!(late.to_string().contains("has not answered yet"), "{late}");
}
