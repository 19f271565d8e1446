//! When an issuer's keys are fetched: a pure state machine, `(state, event, now) → action`.
//!
//! * A fetched set is *fresh* for its lifetime: what the source says, clamped to 1 minute … 24
//!   hours, else 10 minutes.
//! * It is fetched again at 80 % of that, give or take 5 % so that a fleet does not come all at
//!   once.
//! * Its age is the greater one of those by the monotonic and the wall clock. Where only the wall
//!   clock says that it is not fresh any more (the machine was suspended, or the clock was set), it
//!   is fetched again at once, by a permit, and then as planned.
//! * After a failure it is tried again with growing pauses, 1 s … 60 s. The keys stay in use
//!   meanwhile, until `max_stale` after they have ceased to be fresh.
//! * Tokens may *force* a fetch: at most twice in 30 s, counted when the attempt begins, whatever
//!   comes of it. A failure then leaves the plan as it was.
//!   * A `kid` that nobody has asked for may use both permits, so that a rotation just after a
//!     forged `kid` gets through; one that was asked for once may, too, but not before 5 s are
//!     over, since its token may have come before its key.
//!   * A `kid` that was asked for more often, or has been withdrawn, may only use one: a client
//!     that goes on with it leaves the other to a rotation.
//!   * A signature or algorithm that does not fit the key of its `kid` may mean that the key was
//!     replaced under its name. It may use one permit, if both are there and the keys in hand are
//!     at least as old as the interval: forgeries leave the other to unknown `kid`s.
//!
//! At most one fetch is in flight. Keys that were saved by an earlier process keep their freshness,
//! but are fetched again with the first token.
//!
//! Keys of an issuer that was found at run time are fetched *on demand* only, and not by the plan,
//! until a token of it was verified. The pauses and permits are the same.

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

use super::absent::Standing;
use crate::clock::Moment;

const MIN_TTL: Duration = Duration::from_secs(60);
/// The longest lifetime that a source may claim.
pub(super) const MAX_TTL: Duration = Duration::from_secs(24 * 60 * 60);
const DEFAULT_TTL: Duration = Duration::from_secs(10 * 60);
const MIN_RETRY: Duration = Duration::from_secs(1);
const MAX_RETRY: Duration = Duration::from_secs(60);
/// Forced fetches: so many permits in such an interval.
const PERMITS: usize = 2;
const PERMIT_INTERVAL: Duration = Duration::from_secs(30);
/// For so long after a look at the set, what it does not have is absent. So long a key that is
/// published just after can be refused by mistake, and a name that was asked for waits before it is
/// asked for again.
const NEW: Duration = Duration::from_secs(5);

/// What happened.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// A token came with a signature that no key of its `kid` verifies, or an algorithm that none
    /// is for.
    BadSignature,
    /// The operator asks for a fetch.
    ByHand,
    /// A fetch failed, or brought a set without a usable key; those of an earlier one are
    /// untouched.
    Failed,
    /// A set arrived that has a usable key.
    Fetched { max_age: Option<Duration> },
    /// A token came whose issuer has no keys in hand.
    NoKeys,
    /// A token was verified by the keys in hand.
    Proven,
    /// Keys were restored that an earlier process had saved; fresh until then.
    Restored { fresh_until: Moment },
    /// The time that was asked for has come.
    Timer,
    /// A token came with a `kid` that the set does not have.
    UnknownKid(Standing),
}

/// What to do about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Action {
    /// Start a fetch; whoever caused it may wait for it.
    Fetch,
    /// A fetch is in flight: wait for that one.
    Join,
    /// No fetch now.
    Refuse,
    /// Nothing until the next planned fetch.
    Sleep,
}

/// The state of one issuer's keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Schedule {
    /// The plan is not carried out: only tokens cause fetches.
    pub(super) on_demand: bool,
    /// When the fetch began that is in flight.
    in_flight: Option<Instant>,
    /// Failed fetches in a row.
    pub(super) failures: u32,
    /// When the first of them failed.
    pub(super) failing_since: Option<Instant>,
    /// When the keys in hand were fetched.
    pub(super) fetched: Option<Moment>,
    /// When that fetch began: what it has not brought may have been published since.
    looked: Option<Instant>,
    /// When to fetch next.
    next: Option<Instant>,
    /// That is because the last planned fetch has failed.
    retrying: bool,
    /// When the keys cease to be fresh.
    pub(super) fresh_until: Option<Moment>,
    /// When the last forced fetches began.
    forced: [Option<Instant>; PERMITS],
}

impl Schedule {
    /// Begins for an issuer of which no token was verified yet.
    pub(super) fn on_demand() -> Self {
        Self { on_demand: true, ..Self::default() }
    }

