//! The schema is made from the types, and from what follows where serde reads what the types do not
//! say.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::*;
use crate::config::claim::ValueConfig;
use crate::config::preset::PresetConfig;
use crate::issuer::Address;

#[test]
fn the_schema_is_that_of_the_types() {
    let mut schema = schemars::schema_for!(ResourceServerConfig);
    schema.insert("$id".into(), "https://docs.rs/tower-bearer/resource-server.schema.json".into());
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/schema.json"), &text).unwrap();
    }
    assert!(text == ResourceServerConfig::JSON_SCHEMA, "`UPDATE_SCHEMA=1 cargo test --lib schema` writes it anew");
}

impl JsonSchema for OneOrMany {
    fn schema_name() -> Cow<'static, str> {
        "OneOrMany".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "One string, or a list of them.",
            "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }],
        })
    }
}

impl<T: JsonSchema> JsonSchema for Field<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl JsonSchema for ValueConfig {
    fn schema_name() -> Cow<'static, str> {
        "ClaimValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "What a claim is compared with. A string is taken as it is: `\"true\"` is not `true`.",
            "type": ["string", "boolean", "integer"],
        })
    }
}

impl JsonSchema for PresetConfig {
    fn schema_name() -> Cow<'static, str> {
        "Preset".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut presets: Vec<_> = presets().collect();
        presets.sort_by_key(|preset| preset.name);
        let object = |members: Vec<(&str, Value)>| {
            let required: Vec<_> = members.iter().map(|(name, _)| *name).collect();
            let properties: BTreeMap<_, _> = members.iter().cloned().collect();
            json!({ "type": "object", "properties": properties, "additionalProperties": false, "required": required })
        };
        let one_of = presets.into_iter().map(|preset| {
            let arguments = preset.arguments.iter().map(|argument| {
                let text = json_schema!({ "type": "string" });
                (argument.name, if argument.is_list { generator.subschema_for::<OneOrMany>() } else { text }.to_value())
            });
            object(vec![(preset.name, object(arguments.collect()))])
        });
        json_schema!({
            "description": "A provider whose tokens are known, by the name of its constructor, with what that takes.",
            "oneOf": one_of.collect::<Vec<_>>(),
        })
    }
}

impl JsonSchema for Address {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        String::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}
