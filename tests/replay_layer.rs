//! Proofs that are good once, over HTTP: in one process, over reloads, and at replicas with nonces of
//! their own.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::header::{HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Request, Response};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tower::ServiceExt;
use tower_bearer::config::ResourceServerBuilder;
use tower_bearer::dpop::{Dpop, FirstUse, InMemoryReplayStore, Nonces, ProofUse, ReplayStore};
use tower_bearer::testing::{Idp, ManualClock, ProofKey};
use tower_bearer::{BearerAuthLayer, Issuer, ResourceServer};

const ISSUER: &str = "https://id.test/";
const API: &str = "https://api.test";
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

fn builder(idp: &Idp, dpop: Dpop) -> ResourceServerBuilder {
    let issuer = Issuer::new(ISSUER).require_dpop();
    ResourceServer::new(API).trust((issuer, idp.clone())).dpop(dpop).public_origin(API)
}

fn app(server: ResourceServer) -> Router {
    Router::new().fallback(async || "ok").layer(BearerAuthLayer::new(server))
}

fn replica(idp: &Idp, dpop: Dpop) -> Router {
    app(builder(idp, dpop).build().unwrap())
}

async fn send(app: &Router, token: &str, proof: &str) -> Response<Body> {
    let request = Request::get("/orders").header("authorization", format!("DPoP {token}")).header("dpop", proof);
    app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

/// The status, and the error code of the challenge for DPoP, if there is one.
fn outcome(response: &Response<Body>) -> (u16, Option<&'static str>) {
    let challenges: Vec<_> = response.headers().get_all(WWW_AUTHENTICATE).iter().collect();
    let challenges: Vec<_> = challenges.iter().map(|value| value.to_str().unwrap()).collect();
    let codes = ["invalid_dpop_proof", "use_dpop_nonce", "invalid_token"];
    let code = codes.into_iter().find(|code| challenges.iter().any(|text| text.contains(&format!("error=\"{code}\""))));
    (response.status().as_u16(), code)
}

const OK: (u16, Option<&str>) = (200, None);
const REPLAY: (u16, Option<&str>) = (401, Some("invalid_dpop_proof"));
const NONCE: (u16, Option<&str>) = (401, Some("use_dpop_nonce"));
const UNAVAILABLE: (u16, Option<&str>) = (503, None);

fn nonce(response: &Response<Body>) -> String {
    let nonces: Vec<_> = response.headers().get_all(DPOP_NONCE).iter().collect();
    assert_eq!(nonces.len(), 1, "exactly one DPoP-Nonce");
    nonces[0].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_proof_is_good_once_and_a_hundred_threads_with_it_are_let_in_once() {
    let (idp, key) = (Idp::new(ISSUER), ProofKey::new());
    let app = replica(&idp, Dpop::new());
    let token = idp.token("alice").audience(API).bound_to(&key).sign();
    let proof = || key.proof("GET", "https://api.test/orders").token(&token);
    let first = proof().sign();
    assert_eq!(outcome(&send(&app, &token, &first).await), OK);
    assert_eq!(outcome(&send(&app, &token, &first).await), REPLAY);
    assert_eq!(outcome(&send(&app, &token, &proof().sign()).await), OK);

    let (runtime, together) = (tokio::runtime::Handle::current(), proof().sign());
    let outcomes = tokio::task::spawn_blocking({
        let (app, token) = (app.clone(), token.clone());
        move || {
            thread::scope(|scope| {
                let ask = || runtime.block_on(async { outcome(&send(&app, &token, &together).await) });
                let threads: Vec<_> = (0..100).map(|_| scope.spawn(ask)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
            })
        }
    });
    let outcomes = outcomes.await.unwrap();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == OK).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == REPLAY).count(), 99);

    // whoever has stolen the token has no proof for another key's
    let thief = ProofKey::new().proof("GET", "https://api.test/orders").token(&token).sign();
    assert_eq!(outcome(&send(&app, &token, &thief).await).0, 401);
}

#[tokio::test]
async fn a_reload_forgets_no_proof() {
    let (idp, key) = (Idp::new(ISSUER), ProofKey::new());
    let server = builder(&idp, Dpop::new()).build().unwrap();
    let app = app(server.clone());
    let token = idp.token("alice").audience(API).bound_to(&key).sign();
    let proof = key.proof("GET", "https://api.test/orders").token(&token).sign();
    assert_eq!(outcome(&send(&app, &token, &proof).await), OK);
    server.reload(builder(&idp, Dpop::new())).unwrap();
    assert_eq!(outcome(&send(&app, &token, &proof).await), REPLAY);
    // nor one that has no settings of proofs, and the defaults
    let issuer = Issuer::new(ISSUER).require_dpop();
    server.reload(ResourceServer::new(API).trust((issuer, idp.clone())).public_origin(API)).unwrap();
    assert_eq!(outcome(&send(&app, &token, &proof).await), REPLAY);
}

