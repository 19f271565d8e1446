//! The caller's token on its way through a service to another one: real listeners, hyper's client and tonic's channel.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::IntoResponse;
use axum::routing::get as route;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use support::orders::PlaceRequest;
use support::orders::orders_client::OrdersClient;
use support::orders::orders_server::OrdersServer;
use support::shop::Shop;
use support::{get, get_with, send};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tower::{Layer, ServiceExt};
use tower_bearer::credential::TokenSource;
use tower_bearer::mtls::ClientCertificate;
use tower_bearer::relay::{CallerToken, Relay, RelayLayer};
use tower_bearer::testing::{Idp, ProofKey};
use tower_bearer::{AccessToken, BearerAuthLayer, Issuer, ResourceServer};

type Http = Relay<Client<HttpConnector, Body>>;

fn world() -> (Idp, ResourceServer) {
    let idp = Idp::new("https://id.test/");
    let server = ResourceServer::new("https://api.test").trust(&idp).build().unwrap();
    (idp, server)
}

async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, app).into_future());
    address
}

/// A service that shows which headers it gets.
async fn mirror() -> String {
    let headers = async |headers: HeaderMap| {
        let mut names: Vec<_> = headers.keys().map(|name| name.as_str().to_owned()).collect();
        names.sort();
        names.join(" ")
    };
    serve(Router::new().route("/", route(headers))).await
}

/// A gateway: passes on its request, headers and all, to the address in `x-to`.
async fn pass_on(State(http): State<Http>, caller: CallerToken, mut request: Request) -> impl IntoResponse {
    *request.uri_mut() = request.headers()["x-to"].to_str().unwrap().parse().unwrap();
    request.extensions_mut().insert(caller);
    http.oneshot(request).await.map_err(|_| StatusCode::BAD_GATEWAY)
}

fn gateway(server: &ResourceServer, listed: &str, sources: impl IntoIterator<Item = TokenSource>) -> Router {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let http = RelayLayer::to([listed]).unwrap().layer(client);
    let auth = BearerAuthLayer::new(server.clone()).token_sources(sources).unwrap().relayable();
    Router::new().route("/", route(pass_on)).layer(auth).with_state(http)
}

