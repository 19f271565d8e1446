//! Small helpers for locks, times and panics.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

/// Locks, whether or not a thread has panicked meanwhile: nothing that is locked here can be left
/// half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns a later time, or the same if there is none.
pub(crate) fn after(then: Instant, wait: Duration) -> Instant {
    then.checked_add(wait).unwrap_or(then)
}

/// Returns a time to wait in whole seconds, and none too few: who comes then must not come too
/// early.
pub(crate) fn whole_seconds_up(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))
}

/// Runs code of the application; `None` if it panics.
pub(crate) async fn caught<T>(code: impl Future<Output = T>) -> Option<T> {
    let mut code = pin!(code);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| code.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_second_is_a_second_to_wait() {
        for (millis, seconds) in [(0, 0), (1, 1), (999, 1), (1000, 1), (1001, 2)] {
            assert_eq!(whole_seconds_up(Duration::from_millis(millis)), seconds);
        }
        assert_eq!(whole_seconds_up(Duration::MAX), u64::MAX);
    }
}
