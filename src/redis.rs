//! What all have in common that use a Redis: its address, its errors, and the pace of attempts to
//! connect.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use ::redis::{Client, ConnectionAddr, ErrorKind, IntoConnectionInfo, ProtocolVersion};

use crate::sync::{caught, jitter};

/// The shortest and the longest wait between two attempts to connect.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// A client for a `redis://` URL, for version 6 or newer, or for a `rediss://` one. Does not connect
/// yet.
pub(crate) fn client(url: &str) -> Result<Client, RedisError> {
    let info = url.into_connection_info().map_err(|_| RedisError::of_url(url))?;
    if matches!(info.addr(), ConnectionAddr::TcpTls { insecure: true, .. }) {
        return Err(RedisError::new("#insecure is refused: Redis' certificate must be one that is trusted"));
    }
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Ok(Client::open(info.set_redis_settings(settings))?)
}

/// Waits for an attempt to connect. With TLS it panics if rustls has not one provider of cryptography
/// by default, which is no reason for the task to end.
pub(crate) async fn attempt_to<T>(connect: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisError> {
    const PANICKED: &str = "connecting to Redis has panicked; with TLS, see that rustls has one default provider";
    caught(connect).await.unwrap_or_else(|| Err(RedisError::new(PANICKED)))
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

    /// Says what is wrong with a URL, without repeating it.
    fn of_url(url: &str) -> Self {
        let is_tls = ["rediss:", "valkeys:"].iter().any(|scheme| url.starts_with(scheme));
        let has_tls = "rediss://localhost".into_connection_info().is_ok();
        Self::new(if is_tls && !has_tls {
            "TLS is not enabled: turn on a feature of the crate redis for it, such as tokio-rustls-comp"
        } else {
            "the URL is not one of Redis"
        })
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
            (ErrorKind::InvalidClientConfig, _) => "the URL is not one of Redis, or its TLS cannot be set up".into(),
            (ErrorKind::RESP3NotSupported, _) => "Redis is older than version 6".into(),
            (ErrorKind::Io, _) if is_of_tls(&error) => {
                "TLS with Redis fails: its certificate is not trusted, or is of another name".into()
            }
            (ErrorKind::Io, _) => "the connection to Redis is lost".into(),
            (_, Some(code)) => format!("Redis refuses: {code}").into(),
            _ => "Redis answers what is not expected".into(),
        })
    }
}

/// What TLS refuses is invalid data for whoever reads.
fn is_of_tls(error: &::redis::RedisError) -> bool {
    let inner = error.source().and_then(|source| source.downcast_ref::<Arc<dyn Error + Send + Sync>>());
    let io = inner.and_then(|inner| inner.downcast_ref::<io::Error>());
    io.is_some_and(|error| error.kind() == io::ErrorKind::InvalidData)
}

impl fmt::Display for RedisError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for RedisError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_attempt_that_has_failed() {
        let panicked = attempt_to(async { panic!("secret") }).await;
        let error: RedisError = panicked.map(|(): ()| ()).unwrap_err();
        assert!(error.to_string().starts_with("connecting to Redis has panicked"), "{error}");
    }
}
