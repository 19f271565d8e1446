//! Where an issuer is asked, and one question.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::task::spawn_blocking;
use url::Url;

use super::question::Question;
use super::signed;
use crate::clock::UnixTime;
use crate::introspection::{Fault, Introspection, Said};
use crate::issuer::Policy;
use crate::jwks::{Discovered, HttpAccess, Keys};

/// Where an issuer is asked about its tokens, and how.
pub(crate) struct Endpoint {
    settings: Introspection,
    access: HttpAccess,
    /// The given address; `None` if it is to be discovered.
    given: Option<Url>,
    discovered: Discovered,
}

impl Endpoint {
    /// Checks the addresses, and the secret if it is at hand; the error names the setting, and says
    /// what is wrong with it.
    pub(crate) fn new(
        access: &HttpAccess,
        issuer: &str,
        settings: Introspection,
    ) -> Result<Self, (&'static str, Cow<'static, str>)> {
        let access = access.for_secrets();
        if !access.client.has_bodies {
            let fix = "it was made by from_service, and cannot send a token; make it by from_service_with_bodies";
            return Err(("http_client", fix.into()));
        }
        let given = settings.endpoint.as_deref().map(|url| access.checked(url, true)).transpose();
        let given = given.map_err(|fix| ("introspection.endpoint", fix.into()))?;
        let discovered = Discovered::new(access.clone(), issuer, "introspection_endpoint");
        if given.is_none() && discovered.check().is_err() {
            let fix = "no metadata can be found below the issuer's identifier; give the address";
            return Err(("introspection.endpoint", fix.into()));
        }
        if let Err(fault) = try_secret(&settings, issuer) {
            return Err(("introspection.client", fault.detail));
        }
        Ok(Self { settings, access, given, discovered })
    }

    pub(crate) fn settings(&self) -> &Introspection {
        &self.settings
    }

    /// Asks about a token, at the issuer with this policy and these keys. Each request may take so
    /// long.
    pub(crate) async fn ask(
        &self,
        token: &str,
        policy: &Arc<Policy>,
        keys: &Keys,
        within: Duration,
    ) -> Result<Said, Fault> {
        let now = policy.server.clock.now();
        let secret = self.secret().await?;
        let audiences = if policy.terms.any_aud { &[] } else { policy.audiences() };
        let question =
            Question { settings: &self.settings, issuer: &policy.issuer, token, audiences, secret: &secret, now };
        let outgoing = question.write()?;
        let failed = |error: crate::jwks::FetchError| Fault::outage(error.report());
        let (url, new) = match &self.given {
            Some(given) => (given.clone(), None),
            None => self.discovered.url(within).await.map(|(url, new)| (url, Some(new))).map_err(failed)?,
        };
        let answer = self.access.client.send(url.clone(), outgoing, within).await.map_err(failed);
        if let Some(new) = new {
            let good = answer.as_ref().is_ok_and(|answer| answer.status() == StatusCode::OK);
            self.discovered.note(url, new, good);
        }
        let said = self.settings.read(answer?, policy.server.clock.now())?;
        match said {
            Said::Signed(text) => signed::read(&text, &self.settings.client.client, policy, keys).await,
            Said::Active(_) | Said::Inactive => Ok(said),
        }
    }

    /// Reads the secret of this service, as it is now.
    async fn secret(&self) -> Result<Arc<str>, Fault> {
        let Some(secret) = self.settings.client.secret() else { return Ok("".into()) };
        let read = if secret.is_at_hand() {
            secret.read()
        } else {
            let secret = secret.clone();
            // a function of the application may panic
            spawn_blocking(move || secret.read()).await.unwrap_or_else(|_| Err("its function panicked".to_owned()))
        };
        read.map_err(no_secret)
    }
}

/// Writes a question that is not sent, for the sake of the faults of a secret that is at hand.
fn try_secret(settings: &Introspection, issuer: &str) -> Result<(), Fault> {
    let Some(secret) = settings.client.secret().filter(|secret| secret.is_at_hand()) else { return Ok(()) };
    let secret = secret.read().map_err(no_secret)?;
    let now = UnixTime::default();
    Question { settings, issuer, token: "", audiences: &[], secret: &secret, now }.write().map(drop)
}

fn no_secret(why: String) -> Fault {
    Fault::outage(format!("the secret of this service cannot be had: {why}"))
}
