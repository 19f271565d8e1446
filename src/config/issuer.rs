//! One issuer as data.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::claim::ClaimConfig;
use super::field::{Field, OneOrMany, refuse_unknown};
use super::preset::Preset;
use super::readers::{PathConfig, RolesConfig, ScopesConfig};
use crate::error::ConfigError;
use crate::issuer::{Address, Issuer, Switch};
use crate::jose::Algorithm;

/// An issuer, by its identifier or by a preset, and the terms on which its tokens are accepted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields, rename = "Issuer"))]
pub(super) struct IssuerConfig {
    /// The identifier, byte for byte as in the tokens' `iss`; or else a preset.
    issuer: Field<String>,
    /// A provider whose tokens are known.
    preset: Field<Preset>,
    /// Other texts by which its tokens name it.
    also_known_as: Field<OneOrMany>,
    /// Whether tokens that name no issuer are this one's.
    accept_absent_iss: Field<bool>,
    /// Where the keys are, if they are not to be found by discovery.
    jwks_uri: Field<Address>,
    /// What this issuer's tokens must name, in place of the server's audience.
    audience: Field<OneOrMany>,
    /// A claim that stands for an absent `aud`, and what it may be.
    audience_claim: Field<AudienceClaim>,
    /// Accepts tokens whatever their audience is: those that were issued for other services, too.
    dangerously_accept_any_audience: Field<bool>,
    /// Accepts tokens that have no `aud`.
    dangerously_accept_absent_audience: Field<bool>,
    /// The only clients whose tokens are accepted.
    allow_clients: Field<OneOrMany>,
    /// The claim that names the client; `client_id`, else `azp` by default.
    client_claim: Field<String>,
    /// The algorithms that are accepted, such as `ES256`; all asymmetric ones by default.
    algorithms: Field<OneOrMany>,
    /// By how much clocks may differ; 30 by default, at most 300.
    leeway_seconds: Field<u64>,
    /// How long ago a token may have been issued; without a limit by default.
    max_age_seconds: Field<u64>,
    /// For how long a token may have been issued; without a limit by default.
    max_lifetime_seconds: Field<u64>,
    /// For how long keys are used that cannot be fetched anew; 3600 by default.
    max_stale_seconds: Field<u64>,
    /// The types (`typ`) that are accepted, in place of none, `JWT` and `at+jwt`.
    accept_typ: Field<OneOrMany>,
    /// Whether the whole profile of RFC 9068 is demanded.
    rfc9068: Field<bool>,
    /// What must hold of claims.
    require: Field<Vec<Field<ClaimConfig>>>,
    /// Whether `sub`, `jti`, `azp` and `client_id` may be integers, which are read as text.
    accept_numeric_ids: Field<bool>,
    /// Where the scopes are.
    scopes: Field<ScopesConfig>,
    /// Where the roles are.
    roles: Field<RolesConfig>,
    /// Where the tenant is.
    tenant_at: Field<PathConfig>,
    #[serde(flatten)]
    #[cfg_attr(test, schemars(skip))]
    unknown: BTreeMap<String, IgnoredAny>,
}

/// A claim that stands for an absent `aud`, and what it may be.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct AudienceClaim {
    /// The claim, such as `client_id`.
    name: String,
    /// What it may be.
    values: OneOrMany,
}

