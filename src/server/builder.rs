//! The configuration of a server, checked as a whole.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::trust::{Origin, Trust};
use super::{Engine, ResourceServer, Trusted};
use crate::challenge::quoted;
use crate::clock::{Clock, SystemClock};
use crate::error::ConfigError;
use crate::issuer::{IssuerSet, ServerPolicy};
use crate::jwks::{DynKeySource, Keys};

/// Configures a [`ResourceServer`]; [`build`](Self::build) checks everything at once.
pub struct ResourceServerBuilder<C = ()> {
    audiences: Vec<Box<str>>,
    trusted: Vec<Trust>,
    realm: Option<String>,
    clock: Box<dyn Clock>,
    read: fn(&str) -> Result<C, serde_json::Error>,
    claims: PhantomData<fn() -> C>,
}

impl ResourceServerBuilder {
    pub(super) fn new(audience: String) -> Self {
        Self {
            audiences: vec![audience.into()],
            trusted: Vec::new(),
            realm: None,
            clock: Box::new(SystemClock),
            // no type of claims, no second look at the payload
            read: |_| Ok(()),
            claims: PhantomData,
        }
    }
}

impl<C: Send + Sync + 'static> ResourceServerBuilder<C> {
    /// Trusts an issuer; may be called several times. A token is checked by the terms of the issuer that its `iss` names.
    #[must_use]
    pub fn trust(mut self, trust: impl Into<Trust>) -> Self {
        self.trusted.push(trust.into());
        self
    }

    /// Accepts another audience too, for issuers that have none of their own.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into().into());
        self
    }

    /// Reads the application's own claims into this type, after the signature has been verified.
    ///
    /// A token whose claims do not fit is refused as [`MalformedClaim`](crate::ErrorKind::MalformedClaim). Where serde's
    /// type lets a member appear as absent, so will this: use `Option` only for claims that may be.
    #[must_use]
    pub fn claims<T: DeserializeOwned + Send + Sync + 'static>(self) -> ResourceServerBuilder<T> {
        let Self { audiences, trusted, realm, clock, .. } = self;
        ResourceServerBuilder {
            audiences,
            trusted,
            realm,
            clock,
            read: |text| serde_json::from_str(text),
            claims: PhantomData,
        }
    }

    /// Names the protection space in challenges (RFC 9110 §11.5); the first audience by default.
    #[must_use]
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.realm = Some(realm.into());
        self
    }

    /// Checks times against another clock.
    ///
    /// # Security
    ///
    /// A clock that is slow accepts expired tokens.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Checks the configuration and makes the server. No key is fetched yet, and nothing is spawned.
    ///
    /// # Errors
    ///
    /// With every problem of the configuration, each with its place and its fix.
    pub fn build(self) -> Result<ResourceServer<C>, ConfigError> {
        let mut problems = ConfigError::default();
        if self.audiences.iter().any(|audience| audience.is_empty()) {
            problems.push("audience", "the audience is empty; it must equal a value of the tokens' aud");
        }
        let realm = self.realm.or_else(|| self.audiences.first().map(|audience| audience.to_string()));
        let realm = quoted(&realm.unwrap_or_default()).unwrap_or_else(|| {
            problems
                .push("realm", "the realm (by default the first audience) must be visible ASCII to stand in a header");
            "\"\"".into()
        });
        if self.trusted.is_empty() {
            problems.push("issuers", "no issuer is trusted, so no token could ever be accepted; call trust");
        }
        let policy = Arc::new(ServerPolicy { audiences: self.audiences, realm });
        let mut client = SharedClient::default();
        let mut issuers = IssuerSet::new();
        for trust in self.trusted {
            if let Some((id, trusted)) = resolve(trust, &policy, &mut client, &mut problems)
                && !issuers.insert(Arc::clone(&id), trusted)
            {
                problems.push(format!("issuers[{id}]"), "the issuer is trusted twice; give its audiences in one place");
            }
        }
        problems.or(ResourceServer { engine: Arc::new(Engine { issuers, policy, clock: self.clock, read: self.read }) })
    }
}

/// Checks one issuer and prepares its keys.
fn resolve(
    trust: Trust,
    server: &Arc<ServerPolicy>,
    client: &mut SharedClient,
    problems: &mut ConfigError,
) -> Option<(Arc<str>, Trusted)> {
    let Trust { issuer, keys } = trust;
    let path = |field: &str| format!("issuers[{}].{field}", issuer.id());
    let max_stale = issuer.max_stale_limit();
    if !matches!(keys, Origin::Http) && issuer.jwks_address().is_some() {
        problems.push(path("jwks_uri"), "the keys come from elsewhere; drop jwks_uri");
    }
    let mut symmetric = None;
    let id: Arc<str> = issuer.id().into();
    let keys = match keys {
        Origin::Static(keys) => {
            let (set, secret) = keys.into_parts();
            symmetric = secret;
            Some(Keys::fixed(Arc::clone(&id), set))
        }
        Origin::Source(source) => Some(Keys::fetched(Arc::clone(&id), source, max_stale)),
        // an empty identifier is reported once, with the policy
        Origin::Http if id.is_empty() && issuer.jwks_address().is_none() => None,
        Origin::Http => match client.source(&id, issuer.jwks_address()) {
            Ok(source) => Some(Keys::fetched(Arc::clone(&id), source, max_stale)),
            Err(fix) => {
                let field = if issuer.jwks_address().is_some() { "jwks_uri" } else { "id" };
                problems.push(path(field), fix);
                None
            }
        },
    };
    let policy = Arc::new(issuer.into_policy(server, symmetric, problems));
    Some((id, Trusted { policy, keys: keys? }))
}

/// The HTTP client that the issuers share, made when the first of them needs it.
#[derive(Default)]
struct SharedClient {
    #[cfg(feature = "http-client")]
    client: Option<reqwest::Client>,
}

impl SharedClient {
    #[cfg(feature = "http-client")]
    fn source(&mut self, issuer: &str, jwks_uri: Option<&str>) -> Result<Box<dyn DynKeySource>, String> {
        use crate::jwks::{HttpSource, is_loopback};

        let loopback = is_loopback(jwks_uri.unwrap_or(issuer));
        let client = match &self.client {
            Some(client) if !loopback => client.clone(),
            _ => HttpSource::client(loopback).map_err(|error| format!("the HTTP client cannot be set up: {error}"))?,
        };
        if !loopback {
            self.client = Some(client.clone());
        }
        Ok(Box::new(HttpSource::new(client, issuer, jwks_uri)?))
    }

    #[cfg(not(feature = "http-client"))]
    fn source(&mut self, _: &str, _: Option<&str>) -> Result<Box<dyn DynKeySource>, String> {
        Err("keys can be fetched over HTTP only with the feature `http-client`; or trust the issuer together with its keys".into())
    }
}

impl<C> fmt::Debug for ResourceServerBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceServerBuilder")
            .field("audiences", &self.audiences)
            .field("trusted", &self.trusted)
            .finish_non_exhaustive()
    }
}
