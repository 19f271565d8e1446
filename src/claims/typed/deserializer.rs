//! Reads parsed claims as serde_json reads their text, with an error that repeats nothing of them.

use serde::de::value::{MapDeserializer, StrDeserializer};
use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::misfit::{Misfit, Place};
use crate::jose::{Number, Value};

/// By what serde_json's `RawValue` is asked for. It takes any value, and this reader does not have
/// its text.
const RAW_VALUE: &str = "$serde_json::private::RawValue";

/// A value of the claims.
#[derive(Clone, Copy)]
pub(super) struct Deserializer<'de>(Value<'de>);

impl<'de> Deserializer<'de> {
    pub(super) fn new(value: Value<'de>) -> Self {
        Self(value)
    }

    /// Reads a value that must be of one kind, as serde_json demands it.
    fn only<V: Visitor<'de>>(self, fits: bool, expected: &str, visitor: V) -> Result<V::Value, Misfit> {
        if fits { de::Deserializer::deserialize_any(self, visitor) } else { Err(self.misfit(expected)) }
    }

    fn misfit(self, expected: &str) -> Misfit {
        Misfit::kind(self.0.type_name(), expected)
    }

    fn is_string(self) -> bool {
        self.0.as_str().is_some()
    }

    fn array<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let mut elements = Elements { rest: self.0.items(), index: 0 };
        let read = visitor.visit_seq(&mut elements)?;
        if elements.rest.next().is_some() { Err(Misfit::longer()) } else { Ok(read) }
    }

    fn object<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Misfit> {
        let mut members = Members { rest: self.0.members(), fields, current: None };
        let read = visitor.visit_map(&mut members)?;
        if members.rest.next().is_some() { Err(Misfit::longer()) } else { Ok(read) }
    }
}

macro_rules! numbers {
    ($($method:ident $name:literal),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            self.only(self.0.as_number().is_some(), $name, visitor)
        }
    )*};
}

macro_rules! strings {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            self.only(self.is_string(), "a string", visitor)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Deserializer<'de> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if let Some(text) = self.0.as_str() {
            return visitor.visit_borrowed_str(text);
        }
        match self.0.as_number() {
            Some(Number::Float(number)) => return visitor.visit_f64(number),
            Some(Number::Negative(number)) => return visitor.visit_i64(number),
            Some(Number::Unsigned(number)) => return visitor.visit_u64(number),
            None => {}
        }
        if self.0.is_array() {
            self.array(visitor)
        } else if self.0.is_object() {
            self.object(&[], visitor)
        } else if let Some(bool) = self.0.as_bool() {
            visitor.visit_bool(bool)
        } else {
            visitor.visit_unit()
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.only(self.0.as_bool().is_some(), "a boolean", visitor)
    }

    numbers! {
        deserialize_i8 "i8", deserialize_i16 "i16", deserialize_i32 "i32", deserialize_i64 "i64", deserialize_i128 "i128",
        deserialize_u8 "u8", deserialize_u16 "u16", deserialize_u32 "u32", deserialize_u64 "u64", deserialize_u128 "u128",
        deserialize_f32 "f32", deserialize_f64 "f64"
    }

    strings! { deserialize_char deserialize_str deserialize_string deserialize_identifier }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0.as_str() {
            Some(text) => visitor.visit_borrowed_bytes(text.as_bytes()),
            None => self.deserialize_seq(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.only(self.0.is_null(), "null", visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Misfit> {
        if name == RAW_VALUE {
            return visitor.visit_map(MapDeserializer::new([(RAW_VALUE, "null")].into_iter()));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.only(self.0.is_array(), "an array", visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.only(self.0.is_object(), "an object", visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        if self.0.is_array() {
            self.array(visitor)
        } else if self.0.is_object() {
            self.object(fields, visitor)
        } else {
            Err(self.misfit("an object"))
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        if let Some(text) = self.0.as_str() {
            return visitor.visit_enum(IntoDeserializer::<Misfit>::into_deserializer(text));
        }
        let mut members = self.0.members();
        match (members.next(), members.next()) {
            (Some((name, content)), None) => {
                let content = Self(content);
                visitor.visit_enum(Variant { name, content, place: place(variants, name) })
            }
            _ => Err(self.misfit("a string, or an object of one member,")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_unit()
    }
}

/// Says where a member is, by the type's own name of it or by none.
fn place(names: &[&'static str], name: &str) -> Place {
    names.iter().find(|own| **own == name).map_or(Place::Unnamed, |own| Place::Named(own))
}

struct Elements<I> {
    rest: I,
    index: usize,
}

impl<'de, I: Iterator<Item = Value<'de>>> de::SeqAccess<'de> for Elements<I> {
    type Error = Misfit;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Misfit> {
        let Some(element) = self.rest.next() else { return Ok(None) };
        let place = Place::Item(self.index);
        self.index = self.index.saturating_add(1);
        seed.deserialize(Deserializer(element)).map(Some).map_err(|misfit| misfit.within(place))
    }
}

struct Members<'de, I> {
    rest: I,
    fields: &'static [&'static str],
    /// The member whose name was read.
    current: Option<(Place, Value<'de>)>,
}

impl<'de, I: Iterator<Item = (&'de str, Value<'de>)>> de::MapAccess<'de> for Members<'de, I> {
    type Error = Misfit;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Misfit> {
        let Some((name, value)) = self.rest.next() else { return Ok(None) };
        self.current = Some((place(self.fields, name), value));
        seed.deserialize(Name(name)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Misfit> {
        let Some((place, value)) = self.current.take() else { return Err(Misfit::unknown()) };
        seed.deserialize(Deserializer(value)).map_err(|misfit| misfit.within(place))
    }
}

/// A member's name; keys of maps may be read from it as numbers and truth values.
struct Name<'de>(&'de str);

macro_rules! parsed {
    ($($method:ident $visit:ident $type:ident),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            match self.0.parse::<$type>() {
                Ok(value) => visitor.$visit(value),
                Err(_) => Err(Misfit::kind("the name of a member", stringify!($type))),
            }
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Name<'de> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_borrowed_str(self.0)
    }

    parsed! {
        deserialize_bool visit_bool bool,
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64, deserialize_i128 visit_i128 i128, deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64,
        deserialize_u128 visit_u128 u128, deserialize_f32 visit_f32 f32, deserialize_f64 visit_f64 f64
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_enum(IntoDeserializer::<Misfit>::into_deserializer(self.0))
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// A variant that has content, as the only member of an object.
struct Variant<'de> {
    name: &'de str,
    content: Deserializer<'de>,
    place: Place,
}

impl<'de> de::EnumAccess<'de> for Variant<'de> {
    type Error = Misfit;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Misfit> {
        Ok((seed.deserialize(StrDeserializer::<Misfit>::new(self.name))?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'de> {
    type Error = Misfit;

    fn unit_variant(self) -> Result<(), Misfit> {
        self.content
            .only(self.content.0.is_null(), "null", de::IgnoredAny)
            .map(drop)
            .map_err(|misfit| misfit.within(self.place))
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Misfit> {
        seed.deserialize(self.content).map_err(|misfit| misfit.within(self.place))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Misfit> {
        de::Deserializer::deserialize_tuple(self.content, len, visitor).map_err(|misfit| misfit.within(self.place))
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Misfit> {
        let read = de::Deserializer::deserialize_struct(self.content, "", fields, visitor);
        read.map_err(|misfit| misfit.within(self.place))
    }
}
