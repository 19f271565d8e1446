//! What a reader can wish for, and what comes of it.

use std::sync::{Arc, Weak};

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::absent::Fingerprint;
use super::cache::Shared;
use super::lease::GRACE;

/// Why a token needs newer keys.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Want {
    /// There are none in hand.
    NoKeys,
    /// The operator asks for them.
    ByHand,
    /// The set in hand does not have the token's, or the token names none and no key in hand verifies it.
    UnknownKid(Fingerprint),
    /// The set in hand has a key for the token, but it does not verify the signature or is for another algorithm.
    BadSignature,
}

/// What comes of the wish for newer keys.
pub(crate) enum Demand {
    /// There are newer ones already.
    Newer,
    /// There will be no fetch now.
    Refused,
    /// A fetch is on its way.
    Wait(Fetch),
}

/// A fetch that can be waited for, and dropped at any time.
pub(crate) struct Fetch {
    /// It was on its way already, and may have been begun too early.
    joined: bool,
    number: u64,
    ended: watch::Receiver<u64>,
    shared: Weak<Shared>,
}

impl Fetch {
    pub(super) fn new(joined: bool, number: u64, ended: watch::Receiver<u64>, shared: Weak<Shared>) -> Self {
        Self { joined, number, ended, shared }
    }

    pub(crate) fn joined(&self) -> bool {
        self.joined
    }

    /// Waits until the fetch has ended, however it ended.
    pub(crate) async fn ended(mut self) {
        // an error is the end of the cache, and so of the fetch
        while timeout(GRACE, self.ended.wait_for(|ended| *ended >= self.number)).await.is_err() {
            let Some(shared) = self.shared.upgrade() else { return };
            shared.start_keeper(Instant::now());
        }
    }
}

/// Why keys are missing.
#[derive(Debug)]
pub(crate) struct Outage {
    pub(crate) error: Arc<str>,
    /// No fetch has ended yet.
    pub(crate) never: bool,
}
