//! What is known of an issuer's keys: as readers see it, and as the task that fetches them does.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::absent::{Absent, Fingerprint};
use super::allowance::{Allowance, Turn};
use super::schedule::{Event, Schedule};
use crate::clock::{Moment, SharedClock, SystemClock};
use crate::jwks::key_set::KeySet;
use crate::jwks::source::{ByKid, DynKeySource, Validator};
use crate::sync::lock;
use crate::trace::{count, event, gauge};

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

/// A key set as readers see it.
#[derive(Clone)]
pub(crate) struct Snapshot {
    pub(super) set: Arc<KeySet>,
    /// What it was read from, if that may be saved.
    pub(super) document: Option<Arc<[u8]>>,
    /// Grows with each fetch that is good, so that one who has seen an older set can be told.
    pub(crate) generation: u64,
    /// Until when it is fresh; `None` for ever.
    pub(super) fresh_until: Option<Moment>,
    /// Whether the issuer is configured, or a token of it was verified.
    pub(super) proven: bool,
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
pub(super) fn is_trusted(fresh_until: Option<Moment>, max_stale: Duration, now: Moment) -> bool {
    fresh_until.and_then(|fresh_until| fresh_until.passed(now)).is_none_or(|stale| stale < max_stale)
}

/// What readers and the task share.
pub(super) struct Shared {
    /// Whose keys they are, for logs.
    pub(super) issuer: Arc<str>,
    /// What fetches are taken from until a token was verified; `None` for a configured issuer's
    /// keys, which metrics may name, and which can be saved.
    pub(super) allowance: Option<Arc<Allowance>>,
    /// `None` for keys that never change.
    pub(super) source: Option<Box<dyn DynKeySource>>,
    /// Changed under the lock of `state`.
    pub(super) current: ArcSwapOption<Snapshot>,
    /// Held by the task; changed under the lock of `state` or by the task.
    pub(super) lease: Lease,
    pub(super) state: Mutex<State>,
    /// Counts the fetches that have ended, however they ended; changed under the lock of `state`.
    pub(super) ended: watch::Sender<u64>,
    /// Of fingerprints.
    pub(super) seed: RandomState,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) timing: Timing,
    pub(super) schedule: Schedule,
    /// That of the set in hand; 0 before the first.
    pub(super) generation: u64,
    /// The number of the task; what its predecessors still do counts for nothing.
    pub(super) task: u64,
    /// Ends it.
    pub(super) abort: Option<AbortHandle>,
    /// Wakes it.
    pub(super) wake: Arc<Notify>,
    /// A fetch has been decided on and awaits the task.
    pub(super) ordered: bool,
    /// What fetches have taken from the allowance so far.
    pub(super) turns: usize,
    pub(super) last_error: Option<Arc<str>>,
    /// By which the source can tell whether the set in hand is still the issuer's.
    pub(super) validator: Option<Validator>,
    pub(super) absent: Absent,
}

impl State {
    pub(super) fn number_next_task(&mut self) -> u64 {
        self.task = self.task.saturating_add(1);
        self.wake = Arc::default();
        self.task
    }
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Returns the source, if it brings keys by their names.
    pub(super) fn by_kid(&self) -> Option<&dyn ByKid> {
        self.source.as_ref()?.by_kid()
    }

    /// Reads both clocks. No lock may be held: the wall clock may be the application's.
    pub(super) fn now(&self) -> Moment {
        let clock = self.state().timing.clock.clone();
        clock.moment()
    }

    /// Takes a set into use, of which the schedule knows already.
    pub(super) fn publish(&self, state: &mut State, set: Arc<KeySet>, document: Option<Arc<[u8]>>) {
        if self.by_kid().is_none() {
            let names = set.keys.iter().filter_map(|key| key.kid.as_deref());
            state.absent.publish(names.map(|kid| Fingerprint::of(Some(kid), &self.seed)).collect());
        }
        state.generation = state.generation.saturating_add(1);
        let (fresh_until, proven) = (state.schedule.fresh_until, !state.schedule.on_demand);
        let snapshot = Snapshot { set, document, generation: state.generation, fresh_until, proven };
        self.current.store(Some(Arc::new(snapshot)));
    }

    /// Wakes everybody who waits for the fetch that has ended. The lock of `state` must be held, so
    /// that nobody can order the next fetch and take the end of this one for its end.
    pub(super) fn count_ended(&self) {
        self.ended.send_modify(|ended| *ended = ended.saturating_add(1));
    }

