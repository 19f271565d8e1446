//! Moments (RFC 7519 §2).

use std::time::Duration;

use crate::clock::UnixTime;
use crate::error::{Error, ErrorKind};
use crate::jose::{Number, Value};

/// The end of the year 9999. Later dates are mistakes, most often milliseconds in place of seconds.
pub(crate) const LATEST_DATE: Duration = Duration::from_secs(253_402_300_799);

/// Reads a claim that is a moment: seconds since the epoch, possibly with a fraction (RFC 7519 §2).
/// A wrong type or an impossible moment is an error, never "absent" (CVE-2026-25537).
pub(crate) fn numeric_date(name: &str, value: Value<'_>) -> Result<UnixTime, Error> {
    let malformed = |what: &str| Error::new(ErrorKind::MalformedClaim, format!("{name} is {what}"));
    let Some(number) = value.as_number() else {
        return Err(malformed(&format!("{}, not a number", value.type_name())));
    };
    let since_epoch = match number {
        Number::Unsigned(seconds) => Some(Duration::from_secs(seconds)),
        Number::Negative(_) => None,
        Number::Float(seconds) => Duration::try_from_secs_f64(seconds).ok(),
    };
    let since_epoch = since_epoch.ok_or_else(|| malformed("before 1970 or no date"))?;
    if since_epoch > LATEST_DATE {
        return Err(malformed("after the year 9999; are these milliseconds?"));
    }
    Ok(UnixTime(since_epoch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::Json;

    fn read(value: &str) -> Result<Duration, ErrorKind> {
        let json = Json::parse_all(format!("{{\"exp\":{value}}}").into_bytes()).unwrap();
        let date = numeric_date("exp", json.root().get("exp").unwrap());
        date.map(|date| date.0).map_err(|error| error.kind())
    }

    #[test]
    fn only_numbers_between_1970_and_9999_are_dates() {
        assert_eq!(read("0"), Ok(Duration::ZERO));
        assert_eq!(read("1700000000"), Ok(Duration::from_secs(1_700_000_000)));
        assert_eq!(read("1700000000.5"), Ok(Duration::from_millis(1_700_000_000_500)));
        assert_eq!(read("1.7e9"), Ok(Duration::from_secs(1_700_000_000)));
        assert_eq!(read("253402300799"), Ok(LATEST_DATE));
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
