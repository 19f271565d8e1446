//! One JSON Web Key (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2), or the reason why it cannot verify a
//! token.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use base64_simd::STANDARD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::pem;
use crate::crypto::{BadKey, MAX_RSA_BITS, Material, VerifyingKey};
use crate::jose::{Algorithm, Curve, decode_base64url};

/// The shortest RSA modulus, in bits (RFC 7518 §3.3). The longest is the back end's.
const MIN_RSA_BITS: usize = 2048;

/// The smallest RSA exponent in real use; anything below is 1 or even, or a mistake.
const MIN_EXPONENT: u64 = 3;
/// The longest exponent, in bytes: a large one only makes verification dear.
const MAX_EXPONENT_LEN: usize = 4;

/// A usable key.
#[derive(Clone)]
pub(crate) struct Jwk {
    pub(crate) kid: Option<Box<str>>,
    /// The issuer that the key is for, or a template of issuers; for all that publish it if absent.
    /// Entra's sets have it.
    pub(super) issuer: Option<Box<str>>,
    material: Material,
    /// One for each algorithm that the key may be used with: that of `alg`, else all those of its
    /// type. A key that has not changed when its set is fetched again keeps them, so that they also
    /// tell whether it still is the same key.
    pub(super) prepared: Vec<Arc<VerifyingKey>>,
}

/// What matters of a JWK. A member that is `null` is absent; one that comes twice is an error (RFC
/// 7517 §4).
#[derive(Default, Deserialize)]
pub(super) struct Members<'j> {
    pub(super) kty: Option<Cow<'j, str>>,
    pub(super) kid: Option<Cow<'j, str>>,
    pub(super) issuer: Option<Cow<'j, str>>,
    #[serde(rename = "use")]
    pub(super) usage: Option<Cow<'j, str>>,
    pub(super) key_ops: Option<Vec<Cow<'j, str>>>,
    pub(super) alg: Option<Cow<'j, str>>,
    pub(super) crv: Option<Cow<'j, str>>,
    pub(super) n: Option<Cow<'j, str>>,
    pub(super) e: Option<Cow<'j, str>>,
    pub(super) x: Option<Cow<'j, str>>,
    pub(super) y: Option<Cow<'j, str>>,
    /// Only read if there is nothing else.
    #[serde(borrow)]
    x5c: Option<&'j RawValue>,
    /// Of secrets, only the presence counts.
    pub(super) k: Option<IgnoredAny>,
    pub(super) d: Option<IgnoredAny>,
    pub(super) p: Option<IgnoredAny>,
    pub(super) q: Option<IgnoredAny>,
    pub(super) dp: Option<IgnoredAny>,
    pub(super) dq: Option<IgnoredAny>,
    pub(super) qi: Option<IgnoredAny>,
    pub(super) oth: Option<IgnoredAny>,
}

/// Reads members of a key, which must be an object: serde takes arrays for one, too.
fn read<'j, T: Deserialize<'j>>(jwk: &'j RawValue) -> Option<T> {
    if jwk.get().starts_with('{') { serde_json::from_str(jwk.get()).ok() } else { None }
}

/// Returns the name of a key that cannot be used otherwise, if it has one that can be read.
pub(crate) fn kid(jwk: &RawValue) -> Option<Box<str>> {
    #[derive(Deserialize)]
    struct Named {
        kid: Option<Box<str>>,
    }

    read::<Named>(jwk)?.kid
}

