//! The engine: all steps from the token to the evidence, at once where the keys are known, else after a wait.

mod builder;
mod trust;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

pub use self::builder::ResourceServerBuilder;
pub use self::trust::Trust;
use crate::access_token::AccessToken;
use crate::bearer::BearerToken;
use crate::clock::{Clock, UnixTime};
use crate::error::{Error, ErrorKind};
use crate::issuer::{IssuerSet, Policy, ServerPolicy};
use crate::jose::Compact;
use crate::jwks::{IssuerStatus, KeySet, Keys, Want};
use crate::validate::Plausible;
use crate::verify::verify;

/// Verifies access tokens for one service: OAuth 2.0's *resource server* (RFC 6749 §1.1).
///
/// Cheap to clone; clones share the keys. Dropping the last one ends the tasks that fetch them.
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
    engine: Arc<Engine<C>>,
}

struct Engine<C> {
    issuers: IssuerSet<Trusted>,
    policy: Arc<ServerPolicy>,
    clock: Box<dyn Clock>,
    read: fn(&str) -> Result<C, serde_json::Error>,
}

/// What the engine keeps of each trusted issuer.
struct Trusted {
    policy: Arc<Policy>,
    keys: Keys,
}

type Verdict<C> = Result<AccessToken<C>, Error>;

/// What comes of a token: a verdict, or a wait for keys and then a verdict.
pub(crate) enum Attempt<C> {
    Done(Verdict<C>),
    Waiting(Pin<Box<dyn Future<Output = Verdict<C>> + Send>>),
}

/// A verdict of no, and whether newer keys could change it.
enum Refusal<'e> {
    Final(Error),
    NoKeys(&'e Trusted),
    UnknownKey(&'e Trusted, Error),
}

impl From<Error> for Refusal<'_> {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

impl ResourceServer {
    /// Begins the configuration of a server that is meant by this audience: the tokens' `aud` must name it, byte for
    /// byte (RFC 7519 §4.1.3, RFC 9068 §4).
    #[expect(clippy::new_ret_no_self, reason = "a server cannot be had without what the builder asks for")]
    pub fn new(audience: impl Into<String>) -> ResourceServerBuilder {
        ResourceServerBuilder::new(audience.into())
    }
}

impl<C: Send + Sync + 'static> ResourceServer<C> {
    /// Verifies a token that did not come in an HTTP header: from a WebSocket message, a queue, a test.
    ///
    /// # Errors
    ///
    /// As the layer refuses it; see [`ErrorKind`].
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time: a fetch of keys that it waits for goes on for the others.
    pub async fn authenticate(&self, token: &str) -> Result<AccessToken<C>, Error> {
        match self.attempt(BearerToken::from_bytes(token.as_bytes())?) {
            Attempt::Done(verdict) => verdict,
            Attempt::Waiting(verdict) => verdict.await,
        }
    }

    /// Waits until the keys of every issuer are there, or fails with the first that cannot be had: for readiness gates and
    /// for services that would rather not start than start without keys.
    ///
    /// Each issuer is asked once; one that was asked in vain a moment ago is not asked again before its pause is over.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::KeysUnavailable`], naming the issuer and the reason, after some 15 s at the latest.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time; fetches go on.
    pub async fn ready(&self) -> Result<(), Error> {
        let waits: Vec<_> = self.engine.issuers.iter().map(|trusted| (trusted, trusted.order_if_empty())).collect();
        for (trusted, mut wait) in waits {
            while let Some(fetch) = wait.take() {
                if !fetch.await {
                    wait = trusted.order_if_empty();
                }
            }
            if trusted.is_empty() {
                return Err(trusted.unavailable());
            }
        }
        Ok(())
    }

    /// Returns the state of each issuer's keys, for readiness probes and operators.
    pub fn status(&self) -> Vec<IssuerStatus> {
        let mut status: Vec<_> = self.engine.issuers.iter().map(|trusted| trusted.keys.status()).collect();
        status.sort_by(|a, b| a.issuer.cmp(&b.issuer));
        status
    }

    /// Verifies a token there and then, if the keys that it needs are known.
    pub(crate) fn attempt(&self, token: BearerToken<'_>) -> Attempt<C> {
        let refusal = match self.engine.verify(token) {
            Ok(token) => return Attempt::Done(Ok(token)),
            Err(refusal) => refusal,
        };
        let fetch = match &refusal {
            Refusal::Final(_) => None,
            Refusal::NoKeys(trusted) => trusted.keys.want(Want::Any),
            Refusal::UnknownKey(trusted, _) => trusted.keys.want(Want::Kid),
        };
        let Some(fetch) = fetch else { return Attempt::Done(Err(refusal.into_error(true))) };
        let engine = Arc::clone(&self.engine);
        let token = token.as_str().to_owned();
        Attempt::Waiting(Box::pin(async move {
            let ended = fetch.await;
            let token = BearerToken::from_bytes(token.as_bytes())?;
            engine.verify(token).map_err(|refusal| refusal.into_error(ended))
        }))
    }
}

