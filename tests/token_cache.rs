//! A token that comes again costs a look-up, and gets the verdict that it would get without one.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::wildcard_enum_match_arm, reason = "the rest is done already")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use proptest::prelude::*;
use serde::Deserialize;
use support::kind;
use support::resolver::Table;
use tokio::time::sleep;
use tower_bearer::checks::{Answer, Denied, RequestContext, TokenCheck};
use tower_bearer::config::{Clock, ResourceServerBuilder};
use tower_bearer::keys::{Algorithm, FetchError, StaticKeys};
use tower_bearer::revocation::RevocationList;
use tower_bearer::testing::{Idp, ManualClock};
use tower_bearer::trust::{IssuerResolver, Trust};
use tower_bearer::{AccessToken, ErrorKind, Issuer, ResourceServer};

const API: &str = "https://api.test";
const LEEWAY: Duration = Duration::from_secs(30);

/// Tells, by the metrics, how many of the accepted tokens were known.
struct Hits(Snapshotter);

impl Hits {
    fn take(&self) -> u64 {
        let counters = self.0.snapshot().into_vec().into_iter();
        let hits = counters.filter(|(key, ..)| key.key().labels().any(|label| label.value() == "hit"));
        hits.map(|(.., value)| if let DebugValue::Counter(hits) = value { hits } else { 0 }).sum()
    }
}

macro_rules! count_hits {
    ($hits:ident) => {
        let recorder = DebuggingRecorder::new();
        let $hits = Hits(recorder.snapshotter());
        let _guard = metrics::set_default_local_recorder(&recorder);
    };
}

/// The clock's time in seconds since the epoch.
fn unix(clock: &ManualClock) -> u64 {
    clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

fn issuer() -> (Idp, ManualClock) {
    let clock = ManualClock::new();
    (Idp::new("https://id.test/").clock(clock.clone()), clock)
}

fn trusting(idp: &Idp, clock: &ManualClock) -> ResourceServerBuilder {
    ResourceServer::new(API).trust(idp).clock(clock.clone())
}

#[tokio::test]
async fn a_known_token_expires_to_the_second() {
    count_hits!(hits);
    let (idp, clock) = issuer();
    let server = trusting(&idp, &clock).build().unwrap();
    let lifetime = Duration::from_secs(300);
    let tokens =
        [idp.token("alice").expires_in(lifetime).sign(), idp.token("bob").expires_in(lifetime).without("iat").sign()];
    for token in &tokens {
        assert_eq!(kind(&server, token).await, None);
        assert_eq!(kind(&server, token).await, None);
    }
    clock.advance(lifetime + LEEWAY - Duration::from_secs(1));
    for token in &tokens {
        assert_eq!(kind(&server, token).await, None);
    }
    assert_eq!(hits.take(), 4);
    clock.advance(Duration::from_secs(1));
    for token in &tokens {
        assert_eq!(kind(&server, token).await, Some(ErrorKind::Expired));
    }
    assert_eq!(hits.take(), 0);
}

#[tokio::test]
async fn a_known_token_grows_too_old_to_the_second() {
    count_hits!(hits);
    let (idp, clock) = issuer();
    let trust = (Issuer::new(idp.issuer()).max_age(Duration::from_secs(60)), idp.clone());
    let server = ResourceServer::new(API).trust(trust).clock(clock.clone()).build().unwrap();
    let token = idp.token("alice").expires_in(Duration::from_secs(3600)).sign();
    for _ in 0..3 {
        assert_eq!(kind(&server, &token).await, None);
    }
    // `iat` is a whole second, and the clock is somewhere within one
    clock.advance(Duration::from_secs(59) + LEEWAY);
    assert_eq!(kind(&server, &token).await, None);
    assert_eq!(hits.take(), 3);
    clock.advance(Duration::from_secs(2));
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::Expired));
    assert_eq!(hits.take(), 0);
}

