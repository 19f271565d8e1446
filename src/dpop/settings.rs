//! What a server asks of proofs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::nonce::{Mint, Nonces};
use super::proof::PreparedKeys;
use super::replay::{InMemoryReplayStore, ReplayStore};
use crate::error::{ConfigError, ConfigProblemKind};
use crate::jose::Algorithm;

/// How old a proof may be, unless told otherwise.
const MAX_AGE: Duration = Duration::from_secs(60);
/// By how much a client's clock may be ahead, or behind, unless told otherwise.
const LEEWAY: Duration = Duration::from_secs(30);
/// The longest of both; a proof must be remembered for their sum.
const LONGEST: Duration = Duration::from_secs(300);

/// What a server asks of DPoP proofs (RFC 9449), for
/// [`ResourceServerBuilder::dpop`](crate::config::ResourceServerBuilder::dpop).
///
/// | setting | default |
/// |---|---|
/// | [`algorithms`](Self::algorithms) | ES256, ES384, EdDSA, PS256, RS256 |
/// | [`max_age`](Self::max_age) | 60 s |
/// | [`leeway`](Self::leeway) | 30 s |
/// | [`nonces`](Self::nonces) | none |
/// | [`replay_store`](Self::replay_store) | [`InMemoryReplayStore`] |
///
/// # Examples
///
/// ```
/// use tower_bearer::dpop::{Dpop, Nonces, Secret};
/// use tower_bearer::{Issuer, ResourceServer};
///
/// # fn main() -> Result<(), tower_bearer::ConfigError> {
/// let server = ResourceServer::new("https://api.example.com")
///     .trust(Issuer::new("https://id.example.com/").require_dpop())
///     .dpop(Dpop::new().nonces(Nonces::local()))
///     .public_origin("https://api.example.com")
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Dpop {
    algorithms: Vec<Algorithm>,
    max_age: Duration,
    leeway: Duration,
    nonces: Option<Nonces>,
    replay_store: Option<Arc<dyn ReplayStore>>,
}

/// The same, ready for use.
pub(crate) struct ProofTerms {
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) max_age: Duration,
    pub(crate) leeway: Duration,
    pub(crate) mint: Option<Mint>,
    pub(crate) store: Arc<dyn ReplayStore>,
    /// Whether nobody has named the store.
    by_default: bool,
    pub(crate) keys: PreparedKeys,
}

impl ProofTerms {
    /// Goes on with the store of a former server, so that a reload forgets no proof; unless somebody
    /// has named one.
    pub(crate) fn go_on_from(&mut self, former: &Self) {
        if self.by_default && former.by_default {
            self.store = Arc::clone(&former.store);
        }
    }
}

impl Default for Dpop {
    fn default() -> Self {
        Self::new()
    }
}

impl Dpop {
    /// Asks for what the defaults say.
    pub fn new() -> Self {
        use Algorithm::{Ed25519, Es256, Es384, Ps256, Rs256};

        let algorithms = vec![Es256, Es384, Ed25519, Ps256, Rs256];
        Self { algorithms, max_age: MAX_AGE, leeway: LEEWAY, nonces: None, replay_store: None }
    }

    /// Accepts proofs of these algorithms only, which must be asymmetric. Clients read them in the
    /// challenge (`algs`, RFC 9449 §7.1).
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// Sets how old a proof may be, by its `iat`; 60 s by default, from 1 s to 5 min. A client makes a
    /// proof for each request, so a longer time helps only where requests wait.
    ///
    /// For a proof with a nonce, the [life](Nonces::life) of the nonce counts instead.
    ///
    /// Proofs are remembered by the terms under which they were used. So let all replicas have the same,
    /// and mind that a reload that makes this, the leeway or that life longer lets used proofs of the
    /// last minutes pass once more.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// Sets by how much the clocks of clients may differ from this one; 30 s by default, at most 5
    /// min. Where they are worse, use [`nonces`](Self::nonces): then they do not matter.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Demands that proofs contain a nonce of this service (RFC 9449 §9).
    pub fn nonces(mut self, nonces: Nonces) -> Self {
        self.nonces = Some(nonces);
        self
    }

    /// Remembers here which proofs were used; by default in the process, which is enough for one
    /// replica. Behind a load balancer, a proof is otherwise good once at each replica.
    ///
    /// The default one outlives a [`reload`](crate::ResourceServer::reload). Give each configuration the
    /// same store otherwise, as an `Arc` or by the same Redis.
    pub fn replay_store(mut self, store: impl ReplayStore) -> Self {
        self.replay_store = Some(Arc::new(store));
        self
    }

    /// Leaves, of the algorithms, those that a profile allows.
    pub(crate) fn within(mut self, profile: &[Algorithm]) -> Self {
        self.algorithms.retain(|algorithm| profile.contains(algorithm));
        self
    }

    /// Returns what the challenge says of algorithms: each by all its names, as a client may know but
    /// one (RFC 9864).
    pub(crate) fn algs(&self) -> Box<str> {
        let names: Vec<_> = self.algorithms.iter().flat_map(|algorithm| algorithm.names()).collect();
        names.join(" ").into()
    }

    /// Checks the settings, and reads the secrets of nonces.
    pub(crate) fn prepare(self, problems: &mut ConfigError) -> Option<ProofTerms> {
        let Self { algorithms, max_age, leeway, nonces, replay_store } = self;
        if algorithms.is_empty() {
            problems.push("dpop.algorithms", "the list is empty, so no proof could ever be accepted");
        }
        for symmetric in algorithms.iter().filter(|algorithm| algorithm.is_symmetric()) {
            let fix = format!("{symmetric} is a shared secret, and a proof shows that its sender has a key of its own");
            problems.push_as(ConfigProblemKind::Invalid, "dpop.algorithms", fix);
        }
        if max_age < Duration::from_secs(1) || max_age > LONGEST {
            problems.push("dpop.max_age", "a proof may be 1 s to 5 minutes old");
        }
        if leeway > LONGEST {
            problems.push("dpop.leeway", "more than 5 minutes of leeway; use nonces, with which clocks do not matter");
        }
        let mint = match nonces.as_ref().map(Nonces::prepare).transpose() {
            Ok(mint) => mint,
            Err((setting, fix)) => {
                problems.push(format!("dpop.nonces.{setting}"), fix);
                return None;
            }
        };
        let by_default = replay_store.is_none();
        let store = replay_store.unwrap_or_else(|| Arc::new(InMemoryReplayStore::new()));
        Some(ProofTerms { algorithms, max_age, leeway, mint, store, by_default, keys: PreparedKeys::new() })
    }
}

impl fmt::Debug for Dpop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Dpop");
        shown.field("algorithms", &self.algorithms).field("max_age", &self.max_age).field("leeway", &self.leeway);
        shown.field("nonces", &self.nonces).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_each_name_of_an_algorithm() {
        assert_eq!(&*Dpop::new().algs(), "ES256 ES384 EdDSA Ed25519 PS256 RS256");
        assert_eq!(&*Dpop::new().algorithms([Algorithm::Es256]).algs(), "ES256");
    }
}
