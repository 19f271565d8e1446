//! Issuers that are not configured: looked up with the resolvers, each by one question at a time, in
//! a task of its own; decided on once, and kept within bounds.

mod decisions;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

pub(super) use self::decisions::undecided;
use self::decisions::{Decisions, not_trusted};
use super::resolver::DynResolver;
use super::trust::FetchTerms;
use super::trust::{Admission, TrustedIssuer};
use crate::error::{ConfigError, Error, ErrorKind};
use crate::issuer::ServerPolicy;
use crate::jwks::{FetchError, IssuerStatus};
use crate::sync::{caught, lock};
use crate::trace::{count, event};

/// Longer identifiers are refused unasked.
const MAX_ISSUER_LEN: usize = 1024;
/// How long resolvers may take.
const MAX_QUESTION: Duration = Duration::from_secs(15);
/// How long a request waits for an answer where there is an earlier decision to go by; at most
/// three quarters of all that it waits for.
const PATIENCE: Duration = Duration::from_millis(1500);
/// When a question that has no answer is asked once more: all are answered before that on a runtime
/// that is driven.
const LATE: Duration = MAX_QUESTION.saturating_add(PATIENCE);
/// So many questions about unknown issuers may be open at once; others wait for their turn.
const MAX_OPEN: usize = 256;
/// How often those issuers are looked for that have to go.
const HOUSEKEEPING: Duration = Duration::from_secs(10 * 60);

/// An issuer on its terms, or why it is not trusted.
type Resolution = Result<Arc<TrustedIssuer>, Error>;

/// Looks issuers up, and knows what was decided on them. Dropping it ends the tasks that ask.
pub(super) struct IssuerLookup {
    asking: Arc<Asking>,
    tasks: Mutex<Tasks>,
    turns: Arc<Semaphore>,
}

#[derive(Default)]
struct Tasks {
    questions: JoinSet<()>,
    housekeeping: Option<AbortHandle>,
}

/// What all questions share.
struct Asking {
    resolvers: Vec<Arc<dyn DynResolver>>,
    fetch_terms: FetchTerms,
    policy: Arc<ServerPolicy>,
    decisions: Decisions,
    open: Mutex<HashMap<Arc<str>, OpenQuestion>>,
}

/// The answer to a question, once it is there.
type Answer = watch::Receiver<Option<Resolution>>;

/// A question that somebody is waiting for.
struct OpenQuestion {
    /// Its turn, if it had to wait for one.
    _turn: Option<OwnedSemaphorePermit>,
    asked: Instant,
    answer: Answer,
}

impl OpenQuestion {
    /// Tells whether it should have been answered long ago: it is on a runtime that is not driven
    /// any more.
    fn is_late(&self) -> bool {
        Instant::now().saturating_duration_since(self.asked) > LATE
    }
}

impl IssuerLookup {
    /// Begins anew, or where a former server has left: with its keys, but not with its decisions.
    /// What another client fetches is of no use here, and ends with the former server.
    pub(super) fn new(
        resolvers: Vec<Arc<dyn DynResolver>>,
        fetch_terms: FetchTerms,
        policy: Arc<ServerPolicy>,
        former: Option<&Self>,
    ) -> Self {
        let former = former.map(|former| &*former.asking);
        let former = former.filter(|former| !resolvers.is_empty() && former.fetch_terms.same_as(&fetch_terms));
        let decisions = Decisions::new(former.map(|former| &former.decisions));
        let asking = Arc::new(Asking { resolvers, fetch_terms, policy, decisions, open: Mutex::default() });
        let turns = Arc::new(Semaphore::new(MAX_OPEN));
        Self { asking, tasks: Mutex::default(), turns }
    }

    pub(super) fn fetch_terms(&self) -> &FetchTerms {
        &self.asking.fetch_terms
    }

    /// Tells whether there is nobody to ask.
    pub(super) fn is_closed(&self) -> bool {
        self.asking.resolvers.is_empty()
    }

    /// Tells what is known, without waiting; `None` if nobody has been asked, or too long ago.
    pub(super) fn find(&self, id: &str) -> Option<Resolution> {
        if id.len() > MAX_ISSUER_LEN || id.contains(char::is_control) {
            return Some(Err(not_trusted()));
        }
        let now = Instant::now();
        let last = self.asking.decisions.last(id, now);
        if let Some(decision) = last.as_ref().filter(|decision| now < decision.until) {
            if decision.due <= now {
                // the answer is for those who come later
                drop(self.ask(&decision.trusted.policy.issuer, None));
            }
            return Some(Ok(Arc::clone(&decision.trusted)));
        }
        if let Some(candidate) = self.asking.decisions.candidates.get(id, now) {
            return Some(Ok(candidate));
        }
        if let Some(error) = self.asking.decisions.refused(id, now) {
            return Some(Err(error));
        }
        match last {
            _ if Handle::try_current().is_ok() => None,
            Some(last) => Some(Ok(last.trusted)),
            None => Some(Err(undecided("issuers cannot be looked up outside a tokio runtime"))),
        }
    }

