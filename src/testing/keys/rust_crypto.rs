//! Keys made by the crates of RustCrypto.

use p256::elliptic_curve::sec1::ToEncodedPoint;
use p256::pkcs8::EncodePrivateKey;
use rand_core::OsRng;
use rsa::pkcs1::EncodeRsaPrivateKey;
use rsa::traits::PublicKeyParts;

use super::{Generated, Public, point};
use crate::jose::{Curve, Family};

pub(super) fn key(family: Family) -> Option<Generated> {
    match family {
        Family::Ecdsa(Curve::P256) => {
            let key = p256::SecretKey::random(&mut OsRng);
            let public = point(key.public_key().to_encoded_point(false).as_bytes())?;
            Some(Generated { der: key.to_pkcs8_der().ok()?.as_bytes().to_vec(), public })
        }
        Family::Ecdsa(Curve::P384) => {
            let key = p384::SecretKey::random(&mut OsRng);
            let public = point(key.public_key().to_encoded_point(false).as_bytes())?;
            Some(Generated { der: key.to_pkcs8_der().ok()?.as_bytes().to_vec(), public })
        }
        Family::Ed25519 => {
            let key = ed25519_dalek::SigningKey::generate(&mut OsRng);
            let x = key.verifying_key().as_bytes().to_vec();
            Some(Generated { der: key.to_pkcs8_der().ok()?.as_bytes().to_vec(), public: Public::Ed25519 { x } })
        }
        Family::RsaPkcs1 | Family::RsaPss => {
            let key = rsa::RsaPrivateKey::new(&mut OsRng, 2048).ok()?;
            let (n, e) = (key.n().to_bytes_be(), key.e().to_bytes_be());
            Some(Generated { der: key.to_pkcs1_der().ok()?.as_bytes().to_vec(), public: Public::Rsa { n, e } })
        }
        Family::Hmac => None,
    }
}
