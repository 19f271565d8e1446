//! The pure-Rust back end, through jsonwebtoken's provider of that name; never its process-wide
//! default, which panics when a build unifies both of its back ends.

use jsonwebtoken::DecodingKey;
use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use sha2::{Digest, Sha256};

use super::material::{BadKey, Material};
use crate::jose::{Algorithm, Curve, encode_base64url};

/// The longest RSA modulus, in bits: the bound of the crate `rsa`. Larger keys cost too much to
/// verify with.
pub(crate) const MAX_RSA_BITS: usize = 4096;

pub(super) struct Key {
    algorithm: jsonwebtoken::Algorithm,
    key: DecodingKey,
}

impl Key {
    pub(super) fn new(algorithm: Algorithm, material: &Material) -> Result<Self, BadKey> {
        let key = match material {
            Material::Ec { curve, x, y } => {
                if !is_on_curve(*curve, &[&[4], &**x, &**y].concat()) {
                    return Err(BadKey::Invalid);
                }
                DecodingKey::from_ec_components(&encode_base64url(x), &encode_base64url(y))
            }
            Material::Ed25519 { x } => {
                ed25519_dalek::VerifyingKey::from_bytes(x).map_err(|_| BadKey::Invalid)?;
                DecodingKey::from_ed_components(&encode_base64url(x))
            }
            Material::Rsa { modulus, exponent } => {
                let (n, e) = (rsa::BigUint::from_bytes_be(modulus), rsa::BigUint::from_bytes_be(exponent));
                rsa::RsaPublicKey::new(n, e).map_err(|_| BadKey::Invalid)?;
                Ok(DecodingKey::from_rsa_raw_components(modulus, exponent))
            }
            Material::Secret(secret) => Ok(DecodingKey::from_secret(secret)),
        };
        // both crates write algorithms by their registered names
        let algorithm = algorithm.name().parse().map_err(|_| BadKey::Invalid)?;
        Ok(Self { algorithm, key: key.map_err(|_| BadKey::Invalid)? })
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Option<()> {
        let verifier = (DEFAULT_PROVIDER.verifier_factory)(&self.algorithm, &self.key).ok()?;
        verifier.verify(message, &signature.to_vec()).ok()
    }
}

fn is_on_curve(curve: Curve, point: &[u8]) -> bool {
    match curve {
        Curve::P256 => p256::PublicKey::from_sec1_bytes(point).is_ok(),
        Curve::P384 => p384::PublicKey::from_sec1_bytes(point).is_ok(),
    }
}

/// SHA-256 (FIPS 180-4) of the parts, one after the other.
pub(super) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    parts.iter().fold(Sha256::new(), Digest::chain_update).finalize().into()
}

#[cfg(feature = "dpop")]
pub(super) struct Mac(hmac::Hmac<Sha256>);

#[cfg(feature = "dpop")]
impl Mac {
    pub(super) fn new(secret: &[u8]) -> Option<Self> {
        hmac::Mac::new_from_slice(secret).ok().map(Self)
    }

    pub(super) fn sign(&self, parts: &[&[u8]]) -> [u8; 32] {
        hmac::Mac::finalize(self.of(parts)).into_bytes().into()
    }

    /// Compares in constant time.
    pub(super) fn knows(&self, parts: &[&[u8]], first: &[u8]) -> bool {
        hmac::Mac::verify_truncated_left(self.of(parts), first).is_ok()
    }

    fn of(&self, parts: &[&[u8]]) -> hmac::Hmac<Sha256> {
        parts.iter().fold(self.0.clone(), hmac::Mac::chain_update)
    }
}

#[cfg(feature = "dpop")]
pub(super) fn fill_random(bytes: &mut [u8]) -> bool {
    use rand_core::RngCore as _;

    rand_core::OsRng.try_fill_bytes(bytes).is_ok()
}
