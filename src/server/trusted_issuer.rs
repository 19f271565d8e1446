//! An issuer that is trusted: what the application says of it, and what the server keeps of it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;

use super::fetch_terms::{FetchTerms, HttpOrigin};
use crate::error::{ConfigError, ConfigProblemKind};
use crate::issuer::{Address, Issuer, Policy, ServerPolicy};
use crate::jwks::{DynKeySource, KeySource, Keys, StaticKeys};

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
    /// Where the keys are fetched from, if over HTTP; `None` for those of the application's own
    /// source, and those that never change.
    pub(super) over_http: Option<HttpOrigin>,
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
                let origin =
                    HttpOrigin { jwks_uri: jwks_uri.map(Into::into), by_kid, fetch_terms: fetch_terms.clone() };
                let same =
                    |known: &&TrustedIssuer| known.over_http.as_ref().is_some_and(|known| known.same_as(&origin));
                let known = known.filter(same).map(|known| &known.keys);
                let keys = origin.keys(&id, known).map_err(|fix| {
                    let field = if jwks_uri.is_some() { "jwks_uri" } else { "id" };
                    problems.push(path(field), fix);
                });
                over_http = Some(origin);
                keys.ok()
            }
        };
        let policy = Arc::new(issuer.terms.into_policy(issuer.id, server, symmetric, problems));
        Some(TrustedIssuer { admission: None, policy, keys: keys?, over_http })
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
