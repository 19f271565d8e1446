//! Keys over HTTP, from a given or a discovered address.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use http::header::{AGE, CACHE_CONTROL, DATE, ETAG, EXPIRES, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::time::{Instant, timeout};
use url::Url;

use super::client::{Answer, HttpClient};
use super::content::demand_json;
use super::discovery;
use super::plain::Plain;
use super::reach::{NOT_A_URL, Reach, is_loopback, may_be_this_host, shown};
use super::{DynKeySource, FetchError, Fetched, Fetching, Validator};
use crate::sync::{after, lock};

/// How long a discovered address is used before the metadata are read again.
const REDISCOVERY: Duration = Duration::from_secs(60 * 60);
/// How long it is used when that has failed.
const RETRY_DISCOVERY: Duration = Duration::from_secs(60);

/// Fetches an issuer's keys from its `jwks_uri`, which is either given or discovered.
pub(crate) struct HttpSource {
    client: HttpClient,
    reach: Reach,
    plain: Plain,
    issuer: Box<str>,
    /// The given address; `None` if it is to be discovered.
    given: Option<Url>,
    /// The discovered address, and when it is time to read the metadata again.
    discovered: Mutex<Option<(Url, Instant)>>,
}

impl HttpSource {
    /// Checks the addresses; the error says what is wrong with them.
    pub(crate) fn new(
        client: HttpClient,
        reach: Reach,
        plain: Plain,
        issuer: &str,
        jwks_uri: Option<&str>,
    ) -> Result<Self, &'static str> {
        let given = jwks_uri.map(|uri| reach.checked(uri, true, &plain)).transpose()?;
        if given.is_none() {
            let url = reach.checked(issuer, true, &plain).map_err(|what| match what {
                NOT_A_URL => "not a URL; give the address of the keys with jwks_uri",
                _ => what,
            })?;
            if url.query().is_some() || issuer.contains('#') {
                return Err("an issuer whose keys are discovered must have neither query nor fragment (RFC 8414 §2)");
            }
        }
        Ok(Self { client, reach, plain, issuer: issuer.into(), given, discovered: Mutex::new(None) })
    }

    /// Returns the address of the keys, if it was given.
    pub(crate) fn address(&self) -> Option<&Url> {
        self.given.as_ref()
    }

    async fn discover(&self, within: Duration) -> Result<Url, FetchError> {
        let mut error = None;
        for location in discovery::locations(&self.issuer) {
            let url = self.checked(&location).map_err(FetchError::message)?;
            let answer = self.metadata(&url, within).await?;
            if answer.status != StatusCode::OK {
                error.get_or_insert_with(|| no_document(&url, answer.status));
                continue;
            }
            let jwks_uri = self.demand_json(&url, &answer);
            let jwks_uri =
                jwks_uri.and_then(|()| discovery::jwks_uri(&answer.body, &self.issuer, self.is_configured()));
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
        let answer = self.client.get(url.clone(), None, within).await?;
        let there = moved_to(url, &answer).filter(|there| there.origin() == url.origin());
        match there.and_then(|there| self.checked(there.as_str()).ok()) {
            Some(there) => self.client.get(there, None, within).await,
            None => Ok(answer),
        }
    }

    /// Checks an address of the issuer itself.
    fn checked(&self, uri: &str) -> Result<Url, &'static str> {
        self.reach.checked(uri, true, &self.plain)
    }

    /// Checks what metadata name: an issuer elsewhere must send us neither to this host's own
    /// services nor, over plain http, to another host.
    fn checked_jwks_uri(&self, uri: &str, metadata: &Url) -> Result<Url, &'static str> {
        let url = self.reach.checked(uri, may_be_this_host(metadata), &self.plain)?;
        if url.scheme() == "http" && !is_loopback(&url) && url.origin() != metadata.origin() {
            return Err("metadata cannot send us to another host over plain http; name it by jwks_uri");
        }
        Ok(url)
    }

    /// Tells whether the issuer was configured: what it answers may then be shown, since nobody
    /// else has chosen it.
    fn is_configured(&self) -> bool {
        !self.reach.is_limited()
    }

    fn demand_json(&self, url: &Url, answer: &Answer) -> Result<(), FetchError> {
        let wrong = |found| FetchError::message(format!("{} answered with {found}", shown(url)));
        demand_json(answer, self.is_configured()).map_err(wrong)
    }

    /// Fetches the set, or learns that it has not changed.
    async fn fetch_set(&self, url: Url, known: Option<&Validator>, within: Duration) -> Result<Fetched, FetchError> {
        if let Some(known) = known.filter(|known| *known.address == *url.as_str()) {
            let answer = self.client.get(url.clone(), Some(known.etag.clone()), within).await?;
            if answer.status != StatusCode::NOT_MODIFIED {
                return self.document(&url, answer);
            }
            if answer.headers.get_all(ETAG).iter().all(|etag| opaque_tag(etag) == opaque_tag(&known.etag)) {
                return Ok(Fetched::Unchanged { max_age: max_age(&answer.headers).or(known.max_age) });
            }
            // what has not changed is another version than ours, so ask without a condition
        }
        let answer = self.client.get(url.clone(), None, within).await?;
        self.document(&url, answer)
    }

    fn document(&self, url: &Url, answer: Answer) -> Result<Fetched, FetchError> {
        if answer.status != StatusCode::OK {
            return Err(no_document(url, answer.status));
        }
        self.demand_json(url, &answer)?;
        let max_age = max_age(&answer.headers);
        let etag = answer.headers.get(ETAG).filter(|etag| opaque_tag(etag).is_some()).cloned();
        let validator = etag.map(|etag| Validator { address: url.as_str().into(), etag, max_age });
        Ok(Fetched::Document { document: answer.body, max_age, validator })
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

impl fmt::Debug for HttpSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpSource({})", self.issuer)
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

/// Returns where a redirect leads (RFC 9110 §15.4).
fn moved_to(url: &Url, answer: &Answer) -> Option<Url> {
    let moved = matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = answer.headers.get(LOCATION).filter(|_| moved)?;
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

/// Reads `Expires` against the same server's `Date` (RFC 9111 §5.3); what is no date lies in the past.
fn expires(headers: &HeaderMap) -> Option<Duration> {
    let date = |name: HeaderName| {
        headers.get(name).map(HeaderValue::to_str).map(|text| httpdate::parse_http_date(text.unwrap_or_default()).ok())
    };
    let (expires, sent) = (date(EXPIRES)?, date(DATE).flatten()?);
    Some(expires.and_then(|expires| expires.duration_since(sent).ok()).unwrap_or_default())
}
