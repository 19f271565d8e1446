//! The grammar of tokens (RFC 6750 §2.1), and what is wrong with a text that does not follow it.

use crate::error::{Error, ErrorKind};

/// The longest token that is looked at, in bytes, unless told otherwise. Real tokens have 1 to 4
/// KiB; most servers cap the headers at 8 to 32.
pub(crate) const DEFAULT_MAX_LEN: usize = 16 * 1024;

/// What can be told otherwise: a user with a thousand groups has some 45 KiB.
pub(crate) const LARGEST_MAX_LEN: usize = 64 * 1024;

/// A token that satisfies the grammar of RFC 6750 §2.1, or would without the padding of its parts;
/// nothing about it is believed yet.
///
/// It has no `Debug`, so that nothing prints it.
#[derive(Clone, Copy)]
pub(crate) struct BearerToken<'r>(&'r str);

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
            Error::new(kind, flaw(token))
        })
    }

    pub(crate) fn as_str(self) -> &'r str {
        self.0
    }

    /// Keeps it for longer than its request.
    pub(crate) fn into_owned(self) -> OwnedToken {
        OwnedToken(self.0.into())
    }
}

/// A [`BearerToken`] that outlives its request.
pub(crate) struct OwnedToken(Box<str>);

impl OwnedToken {
    pub(crate) fn as_bearer(&self) -> BearerToken<'_> {
        BearerToken(&self.0)
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
pub(super) fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Names what a text has that no token has, in words that hold nothing of it.
fn flaw(text: &[u8]) -> &'static str {
    let has = |wrong: fn(&u8) -> bool| text.iter().any(wrong);
    if text.is_empty() {
        "the token is empty"
    } else if begins_with_scheme(text) {
        "the scheme Bearer stands before the token where only the token is expected"
    } else if text.starts_with(b"{\"") {
        "it is a JSON document, and not the token in it"
    } else if has(|byte| matches!(byte, b'"' | b'\'')) {
        "the token has quotes around it or in it"
    } else if has(|byte| *byte == b',') {
        "there is a comma: more than one token, or something behind it"
    } else if has(|byte| matches!(byte, b'\n' | b'\r')) {
        "the token has a line break at its end or in it"
    } else if has(u8::is_ascii_whitespace) {
        "the token has white space in it, or there is a word before or behind it"
    } else if has(|byte| matches!(byte, b'<' | b'>' | b'{' | b'}' | b'$')) {
        "the token has brackets or a dollar sign, as a placeholder has that was not filled in"
    } else if has(|byte| *byte == b'%') {
        "the token is percent-encoded"
    } else if has(|byte| !byte.is_ascii_graphic()) {
        "the token has control characters, or some that are not ASCII"
    } else if has(|byte| *byte == b'=') {
        "the token has an equals sign that is not at the end of a part, or is all of one"
    } else {
        "the token has characters that RFC 6750 §2.1 does not allow"
    }
}

fn begins_with_scheme(text: &[u8]) -> bool {
    let (scheme, rest) = text.split_at_checked(b"bearer".len()).unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"bearer") && rest.first().is_some_and(u8::is_ascii_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_token_is_told_by_what_is_in_its_way() {
        for (text, says) in [
            ("", "empty"),
            ("Bearer s3cr3t.a.b", "the scheme Bearer"),
            ("bearer  s3cr3t", "the scheme Bearer"),
            ("{\"access_token\":\"s3cr3t\"}", "JSON"),
            ("\"s3cr3t\"", "quotes"),
            ("'s3cr3t'", "quotes"),
            ("s3cr3t, s3cr3t", "a comma"),
            ("s3cr3t\n", "a line break"),
            ("s3cr3t\r\ns3cr3t", "a line break"),
            ("s3cr3t s3cr3t", "white space"),
            ("JWT s3cr3t", "white space"),
            ("s3cr3t\t", "white space"),
            ("<s3cr3t>", "a placeholder"),
            ("{{s3cr3t}}", "a placeholder"),
            ("$s3cr3t", "a placeholder"),
            ("s3cr3t%2Es3cr3t", "percent-encoded"),
            ("s3cr3t\u{0}", "control characters"),
            ("s3cr3t\u{7f}", "control characters"),
            ("s3cr3tä", "not ASCII"),
            ("s3cr3t\u{200b}", "not ASCII"),
            ("s3cr3t==.=.s3cr3t", "an equals sign"),
            ("s3cr3t=..s3cr3t", "an equals sign"),
            ("s3=cr3t", "an equals sign"),
            ("==", "an equals sign"),
            ("s3cr3t;", "does not allow"),
            ("s3cr3t:s3cr3t", "does not allow"),
        ] {
            let error = BearerToken::from_bytes(text.as_bytes(), DEFAULT_MAX_LEN).err().unwrap().to_string();
            assert!(error.contains(says), "{text:?}: {error}");
            assert!(!error.contains("s3"), "{text:?}: {error}");
        }
    }
}
