//! Keys over HTTP, from a given or a discovered address.

mod address;
mod by_kid;
mod client;
mod discovery;
#[cfg(test)]
mod tests;

use std::sync::Mutex;
use std::time::Duration;

use http::header::{AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, DATE, ETAG, EXPIRES, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::de::IgnoredAny;
use tokio::time::{Instant, timeout};
use url::Url;

use self::address::{NOT_A_URL, is_loopback, may_be_this_host};
pub(crate) use self::address::{PlainHost, Reach, is_bare_host, shown};
pub(crate) use self::by_kid::KeysByKid;
use self::client::Answer;
pub(crate) use self::client::HttpAccess;
pub use self::client::HttpClient;
use super::{DynKeySource, FetchError, Fetched, FetchedKeys, Fetching, Validator};
use crate::clock::after;
use crate::jwks::key_set::document::NotJson;
use crate::sync::lock;

/// How long a discovered address is used before the metadata are read again.
const REDISCOVERY: Duration = Duration::from_secs(60 * 60);
/// How long it is used when that has failed.
const RETRY_DISCOVERY: Duration = Duration::from_secs(60);

/// Fetches an issuer's keys from its `jwks_uri`, which is either given or discovered.
pub(crate) struct HttpSource {
    access: HttpAccess,
    issuer: Box<str>,
    /// The given address; `None` if it is to be discovered.
    pub(crate) given: Option<Url>,
    /// The discovered address, and when it is time to read the metadata again.
    discovered: Mutex<Option<(Url, Instant)>>,
}

impl HttpSource {
    /// Checks the addresses; the error says what is wrong with them.
    pub(crate) fn new(access: HttpAccess, issuer: &str, jwks_uri: Option<&str>) -> Result<Self, &'static str> {
        let given = jwks_uri.map(|uri| access.checked(uri, true)).transpose()?;
        if given.is_none() {
            let url = access.checked(issuer, true).map_err(|what| match what {
                NOT_A_URL => "not a URL; give the address of the keys with jwks_uri",
                _ => what,
            })?;
            if url.query().is_some() || issuer.contains('#') {
                return Err("an issuer whose keys are discovered must have neither query nor fragment (RFC 8414 §2)");
            }
        }
        Ok(Self { access, issuer: issuer.into(), given, discovered: Mutex::new(None) })
    }

    async fn discover(&self, within: Duration) -> Result<Url, FetchError> {
        let mut error = None;
        for location in discovery::locations(&self.issuer) {
            let url = self.access.checked(&location, true).map_err(FetchError::message)?;
            let answer = self.metadata(&url, within).await?;
            if answer.status() != StatusCode::OK {
                error.get_or_insert_with(|| no_document(&url, answer.status()));
                continue;
            }
            let jwks_uri = self.demand_json(&url, &answer);
            let jwks_uri = jwks_uri
                .and_then(|()| discovery::jwks_uri(answer.body(), &self.issuer, self.access.is_for_configured()));
            match jwks_uri {
                Ok(uri) => {
                    let wrong = |what| FetchError::message(format!("jwks_uri: {what}"));
                    return self.checked_jwks_uri(&uri, &url).map_err(wrong);
                }
                // what is wrong with a document says more than that another is missing
                Err(wrong) => error = Some(wrong),
            }
        }
        Err(error.unwrap_or_else(|| FetchError::message("the issuer publishes no metadata")))
    }

    /// Asks for metadata. One redirect is followed, if it stays on the same scheme, host and port:
    /// what it leads to must name the issuer all the same.
    async fn metadata(&self, url: &Url, within: Duration) -> Result<Answer, FetchError> {
        let answer = self.access.client.get(url.clone(), None, within).await?;
        let there = moved_to(url, &answer).filter(|there| there.origin() == url.origin());
        match there.and_then(|there| self.access.checked(there.as_str(), true).ok()) {
            Some(there) => self.access.client.get(there, None, within).await,
            None => Ok(answer),
        }
    }

    /// Checks what metadata name: an issuer elsewhere must send us neither to this host's own
    /// services nor, over plain http, to another host.
    fn checked_jwks_uri(&self, uri: &str, metadata: &Url) -> Result<Url, &'static str> {
        let url = self.access.checked(uri, may_be_this_host(metadata))?;
        if url.scheme() == "http" && !is_loopback(&url) && url.origin() != metadata.origin() {
            return Err("metadata cannot send us to another host over plain http; name it by jwks_uri");
        }
        Ok(url)
    }

    fn demand_json(&self, url: &Url, answer: &Answer) -> Result<(), FetchError> {
        let wrong = |found| FetchError::message(format!("{} answered with {found}", shown(url)));
        demand_json(answer, self.access.is_for_configured()).map_err(wrong)
    }

    /// Fetches the set, or learns that it has not changed.
    async fn fetch_set(&self, url: Url, known: Option<&Validator>, within: Duration) -> Result<Fetched, FetchError> {
        if let Some(known) = known.filter(|known| *known.address == *url.as_str()) {
            let answer = self.access.client.get(url.clone(), Some(known.etag.clone()), within).await?;
            if answer.status() != StatusCode::NOT_MODIFIED {
                return self.document(&url, answer);
            }
            if answer.headers().get_all(ETAG).iter().all(|etag| opaque_tag(etag) == opaque_tag(&known.etag)) {
                return Ok(Fetched::Unchanged { max_age: max_age(answer.headers()).or(known.max_age) });
            }
            // what has not changed is another version than ours, so ask without a condition
        }
        let answer = self.access.client.get(url.clone(), None, within).await?;
        self.document(&url, answer)
    }

    fn document(&self, url: &Url, answer: Answer) -> Result<Fetched, FetchError> {
        if answer.status() != StatusCode::OK {
            return Err(no_document(url, answer.status()));
        }
        self.demand_json(url, &answer)?;
        let max_age = max_age(answer.headers());
        let etag = answer.headers().get(ETAG).filter(|etag| opaque_tag(etag).is_some()).cloned();
        let validator = etag.map(|etag| Validator { address: url.as_str().into(), etag, max_age });
        Ok(Fetched::Document(FetchedKeys { document: answer.into_body(), max_age }, validator))
    }

    async fn fetch(&self, known: Option<Validator>, within: Duration) -> Result<Fetched, FetchError> {
        if let Some(given) = &self.given {
            return self.fetch_set(given.clone(), known.as_ref(), within).await;
        }
        let (url, new) = match self.discovered() {
            Some((url, false)) => (url, false),
            Some((old, true)) => match timeout(within, self.discover(within)).await {
                Ok(Ok(url)) => (url, true),
                // the old address is better than none
                _ => {
                    self.remember(old.clone(), RETRY_DISCOVERY);
                    (old, false)
                }
            },
            None => (self.discover(within).await?, true),
        };
        let fetched = self.fetch_set(url.clone(), known.as_ref(), within).await;
        match (&fetched, new) {
            (Ok(_), true) => self.remember(url, REDISCOVERY),
            (Ok(_), false) => {}
            // perhaps the issuer has moved its keys: look again next time
            (Err(_), _) => self.remember(url, Duration::ZERO),
        }
        fetched
    }

    /// Returns the discovered address, and whether it is time to look again.
    fn discovered(&self) -> Option<(Url, bool)> {
        let discovered = lock(&self.discovered);
        let (url, until) = discovered.as_ref()?;
        Some((url.clone(), *until <= Instant::now()))
    }

    fn remember(&self, url: Url, how_long: Duration) {
        let mut discovered = lock(&self.discovered);
        *discovered = Some((url, after(Instant::now(), how_long)));
    }
}

