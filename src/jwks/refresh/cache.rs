//! Executes what `schedule` decides: requests read a snapshot, and ask the issuer's *keeper* for newer keys.
//!
//! The keeper starts with the first token that needs the keys, so that nothing is spawned in a constructor or outside a
//! runtime, and ends when the cache is dropped.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use super::absent::{Fingerprint, Seed, Standing};
use super::allowance::{ANOTHER, Allowance, Turn};
use super::demand::{Demand, Fetch, Outage, Want};
use super::keeper::Keeper;
use super::lease::Lease;
use super::schedule::{Decision, Event, Schedule};
use super::state::{Snapshot, State, jitter};
use super::upkeep::Upkeep;
use crate::clock::Moment;
use crate::jwks::key_set::KeySet;
use crate::jwks::source::{ByKid, DynKeySource, Guid};
use crate::sync::lock;
use crate::trace::{count, event, gauge};

/// An issuer's keys.
pub(crate) struct Keys {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    /// Whose keys they are, for logs.
    pub(super) issuer: Arc<str>,
    /// What fetches are taken from until a token was verified; `None` for a configured issuer's keys, which metrics may name,
    /// and which can be saved.
    pub(super) allowance: Option<Arc<Allowance>>,
    /// `None` for keys that never change.
    pub(super) source: Option<Box<dyn DynKeySource>>,
    /// Changed under the lock of `state`.
    pub(super) current: ArcSwapOption<Snapshot>,
    /// Held by the keeper; changed under the lock of `state` or `keeper`.
    pub(super) lease: Lease,
    state: Mutex<State>,
    /// Counts the fetches that have ended, however they ended; changed under the lock of `state`.
    ended: watch::Sender<u64>,
    seed: Seed,
}

impl Keys {
    /// Keeps keys that never change.
    pub(crate) fn fixed(issuer: Arc<str>, set: KeySet) -> Self {
        let snapshot = Snapshot { set: Arc::new(set), document: None, generation: 1, fresh_until: None, proven: true };
        Self::new(issuer, None, None, Some(snapshot), Upkeep::default())
    }

    /// Keeps the keys of a source, from which nothing is fetched until they are wanted. Those of an issuer that was found at
    /// run time have an allowance.
    pub(crate) fn fetched(
        issuer: Arc<str>,
        allowance: Option<Arc<Allowance>>,
        source: Box<dyn DynKeySource>,
        upkeep: &Upkeep,
    ) -> Self {
        // of keys that come by their names there is a set from the start, though none is in it: it is then
        // its own key that a token lacks
        let empty = Snapshot { set: Arc::default(), document: None, generation: 0, fresh_until: None, proven: true };
        let snapshot = source.by_kid().map(|_| empty);
        Self::new(issuer, allowance, Some(source), snapshot, upkeep.clone())
    }