#[tokio::test]
async fn a_clock_that_is_set_back_makes_a_known_token_not_yet_valid() {
    let (idp, clock) = issuer();
    let server = trusting(&idp, &clock).build().unwrap();
    clock.advance(Duration::from_secs(3600));
    let now = unix(&clock);
    let token = idp.token("alice").claim("nbf", now).sign();
    assert_eq!(kind(&server, &token).await, None);
    clock.set(SystemTime::UNIX_EPOCH + Duration::from_secs(now - 31));
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::NotYetValid));
    clock.set(SystemTime::UNIX_EPOCH + Duration::from_secs(now - 30));
    assert_eq!(kind(&server, &token).await, None);
}

#[tokio::test]
async fn a_known_token_dies_with_its_key() {
    count_hits!(hits);
    let (idp, clock) = issuer();
    let server = trusting(&idp, &clock).build().unwrap();
    let token = idp.token("alice").sign();
    assert_eq!(kind(&server, &token).await, None);
    // another key beside it: the token's key still stands
    idp.add_key(Algorithm::Es256);
    server.refresh("https://id.test/").await.unwrap();
    assert_eq!(kind(&server, &token).await, None);
    assert_eq!(kind(&server, &token).await, None);
    assert_eq!(hits.take(), 2, "what has not changed is still known");
    idp.rotate();
    server.refresh("https://id.test/").await.unwrap();
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::UnknownKey));
}

#[tokio::test]
async fn a_known_token_dies_when_its_key_is_replaced_under_its_name() {
    let (idp, clock) = issuer();
    let server = trusting(&idp, &clock).build().unwrap();
    let token = idp.token("alice").sign();
    assert_eq!(kind(&server, &token).await, None);
    idp.replace_keys();
    server.refresh("https://id.test/").await.unwrap();
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::BadSignature));
}

#[tokio::test]
async fn keys_that_are_too_old_verify_no_known_token_either() {
    let (idp, clock) = issuer();
    let server = trusting(&idp, &clock).build().unwrap();
    let token = idp.token("alice").sign();
    assert_eq!(kind(&server, &token).await, None);
    idp.outage();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(71 * 60)).await;
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::KeysUnavailable));
}

#[tokio::test]
async fn a_reload_begins_with_an_empty_cache() {
    count_hits!(hits);
    let (idp, clock) = issuer();
    let server = trusting(&idp, &clock).build().unwrap();
    let token = idp.token("alice").sign();
    assert_eq!(kind(&server, &token).await, None);
    server.reload(ResourceServer::new("https://other.test").trust(&idp).clock(clock.clone())).unwrap();
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::WrongAudience));
    server.reload(trusting(&idp, &clock)).unwrap();
    assert_eq!(kind(&server, &token).await, None);
    assert_eq!(hits.take(), 0);
}

#[tokio::test]
async fn only_the_very_same_text_is_known() {
    count_hits!(hits);
    let (idp, clock) = issuer();
    let server = trusting(&idp, &clock).build().unwrap();
    let token = idp.token("alice").sign();
    assert_eq!(kind(&server, &token).await, None);
    let other = idp.token("alice").wrong_key().sign();
    let (head, _) = token.rsplit_once('.').unwrap();
    let (_, foreign) = other.rsplit_once('.').unwrap();
    assert_eq!(kind(&server, &format!("{head}.{foreign}")).await, Some(ErrorKind::BadSignature));
    for cut in 1..token.len() {
        assert!(kind(&server, &token[..cut]).await.is_some(), "{cut}");
    }
    for extended in [format!("{token}A"), format!("{token}="), format!("{token}."), format!("{token}.A")] {
        assert!(kind(&server, &extended).await.is_some());
    }
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        assert!(kind(&server, std::str::from_utf8(&bytes).unwrap()).await.is_some(), "{at}");
    }
    assert_eq!(hits.take(), 0);
    assert_eq!(kind(&server, &token).await, None);
    assert_eq!(hits.take(), 1);
}

