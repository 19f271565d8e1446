//! Executes what `schedule` decides: one task per issuer fetches; requests read a snapshot.
//!
//! The task (the *keeper*) starts with the first token that needs the keys, so that nothing is spawned in a
//! constructor or outside a runtime, and ends when the cache is dropped. Since only the keeper fetches, there is never more than
//! one fetch in flight, and a cancelled request never cancels a fetch.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::key_set::{KeySet, KeyStatus, SkippedKey};
use super::schedule::{Decision, Event, Schedule};
use super::source::{DynKeySource, FetchError};
use crate::trace::event;

/// How long one fetch of any source may take, discovery included.
pub(crate) const MAX_FETCH: Duration = Duration::from_secs(15);

/// Why a token needs newer keys.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Want {
    /// There are none in hand.
    Any,
    /// The set in hand does not have the token's.
    Kid,
}

/// An issuer's keys.
pub(crate) struct Keys {
    shared: Arc<Shared>,
}

struct Shared {
    issuer: Arc<str>,
    /// `None` for keys that never change.
    source: Option<Box<dyn DynKeySource>>,
    current: ArcSwapOption<Snapshot>,
    /// Whether a keeper watches over `current`, or it never changes.
    attended: AtomicBool,
    state: Mutex<State>,
    /// Ends the keeper. Apart from `state`, since it is held while a keeper is spawned, and one that is dropped at once,
    /// because the runtime is shutting down, takes `state`.
    keeper: Mutex<Option<AbortHandle>>,
    /// Counts the fetches that have ended, however they ended; changed under the lock of `state`.
    ended: watch::Sender<u64>,
    wake: Notify,
}

/// A key set as readers see it.
pub(crate) struct Snapshot {
    set: KeySet,
    /// Grows with each set, so that one who has seen an older one can be told.
    generation: u64,
    /// When it is too old to be trusted; `None` for never.
    until: Option<Instant>,
}

impl Snapshot {
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns the keys, unless they are too old.
    pub(crate) fn keys(&self) -> Option<&KeySet> {
        // the clock is read here, and not left to the keeper, whose runtime may be stuck
        if self.until.is_none_or(|until| Instant::now() < until) { Some(&self.set) } else { None }
    }
}

struct State {
    schedule: Schedule,
    /// That of the set in hand; 0 before the first.
    generation: u64,
    /// A fetch has been decided on and awaits the keeper.
    ordered: bool,
    last_error: Option<Arc<str>>,
}

impl Keys {
    /// Keeps keys that never change.
    pub(crate) fn fixed(issuer: Arc<str>, set: KeySet) -> Self {
        Self::new(issuer, None, Some(Snapshot { set, generation: 1, until: None }), Duration::ZERO)
    }

    /// Keeps the keys of a source, from which nothing is fetched until they are wanted.
    pub(crate) fn fetched(issuer: Arc<str>, source: Box<dyn DynKeySource>, max_stale: Duration) -> Self {
        Self::new(issuer, Some(source), None, max_stale)
    }

