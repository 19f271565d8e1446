//! The terms on which an issuer's tokens are accepted: written by the builder and by a
//! configuration, checked and completed once, and read by the checks of each token.

use std::sync::Arc;
use std::time::Duration;

use super::Address;
use crate::claims::{Claim, Path, Principals, Roles, Scopes};
use crate::clock::SharedClock;
use crate::error::ConfigProblemKind::{Conflict, Invalid, Missing};
use crate::error::{ConfigError, ConfigProblemKind, ProtectionSpace};
#[cfg(feature = "introspection")]
use crate::introspection::Introspection;
use crate::jose::{Algorithm, Json, Value, media_type};
use crate::possession::SenderConstraint;

/// What the FAPI 2.0 Security Profile allows (§5.4).
pub(crate) const FAPI2: [Algorithm; 3] = [Algorithm::Ps256, Algorithm::Es256, Algorithm::Ed25519];

/// The longest leeway; more would make `exp` meaningless for short-lived tokens (RFC 7519 §4.1.4:
/// "a few minutes").
const MAX_LEEWAY: Duration = Duration::from_secs(300);
/// The longest use of keys that cannot be fetched anew: as long as a set can be fresh. A key that
/// is withdrawn in an outage would else be trusted for days. Where an issuer is never reached,
/// `StaticKeys` say so.
const MAX_STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// What all issuers of a server share.
pub(crate) struct ServerPolicy {
    pub(crate) audiences: Vec<Box<str>>,
    pub(crate) space: Arc<ProtectionSpace>,
    pub(crate) clock: SharedClock,
    /// The longest token that is looked at, in bytes.
    pub(crate) max_token_len: usize,
    /// Whether the application says of each token whether it was revoked.
    pub(crate) knows_revocations: bool,
}

/// An issuer and its terms, checked.
pub(crate) struct Policy {
    pub(crate) issuer: Arc<str>,
    pub(crate) terms: Terms,
    pub(crate) server: Arc<ServerPolicy>,
}

/// The terms on which one issuer's tokens are accepted.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// By what its tokens may name it, besides its identifier.
    pub(crate) also_known_as: Vec<Box<str>>,
    /// Whether its tokens need not name it at all.
    pub(crate) absent_iss: bool,
    /// Where its keys are, if they are not to be found by discovery.
    pub(crate) jwks_uri: Option<Address>,
    /// The only audiences that will do, in place of the server's.
    pub(crate) audiences: Option<Vec<Box<str>>>,
    /// The claim by which a token without `aud` will do, and what it may be.
    pub(crate) absent_aud_if: Option<(Box<str>, Vec<Box<str>>)>,
    /// Whether any audience will do.
    pub(crate) any_aud: bool,
    /// Whether a token without `aud` will do.
    pub(crate) absent_aud: bool,
    /// The only algorithms that will do.
    pub(crate) algorithms: Option<Vec<Algorithm>>,
    pub(crate) leeway: Duration,
    /// How long ago a token may have been issued.
    pub(crate) max_age: Option<Duration>,
    /// How long a token may be valid, from `iat` to `exp`.
    pub(crate) max_lifetime: Option<Duration>,
    /// For how long keys are used that cannot be fetched anew.
    pub(crate) max_stale: Duration,
    /// The only types that will do.
    pub(crate) types: Vec<Box<str>>,
    /// Whether a token without `typ` will do.
    pub(crate) untyped: bool,
    /// Whether they are logout tokens (OpenID Connect Back-Channel Logout 1.0 §2.4), and not access
    /// tokens.
    pub(crate) logout: bool,
    pub(crate) rfc9068: bool,
    /// Whether the FAPI 2.0 Security Profile is demanded.
    pub(crate) fapi2: bool,
    /// What must hold of claims.
    pub(crate) demands: Vec<Claim>,
    /// Whether identifiers may be integers.
    pub(crate) numeric_ids: bool,
    /// Where the client is named: the first of these that is there. If there are none, it is the
    /// protected header's `client`.
    pub(crate) client_claims: Vec<Box<str>>,
    /// The only clients whose tokens will do.
    pub(crate) clients: Option<Vec<Box<str>>>,
    /// The only ones who may act for others; `None` is everybody.
    pub(crate) actors: Option<Vec<Box<str>>>,
    pub(crate) scopes: Scopes,
    pub(crate) roles: Roles,
    pub(crate) tenant: Option<Path>,
    pub(crate) principals: Option<Principals>,
    /// The ARNs of the application load balancers that may have signed, if the tokens are theirs.
    /// Their keys have an address each, by their `kid`, below that of `jwks_uri`.
    pub(crate) load_balancers: Option<Vec<Box<str>>>,
    /// How its tokens may be bound to their senders.
    pub(crate) sender_constraint: SenderConstraint,
    /// How it is asked about tokens, if it is.
    #[cfg(feature = "introspection")]
    pub(crate) introspection: Option<Introspection>,
    /// What a preset finds wrong with what it was given.
    pub(crate) faults: Vec<(&'static str, &'static str)>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            also_known_as: Vec::new(),
            absent_iss: false,
            jwks_uri: None,
            audiences: None,
            absent_aud_if: None,
            any_aud: false,
            absent_aud: false,
            algorithms: None,
            leeway: Duration::from_secs(30),
            max_age: None,
            max_lifetime: None,
            max_stale: Duration::from_secs(60 * 60),
            // an access token by its own word, or by none
            types: ["jwt", "at+jwt"].map(Into::into).into(),
            untyped: true,
            logout: false,
            rfc9068: false,
            fapi2: false,
            demands: Vec::new(),
            numeric_ids: false,
            client_claims: ["client_id", "azp"].map(Into::into).into(),
            clients: None,
            actors: None,
            scopes: Scopes::default(),
            roles: Roles::default(),
            tenant: None,
            principals: None,
            load_balancers: None,
            sender_constraint: SenderConstraint::default(),
            #[cfg(feature = "introspection")]
            introspection: None,
            faults: Vec::new(),
        }
    }
}

