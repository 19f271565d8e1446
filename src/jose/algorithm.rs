//! All that the crate knows about each signature algorithm, in one table.

use std::fmt;
use std::iter;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A JWS signature algorithm (RFC 7518 §3.1, RFC 8037, RFC 9864).
///
/// `none` is not among them. The HMAC algorithms can only be used with
/// [`StaticKeys::hmac`](crate::keys::StaticKeys::hmac), never with published keys.
///
/// # Examples
///
/// An algorithm is read from its name, by [`FromStr`] or by serde:
///
/// ```
/// use tower_bearer::keys::Algorithm;
///
/// #[derive(serde::Deserialize)]
/// struct Settings {
///     algorithms: Vec<Algorithm>,
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// assert_eq!("ES256".parse::<Algorithm>()?, Algorithm::Es256);
///
/// let settings: Settings = serde_json::from_str(r#"{ "algorithms": ["RS256", "EdDSA"] }"#)?;
/// assert_eq!(settings.algorithms, [Algorithm::Rs256, Algorithm::Ed25519]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Algorithm {
    /// EdDSA over Ed25519; answers to the names `EdDSA` (RFC 8037) and `Ed25519` (RFC 9864).
    Ed25519,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// HMAC with SHA-256 and a secret shared with the issuer.
    Hs256,
    /// HMAC with SHA-384 and a secret shared with the issuer.
    Hs384,
    /// HMAC with SHA-512 and a secret shared with the issuer.
    Hs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
}

/// The kind of key that an algorithm needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Family {
    Ecdsa(Curve),
    Ed25519,
    Hmac,
    RsaPkcs1,
    RsaPss,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Curve {
    P256,
    P384,
}

impl Curve {
    /// The length of a coordinate in bytes; JWKs and signatures use exactly this length (RFC 7518
    /// §6.2.1.2, §3.4).
    pub(crate) fn coordinate_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

use Algorithm::{Ed25519, Es256, Es384, Hs256, Hs384, Hs512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};

impl Algorithm {
    /// The algorithms that a published key can have: all but HMAC. This is the default allow-list
    /// of an issuer.
    pub const ASYMMETRIC: &[Self] = &[Rs256, Rs384, Rs512, Ps256, Ps384, Ps512, Es256, Es384, Ed25519];

    const SYMMETRIC: &[Self] = &[Hs256, Hs384, Hs512];

    /// The table: the names in `alg` (the first is the one we write), family, hash.
    const fn row(self) -> (&'static str, Option<&'static str>, Family, Hash) {
        match self {
            Rs256 => ("RS256", None, Family::RsaPkcs1, Hash::Sha256),
            Rs384 => ("RS384", None, Family::RsaPkcs1, Hash::Sha384),
            Rs512 => ("RS512", None, Family::RsaPkcs1, Hash::Sha512),
            Ps256 => ("PS256", None, Family::RsaPss, Hash::Sha256),
            Ps384 => ("PS384", None, Family::RsaPss, Hash::Sha384),
            Ps512 => ("PS512", None, Family::RsaPss, Hash::Sha512),
            Es256 => ("ES256", None, Family::Ecdsa(Curve::P256), Hash::Sha256),
            Es384 => ("ES384", None, Family::Ecdsa(Curve::P384), Hash::Sha384),
            Ed25519 => ("EdDSA", Some("Ed25519"), Family::Ed25519, Hash::Sha512),
            Hs256 => ("HS256", None, Family::Hmac, Hash::Sha256),
            Hs384 => ("HS384", None, Family::Hmac, Hash::Sha384),
            Hs512 => ("HS512", None, Family::Hmac, Hash::Sha512),
        }
    }

    /// Returns the algorithm of this exact `alg` value; names are case-sensitive (RFC 7515 §4.1.1).
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let mut all = Self::ASYMMETRIC.iter().chain(Self::SYMMETRIC).copied();
        all.find(|algorithm| algorithm.names().any(|one| one == name))
    }

    /// Returns the names that are read in `alg`.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        let (first, second, ..) = self.row();
        iter::once(first).chain(second)
    }

    /// Returns the name that is used in `alg`; for [`Ed25519`](Self::Ed25519) the older `EdDSA`.
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    pub(crate) const fn family(self) -> Family {
        self.row().2
    }

    pub(crate) const fn hash(self) -> Hash {
        self.row().3
    }

    pub(crate) fn is_symmetric(self) -> bool {
        self.family() == Family::Hmac
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    /// Reads the exact registered name, in upper and lower case as it is; `Ed25519` is `EdDSA`.
    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Self::from_name(name).ok_or(UnknownAlgorithm(()))
    }
}

/// A text is not the name of a supported [`Algorithm`].
///
/// The error's text lists the names that there are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnknownAlgorithm(());

impl fmt::Display for UnknownAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the exact name of a supported algorithm; there are")?;
        for (index, algorithm) in Algorithm::ASYMMETRIC.iter().chain(Algorithm::SYMMETRIC).enumerate() {
            write!(f, "{} {algorithm}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownAlgorithm {}

impl<'de> Deserialize<'de> for Algorithm {
    /// Reads the name, as [`FromStr`] does.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(|error| D::Error::custom(format_args!("{name:?} is {error}")))
    }
}

impl Serialize for Algorithm {
    /// Writes the [`name`](Self::name).
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_answers_to_its_names() {
        for algorithm in Algorithm::ASYMMETRIC.iter().chain(Algorithm::SYMMETRIC) {
            assert_eq!(algorithm.name().parse(), Ok(*algorithm));
            let written = serde_json::to_string(algorithm).unwrap();
            assert_eq!(serde_json::from_str::<Algorithm>(&written).unwrap(), *algorithm);
        }
        assert_eq!("Ed25519".parse(), Ok(Ed25519));
        assert!(Algorithm::ASYMMETRIC.iter().all(|algorithm| !algorithm.is_symmetric()));
        assert!(Algorithm::SYMMETRIC.iter().all(|algorithm| algorithm.is_symmetric()));
    }

    #[test]
    fn names_are_case_sensitive_and_none_is_no_algorithm() {
        for name in
            ["none", "None", "nOnE", "", "rs256", "RS256 ", "Es256", "ES512", "ES256K", "Ed448", "RSA-OAEP", "dir"]
        {
            assert_eq!(name.parse::<Algorithm>(), Err(UnknownAlgorithm(())), "{name}");
            assert!(serde_json::from_value::<Algorithm>(name.into()).is_err(), "{name}");
        }
        assert!(serde_json::from_str::<Algorithm>("7").is_err());
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_that_there_are() {
        let error = "RS255".parse::<Algorithm>().unwrap_err();
        let all = "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, HS256, HS384, HS512";
        assert_eq!(error.to_string(), format!("not the exact name of a supported algorithm; there are {all}"));
        let error = serde_json::from_str::<Algorithm>("\"rs256\"").unwrap_err();
        assert!(error.to_string().starts_with("\"rs256\" is not the exact name"), "{error}");
    }
}