impl DynKeySource for HttpSource {
    fn fetch(&self, known: Option<Validator>, within: Duration) -> Fetching<'_> {
        Box::pin(self.fetch(known, within))
    }
}

/// Longer words of a header are not worth a place in a log.
const MAX_SHOWN: usize = 64;

/// Demands that an answer is JSON, whatever its server calls it: buckets call everything
/// `application/octet-stream`. Only what is called a page for people is none. What is called JSON
/// is left to its own reader, which knows better what is wrong with it.
///
/// The error says what it is instead; with the server's own words for it only if they may be
/// `shown`.
fn demand_json(answer: &Answer, shown: bool) -> Result<(), String> {
    let types = || words(answer.headers(), CONTENT_TYPE);
    let page = types().any(|word| matches!(&*word, "text/html" | "application/xhtml+xml"));
    let json = |word: String| matches!(&*word, "application/json" | "text/json") || word.ends_with("+json");
    let encoded = words(answer.headers(), CONTENT_ENCODING).any(|word| word != "identity");
    if !page && (!encoded && types().all(json) || serde_json::from_slice::<IgnoredAny>(answer.body()).is_ok()) {
        return Ok(());
    }
    let found = if page { Some(NotJson::Html) } else { NotJson::of(answer.body()) };
    let found = found.map_or("something that is not JSON", Into::into);
    let said = [CONTENT_TYPE, CONTENT_ENCODING].into_iter().flat_map(|name| {
        words(answer.headers(), name.clone())
            .filter(move |word| shown && is_plain(word))
            .map(move |word| format!("{name} {word}"))
    });
    let said = said.collect::<Vec<_>>().join(", ");
    Err(if said.is_empty() { found.to_owned() } else { format!("{found} ({said})") })
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

/// Longer ones are not worth their memory.
const MAX_ETAG_LEN: usize = 256;

/// Returns what two entity tags have in common if they are alike by the weak comparison (RFC 9110
/// §8.8.3.2). What is none, such as `*`, which fits everything, must not be sent back as one.
fn opaque_tag(etag: &HeaderValue) -> Option<&[u8]> {
    let etag = Some(etag.as_bytes()).filter(|etag| etag.len() <= MAX_ETAG_LEN)?;
    let tag = etag.strip_prefix(b"W/").unwrap_or(etag).strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    (!tag.contains(&b'"')).then_some(tag)
}

/// Returns where a redirect leads (RFC 9110 §15.4).
fn moved_to(url: &Url, answer: &Answer) -> Option<Url> {
    let moved = matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = answer.headers().get(LOCATION).filter(|_| moved)?;
    url.join(location.to_str().ok()?).ok()
}

fn no_document(url: &Url, status: StatusCode) -> FetchError {
    let redirect = if status.is_redirection() && status != StatusCode::NOT_MODIFIED { NOT_FOLLOWED } else { "" };
    FetchError::message(format!("{} answered {status}{redirect}", shown(url)))
}

const NOT_FOLLOWED: &str =
    " (a redirect is followed only once, and only of metadata to the same scheme, host and port)";

/// For so long a set is used whose issuer wants it to be asked for each time: `no-store`,
/// `no-cache`, `max-age=0` and the like. No token waits for that. It is taken as a wish for
/// freshness, and not for a fetch a minute from each replica.
const ASK_EACH_TIME: Duration = Duration::from_secs(5 * 60);

/// Reads how much longer a response is fresh (RFC 9111 §4.2).
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let directives = values.flat_map(|value| value.split(',')).map(|directive| directive.trim().to_ascii_lowercase());
    let (mut max_age, mut must_revalidate) = (None, false);
    for directive in directives {
        if directive == "no-store" || directive == "no-cache" {
            return Some(ASK_EACH_TIME);
        }
        must_revalidate |= directive == "must-revalidate";
        if let Some(seconds) = directive.strip_prefix("max-age=") {
            max_age = max_age.or_else(|| seconds.trim_matches('"').parse().ok().map(Duration::from_secs));
        }
    }
    // how long a cache on the way has had it already
    let age = headers.get(AGE).and_then(|age| age.to_str().ok()?.parse().ok()).map(Duration::from_secs);
    match max_age.or_else(|| expires(headers)) {
        Some(Duration::ZERO) => Some(ASK_EACH_TIME),
        Some(max_age) => Some(max_age.saturating_sub(age.unwrap_or_default())),
        None => must_revalidate.then_some(ASK_EACH_TIME),
    }
}

/// Reads `Expires` against the same server's `Date` (RFC 9111 §5.3); what is no date lies in the
/// past.
fn expires(headers: &HeaderMap) -> Option<Duration> {
    let date = |name: HeaderName| {
        headers.get(name).map(HeaderValue::to_str).map(|text| httpdate::parse_http_date(text.unwrap_or_default()).ok())
    };
    let (expires, sent) = (date(EXPIRES)?, date(DATE).flatten()?);
    Some(expires.and_then(|expires| expires.duration_since(sent).ok()).unwrap_or_default())
}
