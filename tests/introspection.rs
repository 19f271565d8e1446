//! Tokens that their issuer is asked about: what it says, how often it is asked, and what becomes of
//! a request meanwhile.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use futures_util::future::join_all;
use http::{Response, StatusCode, header};
use support::endpoint::{Endpoint, alice, json};
use support::{challenge, get_with, kind, send};
use tokio::net::TcpListener;
use tokio::time::{Instant, advance, sleep, timeout};
use tower_bearer::config::ConfigProblemKind;
use tower_bearer::introspection::{ClientAuthentication, ClientKey, Introspection, JwtIntrospection, Secret};
use tower_bearer::keys::{Algorithm, StaticKeys};
use tower_bearer::revocation::RevocationList;
use tower_bearer::testing::{Idp, ManualClock, ProofKey};
use tower_bearer::trust::Trust;
use tower_bearer::{BearerAuthLayer, ErrorKind, Issuer, ResourceServer};

/// A moment of 2027.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + seconds(1_800_000_000)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn as_it_is(introspection: Introspection) -> Introspection {
    introspection
}

/// What a server says of tokens, all at once.
async fn kinds(server: &ResourceServer, tokens: impl Iterator<Item = String>) -> Vec<Option<ErrorKind>> {
    join_all(tokens.map(|token| async move { kind(server, &token).await })).await
}

#[tokio::test(start_paused = true)]
async fn a_token_is_what_its_issuer_says() {
    let endpoint = Endpoint::of_alice();
    let server = endpoint.server(as_it_is).clock(now).build().unwrap();
    server.ready().await.unwrap();
    let token = server.authenticate("good-1").await.unwrap();
    assert_eq!((token.subject(), token.issuer(), token.client_id()), (Some("alice"), "https://id.test", Some("shop")));
    assert!(token.has_scope("orders:read") && !token.has_scope("orders:write"));
    assert_eq!(token.audiences().collect::<Vec<_>>(), ["https://api.test"]);
    assert!(token.expires_in(now()).unwrap() <= seconds(60), "it is believed no longer");
    assert_eq!(kind(&server, "bad").await, Some(ErrorKind::Inactive));
    assert_eq!(endpoint.calls(), 2);
    // and what it said is remembered
    assert_eq!((kind(&server, "good-1").await, kind(&server, "bad").await), (None, Some(ErrorKind::Inactive)));
    assert_eq!(endpoint.calls(), 2);
}

/// Not at the first token.
#[tokio::test]
async fn a_secret_that_can_never_do_is_a_problem_of_the_configuration() {
    const PEM: &str = include_str!("../src/introspection_client/testdata/es256.pem");
    let key = |algorithm, pem: &str| ClientAuthentication::private_key_jwt("orders", ClientKey::pem(algorithm, pem));
    let one_line = PEM.replace('\n', "");
    for (client, fault) in [
        (key(Algorithm::Es256, PEM), None),
        (key(Algorithm::Es256, &format!("\n{PEM}\n")), None),
        (key(Algorithm::Es256, &one_line), Some("with its line breaks")),
        (key(Algorithm::Es256, &PEM.replace('\n', "\\n")), Some("with its line breaks")),
        (key(Algorithm::Es384, PEM), Some("for its algorithm")),
        (key(Algorithm::Rs256, PEM), Some("for its algorithm")),
        (key(Algorithm::Es256, "-----BEGIN PRIVATE KEY-----"), Some("no private key in PEM")),
        (key(Algorithm::Es256, ""), Some("it is empty")),
        (ClientAuthentication::client_secret_basic("orders", ""), Some("it is empty")),
        (ClientAuthentication::client_secret_post("orders", ""), Some("it is empty")),
        (ClientAuthentication::bearer(""), Some("it is empty")),
        (ClientAuthentication::bearer("a\nb"), Some("cannot stand in a header")),
        (ClientAuthentication::client_secret_basic_without_encoding("orders", "a\nb"), None),
        // which may be there later
        (
            ClientAuthentication::private_key_jwt("orders", ClientKey::pem(Algorithm::Es256, Secret::file("/none"))),
            None,
        ),
    ] {
        let introspection = Introspection::new(client.clone()).endpoint("https://id.test/introspect");
        let issuer = Issuer::new("https://id.test").introspection(introspection);
        let built = ResourceServer::new("https://api.test").trust(issuer).build();
        let problems: Vec<_> = built.err().iter().flat_map(|error| error.problems().to_vec()).collect();
        match fault {
            None => assert!(problems.is_empty(), "{client:?}: {problems:?}"),
            Some(fault) => {
                assert_eq!(problems.len(), 1, "{client:?}");
                assert_eq!(problems[0].path(), "issuers[https://id.test].introspection.client");
                assert!(problems[0].message().contains(fault), "{problems:?}");
                assert!(!problems[0].message().contains("MIGH"));
            }
        }
    }
}

/// With a list of revoked tokens, which must remember for as long as a token lives.
#[tokio::test(start_paused = true)]
async fn a_token_that_does_not_say_when_it_expires_is_too_old_for_a_list_some_day() {
    let endpoint = Endpoint::of_alice();
    let now = now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let list = RevocationList::builder(seconds(900)).clock(self::now).build();
    let with = |iat: Option<u64>| {
        let mut claims: serde_json::Value = serde_json::from_str(&alice()).unwrap();
        let claims_of = claims.as_object_mut().unwrap();
        claims_of.remove("exp");
        claims_of.remove("iat");
        claims_of.extend(iat.map(|iat| ("iat".to_owned(), iat.into())));
        claims.to_string()
    };
    for (number, (iat, max_age, expected)) in [
        (Some(now - 800), None, None),
        (Some(now - 86_400), None, Some(ErrorKind::CheckUnavailable)),
        // it never was younger, for all that is known
        (None, None, None),
        // who has set a maximum age has the client get another token
        (Some(now - 800), Some(seconds(800)), None),
        (Some(now - 86_400), Some(seconds(800)), Some(ErrorKind::Expired)),
        (None, Some(seconds(800)), Some(ErrorKind::MissingClaim)),
    ]
    .into_iter()
    .enumerate()
    {
        let body = with(iat);
        endpoint.answer(move |_| json(200, &body));
        let server = endpoint.server_of(as_it_is, |issuer| match max_age {
            Some(max_age) => issuer.max_age(max_age),
            None => issuer,
        });
        let server = server.clock(self::now).revocation_list(list.clone()).build().unwrap();
        let error = server.authenticate(&format!("token-{number}")).await.err();
        assert_eq!(error.as_ref().map(tower_bearer::Error::kind), expected, "{iat:?} {max_age:?}");
        if expected == Some(ErrorKind::CheckUnavailable) {
            let told = error.unwrap().to_string();
            assert!(told.contains("does not say when it expires") && told.contains("max_age"), "{told}");
        }
    }
}

