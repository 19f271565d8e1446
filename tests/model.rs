//! Random histories of hours (rotations, outages, floods, restarts, other lifetimes) against a simple model of what
//! must come of them. Time is tokio's paused clock.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::wildcard_enum_match_arm, reason = "anything else is a failure")]

mod support;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use proptest::prelude::*;
use support::source::keys_of;
use tokio::time::{Instant, sleep};
use tower_bearer::config::Clock;
use tower_bearer::keys::{Algorithm, FetchError, FetchedKeys, KeySource};
use tower_bearer::testing::{Idp, TokenBuilder};
use tower_bearer::{ErrorKind, Issuer, ResourceServer};

const ISSUER: &str = "https://id.test/";
const MAX_STALE: Duration = Duration::from_secs(60 * 60);
/// For how long a request waits. What ends within that time may or may not count for it.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Keys that were fetched so lately are not doubted; with the time that a fetch may take.
const YOUNG: Duration = Duration::from_secs(30 + 15);
/// What a set does not have is absent for so long after its fetch began.
const NEW: Duration = Duration::from_secs(5);

/// What can happen next.
#[derive(Clone, Debug)]
enum Event {
    Pass(u64),
    Rotate,
    ReplaceUnderTheirNames,
    AddKey,
    Outage,
    Recover,
    /// From now on, a fetch takes so many milliseconds.
    Latency(u64),
    /// And brings a set of so many seconds of life.
    Lifetime(u64),
    /// Tokens with so many unknown `kid`s, all at once.
    Flood(usize),
    /// The same, and while their fetch is on its way, the issuer rotates, and a token of the new key comes.
    RotateInFlood(usize),
    /// Tokens with bad signatures under a known `kid`.
    Forge(usize),
    /// A token of the present key.
    Good,
    /// A token of some earlier key.
    Old(usize),
    Restart {
        saved: bool,
    },
    /// The machine is suspended for so many seconds: only the wall clock goes on.
    Suspend(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1..120_u64).prop_map(Event::Pass),
        2 => (120..4000_u64).prop_map(Event::Pass),
        3 => Just(Event::Rotate),
        1 => Just(Event::ReplaceUnderTheirNames),
        1 => Just(Event::AddKey),
        2 => Just(Event::Outage),
        3 => Just(Event::Recover),
        2 => prop_oneof![Just(0), 1..900_u64, 900..20_000_u64].prop_map(Event::Latency),
        1 => prop_oneof![Just(0), 30..3000_u64, Just(u64::MAX)].prop_map(Event::Lifetime),
        3 => (1..20_usize).prop_map(Event::Flood),
        2 => (1..20_usize).prop_map(Event::RotateInFlood),
        2 => (1..5_usize).prop_map(Event::Forge),
        6 => Just(Event::Good),
        4 => any::<usize>().prop_map(Event::Old),
        1 => any::<bool>().prop_map(|saved| Event::Restart { saved }),
        1 => (1..8000_u64).prop_map(Event::Suspend),
    ]
}

/// How the issuer is, and what has come of the fetches of the present server.
struct World {
    down: bool,
    latency: Duration,
    lifetime: u64,
    in_flight: usize,
    /// When the fetch that is on its way will have ended.
    busy_until: Instant,
    /// When each fetch began, and whether it was good.
    fetches: Vec<(Instant, Option<bool>)>,
    /// The names and materials of the keys that the last good fetch brought, and until when by the
    /// wall clock they may be trusted.
    in_hand: Option<(HashSet<String>, SystemTime)>,
    wall: WallClock,
}

/// Goes on with the other clock, and while that stands still.
#[derive(Clone)]
struct WallClock {
    begin: Instant,
    suspended: Arc<AtomicU64>,
}

impl Clock for WallClock {
    fn now(&self) -> SystemTime {
        let suspended = Duration::from_secs(self.suspended.load(Ordering::SeqCst));
        SystemTime::UNIX_EPOCH + 56 * YEAR + self.begin.elapsed() + suspended
    }
}

impl World {
    fn last_ended(&self) -> Option<bool> {
        self.fetches.iter().rev().find_map(|(_, good)| *good)
    }