#[tokio::test(start_paused = true)]
async fn tokens_of_found_issuers_are_known_again_after_a_new_decision() {
    count_hits!(hits);
    let idp = Idp::new("https://a.test/");
    let server = ResourceServer::new(API).trust_with(Table::with(&[&idp])).build().unwrap();
    let token = idp.token("alice").sign();
    for _ in 0..3 {
        assert_eq!(kind(&server, &token).await, None);
    }
    assert_eq!(hits.take(), 2);
    sleep(Duration::from_secs(6 * 60)).await;
    for _ in 0..100 {
        assert_eq!(kind(&server, &token).await, None);
    }
    assert_eq!(hits.take(), 99);
}

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Trusts an issuer for one audience first, and then for another.
#[derive(Clone)]
struct Narrowing(Idp, Arc<AtomicUsize>);

impl IssuerResolver for Narrowing {
    async fn resolve(&self, _: &str) -> Result<Option<Trust>, FetchError> {
        let first = self.1.fetch_add(1, Ordering::SeqCst) == 0;
        let issuer = Issuer::new(self.0.issuer()).only_audiences([if first { API } else { "https://other.test" }]);
        Ok(Some((issuer, self.0.clone()).into()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_known_token_dies_with_the_terms_under_which_it_was_accepted() {
    let idp = Idp::new("https://id.test/");
    let resolver = Narrowing(idp.clone(), Arc::default());
    let server = ResourceServer::new("https://unused.test").trust_with(resolver.clone()).build().unwrap();
    let token = idp.token("alice").expires_in(DAY).sign();
    for _ in 0..3 {
        assert_eq!(kind(&server, &token).await, None);
    }
    // the decision is renewed by a token that comes after 4 minutes, for those that come later
    sleep(Duration::from_secs(5 * 60)).await;
    let _ = kind(&server, &token).await;
    sleep(Duration::from_secs(1)).await;
    assert!(resolver.1.load(Ordering::SeqCst) > 1);
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::WrongAudience));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_kept_keeps_no_issuer_that_is_not_trusted_any_more() {
    let idp = Idp::new("https://a.test/");
    let table = Table::with(&[&idp]);
    let server = ResourceServer::new(API).trust_with(table.clone()).build().unwrap();
    let token = idp.token("alice").expires_in(30 * DAY).sign();
    assert_eq!(kind(&server, &token).await, None);
    table.known.lock().unwrap().clear();
    sleep(Duration::from_secs(6 * 60)).await;
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::UnknownIssuer));
    assert!(server.status().is_empty());
    let before = idp.fetches();
    sleep(DAY).await;
    assert_eq!(idp.fetches() - before, 0, "nobody asks for its keys");
}

#[tokio::test(start_paused = true)]
async fn tokens_that_are_kept_keep_no_keys_of_former_decisions() {
    let idp = Idp::new("https://a.test/");
    let server = ResourceServer::new(API).trust_with(Table::with(&[&idp])).build().unwrap();
    for user in 0..60 {
        let token = idp.token(format!("user-{user}")).expires_in(DAY).sign();
        assert_eq!(kind(&server, &token).await, None);
        sleep(Duration::from_secs(6 * 60)).await;
    }
    let before = idp.fetches();
    sleep(Duration::from_secs(3600)).await;
    assert!(idp.fetches() - before < 10, "one task, and not one for each decision: {}", idp.fetches() - before);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_known_again_when_its_key_comes_back() {
    count_hits!(hits);
    let idp = Idp::new("https://a.test/");
    let key = idp.jwks()["keys"][0].clone();
    let server = ResourceServer::new(API).trust(&idp).build().unwrap();
    let token = idp.token("alice").sign();
    for _ in 0..3 {
        assert_eq!(kind(&server, &token).await, None);
    }
    idp.rotate();
    server.refresh("https://a.test/").await.unwrap();
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::UnknownKey));
    idp.publish(key);
    sleep(Duration::from_secs(60)).await;
    server.refresh("https://a.test/").await.unwrap();
    hits.take();
    for _ in 0..100 {
        assert_eq!(kind(&server, &token).await, None);
    }
    assert_eq!(hits.take(), 99);
}

/// Claims that use the server when they are dropped.
#[derive(Deserialize)]
struct Reentrant {
    sub: String,
}

