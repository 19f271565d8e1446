//! What the server keeps of each issuer that it trusts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;

use super::verifier::KeyVerifier;
use crate::issuer::Policy;

pub(super) struct TrustedIssuer {
    /// How it was found at run time; `None` if it is configured.
    pub(super) admission: Option<Admission>,
    /// The terms on which its tokens are accepted.
    pub(super) policy: Arc<Policy>,
    pub(super) verifier: KeyVerifier,
}

/// How a resolver has let in an issuer, and whether that was proven.
pub(super) struct Admission {
    /// That of the resolvers that have let it in.
    pub(super) epoch: u64,
    /// Which of these it was.
    pub(super) resolver: usize,
    pub(super) made: Instant,
    /// A token was verified on these terms.
    proven: AtomicBool,
}

impl Admission {
    pub(super) fn new(epoch: u64, resolver: usize) -> Self {
        Self { epoch, resolver, made: Instant::now(), proven: AtomicBool::new(false) }
    }

    /// Notes that a token was verified, and tells whether it is the first.
    pub(super) fn prove(&self) -> bool {
        !self.proven.load(Ordering::Relaxed) && !self.proven.swap(true, Ordering::Relaxed)
    }
}