impl<C> ResourceServer<C> {
    /// The quoted `realm` of challenges.
    pub(crate) fn realm(&self) -> &Arc<str> {
        &self.engine.policy.realm
    }
}

impl<C> Engine<C> {
    /// The journey.
    fn verify(&self, token: BearerToken<'_>) -> Result<AccessToken<C>, Refusal<'_>> {
        let compact = Compact::parse(token)?;
        let trusted = self.issuers.select(compact.payload.root().get("iss"))?;
        let plausible = Plausible::check(compact, &trusted.policy, UnixTime::now(&*self.clock))?;
        let current = trusted.keys.current();
        let keys = current.as_ref().and_then(|snapshot| snapshot.keys());
        let Some(set) = keys.filter(|set| !set.is_empty()) else { return Err(Refusal::NoKeys(trusted)) };
        verify(plausible, set, self.read).map_err(|error| match error.kind() {
            ErrorKind::UnknownKey => Refusal::UnknownKey(trusted, error),
            _ => Refusal::Final(error),
        })
    }
}

impl Refusal<'_> {
    /// Says what to answer when there is nothing (more) to wait for; `ended` is whether the fetch has ended that was waited
    /// for.
    ///
    /// A key that is missing because *we* could not fetch the set is our outage, not the caller's fault.
    fn into_error(self, ended: bool) -> Error {
        match self {
            Self::Final(error) => error,
            Self::NoKeys(trusted) => trusted.unavailable(),
            Self::UnknownKey(trusted, error) if ended && trusted.keys.outage().is_none() => error,
            Self::UnknownKey(trusted, _) => trusted.unavailable(),
        }
    }
}

impl Trusted {
    fn is_empty(&self) -> bool {
        let current = self.keys.current();
        current.as_ref().and_then(|snapshot| snapshot.keys()).is_none_or(KeySet::is_empty)
    }

    fn order_if_empty(&self) -> Option<impl Future<Output = bool> + Send + 'static> {
        if self.is_empty() { self.keys.want(Want::Any) } else { None }
    }

    fn unavailable(&self) -> Error {
        let outage = self.keys.outage();
        let error = match &outage {
            Some(outage) => {
                Error::new(ErrorKind::KeysUnavailable, outage.error.to_string()).with_retry_after(outage.wait)
            }
            None => Error::new(ErrorKind::KeysUnavailable, "the issuer has not answered yet")
                .with_retry_after(Default::default()),
        };
        error.at(&self.policy.issuer)
    }
}

impl<C> Clone for ResourceServer<C> {
    fn clone(&self) -> Self {
        Self { engine: Arc::clone(&self.engine) }
    }
}

impl<C> fmt::Debug for ResourceServer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuers: Vec<_> = self.engine.issuers.iter().map(|trusted| &*trusted.policy.issuer).collect();
        f.debug_struct("ResourceServer")
            .field("audiences", &self.engine.policy.audiences)
            .field("issuers", &issuers)
            .finish_non_exhaustive()
    }
}
