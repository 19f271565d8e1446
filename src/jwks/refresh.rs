//! When an issuer's key set is fetched, and what is in use meanwhile.
//!
//! Readers load a [`Snapshot`], and touch no other file here. Whom it does not help will `order`
//! newer keys of the one `task` that fetches, and `schedule` decides about that, as a pure
//! function.

mod absent;
mod allowance;
mod order;
mod saved;
mod schedule;
mod status;
mod task;
#[cfg(test)]
mod tests;

use std::hash::RandomState;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use self::absent::{Absent, Fingerprint};
pub(crate) use self::allowance::Allowance;
pub(crate) use self::order::{Cause, PendingFetch, Refresh};
pub use self::saved::SavedKeys;
use self::schedule::{Event, Schedule};
pub use self::status::{Freshness, IssuerStatus};
use super::key_set::KeySet;
use super::source::{ByKid, DynKeySource, Validator};
use crate::clock::{Moment, SharedClock, SystemClock};
use crate::sync::{jitter, lock};

/// How long one request for metadata or keys may take, unless told otherwise.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// A whole fetch may take so many times that: metadata, keys, and once more in vain.
const EXCHANGES: u32 = 3;

/// How late a task may be: so long after an order, or after the time for which it has planned to
/// wake up.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// By which clock keys grow old, and how long a fetch may take. A reload may change both.
#[derive(Clone)]
pub(crate) struct Timing {
    pub(crate) clock: SharedClock,
    /// For one request with its whole answer.
    pub(crate) fetch_timeout: Duration,
}

impl Timing {
    /// Returns how long one fetch of any source may take, discovery included.
    pub(crate) fn max_fetch(&self) -> Duration {
        self.fetch_timeout.saturating_mul(EXCHANGES)
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self { clock: SharedClock::new(SystemClock), fetch_timeout: FETCH_TIMEOUT }
    }
}

/// An issuer's keys.
pub(crate) struct Keys {
    shared: Arc<Shared>,
}

impl Keys {
    /// Keeps keys that never change.
    pub(crate) fn fixed(issuer: Arc<str>, set: KeySet) -> Self {
        let keys = Self::new(issuer, None, None, Some(set), Timing::default());
        keys.shared.lease.close();
        keys
    }

    /// Keeps the keys of a source, from which nothing is fetched until they are wanted. Those of an
    /// issuer that was found at run time have an allowance.
    pub(crate) fn fetched(
        issuer: Arc<str>,
        allowance: Option<Arc<Allowance>>,
        source: Box<dyn DynKeySource>,
        timing: &Timing,
    ) -> Self {
        // of keys that come by their names there is a set from the start, though none is in it: it
        // is then its own key that a token lacks
        let set = source.by_kid().map(|_| KeySet::default());
        Self::new(issuer, allowance, Some(source), set, timing.clone())
    }

