//! A key source that does what a test says, and counts.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Semaphore;
use tower_bearer::keys::{FetchError, FetchedKeys, KeySource};
use tower_bearer::testing::Idp;

type Answer = Pin<Box<dyn Future<Output = Result<FetchedKeys, FetchError>> + Send>>;

/// Asks a closure what to answer to the n-th fetch, counted from 1.
#[derive(Clone)]
pub struct Scripted {
    fetches: Arc<AtomicU64>,
    script: Arc<dyn Fn(u64) -> Answer + Send + Sync>,
}

impl Scripted {
    pub fn new<F>(script: impl Fn(u64) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<FetchedKeys, FetchError>> + Send + 'static,
    {
        Self { fetches: Arc::default(), script: Arc::new(move |fetch| Box::pin(script(fetch))) }
    }

    pub fn fetches(&self) -> u64 {
        self.fetches.load(Ordering::SeqCst)
    }
}

impl KeySource for Scripted {
    async fn fetch(&self) -> Result<FetchedKeys, FetchError> {
        let fetch = self.fetches.fetch_add(1, Ordering::SeqCst) + 1;
        (self.script)(fetch).await
    }
}

/// The issuer's keys, each time when the gate has a permit.
pub fn gated(idp: &Idp, gate: &Arc<Semaphore>) -> Scripted {
    let (idp, gate) = (idp.clone(), Arc::clone(gate));
    Scripted::new(move |_| {
        let (idp, gate) = (idp.clone(), Arc::clone(&gate));
        async move {
            gate.acquire().await.map_err(FetchError::new)?.forget();
            Ok(keys_of(&idp))
        }
    })
}

/// The issuer's keys, as it publishes them now.
pub fn keys_of(idp: &Idp) -> FetchedKeys {
    FetchedKeys::new(idp.jwks().to_string())
}