static SERVER: OnceLock<ResourceServer<Reentrant>> = OnceLock::new();
static TOKENS: OnceLock<Vec<String>> = OnceLock::new();
static DROPPED: AtomicUsize = AtomicUsize::new(0);

impl Drop for Reentrant {
    fn drop(&mut self) {
        if self.sub == "reentrant"
            && let Some(token) = TOKENS.get().and_then(|tokens| tokens.get(DROPPED.fetch_add(1, Ordering::SeqCst)))
        {
            let verdict = SERVER.get().unwrap().authenticate(token).now_or_never().unwrap();
            assert!(verdict.is_ok());
        }
    }
}

#[test]
fn claims_may_use_the_server_when_they_are_dropped() {
    let clock = ManualClock::new();
    let idp = Idp::new("https://id.test/").clock(clock.clone());
    let keys = StaticKeys::jwks(&idp.jwks().to_string()).unwrap();
    let trust = (Issuer::new("https://id.test/"), keys);
    let server = ResourceServer::new(API).trust(trust).clock(clock.clone()).claims::<Reentrant>().token_cache(1 << 17);
    let long = Duration::from_secs(36_000);
    TOKENS.set((0..1000).map(|n| idp.token(format!("other-{n}")).expires_in(long).sign()).collect()).unwrap();
    assert!(SERVER.set(server.build().unwrap()).is_ok());
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let verify = |token: &str| SERVER.get().unwrap().authenticate(token).now_or_never().unwrap().map(drop);
        // more than there is room for: some are evicted
        for n in 0..100 {
            verify(&idp.token("reentrant").claim("n", n).expires_in(Duration::from_secs(60)).sign()).unwrap();
        }
        assert!(DROPPED.load(Ordering::SeqCst) > 0);
        // and the others expire
        clock.advance(Duration::from_secs(300));
        verify(&idp.token("bob").sign()).unwrap();
        assert_eq!(DROPPED.load(Ordering::SeqCst), 100);
        done.send(()).unwrap();
    });
    assert!(is_done.recv_timeout(Duration::from_secs(60)).is_ok(), "a deadlock, or a panic on the other thread");
}

#[tokio::test]
async fn a_refusal_is_not_remembered() {
    let (idp, clock) = issuer();
    let server = trusting(&idp, &clock).build().unwrap();
    let early = idp.token("alice").claim("nbf", unix(&clock) + 60).sign();
    assert_eq!(kind(&server, &early).await, Some(ErrorKind::NotYetValid));
    clock.advance(Duration::from_secs(60));
    assert_eq!(kind(&server, &early).await, None);
}

#[tokio::test]
async fn servers_share_nothing() {
    let (idp, clock) = issuer();
    let one = trusting(&idp, &clock).build().unwrap();
    let other = ResourceServer::new("https://other.test").trust(&idp).clock(clock.clone()).build().unwrap();
    let token = idp.token("alice").sign();
    for _ in 0..2 {
        assert_eq!(kind(&one, &token).await, None);
        assert_eq!(kind(&other, &token).await, Some(ErrorKind::WrongAudience));
    }
}

#[tokio::test]
async fn tokens_of_every_accepted_length_are_kept_and_with_a_size_of_zero_none_is() {
    count_hits!(hits);
    let (idp, clock) = issuer();
    let groups: Vec<_> = (0..900).map(|index| format!("{index:08}-1111-1111-1111-111111111111")).collect();
    let long = idp.token("alice").claim("groups", groups).sign();
    assert!((44 * 1024..64 * 1024).contains(&long.len()), "{}", long.len());
    let server = trusting(&idp, &clock).max_token_bytes(64 * 1024).build().unwrap();
    let off = trusting(&idp, &clock).token_cache(0).build().unwrap();
    let token = idp.token("alice").sign();
    for _ in 0..3 {
        assert_eq!(kind(&server, &long).await, None);
        assert_eq!(kind(&off, &token).await, None);
    }
    assert_eq!(hits.take(), 2);
}

