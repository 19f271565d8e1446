//! A proof taken apart: the form of RFC 9449 §4.2, and nothing of it believed.

use std::fmt;

use http::HeaderMap;
use memchr::memchr_iter;

use super::refusal::{invalid, of_key, of_proof};
use crate::claims::numeric_date;
use crate::clock::UnixTime;
use crate::credential::{BearerToken, OwnedToken};
use crate::error::Error;
use crate::jose::{Algorithm, Compact, Header, Json, Signed, Value};
use crate::jwks::PresentedKey;

/// The longest proof, in bytes. One with an RSA key of 8192 bits has 3.5 KiB.
pub(crate) const MAX_LEN: usize = 8 * 1024;

/// The longest `jti`, in bytes; a UUID has 36.
const MAX_JTI_LEN: usize = 1024;

/// A well-formed proof, which has every claim of RFC 9449 §4.2 in its type. It owns its text, so
/// that it can wait for what its token needs.
pub(crate) struct Proof {
    text: OwnedToken,
    json: Json,
    algorithm: Algorithm,
    thumbprint: [u8; 32],
    issued: UnixTime,
}

impl Proof {
    /// Takes the proof from the request's headers; `None` if there is none. Two headers are an
    /// error, and so are two proofs in one (RFC 9449 §4.3).
    pub(crate) fn find(headers: &HeaderMap, algorithms: &[Algorithm]) -> Result<Option<Self>, Error> {
        let mut values = headers.get_all("dpop").iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(invalid("there is more than one DPoP header, and exactly one is allowed"));
        }
        Self::parse(value.as_bytes(), algorithms).map(Some)
    }

    /// Reads the value of a `DPoP` header. White space around it is not part of a header's value
    /// (RFC 9110 §5.5).
    ///
    /// `jku`, `x5u`, `x5c` and `kid` in the protected header are ignored: the key is that in `jwk`.
    pub(crate) fn parse(text: &[u8], algorithms: &[Algorithm]) -> Result<Self, Error> {
        let text = text.trim_ascii();
        if text.len() > MAX_LEN {
            return Err(invalid(format!("it has {} bytes, and {MAX_LEN} are the most", text.len())));
        }
        if text.is_empty() {
            return Err(invalid("the DPoP header is empty"));
        }
        if text.contains(&b',') {
            return Err(invalid("it has a comma: two proofs were joined, and exactly one is allowed"));
        }
        if memchr_iter(b'.', text).count() != 2 {
            return Err(invalid("it does not have three parts: header, claims and signature"));
        }
        let not_base64url = |_| invalid("it has characters that are neither base64url nor a dot");
        let token = BearerToken::from_bytes(text, MAX_LEN).map_err(not_base64url)?;
        let Compact { json, algorithm, padded, .. } = Compact::parse(token).map_err(of_proof)?;
        if padded {
            return Err(invalid("a part of it is padded (=), which RFC 7515 §2 forbids"));
        }
        let header = json.first();
        if Header::of(header, algorithm).typ() != Some("dpop+jwt") {
            return Err(invalid("its typ is not dpop+jwt"));
        }
        if algorithm.is_symmetric() || !algorithms.contains(&algorithm) {
            let accepted: Vec<_> = algorithms.iter().map(|algorithm| algorithm.name()).collect();
            return Err(invalid(format!("its alg is not among those that are accepted: {}", accepted.join(", "))));
        }
        let thumbprint = key(header, algorithm)?.thumbprint().map_err(of_key)?;
        let claims = json.root();
        for name in ["htm", "htu", "ath", "jti"] {
            text_of(claims, name)?;
        }
        if claims.get("nonce").is_some() {
            text_of(claims, "nonce")?;
        }
        let jti = text_of(claims, "jti")?;
        if jti.is_empty() || jti.len() > MAX_JTI_LEN {
            return Err(invalid(format!("its jti has {} bytes, and must have 1 to {MAX_JTI_LEN}", jti.len())));
        }
        let issued = claims.get("iat").ok_or_else(|| invalid("it has no iat"))?;
        let issued = numeric_date("iat", issued).map_err(of_proof)?;
        Ok(Self { text: token.into_owned(), json, algorithm, thumbprint, issued })
    }

    /// Returns the thumbprint of the proof's key (RFC 7638), to be compared with the token's
    /// `cnf.jkt`.
    pub(crate) fn thumbprint(&self) -> &[u8; 32] {
        &self.thumbprint
    }

    /// Returns the nonce that the proof was made with.
    pub(crate) fn nonce(&self) -> Option<&str> {
        self.json.root().get("nonce").and_then(Value::as_str)
    }

    #[cfg(test)]
    pub(super) fn text(&self) -> &[u8] {
        self.text.as_bearer().as_str().as_bytes()
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns when the proof was made, by the client's clock.
    pub(super) fn issued(&self) -> UnixTime {
        self.issued
    }

    /// Returns a claim that is a string.
    pub(super) fn claim(&self, name: &str) -> Result<&str, Error> {
        text_of(self.json.root(), name)
    }

    pub(super) fn key(&self) -> Result<PresentedKey<'_>, Error> {
        key(self.json.first(), self.algorithm)
    }

    pub(super) fn signed(&self) -> Result<Signed<'_>, Error> {
        Signed::of(self.text.as_bearer()).map_err(of_proof)
    }
}

/// Without what the proof says.
impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

fn key(header: Value<'_>, algorithm: Algorithm) -> Result<PresentedKey<'_>, Error> {
    let jwk = header.get("jwk").ok_or_else(|| invalid("its protected header has no jwk"))?;
    PresentedKey::read(jwk, algorithm).map_err(of_key)
}

fn text_of<'j>(claims: Value<'j>, name: &str) -> Result<&'j str, Error> {
    let claim = claims.get(name).ok_or_else(|| invalid(format!("it has no {name}")))?;
    claim.as_str().ok_or_else(|| invalid(format!("its {name} is {}, not a string", claim.type_name())))
}
