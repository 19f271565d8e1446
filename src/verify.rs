//! Step 6, pure: the signature is verified. The only place that makes an [`AccessToken`].

use crate::access_token::AccessToken;
use crate::error::{Error, ErrorKind};
use crate::jose::SignatureBuffer;
use crate::jwks::{Answer, KeySet};
use crate::validate::Plausible;

/// Verifies a plausible token with its issuer's keys, then lets `read` see the payload.
///
/// `UnknownKey` means that newer keys may help.
pub(crate) fn verify<C>(
    token: Plausible<'_>,
    keys: &KeySet,
    read: fn(&str) -> Result<C, serde_json::Error>,
) -> Result<AccessToken<C>, Error> {
    let header = token.header();
    let fail = |kind, detail| Err(Error::new(kind, detail).at(token.issuer()).for_key(header.kid()));
    let mut candidates = match keys.answer(header.kid(), header.algorithm()) {
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
    let Some(verified) = candidates.find_map(|key| key.verify(message, signature).ok()) else {
        return fail(ErrorKind::BadSignature, "no key that the token may be signed with verifies it");
    };
    AccessToken::evidence(token, verified, read)
}
