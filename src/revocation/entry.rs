//! What a list holds: hashes of identifiers, and until when they matter.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use crate::clock::UnixTime;
use crate::crypto::sha256;

/// By what a token is revoked.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    /// All tokens that were issued before some time.
    All,
    /// A client's tokens that were issued before some time (`client_id`).
    Client,
    /// One token, by its `jti`.
    Id,
    /// The tokens of a session (`sid`).
    Session,
    /// A subject's tokens that were issued before some time (`sub`).
    Subject,
    /// One token, by its text.
    Text,
}

impl Kind {
    const ALL: [(Self, &'static str, &'static str); 6] = [
        (Self::All, "a", "with all that were issued before"),
        (Self::Client, "c", "by its client"),
        (Self::Id, "j", "by its jti"),
        (Self::Session, "s", "by its session"),
        (Self::Subject, "u", "by its subject"),
        (Self::Text, "t", "by its text"),
    ];

    fn row(self) -> (u8, &'static str, &'static str) {
        let find = Self::ALL.iter().zip([1_u8, 2, 4, 8, 16, 32]).find(|((kind, ..), _)| *kind == self);
        find.map_or((1, "a", ""), |((_, letter, name), bit)| (bit, letter, name))
    }

    /// The kind's own bit.
    pub(super) fn bit(self) -> u8 {
        self.row().0
    }

    /// Tells whether it is of tokens that were issued before some time, and not of one that is named.
    pub(super) fn is_of_time(self) -> bool {
        matches!(self, Self::All | Self::Client | Self::Subject)
    }

    /// How a token was revoked, for operators.
    pub(crate) fn how(self) -> &'static str {
        self.row().2
    }
}

/// Something by which tokens are revoked, as a hash that nobody else's identifier has.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Mark {
    pub(super) kind: Kind,
    /// The first half of a SHA-256.
    pub(super) hash: u128,
}

impl Mark {
    /// What all tokens have.
    pub(super) const ALL: Self = Self { kind: Kind::All, hash: 0 };

    pub(super) fn new(kind: Kind, issuer: &str, value: &[u8]) -> Self {
        let length = u64::try_from(issuer.len()).unwrap_or(u64::MAX).to_be_bytes();
        let hash = sha256(&[kind.row().1.as_bytes(), &length, issuer.as_bytes(), value]);
        let half = hash.first_chunk::<16>().copied().unwrap_or_default();
        Self { kind, hash: u128::from_be_bytes(half) }
    }
}

/// A revocation, as it is told to other replicas and kept for the next process.
///
/// It holds hashes (SHA-256) of identifiers, together with their issuer, and no identifier or token.
/// Its text form is short, and stays the same in all versions that share a major version:
///
/// ```
/// use tower_bearer::revocation::Entry;
///
/// let text = "u.5f2b0e6b8d0a4c1f9e3d7a6b5c4d3e2f.1790000000000.1790003900";
/// let entry: Entry = text.parse()?;
/// assert_eq!(entry.to_string(), text);
/// # Ok::<_, tower_bearer::revocation::ParseEntryError>(())
/// ```
///
/// The same entry may be taken in any number of times, and in any order.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Entry {
    pub(super) mark: Mark,
    pub(super) span: Span,
}

/// Which tokens with a mark are revoked, and for how long that must be known.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Span {
    /// Those that were issued before this, in milliseconds since the epoch; [`ALWAYS`] is all. Of a
    /// token or a session, which is revoked for good, it is when that was done; [`ALWAYS`] says that
    /// it is not known.
    pub(super) before: u64,
    /// Until then, in seconds since the epoch.
    pub(super) until: u64,
}

/// Writes a time in milliseconds.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Later than any token.
pub(super) const ALWAYS: u64 = u64::MAX;

impl Span {
    /// Tells whether a token that was issued then is revoked; one that does not say when is.
    pub(super) fn revokes(self, kind: Kind, issued: Option<u64>) -> bool {
        !kind.is_of_time() || self.before == ALWAYS || issued.is_none_or(|issued| issued < self.before)
    }

    /// Says both.
    #[must_use]
    pub(super) fn with(self, other: Self) -> Self {
        Self { before: self.before.max(other.before), until: self.until.max(other.until) }
    }
}

const END_OF_9999: u64 = 253_402_300_799;

