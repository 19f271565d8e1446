//! The configuration of a server, checked as a whole.

mod checks;
#[cfg(feature = "http-client")]
mod http;
mod senders;
mod waits;

use std::any::Any;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::de::DeserializeOwned;

use super::ResourceServer;
#[cfg(feature = "introspection")]
use super::asking::Askers;
use super::engine::Engine;
use super::lookup::IssuerLookup;
use super::possession::settings::SenderSettings;
use super::resolver::{DynResolver, IssuerResolver, IssuerTemplate};
use super::token_cache::{DEFAULT_CAPACITY, TokenCache};
use super::trust::Trust;
use super::trust::{FetchSettings, FetchTerms};
use crate::checks::Checks;
use crate::claims::read_claims;
use crate::clock::{Clock, SharedClock};
use crate::credential::{DEFAULT_MAX_LEN, LARGEST_MAX_LEN};
use crate::error::{ConfigError, ConfigProblemKind, Error, ProtectionSpace};
use crate::issuer::{IssuerSet, ServerPolicy};
use crate::jose::Json;
use crate::jwks::SavedKeys;
use crate::revocation::RevocationList;

/// How long a request waits for keys, unless told otherwise: long enough for an issuer that is
/// well, and short enough for a client.
const KEY_WAIT: Duration = Duration::from_secs(2);
/// A request that waits holds its memory and its connection, and most clients have given up by
/// then.
const MAX_KEY_WAIT: Duration = Duration::from_secs(30);
/// What a request for keys can be given. With less, an issuer that is only busy looks down; and
/// with more, a fetch that hangs keeps the next one waiting for minutes.
const FETCH_TIMEOUTS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30);

/// Configures a [`ResourceServer`]; [`build`](Self::build) checks everything at once.
pub struct ResourceServerBuilder<C = ()> {
    settings: ServerSettings,
    read: fn(&Json) -> Result<C, Error>,
}

/// What does not depend on the type of the claims.
#[derive(Default)]
struct ServerSettings {
    audiences: Vec<Box<str>>,
    trusted: Vec<Trust>,
    resolvers: Vec<Arc<dyn DynResolver>>,
    /// What is known to be wrong already.
    problems: ConfigError,
    realm: Option<String>,
    fetch: FetchSettings,
    key_wait: Duration,
    saved: Vec<SavedKeys>,
    token_cache: u64,
    max_token_bytes: usize,
    checks: Checks,
    revocations: Option<RevocationList>,
    senders: SenderSettings,
}

impl ResourceServer {
    /// Begins the configuration of a server that is meant by this audience: the tokens' `aud` must
    /// name it, byte for byte (RFC 7519 §4.1.3, RFC 9068 §4).
    #[expect(clippy::new_ret_no_self, reason = "a server cannot be had without what the builder asks for")]
    pub fn new(audience: impl Into<String>) -> ResourceServerBuilder {
        let settings = ServerSettings {
            audiences: vec![audience.into().into()],
            key_wait: KEY_WAIT,
            token_cache: DEFAULT_CAPACITY,
            max_token_bytes: DEFAULT_MAX_LEN,
            ..ServerSettings::default()
        };
        // no type of claims, no second look at the payload
        ResourceServerBuilder { settings, read: |_| Ok(()) }
    }
}

impl<C: Send + Sync + 'static> ResourceServer<C> {
    /// Takes another configuration from now on, for all clones of this server and the layers that
    /// hold them. Requests on their way are finished under the old one.
    ///
    /// Issuers that stay keep their keys, and all that is known of their fetches, if the keys come
    /// from the same address over HTTP, by the same client; others begin anew.
    ///
    /// # Errors
    ///
    /// With every problem of the new configuration; then nothing changes.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), tower_bearer::ConfigError> {
    /// use tower_bearer::{Issuer, ResourceServer};
    ///
    /// let issuer = Issuer::new("https://id.example.com/");
    /// let server = ResourceServer::new("https://api.example.com").trust(issuer.clone()).build()?;
    ///
    /// let partner = Issuer::new("https://id.partner.example/");
    /// server.reload(ResourceServer::new("https://api.example.com").trust(issuer).trust(partner))?;
    /// assert_eq!(server.status().len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn reload(&self, configuration: ResourceServerBuilder<C>) -> Result<(), ConfigError> {
        let former = self.engine.load_full();
        self.engine.store(Arc::new(configuration.engine(Some(&former))?));
        Ok(())
    }
}

