//! When keys change under their names, are missing, are asked for by hand, saved, or kept through a reload. Time is
//! tokio's paused clock, except where a runtime ends.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use support::kind;
use support::resolver::Table;
use support::source::{Scripted, gated, keys_of};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use tower_bearer::config::Clock;
use tower_bearer::keys::{Algorithm, Freshness, HttpClient, SavedKeys, StaticKeys};
use tower_bearer::testing::{Idp, ManualClock};
use tower_bearer::{ErrorKind, Issuer, ResourceServer};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const API: &str = "https://api.test";

fn trusting(idp: &Idp) -> ResourceServer {
    ResourceServer::new(API).trust(idp).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_replaced_under_its_name_is_found_at_the_first_token() {
    let idp = Idp::new("https://id.test/");
    let server = trusting(&idp);
    let old = idp.token("alice").sign();
    assert_eq!(kind(&server, &old).await, None);
    sleep(MINUTE).await;
    idp.replace_keys();
    let new = idp.token("alice").sign();
    let verdicts = join_all((0..100).map(|_| server.authenticate(&new))).await;
    assert!(verdicts.iter().all(Result::is_ok), "all share the one fetch");
    assert_eq!(idp.fetches(), 2);
    assert_eq!(kind(&server, &old).await, Some(ErrorKind::BadSignature), "the old material is gone");
    assert_eq!(idp.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn keys_without_a_name_are_found_after_a_rotation() {
    let idp = Idp::new("https://id.test/");
    // a set whose keys have no names
    let source = Scripted::new({
        let idp = idp.clone();
        move |_| {
            let mut set = idp.jwks();
            set["keys"][0].as_object_mut().unwrap().remove("kid");
            async move { Ok(tower_bearer::keys::FetchedKeys::new(set.to_string())) }
        }
    });
    let trust = (Issuer::new("https://id.test/"), source.clone());
    let server = ResourceServer::new(API).trust(trust).build().unwrap();
    let token = || idp.token("alice").without_header("kid").sign();
    assert_eq!(kind(&server, &token()).await, None);
    idp.rotate();
    assert_eq!(kind(&server, &token()).await, None, "no name is a name that the set may lack");
    assert_eq!(source.fetches(), 2);
    // whoever forges such tokens goes through the same limit, and nobody's good token is thrown
    // away for it
    sleep(11 * MINUTE).await;
    let forged = || idp.token("mallory").without_header("kid").wrong_key().sign();
    assert_eq!(kind(&server, &forged()).await, Some(ErrorKind::BadSignature));
    idp.rotate();
    let (wrong, accepted) = until_accepted(&server, &token()).await;
    assert_eq!((wrong < 5 * SECOND, accepted), (true, 5 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_replaced_under_its_name_by_another_type_is_found_too() {
    let idps =
        [Algorithm::Es256, Algorithm::Es384].map(|algorithm| Idp::with_algorithms("https://id.test/", &[algorithm]));
    let source = Scripted::new({
        let idps = idps.clone();
        move |fetch| {
            let mut set = idps[usize::from(fetch > 1)].jwks();
            set["keys"][0]["kid"] = "sig".into();
            async move { Ok(tower_bearer::keys::FetchedKeys::new(set.to_string())) }
        }
    });
    let server = ResourceServer::new(API).trust((Issuer::new("https://id.test/"), source.clone())).build().unwrap();
    let token = |idp: &Idp| idp.token("alice").header("kid", "sig").sign();
    assert_eq!(kind(&server, &token(&idps[0])).await, None);
    assert_eq!(kind(&server, &token(&idps[1])).await, Some(ErrorKind::UnsupportedAlgorithm), "too young to be doubted");
    sleep(MINUTE).await;
    assert_eq!(kind(&server, &token(&idps[1])).await, None);
    assert_eq!(source.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_without_kid_may_lack_its_key_because_of_an_outage() {
    let idp = Idp::new("https://id.test/");
    let server = trusting(&idp);
    let token = || idp.token("alice").without_header("kid").sign();
    assert_eq!(kind(&server, &token()).await, None);
    sleep(MINUTE).await;
    idp.rotate();
    idp.outage();
    assert_eq!(kind(&server, &token()).await, Some(ErrorKind::KeysUnavailable));
    idp.recover();
    sleep(MINUTE).await;
    assert_eq!(kind(&server, &token()).await, None);
}

#[test]
fn what_saved_keys_do_not_have_is_an_outage_until_the_issuer_was_asked() {
    let idp = Idp::new("https://id.test/");
    let saved =
        serde_json::json!([{ "issuer": "https://id.test/", "fresh_until": u64::MAX, "jwks": idp.jwks().to_string() }]);
    let saved: Vec<SavedKeys> = serde_json::from_value(saved).unwrap();
    let server = ResourceServer::new(API).trust(&idp).saved_keys(saved).build().unwrap();
    let verdict = |token: String| futures_util::FutureExt::now_or_never(kind(&server, &token)).unwrap();
    assert_eq!(verdict(idp.token("alice").sign()), None);
    idp.rotate();
    // there is no runtime here to ask on
    assert_eq!(verdict(idp.token("alice").sign()), Some(ErrorKind::KeysUnavailable));
}

#[tokio::test(start_paused = true)]
async fn forged_signatures_cost_one_fetch_in_thirty_seconds_and_leave_a_rotation_its_permit() {
    for down in [false, true] {
        let idp = Idp::new("https://id.test/");
        let server = trusting(&idp);
        let good = idp.token("alice").sign();
        assert_eq!(kind(&server, &good).await, None);
        sleep(MINUTE).await;
        if down {
            idp.outage();
        }
        let before = idp.fetches();
        for _ in 0..100 {
            let forged = idp.token("mallory").wrong_key().sign();
            assert_eq!(kind(&server, &forged).await, Some(ErrorKind::BadSignature), "never an outage");
        }
        assert_eq!(idp.fetches() - before, 1);
        assert_eq!(kind(&server, &good).await, None);
        idp.recover();
        idp.rotate();
        assert_eq!(kind(&server, &idp.token("alice").sign()).await, None);
        assert_eq!(idp.fetches() - before, 2);
    }
}

/// Why a token is refused, if it is, and how long to wait.
async fn refusal(server: &ResourceServer, token: &str) -> Option<(ErrorKind, Option<Duration>)> {
    server.authenticate(token).await.err().map(|error| (error.kind(), error.retry_after()))
}

/// Sends a token each half second until it is accepted; returns how long it was 401, and when it
/// was accepted. In between it is 503, and says when to come back.
async fn until_accepted(server: &ResourceServer, token: &str) -> (Duration, Duration) {
    let (begin, mut wrong) = (Instant::now(), Duration::ZERO);
    while let Some((kind, wait)) = refusal(server, token).await {
        if kind == ErrorKind::KeysUnavailable {
            assert!(wait.is_some_and(|wait| !wait.is_zero() && wait <= SECOND * 30), "{wait:?}");
        } else {
            wrong = begin.elapsed();
        }
        sleep(SECOND / 2).await;
    }
    (wrong, begin.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_token_that_comes_before_its_key_is_published_is_accepted_five_seconds_later() {
    let idp = Idp::new("https://id.test/");
    let (old, begin) = (keys_of(&idp), Instant::now());
    idp.rotate();
    let new = keys_of(&idp);
    let source = Scripted::new(move |_| {
        let answer = if begin.elapsed() < 63 * SECOND { old.clone() } else { new.clone() };
        async { Ok(answer) }
    });
    let server = ResourceServer::new(API).trust((Issuer::new("https://id.test/"), source.clone())).build().unwrap();
    server.ready().await.unwrap();
    sleep(MINUTE).await;
    // three seconds before
    let (wrong, accepted) = until_accepted(&server, &idp.token("alice").sign()).await;
    assert!(wrong < 5 * SECOND && accepted == 5 * SECOND, "{wrong:?} {accepted:?}");
    assert_eq!(source.fetches(), 3);
}

#[tokio::test(start_paused = true)]
async fn whoever_guesses_the_next_name_cannot_have_good_tokens_thrown_away() {
    // how often it is forged before the rotation, five seconds apart, and when tokens of the new
    // key are accepted at the latest
    for (times, latest) in [(1, 5 * SECOND), (2, 30 * SECOND), (100, 30 * SECOND)] {
        let idp = Idp::new("https://id.test/");
        let server = trusting(&idp);
        server.ready().await.unwrap();
        sleep(MINUTE).await;
        for _ in 0..times {
            sleep(5 * SECOND).await;
            let forged = idp.token("mallory").wrong_key().header("kid", "es256-2").sign();
            assert!(kind(&server, &forged).await.is_some());
        }
        idp.rotate();
        let (wrong, accepted) = until_accepted(&server, &idp.token("alice").sign()).await;
        assert!(wrong < 5 * SECOND && accepted <= latest, "{times}: {wrong:?} {accepted:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_on_with_an_unknown_key_leaves_a_rotation_its_permit() {
    let idp = Idp::new("https://id.test/");
    let server = trusting(&idp);
    let known = idp.token("alice").sign();
    assert_eq!(kind(&server, &known).await, None);
    sleep(MINUTE).await;
    let stale = idp.token("alice").header("kid", "elsewhere").sign();
    assert_eq!(kind(&server, &stale).await, Some(ErrorKind::UnknownKey), "an honest no, after a fetch");
    let (begin, before) = (Instant::now(), idp.fetches());
    for turn in 1..=3000 {
        sleep(SECOND / 10).await;
        match refusal(&server, &stale).await.unwrap() {
            (ErrorKind::UnknownKey, _) => {}
            (ErrorKind::KeysUnavailable, Some(wait)) => assert!(!wait.is_zero() && wait <= 30 * SECOND, "{wait:?}"),
            other => panic!("{other:?}"),
        }
        if turn % 700 == 0 {
            idp.rotate();
            assert_eq!(kind(&server, &idp.token("alice").sign()).await, None, "at once, {:?}", begin.elapsed());
        }
    }
    // one in thirty seconds, the one more at the beginning, and the rotations
    assert!(idp.fetches() - before <= 10 + 1 + 4, "{}", idp.fetches() - before);
    sleep(MINUTE).await;
    assert_eq!(kind(&server, &stale).await, Some(ErrorKind::UnknownKey));
}

#[tokio::test(start_paused = true)]
async fn a_rotation_under_a_flood_of_forged_names_is_an_outage_of_thirty_seconds_at_most() {
    let idp = Idp::new("https://id.test/");
    let server = trusting(&idp);
    assert_eq!(kind(&server, &idp.token("alice").sign()).await, None);
    let mut forged = 0..;
    let mut flood = async || {
        let names = forged.by_ref().take(20);
        let tokens: Vec<_> = names.map(|n| idp.token("m").header("kid", format!("forged-{n}")).sign()).collect();
        let kinds = join_all(tokens.iter().map(|token| kind(&server, token))).await;
        let possible = [Some(ErrorKind::UnknownKey), Some(ErrorKind::KeysUnavailable)];
        assert!(kinds.iter().all(|kind| possible.contains(kind)), "{kinds:?}");
    };
    for _ in 0..100 {
        sleep(SECOND).await;
        flood().await;
    }
    let before = idp.fetches();
    idp.rotate();
    let (good, begin) = (idp.token("alice").sign(), Instant::now());
    let mut wrong = 0;
    while let Some((kind, wait)) = refusal(&server, &good).await {
        if kind == ErrorKind::KeysUnavailable {
            assert!(wait.is_some_and(|wait| wait <= 30 * SECOND), "{wait:?}");
        } else {
            wrong += 1;
        }
        sleep(SECOND).await;
        flood().await;
    }
    assert!(wrong <= 5 && begin.elapsed() <= 30 * SECOND, "{wrong} {:?}", begin.elapsed());
    assert!(idp.fetches() - before <= 2);
}

#[tokio::test(start_paused = true)]
async fn who_obeys_retry_after_is_accepted() {
    let idp = Idp::new("https://id.test/");
    let server = trusting(&idp);
    server.ready().await.unwrap();
    for name in ["forged-1", "forged-2"] {
        sleep(SECOND).await;
        assert_eq!(kind(&server, &idp.token("m").header("kid", name).sign()).await, Some(ErrorKind::UnknownKey));
    }
    idp.rotate();
    sleep(10 * SECOND).await;
    let good = idp.token("alice").sign();
    let (kind, wait) = refusal(&server, &good).await.unwrap();
    assert_eq!((kind, wait), (ErrorKind::KeysUnavailable, Some(19 * SECOND)));
    sleep(wait.unwrap()).await;
    assert_eq!(refusal(&server, &good).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_token_of_a_withdrawn_key_is_refused_for_good() {
    let idp = Idp::new("https://id.test/");
    let server = trusting(&idp);
    let old = idp.token("alice").sign();
    assert_eq!(kind(&server, &old).await, None);
    idp.rotate();
    assert_eq!(kind(&server, &idp.token("alice").sign()).await, None);
    // both permits are used; its client must sign in anew, and not wait
    assert_eq!(kind(&server, &idp.token("m").unknown_kid().sign()).await, Some(ErrorKind::UnknownKey));
    for _ in 0..120 {
        assert_eq!(kind(&server, &old).await, Some(ErrorKind::UnknownKey));
        sleep(SECOND).await;
    }
    assert!(idp.fetches() <= 3 + 4, "{}", idp.fetches());
    // where nobody can be asked, nobody knows
    idp.outage();
    assert!(server.refresh("https://id.test/").await.is_err());
    assert_eq!(kind(&server, &old).await, Some(ErrorKind::KeysUnavailable));
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_looked_for_is_looked_for_again() {
    let idp = Idp::new("https://id.test/");
    let server = trusting(&idp);
    assert_eq!(kind(&server, &idp.token("alice").sign()).await, None);
    idp.rotate();
    idp.outage();
    let token = idp.token("alice").sign();
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::KeysUnavailable));
    idp.recover();
    assert_eq!(kind(&server, &token).await, None, "by the second permit");
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_by_hand_within_the_limit() {
    let idp = Idp::new("https://id.test/");
    let server = trusting(&idp);
    let old = idp.token("alice").sign();
    assert_eq!(server.refresh("https://other.test/").await.unwrap_err().kind(), ErrorKind::UnknownIssuer);
    assert!(server.refresh("https://id.test/").await.is_ok(), "also when none have been fetched yet");
    assert_eq!(kind(&server, &old).await, None);
    idp.rotate();
    assert!(server.refresh("https://id.test/").await.is_ok());
    assert_eq!(kind(&server, &old).await, Some(ErrorKind::UnknownKey), "gone at once");
    let error = server.refresh("https://id.test/").await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::KeysUnavailable, Some(Duration::from_secs(30))));
    assert_eq!(idp.fetches(), 2);
    sleep(Duration::from_secs(30)).await;
    idp.outage();
    assert!(server.refresh("https://id.test/").await.unwrap_err().to_string().contains("down"));
    assert_eq!(kind(&server, &idp.token("alice").sign()).await, None, "the keys in hand are untouched");

    let keys = StaticKeys::jwks(&idp.jwks().to_string()).unwrap();
    let fixed = ResourceServer::new(API).trust((Issuer::new("https://id.test/"), keys)).build().unwrap();
    assert!(fixed.refresh("https://id.test/").await.is_ok());
    assert_eq!(fixed.status()[0].state, Freshness::Fixed);
}

#[tokio::test(start_paused = true)]
async fn the_status_tells_how_the_keys_are_and_since_when() {
    let idp = Idp::new("https://id.test/");
    let server = trusting(&idp);
    let status = || server.status().remove(0);
    let state = || (status().state, status().is_usable(), status().failures);
    assert_eq!(state(), (Freshness::NeverLoaded, false, 0));
    idp.outage();
    assert!(server.ready().await.is_err());
    assert_eq!(state(), (Freshness::NeverLoaded, false, 1));
    assert!(status().last_error.unwrap().contains("down"));
    assert!(status().next_fetch_in.unwrap() <= Duration::from_millis(1050));
    sleep(Duration::from_millis(500)).await;
    assert_eq!(status().failing_for, Some(Duration::from_millis(500)));
    idp.recover();
    sleep(Duration::from_millis(600)).await;
    assert_eq!(state(), (Freshness::Fresh, true, 0));
    assert_eq!((status().last_error, status().failing_for, status().stale_for), (None, None, None));
    idp.outage();
    sleep(11 * MINUTE).await;
    assert_eq!((status().state, status().is_usable()), (Freshness::Stale, true));
    let (age, stale, failing) = (status().age.unwrap(), status().stale_for.unwrap(), status().failing_for.unwrap());
    assert_eq!(age - stale, 10 * MINUTE);
    assert!(stale >= MINUTE - Duration::from_secs(1) && failing > 2 * MINUTE, "{stale:?} {failing:?}");
    let json = serde_json::to_value(server.status()).unwrap();
    assert_eq!(json[0]["state"], "stale");
    assert_eq!(json[0]["stale_for"], stale.as_secs());
    sleep(60 * MINUTE).await;
    assert_eq!((status().state, status().is_usable()), (Freshness::Expired, false));
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_takes_too_long_is_called_that() {
    let idp = Idp::new("https://id.test/");
    let source = Scripted::new({
        let idp = idp.clone();
        move |fetch| {
            let keys = keys_of(&idp);
            async move {
                sleep(Duration::from_secs(if fetch > 1 { 3 } else { 0 })).await;
                Ok(keys)
            }
        }
    });
    let server = ResourceServer::new(API).trust((Issuer::new("https://id.test/"), source)).build().unwrap();
    assert_eq!(kind(&server, &idp.token("alice").sign()).await, None);
    let error = server.authenticate(&idp.token("alice").unknown_kid().sign()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeysUnavailable);
    assert!(error.to_string().contains("has not ended yet"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn readiness_fails_with_every_reason() {
    let idps: Vec<_> = ["https://a.test/", "https://b.test/", "https://c.test/"].map(Idp::new).into();
    idps[0].outage();
    idps[2].withdraw();
    let server = ResourceServer::new(API).trust(&idps[0]).trust(&idps[1]).trust(&idps[2]).build().unwrap();
    let error = server.ready().await.unwrap_err();
    let reasons: Vec<_> = error.reasons().iter().map(|error| (error.kind(), error.issuer().unwrap())).collect();
    let kind = ErrorKind::KeysUnavailable;
    assert_eq!(reasons, [(kind, "https://a.test/"), (kind, "https://c.test/")]);
    let text = error.to_string();
    assert!(text.contains("down") && text.contains("no usable key"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn of_a_hundred_who_wait_the_first_hangs_up_and_the_others_get_their_keys() {
    let idp = Idp::new("https://id.test/");
    let gate = Arc::new(Semaphore::new(0));
    let source = gated(&idp, &gate);
    let trust = (Issuer::new("https://id.test/"), source.clone());
    let server = ResourceServer::new(API).trust(trust).build().unwrap();
    let token = idp.token("alice").sign();
    let mut waiting: Vec<_> = (0..100)
        .map(|_| {
            let (server, token) = (server.clone(), token.clone());
            tokio::spawn(async move { kind(&server, &token).await })
        })
        .collect();
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(source.fetches(), 1);
    waiting.remove(0).abort();
    gate.add_permits(1);
    for verdict in join_all(waiting).await {
        assert_eq!(verdict.unwrap(), None);
    }
    assert_eq!(source.fetches(), 1);
}

#[test]
fn a_runtime_that_ends_in_the_middle_of_a_fetch_frees_those_who_wait_on_another() {
    let idp = Idp::new("https://id.test/");
    let source = Scripted::new({
        let idp = idp.clone();
        move |fetch| {
            let keys = keys_of(&idp);
            async move {
                if fetch == 1 {
                    std::future::pending::<()>().await;
                }
                Ok(keys)
            }
        }
    });
    let trust = (Issuer::new("https://id.test/"), source.clone());
    let server = ResourceServer::new(API).trust(trust).build().unwrap();
    let token = idp.token("alice").sign();
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let fetching = first.spawn({
        let (server, token) = (server.clone(), token.clone());
        async move { kind(&server, &token).await }
    });
    let begin = Instant::now();
    second.block_on(async {
        while source.fetches() == 0 {
            tokio::task::yield_now().await;
        }
    });
    let waiting = second.spawn(async move { kind(&server, &token).await });
    first.shutdown_background();
    assert!(second.block_on(fetching).is_err(), "ended with its runtime");
    // it was told at once; whether it saw the failure or fetched anew depends on who came first
    let verdict = second.block_on(waiting).unwrap();
    assert!(matches!(verdict, None | Some(ErrorKind::KeysUnavailable)), "{verdict:?}");
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[test]
fn a_runtime_that_is_kept_but_not_driven_starves_nobody() {
    let idp = Idp::new("https://id.test/");
    let server = trusting(&idp);
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let (kept, other) = (runtime(), runtime());
    kept.block_on(server.ready()).unwrap();
    // an order that is not taken up is carried out by another
    idp.rotate();
    let (token, begin) = (idp.token("alice").sign(), Duration::from_secs(1));
    other.block_on(async {
        let start = Instant::now();
        assert_eq!(kind(&server, &token).await, None);
        assert_eq!(start.elapsed(), begin, "a second is how long the other is waited for");
    });
    assert_eq!(idp.fetches(), 2);
    // and so are the planned ones: this time by the runtime that was forgotten
    kept.block_on(async {
        sleep(20 * MINUTE).await;
        assert_eq!(kind(&server, &token).await, None);
        assert_eq!(server.status()[0].state, Freshness::Stale);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(server.status()[0].state, Freshness::Fresh);
    });
    assert_eq!(idp.fetches(), 3);
}

#[tokio::test(start_paused = true)]
async fn saved_keys_serve_a_start_during_an_outage_until_they_are_too_old() {
    let clock = ManualClock::default();
    let idp = Idp::new("https://id.test/").clock(clock.clone());
    let server = || ResourceServer::new(API).trust(&idp).clock(clock.clone());
    let first = server().build().unwrap();
    first.ready().await.unwrap();
    let file = serde_json::to_string(&first.save_keys()).unwrap();
    let saved = || serde_json::from_str::<Vec<SavedKeys>>(&file).unwrap();
    assert_eq!(saved()[0].issuer(), "https://id.test/");
    drop(first);

    idp.outage();
    clock.advance(69 * MINUTE);
    let second = server().saved_keys(saved()).build().unwrap();
    let status = second.status().remove(0);
    assert_eq!((status.state, status.keys.len(), status.age), (Freshness::Stale, 1, None));
    assert_eq!(kind(&second, &idp.token("alice").sign()).await, None, "10 minutes fresh, 1 hour stale");
    let before = idp.fetches();
    tokio::task::yield_now().await;
    assert_eq!(idp.fetches(), before + 1, "newer ones are asked for at once");
    sleep(2 * MINUTE).await;
    assert_eq!(kind(&second, &idp.token("alice").sign()).await, Some(ErrorKind::KeysUnavailable));

    clock.advance(2 * MINUTE);
    let late = server().saved_keys(saved()).build().unwrap();
    assert_eq!(kind(&late, &idp.token("alice").sign()).await, Some(ErrorKind::KeysUnavailable));

    // newer keys replace them like any
    idp.recover();
    idp.rotate();
    let third = server().saved_keys(saved()).build().unwrap();
    assert_eq!(kind(&third, &idp.token("alice").sign()).await, None);
    // what is not configured is left out, and what makes no sense does no harm
    let strange = serde_json::json!([
        { "issuer": "https://other.test/", "fresh_until": 1, "jwks": "{\"keys\":[]}" },
        { "issuer": "https://id.test/", "fresh_until": u64::MAX, "jwks": "x" },
        { "issuer": "https://id.test/", "fresh_until": u64::MAX, "jwks": "{\"keys\":[]}" },
    ]);
    let strange: Vec<SavedKeys> = serde_json::from_value(strange).unwrap();
    let fourth = server().saved_keys(strange).build().unwrap();
    assert_eq!(fourth.status()[0].state, Freshness::NeverLoaded);
}

#[tokio::test(start_paused = true)]
async fn a_saved_set_is_not_fresh_for_longer_than_any_could_be() {
    let idp = Idp::new("https://id.test/");
    let saved =
        serde_json::json!([{ "issuer": "https://id.test/", "fresh_until": u64::MAX, "jwks": idp.jwks().to_string() }]);
    let saved: Vec<SavedKeys> = serde_json::from_value(saved).unwrap();
    let server = ResourceServer::new(API).trust(&idp).saved_keys(saved).build().unwrap();
    idp.outage();
    let token = idp.token("alice").sign();
    assert_eq!(kind(&server, &token).await, None);
    sleep(25 * 60 * MINUTE).await;
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::KeysUnavailable));
}

#[tokio::test(start_paused = true)]
async fn a_reload_changes_the_terms_for_all_clones_at_once() {
    let (a, b) = (Idp::new("https://a.test/"), Idp::new("https://b.test/"));
    let server = trusting(&a);
    let layer = server.clone();
    assert_eq!(kind(&layer, &b.token("bob").sign()).await, Some(ErrorKind::UnknownIssuer));
    server.reload(ResourceServer::new("https://new.test").trust(&b)).unwrap();
    assert_eq!(kind(&layer, &b.token("bob").audience("https://new.test").sign()).await, None);
    assert_eq!(kind(&layer, &b.token("bob").sign()).await, Some(ErrorKind::WrongAudience));
    assert_eq!(kind(&layer, &a.token("alice").sign()).await, Some(ErrorKind::UnknownIssuer));
    let problems = server.reload(ResourceServer::new("")).unwrap_err();
    assert_eq!(problems.problems().len(), 2);
    assert_eq!(kind(&layer, &b.token("bob").audience("https://new.test").sign()).await, None, "nothing has changed");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_is_judged_by_the_terms_under_which_it_came() {
    let idp = Idp::new("https://id.test/");
    let gate = Arc::new(Semaphore::new(0));
    let source = gated(&idp, &gate);
    let server = ResourceServer::new(API).trust((Issuer::new("https://id.test/"), source)).build().unwrap();
    let token = idp.token("alice").sign();
    let waiting = server.authenticate(&token);
    let reload = async {
        tokio::task::yield_now().await;
        server.reload(ResourceServer::new("https://new.test").trust(&idp)).unwrap();
        gate.add_permits(1);
    };
    let (verdict, ()) = futures_util::join!(waiting, reload);
    assert!(verdict.is_ok());
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::WrongAudience));
}

/// Two issuers over HTTP, each at its own host.
fn two_issuers() -> (Idp, Idp, HttpClient) {
    let (a, b) = (Idp::new("https://a.test"), Idp::new("https://b.test"));
    let idps = [a.clone(), b.clone()];
    let answer = tower::service_fn(move |request: http::Request<axum::body::Body>| {
        let [a, b] = &idps;
        let idp = if request.uri().host() == Some("a.test") { a } else { b };
        let metadata = serde_json::json!({ "issuer": idp.issuer(), "jwks_uri": format!("{}/jwks", idp.issuer()) });
        let body = if request.uri().path() == "/jwks" { idp.jwks() } else { metadata };
        let response = http::Response::builder().header("content-type", "application/json");
        let response = response.body(axum::body::Body::from(body.to_string())).unwrap();
        async { Ok::<_, std::convert::Infallible>(response) }
    });
    (a, b, HttpClient::from_service(answer))
}

#[tokio::test]
async fn keys_do_not_change_hands_where_one_issuer_was_anothers_name() {
    let (a, b, client) = two_issuers();
    let by = |issuer: Issuer| ResourceServer::new("https://api.test").trust(issuer).http_client(client.clone());
    let server = by(Issuer::new(a.issuer()).also_known_as(b.issuer())).build().unwrap();
    server.ready().await.unwrap();
    assert!(server.authenticate(&a.token("alice").issuer(b.issuer()).sign()).await.is_ok());
    // now it is an issuer of its own
    server.reload(by(Issuer::new(b.issuer()))).unwrap();
    assert_eq!(kind(&server, &a.token("mallory").issuer(b.issuer()).sign()).await, Some(ErrorKind::BadSignature));
    assert_eq!(kind(&server, &b.token("bob").sign()).await, None);
    // nor are saved keys of the one restored as the other's
    let saved = server.save_keys();
    let other = by(Issuer::new(a.issuer()).also_known_as(b.issuer())).saved_keys(saved).build().unwrap();
    assert_eq!(kind(&other, &b.token("mallory").issuer(a.issuer()).sign()).await, Some(ErrorKind::BadSignature));
}

#[test]
fn an_idle_connection_of_a_runtime_that_is_not_driven_delays_nobody() {
    let serving = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let idp = serving.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let idp = Idp::new(format!("http://{}", listener.local_addr().unwrap()));
        let app = axum::Router::new().fallback_service(idp.service());
        tokio::spawn(axum::serve(listener, app).into_future());
        idp
    });
    let server = ResourceServer::new(API).trust(Issuer::new(idp.issuer())).build().unwrap();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (kept, other) = (runtime(), runtime());
    kept.block_on(server.ready()).unwrap();
    idp.rotate();
    let token = idp.token("alice").sign();
    other.block_on(async {
        let waiting = tokio::spawn(async move { kind(&server, &token).await });
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        // the second for which the other runtime is waited for
        tokio::time::pause();
        tokio::time::advance(SECOND).await;
        tokio::time::resume();
        assert_eq!(waiting.await.unwrap(), None);
    });
    assert_eq!(idp.fetches(), 2);
}

/// Trusts an issuer by a wall clock that only moves when it is told to.
fn trusting_by(clock: &ManualClock) -> (Idp, ResourceServer) {
    let idp = Idp::new("https://id.test/").clock(clock.clone());
    let server = ResourceServer::new(API).trust(&idp).clock(clock.clone()).build().unwrap();
    (idp, server)
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_was_suspended_does_not_trust_the_keys_of_yesterday() {
    let (clock, day) = (ManualClock::new(), 24 * 60 * MINUTE);
    let (idp, server) = trusting_by(&clock);
    let old = idp.token("alice").expires_in(9 * day).sign();
    for _ in 0..2 {
        assert_eq!(kind(&server, &old).await, None);
    }
    idp.rotate();
    clock.advance(day);
    let status = server.status().remove(0);
    assert_eq!((status.state, status.age, status.stale_for), (Freshness::Expired, Some(day), Some(day - 10 * MINUTE)));
    let begin = Instant::now();
    assert_eq!(kind(&server, &old).await, Some(ErrorKind::UnknownKey), "a token that is known, too");
    assert_eq!((idp.fetches(), begin.elapsed()), (2, Duration::ZERO));
    // its network is not there yet
    idp.outage();
    clock.advance(day);
    let token = idp.token("alice").sign();
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::KeysUnavailable));
    idp.recover();
    sleep(2 * SECOND).await;
    assert_eq!(kind(&server, &token).await, None);
    // within what they may be stale they are used, and fetched again within a minute, also if no
    // token comes
    clock.advance(30 * MINUTE);
    assert_eq!(server.status()[0].state, Freshness::Stale);
    assert_eq!(kind(&server, &idp.token("alice").sign()).await, None);
    let before = idp.fetches();
    sleep(MINUTE).await;
    assert_eq!((idp.fetches(), server.status()[0].state), (before + 1, Freshness::Fresh));
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_is_set_takes_no_service_down_and_makes_no_key_last() {
    // a machine without a clock of its own begins in 1970, until it has asked for the time
    let clock = ManualClock::at(std::time::SystemTime::UNIX_EPOCH + 10 * SECOND);
    let (idp, server) = trusting_by(&clock);
    assert_eq!(kind(&server, &idp.token("alice").sign()).await, None);
    clock.set(ManualClock::new().now());
    let begin = Instant::now();
    assert_eq!(kind(&server, &idp.token("alice").sign()).await, None);
    assert_eq!((idp.fetches(), begin.elapsed()), (2, Duration::ZERO));
    // it is set back
    let token = idp.token("alice").expires_in(24 * 60 * MINUTE).sign();
    clock.set(std::time::SystemTime::UNIX_EPOCH);
    idp.outage();
    sleep(69 * MINUTE).await;
    assert_eq!(kind(&server, &token).await, None);
    sleep(2 * MINUTE).await;
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::KeysUnavailable));
    assert_eq!(server.status()[0].state, Freshness::Expired);
}

#[tokio::test(start_paused = true)]
async fn keys_are_not_saved_by_a_clock_that_cannot_say_until_when_they_are_fresh() {
    let clock = ManualClock::new();
    let (idp, server) = trusting_by(&clock);
    server.ready().await.unwrap();
    assert_eq!(server.save_keys().len(), 1);
    clock.set(std::time::SystemTime::UNIX_EPOCH - MINUTE);
    assert_eq!(server.save_keys().len(), 0);
    // and such a clock at the time of the fetch does no harm once it is put right
    idp.rotate();
    sleep(10 * MINUTE).await;
    clock.set(ManualClock::new().now());
    let saved = server.save_keys();
    idp.outage();
    let next = ResourceServer::new(API).trust(&idp).saved_keys(saved).build().unwrap();
    assert_eq!(next.status()[0].state, Freshness::Fresh);
    sleep(10 * MINUTE).await;
    assert_eq!(next.status()[0].state, Freshness::Stale);
}

#[tokio::test(start_paused = true)]
async fn a_clock_before_1970_accepts_nothing_and_says_why_until_it_is_put_right() {
    let clock = ManualClock::at(std::time::SystemTime::UNIX_EPOCH - MINUTE);
    let (idp, server) = trusting_by(&clock);
    server.ready().await.unwrap();
    let error = server.authenticate(&idp.token("alice").sign()).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Expired && error.to_string().contains("set before 1970"), "{error}");
    assert_eq!((server.ready().await.is_ok(), idp.fetches()), (true, 1));
    clock.set(ManualClock::new().now());
    assert_eq!(kind(&server, &idp.token("alice").sign()).await, None);
}

/// An issuer over HTTP that takes so long for each document.
fn slow_issuer(takes: Duration) -> (Idp, HttpClient) {
    let idp = Idp::new("https://slow.test");
    let published = idp.clone();
    let answer = tower::service_fn(move |request: http::Request<axum::body::Body>| {
        let metadata = serde_json::json!({ "issuer": "https://slow.test", "jwks_uri": "https://slow.test/jwks" });
        let body = if request.uri().path() == "/jwks" { published.jwks() } else { metadata };
        async move {
            sleep(takes).await;
            let response = http::Response::builder().header("content-type", "application/json");
            Ok::<_, std::convert::Infallible>(response.body(axum::body::Body::from(body.to_string())).unwrap())
        }
    });
    (idp, HttpClient::from_service(answer))
}

#[tokio::test(start_paused = true)]
async fn how_long_is_waited_for_a_slow_issuer_can_be_set() {
    let elapsed = |begin: Instant| begin.elapsed().as_millis().div_ceil(1000);
    let (idp, client) = slow_issuer(3 * SECOND);
    let builder = || ResourceServer::new(API).trust(Issuer::new(idp.issuer())).http_client(client.clone());
    let token = idp.token("alice").sign();

    // by default a request waits for 2 s, and the service is ready when both documents are there
    let (server, begin) = (builder().build().unwrap(), Instant::now());
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::KeysUnavailable));
    assert_eq!(elapsed(begin), 2);
    server.ready().await.unwrap();
    assert_eq!((elapsed(begin), kind(&server, &token).await), (6, None));

    for (wait, verdict, took) in [(0, Some(ErrorKind::KeysUnavailable), 0), (10, None, 6)] {
        let server = builder().key_wait_timeout(wait * SECOND).build().unwrap();
        let begin = Instant::now();
        assert_eq!((kind(&server, &token).await, elapsed(begin)), (verdict, took));
    }

    // 5 s are given to each of them
    let (idp, client) = slow_issuer(7 * SECOND);
    let builder = || ResourceServer::new(API).trust(Issuer::new(idp.issuer())).http_client(client.clone());
    let (server, begin) = (builder().build().unwrap(), Instant::now());
    let error = server.ready().await.unwrap_err().to_string();
    assert!(error.contains("within 5 s") && elapsed(begin) == 5, "{error}");
    // a reload counts for keys that are kept, too
    server.reload(builder().key_fetch_timeout(10 * SECOND)).unwrap();
    sleep(30 * SECOND).await;
    assert_eq!(kind(&server, &idp.token("alice").sign()).await, None);
    let (server, begin) = (builder().key_fetch_timeout(10 * SECOND).build().unwrap(), Instant::now());
    server.ready().await.unwrap();
    assert_eq!(elapsed(begin), 14);

    // and three times that to a whole fetch of any source
    let hanging = (Issuer::new("https://id.test/"), Scripted::new(|_| std::future::pending()));
    let server = ResourceServer::new(API).trust(hanging).key_fetch_timeout(SECOND * 3 / 2).build().unwrap();
    let begin = Instant::now();
    let error = server.ready().await.unwrap_err().to_string();
    assert!(error.contains("longer than 4.5 s") && elapsed(begin) == 5, "{error} {:?}", begin.elapsed());
    let problems = ResourceServer::new(API).trust(&idp).key_wait_timeout(31 * SECOND).key_fetch_timeout(SECOND / 2);
    let problems = problems.build().unwrap_err();
    let paths: Vec<_> = problems.problems().iter().map(|problem| problem.path()).collect();
    assert_eq!(paths, ["key_wait_timeout", "key_fetch_timeout"]);
}

#[tokio::test(start_paused = true)]
async fn an_earlier_decision_is_gone_by_before_a_short_wait_is_over() {
    let idp = Idp::new("https://a.test/");
    let table = Table::with(&[&idp]);
    let server = ResourceServer::new(API).trust_with(table.clone()).key_wait_timeout(SECOND).build().unwrap();
    assert_eq!(kind(&server, &idp.token("alice").sign()).await, None);
    *table.slow.lock().unwrap() = 10 * SECOND;
    sleep(6 * MINUTE).await;
    let begin = Instant::now();
    assert_eq!(kind(&server, &idp.token("alice").sign()).await, None);
    assert_eq!(begin.elapsed(), SECOND * 3 / 4);
}
