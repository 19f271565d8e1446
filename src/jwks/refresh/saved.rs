//! Keys that come from elsewhere than a fetch: from the process before, or from another source of
//! the same issuer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Keys;
use super::schedule::{Event, MAX_TTL};
use crate::clock::{Moment, UnixTime};
use crate::jwks::key_set::KeySet;
use crate::sync::jitter;

/// An issuer's keys as they were fetched, to be saved and given to the next process; see
/// [`ResourceServer::save_keys`](crate::ResourceServer::save_keys).
///
/// They are public keys, and can be serialised in any format of serde, whether it describes itself
/// (JSON) or not (postcard).
///
/// # Security
///
/// Whoever can change what is saved can mint tokens: keep it as safe as the service's
/// configuration.
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

impl fmt::Debug for SavedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SavedKeys({})", self.issuer)
    }
}

impl Keys {
    /// Returns the keys in hand for another process, unless they never change or are too old, or
    /// the clock cannot say until when they are fresh.
    pub(crate) fn save(&self, max_stale: Duration, now: Moment) -> Option<SavedKeys> {
        if now.wall.is_before_1970() {
            return None;
        }
        let fresh_until = self.shared.state().schedule.fresh_until?;
        let current = self.shared.current.load_full().filter(|snapshot| snapshot.keys(max_stale, now).is_some())?;
        let jwks = std::str::from_utf8(current.document.as_ref()?).ok()?.to_owned();
        let ahead = fresh_until.instant.saturating_duration_since(now.instant);
        let ago = now.instant.saturating_duration_since(fresh_until.instant);
        // a wall clock that was set back promises too much
        let by_instant = now.wall.0.saturating_add(ahead).saturating_sub(ago);
        let fresh_until = by_instant.min(fresh_until.wall.0).as_secs();
        Some(SavedKeys { issuer: self.shared.issuer.as_ref().into(), fresh_until, jwks })
    }

    /// Takes over keys that another process has saved, if there are none in hand. If they are too
    /// old, they will not be used.
    pub(crate) fn restore(&self, saved: &SavedKeys, now: Moment) {
        // whatever was saved, a set is not fresh for longer than it could have been
        let ahead = Duration::from_secs(saved.fresh_until).saturating_sub(now.wall.0).min(MAX_TTL);
        let ago = now.wall.0.saturating_sub(Duration::from_secs(saved.fresh_until));
        let wall = UnixTime(now.wall.0.saturating_add(ahead).saturating_sub(ago));
        let instant = now.instant.checked_add(ahead).and_then(|instant| instant.checked_sub(ago));
        let document: Arc<[u8]> = saved.jwks.as_bytes().into();
        if let (Some(instant), Ok(set)) = (instant, KeySet::parse(&document, None)) {
            self.adopt(Arc::new(set), Some(document), Moment { instant, wall });
        }
    }

    /// Goes on with the keys of another source of the same issuer, until this one has brought its
    /// own.
    pub(crate) fn inherit(&self, former: &Self) {
        if !former.shared.state().schedule.on_demand {
            self.note_verified();
        }
        let Some(snapshot) = former.shared.current.load_full() else { return };
        if let Some(fresh_until) = snapshot.fresh_until {
            self.adopt(Arc::clone(&snapshot.set), snapshot.document.clone(), fresh_until);
        }
    }

    /// Takes over keys that were not fetched here, if there are none in hand.
    fn adopt(&self, set: Arc<KeySet>, document: Option<Arc<[u8]>>, fresh_until: Moment) {
        let shared = &self.shared;
        let now = shared.now();
        let mut state = shared.state();
        if self.is_fixed() || shared.generation() > 0 || set.keys.is_empty() {
            return;
        }
        if let (Some(source), Some(document)) = (shared.by_kid(), &document) {
            source.adopt(document);
        }
        state.schedule.on(Event::Restored { fresh_until }, now, jitter());
        shared.publish(&mut state, set, document);
    }
}
