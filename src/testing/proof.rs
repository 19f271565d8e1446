//! Keys of clients, and their DPoP proofs (RFC 9449), right and wrong.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::keys::{Part, SigningKey, changes_of_jws, jws};
use crate::clock::{Clock, SystemClock};
use crate::crypto::sha256;
use crate::jose::{Algorithm, encode_base64url};
use crate::sync::random;

/// A client's key, to which tokens are bound, and by which its DPoP proofs are signed (RFC 9449).
///
/// Clones are the same key.
///
/// # Examples
///
/// ```
/// use tower_bearer::testing::{Idp, ProofKey};
///
/// let (idp, key) = (Idp::new("https://id.test/"), ProofKey::new());
/// let token = idp.token("alice").bound_to(&key).sign();
/// let proof = key.proof("GET", "https://api.test/orders").token(&token).sign();
/// let request = http::Request::get("/orders")
///     .header("authorization", format!("DPoP {token}"))
///     .header("dpop", proof);
/// ```
#[derive(Clone)]
pub struct ProofKey {
    key: SigningKey,
    clock: Arc<dyn Clock>,
}

impl ProofKey {
    /// Makes a key for ES256.
    #[must_use]
    pub fn new() -> Self {
        Self::with_algorithm(Algorithm::Es256)
    }

    /// Makes a key for an algorithm.
    ///
    /// # Panics
    ///
    /// If the algorithm is one of HMAC, for which no proof can be made.
    #[must_use]
    pub fn with_algorithm(algorithm: Algorithm) -> Self {
        let mut key = SigningKey::generate(algorithm, "");
        if let Some(members) = key.jwk.as_object_mut() {
            // RFC 9449 §4.2: the key and nothing else
            members.retain(|name, _| matches!(&**name, "kty" | "crv" | "x" | "y" | "n" | "e"));
        }
        Self { key, clock: Arc::new(SystemClock) }
    }

    /// Makes proofs at the time of this clock.
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    /// Returns the public key as a JWK.
    pub fn jwk(&self) -> &Value {
        &self.key.jwk
    }

    /// Returns the SHA-256 thumbprint of the key (RFC 7638), as it stands in a token's `cnf.jkt`.
    pub fn thumbprint(&self) -> String {
        // sorted by name, without white space, as serde_json writes what has only the members needed
        let members = ["crv", "e", "kty", "n", "x", "y"].into_iter();
        let members = members.filter_map(|name| Some(format!("\"{name}\":{}", self.key.jwk.get(name)?)));
        let text = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
        encode_base64url(&sha256(&[text.as_bytes()]))
    }

    /// Begins a proof for a request with this method to this address. It still wants a
    /// [`token`](ProofBuilder::token).
    pub fn proof(&self, method: impl Into<String>, address: impl Into<String>) -> ProofBuilder {
        let header = json!({ "typ": "dpop+jwt", "alg": self.key.algorithm.name(), "jwk": self.key.jwk });
        let now = self.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let claims = json!({
            "jti": format!("{:016x}{:016x}", random(), random()),
            "htm": method.into(),
            "htu": address.into(),
            "iat": now,
        });
        let members = |value| if let Value::Object(members) = value { members } else { Map::new() };
        ProofBuilder {
            header: members(header),
            claims: members(claims),
            raw_header: None,
            raw_claims: None,
            made: now,
            key: Some(self.key.clone()),
        }
    }
}

impl Default for ProofKey {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ProofKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProofKey({})", self.key.algorithm)
    }
}

/// A DPoP proof in the making; begun by [`ProofKey::proof`].
///
/// Each call changes one thing of a proof that is otherwise right, so that a test can make each
/// *wrong* proof.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::testing::ProofKey;
///
/// let (key, other) = (ProofKey::new(), ProofKey::new());
/// let begin = || key.proof("POST", "https://api.test/orders").token("the token");
/// let good = begin().sign();
/// let old = begin().made_before(Duration::from_secs(3600)).sign();
/// let forged = begin().signed_by(&other).sign();
/// let untyped = begin().header("typ", "JWT").sign();
/// let for_any_token = begin().without("ath").sign();
/// ```
#[derive(Clone)]
#[must_use]
pub struct ProofBuilder {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    raw_header: Option<String>,
    raw_claims: Option<String>,
    made: u64,
    key: Option<SigningKey>,
}

impl ProofBuilder {
    /// Makes the proof for this access token (`ath`).
    pub fn token(self, token: &str) -> Self {
        self.claim("ath", encode_base64url(&sha256(&[token.as_bytes()])))
    }

    /// Sets the nonce that the service has sent in `DPoP-Nonce`.
    pub fn nonce(self, nonce: impl Into<String>) -> Self {
        self.claim("nonce", nonce.into())
    }

    /// Lets the proof have been made so long ago, by the client's clock.
    pub fn made_before(self, ago: Duration) -> Self {
        let iat = self.made.saturating_sub(ago.as_secs());
        self.claim("iat", iat)
    }

    /// Lets the proof be made only so much later, by the client's clock.
    pub fn made_ahead(self, ahead: Duration) -> Self {
        let iat = self.made.saturating_add(ahead.as_secs());
        self.claim("iat", iat)
    }

    /// Signs with another key than the one in the header: a forgery.
    pub fn signed_by(mut self, other: &ProofKey) -> Self {
        self.key = Some(other.key.clone());
        self
    }

    changes_of_jws!();

    /// Returns the proof.
    #[must_use]
    pub fn sign(&self) -> String {
        let header = Part { members: &self.header, raw: self.raw_header.as_deref() };
        let claims = Part { members: &self.claims, raw: self.raw_claims.as_deref() };
        jws(header, claims, self.key.as_ref())
    }
}

impl fmt::Debug for ProofBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProofBuilder")
    }
}
