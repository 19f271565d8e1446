//! Over HTTP/2 with tonic's own client, and once as grpc-web: refusals are gRPC statuses, never HTTP ones.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::future::IntoFuture;

use http::header::CONTENT_TYPE;
use support::orders::orders_client::OrdersClient;
use support::orders::orders_server::{Orders, OrdersServer};
use support::orders::{Order, PlaceRequest, WatchRequest};
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::LayerExt;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request, Response, Status};
use tonic_web::GrpcWebLayer;
use tower_bearer::checks::{Answer, Denied, OnUnavailable, RequestContext, TokenCheck};
use tower_bearer::reject::ProblemJson;
use tower_bearer::testing::Idp;
use tower_bearer::tonic::RequestExt;
use tower_bearer::{AccessToken, BearerAuthLayer, Error, ErrorKind, RequireLayer, ResourceServer, Rule, permissions};

permissions! {
    PlaceOrders = scope("orders:write");
}

#[derive(serde::Deserialize)]
struct Tenant {
    tenant_id: String,
}

struct Shop;

#[tonic::async_trait]
impl Orders for Shop {
    async fn place(&self, request: Request<PlaceRequest>) -> Result<Response<Order>, Status> {
        let buyer = request.require::<PlaceOrders>()?;
        let buyer = buyer.subject().unwrap_or_default().to_owned();
        Ok(Response::new(Order { id: 1, item: request.into_inner().item, buyer }))
    }

    type WatchStream = tokio_stream::Iter<std::vec::IntoIter<Result<Order, Status>>>;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let token = request.typed_access_token::<Tenant>()?;
        let order = Order { id: request.get_ref().id, item: "lamp".into(), buyer: token.claims().tenant_id.clone() };
        Ok(Response::new(tokio_stream::iter(vec![Ok(order.clone()), Ok(order)])))
    }
}

/// Serves the orders; returns the address.
async fn serve(layer: BearerAuthLayer<Tenant>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    // behind a layer for grpc-web, its calls would be gRPC over HTTP/1.1
    let mut serving = Server::builder().accept_http1(true).layer(layer).layer(GrpcWebLayer::new());
    let serving = serving.add_service(OrdersServer::new(Shop));
    tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

async fn world() -> (Idp, OrdersClient<Channel>, String) {
    let idp = Idp::new("https://id.test/");
    let server = ResourceServer::new("https://api.test").trust(&idp).claims::<Tenant>().build().unwrap();
    let address = serve(BearerAuthLayer::new(server)).await;
    let client = OrdersClient::connect(address.clone()).await.unwrap();
    (idp, client, address)
}

fn with<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

fn lamp() -> PlaceRequest {
    PlaceRequest { item: "lamp".into() }
}

#[tokio::test]
async fn a_unary_call_is_answered_by_status_codes_of_grpc() {
    let (idp, mut client, _) = world().await;
    let good = || idp.token("alice").claim("tenant_id", "north");

    let order = client.place(with(lamp(), &good().scope("orders:write").sign())).await.unwrap().into_inner();
    assert_eq!((order.item.as_str(), order.buyer.as_str()), ("lamp", "alice"));

    let table = [
        (Request::new(lamp()), Code::Unauthenticated, ErrorKind::MissingToken),
        (with(lamp(), ""), Code::Unauthenticated, ErrorKind::MissingToken),
        (with(lamp(), "a b"), Code::Unauthenticated, ErrorKind::MalformedRequest),
        (with(lamp(), "a.b.c"), Code::Unauthenticated, ErrorKind::MalformedToken),
        (with(lamp(), &good().expired().sign()), Code::Unauthenticated, ErrorKind::Expired),
        (with(lamp(), &good().wrong_key().sign()), Code::Unauthenticated, ErrorKind::BadSignature),
        (with(lamp(), &good().scope("orders:read").sign()), Code::PermissionDenied, ErrorKind::InsufficientScope),
    ];
    for (request, code, kind) in table {
        let status = client.place(request).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, kind.to_string().as_str()), "{kind:?}");
    }
}