    /// Decides. `jitter` is a random number between 0 and 1.
    pub(super) fn on(&mut self, event: Event, now: Moment, jitter: f64) -> Action {
        let Moment { instant, .. } = now;
        match event {
            Event::Failed => {
                self.in_flight = None;
                if self.next.is_some_and(|next| instant < next) {
                    // a forced fetch: the plan stands, or a flood of forged `kid`s would hasten the
                    // retries
                    self.count_failure(instant);
                } else {
                    self.fail(instant, jitter);
                }
                Action::Sleep
            }
            Event::Fetched { max_age } => {
                let ttl = max_age.unwrap_or(DEFAULT_TTL).clamp(MIN_TTL, MAX_TTL);
                self.looked = self.in_flight.take();
                self.failures = 0;
                self.failing_since = None;
                self.fetched = Some(now);
                self.fresh_until = Some(now.after(ttl));
                self.retrying = false;
                self.next = instant.checked_add(ttl.mul_f64(jittered(0.8, jitter)));
                Action::Sleep
            }
            Event::Proven => {
                self.on_demand = false;
                Action::Sleep
            }
            Event::Restored { fresh_until } => {
                self.fresh_until = Some(fresh_until);
                Action::Sleep
            }
            Event::BadSignature | Event::ByHand | Event::NoKeys | Event::Timer | Event::UnknownKid(_)
                if self.is_fetching() =>
            {
                Action::Join
            }
            Event::Timer if self.on_demand => Action::Sleep,
            Event::NoKeys | Event::Timer if self.next.is_none_or(|next| next <= instant) => self.fetch(instant),
            Event::NoKeys | Event::Timer if self.is_overtaken(now) => self.catch_up(instant),
            // after a failure the retries set the pace, not the requests
            Event::NoKeys => Action::Refuse,
            Event::Timer => Action::Sleep,
            Event::ByHand | Event::UnknownKid(Standing::New) => self.force(instant),
            Event::UnknownKid(_) if self.is_new(instant) => Action::Refuse,
            Event::UnknownKid(Standing::AskedOnce) => self.force(instant),
            Event::UnknownKid(Standing::AskedOften | Standing::Withdrawn) => self.force_one(instant),
            Event::BadSignature if self.may_be_doubted(now) => self.force_one(instant),
            Event::BadSignature => Action::Refuse,
        }
    }

    /// Returns the time of the next planned fetch, when an [`Event::Timer`] is due.
    pub(super) fn next_fetch(&self) -> Option<Instant> {
        self.next.filter(|_| !self.on_demand)
    }

    /// Returns how long it is until this event could cause a fetch, or the plan does; nothing if
    /// one is in flight.
    pub(super) fn next_chance(&self, event: Event, now: Moment) -> Duration {
        let Moment { instant, .. } = now;
        let planned = self.next.unwrap_or(instant);
        let free =
            self.forced.iter().map(|used| used.and_then(|used| used.checked_add(PERMIT_INTERVAL)).unwrap_or(instant));
        let permit = match event {
            _ if self.is_fetching() => Some(instant),
            Event::NoKeys if self.is_overtaken(now) => free.min(),
            Event::ByHand | Event::UnknownKid(Standing::New | Standing::AskedOnce) => free.min(),
            Event::BadSignature | Event::UnknownKid(Standing::AskedOften | Standing::Withdrawn) => free.max(),
            Event::Failed
            | Event::Fetched { .. }
            | Event::NoKeys
            | Event::Proven
            | Event::Restored { .. }
            | Event::Timer => None,
        };
        let chance = match permit {
            // where the plan is not carried out, only a want of keys is met by its time
            Some(permit) if self.on_demand && !matches!(event, Event::NoKeys) => permit,
            Some(permit) => permit.min(planned),
            None => planned,
        };
        chance.saturating_duration_since(instant)
    }

    /// Tells whether the set is so new that what it does not have is absent. After a failure nobody
    /// can tell.
    pub(super) fn is_new(&self, now: Instant) -> bool {
        self.failures == 0 && self.looked.is_some_and(|looked| now.saturating_duration_since(looked) < NEW)
    }

    pub(super) fn is_fetching(&self) -> bool {
        self.in_flight.is_some()
    }

    fn fetch(&mut self, now: Instant) -> Action {
        self.in_flight = Some(now);
        Action::Fetch
    }

    fn fail(&mut self, now: Instant, jitter: f64) {
        let pause =
            MIN_RETRY.saturating_mul(1_u32.checked_shl(self.failures.min(31)).unwrap_or(u32::MAX)).min(MAX_RETRY);
        self.count_failure(now);
        self.retrying = true;
        self.next = now.checked_add(pause.mul_f64(jittered(1.0, jitter)));
    }

    fn count_failure(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.failing_since.get_or_insert(now);
    }

    /// Tells whether the keys are not fresh any more though the plan has not come to fetch them: by
    /// the wall clock alone.
    fn is_overtaken(&self, now: Moment) -> bool {
        !self.retrying && self.fresh_until.is_some_and(|fresh_until| fresh_until.passed(now).is_some())
    }

    /// Fetches by a permit, since a wall clock may say anything, and puts the plan there, so that a
    /// failure is retried.
    fn catch_up(&mut self, now: Instant) -> Action {
        let decision = self.force(now);
        if decision == Action::Fetch {
            self.next = Some(now);
        }
        decision
    }

    fn may_be_doubted(&self, now: Moment) -> bool {
        self.fetched.is_none_or(|fetched| fetched.passed(now).is_some_and(|age| age >= PERMIT_INTERVAL))
    }

    /// Takes a permit, the one whose last use is longest ago, and fetches.
    fn force(&mut self, now: Instant) -> Action {
        match self.forced.iter_mut().min_by_key(|used| **used).filter(|used| is_free(**used, now)) {
            Some(permit) => {
                *permit = Some(now);
                self.fetch(now)
            }
            None => Action::Refuse,
        }
    }

    /// The same, but leaves a permit for whoever comes next.
    fn force_one(&mut self, now: Instant) -> Action {
        if self.forced.iter().all(|used| is_free(*used, now)) { self.force(now) } else { Action::Refuse }
    }
}

/// Tells whether a permit may be taken that was last used then.
fn is_free(used: Option<Instant>, now: Instant) -> bool {
    used.is_none_or(|used| now.saturating_duration_since(used) >= PERMIT_INTERVAL)
}

/// Spreads a factor by 5 % to either side.
fn jittered(factor: f64, jitter: f64) -> f64 {
    factor * (0.95 + 0.1 * jitter.clamp(0.0, 1.0))
}
