//! Tokens that were revoked: by what, for how long, in several replicas, and with streams that are open.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::response::sse::{Event, Sse};
use axum::routing::get as route;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::{FutureExt, StreamExt};
use http::StatusCode;
use http_body_util::BodyExt;
use support::{get_with, kind, send};
use tokio::time::Instant;
use tokio_stream::wrappers::IntervalStream;
use tower_bearer::checks::OnUnavailable;
use tower_bearer::config::{Clock, ResourceServerBuilder};
use tower_bearer::deadline::DeadlineLayer;
use tower_bearer::keys::Algorithm;
use tower_bearer::revocation::{Entry, LocalEvent, RevocationList};
use tower_bearer::testing::{Idp, ManualClock, TokenBuilder};
use tower_bearer::{AccessToken, BearerAuthLayer, ErrorKind, Issuer, ResourceServer};

const ISSUER: &str = "https://id.test/";
const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

struct World {
    clock: ManualClock,
    idp: Idp,
    list: RevocationList,
    server: ResourceServer,
}

fn world_with(configure: impl FnOnce(ResourceServerBuilder, RevocationList) -> ResourceServerBuilder) -> World {
    let clock = ManualClock::new();
    let idp = Idp::new(ISSUER).clock(clock.clone());
    let list = RevocationList::builder(HOUR).clock(clock.clone()).build();
    let server = ResourceServer::new("https://api.test").trust(&idp).clock(clock.clone());
    let server = configure(server, list.clone()).build().unwrap();
    World { clock, idp, list, server }
}

fn world() -> World {
    world_with(ResourceServerBuilder::revocation_list)
}