/// Says what the subject is called.
struct Named;

impl TokenCheck for Named {
    fn name(&self) -> &'static str {
        "named"
    }

    fn check(&self, token: &AccessToken, request: &RequestContext<'_>) -> Answer {
        assert_eq!(request.head().unwrap().uri().path(), "/shop.Orders/Place");
        let token = token.clone();
        Answer::later(async move {
            match token.subject().unwrap_or_default() {
                "revoked" => Answer::No(Denied::revoked("")),
                "banned" => Answer::No(Denied::access_denied("")),
                "poor" => Answer::No(Denied::insufficient_scope(Rule::scope("orders:pay"))),
                "unknown" => Answer::cannot_tell(""),
                _ => Answer::Yes,
            }
        })
    }
}

#[tokio::test]
async fn checks_are_answered_by_status_codes_of_grpc() {
    let idp = Idp::new("https://id.test/");
    let unknown = (Code::Unavailable, ErrorKind::CheckUnavailable);
    for (on_unavailable, unknown) in [
        (OnUnavailable::fail_closed(), Some(unknown)),
        (OnUnavailable::dangerously_fail_open(), None),
        // a call may change something, whatever it is called
        (OnUnavailable::dangerously_fail_open_for_safe_methods(), Some(unknown)),
    ] {
        let server = ResourceServer::new("https://api.test").trust(&idp).claims::<Tenant>();
        let server = server.check_with(Named, on_unavailable).build().unwrap();
        let mut client = OrdersClient::connect(serve(BearerAuthLayer::new(server)).await).await.unwrap();
        let token = |subject: &str| idp.token(subject).claim("tenant_id", "north").scope("orders:write").sign();
        for (subject, expected) in [
            ("revoked", Some((Code::Unauthenticated, ErrorKind::Revoked))),
            ("banned", Some((Code::PermissionDenied, ErrorKind::AccessDenied))),
            ("poor", Some((Code::PermissionDenied, ErrorKind::InsufficientScope))),
            ("unknown", unknown),
            ("alice", None),
        ] {
            let called = client.place(with(lamp(), &token(subject))).await;
            let found = called.err().map(|status| (status.code(), status.message().to_owned()));
            let expected = expected.map(|(code, kind)| (code, kind.to_string()));
            assert_eq!(found, expected, "{subject} {on_unavailable:?}");
        }
    }
}

