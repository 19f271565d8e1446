//! What a server says about how its keys are kept.

use std::time::Duration;

use crate::clock::{SharedClock, SystemClock};

/// How long one request for metadata or keys may take, unless told otherwise.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// A whole fetch may take so many times that: metadata, keys, and once more in vain.
const EXCHANGES: u32 = 3;

/// By which clock keys grow old, and how long a fetch may take. A reload may change both.
#[derive(Clone, Debug)]
pub(crate) struct Upkeep {
    pub(crate) clock: SharedClock,
    /// For one request with its whole answer.
    pub(crate) fetch_timeout: Duration,
}

impl Upkeep {
    /// Returns how long one fetch of any source may take, discovery included.
    pub(crate) fn max_fetch(&self) -> Duration {
        self.fetch_timeout.saturating_mul(EXCHANGES)
    }
}

impl Default for Upkeep {
    fn default() -> Self {
        Self { clock: SharedClock::new(SystemClock), fetch_timeout: FETCH_TIMEOUT }
    }
}
