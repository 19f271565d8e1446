//! Keys made by aws-lc-rs.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
};
use pkcs1::RsaPrivateKey;
use pkcs8::PrivateKeyInfo;
use spki::der::Decode;

use super::{Generated, Public, point};
use crate::jose::{Curve, Family};

pub(super) fn key(family: Family) -> Option<Generated> {
    match family {
        Family::Ecdsa(curve) => {
            let pair = EcdsaKeyPair::generate(match curve {
                Curve::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
                Curve::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
            });
            let pair = pair.ok()?;
            Some(Generated {
                der: pair.to_pkcs8v1().ok()?.as_ref().to_vec(),
                public: point(pair.public_key().as_ref())?,
            })
        }
        Family::Ed25519 => {
            let pair = Ed25519KeyPair::generate().ok()?;
            let x = pair.public_key().as_ref().to_vec();
            Some(Generated { der: pair.to_pkcs8v1().ok()?.as_ref().to_vec(), public: Public::Ed25519 { x } })
        }
        Family::RsaPkcs1 | Family::RsaPss => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).ok()?;
            let pkcs8: Pkcs8V1Der<'_> = pair.as_der().ok()?;
            let der = PrivateKeyInfo::from_der(pkcs8.as_ref()).ok()?.private_key.to_vec();
            let private = RsaPrivateKey::from_der(&der).ok()?;
            let (n, e) = (private.modulus.as_bytes().to_vec(), private.public_exponent.as_bytes().to_vec());
            Some(Generated { der, public: Public::Rsa { n, e } })
        }
        Family::Hmac => None,
    }
}
