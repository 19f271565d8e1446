//! Proofs are good once: who remembers those that were used (RFC 9449 §11.1).

mod memory;
#[cfg(feature = "redis")]
mod redis;

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::timeout;

pub use self::memory::InMemoryReplayStore;
#[cfg(feature = "redis")]
pub use self::redis::RedisReplayStore;
use crate::clock::UnixTime;
use crate::sync::{caught, caught_now};
use crate::trace::{count, event};

/// A proof is remembered for so much longer than it is good: the time by which one is judged was read
/// before the store is asked, and a thread may have to wait in between.
const SLACK: Duration = Duration::from_secs(5);

/// How long a request waits for an answer, as for that of a check.
const LONGEST: Duration = Duration::from_secs(5);

/// Remembers which proofs were used, so that each is good once.
///
/// It is asked last, about proofs that are good otherwise: whoever has no token and no key of its
/// own cannot make it remember anything.
///
/// # Security
///
/// * It must find and remember a proof in one step. Between a look-up and a later insertion, a second
///   thread gets a yes, too.
/// * It must remember a proof for the time that [remains](ProofUse::remaining). What has no room for it, or
///   was not reachable, says [`FirstUse::CannotTell`], and the request is refused with 503.
/// * It is asked on a thread of the runtime, and must not block: what has to wait returns
///   [`FirstUse::later`].
///
/// # Examples
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::Mutex;
/// use std::time::SystemTime;
/// use tower_bearer::dpop::{FirstUse, ProofUse, ReplayStore};
///
/// /// Remembers everything for ever.
/// #[derive(Default)]
/// struct Naive(Mutex<HashMap<([u8; 32], [u8; 32]), SystemTime>>);
///
/// impl ReplayStore for Naive {
///     fn first_use(&self, proof: &ProofUse) -> FirstUse {
///         let key = (*proof.key_thumbprint(), *proof.jti_hash());
///         match self.0.lock().unwrap().insert(key, proof.until()) {
///             None => FirstUse::Yes,
///             Some(_) => FirstUse::No,
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not remember proofs",
    note = "implement `ReplayStore`, or use `InMemoryReplayStore` or `RedisReplayStore`"
)]
pub trait ReplayStore: Send + Sync + 'static {
    /// Remembers the proof, and tells whether it was not used before.
    fn first_use(&self, proof: &ProofUse) -> FirstUse;
}

impl<T: ReplayStore + ?Sized> ReplayStore for Arc<T> {
    fn first_use(&self, proof: &ProofUse) -> FirstUse {
        (**self).first_use(proof)
    }
}

/// The use of a proof: what it is known by, and for how long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ProofUse {
    key: [u8; 32],
    jti: [u8; 32],
    now: UnixTime,
    until: UnixTime,
}

