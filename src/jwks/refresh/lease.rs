//! By when the task has promised to be heard of again. If that passes, its runtime is not driven any more (or there is no
//! task), and whoever notices may start another.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// How late a task may be: so long after an order, or after the time for which it has planned to wake up.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Lease {
    epoch: Instant,
    /// In milliseconds since the epoch.
    until: AtomicU64,
}

impl Lease {
    /// Nobody holds it.
    pub(super) fn free() -> Self {
        Self { epoch: Instant::now(), until: AtomicU64::new(0) }
    }

    pub(super) fn holds(&self, now: Instant) -> bool {
        self.millis(now) < self.until.load(Ordering::Acquire)
    }

    /// Sets its end to [`GRACE`] after the given time.
    pub(super) fn renew(&self, then: Instant) {
        self.until.store(self.with_grace(then), Ordering::Release);
    }

    /// The same, if that is sooner.
    pub(super) fn shorten(&self, then: Instant) {
        self.until.fetch_min(self.with_grace(then), Ordering::AcqRel);
    }

    pub(super) fn end(&self) {
        self.until.store(0, Ordering::Release);
    }

    /// Makes it endless: there will be no task any more, or none is needed.
    pub(super) fn close(&self) {
        self.until.store(u64::MAX, Ordering::Release);
    }

    fn with_grace(&self, then: Instant) -> u64 {
        self.millis(then).saturating_add(u64::try_from(GRACE.as_millis()).unwrap_or_default())
    }

    fn millis(&self, then: Instant) -> u64 {
        u64::try_from(then.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_holds_until_a_second_after_the_promised_time() {
        let lease = Lease::free();
        let after = |millis: u64| lease.epoch + Duration::from_millis(millis);
        assert!(!lease.holds(after(0)));
        lease.renew(after(5000));
        assert!(lease.holds(after(5999)) && !lease.holds(after(6000)));
        lease.shorten(after(7000));
        assert!(lease.holds(after(5999)) && !lease.holds(after(6000)));
        lease.shorten(after(100));
        assert!(lease.holds(after(1099)) && !lease.holds(after(1100)));
        lease.end();
        lease.shorten(after(5000));
        assert!(!lease.holds(after(0)));
        lease.close();
        assert!(lease.holds(after(1_000_000)));
    }
}
