//! Keys over HTTP, within limits: https unless loopback, no redirects, a size and a time.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::header::{ACCEPT, AGE, CACHE_CONTROL};
use http::{HeaderMap, StatusCode};
use reqwest::Client;
use reqwest::redirect::Policy;
use tokio::time::{Instant, timeout};
use url::{Host, Url};

use super::discovery;
use super::key_set::MAX_DOCUMENT_LEN;
use super::source::{FetchError, FetchedKeys, KeySource};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a discovered address is used before the metadata are read again.
const REDISCOVERY: Duration = Duration::from_secs(60 * 60);
/// How long it is used when that has failed.
const RETRY_DISCOVERY: Duration = Duration::from_secs(60);

/// Fetches an issuer's keys from its `jwks_uri`, which is either given or discovered.
pub(crate) struct HttpSource {
    client: Client,
    issuer: Box<str>,
    /// The given address; `None` if it is to be discovered.
    given: Option<Url>,
    /// The discovered address, and when it is time to read the metadata again.
    discovered: Mutex<Option<(Url, Instant)>>,
}

impl HttpSource {
    /// Makes a client. The environment's proxy serves all but loopback addresses.
    pub(crate) fn client(loopback: bool) -> Result<Client, reqwest::Error> {
        let builder = if loopback { Client::builder().no_proxy() } else { Client::builder() };
        builder
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            .build()
    }

    /// Checks the addresses; the error says what is wrong with them.
    pub(crate) fn new(client: Client, issuer: &str, jwks_uri: Option<&str>) -> Result<Self, &'static str> {
        let given = jwks_uri.map(|uri| checked(uri, true)).transpose()?;
        if given.is_none() {
            let url = checked(issuer, true)?;
            if url.query().is_some() || url.fragment().is_some() {
                return Err("an issuer whose keys are discovered must have neither query nor fragment (RFC 8414 §2)");
            }
        }
        Ok(Self { client, issuer: issuer.into(), given, discovered: Mutex::new(None) })
    }

    async fn discover(&self) -> Result<Url, FetchError> {
        let loopback = is_loopback(&self.issuer);
        let mut error = None;
        for location in discovery::locations(&self.issuer) {
            let url = checked(&location, true).map_err(FetchError::message)?;
            let (status, _, body) = self.get(url).await?;
            if status != StatusCode::OK {
                error.get_or_insert_with(|| FetchError::message(format!("{location} answered {status}")));
                continue;
            }
            match discovery::jwks_uri(&body, &self.issuer) {
                // an issuer elsewhere must not send us to this host's own services
                Ok(uri) => {
                    return checked(&uri, loopback).map_err(|what| FetchError::message(format!("jwks_uri: {what}")));
                }
                // what is wrong with a document says more than that another is missing
                Err(wrong) => error = Some(wrong),
            }
        }
        Err(error.unwrap_or_else(|| FetchError::message("the issuer publishes no metadata")))
    }

    async fn fetch_set(&self, url: Url) -> Result<FetchedKeys, FetchError> {
        let shown = shown(&url);
        let (status, headers, document) = self.get(url).await?;
        if status != StatusCode::OK {
            return Err(FetchError::message(format!("{shown} answered {status}")));
        }
        Ok(FetchedKeys { document, max_age: max_age(&headers) })
    }

    async fn get(&self, url: Url) -> Result<(StatusCode, HeaderMap, Vec<u8>), FetchError> {
        let request = self.client.get(url.clone()).header(ACCEPT, "application/json, application/jwk-set+json");
        let failed =
            |error: reqwest::Error| FetchError::caused(format!("no answer from {}", shown(&url)), error.without_url());
        let mut response = request.send().await.map_err(failed)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len().saturating_add(chunk.len()) > MAX_DOCUMENT_LEN {
                return Err(FetchError::message(format!("{} answered with more than 512 KiB", shown(&url))));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((response.status(), std::mem::take(response.headers_mut()), body))
    }

    /// Returns the discovered address, and whether it is time to look again.
    fn discovered(&self) -> Option<(Url, bool)> {
        let discovered = self.discovered.lock().unwrap_or_else(PoisonError::into_inner);
        let (url, until) = discovered.as_ref()?;
        Some((url.clone(), *until <= Instant::now()))
    }

    fn remember(&self, url: Url, how_long: Duration) {
        let mut discovered = self.discovered.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        *discovered = Some((url, now.checked_add(how_long).unwrap_or(now)));
    }
}

impl KeySource for HttpSource {
    async fn fetch(&self) -> Result<FetchedKeys, FetchError> {
        if let Some(given) = &self.given {
            return self.fetch_set(given.clone()).await;
        }
        let (url, new) = match self.discovered() {
            Some((url, false)) => (url, false),
            Some((known, true)) => match timeout(TOTAL_TIMEOUT, self.discover()).await {
                Ok(Ok(url)) => (url, true),
                // the old address is better than none
                _ => {
                    self.remember(known.clone(), RETRY_DISCOVERY);
                    (known, false)
                }
            },
            None => (self.discover().await?, true),
        };
        let fetched = self.fetch_set(url.clone()).await;
        match (&fetched, new) {
            (Ok(_), true) => self.remember(url, REDISCOVERY),
            (Ok(_), false) => {}
            // perhaps the issuer has moved its keys: look again next time
            (Err(_), _) => self.remember(url, Duration::ZERO),
        }
        fetched
    }
}

impl fmt::Debug for HttpSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpSource({})", self.issuer)
    }
}

/// Tells whether an address is on this host, by its own word: a loopback address, or the name `localhost`.
pub(crate) fn is_loopback(uri: &str) -> bool {
    Url::parse(uri).is_ok_and(|url| is_loopback_url(&url))
}

fn is_loopback_url(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Tells whether an address leads to this host in any spelling that needs no look-up of the name.
fn may_be_this_host(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
        Some(Host::Ipv6(address)) => {
            let address = address.to_canonical();
            address.is_loopback() || address.is_unspecified()
        }
        None => true,
    }
}

/// Parses an address that keys may be fetched from (RFC 8414 §2, §3.1).
fn checked(uri: &str, allow_loopback: bool) -> Result<Url, &'static str> {
    let url = Url::parse(uri).map_err(|_| "not a URL; give the address of the keys with jwks_uri")?;
    if url.host().is_none() {
        return Err("the URL has no host");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL holds a user name or password");
    }
    if !allow_loopback && may_be_this_host(&url) {
        return Err("an issuer elsewhere cannot have its keys on this host");
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback_url(&url) => Ok(url),
        _ => Err("keys are fetched over https only (http is for loopback addresses)"),
    }
}

/// An address for logs and errors: without its query, which may hold a key of some API.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string().chars().take(200).collect()
}

/// Reads how much longer a response is fresh (RFC 9111 §4.2); zero if it must not be reused without asking.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let directives = values.flat_map(|value| value.split(',')).map(|directive| directive.trim().to_ascii_lowercase());
    let mut max_age = None;
    for directive in directives {
        if directive == "no-store" || directive == "no-cache" {
            return Some(Duration::ZERO);
        }
        if let Some(seconds) = directive.strip_prefix("max-age=") {
            max_age = max_age.or_else(|| seconds.trim_matches('"').parse().ok().map(Duration::from_secs));
        }
    }
    // how long a cache on the way has had it already
    let age = headers.get(AGE).and_then(|age| age.to_str().ok()?.parse().ok()).map(Duration::from_secs);
    max_age.map(|max_age| max_age.saturating_sub(age.unwrap_or_default()))
}
