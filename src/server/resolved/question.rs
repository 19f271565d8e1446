//! Questions to the resolvers: about each issuer one at a time, each a task of its own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use super::decisions::{Decisions, not_trusted, undecided};
use crate::error::{ConfigError, Error};
use crate::issuer::ServerPolicy;
use crate::jwks::FetchError;
use crate::server::fetch_terms::FetchTerms;
use crate::server::resolver::DynResolver;
use crate::server::trusted_issuer::{Admission, TrustedIssuer};
use crate::sync::{caught, lock};
use crate::trace::{count, event};

/// How long resolvers may take.
const MAX_QUESTION: Duration = Duration::from_secs(15);
/// How long a request waits for an answer where there is an earlier decision to go by; at most
/// three quarters of all that it waits for.
pub(super) const PATIENCE: Duration = Duration::from_millis(1500);
/// When a question that has no answer is asked once more: all are answered before that on a runtime
/// that is driven.
const LATE: Duration = MAX_QUESTION.saturating_add(PATIENCE);
/// So many questions about unknown issuers may be open at once; others wait for their turn.
const MAX_OPEN: usize = 256;
/// How often those issuers are looked for that have to go.
const HOUSEKEEPING: Duration = Duration::from_secs(10 * 60);

/// An issuer on its terms, or why it is not trusted.
pub(in crate::server) type Resolution = Result<Arc<TrustedIssuer>, Error>;

/// Dropping it ends the tasks.
pub(super) struct Questions {
    pub(super) asking: Arc<Asking>,
    tasks: Mutex<Tasks>,
    /// How many have been asked.
    asked: AtomicU64,
    turns: Arc<Semaphore>,
}

#[derive(Default)]
struct Tasks {
    questions: JoinSet<()>,
    housekeeping: Option<AbortHandle>,
}

/// What all questions share.
pub(super) struct Asking {
    pub(super) resolvers: Vec<Arc<dyn DynResolver>>,
    pub(super) fetch_terms: FetchTerms,
    policy: Arc<ServerPolicy>,
    decisions: Arc<Decisions>,
    open: Mutex<HashMap<Arc<str>, OpenQuestion>>,
}

/// A question that somebody is waiting for.
struct OpenQuestion {
    /// Its turn, if it had to wait for one.
    _turn: Option<OwnedSemaphorePermit>,
    number: u64,
    asked: Instant,
    answer: watch::Receiver<Option<Resolution>>,
}

impl OpenQuestion {
    /// Tells whether it should have been answered long ago: it is on a runtime that is not driven
    /// any more.
    fn is_late(&self) -> bool {
        Instant::now().saturating_duration_since(self.asked) > LATE
    }
}

impl Questions {
    pub(super) fn new(
        resolvers: Vec<Arc<dyn DynResolver>>,
        fetch_terms: FetchTerms,
        policy: Arc<ServerPolicy>,
        decisions: Arc<Decisions>,
    ) -> Self {
        let asking = Asking { resolvers, fetch_terms, policy, decisions, open: Mutex::default() };
        let turns = Arc::new(Semaphore::new(MAX_OPEN));
        Self { asking: Arc::new(asking), tasks: Mutex::default(), asked: AtomicU64::new(0), turns }
    }

    /// Waits for a turn.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        if self.turns.available_permits() == 0 {
            // those that nobody will answer any more give their turns back
            lock(&self.asking.open).retain(|_, open| !open.is_late());
        }
        Arc::clone(&self.turns).acquire_owned().await.ok()
    }

    /// Asks, if nobody has asked already, and returns how to wait for the answer. That nobody gives
    /// one any more is a failure, and that there is no runtime to ask on.
    pub(super) fn ask(
        &self,
        id: &Arc<str>,
        turn: Option<OwnedSemaphorePermit>,
    ) -> impl Future<Output = Resolution> + Send + use<> {
        let answer = Handle::try_current().ok().map(|runtime| self.ask_on(&runtime, id, turn));
        async move {
            let Some(mut answer) = answer else { return Err(cut_short()) };
            let answer = answer.wait_for(Option::is_some).await.map(|answer| answer.clone());
            answer.ok().flatten().unwrap_or_else(|| Err(cut_short()))
        }
    }

    fn ask_on(
        &self,
        runtime: &Handle,
        id: &Arc<str>,
        turn: Option<OwnedSemaphorePermit>,
    ) -> watch::Receiver<Option<Resolution>> {
        let mut tasks = lock(&self.tasks);
        let mut open = lock(&self.asking.open);
        if let Some(open) = open.get(id).filter(|open| !open.is_late()) {
            return open.answer.clone();
        }
        let (sender, answer) = watch::channel(None);
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let question = OpenQuestion { _turn: turn, number, asked: Instant::now(), answer: answer.clone() };
        open.insert(Arc::clone(id), question);
        drop(open);
        while tasks.questions.try_join_next().is_some() {}
        let question = Question { asking: Arc::clone(&self.asking), id: Arc::clone(id), number, answered: false };
        tasks.questions.spawn_on(question.answer(sender), runtime);
        if tasks.housekeeping.as_ref().is_none_or(AbortHandle::is_finished) {
            let decisions = Arc::downgrade(&self.asking.decisions);
            let housekeeping = async move {
                while let Some(decisions) = decisions.upgrade() {
                    decisions.tidy();
                    drop(decisions);
                    sleep(HOUSEKEEPING).await;
                }
            };
            tasks.housekeeping = Some(tasks.questions.spawn_on(housekeeping, runtime));
        }
        answer
    }
}

