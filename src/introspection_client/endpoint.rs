//! One question to an issuer.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::address::Address;
use super::credentials::{Credentials, no_secret};
use super::question::Question;
use super::signed;
use crate::clock::UnixTime;
use crate::introspection::{Fault, Introspection, Said};
use crate::issuer::Policy;
use crate::jwks::{FetchError, HttpAccess, Keys};

/// Where an issuer is asked about its tokens, and how.
pub(crate) struct Endpoint {
    settings: Introspection,
    access: HttpAccess,
    address: Address,
    credentials: Credentials,
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
        let address = Address::new(&access, issuer, settings.endpoint.as_deref());
        let address = address.map_err(|fix| ("introspection.endpoint", fix.into()))?;
        if let Err(fault) = try_secret(&settings, issuer) {
            return Err(("introspection.client", fault.detail));
        }
        Ok(Self { settings, access, address, credentials: Credentials::default() })
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
        let secret = match self.settings.client.secret() {
            Some(secret) => self.credentials.read(secret, within).await?,
            None => "".into(),
        };
        let audiences = if policy.terms.any_aud { &[] } else { policy.audiences() };
        let question =
            Question { settings: &self.settings, issuer: &policy.issuer, token, audiences, secret: &secret, now };
        let outgoing = question.write()?;
        let url = self.address.url(within).await?;
        let answer = self.access.client.send(url.clone(), outgoing, within).await.map_err(|error| no_answer(&error))?;
        self.address.note(&url, answer.status());
        let said = self.settings.read(answer, policy.server.clock.now())?;
        match said {
            Said::Signed(text) => signed::read(&text, &self.settings.client.client, policy, keys).await,
            Said::Active(_) | Said::Inactive => Ok(said),
        }
    }
}

/// What has been answered at too great a length may be about its token only.
fn no_answer(error: &FetchError) -> Fault {
    if error.is_too_long() { Fault::of_answer(error.report()) } else { Fault::outage(error.report()) }
}

/// Writes a question that is not sent, for the sake of the faults of a secret that is at hand.
fn try_secret(settings: &Introspection, issuer: &str) -> Result<(), Fault> {
    let Some(secret) = settings.client.secret().filter(|secret| secret.is_at_hand()) else { return Ok(()) };
    let secret = secret.read().map_err(|why| no_secret(&why))?;
    let now = UnixTime::default();
    Question { settings, issuer, token: "", audiences: &[], secret: &secret, now }.write().map(drop)
}
