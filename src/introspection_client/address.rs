//! Where an issuer is asked: at a given address, or at one that its metadata name.

use std::sync::Mutex as StdMutex;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use url::Url;

use crate::clock::after;
use crate::introspection::Fault;
use crate::jwks::{Discovered, FetchError, HttpAccess};
use crate::sync::lock;

/// An address at which there is nothing is looked up again, but not more often.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Where an issuer is asked.
pub(super) enum Address {
    Given(Url),
    Found(Box<Finding>),
}

/// An address that is discovered by one question for all.
pub(super) struct Finding {
    discovered: Discovered,
    /// Held by who reads the metadata.
    looking: Mutex<()>,
    last: StdMutex<Look>,
}

/// What came of the last look.
#[derive(Default)]
struct Look {
    found: Option<Instant>,
    failed: Option<(Instant, String)>,
}

impl Address {
    /// Checks it; the error says what is wrong.
    pub(super) fn new(access: &HttpAccess, issuer: &str, given: Option<&str>) -> Result<Self, &'static str> {
        if let Some(given) = given {
            return access.checked(given, true).map(Self::Given);
        }
        let discovered = Discovered::new(access.clone(), issuer, "introspection_endpoint");
        discovered.check().map_err(|_| "no metadata can be found below the issuer's identifier; give the address")?;
        Ok(Self::Found(Box::new(Finding { discovered, looking: Mutex::new(()), last: StdMutex::default() })))
    }

    /// Returns the address. Each request for metadata may take so long.
    pub(super) async fn url(&self, within: Duration) -> Result<Url, Fault> {
        match self {
            Self::Given(url) => Ok(url.clone()),
            Self::Found(finding) => finding.url(within).await,
        }
    }

    /// Takes note of how the issuer has answered there.
    pub(super) fn note(&self, url: &Url, status: StatusCode) {
        let Self::Found(finding) = self else { return };
        // what else is wrong says nothing about the address
        let nothing_there = status.is_redirection()
            || matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::GONE);
        let found = lock(&finding.last).found;
        if nothing_there && found.is_none_or(|found| after(found, LOOK_AGAIN) <= Instant::now()) {
            finding.discovered.note(url.clone(), false, false);
        }
    }
}

impl Finding {
    async fn url(&self, within: Duration) -> Result<Url, Fault> {
        let begun = Instant::now();
        let looking = match self.discovered.known() {
            Some((url, true)) => return Ok(url),
            // the old address is good while somebody looks for another
            Some((old, false)) => match self.looking.try_lock() {
                Ok(looking) => Some(looking),
                Err(_) => return Ok(old),
            },
            // who holds it for so long is on a runtime that nobody drives any more
            None => timeout(within, self.looking.lock()).await.ok(),
        };
        if let Some((url, true)) = self.discovered.known() {
            return Ok(url);
        }
        if let Some((at, error)) = &lock(&self.last).failed
            && *at >= begun
        {
            return Err(Fault::outage(error.clone()));
        }
        let looked = self.discovered.url(within).await;
        let mut last = lock(&self.last);
        let url = match looked {
            Ok((url, new)) => {
                if new {
                    last.found = Some(Instant::now());
                    self.discovered.note(url.clone(), true, true);
                }
                url
            }
            Err(error) => return Err(Fault::outage(last.fail(&error))),
        };
        drop((last, looking));
        Ok(url)
    }
}

impl Look {
    fn fail(&mut self, error: &FetchError) -> String {
        let report = error.report();
        self.failed = Some((Instant::now(), report.clone()));
        report
    }
}
