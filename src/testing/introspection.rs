//! What the issuer answers about its tokens (RFC 7662), signed if that is asked for (RFC 9701).

use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::idp::Idp;
use crate::credential::BearerToken;
use crate::jose::{Compact, Header, decode_base64url};
use crate::jwks::StaticKeys;

/// The type of a signed answer.
const SIGNED: &str = "application/token-introspection+jwt";
/// As long as any token here.
const MAX_LEN: usize = 64 * 1024;

/// A status, the type of the content, and the content.
pub(super) type Answer = (StatusCode, &'static str, String);

impl Idp {
    /// Answers a question. Whoever asks is believed to be who they say.
    pub(super) fn introspect(&self, headers: &HeaderMap, body: &[u8]) -> Answer {
        const JSON: &str = "application/json";

        self.issued().count_question();
        if self.is_down() {
            let unavailable = json!({ "error": "temporarily_unavailable" });
            return (StatusCode::SERVICE_UNAVAILABLE, JSON, unavailable.to_string());
        }
        let form: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
        let field = |name: &str| form.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
        let Some(token) = field("token") else {
            return (StatusCode::BAD_REQUEST, JSON, json!({ "error": "invalid_request" }).to_string());
        };
        let said = self.active(token).map_or_else(|| json!({ "active": false }), Value::Object);
        let signed = headers.get(ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(SIGNED.as_bytes()));
        if !signed {
            return (StatusCode::OK, JSON, said.to_string());
        }
        let client = basic(headers).or_else(|| field("client_id").map(str::to_owned));
        let client = client.or_else(|| field("client_assertion").and_then(author)).unwrap_or_default();
        let answer = self.token("").without("sub").without("client_id").without("jti").without("exp");
        let answer = answer.header("typ", "token-introspection+jwt").audience(client);
        (StatusCode::OK, SIGNED, answer.claim("token_introspection", said).sign())
    }

    /// Returns what a token says, if it is active.
    fn active(&self, token: &str) -> Option<Map<String, Value>> {
        let mut claims = self.issued().claims(token).or_else(|| self.signed_claims(token))?;
        let now = self.now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let time = |name: &str| claims.get(name).and_then(Value::as_f64);
        let holds = time("exp").is_none_or(|exp| exp > now) && time("nbf").is_none_or(|nbf| nbf <= now);
        if !holds || self.issued().is_revoked(token) {
            return None;
        }
        let bound = claims.get("cnf").is_some_and(|cnf| cnf.get("jkt").is_some());
        claims.entry("token_type").or_insert(if bound { "DPoP" } else { "Bearer" }.into());
        claims.insert("active".into(), true.into());
        Some(claims)
    }

    /// Returns the claims of a JWT that is signed by a published key.
    fn signed_claims(&self, token: &str) -> Option<Map<String, Value>> {
        let keys = StaticKeys::jwks(&self.jwks().to_string()).ok()?;
        let bearer = BearerToken::from_bytes(token.as_bytes(), MAX_LEN).ok()?;
        let compact = Compact::parse(bearer).ok()?;
        let header = Header::of(compact.json.first(), compact.algorithm);
        keys.set.verify(header, compact.signed, &self.issuer().into()).ok()?;
        serde_json::from_slice(&decode_base64url(token.split('.').nth(1)?)?).ok()
    }
}

/// Returns the client that the header `Authorization` names (RFC 6749 §2.3.1).
fn basic(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let both = base64_simd::STANDARD.decode_to_vec(text).ok()?;
    let encoded = both.split(|byte| *byte == b':').next()?;
    form_urlencoded::parse(encoded).next().map(|(client, _)| client.into_owned())
}

/// Returns who has made an assertion (RFC 7523 §3).
fn author(assertion: &str) -> Option<String> {
    let claims: Value = serde_json::from_slice(&decode_base64url(assertion.split('.').nth(1)?)?).ok()?;
    claims.get("sub")?.as_str().map(str::to_owned)
}