/// Nobody knows when it ends, so it stays revoked until the list cannot tell.
#[tokio::test(start_paused = true)]
async fn a_revoked_token_that_does_not_say_when_it_expires_does_not_come_back() {
    let clock = ManualClock::at(now());
    let issued = now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let said = alice().replace('}', &format!(r#","iat":{issued}}}"#));
    let endpoint = Endpoint::new(move |_| json(200, &said));
    let list = RevocationList::builder(seconds(3600)).clock(clock.clone()).build();
    let server = endpoint.server(as_it_is).clock(clock.clone()).revocation_list(list.clone()).build().unwrap();
    let token = server.authenticate("good").await.unwrap();
    assert!(list.revoke_token(&token));
    for minute in 0..180 {
        let found = kind(&server, "good").await;
        // the list holds for as long as such a token may live, and two leeways more
        let expected = if minute <= 70 { ErrorKind::Revoked } else { ErrorKind::CheckUnavailable };
        assert_eq!(found, Some(expected), "{minute}");
        clock.advance(seconds(60));
        advance(seconds(60)).await;
        // what is over is taken out by a new entry
        list.revoke_jti("https://id.test", "another");
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_issuer_answers_is_held_against_its_terms() {
    let endpoint = Endpoint::of_alice();
    let now = now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let with = |name: &str, value: &str| {
        let mut claims: serde_json::Value = serde_json::from_str(&alice()).unwrap();
        claims[name] = serde_json::from_str(value).unwrap();
        claims.to_string()
    };
    let without = |name: &str| {
        let mut claims: serde_json::Value = serde_json::from_str(&alice()).unwrap();
        claims.as_object_mut().unwrap().remove(name);
        claims.to_string()
    };
    let date = |ahead: i64| (i64::try_from(now).unwrap() + ahead).to_string();
    use ErrorKind as K;
    for (number, (body, expected)) in [
        (without("iss"), None),
        (with("iss", "null"), None),
        (with("iss", "\"https://id.test/\""), Some(K::UnknownIssuer)),
        (with("iss", "\"https://ID.test\""), Some(K::UnknownIssuer)),
        (with("iss", "[\"https://id.test\"]"), Some(K::IntrospectionUnavailable)),
        (with("iss", "7"), Some(K::IntrospectionUnavailable)),
        (without("aud"), Some(K::MissingClaim)),
        (with("aud", "null"), Some(K::MissingClaim)),
        (with("aud", "[\"x\",\"https://api.test\"]"), None),
        (with("aud", "[]"), Some(K::WrongAudience)),
        (with("aud", "\"https://api.test/\""), Some(K::WrongAudience)),
        (with("aud", "\"https://other.test\""), Some(K::WrongAudience)),
        (with("aud", "7"), Some(K::IntrospectionUnavailable)),
        (with("aud", "[7]"), Some(K::IntrospectionUnavailable)),
        (with("aud", "{}"), Some(K::IntrospectionUnavailable)),
        (with("exp", &date(60)), None),
        (with("exp", &format!("{}.5", date(60))), None),
        (with("exp", "null"), None),
        (with("exp", &date(-31)), Some(K::Expired)),
        (with("exp", "0"), Some(K::Expired)),
        (with("exp", &format!("\"{}\"", date(60))), Some(K::IntrospectionUnavailable)),
        (with("exp", "-1"), Some(K::IntrospectionUnavailable)),
        (with("exp", &format!("{}000", date(60))), Some(K::IntrospectionUnavailable)),
        (with("exp", "true"), Some(K::IntrospectionUnavailable)),
        (with("exp", "[]"), Some(K::IntrospectionUnavailable)),
        (with("nbf", &date(-5)), None),
        (with("nbf", "null"), None),
        (with("nbf", &date(120)), Some(K::NotYetValid)),
        (with("nbf", "\"soon\""), Some(K::IntrospectionUnavailable)),
        (with("iat", "null"), None),
        (with("iat", "{}"), Some(K::IntrospectionUnavailable)),
        (without("token_type"), None),
        (with("token_type", "\"bearer\""), None),
        (with("token_type", "\"access_token\""), None),
        (with("token_type", "null"), None),
        (with("token_type", "\"refresh_token\""), Some(K::WrongType)),
        (with("token_type", "\"N_A\""), Some(K::WrongType)),
        (with("token_type", "\"\""), Some(K::WrongType)),
        (with("token_type", "[\"Bearer\"]"), Some(K::IntrospectionUnavailable)),
        (with("token_type", "\"DPoP\""), Some(K::SenderConstrained)),
        (with("token_use", "\"access_token\""), None),
        (with("token_use", "\"refresh_token\""), Some(K::WrongType)),
        (with("token_use", "\"id\""), Some(K::WrongType)),
        (with("cnf", "{\"jkt\":\"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I\"}"), Some(K::SenderConstrained)),
        (with("cnf", "{}"), Some(K::SenderConstrained)),
        (with("cnf", "null"), Some(K::IntrospectionUnavailable)),
        (with("cnf", "[]"), Some(K::IntrospectionUnavailable)),
        (without("sub"), None),
        (with("sub", "null"), None),
        (with("sub", "7"), Some(K::IntrospectionUnavailable)),
        (with("client_id", "{}"), Some(K::IntrospectionUnavailable)),
        (with("jti", "false"), Some(K::IntrospectionUnavailable)),
        (with("scope", "7"), None),
    ]
    .into_iter()
    .enumerate()
    {
        let shown = body.clone();
        endpoint.answer(move |_| json(200, &body));
        let server = endpoint.server(as_it_is).clock(self::now).build().unwrap();
        assert_eq!(kind(&server, &format!("token-{number}")).await, expected, "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn demands_on_claims_hold_for_answers_too() {
    let endpoint = Endpoint::of_alice();
    let introspection = || {
        let introspection = Introspection::new(ClientAuthentication::client_secret_basic("orders", "s3cret"));
        introspection.endpoint("https://id.test/introspect").without_keys()
    };
    let verdict = |issuer: Issuer| {
        let client = endpoint.client();
        async move {
            let issuer = issuer.introspection(introspection());
            let server = ResourceServer::new("https://api.test").trust(issuer).http_client(client).build().unwrap();
            kind(&server, "good").await
        }
    };
    let issuer = || Issuer::new("https://id.test");
    assert_eq!(verdict(issuer().only_clients(["shop"])).await, None);
    assert_eq!(verdict(issuer().only_clients(["other"])).await, Some(ErrorKind::WrongClaim));
    assert_eq!(verdict(issuer().max_age(seconds(60))).await, Some(ErrorKind::MissingClaim));
    assert_eq!(verdict(issuer().max_lifetime(seconds(60))).await, Some(ErrorKind::MissingClaim), "it never ends");
    let claim = tower_bearer::claims::Claim::at(["tenant"]);
    assert_eq!(verdict(issuer().require(claim)).await, Some(ErrorKind::MissingClaim));
    assert_eq!(verdict(issuer().only_audiences(["other"])).await, Some(ErrorKind::WrongAudience));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_requests_with_one_token_ask_once() {
    let endpoint = Endpoint::of_alice();
    endpoint.takes(seconds(1));
    let server = endpoint.server(as_it_is).build().unwrap();
    assert!(kinds(&server, (0..1000).map(|_| "good".to_owned())).await.iter().all(Option::is_none));
    assert_eq!(endpoint.calls(), 1);
    // whatever the issuer says
    assert!(kinds(&server, (0..1000).map(|_| "bad".to_owned())).await.iter().all(Option::is_some));
    assert_eq!(endpoint.calls(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_requests_on_several_threads_ask_once() {
    let endpoint = Endpoint::of_alice();
    let server = endpoint.server(as_it_is).build().unwrap();
    let requests: Vec<_> = (0..1000)
        .map(|_| {
            let server = server.clone();
            tokio::spawn(async move { kind(&server, "good").await })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap(), None);
    }
    assert_eq!(endpoint.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_cancelled_takes_no_question_with_it() {
    let endpoint = Endpoint::of_alice();
    endpoint.takes(seconds(1));
    let server = endpoint.server(as_it_is).build().unwrap();
    assert!(timeout(Duration::from_millis(10), server.authenticate("good")).await.is_err());
    sleep(seconds(2)).await;
    assert_eq!((kind(&server, "good").await, endpoint.calls()), (None, 1));
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_no_longer_than_for_keys_and_the_answer_is_for_the_next() {
    let endpoint = Endpoint::of_alice();
    endpoint.takes(seconds(4));
    let server = endpoint.server(as_it_is).build().unwrap();
    let begin = Instant::now();
    let late = server.authenticate("good").await.unwrap_err();
    assert_eq!((late.kind(), begin.elapsed()), (ErrorKind::IntrospectionUnavailable, seconds(2)));
    assert_eq!(late.retry_after(), Some(seconds(1)));
    sleep(seconds(3)).await;
    assert_eq!((kind(&server, "good").await, endpoint.calls()), (None, 1));
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_is_accepted_for_no_longer_than_the_ttl() {
    let endpoint = Endpoint::of_alice();
    let server = endpoint.server(|asked| asked.ttl(seconds(20))).build().unwrap();
    assert_eq!(kind(&server, "good").await, None);
    endpoint.answer(|_| json(200, r#"{"active":false}"#));
    advance(seconds(19)).await;
    assert_eq!((kind(&server, "good").await, endpoint.calls()), (None, 1));
    advance(seconds(1)).await;
    assert_eq!((kind(&server, "good").await, endpoint.calls()), (Some(ErrorKind::Inactive), 2));
    // without any, each request asks
    let server = endpoint.server(|asked| asked.ttl(Duration::ZERO)).build().unwrap();
    endpoint.answer(|_| json(200, &alice()));
    assert_eq!((kind(&server, "good").await, kind(&server, "good").await), (None, None));
    assert_eq!(endpoint.calls(), 4);
    endpoint.answer(|_| json(200, r#"{"active":false}"#));
    assert_eq!(kind(&server, "good").await, Some(ErrorKind::Inactive));
}

/// An answer may be as old as its question, which others may wait for.
#[tokio::test(start_paused = true)]
async fn nobody_gets_an_answer_that_was_asked_for_longer_ago_than_it_counts() {
    for (ttl, calls) in [(0, 2), (1, 2), (3, 1)] {
        let endpoint = Endpoint::of_alice();
        endpoint.takes(seconds(3));
        let server = endpoint.server(|asked| asked.ttl(seconds(ttl))).key_wait_timeout(seconds(20)).build().unwrap();
        let first = kinds(&server, (0..100).map(|_| "good".to_owned()));
        let second = async {
            sleep(seconds(2)).await;
            kinds(&server, (0..100).map(|_| "good".to_owned())).await
        };
        let (first, second) = tokio::join!(first, second);
        assert!(first.iter().chain(&second).all(Option::is_none), "{ttl}");
        assert_eq!(endpoint.calls(), calls, "{ttl}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_active_is_remembered_for_a_moment_or_not_at_all() {
    let endpoint = Endpoint::of_alice();
    let server = endpoint.server(|asked| asked.inactive_ttl(seconds(10))).build().unwrap();
    assert_eq!(kind(&server, "bad").await, Some(ErrorKind::Inactive));
    advance(Duration::from_millis(9_900)).await;
    assert_eq!((kind(&server, "bad").await, endpoint.calls()), (Some(ErrorKind::Inactive), 1));
    advance(Duration::from_millis(100)).await;
    assert_eq!((kind(&server, "bad").await, endpoint.calls()), (Some(ErrorKind::Inactive), 2));
    let server = endpoint.server(|asked| asked.inactive_ttl(Duration::ZERO)).build().unwrap();
    kinds(&server, ["bad".to_owned()].into_iter()).await;
    kinds(&server, ["bad".to_owned()].into_iter()).await;
    assert_eq!(endpoint.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_made_up_tokens_never_opens_more_than_32_questions() {
    let endpoint = Endpoint::of_alice();
    endpoint.takes(Duration::from_millis(5));
    let server = endpoint.server(as_it_is).build().unwrap();
    assert_eq!(kind(&server, "good").await, None);
    let refused = kinds(&server, (0..10_000).map(|number| format!("made-up-{number}"))).await;
    let inactive = refused.iter().filter(|kind| **kind == Some(ErrorKind::Inactive)).count();
    let later = refused.iter().filter(|kind| **kind == Some(ErrorKind::IntrospectionUnavailable)).count();
    assert_eq!(inactive + later, 10_000);
    assert_eq!(endpoint.most(), 32);
    assert!(endpoint.calls() <= 10_001);
    // nor does it push out who is known
    let calls = endpoint.calls();
    assert_eq!((kind(&server, "good").await, endpoint.calls()), (None, calls));
}

#[tokio::test(start_paused = true)]
async fn a_flood_while_the_issuer_is_down_asks_a_few_times_and_then_once_a_pause() {
    let endpoint = Endpoint::of_alice();
    let server = endpoint.server(as_it_is).build().unwrap();
    assert_eq!(kind(&server, "good").await, None);
    endpoint.answer(|_| json(503, "{}"));
    let refused = kinds(&server, (0..10_000).map(|number| format!("made-up-{number}"))).await;
    assert!(refused.iter().all(|kind| *kind == Some(ErrorKind::IntrospectionUnavailable)));
    let calls = endpoint.calls();
    assert!(calls <= 1 + 32, "{calls}");
    // 1 s, 2 s, 4 s, 8 s, 16 s
    for second in 0..40 {
        kinds(&server, (0..250).map(|number| format!("made-up-{second}-{number}"))).await;
        advance(seconds(1)).await;
    }
    assert!(endpoint.calls() - calls <= 6, "{}", endpoint.calls() - calls);
    // the known token lives on, and what it was told is believed for no longer than ever
    assert_eq!(kind(&server, "good").await, None);
    advance(seconds(21)).await;
    assert_eq!(kind(&server, "good").await, Some(ErrorKind::IntrospectionUnavailable));
    // and all is well as soon as the issuer is
    endpoint.answer(|_| json(200, &alice()));
    advance(seconds(60)).await;
    assert_eq!((kind(&server, "good").await, kind(&server, "good-2").await), (None, None));
}

#[tokio::test(start_paused = true)]
async fn a_flood_while_the_issuer_hangs_is_refused_at_once_after_the_first_timeouts() {
    let endpoint = Endpoint::of_alice();
    endpoint.takes(seconds(3600));
    let server = endpoint.server(as_it_is).build().unwrap();
    let begin = Instant::now();
    let refused = kinds(&server, (0..10_000).map(|number| format!("made-up-{number}"))).await;
    assert!(refused.iter().all(|kind| *kind == Some(ErrorKind::IntrospectionUnavailable)));
    assert_eq!((begin.elapsed(), endpoint.calls()), (seconds(2), 32));
    sleep(seconds(4)).await;
    let begin = Instant::now();
    kinds(&server, (0..10_000).map(|number| format!("made-up-again-{number}"))).await;
    assert!(begin.elapsed() <= seconds(2));
    assert!(endpoint.calls() <= 33, "{}", endpoint.calls());
}

#[tokio::test(start_paused = true)]
async fn every_fault_is_503_and_says_when_to_come_again() {
    for (status, retry_after, expected) in [
        (429, Some("30"), "30"),
        (503, None, "1"),
        (500, None, "1"),
        (401, None, "1"),
        (403, None, "1"),
        (404, None, "1"),
        (302, None, "1"),
        (204, None, "1"),
        (429, Some("86400"), "60"),
    ] {
        let endpoint = Endpoint::new(move |_| {
            let mut answer = json(status, r#"{"active":true,"error":"invalid_client"}"#);
            if let Some(wait) = retry_after {
                answer.headers_mut().insert(header::RETRY_AFTER, wait.parse().unwrap());
            }
            answer
        });
        let server = endpoint.server(as_it_is).build().unwrap();
        let app = Router::new().fallback(any(|| async {})).layer(BearerAuthLayer::new(server.clone()));
        let response = send(&app, get_with("/", "good")).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{status}");
        assert_eq!(response.headers()[header::RETRY_AFTER], expected, "{status}");
        assert!(challenge(response.headers()).is_none());
        // at once, and without a question
        let response = send(&app, get_with("/", "good-2")).await;
        assert_eq!((response.status(), endpoint.calls()), (StatusCode::SERVICE_UNAVAILABLE, 1), "{status}");
        let text = server.authenticate("good-3").await.unwrap_err().to_string();
        assert!(text.contains(&status.to_string()), "{text}");
        assert_eq!(text.contains("form-encoded"), matches!(status, 401 | 403), "{text}");
    }
    let endpoint = Endpoint::of_alice();
    let server = endpoint.server(as_it_is).build().unwrap();
    let app = Router::new().fallback(any(|| async {})).layer(BearerAuthLayer::new(server));
    let response = send(&app, get_with("/", "bad")).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let (_, params) = challenge(response.headers()).unwrap();
    assert_eq!((&*params["error"], &*params["error_description"]), ("invalid_token", "the token is not active"));
}

#[tokio::test(start_paused = true)]
async fn one_token_that_makes_the_issuer_stumble_stops_no_other() {
    let endpoint =
        Endpoint::new(
            |asked| {
                if asked.form["token"].starts_with("good") { json(200, &alice()) } else { json(500, "") }
            },
        );
    let server = endpoint.server(as_it_is).build().unwrap();
    for number in 0..20 {
        assert_eq!(kind(&server, &format!("good-{number}")).await, None);
        assert_eq!(kind(&server, &format!("odd-{number}")).await, Some(ErrorKind::IntrospectionUnavailable));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_long_is_of_no_use() {
    let endpoint = Endpoint::new(|_| {
        let body = format!("{{\"active\":true,\"x\":\"{}\"}}", "x".repeat(512 * 1024));
        Response::new(Body::from(body))
    });
    let server = endpoint.server(as_it_is).build().unwrap();
    let error = server.authenticate("good").await.unwrap_err();
    assert!(error.to_string().contains("more than 512 KiB"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_jwt_is_asked_about_after_it_was_verified_and_only_then() {
    let endpoint = Endpoint::new(|asked| {
        json(200, if asked.form["token"].len() > 100 { r#"{"active":true}"# } else { r#"{"active":false}"# })
    });
    let idp = Idp::new("https://id.test");
    let introspection = Introspection::new(ClientAuthentication::client_secret_basic("orders", "s3cret"));
    let introspection =
        introspection.endpoint("https://id.test/introspect").introspect_jwts(JwtIntrospection::Every(seconds(30)));
    let issuer = Issuer::new("https://id.test").introspection(introspection);
    let server = ResourceServer::new("https://api.test").trust((issuer, idp.clone())).http_client(endpoint.client());
    let server = server.build().unwrap();
    let token = idp.token("bob").sign();
    assert_eq!(server.authenticate(&token).await.unwrap().subject(), Some("bob"));
    assert_eq!((kind(&server, &token).await, endpoint.calls()), (None, 1));
    advance(seconds(30)).await;
    assert_eq!((kind(&server, &token).await, endpoint.calls()), (None, 2));
    // what is no good JWT is nobody's question
    for (bad, expected) in [
        (idp.token("bob").wrong_key().sign(), ErrorKind::BadSignature),
        (idp.token("bob").expired().sign(), ErrorKind::Expired),
        (idp.token("bob").audience("https://other.test").sign(), ErrorKind::WrongAudience),
        (idp.token("bob").unsigned().sign(), ErrorKind::UnsupportedAlgorithm),
        (Idp::new("https://other.test").token("bob").sign(), ErrorKind::UnknownIssuer),
    ] {
        assert_eq!(kind(&server, &bad).await, Some(expected));
    }
    assert_eq!(endpoint.calls(), 2);
    // revoked
    endpoint.answer(|_| json(200, r#"{"active":false}"#));
    advance(seconds(30)).await;
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::Inactive));
    // and its issuer's opaque tokens are asked about, too
    endpoint.answer(|_| json(200, &alice()));
    assert_eq!(server.authenticate("opaque").await.unwrap().subject(), Some("alice"));
}

#[tokio::test(start_paused = true)]
async fn opaque_tokens_of_several_issuers_are_told_apart() {
    let endpoint = Endpoint::new(|asked| {
        assert_eq!(asked.form["client_id"], "orders");
        json(200, &alice().replace("\"iss\":\"https://id.test\",", ""))
    });
    let issuer = |id: &str| {
        let introspection = Introspection::new(ClientAuthentication::tls_client_auth("orders"));
        (Issuer::new(id), introspection.endpoint(format!("{id}/introspect")).without_keys())
    };
    let [(one, one_asked), (two, two_asked), (rest, rest_asked)] =
        ["https://one.test", "https://two.test", "https://rest.test"].map(issuer);
    let server = ResourceServer::new("https://api.test")
        .trust(rest.clone().introspection(rest_asked.clone()))
        .trust(one.introspection(one_asked.only_prefix("one_")))
        .trust(two.clone().introspection(two_asked.clone().only_if(|token| token.len() == 32)))
        .http_client(endpoint.client())
        .build()
        .unwrap();
    for (token, issuer) in [
        ("one_abc", "https://one.test"),
        ("0123456789abcdef0123456789abcdef", "https://two.test"),
        ("anything", "https://rest.test"),
    ] {
        assert_eq!(server.authenticate(token).await.unwrap().issuer(), issuer);
    }
    let both = ResourceServer::new("https://api.test")
        .trust(rest.introspection(rest_asked))
        .trust(two.introspection(two_asked))
        .http_client(endpoint.client());
    assert!(both.build().unwrap_err().to_string().contains("only_prefix"));
}

#[test]
fn settings_that_would_leak_or_mean_nothing_are_refused() {
    let client = || ClientAuthentication::client_secret_basic("orders", "s3cret");
    let problem = |introspection: Introspection| {
        let issuer = Issuer::new("https://id.test").introspection(introspection);
        ResourceServer::new("https://api.test").trust(issuer).build().unwrap_err().to_string()
    };
    for (introspection, expected) in [
        (Introspection::new(client()).endpoint("http://id.test/introspect"), "over https only"),
        (Introspection::new(client()).endpoint("https://a:b@id.test/"), "user name or password"),
        (Introspection::new(client()).endpoint("ftp://id.test/"), "https"),
        (Introspection::new(client()).endpoint("introspect"), "not a URL"),
        (Introspection::new(client()).ttl(seconds(3601)), "more than an hour"),
        (Introspection::new(client()).introspect_jwts(JwtIntrospection::Every(seconds(3601))), "more than an hour"),
        (Introspection::new(client()).inactive_ttl(seconds(11)), "more than 10 s"),
        (Introspection::new(client()).only_prefix(""), "the prefix is empty"),
        (Introspection::new(client()).signed().without_keys(), "verified by the issuer's keys"),
        (Introspection::new(ClientAuthentication::bearer("x")).signed(), "which bearer does not say"),
        (
            Introspection::new(client()).without_keys().introspect_jwts(JwtIntrospection::Every(seconds(1))),
            "all tokens are asked about",
        ),
        (Introspection::new(ClientAuthentication::client_secret_basic("", "x")), "identifier is empty"),
        (Introspection::new(ClientAuthentication::client_secret_basic_without_encoding("a:b", "x")), "colon"),
    ] {
        let problem = problem(introspection);
        assert!(problem.contains(expected) && problem.contains("introspection"), "{problem}");
        assert!(!problem.contains("s3cret"), "{problem}");
    }
}

#[test]
fn an_issuer_without_keys_is_given_none() {
    let idp = Idp::new("https://id.test");
    let keys = || StaticKeys::jwks(&idp.jwks().to_string()).unwrap();
    let introspection =
        || Introspection::new(ClientAuthentication::client_secret_basic("orders", "s3cret")).without_keys();
    let issuer = || Issuer::new("https://id.test").introspection(introspection());
    let problem = |trust: Trust| {
        let problems = ResourceServer::new("https://api.test").trust(trust).build().unwrap_err();
        let problem = &problems.problems()[0];
        (problem.kind(), format!("{} {}", problem.path(), problem.message()))
    };
    for trust in [
        Trust::from((issuer(), keys())),
        Trust::from((issuer(), idp.clone())),
        Trust::from(issuer().jwks_uri("https://id.test/jwks")),
    ] {
        let (kind, text) = problem(trust);
        assert_eq!(kind, ConfigProblemKind::Conflict);
        assert!(text.contains("introspection") && text.contains("without_keys"), "{text}");
    }
    ResourceServer::new("https://api.test").trust(issuer()).build().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_asked_for_anew_and_its_absence_is_nobodys_fault_but_ours() {
    let endpoint = Endpoint::new(|asked| {
        let secret = &asked.form["client_secret"];
        json(if secret == "second" { 200 } else { 401 }, &alice())
    });
    let secrets = std::sync::Arc::new(std::sync::Mutex::new(vec!["second", "first"]));
    let secret = Secret::from_fn(move || secrets.lock().unwrap().pop().map(str::to_owned).ok_or("hunter2"));
    let introspection = Introspection::new(ClientAuthentication::client_secret_post("orders", secret));
    let introspection = introspection.endpoint("https://id.test/introspect").without_keys();
    let issuer = Issuer::new("https://id.test").introspection(introspection);
    let server = ResourceServer::new("https://api.test").trust(issuer).http_client(endpoint.client()).build().unwrap();
    assert_eq!(kind(&server, "good").await, Some(ErrorKind::IntrospectionUnavailable));
    sleep(seconds(1)).await;
    assert_eq!(kind(&server, "good").await, None);
    let error = server.authenticate("good-2").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IntrospectionUnavailable);
    assert!(error.to_string().contains("cannot be had") && !error.to_string().contains("hunter2"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn kubernetes_is_asked_about_service_accounts() {
    let endpoint = Endpoint::new(|asked| {
        let review: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
        assert_eq!(asked.headers[header::AUTHORIZATION], "Bearer own");
        assert_eq!(review["spec"]["audiences"], serde_json::json!(["https://api.test"]));
        let good = review["spec"]["token"].as_str().unwrap().len() > 100;
        let status = if good {
            r#"{"authenticated":true,"audiences":["https://api.test"],"user":{"username":"system:serviceaccount:shop:orders","groups":["system:authenticated"]}}"#
        } else {
            r#"{"error":"invalid bearer token"}"#
        };
        json(201, &format!(r#"{{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","status":{status}}}"#))
    });
    let cluster = Idp::new("https://kubernetes.default.svc.cluster.local");
    let issuer =
        Issuer::new(cluster.issuer()).introspection(Introspection::kubernetes("https://kubernetes.default.svc", "own"));
    let server = ResourceServer::new("https://api.test").trust(issuer).http_client(endpoint.client()).build().unwrap();
    server.ready().await.unwrap();
    let token = server.authenticate(&cluster.token("orders").sign()).await.unwrap();
    assert_eq!(token.subject(), Some("system:serviceaccount:shop:orders"));
    assert_eq!((kind(&server, "x").await, endpoint.calls()), (Some(ErrorKind::Inactive), 2));
    assert_eq!(kind(&server, &cluster.token("orders").expired().sign()).await, Some(ErrorKind::Expired));
    assert_eq!(endpoint.calls(), 2, "what has expired by its own word is not worth a question");
    let other = Idp::new("https://id.test/");
    assert_eq!(kind(&server, &other.token("orders").sign()).await, Some(ErrorKind::UnknownIssuer));
    assert_eq!(endpoint.calls(), 2);
}

#[tokio::test]
async fn jwts_and_opaque_tokens_of_one_issuer_go_through_one_layer_over_http() {
    let endpoint = Endpoint::of_alice();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let idp = Idp::new(&*base);
    let metadata = serde_json::json!({
        "issuer": base,
        "jwks_uri": format!("{base}/jwks"),
        "introspection_endpoint": format!("{base}/introspect"),
    });
    let keys = idp.jwks().to_string();
    let issuer = base.clone();
    endpoint.answer(move |asked| {
        let good = asked.form["token"] == "good+/=" && asked.form["token_type_hint"] == "access_token";
        json(200, &if good { alice().replace("https://id.test", &issuer) } else { r#"{"active":false}"#.into() })
    });
    let served = Router::new()
        .route("/.well-known/openid-configuration", any(move || async move { metadata.to_string() }))
        .route("/jwks", any(move || async move { keys }))
        .fallback_service(endpoint.router());
    tokio::spawn(async move { axum::serve(listener, served).await });
    let introspection = Introspection::new(ClientAuthentication::client_secret_basic("orders", "s3cret"));
    let issuer = Issuer::new(&*base).introspection(introspection);
    let server = ResourceServer::new("https://api.test").trust(issuer).build().unwrap();
    let app = Router::new().fallback(any(|| async {})).layer(BearerAuthLayer::new(server));
    let status = async |token: &str| send(&app, get_with("/", token)).await.status();
    assert_eq!(status("good+/=").await, StatusCode::OK);
    assert_eq!(status("other").await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&idp.token("bob").sign()).await, StatusCode::OK);
    assert_eq!(endpoint.calls(), 2, "a JWT is not asked about");
}

#[tokio::test(start_paused = true)]
async fn an_explanation_has_what_the_issuer_says_for_a_step() {
    let endpoint = Endpoint::of_alice();
    let server = endpoint.server(as_it_is).build().unwrap();
    let good = server.explain("good").await;
    assert!(good.accepted);
    let names: Vec<_> = good.steps.iter().map(|step| step.name).collect();
    assert_eq!(names, ["form", "issuer", "introspection"]);
    let bad = server.explain("hunter2").await;
    let text = bad.to_string();
    assert!(!bad.accepted && text.contains("introspection      FAILED") && !text.contains("hunter2"), "{text}");
    let idp = Idp::new("https://id.test");
    let introspection = Introspection::new(ClientAuthentication::tls_client_auth("orders"));
    let introspection =
        introspection.endpoint("https://id.test/introspect").introspect_jwts(JwtIntrospection::Every(seconds(30)));
    let issuer = Issuer::new("https://id.test").introspection(introspection);
    let server = ResourceServer::new("https://api.test").trust((issuer, idp.clone())).http_client(endpoint.client());
    let revoked = server.build().unwrap().explain(&idp.token("bob").sign()).await.to_string();
    assert!(
        revoked.contains("key and signature  passed") && revoked.contains("introspection      FAILED"),
        "{revoked}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_signed_answer_counts_by_what_its_issuer_has_signed_inside_it() {
    let idp = Idp::new("https://id.test");
    let inside = |active: bool| {
        let mut claims: serde_json::Value = serde_json::from_str(&alice()).unwrap();
        claims["active"] = active.into();
        claims
    };
    let answer = || {
        let answer = idp.token("nobody").header("typ", "token-introspection+jwt").audience("orders");
        answer.claim("token_introspection", inside(true))
    };
    use ErrorKind as K;
    let of_no_use = Some(K::IntrospectionUnavailable);
    let other = Idp::new("https://id.test");
    for (number, (text, expected)) in [
        (answer().sign(), None),
        (answer().header("typ", "application/Token-Introspection+JWT").sign(), None),
        (answer().audience(serde_json::json!(["x", "orders"])).sign(), None),
        (answer().claim("token_introspection", inside(false)).sign(), Some(K::Inactive)),
        (answer().claim("active", true).claim("token_introspection", inside(false)).sign(), Some(K::Inactive)),
        (answer().claim("active", true).without("token_introspection").sign(), of_no_use),
        (answer().claim("token_introspection", "x").sign(), of_no_use),
        (answer().header("typ", "JWT").sign(), of_no_use),
        (answer().without_header("typ").sign(), of_no_use),
        (answer().header("typ", "at+jwt").sign(), of_no_use),
        (answer().audience("https://api.test").sign(), of_no_use),
        (answer().without("aud").sign(), of_no_use),
        (answer().issuer("https://other.test").sign(), of_no_use),
        (answer().without("iss").sign(), of_no_use),
        (answer().without("iat").sign(), of_no_use),
        (answer().claim("iat", 1_000_000_000).sign(), of_no_use),
        (answer().claim("iat", 4_000_000_000_u64).sign(), of_no_use),
        (answer().claim("iat", "now").sign(), of_no_use),
        (answer().wrong_key().sign(), of_no_use),
        (answer().unsigned().sign(), of_no_use),
        (answer().unknown_kid().sign(), of_no_use),
        (other.token("nobody").header("typ", "token-introspection+jwt").audience("orders").sign(), of_no_use),
        (r#"{"active":true}"#.to_owned(), of_no_use),
        (String::new(), of_no_use),
    ]
    .into_iter()
    .enumerate()
    {
        let shown = text.clone();
        let endpoint = Endpoint::new(move |asked| {
            assert_eq!(asked.headers[header::ACCEPT], "application/token-introspection+jwt");
            let mut answer = Response::new(Body::from(text.clone()));
            let typ = "application/token-introspection+jwt".parse().unwrap();
            answer.headers_mut().insert(header::CONTENT_TYPE, typ);
            answer
        });
        let introspection = Introspection::new(ClientAuthentication::client_secret_basic("orders", "s3cret")).signed();
        let issuer = Issuer::new("https://id.test").introspection(introspection.endpoint("https://id.test/introspect"));
        let server = ResourceServer::new("https://api.test").trust((issuer, idp.clone()));
        let server = server.http_client(endpoint.client()).build().unwrap();
        assert_eq!(kind(&server, "good").await, expected, "{number}: {shown}");
    }
    // and without a signature it counts for nothing
    let endpoint = Endpoint::of_alice();
    let introspection = Introspection::new(ClientAuthentication::client_secret_basic("orders", "s3cret")).signed();
    let issuer = Issuer::new("https://id.test").introspection(introspection.endpoint("https://id.test/introspect"));
    let server = ResourceServer::new("https://api.test").trust((issuer, idp)).http_client(endpoint.client());
    assert_eq!(kind(&server.build().unwrap(), "good").await, of_no_use);
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_token_or_a_secret_is_shown() {
    let endpoint = Endpoint::new(|asked| {
        let token = asked.form["token"].clone();
        let mut answer = json(500, &format!(r#"{{"error":"{token}","error_description":"{token} s3cret"}}"#));
        answer.headers_mut().insert("www-authenticate", token.parse().unwrap());
        answer
    });
    let server = endpoint.server(as_it_is).build().unwrap();
    let error = server.authenticate("hunter2").await.unwrap_err();
    let client = ClientAuthentication::client_secret_basic("orders", "s3cret");
    let introspection = Introspection::new(client.clone()).endpoint("https://id.test/x?key=hunter2");
    let issuer = Issuer::new("https://id.test").introspection(introspection.clone());
    for shown in [
        error.to_string(),
        format!("{error:?}"),
        format!("{server:?}"),
        format!("{client:?} {introspection:?} {issuer:?}"),
    ] {
        assert!(!shown.contains("hunter2") && !shown.contains("s3cret"), "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_no_bodies_is_found_when_the_server_is_built() {
    let endpoint = Endpoint::of_alice();
    let service = tower_bearer::keys::HttpClient::from_service::<_, Body, _>(endpoint.router());
    let problem = endpoint.server(as_it_is).http_client(service).build().unwrap_err().to_string();
    assert!(problem.contains("from_service_with_bodies"), "{problem}");
}

#[tokio::test(start_paused = true)]
async fn a_jwts_own_times_count_and_the_answer_need_not_repeat_them() {
    let endpoint = Endpoint::new(|_| json(200, r#"{"active":true}"#));
    let idp = Idp::new("https://id.test");
    let introspection = Introspection::new(ClientAuthentication::client_secret_basic("orders", "s3cret"));
    let introspection =
        introspection.endpoint("https://id.test/introspect").introspect_jwts(JwtIntrospection::Every(seconds(30)));
    for issuer in [
        Issuer::new("https://id.test").max_age(seconds(3600)),
        Issuer::new("https://id.test").max_lifetime(seconds(24 * 3600)),
        Issuer::new("https://id.test").leeway(Duration::ZERO),
    ] {
        let trust = (issuer.introspection(introspection.clone()), idp.clone());
        let server = ResourceServer::new("https://api.test").trust(trust).http_client(endpoint.client());
        let server = server.build().unwrap();
        assert_eq!(kind(&server, &idp.token("bob").sign()).await, None);
    }
}

/// A JWT says itself what it is bound to, and the answer need not repeat that.
#[tokio::test(start_paused = true)]
async fn a_jwt_of_dpop_is_bound_to_its_own_key_whatever_the_answer_leaves_out() {
    let endpoint = Endpoint::new(|_| json(200, r#"{"active":true,"token_type":"DPoP"}"#));
    let (idp, key) = (Idp::new("https://id.test"), ProofKey::new());
    let introspection = Introspection::new(ClientAuthentication::client_secret_basic("orders", "s3cret"));
    let introspection =
        introspection.endpoint("https://id.test/introspect").introspect_jwts(JwtIntrospection::Every(seconds(30)));
    let issuer = Issuer::new("https://id.test").accept_dpop().introspection(introspection);
    let server = ResourceServer::new("https://api.test").trust((issuer, idp.clone())).http_client(endpoint.client());
    let server = server.public_origin("https://api.test").build().unwrap();
    let token = idp.token("bob").bound_to(&key).sign();
    let request = |scheme: &str, token: &str| {
        let proof = key.proof("GET", "https://api.test/orders").token(token).sign();
        let request = http::Request::get("https://api.test/orders").header("dpop", proof);
        request.header(header::AUTHORIZATION, format!("{scheme} {token}")).body(()).unwrap()
    };
    let found = server.authenticate_request(&request("DPoP", &token)).await;
    assert_eq!(found.unwrap().subject(), Some("bob"));
    // it is no bearer token for that, nor is one that is bound to nothing a token of DPoP
    let found = server.authenticate_request(&request("Bearer", &token)).await;
    assert_eq!(found.unwrap_err().kind(), ErrorKind::SenderConstrained);
    assert_eq!(kind(&server, &idp.token("bob").sign()).await, Some(ErrorKind::SenderConstrained));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_asked_about_each_time_is_good_without_leeway_too() {
    let endpoint = Endpoint::of_alice();
    let introspection = Introspection::new(ClientAuthentication::client_secret_basic("orders", "s3cret"));
    let introspection = introspection.endpoint("https://id.test/introspect").without_keys().ttl(Duration::ZERO);
    let issuer = Issuer::new("https://id.test").leeway(Duration::ZERO).introspection(introspection);
    let server = ResourceServer::new("https://api.test").trust(issuer).http_client(endpoint.client()).build().unwrap();
    assert_eq!((kind(&server, "good").await, kind(&server, "good").await), (None, None));
    assert_eq!(endpoint.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_believed_from_when_it_was_asked_for() {
    let endpoint = Endpoint::of_alice();
    endpoint.takes(seconds(4));
    let server = endpoint.server(|asked| asked.ttl(seconds(20))).key_wait_timeout(seconds(10)).build().unwrap();
    assert_eq!(kind(&server, "good").await, None);
    endpoint.takes(Duration::ZERO);
    endpoint.answer(|_| json(200, r#"{"active":false}"#));
    advance(seconds(15)).await;
    assert_eq!(kind(&server, "good").await, None);
    advance(seconds(1)).await;
    assert_eq!(kind(&server, "good").await, Some(ErrorKind::Inactive));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_slept_through_the_night_is_none() {
    let endpoint = Endpoint::of_alice();
    endpoint.takes(seconds(1));
    let clock = ManualClock::at(now());
    let server = endpoint.server(as_it_is).clock(clock.clone()).build().unwrap();
    let (verdict, ()) = tokio::join!(kind(&server, "good"), async {
        sleep(Duration::from_millis(500)).await;
        clock.advance(seconds(8 * 3600));
    });
    assert_eq!(verdict, Some(ErrorKind::IntrospectionUnavailable));
}

#[tokio::test(start_paused = true)]
async fn one_caller_with_odd_tokens_does_not_lock_the_others_out() {
    let endpoint =
        Endpoint::new(
            |asked| {
                if asked.form["token"].starts_with("good") { json(200, &alice()) } else { json(500, "") }
            },
        );
    let server = endpoint.server(as_it_is).build().unwrap();
    assert_eq!(kind(&server, "good").await, None);
    // nobody else comes for a while, as in any small service
    advance(seconds(20)).await;
    for number in 0..120 {
        kind(&server, &format!("odd-{number}")).await;
        advance(seconds(1)).await;
    }
    assert_eq!(kind(&server, "good-2").await, None);
}
