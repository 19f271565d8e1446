//! Keys over HTTP, from servers that are slow, broken or hostile, on real sockets.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::needless_pass_by_value, reason = "helpers of tests")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tower_bearer::testing::Idp;
use tower_bearer::{ErrorKind, Issuer, ResourceServer};

const API: &str = "https://api.test";

/// Serves a router on loopback; returns its address.
async fn serve(listener: TcpListener, app: Router) {
    tokio::spawn(axum::serve(listener, app).into_future());
}

async fn bind() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    (listener, address)
}

fn trusting(issuer: Issuer) -> ResourceServer {
    ResourceServer::new(API).trust(issuer).build().unwrap()
}

/// An issuer whose key set is what `answer` says.
async fn answering<F>(answer: impl Fn(Idp) -> F + Clone + Send + Sync + 'static) -> (Idp, ResourceServer)
where
    F: Future<Output = Response> + Send + 'static,
{
    let (listener, address) = bind().await;
    let idp = Idp::new(&address);
    let keys = idp.clone();
    serve(listener, Router::new().route("/keys", get(move || answer(keys.clone())))).await;
    let server = trusting(Issuer::new(&address).jwks_uri(format!("{address}/keys")));
    (idp, server)
}

fn json(body: impl std::fmt::Display) -> Response {
    ([("content-type", "application/json")], format!("{body}")).into_response()
}

/// Why the keys of an issuer could not be had.
async fn reason(idp: &Idp, server: &ResourceServer) -> String {
    let error = server.authenticate(&idp.token("alice").sign()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeysUnavailable);
    assert!(!error.to_string().contains("secret"), "what was received is not repeated: {error}");
    error.to_string()
}

#[tokio::test]
async fn keys_are_discovered_by_either_document_in_either_form() {
    // (path of the issuer, path of the document)
    for (issuer, document) in [
        ("", "/.well-known/openid-configuration"),
        ("/", "/.well-known/openid-configuration"),
        ("", "/.well-known/oauth-authorization-server"),
        ("/realms/shop", "/realms/shop/.well-known/openid-configuration"),
        ("/realms/shop", "/.well-known/oauth-authorization-server/realms/shop"),
        ("/realms/shop/", "/.well-known/openid-configuration/realms/shop"),
        ("/realms/shop", "/realms/shop/.well-known/oauth-authorization-server"),
    ] {
        let (listener, address) = bind().await;
        let idp = Idp::new(format!("{address}{issuer}"));
        let metadata = json!({ "issuer": idp.issuer(), "jwks_uri": format!("{address}/k") }).to_string();
        let keys = idp.clone();
        let app = Router::new()
            .route(document, get(async move || json(metadata)))
            .route("/k", get(async move || json(keys.jwks())));
        serve(listener, app).await;
        let server = trusting(Issuer::new(idp.issuer()));
        let verdict = server.authenticate(&idp.token("alice").sign()).await;
        assert!(verdict.is_ok(), "{issuer} {document}: {verdict:?}");
    }
}

#[tokio::test]
async fn the_test_issuer_publishes_itself_with_and_without_a_path() {
    for path in ["", "/", "/realms/shop"] {
        let (listener, address) = bind().await;
        let idp = Idp::new(format!("{address}{path}"));
        serve(listener, Router::new().fallback_service(idp.service())).await;
        let server = trusting(Issuer::new(idp.issuer()));
        assert!(server.authenticate(&idp.token("alice").sign()).await.is_ok(), "{path}");
        idp.rotate();
        assert!(server.authenticate(&idp.token("alice").sign()).await.is_ok(), "{path}");
        assert_eq!(idp.fetches(), 2, "the discovered address is kept");
    }
}

#[tokio::test]
async fn metadata_of_another_issuer_is_not_believed() {
    let (listener, address) = bind().await;
    let idp = Idp::new(&address);
    let metadata = json!({ "issuer": format!("{address}/"), "jwks_uri": format!("{address}/k") }).to_string();
    let keys = idp.clone();
    let app = Router::new()
        .route("/.well-known/openid-configuration", get(async move || json(metadata)))
        .route("/k", get(async move || json(keys.jwks())));
    serve(listener, app).await;
    let reason = reason(&idp, &trusting(Issuer::new(&address))).await;
    assert!(reason.contains("trailing slash"), "{reason}");
}

#[tokio::test]
async fn metadata_are_read_again_after_an_hour_and_the_old_address_serves_if_that_fails() {
    let (listener, address) = bind().await;
    let idp = Idp::new(&address);
    let reads = Arc::new(AtomicU64::new(0));
    let (counted, own) = (Arc::clone(&reads), address.clone());
    let metadata = async move || {
        let read = counted.fetch_add(1, Ordering::SeqCst) + 1;
        let place = if read < 3 { "old" } else { "new" };
        // the second time it is out of order
        let status = if read == 2 { 500 } else { 200 };
        let body = json!({ "issuer": own, "jwks_uri": format!("{own}/{place}") }).to_string();
        (http::StatusCode::from_u16(status).unwrap(), [("cache-control", "max-age=60")], json(body)).into_response()
    };
    let (old, new) = (idp.jwks().to_string(), idp.clone());
    let app = Router::new()
        .route("/.well-known/openid-configuration", get(metadata))
        .route("/old", get(async move || ([("cache-control", "max-age=3000")], json(old))))
        .route("/new", get(async move || json(new.jwks())));
    serve(listener, app).await;
    let server = trusting(Issuer::new(&address));
    assert!(server.authenticate(&idp.token("alice").sign()).await.is_ok());
    assert_eq!(reads.load(Ordering::SeqCst), 1);
    idp.rotate();
    let rotated = idp.token("alice").sign();
    let verdict = async |minutes: u64| {
        // only the clock of the runtime is moved, and only while nothing is on its way
        tokio::time::pause();
        tokio::time::advance(std::time::Duration::from_secs(minutes * 60)).await;
        tokio::time::resume();
        server.authenticate(&rotated).await.is_ok()
    };
    assert!(!verdict(30).await, "the old address still answers");
    assert_eq!(reads.load(Ordering::SeqCst), 1);
    assert!(!verdict(31).await, "the metadata are out of order, the old address serves");
    assert_eq!(reads.load(Ordering::SeqCst), 2);
    assert!(verdict(1).await, "the keys have moved");
    assert_eq!(reads.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let hits = Arc::new(AtomicU64::new(0));
    let (listener, elsewhere) = bind().await;
    let count = Arc::clone(&hits);
    let app = Router::new().fallback(async move || {
        count.fetch_add(1, Ordering::SeqCst);
        "{\"keys\":[]}"
    });
    serve(listener, app).await;
    let (idp, server) = answering(move |_| {
        let elsewhere = elsewhere.clone();
        async move { Redirect::temporary(&elsewhere).into_response() }
    })
    .await;
    assert!(reason(&idp, &server).await.contains("307"));
    assert_eq!(hits.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_is_no_key_set_is_named_but_not_repeated() {
    let (idp, server) = answering(async |_| json("<html>secret</html>")).await;
    assert!(reason(&idp, &server).await.contains("not a JWK Set"));
    let html = async |_| ([("content-type", "text/html")], "{\"keys\":[\"secret\"]}").into_response();
    let (idp, server) = answering(html).await;
    assert!(reason(&idp, &server).await.contains("content-type"));
    let (idp, server) = answering(async |_| (http::StatusCode::BAD_GATEWAY, "secret").into_response()).await;
    assert!(reason(&idp, &server).await.contains("502"));
    let (idp, server) = answering(async |_| json("{\"keys\":[]}")).await;
    assert!(reason(&idp, &server).await.contains("no usable key"));
}

#[tokio::test]
async fn a_body_over_the_limit_is_cut_off_while_it_is_read() {
    for len in [513 * 1024, 2 * 1024 * 1024] {
        let (idp, server) = answering(move |_| async move { Body::from(vec![b' '; len]).into_response() }).await;
        assert!(reason(&idp, &server).await.contains("512 KiB"));
    }
    // one that never ends
    let endless = async |_| {
        let chunks =
            tokio_stream::StreamExt::map(tokio_stream::iter(0_u64..), |_| Ok::<_, std::io::Error>(vec![b' '; 4096]));
        Body::from_stream(chunks).into_response()
    };
    let (idp, server) = answering(endless).await;
    assert!(reason(&idp, &server).await.contains("512 KiB"));
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_middle_of_the_body_is_a_failure() {
    let (listener, address) = bind().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"keys\":[").await;
        }
    });
    let idp = Idp::new(&address);
    let server = trusting(Issuer::new(&address).jwks_uri(format!("{address}/keys")));
    reason(&idp, &server).await;
    assert_eq!(server.status()[0].failures, 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_costs_a_request_two_seconds() {
    let (listener, address) = bind().await;
    let idp = Idp::new(&address);
    let server = trusting(Issuer::new(&address));
    let begin = tokio::time::Instant::now();
    reason(&idp, &server).await;
    assert!(begin.elapsed() <= std::time::Duration::from_secs(2), "{:?}", begin.elapsed());
    drop(listener);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_given_up_after_five_seconds_and_requests_do_not_wait_that_long() {
    let drip = async |_| {
        let bytes = tokio_stream::StreamExt::throttle(tokio_stream::iter(0_u64..), std::time::Duration::from_secs(1));
        Body::from_stream(tokio_stream::StreamExt::map(bytes, |_| Ok::<_, std::io::Error>(vec![b' ']))).into_response()
    };
    let (idp, server) = answering(drip).await;
    let begin = tokio::time::Instant::now();
    reason(&idp, &server).await;
    assert!(begin.elapsed() <= std::time::Duration::from_secs(2), "{:?}", begin.elapsed());
    let error = server.ready().await.unwrap_err();
    assert_eq!(error.reasons()[0].kind(), ErrorKind::KeysUnavailable);
    assert!(begin.elapsed() <= std::time::Duration::from_secs(6), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn addresses_that_keys_must_not_come_from_are_refused_when_the_server_is_built() {
    let problem = |issuer: Issuer| {
        let error = ResourceServer::new(API).trust(issuer).build().unwrap_err();
        assert_eq!(error.problems().len(), 1, "{error}");
        error.to_string()
    };
    assert!(problem(Issuer::new("http://id.test/")).contains("https"));
    assert!(problem(Issuer::new("acme.com")).contains("jwks_uri"));
    assert!(problem(Issuer::new("https://id.test/?tenant=1")).contains("query"));
    let elsewhere = problem(Issuer::new("acme.com").jwks_uri("http://10.0.0.1/keys"));
    assert!(elsewhere.contains("issuers[acme.com].jwks_uri"), "{elsewhere}");
    // an issuer need not be a URL if its keys are elsewhere
    assert!(ResourceServer::new(API).trust(Issuer::new("acme.com").jwks_uri("https://id.test/keys")).build().is_ok());
}
