//! Public keys as JWKs.

use serde_json::{Value, json};

use crate::jose::{Curve, encode_base64url};

/// Returns the members of a key by its uncompressed point.
pub(super) fn ecdsa(curve: Curve, point: &[u8]) -> Option<Value> {
    let (x, y) = point.strip_prefix(&[4])?.split_at_checked(point.len() / 2)?;
    let crv = if curve == Curve::P256 { "P-256" } else { "P-384" };
    Some(json!({ "kty": "EC", "crv": crv, "x": encode_base64url(x), "y": encode_base64url(y) }))
}

pub(super) fn ed25519(x: &[u8]) -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "x": encode_base64url(x) })
}

pub(super) fn rsa(n: &[u8], e: &[u8]) -> Value {
    json!({ "kty": "RSA", "n": encode_base64url(n), "e": encode_base64url(e) })
}
