//! Behind Amazon's application load balancer: padded tokens, and keys that have an address each.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use futures_util::future::join_all;
use http::{HeaderName, StatusCode};
use support::load_balancer::{ARN, Key, PROVIDER, Region, claims};
use support::{kind, send};
use tokio::time::sleep;
use tower::service_fn;
use tower_bearer::config::ResourceServerBuilder;
use tower_bearer::credential::TokenSource;
use tower_bearer::keys::{FetchError, Freshness, HttpClient, SavedKeys};
use tower_bearer::logout::LogoutReceiver;
use tower_bearer::revocation::RevocationList;
use tower_bearer::trust::{IssuerResolver, Trust};
use tower_bearer::{BearerAuthLayer, ErrorKind, Issuer, ResourceServer};

const HOUR: u64 = 3600;

/// Claims that hold for a day.
fn user() -> serde_json::Value {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    claims(now + 24 * HOUR)
}

fn token(key: &Key) -> String {
    key.sign(&user())
}

fn client(region: &Region) -> HttpClient {
    let region = region.clone();
    HttpClient::from_service(service_fn(move |request: http::Request<Body>| {
        let answer = region.answer::<Body>(&request.uri().to_string());
        async { Ok::<_, Infallible>(answer) }
    }))
}

fn asking(client: &HttpClient) -> ResourceServerBuilder {
    ResourceServer::new("https://api.test").trust(Issuer::aws_alb(PROVIDER, [ARN])).http_client(client.clone())
}

fn server(region: &Region) -> ResourceServer {
    asking(&client(region)).build().unwrap()
}

fn address(key: &Key) -> String {
    format!("https://public-keys.auth.elb.eu-west-1.amazonaws.com/{}", key.kid)
}

/// A name that no load balancer has given, with what would be accepted otherwise.
fn forged(key: &Key, number: u32) -> String {
    let mut header = key.header(&user());
    header["kid"] = format!("{number:08x}-0000-4000-8000-000000000000").into();
    key.sign_with(&header, &user())
}

