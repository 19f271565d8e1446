use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
const ED: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn ec(kid: &str) -> Value {
    json!({ "kty": "EC", "crv": "P-256", "x": X, "y": Y, "kid": kid })
}

fn set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes(), None).unwrap()
}

/// How many keys may have signed; or why none.
fn answer(set: &KeySet, kid: Option<&str>, algorithm: Algorithm) -> Result<usize, &'static str> {
    match set.select(kid, algorithm, "https://id.test/") {
        Selection::Candidates(candidates) => Ok(candidates.take(set.max_tried()).count()),
        Selection::OtherAlgorithm => Err("other algorithm"),
        Selection::OtherIssuer => Err("other issuer"),
        Selection::Unknown => Err("unknown"),
    }
}

#[test]
fn a_kid_is_compared_exactly_and_never_falls_back() {
    let ed = json!({ "kty": "OKP", "crv": "Ed25519", "x": ED, "kid": "b" });
    let set = set(&[ec("a"), ed, json!({ "kty": "EC", "crv": "P-256", "x": X, "y": Y })]);
    assert_eq!(answer(&set, Some("a"), Algorithm::Es256), Ok(1));
    assert_eq!(answer(&set, Some("b"), Algorithm::Ed25519), Ok(1));
    assert_eq!(answer(&set, Some("b"), Algorithm::Es256), Err("other algorithm"));
    for unknown in ["A", "a ", "", "c", "../a", "http://169.254.169.254/", "a\0", &"a".repeat(10_000)] {
        assert_eq!(answer(&set, Some(unknown), Algorithm::Es256), Err("unknown"), "{unknown:.20}");
    }
    assert_eq!(answer(&set, None, Algorithm::Es256), Ok(2));
    assert_eq!(answer(&set, None, Algorithm::Rs256), Err("unknown"));
}

#[test]
fn keys_of_different_types_may_share_a_kid() {
    let ed = json!({ "kty": "OKP", "crv": "Ed25519", "x": ED, "kid": "1" });
    let set = set(&[ec("1"), ed]);
    assert_eq!(answer(&set, Some("1"), Algorithm::Es256), Ok(1));
    assert_eq!(answer(&set, Some("1"), Algorithm::Ed25519), Ok(1));
}

#[test]
fn a_token_never_chooses_how_many_signatures_are_verified() {
    let set = set(&(0..100).map(|_| ec("same")).collect::<Vec<_>>());
    assert_eq!(answer(&set, None, Algorithm::Es256), Ok(4));
    assert_eq!(answer(&set, Some("same"), Algorithm::Es256), Ok(4));
    assert_eq!(set.most_candidates(), 100);
    let set = set.configured();
    assert_eq!(answer(&set, None, Algorithm::Es256), Ok(64));
    assert_eq!(answer(&set, Some("same"), Algorithm::Es256), Ok(64));
}

#[test]
fn a_key_that_names_itself_is_not_counted_for_those_that_do_not() {
    let nameless = json!({ "kty": "EC", "crv": "P-256", "x": X, "y": Y });
    let ed = json!({ "kty": "OKP", "crv": "Ed25519", "x": ED });
    let named: Vec<_> = (0..100).map(|number| ec(&number.to_string())).collect();
    assert_eq!(set(&named).most_candidates(), 1);
    assert_eq!(set(&[&*named, &[ed.clone(), ed]].concat()).most_candidates(), 2);
    // a token of this key has no kid, and any of the others may have signed it
    assert_eq!(set(&[&*named, &[nameless]].concat()).most_candidates(), 101);
}

