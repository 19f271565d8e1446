//! The connection that all requests share.
//!
//! It is made when it is needed, by one task for all who wait. After a failure nobody tries for a
//! while.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::clock::after;
use crate::redis::{Backoff, RedisError, attempt_to};
use crate::sync::lock;
use crate::trace::event;

/// How long a request waits for a connection, and then for the answer.
pub(super) const WITHIN: Duration = Duration::from_secs(1);

pub(super) struct Link {
    client: Client,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    /// Counts the attempts to connect.
    number: u64,
    backoff: Backoff,
}

enum Phase {
    /// Since when, and who waits.
    Connecting(Instant, watch::Receiver<()>),
    /// Since when.
    Up(Instant, MultiplexedConnection),
    /// Until when nobody tries, and why.
    Down(Instant, RedisError),
}

/// Where a connection is to be had.
enum Way {
    Here(u64, MultiplexedConnection),
    /// Whoever holds the other end will know soon, and then it is gone.
    There(watch::Receiver<()>),
}

impl Link {
    pub(super) fn new(client: Client) -> Self {
        let phase = Phase::Down(Instant::now(), RedisError::new("Redis was not asked yet"));
        Self { client, state: Mutex::new(State { phase, number: 0, backoff: Backoff::default() }) }
    }

    /// Tells why there is no connection, while nobody tries to make one.
    pub(super) fn outage(&self) -> Option<RedisError> {
        match &lock(&self.state).phase {
            Phase::Down(until, why) if Instant::now() < *until => Some(why.clone()),
            Phase::Down(..) | Phase::Connecting(..) | Phase::Up(..) => None,
        }
    }

    /// Returns the connection and its number, or waits until somebody has made it.
    pub(super) async fn connection(self: &Arc<Self>) -> Result<(u64, MultiplexedConnection), RedisError> {
        loop {
            match self.find()? {
                Way::Here(number, connection) => return Ok((number, connection)),
                // nothing is ever sent
                Way::There(mut end) => drop(end.changed().await),
            }
        }
    }

    fn find(self: &Arc<Self>) -> Result<Way, RedisError> {
        let now = Instant::now();
        let mut state = lock(&self.state);
        match &state.phase {
            Phase::Up(_, connection) => return Ok(Way::Here(state.number, connection.clone())),
            Phase::Down(until, why) if now < *until => return Err(why.clone()),
            // a task may end with its runtime, or its runtime be driven no more
            Phase::Connecting(since, end)
                if end.has_changed().is_ok() && now < after(*since, WITHIN.saturating_mul(2)) =>
            {
                return Ok(Way::There(end.clone()));
            }
            Phase::Down(..) | Phase::Connecting(..) => {}
        }
        let runtime = Handle::try_current().map_err(|_| RedisError::new("there is no Tokio runtime"))?;
        state.number = state.number.wrapping_add(1);
        let (done, end) = watch::channel(());
        state.phase = Phase::Connecting(now, end.clone());
        let (link, number) = (Arc::clone(self), state.number);
        drop(runtime.spawn(async move {
            link.connect(number).await;
            drop(done);
        }));
        Ok(Way::There(end))
    }

    async fn connect(&self, number: u64) {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(WITHIN))
            // each request has a limit of its own
            .set_response_timeout(Some(WITHIN.saturating_mul(2)));
        let connect = async { Ok(self.client.get_multiplexed_async_connection_with_config(&config).await?) };
        let connected = timeout(WITHIN, attempt_to(connect)).await;
        let mut state = lock(&self.state);
        if state.number != number {
            return;
        }
        let now = Instant::now();
        state.phase = match connected {
            Ok(Ok(connection)) => {
                event!(debug, "connected to Redis, to remember DPoP proofs");
                Phase::Up(now, connection)
            }
            Ok(Err(error)) => state.down(now, error),
            Err(_) => state.down(now, RedisError::new("Redis does not answer in time")),
        };
    }

    /// Ends the connection of this number, on which something has failed.
    pub(super) fn end(&self, number: u64, why: &RedisError) {
        let mut state = lock(&self.state);
        if state.number != number {
            return;
        }
        if let Phase::Up(since, _) = state.phase {
            let now = Instant::now();
            state.backoff.note_end(now.checked_duration_since(since).unwrap_or(Duration::ZERO));
            state.phase = state.down(now, why.clone());
        }
    }
}

impl State {
    fn down(&mut self, now: Instant, why: RedisError) -> Phase {
        event!(warn, "Redis cannot remember DPoP proofs", reason = why);
        Phase::Down(after(now, self.backoff.next()), why)
    }
}
