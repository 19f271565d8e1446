//! The presets as data: each by the name of its constructor, with what that takes.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::field::OneOrMany;
use crate::issuer::{Issuer, Preset, presets};

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
    for (name, is_list) in preset.arguments {
        let value = given.remove(*name).ok_or_else(|| format!("{name} is missing"))?;
        let read = if *is_list {
            OneOrMany::deserialize(value).map(|list| list.into_iter().collect())
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

#[cfg(test)]
impl schemars::JsonSchema for PresetConfig {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Preset".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut presets: Vec<_> = presets().collect();
        presets.sort_by_key(|preset| preset.name);
        let object = |members: Vec<(&str, Value)>| {
            let required: Vec<_> = members.iter().map(|(name, _)| *name).collect();
            let properties: BTreeMap<_, _> = members.iter().cloned().collect();
            serde_json::json!({ "type": "object", "properties": properties, "additionalProperties": false, "required": required })
        };
        let one_of = presets.into_iter().map(|preset| {
            let arguments = preset.arguments.iter().map(|(name, is_list)| {
                let text = schemars::json_schema!({ "type": "string" });
                (*name, if *is_list { generator.subschema_for::<OneOrMany>() } else { text }.to_value())
            });
            object(vec![(preset.name, object(arguments.collect()))])
        });
        schemars::json_schema!({
            "description": "A provider whose tokens are known, by the name of its constructor, with what that takes.",
            "oneOf": one_of.collect::<Vec<_>>(),
        })
    }
}
