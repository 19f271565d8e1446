//! The entries of a list, to be read without a lock.
//!
//! A look-up takes one snapshot for all that a token has. A change copies one of many small maps and
//! the list of them, so that it costs microseconds, too.

use std::array;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;

use super::entry::{Entry, Kind, Mark, Span};
use super::times::Present;
use crate::sync::lock;

/// Into so many maps the entries are divided, by the last byte of their hash.
const SHARDS: usize = 256;

/// What has expired is taken out at most so often, in seconds, by a new entry.
const SWEEP: u64 = 60;

type Shard = HashMap<u128, Kept, RandomState>;
type Shards = [Arc<Shard>; SHARDS];

/// What is kept under the hash of a mark.
#[derive(Clone, Copy)]
pub(super) struct Kept {
    kind: Kind,
    span: Span,
    /// Until when it is kept by the monotonic clock, in seconds since the list was made.
    held: u64,
}

impl Kept {
    /// Tells whether it says that a token is revoked that was issued then.
    pub(super) fn revokes(self, issued: Option<u64>) -> bool {
        self.span.revokes(self.kind, issued)
    }

    /// Tells whether all tokens that it revokes have expired.
    pub(super) fn is_over(self, now: Present) -> bool {
        now.is_after(self.span.until, self.held)
    }
}

pub(super) struct Table {
    shards: ArcSwap<Shards>,
    /// The bits of the kinds of which there are entries.
    kinds: AtomicU8,
    writer: Mutex<Writer>,
    capacity: usize,
}

#[derive(Default)]
struct Writer {
    len: usize,
    /// When what was over was last taken out, by the monotonic clock.
    swept: u64,
    /// No entry is over before, by the wall clock and by the monotonic one.
    earliest: (u64, u64),
}

impl Table {
    pub(super) fn new(capacity: usize) -> Self {
        let shards = array::from_fn(|_| Arc::default());
        Self { shards: ArcSwap::from_pointee(shards), kinds: AtomicU8::new(0), writer: Mutex::default(), capacity }
    }

    /// Tells whether there is nothing to look for.
    pub(super) fn is_empty(&self) -> bool {
        self.kinds.load(Ordering::Acquire) == 0
    }

    /// Returns the first of the marks under which there is an entry that holds.
    pub(super) fn find(&self, marks: &[Mark], holds: impl Fn(Kept) -> bool) -> Option<Kind> {
        let kinds = self.kinds.load(Ordering::Acquire);
        if kinds == 0 {
            return None;
        }
        let shards = self.shards.load();
        let mut wanted = marks.iter().filter(|mark| kinds & mark.kind.bit() != 0);
        let found = |mark: &&Mark| {
            let kept = shards.get(shard_of(mark.hash))?.get(&mark.hash)?;
            holds(*kept).then_some(mark.kind)
        };
        wanted.find_map(|mark| found(&mark))
    }

    /// Adds entries. What does not fit any more is said of all tokens that were issued before it was
    /// revoked; if that is not known, before `latest`, in milliseconds, until `last`, in seconds.
    /// Tells whether there was any.
    pub(super) fn put(&self, entries: &[Entry], now: Present, latest: u64, last: u64) -> bool {
        let mut writer = lock(&self.writer);
        let mut shards: Shards = (**self.shards.load()).clone();
        let waited = now.elapsed.saturating_sub(writer.swept);
        let full = writer.len.saturating_add(entries.len()) > self.capacity;
        let (until, held) = writer.earliest;
        if now.is_after(until, held) && (waited >= SWEEP || full && waited > 0) {
            writer.sweep(&mut shards, now);
        }
        let mut kinds = self.kinds.load(Ordering::Relaxed);
        let mut overflowed = false;
        let unknown = Span { before: latest.saturating_add(1), until: last };
        for entry in entries.iter().filter(|entry| entry.span.until > now.at_least) {
            let Some(shard) = shards.get(shard_of(entry.mark.hash)) else { continue };
            // one place more for what is said of all
            let room = self.capacity.saturating_add(usize::from(kinds & Kind::All.bit() > 0));
            let fits = writer.len < room || entry.mark.kind == Kind::All;
            let entry = if fits || shard.contains_key(&entry.mark.hash) {
                *entry
            } else {
                overflowed = true;
                Entry { mark: Mark::ALL, span: entry.of_all(unknown) }
            };
            writer.put(&mut shards, entry, now);
            kinds |= entry.mark.kind.bit();
        }
        if writer.len == 0 {
            kinds = 0;
        }
        self.shards.store(Arc::new(shards));
        self.kinds.store(kinds, Ordering::Release);
        overflowed
    }

