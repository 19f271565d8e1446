//! Executes what `schedule` decides: one task per issuer fetches; requests read a snapshot.
//!
//! The task (the *keeper*) starts with the first token that needs the keys, so that nothing is spawned in a
//! constructor or outside a runtime, and ends when the cache is dropped. Since only the keeper fetches, there is never more than
//! one fetch in flight, and no request that goes away can take a fetch with it.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use super::key_set::{KeySet, KeyStatus, SkippedKey};
use super::schedule::{Decision, Event, Schedule};
use super::source::{DynKeySource, FetchError};
use crate::trace::event;

/// How long a request waits for keys.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// How long one fetch of any source may take, discovery included.
const MAX_FETCH: Duration = Duration::from_secs(15);

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
    current: ArcSwapOption<KeySet>,
    /// Whether `current` can be read without a look at the clock: a keeper watches over it, or it never changes.
    attended: AtomicBool,
    state: Mutex<State>,
    /// Changes each time a fetch has ended, however it ended.
    finished: watch::Sender<()>,
    wake: Notify,
}

struct State {
    schedule: Schedule,
    /// A fetch has been decided on and awaits the keeper.
    ordered: bool,
    keeper: Option<AbortHandle>,
    last_error: Option<Arc<str>>,
}

impl Keys {
    /// Keeps keys that never change.
    pub(crate) fn fixed(issuer: Arc<str>, set: KeySet) -> Self {
        Self::new(issuer, None, Some(Arc::new(set)), Duration::ZERO)
    }

    /// Keeps the keys of a source, from which nothing is fetched until they are wanted.
    pub(crate) fn fetched(issuer: Arc<str>, source: Box<dyn DynKeySource>, max_stale: Duration) -> Self {
        Self::new(issuer, Some(source), None, max_stale)
    }

