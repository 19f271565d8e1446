//! One JSON Web Key (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2), or the reason why it cannot verify a token.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::key_set::KeySet;
use crate::crypto::{BadKey, MAX_RSA_BITS, Material, VerifyingKey};
use crate::issuer::Template;
use crate::jose::{Algorithm, Curve, decode_base64url};

/// The shortest RSA modulus, in bits (RFC 7518 §3.3). The longest is the back end's.
const MIN_RSA_BITS: usize = 2048;

/// The smallest RSA exponent in real use; anything below is 1 or even, or a mistake.
const MIN_EXPONENT: u64 = 3;
/// The longest exponent, in bytes: a large one only makes verification dear.
const MAX_EXPONENT_LEN: usize = 4;

/// A usable key.
#[derive(Clone, Debug)]
pub(crate) struct Jwk {
    pub(crate) kid: Option<Box<str>>,
    /// The issuer that the key is for, or a template of issuers; for all that publish it if absent. Entra's sets have it.
    pub(super) issuer: Option<Box<str>>,
    material: Material,
    /// One for each algorithm that the key may be used with: that of `alg`, else all those of its type. A key that has not
    /// changed when its set is fetched again keeps them, so that they also tell whether it still is the same key.
    pub(super) prepared: Vec<Arc<VerifyingKey>>,
}

/// Why a key in a set is not used.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkipReason {
    /// It has the form of a key, but its values are invalid: not on the curve, or out of range.
    InvalidKey,
    /// A member is missing, has the wrong type, or is not canonical base64url.
    Malformed,
    /// It contains private members; whoever publishes it should replace it.
    PrivateKey,
    /// The Ed25519 key has a small order, so that anybody can make signatures that it verifies.
    SmallOrder,
    /// It is a shared secret (`kty` is `oct`), which cannot be published.
    SymmetricKey,
    /// The set has more than 256 keys; this one and those behind it are not looked at.
    TooMany,
    /// `alg` is unknown, or not one that a key of this type can have.
    UnsupportedAlgorithm,
    /// `crv` is not supported.
    UnsupportedCurve,
    /// `kty` is not supported.
    UnsupportedType,
    /// The RSA exponent is even, below 3, or longer than 32 bits.
    WeakExponent,
    /// The RSA modulus has fewer than 2048 bits, or more than 8192 (4096 with `rust-crypto`).
    WeakModulus,
    /// `use` or `key_ops` say that it is not for verifying signatures.
    WrongUse,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidKey => "its values are invalid",
            Self::Malformed => "malformed",
            Self::PrivateKey => "contains private members",
            Self::SmallOrder => "of small order, so that anybody can make signatures that it verifies",
            Self::SymmetricKey => "a symmetric key",
            Self::TooMany => "the set has too many keys",
            Self::UnsupportedAlgorithm => "alg is not supported",
            Self::UnsupportedCurve => "crv is not supported",
            Self::UnsupportedType => "kty is not supported",
            Self::WeakExponent => "the RSA exponent is unsafe",
            Self::WeakModulus => "the RSA modulus is too short or too long",
            Self::WrongUse => "not for verifying signatures",
        })
    }
}

