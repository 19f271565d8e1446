//! One question, as a task that no request can cancel.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, timeout};

use crate::access_token::Verified;
use crate::clock::{Moment, UnixTime, after};
use crate::error::{Error, ErrorKind};
use crate::introspection::{Fault, JwtIntrospection, Said};
use crate::introspection_client::{Asked, Endpoint, Failed, LEASE, Pace, unavailable};
use crate::jose::Json;
use crate::jwks::GRACE;
use crate::revocation::RevocationList;
use crate::server::token_cache::{Digest, TokenCache};
use crate::server::trust::TrustedIssuer;
use crate::server::verifier::Warrant;
use crate::sync::{caught, lock};
use crate::trace::{count, event};
use crate::validate::{About, Stated};

/// A token for which no end is said does not end before it can be used.
const SHORTEST: Duration = Duration::from_secs(1);
/// How often a question gives a sign of life; it has several before its lease is over.
const BEAT: Duration = Duration::from_secs(1);

/// What an answer is good for.
pub(in crate::server) enum Answer<C> {
    /// An opaque token is verified by it.
    Verified(Verified<C>),
    /// A JWT is active, by its issuer's word until then.
    Active(Moment),
}

/// What all questions to an issuer share.
pub(super) struct Asking<C> {
    pub(super) trusted: Arc<TrustedIssuer>,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) cache: Arc<TokenCache<C>>,
    pub(super) read: fn(&Json) -> Result<C, Error>,
    pub(super) revocations: Option<RevocationList>,
    pub(super) pace: Mutex<Pace>,
    pub(super) open: Mutex<HashMap<Digest, OpenQuestion<C>>>,
    /// Tokens that were refused by what the issuer has said, each until when.
    pub(super) refused: Cache<Digest, (Instant, Error)>,
    /// How many questions have been asked.
    pub(super) asked: AtomicU64,
}

/// A question that somebody is waiting for.
pub(super) struct OpenQuestion<C> {
    _turn: OwnedSemaphorePermit,
    number: u64,
    begun: Instant,
    /// By when it gives another sign of life, on any runtime that is driven.
    lease: Arc<Mutex<Instant>>,
    answer: watch::Receiver<Option<Result<Answer<C>, Error>>>,
}

/// How to wait for an answer.
pub(super) struct Answering<C> {
    /// When it was asked for; the answer may be as old.
    begun: Instant,
    answer: watch::Receiver<Option<Result<Answer<C>, Error>>>,
}

/// The task of a question. Dropped in whatever way that ends.
pub(super) struct Task<C> {
    asking: Arc<Asking<C>>,
    digest: Digest,
    number: u64,
    asked: Asked,
    lease: Arc<Mutex<Instant>>,
    sender: watch::Sender<Option<Result<Answer<C>, Error>>>,
}

impl<C> OpenQuestion<C> {
    pub(super) fn is_late(&self, now: Instant) -> bool {
        *lock(&self.lease) <= now
    }

    pub(super) fn answering(&self) -> Answering<C> {
        Answering { begun: self.begun, answer: self.answer.clone() }
    }
}

impl<C> Answering<C> {
    /// Tells whether an answer that counts for so long counts for a request of then.
    pub(super) fn counts_for(&self, came: Instant, ttl: Duration) -> bool {
        came <= after(self.begun, ttl)
    }

    pub(super) async fn ended(mut self) -> Result<Answer<C>, Error> {
        let answer = self.answer.wait_for(Option::is_some).await.map(|answer| answer.clone());
        answer.ok().flatten().unwrap_or_else(|| Err(cut_short()))
    }
}

