//! Proofs that are good once over all replicas.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use http::Request;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tower::ServiceExt;
use tower_bearer::dpop::{Dpop, FirstUse, Nonces, ProofUse, RedisReplayStore, ReplayStore};
use tower_bearer::testing::{Idp, ProofKey};
use tower_bearer::{BearerAuthLayer, Issuer, ResourceServer};

use crate::left_out;
use crate::server::{DURABLE, RedisServer};

const PREFIX: &str = "orders:dpop";

/// What a request waits at most, and what a busy machine adds.
const LIMIT: Duration = Duration::from_millis(2000 + 1500);

fn store(redis: &RedisServer) -> RedisReplayStore {
    RedisReplayStore::new(&redis.url(), PREFIX).unwrap()
}

/// A proof that is good for 90 s. Each has its own number.
fn proof(number: u64) -> ProofUse {
    let now = SystemTime::now();
    let mut jti = [0; 32];
    jti[..8].copy_from_slice(&number.to_be_bytes());
    ProofUse::new([7; 32], jti, now, now + Duration::from_secs(90))
}

/// Yes or no, or why the store cannot tell.
async fn ask(store: &RedisReplayStore, proof: &ProofUse) -> Result<bool, String> {
    let mut answer = store.first_use(proof);
    loop {
        match answer {
            FirstUse::Yes => return Ok(true),
            FirstUse::No => return Ok(false),
            FirstUse::CannotTell(why) => return Err(why.into()),
            FirstUse::Later(later) => answer = later.await,
            other => panic!("{other:?}"),
        }
    }
}

