//! Logout tokens, verified as access tokens are, and by terms of their own.

use std::sync::Arc;
use std::time::Duration;

use super::ResourceServer;
use super::engine::Engine;
use super::trust::TrustedIssuer;
use super::verifier::{Lack, Unverified};
use crate::credential::BearerToken;
use crate::error::Error;
use crate::issuer::{Policy, Terms};
use crate::jose::Compact;
use crate::validate::Claimed;

/// OpenID Connect Back-Channel Logout 1.0 §4 wants two minutes; what is remembered of a token is
/// remembered for so long.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// For whom logout tokens are, and of what type.
#[derive(Clone)]
pub(crate) struct LogoutTerms {
    pub(crate) clients: Vec<Box<str>>,
    /// Whether one that does not say its type, or says `JWT`, will do.
    pub(crate) legacy_typ: bool,
}

impl<C: Send + Sync + 'static> ResourceServer<C> {
    /// Verifies a logout token by the keys of its issuer, as far as all tokens are.
    pub(crate) async fn verify_logout(&self, token: &[u8], terms: &LogoutTerms) -> Result<Claimed, Error> {
        let engine = self.engine.load_full();
        let token = BearerToken::from_bytes(token, engine.policy.max_token_len)?;
        let verify =
            |token: BearerToken<'_>, decided: Option<&Arc<TrustedIssuer>>| engine.verify_logout(token, decided, terms);
        match engine.verify_or_order(token, None, None, &verify) {
            Ok(claimed) => Ok(claimed),
            Err(Unverified::Refused(error)) => Err(error),
            Err(Unverified::Lacking(wait)) => engine.wait(&token.into_owned(), wait, engine.deadline(), &verify).await,
        }
    }
}

impl<C: Send + Sync + 'static> Engine<C> {
    fn verify_logout(
        &self,
        token: BearerToken<'_>,
        decided: Option<&Arc<TrustedIssuer>>,
        terms: &LogoutTerms,
    ) -> Result<Claimed, Unverified<Lack>> {
        let compact = Compact::parse(token)?;
        let trusted = self.select(compact.json.root().get("iss"), decided)?;
        let policy = Arc::new(terms.of(&trusted.policy));
        let (plausible, verified, _) = trusted.verify(compact, &policy, self.policy.clock.moment())?;
        self.lookup.note_verified(&trusted);
        Ok(plausible.into_claimed(verified))
    }
}

impl LogoutTerms {
    /// Changes the terms on which an issuer's access tokens are accepted: keys, algorithms and
    /// clocks are the same, and what is said of access tokens does not count.
    fn of(&self, policy: &Policy) -> Policy {
        let types: &[&str] = if self.legacy_typ { &["logout+jwt", "jwt"] } else { &["logout+jwt"] };
        let theirs = &policy.terms;
        let terms = Terms {
            also_known_as: theirs.also_known_as.clone(),
            audiences: Some(self.clients.clone()),
            algorithms: theirs.algorithms.clone(),
            leeway: theirs.leeway,
            max_lifetime: Some(MAX_LIFETIME),
            max_stale: theirs.max_stale,
            // whose keys are not theirs alone
            load_balancers: theirs.load_balancers.clone(),
            types: types.iter().map(|typ| (*typ).into()).collect(),
            untyped: self.legacy_typ,
            logout: true,
            numeric_ids: theirs.numeric_ids,
            ..Terms::default()
        };
        Policy { issuer: Arc::clone(&policy.issuer), terms, server: Arc::clone(&policy.server) }
    }
}
