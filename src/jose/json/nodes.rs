//! The list of nodes that a document consists of, and how it is built while serde_json parses.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Objects and arrays may be nested this deep: as deep as other servers take them. Real tokens
/// reach 5; serde_json, which reads the application's own type, takes 127.
pub(super) const MAX_DEPTH: u8 = 64;

/// Up to this many members are compared with each other; beyond, a hash set keeps the cost linear.
const FEW_MEMBERS: usize = 24;

/// How `serde_json` presents a number when some crate in the build enables its feature
/// `arbitrary_precision`.
const ARBITRARY_PRECISION: &str = "$serde_json::private::Number";

/// Why a text is not a strict JSON object.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("a member appears twice in a JSON object")]
    DuplicateMember,
    #[error("the JSON text is malformed")]
    Malformed,
    #[error("the JSON text is not an object")]
    NotAnObject,
    #[error("the JSON text is not UTF-8")]
    NotUtf8,
    #[error("the JSON text is nested more than 64 deep")]
    TooDeep,
}

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
fn offset(place: usize) -> u32 {
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

/// Parses the document in this place of the text, an object, and adds its nodes.
pub(super) fn parse(text: &mut String, nodes: &mut Vec<Node>, range: Range<usize>) -> Result<(), Fault> {
    let document = text.get(range).ok_or(Fault::NotUtf8)?;
    let root = nodes.len();
    let mut builder = Builder { text, unescaped: String::new(), nodes, fault: None };
    let mut deserializer = serde_json::Deserializer::from_str(document);
    let seed = ValueSeed { builder: &mut builder, name: Span::default(), depth: 0 };
    let parsed = seed.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    let Builder { unescaped, fault, .. } = builder;
    if parsed.is_err() {
        return Err(fault.unwrap_or(Fault::Malformed));
    }
    if !matches!(nodes.get(root), Some(Node { kind: Kind::Object { .. }, .. })) {
        return Err(Fault::NotAnObject);
    }
    text.push_str(&unescaped);
    Ok(())
}

/// Guesses how many nodes a text of this length has: claims have one for some 20 bytes.
pub(super) fn nodes_in(len: usize) -> usize {
    len.div_ceil(16).saturating_add(2)
}

struct Builder<'t> {
    text: &'t str,
    /// Strings that do not stand in the text as such, to be appended to it.
    unescaped: String,
    nodes: &'t mut Vec<Node>,
    fault: Option<Fault>,
}

impl Builder<'_> {
    /// Finds a string that the parser borrowed from the text.
    fn span_of(&mut self, string: &str) -> Span {
        let start = string.as_ptr().addr().wrapping_sub(self.text.as_ptr().addr());
        match start.checked_add(string.len()).filter(|end| *end <= self.text.len()) {
            Some(end) => Span::new(start, end),
            None => self.append(string),
        }
    }

    fn append(&mut self, string: &str) -> Span {
        let start = self.text.len().saturating_add(self.unescaped.len());
        self.unescaped.push_str(string);
        Span::new(start, start.saturating_add(string.len()))
    }

    fn resolve(&self, span: Span) -> &str {
        let (len, Range { start, end }) = (self.text.len(), span.range());
        let unescaped = || self.unescaped.get(start.checked_sub(len)?..end.checked_sub(len)?);
        if start < len { self.text.get(start..end) } else { unescaped() }.unwrap_or_default()
    }

    fn fail<E: serde::de::Error>(&mut self, fault: Fault) -> E {
        self.fault = Some(fault);
        E::custom(fault)
    }

    /// Returns the names of an object's members so far.
    fn members(&self, object: usize) -> impl Iterator<Item = Span> {
        let mut next = object.saturating_add(1);
        std::iter::from_fn(move || {
            let node = self.nodes.get(next)?;
            next = node.after(next);
            Some(node.name)
        })
    }

    /// Adds a node; [`close`](Self::close) fills in the end of a container.
    fn push(&mut self, name: Span, kind: Kind) -> usize {
        self.nodes.push(Node { name, kind });
        self.nodes.len().saturating_sub(1)
    }

    fn close(&mut self, index: usize) {
        let end = offset(self.nodes.len());
        if let Some(Node { kind: Kind::Array { last } | Kind::Object { last }, .. }) = self.nodes.get_mut(index) {
            *last = end;
        }
    }
}

struct ValueSeed<'b, 't> {
    builder: &'b mut Builder<'t>,
    name: Span,
    depth: u8,
}

impl ValueSeed<'_, '_> {
    fn leaf<E>(self, kind: Kind) -> Result<(), E> {
        self.builder.push(self.name, kind);
        Ok(())
    }

