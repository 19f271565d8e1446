//! The whole policy of a server as data, from a file or the environment.

mod claim;
mod field;
mod issuer;
mod preset;
mod readers;
mod strict;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;

use self::field::{Field, OneOrMany, refuse_unknown};
use self::issuer::IssuerConfig;
use crate::error::ConfigError;
use crate::server::{ResourceServer, ResourceServerBuilder};

/// The policy of a [`ResourceServer`] as data: audiences, issuers, presets, readers and limits, from YAML, TOML, JSON or the environment, by whatever reads your
/// configuration.
///
/// The names are those of the methods of [`ResourceServerBuilder`] and [`Issuer`](crate::Issuer),
/// with the unit behind them (`leeway_seconds`). Where a method is called once for each, a list
/// says it at once (`require`). [`JSON_SCHEMA`](Self::JSON_SCHEMA) has them all, for editors. A
/// preset is named with what its constructor takes: `{"okta": {"base": …, "server": …}}`,
/// `{"google": {}}`.
///
/// A path into the claims is a JSON Pointer (RFC 6901), or one name, or a list of names: `/realm_access/roles` is `["realm_access", "roles"]`, and `https://example.com/roles` is one
/// claim.
///
/// A number, a truth value or a list may be a string that holds it, as environment variables do: `"30"`, `"true"`, `'["a", "b"]'`. Names that are not known are refused: give the
/// environment a prefix that nothing else has.
///
/// What cannot be data is added to the [`builder`](Self::builder): static keys and shared secrets, resolvers and where they may lead, the HTTP client, the clock, the type of the claims. Where tokens
/// are looked for, and what operations need, is the [layer](crate::BearerAuthLayer)'s.
///
/// # Examples
///
/// ```
/// use tower_bearer::ResourceServerConfig;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config: ResourceServerConfig = serde_json::from_str(
///     r#"{
///         "audience": "https://api.example.com",
///         "issuers": [
///             { "preset": { "keycloak": { "base": "https://id.example.com", "realm": "shop" } },
///               "roles": { "and": ["/resource_access/orders/roles"], "only_renamed": { "shop-admins": "admin" } } },
///             { "issuer": "https://id.partner.example/", "audience": "api://orders", "algorithms": ["ES256"], "max_age_seconds": 3600 }
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
/// # use tower_bearer::ResourceServerConfig;
/// let config: ResourceServerConfig = serde_json::from_str(
///     r#"{ "audience": [], "issuers": [{ "issuer": "https://id.example.com/", "leeway_seconds": "a minute", "algoritms": ["RS256"] }] }"#,
/// )?;
/// let error = config.builder().build().unwrap_err();
/// let paths: Vec<_> = error.problems().iter().map(|problem| problem.path()).collect();
/// assert_eq!(paths, ["audience", "issuers[0].leeway_seconds", "issuers[0].algoritms"]);
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(
    test,
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields, description = "The policy of a resource server that verifies bearer tokens.")
)]
pub struct ResourceServerConfig {
    /// What the tokens' `aud` must name, byte for byte; one or several. Issuers may have their own.
    audience: Field<OneOrMany>,
    /// Whose tokens are trusted.
    issuers: Field<Vec<Field<IssuerConfig>>>,
    /// The protection space in challenges; the first audience by default.
    realm: Field<String>,
    /// How many bytes the cache of verified tokens may take; 16 MiB by default, none with 0.
    token_cache_bytes: Field<u64>,
    /// Hosts, such as `keycloak:8080`, whose keys may come over plain http: whoever is on the way
    /// can forge tokens.
    dangerously_fetch_keys_over_plain_http_from: Field<OneOrMany>,
    /// How many bytes a token may have; 16384 by default, at most 65536.
    max_token_bytes: Field<usize>,
    /// How many seconds a request waits for keys; 2 by default, at most 30.
    key_wait_timeout_seconds: Field<u64>,
    /// How many seconds one HTTP request for metadata or keys may take; 5 by default, between 1 and
    /// 30.
    key_fetch_timeout_seconds: Field<u64>,
    #[serde(flatten)]
    #[cfg_attr(test, schemars(skip))]
    unknown: BTreeMap<String, IgnoredAny>,
}

impl ResourceServerConfig {
    /// The JSON Schema (draft 2020-12) of the configuration.
    pub const JSON_SCHEMA: &str = include_str!("config/schema.json");

    /// Returns a builder with these settings, to which others can be added. What is wrong with them is said when it is built.
    pub fn builder(self) -> ResourceServerBuilder {
        let mut problems = ConfigError::default();
        let Self {
            audience,
            issuers,
            realm,
            token_cache_bytes,
            dangerously_fetch_keys_over_plain_http_from: plain_hosts,
            max_token_bytes,
            key_wait_timeout_seconds: wait,
            key_fetch_timeout_seconds: fetch,
            unknown,
        } = self;
        let mut audiences = audience.take("audience", &mut problems).map(Vec::from).unwrap_or_default().into_iter();
        let first = audiences.next().unwrap_or_else(|| {
            if !problems.concerns("audience") {
                problems.push("audience", "no audience is named; it must equal a value of the tokens' aud");
            }
            "-".to_owned()
        });
        let mut builder = audiences.fold(ResourceServer::new(first), ResourceServerBuilder::audience);
        if let Some(realm) = realm.take("realm", &mut problems) {
            builder = builder.realm(realm);
        }
        if let Some(bytes) = token_cache_bytes.take("token_cache_bytes", &mut problems) {
            builder = builder.token_cache(bytes);
        }
        if let Some(hosts) = plain_hosts.take("dangerously_fetch_keys_over_plain_http_from", &mut problems) {
            builder = over_plain_http(builder, Vec::from(hosts), &mut problems);
        }
        if let Some(bytes) = max_token_bytes.take("max_token_bytes", &mut problems) {
            builder = builder.max_token_bytes(bytes);
        }
        if let Some(seconds) = wait.take("key_wait_timeout_seconds", &mut problems) {
            builder = builder.key_wait_timeout(Duration::from_secs(seconds));
        }
        if let Some(seconds) = fetch.take("key_fetch_timeout_seconds", &mut problems) {
            builder = builder.key_fetch_timeout(Duration::from_secs(seconds));
        }
        for (index, issuer) in issuers.take("issuers", &mut problems).unwrap_or_default().into_iter().enumerate() {
            let path = format!("issuers[{index}]");
            let issuer = issuer.take(&path, &mut problems).and_then(|issuer| issuer.read(&path, &mut problems));
            if let Some(issuer) = issuer {
                builder = builder.trust(issuer);
            }
        }
        refuse_unknown("", &unknown, &mut problems);
        builder.with_problems(problems)
    }
}

#[cfg(feature = "http-client")]
fn over_plain_http(builder: ResourceServerBuilder, hosts: Vec<String>, _: &mut ConfigError) -> ResourceServerBuilder {
    hosts.into_iter().fold(builder, ResourceServerBuilder::dangerously_fetch_keys_over_plain_http_from)
}

#[cfg(not(feature = "http-client"))]
fn over_plain_http(
    builder: ResourceServerBuilder,
    _: Vec<String>,
    problems: &mut ConfigError,
) -> ResourceServerBuilder {
    let fix = "keys can be fetched over HTTP only with the feature `http-client`";
    problems.push("dangerously_fetch_keys_over_plain_http_from", fix);
    builder
}