    fn new(
        issuer: Arc<str>,
        allowance: Option<Arc<Allowance>>,
        source: Option<Box<dyn DynKeySource>>,
        set: Option<KeySet>,
        timing: Timing,
    ) -> Self {
        let schedule = if allowance.is_some() { Schedule::on_demand() } else { Schedule::default() };
        let snapshot = set.map(|set| {
            Arc::new(Snapshot { set: Arc::new(set), document: None, generation: 0, fresh_until: None, proven: true })
        });
        let shared = Shared {
            issuer,
            allowance,
            source,
            current: ArcSwapOption::new(snapshot),
            lease: Lease::free(),
            state: Mutex::new(State { timing, schedule, ..State::default() }),
            ended: watch::Sender::new(0),
            seed: RandomState::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Returns the snapshot in hand. If no task can be relied on, one is started, which is the only
    /// case that locks.
    pub(crate) fn current_with_task(&self, now: Instant) -> Guard<Option<Arc<Snapshot>>> {
        let current = self.shared.current.load();
        if current.is_some() && !self.shared.lease.holds(now) {
            self.shared.start_task(now);
        }
        current
    }

    pub(crate) fn is_fixed(&self) -> bool {
        self.shared.source.is_none()
    }

    /// Goes by another clock and other timeouts from now on.
    pub(crate) fn set_timing(&self, timing: &Timing) {
        // the clock may be the application's, and is dropped without the lock
        let former = mem::replace(&mut self.shared.state().timing, timing.clone());
        drop(former);
    }

    /// Returns how long a fetch may take.
    pub(crate) fn max_fetch(&self) -> Duration {
        self.shared.state().timing.max_fetch()
    }

    /// Says that a token was verified by the keys in hand: from now on they are fetched by the
    /// plan, and bridge outages.
    pub(crate) fn note_verified(&self) {
        let shared = &self.shared;
        let Some(allowance) = &shared.allowance else { return };
        let now = shared.now();
        let turns = {
            let mut state = shared.state();
            if !state.schedule.on_demand {
                return;
            }
            state.schedule.on(Event::Proven, now, jitter());
            if let Some(current) = shared.current.load_full() {
                shared.current.store(Some(Arc::new(Snapshot { proven: true, ..Snapshot::clone(&current) })));
            }
            // the task must learn of the plan; after a fetch that goes on, it does so anyway
            if !state.schedule.is_fetching() {
                shared.lease.shorten(now.instant);
                state.wake.notify_one();
            }
            mem::take(&mut state.turns)
        };
        allowance.give_back(turns);
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let task = {
            let mut state = self.shared.state();
            // whatever is left of the task counts for nothing, and there will be no other
            state.wake = Arc::default();
            self.shared.lease.close();
            state.abort.take()
        };
        if let Some(task) = task {
            task.abort();
        }
    }
}

/// A key set as readers see it.
#[derive(Clone)]
pub(crate) struct Snapshot {
    set: Arc<KeySet>,
    /// What it was read from, if that may be saved.
    document: Option<Arc<[u8]>>,
    /// Grows with each fetch that is good, so that one who has seen an older set can be told.
    pub(crate) generation: u64,
    /// Until when it is fresh; `None` for ever.
    fresh_until: Option<Moment>,
    /// Whether the issuer is configured, or a token of it was verified.
    proven: bool,
}

impl Snapshot {
    /// Returns the keys, unless they are too old. This is not left to the task, whose runtime may
    /// be stuck.
    pub(crate) fn keys(&self, max_stale: Duration, now: Moment) -> Option<&KeySet> {
        // what has verified nothing yet bridges no outage
        let max_stale = if self.proven { max_stale } else { Duration::ZERO };
        is_trusted(self.fresh_until, max_stale, now).then_some(&*self.set)
    }
}

/// Tells whether keys that are fresh until then may be used; those that never change always may.
fn is_trusted(fresh_until: Option<Moment>, max_stale: Duration, now: Moment) -> bool {
    fresh_until.and_then(|fresh_until| fresh_until.passed(now)).is_none_or(|stale| stale < max_stale)
}

/// What readers and the task share.
struct Shared {
    /// Whose keys they are, for logs.
    issuer: Arc<str>,
    /// What fetches are taken from until a token was verified; `None` for a configured issuer's
    /// keys, which metrics may name, and which can be saved.
    allowance: Option<Arc<Allowance>>,
    /// `None` for keys that never change.
    source: Option<Box<dyn DynKeySource>>,
    /// Changed under the lock of `state`.
    current: ArcSwapOption<Snapshot>,
    /// Held by the task; changed under the lock of `state` or by the task.
    lease: Lease,
    state: Mutex<State>,
    /// Counts the fetches that have ended, however they ended; changed under the lock of `state`.
    ended: watch::Sender<u64>,
    /// Of fingerprints.
    seed: RandomState,
}

#[derive(Default)]
struct State {
    timing: Timing,
    schedule: Schedule,
    /// Wakes the task. Each has its own, and what its predecessors still do counts for nothing.
    wake: Arc<Notify>,
    /// Ends it.
    abort: Option<AbortHandle>,
    /// A fetch has been decided on and awaits the task.
    ordered: bool,
    /// What fetches have taken from the allowance so far.
    turns: usize,
    last_error: Option<Arc<str>>,
    /// By which the source can tell whether the set in hand is still the issuer's.
    validator: Option<Validator>,
    absent: Absent,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Returns the source, if it brings keys by their names.
    fn by_kid(&self) -> Option<&dyn ByKid> {
        self.source.as_ref()?.by_kid()
    }

    /// Reads both clocks. No lock may be held: the wall clock may be the application's.
    fn now(&self) -> Moment {
        let clock = self.state().timing.clock.clone();
        clock.moment()
    }

    /// Returns the generation of the set in hand; 0 before the first.
    fn generation(&self) -> u64 {
        self.current.load().as_ref().map_or(0, |current| current.generation)
    }

    /// Takes a set into use, of which the schedule knows already.
    fn publish(&self, state: &mut State, set: Arc<KeySet>, document: Option<Arc<[u8]>>) {
        if self.by_kid().is_none() {
            let names = set.keys.iter().filter_map(|key| key.kid.as_deref());
            state.absent.publish(names.map(|kid| Fingerprint::of(Some(kid), &self.seed)).collect());
        }
        let generation = self.generation().saturating_add(1);
        let (fresh_until, proven) = (state.schedule.fresh_until, !state.schedule.on_demand);
        let snapshot = Snapshot { set, document, generation, fresh_until, proven };
        self.current.store(Some(Arc::new(snapshot)));
    }
}

/// By when the task has promised to be heard of again. If that passes, its runtime is not driven
/// any more (or there is no task), and whoever notices may start another.
#[derive(Debug)]
struct Lease {
    epoch: Instant,
    /// In milliseconds since the epoch.
    until: AtomicU64,
}

impl Lease {
    /// Nobody holds it.
    fn free() -> Self {
        Self { epoch: Instant::now(), until: AtomicU64::new(0) }
    }

    fn holds(&self, now: Instant) -> bool {
        self.millis(now) < self.until.load(Ordering::Acquire)
    }

    /// Sets its end to [`GRACE`] after the given time.
    fn renew(&self, then: Instant) {
        self.until.store(self.with_grace(then), Ordering::Release);
    }

    /// The same, if that is sooner.
    fn shorten(&self, then: Instant) {
        self.until.fetch_min(self.with_grace(then), Ordering::AcqRel);
    }

    fn end(&self) {
        self.until.store(0, Ordering::Release);
    }

    /// Makes it endless: there will be no task any more, or none is needed.
    fn close(&self) {
        self.until.store(u64::MAX, Ordering::Release);
    }

    fn with_grace(&self, then: Instant) -> u64 {
        self.millis(then).saturating_add(u64::try_from(GRACE.as_millis()).unwrap_or_default())
    }

    fn millis(&self, then: Instant) -> u64 {
        u64::try_from(then.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX)
    }
}
