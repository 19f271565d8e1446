//! Metrics are behaviour: what is counted, under which labels, and nothing of a token among them.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;

use axum::Router;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use support::{get, get_with, send};
use tower_bearer::checks::{Answer, Denied, RequestContext, TokenCheck};
use tower_bearer::keys::FetchError;
use tower_bearer::logout::LogoutReceiver;
use tower_bearer::revocation::RevocationList;
use tower_bearer::testing::Idp;
use tower_bearer::trust::{IssuerResolver, Trust};
use tower_bearer::{AccessToken, BearerAuthLayer, ResourceServer};

/// Everything that has been recorded since the last look, as `name{label=value}` and its value.
fn recorded(snapshotter: &Snapshotter) -> BTreeMap<String, u64> {
    let entries = snapshotter.snapshot().into_vec().into_iter().map(|(key, _, _, value)| {
        let labels: Vec<_> = key.key().labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let value = match value {
            DebugValue::Counter(count) => count,
            DebugValue::Gauge(gauge) => gauge.into_inner() as u64,
            DebugValue::Histogram(_) => panic!("nothing is measured by histograms"),
        };
        (format!("{}{{{}}}", key.key().name(), labels.join(",")), value)
    });
    entries.collect()
}

struct Nobody;

impl IssuerResolver for Nobody {
    async fn resolve(&self, _: &str) -> Result<Option<Trust>, FetchError> {
        Ok(None)
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_fetches_and_decisions_are_counted() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);

    let idp = Idp::new("https://id.test/");
    let server = ResourceServer::new("https://api.test").trust(&idp).trust_with(Nobody).build().unwrap();
    let app = Router::new().fallback(async || "ok").layer(BearerAuthLayer::new(server.clone()));
    send(&app, get("/", &[])).await;
    let token = idp.token("alice").sign();
    for _ in 0..3 {
        send(&app, get_with("/", &token)).await;
    }
    for _ in 0..3 {
        send(
            &app,
            get_with("/", &idp.token("secret").unknown_kid().expires_in(std::time::Duration::from_secs(60)).sign()),
        )
        .await;
    }
    send(&app, get_with("/", &idp.token("secret").issuer("https://secret.test/").sign())).await;
    idp.outage();
    assert!(server.refresh("https://id.test/").await.is_err());
    let expected = [
        ("tower_bearer_issuer_decisions_total{outcome=refused}", 1),
        ("tower_bearer_key_fetch_failures{issuer=https://id.test/}", 1),
        ("tower_bearer_key_fetches_refused_total{issuer=https://id.test/}", 2),
        ("tower_bearer_key_fetches_total{issuer=https://id.test/,outcome=failed}", 1),
        ("tower_bearer_key_fetches_total{issuer=https://id.test/,outcome=ok}", 2),
        ("tower_bearer_refusals_total{kind=MissingToken}", 1),
        ("tower_bearer_refusals_total{kind=UnknownIssuer}", 1),
        ("tower_bearer_refusals_total{kind=UnknownKey}", 3),
        ("tower_bearer_token_cache_total{outcome=hit}", 2),
        ("tower_bearer_token_cache_total{outcome=miss}", 1),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value));
    let mut found = recorded(&snapshotter);
    let bytes = found.remove("tower_bearer_token_cache_bytes{}").unwrap();
    assert!((1000..5000).contains(&bytes), "{bytes}");
    assert_eq!(found, BTreeMap::from(expected));
    // the permits are used up
    send(&app, get_with("/", &idp.token("m").header("kid", "another").sign())).await;
    let refused = recorded(&snapshotter)["tower_bearer_key_fetches_refused_total{issuer=https://id.test/}"];
    assert_eq!(refused, 1);
    idp.recover();
    tokio::time::sleep(std::time::Duration::from_secs(10 * 60)).await;
    assert_eq!(recorded(&snapshotter)["tower_bearer_key_fetch_failures{issuer=https://id.test/}"], 0);
}

/// Says this.
struct Say(&'static str);

impl TokenCheck for Say {
    fn name(&self) -> &'static str {
        self.0
    }

    fn check(&self, token: &AccessToken, _: &RequestContext<'_>) -> Answer {
        match token.subject() {
            Some("banned") => Answer::No(Denied::access_denied("secret")),
            Some("unknown") => Answer::cannot_tell("secret"),
            Some("broken") => panic!("secret"),
            _ => Answer::Yes,
        }
    }
}

#[tokio::test]
async fn what_is_asked_about_tokens_is_counted() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let idp = Idp::new("https://id.test/");
    let list = RevocationList::new(std::time::Duration::from_secs(3600));
    let server =
        ResourceServer::new("https://api.test").trust(&idp).check(Say("accounts")).revocation_list(list.clone());
    let server = server.build().unwrap();
    let receiver = LogoutReceiver::new(server.clone(), list.clone(), "shop");
    list.revoke_subject(
        "https://id.test/",
        "carol",
        std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1 << 40),
    );
    for subject in ["alice", "banned", "unknown", "carol", "banned", "broken"] {
        let _ = server.authenticate(&idp.token(subject).sign()).await;
    }
    list.disconnected("secret");
    let _ = server.authenticate(&idp.token("alice").sign()).await;
    let app = Router::new().route_service("/", receiver);
    for token in [idp.logout_token("shop").claim("sid", "s1"), idp.logout_token("secret")] {
        let form = http::Request::post("/").header("content-type", "application/x-www-form-urlencoded");
        send(&app, form.body(format!("logout_token={}", token.sign()).into()).unwrap()).await;
    }
    let expected = [
        ("tower_bearer_checks_total{check=accounts,outcome=no}", 2),
        ("tower_bearer_checks_total{check=accounts,outcome=unknown}", 2),
        ("tower_bearer_checks_total{check=revocations,outcome=no}", 1),
        ("tower_bearer_checks_total{check=revocations,outcome=unknown}", 1),
        ("tower_bearer_logouts_total{outcome=done}", 1),
        ("tower_bearer_logouts_total{outcome=refused}", 1),
        ("tower_bearer_revocations{}", 2),
    ];
    let found = recorded(&snapshotter);
    assert!(found.keys().all(|key| !key.contains("secret")), "{found:?}");
    for (name, value) in expected {
        assert_eq!(found.get(name), Some(&value), "{name} in {found:?}");
    }
}
