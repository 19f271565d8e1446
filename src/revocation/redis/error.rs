//! Why Redis does not do what it is asked for.

use std::borrow::Cow;
use std::fmt;

use ::redis::ErrorKind;

/// Redis does not do what it is asked for.
///
/// Says nothing of what Redis answers but its error code: some of its errors repeat the password.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RedisError(Cow<'static, str>);

impl RedisError {
    pub(super) fn new(why: &'static str) -> Self {
        Self(Cow::Borrowed(why))
    }

    pub(super) fn reason(&self) -> Cow<'static, str> {
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
