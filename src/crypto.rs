//! The only seam to the crates that do the cryptography.
//!
//! A key is prepared when its set is loaded, for each algorithm that it may be used with; a token
//! then costs one call of [`VerifyingKey::verify`]. (aws-lc-rs parses it only then; the pure-Rust
//! back end, once more for each token.)

#[cfg(feature = "aws-lc-rs")]
#[path = "crypto/aws_lc.rs"]
mod backend;
#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
#[path = "crypto/rust_crypto.rs"]
mod backend;
mod ed25519;
mod material;
#[cfg(any(feature = "introspection", feature = "testing"))]
mod private;
#[cfg(test)]
mod tests;

pub(crate) use self::backend::MAX_RSA_BITS;
pub(crate) use self::material::{BadKey, Material};
#[cfg(any(feature = "introspection", feature = "testing"))]
pub(crate) use self::private::Private;
use crate::jose::Algorithm;

#[cfg(not(any(feature = "aws-lc-rs", feature = "rust-crypto")))]
compile_error!("tower-bearer needs a crypto back end: enable the feature `aws-lc-rs` (default) or `rust-crypto`");

/// The evidence that a signature was verified; only [`VerifyingKey::verify`] makes one.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct SignatureVerified(());

/// Hashes the parts, one after the other, by SHA-256.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    backend::sha256(parts)
}

/// A secret that makes and knows authentication codes: HMAC (RFC 2104) with SHA-256.
#[cfg(feature = "dpop")]
pub(crate) struct MacKey(backend::Mac);

#[cfg(feature = "dpop")]
impl MacKey {
    /// Takes a secret of any length; `None` if the back end does not want it.
    pub(crate) fn new(secret: &[u8]) -> Option<Self> {
        backend::Mac::new(secret).map(Self)
    }

    /// Makes the code of the parts, one after the other.
    pub(crate) fn sign(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.0.sign(parts)
    }

    /// Tells whether these are the first bytes of the code of the parts; in constant time.
    pub(crate) fn knows(&self, parts: &[&[u8]], first: &[u8]) -> bool {
        self.0.knows(parts, first)
    }
}

/// A new secret that nobody can guess; `None` if the system has none to give.
#[cfg(feature = "dpop")]
pub(crate) fn random_secret() -> Option<[u8; 32]> {
    let mut secret = [0; 32];
    backend::fill_random(&mut secret).then_some(secret)
}

/// A key that verifies signatures of exactly one algorithm (RFC 8725 §3.1).
pub(crate) struct VerifyingKey {
    pub(crate) algorithm: Algorithm,
    key: backend::Key,
}

impl VerifyingKey {
    /// Prepares a key. `material` must fit the algorithm.
    pub(crate) fn new(algorithm: Algorithm, material: &Material) -> Result<Self, BadKey> {
        if !material.fits(algorithm) {
            return Err(BadKey::Invalid);
        }
        if let Material::Ed25519 { x } = material {
            ed25519::check(x)?;
        }
        Ok(Self { algorithm, key: backend::Key::new(algorithm, material)? })
    }

    /// Verifies a signature in the form that JWS uses: RSA's octets, or R and S side by side (RFC
    /// 7518 §3.4).
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> Option<SignatureVerified> {
        self.key.verify(message, signature).map(SignatureVerified)
    }
}
