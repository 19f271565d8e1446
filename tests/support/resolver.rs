//! Resolvers that do what a test says, and count.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::sleep;
use tower_bearer::Issuer;
use tower_bearer::keys::{FetchError, KeySource};
use tower_bearer::testing::Idp;
use tower_bearer::trust::{IssuerResolver, Trust};

use super::source::Scripted;

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

/// Where [`Realms`] are.
pub const REALMS: &str = "https://id.test/realms/";

/// Trusts by name whatever stands below one address, as a template may, and counts the fetches of
/// all. Only the issuers in its table answer.
#[derive(Clone, Default)]
pub struct Realms {
    pub table: Table,
    fetches: Arc<AtomicU64>,
    asked: Arc<AtomicU64>,
    /// How long a fetch takes.
    pub slow: Arc<Mutex<Duration>>,
}

impl Realms {
    pub fn with(idps: &[&Idp]) -> Self {
        Self { table: Table::with(idps), ..Self::default() }
    }

    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    /// How often any of them was asked for keys.
    pub fn fetches(&self) -> u64 {
        self.fetches.load(Ordering::SeqCst)
    }
}

impl IssuerResolver for Realms {
    async fn resolve(&self, issuer: &str) -> Result<Option<Trust>, FetchError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let idp = self.table.known.lock().unwrap().get(issuer).cloned();
        let (fetches, slow) = (Arc::clone(&self.fetches), Arc::clone(&self.slow));
        let source = Scripted::new(move |_| {
            fetches.fetch_add(1, Ordering::SeqCst);
            let (idp, slow) = (idp.clone(), *slow.lock().unwrap());
            async move {
                sleep(slow).await;
                let idp = idp.ok_or_else(|| FetchError::new("no such realm"))?;
                idp.fetch().await
            }
        });
        Ok(issuer.starts_with(REALMS).then(|| (Issuer::new(issuer), source).into()))
    }
}
