//! Keys over HTTP, from a given or a discovered address.

mod address;
mod by_kid;
mod client;
mod discovered;
mod discovery;
mod document;
#[cfg(test)]
mod tests;

use std::time::Duration;

use http::header::{AGE, CACHE_CONTROL, DATE, ETAG, EXPIRES};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use url::Url;

use self::address::NOT_A_URL;
pub(crate) use self::address::{PlainHost, Reach, is_bare_host, shown};
pub(crate) use self::by_kid::KeysByKid;
use self::client::Answer;
pub(crate) use self::client::HttpAccess;
pub use self::client::HttpClient;
#[cfg(feature = "introspection")]
pub(crate) use self::client::Outgoing;
pub(crate) use self::discovered::Discovered;
use self::document::{demand_json, no_document};
use super::{DynKeySource, FetchError, Fetched, FetchedKeys, Fetching, Validator};

/// Fetches an issuer's keys from its `jwks_uri`, which is either given or discovered.
pub(crate) struct HttpSource {
    access: HttpAccess,
    /// The given address; `None` if it is to be discovered.
    pub(crate) given: Option<Url>,
    discovered: Discovered,
}

impl HttpSource {
    /// Checks the addresses; the error says what is wrong with them.
    pub(crate) fn new(access: HttpAccess, issuer: &str, jwks_uri: Option<&str>) -> Result<Self, &'static str> {
        let given = jwks_uri.map(|uri| access.checked(uri, true)).transpose()?;
        let discovered = Discovered::new(access.clone(), issuer, "jwks_uri");
        if given.is_none() {
            discovered.check().map_err(|what| match what {
                NOT_A_URL => "not a URL; give the address of the keys with jwks_uri",
                _ => what,
            })?;
        }
        Ok(Self { access, given, discovered })
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
        demand_json(url, &answer, &self.access)?;
        let max_age = max_age(answer.headers());
        let etag = answer.headers().get(ETAG).filter(|etag| opaque_tag(etag).is_some()).cloned();
        let validator = etag.map(|etag| Validator { address: url.as_str().into(), etag, max_age });
        Ok(Fetched::Document(FetchedKeys { document: answer.into_body(), max_age }, validator))
    }

    async fn fetch(&self, known: Option<Validator>, within: Duration) -> Result<Fetched, FetchError> {
        if let Some(given) = &self.given {
            return self.fetch_set(given.clone(), known.as_ref(), within).await;
        }
        let (url, new) = self.discovered.url(within).await?;
        let fetched = self.fetch_set(url.clone(), known.as_ref(), within).await;
        self.discovered.note(url, new, fetched.is_ok());
        fetched
    }
}

impl DynKeySource for HttpSource {
    fn fetch(&self, known: Option<Validator>, within: Duration) -> Fetching<'_> {
        Box::pin(self.fetch(known, within))
    }
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
