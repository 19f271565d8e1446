//! What the server keeps of each issuer that it trusts, be it configured or found at run time.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::found::Admission;
use super::keys::Source;
use crate::error::{Error, ErrorKind};
use crate::issuer::Policy;
use crate::jwks::{Demand, IssuerStatus, Keys, Want};

pub(super) struct TrustedIssuer {
    /// `None` if it is configured.
    pub(super) found: Option<Admission>,
    pub(super) policy: Arc<Policy>,
    pub(super) keys: Arc<Keys>,
    pub(super) max_stale: Duration,
    /// Where the keys are fetched from, if over HTTP; `None` for those of the application's own source, and those that never change.
    pub(super) over_http: Option<Source>,
}

impl TrustedIssuer {
    pub(super) fn generation(&self) -> u64 {
        self.keys.current(Instant::now()).as_ref().map_or(0, |snapshot| snapshot.generation())
    }

    pub(super) fn is_empty(&self) -> bool {
        let now = self.policy.server.clock.moment();
        let current = self.keys.current(now.instant);
        current.as_ref().and_then(|snapshot| snapshot.keys(self.max_stale, now)).is_none()
    }

    pub(super) fn demand_if_empty(&self) -> Demand {
        if self.is_empty() { self.keys.demand(Want::NoKeys, self.generation()) } else { Demand::Newer }
    }

    pub(super) fn status(&self) -> IssuerStatus {
        self.keys.status(self.max_stale)
    }

    /// Says why there are no keys that would do.
    pub(super) fn unavailable(&self, want: Want) -> Error {
        let detail = match self.keys.outage() {
            Some(outage) if !outage.never || Handle::try_current().is_ok() => Cow::Owned(outage.error.to_string()),
            Some(_) => OUTSIDE.into(),
            None if self.is_empty() => "the keys are too old, and newer ones are not there yet".into(),
            None => "a fetch of newer keys has not ended yet".into(),
        };
        self.later(detail, want)
    }

    /// Says why there is no fetch.
    pub(super) fn not_now(&self, want: Want) -> Error {
        let outside = Handle::try_current().is_err();
        self.later(if outside { OUTSIDE } else { "at most two fetches are forced in 30 s" }.into(), want)
    }

    fn later(&self, detail: Cow<'static, str>, want: Want) -> Error {
        let wait = self.keys.next_chance(want);
        Error::new(ErrorKind::KeysUnavailable, detail).with_retry_after(wait).at(&self.policy.issuer)
    }
}

const OUTSIDE: &str = "keys cannot be fetched outside a tokio runtime";
