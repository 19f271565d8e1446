//! Remembers proofs for all replicas, in Redis.

mod link;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::redis::Value;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::link::{Link, WITHIN};
use super::{FirstUse, ProofUse, ReplayStore};
use crate::jose::encode_base64url;
use crate::redis::RedisError;

/// So many requests wait for Redis at once.
const WAITING: usize = 1024;

/// The clocks of replicas may differ by so much.
const SKEW: Duration = Duration::from_secs(30);

/// Remembers proofs for all replicas, in one Redis: each proof is good once over all of them.
///
/// A proof is a key of its own in Redis (`SET … NX PX`): two hashes, 45 characters after the prefix.
/// It expires 35 s after the proof, since the clocks of replicas may differ by 30 s. A request costs
/// one round trip, and all share a connection. A key takes about 160 bytes of Redis: 200 MB at 10,000
/// requests a second, with proofs that are good for 90 s.
///
/// # When Redis is not there
///
/// The store [cannot tell](FirstUse::CannotTell), and requests are refused with 503; a replay is
/// never let in. A request waits 2 s at most, and 1,024 at once. After a failure, the next request
/// lets the connection be made anew; if that fails, too, all are refused at once until the next
/// attempt, after 50 ms first, and then longer, up to 5 s, with jitter.
///
/// # What Redis needs
///
/// Version 6 or newer, or something that speaks its protocol, such as Valkey; one server, at one
/// address. A user of its own needs `+@connection +set`, for the keys `<prefix>:*`.
///
/// # Security
///
/// What Redis forgets can be replayed until it expires. Let it never throw keys away
/// (`maxmemory-policy noeviction`; when it is full, requests are refused with 503), and let it
/// remember over a restart (`appendonly yes`). A fail-over loses what was not replicated yet.
///
/// # Examples
///
/// ```no_run
/// use tower_bearer::dpop::RedisReplayStore;
///
/// # fn main() -> Result<(), tower_bearer::dpop::RedisError> {
/// let store = RedisReplayStore::new("redis://:password@redis.internal/", "orders:dpop")?;
/// # Ok(())
/// # }
/// ```
pub struct RedisReplayStore {
    link: Arc<Link>,
    prefix: String,
    turns: Arc<Semaphore>,
}

impl RedisReplayStore {
    /// Takes the URL of Redis, and the prefix of its keys there, which all replicas have in common.
    ///
    /// Connects when the first proof comes. A `rediss://` URL means TLS, as for a
    /// [list of revocations](crate::revocation::redis#tls).
    ///
    /// # Errors
    ///
    /// The URL is not one of Redis, or wants TLS that is not enabled, or none that is safe.
    pub fn new(url: &str, prefix: impl Into<String>) -> Result<Self, RedisError> {
        let link = Arc::new(Link::new(crate::redis::client(url)?));
        Ok(Self { link, prefix: prefix.into(), turns: Arc::new(Semaphore::new(WAITING)) })
    }
}

impl ReplayStore for RedisReplayStore {
    fn first_use(&self, proof: &ProofUse) -> FirstUse {
        // without a future and a name, while it is known to be in vain
        if let Some(outage) = self.link.outage() {
            return FirstUse::CannotTell(outage.reason());
        }
        let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() else {
            return FirstUse::cannot_tell("too many requests wait for Redis");
        };
        let half = |hash: &[u8; 32]| encode_base64url(hash.first_chunk::<16>().unwrap_or(&[0; 16]));
        let name = format!("{}:{}:{}", self.prefix, half(&proof.key), half(&proof.jti));
        let life = proof.remaining().saturating_add(SKEW).as_millis();
        let link = Arc::clone(&self.link);
        FirstUse::later(async move {
            let answer = set(&link, &name, &life.to_string()).await;
            drop(turn);
            match answer {
                Ok(true) => FirstUse::Yes,
                Ok(false) => FirstUse::No,
                Err(error) => FirstUse::CannotTell(error.reason()),
            }
        })
    }
}

/// Sets a name that is not there; tells whether it was not.
async fn set(link: &Arc<Link>, name: &str, life: &str) -> Result<bool, RedisError> {
    let late = || RedisError::new("Redis does not answer in time");
    let (number, mut connection) = timeout(WITHIN, link.connection()).await.map_err(|_| late())??;
    let mut command = ::redis::cmd("SET");
    command.arg(&[name, "1", "NX", "PX", life]);
    let answer = timeout(WITHIN, command.query_async(&mut connection)).await;
    let answer = match answer {
        Ok(Ok(Value::Okay)) => Ok(true),
        Ok(Ok(Value::Nil)) => Ok(false),
        Ok(Ok(_)) => Err(RedisError::new("Redis answers what is not expected")),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(late()),
    };
    // be it a refusal: another server may stand behind the address now, and others need not ask this one
    answer.inspect_err(|error: &RedisError| link.end(number, error))
}

impl fmt::Debug for RedisReplayStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // no address: a password may be part of it
        f.debug_struct("RedisReplayStore").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
