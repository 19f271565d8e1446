//! What the integration tests share.

#![allow(unreachable_pub, reason = "a module of test binaries")]
#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod endpoint;
pub mod load_balancer;
pub mod orders;
pub mod resolver;
pub mod shop;
pub mod source;

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, Response, StatusCode, header};
use tower::ServiceExt;
use tower_bearer::{ErrorKind, ResourceServer};

/// Sends a request to a router.
pub async fn send(app: &Router, request: Request<Body>) -> Response<Body> {
    app.clone().oneshot(request).await.unwrap()
}

/// A GET with these `Authorization` values.
pub fn get(path: &str, authorization: &[&str]) -> Request<Body> {
    let mut request = Request::get(path).body(Body::empty()).unwrap();
    for value in authorization {
        request.headers_mut().append(header::AUTHORIZATION, value.parse().unwrap());
    }
    request
}

/// A GET with this token.
pub fn get_with(path: &str, token: &str) -> Request<Body> {
    get(path, &[&format!("Bearer {token}")])
}

/// Why a token is refused, if it is.
pub async fn kind(server: &ResourceServer, token: &str) -> Option<ErrorKind> {
    server.authenticate(token).await.err().map(|error| error.kind())
}

/// The status of a GET with this token.
pub async fn status(app: &Router, path: &str, token: &str) -> StatusCode {
    send(app, get_with(path, token)).await.status()
}

/// The one challenge of a response, read back by a parser: scheme and parameters.
pub fn challenge(headers: &HeaderMap) -> Option<(String, BTreeMap<String, String>)> {
    let values: Vec<_> = headers.get_all(header::WWW_AUTHENTICATE).iter().collect();
    assert!(values.len() <= 1, "more than one challenge");
    let text = values.first()?.to_str().unwrap();
    let challenges = http_auth::parser::ChallengeParser::new(text);
    let challenges: Vec<_> = challenges.map(|challenge| challenge.expect("a well-formed challenge")).collect();
    assert_eq!(challenges.len(), 1, "{text}");
    let mut params = BTreeMap::new();
    for (name, value) in &challenges[0].params {
        assert!(params.insert((*name).to_owned(), value.to_unescaped()).is_none(), "{name} twice in {text}");
    }
    Some((challenges[0].scheme.to_owned(), params))
}
