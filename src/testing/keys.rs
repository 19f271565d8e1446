//! Keys of the test issuer, made and used by the back end that verifies, too.

use std::sync::Arc;

use serde_json::Value;

use crate::crypto::Private;
use crate::jose::{Algorithm, encode_base64url};

/// A private key, and its public half as a JWK.
#[derive(Clone)]
pub(super) struct SigningKey {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Box<str>,
    pub(super) jwk: Value,
    private: Arc<Private>,
}

impl SigningKey {
    #[expect(clippy::expect_used, reason = "a test issuer without keys can only say so")]
    pub(super) fn generate(algorithm: Algorithm, kid: &str) -> Self {
        let (private, mut jwk) = Private::generate(algorithm.family()).expect("the back end makes a key");
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

    /// Signs as JWS does, and encodes the signature.
    #[expect(clippy::expect_used, reason = "a test issuer that cannot sign can only say so")]
    pub(super) fn sign(&self, message: &[u8]) -> String {
        encode_base64url(&self.private.sign(self.algorithm, message).expect("the key fits the algorithm, and signs"))
    }
}
