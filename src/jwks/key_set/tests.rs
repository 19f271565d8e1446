use proptest::prelude::*;
use serde_json::json;

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
    match set.answer(kid, algorithm, "https://id.test/") {
        Answer::Candidates(candidates) => Ok(candidates.count()),
        Answer::OtherAlgorithm => Err("other algorithm"),
        Answer::Unknown => Err("unknown"),
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
    assert_eq!(answer(&set, None, Algorithm::Es256), Ok(MAX_CANDIDATES));
    assert_eq!(answer(&set, Some("same"), Algorithm::Es256), Ok(MAX_CANDIDATES));
}

#[test]
fn one_bad_key_does_not_take_the_set_down_and_too_many_are_cut_off() {
    let mut keys: Vec<_> = (0..300).map(|number| ec(&number.to_string())).collect();
    keys[0] = json!({ "kty": "EC", "kid": "broken" });
    let set = set(&keys);
    assert_eq!(set.status().len(), 255);
    assert_eq!(set.skipped().len(), 2);
    assert_eq!(set.skipped()[0].to_string(), "key 0 (\"broken\"): malformed");
    assert_eq!(set.skipped()[1].reason, SkipReason::TooMany);
}

#[test]
fn what_is_no_key_set_is_none() {
    for document in ["", "{}", "[]", "null", "{\"keys\":{}}", "{\"keys\":[]", "{\"keys\":null}", "<html>", "\u{feff}{}"]
    {
        assert!(KeySet::parse(document.as_bytes(), None).is_none(), "{document}");
    }
    assert!(KeySet::parse(b"{\"keys\":[]}", None).unwrap().is_empty());
    assert!(KeySet::parse(&[0xff, 0xfe], None).is_none());
    assert!(KeySet::parse("[".repeat(100_000).as_bytes(), None).is_none());
    assert!(KeySet::parse(format!("{{\"keys\":[]}}{}", " ".repeat(MAX_DOCUMENT_LEN)).as_bytes(), None).is_none());
}

proptest! {
    #[test]
    fn any_bytes_are_a_set_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
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
        prop_assert_eq!(set.status().len() + set.skipped().len(), 1);
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
        assert_eq!(set.len(), 1);
        assert!(!set.contains(&only(&former)), "{member}");
    }
}