#[test]
fn a_hundred_threads_that_race_at_the_moment_of_expiry_agree_with_the_clock() {
    let (idp, clock) = issuer();
    let keys = StaticKeys::jwks(&idp.jwks().to_string()).unwrap();
    let trust = (Issuer::new("https://id.test/"), keys);
    let server = ResourceServer::new(API).trust(trust).clock(clock.clone()).build().unwrap();
    let token = idp.token("alice").expires_in(Duration::from_secs(60)).sign();
    let verdict = || kind(&server, &token).now_or_never().unwrap();
    assert_eq!(verdict(), None);
    let deadline = unix(&clock) + 60 + LEEWAY.as_secs();
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                loop {
                    let before = unix(&clock);
                    let verdict = verdict();
                    let after = unix(&clock);
                    if before >= deadline {
                        assert_eq!(verdict, Some(ErrorKind::Expired));
                        return;
                    }
                    if after < deadline {
                        assert_eq!(verdict, None);
                    }
                }
            });
        }
        scope.spawn(|| {
            while unix(&clock) < deadline + 1 {
                clock.advance(Duration::from_secs(1));
                std::thread::yield_now();
            }
        });
    });
}

/// What happens to two servers, one with a cache and one without.
#[derive(Clone, Debug)]
enum Event {
    Pass(u64),
    SetBack(u64),
    /// A token that lives from so many seconds from now on for so many.
    Issue(u64, u64),
    Come(usize),
    Rotate,
    Replace,
    Add,
    Reload(usize),
    /// A token, by its place, is revoked in this way.
    Revoke(usize, usize),
    /// The list loses its store, or finds it again.
    Connect(bool),
    /// What the application's check says from now on.
    Say(Say),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Say {
    Yes,
    No,
    CannotTell,
}

struct Check(Arc<Mutex<Say>>);

impl TokenCheck for Check {
    fn name(&self) -> &'static str {
        "check"
    }

    fn check(&self, _: &AccessToken, _: &RequestContext<'_>) -> Answer {
        match *self.0.lock().unwrap() {
            Say::Yes => Answer::Yes,
            Say::No => Answer::No(Denied::access_denied("")),
            Say::CannotTell => Answer::cannot_tell(""),
        }
    }
}

/// A token of a history.
#[derive(Clone)]
struct Issued {
    text: String,
    number: usize,
    iat: u64,
}

/// What was revoked: of tokens with the same number modulo so much, those that were issued before then.
struct Revoked {
    modulo: usize,
    number: usize,
    before: u64,
}

/// What the list and the check say, for a token that is good otherwise.
fn say(token: &Issued, revoked: &[Revoked], connected: bool, check: Say) -> Option<ErrorKind> {
    let names = |revoked: &&Revoked| token.number % revoked.modulo == revoked.number % revoked.modulo;
    if revoked.iter().any(|revoked| names(&revoked) && token.iat < revoked.before) {
        return Some(ErrorKind::Revoked);
    }
    match check {
        _ if !connected => Some(ErrorKind::CheckUnavailable),
        Say::Yes => None,
        Say::No => Some(ErrorKind::AccessDenied),
        Say::CannotTell => Some(ErrorKind::CheckUnavailable),
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0..100_u64).prop_map(Event::Pass),
        1 => (0..60_u64).prop_map(Event::SetBack),
        4 => (0..60_u64, 1..200_u64).prop_map(|(from, lifetime)| Event::Issue(from, lifetime)),
        12 => any::<usize>().prop_map(Event::Come),
        1 => Just(Event::Rotate),
        1 => Just(Event::Replace),
        1 => Just(Event::Add),
        1 => (0..3_usize).prop_map(Event::Reload),
        1 => (any::<usize>(), 0..5_usize).prop_map(|(which, how)| Event::Revoke(which, how)),
        1 => any::<bool>().prop_map(Event::Connect),
        1 => prop_oneof![3 => Just(Say::Yes), 1 => Just(Say::No), 1 => Just(Say::CannotTell)].prop_map(Event::Say),
    ]
}

