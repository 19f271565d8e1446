//! Issuers that are found at run time: decided on once, kept within bounds.

mod decision;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moka::Entry;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use self::decision::{Decision, RETRY};
use super::Trusted;
use super::client::Client;
use super::keys::prepare;
use super::resolver::DynResolver;
use crate::error::{ConfigError, Error, ErrorKind};
use crate::issuer::ServerPolicy;
use crate::jwks::{FetchError, IssuerStatus};
use crate::sync::{after, lock};
use crate::trace::{count, event};

/// So many trusted issuers are kept; when there are more, the one that was used longest ago goes. Only the resolvers let issuers in here.
const MAX_TRUSTED: u64 = 10_000;
/// One that is not used for so long goes too, and with it the task that keeps its keys.
const IDLE: Duration = Duration::from_secs(60 * 60);
/// How often those that have to go are looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(10 * 60);
/// How long resolvers may take.
const MAX_QUESTION: Duration = Duration::from_secs(15);
/// How long a request waits for an answer where there is an earlier decision to go by; at most three quarters of all that it waits for.
const PATIENCE: Duration = Duration::from_millis(1500);
/// When a question that has no answer is asked once more: all are answered before that on a runtime that is driven.
const LATE: Duration = MAX_QUESTION.saturating_add(PATIENCE);
/// How long a refusal holds.
const REFUSED: Duration = Duration::from_secs(60);
/// How long the same question is not asked again after a failure.
const FAILED: Duration = Duration::from_secs(1);
/// Identifiers that were refused, or could not be decided on, are remembered up to so many bytes.
const MAX_REFUSED: u64 = 1024 * 1024;
/// What one takes beside its text: the map's own bookkeeping and the error.
const NO: u32 = 384;
/// Longer identifiers are refused unasked.
const MAX_ISSUER_LEN: usize = 1024;
/// So many questions about unknown issuers may be open at once; others wait for their turn.
const MAX_OPEN: usize = 256;

static EPOCHS: AtomicU64 = AtomicU64::new(0);

/// What is known of an issuer.
pub(super) enum Found {
    Trusted(Arc<Trusted>),
    Refused(Error),
    /// Nobody has been asked, or too long ago.
    Unknown,
}

impl Found {
    pub(super) fn trusted(self) -> Option<Arc<Trusted>> {
        if let Self::Trusted(trusted) = self { Some(trusted) } else { None }
    }
}

type Answer = Result<Arc<Trusted>, Error>;

/// The issuers that the resolvers have decided on. Dropping it ends the tasks that ask.
pub(super) struct FoundIssuers {
    core: Arc<Core>,
    tasks: Mutex<Tasks>,
}

#[derive(Default)]
struct Tasks {
    questions: JoinSet<()>,
    housekeeping: Option<AbortHandle>,
}

struct Core {
    resolvers: Vec<Arc<dyn DynResolver>>,
    client: Client,
    policy: Arc<ServerPolicy>,
    /// Each server and each reload has its own: decisions of former resolvers count for nothing, but the keys are kept.
    epoch: u64,
    trusted: Cache<Arc<str>, Decision>,
    refused: Cache<Arc<str>, No>,
    open: Mutex<HashMap<Arc<str>, Open>>,
    /// How many questions have been asked.
    asked: AtomicU64,
    turns: Arc<Semaphore>,
}

/// An identifier that is not trusted, or not decided on, for a while.
#[derive(Clone)]
struct No {
    error: Error,
    until: Instant,
}

/// A question that somebody is waiting for.
struct Open {
    /// Its turn, if it had to wait for one.
    _turn: Option<OwnedSemaphorePermit>,
    number: u64,
    asked: Instant,
    answer: watch::Receiver<Option<Answer>>,
}

impl Open {
    /// Tells whether it should have been answered long ago: it is on a runtime that is not driven any more.
    fn is_late(&self) -> bool {
        Instant::now().saturating_duration_since(self.asked) > LATE
    }
}

impl FoundIssuers {
    /// Begins anew, or where a former server has left: with its keys, but not with its decisions.
    pub(super) fn new(
        resolvers: Vec<Arc<dyn DynResolver>>,
        client: Client,
        policy: Arc<ServerPolicy>,
        former: Option<&Self>,
    ) -> Self {
        let weight = |id: &Arc<str>, _: &No| u32::try_from(id.len()).unwrap_or(u32::MAX).saturating_add(NO);
        let trusted = || {
            let trusted = Cache::builder().max_capacity(MAX_TRUSTED).time_to_idle(IDLE);
            trusted.eviction_policy(EvictionPolicy::lru()).build()
        };
        let former = former.filter(|_| !resolvers.is_empty());
        let core = Core {
            resolvers,
            client,
            policy,
            epoch: EPOCHS.fetch_add(1, Ordering::Relaxed),
            trusted: former.map_or_else(trusted, |former| former.core.trusted.clone()),
            refused: Cache::builder().max_capacity(MAX_REFUSED).weigher(weight).build(),
            open: Mutex::default(),
            asked: AtomicU64::new(0),
            turns: Arc::new(Semaphore::new(MAX_OPEN)),
        };
        Self { core: Arc::new(core), tasks: Mutex::default() }
    }

