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
use tower_bearer::keys::HttpClient;
use tower_bearer::testing::Idp;
use tower_bearer::trust::{IssuerTemplate, Trust};
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
    assert!(reason.contains(&format!("those of {address}/ (a trailing slash")), "{reason}");
}

#[tokio::test]
async fn what_is_json_is_read_whatever_a_bucket_calls_it() {
    for content_type in ["application/octet-stream", "binary/octet-stream", "text/plain; charset=utf-8", "x"] {
        let (listener, address) = bind().await;
        let idp = Idp::new(&address);
        let metadata = json!({ "issuer": address, "jwks_uri": format!("{address}/k") }).to_string();
        let keys = idp.clone();
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(async move || ([("content-type", content_type)], metadata)))
            .route("/k", get(async move || ([("content-type", content_type)], keys.jwks().to_string())));
        serve(listener, app).await;
        let verdict = trusting(Issuer::new(&address)).authenticate(&idp.token("alice").sign()).await;
        assert!(verdict.is_ok(), "{content_type}: {verdict:?}");
    }
    for (content_type, body, told) in [
        ("text/html", "{\"secret\":1}", "answered with an HTML page (content-type text/html)"),
        ("application/octet-stream", "<!doctype html>secret", "an HTML page (content-type application/octet-stream)"),
        ("application/json", "<!doctype html>secret", "the metadata are an HTML page"),
        ("image/png", "secret", "something that is not JSON (content-type image/png)"),
        ("application/json", "\u{feff}{}", "byte order mark"),
    ] {
        let (listener, address) = bind().await;
        let page = async move || ([("content-type", content_type)], body);
        serve(listener, Router::new().route("/.well-known/openid-configuration", get(page))).await;
        let reason = reason(&Idp::new(&address), &trusting(Issuer::new(&address))).await;
        assert!(reason.contains(told), "{content_type}: {reason}");
    }
    // compressed, though a client like hyper's asks for nothing
    for name in ["gzip", "br"] {
        let zipped = move || ([("content-type", "application/json"), ("content-encoding", name)], &b"\x1f\x8b\x08"[..]);
        let (listener, address) = bind().await;
        serve(listener, Router::new().fallback(async move || zipped())).await;
        let [.., hyper] = clients();
        let server = trusting_with(Issuer::new(&address).jwks_uri(format!("{address}/k")), hyper);
        let reason = reason(&Idp::new(&address), &server).await;
        assert!(reason.contains(&format!("content-encoding {name}")), "{reason}");
    }
}

#[tokio::test]
async fn a_missing_document_is_not_waited_for_and_the_next_place_is_tried() {
    let (listener, address) = bind().await;
    let idp = Idp::new(&address);
    let metadata = json!({ "issuer": address, "jwks_uri": format!("{address}/k") }).to_string();
    let keys = idp.clone();
    // a page without an end
    let endless = async || {
        let page = Body::from_stream(tokio_stream::pending::<Result<Vec<u8>, std::io::Error>>());
        (http::StatusCode::NOT_FOUND, page).into_response()
    };
    let app = Router::new()
        .route("/.well-known/openid-configuration", get(endless))
        .route("/.well-known/oauth-authorization-server", get(async move || json(metadata)))
        .route("/k", get(async move || json(keys.jwks())));
    serve(listener, app).await;
    assert!(trusting(Issuer::new(&address)).authenticate(&idp.token("alice").sign()).await.is_ok());
}

/// Serves an issuer whose address has another host than that at which it is bound.
async fn named(host: &str) -> (Idp, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let idp = Idp::new(format!("http://{host}:{}", address.port()));
    serve(listener, Router::new().fallback_service(idp.service())).await;
    (idp, address)
}

