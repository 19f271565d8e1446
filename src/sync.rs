//! Small helpers for locks and times.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Locks, whether or not a thread has panicked meanwhile: nothing that is locked here can be left half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns a later time, or the same if there is none.
pub(crate) fn after(then: Instant, wait: Duration) -> Instant {
    then.checked_add(wait).unwrap_or(then)
}
