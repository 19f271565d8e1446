//! Executes what `schedule` decides: requests read a snapshot, and ask the issuer's *keeper* for newer keys.
//!
//! The keeper starts with the first token that needs the keys, so that nothing is spawned in a constructor or outside a
//! runtime, and ends when the cache is dropped.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use super::absent::{Absent, Fingerprint, Seed};
use super::keeper::Keeper;
use super::key_set::KeySet;
use super::lease::{GRACE, Lease};
use super::schedule::{Decision, Event, Schedule, is_trusted};
use super::source::{DynKeySource, Validator};
use crate::trace::count;

/// Why a token needs newer keys.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Want {
    /// There are none in hand.
    Any,
    /// The operator asks for them.
    ByHand,
    /// The set in hand does not have the token's.
    Kid(Fingerprint),
    /// The set in hand has it, but it does not verify the signature.
    Signature,
}

/// An issuer's keys.
pub(crate) struct Keys {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    /// Whose keys they are, for logs.
    pub(super) issuer: Arc<str>,
    /// The same for metrics, where a name must not come from a token.
    pub(super) label: Arc<str>,
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
pub(crate) struct Snapshot {
    pub(super) set: Arc<KeySet>,
    /// What it was read from; empty for keys that never change.
    pub(super) document: Arc<[u8]>,
    /// Grows with each fetch that is good, so that one who has seen an older set can be told.
    pub(super) generation: u64,
    /// Until when it is fresh; `None` for ever.
    pub(super) fresh_until: Option<Instant>,
}

impl Snapshot {
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns the keys, unless they are too old. This is not left to the keeper, whose runtime may be stuck.
    pub(crate) fn keys(&self, max_stale: Duration, now: Instant) -> Option<&KeySet> {
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
    wake: Arc<Notify>,
    /// A fetch has been decided on and awaits the keeper.
    pub(super) ordered: bool,
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
        let snapshot = Snapshot { set: Arc::new(set), document: Arc::new([]), generation: 1, fresh_until: None };
        Self::new(Arc::clone(&issuer), issuer, None, Some(snapshot))
    }

    /// Keeps the keys of a source, from which nothing is fetched until they are wanted.
    /// They are the `issuer`'s, and have this `label` in metrics.
    pub(crate) fn fetched(issuer: Arc<str>, label: Arc<str>, source: Box<dyn DynKeySource>) -> Self {
        Self::new(issuer, label, Some(source), None)
    }

