//! What a document consists of.

use std::ops::Range;

/// A piece of the text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Self {
        Self { start: offset(start), end: offset(end) }
    }

    pub(super) fn range(self) -> Range<usize> {
        place(self.start)..place(self.end)
    }
}

/// A place in the text or among the nodes. Documents are far shorter than what this could not
/// express, and a place beyond any end holds nothing.
pub(super) fn offset(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

pub(super) fn place(offset: u32) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// The member's name; empty for array elements.
    pub(super) name: Span,
    pub(super) kind: Kind,
}

impl Node {
    /// Returns the index after this node, which has this index, and all that is inside it.
    pub(super) fn after(&self, index: usize) -> usize {
        match self.kind {
            Kind::Array { last } | Kind::Object { last } => place(last),
            Kind::Bool(_) | Kind::Null | Kind::Number(_) | Kind::String(_) => index.saturating_add(1),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// `last` is the index after the last node inside.
    Array {
        last: u32,
    },
    Bool(bool),
    Null,
    Number(Number),
    Object {
        last: u32,
    },
    String(Span),
}

/// A JSON number as it was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Float(f64),
    Negative(i64),
    Unsigned(u64),
}
