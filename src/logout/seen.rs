//! Logout tokens that have come before: none counts twice.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::clock::UnixTime;
use crate::crypto::sha256;
use crate::sync::lock;

/// So many are remembered. One takes 48 bytes.
const MAX: usize = 10_000;

/// The tokens that have come, until they expire.
#[derive(Default)]
pub(super) struct Seen(Mutex<HashMap<[u8; 32], UnixTime>>);

impl Seen {
    /// Remembers a token; tells whether it has not come before. What finds no room counts as new: to
    /// sign somebody out twice harms less than not at all, and only the issuer can make so many.
    pub(super) fn is_new(&self, issuer: &str, id: &str, expires: UnixTime, now: UnixTime) -> bool {
        let key = key(issuer, id);
        let mut seen = lock(&self.0);
        if seen.get(&key).is_some_and(|until| *until > now) {
            return false;
        }
        if seen.len() >= MAX {
            seen.retain(|_, until| *until > now);
        }
        if seen.len() < MAX {
            seen.insert(key, expires);
        }
        true
    }

    /// Lets a token come again: what it says was not done.
    pub(super) fn forget(&self, issuer: &str, id: &str) {
        lock(&self.0).remove(&key(issuer, id));
    }
}

fn key(issuer: &str, id: &str) -> [u8; 32] {
    sha256(&[&sha256(&[issuer.as_bytes()]), id.as_bytes()])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_token_counts_once_until_it_has_expired_and_their_number_is_bounded() {
        let seen = Seen::default();
        let at = |seconds| UnixTime(Duration::from_secs(seconds));
        assert!(seen.is_new("a", "1", at(100), at(0)));
        assert!(!seen.is_new("a", "1", at(100), at(99)));
        assert!(seen.is_new("b", "1", at(100), at(0)), "of another issuer");
        assert!(seen.is_new("a1", "", at(100), at(0)));
        assert!(seen.is_new("a", "1", at(300), at(100)));
        for number in 0..2 * MAX {
            assert!(seen.is_new("c", &number.to_string(), at(200), at(100)));
        }
        assert_eq!(lock(&seen.0).len(), MAX);
        assert!(!seen.is_new("a", "1", at(300), at(250)), "what is remembered is not pushed out");
        assert!(seen.is_new("d", "1", at(300), at(250)));
        assert_eq!(lock(&seen.0).len(), 2, "and what has expired makes room");
    }
}
