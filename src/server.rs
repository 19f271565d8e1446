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
mod possession;
mod resolver;
mod token_cache;
mod trust;
mod verifier;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{HeaderName, Request};

pub use self::builder::ResourceServerBuilder;
use self::engine::Engine;
pub use self::explain::{Explanation, Outcome, Step};
pub use self::keys::NotReady;
#[cfg(feature = "logout")]
pub(crate) use self::logout::LogoutTerms;
use self::possession::{Judged, KeptPresented, Presented};
pub(crate) use self::possession::{LayerOrigin, UsedProof};
pub use self::resolver::{IssuerResolver, IssuerTemplate};
pub use self::trust::Trust;
use self::verifier::Unverified;
use crate::access_token::{AccessToken, Anonymous, Candidate, Verified};
use crate::checks::{Asked, Checks, RequestContext};
use crate::credential::{Credential, RequestHead};
use crate::error::{Error, Scheme};
use crate::possession::Shown;

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

/// A yes to a request.
pub(crate) struct Admitted<C> {
    pub(crate) token: AccessToken<C>,
    /// Boxed, since most requests have none.
    pub(crate) proof: Option<Box<UsedProof>>,
}

/// What comes of a token: a verdict, or a wait and then a verdict.
pub(crate) enum Attempt<C> {
    Done(Verdict<C>),
    /// A no to the request, whatever its token, and whoever else is let in without one.
    Refused(Error),
    Waiting(Pin<Box<dyn Future<Output = Verdict<C>> + Send>>),
}

pub(crate) type Verdict<C> = Result<Admitted<C>, Error>;

impl<C: Send + Sync + 'static> ResourceServer<C> {
    /// Verifies a token that did not come in an HTTP header: from a WebSocket message, a queue, a
    /// test.
    ///
    /// A token that is bound to its sender (DPoP, mutual TLS) is refused, since what would prove it
    /// is in the request: see [`authenticate_request`](Self::authenticate_request).
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
        self.attempt(&Credential::bearer(token.as_bytes()), None, None).token().await
    }

    /// Verifies the token in the `Authorization` header of a request, as the layer does by default:
    /// where there is no layer. A token that is bound to its sender needs its proof in the header
    /// `DPoP`, or the certificate of the connection in the request's extensions. The proof is used
    /// then: the same request a second time is a replay, unless a layer in front has let it in.
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
            Ok(credential) => self.attempt(&credential, Some(RequestHead::from(request)), None),
            Err(error) => self.without_token(error, RequestHead::from(request)),
        };
        attempt.token()
    }

    /// Verifies a token there and then, if all that it needs is known. `head` is that of its
    /// request, if it came with one; `origin` is where that is reached, if not as the server says.
    pub(crate) fn attempt(
        &self,
        credential: &Credential<'_>,
        head: Option<RequestHead<'_>>,
        origin: Option<&LayerOrigin>,
    ) -> Attempt<C> {
        let engine = self.engine.load();
        let Credential { token, scheme } = credential;
        let certificate = match head.map_or(Ok(None), |head| engine.senders.screen(head)) {
            Ok(certificate) => certificate,
            Err(error) => return Attempt::Refused(engine.refuse(error.under(*scheme))),
        };
        let presented = Presented { token, scheme: *scheme, head, origin, certificate };
        match engine.recall(presented.token) {
            Some(known) => engine.settle(known, &presented),
            None => Self::begin(&engine, &presented),
        }
    }

    /// Refuses a request in which no token was found that could be looked at.
    pub(crate) fn without_token(&self, error: Error, head: RequestHead<'_>) -> Attempt<C> {
        let engine = self.engine.load();
        match engine.senders.screen(head) {
            Ok(_) => Attempt::Done(Err(engine.refuse(error))),
            Err(worse) => Attempt::Refused(engine.refuse(worse.under(error.scheme()))),
        }
    }

    /// Lets a request in whose token is not to be looked at. Returns whose anonymous caller it has.
    pub(crate) fn anybody(&self, head: RequestHead<'_>) -> Result<Anonymous, Error> {
        let engine = self.engine.load();
        engine.senders.screen(head).map_err(|error| engine.refuse(error))?;
        Ok(Anonymous::in_space(Arc::clone(&engine.policy.space)))
    }

    /// Goes the long way with a token that is not known. Apart from the short way, which is to stay
    /// short.
    #[cold]
    fn begin(engine: &Arc<Engine<C>>, presented: &Presented<'_>) -> Attempt<C> {
        let scheme = presented.scheme;
        let (token, wait) = match engine.begin(presented.token) {
            Ok(verified) => return engine.settle(verified, presented),
            Err(Unverified::Refused(error)) => return Attempt::Done(Err(engine.refuse(error.under(scheme)))),
            Err(Unverified::Lacking(lacking)) => lacking,
        };
        // whatever is reloaded meanwhile, this token is judged by the terms under which it came
        let engine = Arc::clone(engine);
        // who is not asked need not see the request
        let kept = engine.looks_at_requests(scheme).then(|| presented.keep());
        Attempt::Waiting(Box::pin(async move {
            let verified = engine.finish(&token, wait).await.map_err(|error| engine.refuse(error.under(scheme)))?;
            let presented = kept.as_ref().map_or_else(Presented::unseen, KeptPresented::presented);
            let attempt = engine.settle(verified, &presented);
            attempt.verdict().await
        }))
    }
}

