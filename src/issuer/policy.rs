//! An issuer's terms, checked and completed with the server's.

use std::sync::Arc;
use std::time::Duration;

use super::{Address, Issuer};
use crate::claims::{Claim, Path, Principals, Roles, Scopes};
use crate::clock::SharedClock;
use crate::error::{ConfigError, ProtectionSpace};
use crate::jose::{Algorithm, Json, Value};

/// The longest leeway; more would make `exp` meaningless for short-lived tokens (RFC 7519 §4.1.4: "a few minutes").
const MAX_LEEWAY: Duration = Duration::from_secs(300);

/// `typ` without configuration: an access token by its own word, or by none.
const DEFAULT_TYPES: &[&str] = &["jwt", "at+jwt"];

/// What all issuers of a server share.
#[derive(Debug)]
pub(crate) struct ServerPolicy {
    pub(crate) audiences: Vec<Box<str>>,
    pub(crate) space: Arc<ProtectionSpace>,
    pub(crate) clock: SharedClock,
    /// The longest token that is looked at, in bytes.
    pub(crate) max_token_len: usize,
}

/// By what an issuer's tokens may name it, besides its identifier.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct OtherNames {
    pub(super) names: Vec<Box<str>>,
    /// Whether they need not name it at all.
    pub(super) none: bool,
}

impl OtherNames {
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty() && !self.none
    }
}

/// What is on or off.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Switch {
    AbsentAudience,
    AbsentIss,
    AnyAudience,
    NumericIds,
    Rfc9068,
}

/// The terms on which one issuer's tokens are accepted.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) issuer: Arc<str>,
    pub(crate) audiences: Vec<Box<str>>,
    /// Where the audience is, if there is no `aud`, and what it may be.
    pub(crate) audience_claim: Option<(Box<str>, Vec<Box<str>>)>,
    /// Whether any audience will do.
    pub(crate) any_audience: bool,
    /// Whether no audience will do.
    pub(crate) absent_audience: bool,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) leeway: Duration,
    /// How long ago a token may have been issued.
    pub(crate) max_age: Option<Duration>,
    /// For how long a token may have been issued.
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) types: Vec<Box<str>>,
    /// Whether a token without `typ` will do.
    pub(crate) untyped: bool,
    /// What must hold of claims.
    pub(crate) demands: Vec<Claim>,
    /// Whether identifiers may be integers.
    pub(crate) numeric_ids: bool,
    /// Where the client is named: the first of these that is there. If there are none, it is the
    /// protected header's `client`.
    pub(crate) client_claims: Vec<Box<str>>,
    /// The only clients whose tokens will do.
    pub(crate) clients: Option<Vec<Box<str>>>,
    pub(crate) scopes: Scopes,
    pub(crate) roles: Roles,
    pub(crate) tenant: Option<Path>,
    pub(crate) principals: Principals,
    /// The ARNs of the application load balancers that may have signed, if the tokens are theirs.
    pub(crate) load_balancers: Option<Vec<Box<str>>>,
    pub(crate) server: Arc<ServerPolicy>,
}

impl Policy {
    /// Returns the client that a token names, and where.
    pub(crate) fn client<'j>(&self, json: &'j Json) -> Option<(&str, Value<'j>)> {
        let found = |(name, value): (_, Option<Value<'j>>)| Some((name, value.filter(|client| !client.is_null())?));
        if self.client_claims.is_empty() {
            return found(("client", json.first().get("client")));
        }
        self.client_claims.iter().find_map(|name| found((&**name, json.root().get(name))))
    }
}

impl Issuer {
    pub(crate) fn jwks_address(&self) -> Option<&str> {
        self.jwks_uri.as_ref().map(Address::as_str)
    }

    /// Returns by what else its tokens may name it.
    pub(crate) fn other_names(&self) -> OtherNames {
        OtherNames { names: self.other_names.clone(), none: self.unnamed }
    }

    /// Turns something on or off, whatever a preset has set.
    pub(crate) fn switched(mut self, switch: Switch, on: bool) -> Self {
        *match switch {
            Switch::AbsentAudience => &mut self.absent_audience,
            Switch::AbsentIss => &mut self.unnamed,
            Switch::AnyAudience => &mut self.any_audience,
            Switch::NumericIds => &mut self.numeric_ids,
            Switch::Rfc9068 => &mut self.rfc9068,
        } = on;
        self
    }

    pub(crate) fn scopes_so_far(&self) -> &Scopes {
        &self.scopes
    }

    pub(crate) fn roles_so_far(&self) -> &Roles {
        &self.roles
    }

    /// Tells whether its keys have an address each, by their `kid`, below that of [`jwks_uri`](Self::jwks_uri).
    pub(crate) fn has_keys_by_kid(&self) -> bool {
        self.load_balancers.is_some()
    }

    pub(crate) fn max_stale_limit(&self) -> Duration {
        self.max_stale
    }

