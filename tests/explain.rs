//! An explanation names the step at which a token fails, and agrees with the verdict.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower_bearer::claims::Claim;
use tower_bearer::config::Clock;
use tower_bearer::explain::{Explanation, Outcome};
use tower_bearer::keys::Algorithm;
use tower_bearer::testing::{Idp, ManualClock};
use tower_bearer::{BearerAuthLayer, ErrorKind, Issuer, ResourceServer};

#[derive(Deserialize)]
struct Tenant {
    #[serde(rename = "tenant_id")]
    _id: String,
}

fn failed(explanation: &Explanation) -> Vec<(&str, ErrorKind)> {
    let failed = explanation.steps.iter().filter_map(|step| match &step.outcome {
        Outcome::Failed(error) => Some((step.name, error.kind())),
        Outcome::Passed | Outcome::Skipped | _ => None,
    });
    failed.collect()
}

#[tokio::test]
async fn each_refusal_is_explained_by_its_step() {
    use ErrorKind as K;
    let idp = Idp::new("https://id.test/");
    let trust = (
        Issuer::new(idp.issuer()).only_clients(["shop"]).only_actors(["gateway"]).require(Claim::at(["jti"])),
        idp.clone(),
    );
    let server = ResourceServer::new("https://api.test").trust(trust).claims::<Tenant>().build().unwrap();
    let good = || idp.token("alice").claim("client_id", "shop").claim("jti", "1").claim("tenant_id", "t");
    let table: Vec<(String, &[(&str, K)])> = vec![
        (good().sign(), &[]),
        ("a b".into(), &[("form", K::MalformedRequest)]),
        ("opaque".into(), &[("form", K::OpaqueToken)]),
        ("a.b.c.d.e".into(), &[("form", K::EncryptedToken)]),
        (good().unsigned().sign(), &[("form", K::UnsupportedAlgorithm)]),
        (good().issuer("https://id.test").sign(), &[("issuer", K::UnknownIssuer)]),
        (good().without("iss").sign(), &[("issuer", K::MissingClaim)]),
        (good().secret(Algorithm::Hs256, &[7; 32]).sign(), &[("algorithm", K::UnsupportedAlgorithm)]),
        (good().header("typ", "logout+jwt").sign(), &[("type", K::WrongType)]),
        (good().expired().sign(), &[("times", K::Expired)]),
        (good().audience("https://other.test").sign(), &[("audience", K::WrongAudience)]),
        (good().claim("sub", 1).sign(), &[("string claims", K::MalformedClaim)]),
        (good().claim("client_id", "other").sign(), &[("client", K::WrongClaim)]),
        (good().claim("act", json!({ "sub": "mallory" })).sign(), &[("actor", K::WrongClaim)]),
        (good().claim("act", "gateway").sign(), &[("actor", K::MalformedClaim)]),
        (good().without("jti").sign(), &[("demanded claim", K::MissingClaim)]),
        (good().claim("cnf", json!({ "jkt": "x" })).sign(), &[("sender constraint", K::SenderConstrained)]),
        (good().wrong_key().sign(), &[("key and signature", K::BadSignature)]),
        (good().unknown_kid().sign(), &[("key and signature", K::UnknownKey)]),
        (good().without("tenant_id").sign(), &[("claims type", K::MalformedClaim)]),
        // what comes later is explained, too
        (good().expired().audience("x").sign(), &[("times", K::Expired), ("audience", K::WrongAudience)]),
    ];
    for (token, expected) in &table {
        let explanation = server.explain(token).await;
        assert_eq!(failed(&explanation), *expected, "{explanation}");
        let verdict = server.authenticate(token).await.map(drop).map_err(|error| error.kind());
        assert_eq!(verdict.err(), expected.first().map(|(_, kind)| *kind), "{explanation}");
        assert_eq!(explanation.accepted, expected.is_empty());
        // whatever is said, the signature is not
        let signature = token.rsplit('.').next().filter(|part| part.len() > 20);
        assert!(signature.is_none_or(|signature| !explanation.to_string().contains(signature)));
    }
}

