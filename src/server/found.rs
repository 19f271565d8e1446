//! Issuers that are found at run time: decided on once, kept within bounds.

mod candidates;
mod decision;
mod known;
mod question;

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

pub(super) use self::decision::Admission;
use self::decision::RETRY;
use self::known::Known;
use self::question::{Answer, Core, Open, Question, answered, cut_short};
use super::TrustedIssuer;
use super::client::Client;
use super::resolver::DynResolver;
use crate::error::{Error, ErrorKind};
use crate::issuer::ServerPolicy;
use crate::jwks::IssuerStatus;
use crate::sync::lock;

/// How often those that have to go are looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(10 * 60);
/// How long a request waits for an answer where there is an earlier decision to go by; at most
/// three quarters of all that it waits for.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Longer identifiers are refused unasked.
const MAX_ISSUER_LEN: usize = 1024;
/// So many questions about unknown issuers may be open at once; others wait for their turn.
const MAX_OPEN: usize = 256;

/// What is known of an issuer.
pub(super) enum Found {
    Trusted(Arc<TrustedIssuer>),
    Refused(Error),
    /// Nobody has been asked, or too long ago.
    Unknown,
}

impl Found {
    pub(super) fn trusted(self) -> Option<Arc<TrustedIssuer>> {
        if let Self::Trusted(trusted) = self { Some(trusted) } else { None }
    }
}

/// The issuers that the resolvers have decided on. Dropping it ends the tasks that ask.
pub(super) struct FoundIssuers {
    core: Arc<Core>,
    tasks: Mutex<Tasks>,
    /// How many questions have been asked.
    asked: AtomicU64,
    turns: Arc<Semaphore>,
}

#[derive(Default)]
struct Tasks {
    questions: JoinSet<()>,
    housekeeping: Option<AbortHandle>,
}

impl FoundIssuers {
    /// Begins anew, or where a former server has left: with its keys, but not with its decisions. What another client fetches is
    /// of no use here, and ends with the former server.
    pub(super) fn new(
        resolvers: Vec<Arc<dyn DynResolver>>,
        client: Client,
        policy: Arc<ServerPolicy>,
        former: Option<&Self>,
    ) -> Self {
        let former = former.filter(|former| !resolvers.is_empty() && former.client().is(&client));
        let known = Known::new(former.map(|former| &former.core.known));
        let core = Core { resolvers, client, policy, known, open: Mutex::default() };
        let turns = Arc::new(Semaphore::new(MAX_OPEN));
        Self { core: Arc::new(core), tasks: Mutex::default(), asked: AtomicU64::new(0), turns }
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
        let known = &self.core.known;
        let last = known.last(id, now);
        if let Some(decision) = last.as_ref().filter(|decision| now < decision.until) {
            if decision.due <= now {
                // the answer is for those who come later
                let _ = self.question(&decision.trusted.policy.issuer, None);
            }
            return Found::Trusted(Arc::clone(&decision.trusted));
        }
        if let Some(candidate) = known.candidate(id, now) {
            return Found::Trusted(candidate);
        }
        if let Some(error) = known.no(id, now) {
            return Found::Refused(error);
        }
        match last {
            _ if Handle::try_current().is_ok() => Found::Unknown,
            Some(last) => Found::Trusted(last.trusted),
            None => Found::Refused(unavailable("issuers cannot be looked up outside a tokio runtime")),
        }
    }

    /// Asks the resolvers, or waits for the answer that somebody else has asked for; but not long
    /// if an earlier decision is still in force.
    pub(super) async fn ask(&self, id: &Arc<str>, key_wait: Duration) -> Answer {
        let Some(last) = self.core.known.last(id, Instant::now()) else {
            // those of unknown issuers take turns, so that a flood of them does not flood whatever the resolvers ask
            if self.turns.available_permits() == 0 {
                // those that nobody will answer any more give their turns back
                lock(&self.core.open).retain(|_, open| !open.is_late());
            }
            let turn = Arc::clone(&self.turns).acquire_owned().await.ok();
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
                self.core.known.extend(id, &last, Instant::now());
                match self.find(id) {
                    Found::Trusted(trusted) => Ok(trusted),
                    Found::Refused(error) => Err(error),
                    Found::Unknown => Err(cut_short()),
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
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        open.insert(Arc::clone(id), Open { _turn: turn, number, asked: Instant::now(), answer: answer.clone() });
        drop(open);
        while tasks.questions.try_join_next().is_some() {}
        let question = Question::new(Arc::clone(&self.core), Arc::clone(id), number);
        tasks.questions.spawn_on(question.answer(sender), &runtime);
        if tasks.housekeeping.as_ref().is_none_or(AbortHandle::is_finished) {
            let core = Arc::downgrade(&self.core);
            let housekeeping = async move {
                while let Some(core) = core.upgrade() {
                    core.known.tidy();
                    drop(core);
                    sleep(HOUSEKEEPING).await;
                }
            };
            tasks.housekeeping = Some(tasks.questions.spawn_on(housekeeping, &runtime));
        }
        Some(answer)
    }

    /// Takes it that a token of an issuer was verified, which changes something the first time.
    pub(super) fn prove(&self, trusted: &Arc<TrustedIssuer>) {
        if trusted.found.as_ref().is_some_and(Admission::prove) {
            trusted.verifier.keys.prove();
            self.core.known.prove(trusted);
        }
    }

    /// Returns the state of the keys of those that are in use, each key set once. Others are left
    /// out: anybody could put them there.
    pub(super) fn status(&self) -> Vec<IssuerStatus> {
        self.core.known.tidy();
        let mut trusted = self.core.known.in_use();
        trusted.sort_by_key(|trusted| Arc::as_ptr(&trusted.verifier.keys));
        trusted.dedup_by(|a, b| Arc::ptr_eq(&a.verifier.keys, &b.verifier.keys));
        trusted.iter().map(|trusted| trusted.verifier.status()).collect()
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
        write!(f, "FoundIssuers({})", self.core.known.len())
    }
}