    pub(super) fn client(&self) -> &Client {
        &self.core.client
    }

    /// Tells whether there is nobody to ask.
    pub(super) fn is_closed(&self) -> bool {
        self.core.resolvers.is_empty()
    }

    /// Tells what is known, without waiting.
    pub(super) fn find(&self, id: &str) -> Found {
        if id.len() > MAX_ISSUER_LEN || id.contains(char::is_control) {
            return Found::Refused(refused());
        }
        let now = Instant::now();
        let last = self.core.last(id, now);
        if let Some(decision) = last.as_ref().filter(|decision| now < decision.until) {
            if decision.due <= now {
                // the answer is for those who come later
                let _ = self.question(&decision.trusted.policy.issuer, None);
            }
            return Found::Trusted(Arc::clone(&decision.trusted));
        }
        if let Some(no) = self.core.refused.get(id).filter(|no| now < no.until) {
            return Found::Refused(no.error);
        }
        match last {
            _ if Handle::try_current().is_ok() => Found::Unknown,
            Some(last) => Found::Trusted(last.trusted),
            None => Found::Refused(unavailable("issuers cannot be looked up outside a tokio runtime")),
        }
    }

    /// Asks the resolvers, or waits for the answer that somebody else has asked for; but not long if an earlier decision can be gone by.
    pub(super) async fn ask(&self, id: &Arc<str>, key_wait: Duration) -> Answer {
        let Some(last) = self.core.last(id, Instant::now()) else {
            // those of unknown issuers take turns, so that a flood of them does not flood whatever the resolvers ask
            if self.core.turns.available_permits() == 0 {
                // those that nobody will answer any more give their turns back
                lock(&self.core.open).retain(|_, open| !open.is_late());
            }
            let turn = Arc::clone(&self.core.turns).acquire_owned().await.ok();
            match self.find(id) {
                Found::Trusted(trusted) => return Ok(trusted),
                Found::Refused(error) => return Err(error),
                Found::Unknown => {}
            }
            return answered(self.question(id, turn)).await;
        };
        match timeout(PATIENCE.min(key_wait.mul_f64(0.75)), answered(self.question(id, None))).await {
            Ok(answer @ Ok(_)) => answer,
            Ok(Err(error)) if error.kind() != ErrorKind::KeysUnavailable => Err(error),
            Ok(Err(_)) | Err(_) => {
                self.core.extend(id, &last, Instant::now());
                match self.find(id) {
                    Found::Trusted(trusted) => Ok(trusted),
                    Found::Refused(error) => Err(error),
                    Found::Unknown => Err(unavailable("the decision about the issuer was cut short")),
                }
            }
        }
    }

    /// Asks, if nobody has asked already. `None` if there is no runtime to ask on.
    fn question(&self, id: &Arc<str>, turn: Option<OwnedSemaphorePermit>) -> Option<watch::Receiver<Option<Answer>>> {
        let runtime = Handle::try_current().ok()?;
        let mut tasks = lock(&self.tasks);
        let mut open = lock(&self.core.open);
        if let Some(open) = open.get(id).filter(|open| !open.is_late()) {
            return Some(open.answer.clone());
        }
        let (sender, answer) = watch::channel(None);
        let number = self.core.asked.fetch_add(1, Ordering::Relaxed);
        open.insert(Arc::clone(id), Open { _turn: turn, number, asked: Instant::now(), answer: answer.clone() });
        drop(open);
        while tasks.questions.try_join_next().is_some() {}
        let question = Question { core: Arc::clone(&self.core), id: Arc::clone(id), number };
        let asking = async move {
            let answer = question.answer().await;
            let _ = sender.send(Some(answer));
        };
        tasks.questions.spawn_on(asking, &runtime);
        if tasks.housekeeping.as_ref().is_none_or(AbortHandle::is_finished) {
            let core = Arc::downgrade(&self.core);
            let housekeeping = async move {
                while let Some(core) = core.upgrade() {
                    core.trusted.run_pending_tasks();
                    drop(core);
                    sleep(HOUSEKEEPING).await;
                }
            };
            tasks.housekeeping = Some(tasks.questions.spawn_on(housekeeping, &runtime));
        }
        Some(answer)
    }

    /// Returns the state of the keys of those that are trusted, each key set once.
    pub(super) fn status(&self) -> Vec<IssuerStatus> {
        self.core.trusted.run_pending_tasks();
        let current = self.core.trusted.iter().filter(|(_, decision)| decision.epoch == self.core.epoch);
        let mut trusted: Vec<_> = current.map(|(_, decision)| decision.trusted).collect();
        trusted.sort_by_key(|trusted| Arc::as_ptr(&trusted.keys));
        trusted.dedup_by(|a, b| Arc::ptr_eq(&a.keys, &b.keys));
        trusted.iter().map(|trusted| trusted.status()).collect()
    }
}

