//! The registered claims (RFC 7519 §4.1): found in one pass over the payload's members, and the types of those that are no
//! plain text.

use std::time::Duration;

use crate::clock::UnixTime;
use crate::error::{Error, ErrorKind};
use crate::jose::{Json, Number, Value};

/// The end of the year 9999. Later dates are mistakes, most often milliseconds in place of seconds.
const LATEST: Duration = Duration::from_secs(253_402_300_799);

/// The members of the payload that every token is checked by, but for `iss`, by which its policy was selected; none has
/// been looked into yet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Registered<'j> {
    pub(crate) aud: Option<Value<'j>>,
    pub(crate) azp: Option<Value<'j>>,
    pub(crate) client_id: Option<Value<'j>>,
    pub(crate) cnf: Option<Value<'j>>,
    pub(crate) exp: Option<Value<'j>>,
    pub(crate) iat: Option<Value<'j>>,
    pub(crate) jti: Option<Value<'j>>,
    pub(crate) nbf: Option<Value<'j>>,
    pub(crate) sub: Option<Value<'j>>,
}

impl<'j> Registered<'j> {
    pub(crate) fn of(payload: &'j Json) -> Self {
        let mut claims = Self::default();
        for (name, value) in payload.root().members() {
            let claim = match name {
                "aud" => &mut claims.aud,
                "azp" => &mut claims.azp,
                "client_id" => &mut claims.client_id,
                "cnf" => &mut claims.cnf,
                "exp" => &mut claims.exp,
                "iat" => &mut claims.iat,
                "jti" => &mut claims.jti,
                "nbf" => &mut claims.nbf,
                "sub" => &mut claims.sub,
                _ => continue,
            };
            *claim = Some(value);
        }
        claims
    }
}

/// The audiences of a token (`aud`): a string or an array of strings (RFC 7519 §4.1.3).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Audience<'j>(Value<'j>);

impl<'j> Audience<'j> {
    pub(crate) fn read(value: Value<'j>) -> Result<Self, Error> {
        let malformed = || Error::new(ErrorKind::MalformedClaim, "aud is neither a string nor an array of strings");
        let strings = value.is_array() && value.items().all(|item| item.as_str().is_some());
        if strings || value.as_str().is_some() { Ok(Self(value)) } else { Err(malformed()) }
    }

    /// Returns the audiences in the order in which the token lists them.
    pub(crate) fn iter(self) -> impl Iterator<Item = &'j str> {
        self.0.strings()
    }

    /// Tells whether one of `ours` is meant, byte for byte.
    pub(crate) fn names(self, ours: &[Box<str>]) -> bool {
        self.iter().any(|theirs| ours.iter().any(|own| **own == *theirs))
    }
}

/// A moment in a claim: seconds since the epoch, possibly with a fraction (RFC 7519 §2).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct NumericDate(Duration);

impl NumericDate {
    /// Reads a claim. A wrong type or an impossible moment is an error, never "absent" (CVE-2026-25537).
    pub(crate) fn read(name: &str, value: Value<'_>) -> Result<Self, Error> {
        let malformed = |what: &str| Error::new(ErrorKind::MalformedClaim, format!("{name} is {what}"));
        let Some(number) = value.as_number() else {
            return Err(malformed(&format!("{}, not a number", value.type_name())));
        };
        let since_epoch = match number {
            Number::Unsigned(seconds) => Some(Duration::from_secs(seconds)),
            Number::Negative(_) => None,
            Number::Float(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        };
        let Some(since_epoch) = since_epoch else {
            return Err(malformed("before 1970 or no date"));
        };
        if since_epoch > LATEST {
            return Err(malformed("after the year 9999; are these milliseconds?"));
        }
        Ok(Self(since_epoch))
    }

    /// Tells how long ago this moment was, if `now` is not before it.
    pub(crate) fn passed(self, now: UnixTime) -> Option<Duration> {
        now.0.checked_sub(self.0)
    }

    /// Tells how far ahead this moment is, if it lies after `now`.
    pub(crate) fn ahead(self, now: UnixTime) -> Option<Duration> {
        self.0.checked_sub(now.0).filter(|wait| !wait.is_zero())
    }

    pub(crate) fn to_unix_time(self) -> UnixTime {
        UnixTime(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Result<Duration, ErrorKind> {
        let json = Json::parse_all(format!("{{\"exp\":{value}}}").into_bytes()).unwrap();
        let date = NumericDate::read("exp", json.root().get("exp").unwrap());
        date.map(|date| date.0).map_err(|error| error.kind())
    }

    #[test]
    fn only_numbers_between_1970_and_9999_are_dates() {
        assert_eq!(read("0"), Ok(Duration::ZERO));
        assert_eq!(read("1700000000"), Ok(Duration::from_secs(1_700_000_000)));
        assert_eq!(read("1700000000.5"), Ok(Duration::from_millis(1_700_000_000_500)));
        assert_eq!(read("1.7e9"), Ok(Duration::from_secs(1_700_000_000)));
        assert_eq!(read("253402300799"), Ok(LATEST));
        for wrong in [
            "\"1700000000\"",
            "null",
            "[]",
            "[1700000000]",
            "{}",
            "true",
            "-1",
            "-0.5",
            "253402300800",
            "1700000000000",
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "1e300",
        ] {
            assert_eq!(read(wrong), Err(ErrorKind::MalformedClaim), "{wrong}");
        }
    }
}