/// Asks until the store can tell, each time about another proof. Returns the first that was accepted.
async fn accepted(store: &RedisReplayStore) -> ProofUse {
    static NEXT: AtomicU64 = AtomicU64::new(1 << 32);
    let start = Instant::now();
    loop {
        let proof = proof(NEXT.fetch_add(1, Ordering::Relaxed));
        match ask(store, &proof).await {
            Ok(first) => {
                assert!(first);
                return proof;
            }
            Err(why) => assert!(start.elapsed() < Duration::from_secs(20), "{why}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_proof_is_good_once_over_all_replicas() {
    if left_out() {
        return;
    }
    let redis = RedisServer::start(&[]).await;
    let (a, b) = (Arc::new(store(&redis)), Arc::new(store(&redis)));
    assert_eq!(ask(&a, &proof(1)).await, Ok(true));
    assert_eq!(ask(&a, &proof(1)).await, Ok(false));
    assert_eq!(ask(&b, &proof(1)).await, Ok(false));
    assert_eq!(ask(&b, &proof(2)).await, Ok(true));
    let now = SystemTime::now();
    let of_another_key = ProofUse::new([8; 32], *proof(1).jti_hash(), now, now + Duration::from_secs(90));
    assert_eq!(ask(&b, &of_another_key).await, Ok(true));
    assert_eq!(
        ask(&RedisReplayStore::new(&redis.url(), "other").unwrap(), &proof(1)).await,
        Ok(true),
        "another prefix"
    );

    // 100 requests with each of 20 proofs, at both
    for number in 100..120 {
        let mut asked = JoinSet::new();
        for at in 0..100 {
            let store = Arc::clone(if at % 2 == 0 { &a } else { &b });
            asked.spawn(async move { ask(&store, &proof(number)).await.unwrap() });
        }
        let firsts = asked.join_all().await.into_iter().filter(|first| *first).count();
        assert_eq!(firsts, 1);
    }
}

#[tokio::test]
async fn redis_remembers_a_proof_for_as_long_as_it_is_good_and_the_clocks_may_differ() {
    if left_out() {
        return;
    }
    let redis = RedisServer::start(&[]).await;
    assert_eq!(ask(&store(&redis), &proof(1)).await, Ok(true));
    let keys = redis.command(&format!("KEYS {PREFIX}:*")).await;
    let name = keys.lines().find(|line| line.starts_with(PREFIX)).unwrap();
    assert!(keys.starts_with("*1\r\n") && name.len() == PREFIX.len() + 1 + 45, "{keys}");
    let life = redis.command(&format!("PTTL {name}")).await;
    let life: u64 = life.trim().strip_prefix(':').unwrap().parse().unwrap();
    assert!((120_000..=125_000).contains(&life), "{life}");
}

#[tokio::test]
async fn the_rights_that_are_documented_are_enough_for_proofs() {
    if left_out() {
        return;
    }
    let redis = RedisServer::start(&[]).await;
    let rights = "+@connection +set";
    assert!(include_str!("../../src/dpop/replay/redis.rs").contains(rights), "as it is written there");
    let user = format!("ACL SETUSER orders on >secret resetchannels ~{PREFIX}:* -@all {rights}");
    assert_eq!(redis.command(&user).await, "+OK\r\n");
    let url = format!("redis://orders:secret@127.0.0.1:{}", redis.port);
    let store = RedisReplayStore::new(&url, PREFIX).unwrap();
    assert_eq!(ask(&store, &proof(1)).await, Ok(true));
    assert!(redis.command("ACL LOG").await.starts_with("*0"), "nothing was refused");

    redis.command("ACL SETUSER orders -set").await;
    assert_eq!(ask(&store, &proof(2)).await, Err("Redis refuses: NOPERM".to_owned()));
}

/// It dies, and comes back with what it knew.
#[tokio::test]
async fn while_redis_is_gone_nothing_is_accepted_and_when_it_is_back_it_goes_on() {
    if left_out() {
        return;
    }
    let mut redis = RedisServer::not_yet(DURABLE).await;
    let (a, b) = (store(&redis), store(&redis));
    assert_eq!(ask(&a, &proof(1)).await, Err("Redis cannot be reached".to_owned()));
    redis.begin().await;
    let used = [accepted(&a).await, accepted(&b).await];

    redis.kill().await;
    let start = Instant::now();
    for number in 0..50 {
        for store in [&a, &b] {
            assert!(ask(store, &proof(number)).await.is_err());
            for used in &used {
                assert!(ask(store, used).await.is_err());
            }
        }
    }
    assert!(start.elapsed() < LIMIT, "{:?}: nobody waits for what is known to be gone", start.elapsed());

    redis.begin().await;
    accepted(&a).await;
    accepted(&b).await;
    for store in [&a, &b] {
        for used in &used {
            assert_eq!(ask(store, used).await, Ok(false), "it remembers");
        }
    }
}

#[tokio::test]
async fn a_redis_that_stands_still_lets_no_requests_pile_up() {
    if left_out() {
        return;
    }
    let redis = RedisServer::start(&[]).await;
    let store = Arc::new(store(&redis));
    let used = accepted(&store).await;
    redis.pause().await;

    // the connection stands, and nothing comes on it
    let start = Instant::now();
    let mut asked = JoinSet::new();
    for number in 0..3000 {
        let store = Arc::clone(&store);
        asked.spawn(async move { (ask(&store, &proof(number)).await, start.elapsed()) });
    }
    let answers = asked.join_all().await;
    let at_once = answers.iter().filter(|(why, _)| *why == Err("too many requests wait for Redis".to_owned())).count();
    assert!(at_once >= 3000 - 1024 - 500, "{at_once}");
    assert!(answers.iter().all(|(answer, after)| answer.is_err() && *after < LIMIT));
    // soon nobody waits at all, but for one that tries
    while let FirstUse::Later(answer) = store.first_use(&used) {
        assert!(matches!(answer.await, FirstUse::CannotTell(_)));
        assert!(start.elapsed() < Duration::from_secs(20));
    }

    redis.resume().await;
    accepted(&store).await;
    assert_eq!(ask(&store, &used).await, Ok(false));
}

#[tokio::test]
async fn what_redis_cannot_keep_is_not_accepted() {
    if left_out() {
        return;
    }
    let redis = RedisServer::start(&["--maxmemory-policy", "noeviction"]).await;
    let store = store(&redis);
    let used = accepted(&store).await;
    redis.command("CONFIG SET maxmemory 1").await;
    assert_eq!(ask(&store, &proof(1)).await, Err("Redis refuses: OOM".to_owned()));
    redis.command("CONFIG SET maxmemory 0").await;
    accepted(&store).await;
    assert_eq!(ask(&store, &used).await, Ok(false));

    // connections that break are made anew
    for _ in 0..3 {
        redis.command("CLIENT KILL TYPE normal SKIPME yes").await;
        let used = accepted(&store).await;
        assert_eq!(ask(&store, &used).await, Ok(false));
    }
}

/// The connection lives on the runtime that made it.
#[test]
fn a_store_outlives_the_runtime_on_which_it_has_connected() {
    if left_out() {
        return;
    }
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let of_server = runtime();
    let redis = of_server.block_on(RedisServer::start(&[]));
    let store = store(&redis);
    let first = runtime();
    let used = first.block_on(accepted(&store));
    drop(first);
    let second = runtime();
    second.block_on(accepted(&store));
    assert_eq!(second.block_on(ask(&store, &used)), Ok(false));
    // and one that lives, but which nobody drives
    drop(second);
    let idle = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    idle.block_on(accepted(&store));
    of_server.block_on(async { timeout(LIMIT * 2, accepted(&store)).await.unwrap() });
    drop(idle);
}

#[tokio::test]
async fn the_password_is_told_to_redis_alone() {
    if left_out() {
        return;
    }
    let redis = RedisServer::start(&["--requirepass", "hunter2"]).await;
    let with = |password: &str| format!("redis://:{password}@127.0.0.1:{}", redis.port);
    let store = RedisReplayStore::new(&with("hunter2"), PREFIX).unwrap();
    assert_eq!(ask(&store, &proof(1)).await, Ok(true));
    for (url, why) in [(redis.url(), "Redis refuses: NOAUTH"), (with("hunter3"), "Redis refuses: WRONGPASS")] {
        let store = RedisReplayStore::new(&url, PREFIX).unwrap();
        assert_eq!(ask(&store, &proof(2)).await, Err(why.to_owned()));
        assert!(!format!("{store:?}").contains("hunter"));
    }
    for wrong in ["http://:hunter2@x/", "redis://:hunter2@x:99999/", "hunter2"] {
        let error = RedisReplayStore::new(wrong, PREFIX).unwrap_err();
        assert_eq!(error.to_string(), "the URL is not one of Redis");
    }
    assert_eq!(format!("{store:?}"), r#"RedisReplayStore { prefix: "orders:dpop", .. }"#);
}

/// As clients see it: two replicas with one secret of nonces and one Redis.
#[tokio::test]
async fn a_request_is_let_in_once_over_two_replicas_and_by_none_while_redis_is_gone() {
    const API: &str = "https://api.test";
    if left_out() {
        return;
    }
    let mut redis = RedisServer::start(DURABLE).await;
    let (idp, key) = (Idp::new(crate::ISSUER), ProofKey::new());
    let replica = || {
        let nonces = Nonces::shared("0123456789abcdef0123456789abcdef");
        let dpop = Dpop::new().nonces(nonces).replay_store(store(&redis));
        let issuer = Issuer::new(crate::ISSUER).require_dpop();
        let server = ResourceServer::new(API).trust((issuer, idp.clone())).dpop(dpop).public_origin(API);
        Router::new().fallback(async || "ok").layer(BearerAuthLayer::new(server.build().unwrap()))
    };
    let (a, b) = (replica(), replica());
    let token = idp.token("alice").audience(API).bound_to(&key).sign();
    let send = async |app: &Router, proof: &str| {
        let request = Request::get("/orders").header("authorization", format!("DPoP {token}")).header("dpop", proof);
        let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let nonce = response.headers().get("dpop-nonce").map(|nonce| nonce.to_str().unwrap().to_owned());
        (response.status().as_u16(), nonce)
    };
    let proof = || key.proof("GET", "https://api.test/orders").token(&token);
    let (401, Some(nonce)) = send(&a, &proof().sign()).await else { panic!("a nonce is required, and told") };

    let used = proof().nonce(nonce.clone()).sign();
    assert_eq!(send(&b, &used).await.0, 200, "the nonce of one is good at the other");
    for app in [&a, &b] {
        assert_eq!(send(app, &used).await.0, 401, "and the proof once over both");
    }
    let together = proof().nonce(nonce.clone()).sign();
    let statuses = futures_util::future::join_all((0..100).map(|at| {
        let (app, together) = (if at % 2 == 0 { &a } else { &b }, &together);
        async { send(app, together).await.0 }
    }));
    let statuses = statuses.await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1);
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 99);

    redis.kill().await;
    for app in [&a, &b] {
        assert_eq!(send(app, &proof().nonce(nonce.clone()).sign()).await.0, 503);
        assert_eq!(send(app, &used).await.0, 503);
    }
    redis.begin().await;
    for app in [&a, &b] {
        let start = Instant::now();
        loop {
            match send(app, &proof().nonce(nonce.clone()).sign()).await.0 {
                200 => break,
                status => assert!(status == 503 && start.elapsed() < Duration::from_secs(20), "{status}"),
            }
            sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(send(app, &used).await.0, 401, "it was used before the outage");
    }
}
