//! What an issuer is to be asked about.

use std::sync::Arc;

use crate::clock::UnixTime;
use crate::error::Error;
use crate::introspection_client::unavailable;
use crate::server::trust::TrustedIssuer;
use crate::validate::About;

/// A question about a token that is at hand.
pub(in crate::server) struct Question {
    pub(super) trusted: Arc<TrustedIssuer>,
    pub(super) about: About,
    /// When the token expires by its own word, where that is not known to be true.
    pub(super) expires: Option<UnixTime>,
}

impl Question {
    pub(in crate::server) fn issuer(&self) -> &Arc<str> {
        &self.trusted.policy.issuer
    }

    /// Says what to answer if it is not asked.
    pub(in crate::server) fn into_error(self) -> Error {
        unavailable("its issuer was not asked").at(&self.trusted.policy.issuer)
    }
}
