//! One issuer as data.

use std::mem::take;
use std::time::Duration;

use serde::Deserialize;

use super::claim::ClaimConfig;
use super::field::{Field, OneOrMany, Place, settings};
#[cfg(feature = "introspection")]
use super::introspection::IntrospectionConfig;
use super::preset::PresetConfig;
use super::readers::{PathConfig, RolesConfig, ScopesConfig};
use crate::claims::Path;
use crate::error::ConfigProblemKind::{Conflict, Missing};
use crate::issuer::{Address, Issuer, Terms};
use crate::jose::Algorithm;
use crate::possession::Stance;

settings! {
    /// An issuer, by its identifier or by a preset, and the terms on which its tokens are accepted.
    #[cfg_attr(test, schemars(rename = "Issuer"))]
    pub(super) struct IssuerConfig {
        /// The identifier, byte for byte as in the tokens' `iss`; or else a preset.
        issuer: String,
        /// A provider whose tokens are known.
        preset: PresetConfig,
    }
    for Terms {
        /// Other texts by which its tokens name it.
        also_known_as: OneOrMany => |terms, names| {
            Terms { also_known_as: [terms.also_known_as, names.0].concat(), ..terms }
        },
        /// Whether tokens that name no issuer are this one's.
        accept_absent_iss: bool => |terms, on| Terms { absent_iss: on, ..terms },
        /// Where the keys are, if they are not to be found by discovery.
        jwks_uri: Address => |terms, uri| Terms { jwks_uri: Some(uri), ..terms },
        /// What this issuer's tokens must name, in place of the server's audience.
        only_audiences: OneOrMany => |terms, names| Terms { audiences: Some(names.0), ..terms },
        /// Accepts tokens without `aud` if a claim is one of some texts.
        accept_absent_aud_if: AbsentAud => |terms, absent_aud| {
            terms.accept_absent_aud_if(absent_aud.claim, absent_aud.one_of.0)
        },
        /// Accepts tokens that have no `aud`.
        dangerously_accept_absent_aud: bool => |terms, on| Terms { absent_aud: on, ..terms },
        /// Accepts tokens whatever their audience is: those that were issued for other services,
        /// too.
        dangerously_accept_any_aud: bool => |terms, on| Terms { any_aud: on, ..terms },
        /// The only clients whose tokens are accepted.
        only_clients: OneOrMany => |terms, clients| Terms { clients: Some(clients.0), ..terms },
        /// The only ones who may act for others (`act`), by their `sub`; with an empty list, nobody.
        only_actors: Vec<String> => |terms, actors| {
            Terms { actors: Some(actors.into_iter().map(Into::into).collect()), ..terms }
        },
        /// The claim that names the client; `client_id`, else `azp` by default.
        client_claim: String => |terms, name| Terms { client_claims: vec![name.into()], ..terms },
        /// The algorithms that are accepted, such as `ES256`; all asymmetric ones by default.
        only_algorithms: OneOrMany => |terms, names, place| {
            let known = |name: Box<str>| name.parse::<Algorithm>().map_err(|error| place.problem(format!("{name:?} is {error}"))).ok();
            let algorithms: Option<Vec<Algorithm>> = names.0.into_iter().map(known).collect();
            Terms { algorithms: algorithms.or(terms.algorithms), ..terms }
        },
        /// By how much clocks may differ; 30 by default, at most 300.
        leeway_seconds: u64 => |terms, seconds| Terms { leeway: Duration::from_secs(seconds), ..terms },
        /// How long ago a token may have been issued; without a limit by default.
        max_age_seconds: u64 => |terms, seconds| Terms { max_age: Some(Duration::from_secs(seconds)), ..terms },
        /// How long a token may be valid, from `iat` to `exp`; without a limit by default.
        max_lifetime_seconds: u64 => |terms, seconds| {
            Terms { max_lifetime: Some(Duration::from_secs(seconds)), ..terms }
        },
        /// For how long keys are used that cannot be fetched anew; 3600 by default, at most 86400.
        max_stale_seconds: u64 => |terms, seconds| Terms { max_stale: Duration::from_secs(seconds), ..terms },
        /// The types (`typ`) that are accepted, in place of none, `JWT` and `at+jwt`.
        only_types: OneOrMany => |terms, types| terms.only_types(types.0),
        /// Whether the whole profile of RFC 9068 is demanded.
        rfc9068: bool => |terms, on| Terms { rfc9068: on, ..terms },
        /// What must hold of claims.
        require: Vec<Field<ClaimConfig>> => |terms, claims, place| {
            let read = |(index, claim): (_, Field<ClaimConfig>)| {
                let mut place = place.at(index);
                claim.take(&mut place)?.read(&mut place)
            };
            let claims = claims.into_iter().enumerate().filter_map(read);
            Terms { demands: terms.demands.into_iter().chain(claims).collect(), ..terms }
        },
        /// Whether `sub`, `jti`, `azp` and `client_id` may be integers, which are read as text.
        accept_numeric_ids: bool => |terms, on| Terms { numeric_ids: on, ..terms },
        /// Where the scopes are.
        scopes: ScopesConfig => |terms, scopes, place| Terms { scopes: scopes.change(terms.scopes, place), ..terms },
        /// Where the roles are.
        roles: RolesConfig => |terms, roles, place| Terms { roles: roles.read(terms.roles, place), ..terms },
        /// Whether tokens that are bound to a key (DPoP) are accepted, too.
        accept_dpop: bool => |terms, on, place| by_dpop(terms, on, Stance::Accepted, place),
        /// Whether only tokens that are bound to a key (DPoP) are accepted.
        require_dpop: bool => |terms, on, place| by_dpop(terms, on, Stance::Required, place),
        /// Whether tokens that are bound to the client's certificate are accepted, too.
        accept_mtls: bool => |terms, on, place| by_mtls(terms, on, Stance::Accepted, place),
        /// Whether only tokens that are bound to the client's certificate are accepted.
        require_mtls: bool => |terms, on, place| by_mtls(terms, on, Stance::Required, place),
        /// Whether only tokens are accepted that are bound to a key or to the client's certificate.
        require_sender_constraint: bool => |terms, on, place| bound(terms, on, place),
        /// Whether what the FAPI 2.0 Security Profile demands of resource servers is demanded.
        fapi2: bool => |terms, on, place| by_fapi2(terms, on, place),
        /// How the issuer is asked about tokens, if it is.
        introspection: IntrospectionConfig => |terms, asked, place| asked_about(terms, asked, place),
        /// Where the tenant is.
        tenant_at: PathConfig => |terms, path| Terms { tenant: Some(Path::new(path.read())), ..terms },
    }
}

