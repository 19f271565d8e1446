//! Reads parsed claims as serde_json reads their text, with an error that repeats nothing of them.

use serde::de::value::MapDeserializer;
use serde::de::{self, DeserializeSeed, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::misfit::{Misfit, Place};
use crate::jose::{Number, Value};

/// By what serde_json's `RawValue` is asked for. It takes any value, and this reader does not have
/// its text.
const RAW_VALUE: &str = "$serde_json::private::RawValue";

/// What a visitor makes of the claims.
type Read<'de, V> = Result<<V as Visitor<'de>>::Value, Misfit>;

/// Names of a type's fields or variants.
type Names = &'static [&'static str];

/// A value of the claims.
#[derive(Clone, Copy)]
pub(super) struct Deserializer<'de>(pub(super) Value<'de>);

impl<'de> Deserializer<'de> {
    fn misfit(self, expected: &str) -> Misfit {
        Misfit::kind(self.0.type_name(), expected)
    }

    fn array<V: Visitor<'de>>(self, visitor: V) -> Read<'de, V> {
        let mut elements = Elements(self.0.items().enumerate());
        let read = visitor.visit_seq(&mut elements)?;
        if elements.0.next().is_some() { Err(Misfit::longer()) } else { Ok(read) }
    }

    fn object<V: Visitor<'de>>(self, fields: Names, visitor: V) -> Read<'de, V> {
        let mut members = Members { rest: self.0.members(), names: fields, current: None };
        let read = visitor.visit_map(&mut members)?;
        if members.rest.next().is_some() { Err(Misfit::longer()) } else { Ok(read) }
    }
}

