//! The resource server, and a token's way through it: at once if all is known, else after waits for
//! keys or for a decision about the issuer.

mod builder;
mod explain;
mod keys;
#[cfg(feature = "logout")]
mod logout;
mod lookup;
mod resolver;
mod token_cache;
mod trust;
mod verifier;

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::Request;
use tokio::time::{Instant, timeout_at};

pub use self::builder::ResourceServerBuilder;
pub use self::explain::{Explanation, Outcome, Step};
pub use self::keys::NotReady;
#[cfg(feature = "logout")]
pub(crate) use self::logout::LogoutTerms;
use self::lookup::IssuerLookup;
pub use self::resolver::{IssuerResolver, IssuerTemplate};
use self::token_cache::TokenCache;
pub use self::trust::Trust;
use self::trust::TrustedIssuer;
use self::verifier::{Effort, Lack, Unverified};
use crate::access_token::{AccessToken, Candidate, Verified};
use crate::checks::{Asked, Checks, Kept, Presented};
use crate::clock::after;
use crate::credential::{BearerToken, Credential, OwnedToken, RequestHead};
use crate::error::{Error, ErrorKind, ProtectionSpace};
use crate::issuer::{IssuerSet, ServerPolicy};
use crate::jose::{Compact, Json, Value};
use crate::jwks::{PendingFetch, Refresh};
use crate::possession::Binding;
use crate::revocation::RevocationList;
use crate::trace::count;

/// Verifies access tokens for one service: OAuth 2.0's *resource server* (RFC 6749 §1.1).
///
/// Cheap to clone; clones share the keys. Dropping the last one ends the tasks that fetch them.
///
/// Keys are fetched by a task on the tokio runtime (with timers) of the first token that needs
/// them. If this runtime ends, or is not driven any more, that of a later token takes over. Tokens
/// whose keys are known need no runtime.
///
/// # Examples
///
/// ```
/// use serde::Deserialize;
/// use tower_bearer::{BearerAuthLayer, Issuer, ResourceServer};
///
/// #[derive(Deserialize)]
/// struct Tenant {
///     tenant_id: String,
/// }
///
/// # fn main() -> Result<(), tower_bearer::ConfigError> {
/// let server = ResourceServer::new("https://api.example.com")
///     .trust(Issuer::new("https://id.example.com/"))
///     .claims::<Tenant>()
///     .build()?;
/// let layer = BearerAuthLayer::new(server);
/// # Ok(())
/// # }
/// ```
///
/// There is no way to leave out the audience:
///
/// ```compile_fail
/// let server = tower_bearer::ResourceServer::new();
/// ```
pub struct ResourceServer<C = ()> {
    /// Replaced as a whole by a reload.
    engine: Arc<ArcSwap<Engine<C>>>,
}

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

