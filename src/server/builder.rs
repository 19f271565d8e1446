//! The configuration of a server, checked as a whole.

use std::any::TypeId;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::de::DeserializeOwned;

use super::client::{Client, HttpSettings};
use super::found::FoundIssuers;
use super::keys::prepare;
use super::resolver::{DynResolver, IssuerResolver};
use super::trust::Trust;
use super::{Engine, ResourceServer};
use crate::challenge::quoted;
use crate::clock::{Clock, SharedClock, SystemClock};
use crate::error::ConfigError;
use crate::issuer::{Clash, IssuerSet, ServerPolicy};
#[cfg(feature = "http-client")]
use crate::jwks::HttpClient;
use crate::jwks::SavedKeys;
use crate::token_cache::{DEFAULT_CAPACITY, TokenCache};

/// Configures a [`ResourceServer`]; [`build`](Self::build) checks everything at once.
pub struct ResourceServerBuilder<C = ()> {
    settings: Settings,
    read: fn(&str) -> Result<C, serde_json::Error>,
}

/// What does not depend on the type of the claims.
struct Settings {
    audiences: Vec<Box<str>>,
    trusted: Vec<Trust>,
    resolvers: Vec<Arc<dyn DynResolver>>,
    /// What is known to be wrong already.
    problems: ConfigError,
    realm: Option<String>,
    clock: SharedClock,
    http: HttpSettings,
    saved: Vec<SavedKeys>,
    token_cache: u64,
}

impl ResourceServerBuilder {
    pub(super) fn new(audience: String) -> Self {
        let settings = Settings {
            audiences: vec![audience.into()],
            trusted: Vec::new(),
            resolvers: Vec::new(),
            problems: ConfigError::default(),
            realm: None,
            clock: SharedClock::new(SystemClock),
            http: HttpSettings::default(),
            saved: Vec::new(),
            token_cache: DEFAULT_CAPACITY,
        };
        // no type of claims, no second look at the payload
        Self { settings, read: |_| Ok(()) }
    }
}

