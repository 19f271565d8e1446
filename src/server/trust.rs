//! An issuer that is trusted: what the application says of it, how its keys are fetched, and what
//! the server keeps of it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(feature = "http-client")]
use std::{
    collections::HashMap,
    sync::{Mutex, Weak},
};

use tokio::time::Instant;

use crate::error::{ConfigError, ConfigProblemKind};
#[cfg(feature = "introspection")]
use crate::introspection_client::Endpoint;
use crate::issuer::{Address, Issuer, Policy, ServerPolicy};
use crate::jwks::{Allowance, DynKeySource, KeySource, Keys, StaticKeys, Timing};
#[cfg(feature = "http-client")]
use crate::jwks::{HttpAccess, HttpClient, HttpSource, KeysByKid, PlainHost, Reach, shown};
use crate::possession::SenderConstraint;
#[cfg(feature = "http-client")]
use crate::sync::lock;

/// What [`trust`](crate::config::ResourceServerBuilder::trust) takes: an issuer, whose keys are
/// then fetched over HTTP, or a pair of an issuer and its [`StaticKeys`] or any [`KeySource`].
pub struct Trust {
    pub(super) issuer: Issuer,
    keys: KeyOrigin,
}

enum KeyOrigin {
    /// The issuer's `jwks_uri`, given or discovered.
    Http,
    Source(Box<dyn DynKeySource>),
    Static(StaticKeys),
}

/// What the server keeps of an issuer that is trusted.
pub(super) struct TrustedIssuer {
    /// How it was found at run time; `None` if it is configured.
    pub(super) admission: Option<Admission>,
    /// The terms on which its tokens are accepted.
    pub(super) policy: Arc<Policy>,
    pub(super) keys: Arc<Keys>,
    /// How the keys are fetched, if over HTTP; `None` for those of the application's own source, and
    /// those that never change.
    pub(super) over_http: Option<FetchTerms>,
    /// Where the issuer is asked about tokens, if it is.
    #[cfg(feature = "introspection")]
    pub(super) endpoint: Option<Arc<Endpoint>>,
}

impl TrustedIssuer {
    /// Tells whether the issuer is asked about tokens.
    #[cfg(feature = "introspection")]
    pub(super) fn is_asked(&self) -> bool {
        self.endpoint.is_some()
    }

    #[cfg(not(feature = "introspection"))]
    #[expect(clippy::unused_self, reason = "the same call with and without the feature")]
    pub(super) fn is_asked(&self) -> bool {
        false
    }
}

/// How a resolver has let in an issuer, and whether that was proven.
pub(super) struct Admission {
    /// That of the resolvers that have let it in.
    pub(super) epoch: u64,
    /// Which of these it was.
    pub(super) resolver: usize,
    pub(super) made: Instant,
    /// A token was verified on these terms.
    proven: AtomicBool,
}

impl Admission {
    pub(super) fn new(epoch: u64, resolver: usize) -> Self {
        Self { epoch, resolver, made: Instant::now(), proven: AtomicBool::new(false) }
    }

    /// Notes that a token was verified, and tells whether it is the first.
    pub(super) fn note_verified(&self) -> bool {
        !self.proven.load(Ordering::Relaxed) && !self.proven.swap(true, Ordering::Relaxed)
    }
}

impl Trust {
    /// Returns how its tokens may be bound to their senders.
    pub(super) fn sender_constraint(&self) -> SenderConstraint {
        self.issuer.terms.sender_constraint
    }

