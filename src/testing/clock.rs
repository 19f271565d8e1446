//! A clock that stands still until it is moved.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crate::clock::{Clock, SystemClock};
use crate::sync::lock;

/// A clock that only moves when it is told to. Clones show the same time.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::testing::{Idp, ManualClock};
/// use tower_bearer::{ErrorKind, ResourceServer};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clock = ManualClock::new();
/// let idp = Idp::new("https://id.test/").clock(clock.clone());
/// let server = ResourceServer::new("https://api.test").trust(&idp).clock(clock.clone()).build()?;
///
/// let token = idp.token("alice").expires_in(Duration::from_secs(60)).sign();
/// assert!(server.authenticate(&token).await.is_ok());
/// clock.advance(Duration::from_secs(60 + 30)); // with the leeway
/// assert_eq!(server.authenticate(&token).await.unwrap_err().kind(), ErrorKind::Expired);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock {
    now: Arc<Mutex<SystemTime>>,
}

impl ManualClock {
    /// Starts with the system's time.
    #[must_use]
    pub fn new() -> Self {
        Self::at(SystemClock.now())
    }

    /// Starts at a moment.
    #[must_use]
    pub fn at(now: SystemTime) -> Self {
        Self { now: Arc::new(Mutex::new(now)) }
    }

    /// Moves on.
    pub fn advance(&self, by: Duration) {
        let mut now = lock(&self.now);
        *now = now.checked_add(by).unwrap_or(*now);
    }

    /// Goes to a moment, also to one in the past.
    pub fn set(&self, to: SystemTime) {
        *lock(&self.now) = to;
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        *lock(&self.now)
    }
}