impl<C: Send + Sync + 'static> ResourceServerBuilder<C> {
    /// Trusts an issuer; may be called several times. A token is checked by the terms of the issuer that its `iss` names.
    #[must_use]
    pub fn trust(mut self, trust: impl Into<Trust>) -> Self {
        self.settings.trusted.push(trust.into());
        self
    }

    /// Trusts issuers that are found at run time, by what the resolver decides about a token's `iss` before anything is fetched;
    /// may be called several times, and the first that knows the issuer decides. Issuers that are configured come first, and are not asked
    /// about.
    ///
    /// At most 10,000 issuers are kept of which a token was verified, each until it has not been used for an hour. Those with the same
    /// [`jwks_uri`](crate::Issuer::jwks_uri) share their keys, and the limit on forced fetches. Before a token of theirs was verified, 256 are kept,
    /// for five minutes, and their keys are only fetched for tokens that come.
    ///
    /// # Security
    ///
    /// Anybody can send a token that names an issuer. A resolver that trusts by name makes this service ask all of these for keys: 64 at once, and
    /// then one each second. Real new ones can have to wait behind such a flood. Better let it look them up.
    ///
    /// Their keys are only fetched from public addresses, unless [`allow_private_host`](Self::allow_private_host) says otherwise, and not through
    /// the environment's proxy, behind which addresses could not be checked. With an [`http_client`](Self::http_client) of its
    /// own, the application sees to that itself.
    #[must_use]
    pub fn trust_with<R: IssuerResolver>(mut self, resolver: R) -> Self {
        if let Err(fault) = resolver.check() {
            self.settings.problems.push("resolvers", fault);
        }
        self.settings.resolvers.push(Arc::new(resolver));
        self
    }

    /// Fetches metadata and keys with this client: for a private certificate authority, a proxy, mutual TLS.
    #[cfg(feature = "http-client")]
    #[cfg_attr(docsrs, doc(cfg(feature = "http-client")))]
    #[must_use]
    pub fn http_client(mut self, client: impl Into<HttpClient>) -> Self {
        self.settings.http.client = Some(client.into());
        self
    }

    /// Lets issuers that are found at run time have their keys at this host, whatever its address: a name, or an
    /// address in its canonical form (`fd12::1`), without brackets and port. May be called several times.
    ///
    /// # Security
    ///
    /// A token names the issuer before anybody has verified it. If the resolver trusts issuers at this host, whoever sends tokens can make
    /// this service send requests there.
    #[cfg(feature = "http-client")]
    #[cfg_attr(docsrs, doc(cfg(feature = "http-client")))]
    #[must_use]
    pub fn allow_private_host(mut self, host: impl Into<String>) -> Self {
        self.settings.http.private_hosts.push(host.into().into());
        self
    }

    /// Begins with keys that were saved by [`save_keys`](crate::ResourceServer::save_keys), so that a service can start
    /// while an issuer is down. They are used at once, and fetched again with the first token that needs them. Those that are too old by now
    /// ([`max_stale`](crate::Issuer::max_stale)) are not used; those of issuers that are not configured are left out.
    ///
    /// # Security
    ///
    /// A key that the issuer has withdrawn meanwhile is trusted until the first fetch succeeds or `max_stale` is over. See also
    /// [`SavedKeys`].
    #[must_use]
    pub fn saved_keys(mut self, saved: impl IntoIterator<Item = SavedKeys>) -> Self {
        self.settings.saved.extend(saved);
        self
    }

    /// Sets how many bytes the cache of verified tokens may take; 16 MiB by default, none with 0.
    ///
    /// A token that comes again is then not verified again. It is still checked that its times hold, that its issuer is
    /// trusted, and that the key that verified it is still published. Only verified tokens of at most 8 KiB are kept, in memory, until a new
    /// token comes after they have expired; these are looked for once a minute. Up to a quarter more is taken for the tokens that come most often. A reload begins with an
    /// empty cache.
    ///
    /// # Security
    ///
    /// The application's [`claims`](Self::claims) are then read once for each token, not for each request. If reading them checks what can
    /// change (the time, a list of revoked tokens), turn the cache off, or check it in the handler.
    #[must_use]
    pub fn token_cache(mut self, max_bytes: u64) -> Self {
        self.settings.token_cache = max_bytes;
        self
    }

    /// Accepts another audience too, for issuers that have none of their own.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.settings.audiences.push(audience.into().into());
        self
    }

    /// Reads the application's own claims into this type, after the signature has been verified.
    ///
    /// A token whose claims do not fit is refused as [`MalformedClaim`](crate::ErrorKind::MalformedClaim). Where serde's
    /// type lets a member appear as absent, so will this: use `Option` only for claims that may be.
    ///
    /// # Security
    ///
    /// They are read once for each token, and shared by all requests that carry it, as long as it is in the
    /// [cache](Self::token_cache): reading must depend on nothing but the claims.
    #[must_use]
    pub fn claims<T: DeserializeOwned + Send + Sync + 'static>(self) -> ResourceServerBuilder<T> {
        // `()` is no claims at all, and no claims that are `null`: generic code may ask for it
        let read = |text: &str| {
            let none = TypeId::of::<T>() == TypeId::of::<()>();
            serde_json::from_str(if none { "null" } else { text })
        };
        ResourceServerBuilder { settings: self.settings, read }
    }

    /// Names the protection space in challenges (RFC 9110 §11.5); the first audience by default.
    #[must_use]
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.settings.realm = Some(realm.into());
        self
    }

    /// Checks times against another clock.
    ///
    /// # Security
    ///
    /// A clock that is slow accepts expired tokens.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.clock = SharedClock::new(clock);
        self
    }

    /// Notes what is wrong already, to be said with the rest.
    pub(crate) fn with_problems(mut self, problems: ConfigError) -> Self {
        self.settings.problems.extend(problems);
        self
    }

    /// Checks the configuration and makes the server. No key is fetched yet, and nothing is spawned.
    ///
    /// # Errors
    ///
    /// With every problem of the configuration, each with its place and its fix.
    pub fn build(self) -> Result<ResourceServer<C>, ConfigError> {
        Ok(ResourceServer { engine: Arc::new(ArcSwap::from_pointee(self.engine(None)?)) })
    }

    /// Makes the engine of a new server, or of one that goes on where a former has been.
    pub(super) fn engine(self, former: Option<&Engine<C>>) -> Result<Engine<C>, ConfigError> {
        let Self { settings, read } = self;
        let Settings { audiences, trusted, resolvers, mut problems, realm, clock, http, saved, token_cache } = settings;
        if audiences.iter().any(|audience| audience.is_empty()) {
            problems.push("audience", "the audience is empty; it must equal a value of the tokens' aud");
        }
        let realm = realm.or_else(|| audiences.first().map(|audience| audience.to_string()));
        let realm = quoted(&realm.unwrap_or_default()).unwrap_or_else(|| {
            problems
                .push("realm", "the realm (by default the first audience) must be visible ASCII to stand in a header");
            "\"\"".into()
        });
        if trusted.is_empty() && resolvers.is_empty() && !problems.concerns("issuers") {
            problems.push("issuers", "no issuer is trusted, so no token could ever be accepted; call trust");
        }
        let configured = Client::configured(&http);
        let found = Client::found(&http, former.map(|former| former.found.client()));
        let policy = Arc::new(ServerPolicy { audiences, realm, clock });
        let mut issuers = IssuerSet::new();
        for trust in trusted {
            let known = former.and_then(|former| former.issuers.get(trust.issuer.id()));
            let (id, others) = (Arc::from(trust.issuer.id()), trust.issuer.other_names());
            let known = known.map(|known| &**known);
            let Some(trusted) = prepare(trust, &policy, &configured, known, false, &mut problems) else { continue };
            let fix = match issuers.insert(Arc::clone(&id), others, Arc::new(trusted)) {
                Ok(()) => continue,
                Err(Clash::Name) => "the issuer, or another name of it, is there twice; say all about it in one place",
                Err(Clash::Unnamed) => "another issuer takes the tokens without iss; only one can accept_absent_iss",
            };
            problems.push(format!("issuers[{id}]"), fix);
        }
        problems.or(())?;
        for saved in &saved {
            if let Some(trusted) = issuers.get(saved.issuer()) {
                trusted.keys.restore(saved, policy.clock.now());
            }
        }
        let former = former.map(|former| &former.found);
        let found = FoundIssuers::new(resolvers, found, Arc::clone(&policy), former);
        let cache = TokenCache::new(token_cache);
        Ok(Engine { issuers, found, policy, cache, read })
    }
}

impl<C> fmt::Debug for ResourceServerBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceServerBuilder")
            .field("audiences", &self.settings.audiences)
            .field("trusted", &self.settings.trusted)
            .finish_non_exhaustive()
    }
}
