//! The resource server, and a token's way through it: at once if all is known, else after waits for
//! keys or for a decision about the issuer.

#[cfg(feature = "introspection")]
mod asking;
mod builder;
mod engine;
mod explain;
mod keys;
#[cfg(feature = "logout")]
mod logout;
mod lookup;
mod resolver;
mod token_cache;
mod trust;
mod verifier;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::Request;

pub use self::builder::ResourceServerBuilder;
use self::engine::Engine;
pub use self::explain::{Explanation, Outcome, Step};
pub use self::keys::NotReady;
#[cfg(feature = "logout")]
pub(crate) use self::logout::LogoutTerms;
pub use self::resolver::{IssuerResolver, IssuerTemplate};
pub use self::trust::Trust;
use self::verifier::Unverified;
use crate::access_token::{AccessToken, Candidate, Verified};
use crate::checks::{Asked, Checks, Kept, RequestContext};
use crate::credential::{Credential, RequestHead};
use crate::error::{Error, ProtectionSpace};
use crate::possession::Binding;

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
        match engine.recall(&credential.token) {
            Some(known) => engine.settle(known, || RequestContext::new(head, &credential.token)),
            None => Self::begin(&engine, credential, head),
        }
    }

    /// Goes the long way with a token that is not known. Apart from the short way, which is to stay
    /// short.
    #[cold]
    fn begin(engine: &Arc<Engine<C>>, credential: &Credential<'_>, head: Option<RequestHead<'_>>) -> Attempt<C> {
        let request = || RequestContext::new(head, &credential.token);
        let (token, wait) = match engine.begin(&credential.token) {
            Ok(verified) => return engine.settle(verified, request),
            Err(Unverified::Refused(error)) => return Attempt::Done(Err(engine.refuse(error))),
            Err(Unverified::Lacking(lacking)) => lacking,
        };
        // whatever is reloaded meanwhile, this token is judged by the terms under which it came
        let engine = Arc::clone(engine);
        let kept = engine.checks.as_ref().map(|_| request().keep());
        Attempt::Waiting(Box::pin(async move {
            let verified = engine.finish(&token, wait).await.map_err(|error| engine.refuse(error))?;
            // who is not asked need not see the request
            let request = || kept.as_ref().map_or_else(RequestContext::default, Kept::context);
            let attempt = engine.settle(verified, request);
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
    /// Decides on a verified token for the request that it came with, be it known or not.
    ///
    /// Whatever is not configured costs a branch here, and nothing is made that it would have
    /// needed: `request` is called only if there is a check to show it to.
    fn settle<'r>(&self, verified: Verified<C>, request: impl FnOnce() -> RequestContext<'r>) -> Attempt<C> {
        let candidate = match Candidate::prove(verified, Binding::prove) {
            Ok(candidate) => candidate,
            Err(error) => return Attempt::Done(Err(self.refuse(error))),
        };
        match Checks::needed(self.checks.as_ref()) {
            Err(permitted) => Attempt::Done(Ok(AccessToken::admit(candidate, permitted))),
            Ok(checks) => self.ask(checks, candidate, &request()),
        }
    }

    /// Asks the checks about a token that its sender may use.
    fn ask(&self, checks: &Arc<Checks>, candidate: Candidate<C>, request: &RequestContext<'_>) -> Attempt<C> {
        match checks.ask(candidate.token(), request) {
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