const AUDIENCES: [&str; 3] = [API, API, "https://other.test"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn the_cache_changes_no_verdict(history in prop::collection::vec(event(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (idp, clock) = issuer();
            let list = RevocationList::builder(Duration::from_secs(24 * 3600)).clock(clock.clone()).build();
            let check = Arc::new(Mutex::new(Say::Yes));
            let server = |audience, cache| {
                let server = ResourceServer::new(audience).trust(&idp).clock(clock.clone()).token_cache(cache);
                server.revocation_list(list.clone()).check(Check(Arc::clone(&check)))
            };
            let (mut revoked, mut connected) = (Vec::new(), true);
            let (cached, plain) = (server(API, 1 << 20).build().unwrap(), server(API, 0).build().unwrap());
            let mut tokens = Vec::new();
            for event in history {
                let mut changed = true;
                match event {
                    Event::Rotate => idp.rotate(),
                    Event::Replace => idp.replace_keys(),
                    Event::Add => idp.add_key(Algorithm::Es256),
                    _ => changed = false,
                }
                if changed {
                    // both learn of it at once, and have their permits
                    sleep(Duration::from_secs(31)).await;
                    cached.refresh("https://id.test/").await.unwrap();
                    plain.refresh("https://id.test/").await.unwrap();
                }
                match event {
                    Event::Pass(seconds) => clock.advance(Duration::from_secs(seconds)),
                    Event::SetBack(seconds) => clock.set(clock.now() - Duration::from_secs(seconds)),
                    Event::Issue(from, lifetime) => {
                        let nbf = unix(&clock) + from;
                        let lifetime = Duration::from_secs(from + lifetime);
                        let number = tokens.len();
                        let token = idp.token(format!("user {}", number % 3)).claim("nbf", nbf).expires_in(lifetime);
                        let token = token.claim("jti", number.to_string()).claim("sid", (number % 2).to_string());
                        let iat = unix(&clock);
                        tokens.push(Issued { text: token.claim("client_id", "web").sign(), number, iat });
                    }
                    Event::Come(which) if !tokens.is_empty() => {
                        let token: &Issued = &tokens[which % tokens.len()];
                        let verdict = kind(&plain, &token.text).await;
                        assert_eq!(kind(&cached, &token.text).await, verdict);
                        let expected = say(token, &revoked, connected, *check.lock().unwrap());
                        let asked = [ErrorKind::Revoked, ErrorKind::CheckUnavailable, ErrorKind::AccessDenied];
                        if verdict.is_none_or(|kind| asked.contains(&kind)) {
                            assert_eq!(verdict, expected);
                        }
                    }
                    Event::Revoke(which, how) if !tokens.is_empty() => {
                        let Issued { number, text, .. } = &tokens[which % tokens.len()];
                        let (id, issuer) = (number.to_string(), "https://id.test/");
                        let (modulo, before) = match how {
                            0 => (usize::MAX, u64::MAX),
                            1 => (usize::MAX, u64::MAX),
                            2 => (2, u64::MAX),
                            3 => (3, unix(&clock)),
                            _ => (1, unix(&clock) - 50),
                        };
                        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(before.min(1 << 40));
                        match how {
                            0 => list.revoke_jti(issuer, &id),
                            1 => list.revoke_text(issuer, text),
                            2 => list.revoke_session(issuer, &(number % 2).to_string()),
                            3 => list.revoke_subject(issuer, &format!("user {}", number % 3), at),
                            _ => list.revoke_client(issuer, "web", at),
                        }
                        revoked.push(Revoked { modulo, number: *number, before });
                    }
                    Event::Connect(now) => {
                        connected = now;
                        if connected { list.connected() } else { list.disconnected("lost") }
                    }
                    Event::Say(now) => *check.lock().unwrap() = now,
                    Event::Reload(which) => {
                        cached.reload(server(AUDIENCES[which], 1 << 20)).unwrap();
                        plain.reload(server(AUDIENCES[which], 0)).unwrap();
                    }
                    _ => {}
                }
            }
        });
    }
}
