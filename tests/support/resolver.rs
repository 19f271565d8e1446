//! A resolver that does what a test says, and counts.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::sleep;
use tower_bearer::testing::Idp;
use tower_bearer::{FetchError, IssuerResolver, Trust};

/// Trusts the issuers in its table, and counts how often it is asked.
#[derive(Clone, Default)]
pub struct Table {
    pub known: Arc<Mutex<HashMap<String, Idp>>>,
    asked: Arc<AtomicU64>,
    pub down: Arc<AtomicBool>,
    /// How long it takes.
    pub slow: Arc<Mutex<Duration>>,
}

impl Table {
    pub fn with(idps: &[&Idp]) -> Self {
        let table = Self::default();
        for idp in idps {
            table.known.lock().unwrap().insert(idp.issuer().to_owned(), (*idp).clone());
        }
        table
    }

    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}

impl IssuerResolver for Table {
    async fn resolve(&self, issuer: &str) -> Result<Option<Trust>, FetchError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let slow = *self.slow.lock().unwrap();
        if slow > Duration::ZERO {
            sleep(slow).await;
        }
        if self.down.load(Ordering::SeqCst) {
            return Err(FetchError::new("the table is locked"));
        }
        Ok(self.known.lock().unwrap().get(issuer).map(Trust::from))
    }
}
