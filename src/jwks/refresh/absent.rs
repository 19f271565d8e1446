//! What is known of a `kid` that the set in hand does not have: whether it was asked for of late,
//! or was withdrawn.
//!
//! It decides who may have a permit for a fetch. It is no verdict: a key can be published at any
//! time, so *whether* a `kid` is absent is for the newest set to say, and only for as long as that
//! is new.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use crate::jwks::source::Guid;

/// So many names of each kind are remembered; when there are more, the oldest goes. Two fetches in
/// 30 s add 40 in the time for which they are remembered, and a set has 256 keys at most.
const MAX_NAMES: usize = 256;
/// For so long a name counts as asked for.
const REMEMBERED: Duration = Duration::from_secs(10 * 60);

/// A `kid`, or its absence, as a number under a secret seed: a token cannot choose it, and long
/// names cost no memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Fingerprint {
    number: u64,
    /// The name itself, where keys are fetched by their names.
    pub(crate) name: Option<Guid>,
}

impl Fingerprint {
    pub(super) fn of(kid: Option<&str>, seed: &RandomState) -> Self {
        Self { number: seed.hash_one(kid), name: None }
    }
}

/// How a name stands that the set in hand does not have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Standing {
    /// No fetch was made for its sake: it may be that of a new key.
    New,
    /// One fetch was. Perhaps the token was there before its key.
    AskedOnce,
    /// Several were: most often a client that goes on with a token of another environment.
    AskedOften,
    /// The issuer had it, and has it no more.
    Withdrawn,
}

/// The names, each kind from the oldest to the newest.
#[derive(Debug, Default)]
pub(super) struct Absent {
    asked: VecDeque<Asked>,
    withdrawn: VecDeque<Fingerprint>,
    /// The names of the set in hand.
    present: Vec<Fingerprint>,
}

#[derive(Debug)]
struct Asked {
    name: Fingerprint,
    last: Instant,
    often: bool,
}

impl Absent {
    /// Notes that a fetch is made for the sake of this name.
    pub(super) fn ask(&mut self, name: Fingerprint, now: Instant) {
        let often = self.standing(name, now) != Standing::New;
        self.asked.retain(|asked| asked.name != name);
        push(&mut self.asked, Asked { name, last: now, often });
    }

    /// Notes which names the set in hand has now.
    pub(super) fn publish(&mut self, names: Vec<Fingerprint>) {
        let former = std::mem::replace(&mut self.present, names);
        let present = &self.present;
        self.withdrawn.retain(|name| !present.contains(name));
        for name in former.into_iter().filter(|name| !present.contains(name)) {
            push(&mut self.withdrawn, name);
        }
    }

    pub(super) fn standing(&self, name: Fingerprint, now: Instant) -> Standing {
        if self.withdrawn.contains(&name) {
            return Standing::Withdrawn;
        }
        let asked = self.asked.iter().find(|asked| asked.name == name);
        match asked.filter(|asked| now.saturating_duration_since(asked.last) < REMEMBERED) {
            None => Standing::New,
            Some(Asked { often: false, .. }) => Standing::AskedOnce,
            Some(_) => Standing::AskedOften,
        }
    }
}

fn push<T>(names: &mut VecDeque<T>, name: T) {
    if names.len() == MAX_NAMES {
        names.pop_front();
    }
    names.push_back(name);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_asked_for_once_and_then_often_until_ten_minutes_without() {
        let (seed, start) = (RandomState::new(), Instant::now());
        let name = |kid: &str| Fingerprint::of(Some(kid), &seed);
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut absent = Absent::default();
        absent.ask(name("a"), start);
        assert_eq!(absent.standing(name("a"), start), Standing::AskedOnce);
        assert_eq!(absent.standing(name("b"), start), Standing::New);
        assert_eq!(absent.standing(Fingerprint::of(None, &seed), start), Standing::New, "no kid is a name of its own");
        assert_eq!(absent.standing(name("a"), after(599)), Standing::AskedOnce);
        assert_eq!(absent.standing(name("a"), after(600)), Standing::New);
        absent.ask(name("a"), after(30));
        assert_eq!(absent.standing(name("a"), after(629)), Standing::AskedOften);
        assert_eq!(absent.standing(name("a"), after(630)), Standing::New);
        for kid in 0..1000 {
            absent.ask(name(&kid.to_string()), after(60));
        }
        assert_eq!(absent.asked.len(), MAX_NAMES);
        assert_eq!(absent.standing(name("743"), after(60)), Standing::New);
        assert_eq!(absent.standing(name("744"), after(60)), Standing::AskedOnce);
    }

    #[test]
    fn what_was_in_the_set_is_withdrawn_until_it_comes_back() {
        let (seed, now) = (RandomState::new(), Instant::now());
        let name = |kid: &str| Fingerprint::of(Some(kid), &seed);
        let names = |kids: &[&str]| kids.iter().map(|kid| name(kid)).collect::<Vec<_>>();
        let mut absent = Absent::default();
        let standing = |absent: &Absent, kid| absent.standing(name(kid), now);
        absent.publish(names(&["a", "b"]));
        absent.publish(names(&["b", "c"]));
        absent.publish(names(&["b", "c"]));
        assert_eq!(standing(&absent, "a"), Standing::Withdrawn);
        absent.ask(names(&["a"])[0], now);
        assert_eq!(standing(&absent, "a"), Standing::Withdrawn, "whoever asks for it");
        absent.publish(names(&["a"]));
        absent.publish(names(&["d"]));
        assert_eq!(standing(&absent, "c"), Standing::Withdrawn);
        absent.publish((0..1000).map(|kid| name(&kid.to_string())).collect());
        absent.publish(Vec::new());
        assert_eq!(absent.withdrawn.len(), MAX_NAMES);
    }
}