impl IssuerConfig {
    /// Reads the issuer, if it is named, and notes whatever is wrong with it.
    pub(super) fn read(self, path: &str, problems: &mut ConfigError) -> Option<Issuer> {
        let at = |field: &str| format!("{path}.{field}");
        let unnamed = self.issuer.is_absent() && self.preset.is_absent();
        let named = self.issuer.take(&at("issuer"), problems);
        let preset = self.preset.take(&at("preset"), problems);
        let issuer = match (named, preset) {
            (Some(id), None) => Some(Issuer::new(id)),
            (None, Some(preset)) => Some(preset.issuer()),
            (Some(_), Some(_)) => {
                problems.push(path, "the issuer has a preset, which names it; drop issuer or preset");
                None
            }
            (None, None) if unnamed => {
                problems.push(path, "the issuer is named neither by issuer nor by preset");
                None
            }
            (None, None) => None,
        };
        let found = issuer.is_some();
        // the others are looked at all the same
        let mut reading = Reading { issuer: issuer.unwrap_or_else(|| Issuer::new("-")), path, problems };
        reading.each("also_known_as", self.also_known_as, Issuer::also_known_as);
        reading.switch("accept_absent_iss", self.accept_absent_iss, Switch::AbsentIss);
        reading.set("jwks_uri", self.jwks_uri, Issuer::jwks_uri);
        reading.each("audience", self.audience, Issuer::audience);
        reading.set("audience_claim", self.audience_claim, |issuer, claim| {
            issuer.audience_claim(claim.name, Vec::from(claim.values))
        });
        reading.switch("dangerously_accept_any_audience", self.dangerously_accept_any_audience, Switch::AnyAudience);
        let absent = self.dangerously_accept_absent_audience;
        reading.switch("dangerously_accept_absent_audience", absent, Switch::AbsentAudience);
        reading.set("allow_clients", self.allow_clients, |issuer, clients| issuer.allow_clients(Vec::from(clients)));
        reading.set("client_claim", self.client_claim, Issuer::client_claim);
        if let Some(names) = self.algorithms.take(&at("algorithms"), reading.problems).map(Vec::from) {
            let algorithms = names.iter().map(|name| name.parse::<Algorithm>().map_err(|error| (name, error)));
            match algorithms.collect::<Result<Vec<_>, _>>() {
                Ok(algorithms) => reading.issuer = reading.issuer.algorithms(algorithms),
                Err((name, error)) => reading.problems.push(at("algorithms"), format!("{name:?} is {error}")),
            }
        }
        reading.seconds("leeway_seconds", self.leeway_seconds, Issuer::leeway);
        reading.seconds("max_age_seconds", self.max_age_seconds, Issuer::max_age);
        reading.seconds("max_lifetime_seconds", self.max_lifetime_seconds, Issuer::max_lifetime);
        reading.seconds("max_stale_seconds", self.max_stale_seconds, Issuer::max_stale);
        reading.each("accept_typ", self.accept_typ, Issuer::accept_typ);
        reading.switch("rfc9068", self.rfc9068, Switch::Rfc9068);
        for (index, claim) in self.require.take(&at("require"), reading.problems).into_iter().flatten().enumerate() {
            let path = at(&format!("require[{index}]"));
            let claim = claim.take(&path, reading.problems).and_then(|claim| claim.read(&path, reading.problems));
            if let Some(claim) = claim {
                reading.issuer = reading.issuer.require(claim);
            }
        }
        reading.switch("accept_numeric_ids", self.accept_numeric_ids, Switch::NumericIds);
        if let Some(scopes) = self.scopes.take(&at("scopes"), reading.problems) {
            let scopes = scopes.read(reading.issuer.scopes_so_far(), &at("scopes"), reading.problems);
            reading.issuer = reading.issuer.scopes(scopes);
        }
        if let Some(roles) = self.roles.take(&at("roles"), reading.problems) {
            let roles = roles.read(reading.issuer.roles_so_far(), &at("roles"), reading.problems);
            reading.issuer = reading.issuer.roles(roles);
        }
        reading.set("tenant_at", self.tenant_at, |issuer, path| issuer.tenant_at(path.read()));
        let Reading { issuer, problems, .. } = reading;
        refuse_unknown(path, &self.unknown, problems);
        found.then_some(issuer)
    }
}

/// An issuer whose settings are being read.
struct Reading<'p> {
    issuer: Issuer,
    path: &'p str,
    problems: &'p mut ConfigError,
}

impl Reading<'_> {
    fn set<T>(&mut self, name: &str, field: Field<T>, set: impl FnOnce(Issuer, T) -> Issuer) {
        if let Some(value) = field.take(&format!("{}.{name}", self.path), self.problems) {
            self.issuer = set(self.issuer.clone(), value);
        }
    }

    fn each(&mut self, name: &str, field: Field<OneOrMany>, set: impl Fn(Issuer, String) -> Issuer) {
        self.set(name, field, |issuer, values| Vec::from(values).into_iter().fold(issuer, set));
    }

    fn switch(&mut self, name: &str, field: Field<bool>, switch: Switch) {
        self.set(name, field, |issuer, on| issuer.switched(switch, on));
    }

    fn seconds(&mut self, name: &str, field: Field<u64>, set: impl FnOnce(Issuer, Duration) -> Issuer) {
        self.set(name, field, |issuer, seconds| set(issuer, Duration::from_secs(seconds)));
    }
}