    /// Returns all entries that are not over.
    pub(super) fn entries(&self, now: Present) -> Vec<Entry> {
        let shards = self.shards.load();
        let all = shards.iter().flat_map(|shard| shard.iter()).filter(|(_, kept)| !kept.is_over(now));
        all.map(|(hash, kept)| Entry { mark: Mark { kind: kept.kind, hash: *hash }, span: kept.span }).collect()
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.writer).len
    }
}

impl Writer {
    fn put(&mut self, shards: &mut Shards, entry: Entry, now: Present) {
        let Entry { mark: Mark { kind, hash }, span } = entry;
        let Some(shard) = shards.get_mut(shard_of(hash)) else { return };
        let shard = Arc::make_mut(shard);
        let (len, held) = (shard.len(), now.hold(span.until));
        let join = |known: &mut Kept| {
            // a store that gives one hash to two kinds takes nothing back
            let kind = if kind.is_of_time() { known.kind } else { kind };
            *known = Kept { kind, span: known.span.with(span), held: known.held.max(held) };
        };
        shard.entry(hash).and_modify(join).or_insert(Kept { kind, span, held });
        self.len = self.len.saturating_add(shard.len().saturating_sub(len));
        let (until, earliest) = if self.len == 1 { (u64::MAX, u64::MAX) } else { self.earliest };
        self.earliest = (until.min(span.until), earliest.min(held));
    }

    /// Takes out what is over.
    fn sweep(&mut self, shards: &mut Shards, now: Present) {
        self.swept = now.elapsed;
        self.len = 0;
        self.earliest = (u64::MAX, u64::MAX);
        for shard in shards {
            if shard.values().any(|kept| kept.is_over(now)) {
                Arc::make_mut(shard).retain(|_, kept| !kept.is_over(now));
            }
            self.len = self.len.saturating_add(shard.len());
            for kept in shard.values() {
                let (until, held) = self.earliest;
                self.earliest = (until.min(kept.span.until), held.min(kept.held));
            }
        }
    }
}