impl<C> Attempt<C> {
    async fn verdict(self) -> Verdict<C> {
        match self {
            Self::Done(verdict) => verdict,
            Self::Refused(error) => Err(error),
            Self::Waiting(verdict) => verdict.await,
        }
    }

    async fn token(self) -> Result<AccessToken<C>, Error> {
        self.verdict().await.map(|admitted| admitted.token)
    }
}

impl<C> ResourceServer<C> {
    /// Returns the header that certificates of clients come in, if that is where they are.
    pub(crate) fn certificate_header(&self) -> Option<HeaderName> {
        #[cfg(feature = "mtls")]
        return self.engine.load().senders.certificate_header().cloned();
        #[cfg(not(feature = "mtls"))]
        None
    }

    /// Tells whether tokens of a configured issuer must come in the `Authorization` header.
    pub(crate) fn trusts_by_fapi2(&self) -> bool {
        self.engine.load().issuers.iter().any(|trusted| trusted.policy.terms.fapi2)
    }
}

impl<C: Send + Sync + 'static> Engine<C> {
    /// Tells whether a token that came under the scheme is judged by its request, too.
    fn looks_at_requests(&self, scheme: Scheme) -> bool {
        self.checks.is_some() || scheme != Scheme::Bearer || self.senders.look_at_certificates()
    }

    /// Decides on a verified token for the request that it came with, be it known or not.
    ///
    /// Whatever is not configured costs a branch here, and nothing is made that it would have
    /// needed.
    fn settle(self: &Arc<Self>, verified: Verified<C>, presented: &Presented<'_>) -> Attempt<C> {
        if verified.binding().bound().is_some() {
            return self.settle_sender(verified, presented);
        }
        self.admit(verified, &Shown::default(), presented, None)
    }

    /// Lets the sender prove that the token is theirs.
    fn settle_sender(self: &Arc<Self>, verified: Verified<C>, presented: &Presented<'_>) -> Attempt<C> {
        match self.senders.judge(&verified, presented, &self.policy.clock) {
            Judged::Now(Ok((shown, proof))) => self.admit(verified, &shown, presented, proof),
            Judged::Now(Err(error)) => Attempt::Done(Err(self.refuse_sender(error, &verified, presented.scheme))),
            Judged::Later(answer) => {
                let (engine, kept) = (Arc::clone(self), presented.keep());
                Attempt::Waiting(Box::pin(async move {
                    let presented = kept.presented();
                    let judged = answer.await;
                    let refused = |error| engine.refuse_sender(error, &verified, presented.scheme);
                    let (shown, proof) = judged.map_err(refused)?;
                    engine.admit(verified, &shown, &presented, proof).verdict().await
                }))
            }
        }
    }

    /// Admits a token, if its sender has shown what it takes, and the checks have nothing against it.
    fn admit(
        &self,
        verified: Verified<C>,
        shown: &Shown,
        presented: &Presented<'_>,
        proof: Option<Box<UsedProof>>,
    ) -> Attempt<C> {
        let proven = Candidate::prove(verified, |binding| binding.prove(presented.scheme, shown));
        let candidate = match proven {
            Ok(candidate) => candidate,
            Err(error) => return Attempt::Done(Err(self.refuse(error.under(presented.scheme)))),
        };
        match Checks::needed(self.checks.as_ref()) {
            Err(permitted) => Attempt::Done(Ok(Admitted { token: AccessToken::admit(candidate, permitted), proof })),
            Ok(checks) => self.ask(checks, candidate, &presented.context(), proof),
        }
    }

    /// Asks the checks about a token that its sender may use.
    fn ask(
        &self,
        checks: &Arc<Checks>,
        candidate: Candidate<C>,
        request: &RequestContext<'_>,
        proof: Option<Box<UsedProof>>,
    ) -> Attempt<C> {
        let scheme = candidate.token().scheme();
        match checks.ask(candidate.token(), request) {
            Asked::Now(Ok(permitted)) => {
                Attempt::Done(Ok(Admitted { token: AccessToken::admit(candidate, permitted), proof }))
            }
            Asked::Now(Err(error)) => Attempt::Done(Err(self.refuse(error.under(scheme)))),
            Asked::Later(answer) => {
                let space = Arc::clone(&self.policy.space);
                Attempt::Waiting(Box::pin(async move {
                    let permitted = answer.await.map_err(|error| error.in_space(Some(&space)).under(scheme))?;
                    Ok(Admitted { token: AccessToken::admit(candidate, permitted), proof })
                }))
            }
        }
    }

    fn refuse_sender(&self, error: Error, verified: &Verified<C>, scheme: Scheme) -> Error {
        self.refuse(error.at(&verified.policy().issuer).under(scheme))
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