impl<C: Send + Sync + 'static> Asking<C> {
    /// Returns how long a question can take, with discovery, and newer keys for a signed answer.
    fn longest(&self) -> Duration {
        self.trusted.keys.max_fetch().saturating_mul(2).saturating_add(GRACE)
    }

    /// Returns why a token was refused a moment ago.
    pub(super) fn refused(&self, digest: &Digest, now: Instant) -> Option<Error> {
        let (until, error) = self.refused.get(digest)?;
        if until > now {
            return Some(error);
        }
        self.refused.remove(digest);
        None
    }

    /// Returns how to wait for the answer, if somebody has asked already.
    pub(super) fn answering(&self, digest: &Digest, now: Instant) -> Option<Answering<C>> {
        let open = lock(&self.open);
        open.get(digest).filter(|question| !question.is_late(now)).map(OpenQuestion::answering)
    }

    /// Opens a question, of which there must be none open.
    pub(super) fn open_question(
        self: &Arc<Self>,
        digest: Digest,
        (turn, asked): (OwnedSemaphorePermit, Asked),
        open: &mut HashMap<Digest, OpenQuestion<C>>,
    ) -> (Task<C>, Answering<C>) {
        let (sender, answer) = watch::channel(None);
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let begun = Instant::now();
        let lease = Arc::new(Mutex::new(after(begun, LEASE)));
        let (kept, asking) = (Arc::clone(&lease), Arc::clone(self));
        open.insert(digest, OpenQuestion { _turn: turn, number, begun, lease: kept, answer: answer.clone() });
        (Task { asking, digest, number, asked, lease, sender }, Answering { begun, answer })
    }

    /// Asks, judges and remembers.
    async fn answer(
        &self,
        token: &str,
        (digest, asked): (Digest, Asked),
        (about, expires): (About, Option<UnixTime>),
    ) -> Result<Answer<C>, Error> {
        let (policy, keys) = (&self.trusted.policy, &self.trusted.keys);
        let within = keys.max_fetch();
        let one = within.checked_div(3).unwrap_or(within);
        let begun = policy.server.clock.moment();
        let answered = timeout(within.saturating_mul(2), self.endpoint.ask(token, policy, keys, one)).await;
        let now = policy.server.clock.moment();
        // no timeout counts while the machine sleeps
        let in_time = begun.passed(now).is_none_or(|took| took < self.longest());
        let said = answered.ok().filter(|_| in_time);
        let said = said.unwrap_or_else(|| Err(Fault::outage("the issuer has not answered in time")));
        let judged = said.and_then(|said| match said {
            Said::Active(active) => {
                // it may be as old as the question
                let until = begun.after(self.ttl(&about));
                match Stated::check(active, &about, policy, (now.wall, until.wall.max(now.after(SHORTEST).wall))) {
                    Ok(stated) => Ok(Ok((stated, until))),
                    // what the issuer writes wrongly is not the caller's fault
                    Err(error) if error.kind() == ErrorKind::MalformedClaim => {
                        Err(Fault::of_answer(format!("the answer is of no use: {error}")))
                    }
                    Err(error) => Ok(Err(error)),
                }
            }
            Said::Inactive => Ok(Err(Error::new(ErrorKind::Inactive, "its issuer says so").at(&policy.issuer))),
            // they were read before
            Said::Signed(_) => Err(Fault::of_answer("the signed answer was not read")),
        });
        let judged = judged.map_err(|fault| self.failed(fault, asked, now.instant))?;
        let is_news = lock(&self.pace).succeeded(now.instant);
        if is_news {
            event!(info, "an issuer answers again when it is asked about tokens", issuer = policy.issuer);
        }
        let verdict = judged.and_then(|(stated, until)| {
            // nothing is believed beyond the token's own end
            let end = stated.expires().min(until.wall);
            let end = expires.map_or(end, |expires| expires.min(end));
            let ends = now.after(end.ahead(now.wall).unwrap_or_default());
            let until = Moment { instant: until.instant.min(ends.instant), wall: until.wall.min(ends.wall) };
            if let About::Jwt(_) = about {
                return Ok(Answer::Active(until));
            }
            let verified = Verified::stated(stated, token, self.read, self.revocations.as_ref())?;
            if until.passed(now).is_none() {
                let (trusted, warrant) = (Some(Arc::clone(&self.trusted)), Warrant::of_answer(until));
                self.cache.insert(digest.as_bytes(), &verified, trusted, warrant, now.wall);
            }
            Ok(Answer::Verified(verified))
        });
        let label = policy.issuer.to_string();
        match &verdict {
            Ok(_) => count!("tower_bearer_introspections_total", "issuer" => label, "outcome" => "active"),
            Err(error) => {
                count!("tower_bearer_introspections_total", "issuer" => label, "outcome" => "refused");
                let how_long = self.endpoint.settings().inactive_ttl;
                if !how_long.is_zero() {
                    self.refused.insert(digest, (after(now.instant, how_long), error.clone()));
                }
            }
        }
        verdict
    }

    /// Returns for how long an answer is believed.
    pub(super) fn ttl(&self, about: &About) -> Duration {
        let settings = self.endpoint.settings();
        match (about, settings.jwts) {
            (About::Jwt(_), JwtIntrospection::Every(every)) => every,
            (About::Jwt(_), JwtIntrospection::Never) | (About::Opaque, _) => settings.ttl,
        }
    }

    /// Notes that a question has no answer to go by, and tells the operator if that is news.
    fn failed(&self, fault: Fault, asked: Asked, now: Instant) -> Error {
        let Failed { wait, is_news } = lock(&self.pace).failed(&fault, asked, now);
        let issuer = &self.trusted.policy.issuer;
        if is_news {
            event!(warn, "could not ask an issuer about a token", issuer = issuer, error = fault.detail);
        }
        count!("tower_bearer_introspections_total", "issuer" => issuer.to_string(), "outcome" => "failed");
        Error::new(ErrorKind::IntrospectionUnavailable, fault.detail).with_retry_after(wait).at(issuer)
    }
}

impl<C: Send + Sync + 'static> Task<C> {
    pub(super) async fn answer(self, token: String, about: (About, Option<UnixTime>)) {
        // reading claims is code of the application
        let mut answer = pin!(caught(self.asking.answer(&token, (self.digest, self.asked), about)));
        let answer = loop {
            match timeout(BEAT, answer.as_mut()).await {
                Ok(answer) => break answer,
                Err(_) => self.give_sign_of_life(),
            }
        };
        let answer = answer.unwrap_or_else(|| {
            lock(&self.asking.pace).dropped(self.asked);
            Err(unavailable("reading its claims panicked"))
        });
        self.close();
        let _ = self.sender.send(Some(answer));
    }
}

impl<C> Task<C> {
    fn give_sign_of_life(&self) {
        let now = Instant::now();
        *lock(&self.lease) = after(now, LEASE);
        lock(&self.asking.pace).is_alive(self.asked, now);
    }

    /// Lets the next one about the same token be asked.
    fn close(&self) -> bool {
        let closed = {
            let mut open = lock(&self.asking.open);
            let ours = open.get(&self.digest).is_some_and(|open| open.number == self.number);
            if ours { open.remove(&self.digest) } else { None }
        };
        closed.is_some()
    }
}

impl<C> Drop for Task<C> {
    fn drop(&mut self) {
        if self.close() {
            lock(&self.asking.pace).dropped(self.asked);
        }
    }
}

impl<C> Clone for Answer<C> {
    fn clone(&self) -> Self {
        match self {
            Self::Verified(verified) => Self::Verified(verified.clone()),
            Self::Active(until) => Self::Active(*until),
        }
    }
}

fn cut_short() -> Error {
    unavailable("the question to the issuer was cut short")
}
