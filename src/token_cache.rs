//! Verified tokens, so that one that comes again costs a look-up.
//!
//! Only what was verified is kept, under the whole token, compared byte for byte. A hit is no verdict: the times, and that
//! the verifying key still stands in its issuer's current set, are checked anew ([`Entry::check`]), and whoever asks looks up
//! the issuer anew too. What does not hold any more goes the long way and is refused there, for its reason.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use foldhash::quality::RandomState;
use moka::Expiry;
use moka::sync::Cache;

use crate::access_token::AccessToken;
use crate::clock::UnixTime;
use crate::crypto::VerifyingKey;
use crate::jwks::KeySet;

/// What the cache may take, in bytes, unless told otherwise: some 4000 tokens of 1.2 KB.
pub(crate) const DEFAULT_CAPACITY: u64 = 16 * 1024 * 1024;

/// Longer tokens are not kept.
const MAX_TOKEN_LEN: usize = 8 * 1024;

/// What an entry costs beside its texts: the map's own bookkeeping, the entry, the evidence.
const OVERHEAD: usize = 512;

/// Tokens that one server has verified.
pub(crate) struct TokenCache<C> {
    /// `None` if it is turned off.
    entries: Option<Entries<C>>,
}

type Entries<C> = Cache<Box<[u8]>, Arc<Entry<C>>, RandomState>;

/// A token that was verified once.
pub(crate) struct Entry<C> {
    token: AccessToken<C>,
    key: Arc<VerifyingKey>,
    /// The newest generation of the issuer's keys in which the key has been seen.
    generation: AtomicU64,
    /// For how long it is worth keeping.
    lifetime: Duration,
}

impl<C: Send + Sync + 'static> TokenCache<C> {
    /// Makes a cache of so many bytes; none at all for 0.
    pub(crate) fn new(capacity: u64) -> Self {
        #[expect(clippy::borrowed_box, reason = "what moka passes")]
        let weight = |token: &Box<[u8]>, entry: &Arc<Entry<C>>| {
            let bytes = token.len().saturating_add(entry.token.weight()).saturating_add(OVERHEAD);
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let entries = || {
            let cache = Cache::builder().max_capacity(capacity).weigher(weight).expire_after(UntilExpired);
            cache.build_with_hasher(RandomState::default())
        };
        Self { entries: (capacity > 0).then(entries) }
    }

    pub(crate) fn get(&self, token: &[u8]) -> Option<Arc<Entry<C>>> {
        self.entries.as_ref()?.get(token)
    }

    /// Keeps a token that this key, of this generation of its issuer's keys, has verified.
    pub(crate) fn insert(
        &self,
        text: &[u8],
        token: &AccessToken<C>,
        key: &Arc<VerifyingKey>,
        generation: u64,
        now: UnixTime,
    ) {
        let Some(entries) = &self.entries else { return };
        if text.len() > MAX_TOKEN_LEN {
            return;
        }
        let (token, key) = (token.clone(), Arc::clone(key));
        let lifetime = token.lifetime(now);
        entries.insert(text.into(), Arc::new(Entry { token, key, generation: AtomicU64::new(generation), lifetime }));
    }

    /// Returns how many bytes it takes, by its own reckoning.
    pub(crate) fn weight(&self) -> u32 {
        let weight = self.entries.as_ref().map_or(0, Cache::weighted_size);
        u32::try_from(weight).unwrap_or(u32::MAX)
    }
}

impl<C> Entry<C> {
    pub(crate) fn token(&self) -> &AccessToken<C> {
        &self.token
    }

    /// Tells whether it would be verified now too, if it would be when it was: its times hold, and its very key is among
    /// these, of this generation.
    pub(crate) fn check(&self, keys: &KeySet, generation: u64, now: UnixTime) -> bool {
        if self.token.check_times(now).is_err() {
            return false;
        }
        if self.generation.load(Ordering::Relaxed) == generation {
            return true;
        }
        let stands = keys.contains(&self.key);
        if stands {
            self.generation.store(generation, Ordering::Relaxed);
        }
        stands
    }
}

/// Lets an entry go when its token has expired.
struct UntilExpired;

impl<C> Expiry<Box<[u8]>, Arc<Entry<C>>> for UntilExpired {
    fn expire_after_create(&self, _: &Box<[u8]>, entry: &Arc<Entry<C>>, _: Instant) -> Option<Duration> {
        Some(entry.lifetime)
    }
}

impl<C> fmt::Debug for TokenCache<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.entries.is_some() { "TokenCache(on)" } else { "TokenCache(off)" })
    }
}
