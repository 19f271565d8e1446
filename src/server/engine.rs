//! All that a token is judged by, and its way to being verified: at once if all is known, else after
//! waits.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

#[cfg(feature = "introspection")]
use super::asking::{Answer, Askers, Inquiry, PendingAnswer, Question};
use super::lookup::IssuerLookup;
use super::possession::Senders;
use super::token_cache::TokenCache;
use super::trust::TrustedIssuer;
use super::verifier::{Effort, Lack, Unverified};
use crate::access_token::Verified;
use crate::checks::Checks;
use crate::clock::{Moment, after};
use crate::credential::{BearerToken, OwnedToken};
use crate::error::{Error, ErrorKind};
use crate::issuer::{IssuerSet, ServerPolicy};
use crate::jose::{Compact, Json, Value};
use crate::jwks::{PendingFetch, Refresh};
use crate::revocation::RevocationList;
use crate::trace::count;

/// What to wait for, of all tokens alike.
pub(super) enum Wait {
    /// A fetch of this issuer's keys.
    Fetch(PendingFetch, Arc<TrustedIssuer>),
    /// A decision on this issuer.
    Decision(Arc<str>),
}

/// What to wait for, of an access token.
pub(super) enum Pending<C> {
    Wait(Wait),
    /// What an issuer has to say of the token.
    #[cfg(feature = "introspection")]
    Answer(PendingAnswer<C>),
    #[cfg(not(feature = "introspection"))]
    #[expect(dead_code, reason = "nobody is asked, whatever the type of the claims")]
    Answer(std::convert::Infallible, std::marker::PhantomData<C>),
}

/// What has come of a look at an access token.
enum Found<C> {
    Verified(Verified<C>),
    /// Its issuer is to be asked.
    #[cfg(feature = "introspection")]
    Question(Question),
}

