//! Whether a list has all that was revoked elsewhere.

use std::borrow::Cow;
use std::sync::Mutex;
#[cfg(feature = "redis")]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use super::entry::millis;
use crate::sync::lock;
use crate::trace::event;

/// Values of `until` that are no time.
const NOT: u64 = 0;
const FOR_EVER: u64 = u64::MAX;

/// What a store says, and until when that may be believed: a task that nobody drives any more takes
/// nothing back.
pub(super) struct Connection {
    born: Instant,
    /// Until when there is one, in milliseconds since `born`.
    until: AtomicU64,
    /// Why there is none.
    outage: Mutex<Cow<'static, str>>,
    /// Whether a store of this crate has the list.
    #[cfg(feature = "redis")]
    taken: AtomicBool,
}

impl Default for Connection {
    /// A list that nobody shares is complete.
    fn default() -> Self {
        Self {
            born: Instant::now(),
            until: AtomicU64::new(FOR_EVER),
            outage: Mutex::default(),
            #[cfg(feature = "redis")]
            taken: AtomicBool::new(false),
        }
    }
}

impl Connection {
    pub(super) fn stands(&self) -> bool {
        match self.until.load(Ordering::Acquire) {
            NOT => false,
            FOR_EVER => true,
            until => self.since_birth(Instant::now()) < until,
        }
    }

    /// Tells why there is none.
    pub(super) fn outage(&self) -> Cow<'static, str> {
        match self.until.load(Ordering::Acquire) {
            NOT => lock(&self.outage).clone(),
            _ => "the store of the revocation list was not heard of in time".into(),
        }
    }

    pub(super) fn end(&self, why: Cow<'static, str>) {
        if self.until.swap(NOT, Ordering::AcqRel) != NOT {
            event!(warn, "the revocation list may be incomplete", reason = why);
        }
        *lock(&self.outage) = why;
    }

    pub(super) fn begin(&self) {
        self.set(FOR_EVER);
    }

    /// Begins, or goes on, and ends of itself then.
    #[cfg(feature = "redis")]
    pub(super) fn begin_until(&self, then: Instant) {
        self.set(self.since_birth(then).min(FOR_EVER.saturating_sub(1)));
    }

    fn set(&self, until: u64) {
        if self.until.swap(until, Ordering::AcqRel) == NOT {
            event!(info, "the revocation list is complete");
        }
    }

    fn since_birth(&self, then: Instant) -> u64 {
        millis(then.saturating_duration_since(self.born))
    }

    /// Takes the list for a store; tells whether no other has it.
    #[cfg(feature = "redis")]
    pub(super) fn take(&self) -> bool {
        !self.taken.swap(true, Ordering::AcqRel)
    }

    #[cfg(feature = "redis")]
    pub(super) fn give_back(&self) {
        self.taken.store(false, Ordering::Release);
    }
}

#[cfg(all(test, feature = "redis"))]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;
    use crate::clock::after;

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_nobody_takes_back_ends_of_itself() {
        let connection = Connection::default();
        assert!(connection.stands());
        connection.begin_until(after(Instant::now(), Duration::from_secs(1)));
        advance(Duration::from_millis(999)).await;
        assert!(connection.stands());
        advance(Duration::from_millis(1)).await;
        assert!(!connection.stands());
        assert_eq!(connection.outage(), "the store of the revocation list was not heard of in time");

        connection.end("it is down".into());
        assert!(!connection.stands());
        assert_eq!(connection.outage(), "it is down");
        connection.begin_until(after(Instant::now(), Duration::from_secs(1)));
        assert!(connection.stands());

        connection.begin();
        advance(Duration::from_secs(1_000_000)).await;
        assert!(connection.stands(), "a store of the application says so itself");
    }
}