    /// Records that a fetch has failed, and returns how many have in a row.
    pub(super) fn failed(&self, state: &mut State, report: &str, now: Moment) -> u32 {
        state.last_error = Some(report.into());
        state.schedule.on(Event::Failed, now, jitter());
        self.count_ended();
        state.schedule.failures
    }

    /// Tells the operator of a failure. No lock may be held: who listens may ask for the status.
    pub(super) fn tell_failure(&self, report: &str, failures: u32) {
        event!(warn, "could not fetch the issuer's keys", issuer = self.issuer, error = report);
        count!("tower_bearer_key_fetches_total", "issuer" => self.label().to_owned(), "result" => "failed");
        self.show_failures(failures);
    }

    pub(super) fn show_failures(&self, failures: u32) {
        if self.is_configured() {
            gauge!("tower_bearer_key_fetch_failures", failures, "issuer" => self.issuer.to_string());
        }
    }

    pub(super) fn is_configured(&self) -> bool {
        self.allowance.is_none()
    }

    /// Returns how the issuer is called in metrics, where a name must not come from a token.
    pub(super) fn label(&self) -> &str {
        if self.is_configured() { &self.issuer } else { "found" }
    }

    /// Takes what a fetch costs: a turn, unless a token was verified already. Where none is left,
    /// the error is what to wait for.
    pub(super) fn take_turn(&self, state: &mut State, turn: Option<Turn>) -> Result<(), &Arc<Allowance>> {
        let Some(allowance) = self.allowance.as_ref().filter(|_| state.schedule.on_demand) else { return Ok(()) };
        turn.or_else(|| allowance.try_take()).ok_or(allowance)?.forget();
        state.turns = state.turns.saturating_add(1);
        Ok(())
    }

    /// Tells whether a first fetch would have to wait for its turn.
    pub(super) fn is_held_back(&self, state: &State) -> bool {
        let spent = self.allowance.as_ref().is_some_and(|allowance| allowance.is_spent());
        spent && state.schedule.on_demand && !state.schedule.is_fetching()
    }
}

/// By when the task has promised to be heard of again. If that passes, its runtime is not driven
/// any more (or there is no task), and whoever notices may start another.
#[derive(Debug)]
pub(super) struct Lease {
    epoch: Instant,
    /// In milliseconds since the epoch.
    until: AtomicU64,
}

impl Lease {
    /// Nobody holds it.
    pub(super) fn free() -> Self {
        Self { epoch: Instant::now(), until: AtomicU64::new(0) }
    }

    pub(super) fn holds(&self, now: Instant) -> bool {
        self.millis(now) < self.until.load(Ordering::Acquire)
    }

    /// Sets its end to [`GRACE`] after the given time.
    pub(super) fn renew(&self, then: Instant) {
        self.until.store(self.with_grace(then), Ordering::Release);
    }

    /// The same, if that is sooner.
    pub(super) fn shorten(&self, then: Instant) {
        self.until.fetch_min(self.with_grace(then), Ordering::AcqRel);
    }

    pub(super) fn end(&self) {
        self.until.store(0, Ordering::Release);
    }

    /// Makes it endless: there will be no task any more, or none is needed.
    pub(super) fn close(&self) {
        self.until.store(u64::MAX, Ordering::Release);
    }

    fn with_grace(&self, then: Instant) -> u64 {
        self.millis(then).saturating_add(u64::try_from(GRACE.as_millis()).unwrap_or_default())
    }

    fn millis(&self, then: Instant) -> u64 {
        u64::try_from(then.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX)
    }
}

/// A random number between 0 and 1, good enough to spread load.
pub(super) fn jitter() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(random >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_holds_until_a_second_after_the_promised_time() {
        let lease = Lease::free();
        let after = |millis: u64| lease.epoch + Duration::from_millis(millis);
        assert!(!lease.holds(after(0)));
        lease.renew(after(5000));
        assert!(lease.holds(after(5999)) && !lease.holds(after(6000)));
        lease.shorten(after(7000));
        assert!(lease.holds(after(5999)) && !lease.holds(after(6000)));
        lease.shorten(after(100));
        assert!(lease.holds(after(1099)) && !lease.holds(after(1100)));
        lease.end();
        lease.shorten(after(5000));
        assert!(!lease.holds(after(0)));
        lease.close();
        assert!(lease.holds(after(1_000_000)));
    }
}
