//! Verified tokens, so that one that comes again costs a look-up.
//!
//! Only what was verified is kept, under the whole token, compared byte for byte; or under its
//! [`Digest`], if it is opaque and its issuer has vouched for it. A hit is no
//! verdict: the times, the issuer, and that it still vouches for the token, are checked anew
//! ([`Entry::recall`]). What does not hold any more goes the long way and is refused there, for its
//! reason.
//!
//! In front of the cache stand slots for the tokens that come most often. Reading one writes
//! nothing that other cores read too.

use std::borrow::Cow;
use std::cell::RefCell;
use std::hash::{BuildHasher, Hash, Hasher, RandomState as KeyedState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use foldhash::quality::RandomState;
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Lifecycle, OptionsBuilder, Weighter};

use super::lookup::IssuerLookup;
use super::trust::TrustedIssuer;
use super::verifier::Warrant;
use crate::access_token::Verified;
use crate::clock::{SharedClock, UnixTime};
use crate::trace::gauge;

/// What the cache may take, in bytes, unless told otherwise: some 4600 tokens of 1.1 KB.
pub(super) const DEFAULT_CAPACITY: u64 = 16 * 1024 * 1024;

/// What an entry costs beside its text and the evidence: the map's own bookkeeping, the entry, and
/// the allocator's.
const OVERHEAD: usize = 320;

/// What an entry typically takes.
const TYPICAL: u64 = 3 * 1024;

/// The cache is divided into shards with a lock each, of at least so many bytes, so that large
/// tokens find room.
const MIN_SHARD: u64 = 1024 * 1024;

/// Expired entries are taken out at most so often, by a new token.
const SWEEP: Duration = Duration::from_secs(60);

/// There is a slot in front for so many bytes of the cache's size; the slot of a token is what its
/// hash says. What stands in one takes a quarter of this at most, and is counted beside the size.
const BYTES_PER_SLOT: u64 = 64 * 1024;
const MAX_SLOTS: u64 = 16 * 1024;

/// A token is put in front when it is found behind it for the second time, and then each time that
/// it has been so often again: of many tokens that take turns, few then push out others.
const PROMOTE_EACH: u32 = 16;

/// Tokens that one server has verified.
pub(super) struct TokenCache<C> {
    /// The longest token that can have been verified, in bytes.
    max_len: usize,
    hasher: RandomState,
    front: Box<[Slot<C>]>,
    /// `None` if it is turned off.
    entries: Option<Entries<C>>,
    /// When expired entries were last taken out, in seconds since the epoch.
    swept: AtomicU64,
    /// When its weight was last reported.
    reported: AtomicU64,
    /// Whether some tokens are kept under their digests.
    has_digests: bool,
    /// The secret key of the digests.
    digests: KeyedState,
}

/// What an opaque token is kept under: the text is a credential, and nothing here needs it. It is a
/// keyed hash of 128 bits (SipHash), of which nobody outside learns anything.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Digest([u8; 17]);

