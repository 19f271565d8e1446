//! What is asked of DPoP proofs, as data.

use std::time::Duration;

use serde::Deserialize;

use super::field::{OneOrMany, Place, settings};
use super::secret::SecretConfig;
use crate::dpop::{Dpop, Nonces};
use crate::jose::Algorithm;

settings! {
    /// What is asked of DPoP proofs (RFC 9449). Where used ones are remembered is added to the builder.
    #[cfg_attr(test, schemars(rename = "Dpop"))]
    pub(super) struct DpopConfig {}
    for Dpop {
        /// The algorithms of proofs that are accepted; ES256, ES384, EdDSA, PS256 and RS256 by
        /// default.
        algorithms: OneOrMany => |dpop, names, place| {
            let known = |name: Box<str>| name.parse::<Algorithm>().map_err(|error| place.problem(format!("{name:?} is {error}"))).ok();
            let algorithms: Option<Vec<Algorithm>> = names.0.into_iter().map(known).collect();
            match algorithms {
                Some(algorithms) => dpop.algorithms(algorithms),
                None => dpop,
            }
        },
        /// How old a proof may be; 60 by default, from 1 to 300.
        max_age_seconds: u64 => |dpop, seconds| dpop.max_age(Duration::from_secs(seconds)),
        /// By how much the clocks of clients may differ; 30 by default, at most 300.
        leeway_seconds: u64 => |dpop, seconds| dpop.leeway(Duration::from_secs(seconds)),
        /// Demands a nonce of this service in each proof.
        nonces: NoncesConfig => |dpop, nonces| dpop.nonces(nonces.read()),
    }
}

/// Nonces that this service makes for its clients.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object, which may be empty")]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Nonces"))]
struct NoncesConfig {
    /// What all replicas have; without it, a nonce is good at one replica only.
    secret: Option<SecretConfig>,
    /// A former secret, or the next one.
    also_accept: Option<SecretConfig>,
    /// How long a nonce is good; 300 by default, from 60 to 3600.
    life_seconds: Option<u64>,
    /// Whether proofs without a nonce are accepted, too.
    #[serde(default)]
    optional: bool,
}

impl NoncesConfig {
    fn read(self) -> Nonces {
        let nonces = self.secret.map_or_else(Nonces::local, Nonces::shared);
        let nonces = self.also_accept.into_iter().fold(nonces, Nonces::also_accept);
        let nonces = self.life_seconds.into_iter().fold(nonces, |nonces, life| nonces.life(Duration::from_secs(life)));
        if self.optional { nonces.optional() } else { nonces }
    }
}

impl DpopConfig {
    /// Reads it, and notes whatever is wrong with it.
    pub(super) fn read(self, place: &mut Place<'_>) -> Dpop {
        self.change(Dpop::new(), place)
    }
}
