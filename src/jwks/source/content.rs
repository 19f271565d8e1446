//! What a server has answered with, where JSON was expected: judged by its content, and named for
//! the operator.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::de::IgnoredAny;

use super::client::Answer;

/// Longer words of a header are not worth a place in a log.
const MAX_SHOWN: usize = 64;

/// Demands that an answer is JSON, whatever its server calls it: buckets call everything
/// `application/octet-stream`. Only what is called a page for people is none. What is called JSON
/// is left to its own reader, which knows better what is wrong with it.
///
/// The error says what it is instead; with the server's own words for it only if they may be
/// `shown`.
pub(super) fn demand_json(answer: &Answer, shown: bool) -> Result<(), String> {
    let types = || words(&answer.headers, CONTENT_TYPE);
    let page = types().any(|word| matches!(&*word, "text/html" | "application/xhtml+xml"));
    let json = |word: String| matches!(&*word, "application/json" | "text/json") || word.ends_with("+json");
    let encoded = words(&answer.headers, CONTENT_ENCODING).any(|word| word != "identity");
    if !page && (!encoded && types().all(json) || serde_json::from_slice::<IgnoredAny>(&answer.body).is_ok()) {
        return Ok(());
    }
    let found =
        if page { "an HTML page" } else { other_than_json(&answer.body).unwrap_or("something that is not JSON") };
    let said = [CONTENT_TYPE, CONTENT_ENCODING].into_iter().flat_map(|name| {
        words(&answer.headers, name.clone())
            .filter(move |word| shown && is_plain(word))
            .map(move |word| format!("{name} {word}"))
    });
    let said = said.collect::<Vec<_>>().join(", ");
    Err(if said.is_empty() { found.to_owned() } else { format!("{found} ({said})") })
}

/// Tells what a document is that cannot be JSON (RFC 8259), by its first bytes.
pub(super) fn other_than_json(document: &[u8]) -> Option<&'static str> {
    Some(match document.trim_ascii_start() {
        [] => "an empty document",
        [0xef, 0xbb, 0xbf, ..] => "a text with a byte order mark",
        [0xfe, 0xff, ..] | [0xff, 0xfe, ..] => "UTF-16",
        [0x1f, 0x8b, ..] => "gzip, which was not asked for",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd, which was not asked for",
        [b'<', rest @ ..] if is_html(rest) => "an HTML page",
        [b'<', ..] => "XML",
        [b'-', b'-', b'-', b'-', b'-', ..] => "PEM",
        _ => return None,
    })
}

/// Tells whether a page begins here, behind its first `<`.
fn is_html(rest: &[u8]) -> bool {
    let begins = |word: &[u8]| rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    [&b"!doctype html"[..], b"html", b"head", b"body", b"!--"].into_iter().any(begins)
}

/// Returns what the lines of a header say, in lower case and without parameters.
fn words(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = String> {
    let texts = headers.get_all(name).into_iter().map(HeaderValue::to_str).map(Result::unwrap_or_default);
    texts.filter_map(|text| text.split(';').next()).map(|word| word.trim().to_ascii_lowercase())
}

/// Tells whether it is a media type (RFC 6838 §4.2) or a coding, and no text of the server's
/// choice.
fn is_plain(word: &str) -> bool {
    let name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+/".contains(&byte);
    (1..=MAX_SHOWN).contains(&word.len()) && word.bytes().all(name)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn verdict(
        content_type: &[&'static str],
        encoding: &[&'static str],
        body: &[u8],
        shown: bool,
    ) -> Result<(), String> {
        let header = |name: HeaderName| move |value: &&'static str| (name.clone(), HeaderValue::from_static(value));
        let lines = content_type.iter().map(header(CONTENT_TYPE)).chain(encoding.iter().map(header(CONTENT_ENCODING)));
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value);
        }
        demand_json(&Answer { status: StatusCode::OK, headers, body: body.to_vec() }, shown)
    }

    #[test]
    fn what_is_json_is_taken_for_json_whatever_it_is_called_but_for_a_page() {
        for called in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/jwk-set+json",
            "text/json",
            "application/octet-stream",
            "binary/octet-stream",
            "text/plain; charset=utf-8",
            "image/png",
            "application/javascript",
            "",
            "json",
        ] {
            assert_eq!(verdict(&[called], &[], b" {\"keys\":[]}\n", true), Ok(()), "{called}");
        }
        assert_eq!(verdict(&[], &[], b"{}", true), Ok(()));
        // such as a bucket's leftover `aws-chunked`
        assert_eq!(verdict(&["text/plain"], &["aws-chunked"], b"{}", true), Ok(()));
        for called in ["text/html", "Text/HTML; charset=utf-8", "application/xhtml+xml", "text/html; application/json"]
        {
            let why = verdict(&[called], &[], b"{}", true).unwrap_err();
            assert!(why.starts_with("an HTML page (content-type "), "{called}: {why}");
        }
        assert!(verdict(&["application/json", "text/html"], &[], b"{}", true).is_err());
    }

    #[test]
    fn what_is_not_json_is_named() {
        for (content_type, encoding, body, named) in [
            ("text/plain", None, &b"<!DOCTYPE html><html>secret"[..], "an HTML page (content-type text/plain)"),
            ("text/xml", None, b"<?xml version=\"1.0\"?>", "XML (content-type text/xml)"),
            (
                "multipart/mixed; boundary=secret",
                None,
                b"--secret",
                "something that is not JSON (content-type multipart/mixed)",
            ),
            ("image/png", None, b"\x89PNG", "something that is not JSON (content-type image/png)"),
            ("application/octet-stream", None, b"", "an empty document (content-type application/octet-stream)"),
            ("text/plain", None, b"\xef\xbb\xbf{}", "a text with a byte order mark (content-type text/plain)"),
            ("application/x-pem-file", None, b"-----BEGIN", "PEM (content-type application/x-pem-file)"),
            (
                "application/json",
                Some("gzip"),
                b"\x1f\x8b\x08",
                "gzip, which was not asked for (content-type application/json, content-encoding gzip)",
            ),
            (
                "application/json",
                Some("br"),
                b"\x0b",
                "something that is not JSON (content-type application/json, content-encoding br)",
            ),
            // words of its own are not repeated
            ("a secret", None, b"secret", "something that is not JSON"),
            ("text/s\"cret", None, b"secret", "something that is not JSON"),
        ] {
            let encoding = Vec::from_iter(encoding);
            assert_eq!(verdict(&[content_type], &encoding, body, true).unwrap_err(), named);
            assert!(!verdict(&[content_type], &encoding, body, false).unwrap_err().contains('('), "{content_type}");
        }
    }
}
