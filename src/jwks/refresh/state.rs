//! What is known of an issuer's keys: as readers see it, and as the keeper does.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::absent::Absent;
use super::demand::Want;
use super::schedule::{Decision, Event, Schedule, is_trusted};
use super::upkeep::Upkeep;
use crate::clock::Moment;
use crate::jwks::key_set::KeySet;
use crate::jwks::source::Validator;

/// A key set as readers see it.
#[derive(Clone)]
pub(crate) struct Snapshot {
    pub(super) set: Arc<KeySet>,
    /// What it was read from, if that may be saved.
    pub(super) document: Option<Arc<[u8]>>,
    /// Grows with each fetch that is good, so that one who has seen an older set can be told.
    pub(super) generation: u64,
    /// Until when it is fresh; `None` for ever.
    pub(super) fresh_until: Option<Moment>,
    /// Whether the issuer is configured, or a token of it was verified.
    pub(super) proven: bool,
}

impl Snapshot {
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns the keys, unless they are too old. This is not left to the keeper, whose runtime may
    /// be stuck.
    pub(crate) fn keys(&self, max_stale: Duration, now: Moment) -> Option<&KeySet> {
        // what has verified nothing yet bridges no outage
        let max_stale = if self.proven { max_stale } else { Duration::ZERO };
        is_trusted(self.fresh_until, max_stale, now).then_some(&*self.set)
    }
}

pub(super) struct State {
    pub(super) upkeep: Upkeep,
    pub(super) schedule: Schedule,
    /// That of the set in hand; 0 before the first.
    pub(super) generation: u64,
    /// The number of the keeper; what its predecessors still do counts for nothing.
    pub(super) keeper: u64,
    /// Ends it.
    pub(super) task: Option<AbortHandle>,
    /// Wakes it.
    pub(super) wake: Arc<Notify>,
    /// A fetch has been decided on and awaits the keeper.
    pub(super) ordered: bool,
    /// What fetches have taken from the allowance so far.
    pub(super) turns: usize,
    pub(super) last_error: Option<Arc<str>>,
    /// By which the source can tell whether the set in hand is still the issuer's.
    pub(super) validator: Option<Validator>,
    pub(super) absent: Absent,
}

impl State {
    pub(super) fn new(schedule: Schedule, upkeep: Upkeep) -> Self {
        Self {
            upkeep,
            schedule,
            generation: 0,
            keeper: 0,
            task: None,
            wake: Arc::default(),
            ordered: false,
            turns: 0,
            last_error: None,
            validator: None,
            absent: Absent::default(),
        }
    }

    pub(super) fn number_next_keeper(&mut self) -> u64 {
        self.keeper = self.keeper.saturating_add(1);
        self.wake = Arc::default();
        self.keeper
    }

    pub(super) fn next_generation(&mut self) -> u64 {
        self.generation = self.generation.saturating_add(1);
        self.generation
    }

    pub(super) fn event(&self, want: Want, now: Moment) -> Event {
        match want {
            Want::NoKeys => Event::NoKeys,
            Want::ByHand => Event::ByHand,
            Want::UnknownKid(kid) => Event::UnknownKid(self.absent.standing(kid, now.instant)),
            Want::BadSignature => Event::BadSignature,
        }
    }

    /// Decides whether to fetch because of a wish.
    pub(super) fn decide(&mut self, want: Want, now: Moment) -> Decision {
        self.schedule.on(self.event(want, now), now, jitter())
    }

    /// Notes that a fetch was decided on and can be begun.
    pub(super) fn note_order(&mut self, want: Want, now: Moment) {
        self.ordered = true;
        if let Want::UnknownKid(kid) = want {
            self.absent.ask(kid, now.instant);
        }
    }
}

/// A random number between 0 and 1, good enough to spread load.
pub(super) fn jitter() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(random >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}
