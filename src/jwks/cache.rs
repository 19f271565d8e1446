//! Executes what `schedule` decides: requests read a snapshot, and ask the issuer's *keeper* for newer keys.
//!
//! The keeper starts with the first token that needs the keys, so that nothing is spawned in a constructor or outside a
//! runtime, and ends when the cache is dropped.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::absent::{Absent, Fingerprint, Seed};
use super::allowance::{ANOTHER, Allowance, Turn};
use super::demand::{Demand, Fetch, Outage, Want};
use super::keeper::Keeper;
use super::key_set::KeySet;
use super::lease::Lease;
use super::schedule::{Decision, Event, Schedule, is_trusted};
use super::source::{DynKeySource, Validator};
use crate::sync::lock;
use crate::trace::{count, event, gauge};

/// An issuer's keys.
pub(crate) struct Keys {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    /// Whose keys they are, for logs.
    pub(super) issuer: Arc<str>,
    /// What fetches are taken from until a token was verified; `None` for a configured issuer's keys, which metrics may name, and which can
    /// be saved.
    pub(super) allowance: Option<Arc<Allowance>>,
    /// `None` for keys that never change.
    pub(super) source: Option<Box<dyn DynKeySource>>,
    /// Changed under the lock of `state`.
    pub(super) current: ArcSwapOption<Snapshot>,
    /// Held by the keeper; changed under the lock of `state` or `keeper`.
    pub(super) lease: Lease,
    state: Mutex<State>,
    /// Ends the keeper. Apart from `state`, since it is held while a keeper is spawned, and one that is dropped at once,
    /// because the runtime is shutting down, takes `state`.
    keeper: Mutex<Option<AbortHandle>>,
    /// Counts the fetches that have ended, however they ended; changed under the lock of `state`.
    ended: watch::Sender<u64>,
    seed: Seed,
}

/// A key set as readers see it.
#[derive(Clone)]
pub(crate) struct Snapshot {
    pub(super) set: Arc<KeySet>,
    /// What it was read from, if that may be saved.
    pub(super) document: Option<Arc<[u8]>>,
    /// Grows with each fetch that is good, so that one who has seen an older set can be told.
    pub(super) generation: u64,
    /// Until when it is fresh; `None` for ever.
    pub(super) fresh_until: Option<Instant>,
    /// Whether the issuer is configured, or a token of it was verified.
    pub(super) proven: bool,
}

impl Snapshot {
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns the keys, unless they are too old. This is not left to the keeper, whose runtime may be stuck.
    pub(crate) fn keys(&self, max_stale: Duration, now: Instant) -> Option<&KeySet> {
        // what has verified nothing yet bridges no outage
        let max_stale = if self.proven { max_stale } else { Duration::ZERO };
        is_trusted(self.fresh_until, max_stale, now).then_some(&*self.set)
    }
}

pub(super) struct State {
    pub(super) schedule: Schedule,
    /// That of the set in hand; 0 before the first.
    pub(super) generation: u64,
    /// The number of the keeper; what its predecessors still do counts for nothing.
    pub(super) keeper: u64,
    /// Wakes it.
    pub(super) wake: Arc<Notify>,
    /// A fetch has been decided on and awaits the keeper.
    pub(super) ordered: bool,
    /// What fetches have taken from the allowance so far.
    pub(super) turns: usize,
    pub(super) last_error: Option<Arc<str>>,
    /// By which the source can tell whether the set in hand is still the issuer's.
    pub(super) validator: Option<Validator>,
    absent: Absent,
}

impl State {
    fn number_next_keeper(&mut self) -> u64 {
        self.keeper = self.keeper.saturating_add(1);
        self.wake = Arc::default();
        self.keeper
    }

    pub(super) fn next_generation(&mut self) -> u64 {
        self.generation = self.generation.saturating_add(1);
        self.generation
    }
}

impl Keys {
    /// Keeps keys that never change.
    pub(crate) fn fixed(issuer: Arc<str>, set: KeySet) -> Self {
        let snapshot = Snapshot { set: Arc::new(set), document: None, generation: 1, fresh_until: None, proven: true };
        Self::new(issuer, None, None, Some(snapshot))
    }

    /// Keeps the keys of a source, from which nothing is fetched until they are wanted. Those of an issuer that was found at run time
    /// have an allowance.
    pub(crate) fn fetched(issuer: Arc<str>, allowance: Option<Arc<Allowance>>, source: Box<dyn DynKeySource>) -> Self {
        Self::new(issuer, allowance, Some(source), None)
    }

