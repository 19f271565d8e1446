//! A decision to trust an issuer, and how long it stays in force.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::server::TrustedIssuer;
use crate::sync::after;

/// How long a decision holds.
const DECIDED: Duration = Duration::from_secs(5 * 60);
/// From then on a token makes the resolvers be asked again, and waits for nothing.
const DUE: Duration = Duration::from_secs(4 * 60);
/// How long a decision stays in force, from when it was made, while the resolvers cannot decide.
const MAX_STALE: Duration = Duration::from_secs(60 * 60);
/// When they are asked again after that.
pub(super) const RETRY: Duration = Duration::from_secs(10);

/// How a resolver has let in an issuer, and whether that was proven.
pub(in crate::server) struct Admission {
    /// That of the resolvers that have let it in.
    epoch: u64,
    /// Which of these it was.
    pub(super) resolver: usize,
    made: Instant,
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

#[derive(Clone)]
pub(super) struct Decision {
    pub(super) trusted: Arc<TrustedIssuer>,
    /// That of the resolvers that have said so.
    pub(super) epoch: u64,
    pub(super) made: Instant,
    /// When to ask again.
    pub(super) due: Instant,
    pub(super) until: Instant,
}

impl Decision {
    /// Returns the decision by which an issuer is trusted; `None` for a configured one.
    pub(super) fn on(trusted: &Arc<TrustedIssuer>) -> Option<Self> {
        let &Admission { epoch, made, .. } = trusted.found.as_ref()?;
        Some(Self { trusted: Arc::clone(trusted), epoch, made, due: after(made, DUE), until: after(made, DECIDED) })
    }

    /// Keeps it in force while the resolvers cannot decide.
    pub(super) fn extended(self, now: Instant) -> Self {
        Self { due: after(now, RETRY), until: after(self.made, MAX_STALE), ..self }
    }

    /// Tells whether it is too old to stay in force, whatever happens.
    pub(super) fn is_stale(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.made) >= MAX_STALE
    }

    pub(super) fn is_newer_than(&self, other: &Self) -> bool {
        (self.epoch, self.made) > (other.epoch, other.made)
    }
}
