//! All that a token is judged by, and the judgement, as far as it needs no wait.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::resolved::ResolvedIssuers;
use super::token_cache::TokenCache;
use super::trusted_issuer::TrustedIssuer;
use super::verifier::{Lack, Unverified};
use crate::access_token::Verified;
use crate::credential::BearerToken;
use crate::error::{Error, ErrorKind};
use crate::issuer::{IssuerSet, ServerPolicy};
use crate::jose::{Compact, Json, Value};
use crate::trace::count;

/// A server's configuration in force. A reload replaces it as a whole.
pub(super) struct Engine<C> {
    pub(super) issuers: IssuerSet<Arc<TrustedIssuer>>,
    pub(super) resolved: ResolvedIssuers,
    pub(super) policy: Arc<ServerPolicy>,
    pub(super) cache: TokenCache<C>,
    /// How long a request waits for keys.
    pub(super) key_wait: Duration,
    pub(super) read: fn(&Json) -> Result<C, Error>,
}

impl<C: Send + Sync + 'static> Engine<C> {
    /// The journey of a token that is not known. `decided` is its issuer, if that was found before.
    pub(super) fn verify(
        &self,
        token: BearerToken<'_>,
        decided: Option<&Arc<TrustedIssuer>>,
    ) -> Result<Verified<C>, Unverified<Lack>> {
        let compact = Compact::parse(token)?;
        let trusted = self.select(compact.json.root().get("iss"), decided)?;
        let now = self.policy.clock.moment();
        let (plausible, verified, warrant) = trusted.verify(compact, now)?;
        self.resolved.note_verified(&trusted);
        let verified = Verified::new(plausible, verified, self.read)?;
        let configured = trusted.admission.is_none().then(|| Arc::clone(&trusted));
        self.cache.insert(token.as_str().as_bytes(), &verified, configured, warrant, now.wall);
        count!("tower_bearer_token_cache_total", "result" => "miss");
        self.cache.report(now.wall);
        Ok(verified)
    }

    /// Selects the issuer that a token names: a configured one, or one that was found at run time.
    pub(super) fn select<'e>(
        &'e self,
        iss: Option<Value<'_>>,
        decided: Option<&'e Arc<TrustedIssuer>>,
    ) -> Result<Cow<'e, Arc<TrustedIssuer>>, Unverified<Lack>> {
        let error = match (self.issuers.select(iss), decided) {
            (Ok(trusted), _) | (Err(_), Some(trusted)) => return Ok(Cow::Borrowed(trusted)),
            (Err(error), None) => error,
        };
        if error.kind() != ErrorKind::UnknownIssuer || self.resolved.is_closed() {
            return Err(error.into());
        }
        let issuer = iss.and_then(Value::as_str).unwrap_or_default();
        match self.resolved.find(issuer) {
            Some(Ok(trusted)) => Ok(Cow::Owned(trusted)),
            Some(Err(error)) => Err(error.into()),
            None => Err(Unverified::Lacking(Lack::Decision(issuer.into()))),
        }
    }
}
