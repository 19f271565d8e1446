//! Keys over HTTP, within limits: https unless loopback, no redirects, a size and a time.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use http::header::{ACCEPT, CACHE_CONTROL};
use http::{HeaderMap, StatusCode};
use reqwest::Client;
use reqwest::redirect::Policy;
use url::{Host, Url};

use super::discovery;
use super::key_set::MAX_DOCUMENT_LEN;
use super::source::{FetchError, FetchedKeys, KeySource};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Fetches an issuer's keys from its `jwks_uri`, which is either given or discovered.
pub(crate) struct HttpSource {
    client: Client,
    issuer: Box<str>,
    /// The given address; `None` if it is to be discovered.
    given: Option<Url>,
    /// The discovered address, until a fetch from there fails.
    discovered: Mutex<Option<Url>>,
}

impl HttpSource {
    /// Makes the client that all sources of a server share.
    pub(crate) fn client() -> Result<Client, reqwest::Error> {
        Client::builder()
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
        let loopback = checked(&self.issuer, false).is_err();
        let mut first_error = None;
        for location in discovery::locations(&self.issuer) {
            let url = checked(&location, true).map_err(FetchError::message)?;
            let (status, _, body) = self.get(url).await?;
            let found = if status == StatusCode::OK {
                discovery::jwks_uri(&body, &self.issuer)
            } else {
                Err(FetchError::message(format!("{location} answered {status}")))
            };
            match found {
                // an issuer elsewhere must not send us to this host's own services
                Ok(uri) => {
                    return checked(&uri, loopback).map_err(|what| FetchError::message(format!("jwks_uri: {what}")));
                }
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or_else(|| FetchError::message("the issuer publishes no metadata")))
    }

    async fn fetch_set(&self, url: Url) -> Result<FetchedKeys, FetchError> {
        let shown = url.to_string();
        let (status, headers, document) = self.get(url).await?;
        if status != StatusCode::OK {
            return Err(FetchError::message(format!("{shown} answered {status}")));
        }
        Ok(FetchedKeys { document, max_age: max_age(&headers) })
    }

    async fn get(&self, url: Url) -> Result<(StatusCode, HeaderMap, Vec<u8>), FetchError> {
        let request = self.client.get(url.clone()).header(ACCEPT, "application/json, application/jwk-set+json");
        let mut response = request.send().await.map_err(FetchError::new)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(FetchError::new)? {
            if body.len().saturating_add(chunk.len()) > MAX_DOCUMENT_LEN {
                return Err(FetchError::message(format!("{url} answered with more than 512 KiB")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((response.status(), std::mem::take(response.headers_mut()), body))
    }

    fn known(&self) -> Option<Url> {
        let discovered = || self.discovered.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.given.clone().or_else(discovered)
    }

    fn remember(&self, url: Option<Url>) {
        *self.discovered.lock().unwrap_or_else(PoisonError::into_inner) = url;
    }
}

impl KeySource for HttpSource {
    async fn fetch(&self) -> Result<FetchedKeys, FetchError> {
        if let Some(url) = self.known() {
            let fetched = self.fetch_set(url).await;
            if fetched.is_err() {
                // perhaps the issuer has moved its keys: look again next time
                self.remember(None);
            }
            return fetched;
        }
        let url = self.discover().await?;
        let fetched = self.fetch_set(url.clone()).await?;
        self.remember(Some(url));
        Ok(fetched)
    }
}

impl fmt::Debug for HttpSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpSource({})", self.issuer)
    }
}

/// Parses an address that keys may be fetched from (RFC 8414 §2, §3.1).
fn checked(uri: &str, allow_loopback: bool) -> Result<Url, &'static str> {
    let url = Url::parse(uri).map_err(|_| "not a URL; give the address of the keys with jwks_uri")?;
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err("the URL has no host"),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL holds a user name or password");
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if loopback && allow_loopback => Ok(url),
        _ => Err("keys are fetched over https only (http is for loopback addresses)"),
    }
}

/// Reads how long a response is fresh (RFC 9111 §5.2.2); zero if it must not be stored.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let directives = values.flat_map(|value| value.split(',')).map(|directive| directive.trim().to_ascii_lowercase());
    let mut age = None;
    for directive in directives {
        if directive == "no-store" || directive == "no-cache" {
            return Some(Duration::ZERO);
        }
        if let Some(seconds) = directive.strip_prefix("max-age=") {
            age = age.or_else(|| seconds.trim_matches('"').parse().ok().map(Duration::from_secs));
        }
    }
    age
}