/// Reads a value that must be of one kind, as serde_json demands it.
macro_rules! only {
    ($fits:expr => $($method:ident($($argument:ty),*) $expected:literal),*) => {$(
        fn $method<V: Visitor<'de>>(self, $(_: $argument,)* visitor: V) -> Read<'de, V> {
            let fits: fn(Value<'de>) -> bool = $fits;
            if fits(self.0) { self.deserialize_any(visitor) } else { Err(self.misfit($expected)) }
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Deserializer<'de> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Read<'de, V> {
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

    only! { |value| value.as_bool().is_some() => deserialize_bool() "a boolean" }
    only! { |value| value.as_number().is_some() =>
        deserialize_i8() "i8", deserialize_i16() "i16", deserialize_i32() "i32", deserialize_i64() "i64",
        deserialize_i128() "i128", deserialize_u8() "u8", deserialize_u16() "u16", deserialize_u32() "u32",
        deserialize_u64() "u64", deserialize_u128() "u128", deserialize_f32() "f32", deserialize_f64() "f64"
    }
    only! { |value| value.as_str().is_some() =>
        deserialize_char() "a string", deserialize_str() "a string", deserialize_string() "a string",
        deserialize_identifier() "a string"
    }
    only! { Value::is_null => deserialize_unit() "null", deserialize_unit_struct(&'static str) "null" }
    only! { Value::is_array =>
        deserialize_seq() "an array", deserialize_tuple(usize) "an array",
        deserialize_tuple_struct(&'static str, usize) "an array"
    }
    only! { Value::is_object => deserialize_map() "an object" }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Read<'de, V> {
        match self.0.as_str() {
            Some(text) => visitor.visit_borrowed_bytes(text.as_bytes()),
            None => self.deserialize_seq(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Read<'de, V> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Read<'de, V> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Read<'de, V> {
        if name == RAW_VALUE {
            return visitor.visit_map(MapDeserializer::new([(RAW_VALUE, "null")].into_iter()));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(self, _: &'static str, fields: Names, visitor: V) -> Read<'de, V> {
        if self.0.is_array() {
            self.array(visitor)
        } else if self.0.is_object() {
            self.object(fields, visitor)
        } else {
            Err(self.misfit("an object"))
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(self, _: &'static str, variants: Names, visitor: V) -> Read<'de, V> {
        if let Some(text) = self.0.as_str() {
            visitor.visit_enum(IntoDeserializer::<Misfit>::into_deserializer(text))
        } else if self.0.members().count() == 1 {
            visitor.visit_enum(Members { rest: self.0.members(), names: variants, current: None })
        } else {
            Err(self.misfit("a string, or an object of one member,"))
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Read<'de, V> {
        visitor.visit_unit()
    }
}

struct Elements<I>(I);

impl<'de, I: Iterator<Item = (usize, Value<'de>)>> de::SeqAccess<'de> for Elements<I> {
    type Error = Misfit;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Misfit> {
        let Some((index, element)) = self.0.next() else { return Ok(None) };
        seed.deserialize(Deserializer(element)).map(Some).map_err(|misfit| misfit.within(Place::Item(index)))
    }
}

/// An object as a map or struct, or as the one variant that is its only member.
struct Members<'de, I> {
    rest: I,
    names: Names,
    /// The member whose name was read.
    current: Option<(&'de str, Value<'de>)>,
}

impl<'de, I> Members<'de, I> {
    /// Reads the member's value. Where that is, is said by the type's own name of it or by none.
    fn value<T>(&mut self, read: impl FnOnce(Deserializer<'de>) -> Result<T, Misfit>) -> Result<T, Misfit> {
        let Some((name, value)) = self.current.take() else { return Err(Misfit::unknown()) };
        let own = self.names.iter().find(|own| **own == name);
        let place = own.map_or(Place::Unnamed, |own| Place::Named(own));
        read(Deserializer(value)).map_err(|misfit| misfit.within(place))
    }
}

impl<'de, I: Iterator<Item = (&'de str, Value<'de>)>> MapAccess<'de> for Members<'de, I> {
    type Error = Misfit;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Misfit> {
        self.current = self.rest.next();
        self.current.map(|(name, _)| seed.deserialize(Name(name))).transpose()
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Misfit> {
        self.value(|value| seed.deserialize(value))
    }
}

impl<'de, I: Iterator<Item = (&'de str, Value<'de>)>> de::EnumAccess<'de> for Members<'de, I> {
    type Error = Misfit;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(mut self, seed: S) -> Result<(S::Value, Self), Misfit> {
        let variant = self.next_key_seed(seed)?.ok_or_else(Misfit::unknown)?;
        Ok((variant, self))
    }
}

impl<'de, I> de::VariantAccess<'de> for Members<'de, I> {
    type Error = Misfit;

    fn unit_variant(mut self) -> Result<(), Misfit> {
        self.value(|content| de::Deserializer::deserialize_unit(content, de::IgnoredAny)).map(drop)
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(mut self, seed: S) -> Result<S::Value, Misfit> {
        self.value(|content| seed.deserialize(content))
    }

    fn tuple_variant<V: Visitor<'de>>(mut self, len: usize, visitor: V) -> Read<'de, V> {
        self.value(|content| de::Deserializer::deserialize_tuple(content, len, visitor))
    }

    fn struct_variant<V: Visitor<'de>>(mut self, fields: Names, visitor: V) -> Read<'de, V> {
        self.value(|content| de::Deserializer::deserialize_struct(content, "", fields, visitor))
    }
}

/// A member's name; keys of maps may be read from it as numbers and truth values.
struct Name<'de>(&'de str);

macro_rules! parsed {
    ($($method:ident $visit:ident $type:ident),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Read<'de, V> {
            match self.0.parse::<$type>() {
                Ok(value) => visitor.$visit(value),
                Err(_) => Err(Misfit::kind("the name of a member", stringify!($type))),
            }
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Name<'de> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Read<'de, V> {
        visitor.visit_borrowed_str(self.0)
    }

    parsed! {
        deserialize_bool visit_bool bool,
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64, deserialize_i128 visit_i128 i128, deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64,
        deserialize_u128 visit_u128 u128, deserialize_f32 visit_f32 f32, deserialize_f64 visit_f64 f64
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Read<'de, V> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Read<'de, V> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(self, _: &'static str, _: Names, visitor: V) -> Read<'de, V> {
        visitor.visit_enum(IntoDeserializer::<Misfit>::into_deserializer(self.0))
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}
