//! Keys that are configured, not fetched.

use std::fmt;

use super::jwk::{Jwk, SkipReason};
use super::key_set::KeySet;
use super::pem;
use crate::crypto::Material;
use crate::jose::{Algorithm, Hash};

/// Keys that are known from the start and never change: for tests, air-gapped services, and issuers that publish none.
///
/// # Examples
///
/// ```
/// use tower_bearer::{Algorithm, Issuer, ResourceServer, StaticKeys};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = StaticKeys::jwks(r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"2026",
///     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#)?;
/// let server = ResourceServer::new("https://api.example.com")
///     .trust((Issuer::new("https://id.example.com/"), keys))
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct StaticKeys {
    set: KeySet,
    symmetric: Option<Algorithm>,
}

impl StaticKeys {
    /// Reads a JWK Set (RFC 7517 §5).
    ///
    /// # Errors
    ///
    /// If the text is not a JWK Set or holds no usable key; the error names each key that was skipped.
    pub fn jwks(document: &str) -> Result<Self, KeyError> {
        let set = KeySet::parse(document.as_bytes(), None).ok_or(KeyError::NotAKeySet)?;
        if set.is_empty() {
            return Err(KeyError::NoUsableKey(
                set.skipped().iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            ));
        }
        Ok(Self { set, symmetric: None })
    }

    /// Reads one public key in PEM, `PUBLIC KEY` or `RSA PUBLIC KEY`, to be used with `algorithm`.
    ///
    /// It verifies tokens with any `kid`, or none.
    ///
    /// # Errors
    ///
    /// If the text holds no such key, or one that is too weak or does not fit the algorithm.
    pub fn pem(algorithm: Algorithm, text: &str) -> Result<Self, KeyError> {
        let material = pem::parse(text).ok_or(KeyError::NotAPublicKey)?;
        if !material.fits(algorithm) {
            return Err(KeyError::OtherAlgorithm(algorithm));
        }
        let key = Jwk::prepare(None, &[algorithm], material).map_err(KeyError::Unusable)?;
        Ok(Self { set: KeySet::of(key), symmetric: None })
    }

    /// Uses a secret that is shared with the issuer. It verifies tokens with any `kid`, or none.
    ///
    /// # Errors
    ///
    /// If `algorithm` is not one of the HMAC algorithms, or the secret is shorter than its hash (RFC 7518 §3.2).
    ///
    /// # Security
    ///
    /// Whoever can verify with this secret can also mint tokens with it: each service that holds it can pose as every
    /// user towards all the others. Prefer an issuer that publishes public keys.
    pub fn hmac(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        if !algorithm.is_symmetric() {
            return Err(KeyError::OtherAlgorithm(algorithm));
        }
        let min = match algorithm.hash() {
            Hash::Sha256 => 32,
            Hash::Sha384 => 48,
            Hash::Sha512 => 64,
        };
        if secret.len() < min {
            return Err(KeyError::ShortSecret { min });
        }
        let key = Jwk::prepare(None, &[algorithm], Material::Secret(secret.to_vec())).map_err(KeyError::Unusable)?;
        Ok(Self { set: KeySet::of(key), symmetric: Some(algorithm) })
    }

    pub(crate) fn into_parts(self) -> (KeySet, Option<Algorithm>) {
        (self.set, self.symmetric)
    }
}

impl fmt::Debug for StaticKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticKeys").field("keys", &self.set.status()).finish()
    }
}

/// Why configured keys cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The set is well-formed, but each of its keys was skipped.
    #[error("the key set holds no usable key: {0}")]
    NoUsableKey(String),
    /// The text is not a JWK Set.
    #[error("the text is not a JSON object with an array `keys`")]
    NotAKeySet,
    /// The text is not a public key in PEM.
    #[error("the text is not a PEM block `PUBLIC KEY` or `RSA PUBLIC KEY` with an RSA, P-256, P-384 or Ed25519 key")]
    NotAPublicKey,
    /// The algorithm is for another type of key.
    #[error("{0} is for another type of key")]
    OtherAlgorithm(Algorithm),
    /// The secret is too short.
    #[error("the secret is shorter than {min} bytes, which its hash demands")]
    ShortSecret {
        /// The fewest bytes that will do.
        min: usize,
    },
    /// The key is weak or invalid.
    #[error("the key cannot be used: {0}")]
    Unusable(SkipReason),
}