    fn new(
        issuer: Arc<str>,
        label: Arc<str>,
        source: Option<Box<dyn DynKeySource>>,
        snapshot: Option<Snapshot>,
    ) -> Self {
        let state = State {
            schedule: Schedule::new(),
            generation: 0,
            keeper: 0,
            wake: Arc::default(),
            ordered: false,
            last_error: None,
            validator: None,
            absent: Absent::default(),
        };
        let shared = Shared {
            issuer,
            label,
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

    /// Returns the keys in hand, without a lock.
    pub(crate) fn current(&self, now: Instant) -> Guard<Option<Arc<Snapshot>>> {
        let current = self.shared.current.load();
        if current.is_some() {
            self.shared.start_keeper(now);
        }
        current
    }

    /// Asks for newer keys than those of this generation.
    pub(crate) fn demand(&self, want: Want, generation: u64) -> Demand {
        self.shared.order(want, generation)
    }

    /// Tells why what is missing may only be missing here, with how long to wait: the last fetch failed, or there was none yet.
    pub(crate) fn outage(&self, max_stale: Duration) -> Option<Outage> {
        let now = Instant::now();
        let in_hand = self.shared.current.load().as_ref().is_some_and(|current| current.keys(max_stale, now).is_some());
        let state = self.shared.state();
        let never = !self.is_fixed() && state.schedule.fetched().is_none() && state.last_error.is_none();
        let error = if never { Some(NOT_YET.into()) } else { state.last_error.clone() };
        Some(Outage { error: error?, never, wait: state.schedule.next_chance(in_hand, now) })
    }

    /// Returns how long it is until a fetch can be forced.
    pub(crate) fn next_chance(&self) -> Duration {
        self.shared.state().schedule.next_chance(true, Instant::now())
    }

    /// Returns the number by which a `kid` is known here; see [`Want::Kid`].
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

/// What comes of the wish for newer keys.
pub(crate) enum Demand {
    /// There are newer ones already.
    Newer,
    /// There will be no fetch now.
    Refused,
    /// A fetch is on its way.
    Wait(Fetch),
}

/// A fetch that can be waited for, and dropped at any time.
pub(crate) struct Fetch {
    /// It was on its way already, and may have been begun too early.
    joined: bool,
    number: u64,
    ended: watch::Receiver<u64>,
    shared: Weak<Shared>,
}

impl Fetch {
    pub(crate) fn joined(&self) -> bool {
        self.joined
    }

    /// Waits until the fetch has ended, however it ended.
    pub(crate) async fn ended(mut self) {
        // an error is the end of the cache, and so of the fetch
        while timeout(GRACE, self.ended.wait_for(|ended| *ended >= self.number)).await.is_err() {
            let Some(shared) = self.shared.upgrade() else { return };
            shared.start_keeper(Instant::now());
        }
    }
}

/// Why keys are missing.
#[derive(Debug)]
pub(crate) struct Outage {
    pub(crate) error: Arc<str>,
    /// No fetch has ended yet.
    pub(crate) never: bool,
    pub(crate) wait: Duration,
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

    /// Decides on a fetch, and makes sure that somebody carries it out.
    fn order(self: &Arc<Self>, want: Want, generation: u64) -> Demand {
        if self.source.is_none() || Handle::try_current().is_err() {
            return Demand::Refused;
        }
        let event = match want {
            Want::Any => Event::NoKeys,
            Want::ByHand => Event::ByHand,
            Want::Kid(_) => Event::UnknownKid,
            Want::Signature => Event::BadSignature,
        };
        let now = Instant::now();
        let (joined, number) = {
            let mut state = self.state();
            if state.generation != generation {
                return Demand::Newer;
            }
            if let Want::Kid(kid) = want
                && state.absent.contains(kid, now)
            {
                return Demand::Refused;
            }
            let joined = match state.schedule.on(event, now, jitter()) {
                Decision::Fetch => {
                    state.ordered = true;
                    self.lease.shorten(now);
                    false
                }
                // one that the keeper has not begun yet is not too early for anybody
                Decision::Join => !state.ordered,
                Decision::Refuse | Decision::Sleep => {
                    count!("tower_bearer_key_fetches_refused_total", issuer = self.label);
                    return Demand::Refused;
                }
            };
            (joined, self.ended.borrow().saturating_add(1))
        };
        self.start_keeper(now);
        self.state().wake.notify_one();
        Demand::Wait(Fetch { joined, number, ended: self.ended.subscribe(), shared: Arc::downgrade(self) })
    }

    /// Starts a keeper if there is none that can be relied on, and a runtime to start it on.
    fn start_keeper(self: &Arc<Self>, now: Instant) {
        if self.lease.holds(now) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        let mut slot = lock(&self.keeper);
        let keeper = {
            let mut state = self.state();
            let now = Instant::now();
            if self.lease.holds(now) {
                return;
            }
            self.cut_short(&mut state);
            self.lease.renew(now);
            let number = state.number_next_keeper();
            Keeper::new(Arc::clone(self), number, Arc::clone(&state.wake))
        };
        if let Some(former) = slot.take() {
            former.abort();
        }
        *slot = Some(runtime.spawn(keeper.run()).abort_handle());
    }

    /// Cleans up after a keeper, in whatever way it has ended: a panic of the source, the end of its runtime, or ours.
    pub(super) fn keeper_ended(&self, number: u64) {
        let mut state = self.state();
        if state.keeper == number {
            state.ordered = false;
            self.cut_short(&mut state);
            self.lease.end();
        }
    }

    /// Ends the fetch that a keeper has begun and will not end itself. One that is only ordered is left to the next.
    fn cut_short(&self, state: &mut State) {
        if state.schedule.is_fetching() && !state.ordered {
            state.last_error = Some("the fetch of the issuer's keys was cut short".into());
            state.schedule.on(Event::Failed, Instant::now(), jitter());
            self.count_ended();
        }
    }
}

const NOT_YET: &str = "the issuer has not answered yet";

/// Locks, whether or not a thread has panicked meanwhile: no change here can be left half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A random number between 0 and 1, good enough to spread load.
pub(super) fn jitter() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(random >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}