#[derive(Deserialize)]
struct Members {
    kty: String,
    kid: Option<String>,
    issuer: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Jwk {
    /// Reads one element of `keys`, or goes on with the same key of a former set. Members that are not understood are ignored
    /// (RFC 7517 §4).
    pub(super) fn parse(jwk: &Value, former: Option<&KeySet>) -> Result<Self, SkipReason> {
        let members = Members::deserialize(jwk).map_err(|_| SkipReason::Malformed)?;
        check_secrecy(&members.kty, jwk)?;
        check_usage(&members)?;
        let material = material(&members)?;
        let algorithms: Vec<Algorithm> = match &members.alg {
            Some(name) => {
                Algorithm::from_name(name).filter(|algorithm| material.fits(*algorithm)).into_iter().collect()
            }
            None => Algorithm::ASYMMETRIC.iter().copied().filter(|algorithm| material.fits(*algorithm)).collect(),
        };
        if algorithms.is_empty() {
            return Err(SkipReason::UnsupportedAlgorithm);
        }
        let (kid, issuer) = (members.kid.map(Box::from), members.issuer.map(Box::from));
        let same = |key: &&Self| {
            let prepared = key.prepared.iter().map(|key| key.algorithm());
            key.kid == kid
                && key.issuer == issuer
                && key.material == material
                && prepared.eq(algorithms.iter().copied())
        };
        match former.and_then(|former| former.keys().find(same)) {
            Some(key) => Ok(key.clone()),
            None => Ok(Self { issuer, ..Self::prepare(kid, &algorithms, material)? }),
        }
    }

    /// Tells whether the key may verify this issuer's tokens.
    pub(super) fn is_for(&self, issuer: &str) -> bool {
        self.issuer.as_deref().is_none_or(|own| match Template::parse(own) {
            Some(template) => template.tenant(issuer).is_some(),
            None => own == issuer,
        })
    }

    /// Prepares a key for some algorithms.
    pub(crate) fn prepare(
        kid: Option<Box<str>>,
        algorithms: &[Algorithm],
        material: Material,
    ) -> Result<Self, SkipReason> {
        if let Material::Rsa { modulus, exponent } = &material {
            check_rsa(modulus, exponent)?;
        }
        let prepared = algorithms.iter().map(|algorithm| VerifyingKey::new(*algorithm, &material).map(Arc::new));
        let prepared = prepared.collect::<Result<_, _>>().map_err(|bad| match bad {
            BadKey::Invalid => SkipReason::InvalidKey,
            BadKey::SmallOrder => SkipReason::SmallOrder,
        })?;
        Ok(Self { kid, issuer: None, material, prepared })
    }
}

/// Refuses what must not be public: `oct` keys and private members (RFC 7517 §9.2, §9.3).
fn check_secrecy(kty: &str, jwk: &Value) -> Result<(), SkipReason> {
    if kty == "oct" || jwk.get("k").is_some() {
        return Err(SkipReason::SymmetricKey);
    }
    let private = ["d", "p", "q", "dp", "dq", "qi", "oth"];
    if private.iter().any(|name| jwk.get(name).is_some()) { Err(SkipReason::PrivateKey) } else { Ok(()) }
}

/// `use` and `key_ops` must both allow verification where present (`jwt-svid` is SPIFFE's word for it), and `key_ops` must not repeat itself (RFC 7517 §4.2, §4.3).
fn check_usage(members: &Members) -> Result<(), SkipReason> {
    let usage = members.usage.as_deref().is_none_or(|usage| matches!(usage, "sig" | "jwt-svid"));
    let operations = members.key_ops.as_ref().is_none_or(|operations| {
        operations.iter().filter(|operation| *operation == "verify").count() == 1
            && operations.iter().all(|operation| operation == "verify" || operation == "sign")
            && operations.iter().filter(|operation| *operation == "sign").count() <= 1
    });
    if usage && operations { Ok(()) } else { Err(SkipReason::WrongUse) }
}

fn material(members: &Members) -> Result<Material, SkipReason> {
    let bytes = |member: &Option<String>| member.as_deref().and_then(decode_base64url).ok_or(SkipReason::Malformed);
    match (members.kty.as_str(), members.crv.as_deref()) {
        ("RSA", _) => Ok(Material::Rsa { modulus: minimal(bytes(&members.n)?), exponent: minimal(bytes(&members.e)?) }),
        ("EC", Some(name)) => {
            let curve = match name {
                "P-256" => Curve::P256,
                "P-384" => Curve::P384,
                _ => return Err(SkipReason::UnsupportedCurve),
            };
            let (x, y) = (bytes(&members.x)?, bytes(&members.y)?);
            // RFC 7518 §6.2.1.2: always the full length
            let full = x.len() == curve.coordinate_len() && y.len() == curve.coordinate_len();
            if full { Ok(Material::Ec { curve, x, y }) } else { Err(SkipReason::Malformed) }
        }
        ("OKP", Some("Ed25519")) => {
            let x = bytes(&members.x)?.try_into().map_err(|_| SkipReason::Malformed)?;
            Ok(Material::Ed25519 { x })
        }
        ("OKP", Some(_)) => Err(SkipReason::UnsupportedCurve),
        ("EC" | "OKP", None) => Err(SkipReason::Malformed),
        _ => Err(SkipReason::UnsupportedType),
    }
}

/// Drops leading zeros: some issuers write the sign byte of DER into `n`.
fn minimal(mut number: Vec<u8>) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.drain(..zeros);
    number
}

fn check_rsa(modulus: &[u8], exponent: &[u8]) -> Result<(), SkipReason> {
    let first = modulus.first().copied().unwrap_or_default();
    let leading_zeros = usize::try_from(first.leading_zeros()).unwrap_or_default();
    let bits = modulus.len().saturating_mul(8).saturating_sub(leading_zeros);
    if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
        return Err(SkipReason::WeakModulus);
    }
    if modulus.last().is_none_or(|byte| byte % 2 == 0) {
        return Err(SkipReason::InvalidKey);
    }
    let value = exponent.iter().fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
    let safe = exponent.len() <= MAX_EXPONENT_LEN && value >= MIN_EXPONENT && value % 2 == 1;
    if safe { Ok(()) } else { Err(SkipReason::WeakExponent) }
}
