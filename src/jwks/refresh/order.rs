//! How newer keys are asked for and waited for, and what is known while they are missing.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::absent::{Fingerprint, Standing};
use super::allowance::{ANOTHER, Allowance, Turn};
use super::schedule::{Action, Event};
use super::{GRACE, Keys, Shared, State};
use crate::clock::Moment;
use crate::jwks::source::Guid;
use crate::sync::jitter;
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

/// Why keys are missing.
pub(crate) struct Outage {
    pub(crate) error: Arc<str>,
    /// No fetch has ended yet.
    pub(crate) never: bool,
}

impl Keys {
    /// Asks for newer keys than those of this generation.
    pub(crate) fn refresh(&self, cause: Cause, generation: u64) -> Refresh {
        self.shared.order(cause, generation, None)
    }

    /// Returns how long it is until newer keys could be fetched for this cause.
    pub(crate) fn next_chance(&self, cause: Cause) -> Duration {
        let now = self.shared.now();
        let state = self.shared.state();
        let wait = state.schedule.next_chance(state.event(cause, now), now);
        if self.shared.is_held_back(&state) { wait.max(ANOTHER) } else { wait }
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

    /// Returns the number by which a `kid` is known here; see [`Cause::UnknownKid`].
    pub(crate) fn fingerprint(&self, kid: Option<&str>) -> Fingerprint {
        let mut fingerprint = Fingerprint::of(kid, &self.shared.seed);
        fingerprint.name = self.shared.by_kid().and(kid).and_then(Guid::parse);
        fingerprint
    }
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
    fn event(&self, cause: Cause, now: Moment) -> Event {
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
    fn order(self: &Arc<Self>, cause: Cause, generation: u64, turn: Option<Turn>) -> Refresh {
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
        if self.generation() != generation {
            return Refresh::Newer;
        }
        let before = state.schedule.clone();
        let event = state.event(cause, now);
        let joined = match state.schedule.on(event, now, jitter()) {
            Action::Fetch => {
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
            Action::Join => !state.ordered || by_kid.is_some(),
            Action::Refuse | Action::Sleep => {
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

    /// Takes what a fetch costs: a turn, unless a token was verified already. Where none is left,
    /// the error is what to wait for.
    fn take_turn(&self, state: &mut State, turn: Option<Turn>) -> Result<(), &Arc<Allowance>> {
        let Some(allowance) = self.allowance.as_ref().filter(|_| state.schedule.on_demand) else { return Ok(()) };
        turn.or_else(|| allowance.try_take()).ok_or(allowance)?.forget();
        state.turns = state.turns.saturating_add(1);
        Ok(())
    }

    /// Tells whether a first fetch would have to wait for its turn.
    fn is_held_back(&self, state: &State) -> bool {
        let spent = self.allowance.as_ref().is_some_and(|allowance| allowance.is_spent());
        spent && state.schedule.on_demand && !state.schedule.is_fetching()
    }
}

const NOT_YET: &str = "the issuer has not answered yet";

const HELD_BACK: &str = "too many unproven issuers are asked for their keys, and this one has to wait for its turn";
