//! How a server is set up: by the methods of [`ResourceServerBuilder`], or from a file or the
//! environment by [`ResourceServerConfig`]. A [`ConfigProblem`] is one thing that is wrong with it,
//! of some [kind](ConfigProblemKind). A [`Clock`] is what it takes the time from.

mod claim;
#[cfg(feature = "dpop")]
mod dpop;
mod field;
#[cfg(feature = "introspection")]
mod introspection;
mod issuer;
mod preset;
mod readers;
#[cfg(any(feature = "dpop", feature = "introspection"))]
mod secret;
mod strict;
#[cfg(test)]
mod tests;

use std::mem::take;
use std::time::Duration;

#[cfg(feature = "dpop")]
use self::dpop::DpopConfig;
use self::field::{Field, OneOrMany, Place, settings};
use self::issuer::IssuerConfig;
pub use crate::clock::Clock;
use crate::error::ConfigError;
pub use crate::error::{ConfigProblem, ConfigProblemKind};
#[cfg(feature = "dpop")]
#[cfg_attr(docsrs, doc(cfg(feature = "dpop")))]
pub use crate::origin::PublicOrigin;
use crate::server::ResourceServer;
pub use crate::server::ResourceServerBuilder;

settings! {
    /// The policy of a [`ResourceServer`] as data: audiences, issuers, presets, readers and limits,
    /// from YAML, TOML, JSON or the environment, by whatever reads your configuration.
    ///
    /// The names are those of the methods of [`ResourceServerBuilder`] and
    /// [`Issuer`](crate::Issuer), with the unit behind them (`leeway_seconds`). Where a method is
    /// called once for each, a list says it at once (`require`). [`JSON_SCHEMA`](Self::JSON_SCHEMA)
    /// has them all, for editors. A preset is named with what its constructor takes:
    /// `{"okta": {"base": …, "server": …}}`, `{"google": {}}`.
    ///
    /// A path into the claims is a JSON Pointer (RFC 6901), or one name, or a list of names:
    /// `/realm_access/roles` is `["realm_access", "roles"]`, and `https://example.com/roles` is one
    /// claim.
    ///
    /// A number, a truth value or a list may be a string that holds it, as environment variables
    /// do: `"30"`, `"true"`, `'["a", "b"]'`. Names that are not known are refused: give the
    /// environment a prefix that nothing else has.
    ///
    /// What cannot be data is added to the [`builder`](Self::builder): static keys and shared
    /// secrets, resolvers and where they may lead, the HTTP client, the store of used DPoP proofs,
    /// where the certificates of clients are, the clock, the type of the claims. Where tokens are looked for, and what operations need, is the
    /// [layer](crate::BearerAuthLayer)'s.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_bearer::config::ResourceServerConfig;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let config: ResourceServerConfig = serde_json::from_str(
    ///     r#"{
    ///         "audience": "https://api.example.com",
    ///         "issuers": [
    ///             { "preset": { "keycloak": { "base": "https://id.example.com", "realm": "shop" } },
    ///               "roles": { "and": ["/resource_access/orders/roles"], "only_renamed": { "shop-admins": "admin" } } },
    ///             { "issuer": "https://id.partner.example/", "only_audiences": "api://orders", "only_algorithms": ["ES256"], "max_age_seconds": 3600 }
    ///         ]
    ///     }"#,
    /// )?;
    /// let server = config.builder().build()?;
    /// assert_eq!(server.status().len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Everything that is wrong is said at once, with its path:
    ///
    /// ```
    /// # use tower_bearer::config::ResourceServerConfig;
    /// let config: ResourceServerConfig = serde_json::from_str(
    ///     r#"{ "audience": [], "issuers": [{ "issuer": "https://id.example.com/", "leeway_seconds": "a minute", "algoritms": ["RS256"] }] }"#,
    /// )?;
    /// let error = config.builder().build().unwrap_err();
    /// let paths: Vec<_> = error.problems().iter().map(|problem| problem.path()).collect();
    /// assert_eq!(paths, ["audience", "issuers[0].leeway_seconds", "issuers[0].algoritms"]);
    /// # Ok::<_, serde_json::Error>(())
    /// ```
    #[cfg_attr(test, schemars(description = "The policy of a resource server that verifies bearer tokens."))]
    pub struct ResourceServerConfig {
        /// What the tokens' `aud` must name, byte for byte; one or several. Issuers may have their
        /// own.
        audience: OneOrMany,
    }
    for ResourceServerBuilder {
        /// The protection space in challenges; the first audience by default.
        realm: String => |builder, realm| builder.realm(realm),
        /// How many bytes the cache of verified tokens may take; 16 MiB by default, none with 0.
        token_cache_bytes: u64 => |builder, bytes| builder.token_cache(bytes),
        /// Hosts, such as `keycloak:8080`, whose keys may come over plain http: whoever is on the
        /// way can forge tokens.
        dangerously_fetch_keys_over_plain_http_from: OneOrMany => |builder, hosts, place| {
            over_plain_http(builder, hosts, place)
        },
        /// How many bytes a token may have; 16384 by default, at most 65536.
        max_token_bytes: usize => |builder, bytes| builder.max_token_bytes(bytes),
        /// How many seconds a request waits for keys; 2 by default, at most 30.
        key_wait_timeout_seconds: u64 => |builder, seconds| builder.key_wait_timeout(Duration::from_secs(seconds)),
        /// How many seconds one HTTP request for metadata or keys may take; 5 by default, between 1
        /// and 30.
        key_fetch_timeout_seconds: u64 => |builder, seconds| builder.key_fetch_timeout(Duration::from_secs(seconds)),
        /// The address under which clients reach the service, such as `https://api.example.com`, with
        /// the prefix of the paths if a proxy takes one away. DPoP proofs are for it.
        public_origin: String => |builder, origin, place| reached_at(builder, origin, place),
        /// What is asked of DPoP proofs, if any are accepted.
        dpop: DpopConfig => |builder, dpop, place| by_proofs(builder, dpop, place),
        /// Whose tokens are trusted.
        issuers: Vec<Field<IssuerConfig>> => |builder, issuers, place| {
            let read = |(index, issuer): (_, Field<IssuerConfig>)| {
                let mut place = place.at(index);
                issuer.take(&mut place)?.read(&mut place)
            };
            issuers.into_iter().enumerate().filter_map(read).fold(builder, ResourceServerBuilder::trust)
        },
    }
}

