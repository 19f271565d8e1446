//! Whoever listens to logs and metrics may ask the server for its state there and then: no event is
//! told and nothing is counted while a lock is held. One test, since a subscriber of one thread and
//! another thread without one disturb each other.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::Duration;

use futures_util::FutureExt;
use metrics::{Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use support::kind;
use tokio::time::sleep;
use tower_bearer::keys::FetchError;
use tower_bearer::testing::Idp;
use tower_bearer::trust::{IssuerResolver, Trust};
use tower_bearer::{ErrorKind, Issuer, ResourceServer};
use tracing_subscriber::layer::{Context, SubscriberExt};

/// Asks for all that the server can tell, with a token that it knows.
#[derive(Clone, Default)]
struct Listener {
    server: Arc<OnceLock<(ResourceServer, String)>>,
    heard: Arc<Mutex<BTreeSet<String>>>,
}

thread_local! {
    /// What a listener does can be heard itself.
    static LISTENING: Cell<bool> = const { Cell::new(false) };
}

impl Listener {
    fn hear(&self, what: &str) {
        self.heard.lock().unwrap().insert(what.to_owned());
        if LISTENING.replace(true) {
            return;
        }
        if let Some((server, token)) = self.server.get() {
            assert!(!server.status().is_empty());
            let _ = server.save_keys();
            let _ = server.authenticate(token).now_or_never();
            let _ = server.ready().now_or_never();
            let _ = server.refresh("https://id.test/").now_or_never();
        }
        LISTENING.set(false);
    }
}

struct Heard(Listener, String);

impl CounterFn for Heard {
    fn increment(&self, _: u64) {
        self.0.hear(&self.1);
    }

    fn absolute(&self, _: u64) {}
}

impl GaugeFn for Heard {
    fn increment(&self, _: f64) {}

    fn decrement(&self, _: f64) {}

    fn set(&self, _: f64) {
        self.0.hear(&self.1);
    }
}

impl Recorder for Listener {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::new(Heard(self.clone(), key.name().to_owned())))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::new(Heard(self.clone(), key.name().to_owned())))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Listener {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "tower_bearer" {
            self.hear(event.metadata().level().as_str());
        }
    }
}

/// Knows one issuer, refuses another, and fails for the rest.
struct Table(Idp);

impl IssuerResolver for Table {
    async fn resolve(&self, issuer: &str) -> Result<Option<Trust>, FetchError> {
        match issuer {
            "https://found.test/" => Ok(Some((Issuer::new(issuer), self.0.clone()).into())),
            "https://refused.test/" => Ok(None),
            _ => Err(FetchError::new("the table is locked")),
        }
    }
}

/// Makes everything happen that is told.
fn play(listener: &Listener) {
    let (idp, found) = (Idp::new("https://id.test/"), Idp::new("https://found.test/"));
    let build =
        || ResourceServer::new("https://api.test").trust(&idp).trust_with(Table(found.clone())).build().unwrap();
    let server = build();
    let token = idp.token("alice").sign();
    listener.server.set((server.clone(), token.clone())).ok().unwrap();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let first = runtime();
    first.block_on(async {
        for _ in 0..2 {
            assert_eq!(kind(&server, &token).await, None);
        }
        assert_eq!(kind(&server, &found.token("bob").sign()).await, None);
        for other in ["https://refused.test/", "https://failing.test/"] {
            assert!(kind(&server, &idp.token("m").issuer(other).sign()).await.is_some());
        }
        // until the permits are used
        for name in 0..4 {
            let forged = idp.token("m").header("kid", format!("forged-{name}")).sign();
            assert_eq!(kind(&server, &forged).await, Some(ErrorKind::UnknownKey));
        }
        idp.outage();
        sleep(Duration::from_secs(10 * 60)).await;
        assert!(server.status().iter().any(|status| status.failures > 0));
        idp.recover();
    });
    // its task ends with it; and what is spawned on a runtime that has ended is dropped at once
    let ended = first.handle().clone();
    drop(first);
    let _guard = ended.enter();
    let _ = server.authenticate(&idp.token("m").unknown_kid().sign()).now_or_never();
    let _ = build().authenticate(&token).now_or_never();
}

#[test]
fn whoever_listens_may_ask_for_the_state_of_the_server() {
    let (done, end) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let listener = Listener::default();
        let subscriber = tracing_subscriber::registry().with(listener.clone());
        let heard = tracing::subscriber::with_default(subscriber, || {
            metrics::with_local_recorder(&listener, || play(&listener));
            listener.heard.lock().unwrap().clone()
        });
        done.send(heard).unwrap();
    });
    let heard = end.recv_timeout(Duration::from_secs(60));
    let heard = heard.unwrap_or_else(|_| panic!("{}", if thread.is_finished() { "it failed" } else { "it hangs" }));
    let expected = [
        "INFO",
        "WARN",
        "tower_bearer_issuer_decisions_total",
        "tower_bearer_key_fetch_failures",
        "tower_bearer_key_fetches_refused_total",
        "tower_bearer_key_fetches_total",
        "tower_bearer_token_cache_bytes",
        "tower_bearer_token_cache_total",
    ];
    assert_eq!(heard, BTreeSet::from(expected.map(ToOwned::to_owned)));
}