/// Waits for an answer; that nobody gives one any more is a failure.
async fn answered(answer: Option<watch::Receiver<Option<Answer>>>) -> Answer {
    let cut_short = || Err(unavailable("the decision about the issuer was cut short"));
    let Some(mut answer) = answer else { return cut_short() };
    let answer = answer.wait_for(Option::is_some).await.map(|answer| answer.clone());
    answer.ok().flatten().unwrap_or_else(cut_short)
}

/// A task that asks. Dropped in whatever way it ends.
struct Question {
    core: Arc<Core>,
    id: Arc<str>,
    number: u64,
}

impl Question {
    async fn answer(&self) -> Answer {
        let (core, id) = (&*self.core, &self.id);
        let decided = timeout(MAX_QUESTION, core.decide(id)).await;
        let decided = decided.unwrap_or_else(|_| Err(FetchError::message("the resolver took longer than 15 s")));
        let now = Instant::now();
        match decided {
            Ok(Some(trusted)) => {
                count!("tower_bearer_issuer_decisions_total", "result" => "trusted");
                core.trusted.insert(Arc::clone(id), Decision::new(Arc::clone(&trusted), core.epoch, now));
                Ok(trusted)
            }
            Ok(None) => {
                count!("tower_bearer_issuer_decisions_total", "result" => "refused");
                core.trusted.invalidate(id);
                core.refused.insert(Arc::clone(id), No { error: refused(), until: after(now, REFUSED) });
                Err(refused())
            }
            Err(error) => {
                let report = error.report();
                count!("tower_bearer_issuer_decisions_total", "result" => "failed");
                event!(warn, "could not decide on an issuer", error = report);
                // as much as is worth remembering
                let error = unavailable(report.chars().take(200).collect::<String>());
                match core.last(id, now) {
                    Some(last) => core.extend(id, &last, now),
                    None => {
                        let no = No { error: error.clone(), until: after(now, FAILED) };
                        core.refused.insert(Arc::clone(id), no);
                    }
                }
                Err(error)
            }
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        let mut open = lock(&self.core.open);
        if open.get(&self.id).is_some_and(|open| open.number == self.number) {
            open.remove(&self.id);
        }
    }
}

impl Core {
    /// Returns the last decision to trust an issuer, if it may be gone by.
    fn last(&self, id: &str, now: Instant) -> Option<Decision> {
        self.trusted.get(id).filter(|last| last.epoch == self.epoch && !last.is_stale(now))
    }

    /// Goes by a decision for longer, unless there is another by now.
    fn extend(&self, id: &Arc<str>, last: &Decision, now: Instant) {
        let entry = self.trusted.entry(Arc::clone(id));
        entry.and_compute_with(|entry| match entry.map(Entry::into_value) {
            Some(decision) if decision.made == last.made => Op::Put(decision.extended(now)),
            _ => Op::Nop,
        });
    }

    /// Asks one resolver after the other.
    async fn decide(&self, id: &Arc<str>) -> Result<Option<Arc<Trusted>>, FetchError> {
        for resolver in &self.resolvers {
            let Some(trust) = resolver.resolve(id).await? else { continue };
            let mut problems = ConfigError::default();
            if trust.issuer.id() != &**id {
                problems.push("id", "the resolver names another issuer than it was asked for");
            }
            let known = self.trusted.get(id);
            let again = known.as_ref().is_some_and(|decision| decision.epoch == self.epoch);
            let known = known.as_ref().map(|decision| &*decision.trusted);
            let trusted = prepare(trust, &self.policy, &self.client, known, again, &mut problems);
            if let (Some(trusted), []) = (trusted, problems.problems()) {
                trusted.keys.change(self.client.upkeep());
                return Ok(Some(Arc::new(trusted)));
            }
            // their paths are left out: they repeat the token's `iss`
            let wrong: Vec<_> = problems.problems().iter().map(|problem| problem.message()).collect();
            let wrong = wrong.join("; ");
            event!(error, "a resolver trusts an issuer on terms that cannot be met", error = wrong);
            return Ok(None);
        }
        Ok(None)
    }
}

/// The answer to a token of an issuer that nobody trusts.
fn refused() -> Error {
    Error::new(ErrorKind::UnknownIssuer, "iss names none of the trusted issuers, and no resolver trusts it")
}

/// The answer where nobody can say whether the issuer is trusted.
pub(super) fn unavailable(detail: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::KeysUnavailable, detail).with_retry_after(RETRY)
}

impl fmt::Debug for FoundIssuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FoundIssuers({})", self.core.trusted.entry_count())
    }
}