    /// Asks the resolvers, or waits for the answer that somebody else has asked for; but not long
    /// if an earlier decision is still in force.
    pub(super) async fn resolve(&self, id: &Arc<str>, key_wait: Duration) -> Resolution {
        let Some(last) = self.asking.decisions.last(id, Instant::now()) else {
            // those of unknown issuers take turns, so that a flood of them does not flood whatever
            // the resolvers ask
            let turn = self.turn().await;
            return match self.find(id) {
                Some(resolution) => resolution,
                None => self.ask(id, turn).await,
            };
        };
        match timeout(PATIENCE.min(key_wait.mul_f64(0.75)), self.ask(id, None)).await {
            Ok(answer @ Ok(_)) => answer,
            Ok(Err(error)) if error.kind() != ErrorKind::KeysUnavailable => Err(error),
            Ok(Err(_)) | Err(_) => {
                self.asking.decisions.extend(id, &last, Instant::now());
                self.find(id).unwrap_or_else(|| Err(cut_short()))
            }
        }
    }

    /// Notes that a token of an issuer was verified; the first one makes the issuer a proven one.
    pub(super) fn note_verified(&self, trusted: &Arc<TrustedIssuer>) {
        if trusted.admission.as_ref().is_some_and(Admission::note_verified) {
            trusted.keys.note_verified();
            self.asking.decisions.note_verified(trusted);
        }
    }

    /// Returns the state of the keys of those that are in use, each key set once. Others are left
    /// out: anybody could put them there.
    pub(super) fn status(&self) -> Vec<IssuerStatus> {
        self.asking.decisions.tidy();
        let mut trusted = self.asking.decisions.in_use();
        trusted.sort_by_key(|trusted| Arc::as_ptr(&trusted.keys));
        trusted.dedup_by(|a, b| Arc::ptr_eq(&a.keys, &b.keys));
        trusted.iter().map(|trusted| trusted.keys.status(trusted.max_stale())).collect()
    }

    /// Waits for a turn.
    async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        if self.turns.available_permits() == 0 {
            // those that nobody will answer any more give their turns back
            lock(&self.asking.open).retain(|_, open| !open.is_late());
        }
        Arc::clone(&self.turns).acquire_owned().await.ok()
    }

    /// Asks, if nobody has asked already, and returns how to wait for the answer. That nobody gives
    /// one any more is a failure, and that there is no runtime to ask on.
    fn ask(
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

    fn ask_on(&self, runtime: &Handle, id: &Arc<str>, turn: Option<OwnedSemaphorePermit>) -> Answer {
        let mut tasks = lock(&self.tasks);
        let mut open = lock(&self.asking.open);
        if let Some(open) = open.get(id).filter(|open| !open.is_late()) {
            return open.answer.clone();
        }
        let (sender, answer) = watch::channel(None);
        let asked = Instant::now();
        open.insert(Arc::clone(id), OpenQuestion { _turn: turn, asked, answer: answer.clone() });
        drop(open);
        while tasks.questions.try_join_next().is_some() {}
        let (asking, id) = (Arc::clone(&self.asking), Arc::clone(id));
        let question = Question { asking, id, ours: answer.clone(), answered: false };
        tasks.questions.spawn_on(question.answer(sender), runtime);
        if tasks.housekeeping.as_ref().is_none_or(AbortHandle::is_finished) {
            let asking = Arc::downgrade(&self.asking);
            let housekeeping = async move {
                while let Some(asking) = asking.upgrade() {
                    asking.decisions.tidy();
                    drop(asking);
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
    ours: Answer,
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
            let ours = open.get(&self.id).is_some_and(|open| open.answer.same_channel(&self.ours));
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
                count!("tower_bearer_issuer_decisions_total", "outcome" => "trusted");
                self.decisions.trust(&trusted);
                Ok(trusted)
            }
            Ok(None) => {
                count!("tower_bearer_issuer_decisions_total", "outcome" => "refused");
                self.decisions.refuse(id, not_trusted(), now);
                Err(not_trusted())
            }
            Err(error) => {
                let report = error.report();
                count!("tower_bearer_issuer_decisions_total", "outcome" => "failed");
                event!(warn, "could not decide on an issuer", error = report);
                // as much as is worth remembering
                let error = undecided(report.chars().take(200).collect::<String>());
                self.decisions.fail(id, error.clone(), now);
                Err(error)
            }
        }
    }
}

fn cut_short() -> Error {
    undecided("the decision about the issuer was cut short")
}
