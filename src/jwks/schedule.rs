//! When an issuer's keys are fetched: a pure state machine, `(state, event, now) → decision`.
//!
//! * A fetched set is *fresh* for its lifetime: what the source says, clamped to 1 minute … 24 hours, else 10 minutes.
//! * It is fetched again at 80 % of that, give or take 5 % so that a fleet does not come all at once.
//! * After a failure it is tried again with growing pauses, 1 s … 60 s. The keys stay in use meanwhile, until
//!   `max_stale` after they have ceased to be fresh.
//! * Tokens may *force* a fetch: at most twice in 30 s, counted when the attempt begins, whatever comes of it. A
//!   failure then leaves the plan as it was.
//!   * An unknown `kid` may use both permits, so that a rotation just after a forged `kid` gets through.
//!   * A signature or algorithm that does not fit the key of its `kid` may mean that the key was replaced under its name. It may use
//!     one permit, if both are there and the keys in hand are at least as old as the interval: forgeries leave the other to
//!     unknown `kid`s.
//!
//! At most one fetch is in flight. Keys that were saved by an earlier process keep their freshness, but are fetched again with the
//! first token.
//!
//! Keys of an issuer that was found at run time are fetched *on demand* only, and not by the plan, until a token of it was verified. The
//! pauses and permits are the same.

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

const MIN_TTL: Duration = Duration::from_secs(60);
/// The longest lifetime that a source may claim.
pub(super) const MAX_TTL: Duration = Duration::from_secs(24 * 60 * 60);
const DEFAULT_TTL: Duration = Duration::from_secs(10 * 60);
const MIN_RETRY: Duration = Duration::from_secs(1);
const MAX_RETRY: Duration = Duration::from_secs(60);
/// Forced fetches: so many permits in such an interval.
const PERMITS: usize = 2;
const PERMIT_INTERVAL: Duration = Duration::from_secs(30);

/// What happened.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// A token came with a signature that no key of its `kid` verifies, or an algorithm that none is for.
    BadSignature,
    /// The operator asks for a fetch.
    ByHand,
    /// A token was verified by the keys in hand.
    Proven,
    /// A fetch failed, or brought a set without a usable key; those of an earlier one are untouched.
    Failed,
    /// A set arrived that has a usable key.
    Fetched { max_age: Option<Duration> },
    /// A token came whose issuer has no keys in hand.
    NoKeys,
    /// Keys were restored that an earlier process had saved; fresh until then.
    Restored { fresh_until: Instant },
    /// The time that was asked for has come.
    Timer,
    /// A token came with a `kid` that the set does not have.
    UnknownKid,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Decision {
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
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    /// The plan is not carried out: only tokens cause fetches.
    on_demand: bool,
    in_flight: bool,
    /// Failed fetches in a row.
    failures: u32,
    /// When the first of them failed.
    failing_since: Option<Instant>,
    /// When the keys in hand were fetched.
    fetched: Option<Instant>,
    /// When to fetch next.
    next: Option<Instant>,
    /// When the keys cease to be fresh.
    fresh_until: Option<Instant>,
    /// When the last forced fetches began.
    forced: [Option<Instant>; PERMITS],
}

impl Schedule {
    pub(super) fn new() -> Self {
        Self {
            on_demand: false,
            in_flight: false,
            failures: 0,
            failing_since: None,
            fetched: None,
            next: None,
            fresh_until: None,
            forced: [None; PERMITS],
        }
    }

    /// Begins for an issuer that only tokens have named which nobody has verified.
    pub(super) fn on_demand() -> Self {
        Self { on_demand: true, ..Self::new() }
    }

