//! `aud` (RFC 7519 §4.1.3): a string or an array of strings.

use crate::error::{Error, ErrorKind};
use crate::jose::Value;

/// The audiences of a token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Audience<'j>(Value<'j>);

impl<'j> Audience<'j> {
    pub(crate) fn read(value: Value<'j>) -> Result<Self, Error> {
        let malformed = || Error::new(ErrorKind::MalformedClaim, "aud is neither a string nor an array of strings");
        let strings = value.is_array() && value.items().all(|item| item.as_str().is_some());
        if strings || value.as_str().is_some() { Ok(Self(value)) } else { Err(malformed()) }
    }

    /// Returns the audiences in the order in which the token lists them.
    pub(crate) fn iter(self) -> impl Iterator<Item = &'j str> {
        self.0.strings()
    }

    /// Tells whether one of `ours` is meant, byte for byte.
    pub(crate) fn names(self, ours: &[Box<str>]) -> bool {
        self.iter().any(|theirs| ours.iter().any(|own| **own == *theirs))
    }
}
