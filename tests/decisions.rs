//! Resolvers that hang, fail, panic or are flooded: issuers that are known stay trusted for an hour, and those that are not
//! get their turn. Time is tokio's paused clock.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use support::kind;
use support::resolver::{REALMS, Realms, Table};
use support::source::{Scripted, keys_of};
use tokio::time::{sleep, timeout};
use tower_bearer::config::Clock;
use tower_bearer::keys::FetchError;
use tower_bearer::testing::{Idp, ManualClock};
use tower_bearer::trust::{IssuerResolver, IssuerTemplate, Trust};
use tower_bearer::{ErrorKind, Issuer, ResourceServer};

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

/// Panics, and counts.
#[derive(Clone, Default)]
struct Bugs(Arc<AtomicU64>);

impl Bugs {
    fn happen<T>(&self) -> T {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic!("a bug of the application");
    }
}

struct PanicsAtOnce(Bugs);

impl IssuerResolver for PanicsAtOnce {
    fn resolve(&self, _: &str) -> impl Future<Output = Result<Option<Trust>, FetchError>> + Send {
        let bug: () = self.0.happen();
        async move { Ok(Some(bug).and(None)) }
    }
}

struct PanicsInTime(Bugs);

impl IssuerResolver for PanicsInTime {
    async fn resolve(&self, _: &str) -> Result<Option<Trust>, FetchError> {
        tokio::task::yield_now().await;
        self.0.happen()
    }
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_panics_has_failed_and_is_not_asked_again_for_a_second() {
    let bugs: [Bugs; 4] = Default::default();
    let [a, b, c, d] = bugs.clone();
    let template = |is_tenant: Box<dyn Fn(&str) -> bool + Send + Sync>| {
        IssuerTemplate::new("https://{tenant}.test/", move |tenant| is_tenant(tenant))
    };
    let servers = [
        ResourceServer::new(API).trust_with(PanicsAtOnce(a)),
        ResourceServer::new(API).trust_with(PanicsInTime(b)),
        ResourceServer::new(API).trust_with(template(Box::new(move |_| c.happen()))),
        ResourceServer::new(API).trust_with(template(Box::new(|_| true)).terms(move |_| d.happen())),
    ];
    let token = Idp::new("https://a.test/").token("alice").sign();
    for (case, (server, bugs)) in servers.into_iter().zip(bugs).enumerate() {
        let server = server.build().unwrap();
        for _ in 0..100 {
            let error = server.authenticate(&token).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::KeysUnavailable, "{case}");
            assert!(error.to_string().contains("the resolver panicked") && error.retry_after().is_some(), "{error}");
        }
        assert_eq!(bugs.0.load(Ordering::SeqCst), 1, "{case}");
        sleep(Duration::from_secs(1)).await;
        assert_eq!(kind(&server, &token).await, Some(ErrorKind::KeysUnavailable), "{case}");
        assert_eq!(bugs.0.load(Ordering::SeqCst), 2, "{case}");
    }
}

#[test]
fn a_question_that_ends_with_its_runtime_has_failed() {
    let idp = Idp::new("https://a.test/");
    let table = Table::with(&[&idp]);
    takes(&table, Duration::from_millis(100));
    let server = trusting(&table);
    let token = idp.token("alice").sign();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime().block_on(async {
        let _ = timeout(Duration::from_millis(10), server.authenticate(&token)).await;
    });
    runtime().block_on(async {
        for _ in 0..100 {
            assert_eq!(kind(&server, &token).await, Some(ErrorKind::KeysUnavailable));
        }
        assert_eq!(table.asked(), 1);
        sleep(MINUTE).await;
        assert_eq!(kind(&server, &token).await, None);
    });
}

