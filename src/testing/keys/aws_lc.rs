//! Keys and signatures by aws-lc-rs.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
};
use pkcs1::RsaPublicKey;
use serde_json::Value;
use spki::der::Decode;

use super::public;
use crate::jose::{Algorithm, Curve, Family, Hash};

pub(super) enum Private {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
    Secret(Box<[u8]>),
}

impl Private {
    pub(super) fn generate(family: Family) -> Option<(Self, Value)> {
        match family {
            Family::Ecdsa(curve) => {
                let pair = EcdsaKeyPair::generate(match curve {
                    Curve::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
                    Curve::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
                });
                let pair = pair.ok()?;
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

    pub(super) fn secret(secret: &[u8]) -> Self {
        Self::Secret(secret.into())
    }

    /// Signs; `None` if the key is not for this algorithm.
    pub(super) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match (self, algorithm.family()) {
            (Self::Ecdsa(pair), Family::Ecdsa(_)) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            (Self::Ed25519(pair), Family::Ed25519) => Some(pair.sign(message).as_ref().to_vec()),
            (Self::Rsa(pair), Family::RsaPkcs1 | Family::RsaPss) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding(algorithm), &random, message, &mut signature).ok()?;
                Some(signature)
            }
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
