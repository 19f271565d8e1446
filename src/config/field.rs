//! Values that may be wrong, so that the others are looked at all the same.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::strict;
use crate::error::{ConfigError, ConfigProblemKind};

/// A value of a configuration: absent, right, or wrong and why.
#[derive(Clone, Debug, Default)]
pub(super) enum Field<T> {
    #[default]
    Absent,
    Right(T),
    Wrong(String),
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Field<T> {
    /// Takes whatever is there, so that nothing is left over in the format's own reader, and looks
    /// at it then.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = strict::value(deserializer)?;
        // the environment knows strings only: what looks like a list or an object must be one, and
        // other text may hold a number
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
    pub(super) fn take(self, place: &mut Place<'_>) -> Option<T> {
        match self {
            Self::Absent => None,
            Self::Right(value) => Some(value),
            Self::Wrong(why) => {
                place.problem(why);
                None
            }
        }
    }
}

/// A place in a configuration, and what is found wrong.
pub(super) struct Place<'p> {
    path: String,
    problems: &'p mut ConfigError,
}

impl<'p> Place<'p> {
    pub(super) fn root(problems: &'p mut ConfigError) -> Self {
        Self { path: String::new(), problems }
    }

    /// Returns the place of a setting within this one.
    pub(super) fn of(&mut self, setting: &str) -> Place<'_> {
        let separator = if self.path.is_empty() { "" } else { "." };
        Place { path: format!("{}{separator}{setting}", self.path), problems: self.problems }
    }

    /// Returns the place of an element of the list here.
    pub(super) fn at(&mut self, index: usize) -> Place<'_> {
        Place { path: format!("{}[{index}]", self.path), problems: self.problems }
    }

    /// Notes that what is here cannot be meant.
    pub(super) fn problem(&mut self, fix: impl Into<String>) {
        self.problem_as(ConfigProblemKind::Invalid, fix);
    }

    pub(super) fn problem_as(&mut self, kind: ConfigProblemKind, fix: impl Into<String>) {
        self.problems.push_as(kind, &*self.path, fix);
    }
}

/// Declares a part of a configuration: fields that it is read by, and settings, each with what it
/// makes of a value that it changes.
macro_rules! settings {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident { $($(#[$field_doc:meta])* $field:ident: $of:ty,)* }
        for $target:ty {
            $($(#[$doc:meta])* $setting:ident: $type:ty => |$former:ident, $value:ident $(, $place:ident)?| $new:expr,)*
        }
    ) => {
        #[derive(Clone, Debug, Default, serde::Deserialize)]
        #[serde(default)]
        #[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
        $(#[$attribute])*
        $visibility struct $name {
            $($(#[$field_doc])* $field: $crate::config::field::Field<$of>,)*
            $($(#[$doc])* $setting: $crate::config::field::Field<$type>,)*
            #[serde(flatten)]
            #[cfg_attr(test, schemars(skip))]
            unknown: std::collections::BTreeMap<String, serde::de::IgnoredAny>,
        }

        impl $name {
            /// Changes a value as the settings say, and notes whatever is wrong with them.
            pub(in crate::config) fn change(self, mut target: $target, place: &mut $crate::config::field::Place<'_>) -> $target {
                $({
                    let mut of_setting = place.of(stringify!($setting));
                    if let Some($value) = self.$setting.take(&mut of_setting) {
                        let $former = target;
                        $(let $place = &mut of_setting;)?
                        target = $new;
                    }
                })*
                for name in self.unknown.keys() {
                    place.of(name).problem_as($crate::error::ConfigProblemKind::Unknown, "there is no setting of this name");
                }
                target
            }
        }
    };
}

pub(super) use settings;

/// One string, or a list of them, with one at least.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Strings")]
pub(super) struct OneOrMany(pub(super) Vec<Box<str>>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a string or a list of strings")]
enum Strings {
    One(Box<str>),
    Many(Vec<Box<str>>),
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

/// Returns each name with each of its values.
pub(super) fn pairs(lists: BTreeMap<String, OneOrMany>) -> impl Iterator<Item = (String, Box<str>)> {
    lists.into_iter().flat_map(|(name, OneOrMany(list))| list.into_iter().map(move |value| (name.clone(), value)))
}