#[tokio::test]
async fn over_real_sockets_a_padded_token_is_verified_by_the_key_at_the_address_of_its_kid() {
    let region = Region::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/keys/", listener.local_addr().unwrap());
    let answer = |State(region): State<Region>, request: Request| async move {
        assert!(request.headers()["accept"].to_str().unwrap().contains("*/*"));
        region.answer::<Body>(request.uri().path())
    };
    let keys = Router::new().fallback(answer).with_state(region.clone());
    tokio::spawn(axum::serve(listener, keys).into_future());

    let issuer = Issuer::aws_alb(PROVIDER, [ARN]).jwks_uri(base);
    let server = ResourceServer::new("https://api.test").trust(issuer).build().unwrap();
    let source = TokenSource::header(HeaderName::from_static("x-amzn-oidc-data"));
    let app =
        Router::new().fallback(async || "hello").layer(BearerAuthLayer::new(server).token_sources([source]).unwrap());
    let (old, new) = (region.key(), region.key());
    let get = async |token: &str| {
        let request = http::Request::get("/").header("x-amzn-oidc-data", token).body(Body::empty()).unwrap();
        send(&app, request).await.status()
    };
    for key in [&old, &old, &new, &old] {
        let token = token(key);
        assert!(token.split('.').any(|part| part.ends_with('=')), "{token}");
        assert_eq!(get(&token).await, StatusCode::OK);
    }
    assert_eq!(region.asked(), [&old, &new].map(|key| format!("/keys/{}", key.kid)), "each is asked for once");
    let altered = token(&old).replacen("==", "", 1).replace('=', "");
    assert_eq!(get(&altered).await, StatusCode::UNAUTHORIZED, "the signature covers the padding");
    assert!(region.asked().is_empty(), "and no key changes under its name");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_for_before_a_token_names_it() {
    let region = Region::default();
    let (key, server) = (region.key(), server(&region));
    assert!(server.ready().await.is_ok());
    assert_eq!((server.status()[0].state, server.status()[0].is_usable()), (Freshness::Fresh, true));
    for implausible in [
        ("signer", ARN.replace("shop", "other")),
        ("kid", "../../admin".to_owned()),
        ("kid", format!("{}/", key.kid)),
        ("alg", "ES384".to_owned()),
        ("iss", "https://other.test".to_owned()),
    ] {
        let mut header = key.header(&user());
        header[implausible.0] = implausible.1.clone().into();
        assert!(kind(&server, &key.sign_with(&header, &user())).await.is_some(), "{implausible:?}");
    }
    let mut expired = user();
    expired["exp"] = 1.into();
    assert_eq!(kind(&server, &key.sign(&expired)).await, Some(ErrorKind::Expired));
    assert!(region.asked().is_empty());
    let token = token(&key);
    let verdicts = join_all((0..1000).map(|_| server.authenticate(&token))).await;
    assert!(verdicts.iter().all(Result::is_ok), "{:?}", verdicts.iter().find(|verdict| verdict.is_err()));
    assert_eq!(region.asked(), [address(&key)]);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_forged_names_forces_two_fetches_in_30_s_and_harms_no_key_in_hand() {
    let region = Region::default();
    let (key, server) = (region.key(), server(&region));
    let token = token(&key);
    assert_eq!(kind(&server, &token).await, None);
    sleep(Duration::from_secs(30)).await;
    region.asked();
    for second in 0..30 {
        let flood: Vec<_> = (0..20).map(|number| forged(&key, second * 20 + number)).collect();
        for verdict in join_all(flood.iter().map(|token| server.authenticate(token))).await {
            let kind = verdict.unwrap_err().kind();
            assert!(matches!(kind, ErrorKind::UnknownKey | ErrorKind::KeysUnavailable), "{kind:?}");
        }
        let mut header = key.header(&user());
        header["x"] = second.into();
        assert_eq!(kind(&server, &key.sign_with(&header, &user())).await, None);
        sleep(Duration::from_millis(990)).await;
    }
    let asked = region.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert_eq!(server.status()[0].keys.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_asked_for_is_unavailable_and_not_absent() {
    let region = Region::default();
    let (key, server) = (region.key(), server(&region));
    assert_eq!(kind(&server, &forged(&key, 1)).await, Some(ErrorKind::UnknownKey), "it was looked for");
    assert_eq!(kind(&server, &forged(&key, 1)).await, Some(ErrorKind::UnknownKey), "a moment ago");
    assert_eq!(kind(&server, &forged(&key, 2)).await, Some(ErrorKind::UnknownKey));
    let error = server.authenticate(&token(&key)).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::KeysUnavailable, Some(Duration::from_secs(30))));
    sleep(Duration::from_secs(6)).await;
    assert_eq!(kind(&server, &forged(&key, 1)).await, Some(ErrorKind::KeysUnavailable), "it may be there by now");
    sleep(Duration::from_secs(24)).await;
    assert_eq!(kind(&server, &token(&key)).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_key_is_gone_within_the_hour_and_the_last_one_is_used_for_as_long_as_an_outage_is_bridged() {
    let region = Region::default();
    let (old, new, server) = (region.key(), region.key(), server(&region));
    for key in [&old, &new] {
        assert_eq!(kind(&server, &token(key)).await, None);
    }
    region.withdraw(&old);
    region.asked();
    sleep(Duration::from_secs(HOUR)).await;
    assert_eq!(region.asked(), [&old, &new].map(address));
    assert_eq!(kind(&server, &token(&old)).await, Some(ErrorKind::UnknownKey));
    assert_eq!(kind(&server, &token(&new)).await, None);
    assert_eq!(server.status()[0].keys.len(), 1);
    region.fail(Some((StatusCode::FORBIDDEN, "no way out")));
    sleep(Duration::from_secs(HOUR)).await;
    assert!(server.status()[0].last_error.as_ref().unwrap().contains("none of the keys in hand is there any more"));
    assert_eq!(kind(&server, &token(&new)).await, None);
    sleep(Duration::from_secs(HOUR)).await;
    assert_eq!(kind(&server, &token(&new)).await, Some(ErrorKind::KeysUnavailable));
    assert!(!server.status()[0].is_usable());
    region.fail(None);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(kind(&server, &token(&new)).await, None);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_no_missing_key_and_what_is_no_key_is_named() {
    for (status, body, expected) in [
        (StatusCode::INTERNAL_SERVER_ERROR, "", " answered 500 Internal Server Error"),
        (StatusCode::FOUND, "", " answered 302 Found"),
        (StatusCode::OK, "<!doctype html>secret", " answered with an HTML page"),
        (StatusCode::OK, "", " answered with an empty document"),
        (StatusCode::OK, "secret", " answered with what is no P-256 key in PEM"),
        (StatusCode::OK, "-----BEGIN PUBLIC KEY-----\nsecret", " answered with what is no P-256 key in PEM"),
    ] {
        let region = Region::default();
        let (key, server) = (region.key(), server(&region));
        region.fail(Some((status, body)));
        let error = server.authenticate(&token(&key)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeysUnavailable);
        let text = error.to_string();
        assert!(text.contains(&format!("{}{expected}", address(&key))) && !text.contains("secret"), "{text}");
        assert!(!server.status()[0].is_usable());
        region.fail(None);
        sleep(Duration::from_secs(30)).await;
        assert_eq!(kind(&server, &token(&key)).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn keys_are_saved_and_outlive_a_reload() {
    let region = Region::default();
    let (key, client) = (region.key(), client(&region));
    let server = asking(&client).build().unwrap();
    assert_eq!(kind(&server, &token(&key)).await, None);
    server.reload(asking(&client)).unwrap();
    assert_eq!(kind(&server, &token(&key)).await, None);
    assert_eq!(region.asked().len(), 1);
    let saved = serde_json::to_string(&server.save_keys()).unwrap();
    let saved: Vec<SavedKeys> = serde_json::from_str(&saved).unwrap();
    region.fail(Some((StatusCode::INTERNAL_SERVER_ERROR, "")));
    let server = asking(&client).saved_keys(saved).build().unwrap();
    assert_eq!(kind(&server, &token(&key)).await, None);
    sleep(Duration::from_secs(60)).await;
    assert!(!region.asked().is_empty(), "whether it is still there is asked at once");
    region.fail(None);
    let new = region.key();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(kind(&server, &token(&new)).await, None);
    assert_eq!(kind(&server, &token(&key)).await, None, "it is not forgotten for another");
}

struct Anything;

impl IssuerResolver for Anything {
    async fn resolve(&self, issuer: &str) -> Result<Option<Trust>, FetchError> {
        Ok(Some(Issuer::aws_alb(issuer, [ARN]).into()))
    }
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_found_at_run_time_cannot_have_such_keys() {
    let region = Region::default();
    let key = region.key();
    let server = ResourceServer::new("https://api.test").trust_with(Anything).http_client(client(&region));
    assert_eq!(kind(&server.build().unwrap(), &token(&key)).await, Some(ErrorKind::UnknownIssuer));
    assert!(region.asked().is_empty());
}

#[tokio::test]
async fn another_ones_load_balancer_signs_nobody_out() {
    let region = Region::default();
    let (key, server, list) = (region.key(), server(&region), RevocationList::new(Duration::from_secs(HOUR)));
    let receiver = LogoutReceiver::new(server, list.clone(), "shop").accept_legacy_typ();
    let other = ARN.replace("shop", "evil");
    for (signer, expected) in [(&*other, Some(ErrorKind::WrongClaim)), (ARN, None)] {
        let mut claims = user();
        claims["aud"] = "shop".into();
        claims["jti"] = "1".into();
        claims["events"] = serde_json::json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        (claims["iat"], claims["exp"]) = (now.into(), (now + HOUR).into());
        let mut header = key.header(&claims);
        header["signer"] = signer.into();
        // what needs no padding looks like any other token
        for json in [&mut header, &mut claims] {
            json["filler"] = "".into();
            json["filler"] = "a".repeat(3 - json.to_string().len() % 3).into();
        }
        let token = key.sign_with(&header, &claims);
        let token = token.trim_end_matches('=');
        assert!(!token.contains('='));
        assert_eq!(receiver.receive(token).await.err().map(|error| error.kind()), expected, "{signer}");
        assert_eq!(list.is_empty(), expected.is_some());
    }
}
