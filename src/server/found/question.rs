//! A question to the resolvers, as a task of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, timeout};

use super::decision::Admission;
use super::known::Known;
use super::{PATIENCE, refused, unavailable};
use crate::error::{ConfigError, Error};
use crate::issuer::ServerPolicy;
use crate::jwks::FetchError;
use crate::server::TrustedIssuer;
use crate::server::client::Client;
use crate::server::keys::prepare;
use crate::server::resolver::DynResolver;
use crate::sync::{caught, lock};
use crate::trace::{count, event};

/// How long resolvers may take.
const MAX_QUESTION: Duration = Duration::from_secs(15);
/// When a question that has no answer is asked once more: all are answered before that on a runtime
/// that is driven.
const LATE: Duration = MAX_QUESTION.saturating_add(PATIENCE);

pub(super) type Answer = Result<Arc<TrustedIssuer>, Error>;

/// What questions are about, and what becomes of them.
pub(super) struct Core {
    pub(super) resolvers: Vec<Arc<dyn DynResolver>>,
    pub(super) client: Client,
    pub(super) policy: Arc<ServerPolicy>,
    pub(super) known: Known,
    pub(super) open: Mutex<HashMap<Arc<str>, Open>>,
}

/// A question that somebody is waiting for.
pub(super) struct Open {
    /// Its turn, if it had to wait for one.
    pub(super) _turn: Option<OwnedSemaphorePermit>,
    pub(super) number: u64,
    pub(super) asked: Instant,
    pub(super) answer: watch::Receiver<Option<Answer>>,
}

impl Open {
    /// Tells whether it should have been answered long ago: it is on a runtime that is not driven
    /// any more.
    pub(super) fn is_late(&self) -> bool {
        Instant::now().saturating_duration_since(self.asked) > LATE
    }
}

/// Dropped in whatever way its task ends.
pub(super) struct Question {
    core: Arc<Core>,
    id: Arc<str>,
    number: u64,
    answered: bool,
}

impl Question {
    pub(super) fn new(core: Arc<Core>, id: Arc<str>, number: u64) -> Self {
        Self { core, id, number, answered: false }
    }

    pub(super) async fn answer(mut self, sender: watch::Sender<Option<Answer>>) {
        let decided = match timeout(MAX_QUESTION, caught(self.core.decide(&self.id))).await {
            Ok(Some(decided)) => decided,
            Ok(None) => Err(FetchError::message("the resolver panicked")),
            Err(_) => Err(FetchError::message("the resolver took longer than 15 s")),
        };
        let answer = self.core.take(&self.id, decided);
        self.answered = true;
        let _ = sender.send(Some(answer));
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        let was_open = {
            let mut open = lock(&self.core.open);
            let ours = open.get(&self.id).is_some_and(|open| open.number == self.number);
            if ours { open.remove(&self.id) } else { None }
        };
        if was_open.is_some() && !self.answered {
            self.core.known.fail(&self.id, cut_short(), Instant::now());
        }
    }
}

impl Core {
    /// Takes over what was decided.
    fn take(&self, id: &Arc<str>, decided: Result<Option<Arc<TrustedIssuer>>, FetchError>) -> Answer {
        let now = Instant::now();
        match decided {
            Ok(Some(trusted)) => {
                count!("tower_bearer_issuer_decisions_total", "result" => "trusted");
                self.known.trust(&trusted);
                Ok(trusted)
            }
            Ok(None) => {
                count!("tower_bearer_issuer_decisions_total", "result" => "refused");
                self.known.refuse(id, refused(), now);
                Err(refused())
            }
            Err(error) => {
                let report = error.report();
                count!("tower_bearer_issuer_decisions_total", "result" => "failed");
                event!(warn, "could not decide on an issuer", error = report);
                // as much as is worth remembering
                let error = unavailable(report.chars().take(200).collect::<String>());
                self.known.fail(id, error.clone(), now);
                Err(error)
            }
        }
    }

    /// Asks one resolver after the other.
    async fn decide(&self, id: &Arc<str>) -> Result<Option<Arc<TrustedIssuer>>, FetchError> {
        for (place, resolver) in self.resolvers.iter().enumerate() {
            let Some(trust) = resolver.resolve(id).await? else { continue };
            let mut problems = ConfigError::default();
            if trust.issuer.id() != &**id {
                problems.push("id", "the resolver names another issuer than it was asked for");
            }
            let known = self.known.proven(id, place);
            let again = known.as_ref().is_some_and(|(_, again)| *again);
            let known = known.as_ref().map(|(trusted, _)| &**trusted);
            let trusted = prepare(trust, &self.policy, &self.client, known, again, &mut problems);
            if let (Some(mut trusted), []) = (trusted, problems.problems()) {
                trusted.verifier.keys.set_timing(self.client.timing());
                trusted.found = Some(Admission::new(self.known.epoch, place));
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

/// Waits for an answer; that nobody gives one any more is a failure.
pub(super) async fn answered(answer: Option<watch::Receiver<Option<Answer>>>) -> Answer {
    let Some(mut answer) = answer else { return Err(cut_short()) };
    let answer = answer.wait_for(Option::is_some).await.map(|answer| answer.clone());
    answer.ok().flatten().unwrap_or_else(|| Err(cut_short()))
}

pub(super) fn cut_short() -> Error {
    unavailable("the decision about the issuer was cut short")
}
