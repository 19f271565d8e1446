//! Keys of the test issuer, made and used by the back end that verifies, too.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::crypto::Private;
use crate::jose::{Algorithm, encode_base64url};

/// What can be changed in every JWS in the making, be it a token or a proof.
macro_rules! changes_of_jws {
    () => {
        /// Sets any claim.
        pub fn claim(mut self, name: impl Into<String>, value: impl Into<serde_json::Value>) -> Self {
            self.claims.insert(name.into(), value.into());
            self
        }

        /// Leaves out a claim.
        pub fn without(mut self, name: &str) -> Self {
            self.claims.remove(name);
            self
        }

        /// Sets any parameter of the protected header.
        pub fn header(mut self, name: impl Into<String>, value: impl Into<serde_json::Value>) -> Self {
            self.header.insert(name.into(), value.into());
            self
        }

        /// Leaves out a parameter of the protected header.
        pub fn without_header(mut self, name: &str) -> Self {
            self.header.remove(name);
            self
        }

        /// Signs with this secret, and says so in `alg`.
        ///
        /// # Panics
        ///
        /// On signing, if the algorithm is not one of HMAC.
        pub fn secret(mut self, algorithm: $crate::jose::Algorithm, secret: &[u8]) -> Self {
            self.key = Some($crate::testing::keys::SigningKey::secret(algorithm, secret));
            self.header("alg", algorithm.name())
        }

        /// Leaves out the signature and sets `alg` to `none`.
        pub fn unsigned(mut self) -> Self {
            self.key = None;
            self.header("alg", "none")
        }

        /// Uses this text in place of the protected header, whatever it is.
        pub fn raw_header(mut self, text: impl Into<String>) -> Self {
            self.raw_header = Some(text.into());
            self
        }

        /// Uses this text in place of the claims, whatever it is.
        pub fn raw_claims(mut self, text: impl Into<String>) -> Self {
            self.raw_claims = Some(text.into());
            self
        }

        /// Returns the claims as they are so far.
        pub fn claims(&self) -> &serde_json::Map<String, serde_json::Value> {
            &self.claims
        }
    };
}
pub(super) use changes_of_jws;

/// A part of a JWT, as it should be, and what is written in its place.
pub(super) struct Part<'p> {
    pub(super) members: &'p Map<String, Value>,
    pub(super) raw: Option<&'p str>,
}

/// Writes a JWT; without a key, it has no signature.
pub(super) fn jws(header: Part<'_>, claims: Part<'_>, key: Option<&SigningKey>) -> String {
    let [header, claims] = [header, claims].map(|Part { members, raw }| {
        let text = raw.map_or_else(|| Value::Object(members.clone()).to_string(), ToOwned::to_owned);
        encode_base64url(text.as_bytes())
    });
    let message = format!("{header}.{claims}");
    let signature = key.map(|key| key.sign(message.as_bytes())).unwrap_or_default();
    format!("{message}.{signature}")
}

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