impl World {
    /// Lets time pass, by both clocks.
    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        tokio::time::advance(time).await;
    }

    fn token(&self) -> TokenBuilder {
        let token = self.idp.token("alice").expires_in(HOUR);
        token.claim("jti", "j1").claim("sid", "s1").claim("client_id", "c1").claim("iat", seconds(self.clock.now()))
    }

    async fn kind(&self, token: &str) -> Option<ErrorKind> {
        kind(&self.server, token).await
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_token_is_revoked_by_what_it_says_known_or_not() {
    type Revoke = fn(&RevocationList, &str, SystemTime, &str);
    let rows: [(&str, Revoke); 6] = [
        ("jti", |list, issuer, _, _| list.revoke_jti(issuer, "j1")),
        ("session", |list, issuer, _, _| list.revoke_session(issuer, "s1")),
        ("subject", |list, issuer, now, _| list.revoke_subject(issuer, "alice", now + MINUTE)),
        ("client", |list, issuer, now, _| list.revoke_client(issuer, "c1", now + MINUTE)),
        ("text", |list, issuer, _, token| list.revoke_text(issuer, token)),
        ("everything", |list, issuer, now, token| {
            list.revoke_subject(issuer, "alice", now + MINUTE);
            list.revoke_text(issuer, token);
        }),
    ];
    for (name, revoke) in rows {
        for known in [false, true] {
            let world = world();
            let [one, other] = ["alice", "bob"].map(|subject| {
                let token = world.token().claim("sub", subject);
                // what another token has of its own
                if subject == "alice" {
                    token
                } else {
                    token.claim("jti", "j2").claim("sid", "s2").claim("client_id", "c2")
                }
                .sign()
            });
            if known {
                assert_eq!((world.kind(&one).await, world.kind(&one).await), (None, None), "{name}");
            }
            // another issuer's identifiers are others
            revoke(&world.list, "https://other.test/", world.clock.now(), &one);
            assert_eq!(world.kind(&one).await, None, "{name}");
            revoke(&world.list, ISSUER, world.clock.now(), &one);
            for _ in 0..3 {
                assert_eq!(world.kind(&one).await, Some(ErrorKind::Revoked), "{name}");
            }
            assert_eq!(world.kind(&other).await, None, "{name}");
            let error = world.server.authenticate(&one).await.unwrap_err();
            assert_eq!((error.check(), error.issuer()), (Some("revocations"), Some(ISSUER)));
            if name != "everything" {
                assert!(error.to_string().contains(&format!("by its {name}")), "{error}");
            }
            assert!(!error.to_string().contains("alice"));
            // and until it has expired, leeway included
            world.pass(HOUR + Duration::from_secs(29)).await;
            assert_eq!(world.kind(&one).await, Some(ErrorKind::Revoked), "{name}");
            world.pass(Duration::from_secs(2)).await;
            assert_eq!(world.kind(&one).await, Some(ErrorKind::Expired), "{name}");
            world.pass(10 * MINUTE).await;
            assert!(world.list.entries().is_empty(), "{name}");
        }
    }
}

#[tokio::test]
async fn a_verified_token_can_be_revoked_itself() {
    let world = world();
    for named in [true, false] {
        let builder = if named { world.token() } else { world.token().without("jti").claim("n", 1) };
        let [token, other] = [builder.sign(), builder.claim("jti", "j9").sign()];
        let verified = world.server.authenticate(&token).await.unwrap();
        assert!(world.list.revoke_token(&verified));
        assert_eq!(world.kind(&token).await, Some(ErrorKind::Revoked));
        assert_eq!(world.kind(&other).await, None);
    }
    // an empty jti is that of others, too
    let [token, other] = ["alice", "bob"].map(|subject| world.token().claim("sub", subject).claim("jti", "").sign());
    assert!(world.list.revoke_token(&world.server.authenticate(&token).await.unwrap()));
    assert_eq!((world.kind(&token).await, world.kind(&other).await), (Some(ErrorKind::Revoked), None));
    // of a server without a list, only the jti is known
    let plain = ResourceServer::new("https://api.test").trust(&world.idp).clock(world.clock.clone()).build().unwrap();
    let token = world.token().claim("jti", "j3").sign();
    assert!(world.list.revoke_token(&plain.authenticate(&token).await.unwrap()));
    assert_eq!(world.kind(&token).await, Some(ErrorKind::Revoked));
    let token = world.token().without("jti").claim("n", 2).sign();
    assert!(!world.list.revoke_token(&plain.authenticate(&token).await.unwrap()));
    // an entry dies with its token
    let short = world.idp.token("bob").expires_in(MINUTE).sign();
    assert!(world.list.revoke_token(&world.server.authenticate(&short).await.unwrap()));
    let until = world.list.entries().iter().map(Entry::until).min().unwrap();
    assert!(until < world.clock.now() + 10 * MINUTE);
}

#[tokio::test]
async fn issued_before_looks_at_iat_and_is_sure() {
    let world = world();
    let now = world.clock.now();
    let at = |iat: f64| world.token().claim("jti", iat.to_string()).claim("iat", iat).sign();
    let whole = seconds(now) as f64;
    let before = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds(now)) + Duration::from_millis(500);
    let tokens =
        [(whole - 100.0, true), (whole, true), (whole + 0.25, true), (whole + 0.5, false), (whole + 1.0, false)];
    let tokens = tokens.map(|(iat, revoked)| (at(iat), revoked));
    let undated = world.token().without("iat").sign();
    world.list.revoke_subject(ISSUER, "alice", before);
    for (token, revoked) in tokens {
        assert_eq!(world.kind(&token).await, revoked.then_some(ErrorKind::Revoked));
    }
    assert_eq!(world.kind(&undated).await, Some(ErrorKind::Revoked), "nobody knows when");
    // a later call does not take back an earlier one
    world.list.revoke_subject(ISSUER, "alice", before - HOUR);
    assert_eq!(world.kind(&undated).await, Some(ErrorKind::Revoked));
    world.list.revoke_subject(ISSUER, "alice", SystemTime::UNIX_EPOCH - HOUR);
    world.list.revoke_subject(ISSUER, "", before);
    world.list.revoke_client(ISSUER, "c2", before);
    assert_eq!(world.list.len(), 3);
}

/// Half of the P-256 field: the order of the group.
const N: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7,
    0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// Makes another valid signature of an ECDSA signature: (r, n - s).
