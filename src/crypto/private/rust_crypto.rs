//! Keys made by the crates of RustCrypto, and signatures by jsonwebtoken, as the back end verifies
//! them.

use jsonwebtoken::EncodingKey;
use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;

use crate::jose::{Algorithm, Curve, Family};

pub(crate) struct Private(EncodingKey);

#[cfg(feature = "testing")]
impl Private {
    /// Makes a key, and its public half as a JWK.
    pub(crate) fn generate(family: Family) -> Option<(Self, serde_json::Value)> {
        use p256::elliptic_curve::sec1::ToEncodedPoint;
        use p256::pkcs8::EncodePrivateKey;
        use rand_core::OsRng;
        use rsa::pkcs1::EncodeRsaPrivateKey;
        use rsa::traits::PublicKeyParts;

        use super::public;

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

    pub(crate) fn secret(secret: &[u8]) -> Self {
        Self(EncodingKey::from_secret(secret))
    }
}

impl Private {
    #[cfg(feature = "introspection")]
    pub(super) fn from_pkcs8(family: Family, der: &[u8]) -> Option<Self> {
        use rsa::pkcs1::EncodeRsaPrivateKey;
        use rsa::pkcs8::DecodePrivateKey;

        // jsonwebtoken looks at a key only when it signs, and then may panic
        match family {
            Family::Ecdsa(Curve::P256) => {
                p256::SecretKey::from_pkcs8_der(der).ok()?;
                Some(Self(EncodingKey::from_ec_der(der)))
            }
            Family::Ecdsa(Curve::P384) => {
                p384::SecretKey::from_pkcs8_der(der).ok()?;
                Some(Self(EncodingKey::from_ec_der(der)))
            }
            Family::Ed25519 => {
                ed25519_dalek::SigningKey::from_pkcs8_der(der).ok()?;
                Some(Self(EncodingKey::from_ed_der(der)))
            }
            Family::RsaPkcs1 | Family::RsaPss => {
                let key = rsa::RsaPrivateKey::from_pkcs8_der(der).ok()?;
                Some(Self(EncodingKey::from_rsa_der(key.to_pkcs1_der().ok()?.as_bytes())))
            }
            Family::Hmac => None,
        }
    }

    #[cfg(feature = "introspection")]
    pub(super) fn from_pkcs1(der: &[u8]) -> Option<Self> {
        use rsa::pkcs1::DecodeRsaPrivateKey;

        rsa::RsaPrivateKey::from_pkcs1_der(der).ok()?;
        Some(Self(EncodingKey::from_rsa_der(der)))
    }

    /// Signs; `None` if the key is not for this algorithm.
    pub(crate) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Option<Vec<u8>> {
        let algorithm = algorithm.name().parse().ok()?;
        (DEFAULT_PROVIDER.signer_factory)(&algorithm, &self.0).ok()?.try_sign(message).ok()
    }
}
