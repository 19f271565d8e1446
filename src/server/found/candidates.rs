//! Issuers that a resolver has let in, and of which no token was verified yet.
//!
//! It is exact where moka is not: what is taken out is dropped at once, and its task with it.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex};

use tokio::time::Instant;

use super::decision::Decision;
use crate::server::TrustedIssuer;
use crate::sync::lock;

/// So many are kept; when there are more, the one that was used longest ago goes. A request that
/// waits for its keys holds it meanwhile.
const MAX_CANDIDATES: usize = 256;

#[derive(Default)]
pub(super) struct Candidates(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    decisions: HashMap<Arc<str>, (Decision, u64)>,
    /// Counts uses, by which the oldest is found.
    uses: u64,
}

impl Candidates {
    /// Returns one, while the decision to trust it holds.
    pub(super) fn get(&self, id: &str, now: Instant) -> Option<Arc<TrustedIssuer>> {
        let mut kept = lock(&self.0);
        let Kept { decisions, uses } = &mut *kept;
        let (decision, used) = decisions.get_mut(id).filter(|(decision, _)| now < decision.until)?;
        *uses = uses.saturating_add(1);
        *used = *uses;
        Some(Arc::clone(&decision.trusted))
    }

    pub(super) fn insert(&self, id: Arc<str>, decision: Decision) {
        let mut kept = lock(&self.0);
        kept.uses = kept.uses.saturating_add(1);
        let used = kept.uses;
        let former = kept.decisions.insert(id, (decision, used));
        let oldest = kept.decisions.iter().min_by_key(|(_, (_, used))| *used).map(|(id, _)| Arc::clone(id));
        let oldest = oldest.filter(|_| kept.decisions.len() > MAX_CANDIDATES);
        let oldest = oldest.and_then(|id| kept.decisions.remove(&id));
        // what is dropped may be the application's: no lock may be held
        drop(kept);
        drop((former, oldest));
    }

    pub(super) fn remove(&self, id: &str) {
        let removed = lock(&self.0).decisions.remove(id);
        drop(removed);
    }

    /// Lets those go whose decision does not hold any more.
    pub(super) fn tidy(&self, now: Instant) {
        let mut kept = lock(&self.0);
        let (held, over) = mem::take(&mut kept.decisions).into_iter().partition(|(_, (held, _))| now < held.until);
        kept.decisions = held;
        drop(kept);
        drop::<HashMap<_, _>>(over);
    }
}
