use super::*;
use crate::jwks::Reach;

fn guid(number: u32) -> Guid {
    Guid::parse(&format!("{number:08x}-0000-0000-0000-000000000000")).unwrap()
}

fn kids(known: &KnownKeys) -> Vec<Guid> {
    known.kept.iter().map(|key| key.kid).collect()
}

#[test]
fn the_newest_keys_are_kept_and_an_old_one_keeps_its_place() {
    let (mut known, now) = (KnownKeys::default(), Instant::now());
    for number in 0..20 {
        known.answered(guid(number), Some("{}".into()), now);
    }
    known.answered(guid(15), Some("{}".into()), now);
    assert_eq!(kids(&known), [12, 13, 14, 15, 16, 17, 18, 19].map(guid));
    assert!(known.missed.is_empty());
    for number in 0..20 {
        known.answered(guid(number), None, now);
    }
    assert_eq!((known.kept.len(), known.missed.len()), (MAX_KEPT, MAX_MISSED));
}

#[test]
fn keys_in_hand_are_asked_for_again_by_the_plan_or_when_they_are_old() {
    let (mut known, start) = (KnownKeys::default(), Instant::now());
    let after = |minutes: u64| start + Duration::from_secs(60 * minutes);
    assert_eq!(known.due(start), (None, vec![]));
    known.answered(guid(1), Some("{}".into()), start);
    known.answered(guid(2), Some("{}".into()), after(20));
    known.wanted = Some(guid(3));
    assert_eq!(known.due(after(29)), (Some(guid(3)), vec![]));
    known.wanted = Some(guid(3));
    assert_eq!(known.due(after(30)), (Some(guid(3)), vec![guid(1)]));
    assert_eq!(known.due(after(20)), (None, vec![guid(1), guid(2)]), "nothing is wanted for long");
    known.wanted = Some(guid(1));
    assert_eq!(known.due(after(60)), (Some(guid(1)), vec![guid(2)]), "each once");
}

#[test]
fn an_address_is_checked_and_gets_nothing_but_the_name() {
    let made = |address: &str| KeysByKid::new(HttpAccess::new(None, Reach::Anywhere, [].into()), address);
    for (address, base) in [
        ("https://keys.test", "https://keys.test"),
        ("https://keys.test/", "https://keys.test"),
        ("https://s3.test/bucket", "https://s3.test/bucket"),
        ("https://s3.test/bucket/", "https://s3.test/bucket"),
        ("http://127.0.0.1:8080/k", "http://127.0.0.1:8080/k"),
    ] {
        assert_eq!(&*made(address).ok().unwrap().base, base);
    }
    for wrong in
        ["", "keys.test", "http://keys.test", "https://keys.test?k=", "https://keys.test/#", "https://u:p@k.test"]
    {
        assert!(made(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn saved_keys_are_gone_on_with_by_their_names() {
    let source = KeysByKid::new(HttpAccess::new(None, Reach::Anywhere, [].into()), "https://keys.test").ok().unwrap();
    source.adopt(b"no set");
    source.adopt(format!(r#"{{"keys":[{{"kid":"{}"}},{{"kid":"../x"}},{{}},7]}}"#, guid(7)).as_bytes());
    let mut known = lock(&source.known);
    assert_eq!(kids(&known), [guid(7)]);
    known.wanted = Some(guid(8));
    assert_eq!(known.due(Instant::now()), (Some(guid(8)), vec![guid(7)]), "whether they are still there is not known");
}