#[cfg(feature = "introspection")]
fn asked_about(terms: Terms, asked: IntrospectionConfig, place: &mut Place<'_>) -> Terms {
    Terms { introspection: asked.read(place), ..terms }
}

#[cfg(not(feature = "introspection"))]
type IntrospectionConfig = serde::de::IgnoredAny;

#[cfg(not(feature = "introspection"))]
fn asked_about(terms: Terms, _: IntrospectionConfig, place: &mut Place<'_>) -> Terms {
    place.problem("an issuer can be asked about tokens only with the feature `introspection`");
    terms
}

fn by_dpop(mut terms: Terms, on: bool, stance: Stance, place: &mut Place<'_>) -> Terms {
    if !cfg!(feature = "dpop") {
        place.problem("proofs are checked only with the feature `dpop`");
    } else if on {
        terms.sender_constraint.dpop = stance;
    }
    terms
}

fn by_mtls(mut terms: Terms, on: bool, stance: Stance, place: &mut Place<'_>) -> Terms {
    if !cfg!(feature = "mtls") {
        place.problem("certificates of clients are looked at only with the feature `mtls`");
    } else if on {
        terms.sender_constraint.mtls = stance;
    }
    terms
}

#[cfg(any(feature = "dpop", feature = "mtls"))]
fn bound(mut terms: Terms, on: bool, _: &mut Place<'_>) -> Terms {
    if on {
        terms.sender_constraint = terms.sender_constraint.require();
    }
    terms
}

#[cfg(not(any(feature = "dpop", feature = "mtls")))]
fn bound(terms: Terms, _: bool, place: &mut Place<'_>) -> Terms {
    place.problem("senders prove what they have only with the feature `dpop` or `mtls`");
    terms
}

#[cfg(any(feature = "dpop", feature = "mtls"))]
fn by_fapi2(terms: Terms, on: bool, _: &mut Place<'_>) -> Terms {
    if on { terms.fapi2() } else { terms }
}

#[cfg(not(any(feature = "dpop", feature = "mtls")))]
fn by_fapi2(terms: Terms, _: bool, place: &mut Place<'_>) -> Terms {
    place.problem("FAPI 2.0 demands that tokens are bound, which needs the feature `dpop` or `mtls`");
    terms
}

/// A claim that stands for an absent `aud`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with claim and one_of")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct AbsentAud {
    /// The claim, such as `client_id`.
    claim: String,
    /// What it may be.
    one_of: OneOrMany,
}

impl IssuerConfig {
    /// Reads the issuer, if it is named, and notes whatever is wrong with it.
    pub(super) fn read(mut self, place: &mut Place<'_>) -> Option<Issuer> {
        let (id, preset) = (take(&mut self.issuer), take(&mut self.preset));
        let unnamed = id.is_absent() && preset.is_absent();
        let issuer = match (id.take(&mut place.of("issuer")), preset.take(&mut place.of("preset"))) {
            (Some(_), Some(_)) => {
                place.problem_as(Conflict, "the issuer has a preset, which names it; drop issuer or preset");
                None
            }
            (Some(id), None) => Some(Issuer::new(id)),
            (None, preset) => preset.map(|PresetConfig(issuer)| issuer),
        };
        if unnamed {
            place.problem_as(Missing, "the issuer is named neither by issuer nor by preset");
        }
        // the settings are looked at all the same
        let terms = self.change(issuer.as_ref().map(|issuer| issuer.terms.clone()).unwrap_or_default(), place);
        issuer.map(|issuer| Issuer { terms, ..issuer })
    }
}
