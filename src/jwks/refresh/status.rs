//! The state of an issuer's keys, for operators.

use std::time::Duration;

use serde::{Serialize, Serializer};
use tokio::time::Instant;

use super::Keys;
use crate::clock::{Moment, whole_seconds_up};
use crate::jwks::key_set::jwk::SkippedKey;
use crate::jwks::key_set::{KeySet, UsableKey};

/// The state of an issuer's keys; see [`ResourceServer::status`](crate::ResourceServer::status).
///
/// It can be serialised as it is, for a readiness probe; durations become whole seconds. Ages are
/// measured by the monotonic clock and by the server's, and the greater one counts: a machine may
/// have been suspended.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_bearer::keys::Freshness;
/// use tower_bearer::testing::Idp;
/// use tower_bearer::ResourceServer;
///
/// let server = ResourceServer::new("https://api.test").trust(&Idp::new("https://id.test/")).build()?;
/// assert_eq!(server.status()[0].state, Freshness::NeverLoaded);
///
/// server.ready().await?;
/// let status = serde_json::to_value(server.status())?;
/// assert_eq!(status[0]["issuer"], "https://id.test/");
/// assert_eq!(status[0]["state"], "fresh");
/// assert_eq!(status[0]["keys"][0]["algorithms"][0], "ES256");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct IssuerStatus {
    /// The issuer's identifier.
    pub issuer: Box<str>,
    /// The state of the issuer's keys.
    pub state: Freshness,
    /// How long ago the keys were fetched.
    #[serde(serialize_with = "seconds")]
    pub age: Option<Duration>,
    /// For how long the keys have been stale, if they are.
    #[serde(serialize_with = "seconds")]
    pub stale_for: Option<Duration>,
    /// How long ago the first of the failed fetches in a row was, if the last one failed.
    #[serde(serialize_with = "seconds")]
    pub failing_for: Option<Duration>,
    /// How many fetches have failed in a row.
    pub failures: u32,
    /// Why the last fetch of keys failed, if it did.
    pub last_error: Option<Box<str>>,
    /// How long it is until the next planned fetch of keys, if one is planned.
    #[serde(serialize_with = "seconds_up")]
    pub next_fetch_in: Option<Duration>,
    /// The keys in use.
    pub keys: Vec<UsableKey>,
    /// The keys of the set that are not used, and why.
    pub skipped: Vec<SkippedKey>,
}

impl IssuerStatus {
    /// Tells whether there is a key that a token could be verified with; or, where keys are only
    /// fetched when tokens name them ([`aws_alb`](crate::Issuer::aws_alb)), whether one can be
    /// expected.
    pub fn is_usable(&self) -> bool {
        !self.keys.is_empty() || self.state == Freshness::Fresh && self.failures == 0
    }
}

/// The state of an issuer's keys, as [`IssuerStatus`] has it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Freshness {
    /// The keys were stale for longer than [`Issuer::max_stale`](crate::Issuer::max_stale), and are
    /// not used any more.
    Expired,
    /// The keys are configured and never change.
    Fixed,
    /// The keys were fetched, and their lifetime is not over.
    Fresh,
    /// No keys have been fetched yet.
    NeverLoaded,
    /// The lifetime of the keys is over; they are used until newer ones can be had.
    Stale,
}

impl Keys {
    /// Returns what an operator may know of them.
    pub(crate) fn status(&self, max_stale: Duration) -> IssuerStatus {
        let now = self.shared.now();
        let state = self.shared.state();
        let current = self.shared.current.load();
        let set = current.as_ref().and_then(|snapshot| snapshot.keys(max_stale, now));
        let passed = |then: Option<Moment>| then.and_then(|then| then.passed(now));
        let until = |then: Instant| then.saturating_duration_since(now.instant);
        let stale_for = passed(state.schedule.fresh_until);
        IssuerStatus {
            issuer: self.shared.issuer.as_ref().into(),
            state: match (set, &*current, stale_for) {
                _ if self.is_fixed() => Freshness::Fixed,
                (_, None, _) => Freshness::NeverLoaded,
                (None, Some(_), _) => Freshness::Expired,
                (Some(_), _, None) => Freshness::Fresh,
                (Some(_), _, Some(_)) => Freshness::Stale,
            },
            age: passed(state.schedule.fetched),
            stale_for,
            failing_for: state.schedule.failing_since.map(|since| now.instant.saturating_duration_since(since)),
            failures: state.schedule.failures,
            last_error: state.last_error.as_deref().map(Into::into),
            next_fetch_in: state.schedule.next_fetch().map(until),
            keys: set.map(KeySet::status).unwrap_or_default(),
            skipped: set.map(|set| set.skipped.to_vec()).unwrap_or_default(),
        }
    }
}

#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
fn seconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|duration| duration.as_secs()).serialize(serializer)
}

#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
fn seconds_up<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(whole_seconds_up).serialize(serializer)
}