    /// Returns the settings that have an empty name in them.
    fn with_empty_names(&self) -> impl Iterator<Item = &'static str> {
        let empty = |names: &[Box<str>]| names.iter().any(|name| name.is_empty());
        let audience_claim =
            self.audience_claim.as_ref().is_some_and(|(name, values)| name.is_empty() || empty(values));
        let fields = [
            ("audience_claim", audience_claim),
            ("client_claim", self.client_claim.as_deref() == Some("")),
            ("allow_clients", self.clients.as_deref().is_some_and(empty)),
            ("also_known_as", empty(&self.other_names)),
            ("accept_typ", self.types.as_deref().is_some_and(empty)),
        ];
        fields.into_iter().filter_map(|(field, wrong)| wrong.then_some(field))
    }

    /// Completes and checks the terms. `symmetric` is the algorithm of a shared secret, where that is the key.
    pub(crate) fn into_policy(
        self,
        server: &Arc<ServerPolicy>,
        symmetric: Option<Algorithm>,
        problems: &mut ConfigError,
    ) -> Policy {
        let path = |field: &str| format!("issuers[{}].{field}", self.id);
        if self.id.is_empty() {
            problems.push(path("id"), "the issuer is empty; it must equal the tokens' iss");
        }
        if self.audiences.iter().any(|audience| audience.is_empty()) {
            problems.push(path("audience"), "an audience is empty; it must equal a value of the tokens' aud");
        }
        if self.any_audience && (!self.audiences.is_empty() || self.audience_claim.is_some()) {
            let fix = "any audience is accepted, so naming some changes nothing; drop dangerously_accept_any_audience or the others";
            problems.push(path("audience"), fix);
        }
        if self.rfc9068 && self.unnamed {
            problems.push(path("rfc9068"), "the profile demands iss; drop accept_absent_iss or rfc9068");
        }
        if self.max_lifetime.is_some_and(|max_lifetime| max_lifetime.is_zero()) {
            problems.push(path("max_lifetime"), "the maximum lifetime is zero, so no token could be accepted");
        }
        for (field, fault) in &self.faults {
            problems.push(path(field), *fault);
        }
        if self.clients.as_ref().is_some_and(Vec::is_empty) {
            problems.push(path("allow_clients"), "no client is allowed, so no token could ever be accepted");
        }
        if self.audience_claim.as_ref().is_some_and(|(_, values)| values.is_empty()) {
            problems.push(path("audience_claim"), "no value is accepted, so no token without aud could be accepted");
        }
        for field in self.with_empty_names() {
            problems.push(path(field), "a name is empty");
        }
        let mut demands = self.demands.clone();
        if self.rfc9068 {
            demands.extend(["aud", "sub", "client_id", "iat", "jti"].map(|name| Claim::at([name])));
        }
        for claim in &demands {
            if let Some(fault) = claim.fault(&demands) {
                problems.push(path("require"), format!("{}: {fault}", claim.name()));
            }
        }
        if self.leeway > MAX_LEEWAY {
            problems.push(path("leeway"), "more than 5 minutes of leeway; synchronise the clocks instead");
        }
        if self.max_age.is_some_and(|max_age| max_age.is_zero()) {
            problems.push(path("max_age"), "the maximum age is zero, so no token could be accepted for long");
        }
        const PATH: &str = "a path is empty, has an empty name or more than 8, or begins with the value of a claim; name the claim that holds them";
        if !self.roles.is_sound() {
            problems.push(path("roles"), PATH);
        }
        if !self.scopes.is_sound() {
            problems.push(path("scopes"), PATH);
        }
        if self.tenant.as_ref().is_some_and(|tenant| !tenant.is_sound()) {
            problems.push(path("tenant_at"), PATH);
        }
        if !self.scopes.has_sound_prefix() {
            problems.push(path("scopes"), "no scope can begin with the prefix: it has a space, a quote or another character that RFC 6749 §3.3 does not allow");
        }
        if self.rfc9068
            && self.types.as_ref().is_some_and(|types| types.iter().any(|typ| !typ.eq_ignore_ascii_case("at+jwt")))
        {
            problems.push(path("rfc9068"), "the profile fixes typ to at+jwt; drop accept_typ or rfc9068");
        }
        let algorithms = match (self.algorithms, symmetric) {
            (None, None) => Algorithm::ASYMMETRIC.to_vec(),
            (None, Some(secret)) => vec![secret],
            (Some(listed), None) => {
                for algorithm in listed.iter().filter(|algorithm| algorithm.is_symmetric()) {
                    let fix =
                        format!("{algorithm} needs a shared secret: trust the issuer together with StaticKeys::hmac");
                    problems.push(path("algorithms"), fix);
                }
                listed
            }
            (Some(listed), Some(secret)) => {
                if listed != [secret] {
                    problems.push(path("algorithms"), format!("the shared secret is for {secret} and nothing else"));
                }
                listed
            }
        };
        if algorithms.is_empty() {
            problems.push(path("algorithms"), "no algorithm is allowed, so no token could ever be accepted");
        }
        Policy {
            issuer: Arc::from(self.id),
            audiences: if self.audiences.is_empty() { server.audiences.clone() } else { self.audiences },
            audience_claim: self.audience_claim,
            any_audience: self.any_audience,
            absent_audience: self.absent_audience,
            algorithms,
            leeway: self.leeway,
            max_age: self.max_age,
            max_lifetime: self.max_lifetime,
            untyped: self.types.is_none() && !self.rfc9068,
            types: match self.types {
                _ if self.rfc9068 => vec!["at+jwt".into()],
                Some(types) => types,
                None => DEFAULT_TYPES.iter().map(|typ| (*typ).into()).collect(),
            },
            demands,
            numeric_ids: self.numeric_ids,
            client_claims: match self.client_claim {
                Some(claim) => vec![claim],
                None if self.load_balancers.is_some() => Vec::new(),
                None => ["client_id", "azp"].map(Into::into).into(),
            },
            clients: self.clients,
            scopes: self.scopes,
            roles: self.roles,
            tenant: self.tenant,
            principals: match self.principals {
                Some(known) => known,
                None if self.rfc9068 => Principals::RFC9068,
                None => Principals::DEFAULT,
            },
            load_balancers: self.load_balancers,
            server: Arc::clone(server),
        }
    }
}
