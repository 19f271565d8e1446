//! Keys over time: loading, rotation, outage, floods. Time is tokio's paused clock, which jumps to the next timer when
//! nothing else is to do; no test sleeps.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use support::kind;
use support::source::{Scripted, gated, keys_of};
use tokio::sync::Semaphore;
use tokio::time::{Instant, advance, sleep};
use tower_bearer::keys::{FetchError, Freshness};
use tower_bearer::testing::Idp;
use tower_bearer::{ErrorKind, Issuer, ResourceServer};

const MINUTE: Duration = Duration::from_secs(60);

fn trusting(idp: &Idp) -> ResourceServer {
    ResourceServer::new("https://api.test").trust(idp).build().unwrap()
}

/// Lets the tasks in the background do what they can do now.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_fetched_before_a_plausible_token_needs_it_and_then_once_for_all() {
    let idp = Idp::new("https://id.test/");
    let server = trusting(&idp);
    for token in ["x", "a.b.c", &idp.token("a").expired().sign(), &idp.token("a").issuer("https://x.test").sign()] {
        assert!(server.authenticate(token).await.is_err());
    }
    assert_eq!(idp.fetches(), 0, "an implausible token costs no fetch");
    let token = idp.token("alice").sign();
    let verdicts = join_all((0..1000).map(|_| server.authenticate(&token))).await;
    assert!(verdicts.iter().all(Result::is_ok));
    assert_eq!(idp.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rotated_key_is_found_at_once_and_a_withdrawn_one_is_gone() {
    let idp = Idp::new("https://id.test/");
    let server = trusting(&idp);
    let old = idp.token("alice").sign();
    assert_eq!(kind(&server, &old).await, None);
    idp.rotate();
    assert_eq!(kind(&server, &old).await, None, "until a newer set is fetched");
    assert_eq!(kind(&server, &idp.token("alice").sign()).await, None);
    assert_eq!(idp.fetches(), 2);
    assert_eq!(kind(&server, &old).await, Some(ErrorKind::UnknownKey));
}

#[tokio::test(start_paused = true)]
async fn a_second_rotation_within_the_interval_gets_through_and_a_third_waits_for_the_interval() {
    let idp = Idp::new("https://id.test/");
    let server = trusting(&idp);
    assert_eq!(kind(&server, &idp.token("alice").sign()).await, None);
    for _ in 0..2 {
        idp.rotate();
        assert_eq!(kind(&server, &idp.token("alice").sign()).await, None);
    }
    idp.rotate();
    let token = idp.token("alice").sign();
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::UnknownKey), "the set is new");
    sleep(Duration::from_secs(5)).await;
    let error = server.authenticate(&token).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::KeysUnavailable, Some(Duration::from_secs(25))));
    assert!(error.to_string().contains("at most two fetches"), "{error}");
    sleep(Duration::from_secs(25)).await;
    assert_eq!(kind(&server, &token).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_token_without_kid_finds_its_key_also_after_a_rotation() {
    let idp = Idp::new("https://id.test/");
    let server = trusting(&idp);
    assert_eq!(kind(&server, &idp.token("alice").without_header("kid").sign()).await, None);
    idp.add_key(tower_bearer::keys::Algorithm::Es256);
    sleep(9 * MINUTE).await;
    assert_eq!(kind(&server, &idp.token("alice").without_header("kid").sign()).await, None, "two keys fit");
    let forged = idp.token("alice").without_header("kid").wrong_key().sign();
    assert_eq!(kind(&server, &forged).await, Some(ErrorKind::BadSignature));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_unknown_keys_costs_two_fetches_in_thirty_seconds() {
    for down in [false, true] {
        let idp = Idp::new("https://id.test/");
        let server = trusting(&idp);
        let good = idp.token("alice").sign();
        assert_eq!(kind(&server, &good).await, None);
        if down {
            idp.outage();
        }
        let before = idp.fetches();
        for flood in 0..100 {
            let forged: Vec<_> = (0..100)
                .map(|token| idp.token("mallory").header("kid", format!("forged-{flood}-{token}")).sign())
                .collect();
            for verdict in join_all(forged.iter().map(|token| server.authenticate(token))).await {
                let expected = if down { ErrorKind::KeysUnavailable } else { ErrorKind::UnknownKey };
                assert_eq!(verdict.unwrap_err().kind(), expected, "down: {down}");
            }
            assert_eq!(kind(&server, &good).await, None);
        }
        sleep(Duration::from_secs(29)).await;
        assert!(idp.fetches() - before <= 2, "down: {down}, {} fetches", idp.fetches() - before);
    }
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_again_before_they_cease_to_be_fresh_and_no_request_waits_for_it() {
    let idp = Idp::new("https://id.test/");
    let server = trusting(&idp);
    assert_eq!(kind(&server, &idp.token("alice").sign()).await, None);
    sleep(Duration::from_secs(7 * 60)).await;
    assert_eq!(idp.fetches(), 1);
    sleep(Duration::from_secs(2 * 60)).await;
    assert_eq!(idp.fetches(), 2, "80 % of ten minutes, give or take");
    assert_eq!(server.status()[0].state, Freshness::Fresh);
    // and goes on so while nobody calls
    sleep(60 * MINUTE).await;
    assert!((8..=10).contains(&idp.fetches()), "{}", idp.fetches());
}

#[tokio::test(start_paused = true)]
async fn known_keys_outlive_an_outage_until_they_are_too_old() {
    let idp = Idp::new("https://id.test/");
    let server = trusting(&idp);
    let token = || idp.token("alice").sign();
    assert_eq!(kind(&server, &token()).await, None);
    idp.outage();
    sleep(10 * MINUTE + 55 * MINUTE).await;
    assert_eq!(kind(&server, &token()).await, None);
    let status = &server.status()[0];
    assert!(status.state == Freshness::Stale && status.is_usable() && status.failures > 0, "{status:?}");
    assert!(status.last_error.is_some());
    let unknown = idp.token("alice").unknown_kid().sign();
    assert_eq!(kind(&server, &unknown).await, Some(ErrorKind::KeysUnavailable), "it may be there, we cannot know");
    let before = idp.fetches();
    sleep(6 * MINUTE).await;
    assert!(idp.fetches() - before <= 7, "retries slow down to one a minute");
    assert_eq!(kind(&server, &token()).await, Some(ErrorKind::KeysUnavailable));
    idp.recover();
    sleep(MINUTE + Duration::from_secs(10)).await;
    assert_eq!(kind(&server, &token()).await, None);
    assert!(server.status()[0].last_error.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_cold_start_during_an_outage_is_unavailable_at_once_and_recovers_by_itself() {
    let idp = Idp::new("https://id.test/");
    idp.outage();
    let server = trusting(&idp);
    let token = idp.token("alice").sign();
    let error = server.authenticate(&token).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeysUnavailable);
    assert!(error.retry_after().unwrap() > Duration::ZERO);
    assert_eq!(error.issuer(), Some("https://id.test/"));
    assert!(error.to_string().contains("down"), "{error}");
    let begin = Instant::now();
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::KeysUnavailable));
    assert_eq!(begin.elapsed(), Duration::ZERO, "the retries set the pace, nobody waits");
    assert_eq!(server.ready().await.unwrap_err().reasons()[0].kind(), ErrorKind::KeysUnavailable);
    assert_eq!(idp.fetches(), 1);
    idp.recover();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(kind(&server, &token).await, None);
    assert!(server.ready().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_set_without_a_usable_key_is_a_failure_and_the_keys_in_hand_are_used_on() {
    let idp = Idp::new("https://id.test/");
    let server = trusting(&idp);
    let token = || idp.token("alice").expires_in(Duration::from_secs(3 * 3600)).sign();
    let before = token();
    assert_eq!(kind(&server, &before).await, None);
    idp.withdraw();
    idp.publish(serde_json::json!({ "kty": "oct", "k": "AAAA", "kid": "secret-name" }));
    sleep(9 * MINUTE).await;
    assert_eq!(kind(&server, &before).await, None);
    let status = &server.status()[0];
    let error = status.last_error.as_deref().unwrap();
    assert!(
        error.contains("no usable key; key 0 is not used: it is a symmetric key") && !error.contains("secret"),
        "{error}"
    );
    assert_eq!((status.state, status.keys.len()), (Freshness::Fresh, 1), "{status:?}");
    sleep(62 * MINUTE).await;
    assert_eq!(kind(&server, &before).await, Some(ErrorKind::KeysUnavailable));
    assert_eq!(server.status()[0].state, Freshness::Expired);
    // and at the start it is an outage
    assert_eq!(kind(&trusting(&idp), &before).await, Some(ErrorKind::KeysUnavailable));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_costs_a_request_two_seconds() {
    let source = Scripted::new(|_| std::future::pending());
    let idp = Idp::new("https://id.test/");
    let trust = (Issuer::new("https://id.test/"), source.clone());
    let server = ResourceServer::new("https://api.test").trust(trust).build().unwrap();
    let begin = Instant::now();
    assert_eq!(kind(&server, &idp.token("alice").sign()).await, Some(ErrorKind::KeysUnavailable));
    assert_eq!(begin.elapsed(), Duration::from_secs(2));
    assert_eq!(source.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_frees_everyone_who_waits_and_is_tried_again_later() {
    let idp = Idp::new("https://id.test/");
    let source = Scripted::new({
        let idp = idp.clone();
        move |fetch| {
            let idp = idp.clone();
            async move {
                assert!(fetch > 1, "the source panics on the first fetch");
                Ok(keys_of(&idp))
            }
        }
    });
    let trust = (Issuer::new("https://id.test/"), source.clone());
    let server = ResourceServer::new("https://api.test").trust(trust).build().unwrap();
    let begin = Instant::now();
    let token = idp.token("alice").sign();
    for verdict in join_all((0..10).map(|_| server.authenticate(&token))).await {
        assert_eq!(verdict.unwrap_err().kind(), ErrorKind::KeysUnavailable);
    }
    assert_eq!(begin.elapsed(), Duration::ZERO);
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::KeysUnavailable), "not before the pause is over");
    assert_eq!((source.fetches(), server.status()[0].failures), (1, 1));
    sleep(Duration::from_secs(2)).await;
    assert_eq!(kind(&server, &token).await, None);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_key_set_does_not_replace_one() {
    let idp = Idp::new("https://id.test/");
    let source = Scripted::new({
        let idp = idp.clone();
        move |fetch| {
            let answer = match fetch {
                1 => Ok(keys_of(&idp)),
                2 => Ok(tower_bearer::keys::FetchedKeys::new("<html>maintenance</html>")),
                3 => Ok(tower_bearer::keys::FetchedKeys::new(r#"{"error":"maintenance"}"#)),
                _ => Err(FetchError::new("maintenance")),
            };
            async { answer }
        }
    });
    let trust = (Issuer::new("https://id.test/"), source.clone());
    let server = ResourceServer::new("https://api.test").trust(trust).build().unwrap();
    assert_eq!(kind(&server, &idp.token("alice").sign()).await, None);
    sleep(30 * MINUTE).await;
    assert!(source.fetches() > 4);
    assert_eq!(kind(&server, &idp.token("alice").sign()).await, None);
    assert!(!server.status()[0].last_error.as_deref().unwrap().contains("html"), "what was fetched is not repeated");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_server_ends_its_task() {
    let alive = Arc::new(());
    let idp = Idp::new("https://id.test/");
    let source = Scripted::new({
        let (idp, alive) = (idp.clone(), Arc::clone(&alive));
        move |_| {
            let _alive = &alive;
            let keys = keys_of(&idp);
            async { Ok(keys) }
        }
    });
    let trust = (Issuer::new("https://id.test/"), source.clone());
    let server = ResourceServer::new("https://api.test").trust(trust).build().unwrap();
    assert_eq!(kind(&server, &idp.token("alice").sign()).await, None);
    let clone = server.clone();
    drop(server);
    drop(source);
    settle().await;
    assert_eq!(kind(&clone, &idp.token("alice").sign()).await, None);
    assert_eq!(Arc::strong_count(&alive), 2);
    drop(clone);
    settle().await;
    assert_eq!(Arc::strong_count(&alive), 1, "the task has let go of its source");
}

#[test]
fn a_server_outlives_the_runtime_in_which_it_fetched() {
    let idp = Idp::new("https://id.test/");
    let server = trusting(&idp);
    let in_new_runtime = |token: &str| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(kind(&server, token))
    };
    assert_eq!(in_new_runtime(&idp.token("alice").sign()), None);
    // the task has ended with that runtime; the keys are still good, and the next runtime gets a new task
    idp.rotate();
    assert_eq!(in_new_runtime(&idp.token("alice").sign()), None);
    assert_eq!(idp.fetches(), 2);
    // a verified key needs no runtime at all
    let token = idp.token("alice").sign();
    assert!(futures_util::FutureExt::now_or_never(server.authenticate(&token)).unwrap().is_ok());
    // but a fetch does
    let cold = trusting(&idp);
    let error = futures_util::FutureExt::now_or_never(cold.authenticate(&token)).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeysUnavailable);
    assert!(error.to_string().contains("tokio runtime"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_a_healthy_issuer_a_race_makes_neither_an_outage_nor_a_wrong_no() {
    for round in 0..40 {
        let idp = Idp::new("https://id.test/");
        let server = trusting(&idp);
        assert_eq!(kind(&server, &idp.token("alice").sign()).await, None);
        // one forged kid has spent a permit; then the issuer rotates, and all come at once
        assert_eq!(kind(&server, &idp.token("m").unknown_kid().sign()).await, Some(ErrorKind::UnknownKey));
        idp.rotate();
        let good = idp.token("alice").sign();
        let tasks: Vec<_> = (0..64)
            .map(|task| {
                let forged = idp.token("m").header("kid", format!("forged-{task}")).sign();
                let (server, token) = (server.clone(), if task % 2 == 0 { good.clone() } else { forged });
                tokio::spawn(async move { kind(&server, &token).await })
            })
            .collect();
        for (task, verdict) in join_all(tasks).await.into_iter().enumerate() {
            let expected = if task % 2 == 0 { None } else { Some(ErrorKind::UnknownKey) };
            assert_eq!(verdict.unwrap(), expected, "round {round}, task {task}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_joins_a_fetch_begun_before_the_rotation_gets_another() {
    let idp = Idp::new("https://id.test/");
    let (gate, old) = (Arc::new(Semaphore::new(1)), keys_of(&idp));
    let source = Scripted::new({
        let (idp, gate) = (idp.clone(), Arc::clone(&gate));
        move |fetch| {
            let (idp, gate, old) = (idp.clone(), Arc::clone(&gate), old.clone());
            async move {
                gate.acquire().await.unwrap().forget();
                // the second answer was on its way when the issuer rotated
                Ok(if fetch == 2 { old } else { keys_of(&idp) })
            }
        }
    });
    let trust = (Issuer::new("https://id.test/"), source.clone());
    let server = ResourceServer::new("https://api.test").trust(trust).build().unwrap();
    assert_eq!(kind(&server, &idp.token("alice").sign()).await, None);
    let (forged, first) = (idp.token("m").unknown_kid().sign(), server.clone());
    let forged = tokio::spawn(async move { kind(&first, &forged).await });
    settle().await;
    assert_eq!(source.fetches(), 2, "the fetch for the forged token has begun");
    idp.rotate();
    let good = idp.token("alice").sign();
    let open = async {
        settle().await;
        gate.add_permits(2);
    };
    let (good, ()) = futures_util::join!(kind(&server, &good), open);
    let forged = forged.await.unwrap();
    assert_eq!((forged, good), (Some(ErrorKind::UnknownKey), None));
    assert_eq!(source.fetches(), 3);
}

#[test]
fn outside_a_runtime_an_unknown_key_is_refused_and_a_known_one_accepted() {
    let idp = Idp::new("https://id.test/");
    let server = trusting(&idp);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    assert_eq!(runtime.block_on(kind(&server, &idp.token("alice").sign())), None);
    // the task is alive on that runtime, and we are not on it
    let verdict = |token: String| futures_util::FutureExt::now_or_never(kind(&server, &token)).unwrap();
    assert_eq!(verdict(idp.token("alice").sign()), None);
    assert_eq!(verdict(idp.token("alice").unknown_kid().sign()), Some(ErrorKind::UnknownKey));
    assert_eq!(idp.fetches(), 1);
}

#[test]
fn a_runtime_that_is_shutting_down_is_an_outage_and_no_deadlock() {
    let idp = Idp::new("https://id.test/");
    let server = trusting(&idp);
    let token = idp.token("alice").sign();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    runtime.shutdown_timeout(Duration::from_secs(1));
    // what is spawned now is dropped at once
    let _guard = handle.enter();
    let verdict = futures_util::FutureExt::now_or_never(server.authenticate(&token));
    assert_eq!(verdict.unwrap().unwrap_err().kind(), ErrorKind::KeysUnavailable);
    assert_eq!(idp.fetches(), 0);
    assert!(server.status()[0].last_error.is_some());
}

#[tokio::test(start_paused = true)]
async fn issuers_that_share_a_kid_never_verify_each_others_tokens() {
    for order in [[0, 1], [1, 0]] {
        let gate = Arc::new(Semaphore::new(0));
        let idps = [Idp::new("https://a.test/"), Idp::new("https://b.test/")];
        let server = ResourceServer::new("https://api.test")
            .trust((Issuer::new("https://a.test/"), gated(&idps[0], &gate)))
            .trust((Issuer::new("https://b.test/"), gated(&idps[1], &gate)))
            .build()
            .unwrap();
        // signed by one, in the other's name, with the kid that both have
        let (a, b) = (idps[order[0]].clone(), idps[order[1]].clone());
        let crossed = a.token("mallory").issuer(b.issuer()).sign();
        let good = a.token("alice").sign();
        // both fetches in flight together
        let verdicts =
            join_all([server.authenticate(&crossed), server.authenticate(&good), server.authenticate(&crossed)]);
        let open = async {
            settle().await;
            gate.add_permits(2);
        };
        let (verdicts, ()) = futures_util::join!(verdicts, open);
        let kinds: Vec<_> = verdicts.into_iter().map(|verdict| verdict.err().map(|error| error.kind())).collect();
        assert_eq!(kinds, [Some(ErrorKind::BadSignature), None, Some(ErrorKind::BadSignature)]);
        // and when both are there
        assert_eq!(kind(&server, &crossed).await, Some(ErrorKind::BadSignature));
        assert_eq!(kind(&server, &good).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_issuer_does_not_hold_up_another() {
    let (up, down) = (Idp::new("https://up.test/"), Idp::new("https://down.test/"));
    down.outage();
    let server = ResourceServer::new("https://api.test").trust(&up).trust(&down).build().unwrap();
    assert_eq!(kind(&server, &down.token("alice").sign()).await, Some(ErrorKind::KeysUnavailable));
    assert_eq!(kind(&server, &up.token("alice").sign()).await, None);
    let error = server.ready().await.unwrap_err();
    assert_eq!(error.reasons()[0].issuer(), Some("https://down.test/"));
    assert_eq!(error.reasons().len(), 1);
    advance(MINUTE).await;
}
