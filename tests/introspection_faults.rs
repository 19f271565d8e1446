//! Endpoints that fail, and callers who try to make them: what one token can do to the others, how
//! often an issuer is asked meanwhile, and what is never taken for a yes.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use futures_util::future::join_all;
use http::Response;
use serde::Deserialize;
use support::endpoint::{Endpoint, ISSUER, alice, json};
use support::kind;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, advance, sleep, sleep_until, timeout};
use tower_bearer::introspection::{ClientAuthentication, Introspection, JwtIntrospection};
use tower_bearer::keys::HttpClient;
use tower_bearer::testing::Idp;
use tower_bearer::{ErrorKind, Issuer, ResourceServer};

const DOWN: Option<ErrorKind> = Some(ErrorKind::IntrospectionUnavailable);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn client() -> ClientAuthentication {
    ClientAuthentication::client_secret_basic("orders", "s3cret")
}

/// Says yes to tokens that begin with `good`, and this to all others.
fn odd(answer: impl Fn() -> Response<Body> + Send + Sync + 'static) -> Endpoint {
    Endpoint::new(move |asked| if asked.form["token"].starts_with("good") { json(200, &alice()) } else { answer() })
}

fn too_long() -> Response<Body> {
    json(200, &format!("{{\"active\":true,\"x\":\"{}\"}}", "x".repeat(512 * 1024)))
}

/// What a server says of tokens, all at once.
async fn kinds(server: &ResourceServer, tokens: impl Iterator<Item = String>) -> Vec<Option<ErrorKind>> {
    join_all(tokens.map(|token| async move { kind(server, &token).await })).await
}