    fn new(
        issuer: Arc<str>,
        source: Option<Box<dyn DynKeySource>>,
        set: Option<Arc<KeySet>>,
        max_stale: Duration,
    ) -> Self {
        let state = State { schedule: Schedule::new(max_stale), ordered: false, keeper: None, last_error: None };
        let shared = Shared {
            issuer,
            attended: AtomicBool::new(source.is_none()),
            source,
            current: ArcSwapOption::new(set),
            state: Mutex::new(state),
            finished: watch::Sender::new(()),
            wake: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Returns the keys in hand, without a lock.
    pub(crate) fn current(&self) -> Guard<Option<Arc<KeySet>>> {
        if !self.shared.attended.load(Ordering::Acquire) {
            // the keeper has not started, or has ended with its runtime
            self.shared.revive();
        }
        self.shared.current.load()
    }

    /// Asks for newer keys. `None` if there will be no fetch now; else a future that ends with the fetch, after 2 s at the
    /// latest, and may be dropped at any time.
    pub(crate) fn want(&self, want: Want) -> Option<impl Future<Output = ()> + Send + 'static> {
        let mut finished = self.shared.order(want)?;
        Some(async move {
            // an error is the time-out or the end of the cache: either way the wait is over
            let _ = timeout(MAX_WAIT, finished.changed()).await;
        })
    }

    /// Tells whether the last fetch failed, so that what is missing may only be missing here; with how long to wait.
    pub(crate) fn outage(&self) -> Option<Outage> {
        let state = self.shared.state();
        let error = state.last_error.clone()?;
        let wait = state.schedule.next_fetch().map(|next| next.saturating_duration_since(Instant::now()));
        Some(Outage { error, wait: wait.unwrap_or_default() })
    }

    /// Tells whether a fetch is running at this moment.
    pub(crate) fn is_fetching(&self) -> bool {
        self.shared.state().schedule.is_fetching()
    }

    pub(crate) fn status(&self) -> KeysStatus {
        let set = self.shared.current.load_full();
        let state = self.shared.state();
        let set = set.as_deref();
        KeysStatus {
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
        if let Some(keeper) = self.shared.state().keeper.take() {
            keeper.abort();
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.shared.issuer)
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
        // a panic cannot leave the state half changed: each change is one call of `Schedule::on`
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides on a fetch, and makes sure that somebody carries it out.
    fn order(self: &Arc<Self>, want: Want) -> Option<watch::Receiver<()>> {
        let mut state = self.state();
        self.source.as_ref()?;
        let event = match want {
            Want::Any => Event::NoKeys,
            Want::Kid => Event::UnknownKid,
        };
        let finished = self.finished.subscribe();
        match state.schedule.on(event, Instant::now(), jitter()) {
            Decision::Fetch => {}
            Decision::Join => return Some(finished),
            Decision::Drop | Decision::Refuse | Decision::Sleep => return None,
        }
        if self.start_keeper(&mut state) {
            state.ordered = true;
            self.wake.notify_one();
            Some(finished)
        } else {
            state.schedule.on(Event::Failed, Instant::now(), jitter());
            state.last_error = Some("keys cannot be fetched outside a tokio runtime".into());
            None
        }
    }

    /// Drops keys that nobody has watched over for too long, and sets a new keeper to those that are left.
    fn revive(self: &Arc<Self>) {
        let mut state = self.state();
        if self.current.load().is_none() {
            return;
        }
        if state.schedule.on(Event::Lapse, Instant::now(), jitter()) == Decision::Drop {
            self.current.store(None);
        } else {
            self.start_keeper(&mut state);
        }
    }

    fn start_keeper(self: &Arc<Self>, state: &mut State) -> bool {
        if self.attended.load(Ordering::Acquire) {
            return true;
        }
        let Ok(runtime) = Handle::try_current() else { return false };
        let keeper = Keeper { shared: Arc::clone(self) };
        self.attended.store(true, Ordering::Release);
        state.keeper = Some(runtime.spawn(keeper.run()).abort_handle());
        true
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
            let (decision, wake_at) = self.decide();
            match decision {
                Decision::Fetch => {
                    let fetched = timeout(MAX_FETCH, source.fetch()).await;
                    let late = |_| Err(FetchError::message("the key source took longer than 15 s"));
                    self.record(fetched.unwrap_or_else(late).and_then(|fetched| {
                        let set = KeySet::parse(&fetched.document);
                        let set = set.ok_or_else(|| FetchError::message("what was fetched is no JWK Set"))?;
                        Ok((set, fetched.max_age))
                    }));
                }
                Decision::Drop => self.shared.current.store(None),
                Decision::Join | Decision::Refuse | Decision::Sleep => match wake_at {
                    Some(wake_at) => {
                        let _ = timeout(wake_at.saturating_duration_since(Instant::now()), self.shared.wake.notified())
                            .await;
                    }
                    None => self.shared.wake.notified().await,
                },
            }
        }
    }

    fn decide(&self) -> (Decision, Option<Instant>) {
        let mut state = self.shared.state();
        if std::mem::take(&mut state.ordered) {
            return (Decision::Fetch, None);
        }
        let decision = state.schedule.on(Event::Timer, Instant::now(), jitter());
        (decision, state.schedule.wake_at())
    }

    /// Takes over what was fetched, and tells everybody who waits.
    fn record(&self, fetched: Result<(KeySet, Option<Duration>), FetchError>) {
        let mut state = self.shared.state();
        let issuer = &self.shared.issuer;
        match fetched {
            Ok((set, max_age)) => {
                let usable = !set.is_empty();
                let (keys, skipped) = (set.status().len(), set.skipped().len());
                event!(info, "fetched the issuer's keys", issuer = issuer, keys = keys, skipped = skipped);
                state.last_error = (!usable).then(|| "the issuer's set holds no usable key".into());
                self.shared.current.store(Some(Arc::new(set)));
                state.schedule.on(Event::Fetched { max_age, usable }, Instant::now(), jitter());
            }
            Err(error) => {
                let report = error.report();
                event!(warn, "could not fetch the issuer's keys", issuer = issuer, error = report);
                state.last_error = Some(report.into());
                state.schedule.on(Event::Failed, Instant::now(), jitter());
            }
        }
        drop(state);
        self.shared.finished.send_replace(());
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        self.shared.attended.store(false, Ordering::Release);
        state.keeper = None;
        if state.schedule.is_fetching() {
            state.ordered = false;
            state.last_error = Some("the fetch of the issuer's keys was cut short".into());
            state.schedule.on(Event::Failed, Instant::now(), jitter());
        }
        drop(state);
        self.shared.finished.send_replace(());
    }
}

/// What an operator may know of an issuer's keys; see [`ResourceServer::status`](crate::ResourceServer::status).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeysStatus {
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

/// A random number between 0 and 1, good enough to spread load.
fn jitter() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(random >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}
