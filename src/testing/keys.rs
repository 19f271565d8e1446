//! Keys of the test issuer, and signatures by jsonwebtoken.

#[cfg(feature = "aws-lc-rs")]
#[path = "keys/aws_lc.rs"]
mod generate;
#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
#[path = "keys/rust_crypto.rs"]
mod generate;

use jsonwebtoken::EncodingKey;
#[cfg(feature = "aws-lc-rs")]
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use serde_json::{Value, json};

use crate::jose::{Algorithm, Curve, Family, encode_base64url};

/// A private key, and its public half as a JWK.
#[derive(Clone)]
pub(super) struct SigningKey {
    algorithm: Algorithm,
    kid: Box<str>,
    private: EncodingKey,
    jwk: Value,
}

/// What the back ends make: a private key in DER, and the members of the public one.
struct Generated {
    /// PKCS #1 for RSA, else PKCS #8.
    der: Vec<u8>,
    public: Public,
}

enum Public {
    Ec { x: Vec<u8>, y: Vec<u8> },
    Ed25519 { x: Vec<u8> },
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

impl SigningKey {
    #[expect(clippy::expect_used, reason = "a test issuer without keys can only say so")]
    pub(super) fn generate(algorithm: Algorithm, kid: &str) -> Self {
        let Generated { der, public } = generate::key(algorithm.family()).expect("the back end makes a key");
        let private = match algorithm.family() {
            Family::Ecdsa(_) => EncodingKey::from_ec_der(&der),
            Family::Ed25519 => EncodingKey::from_ed_der(&der),
            Family::RsaPkcs1 | Family::RsaPss => EncodingKey::from_rsa_der(&der),
            Family::Hmac => EncodingKey::from_secret(&der),
        };
        let mut jwk = public.members(algorithm);
        if let Some(members) = jwk.as_object_mut() {
            members.insert("kid".into(), kid.into());
            members.insert("use".into(), "sig".into());
            members.insert("alg".into(), algorithm.name().into());
        }
        Self { algorithm, kid: kid.into(), private, jwk }
    }

    /// Uses a shared secret.
    pub(super) fn secret(algorithm: Algorithm, secret: &[u8]) -> Self {
        Self { algorithm, kid: "secret".into(), private: EncodingKey::from_secret(secret), jwk: Value::Null }
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
        let algorithm = self.algorithm.name().parse().expect("jsonwebtoken knows the algorithm");
        let signer = (DEFAULT_PROVIDER.signer_factory)(&algorithm, &self.private).expect("the key fits the algorithm");
        encode_base64url(&signer.try_sign(message).expect("the key signs"))
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
