//! A document that should be a JWK Set (RFC 7517 §5): the texts of its keys, or what it is instead.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::error::Category;
use serde_json::value::RawValue;

/// Documents may be this long, wherever they come from; real ones have 1 to 20 KiB.
pub(crate) const MAX_DOCUMENT_LEN: usize = 512 * 1024;

/// Why a document is not a JWK Set (RFC 7517 §5).
///
/// The text says what the document is instead, and repeats nothing of the document.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAKeySet {
    /// The document is an array.
    #[error("not a JWK Set: it is an array; put the keys into an object, as its member `keys`")]
    Array,
    /// The document is a single key (JWK).
    #[error("not a JWK Set: it is a single key; put it into an object, in its array `keys`")]
    BareKey,
    /// The document begins with the byte order mark of UTF-8.
    #[error("not a JWK Set: it begins with a byte order mark; save it as UTF-8 without one")]
    ByteOrderMark,
    /// The document is compressed by gzip.
    #[error("not a JWK Set: it is compressed (gzip), which it must not be")]
    Compressed,
    /// The document ends in the middle.
    #[error("not a JWK Set: it ends in the middle")]
    CutOff,
    /// The document is an object in which a member such as `keys` comes twice.
    #[error("not a JWK Set: one of its members comes twice")]
    Duplicate,
    /// The document is empty, or nothing but white space.
    #[error("not a JWK Set: it is empty")]
    Empty,
    /// The member `keys` is not an array.
    #[error("not a JWK Set: its member `keys` is not an array")]
    KeysNotAnArray,
    /// The document is HTML or XML.
    #[error("not a JWK Set: it is an HTML or XML page; check the address, and whether it demands a login")]
    Markup,
    /// The document is the metadata of an issuer, which say where its keys are.
    #[error("not a JWK Set: it is the issuer's metadata; the keys are at the address in its `jwks_uri`")]
    Metadata,
    /// The document is an object without `keys`.
    #[error("not a JWK Set: it is an object without the array `keys`")]
    NoKeys,
    /// The document is not a JSON object.
    #[error("not a JWK Set: it is not a JSON object")]
    NotAnObject,
    /// The document begins as a JSON object does, but is not JSON.
    #[error("not a JWK Set: it is not JSON")]
    NotJson,
    /// The document is not UTF-8.
    #[error("not a JWK Set: it is not UTF-8")]
    NotUtf8,
    /// The document is PEM.
    #[error("not a JWK Set: it is PEM; a single key in PEM is read by StaticKeys::pem")]
    Pem,
    /// The document is longer than 512 KiB.
    #[error("not a JWK Set: it is longer than 512 KiB")]
    TooLong,
}

/// Takes a document apart into the texts of its keys. None of them is looked at, so that each
/// stands or falls alone.
///
/// It takes linear time and no recursion, however deep the document is.
pub(crate) fn keys(document: &[u8]) -> Result<Vec<&RawValue>, NotAKeySet> {
    /// Of members that say what else it is, only the presence counts.
    #[derive(Deserialize)]
    struct Object<'d> {
        #[serde(borrow)]
        keys: Option<&'d RawValue>,
        kty: Option<IgnoredAny>,
        jwks_uri: Option<IgnoredAny>,
    }

    let object: Object<'_> = serde_json::from_str(object(document)?).map_err(|error| match error.classify() {
        Category::Data => NotAKeySet::Duplicate,
        Category::Eof => NotAKeySet::CutOff,
        Category::Io | Category::Syntax => NotAKeySet::NotJson,
    })?;
    match object {
        Object { keys: Some(keys), .. } => serde_json::from_str(keys.get()).map_err(|_| NotAKeySet::KeysNotAnArray),
        Object { kty: Some(_), .. } => Err(NotAKeySet::BareKey),
        Object { jwks_uri: Some(_), .. } => Err(NotAKeySet::Metadata),
        Object { .. } => Err(NotAKeySet::NoKeys),
    }
}

/// Returns the text of a document that begins as an object does.
fn object(document: &[u8]) -> Result<&str, NotAKeySet> {
    if document.len() > MAX_DOCUMENT_LEN {
        return Err(NotAKeySet::TooLong);
    }
    match (NotJson::of(document), std::str::from_utf8(document).map(str::trim_ascii_start)) {
        (Some(NotJson::ByteOrderMark), _) => Err(NotAKeySet::ByteOrderMark),
        (Some(NotJson::Gzip), _) => Err(NotAKeySet::Compressed),
        (_, Err(_)) => Err(NotAKeySet::NotUtf8),
        (Some(NotJson::Empty), _) => Err(NotAKeySet::Empty),
        (Some(NotJson::Html | NotJson::Xml), _) => Err(NotAKeySet::Markup),
        (Some(NotJson::Pem), _) => Err(NotAKeySet::Pem),
        (_, Ok(text)) if text.starts_with('{') => Ok(text),
        (_, Ok(text)) if text.starts_with('[') => Err(NotAKeySet::Array),
        _ => Err(NotAKeySet::NotAnObject),
    }
}

