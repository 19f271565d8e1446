//! What a reader can wish for, and what comes of it.

use std::sync::{Arc, Weak};

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::absent::Fingerprint;
use super::allowance::Allowance;
use super::cache::Shared;
use super::lease::GRACE;

/// Why a token needs newer keys.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Want {
    /// There are none in hand.
    NoKeys,
    /// The operator asks for them.
    ByHand,
    /// The set in hand does not have the token's, or the token names none and no key in hand
    /// verifies it.
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
    shared: Weak<Shared>,
    stage: Stage,
}

enum Stage {
    Ordered {
        /// It was on its way already, and may have been begun too early.
        joined: bool,
        number: u64,
        ended: watch::Receiver<u64>,
    },
    /// It must wait for its turn.
    Queued { want: Want, generation: u64, allowance: Arc<Allowance> },
}

impl Fetch {
    pub(super) fn ordered(joined: bool, number: u64, ended: watch::Receiver<u64>, shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::downgrade(shared), stage: Stage::Ordered { joined, number, ended } }
    }

    pub(super) fn queued(want: Want, generation: u64, allowance: &Arc<Allowance>, shared: &Arc<Shared>) -> Self {
        let allowance = Arc::clone(allowance);
        Self { shared: Arc::downgrade(shared), stage: Stage::Queued { want, generation, allowance } }
    }

    /// Tells whether it may have been begun too early, or need not come at all.
    pub(crate) fn joined(&self) -> bool {
        !matches!(self.stage, Stage::Ordered { joined: false, .. })
    }

    /// Waits until the fetch has ended, however it ended.
    pub(crate) async fn ended(self) {
        let Self { shared, stage } = self;
        let (number, mut ended) = match stage {
            Stage::Ordered { number, ended, .. } => (number, ended),
            Stage::Queued { want, generation, allowance } => {
                let turn = allowance.take().await;
                let Some(shared) = shared.upgrade() else { return };
                match shared.order(want, generation, turn) {
                    Demand::Wait(Self { stage: Stage::Ordered { number, ended, .. }, .. }) => (number, ended),
                    Demand::Newer | Demand::Refused | Demand::Wait(_) => return,
                }
            }
        };
        // an error is the end of the cache, and so of the fetch
        while timeout(GRACE, ended.wait_for(|ended| *ended >= number)).await.is_err() {
            let Some(shared) = shared.upgrade() else { return };
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
