//! Strict JSON (RFC 8725 §3.7, RFC 7515 §4 and §10.12): one object, UTF-8, nothing after it, no
//! member twice at any depth, bounded depth.
//!
//! A document is parsed once into a flat list of nodes that point into its own text. Whatever is
//! read from a token later (registered claims, scopes, roles at a path) is a look-up in that list.
//! A token's header and claims share one text and one list.

mod nodes;
#[cfg(test)]
mod tests;

pub(crate) use self::nodes::{Fault, Number};
use self::nodes::{Kind, Node, Span, place};

/// A text, and the objects that were parsed from it, each a document of its own.
pub(crate) struct Json {
    /// The documents, followed by those of their strings that had to be unescaped.
    text: String,
    /// Depth first, one document after the other.
    nodes: Vec<Node>,
    /// The text of the document that was parsed last.
    last: Span,
    /// The index of its object.
    root: usize,
}

impl Json {
    /// Makes room for documents of so many bytes.
    pub(crate) fn with_capacity(len: usize) -> Self {
        Self { text: String::with_capacity(len), nodes: Vec::new(), last: Span::default(), root: 0 }
    }

    /// Gives the text away, for the next document to be appended.
    pub(crate) fn take_text(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.text).into_bytes()
    }

    /// Takes the text back, and parses what was appended to this many bytes: one object.
    pub(crate) fn parse(&mut self, text: Vec<u8>, start: usize) -> Result<(), Fault> {
        self.text = String::from_utf8(text).map_err(|_| Fault::NotUtf8)?;
        if self.nodes.capacity() == 0 {
            self.nodes.reserve(nodes::nodes_in(self.text.capacity()));
        }
        let range = start..self.text.len();
        (self.last, self.root) = (Span::new(range.start, range.end), self.nodes.len());
        nodes::parse(&mut self.text, &mut self.nodes, range)
    }

    /// Parses a text that is one object.
    pub(crate) fn parse_all(bytes: Vec<u8>) -> Result<Self, Fault> {
        let mut json = Self::with_capacity(bytes.len());
        json.parse(bytes, 0)?;
        Ok(json)
    }

    /// Returns the text of the document that was parsed last.
    pub(crate) fn text(&self) -> &str {
        self.slice(self.last)
    }

    /// Returns what it takes, in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.text.capacity().saturating_add(self.nodes.capacity().saturating_mul(size_of::<Node>()))
    }

    /// Returns the object that was parsed last.
    pub(crate) fn root(&self) -> Value<'_> {
        Value { json: self, index: self.root }
    }

    /// Returns the object that was parsed first.
    pub(crate) fn first(&self) -> Value<'_> {
        Value { json: self, index: 0 }
    }

    /// Takes the next value out of a row.
    pub(crate) fn next_of(&self, row: &mut Row) -> Option<Value<'_>> {
        let value = Value { json: self, index: row.next };
        row.next = value.node().filter(|_| row.next < row.end)?.after(row.next);
        #[cfg(test)]
        LOOKED_AT.set(LOOKED_AT.get().saturating_add(1));
        Some(value)
    }

    /// Turns members of the object that was parsed last from integers into strings of their digits.
    /// The text of the document stays as it is.
    pub(crate) fn spell_integers<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) {
        for name in names {
            let Some(value) = self.root().get(name) else { continue };
            let (index, digits) = match value.as_number() {
                Some(Number::Negative(number)) => (value.index, number.to_string()),
                Some(Number::Unsigned(number)) => (value.index, number.to_string()),
                Some(Number::Float(_)) | None => continue,
            };
            let start = self.text.len();
            self.text.push_str(&digits);
            if let Some(node) = self.nodes.get_mut(index) {
                node.kind = Kind::String(Span::new(start, self.text.len()));
            }
        }
    }

    fn slice(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or_default()
    }
}

/// Values that stand side by side in a document, each with all that is inside it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Row {
    next: usize,
    end: usize,
}

#[cfg(test)]
thread_local! {
    /// How many values were looked at on this thread: what a reader costs.
    pub(crate) static LOOKED_AT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// A value in a document.
#[derive(Clone, Copy)]
pub(crate) struct Value<'j> {
    json: &'j Json,
    index: usize,
}

