//! Whether an answer is a document, and what it is instead.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::de::IgnoredAny;
use url::Url;

use super::address::shown;
use super::client::{Answer, HttpAccess};
use crate::jwks::key_set::document::NotJson;
use crate::jwks::source::FetchError;

/// Longer words of a header are not worth a place in a log.
const MAX_SHOWN: usize = 64;

/// Demands that an answer is JSON, whatever its server calls it: buckets call everything
/// `application/octet-stream`. Only what is called a page for people is none. What is called JSON
/// is left to its own reader, which knows better what is wrong with it.
///
/// The error says what it is instead; with the server's own words for it only if they may be shown.
pub(super) fn demand_json(url: &Url, answer: &Answer, access: &HttpAccess) -> Result<(), FetchError> {
    let wrong = |found| FetchError::message(format!("{} answered with {found}", shown(url)));
    what_is_no_json(answer, access.is_for_configured()).map_or(Ok(()), |found| Err(wrong(found)))
}

pub(super) fn what_is_no_json(answer: &Answer, shown: bool) -> Option<String> {
    let types = || words(answer.headers(), CONTENT_TYPE);
    let page = types().any(|word| matches!(&*word, "text/html" | "application/xhtml+xml"));
    let json = |word: String| matches!(&*word, "application/json" | "text/json") || word.ends_with("+json");
    let encoded = words(answer.headers(), CONTENT_ENCODING).any(|word| word != "identity");
    if !page && (!encoded && types().all(json) || serde_json::from_slice::<IgnoredAny>(answer.body()).is_ok()) {
        return None;
    }
    let found = if page { Some(NotJson::Html) } else { NotJson::of(answer.body()) };
    let found = found.map_or("something that is not JSON", Into::into);
    let said = [CONTENT_TYPE, CONTENT_ENCODING].into_iter().flat_map(|name| {
        words(answer.headers(), name.clone())
            .filter(move |word| shown && is_plain(word))
            .map(move |word| format!("{name} {word}"))
    });
    let said = said.collect::<Vec<_>>().join(", ");
    Some(if said.is_empty() { found.to_owned() } else { format!("{found} ({said})") })
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

/// Returns where a redirect leads (RFC 9110 §15.4).
pub(super) fn moved_to(url: &Url, answer: &Answer) -> Option<Url> {
    let moved = matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = answer.headers().get(LOCATION).filter(|_| moved)?;
    url.join(location.to_str().ok()?).ok()
}

pub(super) fn no_document(url: &Url, status: StatusCode) -> FetchError {
    let redirect = if status.is_redirection() && status != StatusCode::NOT_MODIFIED { NOT_FOLLOWED } else { "" };
    FetchError::message(format!("{} answered {status}{redirect}", shown(url)))
}

const NOT_FOLLOWED: &str =
    " (a redirect is followed only once, and only of metadata to the same scheme, host and port)";