#[tokio::test]
async fn a_server_stream_is_guarded_like_a_unary_call() {
    let (idp, mut client, _) = world().await;
    let good = idp.token("alice").claim("tenant_id", "north").sign();
    let stream = client.watch(with(WatchRequest { id: 7 }, &good)).await.unwrap().into_inner();
    let orders: Vec<_> = stream.map(|order| order.unwrap()).collect().await;
    assert_eq!(orders.iter().map(|order| (order.id, order.buyer.as_str())).collect::<Vec<_>>(), [(7, "north"); 2]);
    let refused = client.watch(Request::new(WatchRequest { id: 7 })).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn an_outage_is_unavailable() {
    let (idp, mut client, _) = world().await;
    idp.outage();
    let status = client.place(with(lamp(), &idp.token("alice").sign())).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
}

#[tokio::test]
async fn the_layer_keeps_the_name_of_the_service_that_it_wraps() {
    let idp = Idp::new("https://id.test/");
    let server = ResourceServer::new("https://api.test").trust(&idp).claims::<Tenant>().build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    // a router of services needs it
    let guarded = tower::ServiceBuilder::new().layer(BearerAuthLayer::new(server)).named_layer(OrdersServer::new(Shop));
    let serving = Server::builder().add_service(guarded);
    tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
    let mut client = OrdersClient::connect(address).await.unwrap();
    assert_eq!(client.place(Request::new(lamp())).await.unwrap_err().code(), Code::Unauthenticated);
    let good = idp.token("alice").claim("tenant_id", "t").scope("orders:write").sign();
    assert!(client.place(with(lamp(), &good)).await.is_ok());
}

#[tokio::test]
async fn a_refusal_is_headers_only_with_http_status_200() {
    let (idp, _, _) = world().await;
    let server = ResourceServer::new("https://api.test").trust(&idp).build().unwrap();
    let inner = tower::service_fn(|_: http::Request<()>| async { Ok::<_, Error>(http::Response::new("never")) });
    let service = tower::ServiceBuilder::new().layer(BearerAuthLayer::new(server.clone())).service(inner);
    let without = tower::ServiceBuilder::new().layer(BearerAuthLayer::new(server).without_grpc()).service(inner);
    let (old, new) = (http::Version::HTTP_11, http::Version::HTTP_2);
    for (version, content_type, answered) in [
        (new, "application/grpc", "application/grpc"),
        (new, "application/grpc+proto", "application/grpc"),
        (new, "Application/gRPC; charset=utf-8", "application/grpc"),
        (old, "application/grpc", ""),
        (old, "application/grpc+proto", ""),
        (new, "application/grpc ,text/html", ""),
        (old, "application/grpc-web+proto", "application/grpc-web"),
        (new, "application/grpc-web-text", "application/grpc-web-text"),
        (new, "application/grpcurl", ""),
        (new, "application/json", ""),
        (new, "text/plain; application/grpc", ""),
    ] {
        let request = || {
            let request = http::Request::post("/shop.Orders/Place").version(version);
            request.header(CONTENT_TYPE, content_type).body(()).unwrap()
        };
        let response = tower::ServiceExt::oneshot(without.clone(), request()).await.unwrap();
        assert_eq!(response.status(), 401, "{content_type}, where nothing is gRPC");
        let response = tower::ServiceExt::oneshot(service.clone(), request()).await.unwrap();
        if answered.is_empty() {
            assert_eq!(response.status(), 401, "{version:?} {content_type} is not gRPC");
            continue;
        }
        assert_eq!(response.status(), 200, "{version:?} {content_type}");
        assert_eq!(*response.body(), "");
        let headers = response.headers();
        assert_eq!(headers["grpc-status"], "16");
        assert_eq!(headers["grpc-message"], "a bearer token is required");
        assert_eq!(headers[CONTENT_TYPE], answered);
        assert!(!headers.contains_key("www-authenticate"));
        assert_eq!(response.extensions().get::<Error>().unwrap().kind(), ErrorKind::MissingToken);
    }
}

#[tokio::test]
async fn only_a_post_is_grpc_so_that_no_proxy_takes_a_refusal_for_a_yes() {
    let (idp, _, _) = world().await;
    let server = ResourceServer::new("https://api.test").trust(&idp).build().unwrap();
    let inner = tower::service_fn(|_: http::Request<()>| async { Ok::<_, Error>(http::Response::new("never")) });
    let service = tower::ServiceBuilder::new().layer(BearerAuthLayer::new(server)).service(inner);
    for method in ["GET", "HEAD", "PUT", "OPTIONS", "post"] {
        let request = http::Request::builder().method(method).version(http::Version::HTTP_2);
        let request = request.header(CONTENT_TYPE, "application/grpc").body(()).unwrap();
        let response = tower::ServiceExt::oneshot(service.clone(), request).await.unwrap();
        assert_eq!(response.status(), 401, "{method}");
    }
}

/// What a proxy hears that asks, by HTTP/1.1, whether a request is allowed, and passes on its
/// client's method and headers.
async fn asked(service: axum::Router, content_type: &str, token: &str) -> (u16, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, service).into_future());
    let request = reqwest::Client::new().post(format!("http://{address}/check"));
    let request = request.header(CONTENT_TYPE, content_type).header("te", "trailers").bearer_auth(token);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn a_proxy_that_asks_hears_no_however_its_client_disguises_the_request() {
    let idp = Idp::new("https://id.test/");
    let server = ResourceServer::new("https://api.test").trust(&idp).build().unwrap();
    let check = || {
        let own = axum::routing::post(async |_: AccessToken| "yes");
        let ruled = axum::routing::post(async || "yes").route_layer(RequireLayer::new(Rule::scope("orders:read")));
        axum::Router::new().route("/check", ruled).route("/own", own)
    };
    let good = idp.token("alice").scope("orders:read").sign();
    let poor = idp.token("alice").sign();
    for (token, expected) in [("garbage", 401), (&*poor, 403), (&*good, 200)] {
        let layer = BearerAuthLayer::new(server.clone());
        assert_eq!(asked(check().layer(layer.clone()), "application/grpc", token).await.0, expected);
        let json = layer.clone().reject_with(ProblemJson::default());
        assert_eq!(asked(check().layer(json), "application/grpc+proto", token).await.0, expected);
        for content_type in ["application/grpc-web", "application/grpc-web-text", "application/grpc"] {
            let (status, body) = asked(check().layer(layer.clone().without_grpc()), content_type, token).await;
            assert_eq!((status, body.as_str()), (expected, if expected == 200 { "yes" } else { "" }));
            let json = layer.clone().without_grpc().reject_with(ProblemJson::default());
            assert_eq!(asked(check().layer(json), content_type, token).await.0, expected);
        }
    }
}