    /// Whether the set in hand is so new that what it does not have is absent.
    fn is_new(&self) -> bool {
        let looked = self.fetches.iter().rev().find(|(_, good)| *good == Some(true));
        looked.is_some_and(|(at, _)| at.elapsed() < NEW)
    }

    /// Whether the limit may forbid a fetch: one has begun within the interval.
    fn is_contended(&self) -> bool {
        self.fetches.last().is_some_and(|(at, _)| at.elapsed() < Duration::from_secs(30))
    }
}

/// The issuer, fetched from as the world is.
#[derive(Clone)]
struct Source {
    idp: Idp,
    world: Arc<Mutex<World>>,
}

struct InFlight(Arc<Mutex<World>>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.lock().unwrap().in_flight -= 1;
    }
}

impl KeySource for Source {
    async fn fetch(&self) -> Result<FetchedKeys, FetchError> {
        let (fetch, latency, answer) = {
            let mut world = self.world.lock().unwrap();
            world.in_flight += 1;
            assert_eq!(world.in_flight, 1, "never two at a time");
            world.fetches.push((Instant::now(), None));
            world.busy_until = Instant::now() + world.latency;
            // what is published now is what arrives later
            (world.fetches.len() - 1, world.latency, (published(&self.idp), keys_of(&self.idp)))
        };
        let _in_flight = InFlight(Arc::clone(&self.world));
        if latency > Duration::ZERO {
            sleep(latency).await;
        }
        let mut world = self.world.lock().unwrap();
        let good = !world.down;
        world.fetches[fetch].1 = Some(good);
        if !good {
            return Err(FetchError::new("down"));
        }
        let life = Duration::from_secs(world.lifetime);
        let fresh = life.clamp(Duration::from_secs(60), Duration::from_secs(24 * 60 * 60));
        let (keys, document) = answer;
        world.in_hand = Some((keys, world.wall.now() + fresh + MAX_STALE));
        Ok(document.max_age(life))
    }
}

/// The keys that an issuer publishes, by name and material.
fn published(idp: &Idp) -> HashSet<String> {
    idp.jwks()["keys"].as_array().unwrap().iter().map(ToString::to_string).collect()
}

/// The key that signs now: of those with the algorithm, the last.
fn signing(idp: &Idp) -> String {
    idp.jwks()["keys"].as_array().unwrap().last().unwrap().to_string()
}

/// Plays a history and compares.
struct Play {
    idp: Idp,
    world: Arc<Mutex<World>>,
    server: ResourceServer,
    /// Tokens with the keys that signed them.
    tokens: Vec<(String, String)>,
    /// When tokens came that could have forced a fetch.
    forcing: Vec<Instant>,
    forged: usize,
    /// Whether the clocks differ.
    suspended: bool,
    /// The size of the token cache; what comes of a token must not depend on it.
    cache: u64,
}

fn server(idp: &Idp, world: &Arc<Mutex<World>>, cache: u64) -> tower_bearer::config::ResourceServerBuilder {
    let source = Source { idp: idp.clone(), world: Arc::clone(world) };
    let trust = (Issuer::new(ISSUER).max_stale(MAX_STALE), source);
    let clock = world.lock().unwrap().wall.clone();
    ResourceServer::new("https://api.test").trust(trust).clock(clock).token_cache(cache)
}

impl Play {
    fn new(cache: u64) -> Self {
        let idp = Idp::new(ISSUER);
        let world = World {
            down: false,
            latency: Duration::ZERO,
            lifetime: 600,
            in_flight: 0,
            busy_until: Instant::now(),
            fetches: Vec::new(),
            in_hand: None,
            wall: WallClock { begin: Instant::now(), suspended: Arc::default() },
        };
        let world = Arc::new(Mutex::new(world));
        let server = server(&idp, &world, cache).build().unwrap();
        Self { idp, world, server, tokens: Vec::new(), forcing: Vec::new(), forged: 0, suspended: false, cache }
    }

