//! Values that may be wrong, so that the others are looked at all the same.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

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
        let value = Value::deserialize(deserializer)?;
        // the environment knows strings only
        let within = value.as_str().and_then(|text| serde_json::from_str(text).ok());
        Ok(match T::deserialize(value) {
            Ok(value) => Self::Right(value),
            Err(error) => match within.map(|value: Value| T::deserialize(value)) {
                Some(Ok(value)) => Self::Right(value),
                _ => Self::Wrong(error.to_string()),
            },
        })
    }
}

impl<T> Field<T> {
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
pub(super) fn refuse_unknown(path: &str, unknown: &BTreeMap<String, Value>, problems: &mut ConfigError) {
    for name in unknown.keys() {
        let separator = if path.is_empty() { "" } else { "." };
        problems.push(format!("{path}{separator}{name}"), "there is no setting of this name");
    }
}

/// One string, or a list of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a string or a list of strings")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl From<OneOrMany> for Vec<String> {
    fn from(list: OneOrMany) -> Self {
        match list {
            // a list from the environment is one string, too
            OneOrMany::One(text) => serde_json::from_str(&text).unwrap_or_else(|_| vec![text]),
            OneOrMany::Many(texts) => texts,
        }
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
