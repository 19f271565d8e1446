//! Random histories of tokens that are asked about, revoked at their issuer and here, and refused by a
//! check, while the issuer comes and goes: one server with caches and one without, each against a plain
//! model. Time is tokio's paused clock.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use tokio::time::advance;
use tower_bearer::checks::{Answer, Denied, RequestContext, TokenCheck};
use tower_bearer::introspection::{ClientAuthentication, Introspection, JwtIntrospection};
use tower_bearer::keys::StaticKeys;
use tower_bearer::revocation::RevocationList;
use tower_bearer::testing::{Idp, ManualClock};
use tower_bearer::{AccessToken, ErrorKind, Issuer, ResourceServer};

const ISSUER: &str = "https://id.test/";
const API: &str = "https://api.test";
const SUBJECTS: [&str; 3] = ["alice", "bob", "carol"];
/// For so many seconds an answer about an opaque token is believed, one about a JWT, and one that a token
/// is not active.
const TTL: u64 = 60;
const EVERY: u64 = 30;
const INACTIVE_TTL: u64 = 5;
/// A JWT is checked with it; an answer says that a token is over when it is.
const LEEWAY: u64 = 30;
/// For so long at most an issuer is left alone after an outage.
const LONGEST_PAUSE: u64 = 60;

/// What can happen next.
#[derive(Clone, Debug)]
enum Event {
    Pass(u64),
    /// A new token of this subject, good for so many seconds.
    Issue {
        opaque: bool,
        subject: usize,
        life: u64,
    },
    /// A request with some token.
    Use(usize),
    /// Requests with so many made-up tokens.
    MadeUp(usize),
    RevokeAtIssuer(usize),
    RevokeHere(usize),
    /// All tokens of a subject that were issued before now.
    RevokeSubject(usize),
    Ban(usize),
    Unban(usize),
    Outage,
    Recover,
}

fn event() -> impl Strategy<Value = Event> {
    let which = any::<usize>;
    prop_oneof![
        4 => (1..10_u64).prop_map(Event::Pass),
        2 => (10..100_u64).prop_map(Event::Pass),
        // to where an answer is just still believed, and just not
        3 => prop::sample::select(vec![INACTIVE_TTL, EVERY - 1, EVERY, TTL - 1, TTL]).prop_map(Event::Pass),
        4 => (any::<bool>(), 0..3_usize, 20..600_u64)
            .prop_map(|(opaque, subject, life)| Event::Issue { opaque, subject, life }),
        12 => which().prop_map(Event::Use),
        1 => (1..20_usize).prop_map(Event::MadeUp),
        2 => which().prop_map(Event::RevokeAtIssuer),
        1 => which().prop_map(Event::RevokeHere),
        1 => (0..3_usize).prop_map(Event::RevokeSubject),
        1 => (0..3_usize).prop_map(Event::Ban),
        1 => (0..3_usize).prop_map(Event::Unban),
        1 => Just(Event::Outage),
        2 => Just(Event::Recover),
    ]
}

/// A check of the application.
#[derive(Clone, Default)]
struct Banned(Arc<Mutex<HashSet<&'static str>>>);

impl TokenCheck for Banned {
    fn name(&self) -> &'static str {
        "banned"
    }

    fn check(&self, token: &AccessToken, _: &RequestContext<'_>) -> Answer {
        let banned = token.subject().is_some_and(|subject| self.0.lock().unwrap().contains(subject));
        if banned { Answer::No(Denied::access_denied("banned")) } else { Answer::Yes }
    }
}

/// All that the model knows of a token. Times are in seconds.
#[derive(Clone)]
struct Token {
    text: String,
    opaque: bool,
    subject: &'static str,
    jti: String,
    issued: u64,
    expires: u64,
    revoked_at_issuer: bool,
    revoked_here: bool,
    /// Until when the server with caches need not ask, as the token is active, or is not.
    active_until: u64,
    inactive_until: u64,
}

