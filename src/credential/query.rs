//! A token in the query (RFC 6750 §2.3).

use std::borrow::Cow;

use http::Uri;

use crate::error::{Error, ErrorKind};

/// Finds the parameter, which must not come twice.
pub(super) fn token(uri: &Uri) -> Result<Option<Cow<'_, [u8]>>, Error> {
    let mut tokens = tokens(uri);
    let first = tokens.next();
    if tokens.next().is_some() {
        return Err(Error::new(ErrorKind::MalformedRequest, "the query has more than one access_token"));
    }
    Ok(first.map(decoded))
}

/// Tells whether there is a token, be it a good one or not.
pub(super) fn has_token(uri: &Uri) -> bool {
    tokens(uri).any(|token| !token.is_empty())
}

fn tokens(uri: &Uri) -> impl Iterator<Item = &str> {
    let parameters = uri.query().unwrap_or_default().split('&');
    parameters.filter_map(|parameter| parameter.strip_prefix("access_token="))
}

/// Undoes a percent-encoding (RFC 3986 §2.1): no character of a token needs one, but some encoders
/// write `%2E`. What is no encoding stays, and is in no token.
pub(crate) fn decoded(text: &str) -> Cow<'_, [u8]> {
    let Some((start, rest)) = text.split_once('%') else { return Cow::Borrowed(text.as_bytes()) };
    let mut bytes = start.as_bytes().to_vec();
    for part in rest.split('%') {
        let hex = part.get(..2).filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(b'%'));
        bytes.extend(part.bytes().skip(if byte.is_some() { 2 } else { 0 }));
    }
    Cow::Owned(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percent_encoding_is_undone_once_and_what_is_none_stays() {
        for (text, expected) in [
            ("a.b-c_d~e+f/g=", "a.b-c_d~e+f/g="),
            ("a%2Eb%2ec", "a.b.c"),
            ("%61", "a"),
            ("a%252Eb", "a%2Eb"),
            ("%", "%"),
            ("a%2", "a%2"),
            ("%%41", "%A"),
            ("%+1", "%+1"),
            ("%zz%2E", "%zz."),
        ] {
            assert_eq!(String::from_utf8_lossy(&decoded(text)), expected, "{text}");
        }
        assert_eq!(*decoded("%ff%20"), *b"\xff ");
        assert!(matches!(decoded("a.b.c"), Cow::Borrowed(_)), "a plain one costs nothing");
    }
}
