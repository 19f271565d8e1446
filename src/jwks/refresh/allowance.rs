//! The rate limit on fetches for unproven issuers, which are those that no verified token has
//! named.
//!
//! All of them share its turns, and each fetch takes one. The first verified token of its issuer
//! gives back what the issuer has taken, so that real issuers cost nothing; what leads to nothing
//! comes back with time.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::clock::after;
use crate::sync::lock;

/// So many turns there are: what a start with many real tenants needs, and one key server can bear
/// at once.
const TURNS: usize = 64;
/// After so long, a turn comes back that has led to nothing.
pub(super) const ANOTHER: Duration = Duration::from_secs(1);

/// The turns that are left.
#[derive(Debug)]
pub(crate) struct Allowance {
    turns: Arc<Semaphore>,
    /// Up to when the turns are counted that time has brought back.
    refilled: Mutex<Instant>,
}

/// The right to one fetch. It is given back if it is dropped.
pub(super) type Turn = OwnedSemaphorePermit;

impl Allowance {
    pub(crate) fn new() -> Self {
        Self { turns: Arc::new(Semaphore::new(TURNS)), refilled: Mutex::new(Instant::now()) }
    }

    /// Waits for a turn, in the order of those who wait.
    pub(super) async fn take(&self) -> Option<Turn> {
        let mut turn = pin!(Arc::clone(&self.turns).acquire_owned());
        loop {
            self.refill(Instant::now());
            if let Ok(turn) = timeout(ANOTHER, turn.as_mut()).await {
                return turn.ok();
            }
        }
    }

    /// Takes a turn that is there.
    pub(super) fn try_take(&self) -> Option<Turn> {
        Arc::clone(&self.turns).try_acquire_owned().ok()
    }

    /// Counts what time has brought back.
    pub(super) fn refill(&self, now: Instant) {
        let mut refilled = lock(&self.refilled);
        let passed = now.saturating_duration_since(*refilled).as_secs().checked_div(ANOTHER.as_secs()).unwrap_or(0);
        if passed > 0 {
            *refilled = after(*refilled, ANOTHER.saturating_mul(u32::try_from(passed).unwrap_or(u32::MAX)));
            self.add(usize::try_from(passed).unwrap_or(TURNS));
        }
    }

    pub(super) fn give_back(&self, turns: usize) {
        let _one_at_a_time = lock(&self.refilled);
        self.add(turns);
    }

    /// The lock must be held, so that there are never more than [`TURNS`].
    fn add(&self, turns: usize) {
        self.turns.add_permits(turns.min(TURNS.saturating_sub(self.turns.available_permits())));
    }

    pub(super) fn is_spent(&self) -> bool {
        self.turns.available_permits() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes as many turns as there are at this time.
    fn drain(allowance: &Allowance, now: Instant) -> usize {
        allowance.refill(now);
        let mut taken = 0;
        while let Ok(turn) = allowance.turns.try_acquire() {
            turn.forget();
            taken += 1;
        }
        taken
    }

    #[test]
    fn turns_come_back_one_a_second_or_with_a_verified_token_and_never_pile_up() {
        let (allowance, start) = (Allowance::new(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis) + ANOTHER;
        assert_eq!(drain(&allowance, start), TURNS);
        assert!(allowance.is_spent());
        assert_eq!(drain(&allowance, at(0)), 1);
        assert_eq!(drain(&allowance, at(900)), 0);
        assert_eq!(drain(&allowance, at(2900)), 2, "what is left of a second counts");
        allowance.give_back(3);
        assert_eq!(drain(&allowance, at(2900)), 3);
        assert_eq!(drain(&allowance, at(3_600_000)), TURNS);
        allowance.give_back(3);
        allowance.give_back(1000);
        assert_eq!(drain(&allowance, at(3_600_000)), TURNS);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_turn_gets_the_next_and_who_leaves_takes_none() {
        let allowance = Allowance::new();
        drain(&allowance, Instant::now());
        let begin = Instant::now();
        assert!(timeout(Duration::from_millis(10), allowance.take()).await.is_err());
        drop(allowance.take().await);
        assert!(begin.elapsed() <= 2 * ANOTHER);
        assert_eq!(drain(&allowance, begin), 1, "one that was not used is there again");
    }
}
