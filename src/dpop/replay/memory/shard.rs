//! The proofs of some keys.
//!
//! All maps are trees, which grow and shrink by small pieces: no key can make the others wait while a
//! table is copied, and no memory stays behind.

use std::collections::{BTreeMap, BTreeSet};

/// A key needs the room of so many proofs, beside its own.
pub(super) const KEY: usize = 8;

#[derive(Default)]
pub(super) struct Shard {
    windows: BTreeMap<u128, Window>,
    /// The keys by how many proofs they have, as a power of two.
    classes: BTreeSet<(u32, u128)>,
    len: usize,
}

/// The proofs of a key.
#[derive(Default)]
struct Window {
    known: BTreeSet<u64>,
    /// By when they expire, in milliseconds.
    order: BTreeSet<(u64, u64)>,
    /// What does not expire later may have been forgotten.
    floor: u64,
}

/// What comes of a proof.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Taken {
    First,
    Again,
    /// It may be one of those that there was no room for.
    Forgotten,
    /// It needs so much room.
    Lacks(usize),
}

impl Window {
    /// Takes out the proof that expires first, if it does so by then.
    fn pop(&mut self, by: u64) -> Option<u64> {
        let (until, jti) = *self.order.first().filter(|(until, _)| *until <= by)?;
        self.order.pop_first();
        self.known.remove(&jti);
        Some(until)
    }

    /// Takes out what has expired; tells how many that were.
    fn expire(&mut self, now: u64) -> usize {
        let before = self.order.len();
        while self.pop(now).is_some() {}
        before.saturating_sub(self.order.len())
    }

    fn class(&self) -> Option<u32> {
        self.order.len().checked_ilog2()
    }
}

impl Shard {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns the room that is taken, in proofs.
    pub(super) fn weight(&self) -> usize {
        self.windows.len().saturating_mul(KEY).saturating_add(self.len)
    }

    /// Returns a number that is the greater, the more proofs the heaviest key has.
    pub(super) fn heaviest(&self) -> usize {
        self.classes.last().map_or(0, |(class, _)| usize::try_from(*class).unwrap_or_default())
    }

    /// Takes a proof in, if it was not there, and there is room for it.
    pub(super) fn take(&mut self, key: u128, jti: u64, until: u64, now: u64, room: usize) -> Taken {
        let needed = if self.windows.contains_key(&key) { 1 } else { KEY.saturating_add(1) };
        if needed > 1 && needed > room {
            return Taken::Lacks(needed);
        }
        self.change(key, |window| {
            let room = room.saturating_add(window.expire(now));
            if window.known.contains(&jti) {
                Taken::Again
            } else if until <= window.floor {
                Taken::Forgotten
            } else if needed > room {
                Taken::Lacks(needed)
            } else {
                window.known.insert(jti);
                window.order.insert((until, jti));
                Taken::First
            }
        })
    }

    /// Lets the heaviest key forget so many of its proofs, but for the last. Tells whether it had any.
    pub(super) fn forget(&mut self, wanted: usize) -> bool {
        let Some(&(_, key)) = self.classes.last() else { return false };
        self.change(key, |window| {
            let forgotten = wanted.min(window.order.len().saturating_sub(1));
            for _ in 0..forgotten {
                window.floor = window.pop(u64::MAX).map_or(window.floor, |until| window.floor.max(until));
            }
            forgotten > 0
        })
    }

    /// Takes out what has expired.
    pub(super) fn sweep(&mut self, now: u64) {
        let Self { windows, classes, len } = self;
        windows.retain(|key, window| {
            let class = window.class();
            *len = len.saturating_sub(window.expire(now));
            reclass(classes, *key, class, window.class());
            !window.order.is_empty() || window.floor > now
        });
    }

    fn change<T>(&mut self, key: u128, act: impl FnOnce(&mut Window) -> T) -> T {
        let window = self.windows.entry(key).or_default();
        let (class, before) = (window.class(), window.order.len());
        let done = act(window);
        self.len = self.len.saturating_sub(before).saturating_add(window.order.len());
        reclass(&mut self.classes, key, class, window.class());
        done
    }
}

fn reclass(classes: &mut BTreeSet<(u32, u128)>, key: u128, before: Option<u32>, after: Option<u32>) {
    if before == after {
        return;
    }
    if let Some(class) = before {
        classes.remove(&(class, key));
    }
    if let Some(class) = after {
        classes.insert((class, key));
    }
}
