//! When an issuer's key set is fetched, and what is in use meanwhile.
//!
//! `schedule` decides, as a pure function. Readers load a snapshot (`state`), and `order` newer
//! keys of the one `task` that fetches.

mod absent;
mod allowance;
mod order;
mod schedule;
mod state;
mod status;
mod task;
#[cfg(test)]
mod tests;

use std::hash::RandomState;
use std::mem;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use tokio::sync::watch;
use tokio::time::Instant;

use self::absent::{Fingerprint, Standing};
use self::allowance::ANOTHER;
pub(crate) use self::allowance::Allowance;
pub(crate) use self::order::{Cause, PendingFetch, Refresh};
use self::schedule::{Event, MAX_TTL, Schedule};
pub(crate) use self::state::{GRACE, Timing};
use self::state::{Lease, Shared, Snapshot, State, jitter};
pub use self::status::{Freshness, IssuerStatus, SavedKeys};
use super::key_set::KeySet;
use super::source::{DynKeySource, Guid};
use crate::clock::{Moment, UnixTime};

/// An issuer's keys.
pub(crate) struct Keys {
    shared: Arc<Shared>,
}

/// Why keys are missing.
pub(crate) struct Outage {
    pub(crate) error: Arc<str>,
    /// No fetch has ended yet.
    pub(crate) never: bool,
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

    /// Returns the snapshot in hand, and starts a task if none can be relied on, which is the only
    /// case that locks.
    pub(crate) fn current(&self, now: Instant) -> Guard<Option<Arc<Snapshot>>> {
        let current = self.shared.current.load();
        if current.is_some() && !self.shared.lease.holds(now) {
            self.shared.start_task(now);
        }
        current
    }

    /// Asks for newer keys than those of this generation.
    pub(crate) fn refresh(&self, cause: Cause, generation: u64) -> Refresh {
        self.shared.order(cause, generation, None)
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

    /// Tells why what is missing may only be missing here: the last fetch failed, or there was none
    /// yet.
    pub(crate) fn outage(&self) -> Option<Outage> {
        let state = self.shared.state();
        let never = !self.is_fixed() && state.schedule.fetched.is_none() && state.last_error.is_none();
        let not_yet = if self.shared.is_held_back(&state) { HELD_BACK } else { NOT_YET };
        let error = if never { Some(not_yet.into()) } else { state.last_error.clone() };
        Some(Outage { error: error?, never })
    }

    /// Tells whether there is no key of this name, although nothing is fetched for its sake now: it
    /// was looked for a moment ago, or the issuer has withdrawn it. Where the last fetch failed,
    /// nobody can tell.
    pub(crate) fn is_absent(&self, kid: Fingerprint) -> bool {
        let now = Instant::now();
        if let Some(source) = self.shared.by_kid() {
            return kid.name.is_none_or(|name| source.is_absent(name, now));
        }
        let state = self.shared.state();
        self.is_fixed() || state.schedule.is_new(now) || state.absent.standing(kid, now) == Standing::Withdrawn
    }

    /// Returns how long it is until newer keys could be fetched for this cause.
    pub(crate) fn next_chance(&self, cause: Cause) -> Duration {
        let now = self.shared.now();
        let state = self.shared.state();
        let wait = state.schedule.next_chance(state.event(cause, now), now);
        if self.shared.is_held_back(&state) { wait.max(ANOTHER) } else { wait }
    }

    /// Returns the number by which a `kid` is known here; see [`Cause::UnknownKid`].
    pub(crate) fn fingerprint(&self, kid: Option<&str>) -> Fingerprint {
        let mut fingerprint = Fingerprint::of(kid, &self.shared.seed);
        fingerprint.name = self.shared.by_kid().and(kid).and_then(Guid::parse);
        fingerprint
    }

    pub(crate) fn is_fixed(&self) -> bool {
        self.shared.source.is_none()
    }

    /// Says that a token was verified by the keys in hand: from now on they are fetched by the
    /// plan, and bridge outages.
    pub(crate) fn prove(&self) {
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

    /// Goes on with the keys of another source of the same issuer, until this one has brought its
    /// own.
    pub(crate) fn inherit(&self, former: &Self) {
        if !former.shared.state().schedule.on_demand {
            self.prove();
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
        if self.is_fixed() || state.generation > 0 || set.keys.is_empty() {
            return;
        }
        if let (Some(source), Some(document)) = (shared.by_kid(), &document) {
            source.adopt(document);
        }
        state.schedule.on(Event::Restored { fresh_until }, now, jitter());
        shared.publish(&mut state, set, document);
    }

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

    /// Returns what an operator may know of them.
    pub(crate) fn status(&self, max_stale: Duration) -> IssuerStatus {
        let now = self.shared.now();
        let state = self.shared.state();
        let current = self.shared.current.load();
        let set = current.as_ref().and_then(|snapshot| snapshot.keys(max_stale, now));
        let passed = |then: Option<Moment>| then.and_then(|then| then.passed(now));
        let until = |then: Instant| then.saturating_duration_since(now.instant);
        let stale_for = passed(state.schedule.fresh_until);
        IssuerStatus {
            issuer: self.shared.issuer.as_ref().into(),
            state: match (set, &*current, stale_for) {
                _ if self.is_fixed() => Freshness::Fixed,
                (_, None, _) => Freshness::NeverLoaded,
                (None, Some(_), _) => Freshness::Expired,
                (Some(_), _, None) => Freshness::Fresh,
                (Some(_), _, Some(_)) => Freshness::Stale,
            },
            age: passed(state.schedule.fetched),
            stale_for,
            failing_for: state.schedule.failing_since.map(|since| now.instant.saturating_duration_since(since)),
            failures: state.schedule.failures,
            last_error: state.last_error.as_deref().map(Into::into),
            next_fetch_in: state.schedule.next_fetch().map(until),
            keys: set.map(KeySet::status).unwrap_or_default(),
            skipped: set.map(|set| set.skipped.to_vec()).unwrap_or_default(),
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let task = {
            let mut state = self.shared.state();
            // whatever is left of the task counts for nothing, and there will be no other
            state.number_next_task();
            self.shared.lease.close();
            state.abort.take()
        };
        if let Some(task) = task {
            task.abort();
        }
    }
}

const NOT_YET: &str = "the issuer has not answered yet";

const HELD_BACK: &str = "too many unproven issuers are asked for their keys, and this one has to wait for its turn";
