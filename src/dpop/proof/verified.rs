//! The signature of a proof, last.

use std::sync::Arc;

use super::demands::Plausible;
use super::keys::PreparedKeys;
use super::refusal::{invalid, of_key, of_proof};
use crate::clock::UnixTime;
use crate::crypto::{SignatureVerified, sha256};
use crate::dpop::replay::ProofUse;
use crate::error::Error;
use crate::jose::SignatureBuffer;

/// The evidence that whoever has sent a request has the key that its token is bound to; only
/// [`Plausible::verify`] makes one. Whether the proof was used before is for a
/// [`ReplayStore`](crate::dpop::ReplayStore) to say.
#[derive(Debug)]
pub(crate) struct VerifiedProof {
    thumbprint: [u8; 32],
    jti_hash: [u8; 32],
    until: UnixTime,
    _signature: SignatureVerified,
}

impl Plausible<'_> {
    /// Verifies the signature by the key in the proof's header.
    pub(crate) fn verify(self, keys: &PreparedKeys) -> Result<VerifiedProof, Error> {
        let Self { proof, until } = self;
        let name = (*proof.thumbprint(), proof.algorithm());
        let known = keys.find(&name);
        let key = match &known {
            Some(key) => Arc::clone(key),
            None => proof.key()?.prepare(proof.algorithm()).map_err(of_key)?,
        };
        let signed = proof.signed()?;
        let mut buffer: SignatureBuffer = [0; size_of::<SignatureBuffer>()];
        let signature = signed.signature(&mut buffer).map_err(of_proof)?;
        let verified = key.verify(signed.message(), signature);
        let verified = verified.ok_or_else(|| invalid("its signature is not by the key in its jwk"))?;
        if known.is_none() {
            keys.keep(name, key);
        }
        let jti_hash = sha256(&[proof.claim("jti")?.as_bytes()]);
        Ok(VerifiedProof { thumbprint: name.0, jti_hash, until, _signature: verified })
    }
}

impl VerifiedProof {
    /// Returns what the proof is known by, if it comes again.
    pub(crate) fn used_at(&self, now: UnixTime) -> ProofUse {
        ProofUse::at(self.thumbprint, self.jti_hash, now, self.until)
    }
}
