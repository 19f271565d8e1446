//! A [`RevocationList`] that all replicas share, by Redis.
//!
//! A [`RedisStore`] keeps the list in Redis, and tells it to whoever shares it:
//!
//! ```no_run
//! use std::time::Duration;
//! use tower_bearer::revocation::{RevocationList, redis::RedisStore};
//!
//! # async fn example() -> Result<(), tower_bearer::revocation::redis::RedisError> {
//! let revoked = RevocationList::new(Duration::from_secs(15 * 60));
//! let redis = RedisStore::share(&revoked, "redis://:password@redis.internal/", "orders:revoked")?;
//! // servers are built with the list, and requests served, for as long as `redis` is kept
//!
//! revoked.revoke_session("https://id.example.com/", "08a5019c-17e1-4977-8f42-65a12843ea02");
//! redis.flush().await?; // it is safe, and the others know it within a second
//! # Ok(())
//! # }
//! ```
//!
//! # What holds
//!
//! * What is revoked at one replica, and reaches Redis, is known at all others **within a second**,
//!   or they say that they cannot tell: Redis is asked five times a second whether it is still
//!   there, so that a connection on which nothing comes any more is noticed, too. The
//!   [`OnUnavailable`](crate::checks::OnUnavailable) says what becomes of requests while a list
//!   cannot tell: by default they are refused with 503.
//! * A list cannot tell until it was read for the first time. [`ready`](RedisStore::ready) waits
//!   for that.
//! * A connection that is lost is made anew at once. If that fails, or the connection had not lasted
//!   for 5 s, it is tried again after 50 ms, and then after longer waits, up to 5 s, with jitter.
//!   Nothing is missed meanwhile: the list is read again, and what Redis does not have is written
//!   again. So a Redis that has lost its memory gets it back from any replica.
//! * What cannot be written is revoked here all the same, and the others do not know of it. It is
//!   written as soon as that is possible; [`flush`](RedisStore::flush) says whether it was.
//!
//! # What Redis needs
//!
//! Version 6 or newer, or something that speaks its protocol (RESP3), such as Valkey. It must be
//! one server, at one address, that can be written to. Redis Cluster is not supported, and Sentinel
//! is not asked: where one of several takes over, name an address that leads to whichever is in
//! charge, such as that of a proxy or of a managed service. Whoever takes over may not have the last
//! entries, since Redis replicates with a delay; the replicas that run connect again, and write them.
//!
//! Its clock counts beside that of each machine: a revocation is remembered for as long as the later
//! of the two demands, so that a machine whose clock is behind does not make the others forget early.
//! Clocks that differ by more than a minute are logged.
//!
//! It holds one sorted set, of the list's name: each [entry](super::Entry) with the time until which
//! it matters; an hour later it is taken out. A channel of the same name tells of new ones. A
//! channel belongs to all of Redis' numbered databases: lists in different ones need different names,
//! too. No token and no identifier is in either, but hashes. A mark in the set shows that it is still the one that
//! was read: if Redis has thrown it away (`maxmemory-policy allkeys-…`) or somebody has emptied it,
//! the replicas that run write it again. Those that start in the moment between do not know better.
//!
//! Whoever may write to the set may revoke what he likes, and whoever may take single entries out of
//! it undoes them for replicas that start later. Give the services a user of their own, for the key
//! and the channel, with
//! `+@connection +subscribe +publish +time +zscan +zscore +zadd +zremrangebyscore`.
//!
//! # TLS
//!
//! A `rediss://` URL means TLS. It needs a feature of the `redis` crate, as there are several, which
//! the application turns on in its own `Cargo.toml`; without one, [`share`](RedisStore::share)
//! refuses the URL:
//!
//! ```toml
//! redis = { version = "1", default-features = false, features = ["tokio-rustls-comp"] }
//! ```
//!
//! Redis' certificate must be issued by an authority that the system trusts, or that the file in the
//! environment variable `SSL_CERT_FILE` holds. `#insecure`, by which the crate would accept any
//! certificate, is refused.

mod session;

use std::fmt;
use std::pin::pin;
use std::sync::Arc;

use ::redis::Client;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use self::session::{Completeness, Question, Session, answer};
use super::RevocationList;
pub use crate::redis::RedisError;
use crate::redis::{Backoff, attempt_to, client};
use crate::trace::event;

/// So many callers wait to hear whether what they have revoked is stored.
const WAITING: usize = 64;

