//! Step 2: the token is taken apart (RFC 7515); nothing in it is believed yet.

mod algorithm;
mod compact;
mod json;

pub use self::algorithm::{Algorithm, UnknownAlgorithm};
pub(crate) use self::algorithm::{Curve, Family, Hash};
#[cfg(any(feature = "dpop", feature = "http-client", feature = "testing", feature = "rust-crypto"))]
pub(crate) use self::compact::encode_base64url;
#[cfg(feature = "introspection")]
pub(crate) use self::compact::is_jwt;
pub(crate) use self::compact::{Compact, Header, SignatureBuffer, Signed, decode_base64url, media_type};
#[cfg(test)]
pub(crate) use self::json::LOOKED_AT;
pub(crate) use self::json::{Json, Number, Row, Value};