#[test]
fn a_key_that_is_there_and_not_used_is_told_from_one_that_is_not_there() {
    let why = |set: &KeySet, kid| set.why_unknown(kid).into_owned();
    let mut weak = ec("weak");
    weak["x"] = "AAAA".into();
    let mut encryption = ec("enc");
    encryption["use"] = "enc".into();
    let keys = set(&[ec("a"), weak.clone(), encryption, json!({ "kid": "nothing else" }), json!(7)]);
    assert_eq!(why(&keys, Some("b")), "the issuer's set has no key of this kid");
    for (kid, reason) in
        [("weak", SkipReason::WrongLength), ("enc", SkipReason::WrongUse), ("nothing else", SkipReason::MissingMember)]
    {
        let expected = format!("the issuer's set has the key of this kid, but it is not used: {reason}");
        assert_eq!(why(&keys, Some(kid)), expected);
    }
    let without = why(&keys, None);
    assert!(
        without.starts_with("the token has no kid, and no key of the issuer fits its algorithm; key 1 is"),
        "{without}"
    );
    assert!(without.contains("; key 4 is not used: ") && !without.contains("more"), "{without}");
    let many = set(&vec![weak; 9]);
    assert!(why(&many, None).ends_with("; nor are 5 more"), "{}", why(&many, None));
    let nameless = set(&[json!({ "kty": "EC", "crv": "P-256", "x": X, "y": Y })]);
    assert!(why(&nameless, Some("a")).contains("keys without kid"));
    assert_eq!(why(&nameless, None), "the token has no kid, and no key of the issuer fits its algorithm");
    let cut = set(&(0..300).map(|number| ec(&number.to_string())).collect::<Vec<_>>());
    assert!(why(&cut, Some("299")).contains("first 256"));
    let mut others = ec("theirs");
    others["issuer"] = "https://other.test/".into();
    assert_eq!(answer(&set(&[others]), Some("theirs"), Algorithm::Es256), Err("other issuer"));
}

#[test]
fn each_key_stands_or_falls_alone() {
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let twice = r#"{"kty":"EC","kid":"twice","kty":"EC"}"#;
    let mut keys: Vec<String> =
        [&*deep, "null", "7", "\"x\"", "[]", "{}", "1e999", "\"\\ud800\"", twice].map(Into::into).into();
    keys.push(ec("good").to_string());
    keys.push(ec("good too").to_string().replace("\"y\"", &format!("\"x-own\":{deep},\"y\"")));
    let document = format!(r#"{{"x-own":{deep},"keys":[{}],"x-own":1}}"#, keys.join(","));
    let set = KeySet::parse(document.as_bytes(), None).unwrap();
    let names: Vec<_> = set.status().into_iter().map(|key| key.kid.unwrap().into_string()).collect();
    assert_eq!(names, ["good", "good too"]);
    assert_eq!(set.skipped.len(), 9);
}

#[test]
fn one_bad_key_does_not_take_the_set_down_and_too_many_are_cut_off() {
    let mut keys: Vec<_> = (0..300).map(|number| ec(&number.to_string())).collect();
    keys[0] = json!({ "kty": "EC", "kid": "broken" });
    let set = set(&keys);
    assert_eq!(set.status().len(), 255);
    assert_eq!(set.skipped.len(), 2);
    assert_eq!(set.skipped[0].to_string(), format!("key 0 (\"broken\"): {}", SkipReason::MissingMember));
    assert_eq!(set.skipped[1].reason, SkipReason::TooMany);
}

proptest! {
    #[test]
    fn any_bytes_are_a_set_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = KeySet::parse(&bytes, None);
    }

    #[test]
    fn any_key_is_used_or_skipped(
        kty in "EC|RSA|OKP|oct|[A-Z]{0,3}",
        members in proptest::collection::btree_map("kid|use|alg|crv|n|e|x|y|d|k|key_ops", "[A-Za-z0-9_-]{0,90}", 0..8),
    ) {
        let mut jwk = json!({ "kty": kty });
        for (name, value) in members {
            jwk[name] = value.into();
        }
        let set = set(&[jwk]);
        prop_assert_eq!(set.status().len() + set.skipped.len(), 1);
    }
}

#[test]
fn a_key_stays_the_same_while_nothing_about_it_changes() {
    let only = |set: &KeySet| Arc::clone(&set.keys[0].prepared[0]);
    let again = |key: &Value, former: &KeySet| {
        let document = json!({ "keys": [key] }).to_string();
        KeySet::parse(document.as_bytes(), Some(former)).unwrap()
    };
    let key = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
    let former = set(std::slice::from_ref(&key));
    let mut same = key.clone();
    same["use"] = "sig".into();
    assert!(again(&same, &former).contains(&only(&former)), "what does not matter may differ");
    for (member, value) in
        [("kid", "b"), ("x", "_Gj7E5BVLGPZ7JpCKWGvQFuHmBcqaQq6z3i8lHTyN14"), ("issuer", "https://id.test/")]
    {
        let mut other = key.clone();
        other[member] = value.into();
        let set = again(&other, &former);
        assert_eq!(set.keys.len(), 1);
        assert!(!set.contains(&only(&former)), "{member}");
    }
}
