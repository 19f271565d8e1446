//! aws-lc-rs. Public keys are parsed once.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
};
use aws_lc_rs::{digest, hmac};

use super::material::{BadKey, Material};
use crate::jose::{Algorithm, Curve, Family, Hash};

/// The longest RSA modulus, in bits.
pub(crate) const MAX_RSA_BITS: usize = 8192;

pub(super) enum Key {
    /// Boxed for its size.
    Hmac(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

impl Key {
    pub(super) fn new(algorithm: Algorithm, material: &Material) -> Result<Self, BadKey> {
        let public = match material {
            Material::Ec { curve, x, y } => {
                let parameters = match curve {
                    Curve::P256 => &ECDSA_P256_SHA256_FIXED,
                    Curve::P384 => &ECDSA_P384_SHA384_FIXED,
                };
                ParsedPublicKey::new(parameters, [&[4], &**x, &**y].concat())
            }
            Material::Ed25519 { x } => ParsedPublicKey::new(&ED25519, x),
            Material::Rsa { modulus, exponent } => {
                let components = RsaPublicKeyComponents { n: &**modulus, e: &**exponent };
                components.to_parsed_public_key(rsa_parameters(algorithm))
            }
            Material::Secret(secret) => {
                let hash = match algorithm.hash() {
                    Hash::Sha256 => hmac::HMAC_SHA256,
                    Hash::Sha384 => hmac::HMAC_SHA384,
                    Hash::Sha512 => hmac::HMAC_SHA512,
                };
                return Ok(Self::Hmac(Box::new(hmac::Key::new(hash, secret))));
            }
        };
        public.map(Self::Public).map_err(|_| BadKey::Invalid)
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Option<()> {
        match self {
            // compares in constant time
            Self::Hmac(key) => hmac::verify(key, message, signature),
            Self::Public(key) => key.verify_sig(message, signature),
        }
        .ok()
    }
}

fn rsa_parameters(algorithm: Algorithm) -> &'static RsaParameters {
    match (algorithm.family() == Family::RsaPss, algorithm.hash()) {
        (false, Hash::Sha256) => &RSA_PKCS1_2048_8192_SHA256,
        (false, Hash::Sha384) => &RSA_PKCS1_2048_8192_SHA384,
        (false, Hash::Sha512) => &RSA_PKCS1_2048_8192_SHA512,
        (true, Hash::Sha256) => &RSA_PSS_2048_8192_SHA256,
        (true, Hash::Sha384) => &RSA_PSS_2048_8192_SHA384,
        (true, Hash::Sha512) => &RSA_PSS_2048_8192_SHA512,
    }
}

/// SHA-256 (FIPS 180-4) of the parts, one after the other.
pub(super) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut hash = [0; 32];
    // both are 32 bytes
    hash.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    hash
}

#[cfg(feature = "dpop")]
pub(super) struct Mac(hmac::Key);

#[cfg(feature = "dpop")]
impl Mac {
    pub(super) fn new(secret: &[u8]) -> Option<Self> {
        Some(Self(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    pub(super) fn sign(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        parts.iter().for_each(|part| context.update(part));
        let mut code = [0; 32];
        // both are 32 bytes
        code.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        code
    }

    /// Compares in constant time.
    pub(super) fn knows(&self, parts: &[&[u8]], first: &[u8]) -> bool {
        let code = self.sign(parts);
        let same = |code: &[u8]| aws_lc_rs::constant_time::verify_slices_are_equal(code, first).is_ok();
        !first.is_empty() && code.get(..first.len()).is_some_and(same)
    }
}

#[cfg(feature = "dpop")]
pub(super) fn fill_random(bytes: &mut [u8]) -> bool {
    aws_lc_rs::rand::fill(bytes).is_ok()
}