    /// One that outlives every history.
    fn token(&self, subject: &str) -> TokenBuilder {
        self.idp.token(subject).expires_in(100 * YEAR)
    }

    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    async fn happens(&mut self, event: &Event) {
        match *event {
            Event::Pass(seconds) => sleep(Duration::from_secs(seconds)).await,
            Event::Rotate => self.idp.rotate(),
            Event::ReplaceUnderTheirNames => self.idp.replace_keys(),
            Event::AddKey => self.idp.add_key(Algorithm::Es256),
            Event::Outage => self.world().down = true,
            Event::Recover => self.world().down = false,
            Event::Latency(millis) => self.world().latency = Duration::from_millis(millis),
            Event::Lifetime(seconds) => self.world().lifetime = seconds,
            Event::Flood(tokens) => self.flood(tokens, false).await,
            Event::RotateInFlood(tokens) => self.flood(tokens, true).await,
            Event::Forge(tokens) => self.forge(tokens).await,
            Event::Good => {
                let signed = (self.token("alice").sign(), signing(&self.idp));
                self.tokens.push(signed.clone());
                self.comes(&signed, true).await;
            }
            Event::Suspend(seconds) => {
                self.world().wall.suspended.fetch_add(seconds, Ordering::SeqCst);
                self.suspended = true;
            }
            Event::Old(which) => {
                if !self.tokens.is_empty() {
                    let signed = self.tokens[which % self.tokens.len()].clone();
                    let current = published(&self.idp).contains(&signed.1);
                    self.comes(&signed, current).await;
                }
            }
            Event::Restart { saved } => {
                let keys = self.server.save_keys();
                let mut next = server(&self.idp, &self.world, self.cache);
                if saved {
                    next = next.saved_keys(keys);
                } else {
                    self.world().in_hand = None;
                }
                self.server = next.build().unwrap();
                // the tasks of the former server have ended with it
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                assert_eq!(self.world().in_flight, 0);
                self.world().fetches.clear();
                self.forcing.clear();
            }
        }
        self.check_fetches();
    }

