//! One token's way to a verdict: at once if all is known, else after waits for keys or for a decision about the issuer.

use std::pin::Pin;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::engine::Engine;
use super::found::unavailable;
use super::{ResourceServer, TrustedIssuer};
use crate::access_token::{AccessToken, Verified};
use crate::credential::{BearerToken, Credential};
use crate::error::Error;
use crate::jwks::{Demand, Fetch, Fingerprint, Want};
use crate::sync::after;

/// What comes of a token: a verdict, or a wait and then a verdict.
pub(crate) enum Attempt<C> {
    Done(Verdict<C>),
    Waiting(Pin<Box<dyn Future<Output = Verdict<C>> + Send>>),
}

type Verdict<C> = Result<AccessToken<C>, Error>;

/// A verdict of no, and whether something could change it.
pub(super) enum Refusal {
    Final(Error),
    /// Keys of the issuer, newer than those of this generation, could.
    Keys {
        trusted: Arc<TrustedIssuer>,
        generation: u64,
        lack: Lack,
    },
    /// Nobody has said yet whether the issuer is trusted.
    Undecided(Arc<str>),
}

/// What the keys in hand lack.
pub(super) enum Lack {
    /// There are none, or they are too old.
    NoKeys,
    /// They do not have the token's key; or it names none, and none of them verifies it.
    UnknownKid(Fingerprint, Error),
    /// They have it, but it does not verify the signature, or is for another algorithm; perhaps it
    /// was replaced under its name.
    BadSignature(Error),
}

/// What was done to get newer keys for a token that is refused.
#[derive(Clone, Copy)]
enum Effort {
    /// They were fetched for its sake.
    Fetched,
    /// A fetch goes on.
    Fetching,
    /// There is no fetch for its sake now.
    Nothing,
}

/// How far a token gets without a wait.
enum Step<C> {
    Done(Result<Verified<C>, Error>),
    Wait(Wait),
}

/// What to wait for.
enum Wait {
    /// A fetch of this issuer's keys.
    Fetch(Fetch, Arc<TrustedIssuer>),
    /// A decision on this issuer.
    Decision(Arc<str>),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

impl<C: Send + Sync + 'static> ResourceServer<C> {
    /// Verifies a token there and then, if all that it needs is known.
    pub(crate) fn attempt(&self, credential: &Credential<'_>) -> Attempt<C> {
        let engine = self.engine.load();
        let in_space = |error: Error| error.in_space(Some(&engine.policy.space));
        if let Some(known) = engine.known(&credential.token) {
            return Attempt::Done(settle(known).map_err(in_space));
        }
        let token = match BearerToken::from_bytes(&credential.token, engine.policy.max_token_len) {
            Ok(token) => token,
            Err(error) => return Attempt::Done(Err(in_space(error))),
        };
        let wait = match engine.step(token, None) {
            Step::Done(verdict) => return Attempt::Done(verdict.and_then(settle).map_err(in_space)),
            Step::Wait(wait) => wait,
        };
        // whatever is reloaded meanwhile, this token is judged by the terms under which it came
        let engine = Arc::clone(&engine);
        let token = token.as_str().to_owned();
        Attempt::Waiting(Box::pin(async move {
            let token = BearerToken::from_bytes(token.as_bytes(), engine.policy.max_token_len)?;
            engine.wait(token, wait).await.and_then(settle).map_err(|error| error.in_space(Some(&engine.policy.space)))
        }))
    }
}

/// Decides on a verified token for the request that it came with, be it known or not.
fn settle<C>(verified: Verified<C>) -> Verdict<C> {
    let possessed = verified.binding().prove().map_err(|error| error.at(&verified.policy().issuer))?;
    Ok(AccessToken::admit(verified, possessed))
}

impl<C: Send + Sync + 'static> Engine<C> {
    /// Verifies a token as far as that goes without a wait. `decided` is its issuer, if that was found before.
    fn step(&self, token: BearerToken<'_>, decided: Option<&Arc<TrustedIssuer>>) -> Step<C> {
        loop {
            let refusal = match self.verify(token, decided) {
                Ok(token) => return Step::Done(Ok(token)),
                Err(refusal) => refusal,
            };
            let (demand, trusted) = match &refusal {
                Refusal::Final(_) => return Step::Done(Err(refusal.into_error(Effort::Nothing))),
                Refusal::Keys { trusted, generation, lack } => (trusted.keys.demand(lack.want(), *generation), trusted),
                Refusal::Undecided(issuer) => return Step::Wait(Wait::Decision(Arc::clone(issuer))),
            };
            match demand {
                Demand::Newer => {}
                Demand::Refused => return Step::Done(Err(refusal.into_error(Effort::Nothing))),
                Demand::Wait(fetch) => return Step::Wait(Wait::Fetch(fetch, Arc::clone(trusted))),
            }
        }
    }

    /// Verifies a token again once what it waits for is there, or when it has waited long enough.
    async fn wait(&self, token: BearerToken<'_>, mut wait: Wait) -> Result<Verified<C>, Error> {
        let deadline = after(Instant::now(), self.key_wait);
        loop {
            let (trusted, ended, own) = match wait {
                Wait::Decision(issuer) => match timeout_at(deadline, self.found.ask(&issuer, self.key_wait)).await {
                    Ok(decided) => (decided?, true, false),
                    Err(_) => return Err(Refusal::Undecided(issuer).into_error(Effort::Fetching)),
                },
                Wait::Fetch(fetch, trusted) => {
                    let own = !fetch.joined();
                    (trusted, timeout_at(deadline, fetch.ended()).await.is_ok(), own)
                }
            };
            if own || !ended {
                let effort = if ended { Effort::Fetched } else { Effort::Fetching };
                return self.verify(token, Some(&trusted)).map_err(|refusal| refusal.into_error(effort));
            }
            // a fetch that was on its way already may have been begun before the issuer published the key: another may follow
            match self.step(token, Some(&trusted)) {
                Step::Done(verdict) => return verdict,
                Step::Wait(next) => wait = next,
            }
        }
    }
}

impl Lack {
    fn want(&self) -> Want {
        match self {
            Self::NoKeys => Want::NoKeys,
            Self::UnknownKid(kid, _) => Want::UnknownKid(*kid),
            Self::BadSignature(_) => Want::BadSignature,
        }
    }
}

impl Refusal {
    /// Says what to answer when there is nothing (more) to wait for.
    ///
    /// A key that is missing because *we* have not fetched the set lately is not the caller's
    /// fault: it must not throw a good token away. A signature that a key of the token's `kid` does
    /// not verify is bad.
    fn into_error(self, effort: Effort) -> Error {
        let (trusted, lack) = match self {
            Self::Final(error) => return error,
            Self::Undecided(_) => return unavailable("no resolver has decided on the issuer yet"),
            Self::Keys { trusted, lack, .. } => (trusted, lack),
        };
        let want = lack.want();
        match lack {
            Lack::BadSignature(error) => error,
            Lack::NoKeys => trusted.unavailable(want),
            Lack::UnknownKid(kid, error) => match effort {
                _ if trusted.keys.outage().is_some() => trusted.unavailable(want).for_key(error.kid()),
                Effort::Fetched => error,
                Effort::Fetching => trusted.unavailable(want).for_key(error.kid()),
                Effort::Nothing if trusted.keys.is_absent(kid) => error,
                Effort::Nothing => trusted.not_now(want).for_key(error.kid()),
            },
        }
    }
}