/// Shares a [`RevocationList`] with other replicas by Redis; see the [module](self).
///
/// When it is dropped, sharing ends, and the list cannot tell any more whether a token was revoked
/// elsewhere.
#[must_use = "it ends when it is dropped"]
pub struct RedisStore {
    list: RevocationList,
    questions: mpsc::Sender<Question>,
    complete: watch::Receiver<bool>,
    task: AbortHandle,
}

impl RedisStore {
    /// Begins to share a list with all replicas that name the same Redis and the same list.
    ///
    /// All of them should have lists for tokens that live equally long: a revocation is forgotten by
    /// the time that the list says where it was made.
    ///
    /// Does not wait for Redis, which need not be there yet: until the list was read it
    /// [cannot tell](RevocationList::disconnected).
    ///
    /// # Errors
    ///
    /// The URL is not one of Redis, or wants TLS that is not enabled, or none that is safe; there is no
    /// Tokio runtime; or the list has a store already: one could not tell when the other cannot.
    pub fn share(list: &RevocationList, url: &str, name: &str) -> Result<Self, RedisError> {
        let client = client(url)?;
        let runtime = Handle::try_current().map_err(|_| RedisError::new("there is no Tokio runtime"))?;

        if !list.connection().take() {
            return Err(RedisError::new("the revocation list is shared by another store already"));
        }
        list.disconnected("the revocation list has not been read from Redis yet");
        let (questions, asked) = mpsc::channel(WAITING);
        let (state, complete) = watch::channel(false);
        let completeness = Arc::new(Completeness::new(list.clone(), state));
        let keeper = Keeper {
            client,
            name: name.to_owned(),
            completeness,
            questions: asked,
            question: None,
            backoff: Backoff::default(),
        };
        let task = runtime.spawn(keeper.run()).abort_handle();
        Ok(Self { list: list.clone(), questions, complete, task })
    }

    /// Waits until the list is complete; at once if it is.
    ///
    /// Call it before the first request is served, with a timeout of your own.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time.
    pub async fn ready(&self) {
        // the other side lives as long as this
        let _ = self.complete.clone().wait_for(|complete| *complete).await;
    }

    /// Waits until everything that was revoked here so far stands in Redis.
    ///
    /// # Errors
    ///
    /// Something does not stand in Redis; the error says why. It is revoked here all the same, and
    /// will be written as soon as that is possible.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time: it is written all the same.
    pub async fn flush(&self) -> Result<(), RedisError> {
        let gone = || RedisError::new("the runtime that writes to Redis has ended");
        let (question, answer) = oneshot::channel();
        self.questions.send(question).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        self.task.abort();
        self.list.connection().give_back();
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // no address: a password may be part of it
        f.debug_struct("RedisStore").field("complete", &*self.complete.borrow()).finish_non_exhaustive()
    }
}

/// Keeps the list and Redis the same.
struct Keeper {
    client: Client,
    name: String,
    completeness: Arc<Completeness>,
    questions: mpsc::Receiver<Question>,
    /// What the last connection left without an answer.
    question: Option<Question>,
    backoff: Backoff,
}

/// However it ends: when the store is dropped, or the runtime shuts down.
impl Drop for Keeper {
    fn drop(&mut self) {
        self.completeness.end("the revocation list is not shared by Redis any more".into());
    }
}

impl Keeper {
    async fn run(mut self) {
        loop {
            let mut session = self.begin().await;
            let begun = Instant::now();
            let end = session.serve(&mut self.questions, &mut self.question).await;
            event!(debug, "the connection to Redis has ended", reason = end);
            self.backoff.note_end(begun.elapsed());
        }
    }

    /// Connects and reads the list, as often as it takes.
    async fn begin(&mut self) -> Session {
        let Self { client, name, completeness, questions, question, backoff } = self;
        let mut failed: Option<RedisError> = None;
        loop {
            let wait = sleep(backoff.next());
            let mut attempt = pin!(async {
                wait.await;
                attempt_to(Session::open(client, name, completeness)).await
            });
            let error = loop {
                // the first attempt may well answer what is asked
                let why = failed.as_ref();
                tokio::select! {
                    opened = &mut attempt => match opened {
                        Ok(session) => return session,
                        Err(error) => break error,
                    },
                    Some(asked) = questions.recv(), if why.is_some() => answer(asked, why.cloned().map_or(Ok(()), Err)),
                    () = completeness.is_over() => completeness.end("the connection to Redis is lost".into()),
                }
            };
            event!(debug, "Redis was tried in vain", reason = error);
            if completeness.has_ended() {
                completeness.end(error.reason());
            }
            if let Some(question) = question.take() {
                answer(question, Err(error.clone()));
            }
            failed = Some(error);
        }
    }
}
