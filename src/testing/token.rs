//! Tokens, right and wrong.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::issued::Issued;
use super::keys::{Part, SigningKey, changes_of_jws, jws};
#[cfg(feature = "dpop")]
use super::proof::ProofKey;

/// A token in the making; begun by [`Idp::token`](super::Idp::token).
///
/// Each call changes one thing of a token that is otherwise right, so that a test can make each
/// *wrong* token.
///
/// # Examples
///
/// ```
/// use serde_json::json;
/// use tower_bearer::testing::Idp;
///
/// let idp = Idp::new("https://id.test/");
/// let good = idp.token("alice").scope("orders:read orders:write").role("admin").claim("tenant_id", "t1").sign();
/// let expired = idp.token("alice").expired().sign();
/// let forged = idp.token("alice").wrong_key().sign();
/// let untyped = idp.token("alice").without_header("typ").sign();
/// ```
#[derive(Clone)]
#[must_use]
pub struct TokenBuilder {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    raw_header: Option<String>,
    raw_claims: Option<String>,
    issued: u64,
    key: Option<SigningKey>,
    book: Issued,
}

impl TokenBuilder {
    pub(super) fn new(
        (issuer, book): (&str, Issued),
        audience: &str,
        subject: &str,
        now: SystemTime,
        key: Option<SigningKey>,
    ) -> Self {
        let issued = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut header = Map::new();
        if let Some(key) = &key {
            header.insert("alg".into(), key.algorithm.name().into());
            header.insert("kid".into(), (*key.kid).into());
        }
        header.insert("typ".into(), "at+jwt".into());
        let claims = json!({
            "iss": issuer,
            "aud": audience,
            "sub": subject,
            "client_id": "test-client",
            "jti": format!("{issued}-{subject}"),
            "iat": issued,
            "exp": issued.saturating_add(300),
        });
        let claims = if let Value::Object(claims) = claims { claims } else { Map::new() };
        Self { header, claims, raw_header: None, raw_claims: None, issued, key, book }
    }

    /// Sets `scope`: scopes separated by spaces.
    pub fn scope(self, scope: impl Into<String>) -> Self {
        self.claim("scope", scope.into())
    }

    /// Adds a role to the claim `roles`.
    pub fn role(mut self, role: impl Into<String>) -> Self {
        if let Value::Array(roles) = self.claims.entry("roles").or_insert_with(|| json!([])) {
            roles.push(role.into().into());
        }
        self
    }

    /// Lets the user have signed in this long before the token is issued (`auth_time`).
    pub fn authenticated_before(self, ago: Duration) -> Self {
        let auth_time = self.issued.saturating_sub(ago.as_secs());
        self.claim("auth_time", auth_time)
    }

    /// Sets `aud`.
    pub fn audience(self, audience: impl Into<Value>) -> Self {
        self.claim("aud", audience)
    }

    /// Sets `iss`.
    pub fn issuer(self, issuer: impl Into<Value>) -> Self {
        self.claim("iss", issuer)
    }

    /// Binds the token to a client's key (`cnf.jkt`, RFC 9449 §6.1).
    #[cfg(feature = "dpop")]
    #[cfg_attr(docsrs, doc(cfg(feature = "dpop")))]
    pub fn bound_to(self, key: &ProofKey) -> Self {
        self.claim("cnf", json!({ "jkt": key.thumbprint() }))
    }

    /// Sets `exp` to this long after the token is issued.
    pub fn expires_in(self, lifetime: Duration) -> Self {
        let exp = self.issued.saturating_add(lifetime.as_secs());
        self.claim("exp", exp)
    }

    /// Lets the token have expired an hour ago.
    pub fn expired(self) -> Self {
        let exp = self.issued.saturating_sub(3600);
        self.claim("exp", exp)
    }

    /// Lets the token become valid in an hour only.
    pub fn not_yet_valid(self) -> Self {
        let nbf = self.issued.saturating_add(3600);
        self.claim("nbf", nbf)
    }

    /// Names a key that nobody has published.
    pub fn unknown_kid(self) -> Self {
        self.header("kid", "nobody-has-this-key")
    }

    /// Signs with a new key of the same algorithm, but names the published one: a forgery.
    pub fn wrong_key(mut self) -> Self {
        self.key = self.key.map(|key| SigningKey::generate(key.algorithm, &key.kid));
        self
    }

    changes_of_jws!();

    /// Issues it as an opaque token: a text that says nothing by itself, and that the issuer is asked
    /// about (RFC 7662). See [`Idp::http_client`](super::Idp::http_client).
    ///
    /// What was said of the header and of the signature means nothing to it.
    #[must_use]
    pub fn issue_opaque(&self) -> String {
        self.book.add(self.claims.clone())
    }

    /// Returns the token.
    #[must_use]
    pub fn sign(&self) -> String {
        let header = Part { members: &self.header, raw: self.raw_header.as_deref() };
        let claims = Part { members: &self.claims, raw: self.raw_claims.as_deref() };
        jws(header, claims, self.key.as_ref())
    }
}

impl fmt::Debug for TokenBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenBuilder")
    }
}
