//! Keys that are configured, not fetched.

use std::fmt;

use super::document::NotAKeySet;
use super::jwk::{Jwk, SkipReason};
use super::pem;
use super::{KeySet, MAX_KEYS, MAX_TRIED_CONFIGURED};
use crate::crypto::Material;
use crate::jose::{Algorithm, Hash};

/// Keys that are known from the start and never change: for tests, air-gapped services, and issuers
/// that publish none.
///
/// # Examples
///
/// ```
/// use tower_bearer::keys::{Algorithm, StaticKeys};
/// use tower_bearer::{Issuer, ResourceServer};
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
    pub(crate) set: KeySet,
    pub(crate) symmetric: Option<Algorithm>,
}

impl StaticKeys {
    /// No keys at all, of an issuer that is asked instead.
    #[cfg(feature = "introspection")]
    pub(crate) fn none() -> Self {
        Self { set: KeySet::default(), symmetric: None }
    }

    /// Reads a JWK Set (RFC 7517 §5).
    ///
    /// A token with a `kid` is verified with the keys of this `kid` only. A token without one is
    /// tried with each key that fits its algorithm, which costs one signature for each: give keys a
    /// `kid` if the issuer writes one into its tokens.
    ///
    /// # Errors
    ///
    /// * The text is not a JWK Set, or has more than 256 keys.
    /// * It holds no usable key; the error names each key that was skipped.
    /// * More than 64 keys would have to be tried for a token, since keys have no `kid`, or the
    ///   same.
    ///
    /// # Security
    ///
    /// Of a key that is only there as a certificate (`x5c`), the public key is read, and nothing
    /// else: neither the certificate's dates nor its chain are checked.
    pub fn jwks(document: &str) -> Result<Self, KeyError> {
        let set = KeySet::parse(document.as_bytes(), None).map_err(KeyError::NotAKeySet)?.configured();
        if set.keys.is_empty() {
            return Err(KeyError::NoUsableKey(
                set.skipped.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            ));
        }
        if set.is_cut_off() {
            return Err(KeyError::TooManyKeys { max: MAX_KEYS });
        }
        if set.most_candidates() > MAX_TRIED_CONFIGURED {
            return Err(KeyError::TooManyAlike { max: MAX_TRIED_CONFIGURED });
        }
        Ok(Self { set, symmetric: None })
    }

    /// Reads one public key in PEM, `PUBLIC KEY`, `RSA PUBLIC KEY` or `CERTIFICATE`, to be used
    /// with `algorithm`.
    ///
    /// It verifies tokens with any `kid`, or none. Of several certificates, the first one counts.
    ///
    /// # Errors
    ///
    /// If the text holds no such key, or one that is too weak or does not fit the algorithm.
    ///
    /// # Security
    ///
    /// Of a certificate, the public key is read, and nothing else: neither its dates nor its chain
    /// are checked.
    pub fn pem(algorithm: Algorithm, text: &str) -> Result<Self, KeyError> {
        let certificate = text.contains("-----BEGIN CERTIFICATE-----");
        let unread = if certificate { KeyError::Certificate } else { KeyError::NotAPublicKey };
        let material = pem::parse(text).ok_or(unread)?;
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
    /// If `algorithm` is not one of the HMAC algorithms, or the secret is shorter than its hash
    /// (RFC 7518 §3.2).
    ///
    /// # Security
    ///
    /// Whoever can verify with this secret can also mint tokens with it: each service that holds it
    /// can pose as every user towards all the others. Prefer an issuer that publishes public keys.
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
    /// The certificate cannot be read, or its key is of a type that is not supported.
    #[error("the certificate cannot be read, or its key is not an RSA, P-256, P-384 or Ed25519 key")]
    Certificate,
    /// The set is well-formed, but each of its keys was skipped.
    #[error("the key set holds no usable key: {0}")]
    NoUsableKey(String),
    /// The text is not a JWK Set.
    #[error("the text is {0}")]
    NotAKeySet(NotAKeySet),
    /// The text is not a public key in PEM.
    #[error(
        "the text is not a PEM block `PUBLIC KEY`, `RSA PUBLIC KEY` or `CERTIFICATE` with an RSA, P-256, P-384 or Ed25519 key"
    )]
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
    /// A token could be from too many keys: those without `kid`, or with the same.
    #[error(
        "more than {max} keys would have to be tried for a token, since keys have no kid, or the same; give each a kid of its own"
    )]
    TooManyAlike {
        /// The most keys that are tried for a token.
        max: usize,
    },
    /// The set has too many keys.
    #[error("the set has more than {max} keys")]
    TooManyKeys {
        /// The most keys that are looked at.
        max: usize,
    },
    /// The key is weak or invalid.
    #[error("the key cannot be used: {0}")]
    Unusable(SkipReason),
}
