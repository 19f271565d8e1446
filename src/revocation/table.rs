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
use crate::sync::lock;

/// Into so many maps the entries are divided, by the last byte of their hash.
const SHARDS: usize = 256;

/// What has expired is taken out at most so often, in seconds, by a new entry.
const SWEEP: u64 = 60;

type Shard = HashMap<u128, (Kind, Span), RandomState>;
type Shards = [Arc<Shard>; SHARDS];

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
    /// When what had expired was last taken out.
    swept: u64,
    /// No entry expires before.
    earliest: u64,
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
    pub(super) fn find(&self, marks: &[Mark], holds: impl Fn(Span) -> bool) -> Option<Kind> {
        let kinds = self.kinds.load(Ordering::Acquire);
        if kinds == 0 {
            return None;
        }
        let shards = self.shards.load();
        let mut wanted = marks.iter().filter(|mark| kinds & mark.kind.bit() != 0);
        let found = |mark: &&Mark| {
            let (_, span) = shards.get(shard_of(mark.hash))?.get(&mark.hash)?;
            holds(*span).then_some(mark.kind)
        };
        wanted.find_map(|mark| found(&mark))
    }

    /// Adds entries. What does not fit any more is said of all tokens: those that were issued before
    /// `now`, in milliseconds, until `last`, in seconds. Tells whether there was any.
    pub(super) fn put(&self, entries: &[Entry], now: u64, last: u64) -> bool {
        let mut writer = lock(&self.writer);
        let mut shards: Shards = (**self.shards.load()).clone();
        let now_secs = now / 1000;
        let waited = now_secs.abs_diff(writer.swept);
        let full = writer.len.saturating_add(entries.len()) > self.capacity;
        if writer.earliest <= now_secs && (waited >= SWEEP || full && waited > 0) {
            writer.sweep(&mut shards, now_secs);
        }
        let mut kinds = self.kinds.load(Ordering::Relaxed);
        let mut overflowed = false;
        let everything = Span { before: now.saturating_add(1), until: last };
        for entry in entries.iter().filter(|entry| entry.span.until > now_secs) {
            let Some(shard) = shards.get(shard_of(entry.mark.hash)) else { continue };
            // one place more for what is said of all
            let room = self.capacity.saturating_add(usize::from(kinds & Kind::All.bit() > 0));
            let fits = writer.len < room || entry.mark.kind == Kind::All;
            let entry = if fits || shard.contains_key(&entry.mark.hash) {
                *entry
            } else {
                overflowed = true;
                let before = if entry.span.before == u64::MAX { 0 } else { entry.span.before };
                let span = everything.with(Span { before, until: entry.span.until });
                Entry { mark: Mark::ALL, span }
            };
            writer.put(&mut shards, entry);
            kinds |= entry.mark.kind.bit();
        }
        if writer.len == 0 {
            kinds = 0;
        }
        self.shards.store(Arc::new(shards));
        self.kinds.store(kinds, Ordering::Release);
        overflowed
    }

    /// Returns all entries that matter after `now`, in seconds.
    pub(super) fn entries(&self, now: u64) -> Vec<Entry> {
        let shards = self.shards.load();
        let all = shards.iter().flat_map(|shard| shard.iter());
        let entries = all.map(|(hash, (kind, span))| Entry { mark: Mark { kind: *kind, hash: *hash }, span: *span });
        entries.filter(|entry| entry.span.until > now).collect()
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.writer).len
    }
}

impl Writer {
    fn put(&mut self, shards: &mut Shards, entry: Entry) {
        let Entry { mark: Mark { kind, hash }, span } = entry;
        let Some(shard) = shards.get_mut(shard_of(hash)) else { return };
        let shard = Arc::make_mut(shard);
        let len = shard.len();
        shard.entry(hash).and_modify(|(_, known)| *known = known.with(span)).or_insert((kind, span));
        self.len = self.len.saturating_add(shard.len().saturating_sub(len));
        self.earliest = if self.len == 1 { span.until } else { self.earliest.min(span.until) };
    }

    /// Takes out what has expired.
    fn sweep(&mut self, shards: &mut Shards, now: u64) {
        self.swept = now;
        self.len = 0;
        self.earliest = u64::MAX;
        for shard in shards {
            if shard.values().any(|(_, span)| span.until <= now) {
                Arc::make_mut(shard).retain(|_, (_, span)| span.until > now);
            }
            self.len = self.len.saturating_add(shard.len());
            let earliest = shard.values().map(|(_, span)| span.until).min();
            self.earliest = self.earliest.min(earliest.unwrap_or(u64::MAX));
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

    #[test]
    fn what_does_not_fit_is_said_of_all_tokens() {
        let table = Table::new(2);
        assert!(!table.put(&[entry(Kind::Id, 1, u64::MAX, 100), entry(Kind::Id, 2, u64::MAX, 200)], 5000, 300));
        assert!(!table.put(&[entry(Kind::Id, 2, u64::MAX, 250)], 6000, 300), "it is there");
        assert!(table.put(&[entry(Kind::Id, 3, u64::MAX, 200)], 7000, 300));
        let all = |issued, now| table.find(&[Mark::ALL], |span| span.until > now && span.revokes(issued));
        assert_eq!(all(Some(7000), 299), Some(Kind::All));
        assert_eq!(all(None, 299), Some(Kind::All));
        assert_eq!(all(Some(7001), 299), None, "and new ones are good");
        assert_eq!(all(Some(7000), 300), None);
        assert!(!table.put(&[entry(Kind::Id, 4, u64::MAX, 400)], 100_000, 400), "one has expired");
        assert_eq!(table.len(), 3);
    }

    #[test]
    fn an_entry_that_could_not_be_kept_says_of_all_what_it_said_of_few() {
        let table = Table::new(0);
        table.put(&[entry(Kind::Subject, 3, 9000, 200)], 7000, 100);
        let found = table.find(&[Mark::ALL], |span| span.until == 200 && span.before == 9000);
        assert_eq!(found, Some(Kind::All));
    }

    #[test]
    fn an_empty_table_is_told_by_a_look_and_becomes_empty_again() {
        let table = Table::new(10);
        assert!(table.is_empty());
        table.put(&[entry(Kind::Id, 1, u64::MAX, 100)], 0, 0);
        assert!(!table.is_empty());
        table.put(&[], 100_000, 0);
        assert!(table.is_empty());
        table.put(&[entry(Kind::Id, 1, u64::MAX, 100)], 100_000, 0);
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
                table.put(&entries, now * 1000, 0);
                for hash in (0..41).map(|hash| hash * 77) {
                    let expected = model.get(&hash).filter(|span| span.until > now);
                    let mark = Mark { kind: Kind::Id, hash };
                    let seen = std::cell::Cell::new(None);
                    table.find(&[mark], |span| { seen.set(Some(span)); span.until > now });
                    // what has expired may have been taken out, and an entry of its key then begins anew
                    let seen = seen.get().filter(|span| span.until > now);
                    prop_assert_eq!(seen.map(|span| span.until), expected.map(|span| span.until));
                    prop_assert!(seen.map(|span| span.before) <= expected.map(|span| span.before));
                }
                prop_assert_eq!(table.entries(now).len(), model.values().filter(|span| span.until > now).count());
            }
        }
    }
}