impl ProofUse {
    /// Makes the use of a proof, to test a store with.
    ///
    /// Times before 1970 count as 1970.
    pub fn new(key_thumbprint: [u8; 32], jti_hash: [u8; 32], now: SystemTime, until: SystemTime) -> Self {
        let time = |time: SystemTime| UnixTime(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
        Self::at(key_thumbprint, jti_hash, time(now), time(until))
    }

    pub(crate) fn at(key: [u8; 32], jti: [u8; 32], now: UnixTime, until: UnixTime) -> Self {
        Self { key, jti, now, until }
    }

    /// Returns the SHA-256 thumbprint of the proof's public key (`jkt`, RFC 7638).
    pub fn key_thumbprint(&self) -> &[u8; 32] {
        &self.key
    }

    /// Returns the SHA-256 hash of the proof's `jti`. It tells apart proofs of the same key only:
    /// another key may have chosen the same `jti`.
    pub fn jti_hash(&self) -> &[u8; 32] {
        &self.jti
    }

    /// Returns the time by which the proof was judged, by the server's clock.
    pub fn now(&self) -> SystemTime {
        self.now.to_system_time().unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Returns until when the proof would be accepted, by the server's clock.
    pub fn until(&self) -> SystemTime {
        self.until.to_system_time().unwrap_or_else(|| self.now())
    }

    /// Returns for how long the proof must be remembered from [now](Self::now) on: until it has
    /// expired, and 5 s more, since others may have read their clocks a little earlier.
    pub fn remaining(&self) -> Duration {
        self.until.0.saturating_sub(self.now.0).saturating_add(SLACK)
    }
}

/// What a [`ReplayStore`] says about a proof.
#[non_exhaustive]
pub enum FirstUse {
    /// It was not used before, and is remembered now.
    Yes,
    /// It was used before: a replay, refused with 401.
    No,
    /// The store cannot tell. The text says why, for the operator and without secrets. The request
    /// is refused with 503.
    CannotTell(Cow<'static, str>),
    /// The answer takes a while. The request waits for 5 s at most; after that, the store counts as
    /// one that cannot tell, as it does if it panics.
    ///
    /// This needs a Tokio runtime with its timers enabled.
    Later(Pin<Box<dyn Future<Output = Self> + Send>>),
}

impl FirstUse {
    /// Answers when the future is ready.
    pub fn later(answer: impl Future<Output = Self> + Send + 'static) -> Self {
        Self::Later(Box::pin(answer))
    }

    /// Says that the store cannot tell, and why: for the operator, without secrets.
    pub fn cannot_tell(why: impl Into<Cow<'static, str>>) -> Self {
        Self::CannotTell(why.into())
    }
}

impl fmt::Debug for FirstUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes => f.write_str("Yes"),
            Self::No => f.write_str("No"),
            Self::CannotTell(why) => f.debug_tuple("CannotTell").field(why).finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}

/// The evidence that a proof was not used before; only the answer of a store makes one.
#[derive(Debug)]
pub(crate) struct Unused(());

/// Why a proof is not known to be unused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum NotUnused {
    /// It was used before: the caller's fault.
    Replayed,
    /// The store cannot tell: ours. The response had better have a nonce, if there are any: a proof with
    /// a new one expires later than all that a full store has forgotten.
    Unknown(Cow<'static, str>),
}

/// What comes of asking a store.
pub(crate) enum Asked {
    Now(Result<Unused, NotUnused>),
    Later(Pin<Box<dyn Future<Output = Result<Unused, NotUnused>> + Send>>),
}

/// Asks a store about a proof that is good otherwise, once.
pub(crate) fn ask(store: &dyn ReplayStore, proof: &ProofUse) -> Asked {
    match caught_now(|| store.first_use(proof)).unwrap_or_else(panicked) {
        FirstUse::Later(answer) => Asked::Later(Box::pin(async move {
            let late = || Some(FirstUse::cannot_tell("the replay store took longer than 5 s"));
            let answer = timeout(LONGEST, caught(at_last(answer))).await.unwrap_or_else(|_| late());
            judge(answer.unwrap_or_else(panicked))
        })),
        answer @ (FirstUse::Yes | FirstUse::No | FirstUse::CannotTell(_)) => Asked::Now(judge(answer)),
    }
}

/// What it says of it may hold what it has seen, and is not repeated.
fn panicked() -> FirstUse {
    event!(error, "the replay store has panicked");
    FirstUse::cannot_tell("the replay store has panicked")
}

/// Waits for as long as an answer is another future.
async fn at_last(mut later: Pin<Box<dyn Future<Output = FirstUse> + Send>>) -> FirstUse {
    loop {
        match later.await {
            FirstUse::Later(another) => later = another,
            answer @ (FirstUse::Yes | FirstUse::No | FirstUse::CannotTell(_)) => return answer,
        }
    }
}

fn judge(answer: FirstUse) -> Result<Unused, NotUnused> {
    let unknown = |why| {
        count!("tower_bearer_dpop_replay_total", "outcome" => "unknown");
        Err(NotUnused::Unknown(why))
    };
    match answer {
        FirstUse::Yes => {
            count!("tower_bearer_dpop_replay_total", "outcome" => "first");
            Ok(Unused(()))
        }
        FirstUse::No => {
            count!("tower_bearer_dpop_replay_total", "outcome" => "replay");
            Err(NotUnused::Replayed)
        }
        FirstUse::CannotTell(why) => unknown(why),
        // nobody waits here
        FirstUse::Later(_) => unknown("the replay store's answer is not there yet".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Says(fn() -> FirstUse);

    impl ReplayStore for Says {
        fn first_use(&self, _: &ProofUse) -> FirstUse {
            (self.0)()
        }
    }

    fn later(says: fn() -> FirstUse) -> FirstUse {
        FirstUse::later(async move {
            tokio::task::yield_now().await;
            says()
        })
    }

    async fn verdict(says: fn() -> FirstUse) -> Result<(), NotUnused> {
        let proof = ProofUse::at([0; 32], [0; 32], UnixTime(Duration::ZERO), UnixTime(Duration::ZERO));
        match ask(&Arc::new(Says(says)), &proof) {
            Asked::Now(verdict) => verdict,
            Asked::Later(verdict) => verdict.await,
        }
        .map(|Unused(())| ())
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_yes_is_a_yes() {
        let unknown = |why: &'static str| Err(NotUnused::Unknown(why.into()));
        let table: [(fn() -> FirstUse, _); 9] = [
            (|| FirstUse::Yes, Ok(())),
            (|| FirstUse::No, Err(NotUnused::Replayed)),
            (|| FirstUse::cannot_tell("full"), unknown("full")),
            (|| panic!("hunter2"), unknown("the replay store has panicked")),
            (|| later(|| FirstUse::Yes), Ok(())),
            (|| later(|| later(|| FirstUse::No)), Err(NotUnused::Replayed)),
            (|| later(|| FirstUse::cannot_tell("gone")), unknown("gone")),
            (|| later(|| panic!("hunter2")), unknown("the replay store has panicked")),
            (|| FirstUse::later(std::future::pending()), unknown("the replay store took longer than 5 s")),
        ];
        for (place, (says, expected)) in table.into_iter().enumerate() {
            assert_eq!(verdict(says).await, expected, "row {place}");
        }
    }

    #[test]
    fn a_proof_is_to_be_remembered_for_a_moment_at_least() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        for (now, until, remaining) in [(100, 160, 65), (100, 100, 5), (100, 50, 5)] {
            let proof = ProofUse::new([1; 32], [2; 32], at(now), at(until));
            assert_eq!(proof.remaining(), Duration::from_secs(remaining));
            assert_eq!((proof.now(), proof.until()), (at(now), at(until)));
        }
        let early = ProofUse::new([1; 32], [2; 32], SystemTime::UNIX_EPOCH - Duration::from_secs(1), at(0));
        assert_eq!(early.now(), at(0));
    }
}
