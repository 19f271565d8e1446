//! The keys of clients, prepared: each is decoded once.

use std::fmt;
use std::sync::Arc;

use foldhash::quality::RandomState;
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use crate::crypto::VerifyingKey;
use crate::jose::Algorithm;

/// So many keys are kept, of 1 KiB each or so. What is not there any more is prepared anew, for a
/// small part of what its signature costs.
const MAX_KEYS: usize = 4096;

/// A bounded store of prepared keys, by their thumbprints. Only keys that have verified a proof are
/// kept, so that nobody without a token of this service can push others out.
pub(crate) struct PreparedKeys(Cache<Name, Arc<VerifyingKey>, UnitWeighter, RandomState>);

/// A key that is the same by its thumbprint, for an algorithm.
type Name = ([u8; 32], Algorithm);

impl PreparedKeys {
    pub(crate) fn new() -> Self {
        let (hasher, lifecycle) = (RandomState::default(), DefaultLifecycle::default());
        let capacity = u64::try_from(MAX_KEYS).unwrap_or(u64::MAX);
        Self(Cache::with(MAX_KEYS, capacity, UnitWeighter, hasher, lifecycle))
    }

    pub(super) fn find(&self, name: &Name) -> Option<Arc<VerifyingKey>> {
        self.0.get(name)
    }

    pub(super) fn keep(&self, name: Name, key: Arc<VerifyingKey>) {
        self.0.insert(name, key);
    }

    /// Returns how many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for PreparedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedKeys").finish_non_exhaustive()
    }
}
