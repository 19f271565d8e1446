//! An explanation names the step at which a token fails, and agrees with the verdict.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tower_bearer::testing::{Idp, ManualClock};
use tower_bearer::{Algorithm, Clock, ErrorKind, Explanation, Issuer, Outcome, ResourceServer};

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
    let trust = (Issuer::new(idp.issuer()).allow_clients(["shop"]).require_claims(["jti"]), idp.clone());
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
        (good().without("jti").sign(), &[("demanded claims", K::MissingClaim)]),
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