impl<'j> Value<'j> {
    fn node(self) -> Option<&'j Node> {
        self.json.nodes.get(self.index)
    }

    fn kind(self) -> Kind {
        self.node().map_or(Kind::Null, |node| node.kind)
    }

    pub(crate) fn as_str(self) -> Option<&'j str> {
        if let Kind::String(span) = self.kind() { Some(self.json.slice(span)) } else { None }
    }

    pub(crate) fn as_bool(self) -> Option<bool> {
        if let Kind::Bool(value) = self.kind() { Some(value) } else { None }
    }

    pub(crate) fn as_number(self) -> Option<Number> {
        if let Kind::Number(number) = self.kind() { Some(number) } else { None }
    }

    pub(crate) fn is_null(self) -> bool {
        matches!(self.kind(), Kind::Null)
    }

    pub(crate) fn is_array(self) -> bool {
        matches!(self.kind(), Kind::Array { .. })
    }

    pub(crate) fn is_object(self) -> bool {
        matches!(self.kind(), Kind::Object { .. })
    }

    /// Returns the name of the JSON type, for error texts.
    pub(crate) fn type_name(self) -> &'static str {
        match self.kind() {
            Kind::Array { .. } => "an array",
            Kind::Bool(_) => "a boolean",
            Kind::Null => "null",
            Kind::Number(_) => "a number",
            Kind::Object { .. } => "an object",
            Kind::String(_) => "a string",
        }
    }

    /// Returns what it holds, as a person would write it: objects, and arrays of other things than
    /// strings, only by their type.
    pub(crate) fn describe(self) -> String {
        match self.kind() {
            Kind::String(_) => format!("{:?}", self.as_str().unwrap_or_default()),
            Kind::Number(Number::Float(number)) => number.to_string(),
            Kind::Number(Number::Negative(number)) => number.to_string(),
            Kind::Number(Number::Unsigned(number)) => number.to_string(),
            Kind::Array { .. } if self.items().all(|item| item.as_str().is_some()) => {
                format!("{:?}", self.strings().collect::<Vec<_>>())
            }
            Kind::Bool(value) => value.to_string(),
            Kind::Array { .. } | Kind::Null | Kind::Object { .. } => self.type_name().to_owned(),
        }
    }

    /// Returns an array's elements, or nothing.
    pub(crate) fn items(self) -> impl Iterator<Item = Value<'j>> {
        let last = if let Kind::Array { last } = self.kind() { last } else { 0 };
        self.children(last)
    }

    /// Returns an object's members, or nothing.
    pub(crate) fn members(self) -> impl Iterator<Item = (&'j str, Value<'j>)> {
        let last = if let Kind::Object { last } = self.kind() { last } else { 0 };
        self.children(last).map(|value| (value.node().map_or("", |node| value.json.slice(node.name)), value))
    }

    /// Returns the member of this name.
    pub(crate) fn get(self, name: &str) -> Option<Self> {
        let Kind::Object { last } = self.kind() else { return None };
        let (nodes, text) = (self.json.nodes.get(..place(last))?, self.json.text.as_bytes());
        let mut index = self.index.saturating_add(1);
        loop {
            let node = nodes.get(index)?;
            #[cfg(test)]
            LOOKED_AT.set(LOOKED_AT.get().saturating_add(1));
            // byte by byte: names that are as long most often differ in the first
            let member = text.get(node.name.range()).unwrap_or_default();
            if member.len() == name.len() && member.iter().eq(name.as_bytes()) {
                return Some(Value { index, ..self });
            }
            index = node.after(index);
        }
    }

    /// Returns a string, or an array's strings, or nothing.
    pub(crate) fn strings(self) -> impl Iterator<Item = &'j str> {
        self.as_str().into_iter().chain(self.items().filter_map(Value::as_str))
    }

    /// Returns an array's elements, or anything else by itself.
    pub(crate) fn each(self) -> Row {
        let Some(node) = self.node() else { return Row::default() };
        let first = if self.is_array() { self.index.saturating_add(1) } else { self.index };
        Row { next: first, end: node.after(self.index) }
    }

    fn children(self, last: u32) -> impl Iterator<Item = Value<'j>> {
        let mut row = Row { next: self.index.saturating_add(1), end: place(last) };
        std::iter::from_fn(move || self.json.next_of(&mut row))
    }
}
