//! Readers of whatever an issuer may sign.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::jose::{Json, LOOKED_AT, Value as Claim};

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

/// How many values there are, those inside others too.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// Where a path leads, by the book.
fn reach<'v>(value: &'v Value, path: &[&str], found: &mut Vec<&'v Value>) {
    let [name, path @ ..] = path else {
        found.push(value);
        return;
    };
    let objects = if let Value::Array(items) = value { items.iter().collect() } else { vec![value] };
    for value in objects.iter().filter_map(|object| object.as_object()?.get(*name)) {
        reach(value, path, found);
    }
}

/// Tells whether two values, read by two readers, look the same from outside.
fn alike(ours: Claim<'_>, theirs: &Value) -> bool {
    let len = match theirs {
        Value::Array(items) => items.len(),
        Value::Object(members) => members.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    };
    ours.as_str() == theirs.as_str()
        && ours.as_bool() == theirs.as_bool()
        && ours.is_array() == theirs.is_array()
        && ours.items().count() + ours.members().count() == len
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn readers_find_nothing_that_is_not_there(claim in any_value(), separator in any::<Option<char>>(), prefix in "(x:)?") {
        let json = Json::parse_all(serde_json::json!({ "c": claim, "org": "a" }).to_string().into_bytes()).unwrap();
        let mut there = Vec::new();
        texts(&claim, &mut there);
        let (mut scopes, mut roles) = (Scopes::at(["c"]).only_with_prefix(&*prefix), Roles::at(["c"]).only_with_prefix(&*prefix));
        if let Some(separator) = separator {
            (scopes, roles) = (scopes.separated_by(separator), roles.separated_by(separator));
        }
        let within = |found: &str| !found.is_empty() && there.iter().any(|text| text.contains(&[&*prefix, found].concat()));
        let in_org = roles.clone().only_granted_in(Segment::value_of("org"));
        for reader in [&roles, &in_org, &roles.clone().and(["c", "roles"]), &in_org.clone().and(["c", "a", "roles"])] {
            prop_assert!(reader.read(&json).all(within));
        }
        for reader in [&scopes, &scopes.clone().and(["c", "a"]), &scopes.clone().and(["c", "roles", "a"])] {
            prop_assert!(reader.read(&json).all(within));
            prop_assert!(reader.read(&json).all(|scope| !scope.contains(' ')));
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
        let whole = roles.iter().filter(|role| !role.contains(' '));
        prop_assert!(as_scopes.read(&json).eq(whole));
    }

    #[test]
    fn a_path_finds_what_is_there_and_looks_at_no_value_more_than_twice(claim in any_value(), steps in vec("a|roles", 0..5)) {
        let claims = serde_json::json!({ "c": claim });
        let json = Json::parse_all(claims.to_string().into_bytes()).unwrap();
        let steps: Vec<&str> = std::iter::once("c").chain(steps.iter().map(String::as_str)).collect();
        let mut expected = Vec::new();
        reach(&claims, &steps, &mut expected);
        let path = Path::new(steps);
        LOOKED_AT.set(0);
        let found: Vec<_> = path.follow(&json).map(|found| found.value).collect();
        let looked_at = LOOKED_AT.get();
        prop_assert!(looked_at <= 2 * count(&claims), "{looked_at}");
        prop_assert_eq!(found.len(), expected.len());
        prop_assert!(found.into_iter().zip(expected).all(|(ours, theirs)| alike(ours, theirs)));
    }
}

#[test]
fn a_hundred_thousand_roles_are_read_in_every_shape() {
    let names: Vec<String> = (0..100_000).map(|index| format!("role{index}")).collect();
    let object: serde_json::Map<_, _> =
        names.iter().map(|name| (name.clone(), serde_json::json!({ "1": "x" }))).collect();
    let roles =
        Roles::default().only_granted_in("1").renamed(names.iter().map(|name| (name.clone(), name.to_uppercase())));
    let json = Json::parse_all(serde_json::json!({ "roles": object }).to_string().into_bytes()).unwrap();
    assert_eq!(roles.read(&json).count(), names.len());
    let joined = Json::parse_all(serde_json::json!({ "roles": names.join(",") }).to_string().into_bytes()).unwrap();
    assert_eq!(Roles::default().separated_by(',').read(&joined).count(), names.len());
    let listed: Vec<_> = names.iter().map(|name| serde_json::json!({ "x": [{ "name": name }, {}] })).collect();
    let claims = serde_json::json!({ "roles": listed, "tenant": "name" });
    let json = Json::parse_all(claims.to_string().into_bytes()).unwrap();
    LOOKED_AT.set(0);
    let deep = Roles::at([Segment::from("roles"), "x".into(), Segment::value_of("tenant")]).only_granted_in("y");
    assert_eq!(deep.and(["roles", "x", "name"]).read(&json).count(), 0);
    assert_eq!(Roles::at(["roles", "x", "name"]).read(&json).count(), names.len());
    // three paths; and each name that another claim says is looked up once
    assert!(LOOKED_AT.get() <= 6 * count(&claims) + 10, "{}", LOOKED_AT.get());
}
