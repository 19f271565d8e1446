//! An address that an issuer's metadata name, read again once in a while.

use std::sync::Mutex;
use std::time::Duration;

use http::StatusCode;
use tokio::time::{Instant, timeout};
use url::Url;

use super::address::{is_loopback, may_be_this_host};
use super::client::{Answer, HttpAccess};
use super::discovery;
use super::document::{demand_json, moved_to, no_document};
use crate::clock::after;
use crate::jwks::source::FetchError;
use crate::sync::lock;

/// How long a discovered address is used before the metadata are read again.
const REDISCOVERY: Duration = Duration::from_secs(60 * 60);
/// How long it is used when that has failed.
const RETRY_DISCOVERY: Duration = Duration::from_secs(60);

/// An address that is discovered when it is first needed.
pub(crate) struct Discovered {
    access: HttpAccess,
    issuer: Box<str>,
    /// The member of the metadata that names it.
    member: &'static str,
    /// The address, and when it is time to read the metadata again.
    last: Mutex<Option<(Url, Instant)>>,
}

impl Discovered {
    pub(crate) fn new(access: HttpAccess, issuer: &str, member: &'static str) -> Self {
        Self { access, issuer: issuer.into(), member, last: Mutex::new(None) }
    }

    /// Checks the issuer's identifier, below which the metadata are; the error says what is wrong
    /// with it.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let url = self.access.checked(&self.issuer, true)?;
        if url.query().is_some() || self.issuer.contains('#') {
            return Err("an issuer whose keys are discovered must have neither query nor fragment (RFC 8414 §2)");
        }
        Ok(())
    }

    /// Returns the address, and whether it was read from the metadata just now.
    pub(crate) async fn url(&self, within: Duration) -> Result<(Url, bool), FetchError> {
        match self.last() {
            Some((url, false)) => Ok((url, false)),
            Some((old, true)) => match timeout(within, self.discover(within)).await {
                Ok(Ok(url)) => Ok((url, true)),
                // the old address is better than none
                _ => {
                    self.remember(old.clone(), RETRY_DISCOVERY);
                    Ok((old, false))
                }
            },
            None => Ok((self.discover(within).await?, true)),
        }
    }

    /// Returns the address, if there is one, and whether it is still used as it is.
    #[cfg(feature = "introspection")]
    pub(crate) fn known(&self) -> Option<(Url, bool)> {
        self.last().map(|(url, is_old)| (url, !is_old))
    }

    /// Takes note of how it went at the address.
    pub(crate) fn note(&self, url: Url, new: bool, good: bool) {
        match (good, new) {
            (true, true) => self.remember(url, REDISCOVERY),
            (true, false) => {}
            // perhaps the issuer has moved it: look again next time
            (false, _) => self.remember(url, Duration::ZERO),
        }
    }

    async fn discover(&self, within: Duration) -> Result<Url, FetchError> {
        let Self { access, issuer, member, .. } = self;
        let mut error = None;
        for location in discovery::locations(issuer) {
            let url = access.checked(&location, true).map_err(FetchError::message)?;
            let answer = self.metadata(&url, within).await?;
            if answer.status() != StatusCode::OK {
                error.get_or_insert_with(|| no_document(&url, answer.status()));
                continue;
            }
            let found = demand_json(&url, &answer, access)
                .and_then(|()| discovery::member(answer.body(), issuer, member, access.is_for_configured()));
            match found {
                Ok(uri) => {
                    let wrong = |what| FetchError::message(format!("{member}: {what}"));
                    return self.checked(&uri, &url).map_err(wrong);
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
    pub(super) fn checked(&self, uri: &str, metadata: &Url) -> Result<Url, &'static str> {
        let url = self.access.checked(uri, may_be_this_host(metadata))?;
        if url.scheme() == "http" && !is_loopback(&url) && url.origin() != metadata.origin() {
            return Err("metadata cannot send us to another host over plain http; name it by jwks_uri");
        }
        Ok(url)
    }

    /// Returns the address, and whether it is time to look again.
    fn last(&self) -> Option<(Url, bool)> {
        let last = lock(&self.last);
        let (url, until) = last.as_ref()?;
        Some((url.clone(), *until <= Instant::now()))
    }

    fn remember(&self, url: Url, how_long: Duration) {
        *lock(&self.last) = Some((url, after(Instant::now(), how_long)));
    }
}
