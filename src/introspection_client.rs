//! Asks issuers about their tokens: one question over HTTP, and how often that may be done.
//!
//! What is asked and what the answer says is pure (`question`, and `read` of
//! [`Introspection`](crate::introspection::Introspection)), and so is the pace.

mod address;
mod assertion;
mod credentials;
mod endpoint;
mod pace;
mod question;
mod signed;

use std::borrow::Cow;
use std::time::Duration;

pub(crate) use self::endpoint::Endpoint;
pub(crate) use self::pace::{Asked, Failed, LEASE, Pace, Turn};
use crate::error::{Error, ErrorKind};

/// Why it is not known whether a token is good, for a moment.
pub(crate) fn unavailable(detail: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::IntrospectionUnavailable, detail).with_retry_after(Duration::from_secs(1))
}
