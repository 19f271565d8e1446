use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{OnceLock, Weak};
use std::time::SystemTime;

use super::*;
use crate::clock::{Clock, SharedClock};

/// Looks when it is dropped whether the keys are locked.
#[derive(Default)]
struct Looking {
    at: OnceLock<Weak<Shared>>,
    free: Arc<AtomicBool>,
}

impl Clock for Looking {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        let shared = self.at.get().and_then(Weak::upgrade);
        self.free.store(shared.is_some_and(|shared| shared.state.try_lock().is_ok()), Ordering::Relaxed);
    }
}

#[test]
fn a_clock_that_is_replaced_is_dropped_without_a_lock() {
    let keys = Keys::fixed("https://id.test/".into(), KeySet::default());
    let (clock, former) = (Looking::default(), Timing::default());
    let (_, free) = (clock.at.set(Arc::downgrade(&keys.shared)), Arc::clone(&clock.free));
    keys.set_timing(&Timing { clock: SharedClock::new(clock), ..former });
    assert!(!free.load(Ordering::Relaxed));
    keys.set_timing(&former);
    assert!(free.load(Ordering::Relaxed));
}

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