    fn deeper<E: serde::de::Error>(&mut self) -> Result<u8, E> {
        match self.depth.checked_add(1).filter(|depth| *depth <= MAX_DEPTH) {
            Some(depth) => Ok(depth),
            None => Err(self.builder.fail(Fault::TooDeep)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.leaf(Kind::Bool(value))
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.leaf(Kind::Number(u64::try_from(number).map_or(Number::Negative(number), Number::Unsigned)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.leaf(Kind::Number(Number::Unsigned(number)))
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.leaf(Kind::Number(Number::Float(number)))
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.leaf(Kind::Null)
    }

    fn visit_borrowed_str<E>(self, string: &'de str) -> Result<(), E> {
        let span = self.builder.span_of(string);
        self.leaf(Kind::String(span))
    }

    fn visit_str<E>(self, string: &str) -> Result<(), E> {
        let span = self.builder.append(string);
        self.leaf(Kind::String(span))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        let depth = self.deeper()?;
        let index = self.builder.push(self.name, Kind::Array { last: 0 });
        let name = Span::default();
        while elements.next_element_seed(ValueSeed { builder: self.builder, name, depth })?.is_some() {}
        self.builder.close(index);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        let depth = self.deeper()?;
        let index = self.builder.push(self.name, Kind::Object { last: 0 });
        let mut names = Names::of(index);
        while let Some(key) = members.next_key_seed(NameSeed { builder: self.builder })? {
            let Some(name) = key else {
                return self.number(index, &members.next_value::<String>()?);
            };
            if !names.insert(name, self.builder) {
                return Err(self.builder.fail(Fault::DuplicateMember));
            }
            members.next_value_seed(ValueSeed { builder: self.builder, name, depth })?;
        }
        self.builder.close(index);
        Ok(())
    }
}

impl ValueSeed<'_, '_> {
    /// Turns the object at `index` into the number that it stands for.
    fn number<E: serde::de::Error>(self, index: usize, digits: &str) -> Result<(), E> {
        let integer = |number: i64| u64::try_from(number).map_or(Number::Negative(number), Number::Unsigned);
        let number = digits.parse().map(Number::Unsigned).or_else(|_| digits.parse().map(integer));
        let float = || digits.parse().ok().filter(|float: &f64| float.is_finite()).map(Number::Float);
        let Some(number) = number.ok().or_else(float) else {
            return Err(self.builder.fail(Fault::Malformed));
        };
        if let Some(node) = self.builder.nodes.get_mut(index) {
            node.kind = Kind::Number(number);
        }
        Ok(())
    }
}

/// Reads a member's name; `None` is not from the text, but the parser's own way to present a number.
struct NameSeed<'b, 't> {
    builder: &'b mut Builder<'t>,
}

impl<'de> DeserializeSeed<'de> for NameSeed<'_, '_> {
    type Value = Option<Span>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Span>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for NameSeed<'_, '_> {
    type Value = Option<Span>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Option<Span>, E> {
        let inside = self.builder.text.as_bytes().as_ptr_range().contains(&name.as_ptr());
        if !inside && name == ARBITRARY_PRECISION {
            return Ok(None);
        }
        Ok(Some(self.builder.span_of(name)))
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<Span>, E> {
        Ok(Some(self.builder.append(name)))
    }
}

/// The names seen in one object, whose members are the nodes after it.
struct Names {
    object: usize,
    /// A bit for each name. Most names are new because theirs is not set yet, and are compared with
    /// none.
    bits: u64,
    len: usize,
    /// The names beyond the few that are compared with each other.
    many: Option<HashSet<Box<str>>>,
}

impl Names {
    fn of(object: usize) -> Self {
        Self { object, bits: 0, len: 0, many: None }
    }

    /// Returns whether the name is new.
    fn insert(&mut self, name: Span, builder: &Builder<'_>) -> bool {
        let text = builder.resolve(name);
        let bit = bit_of(text.as_bytes());
        let seen = self.bits & bit != 0;
        self.bits |= bit;
        self.len = self.len.saturating_add(1);
        if seen && builder.members(self.object).take(FEW_MEMBERS).any(|other| builder.resolve(other) == text) {
            return false;
        }
        self.len <= FEW_MEMBERS || self.many.get_or_insert_default().insert(text.into())
    }
}

/// One of 64 bits, which differs for most names that occur together.
fn bit_of(name: &[u8]) -> u64 {
    let byte = |byte: Option<&u8>| byte.map_or(0, |byte| u32::from(*byte));
    let ends = byte(name.first()).wrapping_mul(5).wrapping_add(byte(name.last()).wrapping_mul(19));
    1_u64.rotate_left(ends.wrapping_add(offset(name.len())))
}
