//! Issuers that are found at run time: decided on once, kept within bounds.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::Trusted;
use super::client::Client;
use super::keys::prepare;
use super::resolver::DynResolver;
use crate::error::{ConfigError, Error, ErrorKind};
use crate::issuer::ServerPolicy;
use crate::jwks::{FetchError, IssuerStatus, MAX_FETCH};
use crate::trace::{count, event};

/// So many trusted issuers are kept; when there are more, the one that was used longest ago goes. Only the resolvers let issuers in here.
const MAX_TRUSTED: u64 = 10_000;
/// One that is not used for so long goes too, and with it the task that keeps its keys.
const IDLE: Duration = Duration::from_secs(60 * 60);
/// How long a decision holds. In the last fifth of it, a token makes the resolvers be asked again, and waits for nothing.
const DECIDED: Duration = Duration::from_secs(5 * 60);
/// How long it holds on beyond that while the resolvers cannot decide.
const MAX_STALE: Duration = Duration::from_secs(60 * 60);
/// When they are asked again after that.
const RETRY: Duration = Duration::from_secs(10);
/// How long a refusal holds.
const REFUSED: Duration = Duration::from_secs(60);
/// Refused identifiers are remembered up to so many bytes.
const MAX_REFUSED: u64 = 1024 * 1024;
/// Longer identifiers are refused unasked.
const MAX_ISSUER_LEN: usize = 1024;
/// So many questions may be open at once.
const MAX_OPEN: usize = 256;

/// What is known of an issuer.
pub(super) enum Found {
    Trusted(Arc<Trusted>),
    Refused,
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
    tasks: Mutex<JoinSet<()>>,
}

struct Core {
    resolvers: Vec<Arc<dyn DynResolver>>,
    client: Client,
    policy: Arc<ServerPolicy>,
    trusted: Cache<Arc<str>, Decision>,
    /// Those of the server before a reload: their keys are kept.
    former: Option<Cache<Arc<str>, Decision>>,
    refused: Cache<Arc<str>, Instant>,
    open: Mutex<HashMap<Arc<str>, watch::Receiver<Option<Answer>>>>,
}

#[derive(Clone)]
struct Decision {
    trusted: Arc<Trusted>,
    /// When the resolvers said so.
    made: Instant,
    /// When to ask again.
    due: Instant,
    until: Instant,
}

impl Decision {
    fn new(trusted: Arc<Trusted>, made: Instant, now: Instant, hold: Duration) -> Self {
        let after = |wait| now.checked_add(wait).unwrap_or(now);
        Self { trusted, made, due: after(hold.mul_f64(0.8)), until: after(hold) }
    }
}

impl FoundIssuers {
    pub(super) fn new(
        resolvers: Vec<Arc<dyn DynResolver>>,
        client: Client,
        policy: Arc<ServerPolicy>,
        former: Option<&Self>,
    ) -> Self {
        let trusted = Cache::builder().max_capacity(MAX_TRUSTED).time_to_idle(IDLE);
        let weight = |id: &Arc<str>, _: &Instant| u32::try_from(id.len()).unwrap_or(u32::MAX).saturating_add(64);
        let core = Core {
            resolvers,
            client,
            policy,
            trusted: trusted.eviction_policy(EvictionPolicy::lru()).build(),
            former: former.map(|former| former.core.trusted.clone()),
            refused: Cache::builder().max_capacity(MAX_REFUSED).weigher(weight).build(),
            open: Mutex::default(),
        };
        Self { core: Arc::new(core), tasks: Mutex::default() }
    }

    /// Tells whether there is nobody to ask.
    pub(super) fn is_closed(&self) -> bool {
        self.core.resolvers.is_empty()
    }

    /// Tells what is known, without asking.
    pub(super) fn find(&self, id: &str) -> Found {
        if id.len() > MAX_ISSUER_LEN || id.contains(char::is_control) {
            return Found::Refused;
        }
        let now = Instant::now();
        if let Some(decision) = self.core.trusted.get(id).filter(|decision| now < decision.until) {
            if decision.due <= now {
                // the answer is for those who come later
                let _ = self.question(&decision.trusted.policy.issuer);
            }
            return Found::Trusted(decision.trusted);
        }
        match self.core.refused.get(id) {
            Some(refused) if now.saturating_duration_since(refused) < REFUSED => Found::Refused,
            _ => Found::Unknown,
        }
    }

    /// Asks the resolvers, or waits for the answer that somebody else has asked for.
    pub(super) async fn ask(&self, id: &Arc<str>) -> Answer {
        let mut answer = self.question(id)?;
        let answer = answer.wait_for(Option::is_some).await.map(|answer| answer.clone());
        answer.ok().flatten().unwrap_or_else(|| Err(unavailable("the decision about the issuer was cut short")))
    }

