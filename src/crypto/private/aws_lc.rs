//! Keys and signatures by aws-lc-rs.

#[cfg(feature = "testing")]
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding,
};

use crate::jose::{Algorithm, Curve, Family, Hash};

pub(crate) enum Private {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
    #[cfg(feature = "testing")]
    Secret(Box<[u8]>),
}

#[cfg(feature = "testing")]
impl Private {
    /// Makes a key, and its public half as a JWK.
    pub(crate) fn generate(family: Family) -> Option<(Self, serde_json::Value)> {
        use aws_lc_rs::rsa::KeySize;
        use aws_lc_rs::signature::KeyPair;
        use pkcs1::RsaPublicKey;
        use spki::der::Decode;

        use super::public;

        match family {
            Family::Ecdsa(curve) => {
                let pair = EcdsaKeyPair::generate(ecdsa(curve)).ok()?;
                let public = public::ecdsa(curve, pair.public_key().as_ref())?;
                Some((Self::Ecdsa(pair), public))
            }
            Family::Ed25519 => {
                let pair = Ed25519KeyPair::generate().ok()?;
                let public = public::ed25519(pair.public_key().as_ref());
                Some((Self::Ed25519(pair), public))
            }
            Family::RsaPkcs1 | Family::RsaPss => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).ok()?;
                let key = RsaPublicKey::from_der(pair.public_key().as_ref()).ok()?;
                let public = public::rsa(key.modulus.as_bytes(), key.public_exponent.as_bytes());
                Some((Self::Rsa(pair), public))
            }
            Family::Hmac => None,
        }
    }

    pub(crate) fn secret(secret: &[u8]) -> Self {
        Self::Secret(secret.into())
    }
}

impl Private {
    #[cfg(feature = "introspection")]
    pub(super) fn from_pkcs8(family: Family, der: &[u8]) -> Option<Self> {
        match family {
            Family::Ecdsa(curve) => EcdsaKeyPair::from_pkcs8(ecdsa(curve), der).ok().map(Self::Ecdsa),
            // many tools leave the public half out
            Family::Ed25519 => Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok().map(Self::Ed25519),
            Family::RsaPkcs1 | Family::RsaPss => RsaKeyPair::from_pkcs8(der).ok().map(Self::Rsa),
            Family::Hmac => None,
        }
    }

    #[cfg(feature = "introspection")]
    pub(super) fn from_pkcs1(der: &[u8]) -> Option<Self> {
        RsaKeyPair::from_der(der).ok().map(Self::Rsa)
    }

    /// Signs; `None` if the key is not for this algorithm.
    pub(crate) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match (self, algorithm.family()) {
            (Self::Ecdsa(pair), Family::Ecdsa(_)) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            (Self::Ed25519(pair), Family::Ed25519) => Some(pair.sign(message).as_ref().to_vec()),
            (Self::Rsa(pair), Family::RsaPkcs1 | Family::RsaPss) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding(algorithm), &random, message, &mut signature).ok()?;
                Some(signature)
            }
            #[cfg(feature = "testing")]
            (Self::Secret(secret), Family::Hmac) => {
                let hash = match algorithm.hash() {
                    Hash::Sha256 => hmac::HMAC_SHA256,
                    Hash::Sha384 => hmac::HMAC_SHA384,
                    Hash::Sha512 => hmac::HMAC_SHA512,
                };
                Some(hmac::sign(&hmac::Key::new(hash, secret), message).as_ref().to_vec())
            }
            _ => None,
        }
    }
}

fn ecdsa(curve: Curve) -> &'static EcdsaSigningAlgorithm {
    match curve {
        Curve::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
        Curve::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
    }
}

fn encoding(algorithm: Algorithm) -> &'static dyn RsaEncoding {
    match (algorithm.family() == Family::RsaPss, algorithm.hash()) {
        (false, Hash::Sha256) => &RSA_PKCS1_SHA256,
        (false, Hash::Sha384) => &RSA_PKCS1_SHA384,
        (false, Hash::Sha512) => &RSA_PKCS1_SHA512,
        (true, Hash::Sha256) => &RSA_PSS_SHA256,
        (true, Hash::Sha384) => &RSA_PSS_SHA384,
        (true, Hash::Sha512) => &RSA_PSS_SHA512,
    }
}
