//! Key sets that outlive the process.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::cache::Keys;
use super::key_set::KeySet;
use super::schedule::MAX_TTL;
use crate::clock::UnixTime;

/// An issuer's keys as they were fetched, to be saved and given to the next process; see
/// [`ResourceServer::save_keys`](crate::ResourceServer::save_keys).
///
/// They are public keys, and can be serialised in any format of serde, whether it describes itself
/// (JSON) or not (postcard).
///
/// # Security
///
/// Whoever can change what is saved can mint tokens: keep it as safe as the service's configuration.
#[derive(Clone, Deserialize, Serialize)]
pub struct SavedKeys {
    pub(crate) issuer: String,
    /// When they cease to be fresh, in seconds since the epoch.
    pub(crate) fresh_until: u64,
    /// The text of the JWK Set: formats that do not describe themselves could not read it as a
    /// value.
    pub(crate) jwks: String,
}

impl SavedKeys {
    /// Returns the issuer whose keys they are.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
}

impl Keys {
    /// Returns the keys in hand for another process, unless they never change or are too old.
    pub(crate) fn save(&self, max_stale: Duration, now: UnixTime) -> Option<SavedKeys> {
        let fresh_until = self.shared.state().schedule.fresh_until()?;
        let instant = Instant::now();
        let current = self.shared.current.load_full().filter(|snapshot| snapshot.keys(max_stale, instant).is_some())?;
        let jwks = std::str::from_utf8(current.document.as_ref()?).ok()?.to_owned();
        let (ahead, ago) =
            (fresh_until.saturating_duration_since(instant), instant.saturating_duration_since(fresh_until));
        let fresh_until = now.0.saturating_add(ahead).saturating_sub(ago).as_secs();
        Some(SavedKeys { issuer: self.shared.issuer.as_ref().into(), fresh_until, jwks })
    }

    /// Takes over keys that another process has saved, if there are none in hand. If they are too old, they will not be used.
    pub(crate) fn restore(&self, saved: &SavedKeys, now: UnixTime) {
        let instant = Instant::now();
        // whatever was saved, a set is not fresh for longer than it could have been
        let ahead = Duration::from_secs(saved.fresh_until).saturating_sub(now.0).min(MAX_TTL);
        let ago = now.0.saturating_sub(Duration::from_secs(saved.fresh_until));
        let fresh_until = instant.checked_add(ahead).and_then(|instant| instant.checked_sub(ago));
        let document: Arc<[u8]> = saved.jwks.as_bytes().into();
        if let (Some(fresh_until), Ok(set)) = (fresh_until, KeySet::parse(&document, None)) {
            self.shared.restore(Arc::new(set), Some(document), fresh_until);
        }
    }
}

impl fmt::Debug for SavedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SavedKeys({})", self.issuer)
    }
}
