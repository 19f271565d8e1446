//! How a proof is refused.

use std::borrow::Cow;

use crate::error::{Error, ErrorKind};
use crate::jwks::SkipReason;

pub(super) fn invalid(detail: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidProof, detail)
}

/// What is wrong with a JWT is wrong with this one.
pub(super) fn of_proof(error: Error) -> Error {
    error.with_kind(ErrorKind::InvalidProof)
}

pub(super) fn of_key(reason: SkipReason) -> Error {
    invalid(format!("the key in its jwk cannot be used: {reason}"))
}
