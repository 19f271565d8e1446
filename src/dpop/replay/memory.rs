//! Remembers proofs in this process.
//!
//! Each key has its own proofs, in a window of its own: a busy one can push out nobody else's. When
//! there is no room any more, the key with the most proofs gives up those that expire first, and
//! remembers until when: what does not expire later than these may be one of them.

mod shard;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use self::shard::{KEY, Shard, Taken};
use super::{FirstUse, ProofUse, ReplayStore};
use crate::clock::UnixTime;
use crate::sync::lock;

/// Into so many parts the keys are divided, each with a lock.
const SHARDS: usize = 64;

/// How many proofs there is room for, by default.
const ROOM: usize = 1_000_000;

/// What has expired is taken out of each part so often, in milliseconds.
const SWEEP_EVERY: u64 = 10_000;

/// All parts are looked through at most so often, in milliseconds, when there is no room.
const SWEEP_ALL_EVERY: u64 = 1000;

/// So often a proof looks for room, when others take what it has made.
const ATTEMPTS: usize = 8;

/// Remembers proofs in this process: for one replica, or with
/// [`Nonces::local`](crate::dpop::Nonces::local).
///
/// Without these, a proof is good once at *each* replica, and once more after a restart, until it has
/// expired.
///
/// # Limits
///
/// There is room for 1,000,000 proofs by default; [`with_room`](Self::with_room) sets another
/// number. A proof takes 80 bytes at most, and a key (`jkt`) as much as 8 proofs beside: so the
/// default takes at most 80 MB, and 8 MB for a single client with 1,000 requests a second and proofs
/// of 90 s. Room is taken and given back as proofs come and expire.
///
/// When there is no room any more, the key with the most proofs, within a factor of two, forgets
/// those that expire first. So whoever floods the store with the proofs of a few keys pushes out none
/// but their own: with *n* keys in use, one with no more than the *n*-th part of the room loses none.
///
/// What was forgotten is not accepted a second time: the key remembers when its forgotten proofs
/// would have expired, and about whatever does not expire later the store
/// [cannot tell](FirstUse::CannotTell). New proofs expire later, and are accepted. The store also
/// cannot tell when there are so many keys that each has one proof left.
pub struct InMemoryReplayStore {
    parts: Box<[Part]>,
    room: usize,
    used: AtomicUsize,
    /// When a part was last swept, which is the next one, and when all were.
    swept: AtomicU64,
    next: AtomicUsize,
    all_swept: AtomicU64,
}

#[derive(Default)]
struct Part {
    /// The class of the heaviest key, which may have changed meanwhile.
    heaviest: AtomicUsize,
    shard: Mutex<Shard>,
}

impl Default for InMemoryReplayStore {
    fn default() -> Self {
        Self::new()
    }
}

impl InMemoryReplayStore {
    /// Makes a store with room for 1,000,000 proofs.
    pub fn new() -> Self {
        Self::with_room(ROOM)
    }

    /// Makes a store with room for so many proofs, for at least those of 100 keys.
    ///
    /// The room that a service needs is its greatest number of requests a second, multiplied by how
    /// long a proof is good, in seconds.
    pub fn with_room(proofs: usize) -> Self {
        let parts = (0..SHARDS).map(|_| Part::default()).collect();
        let room = proofs.max(100_usize.saturating_mul(KEY.saturating_add(1)));
        Self {
            parts,
            room,
            used: AtomicUsize::new(0),
            swept: AtomicU64::new(0),
            next: AtomicUsize::new(0),
            all_swept: AtomicU64::new(0),
        }
    }

    /// Returns how many proofs are remembered, some of which may have expired.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| lock(&part.shard).len()).fold(0, usize::saturating_add)
    }

    /// Tells whether no proof is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Does something to a part, and keeps account of it.
    fn with<T>(&self, part: &Part, act: impl FnOnce(&mut Shard) -> T) -> T {
        let mut shard = lock(&part.shard);
        let before = shard.weight();
        let done = act(&mut shard);
        let after = shard.weight();
        part.heaviest.store(shard.heaviest(), Ordering::Relaxed);
        // while the part is locked, so that what it has is never counted twice
        self.used.fetch_add(after.saturating_sub(before), Ordering::Relaxed);
        self.used.fetch_sub(before.saturating_sub(after), Ordering::Relaxed);
        done
    }

    fn free(&self) -> usize {
        self.room.saturating_sub(self.used.load(Ordering::Relaxed))
    }

    /// Takes out what has expired of one part after the other.
    fn sweep_next(&self, now: u64) {
        let every = SWEEP_EVERY.checked_div(u64::try_from(SHARDS).unwrap_or(1)).unwrap_or(SWEEP_EVERY);
        if is_due(&self.swept, every, now) {
            let next = self.next.fetch_add(1, Ordering::Relaxed).checked_rem(SHARDS).unwrap_or_default();
            if let Some(part) = self.parts.get(next) {
                self.with(part, |shard| shard.sweep(now));
            }
        }
    }

    /// Makes room at the cost of what has expired, or else of whoever has the most. Tells whether
    /// there was any to make.
    fn make_room(&self, wanted: usize, now: u64) -> bool {
        if is_due(&self.all_swept, SWEEP_ALL_EVERY, now) {
            for part in &self.parts {
                self.with(part, |shard| shard.sweep(now));
            }
            if self.free() >= wanted {
                return true;
            }
        }
        let heaviest = self.parts.iter().max_by_key(|part| part.heaviest.load(Ordering::Relaxed));
        heaviest.is_some_and(|part| self.with(part, |shard| shard.forget(wanted)))
    }
}

impl ReplayStore for InMemoryReplayStore {
    fn first_use(&self, proof: &ProofUse) -> FirstUse {
        let now = millis(proof.now);
        let until = now.saturating_add(u64::try_from(proof.remaining().as_millis()).unwrap_or(u64::MAX));
        let key = u128::from_be_bytes(first(&proof.key));
        let jti = u64::from_be_bytes(first(&proof.jti));
        self.sweep_next(now);

        let [.., last] = proof.key;
        let place = usize::from(last).checked_rem(SHARDS).unwrap_or_default();
        let Some(part) = self.parts.get(place) else { return FirstUse::cannot_tell("there is no part of the key") };
        for _ in 0..ATTEMPTS {
            match self.with(part, |shard| shard.take(key, jti, until, now, self.free())) {
                Taken::First => return FirstUse::Yes,
                Taken::Again => return FirstUse::No,
                Taken::Forgotten => {
                    return FirstUse::cannot_tell(
                        "there was no room for all proofs of the key; a newer one is accepted",
                    );
                }
                Taken::Lacks(room) => {
                    if !self.make_room(room, now) {
                        return FirstUse::cannot_tell("there is no room for the proofs of so many keys");
                    }
                }
            }
        }
        FirstUse::cannot_tell("there was no room for the proof")
    }
}

impl fmt::Debug for InMemoryReplayStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemoryReplayStore")
            .field("room", &self.room)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// Tells whether this much time has passed, to one thread only. A clock may be set back, too.
fn is_due(last: &AtomicU64, every: u64, now: u64) -> bool {
    let then = last.load(Ordering::Relaxed);
    now.abs_diff(then) >= every && last.compare_exchange(then, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

fn millis(time: UnixTime) -> u64 {
    u64::try_from(time.0.as_millis()).unwrap_or(u64::MAX)
}

/// The first bytes of a hash.
fn first<const N: usize>(hash: &[u8; 32]) -> [u8; N] {
    hash.first_chunk().copied().unwrap_or([0; N])
}
