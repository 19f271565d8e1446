//! Names of keys that the issuer does not have, as far as we have asked: asking again for the same one would be in vain.
//!
//! It only says whether to ask. *Why* a key is missing is for the state of the last fetch to say, so that what was found
//! absent yesterday is an outage today if the issuer cannot be reached.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

/// So many names are remembered; when there are more, the oldest goes.
const MAX_NAMES: usize = 256;
/// For so long. A key that is published after tokens signed with it have come waits this long at worst.
const REMEMBERED: Duration = Duration::from_secs(60);

/// A `kid`, or its absence, as a number under a secret seed: a token cannot choose it, and long names cost no memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Fingerprint(u64);

/// Makes fingerprints.
#[derive(Clone, Debug, Default)]
pub(super) struct Seed(RandomState);

impl Seed {
    pub(super) fn fingerprint(&self, kid: Option<&str>) -> Fingerprint {
        Fingerprint(self.0.hash_one(kid))
    }
}

/// Names that were looked for in vain.
#[derive(Debug, Default)]
pub(super) struct Absent {
    /// From the oldest to the newest.
    names: VecDeque<(Fingerprint, Instant)>,
}

impl Absent {
    pub(super) fn note(&mut self, name: Fingerprint, now: Instant) {
        if self.contains(name, now) {
            return;
        }
        if self.names.len() == MAX_NAMES {
            self.names.pop_front();
        }
        self.names.push_back((name, now));
    }

    pub(super) fn contains(&mut self, name: Fingerprint, now: Instant) -> bool {
        while self.names.front().is_some_and(|(_, noted)| now.saturating_duration_since(*noted) >= REMEMBERED) {
            self.names.pop_front();
        }
        self.names.iter().any(|(noted, _)| *noted == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_remembered_for_a_minute_and_the_oldest_of_too_many_is_forgotten() {
        let (seed, start) = (Seed::default(), Instant::now());
        let name = |kid: &str| seed.fingerprint(Some(kid));
        let mut absent = Absent::default();
        absent.note(name("a"), start);
        absent.note(name("b"), start + Duration::from_secs(30));
        absent.note(name("a"), start + Duration::from_secs(30));
        assert!(absent.contains(name("a"), start + Duration::from_secs(59)));
        assert!(!absent.contains(name("c"), start));
        assert!(!absent.contains(seed.fingerprint(None), start), "no kid is a name of its own");
        assert!(!absent.contains(name("a"), start + Duration::from_secs(60)), "counted from the first time");
        assert!(absent.contains(name("b"), start + Duration::from_secs(60)));
        for kid in 0..1000 {
            absent.note(name(&kid.to_string()), start + Duration::from_secs(61));
        }
        assert_eq!(absent.names.len(), MAX_NAMES);
        assert!(!absent.contains(name("743"), start + Duration::from_secs(61)));
        assert!(absent.contains(name("744"), start + Duration::from_secs(61)));
    }
}
