//! What the application has to say about each token.

use std::sync::Arc;

use super::ResourceServerBuilder;
use crate::checks::{OnUnavailable, TokenCheck};
use crate::revocation::RevocationList;

impl<C: Send + Sync + 'static> ResourceServerBuilder<C> {
    /// Adds a [check](crate::checks) by which the application is asked about each token, on every
    /// request. Several checks are asked in the order in which they were added.
    ///
    /// If the check cannot tell, the request is refused with 503; use
    /// [`check_with`](Self::check_with) for another [`OnUnavailable`].
    #[must_use]
    pub fn check(self, check: impl TokenCheck) -> Self {
        self.check_with(check, OnUnavailable::fail_closed())
    }

    /// Adds a check, as [`check`](Self::check) does, with the [`OnUnavailable`] that says what becomes of
    /// requests if the check cannot tell.
    ///
    /// A check that panics cannot tell. Each check has a [name](TokenCheck::name) of its own:
    /// [`build`](Self::build) reports two of one name.
    #[must_use]
    pub fn check_with(mut self, check: impl TokenCheck, on_unavailable: OnUnavailable) -> Self {
        self.settings.checks.own.push((Arc::new(check), on_unavailable));
        self
    }

    /// Refuses the tokens that are in a list of revoked ones, before any [check](Self::check) is
    /// asked. Streams that [`deadline`](crate::deadline) watches end when their token gets there.
    ///
    /// If the list cannot tell about a token, the request is refused with 503; use
    /// [`revocation_list_with`](Self::revocation_list_with) for another [`OnUnavailable`]. A second list
    /// replaces the first.
    #[must_use]
    pub fn revocation_list(self, list: RevocationList) -> Self {
        self.revocation_list_with(list, OnUnavailable::fail_closed())
    }

    /// Refuses the tokens that are in a list of revoked ones, as
    /// [`revocation_list`](Self::revocation_list) does, with the [`OnUnavailable`] that says what becomes
    /// of requests if the list cannot tell.
    #[must_use]
    pub fn revocation_list_with(mut self, list: RevocationList, on_unavailable: OnUnavailable) -> Self {
        self.settings.checks.revocations = Some(on_unavailable);
        self.settings.revocations = Some(list);
        self
    }
}
