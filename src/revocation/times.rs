//! The times of a list: whatever a clock says that is wrong, and may be put right, nothing is
//! forgotten too early.

#[cfg(feature = "redis")]
use std::sync::Mutex;

use tokio::time::Instant;

use super::entry::millis;
use crate::clock::{SharedClock, UnixTime};
#[cfg(feature = "redis")]
use crate::sync::lock;

/// What it is by the clocks that a list knows.
pub(super) struct Times {
    clock: SharedClock,
    born: Instant,
    /// What it was by the store's clock, and when that was read.
    #[cfg(feature = "redis")]
    store: Mutex<Option<(UnixTime, Instant)>>,
}

/// A moment, in seconds, at which entries are put in, looked for, or forgotten.
#[derive(Clone, Copy, Debug)]
pub(super) struct Present {
    /// Since the epoch, and surely no more: what ends later by a wall clock is not over.
    pub(super) at_least: u64,
    /// Since the list was made, by the monotonic clock, which nobody sets.
    pub(super) elapsed: u64,
}

impl Present {
    /// Tells whether it is over, by each clock: `until` by the wall clock, `held` by the monotonic
    /// one.
    pub(super) fn is_after(self, until: u64, held: u64) -> bool {
        until <= self.at_least && held <= self.elapsed
    }

    /// Says of what is put in now until when it is held by the monotonic clock.
    pub(super) fn hold(self, until: u64) -> u64 {
        self.elapsed.saturating_add(until.saturating_sub(self.at_least))
    }
}

impl Times {
    pub(super) fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            born: Instant::now(),
            #[cfg(feature = "redis")]
            store: Mutex::default(),
        }
    }

    /// Returns the time by the list's own clock.
    pub(super) fn now(&self) -> UnixTime {
        self.clock.now()
    }

    pub(super) fn present(&self) -> Present {
        // by a clock that must be wrong nothing is forgotten
        let own = Some(self.now()).filter(|now| !now.is_before_1970()).unwrap_or_default();
        let at_least = self.by_store().map_or(own, |store| store.min(own));
        Present { at_least: at_least.0.as_secs(), elapsed: self.born.elapsed().as_secs() }
    }

    /// Returns the latest that it may be. A clock that is set before 1970 counts as the end of time.
    pub(super) fn latest(&self) -> UnixTime {
        let own = self.now();
        self.by_store().map_or(own, |store| store.max(own))
    }

    /// Returns the latest that it may be by a clock that may be right, in milliseconds.
    pub(super) fn latest_millis(&self) -> u64 {
        let own = Some(self.now()).filter(|now| !now.is_before_1970()).unwrap_or_default();
        millis(self.by_store().map_or(own, |store| store.max(own)).0)
    }

    #[cfg(feature = "redis")]
    fn by_store(&self) -> Option<UnixTime> {
        let (then, read) = (*lock(&self.store))?;
        Some(UnixTime(then.0.saturating_add(read.elapsed())))
    }

    #[cfg(not(feature = "redis"))]
    #[expect(clippy::unused_self, reason = "the same call with and without the feature")]
    fn by_store(&self) -> Option<UnixTime> {
        None
    }

    /// Notes what it was by the store's clock; returns by how much that differs from the list's.
    #[cfg(feature = "redis")]
    pub(super) fn note(&self, store: UnixTime, read: Instant) -> std::time::Duration {
        *lock(&self.store) = Some((store, read));
        let by_store = UnixTime(store.0.saturating_add(read.elapsed()));
        self.now().0.abs_diff(by_store.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_is_over_when_it_is_by_both_clocks() {
        let at = |at_least, elapsed| Present { at_least, elapsed };
        let held = at(1000, 50).hold(1600);
        assert_eq!(held, 650);
        for (now, over) in [
            (at(1599, 649), false),
            (at(1600, 650), true),
            // the wall clock was put forward, or back, or the machine has slept
            (at(9000, 649), false),
            (at(10, 9000), false),
            (at(9000, 9000), true),
        ] {
            assert_eq!(now.is_after(1600, held), over, "{now:?}");
        }
        assert_eq!(at(2000, 50).hold(1600), 50, "what is over is not held");
    }
}
