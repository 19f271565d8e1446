//! The contract of tower: back-pressure passes through, the instance that was ready is called, errors are untouched,
//! and a future that is dropped leaves nothing behind.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use support::source::{Scripted, gated as gated_source};
use tokio::sync::Semaphore;
use tower::{Layer, Service, ServiceExt};
use tower_bearer::testing::Idp;
use tower_bearer::{AccessToken, BearerAuthLayer, Error, Issuer, RequireLayer, ResourceServer, Rule};
use tower_test::mock;

type Inner = mock::Mock<Request<()>, Response<String>>;

fn layer() -> (Idp, BearerAuthLayer) {
    let idp = Idp::new("https://id.test/");
    let server = ResourceServer::new("https://api.test").trust(&idp).build().unwrap();
    (idp, BearerAuthLayer::new(server))
}

fn request(token: &str) -> Request<()> {
    Request::get("/").header("authorization", format!("Bearer {token}")).body(()).unwrap()
}

/// A layer whose server waits for keys until a permit is added.
fn gated() -> (Idp, BearerAuthLayer, Scripted, Arc<Semaphore>) {
    let (idp, gate) = (Idp::new("https://id.test/"), Arc::new(Semaphore::new(0)));
    let source = gated_source(&idp, &gate);
    let trust = (Issuer::new("https://id.test/"), source.clone());
    let server = ResourceServer::new("https://api.test").trust(trust).build().unwrap();
    (idp, BearerAuthLayer::new(server), source, gate)
}

#[tokio::test]
async fn back_pressure_passes_through() {
    let (_, layer) = layer();
    let (mut service, mut handle) = mock::spawn_layer::<Request<()>, Response<String>, _>(layer);
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
}

#[tokio::test]
async fn an_error_of_the_inner_service_is_passed_on_untouched() {
    #[derive(Debug, PartialEq)]
    struct Mine(u8);
    let (idp, layer) = layer();
    let failing = tower::service_fn(|_: Request<()>| async { Err::<Response<String>, _>(Mine(7)) });
    let service = RequireLayer::new(Rule::scope("a")).layer(failing);
    let error = layer.layer(service).oneshot(request(&idp.token("alice").scope("a").sign())).await.unwrap_err();
    assert_eq!(error, Mine(7));
}

/// A service of which each instance must be polled ready before it is called; a clone starts unready.
struct Fussy {
    ready: bool,
}

impl Clone for Fussy {
    fn clone(&self) -> Self {
        Self { ready: false }
    }
}

impl Service<Request<()>> for Fussy {
    type Response = Response<String>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without having been polled ready");
        let token: &AccessToken = AccessToken::from_extensions(request.extensions()).unwrap();
        std::future::ready(Ok(Response::new(token.subject().unwrap().to_owned())))
    }
}

#[tokio::test]
async fn the_instance_that_was_ready_is_called_at_once_and_after_a_wait() {
    let (idp, layer, _, gate) = gated();
    let mut service = layer.layer(Fussy { ready: false });
    let token = idp.token("alice").sign();
    let waiting = service.ready().await.unwrap().call(request(&token));
    // while the first waits for keys, the service is made ready and called again
    let second = service.ready().await.unwrap().call(request(&token));
    gate.add_permits(1);
    assert_eq!(waiting.await.unwrap().body(), "alice");
    assert_eq!(second.await.unwrap().body(), "alice");
    let known = service.ready().await.unwrap().call(request(&token));
    assert_eq!(format!("{known:?}"), "ResponseFuture(calling)");
    assert_eq!(known.await.unwrap().body(), "alice");
}

#[tokio::test]
async fn a_permit_of_a_concurrency_limit_is_held_by_the_request_that_waits_and_given_back() {
    let (idp, layer, _, gate) = gated();
    let mut service = layer.layer(tower::limit::ConcurrencyLimit::new(Fussy { ready: false }, 1));
    let waiting = service.ready().await.unwrap().call(request(&idp.token("alice").sign()));
    // the only permit went along with the request
    assert!(futures_util::poll!(Box::pin(service.ready())).is_pending());
    drop(waiting);
    assert!(futures_util::poll!(Box::pin(service.ready())).is_ready());
    let waiting = service.call(request(&idp.token("alice").sign()));
    gate.add_permits(1);
    assert_eq!(waiting.await.unwrap().body(), "alice");
    assert!(futures_util::poll!(Box::pin(service.ready())).is_ready());
}

#[tokio::test]
async fn a_refused_request_never_reaches_the_inner_service() {
    let (idp, layer) = layer();
    let (inner, mut handle): (Inner, _) = mock::pair();
    let mut service = layer.layer(inner);
    handle.allow(10);
    for token in ["x", "a.b.c", &idp.token("alice").expired().sign(), &idp.token("alice").wrong_key().sign()] {
        let response = service.ready().await.unwrap().call(request(token)).await.unwrap();
        assert_eq!(response.status(), 401);
        assert!(response.extensions().get::<Error>().is_some());
    }
    assert!(futures_util::poll!(Box::pin(handle.next_request())).is_pending());
}

#[tokio::test]
async fn a_future_that_is_dropped_while_it_waits_takes_no_fetch_with_it() {
    let (idp, layer, source, gate) = gated();
    let mut service = layer.layer(Fussy { ready: false });
    let token = idp.token("alice").sign();
    let first = service.ready().await.unwrap().call(request(&token));
    let others: Vec<_> = (0..99).map(|_| service.clone().oneshot(request(&token))).collect();
    let others = tokio::spawn(futures_util::future::join_all(others));
    tokio::task::yield_now().await;
    drop(first);
    gate.add_permits(1);
    assert!(others.await.unwrap().iter().all(|response| response.as_ref().unwrap().status() == 200));
    assert_eq!(source.fetches(), 1);
}
