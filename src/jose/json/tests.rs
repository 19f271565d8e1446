use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Json, Fault> {
    Json::parse_all(text.as_bytes().to_vec())
}

#[test]
fn what_is_not_one_strict_object_is_refused_with_its_reason() {
    let deep = |depth| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let lists = |depth| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    let many = |names: &mut dyn Iterator<Item = u32>| {
        let members: Vec<_> = names.map(|name| format!("\"m{name}\":1")).collect();
        format!("{{{}}}", members.join(","))
    };
    let table: &[(&str, Option<Fault>)] = &[
        ("{}", None),
        (" {\"a\": [1, {\"b\": null}]} \n", None),
        ("{\"a\":{\"b\":1},\"b\":{\"b\":1}}", None),
        (&deep(64), None),
        (&lists(63), None),
        (&many(&mut (0..200)), None),
        ("", Some(Fault::Malformed)),
        ("[]", Some(Fault::NotAnObject)),
        ("null", Some(Fault::NotAnObject)),
        ("\"a\"", Some(Fault::NotAnObject)),
        ("{} x", Some(Fault::Malformed)),
        ("{}{}", Some(Fault::Malformed)),
        ("{\"a\":1,}", Some(Fault::Malformed)),
        ("{'a':1}", Some(Fault::Malformed)),
        ("{a:1}", Some(Fault::Malformed)),
        ("{\"a\":01}", Some(Fault::Malformed)),
        ("{\"a\":NaN}", Some(Fault::Malformed)),
        ("{\"a\":1e400}", Some(Fault::Malformed)),
        ("{\"a\":\"\\ud800\"}", Some(Fault::Malformed)),
        ("{\"a\":\"\n\"}", Some(Fault::Malformed)),
        ("\u{feff}{}", Some(Fault::Malformed)),
        ("/**/{}", Some(Fault::Malformed)),
        ("{\"a\":1,\"a\":1}", Some(Fault::DuplicateMember)),
        ("{\"a\":1,\"\\u0061\":1}", Some(Fault::DuplicateMember)),
        ("{\"\\u0061\":1,\"\\u0061\":1}", Some(Fault::DuplicateMember)),
        ("{\"x\":[{\"y\":{\"a\":1,\"b\":2,\"a\":3}}]}", Some(Fault::DuplicateMember)),
        (&many(&mut (0..200).chain([3])), Some(Fault::DuplicateMember)),
        (&many(&mut (0..200).chain([150])), Some(Fault::DuplicateMember)),
        (&deep(65), Some(Fault::TooDeep)),
        (&lists(64), Some(Fault::TooDeep)),
        (&deep(5000), Some(Fault::TooDeep)),
        (&lists(5000), Some(Fault::TooDeep)),
    ];
    for (text, expected) in table {
        assert_eq!(parse(text).err(), *expected, "{text:.80}");
    }
    assert_eq!(Fault::TooDeep.to_string(), format!("the JSON text is nested more than {} deep", nodes::MAX_DEPTH));
    assert_eq!(Json::parse_all(b"{\"a\":\"\xff\"}".to_vec()).err(), Some(Fault::NotUtf8));
    assert_eq!(Json::parse_all("{}".encode_utf16().flat_map(u16::to_le_bytes).collect()).err(), Some(Fault::Malformed));
}

#[test]
fn values_are_found_by_path_with_and_without_escapes() {
    let json =
        parse(r#"{"a":{"b":["x","y\u00e9\/",7]},"\u0063":"\ud834\udd1e","n":-1,"f":1.5,"big":18446744073709551615}"#);
    let json = json.unwrap();
    let root = json.root();
    let items: Vec<_> = root.get("a").and_then(|a| a.get("b")).unwrap().items().filter_map(Value::as_str).collect();
    assert_eq!(items, ["x", "yé/"]);
    assert_eq!(root.get("c").unwrap().as_str(), Some("𝄞"));
    assert_eq!(root.get("n").unwrap().as_number(), Some(Number::Negative(-1)));
    assert_eq!(root.get("f").unwrap().as_number(), Some(Number::Float(1.5)));
    assert_eq!(root.get("big").unwrap().as_number(), Some(Number::Unsigned(u64::MAX)));
    assert!(root.get("a").and_then(|a| a.get("c")).is_none());
    assert!(root.get("n").and_then(|n| n.get("c")).is_none());
    let names: Vec<_> = root.members().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "c", "n", "f", "big"]);
}

#[test]
fn a_member_named_like_the_parsers_own_number_marker_is_an_ordinary_member() {
    let json = parse(r#"{"exp":{"$serde_json::private::Number":"99"}}"#).unwrap();
    assert!(json.root().get("exp").unwrap().is_object());
}

/// Compares our reading with serde_json's own.
fn same(ours: Value<'_>, theirs: &serde_json::Value) -> bool {
    use serde_json::Value as V;
    match theirs {
        V::Null => ours.type_name() == "null",
        V::Bool(_) => ours.type_name() == "a boolean",
        V::Number(_) => ours.as_number().is_some(),
        V::String(text) => ours.as_str() == Some(text),
        V::Array(items) => ours.items().count() == items.len() && ours.items().zip(items).all(|(a, b)| same(a, b)),
        V::Object(members) => {
            ours.members().count() == members.len()
                && ours.members().all(|(name, value)| members.get(name).is_some_and(|other| same(value, other)))
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_give_a_document_or_a_fault_and_agree_with_serde_json(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let ours = Json::parse_all(bytes.clone());
        if let Ok(json) = ours {
            let theirs: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            prop_assert!(same(json.root(), &theirs));
        }
    }

    #[test]
    fn any_text_of_json_characters_agrees_with_serde_json(text in r#"\{("[ab\\u0061]{0,4}":[0-9.e"\[\]{}:,-]{0,6},?){0,4}\}"#) {
        match (parse(&text), serde_json::from_str::<serde_json::Value>(&text)) {
            (Ok(json), theirs) => prop_assert!(same(json.root(), &theirs.unwrap())),
            (Err(Fault::Malformed), Ok(_)) => prop_assert!(false, "{text} is JSON"),
            (Err(_), _) => {}
        }
    }
}
