//! All that a token is judged by, and the judgement, as far as it needs no wait.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::TrustedIssuer;
use super::attempt::{Lack, Refusal};
use super::found::{Found, FoundIssuers};
use crate::access_token::Verified;
use crate::credential::BearerToken;
use crate::error::{Error, ErrorKind};
use crate::issuer::{IssuerSet, ServerPolicy};
use crate::jose::{Compact, Json, Value};
use crate::token_cache::TokenCache;
use crate::trace::{count, gauge};
use crate::validate::Plausible;
use crate::verify::verify;

/// A server's configuration in force. A reload replaces it as a whole.
pub(super) struct Engine<C> {
    pub(super) issuers: IssuerSet<Arc<TrustedIssuer>>,
    pub(super) found: FoundIssuers,
    pub(super) policy: Arc<ServerPolicy>,
    pub(super) cache: TokenCache<C, TrustedIssuer>,
    /// How long a request waits for keys.
    pub(super) key_wait: Duration,
    pub(super) read: fn(&Json) -> Result<C, Error>,
}

impl<C: Send + Sync + 'static> Engine<C> {
    /// The journey.
    pub(super) fn verify(&self, token: BearerToken<'_>, decided: Option<&Arc<TrustedIssuer>>) -> Result<Verified<C>, Refusal> {
        let compact = Compact::parse(token)?;
        let trusted = self.select(compact.json.root().get("iss"), decided)?;
        let now = self.policy.clock.moment();
        let plausible = Plausible::check(compact, &trusted.policy, now.wall)?;
        let current = trusted.keys.current(now.instant);
        let generation = current.as_ref().map_or(0, |snapshot| snapshot.generation());
        let lacking = |lack| Refusal::Keys { trusted: Arc::clone(&trusted), generation, lack };
        let Some(keys) = current.as_ref().and_then(|snapshot| snapshot.keys(trusted.max_stale, now)) else {
            return Err(lacking(Lack::NoKeys));
        };
        let (verified, key) = verify(&plausible, keys).map_err(|error| {
            let kid = plausible.header().kid();
            let unfit = matches!(error.kind(), ErrorKind::BadSignature | ErrorKind::UnsupportedAlgorithm);
            if error.kind() == ErrorKind::UnknownKey || unfit && kid.is_none() {
                lacking(Lack::UnknownKid(trusted.keys.fingerprint(kid), error))
            } else if unfit {
                lacking(Lack::BadSignature(error))
            } else {
                error.into()
            }
        })?;
        self.found.prove(&trusted);
        let verified = Verified::read(plausible, verified, self.read)?;
        let configured = trusted.found.is_none().then(|| Arc::clone(&trusted));
        self.cache.insert(token.as_str().as_bytes(), &verified, configured, (key, generation), now.wall);
        count!("tower_bearer_token_cache_total", "result" => "miss");
        if self.cache.is_time_to_report(now.wall) {
            gauge!("tower_bearer_token_cache_bytes", self.cache.weight());
        }
        Ok(verified)
    }

    /// Looks for a token that was verified before, and checks again all that may have changed since.
    pub(super) fn known(&self, token: &[u8]) -> Option<Verified<C>> {
        let known = self.cache.get(token, |entry| {
            let trusted = match entry.issuer() {
                // for as long as this engine and its cache live
                Some(configured) => Cow::Borrowed(configured),
                None => Cow::Owned(self.found.find(&entry.token().policy().issuer).trusted()?),
            };
            let now = self.policy.clock.moment();
            let current = trusted.keys.current(now.instant);
            let snapshot = current.as_ref().filter(|_| Arc::ptr_eq(&trusted.policy, entry.token().policy()))?;
            let keys = snapshot.keys(trusted.max_stale, now)?;
            entry.check(keys, snapshot.generation(), now.wall).then(|| entry.token().clone())
        })?;
        count!("tower_bearer_token_cache_total", "result" => "hit");
        Some(known)
    }

    /// Selects the issuer that a token names: a configured one, or one that was found at run time.
    pub(super) fn select<'e>(
        &'e self,
        iss: Option<Value<'_>>,
        decided: Option<&'e Arc<TrustedIssuer>>,
    ) -> Result<Cow<'e, Arc<TrustedIssuer>>, Refusal> {
        let error = match (self.issuers.select(iss), decided) {
            (Ok(trusted), _) | (Err(_), Some(trusted)) => return Ok(Cow::Borrowed(trusted)),
            (Err(error), None) => error,
        };
        if error.kind() != ErrorKind::UnknownIssuer || self.found.is_closed() {
            return Err(error.into());
        }
        let issuer = iss.and_then(Value::as_str).unwrap_or_default();
        match self.found.find(issuer) {
            Found::Trusted(trusted) => Ok(Cow::Owned(trusted)),
            Found::Refused(error) => Err(error.into()),
            Found::Unknown => Err(Refusal::Undecided(issuer.into())),
        }
    }
}