/// A firewall that dislikes a token, an endpoint that stumbles over one.
#[tokio::test(start_paused = true)]
async fn no_answer_about_one_token_is_an_outage_for_the_others() {
    type Make = fn() -> Response<Body>;

    let answers: [(&str, Make); 8] = [
        ("400", || json(400, r#"{"error":"unsupported_token_type"}"#)),
        ("403", || json(403, "")),
        ("413", || json(413, "")),
        ("500", || json(500, "")),
        ("too long", too_long),
        ("no JSON", || json(200, "<html>")),
        ("empty", || json(204, "")),
        ("redirect", || json(302, "")),
    ];
    for (name, answer) in answers {
        // while others get answers
        let endpoint = odd(answer);
        let server = endpoint.server(|asked| asked).build().unwrap();
        for number in 0..20 {
            assert_eq!(kind(&server, &format!("good-{number}")).await, None, "{name}");
            assert_eq!(kind(&server, &format!("odd-{number}")).await, DOWN, "{name}");
        }
        // and while nobody else comes: those who then come wait no longer than a moment
        advance(seconds(60)).await;
        for number in 0..20 {
            kind(&server, &format!("odd-again-{number}")).await;
            advance(Duration::from_millis(60)).await;
        }
        assert_eq!(kind(&server, "good").await, None, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_tokens_over_which_an_issuer_stumbles_cannot_win_every_turn_after_an_outage() {
    let endpoint = Endpoint::new(|_| json(503, ""));
    let server = endpoint.server(|asked| asked).build().unwrap();
    assert_eq!(kind(&server, "good").await, DOWN);
    endpoint.answer(|asked| if asked.form["token"].starts_with("good") { json(200, &alice()) } else { json(500, "") });
    // 140 such tokens a second, and 11 good ones
    let (mut good, mut first) = (0, None);
    for millis in 0..10_000 {
        if millis % 7 == 0 {
            kind(&server, &format!("odd-{millis}")).await;
        }
        if millis % 90 == 0 && kind(&server, &format!("good-{millis}")).await.is_none() {
            good += 1;
            first = first.or(Some(millis));
        }
        advance(Duration::from_millis(1)).await;
    }
    assert!(good > 80 && first.is_some_and(|millis| millis < 3000), "{good} of 112, the first after {first:?} ms");
    println!("{good} {first:?}");
}

#[tokio::test(start_paused = true)]
async fn an_issuer_in_doubt_is_asked_32_times_at_once_and_then_20_times_a_second() {
    let endpoint = odd(|| json(500, ""));
    let server = endpoint.server(|asked| asked).build().unwrap();
    let refused = kinds(&server, (0..10_000).map(|number| format!("odd-{number}"))).await;
    assert!(refused.iter().all(|kind| *kind == DOWN));
    assert!(endpoint.calls() <= 32, "{}", endpoint.calls());
    let before = endpoint.calls();
    for tick in 0..1000 {
        kinds(&server, (0..10).map(|number| format!("odd-{tick}-{number}"))).await;
        advance(Duration::from_millis(10)).await;
    }
    let calls = endpoint.calls() - before;
    assert!((190..=200).contains(&calls), "{calls} in 10 s");
    assert!(kinds(&server, (0..10).map(|number| format!("good-{number}"))).await.contains(&None));
    assert!(kinds(&server, (0..10).map(|number| format!("good-{number}"))).await.iter().all(Option::is_none));
}

#[tokio::test(start_paused = true)]
async fn a_token_over_which_an_issuer_hangs_stops_no_other() {
    let endpoint = Endpoint::of_alice();
    let server = endpoint.server(|asked| asked).build().unwrap();
    endpoint.takes(seconds(3600));
    let hanging = server.clone();
    let hangs = tokio::spawn(async move { kind(&hanging, "odd").await });
    sleep(Duration::from_millis(1)).await;
    endpoint.takes(Duration::ZERO);
    sleep(seconds(3)).await;
    assert_eq!(kind(&server, "good").await, None);
    assert_eq!(hangs.await.unwrap(), DOWN);
    sleep(Duration::from_millis(2_100)).await;
    assert_eq!(kind(&server, "good-2").await, None, "the question has timed out");
}

#[tokio::test(start_paused = true)]
async fn no_issuer_is_left_alone_for_longer_than_a_minute() {
    let endpoint = Endpoint::new(|_| {
        let mut answer = json(429, "");
        answer.headers_mut().insert("retry-after", "600".parse().unwrap());
        answer
    });
    let server = endpoint.server(|asked| asked).build().unwrap();
    let error = server.authenticate("good").await.unwrap_err();
    assert_eq!(error.retry_after(), Some(seconds(60)));
    endpoint.answer(|_| json(200, &alice()));
    advance(seconds(59)).await;
    assert_eq!((kind(&server, "good").await, endpoint.calls()), (DOWN, 1));
    advance(seconds(1)).await;
    assert_eq!((kind(&server, "good").await, endpoint.calls()), (None, 2));
}

/// An issuer whose metadata are slow, and how often they were read.
fn discovered(endpoint: &Endpoint) -> (ResourceServer, Arc<AtomicUsize>) {
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looks);
    let metadata = async move || {
        counted.fetch_add(1, Ordering::SeqCst);
        sleep(Duration::from_millis(100)).await;
        format!(r#"{{"issuer":"{ISSUER}","introspection_endpoint":"{ISSUER}/introspect"}}"#)
    };
    let router =
        Router::new().route("/.well-known/openid-configuration", get(metadata)).fallback_service(endpoint.router());
    let issuer = Issuer::new(ISSUER).introspection(Introspection::new(client()).without_keys());
    let server = ResourceServer::new("https://api.test").trust(issuer);
    let server = server.http_client(HttpClient::from_service_with_bodies::<_, Body, _>(router)).build().unwrap();
    (server, looks)
}

#[tokio::test(start_paused = true)]
async fn the_endpoint_is_discovered_once_for_all_and_again_only_where_there_is_nothing() {
    let endpoint = odd(|| json(400, ""));
    let (server, looks) = discovered(&endpoint);
    assert!(kinds(&server, (0..32).map(|number| format!("good-{number}"))).await.iter().all(Option::is_none));
    assert_eq!(looks.load(Ordering::SeqCst), 1);
    kinds(&server, (0..32).map(|number| format!("odd-{number}"))).await;
    assert_eq!((kind(&server, "good").await, looks.load(Ordering::SeqCst)), (None, 1));
    // nothing there: look again, but not for each token
    endpoint.answer(|_| json(404, ""));
    for number in 0..100 {
        kind(&server, &format!("lost-{number}")).await;
        advance(seconds(1)).await;
    }
    assert_eq!(looks.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_discovery_that_fails_fails_for_all_who_wait_for_it() {
    let endpoint = Endpoint::of_alice();
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looks);
    let client = tower::service_fn(move |_: http::Request<Body>| {
        counted.fetch_add(1, Ordering::SeqCst);
        async {
            sleep(Duration::from_millis(100)).await;
            Err::<Response<Body>, _>("no way there")
        }
    });
    let issuer = Issuer::new(ISSUER).introspection(Introspection::new(self::client()).without_keys());
    let server = ResourceServer::new("https://api.test").trust(issuer);
    let server = server.http_client(HttpClient::from_service_with_bodies::<_, Body, _>(client)).build().unwrap();
    assert!(kinds(&server, (0..32).map(|number| format!("good-{number}"))).await.iter().all(|kind| *kind == DOWN));
    assert_eq!((looks.load(Ordering::SeqCst), endpoint.calls()), (1, 0));
}

/// Nobody drives the runtime of the questions any more.
#[test]
fn questions_that_nobody_drives_give_their_turns_back_within_seconds() {
    let runtime = || -> Runtime { Builder::new_current_thread().enable_all().start_paused(true).build().unwrap() };
    let (idle, driven) = (runtime(), runtime());
    let endpoint = Endpoint::of_alice();
    endpoint.takes(seconds(1));
    let server = endpoint.server(|asked| asked).build().unwrap();
    let given_up = |tokens: std::ops::Range<usize>| {
        let requests = tokens.map(|number| {
            let server = &server;
            async move { timeout(Duration::from_millis(10), kind(server, &format!("good-{number}"))).await.is_err() }
        });
        idle.block_on(join_all(requests)).into_iter().all(|gave_up| gave_up)
    };
    assert!(given_up(0..32));
    driven.block_on(async {
        assert_eq!(kind(&server, "good").await, DOWN, "all turns are taken");
        sleep(seconds(2)).await;
        assert_eq!(kind(&server, "good").await, None);
        assert_eq!(kind(&server, "good-0").await, None, "and so is its own question");
    });
    // the turn after an outage, too
    idle.block_on(async { sleep(seconds(5)).await });
    driven.block_on(async {
        endpoint.answer(|_| json(503, ""));
        assert_eq!(kind(&server, "bad").await, DOWN);
        endpoint.answer(|_| json(200, &alice()));
    });
    let pause_is_over = driven.block_on(async { Instant::now() }) + seconds(1);
    idle.block_on(async { sleep_until(pause_is_over).await });
    assert!(given_up(100..101));
    driven.block_on(async {
        sleep_until(pause_is_over).await;
        assert_eq!(kind(&server, "good-102").await, DOWN, "the turn is taken");
        sleep(seconds(4)).await;
        assert_eq!(kind(&server, "good-102").await, None);
    });
}

/// Counts those that live.
#[derive(Clone)]
struct Counted;

static LIVE: AtomicUsize = AtomicUsize::new(0);

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer)?;
        LIVE.fetch_add(1, Ordering::SeqCst);
        Ok(Self)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_about_each_time_takes_no_room_in_the_cache() {
    let endpoint = Endpoint::new(|_| json(200, r#"{"active":true}"#));
    let idp = Idp::new(ISSUER);
    let server = |every| {
        let introspection = Introspection::new(client()).endpoint("https://id.test/introspect");
        let issuer = Issuer::new(ISSUER).introspection(introspection.introspect_jwts(JwtIntrospection::Every(every)));
        let server = ResourceServer::new("https://api.test").trust((issuer, idp.clone())).claims::<Counted>();
        server.http_client(endpoint.client()).build().unwrap()
    };
    let (always, sometimes) = (server(Duration::ZERO), server(seconds(30)));
    for (server, kept) in [(&always, 0), (&sometimes, 10)] {
        for number in 0..10 {
            server.authenticate(&idp.token(format!("user-{number}")).sign()).await.unwrap();
        }
        assert_eq!(LIVE.load(Ordering::SeqCst), kept);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_names_another_token_or_user_is_not_about_this_one() {
    let idp = Idp::new(ISSUER);
    let token = idp.token("bob").claim("jti", "one").sign();
    let unnamed = idp.token("bob").without("jti").sign();
    let answer = |said: &str, signed: bool| {
        let said: serde_json::Value = serde_json::from_str(said).unwrap();
        if !signed {
            return json(200, &said.to_string());
        }
        let answer = idp.token("nobody").header("typ", "token-introspection+jwt").audience("orders");
        let mut answer = Response::new(Body::from(answer.claim("token_introspection", said).sign()));
        let typ = "application/token-introspection+jwt".parse().unwrap();
        answer.headers_mut().insert("content-type", typ);
        answer
    };
    for (token, said, expected) in [
        (&token, r#"{"active":true}"#, None),
        (&token, r#"{"active":true,"jti":"one","sub":"bob"}"#, None),
        (&token, r#"{"active":true,"jti":null,"sub":null}"#, None),
        (&token, r#"{"active":true,"jti":"two","sub":"bob"}"#, DOWN),
        (&token, r#"{"active":true,"jti":"One"}"#, DOWN),
        (&token, r#"{"active":true,"jti":"one","sub":"mallory"}"#, DOWN),
        (&token, r#"{"active":true,"sub":"mallory"}"#, DOWN),
        (&token, r#"{"active":false,"jti":"two"}"#, Some(ErrorKind::Inactive)),
        (&unnamed, r#"{"active":true,"jti":"two"}"#, None),
        (&unnamed, r#"{"active":true,"jti":"two","sub":"mallory"}"#, DOWN),
    ] {
        for signed in [false, true] {
            let (idp, text) = (idp.clone(), said.to_owned());
            let prepared = answer(&text, signed);
            let (parts, body) = prepared.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let endpoint = Endpoint::new(move |_| Response::from_parts(parts.clone(), Body::from(body.clone())));
            let introspection = Introspection::new(client()).endpoint("https://id.test/introspect");
            let introspection = introspection.introspect_jwts(JwtIntrospection::Every(Duration::ZERO));
            let introspection = if signed { introspection.signed() } else { introspection };
            let issuer = Issuer::new(ISSUER).introspection(introspection);
            let server = ResourceServer::new("https://api.test").trust((issuer, idp));
            let server = server.http_client(endpoint.client()).build().unwrap();
            assert_eq!(kind(&server, token).await, expected, "signed: {signed}, {said}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_all_tokens_would_meet_stops_all_at_once() {
    for status in [401, 429, 502, 503, 504] {
        let endpoint = odd(move || json(status, ""));
        let server = endpoint.server(|asked| asked).build().unwrap();
        assert_eq!((kind(&server, "odd").await, kind(&server, "good").await), (DOWN, DOWN), "{status}");
        assert_eq!(endpoint.calls(), 1, "{status}");
        advance(seconds(1)).await;
        assert_eq!(kind(&server, "good").await, None, "{status}");
    }
}