    /// Decides. `jitter` is a random number between 0 and 1.
    pub(super) fn on(&mut self, event: Event, now: Instant, jitter: f64) -> Decision {
        match event {
            Event::Failed => {
                self.in_flight = false;
                if self.next.is_some_and(|next| now < next) {
                    // a forced fetch: the plan stands, or a flood of forged `kid`s would hasten the retries
                    self.count_failure(now);
                } else {
                    self.fail(now, jitter);
                }
                Decision::Sleep
            }
            Event::Fetched { max_age } => {
                let ttl = max_age.unwrap_or(DEFAULT_TTL).clamp(MIN_TTL, MAX_TTL);
                self.in_flight = false;
                self.failures = 0;
                self.failing_since = None;
                self.fetched = Some(now);
                self.fresh_until = now.checked_add(ttl);
                self.next = now.checked_add(ttl.mul_f64(jittered(0.8, jitter)));
                Decision::Sleep
            }
            Event::Restored { fresh_until } => {
                self.fresh_until = Some(fresh_until);
                Decision::Sleep
            }
            Event::Proven => {
                self.on_demand = false;
                Decision::Sleep
            }
            Event::BadSignature | Event::ByHand | Event::NoKeys | Event::Timer | Event::UnknownKid
                if self.in_flight =>
            {
                Decision::Join
            }
            Event::NoKeys => {
                // after a failure the retries set the pace, not the requests
                if self.next.is_none_or(|next| next <= now) { self.fetch() } else { Decision::Refuse }
            }
            Event::ByHand | Event::UnknownKid => self.force(now),
            Event::BadSignature => {
                let old = self.fetched.is_none_or(|fetched| is_past(fetched, now));
                if old && self.forced.iter().all(|used| is_free(*used, now)) {
                    self.force(now)
                } else {
                    Decision::Refuse
                }
            }
            Event::Timer if self.on_demand => Decision::Sleep,
            Event::Timer => {
                if self.next.is_none_or(|next| next <= now) {
                    self.fetch()
                } else {
                    Decision::Sleep
                }
            }
        }
    }

    /// Returns the time of the next planned fetch, when an [`Event::Timer`] is due.
    pub(super) fn next_fetch(&self) -> Option<Instant> {
        self.next.filter(|_| !self.on_demand)
    }

    pub(super) fn is_on_demand(&self) -> bool {
        self.on_demand
    }

    /// Returns how long it is until a token could cause a fetch, or the plan does. Only where there are keys in hand can an unknown
    /// `kid` force one.
    pub(super) fn next_chance(&self, in_hand: bool, now: Instant) -> Duration {
        let planned = self.next.unwrap_or(now);
        let free =
            self.forced.iter().map(|used| used.and_then(|used| used.checked_add(PERMIT_INTERVAL)).unwrap_or(now));
        let chance = if in_hand { free.chain([planned]).min().unwrap_or(planned) } else { planned };
        chance.saturating_duration_since(now)
    }

    /// Returns until when the keys in hand are fresh.
    pub(super) fn fresh_until(&self) -> Option<Instant> {
        self.fresh_until
    }

    pub(super) fn fetched(&self) -> Option<Instant> {
        self.fetched
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn failing_since(&self) -> Option<Instant> {
        self.failing_since
    }

    pub(super) fn is_fetching(&self) -> bool {
        self.in_flight
    }

    fn fetch(&mut self) -> Decision {
        self.in_flight = true;
        Decision::Fetch
    }

    fn fail(&mut self, now: Instant, jitter: f64) {
        let pause =
            MIN_RETRY.saturating_mul(1_u32.checked_shl(self.failures.min(31)).unwrap_or(u32::MAX)).min(MAX_RETRY);
        self.count_failure(now);
        self.next = now.checked_add(pause.mul_f64(jittered(1.0, jitter)));
    }

    fn count_failure(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.failing_since.get_or_insert(now);
    }

    /// Takes a permit, the one whose last use is longest ago, and fetches.
    fn force(&mut self, now: Instant) -> Decision {
        match self.forced.iter_mut().min_by_key(|used| **used).filter(|used| is_free(**used, now)) {
            Some(permit) => {
                *permit = Some(now);
                self.fetch()
            }
            None => Decision::Refuse,
        }
    }
}

/// Tells whether keys that are fresh until then may be used; those that never change always may.
pub(super) fn is_trusted(fresh_until: Option<Instant>, max_stale: Duration, now: Instant) -> bool {
    fresh_until.is_none_or(|fresh_until| now.saturating_duration_since(fresh_until) < max_stale || now < fresh_until)
}

/// Tells whether a permit may be taken that was last used then.
fn is_free(used: Option<Instant>, now: Instant) -> bool {
    used.is_none_or(|used| is_past(used, now))
}

/// Tells whether something lies as far back as the permits' interval.
fn is_past(then: Instant, now: Instant) -> bool {
    now.saturating_duration_since(then) >= PERMIT_INTERVAL
}

/// Spreads a factor by 5 % to either side.
fn jittered(factor: f64, jitter: f64) -> f64 {
    factor * (0.95 + 0.1 * jitter.clamp(0.0, 1.0))
}