impl Digest {
    fn of(token: &[u8], key: &KeyedState) -> Self {
        let [high, low] = [0_u8, 1].map(|half| key.hash_one((half, token)).to_be_bytes());
        let mut digest = [0; 17];
        // the first byte stays zero, which no token has
        for (byte, hashed) in digest.iter_mut().skip(1).zip(high.into_iter().chain(low)) {
            *byte = hashed;
        }
        Self(digest)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

type Entries<C> = Cache<Key<Arc<[u8]>>, Arc<Entry<C>>, Weight, RandomState, DropLater>;

/// A place in front.
struct Slot<C> {
    /// That of the entry's token, so that a look-up of another need not follow the pointer; it may
    /// lag behind.
    hash: AtomicU64,
    entry: ArcSwapOption<Entry<C>>,
}

/// A token that was verified once.
struct Entry<C> {
    text: Arc<[u8]>,
    token: Verified<C>,
    /// `None` if it was found at run time: that may end, and a token kept here must not keep it.
    issuer: Option<Arc<TrustedIssuer>>,
    warrant: Warrant,
    /// How often it was found behind the front.
    hits: AtomicU32,
}

/// A token with its hash, which is made only once.
struct Key<T> {
    hash: u64,
    text: T,
}

impl<C: Send + Sync + 'static> TokenCache<C> {
    /// Makes a cache of so many bytes, for tokens of up to so many; none at all for 0.
    /// `asks` says whether issuers are asked about tokens.
    pub(super) fn new(capacity: u64, max_len: usize, asks: bool) -> Self {
        let shards = usize::try_from(capacity / MIN_SHARD).unwrap_or(usize::MAX);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut options = OptionsBuilder::new();
        options.weight_capacity(capacity).shards(shards.clamp(1, cores.saturating_mul(4)));
        options.estimated_items_capacity(usize::try_from(capacity / TYPICAL).unwrap_or(usize::MAX));
        let options = options.build().ok().filter(|_| capacity > 0);
        let entries = options.map(|options| Cache::with_options(options, Weight, RandomState::default(), DropLater));
        let slots = if entries.is_some() { (capacity / BYTES_PER_SLOT).clamp(1, MAX_SLOTS) } else { 0 };
        Self {
            max_len,
            hasher: RandomState::default(),
            front: (0..slots).map(|_| Slot { hash: AtomicU64::new(0), entry: ArcSwapOption::empty() }).collect(),
            entries,
            swept: AtomicU64::new(0),
            reported: AtomicU64::new(0),
            has_digests: asks,
            digests: KeyedState::new(),
        }
    }

    /// Returns what an opaque token is kept under.
    pub(super) fn digest(&self, token: &[u8]) -> Digest {
        Digest::of(token, &self.digests)
    }

    /// Returns a token that was verified before, if all that may have changed since still holds.
    pub(super) fn get(&self, text: &[u8], lookup: &IssuerLookup, clock: &SharedClock) -> Option<Verified<C>> {
        // what is too long is refused, and not worth a hash
        let entries = self.entries.as_ref().filter(|_| text.len() <= self.max_len)?;
        let found = self.find(entries, text, lookup, clock);
        if found.is_some() || !self.has_digests {
            return found;
        }
        self.find(entries, self.digest(text).as_bytes(), lookup, clock)
    }

    fn find(
        &self,
        entries: &Entries<C>,
        text: &[u8],
        lookup: &IssuerLookup,
        clock: &SharedClock,
    ) -> Option<Verified<C>> {
        let hash = self.hasher.hash_one(text);
        let slot = self.slot(hash)?;
        if slot.hash.load(Ordering::Relaxed) == hash {
            let front = slot.entry.load();
            let entry = front.as_ref().filter(|entry| *entry.text == *text);
            if let Some(token) = entry.and_then(|entry| entry.recall(lookup, clock)) {
                return Some(token);
            }
        }
        // a shard that is being written to counts as a miss: no request waits for another one
        let entry = entries.try_get(&Key { hash, text }).ok().flatten()?;
        let token = entry.recall(lookup, clock)?;
        let often = entry.hits.fetch_add(1, Ordering::Relaxed) % PROMOTE_EACH == 1;
        if often && entry.weight() <= BYTES_PER_SLOT / 4 {
            slot.entry.store(Some(entry));
            slot.hash.store(hash, Ordering::Relaxed);
        }
        Some(token)
    }

    /// Keeps a token that was verified, under its text or its digest. `issuer` is its issuer, if
    /// that is configured.
    pub(super) fn insert(
        &self,
        text: &[u8],
        token: &Verified<C>,
        issuer: Option<Arc<TrustedIssuer>>,
        warrant: Warrant,
        now: UnixTime,
    ) {
        let Some(entries) = &self.entries else { return };
        let (hash, text): (_, Arc<[u8]>) = (self.hasher.hash_one(text), text.into());
        let (token, hits) = (token.clone(), AtomicU32::new(0));
        let entry = Entry { text: Arc::clone(&text), token, issuer, warrant, hits };
        let mut evicted = Vec::new();
        entries.insert_with_lifecycle(Key { hash, text }, Arc::new(entry), &mut evicted);
        drop(evicted);
        self.sweep(entries, now);
    }

    /// Takes out what has expired, once in a while.
    fn sweep(&self, entries: &Entries<C>, now: UnixTime) {
        let (last, now_secs) = (self.swept.load(Ordering::Relaxed), now.0.as_secs());
        let due = now_secs.abs_diff(last) >= SWEEP.as_secs();
        if due && self.swept.compare_exchange(last, now_secs, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            // dropped when no lock is held any more: what the application's claims do then is their
            // business
            let expired = RefCell::new(Vec::new());
            entries.retain(|_, entry| {
                let holds = entry.token.check_times(now).is_ok();
                if !holds {
                    expired.borrow_mut().push(Arc::clone(entry));
                }
                holds
            });
            for slot in &self.front {
                if slot.entry.load().as_ref().is_some_and(|entry| entry.token.check_times(now).is_err()) {
                    slot.entry.store(None);
                }
            }
        }
    }

    fn slot(&self, hash: u64) -> Option<&Slot<C>> {
        let slots = u64::try_from(self.front.len()).ok()?;
        self.front.get(usize::try_from(hash.checked_rem(slots)?).ok()?)
    }

    /// Reports what all entries take, unless it has done so in this second.
    pub(super) fn report(&self, now: UnixTime) {
        if self.reported.swap(now.0.as_secs(), Ordering::Relaxed) != now.0.as_secs() {
            let bytes = self.entries.as_ref().map_or(0, Cache::weight);
            gauge!("tower_bearer_token_cache_bytes", u32::try_from(bytes).unwrap_or(u32::MAX));
        }
    }
}

impl<C> Entry<C> {
    /// Returns what it takes, in bytes.
    fn weight(&self) -> u64 {
        let bytes = self.text.len().saturating_add(self.token.weight()).saturating_add(OVERHEAD);
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// Returns the token, if it would still be verified: its issuer is trusted, on the same terms,
    /// and still vouches for it, and its times hold.
    fn recall(&self, lookup: &IssuerLookup, clock: &SharedClock) -> Option<Verified<C>> {
        let policy = self.token.policy();
        let trusted = match &self.issuer {
            // for as long as the engine and its cache live
            Some(configured) => Cow::Borrowed(configured),
            None => Cow::Owned(lookup.find(&policy.issuer)?.ok()?),
        };
        let now = clock.moment();
        let holds = Arc::ptr_eq(&trusted.policy, policy)
            && trusted.vouches(&self.warrant, now)
            && self.token.check_times(now.wall).is_ok();
        holds.then(|| self.token.clone())
    }
}

impl PartialEq for Key<Arc<[u8]>> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Key<Arc<[u8]>> {}

impl<T> Hash for Key<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Equivalent<Key<Arc<[u8]>>> for Key<&[u8]> {
    fn equivalent(&self, key: &Key<Arc<[u8]>>) -> bool {
        *self.text == *key.text
    }
}

/// Weighs entries in bytes.
#[derive(Clone)]
struct Weight;

impl<C> Weighter<Key<Arc<[u8]>>, Arc<Entry<C>>> for Weight {
    fn weight(&self, _: &Key<Arc<[u8]>>, entry: &Arc<Entry<C>>) -> u64 {
        entry.weight()
    }
}

/// Hands evicted entries out, to be dropped when no lock is held any more.
#[derive(Clone)]
struct DropLater;

impl<C> Lifecycle<Key<Arc<[u8]>>, Arc<Entry<C>>> for DropLater {
    type RequestState = Vec<Arc<Entry<C>>>;

    fn on_evict(&self, evicted: &mut Self::RequestState, _: Key<Arc<[u8]>>, entry: Arc<Entry<C>>) {
        evicted.push(entry);
    }
}
