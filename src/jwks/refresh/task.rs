//! The task that fetches an issuer's keys. Only it does, so that there is one fetch in flight at
//! most (but for one that has hung so long that another task has taken over), and a request that is
//! cancelled never cancels one.
//!
//! It starts with the first token that needs the keys, so that nothing is spawned in a constructor
//! or outside a runtime, and ends when the keys are dropped.

use std::mem;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

use super::schedule::{Action, Event, MAX_TTL};
use super::{Shared, State};
use crate::clock::{Moment, after};
use crate::jwks::key_set::KeySet;
use crate::jwks::source::{DynKeySource, FetchError, Fetched, FetchedKeys, Validator};
use crate::sync::jitter;
use crate::trace::{count, event, gauge};

/// How long it sleeps at most: its timer stands still while the machine is suspended, so it looks
/// at the wall clock once in a while.
const MAX_SLEEP: Duration = Duration::from_secs(60);

const CUT_SHORT: &str = "the fetch of the issuer's keys was cut short";

/// Dropped in whatever way the task ends.
struct RefreshTask {
    shared: Arc<Shared>,
    /// Its own, by which it is also told apart from those that came before.
    wake: Arc<Notify>,
}

enum Next {
    /// Another task has taken over.
    End,
    Fetch,
    Sleep(Instant),
}

/// A fetch that was good.
struct News {
    set: Arc<KeySet>,
    document: Option<Arc<[u8]>>,
    max_age: Option<Duration>,
    validator: Option<Validator>,
}

impl Shared {
    /// Starts a task if there is none that can be relied on, and a runtime to start it on.
    pub(super) fn start_task(self: &Arc<Self>, now: Instant) {
        if self.lease.holds(now) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        let now = self.now();
        let (wake, failures) = {
            let mut state = self.state();
            if self.lease.holds(now.instant) {
                return;
            }
            let failures = self.cut_short(&mut state, now);
            self.lease.renew(now.instant);
            state.wake = Arc::default();
            (Arc::clone(&state.wake), failures)
        };
        let task = RefreshTask { shared: Arc::clone(self), wake: Arc::clone(&wake) };
        // without a lock: on a runtime that is shutting down it is dropped at once, and says so
        let abort = runtime.spawn(task.run()).abort_handle();
        let former = {
            let mut state = self.state();
            // another may have taken over already
            if Arc::ptr_eq(&state.wake, &wake) { state.abort.replace(abort) } else { Some(abort) }
        };
        if let Some(former) = former {
            former.abort();
        }
        if let Some(failures) = failures {
            self.tell_failure(CUT_SHORT, failures);
        }
    }

    /// Ends the fetch that a task has begun and will not end itself, and returns how many have
    /// failed then. One that is only ordered is left to the next.
    fn cut_short(&self, state: &mut State, now: Moment) -> Option<u32> {
        let begun = state.schedule.is_fetching() && !state.ordered;
        begun.then(|| self.failed(state, CUT_SHORT, now))
    }

    /// Records that a fetch has failed, and returns how many have in a row.
    fn failed(&self, state: &mut State, report: &str, now: Moment) -> u32 {
        state.last_error = Some(report.into());
        state.schedule.on(Event::Failed, now, jitter());
        self.count_ended();
        state.schedule.failures
    }

    /// Wakes everybody who waits for the fetch that has ended. The lock of `state` must be held, so
    /// that nobody can order the next fetch and take the end of this one for its end.
    fn count_ended(&self) {
        self.ended.send_modify(|ended| *ended = ended.saturating_add(1));
    }

    /// Tells the operator of a failure. No lock may be held: who listens may ask for the status.
    fn tell_failure(&self, report: &str, failures: u32) {
        event!(warn, "could not fetch the issuer's keys", issuer = self.issuer, error = report);
        count!("tower_bearer_key_fetches_total", "issuer" => self.label().to_owned(), "outcome" => "failed");
        self.show_failures(failures);
    }

    fn show_failures(&self, failures: u32) {
        if self.is_configured() {
            gauge!("tower_bearer_key_fetch_failures", failures, "issuer" => self.issuer.to_string());
        }
    }

    fn is_configured(&self) -> bool {
        self.allowance.is_none()
    }

    /// Returns how the issuer is called in metrics, where a name must not come from a token.
    pub(super) fn label(&self) -> &str {
        if self.is_configured() { &self.issuer } else { "found" }
    }
}