const NOBODY: &str = "the list is empty, so no token could ever be accepted";
const UNNAMED: &str = "a name is empty";
const ANY: &str =
    "any audience is accepted, so naming some changes nothing; drop this setting, or those that name some";
const ABSENT: &str =
    "tokens without aud are accepted by a claim and without one; drop this setting or accept_absent_aud_if";
const PATH: &str = "a path is empty, has an empty name or more than 8, or begins with the value of a claim; name the claim that \
                    holds them";
const PREFIX: &str = "no scope can begin with the prefix: it has a space, a quote or another character that RFC 6749 §3.3 does \
                      not allow";

impl Policy {
    /// Returns the audiences that will do.
    pub(crate) fn audiences(&self) -> &[Box<str>] {
        self.terms.audiences.as_deref().unwrap_or(&self.server.audiences)
    }
}

impl Terms {
    /// Returns the algorithms that will do.
    pub(crate) fn algorithms(&self) -> &[Algorithm] {
        self.algorithms.as_deref().unwrap_or(Algorithm::ASYMMETRIC)
    }

    /// Returns the client that a token names, and where.
    pub(crate) fn client<'j>(&self, json: &'j Json) -> Option<(&str, Value<'j>)> {
        let found = |(name, value): (_, Option<Value<'j>>)| Some((name, value.filter(|client| !client.is_null())?));
        if self.client_claims.is_empty() {
            return found(("client", json.first().get("client")));
        }
        self.client_claims.iter().find_map(|name| found((&**name, json.root().get(name))))
    }

    /// Accepts these types only.
    pub(crate) fn only_types(self, types: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let types = types.into_iter().map(|typ| media_type(typ.as_ref()).into()).collect();
        Self { types, untyped: false, ..self }
    }

    /// Accepts tokens without `aud` by a claim, and not in any case.
    pub(crate) fn accept_absent_aud_if(self, claim: String, one_of: Vec<Box<str>>) -> Self {
        Self { absent_aud_if: Some((claim.into(), one_of)), absent_aud: false, ..self }
    }

    /// Adds what the profile of RFC 9068 demands.
    fn demand_profile(&mut self) {
        self.types = vec!["at+jwt".into()];
        self.untyped = false;
        self.demands.extend(["aud", "sub", "client_id", "iat", "jti"].map(|name| Claim::at([name])));
        self.principals.get_or_insert(Principals::RFC9068);
    }

    /// Demands the FAPI 2.0 Security Profile.
    #[cfg(any(feature = "dpop", feature = "mtls"))]
    pub(crate) fn fapi2(self) -> Self {
        let sender_constraint = SenderConstraint { fapi2: true, ..self.sender_constraint.require() };
        Self { fapi2: true, sender_constraint, ..self }
    }

    /// Tells whether the issuer is asked about each of its tokens, JWTs too.
    fn asks_about_all(&self) -> bool {
        #[cfg(feature = "introspection")]
        let asks = self.introspection.as_ref().is_some_and(Introspection::is_about_all);
        #[cfg(not(feature = "introspection"))]
        let asks = false;
        asks
    }

    /// Says what is wrong: settings, each with its fix.
    fn faults(&self) -> impl Iterator<Item = (ConfigProblemKind, &'static str, &'static str)> {
        let nobody = |names: Option<&Vec<Box<str>>>| names.is_some_and(Vec::is_empty);
        let unnamed =
            |names: Option<&Vec<Box<str>>>| names.is_some_and(|names| names.iter().any(|name| name.is_empty()));
        let zero = |limit: Option<Duration>| limit.is_some_and(|limit| limit.is_zero());
        let (audiences, clients) = (self.audiences.as_ref(), self.clients.as_ref());
        let (stand_in, values) = self.absent_aud_if.as_ref().map(|(name, values)| (&**name, values)).unzip();
        let of_profile = self.untyped || self.types.iter().all(|typ| typ.eq_ignore_ascii_case("at+jwt"));
        let invalid = [
            (nobody(audiences), "only_audiences", NOBODY),
            (unnamed(audiences), "only_audiences", "an audience is empty; it must equal a value of the tokens' aud"),
            (zero(self.max_lifetime), "max_lifetime", "the maximum lifetime is zero, so no token could be accepted"),
            (nobody(clients), "only_clients", NOBODY),
            (unnamed(self.actors.as_ref()), "only_actors", UNNAMED),
            (nobody(values), "accept_absent_aud_if", "the list is empty, so no token without aud could be accepted"),
            (stand_in == Some("") || unnamed(values), "accept_absent_aud_if", UNNAMED),
            (unnamed(Some(&self.client_claims)), "client_claim", UNNAMED),
            (unnamed(clients), "only_clients", UNNAMED),
            (unnamed(Some(&self.also_known_as)), "also_known_as", UNNAMED),
            (nobody(Some(&self.types)), "only_types", NOBODY),
            (unnamed(Some(&self.types)), "only_types", UNNAMED),
            (self.leeway > MAX_LEEWAY, "leeway", "more than 5 minutes of leeway; synchronise the clocks instead"),
            (self.max_stale > MAX_STALE, "max_stale", "more than 24 hours, for which a withdrawn key would be trusted"),
            (zero(self.max_age), "max_age", "the maximum age is zero, so no token could be accepted for long"),
            (!self.roles.is_sound(), "roles", PATH),
            (!self.scopes.is_sound(), "scopes", PATH),
            (!self.tenant.iter().all(Path::is_sound), "tenant_at", PATH),
            (!self.scopes.has_sound_prefix(), "scopes", PREFIX),
            (self.algorithms().is_empty(), "only_algorithms", NOBODY),
        ];
        let conflicts = [
            (self.any_aud && audiences.or(values).is_some(), "dangerously_accept_any_aud", ANY),
            (self.absent_aud && values.is_some(), "dangerously_accept_absent_aud", ABSENT),
            (self.rfc9068 && self.absent_iss, "rfc9068", "the profile demands iss; drop accept_absent_iss or rfc9068"),
            (self.rfc9068 && !of_profile, "rfc9068", "the profile fixes typ to at+jwt; drop only_types or rfc9068"),
        ];
        let invalid = self.faults.iter().map(|(setting, fix)| (true, *setting, *fix)).chain(invalid);
        let invalid = invalid.map(|row| (Invalid, row));
        let conflicts = conflicts.into_iter().map(|row| (Conflict, row));
        invalid.chain(conflicts).filter_map(|(kind, (wrong, setting, fix))| wrong.then_some((kind, setting, fix)))
    }
    /// Checks the terms of this issuer, and completes them with the server's. `symmetric` is the
    /// algorithm of a shared secret, where that is the key.
    pub(crate) fn into_policy(
        mut self,
        issuer: Arc<str>,
        server: &Arc<ServerPolicy>,
        symmetric: Option<Algorithm>,
        problems: &mut ConfigError,
    ) -> Policy {
        let mut problem =
            |kind, setting: &str, fix: String| problems.push_as(kind, format!("issuers[{issuer}].{setting}"), fix);
        if issuer.is_empty() {
            problem(Invalid, "id", "the issuer is empty; it must equal the tokens' iss".to_owned());
        }
        #[cfg(feature = "introspection")]
        for (setting, fix) in self.introspection.iter().flat_map(Introspection::faults) {
            problem(Invalid, &format!("introspection.{setting}"), fix.to_owned());
        }
        for (kind, setting, fix) in self.faults() {
            problem(kind, setting, fix.to_owned());
        }
        match symmetric {
            Some(secret) if *self.algorithms.get_or_insert_with(|| vec![secret]) != [secret] => {
                problem(Conflict, "only_algorithms", format!("the shared secret is for {secret} and nothing else"));
            }
            Some(_) => {}
            None => {
                for algorithm in self.algorithms().iter().filter(|algorithm| algorithm.is_symmetric()) {
                    let fix =
                        format!("{algorithm} needs a shared secret: trust the issuer together with StaticKeys::hmac");
                    problem(Conflict, "only_algorithms", fix);
                }
            }
        }
        if self.rfc9068 {
            self.demand_profile();
        }
        if self.fapi2 {
            let algorithms = self.algorithms.get_or_insert_with(|| FAPI2.into());
            if let Some(other) = algorithms.iter().find(|algorithm| !FAPI2.contains(algorithm)) {
                let fix = format!("FAPI 2.0 allows PS256, ES256 and EdDSA, and not {other}; drop {other} or fapi2");
                problem(Conflict, "fapi2", fix);
            }
            if !(server.knows_revocations || self.asks_about_all()) {
                let fix = "FAPI 2.0 demands that the revocation status of each token is known: give the server a \
                           revocation_list or a check, or have the issuer asked about each token \
                           (Introspection::introspect_jwts)";
                problem(Missing, "fapi2", fix.to_owned());
            }
        }
        for claim in &self.demands {
            if let Some(fault) = claim.fault(&self.demands) {
                problem(Invalid, "require", format!("{}: {fault}", claim.name()));
            }
        }
        Policy { issuer, terms: self, server: Arc::clone(server) }
    }
}