#[tokio::test(start_paused = true)]
async fn a_key_source_that_panics_has_failed_and_is_asked_again_at_the_pauses() {
    let (idp, bugs) = (Idp::new("https://a.test/"), Bugs::default());
    for found in [false, true] {
        let (count, before) = (bugs.clone(), bugs.0.load(Ordering::SeqCst));
        let source = Scripted::new(move |_| {
            let bugs = count.clone();
            async move { bugs.happen() }
        });
        let issuer = Issuer::new(idp.issuer());
        let server = if found {
            ResourceServer::new(API).trust_with(One(issuer, source))
        } else {
            ResourceServer::new(API).trust((issuer, source))
        };
        let server = server.build().unwrap();
        for _ in 0..100 {
            assert_eq!(kind(&server, &idp.token("alice").sign()).await, Some(ErrorKind::KeysUnavailable));
        }
        assert_eq!(bugs.0.load(Ordering::SeqCst) - before, 1, "{found}");
    }
}

/// Trusts one issuer.
struct One(Issuer, Scripted);

impl IssuerResolver for One {
    async fn resolve(&self, _: &str) -> Result<Option<Trust>, FetchError> {
        Ok(Some((self.0.clone(), self.1.clone()).into()))
    }
}

/// An application's claims, whose reading may panic.
#[derive(Debug)]
struct Fragile;

impl<'de> serde::Deserialize<'de> for Fragile {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let claims = serde_json::Value::deserialize(deserializer)?;
        assert_ne!(claims["sub"], "mallory", "a bug of the application");
        Ok(Self)
    }
}

