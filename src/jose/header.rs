//! The protected header (RFC 7515 §4).

use super::Algorithm;
use super::json::Value;
use crate::error::{Error, ErrorKind};

/// What a JWS protected header says that matters here. Parameters that are not understood are
/// ignored, as RFC 7515 §4 demands; among them `jku`, `x5u`, `x5c` and `jwk`: a token cannot bring
/// its own key.
#[derive(Clone, Copy)]
pub(crate) struct Header<'j> {
    object: Value<'j>,
    pub(crate) algorithm: Algorithm,
}

impl<'j> Header<'j> {
    pub(crate) fn read(object: Value<'j>) -> Result<Self, Error> {
        // RFC 7515 §4.1.11: no extension is understood here, so whatever is critical is refused,
        // and so is an empty list
        if object.get("crit").is_some() {
            return Err(Error::new(ErrorKind::CriticalHeader, "the protected header has the parameter crit"));
        }
        // RFC 7797 §7: a JWT must not use it; without `crit` it would be ignored by one reader and
        // honoured by another
        if object.get("b64").is_some() {
            return Err(Error::new(ErrorKind::CriticalHeader, "the protected header has the parameter b64"));
        }
        let Some(name) = string(object, "alg")? else {
            return Err(Error::new(ErrorKind::MalformedToken, "the protected header has no alg"));
        };
        let Some(algorithm) = Algorithm::from_name(name) else {
            let detail =
                if name.eq_ignore_ascii_case("none") { "the token is unsigned" } else { "alg is unknown here" };
            return Err(Error::new(ErrorKind::UnsupportedAlgorithm, detail));
        };
        string(object, "kid")?;
        string(object, "typ")?;
        Ok(Self { object, algorithm })
    }

    /// Returns a header that was read before.
    pub(crate) fn of(object: Value<'j>, algorithm: Algorithm) -> Self {
        Self { object, algorithm }
    }

    pub(crate) fn kid(self) -> Option<&'j str> {
        self.object.get("kid").and_then(Value::as_str)
    }

    /// Returns the thumbprint of the key's certificate (RFC 7515 §4.1.7). It is a hint, and nothing
    /// is demanded of it.
    pub(crate) fn x5t(self) -> Option<&'j str> {
        self.object.get("x5t").and_then(Value::as_str)
    }

    pub(crate) fn typ(self) -> Option<&'j str> {
        self.object.get("typ").and_then(Value::as_str)
    }
}

/// Takes the prefix `application/` from a `typ`, so that two of them can be compared, without
/// regard to case (RFC 7515 §4.1.9, RFC 8725 §3.11).
pub(crate) fn media_type(typ: &str) -> &str {
    const PREFIX: &str = "application/";
    let (prefix, rest) = typ.split_at_checked(PREFIX.len()).unwrap_or(("", typ));
    if prefix.eq_ignore_ascii_case(PREFIX) && !rest.contains('/') { rest } else { typ }
}

fn string<'j>(root: Value<'j>, name: &str) -> Result<Option<&'j str>, Error> {
    let Some(value) = root.get(name) else { return Ok(None) };
    let text = value.as_str();
    text.map(Some).ok_or_else(|| {
        Error::new(
            ErrorKind::MalformedToken,
            format!("the header parameter {name} is {}, not a string", value.type_name()),
        )
    })
}
