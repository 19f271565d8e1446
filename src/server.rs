//! The engine: all steps from the token to the evidence, at once where the keys are known, else after a wait.

mod builder;
mod trust;

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;

pub use self::builder::ResourceServerBuilder;
pub use self::trust::Trust;
use crate::access_token::AccessToken;
use crate::bearer::BearerToken;
use crate::clock::{Clock, UnixTime};
use crate::error::{Error, ErrorKind};
use crate::issuer::{IssuerSet, Policy, ServerPolicy};
use crate::jose::Compact;
use crate::jwks::{Demand, Fetch, IssuerStatus, KeySet, Keys, MAX_FETCH, Want};
use crate::validate::Plausible;
use crate::verify::verify;

/// How long a request waits for keys.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// Verifies access tokens for one service: OAuth 2.0's *resource server* (RFC 6749 §1.1).
///
/// Cheap to clone; clones share the keys. Dropping the last one ends the tasks that fetch them.
///
/// Keys are fetched by a task on the tokio runtime (with timers) of the first token that needs them. If this runtime ends, the
/// next one takes over; it must not be kept without being driven. Tokens whose keys are known need no runtime.
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
    /// There are no keys; with the generation of those that there are, too old or none usable, or 0.
    NoKeys(&'e Trusted, u64),
    /// The keys of this generation do not have the token's.
    UnknownKey(&'e Trusted, u64, Error),
}

/// How far a token gets without a wait.
enum Step<C> {
    Done(Verdict<C>),
    Wait(Fetch),
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
    /// A function that takes an [`AccessToken`] of any claims gets it with [`erase`](AccessToken::erase).
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
        let waits: Vec<_> = self.engine.issuers.iter().map(|trusted| (trusted, trusted.demand_if_empty())).collect();
        for (trusted, fetch) in waits {
            if let Demand::Wait(fetch) = fetch {
                let _ = timeout(MAX_FETCH, fetch.ended()).await;
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
        let fetch = match self.engine.step(token) {
            Step::Done(verdict) => return Attempt::Done(verdict),
            Step::Wait(fetch) => fetch,
        };
        let engine = Arc::clone(&self.engine);
        let token = token.as_str().to_owned();
        Attempt::Waiting(Box::pin(async move {
            let token = BearerToken::from_bytes(token.as_bytes())?;
            match timeout(MAX_WAIT, engine.wait(token, fetch)).await {
                Ok(verdict) => verdict,
                Err(_) => engine.verify(token).map_err(|refusal| refusal.into_error(false)),
            }
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
    /// Verifies a token as far as that goes without a wait.
    fn step(&self, token: BearerToken<'_>) -> Step<C> {
        loop {
            let refusal = match self.verify(token) {
                Ok(token) => return Step::Done(Ok(token)),
                Err(refusal) => refusal,
            };
            let demand = match &refusal {
                Refusal::Final(_) => Demand::Refused,
                Refusal::NoKeys(trusted, generation) => trusted.keys.demand(Want::Any, *generation),
                Refusal::UnknownKey(trusted, generation, _) => trusted.keys.demand(Want::Kid, *generation),
            };
            match demand {
                Demand::Newer => {}
                Demand::Refused => return Step::Done(Err(refusal.into_error(true))),
                Demand::Wait(fetch) => return Step::Wait(fetch),
            }
        }
    }

    /// Verifies a token again once a fetch has ended.
    async fn wait(&self, token: BearerToken<'_>, mut fetch: Fetch) -> Verdict<C> {
        // one that was on its way already may have been begun before the issuer published the key: then another may follow
        while fetch.joined() {
            fetch.ended().await;
            match self.step(token) {
                Step::Done(verdict) => return verdict,
                Step::Wait(next) => fetch = next,
            }
        }
        fetch.ended().await;
        self.verify(token).map_err(|refusal| refusal.into_error(true))
    }

    /// The journey.
    fn verify(&self, token: BearerToken<'_>) -> Result<AccessToken<C>, Refusal<'_>> {
        let compact = Compact::parse(token)?;
        let trusted = self.issuers.select(compact.payload.root().get("iss"))?;
        let plausible = Plausible::check(compact, &trusted.policy, UnixTime::now(&*self.clock))?;
        let current = trusted.keys.current();
        let generation = current.as_ref().map_or(0, |snapshot| snapshot.generation());
        let keys = current.as_ref().and_then(|snapshot| snapshot.keys()).filter(|keys| !keys.is_empty());
        let Some(keys) = keys else { return Err(Refusal::NoKeys(trusted, generation)) };
        verify(plausible, keys, self.read).map_err(|error| {
            if error.kind() == ErrorKind::UnknownKey {
                Refusal::UnknownKey(trusted, generation, error)
            } else {
                Refusal::Final(error)
            }
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
            Self::NoKeys(trusted, _) => trusted.unavailable(),
            Self::UnknownKey(trusted, _, error) if ended && trusted.keys.outage().is_none() => error,
            Self::UnknownKey(trusted, ..) => trusted.unavailable(),
        }
    }
}

impl Trusted {
    fn is_empty(&self) -> bool {
        let current = self.keys.current();
        current.as_ref().and_then(|snapshot| snapshot.keys()).is_none_or(KeySet::is_empty)
    }

    fn demand_if_empty(&self) -> Demand {
        if !self.is_empty() {
            return Demand::Newer;
        }
        let generation = self.keys.current().as_ref().map_or(0, |snapshot| snapshot.generation());
        self.keys.demand(Want::Any, generation)
    }

    fn unavailable(&self) -> Error {
        let outage = self.keys.outage();
        let detail = match &outage {
            Some(outage) => Cow::Owned(outage.error.to_string()),
            None if Handle::try_current().is_err() => "keys cannot be fetched outside a tokio runtime".into(),
            None => "the issuer has not answered yet".into(),
        };
        let wait = outage.map(|outage| outage.wait).unwrap_or_default();
        Error::new(ErrorKind::KeysUnavailable, detail).with_retry_after(wait).at(&self.policy.issuer)
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