#[tokio::test(start_paused = true)]
async fn claims_whose_reading_panics_harm_no_other_token() {
    let idp = Idp::new("https://a.test/");
    let server = ResourceServer::new(API).trust_with(Table::with(&[&idp])).claims::<Fragile>().build().unwrap();
    let (good, bad) = (idp.token("alice").sign(), idp.token("mallory").sign());
    for _ in 0..3 {
        let attempt = std::panic::AssertUnwindSafe(server.authenticate(&bad)).catch_unwind();
        assert!(attempt.await.is_err(), "it is the application's own");
        assert!(server.authenticate(&good).await.is_ok());
    }
    assert_eq!(idp.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_panics_leaves_no_lock_and_no_question_behind() {
    let clock = ManualClock::new();
    let idp = Idp::new("https://a.test/").clock(clock.clone());
    let (table, is_broken) = (Table::with(&[&idp]), Arc::new(AtomicBool::new(false)));
    let broken = Arc::clone(&is_broken);
    let fragile = move || {
        assert!(!broken.load(Ordering::SeqCst), "a bug of the application");
        clock.now()
    };
    let server = ResourceServer::new(API).trust_with(table.clone()).clock(fragile).build().unwrap();
    let token = idp.token("alice").sign();
    for broken in [true, false, true, false] {
        is_broken.store(broken, Ordering::SeqCst);
        let attempt = std::panic::AssertUnwindSafe(server.authenticate(&token)).catch_unwind().await;
        assert_eq!(attempt.is_ok_and(|verdict| verdict.is_ok()), !broken);
    }
    assert_eq!((table.asked(), idp.fetches()), (1, 1));
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
async fn a_clock_that_panics_in_the_background_takes_no_process_down() {
    let wrong = Arc::new(AtomicBool::new(false));
    let panics = Arc::clone(&wrong);
    let clock = move || {
        assert!(!panics.load(Ordering::SeqCst), "the clock panics");
        ManualClock::new().now()
    };
    let idp = Idp::new("https://a.test/");
    let server = ResourceServer::new(API).trust(&idp).clock(clock).build().unwrap();
    let token = idp.token("alice").sign();
    assert_eq!(kind(&server, &token).await, None);
    wrong.store(true, Ordering::SeqCst);
    sleep(3 * MINUTE).await;
    wrong.store(false, Ordering::SeqCst);
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
        let keys = tower_bearer::keys::FetchedKeys::new(self.0.to_string());
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

fn realm(n: impl std::fmt::Display) -> String {
    format!("{REALMS}{n}")
}

/// Tokens that nobody has signed, of so many realms that do not exist.
fn unsigned(realms: std::ops::Range<u32>) -> Vec<String> {
    let idp = Idp::new(REALMS);
    let token = |n| idp.token("m").issuer(realm(format!("forged-{n}"))).unsigned().header("alg", "ES256").sign();
    realms.map(|n| token(n) + "AAAA").collect()
}

async fn all(server: &ResourceServer, tokens: &[String]) -> Vec<Option<ErrorKind>> {
    join_all(tokens.iter().map(|token| kind(server, token))).await
}

/// So many fetches there may be at once that have led to nothing, and one more a second.
const AT_ONCE: u64 = 64;

#[tokio::test(start_paused = true)]
async fn an_issuer_of_which_no_token_was_verified_is_fetched_from_once_for_one_token() {
    let published = Idp::new(realm("published"));
    for (issuer, verdict) in [("missing", ErrorKind::KeysUnavailable), ("published", ErrorKind::BadSignature)] {
        let realms = Realms::with(&[&published]);
        let server = ResourceServer::new(API).trust_with(realms.clone()).build().unwrap();
        let forged = published.token("m").issuer(realm(issuer)).wrong_key().sign();
        assert_eq!(kind(&server, &forged).await, Some(verdict), "{issuer}");
        assert_eq!(server.status().len(), 0, "nobody can put an issuer there by a token");
        sleep(60 * MINUTE).await;
        assert_eq!(realms.fetches(), 1, "{issuer}: in an hour");
        assert_eq!(kind(&server, &forged).await, Some(verdict), "{issuer}");
        assert_eq!(realms.fetches(), 2, "{issuer}: one more for another token");
    }
}

#[tokio::test(start_paused = true)]
async fn two_hundred_forged_issuers_cost_what_is_allowed_at_once_and_nothing_later() {
    let realms = Realms::default();
    let server = ResourceServer::new(API).trust_with(realms.clone()).build().unwrap();
    let tokens = unsigned(0..200);
    let verdicts = join_all(tokens.iter().map(|token| server.authenticate(token))).await;
    let errors: Vec<_> = verdicts.into_iter().map(Result::unwrap_err).collect();
    assert!(errors.iter().all(|error| error.kind() == ErrorKind::KeysUnavailable && error.retry_after().is_some()));
    assert!(errors.iter().filter(|error| error.to_string().contains("too many unproven issuers")).count() > 100);
    let fetches = realms.fetches();
    assert!((AT_ONCE..=AT_ONCE + 2).contains(&fetches), "and what the two seconds of the wait have brought: {fetches}");
    sleep(60 * MINUTE).await;
    assert_eq!(realms.fetches(), fetches);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_issuers_is_bounded_and_harms_none_that_is_in_use() {
    let (tenant, new) = (Idp::new(realm("tenant")), Idp::new(realm("new")));
    let realms = Realms::with(&[&tenant, &new]);
    let server = ResourceServer::new(API).trust_with(realms.clone()).build().unwrap();
    let (known, first) = (tenant.token("alice").sign(), new.token("bob").sign());
    assert_eq!(kind(&server, &known).await, None);
    // an hour in which the tenant is idle, and its issuer down
    tenant.outage();
    let begin = tokio::time::Instant::now();
    let (mut tries, mut let_in) = (0, false);
    for flood in unsigned(0..12_000).chunks(10) {
        let (verdicts, ()) = futures_util::join!(all(&server, flood), sleep(Duration::from_secs(3)));
        assert!(verdicts.iter().all(|verdict| *verdict == Some(ErrorKind::KeysUnavailable)));
        // in the midst of it, a real one comes for the first time, and again after a refusal
        if begin.elapsed() > 30 * MINUTE && !let_in {
            tries += 1;
            match server.authenticate(&first).await {
                Ok(_) => let_in = true,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::KeysUnavailable, "never 401");
                    assert!(error.retry_after().is_some_and(|wait| wait >= Duration::from_secs(1)), "{error:?}");
                }
            }
        }
    }
    assert!(let_in && tries <= 30, "{tries}");
    let (fetches, own) = (realms.fetches(), tenant.fetches() + new.fetches());
    let passed = begin.elapsed().as_secs();
    assert!(
        passed >= 3600 && fetches <= AT_ONCE + passed + own,
        "{fetches} in {passed} s, {own} of them for real ones"
    );
    let asked = tenant.fetches();
    assert_eq!(kind(&server, &known).await, None);
    assert_eq!(kind(&server, &first).await, None);
    assert!(asked > 30, "one that is in use is fetched from by the plan: {asked}");
    let issuers: Vec<_> = server.status().into_iter().map(|status| status.issuer.into_string()).collect();
    assert_eq!(issuers, [realm("new"), realm("tenant")]);
}

#[tokio::test(start_paused = true)]
async fn after_a_flood_a_new_issuer_gets_in_at_once() {
    let new = Idp::new(realm("new"));
    let server = ResourceServer::new(API).trust_with(Realms::with(&[&new])).build().unwrap();
    all(&server, &unsigned(0..2000)).await;
    assert_eq!(kind(&server, &new.token("bob").sign()).await, None);
}

#[tokio::test(start_paused = true)]
async fn real_issuers_cost_no_turn_however_many_come_at_once() {
    let idps: Vec<_> = (0..600).map(|n| Idp::new(realm(n))).collect();
    let realms = Realms::with(&idps.iter().collect::<Vec<_>>());
    *realms.slow.lock().unwrap() = Duration::from_millis(100);
    let server = ResourceServer::new(API).trust_with(realms.clone()).build().unwrap();
    let tokens: Vec<_> = idps.iter().map(|idp| idp.token("u").sign()).collect();
    let begin = tokio::time::Instant::now();
    assert!(all(&server, &tokens).await.iter().all(Option::is_none));
    assert!(begin.elapsed() <= Duration::from_secs(2), "{:?}", begin.elapsed());
    assert_eq!((realms.fetches(), server.status().len()), (600, 600));
    // from now on by the plan, once each eight minutes
    sleep(60 * MINUTE).await;
    assert!(realms.fetches() >= 600 * 7, "{}", realms.fetches());
}

#[tokio::test(start_paused = true)]
async fn keys_that_have_verified_nothing_bridge_no_outage() {
    let idp = Idp::new(realm("a"));
    let realms = Realms::with(&[&idp]);
    let server = ResourceServer::new(API).trust_with(realms.clone()).build().unwrap();
    let forged = idp.token("m").wrong_key().sign();
    assert_eq!(kind(&server, &forged).await, Some(ErrorKind::BadSignature));
    idp.outage();
    sleep(11 * MINUTE).await;
    assert_eq!(kind(&server, &idp.token("alice").sign()).await, Some(ErrorKind::KeysUnavailable));
    idp.recover();
    sleep(MINUTE).await;
    assert_eq!(kind(&server, &idp.token("alice").sign()).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_has_to_wait_for_its_turn_gets_through() {
    let idp = Idp::new(realm("a"));
    let server = ResourceServer::new(API).trust_with(Realms::with(&[&idp])).build().unwrap();
    let forged = idp.token("m").wrong_key().sign();
    assert_eq!(kind(&server, &forged).await, Some(ErrorKind::BadSignature));
    all(&server, &unsigned(1..u32::try_from(AT_ONCE).unwrap())).await;
    idp.rotate();
    let begin = tokio::time::Instant::now();
    assert_eq!(kind(&server, &idp.token("alice").sign()).await, None, "it has not been looked for in vain");
    assert!(begin.elapsed() > Duration::from_millis(500), "it has waited");
}

/// Trusts its issuer until it is told not to.
struct First(Idp, Arc<AtomicBool>);

impl IssuerResolver for First {
    async fn resolve(&self, issuer: &str) -> Result<Option<Trust>, FetchError> {
        let knows = !self.1.load(Ordering::SeqCst);
        Ok(knows.then(|| Trust::from(&self.0)).filter(|_| issuer == self.0.issuer()))
    }
}

#[tokio::test(start_paused = true)]
async fn keys_do_not_change_hands_where_another_resolver_decides() {
    let (former, new) = (Idp::new("https://a.test/"), Idp::new("https://a.test/"));
    let gone = Arc::new(AtomicBool::new(false));
    let server = ResourceServer::new(API)
        .trust_with(First(former.clone(), Arc::clone(&gone)))
        .trust_with(Table::with(&[&new]))
        .build()
        .unwrap();
    let token = former.token("mallory").expires_in(60 * MINUTE).sign();
    assert_eq!(kind(&server, &token).await, None);
    gone.store(true, Ordering::SeqCst);
    new.outage();
    sleep(6 * MINUTE).await;
    // the first token after the decision is due goes by the former, and makes it be decided anew
    kind(&server, &token).await;
    sleep(MINUTE).await;
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::KeysUnavailable));
    new.recover();
    sleep(MINUTE).await;
    assert_eq!(kind(&server, &new.token("alice").sign()).await, None);
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::BadSignature));
}

/// Trusts its issuer, whose second and later fetches take three seconds.
struct SlowLater(Idp);

impl IssuerResolver for SlowLater {
    async fn resolve(&self, issuer: &str) -> Result<Option<Trust>, FetchError> {
        let idp = self.0.clone();
        let source = Scripted::new(move |fetch| {
            let idp = idp.clone();
            async move {
                sleep(Duration::from_secs(if fetch > 1 { 3 } else { 0 })).await;
                Ok(keys_of(&idp))
            }
        });
        Ok(Some((Issuer::new(issuer), source).into()))
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_verified_token_does_not_cut_short_a_fetch_that_goes_on() {
    let idp = Idp::new(realm("a"));
    let server = ResourceServer::new(API)
        .trust_with(SlowLater(idp.clone()))
        .key_wait_timeout(Duration::from_secs(5))
        .build()
        .unwrap();
    let forged = idp.token("m").wrong_key().sign();
    assert_eq!(kind(&server, &forged).await, Some(ErrorKind::BadSignature));
    let old = idp.token("alice").sign();
    idp.rotate();
    let new = idp.token("alice").sign();
    let others = async {
        sleep(Duration::from_millis(500)).await;
        assert_eq!(kind(&server, &old).await, None, "the first that is verified");
        sleep(Duration::from_millis(1500)).await;
        assert_eq!(kind(&server, &old).await, None);
    };
    let (verdict, ()) = futures_util::join!(kind(&server, &new), others);
    assert_eq!(verdict, None);
}

#[tokio::test(start_paused = true)]
async fn a_reload_does_not_give_a_flood_a_new_allowance() {
    let realms = Realms::default();
    let configuration = || ResourceServer::new(API).trust_with(realms.clone());
    let server = configuration().build().unwrap();
    for flood in unsigned(0..1000).chunks(100) {
        all(&server, flood).await;
        server.reload(configuration()).unwrap();
    }
    assert!(realms.fetches() <= AT_ONCE + 10 * 3, "{}", realms.fetches());
}

#[tokio::test(start_paused = true)]
async fn of_too_many_issuers_without_a_verified_token_the_one_used_longest_ago_goes() {
    let realms = Realms::default();
    let server = ResourceServer::new(API).trust_with(realms.clone()).build().unwrap();
    let tokens = unsigned(0..257);
    let asked = async |n: usize| {
        kind(&server, &tokens[n]).await;
        realms.asked()
    };
    for n in 0..256 {
        asked(n).await;
    }
    assert_eq!(asked(0).await, 256, "none has gone yet");
    assert_eq!(asked(256).await, 257);
    assert_eq!(asked(0).await, 257, "it has been used since");
    assert_eq!(asked(1).await, 258);
}
