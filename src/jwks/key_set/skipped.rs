//! Keys of a set that are not used, and why.

use std::fmt;

use serde::Serialize;

/// Why a key in a set is not used.
///
/// The text says what to do about it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkipReason {
    /// The key is only there as a certificate (`x5c`), which cannot be read or holds a key of
    /// another type.
    Certificate,
    /// The values of the key are invalid: not on the curve, or out of range.
    InvalidKey,
    /// The key is not an object, or a member has the wrong type or is there twice.
    Malformed,
    /// A member is missing that a key of this type must have.
    MissingMember,
    /// `n`, `e`, `x` or `y` is not canonical base64url: it has padding, for example.
    NotBase64url,
    /// The key contains private members; whoever publishes it should replace it.
    PrivateKey,
    /// The Ed25519 key has a small order, so that anybody can make signatures that it verifies.
    SmallOrder,
    /// The key is a shared secret (`kty` is `oct`), which cannot be published.
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
    /// A coordinate does not have the full length of its curve.
    WrongLength,
    /// `use` or `key_ops` say that the key is not for verifying signatures.
    WrongUse,
}

impl fmt::Display for SkipReason {
    /// Writes the reason and the fix.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => {
                "its certificate (x5c) cannot be read or is for another type of key; publish n and e, or x and y, as well"
            }
            Self::InvalidKey => "its values are invalid; publish it anew",
            Self::Malformed => {
                "it is not an object, or a member has the wrong type or is there twice; write it as RFC 7517 demands"
            }
            Self::MissingMember => {
                "a member is missing; RSA keys need kty, n and e, EC keys kty, crv, x and y, Ed25519 keys kty, crv and x"
            }
            Self::NotBase64url => {
                "n, e, x or y is not base64url; write it without padding, white space, plus signs and slashes"
            }
            Self::PrivateKey => {
                "it contains private members; replace it, since whoever has read the set can sign tokens"
            }
            Self::SmallOrder => {
                "it is of small order, so that anybody can make signatures that it verifies; replace it"
            }
            Self::SymmetricKey => "it is a symmetric key; sign with a key pair, or see StaticKeys::hmac",
            Self::TooMany => "the set has too many keys; publish 256 at most",
            Self::UnsupportedAlgorithm => {
                "its alg is no signature algorithm of this type of key, or is not supported; sign with another key"
            }
            Self::UnsupportedCurve => "its crv is not supported; use P-256, P-384 or Ed25519",
            Self::UnsupportedType => "its kty is not supported; use RSA, EC or OKP",
            Self::WeakExponent => "its RSA exponent is unsafe; make a key with the exponent 65537",
            Self::WeakModulus => "its RSA modulus is too short or too long; make a key of 2048 to 4096 bits",
            Self::WrongLength => "x or y does not have the length of its curve; keep leading zeros (RFC 7518 §6.2.1.2)",
            Self::WrongUse => {
                "its use or key_ops are not for verifying signatures; sign with another key, or drop them"
            }
        })
    }
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
