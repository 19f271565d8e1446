//! Streams end with the token that has opened them: over an in-memory connection, with tokio's clock, which stands for the wall's.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::response::sse::{Event, Sse};
use axum::routing::get as route;
use futures_util::{FutureExt, StreamExt};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use support::orders::orders_client::OrdersClient;
use support::orders::orders_server::{Orders, OrdersServer};
use support::orders::{Order, PlaceRequest, WatchRequest};
use support::{get, get_with, send};
use tokio::io::DuplexStream;
use tokio::time::Instant;
use tokio_stream::wrappers::{IntervalStream, ReceiverStream};
use tonic::transport::{Endpoint, Server, Uri};
use tonic::{Code, Request, Response, Status};
use tower::service_fn;
use tower_bearer::config::Clock;
use tower_bearer::deadline::DeadlineLayer;
use tower_bearer::revocation::RevocationList;
use tower_bearer::testing::{Idp, ManualClock};
use tower_bearer::tonic::RequestExt;
use tower_bearer::{AccessToken, BearerAuthLayer, Error, ErrorKind, Issuer, ResourceServer};

const MINUTE: Duration = Duration::from_secs(60);

/// A clock that goes with tokio's, which is paused.
fn clock() -> impl Fn() -> SystemTime + Clone + Send + Sync {
    let (start, since) = (ManualClock::new().now(), Instant::now());
    move || start + since.elapsed()
}

/// An issuer and a server by that clock.
fn world() -> (Idp, ResourceServer) {
    let idp = Idp::new("https://id.test/").clock(clock());
    let server = ResourceServer::new("https://api.test").trust(&idp).clock(clock()).build().unwrap();
    (idp, server)
}

