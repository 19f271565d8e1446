//! Public keys as JWKs.

use serde_json::{Value, json};

use crate::jose::{Algorithm, Curve, Family, encode_base64url};

/// The members of a public key.
pub(super) enum Public {
    Ec { x: Vec<u8>, y: Vec<u8> },
    Ed25519 { x: Vec<u8> },
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

impl Public {
    pub(super) fn members(&self, algorithm: Algorithm) -> Value {
        let encode = |bytes: &[u8]| encode_base64url(bytes);
        match self {
            Self::Ec { x, y } => {
                let crv = if algorithm.family() == Family::Ecdsa(Curve::P256) { "P-256" } else { "P-384" };
                json!({ "kty": "EC", "crv": crv, "x": encode(x), "y": encode(y) })
            }
            Self::Ed25519 { x } => json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(x) }),
            Self::Rsa { n, e } => json!({ "kty": "RSA", "n": encode(n), "e": encode(e) }),
        }
    }
}

/// Splits an uncompressed point.
pub(super) fn point(bytes: &[u8]) -> Option<Public> {
    let (x, y) = bytes.strip_prefix(&[4])?.split_at_checked(bytes.len() / 2)?;
    Some(Public::Ec { x: x.to_vec(), y: y.to_vec() })
}