fn malleate(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut borrow = 0;
    for place in (0..32).rev() {
        let difference = i32::from(N[place]) - i32::from(signature[32 + place]) - borrow;
        borrow = i32::from(difference < 0);
        signature[32 + place] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn another_signature_does_not_bring_a_token_back() {
    let idp = Idp::with_algorithms(ISSUER, &[Algorithm::Es256]);
    let list = RevocationList::new(HOUR);
    let server = ResourceServer::new("https://api.test").trust(&idp).revocation_list(list.clone()).build().unwrap();
    let token = idp.token("alice").without("jti").sign();
    let other = malleate(&token);
    assert_ne!(token, other);
    assert_eq!((kind(&server, &token).await, kind(&server, &other).await), (None, None), "both are valid");
    list.revoke_text(ISSUER, &token);
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::Revoked));
    assert_eq!(kind(&server, &other).await, Some(ErrorKind::Revoked));
    assert_eq!(kind(&server, &idp.token("alice").without("jti").claim("n", 1).sign()).await, None);
}

#[tokio::test]
async fn a_list_that_may_be_incomplete_goes_by_the_stance() {
    for (on_unavailable, status) in [
        (OnUnavailable::fail_closed(), StatusCode::SERVICE_UNAVAILABLE),
        (OnUnavailable::dangerously_fail_open(), StatusCode::OK),
        (OnUnavailable::dangerously_fail_open_for_safe_methods(), StatusCode::OK),
    ] {
        let world = world_with(|server, list| server.revocation_list_with(list, on_unavailable));
        let app = Router::new()
            .route("/", route(async || "well").post(async || "done"))
            .layer(BearerAuthLayer::new(world.server.clone()));
        let [good, bad] = ["j1", "j2"].map(|jti| world.token().claim("jti", jti).sign());
        world.list.revoke_jti(ISSUER, "j2");
        for _ in 0..2 {
            world.list.connected();
            assert_eq!(send(&app, get_with("/", &good)).await.status(), 200);
            world.list.disconnected("the store is down");
            let response = send(&app, get_with("/", &good)).await;
            assert_eq!(response.status(), status, "{on_unavailable:?}");
            if let Some(error) = response.extensions().get::<tower_bearer::Error>() {
                assert_eq!(error.kind(), ErrorKind::CheckUnavailable);
                assert!(error.to_string().contains("the store is down"), "{error}");
            }
            assert_eq!(send(&app, get_with("/", &bad)).await.status(), 401, "what is known to be bad stays so");
            let mut post = get_with("/", &good);
            *post.method_mut() = http::Method::POST;
            let expected = if on_unavailable == OnUnavailable::dangerously_fail_open() { 200 } else { 503 };
            assert_eq!(send(&app, post).await.status(), expected, "{on_unavailable:?}");
        }
    }
}

#[tokio::test]
async fn nothing_can_be_told_about_a_token_that_lives_longer_than_is_remembered() {
    let world = world();
    for (life, expected) in [(HOUR, None), (HOUR + MINUTE, Some(ErrorKind::CheckUnavailable))] {
        for dated in [true, false] {
            let token = world.token().expires_in(life).claim("jti", format!("{life:?}"));
            let token = if dated { token } else { token.without("iat") }.sign();
            assert_eq!(world.kind(&token).await, expected, "{life:?} {dated}");
        }
    }
    let token = world.token().expires_in(2 * HOUR).sign();
    let error = world.server.authenticate(&token).await.unwrap_err();
    assert!(error.to_string().contains("lives for 7200 s, and the revocation list remembers for 3600 s"), "{error}");
    world.list.revoke_jti(ISSUER, "j1");
    assert_eq!(world.kind(&token).await, Some(ErrorKind::Revoked), "but what is revoked is known to be");
}

