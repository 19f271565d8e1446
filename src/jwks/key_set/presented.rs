//! A public key that stands in the header of what it has signed, such as a DPoP proof (RFC 9449
//! §4.2). It is usable by the rules of a published key.

use std::borrow::Cow;
use std::sync::Arc;

use serde::de::IgnoredAny;

use super::jwk::{Jwk, Members, SkipReason, check_secrecy, check_usage, material};
use crate::crypto::{VerifyingKey, sha256};
use crate::jose::{Algorithm, Curve, Family, Value};

/// A key that may be used for one algorithm, as far as this can be seen without decoding it.
///
/// Reading one allocates nothing, so that a known key, which is found by its thumbprint, costs no
/// more than that. What points elsewhere (`x5u`) or repeats the key (`x5c`) is ignored.
pub(crate) struct PresentedKey<'j>(Members<'j>);

impl<'j> PresentedKey<'j> {
    /// Reads the member `jwk`.
    pub(crate) fn read(jwk: Value<'j>, algorithm: Algorithm) -> Result<Self, SkipReason> {
        let members = members(jwk)?;
        check_secrecy(&members)?;
        check_usage(&members)?;
        if members.alg.as_deref().is_some_and(|name| Algorithm::from_name(name) != Some(algorithm)) {
            return Err(SkipReason::UnsupportedAlgorithm);
        }
        let type_and_curve = (members.kty.as_deref(), members.crv.as_deref());
        let fits = match algorithm.family() {
            Family::Ecdsa(Curve::P256) => type_and_curve == (Some("EC"), Some("P-256")),
            Family::Ecdsa(Curve::P384) => type_and_curve == (Some("EC"), Some("P-384")),
            Family::Ed25519 => type_and_curve == (Some("OKP"), Some("Ed25519")),
            Family::RsaPkcs1 | Family::RsaPss => type_and_curve.0 == Some("RSA"),
            Family::Hmac => false,
        };
        if fits { Ok(Self(members)) } else { Err(SkipReason::UnsupportedAlgorithm) }
    }

    /// Hashes the members that make the key (RFC 7638 §3), as they are written: what is not
    /// base64url, and might have to be escaped, has no thumbprint.
    pub(crate) fn thumbprint(&self) -> Result<[u8; 32], SkipReason> {
        let Members { kty, crv, e, n, x, y, .. } = &self.0;
        Ok(match kty.as_deref() {
            Some("EC") => sha256(&[
                br#"{"crv":""#,
                text(crv)?,
                br#"","kty":"EC","x":""#,
                text(x)?,
                br#"","y":""#,
                text(y)?,
                br#""}"#,
            ]),
            Some("OKP") => sha256(&[br#"{"crv":""#, text(crv)?, br#"","kty":"OKP","x":""#, text(x)?, br#""}"#]),
            Some("RSA") => sha256(&[br#"{"e":""#, text(e)?, br#"","kty":"RSA","n":""#, text(n)?, br#""}"#]),
            _ => return Err(SkipReason::UnsupportedType),
        })
    }

    /// Decodes the key and prepares it.
    pub(crate) fn prepare(&self, algorithm: Algorithm) -> Result<Arc<VerifyingKey>, SkipReason> {
        let key = Jwk::prepare(None, &[algorithm], material(&self.0)?)?;
        key.prepared.into_iter().next().ok_or(SkipReason::UnsupportedAlgorithm)
    }
}

/// Returns a member that is plain text.
fn text<'m>(member: &'m Option<Cow<'_, str>>) -> Result<&'m [u8], SkipReason> {
    let text = member.as_deref().ok_or(SkipReason::MissingMember)?.as_bytes();
    let plain = text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte));
    plain.then_some(text).ok_or(SkipReason::NotBase64url)
}

fn string(value: Value<'_>) -> Result<Option<Cow<'_, str>>, SkipReason> {
    value.as_str().map(|text| Some(text.into())).ok_or(SkipReason::Malformed)
}

/// Finds the members that matter. A member that is `null` is absent, as in a published key.
fn members(jwk: Value<'_>) -> Result<Members<'_>, SkipReason> {
    if !jwk.is_object() {
        return Err(SkipReason::Malformed);
    }
    let mut members = Members::default();
    for (name, value) in jwk.members().filter(|(_, value)| !value.is_null()) {
        match name {
            "kty" => members.kty = string(value)?,
            "kid" => members.kid = string(value)?,
            "use" => members.usage = string(value)?,
            "alg" => members.alg = string(value)?,
            "crv" => members.crv = string(value)?,
            "n" => members.n = string(value)?,
            "e" => members.e = string(value)?,
            "x" => members.x = string(value)?,
            "y" => members.y = string(value)?,
            "key_ops" if value.is_array() => {
                let operations = value.items().map(|item| item.as_str().map(Cow::Borrowed));
                members.key_ops = Some(operations.collect::<Option<_>>().ok_or(SkipReason::Malformed)?);
            }
            "key_ops" => return Err(SkipReason::Malformed),
            "k" => members.k = Some(IgnoredAny),
            "d" | "p" | "q" | "dp" | "dq" | "qi" | "oth" => members.d = Some(IgnoredAny),
            _ => {}
        }
    }
    Ok(members)
}
