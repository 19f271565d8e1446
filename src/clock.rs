//! Wall time, as an argument.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// Tells the wall time against which `exp` and `nbf` are checked.
///
/// The default is the system's clock, which is read once a second; in between, the monotonic clock tells how the time goes on. A test
/// passes `testing::ManualClock`. Any closure that returns a [`SystemTime`] is a clock too, and is asked for each token.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_bearer::Clock;
///
/// let clock = || SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
/// assert_eq!(clock.now(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
/// ```
pub trait Clock: Send + Sync + 'static {
    /// Returns the present time.
    fn now(&self) -> SystemTime;
}

impl<F> Clock for F
where
    F: Fn() -> SystemTime + Send + Sync + 'static,
{
    fn now(&self) -> SystemTime {
        self()
    }
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// A moment as the time since the Unix epoch. A clock that is set before it counts as one at the end of time, when every
/// token has expired.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct UnixTime(pub(crate) Duration);

impl UnixTime {
    fn read(clock: &dyn Clock) -> Self {
        Self(clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::MAX))
    }

    /// Converts to a [`SystemTime`]; `None` where the platform cannot express it.
    pub(crate) fn to_system_time(self) -> Option<SystemTime> {
        SystemTime::UNIX_EPOCH.checked_add(self.0)
    }
}

impl fmt::Debug for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} since the epoch", self.0)
    }
}

/// The clock of a server, asked with the monotonic time, which a request needs anyway.
///
/// The system's clock is read once a second only. In between, the wall time goes on with the monotonic time: that saves a reading for each
/// request, and a clock that is set is followed within a second that the machine runs. Any other clock is read each time.
pub(crate) struct WallClock {
    /// `None` for the system's.
    other: Option<Box<dyn Clock>>,
    base: Instant,
    /// The wall time of `base`, in nanoseconds, as of the last reading; a `u64` of them lasts until the year 2554.
    epoch: AtomicU64,
    /// How far after `base` the system's clock is read again, in nanoseconds.
    due: AtomicU64,
}

impl WallClock {
    pub(crate) fn new(other: Option<Box<dyn Clock>>) -> Self {
        Self { other, base: Instant::now(), epoch: AtomicU64::new(0), due: AtomicU64::new(0) }
    }

    /// Returns the wall time of `now`, which must be the present.
    pub(crate) fn at(&self, now: Instant) -> UnixTime {
        if let Some(clock) = &self.other {
            return UnixTime::read(&**clock);
        }
        let passed = nanos(now.saturating_duration_since(self.base));
        if passed >= self.due.load(Ordering::Acquire) {
            let wall = UnixTime::read(&SystemClock);
            // not `now`: the thread may have slept since
            let epoch = nanos(wall.0).saturating_sub(nanos(Instant::now().saturating_duration_since(self.base)));
            self.epoch.store(epoch, Ordering::Relaxed);
            // after the epoch, so that whoever sees this sees that
            self.due.store(passed.saturating_add(nanos(Duration::from_secs(1))), Ordering::Release);
        }
        match self.epoch.load(Ordering::Relaxed).saturating_add(passed) {
            u64::MAX => UnixTime(Duration::MAX),
            wall => UnixTime(Duration::from_nanos(wall)),
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_wall_time_goes_on_with_the_monotonic_one_and_is_read_again_each_second() {
        let clock = WallClock::new(None);
        let read = || {
            let before = UnixTime::read(&SystemClock);
            let read = clock.at(Instant::now());
            (before <= read && read <= UnixTime::read(&SystemClock), read)
        };
        let (is_new, first) = read();
        assert!(is_new, "{first:?}");
        tokio::time::advance(Duration::from_millis(999)).await;
        assert_eq!(clock.at(Instant::now()).0 - first.0, Duration::from_millis(999));
        tokio::time::advance(Duration::from_millis(1)).await;
        let (is_new, again) = read();
        assert!(is_new, "{again:?}");
    }

    #[test]
    fn another_clock_is_read_each_time() {
        let seconds = AtomicU64::new(0);
        let tick = move || SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.fetch_add(1, Ordering::SeqCst));
        let (clock, now) = (WallClock::new(Some(Box::new(tick))), Instant::now());
        assert_eq!([0, 1, 2].map(|_| clock.at(now).0.as_secs()), [0, 1, 2]);
        let before_the_epoch = || SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(WallClock::new(Some(Box::new(before_the_epoch))).at(now).0, Duration::MAX);
    }
}
