//! One token's way to a verdict: at once if all is known, else after waits for keys or for a
//! decision about the issuer.

use std::pin::Pin;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::ResourceServer;
use super::engine::Engine;
use super::trusted_issuer::TrustedIssuer;
use super::verifier::{Effort, Lack, Unverified};
use crate::access_token::{AccessToken, Verified};
use crate::clock::after;
use crate::credential::{BearerToken, Credential};
use crate::error::Error;
use crate::jwks::{PendingFetch, Refresh};
use crate::possession::Binding;
use crate::trace::count;

/// What comes of a token: a verdict, or a wait and then a verdict.
pub(crate) enum Attempt<C> {
    Done(Verdict<C>),
    Waiting(Pin<Box<dyn Future<Output = Verdict<C>> + Send>>),
}

type Verdict<C> = Result<AccessToken<C>, Error>;

/// What to wait for.
enum Wait {
    /// A fetch of this issuer's keys.
    Fetch(PendingFetch, Arc<TrustedIssuer>),
    /// A decision on this issuer.
    Decision(Arc<str>),
}

impl<C: Send + Sync + 'static> ResourceServer<C> {
    /// Verifies a token that did not come in an HTTP header: from a WebSocket message, a queue, a
    /// test.
    ///
    /// A function that takes an [`AccessToken`] of any claims gets it with
    /// [`erase`](AccessToken::erase).
    ///
    /// # Errors
    ///
    /// As the layer refuses it; see [`ErrorKind`](crate::ErrorKind).
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time: a fetch of keys that it waits for goes on for the others.
    pub async fn authenticate(&self, token: &str) -> Result<AccessToken<C>, Error> {
        match self.attempt(&Credential::bearer(token.as_bytes())) {
            Attempt::Done(verdict) => verdict,
            Attempt::Waiting(verdict) => verdict.await,
        }
    }

    /// Verifies a token there and then, if all that it needs is known.
    pub(crate) fn attempt(&self, credential: &Credential<'_>) -> Attempt<C> {
        let engine = self.engine.load();
        let in_space = |error: Error| error.in_space(Some(&engine.policy.space));
        if let Some(known) = engine.cache.get(&credential.token, &engine.resolved, &engine.policy.clock) {
            count!("tower_bearer_token_cache_total", "result" => "hit");
            return Attempt::Done(settle(known).map_err(in_space));
        }
        let token = match BearerToken::from_bytes(&credential.token, engine.policy.max_token_len) {
            Ok(token) => token,
            Err(error) => return Attempt::Done(Err(in_space(error))),
        };
        let wait = match engine.verify_or_wait(token, None) {
            Ok(verified) => return Attempt::Done(settle(verified).map_err(in_space)),
            Err(Unverified::Refused(error)) => return Attempt::Done(Err(in_space(error))),
            Err(Unverified::Lacking(wait)) => wait,
        };
        // whatever is reloaded meanwhile, this token is judged by the terms under which it came
        let engine = Arc::clone(&engine);
        let token = token.as_str().to_owned();
        Attempt::Waiting(Box::pin(async move {
            let token = BearerToken::from_bytes(token.as_bytes(), engine.policy.max_token_len)?;
            let verdict = engine.wait(token, wait).await.and_then(settle);
            verdict.map_err(|error| error.in_space(Some(&engine.policy.space)))
        }))
    }
}

/// Decides on a verified token for the request that it came with, be it known or not.
fn settle<C>(verified: Verified<C>) -> Verdict<C> {
    AccessToken::admit(verified, Binding::prove)
}

impl<C: Send + Sync + 'static> Engine<C> {
    /// Verifies a token, or orders what it lacks. `decided` is its issuer, if that was found
    /// before.
    fn verify_or_wait(
        &self,
        token: BearerToken<'_>,
        decided: Option<&Arc<TrustedIssuer>>,
    ) -> Result<Verified<C>, Unverified<Wait>> {
        loop {
            let lack = match self.verify(token, decided) {
                Ok(verified) => return Ok(verified),
                Err(Unverified::Refused(error)) => return Err(error.into()),
                Err(Unverified::Lacking(lack)) => lack,
            };
            let (trusted, refresh) = match &lack {
                Lack::Key { trusted, cause, generation, .. } => (trusted, trusted.keys.refresh(*cause, *generation)),
                Lack::Decision(issuer) => return Err(Unverified::Lacking(Wait::Decision(Arc::clone(issuer)))),
            };
            match refresh {
                Refresh::Newer => {}
                Refresh::Refused => return Err(lack.into_error(Effort::Nothing).into()),
                Refresh::Pending(fetch) => return Err(Unverified::Lacking(Wait::Fetch(fetch, Arc::clone(trusted)))),
            }
        }
    }

    /// Verifies a token again once what it waits for is there, or when it has waited long enough.
    async fn wait(&self, token: BearerToken<'_>, mut wait: Wait) -> Result<Verified<C>, Error> {
        let deadline = after(Instant::now(), self.key_wait);
        loop {
            let (trusted, ended, own) = match wait {
                Wait::Decision(issuer) => {
                    match timeout_at(deadline, self.resolved.resolve(&issuer, self.key_wait)).await {
                        Ok(decided) => (decided?, true, false),
                        Err(_) => return Err(Lack::Decision(issuer).into_error(Effort::Fetching)),
                    }
                }
                Wait::Fetch(fetch, trusted) => {
                    let own = !fetch.joined();
                    (trusted, timeout_at(deadline, fetch.ended()).await.is_ok(), own)
                }
            };
            if own || !ended {
                let effort = if ended { Effort::Fetched } else { Effort::Fetching };
                return self.verify(token, Some(&trusted)).map_err(|refusal| match refusal {
                    Unverified::Refused(error) => error,
                    Unverified::Lacking(lack) => lack.into_error(effort),
                });
            }
            // a fetch that was on its way already may have been begun before the issuer published
            // the key: another may follow
            match self.verify_or_wait(token, Some(&trusted)) {
                Ok(verified) => return Ok(verified),
                Err(Unverified::Refused(error)) => return Err(error),
                Err(Unverified::Lacking(next)) => wait = next,
            }
        }
    }
}
