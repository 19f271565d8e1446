//! An issuer's terms and keys, made from what the application says of it.

use std::sync::Arc;

use super::TrustedIssuer;
use super::client::Client;
use super::trust::{Origin, Trust};
use super::verifier::KeyVerifier;
use crate::error::{ConfigError, ConfigProblemKind};
use crate::issuer::{Address, ServerPolicy};
use crate::jwks::Keys;

/// Where keys are fetched from over HTTP, and by whom: if neither changes, they are kept when a server is reloaded.
pub(super) struct Source {
    jwks_uri: Option<Box<str>>,
    by_kid: bool,
    client: Client,
}

impl Source {
    fn is(&self, jwks_uri: Option<&str>, by_kid: bool, client: &Client) -> bool {
        self.jwks_uri.as_deref() == jwks_uri && self.by_kid == by_kid && self.client.is(client)
    }
}

/// Checks one issuer and prepares its keys, or goes on with those that are `known` of the same issuer: with those of a source of the
/// application's own only if it is one `again`, for one more decision of the same resolver.
pub(super) fn prepare(
    trust: Trust,
    server: &Arc<ServerPolicy>,
    client: &Client,
    known: Option<&TrustedIssuer>,
    again: bool,
    problems: &mut ConfigError,
) -> Option<TrustedIssuer> {
    let Trust { issuer, keys } = trust;
    let path = |field: &str| format!("issuers[{}].{field}", issuer.id());
    let (id, terms): (Arc<str>, _) = (issuer.id().into(), &issuer.terms);
    let (jwks_uri, max_stale) = (terms.jwks_uri.as_ref().map(Address::as_str), terms.max_stale);
    if !matches!(keys, Origin::Http) && jwks_uri.is_some() {
        problems.push_as(ConfigProblemKind::Conflict, path("jwks_uri"), "the keys come from elsewhere; drop jwks_uri");
    }
    if client.is_for_found() && (terms.absent_iss || !terms.also_known_as.is_empty()) {
        problems.push(path("also_known_as"), "an issuer that is found at run time is found by one identifier");
    }
    let (mut symmetric, mut over_http) = (None, None);
    let keys = match keys {
        Origin::Static(keys) => {
            let (set, secret) = keys.into_parts();
            symmetric = secret;
            Some(Arc::new(Keys::fixed(Arc::clone(&id), set)))
        }
        Origin::Source(source) => {
            let keys = Keys::fetched(Arc::clone(&id), client.allowance(), source, client.timing());
            // a resolver that makes a source for each decision does not lose the keys each time
            if let Some(known) = known.filter(|known| again && known.verifier.over_http.is_none()) {
                keys.inherit(&known.verifier.keys);
            }
            Some(Arc::new(keys))
        }
        // an empty identifier is reported once, with the policy
        Origin::Http if id.is_empty() && jwks_uri.is_none() => None,
        Origin::Http => {
            let by_kid = terms.load_balancers.is_some();
            over_http = Some(Source { jwks_uri: jwks_uri.map(Into::into), by_kid, client: client.clone() });
            let known = known
                .map(|known| &known.verifier)
                .filter(|known| known.over_http.as_ref().is_some_and(|source| source.is(jwks_uri, by_kid, client)));
            let known = known.map(|known| &known.keys);
            let keys = match jwks_uri {
                Some(address) if by_kid => client.keys_by_kid(&id, address, known),
                _ => client.keys(&id, jwks_uri, known),
            };
            let keys = keys.map_err(|fix| {
                let field = if jwks_uri.is_some() { "jwks_uri" } else { "id" };
                problems.push(path(field), fix);
            });
            keys.ok()
        }
    };
    let policy = Arc::new(issuer.into_policy(server, symmetric, problems));
    let verifier = KeyVerifier { keys: keys?, max_stale, over_http };
    Some(TrustedIssuer { found: None, policy, verifier })
}