    fn new(
        issuer: Arc<str>,
        allowance: Option<Arc<Allowance>>,
        source: Option<Box<dyn DynKeySource>>,
        snapshot: Option<Snapshot>,
    ) -> Self {
        let state = State {
            schedule: if allowance.is_some() { Schedule::on_demand() } else { Schedule::new() },
            generation: 0,
            keeper: 0,
            wake: Arc::default(),
            ordered: false,
            turns: 0,
            last_error: None,
            validator: None,
            absent: Absent::default(),
        };
        let shared = Shared {
            issuer,
            allowance,
            lease: if source.is_none() { Lease::endless() } else { Lease::free() },
            source,
            current: ArcSwapOption::new(snapshot.map(Arc::new)),
            state: Mutex::new(state),
            keeper: Mutex::new(None),
            ended: watch::Sender::new(0),
            seed: Seed::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Returns the snapshot in hand, and starts a keeper if none can be relied on, which is the only case that locks.
    pub(crate) fn current(&self, now: Instant) -> Guard<Option<Arc<Snapshot>>> {
        let current = self.shared.current.load();
        if current.is_some() {
            self.shared.start_keeper(now);
        }
        current
    }

    /// Asks for newer keys than those of this generation.
    pub(crate) fn demand(&self, want: Want, generation: u64) -> Demand {
        self.shared.order(want, generation, None)
    }

    /// Tells why what is missing may only be missing here, with how long to wait: the last fetch failed, or there was none yet.
    pub(crate) fn outage(&self, max_stale: Duration) -> Option<Outage> {
        let now = Instant::now();
        let in_hand = self.shared.current.load().as_ref().is_some_and(|current| current.keys(max_stale, now).is_some());
        let state = self.shared.state();
        let never = !self.is_fixed() && state.schedule.fetched().is_none() && state.last_error.is_none();
        let wait = state.schedule.next_chance(in_hand, now);
        if never && self.shared.is_held_back(&state) {
            return Some(Outage { error: HELD_BACK.into(), never, wait: wait.max(ANOTHER) });
        }
        let error = if never { Some(NOT_YET.into()) } else { state.last_error.clone() };
        Some(Outage { error: error?, never, wait })
    }

    /// Returns how long it is until a fetch can be forced.
    pub(crate) fn next_chance(&self) -> Duration {
        self.shared.state().schedule.next_chance(true, Instant::now())
    }

    /// Returns the number by which a `kid` is known here; see [`Want::UnknownKid`].
    pub(crate) fn fingerprint(&self, kid: Option<&str>) -> Fingerprint {
        self.shared.seed.fingerprint(kid)
    }

    /// Remembers that keys of this generation, fetched for the sake of this `kid`, do not have it.
    pub(crate) fn note_absent(&self, kid: Fingerprint, generation: u64) {
        let mut state = self.shared.state();
        if state.generation == generation && state.last_error.is_none() {
            state.absent.note(kid, Instant::now());
        }
    }

    pub(crate) fn is_fixed(&self) -> bool {
        self.shared.source.is_none()
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let mut keeper = lock(&self.shared.keeper);
        // whatever is left of the keeper counts for nothing, and there will be no other
        self.shared.state().number_next_keeper();
        self.shared.lease.close();
        if let Some(keeper) = keeper.take() {
            keeper.abort();
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.shared.issuer)
    }
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Wakes everybody who waits for the fetch that has ended. The lock of `state` must be held, so that nobody can order
    /// the next fetch and take the end of this one for its end.
    pub(super) fn count_ended(&self) {
        self.ended.send_modify(|ended| *ended = ended.saturating_add(1));
    }

    /// Decides on a fetch, and makes sure that somebody carries it out. `turn` is what it may cost, if that has been waited for.
    pub(super) fn order(self: &Arc<Self>, want: Want, generation: u64, turn: Option<Turn>) -> Demand {
        if self.source.is_none() || Handle::try_current().is_err() {
            return Demand::Refused;
        }
        let event = match want {
            Want::NoKeys => Event::NoKeys,
            Want::ByHand => Event::ByHand,
            Want::UnknownKid(_) => Event::UnknownKid,
            Want::BadSignature => Event::BadSignature,
        };
        let now = Instant::now();
        if let Some(allowance) = &self.allowance {
            allowance.refill(now);
        }
        let (joined, number) = {
            let mut state = self.state();
            if state.generation != generation {
                return Demand::Newer;
            }
            if let Want::UnknownKid(kid) = want
                && state.absent.contains(kid, now)
            {
                return Demand::Refused;
            }
            let before = state.schedule.clone();
            let decision = state.schedule.on(event, now, jitter());
            if decision == Decision::Fetch
                && let Err(allowance) = self.take_turn(&mut state, turn)
            {
                // as if nobody had asked
                state.schedule = before;
                return Demand::Wait(Fetch::queued(want, generation, allowance, self));
            }
            let joined = match decision {
                Decision::Fetch => {
                    state.ordered = true;
                    self.lease.shorten(now);
                    false
                }
                // one that the keeper has not begun yet is not too early for anybody
                Decision::Join => !state.ordered,
                Decision::Refuse | Decision::Sleep => {
                    count!("tower_bearer_key_fetches_refused_total", "issuer" => self.label().to_owned());
                    return Demand::Refused;
                }
            };
            (joined, self.ended.borrow().saturating_add(1))
        };
        self.start_keeper(now);
        self.state().wake.notify_one();
        Demand::Wait(Fetch::ordered(joined, number, self.ended.subscribe(), self))
    }

    /// Starts a keeper if there is none that can be relied on, and a runtime to start it on.
    pub(super) fn start_keeper(self: &Arc<Self>, now: Instant) {
        if self.lease.holds(now) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        let mut slot = lock(&self.keeper);
        let (keeper, failures) = {
            let mut state = self.state();
            let now = Instant::now();
            if self.lease.holds(now) {
                return;
            }
            let failures = self.cut_short(&mut state);
            self.lease.renew(now);
            let number = state.number_next_keeper();
            (Keeper::new(Arc::clone(self), number, Arc::clone(&state.wake)), failures)
        };
        if let Some(former) = slot.take() {
            former.abort();
        }
        *slot = Some(runtime.spawn(keeper.run()).abort_handle());
        drop(slot);
        if let Some(failures) = failures {
            self.tell_failure(CUT_SHORT, failures);
        }
    }

    /// Takes over keys that were not fetched here, if there are none in hand.
    pub(super) fn restore(&self, set: Arc<KeySet>, document: Option<Arc<[u8]>>, fresh_until: Instant) {
        let mut state = self.state();
        if self.source.is_none() || state.generation > 0 || set.is_empty() {
            return;
        }
        state.schedule.on(Event::Restored { fresh_until }, Instant::now(), jitter());
        let generation = state.next_generation();
        let proven = !state.schedule.is_on_demand();
        let snapshot = Snapshot { set, document, generation, fresh_until: Some(fresh_until), proven };
        self.current.store(Some(Arc::new(snapshot)));
    }

    /// Cleans up after a keeper, in whatever way it has ended: a panic of the source, the end of its runtime, or ours.
    pub(super) fn keeper_ended(&self, number: u64) {
        let mut state = self.state();
        if state.keeper != number {
            return;
        }
        state.ordered = false;
        self.lease.end();
        let failures = self.cut_short(&mut state);
        drop(state);
        if let Some(failures) = failures {
            self.tell_failure(CUT_SHORT, failures);
        }
    }

    /// Ends the fetch that a keeper has begun and will not end itself, and returns how many have failed then. One that is only
    /// ordered is left to the next.
    fn cut_short(&self, state: &mut State) -> Option<u32> {
        let begun = state.schedule.is_fetching() && !state.ordered;
        begun.then(|| self.failed(state, CUT_SHORT))
    }

    /// Records that a fetch has failed, and returns how many have in a row.
    pub(super) fn failed(&self, state: &mut State, report: &str) -> u32 {
        state.last_error = Some(report.into());
        state.schedule.on(Event::Failed, Instant::now(), jitter());
        self.count_ended();
        state.schedule.failures()
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

    /// Returns how the issuer is called in metrics, where a name must not come from a token.
    pub(super) fn label(&self) -> &str {
        if self.is_configured() { &self.issuer } else { "found" }
    }
}

const CUT_SHORT: &str = "the fetch of the issuer's keys was cut short";

const NOT_YET: &str = "the issuer has not answered yet";

const HELD_BACK: &str = "too many unproven issuers are asked for their keys, and this one has to wait for its turn";

/// A random number between 0 and 1, good enough to spread load.
pub(super) fn jitter() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(random >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}
