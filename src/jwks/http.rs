//! Keys over HTTP, from a given or a discovered address.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use http::header::{AGE, CACHE_CONTROL, CONTENT_TYPE, DATE, ETAG, EXPIRES};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::time::{Instant, timeout};
use url::Url;

use super::client::HttpClient;
use super::discovery;
use super::reach::{NOT_A_URL, Reach, is_loopback, shown};
use super::source::{DynKeySource, FetchError, Fetched, Fetching, Validator};
use crate::sync::{after, lock};

/// How long a discovered address is used before the metadata are read again.
const REDISCOVERY: Duration = Duration::from_secs(60 * 60);
/// How long it is used when that has failed.
const RETRY_DISCOVERY: Duration = Duration::from_secs(60);

/// Fetches an issuer's keys from its `jwks_uri`, which is either given or discovered.
pub(crate) struct HttpSource {
    client: HttpClient,
    reach: Reach,
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
        issuer: &str,
        jwks_uri: Option<&str>,
    ) -> Result<Self, &'static str> {
        let given = jwks_uri.map(|uri| reach.checked(uri, true)).transpose()?;
        if given.is_none() {
            let url = reach.checked(issuer, true).map_err(|what| match what {
                NOT_A_URL => "not a URL; give the address of the keys with jwks_uri",
                _ => what,
            })?;
            if url.query().is_some() || url.fragment().is_some() {
                return Err("an issuer whose keys are discovered must have neither query nor fragment (RFC 8414 §2)");
            }
        }
        Ok(Self { client, reach, issuer: issuer.into(), given, discovered: Mutex::new(None) })
    }

    async fn discover(&self, within: Duration) -> Result<Url, FetchError> {
        let loopback = is_loopback(&self.issuer);
        let mut error = None;
        for location in discovery::locations(&self.issuer) {
            let url = self.reach.checked(&location, true).map_err(FetchError::message)?;
            let answer = self.client.get(url.clone(), None, within).await?;
            if answer.status != StatusCode::OK {
                error.get_or_insert_with(|| FetchError::message(format!("{} answered {}", shown(&url), answer.status)));
                continue;
            }
            match check_type(&url, &answer.headers).and_then(|()| discovery::jwks_uri(&answer.body, &self.issuer)) {
                // an issuer elsewhere must not send us to this host's own services
                Ok(uri) => {
                    let wrong = |what| FetchError::message(format!("jwks_uri: {what}"));
                    return self.reach.checked(&uri, loopback).map_err(wrong);
                }
                // what is wrong with a document says more than that another is missing
                Err(wrong) => error = Some(wrong),
            }
        }
        Err(error.unwrap_or_else(|| FetchError::message("the issuer publishes no metadata")))
    }

    /// Fetches the set, or learns that it has not changed.
    async fn fetch_set(&self, url: Url, known: Option<&Validator>, within: Duration) -> Result<Fetched, FetchError> {
        let known = known.filter(|known| *known.address == *url.as_str());
        let answer = self.client.get(url.clone(), known.map(|known| known.etag.clone()), within).await?;
        let max_age = max_age(&answer.headers);
        match (answer.status, known) {
            (StatusCode::NOT_MODIFIED, Some(known)) => Ok(Fetched::Unchanged { max_age: max_age.or(known.max_age) }),
            (StatusCode::OK, _) => {
                check_type(&url, &answer.headers)?;
                let etag = answer.headers.get(ETAG).filter(|etag| etag.len() <= MAX_ETAG_LEN).cloned();
                let validator = etag.map(|etag| Validator { address: url.as_str().into(), etag, max_age });
                Ok(Fetched::Document { document: answer.body, max_age, validator })
            }
            (status, _) => Err(FetchError::message(format!("{} answered {status}", shown(&url)))),
        }
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

/// Demands JSON by the server's own word, where it gives one: `application/json`, `text/json`, or anything that ends in `+json`.
fn check_type(url: &Url, headers: &HeaderMap) -> Result<(), FetchError> {
    let Some(content_type) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let essence = content_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    if matches!(&*essence, "application/json" | "text/json") || essence.ends_with("+json") {
        return Ok(());
    }
    Err(FetchError::message(format!("{} answered with a content-type that is not JSON", shown(url))))
}

/// For so long a set is used whose issuer wants it to be asked for each time: `no-store`, `no-cache`, `max-age=0` and the like. No
/// token waits for that. It is taken as a wish for freshness, and not for a fetch a minute from each replica.
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