    fn question(&self, id: &Arc<str>) -> Result<watch::Receiver<Option<Answer>>, Error> {
        let Ok(runtime) = Handle::try_current() else {
            return Err(unavailable("issuers cannot be looked up outside a tokio runtime"));
        };
        let mut tasks = lock(&self.tasks);
        let mut open = lock(&self.core.open);
        if let Some(answer) = open.get(id) {
            return Ok(answer.clone());
        }
        if open.len() >= MAX_OPEN {
            return Err(unavailable("too many issuers are being looked up"));
        }
        let (sender, answer) = watch::channel(None);
        open.insert(Arc::clone(id), answer.clone());
        drop(open);
        while tasks.try_join_next().is_some() {}
        let question = Question { core: Arc::clone(&self.core), id: Arc::clone(id) };
        tasks.spawn_on(
            async move {
                let answer = question.answer().await;
                let _ = sender.send(Some(answer));
            },
            &runtime,
        );
        Ok(answer)
    }

    /// Returns the state of the keys of those that are trusted, each key set once.
    pub(super) fn status(&self) -> Vec<IssuerStatus> {
        self.core.trusted.run_pending_tasks();
        let mut keys: Vec<_> =
            self.core.trusted.iter().map(|(_, decision)| Arc::clone(&decision.trusted.keys)).collect();
        keys.sort_by_key(Arc::as_ptr);
        keys.dedup_by(|a, b| Arc::ptr_eq(a, b));
        keys.iter().map(|keys| keys.status()).collect()
    }
}

/// A task that asks. Dropped in whatever way it ends.
struct Question {
    core: Arc<Core>,
    id: Arc<str>,
}

impl Question {
    async fn answer(&self) -> Answer {
        let (core, id) = (&*self.core, &self.id);
        let decided = timeout(MAX_FETCH, core.decide(id)).await;
        let decided = decided.unwrap_or_else(|_| Err(FetchError::message("the resolver took longer than 15 s")));
        let now = Instant::now();
        match decided {
            Ok(Some(trusted)) => {
                count!("tower_bearer_issuer_decisions_total", result = "trusted");
                core.trusted.insert(Arc::clone(id), Decision::new(Arc::clone(&trusted), now, now, DECIDED));
                Ok(trusted)
            }
            Ok(None) => {
                count!("tower_bearer_issuer_decisions_total", result = "refused");
                core.trusted.invalidate(id);
                core.refused.insert(Arc::clone(id), now);
                Err(refused())
            }
            Err(error) => {
                let report = error.report();
                count!("tower_bearer_issuer_decisions_total", result = "failed");
                event!(warn, "could not decide on an issuer", error = report);
                match core.trusted.get(id).filter(|last| now.saturating_duration_since(last.made) < MAX_STALE) {
                    Some(last) => {
                        let again = Decision::new(Arc::clone(&last.trusted), last.made, now, RETRY);
                        core.trusted.insert(Arc::clone(id), again);
                        Ok(last.trusted)
                    }
                    None => Err(unavailable(report)),
                }
            }
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        lock(&self.core.open).remove(&self.id);
    }
}

impl Core {
    /// Asks one resolver after the other.
    async fn decide(&self, id: &Arc<str>) -> Result<Option<Arc<Trusted>>, FetchError> {
        for resolver in &self.resolvers {
            let Some(trust) = resolver.resolve(id).await? else { continue };
            let mut problems = ConfigError::default();
            if trust.issuer.id() != &**id {
                problems.push("id", "the resolver names another issuer than it was asked for");
            }
            let known = |decisions: &Cache<Arc<str>, Decision>| decisions.get(id).map(|decision| decision.trusted);
            let known = known(&self.trusted).or_else(|| self.former.as_ref().and_then(known));
            let trusted = prepare(trust, &self.policy, &self.client, known.as_deref(), &mut problems);
            if let (Some(trusted), []) = (trusted, problems.problems()) {
                trusted.keys.set_max_stale(trusted.max_stale);
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
pub(super) fn refused() -> Error {
    Error::new(ErrorKind::UnknownIssuer, "iss names none of the trusted issuers, and no resolver trusts it")
}

/// The answer where nobody can say whether the issuer is trusted.
pub(super) fn unavailable(detail: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::KeysUnavailable, detail).with_retry_after(RETRY)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for FoundIssuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FoundIssuers({})", self.core.trusted.entry_count())
    }
}