impl ResourceServerConfig {
    /// The JSON Schema (draft 2020-12) of the configuration.
    pub const JSON_SCHEMA: &str = include_str!("config/schema.json");

    /// Returns a builder with these settings, to which others can be added. What is wrong with them
    /// is said when it is built.
    pub fn builder(mut self) -> ResourceServerBuilder {
        let mut problems = ConfigError::default();
        let mut root = Place::root(&mut problems);
        let (audience, mut place) = (take(&mut self.audience), root.of("audience"));
        if audience.is_absent() {
            let fix = "no audience is named; it must equal a value of the tokens' aud";
            place.problem_as(ConfigProblemKind::Missing, fix);
        }
        let mut audiences = audience.take(&mut place).into_iter().flat_map(|audiences| audiences.0);
        let server = ResourceServer::new(audiences.next().unwrap_or_else(|| "-".into()));
        let builder = self.change(audiences.fold(server, ResourceServerBuilder::add_audience), &mut root);
        builder.with_problems(problems)
    }
}

#[cfg(feature = "http-client")]
fn over_plain_http(builder: ResourceServerBuilder, hosts: OneOrMany, _: &mut Place<'_>) -> ResourceServerBuilder {
    hosts.0.into_iter().fold(builder, ResourceServerBuilder::dangerously_fetch_keys_over_plain_http_from)
}

#[cfg(not(feature = "http-client"))]
fn over_plain_http(builder: ResourceServerBuilder, _: OneOrMany, place: &mut Place<'_>) -> ResourceServerBuilder {
    place.problem("keys can be fetched over HTTP only with the feature `http-client`");
    builder
}

#[cfg(feature = "dpop")]
fn reached_at(builder: ResourceServerBuilder, origin: String, _: &mut Place<'_>) -> ResourceServerBuilder {
    builder.public_origin(origin)
}

#[cfg(feature = "dpop")]
fn by_proofs(builder: ResourceServerBuilder, dpop: DpopConfig, place: &mut Place<'_>) -> ResourceServerBuilder {
    builder.dpop(dpop.read(place))
}

#[cfg(not(feature = "dpop"))]
type DpopConfig = serde::de::IgnoredAny;

#[cfg(not(feature = "dpop"))]
fn reached_at(builder: ResourceServerBuilder, _: String, place: &mut Place<'_>) -> ResourceServerBuilder {
    place.problem("the address of the service is needed only with the feature `dpop`");
    builder
}

#[cfg(not(feature = "dpop"))]
fn by_proofs(builder: ResourceServerBuilder, _: DpopConfig, place: &mut Place<'_>) -> ResourceServerBuilder {
    place.problem("proofs are checked only with the feature `dpop`");
    builder
}