/// What a document is that cannot be JSON (RFC 8259), by its first bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NotJson {
    ByteOrderMark,
    Empty,
    Gzip,
    Html,
    Pem,
    Utf16,
    Xml,
    Zstd,
}

impl NotJson {
    pub(crate) fn of(document: &[u8]) -> Option<Self> {
        Some(match document.trim_ascii_start() {
            [] => Self::Empty,
            [0xef, 0xbb, 0xbf, ..] => Self::ByteOrderMark,
            [0xfe, 0xff, ..] | [0xff, 0xfe, ..] => Self::Utf16,
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [b'<', rest @ ..] if is_html(rest) => Self::Html,
            [b'<', ..] => Self::Xml,
            [b'-', b'-', b'-', b'-', b'-', ..] => Self::Pem,
            _ => return None,
        })
    }
}

impl From<NotJson> for &str {
    fn from(found: NotJson) -> Self {
        match found {
            NotJson::ByteOrderMark => "a text with a byte order mark",
            NotJson::Empty => "an empty document",
            NotJson::Gzip => "gzip, which was not asked for",
            NotJson::Html => "an HTML page",
            NotJson::Pem => "PEM",
            NotJson::Utf16 => "UTF-16",
            NotJson::Xml => "XML",
            NotJson::Zstd => "zstd, which was not asked for",
        }
    }
}

/// Tells whether a page begins here, behind its first `<`.
fn is_html(rest: &[u8]) -> bool {
    let begins = |word: &[u8]| rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    [&b"!doctype html"[..], b"html", b"head", b"body", b"!--"].into_iter().any(begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_set_is_named() {
        use NotAKeySet as N;
        let nested = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        let long = format!("{{\"keys\":[]}}{}", " ".repeat(MAX_DOCUMENT_LEN));
        let table: &[(&[u8], N)] = &[
            (b"", N::Empty),
            (b" \n\t", N::Empty),
            (b"[]", N::Array),
            (b"[{\"kty\":\"EC\"}]", N::Array),
            (b"null", N::NotAnObject),
            (b"7", N::NotAnObject),
            (b"\"keys\"", N::NotAnObject),
            (b"eyJhbGciOiJFUzI1NiJ9.e30.c2ln", N::NotAnObject),
            (b"{}", N::NoKeys),
            (b"{\"keys\":null}", N::NoKeys),
            (b"{\"error\":\"secret\"}", N::NoKeys),
            (nested.as_bytes(), N::NoKeys),
            (b"{\"kty\":\"EC\",\"x\":\"secret\"}", N::BareKey),
            (b"{\"issuer\":\"https://id.test/\",\"jwks_uri\":\"https://id.test/k\"}", N::Metadata),
            (b"{\"keys\":{}}", N::KeysNotAnArray),
            (b"{\"keys\":\"[]\"}", N::KeysNotAnArray),
            (b"{\"keys\":[],\"k\\u0065ys\":[]}", N::Duplicate),
            (b"{\"keys\":[]", N::CutOff),
            (b"{\"keys\":[{\"kid\":\"a", N::CutOff),
            (b"{\"keys\":[]}]", N::NotJson),
            (b"{keys:[]}", N::NotJson),
            (b"{\"keys\":[01]}", N::NotJson),
            (b"<!doctype html><html>secret</html>", N::Markup),
            (b"\n<?xml version=\"1.0\"?>", N::Markup),
            (b"-----BEGIN PUBLIC KEY-----\n", N::Pem),
            (b"\xef\xbb\xbf{\"keys\":[]}", N::ByteOrderMark),
            (b"\xff\xfe{\0}\0", N::NotUtf8),
            (b"{\"keys\":[\"caf\xe9\"]}", N::NotUtf8),
            (b"\x1f\x8b\x08\0", N::Compressed),
            (long.as_bytes(), N::TooLong),
        ];
        for (document, expected) in table {
            let shown = String::from_utf8_lossy(document);
            assert_eq!(keys(document).map(|keys| keys.len()), Err(*expected), "{shown:.80}");
            let text = expected.to_string();
            assert!(text.starts_with("not a JWK Set: ") && !text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn a_set_is_taken_apart_whatever_its_keys_are() {
        let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let document = format!("\r\n {{\"x\":{nested},\"keys\":[ {nested} , null,{{\"kid\":\"\\ud800\"}},1e999]}} ");
        let keys = keys(document.as_bytes()).unwrap();
        let texts: Vec<_> = keys.iter().map(|key| key.get()).collect();
        assert_eq!(texts, [&*nested, "null", "{\"kid\":\"\\ud800\"}", "1e999"]);
    }
}
