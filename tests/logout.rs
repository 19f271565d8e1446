//! Logout tokens of OpenID Connect Back-Channel Logout 1.0: each rule of §2.4 to §2.8, over axum; and what comes of them.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::routing::get as route;
use http::{Request, Response, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use support::{get_with, kind, send};
use tower_bearer::config::Clock;
use tower_bearer::keys::Algorithm;
use tower_bearer::logout::LogoutReceiver;
use tower_bearer::revocation::RevocationList;
use tower_bearer::testing::{Idp, ManualClock, TokenBuilder};
use tower_bearer::{AccessToken, BearerAuthLayer, ErrorKind, Issuer, ResourceServer};

const ISSUER: &str = "https://id.test/";
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const MINUTE: Duration = Duration::from_secs(60);

struct World {
    clock: ManualClock,
    idp: Idp,
    list: RevocationList,
    server: ResourceServer,
    app: Router,
}

fn world_with(configure: impl FnOnce(LogoutReceiver) -> LogoutReceiver) -> World {
    let clock = ManualClock::new();
    let idp = Idp::with_algorithms(ISSUER, &[Algorithm::Es256]).clock(clock.clone());
    let list = RevocationList::builder(60 * MINUTE).clock(clock.clone()).build();
    let server = ResourceServer::new("https://api.test").trust(&idp).clock(clock.clone());
    let server = server.revocation_list(list.clone()).build().unwrap();
    let receiver = configure(LogoutReceiver::new(server.clone(), list.clone(), "shop"));
    let app = Router::new()
        .route("/me", route(async |token: AccessToken| token.subject().unwrap_or_default().to_owned()))
        .layer(BearerAuthLayer::new(server.clone()))
        .route_service("/logout", receiver);
    World { clock, idp, list, server, app }
}

fn world() -> World {
    world_with(|receiver| receiver)
}

fn form(body: impl Into<Body>) -> Request<Body> {
    let request = Request::post("/logout").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    request.body(body.into()).unwrap()
}

impl World {
    fn logout(&self) -> TokenBuilder {
        self.idp.logout_token("shop").claim("sid", "s1").claim("sub", "alice")
    }

    async fn post(&self, token: &str) -> Response<Body> {
        send(&self.app, form(format!("logout_token={token}"))).await
    }

    fn now(&self) -> u64 {
        self.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
    }
}

/// The status and the error of an answer, which is as §2.8 wants it.
async fn told(response: Response<Body>) -> (u16, String) {
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    let status = response.status().as_u16();
    let json = response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value == "application/json");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(json, status != 200);
    if status == 200 {
        assert!(body.is_empty());
        return (status, String::new());
    }
    let error: Value = serde_json::from_slice(&body).unwrap();
    assert!(error["error_description"].as_str().is_some_and(|text| !text.contains("alice")));
    (status, error["error"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn each_rule_of_a_logout_token_is_kept() {
    let event = |value: Value| json!({ EVENT: value });
    type Row = (&'static str, fn(TokenBuilder, u64) -> TokenBuilder, bool);
    let rows: &[Row] = &[
        ("as it should be", |token, _| token, true),
        ("a session alone", |token, _| token.without("sub"), true),
        ("a user alone", |token, _| token.without("sid"), true),
        ("neither", |token, _| token.without("sid").without("sub"), false),
        ("an empty session", |token, _| token.claim("sid", ""), false),
        ("a session that is null", |token, _| token.claim("sid", Value::Null), false),
        ("a session that is a number", |token, _| token.claim("sid", 7), false),
        ("an empty user", |token, _| token.claim("sub", ""), false),
        ("a user that is a number", |token, _| token.claim("sub", 7), false),
        ("its type in full", |token, _| token.header("typ", "application/LOGOUT+JWT"), true),
        ("no type", |token, _| token.without_header("typ"), false),
        ("type JWT", |token, _| token.header("typ", "JWT"), false),
        ("an access token's type", |token, _| token.header("typ", "at+jwt"), false),
        ("another issuer", |token, _| token.issuer("https://other.test/"), false),
        ("no issuer", |token, _| token.without("iss"), false),
        ("another client", |token, _| token.audience("other"), false),
        ("this service", |token, _| token.audience("https://api.test"), false),
        ("several clients", |token, _| token.audience(json!(["other", "shop"])), true),
        ("no audience", |token, _| token.without("aud"), false),
        ("no iat", |token, _| token.without("iat"), false),
        ("iat ahead", |token, now| token.claim("iat", now + 60), false),
        ("iat a string", |token, now| token.claim("iat", now.to_string()), false),
        ("no exp", |token, _| token.without("exp"), false),
        ("expired", |token, now| token.claim("iat", now - 300).claim("exp", now - 60), false),
        ("for two days", |token, now| token.claim("exp", now + 2 * 24 * 3600), false),
        ("no jti", |token, _| token.without("jti"), false),
        ("an empty jti", |token, _| token.claim("jti", ""), false),
        ("jti a number", |token, _| token.claim("jti", 1), false),
        ("a nonce", |token, _| token.claim("nonce", "n"), false),
        ("a nonce that is null", |token, _| token.claim("nonce", Value::Null), false),
        ("no events", |token, _| token.without("events"), false),
        ("no event", |token, _| token.claim("events", json!({})), false),
        ("another event", |token, _| token.claim("events", json!({ "https://other": {} })), false),
        ("another event, too", |token, _| token.claim("events", json!({ EVENT: {}, "https://other": {} })), false),
        ("the event as a string", |token, _| token.claim("events", EVENT), false),
        ("the event in a list", |token, _| token.claim("events", json!([EVENT])), false),
        ("a forged one", |token, _| token.wrong_key(), false),
        ("an unsigned one", |token, _| token.unsigned(), false),
        ("a secret's", |token, _| token.secret(Algorithm::Hs256, &[7; 32]), false),
        ("a critical header", |token, _| token.header("crit", json!(["exp"])), false),
        ("exp a string", |token, now| token.claim("exp", (now + 60).to_string()), false),
        ("exp null", |token, _| token.claim("exp", Value::Null), false),
        ("an audience that is a number", |token, _| token.claim("aud", 7), false),
        ("bound to a key", |token, _| token.claim("cnf", json!({ "jkt": "x" })), false),
        ("an unknown key", |token, _| token.unknown_kid(), false),
    ];
    let odd = [("null", json!(null), false), ("true", json!(true), false), ("members", json!({ "a": 1 }), true)];
    for (name, change, good) in rows {
        let world = world();
        world.server.ready().await.unwrap();
        let token = change(world.logout(), world.now()).sign();
        let expected = if *good { (200, String::new()) } else { (400, "invalid_request".to_owned()) };
        assert_eq!(told(world.post(&token).await).await, expected, "{name}");
        assert_eq!(world.list.is_empty(), !good, "{name}");
        // and none is ever an access token
        assert!(kind(&world.server, &token).await.is_some(), "{name}");
    }
    for (name, value, good) in odd {
        let world = world();
        let token = world.logout().claim("events", event(value)).sign();
        assert_eq!(told(world.post(&token).await).await.0 == 200, good, "{name}");
    }
}

#[tokio::test]
async fn neither_kind_of_token_is_taken_for_the_other() {
    // a service whose audience is its own client, and an issuer that types nothing
    let idp = Idp::new(ISSUER).audience("shop");
    let list = RevocationList::new(60 * MINUTE);
    let issuer = Issuer::new(ISSUER).only_types(["JWT", "logout+jwt", "at+jwt"]);
    let server =
        ResourceServer::new("shop").trust((issuer, idp.clone())).revocation_list(list.clone()).build().unwrap();
    let receiver = LogoutReceiver::new(server.clone(), list, "shop").accept_legacy_typ();
    for typ in ["JWT", "logout+jwt"] {
        let access = idp.token("alice").header("typ", typ).claim("sid", "s1");
        let logout = idp.logout_token("shop").header("typ", typ).claim("sub", "bob");
        assert_eq!(kind(&server, &access.sign()).await, None);
        assert_eq!(kind(&server, &logout.sign()).await, Some(ErrorKind::WrongType));
        assert_eq!(receiver.receive(&access.sign()).await.unwrap_err().kind(), ErrorKind::WrongType);
        assert_eq!(receiver.receive(&logout.sign()).await.unwrap().subject(), Some("bob"));
        // both at once is neither
        let both = access.claim("events", json!({ EVENT: {} })).sign();
        assert_eq!(kind(&server, &both).await, Some(ErrorKind::WrongType));
        let id_token = logout.claim("nonce", "n").claim("jti", "id").sign();
        assert_eq!(receiver.receive(&id_token).await.unwrap_err().kind(), ErrorKind::WrongType);
    }
    let untyped = idp.logout_token("shop").without_header("typ").claim("sid", "s1").sign();
    assert!(receiver.receive(&untyped).await.is_ok());
    let typed = idp.logout_token("shop").header("typ", "JWT").sign();
    let explanation = server.explain(&typed).await.to_string();
    assert!(explanation.contains("it is a logout token"), "{explanation}");
}

#[tokio::test]
async fn a_session_or_all_of_a_user_is_signed_out() {
    let world = world();
    let token = |sub: &str, sid: &str| world.idp.token(sub).claim("sid", sid).claim("jti", format!("{sub}-{sid}"));
    let [one, two, other] = [("alice", "s1"), ("alice", "s2"), ("bob", "s3")].map(|(sub, sid)| token(sub, sid).sign());
    let status = async |token: &str| send(&world.app, get_with("/me", token)).await.status().as_u16();
    let all = async || [status(&one).await, status(&two).await, status(&other).await];
    assert_eq!(all().await, [200; 3]);
    assert_eq!(world.post(&world.logout().sign()).await.status(), 200);
    assert_eq!(all().await, [401, 200, 200], "with a session, it is this session");
    // one that was issued before them says nothing about them
    let early = world.logout().without("sid").claim("iat", world.now() - 100).claim("exp", world.now() + 20).sign();
    assert_eq!(world.post(&early).await.status(), 200);
    assert_eq!(all().await, [401, 200, 200]);
    assert_eq!(world.post(&world.logout().without("sid").sign()).await.status(), 200);
    assert_eq!(all().await, [401, 401, 200]);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(status(&token("alice", "s4").sign()).await, 200, "and may sign in again");
}

#[tokio::test]
async fn none_counts_twice() {
    let world = world();
    let token = world.logout().sign();
    assert_eq!(told(world.post(&token).await).await.0, 200);
    for _ in 0..2 {
        assert_eq!(told(world.post(&token).await).await, (400, "invalid_request".to_owned()));
    }
    // a token that is refused does not use up the jti of a good one
    let token = world.logout();
    assert_eq!(told(world.post(&token.clone().wrong_key().sign()).await).await.0, 400);
    assert_eq!(told(world.post(&token.sign()).await).await.0, 200);
    world.clock.advance(3 * MINUTE);
    assert_eq!(told(world.post(&token.sign()).await).await.0, 400, "it has expired");
}

#[tokio::test]
async fn a_request_is_a_form_with_one_token() {
    let world = world();
    let status = async |request: Request<Body>| told(send(&world.app, request).await).await.0;
    let token = || world.logout().sign();
    assert_eq!(status(form(format!("logout_token={}", token().replace('.', "%2E")))).await, 200);
    assert_eq!(status(form(format!("a=b&logout_token={}", token()))).await, 200);
    let mut charset = form(format!("logout_token={}", token()));
    let content_type = "Application/X-WWW-Form-Urlencoded; charset=utf-8".parse().unwrap();
    charset.headers_mut().insert(header::CONTENT_TYPE, content_type);
    assert_eq!(status(charset).await, 200);
    for body in [String::new(), "logout_token=".into(), format!("logout_token={0}&logout_token={0}", token()), token()]
    {
        assert_eq!(status(form(body)).await, 400);
    }
    for junk in ["null", "a.b.c", "%ff%fe", "ey\u{0}", &"a".repeat(60_000)] {
        assert_eq!(status(form(format!("logout_token={junk}"))).await, 400, "{junk}");
    }
    assert_eq!(status(form("logout_token=".to_owned() + &"a".repeat(1 << 20))).await, 400);
    let endless = Body::from_stream(futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'a'; 1024])));
    assert_eq!(status(form(endless)).await, 400, "and is not read to its end");
    let broken = Body::from_stream(futures_util::stream::iter([Err::<Vec<u8>, _>(std::io::Error::other("gone"))]));
    assert_eq!(status(form(broken)).await, 400);
    for content_type in ["application/json", "text/plain", "multipart/form-data"] {
        let mut other = form(format!("logout_token={}", token()));
        other.headers_mut().insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        assert_eq!(status(other).await, 400, "{content_type}");
    }
    let mut untyped = form(format!("logout_token={}", token()));
    untyped.headers_mut().remove(header::CONTENT_TYPE);
    assert_eq!(status(untyped).await, 400);
    for method in ["GET", "PUT", "DELETE"] {
        let mut other = form(format!("logout_token={}", token()));
        *other.method_mut() = method.parse().unwrap();
        let response = send(&world.app, other).await;
        assert_eq!(response.headers()[header::ALLOW], "POST");
        assert_eq!(told(response).await.0, 405);
    }
}

#[tokio::test(start_paused = true)]
async fn our_fault_is_503_and_a_rotation_is_followed() {
    let world = world();
    world.idp.outage();
    let token = world.logout().sign();
    let response = world.post(&token).await;
    assert!(response.headers().contains_key(header::RETRY_AFTER));
    assert_eq!(told(response).await, (503, "temporarily_unavailable".to_owned()));
    assert!(world.list.is_empty());
    world.idp.recover();
    tokio::time::advance(2 * MINUTE).await;
    assert_eq!(told(world.post(&token).await).await.0, 200, "the issuer may send it again");
    tokio::time::advance(10 * MINUTE).await;
    world.idp.rotate();
    assert_eq!(told(world.post(&world.logout().sign()).await).await.0, 200);
}

#[tokio::test]
async fn the_application_is_told_after_the_tokens_were_revoked() {
    type Told = Vec<(String, Option<String>, Option<String>, usize)>;
    let told: Arc<Mutex<Told>> = Arc::default();
    let list: Arc<Mutex<Option<RevocationList>>> = Arc::default();
    let world = world_with(|receiver| {
        let (told, list) = (Arc::clone(&told), Arc::clone(&list));
        receiver.add_client("admin").accept_legacy_typ().on_logout(move |token| {
            assert!(!format!("{token:?}").contains("alice"));
            let text = |text: Option<&str>| text.map(str::to_owned);
            let revoked = list.lock().unwrap().as_ref().map_or(0, RevocationList::len);
            let row = (token.issuer().to_owned(), text(token.subject()), text(token.session_id()), revoked);
            told.lock().unwrap().push(row);
        })
    });
    *list.lock().unwrap() = Some(world.list.clone());
    assert_eq!(world.post(&world.logout().audience("admin").sign()).await.status(), 200);
    assert_eq!(world.post(&world.logout().without("sid").header("typ", "JWT").sign()).await.status(), 200);
    assert_eq!(world.post(&world.logout().expired().sign()).await.status(), 400);
    let alice = || Some("alice".to_owned());
    let expected = [(ISSUER.to_owned(), alice(), Some("s1".to_owned()), 1), (ISSUER.to_owned(), alice(), None, 2)];
    assert_eq!(*told.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_logout_that_the_application_could_not_hear_of_may_come_again() {
    let calls: Arc<Mutex<u32>> = Arc::default();
    let counted = Arc::clone(&calls);
    let world = world_with(|receiver| {
        receiver.on_logout(move |_| {
            let call = {
                let mut calls = counted.lock().unwrap();
                *calls += 1;
                *calls
            };
            assert!(call > 1, "its database is down");
        })
    });
    let token = world.logout().sign();
    assert_eq!(told(world.post(&token).await).await, (503, "temporarily_unavailable".to_owned()));
    assert_eq!(world.list.len(), 1, "it is revoked all the same");
    assert_eq!(world.post(&token).await.status(), 200);
    assert_eq!(world.post(&token).await.status(), 400);
    assert_eq!(*calls.lock().unwrap(), 2);
}

#[tokio::test]
async fn what_is_said_of_access_tokens_does_not_count_for_logout() {
    let idp = Idp::new(ISSUER);
    let list = RevocationList::new(60 * MINUTE);
    let issuer = Issuer::new(ISSUER).rfc9068().only_clients(["web"]).only_audiences(["https://api.test"]);
    let server = ResourceServer::new("https://api.test").trust((issuer, idp.clone())).build().unwrap();
    let receiver = LogoutReceiver::new(server.clone(), list.clone(), "shop");
    receiver.receive(&idp.logout_token("shop").claim("sid", "s1").sign()).await.unwrap();
    assert_eq!(list.len(), 1);
    // what is reloaded counts at once
    let other = Idp::new("https://other.test/");
    server.reload(ResourceServer::new("https://api.test").trust(&other)).unwrap();
    let token = idp.logout_token("shop").claim("sid", "s2").sign();
    assert_eq!(receiver.receive(&token).await.unwrap_err().kind(), ErrorKind::UnknownIssuer);
    receiver.receive(&other.logout_token("shop").claim("sid", "s2").sign()).await.unwrap();
}