impl<C: Send + Sync + 'static> ResourceServerBuilder<C> {
    /// Trusts an issuer; may be called several times. A token is checked by the terms of the issuer
    /// that its `iss` names.
    #[must_use]
    pub fn trust(mut self, trust: impl Into<Trust>) -> Self {
        self.settings.trusted.push(trust.into());
        self
    }

    /// Trusts issuers that are found at run time, as this resolver decides.
    ///
    /// The resolver decides about a token's `iss` before anything is fetched. No resolver is asked
    /// about an issuer that is configured. May be called several times: the first resolver that
    /// knows an issuer decides.
    ///
    /// At most 10,000 issuers are kept of which a token was verified, each until it has not been
    /// used for an hour. Those with the same [`jwks_uri`](crate::Issuer::jwks_uri) share their
    /// keys, and the limit on forced fetches. Before a token of theirs was verified, 256 are kept,
    /// for five minutes, and their keys are only fetched for tokens that come.
    ///
    /// # Security
    ///
    /// Anybody can send a token that names an issuer. A resolver that trusts by name makes this
    /// service ask all of these issuers for keys: 64 at once, and then one each second. Real new
    /// issuers can have to wait behind such a flood. Better let the resolver look issuers up.
    ///
    /// Their keys are only fetched from public addresses, unless
    /// [`allow_private_host`](Self::allow_private_host) says otherwise, and not through the
    /// environment's proxy, behind which addresses could not be checked. With an
    /// [`http_client`](Self::http_client) of its own, the application sees to that itself.
    #[must_use]
    pub fn trust_with<R: IssuerResolver>(mut self, resolver: R) -> Self {
        let any: &dyn Any = &resolver;
        if let Some(fault) = any.downcast_ref().and_then(IssuerTemplate::fault) {
            self.settings.problems.push("resolvers", fault);
        }
        self.settings.resolvers.push(Arc::new(resolver));
        self
    }

    /// Begins with keys that were saved by [`save_keys`](crate::ResourceServer::save_keys), so that
    /// a service can start while an issuer is down. They are used at once, and fetched again with
    /// the first token that needs them. Those that are too old by now
    /// ([`max_stale`](crate::Issuer::max_stale)) are not used; those of issuers that are not
    /// configured are left out.
    ///
    /// # Security
    ///
    /// A key that the issuer has withdrawn meanwhile is trusted until the first fetch succeeds or
    /// `max_stale` is over. See also [`SavedKeys`].
    #[must_use]
    pub fn saved_keys(mut self, saved: impl IntoIterator<Item = SavedKeys>) -> Self {
        self.settings.saved.extend(saved);
        self
    }

    /// Sets how many bytes the cache of verified tokens may take; 16 MiB by default, none with 0.
    ///
    /// A token that comes again is then not verified again. It is still checked that its times
    /// hold, that its issuer is trusted, and that the key that verified it is still published. Only
    /// verified tokens are kept, in memory, until a new token comes after they have expired; these
    /// are looked for once a minute. Up to a quarter more is taken for the tokens that come most
    /// often. A reload begins with an empty cache.
    ///
    /// # Security
    ///
    /// The application's [`claims`](Self::claims) are then read once for each token, not for each
    /// request. If reading them checks what can change (the time, a list of revoked tokens), turn
    /// the cache off, or let a [check](Self::check) see to it.
    #[must_use]
    pub fn token_cache(mut self, max_bytes: u64) -> Self {
        self.settings.token_cache = max_bytes;
        self
    }

    /// Accepts tokens of up to this many bytes; 16 KiB by default, at most 64 KiB.
    ///
    /// Longer ones are refused as [`MalformedRequest`](crate::ErrorKind::MalformedRequest). The
    /// token of a user with hundreds of groups can be longer than the default.
    ///
    /// Whatever is in front must let such headers pass, too. Many proxies take 8 KiB. Over HTTP/2,
    /// hyper takes 16 KiB of headers, unless its `max_header_list_size` says otherwise (in tonic,
    /// `http2_max_header_list_size`).
    ///
    /// # Security
    ///
    /// Whoever sends a request makes the service read so many bytes before it can refuse them.
    #[must_use]
    pub fn max_token_bytes(mut self, max: usize) -> Self {
        self.settings.max_token_bytes = max;
        self
    }

    /// Accepts another audience too, from issuers without
    /// [audiences of their own](crate::Issuer::only_audiences); may be called several times.
    #[must_use]
    pub fn add_audience(mut self, audience: impl Into<String>) -> Self {
        self.settings.audiences.push(audience.into().into());
        self
    }

    /// Reads the application's own claims into this type, after the signature has been verified.
    ///
    /// A token whose claims do not fit is refused as
    /// [`MalformedClaim`](crate::ErrorKind::MalformedClaim). The error's text names the field and
    /// the kind of mismatch, and no value of the token:
    ///
    /// * ``missing field `tenant_id` ``
    /// * `` `profile.level`: a number out of the range of u8 ``
    ///
    /// A `*` in such a path is a name that only the token says.
    ///
    /// Where serde's type lets a member appear as absent, so will this: use `Option` only for
    /// claims that may be.
    ///
    /// # Security
    ///
    /// They are read once for each token, and shared by all requests that carry it, as long as it
    /// is in the [cache](Self::token_cache): reading must depend on nothing but the claims.
    #[must_use]
    pub fn claims<T: DeserializeOwned + Send + Sync + 'static>(self) -> ResourceServerBuilder<T> {
        ResourceServerBuilder { settings: self.settings, read: read_claims::<T> }
    }

    /// Names the protection space in challenges (RFC 9110 §11.5); the first audience by default.
    #[must_use]
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.settings.realm = Some(realm.into());
        self
    }

    /// Checks times against another clock: those of tokens, and the age of keys, which also grow
    /// old by the monotonic clock.
    ///
    /// # Security
    ///
    /// A clock that is slow accepts expired tokens.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.fetch.timing.clock = SharedClock::new(clock);
        self
    }

    /// Notes what is wrong already, to be said with the rest.
    pub(crate) fn with_problems(mut self, problems: ConfigError) -> Self {
        self.settings.problems.extend(problems);
        self
    }

    /// Checks the configuration and makes the server. No key is fetched yet, and nothing is
    /// spawned.
    ///
    /// # Errors
    ///
    /// With every problem of the configuration, each with its place and its fix.
    pub fn build(self) -> Result<ResourceServer<C>, ConfigError> {
        Ok(ResourceServer { engine: Arc::new(ArcSwap::from_pointee(self.engine(None)?)) })
    }

    /// Makes the engine of a new server, or of one that goes on where a former has been.
    fn engine(self, former: Option<&Engine<C>>) -> Result<Engine<C>, ConfigError> {
        let Self { settings, read } = self;
        let ServerSettings { audiences, fetch, key_wait, max_token_bytes, mut problems, .. } = settings;
        if !(1..=LARGEST_MAX_LEN).contains(&max_token_bytes) {
            problems.push("max_token_bytes", format!("expected 1 to {LARGEST_MAX_LEN} bytes"));
        }
        if key_wait > MAX_KEY_WAIT {
            problems.push("key_wait_timeout", "a request waits for keys for 30 s at most");
        }
        if !FETCH_TIMEOUTS.contains(&fetch.timing.fetch_timeout) {
            problems.push("key_fetch_timeout", "a request for keys must be given between 1 s and 30 s");
        }
        if audiences.iter().any(|audience| audience.is_empty()) {
            problems.push("audience", "the audience is empty; it must equal a value of the tokens' aud");
        }
        let realm = settings.realm.or_else(|| audiences.first().map(|audience| audience.to_string()));
        let mut space = ProtectionSpace::new(&realm.unwrap_or_default()).unwrap_or_else(|| {
            problems
                .push("realm", "the realm (by default the first audience) must be visible ASCII to stand in a header");
            ProtectionSpace::unnamed()
        });
        if settings.trusted.is_empty() && settings.resolvers.is_empty() && !problems.concerns("issuers") {
            problems.push_as(
                ConfigProblemKind::Missing,
                "issuers",
                "no issuer is trusted, so no token could ever be accepted; call trust",
            );
        }
        let terms: Vec<_> = settings.trusted.iter().map(Trust::sender_constraint).collect();
        let (mut senders, spoken) = settings.senders.prepare(&terms, !settings.resolvers.is_empty(), &mut problems);
        space.spoken = spoken;
        let configured = FetchTerms::for_configured(&fetch);
        let lookup = FetchTerms::for_looked_up(&fetch, former.map(|former| former.lookup.fetch_terms()));
        let clock = fetch.timing.clock.clone();
        let (max_token_len, knows_revocations) = (max_token_bytes, !settings.checks.is_empty());
        let policy = ServerPolicy { audiences, space: space.into(), clock, max_token_len, knows_revocations };
        let policy = Arc::new(policy);
        let mut issuers = IssuerSet::new();
        for trust in settings.trusted {
            let known = former.and_then(|former| former.issuers.get(trust.issuer.id()));
            let known = known.map(|known| &**known);
            let Some(trusted) = trust.prepare(&policy, &configured, known, &mut problems) else { continue };
            let issuer = Arc::clone(&trusted.policy);
            if let Err(fix) = issuers.insert(Arc::clone(&issuer.issuer), &issuer.terms, Arc::new(trusted)) {
                problems.push_as(ConfigProblemKind::Conflict, format!("issuers[{}]", issuer.issuer), fix);
            }
        }
        settings.checks.check_names(&mut problems);
        #[cfg(feature = "introspection")]
        Askers::<C>::check(&issuers, &mut problems);
        problems.or(())?;
        for trusted in issuers.iter() {
            // they may have been kept by a former server
            trusted.keys.set_timing(&fetch.timing);
        }
        for saved in &settings.saved {
            if let Some(trusted) = issuers.get(saved.issuer()) {
                trusted.keys.restore(saved, policy.clock.moment());
            }
        }
        if let Some(former) = former {
            senders.go_on_from(&former.senders);
        }
        let former = former.map(|former| &former.lookup);
        let lookup = IssuerLookup::new(settings.resolvers, lookup, Arc::clone(&policy), former);
        let asks = issuers.iter().any(|trusted| trusted.is_asked());
        let cache = Arc::new(TokenCache::new(settings.token_cache, max_token_bytes, asks));
        let checks = Some(settings.checks).filter(|checks| !checks.is_empty()).map(Arc::new);
        let revocations = settings.revocations;
        Ok(Engine {
            #[cfg(feature = "introspection")]
            askers: Askers::new(&issuers, &cache, read, revocations.as_ref()),
            issuers,
            lookup,
            policy,
            cache,
            checks,
            revocations,
            senders,
            key_wait,
            read,
        })
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
