//! Keys of a set that are not used, and why.

use std::fmt;

use serde::Serialize;

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