#[tokio::test]
async fn keys_come_over_plain_http_from_below_localhost_and_from_hosts_that_are_named() {
    // our own client leads there, whatever the machine's resolver would say
    for host in ["localhost", "keys.localhost", "a.b.localhost"] {
        let (idp, _) = named(host).await;
        let verdict = trusting(Issuer::new(idp.issuer())).authenticate(&idp.token("alice").sign()).await;
        assert!(verdict.is_ok(), "{host}: {verdict:?}");
    }
    // an address that is none of loopback, but leads here
    let (idp, address) = named("0.0.0.0").await;
    let here = format!("0.0.0.0:{}", address.port());
    let trust = || ResourceServer::new(API).trust(Issuer::new(idp.issuer()));
    assert!(trust().build().unwrap_err().to_string().contains("dangerously_fetch_keys_over_plain_http_from"));
    assert!(trust().dangerously_fetch_keys_over_plain_http_from("0.0.0.0").build().is_err(), "another port");
    let server = trust().dangerously_fetch_keys_over_plain_http_from(&here).build().unwrap();
    assert!(server.authenticate(&idp.token("alice").sign()).await.is_ok());
    // a reload without it is refused, and one with it keeps the keys
    assert!(server.reload(trust()).is_err());
    let more = trust().dangerously_fetch_keys_over_plain_http_from("other");
    server.reload(more.dangerously_fetch_keys_over_plain_http_from(&here)).unwrap();
    assert!(server.authenticate(&idp.token("alice").sign()).await.is_ok());
    assert_eq!(idp.fetches(), 1);
    // never for an issuer that a token names
    let template = IssuerTemplate::new(format!("http://0.0.0.0:{}/{{tenant}}", address.port()), |_| true);
    let server = ResourceServer::new(API).trust_with(template).allow_private_host("0.0.0.0");
    let server = server.dangerously_fetch_keys_over_plain_http_from(&here).build().unwrap();
    let token = idp.token("alice").issuer(format!("{}/a", idp.issuer())).sign();
    assert_eq!(server.authenticate(&token).await.unwrap_err().kind(), ErrorKind::UnknownIssuer);
    assert_eq!(idp.fetches(), 1);
}

#[tokio::test]
async fn with_a_client_of_its_own_an_application_names_what_is_below_localhost_too() {
    for host in ["keycloak", "keys.localhost"] {
        let (idp, address) = named(host).await;
        let client = reqwest::Client::builder().no_proxy().resolve(host, address).build().unwrap();
        let trust = || ResourceServer::new(API).trust(Issuer::new(idp.issuer())).http_client(client.clone());
        let refused = trust().build().unwrap_err().to_string();
        assert!(refused.contains("dangerously_fetch_keys_over_plain_http_from"), "{refused}");
        let server = trust().dangerously_fetch_keys_over_plain_http_from(format!("{host}:{}", address.port()));
        assert!(server.build().unwrap().authenticate(&idp.token("alice").sign()).await.is_ok(), "{host}");
    }
}

#[test]
fn hosts_that_are_none_are_problems() {
    for nonsense in ["http://keycloak:8080", "*.svc", "", "keycloak/realms"] {
        let trust = || ResourceServer::new(API).trust(Issuer::new("https://id.test/"));
        let error = trust().dangerously_fetch_keys_over_plain_http_from(nonsense).build().unwrap_err();
        assert_eq!(error.problems()[0].path(), "dangerously_fetch_keys_over_plain_http_from", "{nonsense}");
        let error = trust().allow_private_host(nonsense).build().unwrap_err();
        assert_eq!(error.problems()[0].path(), "allow_private_host", "{nonsense}");
    }
}

#[tokio::test]
async fn no_query_is_shown_and_no_fragment_makes_another_address() {
    let secret = "https://id.test/keys?api_key=secret";
    let issuer = || Issuer::new("https://id.test/").jwks_uri(secret);
    let builder = ResourceServer::new(API).trust(issuer());
    let shown = format!("{:?} {:?} {builder:?}", issuer(), Trust::from(issuer()));
    assert!(!shown.contains("secret"), "{shown}");
    let (idp, server) = answering(async |_| http::StatusCode::FORBIDDEN.into_response()).await;
    let address = idp.issuer();
    server
        .reload(ResourceServer::new(API).trust(Issuer::new(address).jwks_uri(format!("{address}/keys?secret"))))
        .unwrap();
    assert!(reason(&idp, &server).await.contains("/keys answered 403"));
    assert!(!format!("{:?} {server:?}", server.status()).contains("secret"));

    // reqwest itself would show it
    let wrapped = tower::service_fn(|request: http::Request<http_body_util::Empty<axum::body::Bytes>>| async move {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let response = client.get(request.uri().to_string()).send().await?;
        Ok::<_, reqwest::Error>(http::Response::<reqwest::Body>::from(response))
    });
    let nobody = Issuer::new(address).jwks_uri("http://127.0.0.1:1/keys?secret");
    let server = trusting_with(nobody, Some(HttpClient::from_service(wrapped)));
    assert!(reason(&idp, &server).await.contains("no answer from http://127.0.0.1:1/keys"));

    // two tenants whose addresses differ by what no server sees
    let (listener, address) = bind().await;
    let tenants = [Idp::new(format!("{address}/a")), Idp::new(format!("{address}/b"))];
    let (set, fetches) = (tenants[0].jwks().to_string(), Arc::new(AtomicU64::new(0)));
    let count = Arc::clone(&fetches);
    let keys = async move || {
        count.fetch_add(1, Ordering::SeqCst);
        json(set)
    };
    serve(listener, Router::new().route("/keys", get(keys))).await;
    let template = IssuerTemplate::new(format!("{address}/{{tenant}}"), |_| true);
    let template = template.jwks_uri(format!("{address}/keys?secret#{{tenant}}"));
    let server = ResourceServer::new(API).trust_with(template).allow_private_host("127.0.0.1").build().unwrap();
    for tenant in &tenants {
        let token = tenants[0].token("alice").issuer(tenant.issuer()).sign();
        assert!(server.authenticate(&token).await.is_ok());
    }
    assert_eq!((fetches.load(Ordering::SeqCst), server.status().len()), (1, 1));
    assert_eq!(*server.status()[0].issuer, *format!("{address}/keys"));
}

