//! How newer keys are asked for, and waited for.

use std::sync::{Arc, Weak};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::absent::Fingerprint;
use super::allowance::{Allowance, Turn};
use super::schedule::{Decision, Event};
use super::state::{GRACE, Shared, State, jitter};
use crate::clock::Moment;
use crate::trace::count;

/// Why newer keys are asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cause {
    /// There are none in hand.
    NoKeys,
    /// The operator asks for them.
    ByHand,
    /// The set in hand does not have the token's `kid`, or the token names none and no key in hand
    /// verifies it.
    UnknownKid(Fingerprint),
    /// The set in hand has a key for the token, but it does not verify the signature or is for
    /// another algorithm.
    BadSignature,
}

/// What comes of asking for newer keys.
pub(crate) enum Refresh {
    /// There are newer ones already.
    Newer,
    /// There will be no fetch now.
    Refused,
    /// A fetch is on its way.
    Pending(PendingFetch),
}

/// A fetch that can be waited for, and dropped at any time.
pub(crate) struct PendingFetch {
    shared: Weak<Shared>,
    stage: Stage,
}

enum Stage {
    Ordered {
        /// It was on its way already, and may have been begun too early.
        joined: bool,
        number: u64,
        ended: watch::Receiver<u64>,
    },
    /// It must wait for its turn.
    Queued { cause: Cause, generation: u64, allowance: Arc<Allowance> },
}

impl PendingFetch {
    /// Tells whether it may have been begun too early, or need not come at all.
    pub(crate) fn joined(&self) -> bool {
        !matches!(self.stage, Stage::Ordered { joined: false, .. })
    }

    /// Waits until the fetch has ended, however it ended.
    pub(crate) async fn ended(self) {
        let Self { shared, stage } = self;
        let (number, mut ended) = match stage {
            Stage::Ordered { number, ended, .. } => (number, ended),
            Stage::Queued { cause, generation, allowance } => {
                let turn = allowance.take().await;
                let Some(shared) = shared.upgrade() else { return };
                match shared.order(cause, generation, turn) {
                    Refresh::Pending(Self { stage: Stage::Ordered { number, ended, .. }, .. }) => (number, ended),
                    Refresh::Newer | Refresh::Refused | Refresh::Pending(_) => return,
                }
            }
        };
        // an error is the end of the keys, and so of the fetch
        while timeout(GRACE, ended.wait_for(|ended| *ended >= number)).await.is_err() {
            let Some(shared) = shared.upgrade() else { return };
            shared.start_task(Instant::now());
        }
    }
}

impl State {
    pub(super) fn event(&self, cause: Cause, now: Moment) -> Event {
        match cause {
            Cause::NoKeys => Event::NoKeys,
            Cause::ByHand => Event::ByHand,
            Cause::UnknownKid(kid) => Event::UnknownKid(self.absent.standing(kid, now.instant)),
            Cause::BadSignature => Event::BadSignature,
        }
    }
}

impl Shared {
    /// Decides on a fetch, and makes sure that somebody carries it out. `turn` is what it may cost,
    /// if that has been waited for.
    pub(super) fn order(self: &Arc<Self>, cause: Cause, generation: u64, turn: Option<Turn>) -> Refresh {
        if self.source.is_none() || Handle::try_current().is_err() {
            return Refresh::Refused;
        }
        let by_kid = self.by_kid();
        if by_kid.is_some() && matches!(cause, Cause::BadSignature) {
            // no key is replaced under such a name
            return Refresh::Refused;
        }
        let now = self.now();
        if let Some(allowance) = &self.allowance {
            allowance.refill(now.instant);
        }
        let mut state = self.state();
        if state.generation != generation {
            return Refresh::Newer;
        }
        let before = state.schedule.clone();
        let event = state.event(cause, now);
        let joined = match state.schedule.on(event, now, jitter()) {
            Decision::Fetch => {
                if let Err(allowance) = self.take_turn(&mut state, turn) {
                    // as if nobody had asked
                    state.schedule = before;
                    let stage = Stage::Queued { cause, generation, allowance: Arc::clone(allowance) };
                    return Refresh::Pending(PendingFetch { shared: Arc::downgrade(self), stage });
                }
                state.ordered = true;
                if let Cause::UnknownKid(kid) = cause {
                    state.absent.ask(kid, now.instant);
                    if let Some((source, name)) = by_kid.zip(kid.name) {
                        source.want(name);
                    }
                }
                self.lease.shorten(now.instant);
                false
            }
            // one that the task has not begun yet is not too early for anybody, but may be for the
            // sake of another name
            Decision::Join => !state.ordered || by_kid.is_some(),
            Decision::Refuse | Decision::Sleep => {
                // no lock may be held where others listen: they may ask for the status
                drop(state);
                count!("tower_bearer_key_fetches_refused_total", "issuer" => self.label().to_owned());
                return Refresh::Refused;
            }
        };
        let number = self.ended.borrow().saturating_add(1);
        drop(state);
        self.start_task(now.instant);
        self.state().wake.notify_one();
        let stage = Stage::Ordered { joined, number, ended: self.ended.subscribe() };
        Refresh::Pending(PendingFetch { shared: Arc::downgrade(self), stage })
    }
}
