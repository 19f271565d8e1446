//! Times: that by the wall clock, as an argument, and that by both clocks.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// Tells the wall time against which `exp` and `nbf` are checked, and the age of keys.
///
/// The default is the system's clock; a test passes `testing::ManualClock`. Any closure that
/// returns a [`SystemTime`] is a clock too, and so is an `Arc<dyn Clock>`. It is read for each
/// token.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_bearer::config::Clock;
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

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> SystemTime {
        (**self).now()
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

/// The clock of a server, shared with the tokens that it has verified.
#[derive(Clone)]
pub(crate) struct SharedClock(Arc<dyn Clock>);

impl SharedClock {
    pub(crate) fn new(clock: impl Clock) -> Self {
        Self(Arc::new(clock))
    }

    pub(crate) fn now(&self) -> UnixTime {
        UnixTime(self.0.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(BEFORE_1970))
    }

    /// Reads both clocks.
    pub(crate) fn moment(&self) -> Moment {
        Moment { instant: Instant::now(), wall: self.now() }
    }
}

/// A clock that is set before 1970 counts as one at the end of time, when every token has expired.
const BEFORE_1970: Duration = Duration::MAX;

/// A moment as the time since the Unix epoch.
#[derive(Clone, Copy, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct UnixTime(pub(crate) Duration);

impl UnixTime {
    /// Tells whether the clock that says so is set before 1970, and must be wrong.
    pub(crate) fn is_before_1970(self) -> bool {
        self.0 == BEFORE_1970
    }

    /// Tells how long ago this moment was, if `now` is not before it.
    pub(crate) fn passed(self, now: Self) -> Option<Duration> {
        now.0.checked_sub(self.0)
    }

    /// Tells how far ahead this moment is, if it lies after `now`.
    pub(crate) fn ahead(self, now: Self) -> Option<Duration> {
        self.0.checked_sub(now.0).filter(|wait| !wait.is_zero())
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

/// A moment by two clocks. The monotonic one stands still while a machine is suspended; the wall
/// clock does not, but can be set. The age of what must not grow old is the greater of the two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) instant: Instant,
    pub(crate) wall: UnixTime,
}

impl Moment {
    /// Reads the monotonic clock alone, where no code of the application may run.
    pub(crate) fn by_instant() -> Self {
        Self { instant: Instant::now(), wall: UnixTime(BEFORE_1970) }
    }

    pub(crate) fn after(self, wait: Duration) -> Self {
        Self { instant: after(self.instant, wait), wall: UnixTime(self.wall.0.saturating_add(wait)) }
    }

    /// Tells how long ago this moment was: the greater of the two times; `None` while it lies ahead
    /// by both.
    pub(crate) fn passed(self, now: Self) -> Option<Duration> {
        let by_instant = now.instant.checked_duration_since(self.instant);
        // a clock that must be wrong says nothing
        let by_wall = self.wall.passed(now.wall).filter(|_| !now.wall.is_before_1970());
        by_instant.max(by_wall)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_passed_by_whichever_clock_says_more() {
        let (start, seconds) = (Instant::now(), Duration::from_secs);
        let at = |instant, wall| Moment { instant: start + seconds(instant), wall: UnixTime(seconds(wall)) };
        let then = at(100, 1000);
        assert_eq!(then.passed(at(99, 999)), None);
        assert_eq!(then.passed(at(100, 999)), Some(Duration::ZERO));
        assert_eq!(then.passed(at(110, 1010)), Some(seconds(10)));
        assert_eq!(then.passed(at(110, 87_400)), Some(seconds(86_400)), "it was suspended");
        assert_eq!(then.passed(at(110, 5)), Some(seconds(10)), "the wall clock was set back");
        assert_eq!(then.passed(at(99, 2000)), Some(seconds(1000)));
        let wrong = |instant| Moment { wall: UnixTime(BEFORE_1970), ..at(instant, 0) };
        assert_eq!((then.passed(wrong(99)), then.passed(wrong(103))), (None, Some(seconds(3))));
        assert_eq!(wrong(100).passed(at(103, 2000)), Some(seconds(3)), "and was put right");
        assert_eq!(then.after(seconds(5)).passed(at(104, 1004)), None);
    }

    #[test]
    fn a_part_of_a_second_is_a_second_to_wait() {
        for (millis, seconds) in [(0, 0), (1, 1), (999, 1), (1000, 1), (1001, 2)] {
            assert_eq!(whole_seconds_up(Duration::from_millis(millis)), seconds);
        }
        assert_eq!(whole_seconds_up(Duration::MAX), u64::MAX);
    }
}
