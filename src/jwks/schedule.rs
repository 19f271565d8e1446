//! When an issuer's keys are fetched: a pure state machine, `(state, event, now) → decision`.
//!
//! * A fetched set is *fresh* for its lifetime: what the source says, clamped to 1 minute … 24 hours, else 10 minutes.
//! * It is fetched again at 80 % of that, give or take 5 % so that a fleet does not come all at once.
//! * After a failure it is tried again with growing pauses, 1 s … 60 s. The keys stay in use meanwhile, until
//!   `max_stale` after they have ceased to be fresh.
//! * An unknown `kid` may force a fetch: at most twice in 30 s, counted when the attempt *begins*, whatever comes of it. A
//!   failure then leaves the plan as it was.
//!
//! At most one fetch is in flight.

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

const MIN_TTL: Duration = Duration::from_secs(60);
const MAX_TTL: Duration = Duration::from_secs(24 * 60 * 60);
const DEFAULT_TTL: Duration = Duration::from_secs(10 * 60);
const MIN_RETRY: Duration = Duration::from_secs(1);
const MAX_RETRY: Duration = Duration::from_secs(60);
/// Forced fetches: so many permits in such an interval. Two, so that a rotation just after a forged `kid` gets through.
const PERMITS: usize = 2;
const PERMIT_INTERVAL: Duration = Duration::from_secs(30);

/// What happened.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// A fetch failed; the keys of an earlier one are untouched.
    Failed,
    /// A set arrived. `usable` says whether it holds a key at all.
    Fetched { max_age: Option<Duration>, usable: bool },
    /// A token came whose issuer has no keys in hand.
    NoKeys,
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
#[derive(Debug)]
pub(super) struct Schedule {
    max_stale: Duration,
    in_flight: bool,
    /// Failed fetches in a row.
    failures: u32,
    /// When to fetch next.
    next: Option<Instant>,
    /// When the keys cease to be fresh.
    fresh_until: Option<Instant>,
    /// When the last forced fetches began.
    forced: [Option<Instant>; PERMITS],
}

impl Schedule {
    pub(super) fn new(max_stale: Duration) -> Self {
        Self { max_stale, in_flight: false, failures: 0, next: None, fresh_until: None, forced: [None; PERMITS] }
    }

    /// Decides. `jitter` is a random number between 0 and 1.
    pub(super) fn on(&mut self, event: Event, now: Instant, jitter: f64) -> Decision {
        match event {
            Event::Failed => {
                self.in_flight = false;
                if self.next.is_some_and(|next| now < next) {
                    // a forced fetch: the plan stands, or a flood of forged `kid`s would hasten the retries
                    self.failures = self.failures.saturating_add(1);
                } else {
                    self.fail(now, jitter);
                }
                Decision::Sleep
            }
            Event::Fetched { max_age, usable } => {
                self.in_flight = false;
                let ttl = max_age.unwrap_or(DEFAULT_TTL).clamp(MIN_TTL, MAX_TTL);
                self.fresh_until = now.checked_add(ttl);
                if usable {
                    self.failures = 0;
                    self.next = now.checked_add(ttl.mul_f64(jittered(0.8, jitter)));
                } else {
                    self.fail(now, jitter);
                }
                Decision::Sleep
            }
            Event::NoKeys | Event::UnknownKid | Event::Timer if self.in_flight => Decision::Join,
            Event::NoKeys => {
                // after a failure the retries set the pace, not the requests
                if self.next.is_none_or(|next| next <= now) { self.fetch() } else { Decision::Refuse }
            }
            Event::UnknownKid => {
                if self.take_permit(now) {
                    self.fetch()
                } else {
                    Decision::Refuse
                }
            }
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
        self.next
    }

    /// Returns how long it is until a token could cause a fetch, or the plan does.
    pub(super) fn next_chance(&self, now: Instant) -> Duration {
        let planned = self.next.unwrap_or(now);
        let in_hand = self.trusted_until().is_some_and(|until| now < until);
        // only where there are keys in hand can an unknown `kid` force a fetch
        let free =
            self.forced.iter().map(|used| used.and_then(|used| used.checked_add(PERMIT_INTERVAL)).unwrap_or(now));
        let chance = if in_hand { free.chain([planned]).min().unwrap_or(planned) } else { planned };
        chance.saturating_duration_since(now)
    }

    /// Returns until when the keys of the last good fetch may be used, at the utmost; `None` for ever.
    pub(super) fn trusted_until(&self) -> Option<Instant> {
        self.fresh_until.and_then(|fresh| fresh.checked_add(self.max_stale))
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        self.fresh_until.is_some_and(|until| now < until)
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
        self.failures = self.failures.saturating_add(1);
        self.next = now.checked_add(pause.mul_f64(jittered(1.0, jitter)));
    }

    /// Takes a permit: the slot whose last use is longest ago, if that is long enough.
    fn take_permit(&mut self, now: Instant) -> bool {
        let oldest = self.forced.iter_mut().min_by_key(|used| **used);
        match oldest {
            Some(used) if used.is_none_or(|used| now.saturating_duration_since(used) >= PERMIT_INTERVAL) => {
                *used = Some(now);
                true
            }
            _ => false,
        }
    }
}

/// Spreads a factor by 5 % to either side.
fn jittered(factor: f64, jitter: f64) -> f64 {
    factor * (0.95 + 0.1 * jitter.clamp(0.0, 1.0))
}
