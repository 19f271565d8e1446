//! What the application has to say about each token.

use std::sync::Arc;

use super::ResourceServerBuilder;
use crate::checks::{Stance, TokenCheck};
use crate::revocation::RevocationList;

impl<C: Send + Sync + 'static> ResourceServerBuilder<C> {
    /// Asks the application about each token, on every request; may be called several times, and
    /// the checks are asked in this order.
    ///
    /// A request whose check cannot tell is refused with 503; [`check_with`](Self::check_with) says
    /// otherwise.
    #[must_use]
    pub fn check(self, check: impl TokenCheck) -> Self {
        self.check_with(check, Stance::refuse())
    }

    /// Asks the application about each token, as [`check`](Self::check) does, and says what becomes
    /// of requests if it cannot tell.
    #[must_use]
    pub fn check_with(mut self, check: impl TokenCheck, stance: Stance) -> Self {
        self.settings.checks.own.push((Arc::new(check), stance));
        self
    }

    /// Refuses the tokens that are in a list of revoked ones, before any [check](Self::check) is
    /// asked. Streams that [`deadline`](crate::deadline) watches end when their token gets there.
    ///
    /// A request whose token the list cannot tell about is refused with 503;
    /// [`revocation_list_with`](Self::revocation_list_with) says otherwise. A second list replaces
    /// the first.
    #[must_use]
    pub fn revocation_list(self, list: RevocationList) -> Self {
        self.revocation_list_with(list, Stance::refuse())
    }

    /// Refuses the tokens that are in a list of revoked ones, as
    /// [`revocation_list`](Self::revocation_list) does, and says what becomes of requests if the
    /// list cannot tell.
    #[must_use]
    pub fn revocation_list_with(mut self, list: RevocationList, stance: Stance) -> Self {
        self.settings.checks.revocations = Some(stance);
        self.settings.revocations = Some(list);
        self
    }
}