#[tokio::test]
async fn it_reads_well_and_is_data() {
    let idp = Idp::new("https://id.test/");
    let server = ResourceServer::new("https://api.test").trust(&idp).build().unwrap();
    let token = idp.token("alice").audience(json!(["https://other.test", "x"])).sign();
    let explanation = server.explain(&token).await;
    let text = explanation.to_string();
    let line = text.lines().find(|line| line.starts_with("audience")).unwrap();
    let expected = "audience           FAILED   aud [\"https://other.test\", \"x\"]; the token is meant for another audience: expected one of \
                    [\"https://api.test\"]";
    assert!(line.starts_with(expected), "{text}");
    assert!(text.ends_with("\nrefused"), "{text}");
    let data = serde_json::to_value(&explanation).unwrap();
    assert_eq!(data["accepted"], false);
    let audience = data["steps"].as_array().unwrap().iter().find(|step| step["name"] == "audience").unwrap();
    assert_eq!(audience["outcome"], "failed");
    assert!(audience["reason"].as_str().unwrap().contains("https://api.test"), "{audience}");
    // for logs, only the verdict
    assert!(!format!("{explanation:?}").contains("other.test"));
}

#[tokio::test]
async fn claims_that_do_not_fit_are_explained_by_their_field_and_not_by_their_value() {
    let idp = Idp::new("https://id.test/");
    let server = ResourceServer::new("https://api.test").trust(&idp).claims::<Tenant>().build().unwrap();
    for (token, expected) in [
        (idp.token("alice"), "missing field `tenant_id`"),
        (
            idp.token("alice").claim("tenant_id", json!({ "SECRET": 1 })),
            "`tenant_id`: an object, where a string is expected",
        ),
    ] {
        let explanation = server.explain(&token.sign()).await;
        let line = explanation.to_string();
        let line = line.lines().find(|line| line.starts_with("claims type")).unwrap();
        assert!(line.contains(&format!("explain::Tenant: {expected} (issuer https://id.test/)")), "{line}");
        assert!(!line.contains("SECRET"), "{line}");
    }
}

#[tokio::test]
async fn each_demand_is_explained_with_what_the_token_has() {
    let idp = Idp::new("https://id.test/");
    let issuer = Issuer::new(idp.issuer())
        .require(Claim::at(["email_verified"]).equals(true))
        .require(Claim::at(["org", "id"]).equals(7))
        .require(Claim::absent(["nonce"]))
        .require(Claim::at(["amr"]).contains("mfa"));
    let server = ResourceServer::new("https://api.test").trust((issuer, idp.clone())).build().unwrap();
    let good = || {
        let token = idp.token("alice").claim("email_verified", true).claim("org", json!({ "id": 7 }));
        token.claim("amr", json!(["pwd", "mfa"]))
    };
    assert!(server.explain(&good().sign()).await.accepted);
    let bad = good().claim("email_verified", "true").claim("nonce", "n").claim("amr", json!(["pwd"])).sign();
    let explanation = server.explain(&bad).await;
    let (kind, step) = (ErrorKind::WrongClaim, "demanded claim");
    assert_eq!(failed(&explanation), [(step, kind), (step, ErrorKind::WrongType), (step, kind)], "{explanation}");
    let found: Vec<_> = explanation.steps.iter().filter(|shown| shown.name == step).map(|shown| &shown.found).collect();
    assert_eq!(found, ["email_verified \"true\"", "/org/id 7", "nonce \"n\"", "amr [\"pwd\"]"]);
}

#[tokio::test]
async fn a_long_token_needs_a_setting_which_the_refusal_names() {
    let idp = Idp::new("https://id.test/");
    let server = |max: Option<usize>| {
        let builder = ResourceServer::new("https://api.test").trust(&idp);
        if let Some(max) = max { builder.max_token_bytes(max) } else { builder }.build()
    };
    // a user with hundreds of groups, and one with a thousand
    for (groups, kib) in [(360, 17), (950, 46)] {
        let groups: Vec<_> = (0..groups).map(|index| format!("{index:08}-1111-1111-1111-111111111111")).collect();
        let token = idp.token("alice").claim("roles", groups.clone()).sign();
        assert!(token.len() > kib * 1024, "{}", token.len());
        let error = server(None).unwrap().authenticate(&token).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MalformedRequest);
        assert!(error.to_string().contains("more than max_token_bytes, 16384"), "{error}");
        let explanation = server(None).unwrap().explain(&token).await;
        assert_eq!(failed(&explanation), [("form", ErrorKind::MalformedRequest)]);
        let known = server(Some(64 * 1024)).unwrap().authenticate(&token).await.unwrap();
        assert_eq!(known.roles().count(), groups.len());
        assert!(server(Some(token.len())).unwrap().authenticate(&token).await.is_ok());
        assert!(server(Some(token.len() - 1)).unwrap().authenticate(&token).await.is_err());
    }
    for bad in [0, 64 * 1024 + 1, usize::MAX] {
        let error = server(Some(bad)).unwrap_err();
        assert_eq!(error.problems()[0].path(), "max_token_bytes");
    }
}

