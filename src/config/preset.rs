//! The presets as data: each by the name of its constructor, with what that takes.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::field::OneOrMany;
use crate::issuer::{Argument, Issuer, Preset, presets};

/// The issuer that a preset makes of what a configuration gives.
#[derive(Clone, Debug)]
pub(super) struct PresetConfig(pub(super) Issuer);

impl<'de> Deserialize<'de> for PresetConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut named = BTreeMap::<String, BTreeMap<String, Value>>::deserialize(deserializer)?.into_iter();
        let (Some((name, given)), None) = (named.next(), named.next()) else {
            return Err(D::Error::custom("expected one preset"));
        };
        let Some(preset) = presets().find(|preset| preset.name == name) else {
            let known: Vec<_> = presets().map(|preset| preset.name).collect();
            return Err(D::Error::custom(format!("there is no preset {name:?}; there are {}", known.join(", "))));
        };
        make(preset, given).map(Self).map_err(D::Error::custom)
    }
}

fn make(preset: &Preset, mut given: BTreeMap<String, Value>) -> Result<Issuer, String> {
    let mut arguments = Vec::new();
    for Argument { name, is_list, .. } in preset.arguments {
        let value = given.remove(*name).ok_or_else(|| format!("{name} is missing"))?;
        let read = if *is_list {
            OneOrMany::deserialize(value).map(|list| list.0.into_iter().map(Into::into).collect())
        } else {
            String::deserialize(value).map(|text| vec![text])
        };
        arguments.push(read.map_err(|error| format!("{name}: {error}"))?);
    }
    match given.keys().next() {
        Some(unknown) => Err(format!("{} takes no {unknown:?}", preset.name)),
        None => Ok((preset.make)(&mut arguments.into_iter())),
    }
}