/// Each remembers its own proofs alone.
#[tokio::test]
async fn a_proof_for_a_replica_with_nonces_of_its_own_is_good_at_no_other() {
    let (idp, key) = (Idp::new(ISSUER), ProofKey::new());
    let (a, b) =
        (replica(&idp, Dpop::new().nonces(Nonces::local())), replica(&idp, Dpop::new().nonces(Nonces::local())));
    let token = idp.token("alice").audience(API).bound_to(&key).sign();
    let proof = || key.proof("GET", "https://api.test/orders").token(&token);
    let refused = send(&a, &token, &proof().sign()).await;
    assert_eq!(outcome(&refused), NONCE);
    let for_a = proof().nonce(nonce(&refused)).sign();
    assert_eq!(outcome(&send(&a, &token, &for_a).await), OK);
    let refused = send(&b, &token, &for_a).await;
    assert_eq!(outcome(&refused), NONCE);
    assert_eq!(outcome(&send(&b, &token, &proof().nonce(nonce(&refused)).sign()).await), OK);
    assert_eq!(outcome(&send(&a, &token, &for_a).await), REPLAY);
}

/// A client with a nonce, over three hours by the server's clock: each response that renews it is in time.
#[tokio::test]
async fn a_client_with_a_wrong_clock_goes_on_for_hours_by_the_nonces_that_it_is_told() {
    let clock = ManualClock::default();
    let (idp, key) = (Idp::new(ISSUER).clock(clock.clone()), ProofKey::new().clock(ManualClock::default()));
    let nonces = Nonces::shared("0123456789abcdef0123456789abcdef");
    let server = builder(&idp, Dpop::new().nonces(nonces)).clock(clock.clone()).build().unwrap();
    let app = app(server);
    let token = idp.token("alice").audience(API).bound_to(&key).expires_in(Duration::from_secs(7 * 3600)).sign();
    let proof = |nonce: &str| key.proof("GET", "https://api.test/orders").token(&token).nonce(nonce).sign();
    let mut held = nonce(&send(&app, &token, &proof("none")).await);
    let (mut renewed, mut used) = (0, Vec::new());
    for minute in 0..180 {
        let sent = proof(&held);
        let response = send(&app, &token, &sent).await;
        assert_eq!(outcome(&response), OK, "minute {minute}");
        if response.headers().contains_key(DPOP_NONCE) {
            held = nonce(&response);
            renewed += 1;
        }
        used.push(sent);
        clock.advance(Duration::from_secs(60));
    }
    assert!((55..=65).contains(&renewed), "every three minutes: {renewed}");
    for sent in &used {
        assert_ne!(outcome(&send(&app, &token, sent).await), OK);
    }
}

/// One that cannot always tell.
struct Moody(InMemoryReplayStore, Arc<AtomicBool>);

impl ReplayStore for Moody {
    fn first_use(&self, proof: &ProofUse) -> FirstUse {
        if self.1.load(Ordering::Relaxed) { FirstUse::cannot_tell("it is asleep") } else { self.0.first_use(proof) }
    }
}

#[tokio::test]
async fn a_store_that_cannot_tell_is_a_503_and_what_it_says_is_counted() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let (idp, key, asleep) = (Idp::new(ISSUER), ProofKey::new(), Arc::new(AtomicBool::new(true)));
    let app = replica(&idp, Dpop::new().replay_store(Moody(InMemoryReplayStore::new(), Arc::clone(&asleep))));
    let token = idp.token("alice").audience(API).bound_to(&key).sign();
    let proof = key.proof("GET", "https://api.test/orders").token(&token).sign();
    let refused = send(&app, &token, &proof).await;
    assert_eq!(outcome(&refused), UNAVAILABLE);
    assert!(refused.headers().contains_key(RETRY_AFTER));
    asleep.store(false, Ordering::Relaxed);
    for expected in [OK, REPLAY, REPLAY] {
        assert_eq!(outcome(&send(&app, &token, &proof).await), expected);
    }
    let entries = snapshotter.snapshot().into_vec().into_iter();
    let mut counted: Vec<_> = entries
        .filter(|(key, ..)| key.key().name() == "tower_bearer_dpop_replay_total")
        .map(|(key, _, _, value)| {
            let DebugValue::Counter(count) = value else { panic!("it is counted") };
            (key.key().labels().map(|label| label.value().to_owned()).collect::<String>(), count)
        })
        .collect();
    counted.sort();
    assert_eq!(counted, [("first".to_owned(), 1), ("replay".to_owned(), 2), ("unknown".to_owned(), 1)]);
}

/// With a new nonce, the next proof is none that a full store may have forgotten.
#[tokio::test]
async fn who_is_refused_by_a_store_that_cannot_tell_is_told_a_new_nonce() {
    let (idp, key, asleep) = (Idp::new(ISSUER), ProofKey::new(), Arc::new(AtomicBool::new(true)));
    let store = Moody(InMemoryReplayStore::new(), Arc::clone(&asleep));
    let app = replica(&idp, Dpop::new().nonces(Nonces::local()).replay_store(store));
    let token = idp.token("alice").audience(API).bound_to(&key).sign();
    let proof = |nonce: &str| key.proof("GET", "https://api.test/orders").token(&token).nonce(nonce).sign();
    let first = nonce(&send(&app, &token, &proof("none")).await);
    let refused = send(&app, &token, &proof(&first)).await;
    assert_eq!(outcome(&refused), UNAVAILABLE);
    let next = nonce(&refused);
    asleep.store(false, Ordering::Relaxed);
    assert_eq!(outcome(&send(&app, &token, &proof(&next)).await), OK);
}