#[tokio::test(start_paused = true)]
async fn a_full_list_revokes_all_that_was_issued_before() {
    let clock = ManualClock::new();
    let idp = Idp::new(ISSUER).clock(clock.clone());
    let list = RevocationList::builder(HOUR).capacity(3).clock(clock.clone()).build();
    let server = ResourceServer::new("https://api.test").trust(&idp).clock(clock.clone()).revocation_list(list.clone());
    let server = server.build().unwrap();
    let token = |jti: &str| idp.token("alice").claim("jti", jti).claim("iat", seconds(clock.now())).sign();
    let [revoked, innocent] = ["j4", "other"].map(token);
    for number in 1..=3 {
        list.revoke_jti(ISSUER, &format!("j{number}"));
    }
    assert_eq!((kind(&server, &revoked).await, kind(&server, &innocent).await), (None, None));
    list.revoke_jti(ISSUER, "j4");
    assert_eq!(kind(&server, &revoked).await, Some(ErrorKind::Revoked));
    let error = server.authenticate(&innocent).await.unwrap_err();
    assert!(error.to_string().contains("with all that were issued before"), "{error}");
    clock.advance(Duration::from_secs(1));
    assert_eq!(kind(&server, &token("new")).await, None, "a new token is good");
    assert_eq!(kind(&server, &idp.token("bob").without("iat").sign()).await, Some(ErrorKind::Revoked));
    for number in 0..1000 {
        list.revoke_jti(ISSUER, &format!("more{number}"));
    }
    assert_eq!(list.len(), 4);
    clock.advance(HOUR + 11 * MINUTE);
    tokio::time::advance(HOUR + 11 * MINUTE).await;
    list.revoke_jti(ISSUER, "later");
    assert_eq!((list.len(), list.entries().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_dated_ahead_lives_from_now_on() {
    let world = world();
    let now = seconds(world.clock.now());
    for (ahead, kind, forgotten) in
        [(0, None, false), (250, None, false), (5 * 3600, Some(ErrorKind::CheckUnavailable), true)]
    {
        let jti = format!("ahead {ahead}");
        let token = world.token().claim("jti", &*jti).claim("iat", now + ahead).claim("exp", now + ahead + 3600).sign();
        assert_eq!(world.kind(&token).await, kind, "{ahead}");
        world.list.revoke_jti(ISSUER, &jti);
        assert_eq!(world.kind(&token).await, Some(ErrorKind::Revoked), "{ahead}");
        assert_eq!(
            forgotten,
            world.list.entries()[0].until() < SystemTime::UNIX_EPOCH + Duration::from_secs(now + ahead + 3600)
        );
    }
    world.pass(2 * HOUR).await;
    let token = world.token().claim("jti", "ahead 18000").claim("iat", now + 18000).claim("exp", now + 21600).sign();
    assert_eq!(world.kind(&token).await, Some(ErrorKind::CheckUnavailable), "it may have been forgotten");
}

#[tokio::test]
async fn a_clock_that_must_be_wrong_forgets_nothing() {
    let (right, wrong) = (ManualClock::new(), Arc::new(AtomicBool::new(false)));
    let clock = {
        let (right, wrong) = (right.clone(), Arc::clone(&wrong));
        move || if wrong.load(Ordering::SeqCst) { SystemTime::UNIX_EPOCH - HOUR } else { right.now() }
    };
    let idp = Idp::new(ISSUER).clock(right);
    let list = RevocationList::builder(HOUR).clock(clock.clone()).build();
    let server = ResourceServer::new("https://api.test").trust(&idp).clock(clock).revocation_list(list.clone());
    let server = server.build().unwrap();
    list.revoke_jti(ISSUER, "j1");
    wrong.store(true, Ordering::SeqCst);
    list.revoke_jti(ISSUER, "j2");
    assert_eq!(list.entries().len(), 2);
    wrong.store(false, Ordering::SeqCst);
    for jti in ["j1", "j2"] {
        assert_eq!(kind(&server, &idp.token("alice").claim("jti", jti).sign()).await, Some(ErrorKind::Revoked));
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_put_right_makes_nothing_be_forgotten_too_early() {
    for wrong in ["behind", "ahead"] {
        let (right, off) = (ManualClock::new(), Arc::new(AtomicBool::new(true)));
        let clock = {
            let (right, off) = (right.clone(), Arc::clone(&off));
            let by = move |right: SystemTime| if wrong == "behind" { right - 3 * HOUR } else { right + 3 * HOUR };
            move || if off.load(Ordering::SeqCst) { by(right.now()) } else { right.now() }
        };
        let idp = Idp::new(ISSUER).clock(right.clone());
        let list = RevocationList::builder(HOUR).clock(clock).capacity(3).build();
        let server = ResourceServer::new("https://api.test").trust(&idp).clock(right.clone());
        let server = server.revocation_list(list.clone()).build().unwrap();
        let pass = async |time: Duration| {
            right.advance(time);
            tokio::time::advance(time).await;
        };
        let token = idp.token("alice").claim("jti", "j1").expires_in(HOUR).sign();
        // made by a right clock, and looked after by one that is wrong, or the other way round
        off.store(wrong == "behind", Ordering::SeqCst);
        list.revoke_jti(ISSUER, "j1");
        off.store(wrong == "ahead", Ordering::SeqCst);
        pass(2 * MINUTE).await;
        list.revoke_jti(ISSUER, "j2");
        assert_eq!(list.entries().len(), 2, "{wrong}");
        off.store(false, Ordering::SeqCst);
        pass(HOUR - 3 * MINUTE).await;
        list.revoke_jti(ISSUER, "j3");
        assert_eq!(kind(&server, &token).await, Some(ErrorKind::Revoked), "{wrong}");
        pass(5 * HOUR).await;
        list.revoke_jti(ISSUER, "j4");
        assert_eq!(list.len(), 1, "{wrong}, and what is over is forgotten");
    }
}

/// As a store does after each loss of its connection.
#[tokio::test(start_paused = true)]
async fn what_does_not_fit_and_is_read_again_revokes_no_newer_tokens() {
    let world = world();
    let list = RevocationList::builder(HOUR).clock(world.clock.clone()).capacity(2).build();
    let server = ResourceServer::new("https://api.test").trust(&world.idp).clock(world.clock.clone());
    let server = server.revocation_list(list.clone()).build().unwrap();
    let token = |jti: &str| world.token().claim("jti", jti).expires_in(HOUR / 2).sign();
    let (before, revoked) = (token("before"), token("j9"));
    for number in 0..10 {
        world.list.revoke_jti(ISSUER, &format!("j{number}"));
    }
    list.merge(world.list.entries());
    world.pass(Duration::from_secs(1)).await;
    let mut good = vec![token("a")];
    for _ in 0..5 {
        list.merge(world.list.entries());
        world.pass(MINUTE).await;
        for token in &good {
            assert_eq!(kind(&server, token).await, None, "it was issued after the last revocation");
        }
        for token in [&before, &revoked] {
            assert_eq!(kind(&server, token).await, Some(ErrorKind::Revoked));
        }
        good.push(token(&format!("{}", good.len())));
    }
    // a new one moves it, once
    world.list.revoke_session(ISSUER, "other");
    list.merge(world.list.entries());
    world.pass(Duration::from_secs(1)).await;
    list.merge(world.list.entries());
    assert_eq!(kind(&server, good.last().unwrap()).await, Some(ErrorKind::Revoked));
    assert_eq!(kind(&server, &token("new")).await, None);
}

/// Tells one list what another has revoked, as a store would.
async fn replicate(from: &RevocationList, to: &RevocationList) -> tokio::task::JoinHandle<usize> {
    let (mut local, from, to) = (from.local_entries(), from.clone(), to.clone());
    tokio::spawn(async move {
        let mut missed = 0;
        to.merge(from.entries());
        drop(from);
        while let Some(next) = local.next().await {
            match next {
                LocalEvent::Entry(entry) => to.merge([entry.to_string().parse::<Entry>().unwrap()]),
                LocalEvent::Missed => missed += 1,
                other => panic!("{other:?}"),
            }
        }
        missed
    })
}

#[tokio::test(start_paused = true)]
async fn replicas_know_what_one_of_them_has_revoked() {
    let (here, there) = (world(), RevocationList::new(HOUR));
    let tokens: Vec<_> = (0..20).map(|number| here.token().claim("jti", format!("j{number}")).sign()).collect();
    for number in 0..10 {
        there.revoke_jti(ISSUER, &format!("j{number}"));
    }
    let one = replicate(&there, &here.list).await;
    let other = replicate(&here.list, &there).await;
    tokio::task::yield_now().await;
    for number in 10..15 {
        there.revoke_jti(ISSUER, &format!("j{number}"));
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    for (number, token) in tokens.iter().enumerate() {
        assert_eq!(here.kind(token).await, (number < 15).then_some(ErrorKind::Revoked), "{number}");
    }
    // what was taken in is not told again, or they would never be silent
    let mut local = here.list.local_entries();
    there.revoke_jti(ISSUER, "j15");
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(local.next().now_or_never().is_none());
    assert_eq!(here.list.len(), 16);
    // a store that is slow is told that it has missed some
    for number in 0..300 {
        there.revoke_session(ISSUER, &format!("s{number}"));
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    here.list.merge(there.entries());
    assert_eq!(here.list.len(), 16 + 300);
    other.abort();
    let _ = other.await;
    drop(there);
    assert_eq!(one.await.unwrap(), 1, "and ends with the list");
}

#[tokio::test]
async fn a_snapshot_may_be_old_doubled_and_in_any_order() {
    let world = world();
    let token = world.token().sign();
    let elsewhere = RevocationList::builder(HOUR).clock(world.clock.clone()).build();
    elsewhere.revoke_subject(ISSUER, "alice", world.clock.now() + MINUTE);
    let now = elsewhere.entries();
    elsewhere.revoke_subject(ISSUER, "alice", world.clock.now() - HOUR);
    elsewhere.revoke_jti(ISSUER, "j7");
    let mut snapshot = [now, elsewhere.entries(), elsewhere.entries()].concat();
    snapshot.reverse();
    world.list.merge(snapshot);
    assert_eq!((world.list.len(), world.kind(&token).await), (2, Some(ErrorKind::Revoked)));
    let expired = "j.00112233445566778899aabbccddeeff.-.1".parse::<Entry>().unwrap();
    world.list.merge([expired]);
    assert_eq!(world.list.len(), 2);
}

#[tokio::test]
async fn a_reload_may_bring_a_list_and_take_it_away() {
    let world = world();
    let token = world.token().sign();
    world.list.revoke_jti(ISSUER, "j1");
    assert_eq!(world.kind(&token).await, Some(ErrorKind::Revoked));
    let plain = || ResourceServer::new("https://api.test").trust(&world.idp).clock(world.clock.clone());
    world.server.reload(plain()).unwrap();
    assert_eq!(world.kind(&token).await, None);
    world.server.reload(plain().revocation_list(world.list.clone())).unwrap();
    assert_eq!(world.kind(&token).await, Some(ErrorKind::Revoked));
}

#[tokio::test]
async fn a_list_is_asked_before_the_checks_and_is_a_step() {
    struct Never;
    impl tower_bearer::checks::TokenCheck for Never {
        fn name(&self) -> &'static str {
            "never"
        }

        fn check(&self, _: &AccessToken, _: &tower_bearer::checks::RequestContext<'_>) -> tower_bearer::checks::Answer {
            panic!("asked about a token that was revoked")
        }
    }
    let world = world_with(|server, list| server.check(Never).revocation_list(list));
    world.list.revoke_session(ISSUER, "s1");
    let explanation = world.server.explain(&world.token().sign()).await.to_string();
    let last: Vec<_> = explanation.lines().rev().take(3).collect();
    assert!(last[0] == "refused" && last[1].starts_with("never") && last[1].contains("skipped"), "{explanation}");
    assert!(last[2].starts_with("revocations") && last[2].contains("FAILED"), "{explanation}");
    assert!(explanation.contains("key and signature  passed"), "{explanation}");
}

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_watches_a_token_is_told_and_nobody_else() {
    let world = world();
    let mut watched = Vec::new();
    for (subject, session) in [("alice", "s1"), ("alice", "s2"), ("bob", "s3")] {
        let token = world.token().claim("sub", subject).claim("sid", session).claim("jti", session).sign();
        let token = world.server.authenticate(&token).await.unwrap();
        watched.push((Box::pin(token.deadline()), Arc::new(Woken::default())));
    }
    let mut look = |place: usize| {
        let (deadline, woken) = &mut watched[place];
        let waker = Waker::from(Arc::clone(woken));
        let done = deadline.as_mut().poll(&mut Context::from_waker(&waker)) == Poll::Ready(());
        (done, woken.0.swap(0, Ordering::SeqCst), deadline.reason())
    };
    let nothing = (false, 0, None);
    assert_eq!([0, 1, 2].map(&mut look), [nothing; 3]);
    world.list.revoke_session(ISSUER, "s9");
    assert_eq!([0, 1, 2].map(&mut look), [nothing; 3]);
    world.list.revoke_session(ISSUER, "s2");
    let ended = (true, 1, Some(ErrorKind::Revoked));
    assert_eq!([0, 1, 2].map(&mut look), [nothing, ended, nothing]);
    // woken, and none of theirs after all: it was issued later
    world.list.revoke_subject(ISSUER, "alice", world.clock.now() - HOUR);
    assert_eq!(look(0), (false, 1, None));
    world.list.merge({
        let elsewhere = RevocationList::builder(HOUR).clock(world.clock.clone()).build();
        elsewhere.revoke_subject(ISSUER, "alice", world.clock.now() + MINUTE);
        elsewhere.entries()
    });
    assert_eq!([0, 2].map(&mut look), [ended, nothing]);
    // one that begins with a revoked token has ended
    let late = world.server.authenticate(&world.token().claim("sub", "carol").claim("sid", "s4").sign()).await.unwrap();
    world.list.revoke_session(ISSUER, "s4");
    assert!(late.deadline().now_or_never().is_some());
}

fn numbers() -> impl tokio_stream::Stream<Item = u64> {
    let interval = tokio::time::interval(Duration::from_secs(1));
    IntervalStream::new(interval).enumerate().map(|(number, _)| number as u64)
}

#[tokio::test(start_paused = true)]
async fn open_streams_end_when_their_token_is_revoked() {
    let world = world();
    let app = Router::new()
        .route(
            "/events",
            route(async || {
                Sse::new(numbers().map(|number| Ok::<_, Infallible>(Event::default().data(number.to_string()))))
            }),
        )
        .layer(DeadlineLayer::default())
        .layer(BearerAuthLayer::new(world.server.clone()));
    let [one, other] = ["s1", "s2"].map(|sid| world.token().claim("sid", sid).claim("jti", sid).sign());
    let start = Instant::now();
    let list = world.list.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(10_500)).await;
        list.revoke_session(ISSUER, "s1");
    });
    let mut stays = send(&app, get_with("/events", &other)).await.into_body();
    let ends = send(&app, get_with("/events", &one)).await;
    let text = ends.into_body().collect().await.unwrap().to_bytes();
    assert!(text.ends_with(b"data: 10\n\n"), "{text:?}");
    assert_eq!(start.elapsed().as_millis(), 10_500, "at once, and not at the next event");
    for _ in 0..20 {
        assert!(stays.frame().await.is_some());
    }
    let token = world.server.authenticate(&other).await.unwrap();
    let list = world.list.clone();
    let revoked = async move {
        tokio::time::sleep(Duration::from_millis(2500)).await;
        list.revoke_jti(ISSUER, "s2");
    };
    let items = token.deadline().end_with(numbers(), 99).collect::<Vec<_>>();
    assert_eq!(futures_util::join!(items, revoked).0, [0, 1, 2, 99]);
}

#[test]
fn a_revocation_is_seen_by_whoever_comes_after_it() {
    let list = RevocationList::new(HOUR);
    let idp = Idp::new(ISSUER);
    let server = ResourceServer::new("https://api.test").trust(&idp).revocation_list(list.clone()).build().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let tokens: Vec<_> = (0..200).map(|number| idp.token("alice").claim("jti", format!("j{number}")).sign()).collect();
    runtime.block_on(async { server.authenticate(&tokens[0]).await.unwrap() });
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // beside others that come and go
        scope.spawn(|| {
            for number in 0.. {
                list.revoke_session(ISSUER, &format!("s{number}"));
                if done.load(Ordering::SeqCst) || number > 50_000 {
                    return;
                }
            }
        });
        for (number, token) in tokens.iter().enumerate() {
            assert!(runtime.block_on(server.authenticate(token)).is_ok());
            list.revoke_jti(ISSUER, &format!("j{number}"));
            assert!(runtime.block_on(server.authenticate(token)).is_err());
        }
        done.store(true, Ordering::SeqCst);
    });
}

#[tokio::test]
async fn other_names_of_an_issuer_and_of_a_session_are_the_same() {
    let idp = Idp::new("https://other.name/");
    let issuer = Issuer::new(ISSUER).also_known_as("https://other.name/");
    let list = RevocationList::new(HOUR);
    let server = ResourceServer::new("https://api.test").trust((issuer, idp.clone())).revocation_list(list.clone());
    let server = server.build().unwrap();
    let token = idp.token("alice").claim("session_id", "s1").sign();
    assert_eq!(kind(&server, &token).await, None);
    list.revoke_session("https://other.name/", "s1");
    assert_eq!(kind(&server, &token).await, None, "an issuer is called as it is configured");
    list.revoke_session(ISSUER, "s1");
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::Revoked));
    let token = idp.token("alice").claim("sid", 7).claim("session_id", "s1").sign();
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::Revoked), "what is no text hides nothing");
}