    fn new(
        issuer: Arc<str>,
        source: Option<Box<dyn DynKeySource>>,
        snapshot: Option<Snapshot>,
        max_stale: Duration,
    ) -> Self {
        let state = State { schedule: Schedule::new(max_stale), generation: 0, ordered: false, last_error: None };
        let shared = Shared {
            issuer,
            attended: AtomicBool::new(source.is_none()),
            source,
            current: ArcSwapOption::new(snapshot.map(Arc::new)),
            state: Mutex::new(state),
            keeper: Mutex::new(None),
            ended: watch::Sender::new(0),
            wake: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Returns the keys in hand, without a lock.
    pub(crate) fn current(&self) -> Guard<Option<Arc<Snapshot>>> {
        let current = self.shared.current.load();
        if current.is_some() && !self.shared.attended.load(Ordering::Acquire) {
            // the keeper has ended with its runtime
            self.shared.start_keeper();
        }
        current
    }

    /// Asks for newer keys than those of this generation.
    pub(crate) fn demand(&self, want: Want, generation: u64) -> Demand {
        self.shared.order(want, generation)
    }

    /// Tells whether the last fetch failed, so that what is missing may only be missing here; with how long to wait.
    pub(crate) fn outage(&self) -> Option<Outage> {
        let state = self.shared.state();
        let error = state.last_error.clone()?;
        Some(Outage { error, wait: state.schedule.next_chance(Instant::now()) })
    }

    pub(crate) fn status(&self) -> IssuerStatus {
        let current = self.shared.current.load();
        let set = current.as_ref().and_then(|snapshot| snapshot.keys());
        let state = self.shared.state();
        IssuerStatus {
            issuer: Arc::clone(&self.shared.issuer),
            loaded: set.is_some(),
            fresh: self.shared.source.is_none() || (set.is_some() && state.schedule.is_fresh(Instant::now())),
            failures: state.schedule.failures(),
            last_error: state.last_error.clone(),
            keys: set.map(KeySet::status).unwrap_or_default(),
            skipped: set.map(|set| set.skipped().to_vec()).unwrap_or_default(),
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let keeper = lock(&self.shared.keeper).take();
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
}

impl Fetch {
    pub(crate) fn joined(&self) -> bool {
        self.joined
    }

    /// Waits until the fetch has ended, however it ended.
    pub(crate) async fn ended(mut self) {
        // an error is the end of the cache, and so of the fetch
        let _ = self.ended.wait_for(|ended| *ended >= self.number).await;
    }
}

/// Why keys are missing.
#[derive(Debug)]
pub(crate) struct Outage {
    pub(crate) error: Arc<str>,
    pub(crate) wait: Duration,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Wakes everybody who waits for the fetch that has ended. The lock of `state` must be held, so that nobody can order
    /// the next fetch and take the end of this one for its end.
    fn count_ended(&self) {
        self.ended.send_modify(|ended| *ended = ended.saturating_add(1));
    }

    /// Decides on a fetch, and makes sure that somebody carries it out.
    fn order(self: &Arc<Self>, want: Want, generation: u64) -> Demand {
        if self.source.is_none() || Handle::try_current().is_err() {
            return Demand::Refused;
        }
        let event = match want {
            Want::Any => Event::NoKeys,
            Want::Kid => Event::UnknownKid,
        };
        let (joined, number) = {
            let mut state = self.state();
            if state.generation != generation {
                return Demand::Newer;
            }
            let joined = match state.schedule.on(event, Instant::now(), jitter()) {
                Decision::Fetch => {
                    state.ordered = true;
                    false
                }
                // one that the keeper has not begun yet is not too early for anybody
                Decision::Join => !state.ordered,
                Decision::Refuse | Decision::Sleep => return Demand::Refused,
            };
            (joined, self.ended.borrow().saturating_add(1))
        };
        self.start_keeper();
        self.wake.notify_one();
        Demand::Wait(Fetch { joined, number, ended: self.ended.subscribe() })
    }

    /// Starts a keeper if there is none, and a runtime to start it on.
    fn start_keeper(self: &Arc<Self>) {
        let Ok(runtime) = Handle::try_current() else { return };
        let mut slot = lock(&self.keeper);
        if !self.attended.swap(true, Ordering::AcqRel) {
            let keeper = Keeper { shared: Arc::clone(self) };
            *slot = Some(runtime.spawn(keeper.run()).abort_handle());
        }
    }
}

/// The task that fetches. Dropped in whatever way the task ends.
struct Keeper {
    shared: Arc<Shared>,
}

impl Keeper {
    async fn run(self) {
        let Some(source) = &self.shared.source else { return };
        loop {
            match self.decide() {
                Next::Fetch => {
                    let fetched = timeout(MAX_FETCH, source.fetch()).await;
                    let late = |_| Err(FetchError::message("the key source took longer than 15 s"));
                    self.record(fetched.unwrap_or_else(late).and_then(|fetched| {
                        let set = KeySet::parse(&fetched.document);
                        let set = set.ok_or_else(|| {
                            FetchError::message("what was fetched is not a JWK Set of at most 512 KiB")
                        })?;
                        Ok((set, fetched.max_age))
                    }));
                }
                Next::Sleep(wake_at) => {
                    // either end of the sleep is a reason to decide anew
                    let _ = timeout_at(wake_at, self.shared.wake.notified()).await;
                }
            }
        }
    }

    fn decide(&self) -> Next {
        let mut state = self.shared.state();
        let ordered = std::mem::take(&mut state.ordered);
        if ordered || state.schedule.on(Event::Timer, Instant::now(), jitter()) == Decision::Fetch {
            return Next::Fetch;
        }
        // whatever has ended has left a plan
        Next::Sleep(state.schedule.next_fetch().unwrap_or_else(Instant::now))
    }

    /// Takes over what was fetched, and tells everybody who waits.
    fn record(&self, fetched: Result<(KeySet, Option<Duration>), FetchError>) {
        let issuer = &self.shared.issuer;
        match fetched {
            Ok((set, max_age)) => {
                let (keys, skipped) = (set.len(), set.skipped().len());
                if set.is_empty() {
                    event!(warn, "the issuer's key set holds no usable key", issuer = issuer, skipped = skipped);
                } else {
                    event!(info, "fetched the issuer's keys", issuer = issuer, keys = keys, skipped = skipped);
                }
                let mut state = self.shared.state();
                state.last_error = set.is_empty().then(|| "the issuer's set holds no usable key".into());
                state.schedule.on(Event::Fetched { max_age, usable: !set.is_empty() }, Instant::now(), jitter());
                state.generation = state.generation.saturating_add(1);
                let snapshot = Snapshot { set, generation: state.generation, until: state.schedule.trusted_until() };
                self.shared.current.store(Some(Arc::new(snapshot)));
                self.shared.count_ended();
            }
            Err(error) => {
                let report = error.report();
                event!(warn, "could not fetch the issuer's keys", issuer = issuer, error = report);
                let mut state = self.shared.state();
                state.last_error = Some(report.into());
                state.schedule.on(Event::Failed, Instant::now(), jitter());
                self.shared.count_ended();
            }
        }
    }
}

enum Next {
    Fetch,
    Sleep(Instant),
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        if state.schedule.is_fetching() {
            state.ordered = false;
            state.last_error = Some("the fetch of the issuer's keys was cut short".into());
            state.schedule.on(Event::Failed, Instant::now(), jitter());
            self.shared.count_ended();
        }
        self.shared.attended.store(false, Ordering::Release);
    }
}

/// What an operator may know of an issuer's keys; see [`ResourceServer::status`](crate::ResourceServer::status).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IssuerStatus {
    /// The issuer's identifier.
    pub issuer: Arc<str>,
    /// Whether there is a key set in hand.
    pub loaded: bool,
    /// Whether it is still fresh; if not, it is used on until a newer one can be had or `max_stale` is over.
    pub fresh: bool,
    /// How many fetches have failed in a row.
    pub failures: u32,
    /// Why the last fetch failed, if it did.
    pub last_error: Option<Arc<str>>,
    /// The keys in use.
    pub keys: Vec<KeyStatus>,
    /// The keys of the set that are not used, and why.
    pub skipped: Vec<SkippedKey>,
}

/// Locks, whether or not a thread has panicked meanwhile: no change here can be left half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A random number between 0 and 1, good enough to spread load.
fn jitter() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(random >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}