/// The number of a stream, each second.
fn numbers() -> impl tokio_stream::Stream<Item = u64> {
    let interval = tokio::time::interval(Duration::from_secs(1));
    IntervalStream::new(interval).enumerate().map(|(number, _)| number as u64)
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_the_moment_of_expiry_without_leeway() {
    let (idp, server) = world();
    let token = server.authenticate(&idp.token("alice").expires_in(5 * MINUTE).sign()).await.unwrap();
    let start = Instant::now();
    let mut deadline = token.deadline();
    assert!((&mut deadline).now_or_never().is_none());
    (&mut deadline).await;
    let took = start.elapsed().as_secs_f64();
    // times in tokens are whole seconds
    assert!((298.9..=300.1).contains(&took), "{took}");
    assert!(deadline.now_or_never().is_some(), "and stays so");
    assert!(token.deadline().now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_token_that_may_not_grow_old_ends_when_it_is() {
    let idp = Idp::new("https://id.test/").clock(clock());
    let young =
        ResourceServer::new("https://api.test").trust((Issuer::new("https://id.test/").max_age(MINUTE), idp.clone()));
    let server = young.clock(clock()).build().unwrap();
    let token = server.authenticate(&idp.token("alice").expires_in(60 * MINUTE).sign()).await.unwrap();
    let start = Instant::now();
    token.deadline().await;
    let took = start.elapsed().as_secs_f64();
    assert!((58.9..=60.1).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_is_noticed() {
    let jumping = ManualClock::new();
    let idp = Idp::new("https://id.test/").clock(jumping.clone());
    let server = ResourceServer::new("https://api.test").trust(&idp).clock(jumping.clone()).build().unwrap();
    let token = server.authenticate(&idp.token("alice").expires_in(60 * MINUTE).sign()).await.unwrap();
    let (start, waiting) = (Instant::now(), tokio::spawn(token.deadline()));
    tokio::task::yield_now().await;
    // as after the machine was suspended
    jumping.advance(61 * MINUTE);
    waiting.await.unwrap();
    assert!(start.elapsed() <= Duration::from_secs(31), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_and_may_say_why() {
    let (idp, server) = world();
    let token = server.authenticate(&idp.token("alice").expires_in(MINUTE).sign()).await.unwrap();
    let items: Vec<_> = token.deadline().end(numbers()).collect().await;
    assert!((59..=61).contains(&items.len()), "{}", items.len());
    let token = server.authenticate(&idp.token("alice").expires_in(MINUTE).sign()).await.unwrap();
    let mut stream = Box::pin(token.deadline().end_with(numbers(), u64::MAX));
    let items: Vec<_> = (&mut stream).collect().await;
    assert_eq!((items.last(), stream.next().await), (Some(&u64::MAX), None));
    // one that ends by itself says nothing more
    let token = server.authenticate(&idp.token("alice").sign()).await.unwrap();
    let items: Vec<_> = token.deadline().end_with(numbers().take(3), u64::MAX).collect().await;
    assert_eq!(items, [0, 1, 2]);
    // and one that is always ready does not escape
    let token = server.authenticate(&idp.token("alice").expires_in(MINUTE).sign()).await.unwrap();
    tokio::time::advance(MINUTE).await;
    assert_eq!(token.deadline().end(tokio_stream::iter(0..10)).count().await, 0);
}

async fn events() -> Sse<impl tokio_stream::Stream<Item = Result<Event, Infallible>>> {
    Sse::new(numbers().map(|number| Ok(Event::default().data(number.to_string()))))
}

#[tokio::test(start_paused = true)]
async fn events_end_with_the_token_and_other_responses_do_not() {
    let (idp, server) = world();
    let slow = async || {
        let chunks = numbers().take(120).map(|number| Ok::<_, Infallible>(number.to_string()));
        Body::from_stream(chunks)
    };
    let app = Router::new()
        .route("/events", route(events))
        .route("/download", route(slow))
        .route("/text", route(async || "text"))
        .layer(DeadlineLayer::default())
        .layer(BearerAuthLayer::new(server).optional());
    let token = idp.token("alice").expires_in(MINUTE).sign();
    let start = Instant::now();
    let response = send(&app, get_with("/events", &token)).await;
    let text = response.into_body().collect().await.unwrap().to_bytes();
    let (count, took) = (text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count(), start.elapsed());
    // with the leeway, within which requests are accepted
    assert!((89..=91).contains(&count), "{count}");
    assert!((89..=91).contains(&took.as_secs()), "{took:?}");
    let token = idp.token("alice").expires_in(MINUTE).sign();
    let download = send(&app, get_with("/download", &token)).await.into_body().collect().await.unwrap().to_bytes();
    assert!(download.ends_with(b"119"), "what ends by itself is not cut off");
    let text = send(&app, get_with("/text", &idp.token("alice").sign())).await;
    assert_eq!(http_body::Body::size_hint(text.body()).exact(), Some(4), "its length is known as before");
    let anonymous = send(&app, get("/events", &[])).await;
    let mut body = anonymous.into_body();
    for _ in 0..200 {
        assert!(body.frame().await.is_some());
    }
}

struct Shop {
    by_hand: bool,
}

#[tonic::async_trait]
impl Orders for Shop {
    async fn place(&self, request: Request<PlaceRequest>) -> Result<Response<Order>, Status> {
        Ok(Response::new(Order { id: 1, item: request.into_inner().item, buyer: String::new() }))
    }

    type WatchStream = std::pin::Pin<Box<dyn tokio_stream::Stream<Item = Result<Order, Status>> + Send>>;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let orders = numbers().map(|id| Ok(Order { id, ..Order::default() }));
        if self.by_hand {
            let token: &AccessToken = request.access_token()?;
            let expired = Error::from(ErrorKind::Expired);
            return Ok(Response::new(Box::pin(token.deadline().end_with(orders, Err(expired.into())))));
        }
        Ok(Response::new(Box::pin(orders)))
    }
}

/// A client of the orders, over memory: with the layer, or a stream that is ended by hand.
async fn client(server: &ResourceServer, by_hand: bool) -> OrdersClient<tonic::transport::Channel> {
    let (connections, incoming) = tokio::sync::mpsc::channel::<Result<DuplexStream, std::io::Error>>(1);
    let auth = BearerAuthLayer::new(server.clone());
    let orders = OrdersServer::new(Shop { by_hand });
    let incoming = ReceiverStream::new(incoming);
    if by_hand {
        tokio::spawn(Server::builder().layer(auth).add_service(orders).serve_with_incoming(incoming));
    } else {
        let layers = tower::ServiceBuilder::new().layer(auth).layer(DeadlineLayer::default()).into_inner();
        tokio::spawn(Server::builder().layer(layers).add_service(orders).serve_with_incoming(incoming));
    }
    let connect = service_fn(move |_: Uri| {
        let connections = connections.clone();
        async move {
            let (client, server) = tokio::io::duplex(64 * 1024);
            connections.send(Ok(server)).await.unwrap();
            Ok::<_, Infallible>(TokioIo::new(client))
        }
    });
    OrdersClient::new(Endpoint::from_static("http://orders.test").connect_with_connector(connect).await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_accepted_is_answered_and_without_the_layer_in_front_nothing_is() {
    let (idp, server) = world();
    let mut client = client(&server, false).await;
    let token = idp.token("alice").expires_in(MINUTE).sign();
    let place = || {
        let mut place = Request::new(PlaceRequest { item: "lamp".into() });
        place.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        place
    };
    // within the leeway
    tokio::time::advance(MINUTE + Duration::from_secs(20)).await;
    assert_eq!(client.place(place()).await.unwrap().into_inner().item, "lamp");
    tokio::time::advance(MINUTE).await;
    assert_eq!(client.place(place()).await.unwrap_err().code(), Code::Unauthenticated);
    let wrong_order = Router::new()
        .route("/events", route(events))
        .layer(BearerAuthLayer::new(server))
        .layer(DeadlineLayer::default());
    let refused = send(&wrong_order, get_with("/events", &idp.token("alice").sign())).await;
    assert_eq!(refused.status(), 500, "in the wrong order, nothing would ever end");
}

#[tokio::test(start_paused = true)]
async fn a_grpc_stream_ends_with_unauthenticated() {
    let (idp, server) = world();
    for by_hand in [false, true] {
        let mut client = client(&server, by_hand).await;
        let token = idp.token("alice").expires_in(MINUTE).sign();
        let signed = || format!("Bearer {token}").parse().unwrap();
        let mut place = Request::new(PlaceRequest { item: "lamp".into() });
        place.metadata_mut().insert("authorization", signed());
        assert_eq!(client.place(place).await.unwrap().into_inner().item, "lamp");
        let mut watch = Request::new(WatchRequest { id: 1 });
        watch.metadata_mut().insert("authorization", signed());
        let mut stream = client.watch(watch).await.unwrap().into_inner();
        let start = Instant::now();
        let status = loop {
            match stream.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the stream ended as if all were well"),
                Err(status) => break status,
            }
        };
        let took = start.elapsed().as_secs();
        assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "the token has expired"), "{by_hand}");
        // the layer ends with the leeway
        let expected = if by_hand { 58..=61 } else { 88..=91 };
        assert!(expected.contains(&took), "{took} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_grpc_stream_of_a_revoked_token_ends_at_once_and_says_why() {
    let (idp, list) = (Idp::new("https://id.test/").clock(clock()), RevocationList::new(60 * MINUTE));
    let server = ResourceServer::new("https://api.test").trust(&idp).clock(clock()).revocation_list(list.clone());
    let mut client = client(&server.build().unwrap(), false).await;
    let token = idp.token("alice").claim("sid", "s1").sign();
    let signed = || format!("Bearer {token}").parse().unwrap();
    let mut watch = Request::new(WatchRequest { id: 1 });
    watch.metadata_mut().insert("authorization", signed());
    let mut stream = client.watch(watch).await.unwrap().into_inner();
    let start = Instant::now();
    let mut seen = 0;
    let status = loop {
        match stream.message().await {
            Ok(Some(_)) if seen == 5 => list.revoke_session("https://id.test/", "s1"),
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended as if all were well"),
            Err(status) => break status,
        }
        seen += 1;
    };
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "the token was revoked"));
    assert_eq!((seen, start.elapsed().as_secs()), (6, 5));
    let mut place = Request::new(PlaceRequest { item: "lamp".into() });
    place.metadata_mut().insert("authorization", signed());
    let refused = client.place(place).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unauthenticated, "the token was revoked"));
}
