//! Issuers that are asked about their tokens: which one is asked about a token, and one question
//! about each token at a time.

mod question;
pub(super) mod subject;

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use quick_cache::sync::Cache;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

pub(super) use self::question::Answer;
use self::question::{Answering, Asking};
pub(super) use self::subject::Question;
use super::lookup::IssuerLookup;
use super::token_cache::TokenCache;
use super::trust::TrustedIssuer;
use crate::access_token::Verified;
use crate::claims::numeric_date;
use crate::clock::UnixTime;
use crate::error::{ConfigError, ConfigProblemKind, Error, ErrorKind};
use crate::introspection::JwtIntrospection;
use crate::introspection_client::{Turn, unavailable};
use crate::issuer::IssuerSet;
use crate::jose::{Compact, Json, is_jwt};
use crate::revocation::RevocationList;
use crate::sync::lock;
use crate::validate::{About, Plausible};

/// So many questions to one issuer may be open at once; requests for other tokens wait.
const MAX_OPEN: usize = 32;
/// So many tokens are remembered, of each issuer, that are not active.
const MAX_REFUSED: usize = 10_000;

/// The issuers that are asked, in the order in which they were trusted.
pub(super) struct Askers<C>(Vec<Arc<Asker<C>>>);

/// One issuer that is asked. Dropping it ends the questions.
pub(super) struct Asker<C> {
    asking: Arc<Asking<C>>,
    tasks: Mutex<JoinSet<()>>,
    turns: Arc<Semaphore>,
}

/// What comes of asking.
pub(super) enum Inquiry<C> {
    /// It was answered a moment ago.
    Known(Verified<C>),
    Refused(Error),
    Pending(PendingAnswer<C>),
}

/// An answer that is waited for, or a turn to ask.
pub(super) struct PendingAnswer<C> {
    asker: Arc<Asker<C>>,
    about: About,
    expires: Option<UnixTime>,
    /// When the request came.
    came: Instant,
    answering: Option<Answering<C>>,
}

impl<C: Send + Sync + 'static> Askers<C> {
    pub(super) fn new(
        issuers: &IssuerSet<Arc<TrustedIssuer>>,
        cache: &Arc<TokenCache<C>>,
        read: fn(&Json) -> Result<C, Error>,
        revocations: Option<&RevocationList>,
    ) -> Self {
        let asked = issuers.iter().filter_map(|trusted| {
            let endpoint = Arc::clone(trusted.endpoint.as_ref()?);
            let asking = Asking {
                trusted: Arc::clone(trusted),
                endpoint,
                cache: Arc::clone(cache),
                read,
                revocations: revocations.cloned(),
                pace: Mutex::default(),
                open: Mutex::new(HashMap::new()),
                refused: Cache::new(MAX_REFUSED),
                asked: AtomicU64::new(0),
            };
            let (asking, tasks) = (Arc::new(asking), Mutex::default());
            Some(Arc::new(Asker { asking, tasks, turns: Arc::new(Semaphore::new(MAX_OPEN)) }))
        });
        let mut asked: Vec<_> = asked.collect();
        // who takes all gets what is left
        asked.sort_by_key(|asker: &Arc<Asker<C>>| asker.asking.endpoint.settings().takes_all());
        Self(asked)
    }

    /// Checks that no opaque token may be that of two issuers alike.
    pub(super) fn check(issuers: &IssuerSet<Arc<TrustedIssuer>>, problems: &mut ConfigError) {
        let takes_all = |trusted: &&Arc<TrustedIssuer>| {
            trusted.endpoint.as_ref().is_some_and(|endpoint| endpoint.settings().takes_all())
        };
        for trusted in issuers.iter().filter(takes_all).skip(1) {
            let path = format!("issuers[{}].introspection", trusted.policy.issuer);
            let fix = "another issuer takes all opaque tokens; tell theirs apart by only_prefix or only_if";
            problems.push_as(ConfigProblemKind::Conflict, path, fix);
        }
    }

    /// Says whom to ask about an opaque token, if an issuer takes it; else why it is no JWT. What
    /// has the form of a JWT is one, and stays refused.
    pub(super) fn about_opaque(&self, token: &str, error: Error) -> Result<Question, Error> {
        if self.0.is_empty() || is_jwt(token) {
            return Err(error);
        }
        let fits = |asker: &&Arc<Asker<C>>| asker.asking.endpoint.settings().fits(token);
        let Some(asker) = self.0.iter().find(fits) else {
            let detail = "it is no JWT, and no issuer is asked about opaque tokens like it";
            return Err(Error::new(ErrorKind::OpaqueToken, detail));
        };
        Ok(Question { trusted: Arc::clone(&asker.asking.trusted), about: About::Opaque, expires: None })
    }

    /// Asks about a token, if nobody has asked already.
    pub(super) fn ask(&self, question: Question, token: &str, lookup: &IssuerLookup) -> Inquiry<C> {
        let asker = self.0.iter().find(|asker| Arc::ptr_eq(&asker.asking.trusted, &question.trusted));
        match asker {
            Some(asker) => asker.ask((&question.about, question.expires), token, lookup, (Instant::now(), None)),
            None => Inquiry::Refused(question.into_error()),
        }
    }
}