    /// Checks the issuer and prepares its keys, or goes on with those that are `known` of it, if
    /// they come from the same place over HTTP.
    pub(super) fn prepare(
        self,
        server: &Arc<ServerPolicy>,
        fetch_terms: &FetchTerms,
        known: Option<&TrustedIssuer>,
        problems: &mut ConfigError,
    ) -> Option<TrustedIssuer> {
        let Self { issuer, keys } = self;
        let path = |field: &str| format!("issuers[{}].{field}", issuer.id());
        let (id, terms) = (Arc::clone(&issuer.id), &issuer.terms);
        let jwks_uri = terms.jwks_uri.as_ref().map(Address::as_str);
        if !matches!(keys, KeyOrigin::Http) && jwks_uri.is_some() {
            let fix = "the keys come from elsewhere; drop jwks_uri";
            problems.push_as(ConfigProblemKind::Conflict, path("jwks_uri"), fix);
        }
        if fetch_terms.allowance.is_some() && (terms.absent_iss || !terms.also_known_as.is_empty()) {
            problems.push(path("also_known_as"), "an issuer that is found at run time is found by one identifier");
        }
        let (mut symmetric, mut over_http) = (None, None);
        #[cfg(feature = "introspection")]
        let endpoint = fetch_terms.endpoint(&issuer, problems);
        #[cfg(feature = "introspection")]
        let keys = if terms.introspection.as_ref().is_some_and(|asked| asked.without_keys) {
            if jwks_uri.is_some() || !matches!(keys, KeyOrigin::Http) {
                let fix = "the issuer is said to have no keys, and is given some; drop the keys or without_keys";
                problems.push_as(ConfigProblemKind::Conflict, path("introspection"), fix);
            }
            KeyOrigin::Static(StaticKeys::none())
        } else {
            keys
        };
        let keys = match keys {
            KeyOrigin::Static(keys) => {
                symmetric = keys.symmetric;
                Some(Arc::new(Keys::fixed(id, keys.set)))
            }
            KeyOrigin::Source(source) => {
                Some(Arc::new(Keys::fetched(id, fetch_terms.allowance.clone(), source, &fetch_terms.timing)))
            }
            // an empty identifier is reported once, with the policy
            KeyOrigin::Http if id.is_empty() && jwks_uri.is_none() => None,
            KeyOrigin::Http => {
                let by_kid = terms.load_balancers.is_some();
                let same = |known: &&TrustedIssuer| {
                    let former = &known.policy.terms;
                    former.jwks_uri.as_ref().map(Address::as_str) == jwks_uri
                        && former.load_balancers.is_some() == by_kid
                        && known.over_http.as_ref().is_some_and(|known| known.same_as(fetch_terms))
                };
                let known = known.filter(same).map(|known| &known.keys);
                let keys = fetch_terms.keys(&id, jwks_uri, by_kid, known).map_err(|fix| {
                    let field = if jwks_uri.is_some() { "jwks_uri" } else { "id" };
                    problems.push(path(field), fix);
                });
                over_http = Some(fetch_terms.clone());
                keys.ok()
            }
        };
        let policy = Arc::new(issuer.terms.into_policy(issuer.id, server, symmetric, problems));
        Some(TrustedIssuer {
            admission: None,
            policy,
            keys: keys?,
            over_http,
            #[cfg(feature = "introspection")]
            endpoint,
        })
    }
}

impl From<Issuer> for Trust {
    fn from(issuer: Issuer) -> Self {
        Self { issuer, keys: KeyOrigin::Http }
    }
}

impl From<(Issuer, StaticKeys)> for Trust {
    fn from((issuer, keys): (Issuer, StaticKeys)) -> Self {
        Self { issuer, keys: KeyOrigin::Static(keys) }
    }
}

impl<S: KeySource> From<(Issuer, S)> for Trust {
    fn from((issuer, source): (Issuer, S)) -> Self {
        Self { issuer, keys: KeyOrigin::Source(Box::new(source)) }
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trust({})", self.issuer.id())
    }
}

/// What the application says about how keys are fetched.
#[derive(Default)]
pub(super) struct FetchSettings {
    pub(super) timing: Timing,
    #[cfg(feature = "http-client")]
    pub(super) client: Option<HttpClient>,
    #[cfg(feature = "http-client")]
    pub(super) private_hosts: Vec<Box<str>>,
    #[cfg(feature = "http-client")]
    pub(super) plain_hosts: Vec<PlainHost>,
}

#[derive(Clone)]
pub(super) struct FetchTerms {
    pub(super) timing: Timing,
    /// What the fetches of issuers that are found at run time may cost together; `None` for those
    /// that are configured.
    pub(super) allowance: Option<Arc<Allowance>>,
    #[cfg(feature = "http-client")]
    access: HttpAccess,
    /// Keys by their `jwks_uri`, while some issuer that was found at run time uses them: those of a
    /// template, say.
    #[cfg(feature = "http-client")]
    shared: Arc<Mutex<HashMap<Box<str>, Weak<Keys>>>>,
}

