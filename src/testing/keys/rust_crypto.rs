//! Keys made by the crates of RustCrypto, and signatures by jsonwebtoken, as the back end verifies
//! them.

use jsonwebtoken::EncodingKey;
use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use p256::elliptic_curve::sec1::ToEncodedPoint;
use p256::pkcs8::EncodePrivateKey;
use rand_core::OsRng;
use rsa::pkcs1::EncodeRsaPrivateKey;
use rsa::traits::PublicKeyParts;
use serde_json::Value;

use super::public;
use crate::jose::{Algorithm, Curve, Family};

pub(super) struct Private(EncodingKey);

impl Private {
    pub(super) fn generate(family: Family) -> Option<(Self, Value)> {
        let (key, public) = match family {
            Family::Ecdsa(curve @ Curve::P256) => {
                let key = p256::SecretKey::random(&mut OsRng);
                let public = public::ecdsa(curve, key.public_key().to_encoded_point(false).as_bytes())?;
                (EncodingKey::from_ec_der(key.to_pkcs8_der().ok()?.as_bytes()), public)
            }
            Family::Ecdsa(curve @ Curve::P384) => {
                let key = p384::SecretKey::random(&mut OsRng);
                let public = public::ecdsa(curve, key.public_key().to_encoded_point(false).as_bytes())?;
                (EncodingKey::from_ec_der(key.to_pkcs8_der().ok()?.as_bytes()), public)
            }
            Family::Ed25519 => {
                let key = ed25519_dalek::SigningKey::generate(&mut OsRng);
                let public = public::ed25519(key.verifying_key().as_bytes());
                (EncodingKey::from_ed_der(key.to_pkcs8_der().ok()?.as_bytes()), public)
            }
            Family::RsaPkcs1 | Family::RsaPss => {
                let key = rsa::RsaPrivateKey::new(&mut OsRng, 2048).ok()?;
                let public = public::rsa(&key.n().to_bytes_be(), &key.e().to_bytes_be());
                (EncodingKey::from_rsa_der(key.to_pkcs1_der().ok()?.as_bytes()), public)
            }
            Family::Hmac => return None,
        };
        Some((Self(key), public))
    }

    pub(super) fn secret(secret: &[u8]) -> Self {
        Self(EncodingKey::from_secret(secret))
    }

    /// Signs; `None` if the key is not for this algorithm.
    pub(super) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Option<Vec<u8>> {
        let algorithm = algorithm.name().parse().ok()?;
        (DEFAULT_PROVIDER.signer_factory)(&algorithm, &self.0).ok()?.try_sign(message).ok()
    }
}