impl Jwk {
    /// Reads one element of `keys`, or goes on with the same key of a former set. Members that are
    /// not understood are ignored (RFC 7517 §4).
    pub(super) fn parse<'f>(jwk: &RawValue, mut former: impl Iterator<Item = &'f Self>) -> Result<Self, SkipReason> {
        let members: Members<'_> = read(jwk).ok_or(SkipReason::Malformed)?;
        check_secrecy(&members)?;
        check_usage(&members)?;
        let material = material(&members)?;
        let mut algorithms: Vec<Algorithm> = match &members.alg {
            Some(name) => Algorithm::from_name(name).into_iter().collect(),
            None => Algorithm::ASYMMETRIC.to_vec(),
        };
        algorithms.retain(|algorithm| material.fits(*algorithm));
        if algorithms.is_empty() {
            return Err(SkipReason::UnsupportedAlgorithm);
        }
        let (kid, issuer) = [members.kid, members.issuer].map(|name| name.map(|name| Box::from(&*name))).into();
        let same = |key: &&Self| {
            let prepared = key.prepared.iter().map(|key| key.algorithm);
            key.kid == kid
                && key.issuer == issuer
                && key.material == material
                && prepared.eq(algorithms.iter().copied())
        };
        match former.find(same) {
            Some(key) => Ok(key.clone()),
            None => Ok(Self { issuer, ..Self::prepare(kid, &algorithms, material)? }),
        }
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
pub(super) fn check_secrecy(members: &Members<'_>) -> Result<(), SkipReason> {
    let Members { kty, k, d, p, q, dp, dq, qi, oth, .. } = members;
    if kty.as_deref() == Some("oct") || k.is_some() {
        return Err(SkipReason::SymmetricKey);
    }
    if [d, p, q, dp, dq, qi, oth].iter().any(|member| member.is_some()) { Err(SkipReason::PrivateKey) } else { Ok(()) }
}

/// `use` and `key_ops` must both allow verification where present (`jwt-svid` is SPIFFE's word for
/// it), and `key_ops` must not repeat itself or be for encryption or agreement as well; other
/// values are allowed (RFC 7517 §4.2, §4.3).
pub(super) fn check_usage(members: &Members<'_>) -> Result<(), SkipReason> {
    const UNRELATED: &[&str] = &["encrypt", "decrypt", "wrapKey", "unwrapKey", "deriveKey", "deriveBits"];
    let usage = members.usage.as_deref().is_none_or(|usage| matches!(usage, "sig" | "jwt-svid"));
    let operations = members.key_ops.as_ref().is_none_or(|operations| {
        let mut seen = HashSet::new();
        operations.iter().all(|operation| seen.insert(&**operation) && !UNRELATED.contains(&&**operation))
            && seen.contains("verify")
    });
    if usage && operations { Ok(()) } else { Err(SkipReason::WrongUse) }
}

pub(super) fn material(members: &Members<'_>) -> Result<Material, SkipReason> {
    let Members { kty, crv, n, e, x, y, x5c, .. } = members;
    let kty = kty.as_deref().ok_or(SkipReason::MissingMember)?;
    let curve = match (kty, crv.as_deref()) {
        ("RSA", _) | ("OKP", None | Some("Ed25519")) | ("EC", None) => None,
        ("EC", Some("P-256")) => Some(Curve::P256),
        ("EC", Some("P-384")) => Some(Curve::P384),
        ("EC" | "OKP", Some(_)) => return Err(SkipReason::UnsupportedCurve),
        _ => return Err(SkipReason::UnsupportedType),
    };
    if let (Some(x5c), [None, None, None, None]) = (x5c, [n, e, x, y]) {
        return certified(kty, curve, x5c).ok_or(SkipReason::Certificate);
    }
    if kty == "RSA" {
        return Ok(Material::Rsa { modulus: minimal(bytes(n)?), exponent: minimal(bytes(e)?) });
    }
    if crv.is_none() {
        return Err(SkipReason::MissingMember);
    }
    let x = bytes(x)?;
    match curve {
        Some(curve) => {
            let y = bytes(y)?;
            // RFC 7518 §6.2.1.2: always the full length
            let full = x.len() == curve.coordinate_len() && y.len() == curve.coordinate_len();
            if full { Ok(Material::Ec { curve, x, y }) } else { Err(SkipReason::WrongLength) }
        }
        None => Ok(Material::Ed25519 { x: x.try_into().map_err(|_| SkipReason::WrongLength)? }),
    }
}

fn bytes(member: &Option<Cow<'_, str>>) -> Result<Vec<u8>, SkipReason> {
    let text = member.as_deref().ok_or(SkipReason::MissingMember)?;
    decode_base64url(text).ok_or(SkipReason::NotBase64url)
}

/// Reads the key of the first certificate of `x5c`, which is in base64 with padding (RFC 7517
/// §4.7). It must be of the type and curve that the other members say.
fn certified(kty: &str, named: Option<Curve>, x5c: &RawValue) -> Option<Material> {
    let chain: Vec<String> = serde_json::from_str(x5c.get()).ok()?;
    let material = pem::from_certificate(&STANDARD.decode_to_vec(chain.first()?).ok()?)?;
    let fits = match &material {
        Material::Ec { curve, .. } => kty == "EC" && named.is_none_or(|named| named == *curve),
        Material::Ed25519 { .. } => kty == "OKP",
        Material::Rsa { .. } => kty == "RSA",
        Material::Secret(_) => false,
    };
    fits.then_some(material)
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

/// Why a key in a set is not used.
///
/// The text says what to do about it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkipReason {
    /// The key is only there as a certificate (`x5c`), which cannot be read or holds a key of
    /// another type.
    #[error("its certificate (x5c) cannot be read or is for another type of key; publish n and e, or x and y, as well")]
    Certificate,
    /// The values of the key are invalid: not on the curve, or out of range.
    #[error("its values are invalid; publish it anew")]
    InvalidKey,
    /// The key is not an object, or a member has the wrong type or is there twice.
    #[error("it is not an object, or a member has the wrong type or is there twice; write it as RFC 7517 demands")]
    Malformed,
    /// A member is missing that a key of this type must have.
    #[error("a member is missing; RSA keys need kty, n and e, EC keys kty, crv, x and y, Ed25519 keys kty, crv and x")]
    MissingMember,
    /// `n`, `e`, `x` or `y` is not canonical base64url: it has padding, for example.
    #[error("n, e, x or y is not base64url; write it without padding, white space, plus signs and slashes")]
    NotBase64url,
    /// The key contains private members; whoever publishes it should replace it.
    #[error("it contains private members; replace it, since whoever has read the set can sign tokens")]
    PrivateKey,
    /// The Ed25519 key has a small order, so that anybody can make signatures that it verifies.
    #[error("it is of small order, so that anybody can make signatures that it verifies; replace it")]
    SmallOrder,
    /// The key is a shared secret (`kty` is `oct`), which cannot be published.
    #[error("it is a symmetric key; sign with a key pair, or see StaticKeys::hmac")]
    SymmetricKey,
    /// The set has more than 256 keys; this one and those behind it are not looked at.
    #[error("the set has too many keys; publish 256 at most")]
    TooMany,
    /// `alg` is unknown, or not one that a key of this type can have.
    #[error("its alg is no signature algorithm of this type of key, or is not supported; sign with another key")]
    UnsupportedAlgorithm,
    /// `crv` is not supported.
    #[error("its crv is not supported; use P-256, P-384 or Ed25519")]
    UnsupportedCurve,
    /// `kty` is not supported.
    #[error("its kty is not supported; use RSA, EC or OKP")]
    UnsupportedType,
    /// The RSA exponent is even, below 3, or longer than 32 bits.
    #[error("its RSA exponent is unsafe; make a key with the exponent 65537")]
    WeakExponent,
    /// The RSA modulus has fewer than 2048 bits, or more than 8192 (4096 with `rust-crypto`).
    #[error("its RSA modulus is too short or too long; make a key of 2048 to 4096 bits")]
    WeakModulus,
    /// A coordinate does not have the full length of its curve.
    #[error("x or y does not have the length of its curve; keep leading zeros (RFC 7518 §6.2.1.2)")]
    WrongLength,
    /// `use` or `key_ops` say that the key is not for verifying signatures.
    #[error("its use or key_ops are not for verifying signatures; sign with another key, or drop them")]
    WrongUse,
}

/// A key of a set that is not used, and why.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct SkippedKey {
    /// The key's place in the set, from 0.
    pub index: usize,
    /// The key's name, if it has one that can be read.
    pub kid: Option<Box<str>>,
    /// Why the key is not used.
    pub reason: SkipReason,
}

impl fmt::Display for SkippedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {} ({:?}): {}", self.index, self.kid.as_deref().unwrap_or("no kid"), self.reason)
    }
}