#[tokio::test]
async fn grpc_web_is_refused_and_served_over_http_1() {
    let (idp, _, address) = world().await;
    let call = async |token: Option<String>| {
        // one uncompressed message: PlaceRequest { item: "lamp" }
        let body: &[u8] = b"\x00\x00\x00\x00\x06\x0a\x04lamp";
        let request = reqwest::Client::new().post(format!("{address}/shop.Orders/Place"));
        let request = request.header(CONTENT_TYPE, "application/grpc-web+proto").body(body);
        let request = token.into_iter().fold(request, |request, token| request.bearer_auth(token));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        let headers = response.headers().clone();
        (headers, String::from_utf8_lossy(&response.bytes().await.unwrap()).into_owned())
    };
    let (headers, body) = call(None).await;
    let status = headers.get("grpc-status").map(|value| value.to_str().unwrap().to_owned());
    assert!(status.as_deref() == Some("16") || body.contains("grpc-status:16"), "{headers:?} {body:?}");

    let (_, body) = call(Some(idp.token("alice").claim("tenant_id", "t").scope("orders:write").sign())).await;
    assert!(body.contains("lamp") && body.contains("alice") && body.contains("grpc-status:0"), "{body:?}");
}

#[tokio::test]
async fn a_rule_guards_a_grpc_service_whatever_claims_the_server_reads() {
    let idp = Idp::new("https://id.test/");
    let server = ResourceServer::new("https://api.test").trust(&idp).claims::<Tenant>().build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let rule = RequireLayer::new(Rule::role("clerk"));
    let serving =
        Server::builder().layer(BearerAuthLayer::new(server)).layer(rule).add_service(OrdersServer::new(Shop));
    tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
    let mut client = OrdersClient::connect(address).await.unwrap();

    let token = || idp.token("alice").claim("tenant_id", "t").scope("orders:write");
    assert_eq!(client.place(with(lamp(), &token().sign())).await.unwrap_err().code(), Code::PermissionDenied);
    assert!(client.place(with(lamp(), &token().role("clerk").sign())).await.is_ok());
}

#[test]
fn a_method_without_the_layer_is_internal_and_the_status_carries_the_reason() {
    let status = Request::new(()).require::<PlaceOrders>().unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    let source = std::error::Error::source(&status).unwrap().downcast_ref::<Error>().unwrap();
    assert_eq!(source.kind(), ErrorKind::LayerMissing);
}
