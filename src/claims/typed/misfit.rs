//! Why claims do not fit a type: in our words and the type's, without any text of the token.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Expected, Unexpected};

/// An error of serde's in which nothing comes from the token.
#[derive(Debug)]
pub(super) struct Misfit {
    /// The way to the value that does not fit, from inside to outside.
    place: Vec<Place>,
    what: Cow<'static, str>,
}

/// A step on the way to a value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// A field or variant, by the name that the *type* gives it.
    Named(&'static str),
    /// An element of an array.
    Item(usize),
    /// A member whose name is the token's.
    Unnamed,
}

impl Misfit {
    fn new(what: impl Into<Cow<'static, str>>) -> Self {
        Self { place: Vec::new(), what: what.into() }
    }

    /// Says that a value of another type was found.
    pub(super) fn kind(found: &str, expected: &str) -> Self {
        Self::new(format!("{found}, where {expected} is expected"))
    }

    /// Says that an array or object was not read to its end.
    pub(super) fn longer() -> Self {
        Self::new("more elements than the type has")
    }

    /// Says that the type refuses the claims by code of its own.
    pub(super) fn unknown() -> Self {
        Self::new("refused by code of the type's own, or fits no variant of an untagged enum")
    }

    /// Says where the value is in which the fault lies.
    pub(super) fn within(mut self, place: Place) -> Self {
        self.place.push(place);
        self
    }
}

impl de::Error for Misfit {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::unknown()
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        match known(expected) {
            Some(expected) => Self::kind(word(found), expected),
            None => Self::new(format!("{}, where the type has something else", word(found))),
        }
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let is_number = matches!(found, Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_));
        match (known(expected), is_number) {
            (Some(expected), true) => Self::new(format!("a number out of the range of {expected}")),
            (Some(expected), false) => Self::new(format!("{} that is not {expected}", word(found))),
            (None, true) => Self::new("a number out of range"),
            (None, false) => Self::new(format!("{} that the type does not take", word(found))),
        }
    }

    fn invalid_length(_: usize, _: &dyn Expected) -> Self {
        Self::new("another number of elements than the type has")
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("none of the variants {}", list(expected)))
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("a member that is none of the fields {}", list(expected)))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("missing field `{field}`"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(format!("two members for the field `{field}`"))
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, place) in self.place.iter().rev().enumerate() {
            f.write_str(if index == 0 { "`" } else { "." })?;
            match place {
                Place::Named(name) => f.write_str(name)?,
                Place::Item(item) => write!(f, "{item}")?,
                Place::Unnamed => f.write_str("*")?,
            }
        }
        f.write_str(if self.place.is_empty() { "" } else { "`: " })?;
        f.write_str(&self.what)
    }
}

impl std::error::Error for Misfit {}

/// Returns our word for what is expected, if the text is one of serde's. Another text may be the
/// application's own and repeat a value.
fn known(expected: &dyn Expected) -> Option<&'static str> {
    const NUMBERS: &str = "f32 f64 i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize";
    match expected.to_string().as_str() {
        "a boolean" => Some("a boolean"),
        "a character" => Some("a character"),
        "a map" => Some("an object"),
        "a sequence" => Some("an array"),
        "a string" | "byte array" => Some("a string"),
        "unit" => Some("null"),
        other => NUMBERS.split(' ').find(|number| *number == other),
    }
}

/// Returns the kind of a value.
fn word(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a number",
        Unexpected::Float(_) => "a number with a fraction or exponent",
        Unexpected::Char(_) | Unexpected::Str(_) | Unexpected::Bytes(_) => "a string",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq => "an array",
        Unexpected::Map => "an object",
        Unexpected::UnitVariant => "a variant without content",
        Unexpected::Enum | Unexpected::NewtypeVariant | Unexpected::TupleVariant | Unexpected::StructVariant => {
            "a variant with content"
        }
        Unexpected::NewtypeStruct | Unexpected::Other(_) => "a value",
    }
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
