//! Values that may be wrong, so that the others are looked at all the same.

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};

use super::strict;
use crate::error::ConfigError;

/// A value of a configuration: absent, right, or wrong and why.
#[derive(Clone, Debug, Default)]
pub(super) enum Field<T> {
    #[default]
    Absent,
    Right(T),
    Wrong(String),
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Field<T> {
    /// Takes whatever is there, so that nothing is left over in the format's own reader, and looks at it then.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = strict::value(deserializer)?;
        // the environment knows strings only: what looks like a list or an object must be one, and other text may hold a number
        let text = value.as_str().unwrap_or_default();
        let is_list = text.trim_start().starts_with(['[', '{']);
        let mut reader = serde_json::Deserializer::from_str(text);
        let within = strict::value(&mut reader).and_then(|value| reader.end().map(|()| value));
        let read = |value| T::deserialize(value).map_err(|error: serde_json::Error| error.to_string());
        let right = match within {
            Ok(within) if is_list => read(within),
            Err(error) if is_list => Err(format!("the text looks like a list or an object, and is no JSON: {error}")),
            Ok(within) if !within.is_null() => read(value).or_else(|error| read(within).map_err(|_| error)),
            Ok(_) | Err(_) => read(value),
        };
        Ok(right.map_or_else(Self::Wrong, Self::Right))
    }
}

impl<T> Field<T> {
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Returns the value, if it is there and right.
    pub(super) fn take(self, path: &str, problems: &mut ConfigError) -> Option<T> {
        match self {
            Self::Absent => None,
            Self::Right(value) => Some(value),
            Self::Wrong(why) => {
                problems.push(path, why);
                None
            }
        }
    }
}

/// Refuses what no setting is called.
pub(super) fn refuse_unknown(path: &str, unknown: &BTreeMap<String, IgnoredAny>, problems: &mut ConfigError) {
    for name in unknown.keys() {
        let separator = if path.is_empty() { "" } else { "." };
        problems.push(format!("{path}{separator}{name}"), "there is no setting of this name");
    }
}

/// One string, or a list of them, with one at least.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Strings")]
pub(super) struct OneOrMany(Vec<String>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a string or a list of strings")]
enum Strings {
    One(String),
    Many(Vec<String>),
}

impl TryFrom<Strings> for OneOrMany {
    type Error = &'static str;

    fn try_from(strings: Strings) -> Result<Self, Self::Error> {
        match strings {
            Strings::One(text) => Ok(Self(vec![text])),
            Strings::Many(texts) if texts.is_empty() => Err("the list is empty; leave it out if nothing is meant"),
            Strings::Many(texts) => Ok(Self(texts)),
        }
    }
}

impl From<OneOrMany> for Vec<String> {
    fn from(list: OneOrMany) -> Self {
        list.0
    }
}

/// Returns each name with each of its values.
pub(super) fn pairs(lists: BTreeMap<String, OneOrMany>) -> impl Iterator<Item = (String, String)> {
    lists.into_iter().flat_map(|(name, list)| Vec::from(list).into_iter().map(move |value| (name.clone(), value)))
}

#[cfg(test)]
impl schemars::JsonSchema for OneOrMany {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OneOrMany".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "One string, or a list of them.",
            "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }],
        })
    }
}

#[cfg(test)]
impl<T: schemars::JsonSchema> schemars::JsonSchema for Field<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_id() -> std::borrow::Cow<'static, str> {
        T::schema_id()
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        T::json_schema(generator)
    }
}
