//! What all have in common that use a Redis: its address, its errors, and the pace of attempts to
//! connect.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use ::redis::{Client, ErrorKind, IntoConnectionInfo, ProtocolVersion};

use crate::sync::jitter;

/// The shortest and the longest wait between two attempts to connect.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// A client for a `redis://` URL, for version 6 or newer. Does not connect yet.
pub(crate) fn client(url: &str) -> Result<Client, RedisError> {
    let info = url.into_connection_info()?;
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Ok(Client::open(info.set_redis_settings(settings))?)
}

/// How long to wait before the next attempt to connect: first not at all, then longer each time.
#[derive(Default)]
pub(crate) struct Backoff {
    longest: Duration,
}

impl Backoff {
    /// Returns the wait before the attempt that begins now.
    pub(crate) fn next(&mut self) -> Duration {
        let wait = self.longest.mul_f64(0.5 + jitter() / 2.0);
        self.longest = self.longest.saturating_mul(2).clamp(PAUSES.0, PAUSES.1);
        wait
    }

    /// Begins anew if a connection has lasted: what ends as soon as it has begun does so again.
    pub(crate) fn note_end(&mut self, lasted: Duration) {
        if lasted >= PAUSES.1 {
            self.longest = Duration::ZERO;
        }
    }
}

/// Redis does not do what it is asked for.
///
/// Says nothing of what Redis answers but its error code: some of its errors repeat the password.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RedisError(Cow<'static, str>);

impl RedisError {
    pub(crate) fn new(why: &'static str) -> Self {
        Self(Cow::Borrowed(why))
    }

    pub(crate) fn reason(&self) -> Cow<'static, str> {
        self.0.clone()
    }
}

impl From<::redis::RedisError> for RedisError {
    fn from(error: ::redis::RedisError) -> Self {
        let word = |code: &&str| code.len() <= 20 && code.bytes().all(|byte| byte.is_ascii_uppercase());
        Self(match (error.kind(), error.code().filter(word)) {
            _ if error.is_timeout() => "Redis does not answer in time".into(),
            _ if error.is_connection_refusal() => "Redis cannot be reached".into(),
            (ErrorKind::InvalidClientConfig, _) => "the URL is not one of Redis, or TLS is not enabled".into(),
            (ErrorKind::RESP3NotSupported, _) => "Redis is older than version 6".into(),
            (ErrorKind::Io, _) => "the connection to Redis is lost".into(),
            (_, Some(code)) => format!("Redis refuses: {code}").into(),
            _ => "Redis answers what is not expected".into(),
        })
    }
}

impl fmt::Display for RedisError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RedisError {}
