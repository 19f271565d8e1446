//! The task that fetches an issuer's keys. Only it does, so that there is never more than one fetch in flight, and a
//! request that is cancelled never cancels one.

use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

use super::cache::{Shared, Snapshot, State, jitter};
use super::key_set::KeySet;
use super::schedule::{Decision, Event};
use super::source::{DynKeySource, FetchError, Fetched, Validator};
use crate::trace::{count, event, gauge};

/// How long one fetch of any source may take, discovery included.
pub(crate) const MAX_FETCH: Duration = Duration::from_secs(15);

/// Of a set without a usable key, so many are named with the reason.
const MAX_NAMED: usize = 8;

/// Dropped in whatever way the task ends.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    number: u64,
    wake: Arc<Notify>,
}

enum Next {
    /// Another keeper has taken over.
    End,
    Fetch,
    Sleep(Instant),
}

/// A fetch that was good.
enum News {
    Set {
        set: KeySet,
        document: Vec<u8>,
        max_age: Option<Duration>,
        validator: Option<Validator>,
    },
    /// The set in hand is still the issuer's.
    None {
        max_age: Option<Duration>,
    },
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>, number: u64, wake: Arc<Notify>) -> Self {
        Self { shared, number, wake }
    }

    pub(super) async fn run(self) {
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
        let Some(mut state) = self.state() else { return Next::End };
        let now = Instant::now();
        let ordered = std::mem::take(&mut state.ordered);
        if ordered || state.schedule.on(Event::Timer, now, jitter()) == Decision::Fetch {
            self.shared.lease.renew(now.checked_add(MAX_FETCH).unwrap_or(now));
            return Next::Fetch;
        }
        // whatever has ended has left a plan
        let next = state.schedule.next_fetch().unwrap_or(now);
        self.shared.lease.renew(next);
        Next::Sleep(next)
    }

    /// Returns the state, unless another keeper has taken over.
    fn state(&self) -> Option<MutexGuard<'_, State>> {
        let state = self.shared.state();
        (state.keeper == self.number).then_some(state)
    }

    async fn fetch(&self, source: &dyn DynKeySource) -> Result<News, FetchError> {
        let known = self.shared.state().validator.clone();
        let fetched = timeout(MAX_FETCH, source.fetch(known)).await;
        match fetched.map_err(|_| FetchError::message("the key source took longer than 15 s"))?? {
            Fetched::Unchanged { max_age } => Ok(News::None { max_age }),
            Fetched::Document { document, max_age, validator } => {
                let current = self.shared.current.load_full();
                let set = KeySet::parse(&document, current.as_ref().map(|current| &*current.set))
                    .ok_or_else(|| FetchError::message("what was fetched is not a JWK Set of at most 512 KiB"))?;
                if set.is_empty() {
                    // the keys in hand are better than none: an issuer that has no key cannot sign either
                    let why =
                        set.skipped().iter().take(MAX_NAMED).map(|key| format!("; {}: {}", key.index, key.reason));
                    let why = why.collect::<String>();
                    return Err(FetchError::message(format!("the issuer's set holds no usable key{why}")));
                }
                Ok(News::Set { set, document, max_age, validator })
            }
        }
    }

    /// Takes over what was fetched, and tells everybody who waits.
    fn record(&self, fetched: Result<News, FetchError>) {
        match fetched {
            Ok(News::Set { set, document, max_age, validator }) => {
                self.adopt(Arc::new(set), document.into(), max_age, |kept| *kept = validator);
            }
            Ok(News::None { max_age }) => match &*self.shared.current.load() {
                Some(current) => self.adopt(Arc::clone(&current.set), Arc::clone(&current.document), max_age, |_| {}),
                None => self.fail(&FetchError::message("the source says `unchanged`, and there is nothing in hand")),
            },
            Err(error) => self.fail(&error),
        }
    }

    fn adopt(
        &self,
        set: Arc<KeySet>,
        document: Arc<[u8]>,
        max_age: Option<Duration>,
        validator: impl FnOnce(&mut Option<Validator>),
    ) {
        let (issuer, keys, skipped) = (&self.shared.issuer, set.len(), set.skipped().len());
        event!(info, "fetched the issuer's keys", issuer = issuer, keys = keys, skipped = skipped);
        count!("tower_bearer_key_fetches_total", issuer = self.shared.label, result = "ok");
        gauge!("tower_bearer_key_fetch_failures", 0, issuer = self.shared.label);
        let Some(mut state) = self.state() else { return };
        validator(&mut state.validator);
        state.last_error = None;
        state.schedule.on(Event::Fetched { max_age }, Instant::now(), jitter());
        let snapshot =
            Snapshot { set, document, generation: state.next_generation(), fresh_until: state.schedule.fresh_until() };
        self.shared.current.store(Some(Arc::new(snapshot)));
        self.shared.count_ended();
    }

    fn fail(&self, error: &FetchError) {
        let (issuer, report) = (&self.shared.issuer, error.report());
        event!(warn, "could not fetch the issuer's keys", issuer = issuer, error = report);
        let Some(mut state) = self.state() else { return };
        state.last_error = Some(report.into());
        state.schedule.on(Event::Failed, Instant::now(), jitter());
        self.shared.count_ended();
        count!("tower_bearer_key_fetches_total", issuer = self.shared.label, result = "failed");
        gauge!("tower_bearer_key_fetch_failures", state.schedule.failures(), issuer = self.shared.label);
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.keeper_ended(self.number);
    }
}
