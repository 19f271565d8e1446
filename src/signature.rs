//! Step 6, pure: the signature is verified, by a key that the issuer has for it.

use std::borrow::Cow;
use std::sync::Arc;

use crate::crypto::{SignatureVerified, VerifyingKey};
use crate::error::{Error, ErrorKind};
use crate::jose::SignatureBuffer;
use crate::jwks::{KeySet, Selection};
use crate::validate::Plausible;

/// Verifies a plausible token's signature with its issuer's keys.
///
/// Returns the evidence, and the key that gave it. `UnknownKey` means that newer keys may help;
/// `BadSignature` and `UnsupportedAlgorithm`, that they may if a key was replaced under its name.
pub(crate) fn verify<'k>(
    token: &Plausible<'_>,
    keys: &'k KeySet,
) -> Result<(SignatureVerified, &'k Arc<VerifyingKey>), Error> {
    let header = token.header();
    let fail = |kind, detail: Cow<'static, str>| Err(Error::new(kind, detail).at(token.issuer()).for_key(header.kid()));
    let issuer = token.issuer();
    // AD FS names a key by the thumbprint of its certificate alone, which is the key's `kid`, too
    let name = header.kid().or_else(|| header.x5t().filter(|x5t| keys.has(x5t)));
    let mut candidates = match keys.select(name, header.algorithm, issuer) {
        Selection::Candidates(candidates) => candidates,
        Selection::OtherAlgorithm => return fail(ErrorKind::UnsupportedAlgorithm, OTHER_ALGORITHM.into()),
        Selection::OtherIssuer => return fail(ErrorKind::UnknownKey, OTHER_ISSUER.into()),
        Selection::Unknown => return fail(ErrorKind::UnknownKey, keys.why_unknown(header.kid())),
    };
    let mut buffer: SignatureBuffer = [0; size_of::<SignatureBuffer>()];
    let signature = token.signed().signature(&mut buffer)?;
    let message = token.signed().message();
    let verified = |key: &'k Arc<VerifyingKey>| Some((key.verify(message, signature)?, key));
    match candidates.by_ref().take(keys.max_tried()).find_map(verified) {
        Some(verified) => Ok(verified),
        // the key may be among those that were not tried, so nobody knows whether the signature is
        // bad
        None if candidates.next().is_some() => {
            let max = keys.max_tried();
            let detail = format!(
                "none of the first {max} keys that fit verifies it, and no more are tried; the issuer should name each key by a kid of its own"
            );
            fail(ErrorKind::UnknownKey, detail.into())
        }
        None => fail(ErrorKind::BadSignature, "no key that the token may be signed with verifies it".into()),
    }
}

const OTHER_ALGORITHM: &str = "the key of this kid is for another algorithm";

const OTHER_ISSUER: &str = "the key of this kid is only for the tokens of another issuer, by its member issuer";