impl RefreshTask {
    async fn run(self) {
        let Some(source) = &self.shared.source else { return };
        loop {
            match self.decide() {
                Next::End => return,
                Next::Fetch => {
                    let fetched = self.fetch(&**source).await;
                    self.record(fetched);
                }
                Next::Sleep(wake_at) => {
                    // either end of the sleep is a reason to decide anew
                    let _ = timeout_at(wake_at, self.wake.notified()).await;
                }
            }
        }
    }

    fn decide(&self) -> Next {
        let now = self.shared.now();
        let Some(mut state) = self.state() else { return Next::End };
        let ordered = mem::take(&mut state.ordered);
        if ordered || state.schedule.on(Event::Timer, now, jitter()) == Action::Fetch {
            self.shared.lease.renew(after(now.instant, state.timing.max_fetch()));
            return Next::Fetch;
        }
        // whatever has ended has left a plan; where it is not carried out, an order ends the sleep
        let next = state.schedule.next_fetch().unwrap_or_else(|| after(now.instant, MAX_TTL));
        self.shared.lease.renew(next);
        Next::Sleep(next.min(after(now.instant, MAX_SLEEP)))
    }

    /// Returns the state, unless another task has taken over.
    fn state(&self) -> Option<MutexGuard<'_, State>> {
        let state = self.shared.state();
        Arc::ptr_eq(&state.wake, &self.wake).then_some(state)
    }

    async fn fetch(&self, source: &dyn DynKeySource) -> Result<News, FetchError> {
        let (known, timing) = {
            let state = self.shared.state();
            (state.validator.clone(), state.timing.clone())
        };
        let (within, all_within) = (timing.fetch_timeout, timing.max_fetch());
        let fetched = timeout(all_within, source.fetch(known.clone(), within)).await;
        let late = |_| FetchError::message(format!("the key source took longer than {} s", all_within.as_secs_f64()));
        let fetched = fetched.map_err(late)??;
        let current = self.shared.current.load_full();
        match fetched {
            Fetched::Unchanged { max_age } => {
                let current = current.ok_or_else(|| {
                    FetchError::message("the server says that its keys have not changed, but no keys are in hand")
                })?;
                let (set, document) = (Arc::clone(&current.set), current.document.clone());
                Ok(News { set, document, max_age, validator: known })
            }
            Fetched::Document(FetchedKeys { document, max_age }, validator) => {
                let set = KeySet::parse(&document, current.as_ref().map(|current| &*current.set))
                    .map_err(|found| FetchError::message(format!("what was fetched is {found}")))?;
                if set.keys.is_empty() && self.shared.by_kid().is_none() {
                    // the keys in hand are better than none: an issuer that has no key cannot sign
                    // either
                    let unused = set.unused();
                    return Err(FetchError::message(format!("the issuer's set holds no usable key{unused}")));
                }
                let document = self.shared.is_configured().then(|| document.into());
                Ok(News { set: Arc::new(set), document, max_age, validator })
            }
        }
    }

    /// Takes over what was fetched, and tells everybody who waits; unless another task has taken
    /// over meanwhile.
    fn record(&self, fetched: Result<News, FetchError>) {
        let shared = &self.shared;
        let now = shared.now();
        let Some(mut state) = self.state() else { return };
        let News { set, document, max_age, validator } = match fetched {
            Ok(news) => news,
            Err(error) => {
                let report = error.report();
                let failures = shared.failed(&mut state, &report, now);
                drop(state);
                return shared.tell_failure(&report, failures);
            }
        };
        let (keys, skipped) = (set.keys.len(), set.skipped.len());
        state.validator = validator;
        state.last_error = None;
        state.schedule.on(Event::Fetched { max_age }, now, jitter());
        shared.publish(&mut state, set, document);
        shared.count_ended();
        drop(state);
        event!(info, "fetched the issuer's keys", issuer = shared.issuer, keys = keys, skipped = skipped);
        count!("tower_bearer_key_fetches_total", "issuer" => shared.label().to_owned(), "outcome" => "ok");
        shared.show_failures(0);
    }
}

impl Drop for RefreshTask {
    /// Cleans up, in whatever way the task has ended: a panic of the source, the end of its
    /// runtime, or ours.
    fn drop(&mut self) {
        // a clock that panics once more while a panic is on its way would end the process
        let now = Moment::by_instant();
        let Some(mut state) = self.state() else { return };
        state.ordered = false;
        self.shared.lease.end();
        let failures = self.shared.cut_short(&mut state, now);
        drop(state);
        if let Some(failures) = failures {
            self.shared.tell_failure(CUT_SHORT, failures);
        }
    }
}