/// A certificate authority, so that there is one.
#[cfg(target_os = "linux")]
const AUTHORITY: &str = "\
-----BEGIN CERTIFICATE-----
MIIBdjCCARugAwIBAgIUPFjplpw6Y7vEdvTF5ohu7jpsomAwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMzAxOTExMjNaGA8yMTI2MTEwNjE5MTEy
M1owDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABG5x
poby97rYm01b77obnRk6c2gSOeSJfcJZ8OWkBmLfH20pCF+aurYokD1vb/vXUZer
oSPhTnogkfgn7S20126jUzBRMB0GA1UdDgQWBBRy6LpTaJLGjn/J+vx8VvfLjWRv
nTAfBgNVHSMEGDAWgBRy6LpTaJLGjn/J+vx8VvfLjWRvnTAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0kAMEYCIQDEO103QXSUPxrUKxhITjndl5zjQduX8iMe
pioajiZ3+AIhAP6TUzQToWbaDTnuHpCzCiR1HN4M9iX7SJxhXGfPUmrj
-----END CERTIFICATE-----
";

/// In a process of its own, whose environment says where the authorities are, and that there is a
/// proxy, at which nobody answers.
#[cfg(target_os = "linux")]
#[test]
fn a_machine_without_certificate_authorities_is_told_so_where_it_needs_them_and_asked_again() {
    const FILE: &str = "TOWER_BEARER_TEST_AUTHORITIES";
    if let Some(file) = std::env::var_os(FILE) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(without_authorities(file.as_ref()));
    }
    let file = std::env::temp_dir().join(format!("tower-bearer-{}.pem", std::process::id()));
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "a_machine_without_certificate_authorities_is_told_so_where_it_needs_them_and_asked_again"]);
    child.env(FILE, &file).env("SSL_CERT_FILE", &file).env_remove("SSL_CERT_DIR").env_remove("NO_PROXY");
    child.envs(["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"].map(|name| (name, "http://127.0.0.1:1")));
    let output = child.output().unwrap();
    let _ = std::fs::remove_file(&file);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[cfg(target_os = "linux")]
async fn without_authorities(file: &std::path::Path) {
    let (idp, address) = named("0.0.0.0").await;
    let local = Idp::new(format!("http://{address}"));
    let server = ResourceServer::new(API)
        .trust(Issuer::new(idp.issuer()))
        .dangerously_fetch_keys_over_plain_http_from(format!("0.0.0.0:{}", address.port()))
        .trust(Issuer::new(local.issuer()).jwks_uri(format!("http://{address}/jwks")))
        .trust(Issuer::new("https://127.0.0.1:1/"))
        .build()
        .unwrap();
    let error = server.ready().await.unwrap_err();
    let reasons: Vec<_> = error.reasons().iter().map(ToString::to_string).collect();
    assert_eq!(reasons.len(), 1, "all plain http goes without: {reasons:?}");
    for told in ["no CA certificates", "install ca-certificates", "http_client", "No CA certificates were loaded"] {
        assert!(reasons[0].contains(told), "{reasons:?}");
    }
    // once there are some, the next fetch finds them
    std::fs::write(file, AUTHORITY).unwrap();
    let error = server.refresh("https://127.0.0.1:1/").await.unwrap_err().to_string();
    assert!(error.contains("no answer from https://127.0.0.1:1/"), "{error}");
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
    let reason = reason(&idp, &server).await;
    assert!(reason.contains("307") && reason.contains("only of metadata"), "{reason}");
    assert_eq!(hits.load(Ordering::SeqCst), 0);
}