struct Play {
    now: u64,
    clock: ManualClock,
    idp: Idp,
    list: RevocationList,
    banned: Banned,
    cached: ResourceServer,
    plain: ResourceServer,
    tokens: Vec<Token>,
    down: bool,
    /// The end of the last outage, for which an issuer may still be left alone.
    recovered: Option<u64>,
    made: usize,
}

impl Play {
    fn new() -> Self {
        let now = 1_800_000_000;
        let clock = ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(now));
        let idp = Idp::new(ISSUER).clock(clock.clone());
        let list = RevocationList::builder(Duration::from_secs(3600)).clock(clock.clone()).build();
        let banned = Banned::default();
        let server = |cache, inactive, every| {
            let client = ClientAuthentication::client_secret_basic("orders", "s3cret");
            let introspection = Introspection::new(client)
                .ttl(Duration::from_secs(TTL))
                .inactive_ttl(Duration::from_secs(inactive))
                .introspect_jwts(JwtIntrospection::Every(Duration::from_secs(every)));
            let keys = StaticKeys::jwks(&idp.jwks().to_string()).unwrap();
            ResourceServer::new(API)
                .trust((Issuer::new(ISSUER).introspection(introspection), keys))
                .http_client(idp.http_client())
                .clock(clock.clone())
                .token_cache(cache)
                .revocation_list(list.clone())
                .check(banned.clone())
                .build()
                .unwrap()
        };
        let (cached, plain) = (server(1 << 20, INACTIVE_TTL, EVERY), server(0, 0, 0));
        let (tokens, made) = (Vec::new(), 0);
        Self { now, clock, idp, list, banned, cached, plain, tokens, down: false, recovered: None, made }
    }

    async fn pass(&mut self, seconds: u64) {
        self.now += seconds;
        self.clock.advance(Duration::from_secs(seconds));
        advance(Duration::from_secs(seconds)).await;
    }

    async fn happens(&mut self, event: &Event) {
        let which = |index: usize| (!self.tokens.is_empty()).then(|| index % self.tokens.len());
        match *event {
            Event::Pass(seconds) => self.pass(seconds).await,
            Event::Issue { opaque, subject, life } => {
                self.made += 1;
                let jti = format!("token-{}", self.made);
                let token = self.idp.token(SUBJECTS[subject]).claim("jti", jti.clone());
                let token = token.expires_in(Duration::from_secs(life));
                self.tokens.push(Token {
                    text: if opaque { token.issue_opaque() } else { token.sign() },
                    opaque,
                    subject: SUBJECTS[subject],
                    jti,
                    issued: self.now,
                    expires: self.now + life,
                    revoked_at_issuer: false,
                    revoked_here: false,
                    active_until: 0,
                    inactive_until: 0,
                });
                self.comes(self.tokens.len() - 1).await;
            }
            Event::Use(index) => {
                if let Some(index) = which(index) {
                    self.comes(index).await;
                }
            }
            Event::MadeUp(tokens) => {
                for _ in 0..tokens {
                    self.made += 1;
                    let text = format!("made-up-{}", self.made);
                    for server in [&self.cached, &self.plain] {
                        let kind = server.authenticate(&text).await.unwrap_err().kind();
                        let unknown =
                            kind == ErrorKind::IntrospectionUnavailable && (self.down || self.is_left_alone());
                        assert!(unknown || !self.down && kind == ErrorKind::Inactive, "{kind:?}");
                    }
                }
            }
            Event::RevokeAtIssuer(index) => {
                if let Some(index) = which(index) {
                    self.idp.revoke(&self.tokens[index].text);
                    self.tokens[index].revoked_at_issuer = true;
                }
            }
            Event::RevokeHere(index) => {
                if let Some(index) = which(index) {
                    self.list.revoke_jti(ISSUER, &self.tokens[index].jti);
                    self.tokens[index].revoked_here = true;
                }
            }
            Event::RevokeSubject(subject) => {
                // whether "before" has this very second in it is not what is tested
                self.pass(2).await;
                let now = SystemTime::UNIX_EPOCH + Duration::from_secs(self.now);
                self.list.revoke_subject(ISSUER, SUBJECTS[subject], now);
                for token in self.tokens.iter_mut().filter(|token| token.subject == SUBJECTS[subject]) {
                    assert!(token.issued < self.now);
                    token.revoked_here = true;
                }
                self.pass(2).await;
            }
            Event::Ban(subject) => drop(self.banned.0.lock().unwrap().insert(SUBJECTS[subject])),
            Event::Unban(subject) => drop(self.banned.0.lock().unwrap().remove(SUBJECTS[subject])),
            Event::Outage => {
                self.idp.outage();
                self.down = true;
            }
            Event::Recover => {
                self.idp.recover();
                if self.down {
                    self.recovered = Some(self.now);
                }
                self.down = false;
            }
        }
    }

    fn is_left_alone(&self) -> bool {
        self.recovered.is_some_and(|recovered| self.now <= recovered + LONGEST_PAUSE)
    }

    /// What the issuer would say, and what a server without memory makes of it.
    fn truth(&self, token: &Token) -> Option<ErrorKind> {
        if !token.opaque && self.now >= token.expires + LEEWAY {
            Some(ErrorKind::Expired)
        } else if self.down {
            Some(ErrorKind::IntrospectionUnavailable)
        } else if token.revoked_at_issuer || self.now >= token.expires {
            Some(ErrorKind::Inactive)
        } else {
            None
        }
    }

    /// What is said here of a token that its issuer calls active.
    fn own_say(&self, token: &Token) -> Option<ErrorKind> {
        if token.revoked_here {
            Some(ErrorKind::Revoked)
        } else if self.banned.0.lock().unwrap().contains(token.subject) {
            Some(ErrorKind::AccessDenied)
        } else {
            None
        }
    }

    async fn comes(&mut self, index: usize) {
        let token = self.tokens[index].clone();
        let left_alone = self.is_left_alone();
        let is_excused = |found, expected: Option<ErrorKind>| {
            let asks = expected != Some(ErrorKind::Expired);
            left_alone && asks && found == Some(ErrorKind::IntrospectionUnavailable)
        };
        let truth = self.truth(&token);
        let expected = truth.or_else(|| self.own_say(&token));
        let plain = self.plain.authenticate(&token.text).await.err().map(|error| error.kind());
        assert!(plain == expected || is_excused(plain, truth), "without caches: {plain:?}, and not {expected:?}");

        let cached = self.cached.authenticate(&token.text).await.err().map(|error| error.kind());
        let expected_of_cached = if truth == Some(ErrorKind::Expired) {
            truth
        } else if self.now < token.active_until {
            self.own_say(&token)
        } else if self.now < token.inactive_until {
            Some(ErrorKind::Inactive)
        } else {
            if is_excused(cached, truth) {
                return;
            }
            let ttl = if token.opaque { TTL } else { EVERY };
            let known = &mut self.tokens[index];
            match truth {
                None => known.active_until = token.expires.min(self.now + ttl),
                Some(ErrorKind::Inactive) => known.inactive_until = self.now + INACTIVE_TTL,
                Some(_) => {}
            }
            expected
        };
        assert_eq!(cached, expected_of_cached, "with caches");
        // the same, but for what is documented: the delay of a revocation at the issuer, and outages
        let same = plain == cached || token.revoked_at_issuer || self.down || left_alone;
        assert!(same, "{plain:?} without caches, and {cached:?} with them");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn caches_change_no_verdict_but_by_the_documented_delays(history in prop::collection::vec(event(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut play = Play::new();
            for event in &history {
                play.happens(event).await;
            }
        });
    }
}