    fn new(
        issuer: Arc<str>,
        allowance: Option<Arc<Allowance>>,
        source: Option<Box<dyn DynKeySource>>,
        snapshot: Option<Snapshot>,
        upkeep: Upkeep,
    ) -> Self {
        let schedule = if allowance.is_some() { Schedule::on_demand() } else { Schedule::new() };
        let shared = Shared {
            issuer,
            allowance,
            lease: if source.is_none() { Lease::endless() } else { Lease::free() },
            source,
            current: ArcSwapOption::new(snapshot.map(Arc::new)),
            state: Mutex::new(State::new(schedule, upkeep)),
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

    /// Keeps them in another way from now on.
    pub(crate) fn change(&self, upkeep: &Upkeep) {
        // the clock may be the application's, and is dropped without the lock
        let former = std::mem::replace(&mut self.shared.state().upkeep, upkeep.clone());
        drop(former);
    }

    /// Returns how long a fetch may take.
    pub(crate) fn max_fetch(&self) -> Duration {
        self.shared.state().upkeep.max_fetch()
    }

    /// Asks for newer keys than those of this generation.
    pub(crate) fn demand(&self, want: Want, generation: u64) -> Demand {
        self.shared.order(want, generation, None)
    }

    /// Tells why what is missing may only be missing here: the last fetch failed, or there was none yet.
    pub(crate) fn outage(&self) -> Option<Outage> {
        let state = self.shared.state();
        let never = !self.is_fixed() && state.schedule.fetched().is_none() && state.last_error.is_none();
        let not_yet = if self.shared.is_held_back(&state) { HELD_BACK } else { NOT_YET };
        let error = if never { Some(not_yet.into()) } else { state.last_error.clone() };
        Some(Outage { error: error?, never })
    }

    /// Tells whether there is no key of this name, although nothing is fetched for its sake now: it was looked for a
    /// moment ago, or the issuer has withdrawn it. Where the last fetch failed, nobody can tell.
    pub(crate) fn is_absent(&self, kid: Fingerprint) -> bool {
        let now = Instant::now();
        if let Some(source) = self.shared.by_kid() {
            return kid.name.is_none_or(|name| source.is_absent(name, now));
        }
        let state = self.shared.state();
        self.is_fixed() || state.schedule.is_new(now) || state.absent.standing(kid, now) == Standing::Withdrawn
    }

    /// Returns how long it is until such a wish could be met.
    pub(crate) fn next_chance(&self, want: Want) -> Duration {
        let now = self.shared.now();
        let state = self.shared.state();
        let wait = state.schedule.next_chance(state.event(want, now), now);
        if self.shared.is_held_back(&state) { wait.max(ANOTHER) } else { wait }
    }

    /// Returns the number by which a `kid` is known here; see [`Want::UnknownKid`].
    pub(crate) fn fingerprint(&self, kid: Option<&str>) -> Fingerprint {
        let mut fingerprint = self.shared.seed.fingerprint(kid);
        fingerprint.name = self.shared.by_kid().and(kid).and_then(Guid::parse);
        fingerprint
    }

    pub(crate) fn is_fixed(&self) -> bool {
        self.shared.source.is_none()
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let keeper = {
            let mut state = self.shared.state();
            // whatever is left of the keeper counts for nothing, and there will be no other
            state.number_next_keeper();
            self.shared.lease.close();
            state.task.take()
        };
        if let Some(keeper) = keeper {
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

    /// Returns the source, if it brings keys by their names.
    pub(super) fn by_kid(&self) -> Option<&dyn ByKid> {
        self.source.as_ref()?.by_kid()
    }

    /// Reads both clocks. No lock may be held: the wall clock may be the application's.
    pub(super) fn now(&self) -> Moment {
        let clock = self.state().upkeep.clock.clone();
        clock.moment()
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
        let by_kid = self.by_kid();
        if by_kid.is_some() && matches!(want, Want::BadSignature) {
            // no key is replaced under such a name
            return Demand::Refused;
        }
        let now = self.now();
        if let Some(allowance) = &self.allowance {
            allowance.refill(now.instant);
        }
        let mut state = self.state();
        if state.generation != generation {
            return Demand::Newer;
        }
        let before = state.schedule.clone();
        let joined = match state.decide(want, now) {
            Decision::Fetch => {
                if let Err(allowance) = self.take_turn(&mut state, turn) {
                    // as if nobody had asked
                    state.schedule = before;
                    return Demand::Wait(Fetch::queued(want, generation, allowance, self));
                }
                state.note_order(want, now);
                self.lease.shorten(now.instant);
                if let (Some(source), Want::UnknownKid(Fingerprint { name: Some(name), .. })) = (by_kid, want) {
                    source.want(name);
                }
                false
            }
            // one that the keeper has not begun yet is not too early for anybody, but may be for the sake of another name
            Decision::Join => !state.ordered || by_kid.is_some(),
            Decision::Refuse | Decision::Sleep => {
                // no lock may be held where others listen: they may ask for the status
                drop(state);
                count!("tower_bearer_key_fetches_refused_total", "issuer" => self.label().to_owned());
                return Demand::Refused;
            }
        };
        let number = self.ended.borrow().saturating_add(1);
        drop(state);
        self.start_keeper(now.instant);
        self.state().wake.notify_one();
        Demand::Wait(Fetch::ordered(joined, number, self.ended.subscribe(), self))
    }

    /// Starts a keeper if there is none that can be relied on, and a runtime to start it on.
    pub(super) fn start_keeper(self: &Arc<Self>, now: Instant) {
        if self.lease.holds(now) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        let now = self.now();
        let (keeper, number, failures) = {
            let mut state = self.state();
            if self.lease.holds(now.instant) {
                return;
            }
            let failures = self.cut_short(&mut state, now);
            self.lease.renew(now.instant);
            let number = state.number_next_keeper();
            (Keeper::new(Arc::clone(self), number, Arc::clone(&state.wake)), number, failures)
        };
        // without a lock: on a runtime that is shutting down it is dropped at once, and says so
        let task = runtime.spawn(keeper.run()).abort_handle();
        let former = {
            let mut state = self.state();
            // another may have taken over already
            if state.keeper == number { state.task.replace(task) } else { Some(task) }
        };
        if let Some(former) = former {
            former.abort();
        }
        if let Some(failures) = failures {
            self.tell_failure(CUT_SHORT, failures);
        }
    }

    /// Takes over keys that were not fetched here, if there are none in hand.
    pub(super) fn restore(&self, set: Arc<KeySet>, document: Option<Arc<[u8]>>, fresh_until: Moment) {
        let now = self.now();
        let mut state = self.state();
        if self.source.is_none() || state.generation > 0 || set.is_empty() {
            return;
        }
        if let (Some(source), Some(document)) = (self.by_kid(), &document) {
            source.adopt(document);
        }
        state.schedule.on(Event::Restored { fresh_until }, now, jitter());
        state.absent.publish(self.names(&set));
        let generation = state.next_generation();
        let proven = !state.schedule.is_on_demand();
        let snapshot = Snapshot { set, document, generation, fresh_until: Some(fresh_until), proven };
        self.current.store(Some(Arc::new(snapshot)));
    }

    /// Cleans up after a keeper, in whatever way it has ended: a panic of the source, the end of its runtime, or ours.
    pub(super) fn keeper_ended(&self, number: u64) {
        // a clock that panics once more while a panic is on its way would end the process
        let now = Moment::by_instant();
        let mut state = self.state();
        if state.keeper != number {
            return;
        }
        state.ordered = false;
        self.lease.end();
        let failures = self.cut_short(&mut state, now);
        drop(state);
        if let Some(failures) = failures {
            self.tell_failure(CUT_SHORT, failures);
        }
    }

    /// Ends the fetch that a keeper has begun and will not end itself, and returns how many have failed then. One that is only
    /// ordered is left to the next.
    fn cut_short(&self, state: &mut State, now: Moment) -> Option<u32> {
        let begun = state.schedule.is_fetching() && !state.ordered;
        begun.then(|| self.failed(state, CUT_SHORT, now))
    }

    /// Records that a fetch has failed, and returns how many have in a row.
    pub(super) fn failed(&self, state: &mut State, report: &str, now: Moment) -> u32 {
        state.last_error = Some(report.into());
        state.schedule.on(Event::Failed, now, jitter());
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

    /// Returns the names of a set, whose absence from the next will mean something.
    pub(super) fn names(&self, set: &KeySet) -> Vec<Fingerprint> {
        if self.by_kid().is_some() {
            return Vec::new();
        }
        set.keys().filter_map(|key| key.kid.as_deref()).map(|kid| self.seed.fingerprint(Some(kid))).collect()
    }

    /// Returns how the issuer is called in metrics, where a name must not come from a token.
    pub(super) fn label(&self) -> &str {
        if self.is_configured() { &self.issuer } else { "found" }
    }
}

const CUT_SHORT: &str = "the fetch of the issuer's keys was cut short";

const NOT_YET: &str = "the issuer has not answered yet";

const HELD_BACK: &str = "too many unproven issuers are asked for their keys, and this one has to wait for its turn";