/// Each kind of client: our own, and two of an application that follow no redirect.
fn clients() -> [Option<HttpClient>; 3] {
    let reqwest = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let hyper = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .build_http::<http_body_util::Empty<axum::body::Bytes>>();
    [None, Some(HttpClient::from(reqwest)), Some(HttpClient::from_service(hyper))]
}

fn trusting_with(issuer: Issuer, client: Option<HttpClient>) -> ResourceServer {
    let server = ResourceServer::new(API).trust(issuer);
    client.into_iter().fold(server, |server, client| server.http_client(client)).build().unwrap()
}

/// An issuer whose metadata have moved to `location`, where `{here}` is its own address. Below
/// `/index.php` they are there.
async fn moved(status: u16, location: &str) -> Idp {
    let (listener, here) = bind().await;
    let idp = Idp::new(&here);
    let metadata = json!({ "issuer": here, "jwks_uri": format!("{here}/k") }).to_string();
    let (keys, location) = (idp.clone(), location.replace("{here}", &here));
    let redirect =
        (http::StatusCode::from_u16(status).unwrap(), [("location", location), ("set-cookie", "a=b".to_owned())]);
    let found = async move |headers: http::HeaderMap| {
        let followed = ["cookie", "referer", "authorization"].iter().any(|name| headers.contains_key(*name));
        if followed { http::StatusCode::BAD_REQUEST.into_response() } else { json(metadata) }
    };
    let app = Router::new()
        .route("/.well-known/openid-configuration", get(async move || redirect))
        .route("/index.php/metadata", get(found))
        .route("/twice", get(async || Redirect::temporary("/index.php/metadata")))
        .route("/k", get(async move || json(keys.jwks())));
    serve(listener, app).await;
    idp
}

#[tokio::test]
async fn metadata_are_found_where_one_redirect_on_the_same_host_leads() {
    for (status, location) in [
        (301, "/index.php/metadata"),
        (302, "../index.php/metadata#x"),
        (303, "{here}/index.php/metadata?a=b"),
        (307, "/index.php/metadata"),
        (308, "//{here}/index.php/metadata"),
    ] {
        let location = location.replace("//{here}", "{here}");
        for client in clients() {
            let idp = moved(status, &location).await;
            let server = trusting_with(Issuer::new(idp.issuer()), client);
            let verdict = server.authenticate(&idp.token("alice").sign()).await;
            assert!(verdict.is_ok(), "{status} {location}: {verdict:?}");
        }
    }
}

#[tokio::test]
async fn no_redirect_of_metadata_leads_elsewhere_or_further() {
    let hits = Arc::new(AtomicU64::new(0));
    let (listener, elsewhere) = bind().await;
    let count = Arc::clone(&hits);
    serve(listener, Router::new().fallback(async move || count.fetch_add(1, Ordering::SeqCst).to_string())).await;
    let local = elsewhere.replace("127.0.0.1", "localhost");
    for location in [
        &elsewhere,
        &elsewhere.replace("http:", ""),
        &local,
        &elsewhere.replace("http", "https"),
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "{here}/twice",
        "http://[",
        "",
    ] {
        for client in clients() {
            let idp = moved(302, location).await;
            let server = trusting_with(Issuer::new(idp.issuer()), client);
            let reason = reason(&idp, &server).await;
            assert!(reason.contains("redirect"), "{location}: {reason}");
        }
    }
    // neither another status, nor another name of the same host, nor a user name
    for (status, location) in [(300, "/index.php/metadata"), (304, "/index.php/metadata"), (201, "/index.php/metadata")]
    {
        let idp = moved(status, location).await;
        assert!(reason(&idp, &trusting(Issuer::new(idp.issuer()))).await.contains(&status.to_string()));
    }
    let idp = moved(302, "/index.php/metadata").await;
    let named = idp.issuer().replace("127.0.0.1", "user@127.0.0.1");
    let idp = moved(302, &format!("{named}/index.php/metadata")).await;
    reason(&idp, &trusting(Issuer::new(idp.issuer()))).await;
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