impl Entry {
    /// Says of all tokens what it says of some: that they are revoked if they were issued before. For
    /// one that does not say when it was made, what is said by `unknown` as well.
    pub(super) fn of_all(&self, unknown: Span) -> Span {
        let Self { mark, span } = *self;
        match span.before {
            ALWAYS => Span { before: 0, ..span }.with(unknown),
            before if mark.kind.is_of_time() => Span { before, ..span },
            // and in the same millisecond
            made => Span { before: made.saturating_add(1), ..span },
        }
    }

    /// Returns until when the entry must be known: all tokens that it revokes have expired by then.
    pub fn until(&self) -> SystemTime {
        // dates end with the year 9999, which every platform can express
        let until = Duration::from_secs(self.span.until.min(END_OF_9999));
        UnixTime(until).to_system_time().unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

impl fmt::Display for Entry {
    /// Writes the text form: the kind, the hash, before when (`-` is always, or not known), until when.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mark, span } = self;
        write!(f, "{}.{:032x}.", mark.kind.row().1, mark.hash)?;
        if span.before == ALWAYS {
            f.write_str("-")?
        } else {
            write!(f, "{}", span.before)?
        }
        write!(f, ".{}", span.until)
    }
}

impl FromStr for Entry {
    type Err = ParseEntryError;

    fn from_str(text: &str) -> Result<Self, ParseEntryError> {
        read(text).filter(|entry| entry.to_string() == text).ok_or(ParseEntryError(()))
    }
}

fn read(text: &str) -> Option<Entry> {
    let mut parts = text.split('.');
    let (letter, hash, before, until) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let (kind, ..) = *Kind::ALL.iter().find(|(_, known, _)| *known == letter)?;
    let hash = u128::from_str_radix(hash, 16).ok()?;
    let before = if before == "-" { ALWAYS } else { before.parse().ok()? };
    Some(Entry { mark: Mark { kind, hash }, span: Span { before, until: until.parse().ok()? } })
}

/// The text is not that of an [`Entry`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParseEntryError(());

impl fmt::Display for ParseEntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text is not that of a revocation")
    }
}

impl std::error::Error for ParseEntryError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_an_entry_writes_is_one() {
        let hash = "00112233445566778899aabbccddeeff";
        for kind in ["a", "c", "j", "s", "u", "t"] {
            for rest in ["-.1", "0.0", "1790000000000.1790003900", "18446744073709551614.18446744073709551615"] {
                let text = format!("{kind}.{hash}.{rest}");
                assert_eq!(text.parse::<Entry>().unwrap().to_string(), text);
            }
        }
        let hash_of = |kind: &str, hash: &str| format!("{kind}.{hash}.-.1");
        for wrong in [
            String::new(),
            hash_of("x", hash),
            hash_of("jj", hash),
            hash_of("j", &hash[1..]),
            hash_of("j", &format!("0{hash}")),
            hash_of("j", &hash.to_uppercase()),
            hash_of("j", &format!("+{}", &hash[1..])),
            format!("j.{hash}.-.1.2"),
            format!("j.{hash}.-"),
            format!("j.{hash}.-1.1"),
            format!("j.{hash}.01.1"),
            format!("j.{hash}.1.+1"),
            format!("j.{hash}.18446744073709551615.1"),
            format!("j.{hash}.1.18446744073709551616"),
            format!(" j.{hash}.1.1"),
        ] {
            assert!(wrong.parse::<Entry>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_mark_is_that_of_one_kind_issuer_and_value() {
        let marks = [
            Mark::new(Kind::Id, "https://a", b"1"),
            Mark::new(Kind::Session, "https://a", b"1"),
            Mark::new(Kind::Id, "https://a1", b""),
            Mark::new(Kind::Id, "https://", b"a1"),
            Mark::new(Kind::Id, "https://a", b"2"),
        ];
        let hashes: std::collections::HashSet<_> = marks.iter().map(|mark| mark.hash).collect();
        assert_eq!(hashes.len(), marks.len());
        assert_eq!(Mark::new(Kind::Id, "https://a", b"1"), marks[0]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,80}") {
            if let Ok(entry) = text.parse::<Entry>() {
                prop_assert_eq!(entry.to_string(), text);
            }
        }

        #[test]
        fn spans_are_joined_in_any_order(a: (u64, u64), b: (u64, u64), issued: Option<u64>) {
            let span = |(before, until)| Span { before, until };
            let (a, b) = (span(a), span(b));
            prop_assert_eq!(a.with(b), b.with(a));
            for kind in [Kind::Subject, Kind::Id] {
                prop_assert_eq!(a.with(b).revokes(kind, issued), a.revokes(kind, issued) || b.revokes(kind, issued));
            }
        }
    }
}
