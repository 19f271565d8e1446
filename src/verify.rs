//! Step 6, pure: the signature is verified.

use std::sync::Arc;

use crate::crypto::{SignatureVerified, VerifyingKey};
use crate::error::{Error, ErrorKind};
use crate::jose::SignatureBuffer;
use crate::jwks::{Answer, KeySet};
use crate::validate::Plausible;

/// Verifies a plausible token's signature with its issuer's keys.
///
/// Returns the evidence, and the key that gave it. `UnknownKey` means that newer keys may help; `BadSignature` and
/// `UnsupportedAlgorithm`, that they may if a key was replaced under its name.
pub(crate) fn verify<'k>(
    token: &Plausible<'_>,
    keys: &'k KeySet,
) -> Result<(SignatureVerified, &'k Arc<VerifyingKey>), Error> {
    let header = token.header();
    let fail = |kind, detail| Err(Error::new(kind, detail).at(token.issuer()).for_key(header.kid()));
    let issuer = token.issuer();
    let mut candidates = match keys.answer(header.kid(), header.algorithm(), issuer) {
        Answer::Candidates(candidates) => candidates,
        Answer::OtherAlgorithm => {
            return fail(ErrorKind::UnsupportedAlgorithm, "the key of this kid is for another algorithm");
        }
        Answer::Unknown if header.kid().is_none() => {
            return fail(ErrorKind::UnknownKey, "the token has no kid, and no key of the issuer fits its algorithm");
        }
        Answer::Unknown => return fail(ErrorKind::UnknownKey, "the issuer's set has no key of this kid"),
    };
    let mut buffer: SignatureBuffer = [0; size_of::<SignatureBuffer>()];
    let signature = token.signed().signature(&mut buffer)?;
    let message = token.signed().message();
    match candidates.find_map(|key| Some((key.verify(message, signature).ok()?, key))) {
        Some(verified) => Ok(verified),
        None => fail(ErrorKind::BadSignature, "no key that the token may be signed with verifies it"),
    }
}