#[tokio::test]
async fn a_long_token_comes_over_http() {
    let idp = Idp::new("https://id.test/");
    let groups: Vec<_> = (0..950).map(|index| format!("{index:08}-1111-1111-1111-111111111111")).collect();
    let token = idp.token("alice").claim("roles", groups).sign();
    for (max, expected) in [(16 * 1024, "HTTP/1.1 400 "), (64 * 1024, "HTTP/1.1 200 ")] {
        let server = ResourceServer::new("https://api.test").trust(&idp).max_token_bytes(max).build().unwrap();
        let app = Router::new().route("/", get(async || "")).layer(BearerAuthLayer::new(server));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let serving = tokio::spawn(axum::serve(listener, app).into_future());
        let request =
            format!("GET / HTTP/1.1\r\nhost: api.test\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        client.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with(expected), "{response}");
        serving.abort();
    }
}

#[tokio::test]
async fn identifiers_that_are_numbers_read_as_text() {
    let idp = Idp::new("https://id.test/");
    let issuer = Issuer::new(idp.issuer()).accept_numeric_ids().only_clients(["10133"]);
    let server =
        ResourceServer::new("https://api.test").trust((issuer, idp.clone())).claims::<Tenant>().build().unwrap();
    let token = || idp.token("alice").claim("tenant_id", "t");
    let numbers = token().without("client_id").claim("sub", 7).claim("jti", -1).claim("azp", 10133).sign();
    for _ in 0..2 {
        let token = server.authenticate(&numbers).await.unwrap();
        let text = (token.subject(), token.jwt_id(), token.client_id());
        assert_eq!(text, (Some("7"), Some("-1"), Some("10133")));
    }
    assert!(server.explain(&numbers).await.accepted);
    let null = token().claim("sub", json!(null)).claim("client_id", json!(null)).claim("azp", "10133");
    let token = server.authenticate(&null.sign()).await.unwrap();
    assert_eq!((token.subject(), token.client_id()), (None, Some("10133")));
}

#[tokio::test]
async fn an_outage_is_explained_as_one() {
    let idp = Idp::new("https://id.test/");
    idp.outage();
    let server = ResourceServer::new("https://api.test").trust(&idp).build().unwrap();
    let explanation = server.explain(&idp.token("alice").sign()).await;
    assert_eq!(failed(&explanation), [("key and signature", ErrorKind::KeysUnavailable)]);
}

#[tokio::test]
async fn what_is_long_is_cut() {
    let idp = Idp::new("https://id.test/");
    let server = ResourceServer::new("https://api.test").trust(&idp).build().unwrap();
    let token = idp
        .token("alice")
        .header("kid", "k".repeat(2000))
        .audience(json!(["x".repeat(2000), "https://api.test"]))
        .sign();
    let explanation = server.explain(&token).await;
    for name in ["form", "audience"] {
        let found = &explanation.steps.iter().find(|step| step.name == name).unwrap().found;
        assert!(found.chars().count() == 201 && found.ends_with('…'), "{name}: {found}");
    }
}

/// A clock that leaps with each look at it, as soon as it is told to.
#[tokio::test]
async fn a_limit_that_is_passed_in_between_does_not_contradict_the_verdict() {
    let idp = Idp::new("https://id.test/");
    let token = idp.token("alice").expires_in(Duration::from_secs(60)).sign();
    let (begin, leap, step) = (ManualClock::new().now(), AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
    let leaps = Arc::clone(&step);
    let clock = move || begin + Duration::from_secs(leap.fetch_add(leaps.load(Ordering::SeqCst), Ordering::SeqCst));
    let server = ResourceServer::new("https://api.test").trust(&idp).clock(clock).build().unwrap();
    server.ready().await.unwrap();
    step.store(3600, Ordering::SeqCst);
    let explanation = server.explain(&token).await;
    assert!(explanation.accepted && failed(&explanation).is_empty(), "{explanation}");
    assert!(explanation.steps.iter().all(|step| matches!(step.outcome, Outcome::Passed)), "{explanation}");
}
