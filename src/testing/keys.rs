//! Keys of the test issuer, made and used by the back end that verifies, too.

#[cfg(feature = "aws-lc-rs")]
#[path = "keys/aws_lc.rs"]
mod backend;
#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
#[path = "keys/rust_crypto.rs"]
mod backend;

use std::sync::Arc;

use serde_json::{Value, json};

use self::backend::Private;
use crate::jose::{Algorithm, Curve, Family, encode_base64url};

/// A private key, and its public half as a JWK.
#[derive(Clone)]
pub(super) struct SigningKey {
    algorithm: Algorithm,
    kid: Box<str>,
    private: Arc<Private>,
    jwk: Value,
}

/// The members of a public key.
enum Public {
    Ec { x: Vec<u8>, y: Vec<u8> },
    Ed25519 { x: Vec<u8> },
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

impl SigningKey {
    #[expect(clippy::expect_used, reason = "a test issuer without keys can only say so")]
    pub(super) fn generate(algorithm: Algorithm, kid: &str) -> Self {
        let (private, public) = Private::generate(algorithm.family()).expect("the back end makes a key");
        let mut jwk = public.members(algorithm);
        if let Some(members) = jwk.as_object_mut() {
            members.insert("kid".into(), kid.into());
            members.insert("use".into(), "sig".into());
            members.insert("alg".into(), algorithm.name().into());
        }
        Self { algorithm, kid: kid.into(), private: Arc::new(private), jwk }
    }

    /// Uses a shared secret.
    pub(super) fn secret(algorithm: Algorithm, secret: &[u8]) -> Self {
        Self { algorithm, kid: "secret".into(), private: Arc::new(Private::secret(secret)), jwk: Value::Null }
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn kid(&self) -> &str {
        &self.kid
    }

    pub(super) fn jwk(&self) -> Value {
        self.jwk.clone()
    }

    /// Signs as JWS does, and encodes the signature.
    #[expect(clippy::expect_used, reason = "a test issuer that cannot sign can only say so")]
    pub(super) fn sign(&self, message: &[u8]) -> String {
        encode_base64url(&self.private.sign(self.algorithm, message).expect("the key fits the algorithm, and signs"))
    }
}

impl Public {
    fn members(&self, algorithm: Algorithm) -> Value {
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
fn point(bytes: &[u8]) -> Option<Public> {
    let (x, y) = bytes.strip_prefix(&[4])?.split_at_checked(bytes.len() / 2)?;
    Some(Public::Ec { x: x.to_vec(), y: y.to_vec() })
}