/// How a token of some kind is verified, given its issuer, if that was found before.
pub(super) trait Verify<T>:
    Fn(BearerToken<'_>, Option<&Arc<TrustedIssuer>>) -> Result<T, Unverified<Lack>> + Send + Sync
{
}

impl<T, F> Verify<T> for F where
    F: Fn(BearerToken<'_>, Option<&Arc<TrustedIssuer>>) -> Result<T, Unverified<Lack>> + Send + Sync
{
}

/// A server's configuration in force. A reload replaces it as a whole.
pub(super) struct Engine<C> {
    pub(super) issuers: IssuerSet<Arc<TrustedIssuer>>,
    pub(super) lookup: IssuerLookup,
    pub(super) policy: Arc<ServerPolicy>,
    pub(super) cache: Arc<TokenCache<C>>,
    /// The issuers that are asked about tokens.
    #[cfg(feature = "introspection")]
    pub(super) askers: Askers<C>,
    /// What the application has to say about each token; `None` is nothing.
    pub(super) checks: Option<Arc<Checks>>,
    pub(super) revocations: Option<RevocationList>,
    /// What senders are judged by.
    pub(super) senders: Senders,
    /// How long a request waits for keys.
    pub(super) key_wait: Duration,
    pub(super) read: fn(&Json) -> Result<C, Error>,
}

impl<C: Send + Sync + 'static> Engine<C> {
    /// Takes a known token from the cache.
    pub(super) fn recall(&self, token: &[u8]) -> Option<Verified<C>> {
        let known = self.cache.get(token, &self.lookup, &self.policy.clock)?;
        count!("tower_bearer_token_cache_total", "outcome" => "hit");
        Some(known)
    }

    /// Verifies a token that is not known, or orders what it lacks.
    pub(super) fn begin(&self, token: &[u8]) -> Result<Verified<C>, Unverified<(OwnedToken, Pending<C>)>> {
        let token = BearerToken::from_bytes(token, self.policy.max_token_len)?;
        self.look(token, None).map_err(|unverified| match unverified {
            Unverified::Refused(error) => error.into(),
            Unverified::Lacking(pending) => Unverified::Lacking((token.into_owned(), pending)),
        })
    }

    /// Goes on with a token once what it waits for is there, or when it has waited long enough.
    pub(super) async fn finish(&self, token: &OwnedToken, mut pending: Pending<C>) -> Result<Verified<C>, Error> {
        let (deadline, mut believed) = (self.deadline(), None);
        loop {
            let (looked, until) = match pending {
                Pending::Wait(wait) => {
                    let verify = |token: BearerToken<'_>, decided: Option<&Arc<TrustedIssuer>>| {
                        self.verify(token, decided, believed)
                    };
                    let found = self.wait(token, wait, deadline, &verify).await?;
                    (self.conclude(found, token.as_bearer()), None)
                }
                #[cfg(feature = "introspection")]
                Pending::Answer(answer) => {
                    let late = answer.late();
                    let ended = answer.ended(token.as_bearer().as_str(), &self.lookup);
                    match timeout_at(deadline, ended).await.unwrap_or(Err(late))? {
                        Answer::Verified(verified) => {
                            count!("tower_bearer_token_cache_total", "outcome" => "miss");
                            return Ok(verified);
                        }
                        Answer::Active(until) => (self.look(token.as_bearer(), Some(until)), Some(until)),
                    }
                }
                #[cfg(not(feature = "introspection"))]
                Pending::Answer(nobody, _) => match nobody {},
            };
            believed = until.or(believed);
            match looked {
                Ok(verified) => return Ok(verified),
                Err(unverified) => pending = unverified.lack()?,
            }
        }
    }

    /// Verifies an access token, or orders what it lacks. `believed` is until when its issuer's word
    /// is that it is active, if the issuer was asked.
    fn look(&self, token: BearerToken<'_>, believed: Option<Moment>) -> Result<Verified<C>, Unverified<Pending<C>>> {
        let verify =
            |token: BearerToken<'_>, decided: Option<&Arc<TrustedIssuer>>| self.verify(token, decided, believed);
        match self.verify_or_order(token, None, None, &verify) {
            Ok(found) => self.conclude(found, token),
            Err(Unverified::Refused(error)) => Err(error.into()),
            Err(Unverified::Lacking(wait)) => Err(Unverified::Lacking(Pending::Wait(wait))),
        }
    }

    /// Asks the issuer, if that is what is left.
    #[cfg(feature = "introspection")]
    fn conclude(&self, found: Found<C>, token: BearerToken<'_>) -> Result<Verified<C>, Unverified<Pending<C>>> {
        match found {
            Found::Verified(verified) => Ok(verified),
            Found::Question(question) => match self.askers.ask(question, token.as_str(), &self.lookup) {
                Inquiry::Known(verified) => Ok(verified),
                Inquiry::Refused(error) => Err(error.into()),
                Inquiry::Pending(answer) => Err(Unverified::Lacking(Pending::Answer(answer))),
            },
        }
    }

    #[cfg(not(feature = "introspection"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the same call with and without the feature")]
    fn conclude(&self, found: Found<C>, _: BearerToken<'_>) -> Result<Verified<C>, Unverified<Pending<C>>> {
        let Found::Verified(verified) = found;
        Ok(verified)
    }

    /// Returns until when a request that comes now waits.
    pub(super) fn deadline(&self) -> Instant {
        after(Instant::now(), self.key_wait)
    }

    /// Verifies a token again once what it waits for is there, or at the deadline.
    pub(super) async fn wait<T>(
        &self,
        token: &OwnedToken,
        mut wait: Wait,
        deadline: Instant,
        verify: &impl Verify<T>,
    ) -> Result<T, Error> {
        loop {
            let (trusted, effort) = match wait {
                Wait::Decision(issuer) => {
                    match timeout_at(deadline, self.lookup.resolve(&issuer, self.key_wait)).await {
                        Ok(decided) => (decided?, None),
                        Err(_) => return Err(Lack::Decision(issuer).into_error(Effort::Fetching)),
                    }
                }
                Wait::Fetch(fetch, trusted) => {
                    let joined = fetch.joined();
                    let effort = match timeout_at(deadline, fetch.ended()).await {
                        Err(_) => Some(Effort::Fetching),
                        // it may have been begun before the issuer published the key: another may
                        // follow
                        Ok(()) if joined => None,
                        Ok(()) => Some(Effort::Fetched),
                    };
                    (trusted, effort)
                }
            };
            match self.verify_or_order(token.as_bearer(), Some(&trusted), effort, verify) {
                Ok(verified) => return Ok(verified),
                Err(unverified) => wait = unverified.lack()?,
            }
        }
    }

    /// Verifies a token, or orders what it lacks. `decided` is its issuer, if that was found
    /// before. After an `effort` nothing more is ordered.
    pub(super) fn verify_or_order<T>(
        &self,
        token: BearerToken<'_>,
        decided: Option<&Arc<TrustedIssuer>>,
        effort: Option<Effort>,
        verify: &impl Verify<T>,
    ) -> Result<T, Unverified<Wait>> {
        loop {
            let lack = match verify(token, decided) {
                Ok(verified) => return Ok(verified),
                Err(unverified) => unverified.lack()?,
            };
            if let Some(effort) = effort {
                return Err(lack.into_error(effort).into());
            }
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

    /// The journey of an access token that is not known.
    fn verify(
        &self,
        token: BearerToken<'_>,
        decided: Option<&Arc<TrustedIssuer>>,
        believed: Option<Moment>,
    ) -> Result<Found<C>, Unverified<Lack>> {
        let compact = match Compact::parse(token) {
            Ok(compact) => compact,
            #[cfg(feature = "introspection")]
            Err(error) => return Ok(Found::Question(self.askers.about_opaque(token.as_str(), error)?)),
            #[cfg(not(feature = "introspection"))]
            Err(error) => return Err(error.into()),
        };
        let trusted = self.select(compact.json.root().get("iss"), decided)?;
        let now = self.policy.clock.moment();
        #[cfg(feature = "introspection")]
        if let Some(question) = trusted.question_without_keys(&compact, now.wall)? {
            return Ok(Found::Question(question));
        }
        let (plausible, signature, warrant) = trusted.verify(compact, &trusted.policy, now)?;
        #[cfg(feature = "introspection")]
        if believed.is_none()
            && let Some(question) = trusted.question_beside_keys(&plausible)
        {
            return Ok(Found::Question(question));
        }
        self.lookup.note_verified(&trusted);
        let verified = Verified::new(plausible, token.as_str(), signature, self.read, self.revocations.as_ref())?;
        let configured = trusted.admission.is_none().then(|| Arc::clone(&trusted));
        // what its issuer is asked about each time is not worth its place
        if believed.is_none_or(|until| until.passed(now).is_none()) {
            self.cache.insert(token.as_str().as_bytes(), &verified, configured, warrant.until(believed), now.wall);
        }
        count!("tower_bearer_token_cache_total", "outcome" => "miss");
        self.cache.report(now.wall);
        Ok(Found::Verified(verified))
    }

    /// Returns what form a token has, and which issuer is asked about it in place of its keys.
    #[cfg(feature = "introspection")]
    pub(super) fn asked_instead(&self, token: BearerToken<'_>) -> Option<(&'static str, Arc<str>)> {
        let (form, question) = match Compact::parse(token) {
            Ok(compact) => {
                let trusted = self.select(compact.json.root().get("iss"), None).ok()?;
                ("a JWT", trusted.question_without_keys(&compact, self.policy.clock.now()).ok()??)
            }
            Err(error) => ("an opaque token", self.askers.about_opaque(token.as_str(), error).ok()?),
        };
        Some((form, Arc::clone(question.issuer())))
    }

    /// Selects the issuer that a token names: a configured one, or one that was found at run time.
    pub(super) fn select<'e>(
        &'e self,
        iss: Option<Value<'_>>,
        decided: Option<&'e Arc<TrustedIssuer>>,
    ) -> Result<Cow<'e, Arc<TrustedIssuer>>, Unverified<Lack>> {
        let error = match (self.issuers.select(iss), decided) {
            (Ok(trusted), _) | (Err(_), Some(trusted)) => return Ok(Cow::Borrowed(trusted)),
            (Err(error), None) => error,
        };
        if error.kind() != ErrorKind::UnknownIssuer || self.lookup.is_closed() {
            return Err(error.into());
        }
        let issuer = iss.and_then(Value::as_str).unwrap_or_default();
        let decided = self.lookup.find(issuer).ok_or_else(|| Unverified::Lacking(Lack::Decision(issuer.into())))?;
        Ok(Cow::Owned(decided?))
    }
}