impl TrustedIssuer {
    /// Returns the question about a JWT, if the issuer has no keys.
    pub(super) fn question_without_keys(
        self: &Arc<Self>,
        compact: &Compact<'_>,
        now: UnixTime,
    ) -> Result<Option<Question>, Error> {
        if self.policy.terms.introspection.as_ref().is_none_or(|asked| !asked.without_keys) {
            return Ok(None);
        }
        // it is good for no longer than it says itself, and for nothing if that is over
        let exp = compact.json.root().get("exp").filter(|exp| !exp.is_null());
        let expires = exp.map(|exp| numeric_date("exp", exp)).transpose();
        let expires = expires.map_err(|error| error.at(&self.policy.issuer))?;
        if expires.and_then(|expires| expires.passed(now)).is_some_and(|ago| ago >= self.policy.terms.leeway) {
            return Err(Error::new(ErrorKind::Expired, "exp has passed").at(&self.policy.issuer));
        }
        Ok(Some(Question { trusted: Arc::clone(self), about: About::Opaque, expires }))
    }

    /// Returns the question about a JWT that was verified by the issuer's keys, if it is asked, too.
    pub(super) fn question_beside_keys(self: &Arc<Self>, token: &Plausible<'_>) -> Option<Question> {
        let asked = self.policy.terms.introspection.as_ref()?;
        let asks = matches!(asked.jwts, JwtIntrospection::Every(_));
        asks.then(|| Question { trusted: Arc::clone(self), about: About::jwt(token.claims()), expires: None })
    }
}

impl<C: Send + Sync + 'static> Asker<C> {
    fn ask(
        self: &Arc<Self>,
        (about, expires): (&About, Option<UnixTime>),
        token: &str,
        lookup: &IssuerLookup,
        (came, turn): (Instant, Option<OwnedSemaphorePermit>),
    ) -> Inquiry<C> {
        let asking = &self.asking;
        let issuer = &asking.trusted.policy.issuer;
        let now = Instant::now();
        let digest = asking.cache.digest(token.as_bytes());
        if let Some(error) = asking.refused(&digest, now) {
            return Inquiry::Refused(error);
        }
        let pending = |answering| {
            Inquiry::Pending(PendingAnswer { asker: Arc::clone(self), about: about.clone(), expires, came, answering })
        };
        let Ok(runtime) = Handle::try_current() else {
            return Inquiry::Refused(unavailable("no issuer can be asked outside a tokio runtime").at(issuer));
        };
        if let Some(answering) = asking.answering(&digest, now) {
            return pending(Some(answering));
        }
        // what was answered before this question could be found is in the cache
        let known = || asking.cache.get(token.as_bytes(), lookup, &asking.trusted.policy.server.clock);
        if let About::Opaque = about
            && let Some(known) = known()
        {
            return Inquiry::Known(known);
        }
        let mut open = lock(&asking.open);
        if let Some(question) = open.get(&digest).filter(|question| !question.is_late(now)) {
            return pending(Some(question.answering()));
        }
        if self.turns.available_permits() == 0 {
            // those that nobody will answer any more give their turns back
            open.retain(|_, question| !question.is_late(now));
        }
        let Some(turn) = turn.or_else(|| Arc::clone(&self.turns).try_acquire_owned().ok()) else {
            return pending(None);
        };
        let asked = match lock(&asking.pace).turn(now) {
            Turn::Ask(asked) => asked,
            Turn::Wait(wait, fault) => {
                let error = Error::new(ErrorKind::IntrospectionUnavailable, fault.detail);
                return Inquiry::Refused(error.with_retry_after(wait).at(issuer));
            }
        };
        let (question, answering) = asking.open_question(digest, (turn, asked), &mut open);
        drop(open);
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn_on(question.answer(token.to_owned(), (about.clone(), expires)), &runtime);
        drop(tasks);
        pending(Some(answering))
    }
}

impl<C: Send + Sync + 'static> PendingAnswer<C> {
    /// Waits for the answer. A request that is dropped meanwhile takes nothing with it.
    pub(super) async fn ended(self, token: &str, lookup: &IssuerLookup) -> Result<Answer<C>, Error> {
        let Self { asker, about, expires, came, mut answering } = self;
        let ttl = asker.asking.ttl(&about);
        loop {
            let Some(answer) = answering else {
                let turn = Arc::clone(&asker.turns).acquire_owned().await.ok();
                match asker.ask((&about, expires), token, lookup, (came, turn)) {
                    Inquiry::Known(verified) => return Ok(Answer::Verified(verified)),
                    Inquiry::Refused(error) => return Err(error),
                    Inquiry::Pending(pending) => answering = pending.answering,
                }
                continue;
            };
            let counts = answer.counts_for(came, ttl);
            let ended = answer.ended().await;
            if counts || ended.is_err() {
                return ended;
            }
            // it was asked for long before this request came, and the token may be revoked since
            answering = None;
        }
    }

    /// Says why there is no answer when a request has waited long enough.
    pub(super) fn late(&self) -> Error {
        let detail = if self.answering.is_some() {
            "the issuer has not answered yet"
        } else {
            "too many questions are open, and this token has to wait for its turn"
        };
        unavailable(detail).at(&self.asker.asking.trusted.policy.issuer)
    }
}
