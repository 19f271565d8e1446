//! The keys of a server's issuers, as an application asks after them.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::time::{Instant, timeout, timeout_at};

use super::ResourceServer;
use crate::clock::after;
use crate::error::{Error, ErrorKind};
use crate::jwks::{Cause, GRACE, IssuerStatus, Refresh, SavedKeys};

impl<C: Send + Sync + 'static> ResourceServer<C> {
    /// Waits until the keys of every configured issuer are there, or fails with the reasons why
    /// some cannot be had: for readiness gates and for services that would rather not start than
    /// start without keys.
    ///
    /// All are asked at the same time, each once; one that was asked in vain a moment ago is not
    /// asked again before its pause is over. Issuers that are found at run time are not waited for.
    ///
    /// # Errors
    ///
    /// With one error for each issuer whose keys cannot be had: at the latest a second after what a
    /// fetch may take, 16 s unless [`key_fetch_timeout`](crate::config::ResourceServerBuilder::key_fetch_timeout)
    /// says otherwise.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time; fetches go on.
    pub async fn ready(&self) -> Result<(), NotReady> {
        let engine = self.engine.load_full();
        let begin = Instant::now();
        let mut waits: Vec<Pin<Box<dyn Future<Output = _> + Send>>> = Vec::new();
        for trusted in engine.issuers.iter() {
            let refresh = trusted.is_empty(engine.policy.clock.moment()).then(|| trusted.refresh(Cause::NoKeys));
            if let Some(Refresh::Pending(fetch)) = refresh {
                let deadline = after(begin, trusted.keys.max_fetch().saturating_add(GRACE));
                waits.push(Box::pin(timeout_at(deadline, fetch.ended())));
            }
        }
        poll_fn(|cx| {
            waits.retain_mut(|wait| wait.as_mut().poll(cx).is_pending());
            if waits.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let empty = engine.issuers.iter().filter(|trusted| trusted.is_empty(engine.policy.clock.moment()));
        let mut reasons: Vec<_> = empty.map(|trusted| trusted.unavailable(Cause::NoKeys)).collect();
        reasons.sort_by(|a: &Error, b| a.issuer().cmp(&b.issuer()));
        if reasons.is_empty() { Ok(()) } else { Err(NotReady { reasons }) }
    }

    /// Returns the state of each issuer's keys, for readiness probes and operators.
    ///
    /// All configured issuers are listed, and of those that were found at run time the ones of
    /// which a token was verified. Keys that several of the latter share are listed once, under
    /// their address, by the terms of one of them.
    pub fn status(&self) -> Vec<IssuerStatus> {
        let engine = self.engine.load();
        let mut status: Vec<_> =
            engine.issuers.iter().map(|trusted| trusted.keys.status(trusted.max_stale())).collect();
        status.extend(engine.lookup.status());
        status.sort_by(|a, b| a.issuer.cmp(&b.issuer));
        status
    }

    /// Fetches the keys of a configured issuer now: after a rotation in an emergency, say, so that
    /// the old keys are gone at once.
    ///
    /// It goes through the limit of two forced fetches in 30 s, like an unknown `kid`. It takes
    /// three times the [`key_fetch_timeout`](crate::config::ResourceServerBuilder::key_fetch_timeout) at most, 15
    /// s by default, or twice that if a fetch is on its way already. Keys that never change need
    /// none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownIssuer`] if it is not a configured one, and
    /// [`ErrorKind::KeysUnavailable`] if the fetch fails, or the limit is reached; the keys in hand
    /// then stay in use.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time; the fetch goes on.
    pub async fn refresh(&self, issuer: &str) -> Result<(), Error> {
        let trusted = self.engine.load().issuers.get(issuer).map(Arc::clone);
        let Some(trusted) = trusted else {
            return Err(Error::new(ErrorKind::UnknownIssuer, "no issuer of this identifier is configured"));
        };
        loop {
            let joined = match trusted.refresh(Cause::ByHand) {
                Refresh::Newer => continue,
                Refresh::Refused if trusted.keys.is_fixed() => return Ok(()),
                Refresh::Refused => return Err(trusted.not_now(Cause::ByHand)),
                Refresh::Pending(fetch) => {
                    let joined = fetch.joined();
                    if timeout(trusted.keys.max_fetch(), fetch.ended()).await.is_err() {
                        return Err(trusted.unavailable(Cause::ByHand));
                    }
                    joined
                }
            };
            // one that was on its way already may bring what was true before
            if !joined {
                return if trusted.keys.outage().is_some() { Err(trusted.unavailable(Cause::ByHand)) } else { Ok(()) };
            }
        }
    }

    /// Returns the fetched keys of the configured issuers, to be kept for the next process: see
    /// [`saved_keys`](crate::config::ResourceServerBuilder::saved_keys).
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_bearer::keys::SavedKeys;
    /// use tower_bearer::testing::Idp;
    /// use tower_bearer::ResourceServer;
    ///
    /// let idp = Idp::new("https://id.test/");
    /// let server = ResourceServer::new("https://api.test").trust(&idp).build()?;
    /// server.ready().await?;
    /// let file = serde_json::to_string(&server.save_keys())?;
    ///
    /// // in the next process, while the issuer is down
    /// idp.outage();
    /// let saved: Vec<SavedKeys> = serde_json::from_str(&file)?;
    /// let server = ResourceServer::new("https://api.test").trust(&idp).saved_keys(saved).build()?;
    /// assert!(server.authenticate(&idp.token("alice").sign()).await.is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub fn save_keys(&self) -> Vec<SavedKeys> {
        let engine = self.engine.load();
        let now = engine.policy.clock.moment();
        engine.issuers.iter().filter_map(|trusted| trusted.keys.save(trusted.max_stale(), now)).collect()
    }
}

/// The issuers whose keys cannot be had; returned by [`ResourceServer::ready`].
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct NotReady {
    reasons: Vec<Error>,
}

impl NotReady {
    /// Returns one error for each of them, in the order of their identifiers.
    pub fn reasons(&self) -> &[Error] {
        &self.reasons
    }
}