async fn text(response: http::Response<Body>) -> (u16, String) {
    let status = response.status().as_u16();
    (status, String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

#[tokio::test]
async fn the_other_service_decides_about_the_same_caller() {
    let (idp, server) = world();
    let who = async |token: AccessToken| token.subject().unwrap_or_default().to_owned();
    let back = serve(Router::new().route("/", route(who)).layer(BearerAuthLayer::new(server.clone()))).await;
    let token = idp.token("alice").sign();
    let gateway = gateway(&server, &back, [TokenSource::authorization(), TokenSource::cookie("t")]);
    let mut request = get_with("/", &token);
    request.headers_mut().insert("x-to", back.parse().unwrap());
    assert_eq!(text(send(&gateway, request).await).await, (200, "alice".to_owned()));
    // wherever the token came from
    let mut request = get("/", &[]);
    request.headers_mut().insert("x-to", back.parse().unwrap());
    request.headers_mut().insert(header::COOKIE, format!("t={token}").parse().unwrap());
    assert_eq!(text(send(&gateway, request).await).await, (200, "alice".to_owned()));
    assert_eq!(send(&gateway, get("/", &[])).await.status(), 401);
}

#[tokio::test]
async fn nobody_else_gets_the_token_or_what_a_caller_says_of_himself() {
    let (idp, server) = world();
    let (listed, other) = (mirror().await, mirror().await);
    let gateway = gateway(&server, &listed, [TokenSource::authorization()]);
    let ask = async |to: &str| {
        let mut request = get_with("/", &idp.token("alice").sign());
        for (name, value) in [
            ("x-to", to),
            ("x-forwarded-user", "admin"),
            ("x-forwarded-tls-client-cert", "MIIB"),
            ("x-hop", "1"),
            ("connection", "x-hop, authorization"),
            ("cookie", "session=1"),
            ("accept", "*/*"),
        ] {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        text(send(&gateway, request).await).await.1
    };
    assert_eq!(ask(&listed).await, "accept authorization host x-to");
    assert_eq!(ask(&other).await, "accept host x-to");
}

#[tokio::test]
async fn only_a_verified_token_is_kept_and_only_if_the_layer_is_told_to() {
    let (idp, server) = world();
    let kept = async |request: Request| request.extensions().get::<CallerToken>().is_some().to_string();
    let app = |layer: BearerAuthLayer| {
        let taken = async |_: CallerToken| "kept";
        Router::new().route("/kept", route(kept)).route("/taken", route(taken)).layer(layer)
    };
    let lenient = app(BearerAuthLayer::new(server.clone()).lenient().relayable());
    let (good, bad) = (idp.token("alice").sign(), idp.token("alice").expired().sign());
    assert_eq!(text(send(&lenient, get_with("/kept", &good)).await).await.1, "true");
    assert_eq!(text(send(&lenient, get_with("/kept", &bad)).await).await.1, "false");
    assert_eq!(send(&lenient, get_with("/taken", &bad)).await.status(), 401);
    let nested = lenient.layer(BearerAuthLayer::new(server.clone()).relayable());
    assert_eq!(text(send(&nested, get_with("/kept", &good)).await).await.1, "true");
    // an outer layer's is not the caller's whom an inner one has found
    let source = [TokenSource::header(http::HeaderName::from_static("x-user-token"))];
    let mixed = app(BearerAuthLayer::new(server.clone()).token_sources(source).unwrap())
        .layer(BearerAuthLayer::new(server.clone()).relayable());
    let mut request = get_with("/taken", &idp.token("proxy").sign());
    request.headers_mut().insert("x-user-token", good.parse().unwrap());
    assert_eq!(send(&mixed, request).await.status(), 500);
    let there = mirror().await;
    let relay = RelayLayer::to([&there]).unwrap().layer(Client::builder(TokioExecutor::new()).build_http());
    let as_it_came = async |State((http, there)): State<(Http, String)>, mut request: Request| {
        *request.uri_mut() = there.parse().unwrap();
        http.oneshot(request).await.map_err(|_| StatusCode::BAD_GATEWAY)
    };
    let source = [TokenSource::header(http::HeaderName::from_static("x-user-token"))];
    let inner = Router::new().route("/", route(as_it_came)).with_state((relay, there));
    let outer = |app: Router| app.layer(BearerAuthLayer::new(server.clone()).relayable());
    let mut request = get_with("/", &idp.token("proxy").sign());
    request.headers_mut().insert("x-user-token", good.parse().unwrap());
    let mixed = outer(inner.clone().layer(BearerAuthLayer::new(server.clone()).token_sources(source).unwrap()));
    assert_eq!(text(send(&mixed, request).await).await, (200, "host".to_owned()));
    let plain = outer(inner);
    assert_eq!(text(send(&plain, get_with("/", &good)).await).await, (200, "authorization host".to_owned()));
    // nor is it that of a route for everybody
    let open = app(BearerAuthLayer::new(server.clone()).public_path(http::Method::GET, "/kept").unwrap())
        .layer(BearerAuthLayer::new(server.clone()).relayable());
    assert_eq!(text(send(&open, get_with("/kept", &good)).await).await.1, "false");
    let forgetful = app(BearerAuthLayer::new(server));
    assert_eq!(text(send(&forgetful, get_with("/kept", &good)).await).await.1, "false");
    assert_eq!(send(&forgetful, get_with("/taken", &good)).await.status(), 500, "a mistake of ours");
}

/// The proof, or the certificate, was for the gateway: the token is nobody's bearer token.
#[tokio::test]
async fn a_token_that_is_bound_to_its_sender_is_had_for_an_exchange_and_not_passed_on() {
    let (idp, key) = (Idp::new("https://id.test/"), ProofKey::new());
    let issuer = Issuer::new("https://id.test/").accept_dpop().accept_mtls();
    let server = ResourceServer::new("https://api.test").trust((issuer, idp.clone()));
    let server = server.public_origin("https://api.test").build().unwrap();
    let there = mirror().await;
    let gateway = gateway(&server, &there, [TokenSource::authorization()]);
    let kept = Router::new()
        .route("/", route(async |caller: CallerToken| caller.expose_secret().to_owned()))
        .layer(BearerAuthLayer::new(server).relayable());
    let certificate = ClientCertificate::new(b"ours");
    let of_certificate = json!({ "x5t#S256": URL_SAFE_NO_PAD.encode(certificate.thumbprint()) });
    let (plain, by_key) = (idp.token("alice").sign(), idp.token("alice").bound_to(&key).sign());
    let by_certificate = idp.token("alice").claim("cnf", of_certificate).sign();
    for (scheme, token, passed_on) in
        [("Bearer", &plain, true), ("DPoP", &by_key, false), ("Bearer", &by_certificate, false)]
    {
        let request = || {
            let proof = key.proof("GET", "https://api.test/").token(token).sign();
            let request = Request::get("/").header("authorization", format!("{scheme} {token}")).header("dpop", proof);
            request.header("x-to", &there).extension(certificate).body(Body::empty()).unwrap()
        };
        assert_eq!(text(send(&kept, request()).await).await, (200, token.clone()));
        let expected = if passed_on { "authorization host x-to" } else { "host x-to" };
        assert_eq!(text(send(&gateway, request()).await).await, (200, expected.to_owned()), "{scheme}");
    }
}

#[tokio::test]
async fn tonics_channel_relays_to_its_origin() {
    let (idp, server) = world();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let serving = tonic::transport::Server::builder()
        .layer(BearerAuthLayer::new(server.clone()))
        .add_service(OrdersServer::new(Shop));
    tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
    let channel = tonic::transport::Endpoint::new(address.clone()).unwrap().connect().await.unwrap();
    let relayed = RelayLayer::to([&address]).unwrap().layer(channel);
    // so that the layer knows where a call goes
    let client = OrdersClient::with_origin(relayed, address.parse().unwrap());
    let order = async |mut client: OrdersClient<_>, caller: CallerToken| -> Result<String, StatusCode> {
        let mut request = tonic::Request::new(PlaceRequest { item: "lamp".into() });
        request.extensions_mut().insert(caller);
        client.place(request).await.map(|order| order.into_inner().buyer).map_err(|_| StatusCode::BAD_GATEWAY)
    };
    let handler = async move |caller: CallerToken| order(client.clone(), caller).await;
    let front = Router::new().route("/", route(handler)).layer(BearerAuthLayer::new(server).relayable());
    assert_eq!(text(send(&front, get_with("/", &idp.token("alice").sign())).await).await, (200, "alice".to_owned()));
}