impl FetchTerms {
    /// For issuers that are configured.
    pub(super) fn for_configured(settings: &FetchSettings) -> Self {
        Self {
            timing: settings.timing.clone(),
            allowance: None,
            #[cfg(feature = "http-client")]
            access: HttpAccess::new(settings.client.clone(), Reach::Anywhere, settings.plain_hosts.clone().into()),
            #[cfg(feature = "http-client")]
            shared: Arc::default(),
        }
    }

    /// For issuers that are found at run time, and these private hosts; it goes on with the keys of
    /// a former one like it.
    pub(super) fn for_looked_up(settings: &FetchSettings, former: Option<&Self>) -> Self {
        #[cfg(feature = "http-client")]
        let reach = Reach::Public { and: settings.private_hosts.clone().into() };
        let new = Self {
            allowance: Some(Arc::new(Allowance::new())),
            #[cfg(feature = "http-client")]
            access: HttpAccess::new(settings.client.clone(), reach, Arc::default()),
            ..Self::for_configured(settings)
        };
        match former.filter(|former| former.same_as(&new)) {
            Some(former) => Self { timing: new.timing, ..former.clone() },
            None => new,
        }
    }

    /// Tells whether keys come from the same place, whichever of the two fetches them.
    pub(super) fn same_as(&self, other: &Self) -> bool {
        let same = self.allowance.is_some() == other.allowance.is_some();
        #[cfg(feature = "http-client")]
        let same = same && self.access.same_as(&other.access);
        same
    }

    /// Checks where an issuer is asked about tokens, if it is.
    #[cfg(feature = "introspection")]
    fn endpoint(&self, issuer: &Issuer, problems: &mut ConfigError) -> Option<Arc<Endpoint>> {
        let path = |field: &str| format!("issuers[{}].{field}", issuer.id());
        let settings = issuer.terms.introspection.clone()?;
        if self.allowance.is_some() {
            let fix = "an issuer that is found at run time is not asked about tokens";
            problems.push(path("introspection"), fix);
            return None;
        }
        match Endpoint::new(&self.access, issuer.id(), settings) {
            Ok(endpoint) => Some(Arc::new(endpoint)),
            Err((setting, fix)) => {
                problems.push(path(setting), fix);
                None
            }
        }
    }

    /// Checks the addresses and keeps the keys that come from there, or goes on with those that are
    /// `known`; the error says what is wrong with the addresses. By `kid`, each key has an address
    /// of its own below the given one.
    #[cfg(feature = "http-client")]
    fn keys(
        &self,
        issuer: &Arc<str>,
        jwks_uri: Option<&str>,
        by_kid: bool,
        known: Option<&Arc<Keys>>,
    ) -> Result<Arc<Keys>, String> {
        let access = self.access.clone();
        let (source, address): (Box<dyn DynKeySource>, _) = match jwks_uri {
            Some(_) if by_kid && self.allowance.is_some() => {
                return Err("keys are fetched by their names for configured issuers only".into());
            }
            Some(address) if by_kid => (Box::new(KeysByKid::new(access, address)?), None),
            jwks_uri => {
                let source = HttpSource::new(access, issuer, jwks_uri)?;
                let address = source.given.clone();
                (Box::new(source), address)
            }
        };
        if let Some(known) = known {
            return Ok(Arc::clone(known));
        }
        let fetched = |name| Arc::new(Keys::fetched(name, self.allowance.clone(), source, &self.timing));
        let Some(address) = address.filter(|_| self.allowance.is_some()) else {
            return Ok(fetched(Arc::clone(issuer)));
        };
        let mut shared = lock(&self.shared);
        shared.retain(|_, keys| keys.strong_count() > 0);
        if let Some(keys) = shared.get(address.as_str()).and_then(Weak::upgrade) {
            return Ok(keys);
        }
        // they are no single issuer's
        let keys = fetched(shown(&address).into());
        shared.insert(address.as_str().into(), Arc::downgrade(&keys));
        Ok(keys)
    }

    #[cfg(not(feature = "http-client"))]
    #[expect(clippy::unused_self, reason = "the same call with and without the feature")]
    fn keys(&self, _: &Arc<str>, _: Option<&str>, _: bool, _: Option<&Arc<Keys>>) -> Result<Arc<Keys>, String> {
        Err("keys can be fetched over HTTP only with the feature `http-client`; or trust the issuer together with its keys".into())
    }
}
