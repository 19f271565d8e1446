//! Who is to be told when something is revoked: open streams.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::task::Waker;

use super::entry::Mark;
use crate::sync::lock;

/// All that wait, under each of their marks.
#[derive(Default)]
pub(super) struct Watchers(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    next: u64,
    /// In the order of the marks, so that those of one stand together.
    wakers: BTreeMap<(Mark, u64), Arc<Mutex<Waker>>>,
}

/// One that waits.
pub(super) struct Ticket {
    number: u64,
    waker: Arc<Mutex<Waker>>,
}

impl Watchers {
    pub(super) fn enter(&self, marks: &[Mark], waker: &Waker) -> Ticket {
        let waker = Arc::new(Mutex::new(waker.clone()));
        let mut waiting = lock(&self.0);
        let number = waiting.next;
        waiting.next = number.wrapping_add(1);
        waiting.wakers.extend(marks.iter().map(|mark| ((*mark, number), Arc::clone(&waker))));
        Ticket { number, waker }
    }

    pub(super) fn leave(&self, marks: &[Mark], ticket: &Ticket) {
        let mut waiting = lock(&self.0);
        for mark in marks {
            waiting.wakers.remove(&(*mark, ticket.number));
        }
    }

    /// Wakes all that have the mark of an entry.
    pub(super) fn wake(&self, entries: impl IntoIterator<Item = Mark>) {
        let waiting = lock(&self.0);
        if waiting.wakers.is_empty() {
            return;
        }
        let marked = entries.into_iter().flat_map(|mark| waiting.wakers.range((mark, 0)..=(mark, u64::MAX)));
        let wakers: Vec<_> = marked.map(|(_, waker)| lock(waker).clone()).collect();
        // whoever is woken may leave at once
        drop(waiting);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Ticket {
    /// Waits in another task from now on.
    pub(super) fn wait_in(&self, waker: &Waker) {
        lock(&self.waker).clone_from(waker);
    }
}