/// The task of a question. Dropped in whatever way that ends.
struct Question {
    asking: Arc<Asking>,
    id: Arc<str>,
    number: u64,
    answered: bool,
}

impl Question {
    async fn answer(mut self, sender: watch::Sender<Option<Resolution>>) {
        let decided = match timeout(MAX_QUESTION, caught(self.asking.decide(&self.id))).await {
            Ok(Some(decided)) => decided,
            Ok(None) => Err(FetchError::message("the resolver panicked")),
            Err(_) => Err(FetchError::message("the resolver took longer than 15 s")),
        };
        let answer = self.asking.record(&self.id, decided);
        self.answered = true;
        let _ = sender.send(Some(answer));
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        let was_open = {
            let mut open = lock(&self.asking.open);
            let ours = open.get(&self.id).is_some_and(|open| open.number == self.number);
            if ours { open.remove(&self.id) } else { None }
        };
        if was_open.is_some() && !self.answered {
            self.asking.decisions.fail(&self.id, cut_short(), Instant::now());
        }
    }
}

impl Asking {
    /// Asks one resolver after the other.
    async fn decide(&self, id: &Arc<str>) -> Result<Option<Arc<TrustedIssuer>>, FetchError> {
        for (place, resolver) in self.resolvers.iter().enumerate() {
            let Some(trust) = resolver.resolve(id).await? else { continue };
            let mut problems = ConfigError::default();
            if trust.issuer.id() != &**id {
                problems.push("id", "the resolver names another issuer than it was asked for");
            }
            let (known, again) = self.decisions.proven(id, place).unzip();
            let trusted = trust.prepare(&self.policy, &self.fetch_terms, known.as_deref(), &mut problems);
            if let (Some(mut trusted), []) = (trusted, problems.problems()) {
                // a resolver that makes a source for each decision does not lose the keys each time
                if let Some(known) = known.filter(|known| again == Some(true) && known.over_http.is_none())
                    && trusted.over_http.is_none()
                {
                    trusted.keys.inherit(&known.keys);
                }
                trusted.keys.set_timing(&self.fetch_terms.timing);
                trusted.admission = Some(Admission::new(self.decisions.epoch, place));
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

    /// Takes over what was decided.
    fn record(&self, id: &Arc<str>, decided: Result<Option<Arc<TrustedIssuer>>, FetchError>) -> Resolution {
        let now = Instant::now();
        match decided {
            Ok(Some(trusted)) => {
                count!("tower_bearer_issuer_decisions_total", "result" => "trusted");
                self.decisions.trust(&trusted);
                Ok(trusted)
            }
            Ok(None) => {
                count!("tower_bearer_issuer_decisions_total", "result" => "refused");
                self.decisions.refuse(id, not_trusted(), now);
                Err(not_trusted())
            }
            Err(error) => {
                let report = error.report();
                count!("tower_bearer_issuer_decisions_total", "result" => "failed");
                event!(warn, "could not decide on an issuer", error = report);
                // as much as is worth remembering
                let error = undecided(report.chars().take(200).collect::<String>());
                self.decisions.fail(id, error.clone(), now);
                Err(error)
            }
        }
    }
}

pub(super) fn cut_short() -> Error {
    undecided("the decision about the issuer was cut short")
}