fn shard_of(hash: u128) -> usize {
    let [last, ..] = hash.to_le_bytes();
    usize::from(last)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn entry(kind: Kind, hash: u128, before: u64, until: u64) -> Entry {
        Entry { mark: Mark { kind, hash }, span: Span { before, until } }
    }

    /// A moment by clocks that agree.
    fn at(seconds: u64) -> Present {
        Present { at_least: seconds, elapsed: seconds }
    }

    #[test]
    fn what_does_not_fit_is_said_of_all_tokens() {
        let table = Table::new(2);
        let put = |entries: &[Entry], now: u64| table.put(entries, at(now), now * 1000, 300);
        assert!(!put(&[entry(Kind::Id, 1, u64::MAX, 100), entry(Kind::Id, 2, u64::MAX, 200)], 5));
        assert!(!put(&[entry(Kind::Id, 2, u64::MAX, 250)], 6), "it is there");
        assert!(put(&[entry(Kind::Id, 3, u64::MAX, 200)], 7));
        let all = |issued, now| table.find(&[Mark::ALL], |kept| !kept.is_over(at(now)) && kept.revokes(issued));
        assert_eq!(all(Some(7000), 299), Some(Kind::All));
        assert_eq!(all(None, 299), Some(Kind::All));
        assert_eq!(all(Some(7001), 299), None, "and new ones are good");
        assert_eq!(all(Some(7000), 300), None);
        assert!(!put(&[entry(Kind::Id, 4, u64::MAX, 400)], 100), "one has expired");
        assert_eq!(table.len(), 3);
    }

    #[test]
    fn an_entry_that_could_not_be_kept_says_of_all_what_it_said_of_few_however_often_it_is_read() {
        for (kind, before, expected) in [(Kind::Subject, 9000, 9000), (Kind::Id, 9000, 9001), (Kind::Text, 9000, 9001)]
        {
            let table = Table::new(0);
            for now in [7, 20, 150] {
                assert!(table.put(&[entry(kind, 3, before, 200)], at(now), now * 1000, 1000));
                let [found] = table.entries(at(now))[..] else { panic!("one entry") };
                assert_eq!(found, Entry { mark: Mark::ALL, span: Span { before: expected, until: 200 } });
            }
        }
    }

    #[test]
    fn an_entry_of_another_kind_takes_nothing_back() {
        for kinds in [[Kind::Id, Kind::Subject], [Kind::Subject, Kind::Id]] {
            let table = Table::new(10);
            table.put(&kinds.map(|kind| entry(kind, 1, 2000, 100)), at(2), 0, 0);
            let mark = Mark { kind: Kind::Id, hash: 1 };
            assert_eq!(table.find(&[mark], |kept| kept.revokes(Some(9000))), Some(Kind::Id), "{kinds:?}");
        }
    }

    #[test]
    fn an_empty_table_is_told_by_a_look_and_becomes_empty_again() {
        let table = Table::new(10);
        assert!(table.is_empty());
        table.put(&[entry(Kind::Id, 1, u64::MAX, 100)], at(0), 0, 0);
        assert!(!table.is_empty());
        table.put(&[], at(100), 0, 0);
        assert!(table.is_empty());
        table.put(&[entry(Kind::Id, 1, u64::MAX, 100)], at(100), 0, 0);
        assert!(table.is_empty(), "what has expired is not taken in");
    }

    proptest! {
        /// Against a plain map that forgets nothing.
        #[test]
        fn what_matters_is_found(puts in prop::collection::vec((0..4_u64, prop::collection::vec((0..40_u128, 0..5_u64, 1..200_u64), 0..8)), 0..60)) {
            let table = Table::new(1000);
            let mut model: HashMap<u128, Span> = HashMap::new();
            let mut now = 0;
            for (passed, entries) in puts {
                now += passed * 20;
                let entries: Vec<_> =
                    entries.into_iter().map(|(hash, before, life)| entry(Kind::Id, hash * 77, before, now + life)).collect();
                for Entry { mark, span } in &entries {
                    model.entry(mark.hash).and_modify(|known| *known = known.with(*span)).or_insert(*span);
                }
                table.put(&entries, at(now), now * 1000, 0);
                for hash in (0..41).map(|hash| hash * 77) {
                    let expected = model.get(&hash).filter(|span| span.until > now);
                    let mark = Mark { kind: Kind::Id, hash };
                    let seen = std::cell::Cell::new(None);
                    table.find(&[mark], |kept| { seen.set(Some(kept.span)); kept.span.until > now });
                    // what has expired may have been taken out, and an entry of its key then begins anew
                    let seen = seen.get().filter(|span| span.until > now);
                    prop_assert_eq!(seen.map(|span| span.until), expected.map(|span| span.until));
                    prop_assert!(seen.map(|span| span.before) <= expected.map(|span| span.before));
                }
                prop_assert_eq!(table.entries(at(now)).len(), model.values().filter(|span| span.until > now).count());
            }
        }
    }
}
