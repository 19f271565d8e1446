//! Readers of whatever an issuer may sign.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::jose::Json;

/// Any JSON value, with names and texts that readers know.
fn any_value() -> impl Strategy<Value = Value> {
    let text = || prop_oneof![Just("roles".to_owned()), Just("a".to_owned()), Just("x:a b,c".to_owned()), ".*"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, move |inner| {
        let object = btree_map(text(), inner.clone(), 0..6);
        prop_oneof![
            vec(inner, 0..6).prop_map(Value::from),
            object.prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// All texts within a value: those that are values, and those that are names.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(members) => {
            for (name, value) in members {
                found.push(name.clone());
                texts(value, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn readers_find_nothing_that_is_not_there(claim in any_value(), separator in any::<Option<char>>(), prefix in "(x:)?") {
        let json = Json::parse_all(serde_json::json!({ "c": claim, "org": "a" }).to_string().into_bytes()).unwrap();
        let mut there = Vec::new();
        texts(&claim, &mut there);
        let (mut scopes, mut roles) = (Scopes::at(["c"]).with_prefix(&*prefix), Roles::at(["c"]).with_prefix(&*prefix));
        if let Some(separator) = separator {
            (scopes, roles) = (scopes.separated_by(separator), roles.separated_by(separator));
        }
        let within = |found: &str| !found.is_empty() && there.iter().any(|text| text.contains(&[&*prefix, found].concat()));
        for reader in [&roles, &roles.clone().granted_in(Segment::value_of("org")), &roles.clone().and(["c", "roles"])] {
            prop_assert!(reader.read(&json).all(within));
        }
        for reader in [&scopes, &scopes.clone().and(["c", "a"])] {
            prop_assert!(reader.read(&json).all(within));
        }
        // with other names, none is the issuer's
        let renamed = roles.only_renamed(there.iter().map(|role| (role.clone(), "ours".to_owned())));
        prop_assert!(renamed.read(&json).all(|role| role == "ours"));
    }

    #[test]
    fn an_array_of_strings_is_read_as_it_stands(roles in vec("[a-z :]{1,8}", 0..50)) {
        let json = Json::parse_all(serde_json::json!({ "roles": roles, "scope": roles }).to_string().into_bytes()).unwrap();
        let (as_roles, as_scopes) = (Roles::default(), Scopes::default());
        prop_assert!(as_roles.read(&json).eq(roles.iter().map(String::as_str)));
        let words = roles.iter().flat_map(|role| role.split(' ')).filter(|word| !word.is_empty());
        prop_assert!(as_scopes.read(&json).eq(words));
    }
}

#[test]
fn a_hundred_thousand_roles_are_read_in_every_shape() {
    let names: Vec<String> = (0..100_000).map(|index| format!("role{index}")).collect();
    let object: serde_json::Map<_, _> =
        names.iter().map(|name| (name.clone(), serde_json::json!({ "1": "x" }))).collect();
    let roles = Roles::default().granted_in("1").renamed(names.iter().map(|name| (name.clone(), name.to_uppercase())));
    let json = Json::parse_all(serde_json::json!({ "roles": object }).to_string().into_bytes()).unwrap();
    assert_eq!(roles.read(&json).count(), names.len());
    let joined = Json::parse_all(serde_json::json!({ "roles": names.join(",") }).to_string().into_bytes()).unwrap();
    assert_eq!(Roles::default().separated_by(',').read(&joined).count(), names.len());
}
