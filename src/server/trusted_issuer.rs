//! What the server keeps of each issuer that it trusts.

use std::sync::Arc;

use super::found::Admission;
use super::verifier::KeyVerifier;
use crate::issuer::Policy;

pub(super) struct TrustedIssuer {
    /// How it was found at run time; `None` if it is configured.
    pub(super) found: Option<Admission>,
    /// The terms on which its tokens are accepted.
    pub(super) policy: Arc<Policy>,
    pub(super) verifier: KeyVerifier,
}
