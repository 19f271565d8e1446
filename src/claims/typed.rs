//! The application's own type of claims: read by serde_json and, if it does not fit, once more to
//! find out why.

mod deserializer;
mod misfit;
#[cfg(test)]
mod tests;

use std::any::{TypeId, type_name};

use serde::de::DeserializeOwned;

use self::deserializer::Deserializer;
use self::misfit::Misfit;
use crate::error::{Error, ErrorKind};
use crate::jose::{Json, Value};

/// Reads the claims into the application's type.
pub(crate) fn read_claims<T: DeserializeOwned + 'static>(payload: &Json) -> Result<T, Error> {
    // `()` is no claims at all, and no claims that are `null`: generic code may ask for it
    let none = TypeId::of::<T>() == TypeId::of::<()>();
    serde_json::from_str(if none { "null" } else { payload.text() }).map_err(|_| {
        let detail = format!("the claims do not fit {}: {}", type_name::<T>(), misfit::<T>(payload));
        Error::new(ErrorKind::MalformedClaim, detail)
    })
}

/// Reads one value of the claims into a type of the application's.
pub(super) fn read_value<T: DeserializeOwned>(name: &str, value: Value<'_>) -> Result<T, Error> {
    T::deserialize(Deserializer(value)).map_err(|misfit: Misfit| {
        let detail = format!("{name} does not fit {}: {misfit}", type_name::<T>());
        Error::new(ErrorKind::MalformedClaim, detail)
    })
}

/// Finds out why the claims do not fit the type, without the texts of serde_json: these repeat
/// values of the token.
fn misfit<T: DeserializeOwned>(payload: &Json) -> Misfit {
    // from the text again, as the type has seen it: the issuer's terms may have made text of integers
    let claims = Json::parse_all(payload.text().into());
    let misfit = claims.ok().and_then(|claims| T::deserialize(Deserializer(claims.root())).err());
    misfit.unwrap_or_else(Misfit::unknown)
}