/// How a token of some kind is verified, given its issuer, if that was found before.
trait Verify<T>: Fn(BearerToken<'_>, Option<&Arc<TrustedIssuer>>) -> Result<T, Unverified<Lack>> + Send + Sync {}

impl<T, F> Verify<T> for F where
    F: Fn(BearerToken<'_>, Option<&Arc<TrustedIssuer>>) -> Result<T, Unverified<Lack>> + Send + Sync
{
}

/// A server's configuration in force. A reload replaces it as a whole.
struct Engine<C> {
    issuers: IssuerSet<Arc<TrustedIssuer>>,
    lookup: IssuerLookup,
    policy: Arc<ServerPolicy>,
    cache: TokenCache<C>,
    /// What the application has to say about each token; `None` is nothing.
    checks: Option<Arc<Checks>>,
    revocations: Option<RevocationList>,
    /// How long a request waits for keys.
    key_wait: Duration,
    read: fn(&Json) -> Result<C, Error>,
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
        self.attempt(&Credential::bearer(token.as_bytes()), None).verdict().await
    }

    /// Verifies the token in the `Authorization` header of a request, as the layer does by default:
    /// where there is no layer.
    ///
    /// # Errors
    ///
    /// As the layer refuses it; see [`ErrorKind`](crate::ErrorKind).
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time: a fetch of keys that it waits for goes on for the others.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_bearer::{ErrorKind, ResourceServer, testing::Idp};
    ///
    /// let idp = Idp::new("https://id.test/");
    /// let server = ResourceServer::new("https://api.test").trust(&idp).build()?;
    /// let token = format!("Bearer {}", idp.token("alice").sign());
    /// let request = http::Request::builder().header("authorization", token).body(())?;
    /// assert_eq!(server.authenticate_request(&request).await?.subject(), Some("alice"));
    ///
    /// let anonymous = server.authenticate_request(&http::Request::new(())).await;
    /// assert_eq!(anonymous.unwrap_err().kind(), ErrorKind::MissingToken);
    /// # Ok(())
    /// # }
    /// ```
    pub fn authenticate_request<B>(
        &self,
        request: &Request<B>,
    ) -> impl Future<Output = Result<AccessToken<C>, Error>> + Send + use<B, C> {
        let attempt = match Credential::from_authorization(request.headers()) {
            Ok(credential) => self.attempt(&credential, Some(RequestHead::from(request))),
            Err(error) => Attempt::Done(Err(error.in_space(Some(&self.space())))),
        };
        attempt.verdict()
    }

    /// Verifies a token there and then, if all that it needs is known. `head` is that of its
    /// request, if it came with one.
    pub(crate) fn attempt(&self, credential: &Credential<'_>, head: Option<RequestHead<'_>>) -> Attempt<C> {
        let engine = self.engine.load();
        let request = Presented::new(head, &credential.token);
        let (token, wait) = match engine.begin(&credential.token) {
            Ok(verified) => return engine.settle(verified, &request),
            Err(Unverified::Refused(error)) => return Attempt::Done(Err(engine.refuse(error))),
            Err(Unverified::Lacking(lacking)) => lacking,
        };
        // whatever is reloaded meanwhile, this token is judged by the terms under which it came
        let engine = Arc::clone(&engine);
        let request = engine.checks.as_ref().map(|_| request.keep());
        Attempt::Waiting(Box::pin(async move {
            let verified = engine
                .wait(&token, wait, &|token, decided| engine.verify(token, decided))
                .await
                .map_err(|error| engine.refuse(error))?;
            let attempt = {
                // who is not asked need not see the request
                let request = request.as_ref().map_or_else(Presented::default, Kept::presented);
                engine.settle(verified, &request)
            };
            attempt.verdict().await
        }))
    }
}

impl<C> Attempt<C> {
    async fn verdict(self) -> Verdict<C> {
        match self {
            Self::Done(verdict) => verdict,
            Self::Waiting(verdict) => verdict.await,
        }
    }
}

impl<C> ResourceServer<C> {
    pub(crate) fn space(&self) -> Arc<ProtectionSpace> {
        Arc::clone(&self.engine.load().policy.space)
    }
}

impl<C: Send + Sync + 'static> Engine<C> {
    /// Takes a known token from the cache, or verifies it, or orders what it lacks.
    fn begin(&self, token: &[u8]) -> Result<Verified<C>, Unverified<(OwnedToken, Wait)>> {
        if let Some(known) = self.cache.get(token, &self.lookup, &self.policy.clock) {
            count!("tower_bearer_token_cache_total", "result" => "hit");
            return Ok(known);
        }
        let token = BearerToken::from_bytes(token, self.policy.max_token_len)?;
        self.verify_or_order(token, None, None, &|token, decided| self.verify(token, decided)).map_err(|unverified| {
            match unverified {
                Unverified::Refused(error) => error.into(),
                Unverified::Lacking(wait) => Unverified::Lacking((token.into_owned(), wait)),
            }
        })
    }

    /// Decides on a verified token for the request that it came with, be it known or not.
    fn settle(&self, verified: Verified<C>, request: &Presented<'_>) -> Attempt<C> {
        let candidate = match Candidate::prove(verified, Binding::prove) {
            Ok(candidate) => candidate,
            Err(error) => return Attempt::Done(Err(self.refuse(error))),
        };
        match Checks::ask(self.checks.as_ref(), candidate.token(), request) {
            Asked::Now(Ok(permitted)) => Attempt::Done(Ok(AccessToken::admit(candidate, permitted))),
            Asked::Now(Err(error)) => Attempt::Done(Err(self.refuse(error))),
            Asked::Later(answer) => {
                let space = Arc::clone(&self.policy.space);
                Attempt::Waiting(Box::pin(async move {
                    let permitted = answer.await.map_err(|error| error.in_space(Some(&space)))?;
                    Ok(AccessToken::admit(candidate, permitted))
                }))
            }
        }
    }

    fn refuse(&self, error: Error) -> Error {
        error.in_space(Some(&self.policy.space))
    }

    /// Verifies a token again once what it waits for is there, or when it has waited long enough.
    async fn wait<T>(&self, token: &OwnedToken, mut wait: Wait, verify: &impl Verify<T>) -> Result<T, Error> {
        let deadline = after(Instant::now(), self.key_wait);
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
    fn verify_or_order<T>(
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

    /// The journey of a token that is not known. `decided` is its issuer, if that was found before.
    fn verify(
        &self,
        token: BearerToken<'_>,
        decided: Option<&Arc<TrustedIssuer>>,
    ) -> Result<Verified<C>, Unverified<Lack>> {
        let compact = Compact::parse(token)?;
        let trusted = self.select(compact.json.root().get("iss"), decided)?;
        let now = self.policy.clock.moment();
        let (plausible, verified, warrant) = trusted.verify(compact, &trusted.policy, now)?;
        self.lookup.note_verified(&trusted);
        let verified = Verified::new(plausible, verified, self.read, self.revocations.as_ref())?;
        let configured = trusted.admission.is_none().then(|| Arc::clone(&trusted));
        self.cache.insert(token.as_str().as_bytes(), &verified, configured, warrant, now.wall);
        count!("tower_bearer_token_cache_total", "result" => "miss");
        self.cache.report(now.wall);
        Ok(verified)
    }

    /// Selects the issuer that a token names: a configured one, or one that was found at run time.
    fn select<'e>(
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

impl<C> Clone for ResourceServer<C> {
    fn clone(&self) -> Self {
        Self { engine: Arc::clone(&self.engine) }
    }
}

impl<C> fmt::Debug for ResourceServer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let engine = self.engine.load();
        let issuers: Vec<_> = engine.issuers.iter().map(|trusted| &*trusted.policy.issuer).collect();
        f.debug_struct("ResourceServer")
            .field("audiences", &engine.policy.audiences)
            .field("issuers", &issuers)
            .finish_non_exhaustive()
    }
}
