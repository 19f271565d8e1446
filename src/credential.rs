//! Step 1: exactly one bearer token is taken from the request (RFC 6750 §2.1, RFC 9110 §11).

mod cookie;
mod flaw;
mod head;
mod query;
mod source;
#[cfg(test)]
mod tests;
mod traces;
mod web_socket;

use std::fmt;

use http::HeaderMap;
use http::header::AUTHORIZATION;

pub use self::head::RequestHead;
pub use self::source::TokenSource;
pub(crate) use self::source::{Search, find};
pub(crate) use self::traces::{Owed, Traces};
use crate::error::{Error, ErrorKind};

/// The longest token that is looked at, in bytes, unless told otherwise. Real tokens have 1 to 4 KiB; most servers cap the headers at 8 to 32.
pub(crate) const DEFAULT_MAX_LEN: usize = 16 * 1024;

/// What can be told otherwise: a user with a thousand groups has some 45 KiB.
pub(crate) const LARGEST_MAX_LEN: usize = 64 * 1024;

/// A token that satisfies the grammar of RFC 6750 §2.1, or would without the padding of its parts;
/// nothing about it is believed yet.
///
/// `Debug` does not show it.
#[derive(Clone, Copy)]
pub(crate) struct BearerToken<'r>(&'r str);

/// Finds the token in the `Authorization` header, by its place and not yet by its grammar.
///
/// No header, another scheme than `Bearer`, or none, is `MissingToken` (RFC 6750 §3.1 wants no
/// error code for these). So is `Bearer` with nothing behind it, which clients send that are signed
/// out.
pub(crate) fn credentials(headers: &HeaderMap) -> Result<&[u8], Error> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let missing = |detail| Err(Error::new(ErrorKind::MissingToken, detail));
    let Some(value) = values.next() else { return missing("no Authorization header") };
    if values.next().is_some() {
        let detail = "more than one Authorization header (the field is a singleton, RFC 9110 §11.6.2)";
        return Err(Error::new(ErrorKind::MalformedRequest, detail));
    }
    // `credentials = "Bearer" 1*SP b64token`; the scheme's case does not matter (RFC 9110 §11.1), and white space around a field
    // value is not part of it (RFC 9110 §5.5); HTTP/2 passes it on
    let credentials = value.as_bytes().trim_ascii();
    let (scheme, rest) = credentials.split_at_checked(b"bearer".len()).unwrap_or_default();
    if !scheme.eq_ignore_ascii_case(b"bearer") || rest.first().is_some_and(|byte| is_tchar(*byte)) {
        return missing("the Authorization header does not begin with the scheme Bearer");
    }
    if rest.is_empty() {
        return missing("the Authorization header has the scheme Bearer, and no token behind it");
    }
    let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
    if spaces == 0 {
        return Err(Error::new(
            ErrorKind::MalformedRequest,
            "the scheme Bearer is not followed by a space and a token",
        ));
    }
    Ok(rest.get(spaces..).unwrap_or_default())
}

impl<'r> BearerToken<'r> {
    /// Checks the grammar, and the length first.
    pub(crate) fn from_bytes(token: &'r [u8], max_len: usize) -> Result<Self, Error> {
        if token.len() > max_len {
            let detail = format!("the token has {} bytes, more than max_token_bytes, {max_len}", token.len());
            return Err(Error::new(ErrorKind::MalformedRequest, detail));
        }
        let text = str::from_utf8(token).ok().filter(|_| is_b64token(token) || is_padded(token));
        text.map(Self).ok_or_else(|| {
            let kind = if token.is_empty() { ErrorKind::MissingToken } else { ErrorKind::MalformedRequest };
            Error::new(kind, flaw::of(token))
        })
    }

    pub(crate) fn as_str(self) -> &'r str {
        self.0
    }
}

impl fmt::Debug for BearerToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(…)")
    }
}

/// `b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`
fn is_b64token(token: &[u8]) -> bool {
    let padding = token.iter().rev().take_while(|byte| **byte == b'=').count();
    let (characters, _) = token.split_at_checked(token.len().saturating_sub(padding)).unwrap_or_default();
    // without a branch for each byte, so that the compiler can look at many of them at once
    let allowed = characters.iter().fold(true, |all, &byte| {
        let other = (byte == b'-') | (byte == b'.') | (byte == b'_') | (byte == b'~') | (byte == b'+') | (byte == b'/');
        all & (byte.is_ascii_alphanumeric() | other)
    });
    allowed & !characters.is_empty()
}

/// Tells whether the parts of a token are of these characters, each with padding behind it or none.
fn is_padded(token: &[u8]) -> bool {
    token.split(|byte| *byte == b'.').all(is_b64token)
}

/// `tchar` of RFC 9110 §5.6.2, the characters of a scheme.
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
