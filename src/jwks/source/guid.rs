//! A `kid` that may become a part of an address.

use std::fmt;

use crate::issuer::is_guid;

/// The name of a key that is fetched by its name. As a number it can be nothing else, whatever the
/// token says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Guid(u128);

impl Guid {
    pub(crate) fn parse(kid: &str) -> Option<Self> {
        let hex = Some(kid).filter(|kid| is_guid(kid))?.replace('-', "");
        u128::from_str_radix(&hex, 16).ok().map(Self)
    }
}

impl fmt::Display for Guid {
    /// Writes it as it was read (RFC 9562 §4).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number) = self;
        let group = |shift: u32| number.checked_shr(shift).unwrap_or_default() & 0xffff;
        let (first, last) = (number >> 96, number & 0xffff_ffff_ffff);
        write!(f, "{first:08x}-{:04x}-{:04x}-{:04x}-{last:012x}", group(80), group(64), group(48))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_is_written_as_it_was_read_and_nothing_else_is_one() {
        for guid in [
            "12345678-1234-1234-1234-123456789012",
            "abb8289f-e3a4-4a34-9472-c2105e2b2482",
            "00000000-0000-0000-0000-000000000000",
            "0fffffff-0001-0020-0300-00000000000f",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ] {
            assert_eq!(Guid::parse(guid).unwrap().to_string(), guid);
        }
        for other in [
            "",
            "es256-1",
            "12345678123412341234123456789012",
            "12345678-1234-1234-1234-12345678901",
            "12345678-1234-1234-1234-1234567890123",
            "ABB8289F-E3A4-4A34-9472-C2105E2B2482",
            "12345678-1234-1234-1234-12345678901/",
            "12345678-1234-1234-+234-123456789012",
            "../45678-1234-1234-1234-123456789012",
            "1234567%-1234-1234-1234-123456789012",
            "１2345678-1234-1234-1234-123456789012",
        ] {
            assert_eq!(Guid::parse(other), None, "{other}");
        }
    }
}
