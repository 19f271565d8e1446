//! Resolvers that hang, fail, panic or are flooded: issuers that are known stay trusted for an hour, and those that are not
//! get their turn. Time is tokio's paused clock.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use support::kind;
use support::resolver::Table;
use support::source::{Scripted, keys_of};
use tokio::time::{sleep, timeout};
use tower_bearer::testing::Idp;
use tower_bearer::{ErrorKind, FetchError, Issuer, IssuerResolver, ResourceServer, Trust};

const MINUTE: Duration = Duration::from_secs(60);
const API: &str = "https://api.test";

fn trusting(table: &Table) -> ResourceServer {
    ResourceServer::new(API).trust_with(table.clone()).build().unwrap()
}

fn takes(table: &Table, time: Duration) {
    *table.slow.lock().unwrap() = time;
}

#[tokio::test(start_paused = true)]
async fn outside_a_runtime_known_issuers_are_trusted_and_others_refused() {
    let idp = Idp::new("https://a.test/");
    let table = Table::with(&[&idp]);
    let server = trusting(&table);
    let token = idp.token("alice").sign();
    assert_eq!(kind(&server, &token).await, None);
    sleep(10 * MINUTE).await;
    let elsewhere = std::thread::spawn(move || {
        let unknown = Idp::new("https://b.test/").token("m").sign();
        let verdict = |token: &str| kind(&server, token).now_or_never().unwrap();
        (verdict(&token), verdict(&unknown))
    });
    assert_eq!(elsewhere.join().unwrap(), (None, Some(ErrorKind::KeysUnavailable)));
    assert_eq!(table.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_hangs_does_not_harm_known_issuers_for_an_hour() {
    let idp = Idp::new("https://a.test/");
    let table = Table::with(&[&idp]);
    let server = trusting(&table);
    let token = idp.token("alice").sign();
    assert_eq!(kind(&server, &token).await, None);
    takes(&table, 10 * MINUTE);
    let begin = tokio::time::Instant::now();
    while begin.elapsed() < 55 * MINUTE {
        assert_eq!(kind(&server, &token).await, None, "after {:?}", begin.elapsed());
        sleep(Duration::from_secs(1)).await;
    }
    sleep(10 * MINUTE).await;
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::KeysUnavailable));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_forged_issuers_does_not_harm_a_known_one() {
    let idp = Idp::new("https://a.test/");
    let table = Table::with(&[&idp]);
    takes(&table, Duration::from_millis(100));
    let server = trusting(&table);
    let token = idp.token("alice").sign();
    assert_eq!(kind(&server, &token).await, None);
    sleep(6 * MINUTE).await;
    let forged: Vec<_> = (0..1000).map(|n| idp.token("m").issuer(format!("https://f{n}.test/")).sign()).collect();
    let flood = join_all(forged.iter().map(|token| kind(&server, token)));
    let good = async {
        tokio::task::yield_now().await;
        kind(&server, &token).await
    };
    let (_, verdict) = futures_util::join!(flood, good);
    assert_eq!(verdict, None);
}

#[tokio::test(start_paused = true)]
async fn many_new_issuers_at_once_take_turns() {
    let idps: Vec<_> = (0..600).map(|n| Idp::new(format!("https://t{n}.test/"))).collect();
    let table = Table::with(&idps.iter().collect::<Vec<_>>());
    takes(&table, Duration::from_millis(100));
    let server = trusting(&table);
    let tokens: Vec<_> = idps.iter().map(|idp| idp.token("u").sign()).collect();
    let verdicts = join_all(tokens.iter().map(|token| kind(&server, token))).await;
    assert!(verdicts.iter().all(Option::is_none));
    assert_eq!(table.asked(), 600);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_has_waited_for_its_turn_does_not_ask_again_what_was_decided_meanwhile() {
    let idp = Idp::new("https://a.test/");
    let table = Table::with(&[&idp]);
    takes(&table, Duration::from_millis(100));
    let server = trusting(&table);
    let strangers: Vec<_> = (0..256).map(|n| idp.token("m").issuer(format!("https://f{n}.test/")).sign()).collect();
    let good = idp.token("alice").sign();
    let tokens = strangers.iter().chain(std::iter::repeat_n(&good, 300));
    let verdicts = join_all(tokens.map(|token| kind(&server, token))).await;
    assert!(verdicts[256..].iter().all(Option::is_none));
    assert_eq!((table.asked(), idp.fetches()), (257, 1));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_comes_late_is_not_undone() {
    let idp = Idp::new("https://a.test/");
    let table = Table::with(&[&idp]);
    let server = trusting(&table);
    let token = idp.token("alice").sign();
    assert_eq!(kind(&server, &token).await, None);
    sleep(6 * MINUTE).await;
    table.known.lock().unwrap().clear();
    for late in [1499, 1500, 1501] {
        takes(&table, Duration::from_millis(late));
        // gone by for as long as the answer takes, and no longer
        let _ = kind(&server, &token).await;
        sleep(Duration::from_millis(10)).await;
        assert_eq!(kind(&server, &token).await, Some(ErrorKind::UnknownIssuer), "{late}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_fails_is_not_asked_again_for_a_second() {
    let idp = Idp::new("https://a.test/");
    let table = Table::with(&[&idp]);
    table.down.store(true, Ordering::SeqCst);
    let server = trusting(&table);
    let token = idp.token("alice").sign();
    for _ in 0..1000 {
        assert_eq!(kind(&server, &token).await, Some(ErrorKind::KeysUnavailable));
    }
    assert_eq!(table.asked(), 1);
    table.down.store(false, Ordering::SeqCst);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(kind(&server, &token).await, None);
}

/// Decides once, and panics from then on.
struct PanicsLater(Idp, AtomicU64);

impl IssuerResolver for PanicsLater {
    async fn resolve(&self, _: &str) -> Result<Option<Trust>, FetchError> {
        assert_eq!(self.1.fetch_add(1, Ordering::SeqCst), 0, "a bug of the application");
        Ok(Some(Trust::from(&self.0)))
    }
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_panics_later_does_not_harm_known_issuers() {
    let idp = Idp::new("https://a.test/");
    let resolver = PanicsLater(idp.clone(), AtomicU64::new(0));
    let server = ResourceServer::new(API).trust_with(resolver).build().unwrap();
    let token = idp.token("alice").sign();
    assert_eq!(kind(&server, &token).await, None);
    sleep(6 * MINUTE).await;
    assert_eq!(kind(&server, &token).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_made_anew_for_each_decision_does_not_lose_the_keys() {
    let idp = Idp::new("https://a.test/");
    let table = Table::with(&[&idp]);
    let server = trusting(&table);
    let token = idp.token("alice").sign();
    assert_eq!(kind(&server, &token).await, None);
    idp.outage();
    for minute in 0..60 {
        sleep(MINUTE).await;
        assert_eq!(kind(&server, &token).await, None, "minute {minute}");
    }
    idp.recover();
    idp.rotate();
    assert_eq!(kind(&server, &idp.token("alice").sign()).await, None);
}

/// Makes a source that takes half a second, after as long as it is told.
struct Slow(Idp, Table);

impl IssuerResolver for Slow {
    async fn resolve(&self, issuer: &str) -> Result<Option<Trust>, FetchError> {
        self.1.resolve(issuer).await?;
        let idp = self.0.clone();
        let source = Scripted::new(move |_| {
            let idp = idp.clone();
            async move {
                sleep(Duration::from_millis(500)).await;
                Ok(keys_of(&idp))
            }
        });
        Ok(Some((Issuer::new(issuer), source).into()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_rotation_at_the_time_of_a_new_decision_gets_through() {
    for (wait, decision) in [(4 * MINUTE, 0), (5 * MINUTE - Duration::from_millis(700), 1000)] {
        let (idp, table) = (Idp::new("https://a.test/"), Table::default());
        let server = ResourceServer::new(API).trust_with(Slow(idp.clone(), table.clone())).build().unwrap();
        assert_eq!(kind(&server, &idp.token("alice").sign()).await, None);
        takes(&table, Duration::from_millis(decision));
        sleep(wait).await;
        idp.rotate();
        assert_eq!(kind(&server, &idp.token("alice").sign()).await, None, "after {wait:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reload_without_resolvers_ends_the_keys_of_found_issuers() {
    let (a, b) = (Idp::new("https://a.test/"), Idp::new("https://b.test/"));
    let server = trusting(&Table::with(&[&a]));
    assert_eq!(kind(&server, &a.token("alice").sign()).await, None);
    server.reload(ResourceServer::new(API).trust(&b)).unwrap();
    let before = a.fetches();
    sleep(24 * 60 * MINUTE).await;
    assert_eq!(kind(&server, &b.token("bob").sign()).await, None);
    assert_eq!(a.fetches(), before);
}

#[test]
fn a_question_on_a_runtime_that_is_not_driven_is_asked_again_on_another() {
    let idp = Idp::new("https://a.test/");
    let table = Table::with(&[&idp]);
    takes(&table, Duration::from_millis(100));
    let server = trusting(&table);
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let (kept, other) = (runtime(), runtime());
    let token = idp.token("alice").sign();
    // a client that hangs up, on a runtime that is not driven after that
    kept.block_on(async {
        let _ = timeout(Duration::from_millis(10), server.authenticate(&token)).await;
    });
    other.block_on(async {
        sleep(MINUTE).await;
        assert_eq!(kind(&server, &token).await, None);
    });
    assert_eq!(table.asked(), 2);
}

#[test]
fn questions_on_a_runtime_that_is_not_driven_give_their_turns_back() {
    let idp = Idp::new("https://a.test/");
    let table = Table::with(&[&idp]);
    takes(&table, Duration::from_millis(100));
    let server = trusting(&table);
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let (kept, other) = (runtime(), runtime());
    let forged: Vec<_> = (0..256).map(|n| idp.token("m").issuer(format!("https://f{n}.test/")).sign()).collect();
    kept.block_on(async {
        let flood = join_all(forged.iter().map(|token| server.authenticate(token)));
        let _ = timeout(Duration::from_millis(10), flood).await;
    });
    assert_eq!(table.asked(), 256);
    let token = idp.token("alice").sign();
    other.block_on(async {
        assert_eq!(kind(&server, &token).await, Some(ErrorKind::KeysUnavailable), "all turns are taken");
        sleep(MINUTE).await;
        assert_eq!(kind(&server, &token).await, None);
    });
}

/// Trusts its issuer, with these keys.
struct With(serde_json::Value);

impl IssuerResolver for With {
    async fn resolve(&self, issuer: &str) -> Result<Option<Trust>, FetchError> {
        let keys = tower_bearer::FetchedKeys::new(self.0.to_string());
        let source = Scripted::new(move |_| {
            let keys = keys.clone();
            async { Ok(keys) }
        });
        Ok(Some((Issuer::new(issuer), source).into()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_reload_does_not_go_on_with_the_keys_of_the_former_resolvers_source() {
    let (former, new) = (Idp::new("https://a.test/"), Idp::new("https://a.test/"));
    let server = ResourceServer::new(API).trust_with(With(former.jwks())).build().unwrap();
    let token = former.token("mallory").sign();
    assert_eq!(kind(&server, &token).await, None);
    server.reload(ResourceServer::new(API).trust_with(With(new.jwks()))).unwrap();
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::BadSignature));
    assert_eq!(kind(&server, &new.token("alice").sign()).await, None);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_server_ends_its_questions() {
    let alive = Arc::new(());
    struct Hanging(#[expect(dead_code, reason = "held")] Arc<()>);
    impl IssuerResolver for Hanging {
        async fn resolve(&self, _: &str) -> Result<Option<Trust>, FetchError> {
            std::future::pending().await
        }
    }
    let server = ResourceServer::new(API).trust_with(Hanging(Arc::clone(&alive))).build().unwrap();
    let token = Idp::new("https://a.test/").token("alice").sign();
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::KeysUnavailable));
    assert_eq!(Arc::strong_count(&alive), 2);
    drop(server);
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert_eq!(Arc::strong_count(&alive), 1);
}