    /// A token that some key of the issuer has signed, which it may have withdrawn.
    async fn comes(&mut self, (token, key): &(String, String), is_published: bool) {
        let begin = Instant::now();
        let (in_hand, trusted) = self.in_hand(key, LONGEST_WAIT);
        let recent = |at: &Instant| begin - *at < Duration::from_secs(30);
        let mut forced = self.forcing.iter().filter(|at| recent(at)).count();
        if self.suspended {
            // where only the wall clock calls the keys stale, a planned fetch takes a permit, too
            forced += self.world().fetches.iter().filter(|(at, _)| recent(at)).count();
        }
        let (down, wait, young) = {
            let world = self.world();
            let young = |(at, good): &(Instant, Option<bool>)| *good == Some(true) && begin - *at < YOUNG;
            let busy =
                if world.in_flight > 0 { world.busy_until.saturating_duration_since(begin) } else { Duration::ZERO };
            (world.down, busy + world.latency, world.fetches.iter().any(young))
        };
        if !(in_hand && trusted) {
            self.forcing.push(begin);
        }
        let verdict = self.server.authenticate(token).await.map(drop).map_err(|error| error.kind());
        assert!(begin.elapsed() <= LONGEST_WAIT, "{:?}", begin.elapsed());
        if in_hand && trusted {
            assert_eq!(verdict.err(), None, "its key is in hand");
            assert_eq!(begin.elapsed(), Duration::ZERO, "nobody waits for a key that is in hand");
            return;
        }
        // it may have been fetched meanwhile
        let (_, trusted) = self.in_hand(key, LONGEST_WAIT);
        match verdict {
            Ok(()) => assert_eq!(self.in_hand(key, Duration::ZERO), (true, true), "its key is not in hand"),
            Err(ErrorKind::KeysUnavailable) => {
                let world = self.world();
                let good = world.fetches.last().is_some_and(|(_, good)| *good == Some(true));
                let excused = world.is_contended() && (!world.is_new() || !trusted);
                assert!(!good || excused, "the last fetch was good, and another possible");
            }
            Err(ErrorKind::UnknownKey | ErrorKind::BadSignature) => {
                if verdict == Err(ErrorKind::UnknownKey) {
                    assert_eq!(self.world().last_ended(), Some(true), "an outage is not the caller's fault");
                }
                // a published key is refused only where the limit forbids a fetch, or it took too long or failed
                let found = is_published && !down && wait < Duration::from_millis(1900);
                let excused = if verdict == Err(ErrorKind::BadSignature) {
                    // or where it was replaced under its name, and the keys in hand are too young to be doubted
                    forced > 0 || young
                } else {
                    // seconds at most: later, nobody can know
                    forced > 1 && self.world().is_new()
                };
                assert!(!found || excused, "a published key was not found: {verdict:?}");
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    async fn flood(&mut self, tokens: usize, rotate: bool) {
        let now = Instant::now();
        let (_, trusted) = self.in_hand("", LONGEST_WAIT);
        let first = self.forged;
        self.forged += tokens;
        let forged: Vec<_> =
            (first..self.forged).map(|kid| self.token("m").header("kid", format!("forged-{kid}")).sign()).collect();
        let (server, latency) = (self.server.clone(), self.world().latency);
        let flood = join_all(forged.iter().map(|token| server.authenticate(token)));
        let meanwhile = async {
            if rotate {
                sleep(latency / 2).await;
                self.idp.rotate();
                let signed = (self.token("alice").sign(), signing(&self.idp));
                self.tokens.push(signed.clone());
                // of the flood, the first has forced a fetch, and the others wait for it
                self.forcing.push(now);
                self.comes(&signed, true).await;
            }
        };
        let (verdicts, ()) = futures_util::join!(flood, meanwhile);
        self.forcing.extend(std::iter::repeat_n(now, tokens));
        assert!(now.elapsed() <= LONGEST_WAIT + latency / 2 + LONGEST_WAIT);
        let last_ended = self.world().last_ended();
        let failed = self.world().fetches.last().is_none_or(|(_, good)| *good != Some(true));
        let unknown = self.world().is_contended() && (!self.world().is_new() || !trusted);
        for verdict in verdicts {
            match verdict.unwrap_err().kind() {
                ErrorKind::UnknownKey => {
                    assert!(last_ended == Some(true) || rotate, "an outage is not the caller's fault")
                }
                // where a token came meanwhile, the last fetch is not always the one that decided
                ErrorKind::KeysUnavailable => assert!(failed || unknown || rotate, "the last fetch was good"),
                other => panic!("{other:?}"),
            }
        }
    }

    async fn forge(&mut self, tokens: usize) {
        for _ in 0..tokens {
            self.forcing.push(Instant::now());
            let forged = self.token("m").wrong_key().sign();
            let kind = self.server.authenticate(&forged).await.unwrap_err().kind();
            let expected = [ErrorKind::BadSignature, ErrorKind::UnknownKey, ErrorKind::KeysUnavailable];
            assert!(expected.contains(&kind), "{kind:?}");
        }
    }

    /// Whether a key is in hand, and may be trusted for so long from now on.
    fn in_hand(&self, key: &str, still: Duration) -> (bool, bool) {
        let world = self.world();
        match &world.in_hand {
            Some((keys, until)) => (keys.contains(key), world.wall.now() + still <= *until),
            None => (false, false),
        }
    }

    /// In 30 s, two forced fetches; beside them the planned one, or the retries of 1, 2, 4, 8, 16 s.
    fn check_fetches(&self) {
        let fetches = &self.world().fetches;
        for (first, (begin, _)) in fetches.iter().enumerate() {
            let window: Vec<_> =
                fetches[first..].iter().take_while(|(at, _)| *at - *begin < Duration::from_secs(30)).collect();
            let good = window.iter().all(|(_, good)| *good == Some(true));
            assert!(window.len() <= if good { 3 } else { 8 }, "{} fetches in 30 s", window.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_keys_in_hand_decide(
        cache in prop_oneof![Just(0_u64), Just(1 << 20)],
        history in prop::collection::vec(event(), 1..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut play = Play::new(cache);
            for event in &history {
                play.happens(event).await;
            }
        });
    }
}
