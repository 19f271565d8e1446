//! Nonces: when a proof was made, by this service's own clock (RFC 9449 §9).
//!
//! Nothing is stored. A nonce says when it was made, and has a code over that and the hash of the
//! access token, under a secret of the service.

mod mint;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use self::mint::{GoodNonce, Mint};
use crate::crypto::random_secret;
use crate::secret::Secret;

/// How long a nonce is good by default.
const LIFE: Duration = Duration::from_secs(5 * 60);

/// What a life may be: longer than clocks differ, and no longer than a proof should wait to be used.
const LIVES: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));

/// As many bytes a secret must have: those of the code's hash (RFC 2104 §3).
const MIN_SECRET: usize = 32;

/// Nonces that this service makes for its clients (RFC 9449 §9): each proof must contain one.
///
/// A nonce is made for one access token, and good for 5 minutes (see [`life`](Self::life)). A
/// client that has none is refused with `use_dpop_nonce`, and told one in the header `DPoP-Nonce`;
/// so its first request with a token costs a second round trip. Later responses renew the nonce
/// before it expires. With a nonce, the client's clock does not matter, and no proof can be made for
/// later use by somebody who has the client's key only for a moment.
///
/// | | needs | a proof is good |
/// |---|---|---|
/// | [`shared`](Self::shared) | one secret at all replicas | at each replica, so that a shared [`ReplayStore`](super::ReplayStore) must remember it |
/// | [`local`](Self::local) | nothing | at one replica only, so that an [`InMemoryReplayStore`](super::InMemoryReplayStore) is enough |
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::dpop::{Nonces, Secret};
///
/// let nonces = Nonces::shared(Secret::file("/run/secrets/dpop-nonce")).life(Duration::from_secs(120));
/// let in_one_process = Nonces::local();
/// ```
#[derive(Clone)]
#[must_use]
pub struct Nonces {
    origin: Origin,
    also_accepted: Vec<Secret>,
    life: Duration,
    required: bool,
}

#[derive(Clone)]
enum Origin {
    Shared(Secret),
    /// `None`: the system had no random bytes to give.
    Local(Option<Arc<[u8; 32]>>),
}

impl Nonces {
    /// Makes nonces under a secret that all replicas have: 32 bytes or more that nobody can guess,
    /// such as from `openssl rand -base64 48`.
    ///
    /// A nonce of one replica is then good at each. The replicas' clocks may differ by 30 s.
    ///
    /// A secret in a file, or from a function, is read when the server is built, and then once a
    /// minute while requests come. If it has changed, nonces under the former one are good until
    /// they expire. While it cannot be read, the former one stays. For a rotation without a single
    /// additional round trip, see [`also_accept`](Self::also_accept).
    pub fn shared(secret: impl Into<Secret>) -> Self {
        Self::new(Origin::Shared(secret.into()))
    }

    /// Makes nonces under a random secret, which only this value and its clones have.
    ///
    /// A proof for one replica is then good at no other, nor after a restart. So each replica need
    /// only remember the proofs that it has seen itself: an
    /// [`InMemoryReplayStore`](super::InMemoryReplayStore) is enough. A client that comes to another
    /// replica is told another nonce, which costs a round trip each time: use this for one replica, or
    /// where a load balancer keeps clients at theirs.
    pub fn local() -> Self {
        Self::new(Origin::Local(random_secret().map(Arc::new)))
    }

    fn new(origin: Origin) -> Self {
        Self { origin, also_accepted: Vec::new(), life: LIFE, required: true }
    }

    /// Accepts nonces under this secret, too: the former one, or the next.
    ///
    /// To rotate a secret while replicas are replaced one by one, let first all of them accept the
    /// next one, then make it the one of [`shared`](Self::shared) and accept the former one, and leave
    /// that out later.
    pub fn also_accept(mut self, secret: impl Into<Secret>) -> Self {
        self.also_accepted.push(secret.into());
        self
    }

    /// Sets how long a nonce is good: from 1 minute to 1 hour, by default 5 minutes.
    ///
    /// A proof must be remembered for as long, by the [`ReplayStore`](super::ReplayStore). All
    /// replicas should have the same life. A response renews a nonce of which half the life is over.
    pub fn life(mut self, life: Duration) -> Self {
        self.life = life;
        self
    }

    /// Accepts proofs without a nonce, too, and judges their age by the client's clock then. A nonce
    /// that is there must be good.
    ///
    /// For the time until all clients know nonces. Responses offer one to those that send none.
    pub fn optional(mut self) -> Self {
        self.required = false;
        self
    }

    pub(crate) fn is_required(&self) -> bool {
        self.required
    }
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Nonces");
        match &self.origin {
            Origin::Shared(secret) => shown.field("shared", secret),
            Origin::Local(_) => shown.field("local", &true),
        };
        shown.field("also_accepted", &self.also_accepted).field("life", &self.life);
        shown.field("required", &self.required).finish()
    }
}
