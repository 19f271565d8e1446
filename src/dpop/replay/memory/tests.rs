//! The store against a plain map that forgets nothing, with room for all and for few.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// A key and a proof, by their numbers; and until when it is to be remembered, in milliseconds.
fn used(key: u32, jti: u32, now: u64, until: u64) -> ProofUse {
    let hash = |number: u32| {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&number.to_be_bytes());
        hash
    };
    // each key is in another part
    let mut thumbprint = hash(key);
    thumbprint[31] = key.to_le_bytes()[0];
    let time = |millis| UnixTime(Duration::from_millis(millis));
    ProofUse::at(thumbprint, hash(jti), time(now), time(until.saturating_sub(5000)))
}

fn with_exact_room(room: usize) -> InMemoryReplayStore {
    InMemoryReplayStore { room, ..InMemoryReplayStore::new() }
}

/// As a letter: yes, no or unknown.
fn ask(store: &InMemoryReplayStore, proof: &ProofUse) -> char {
    match store.first_use(proof) {
        FirstUse::Yes => 'y',
        FirstUse::No => 'n',
        FirstUse::CannotTell(_) => 'u',
        FirstUse::Later(_) => panic!("nothing takes a while here"),
    }
}

fn weight(store: &InMemoryReplayStore) -> usize {
    store.parts.iter().map(|part| lock(&part.shard).weight()).sum()
}

#[test]
fn a_proof_is_good_once_for_each_key_and_until_it_has_expired() {
    let store = InMemoryReplayStore::new();
    for (key, jti, now, until, expected) in [
        (1, 1, 0, 60_000, 'y'),
        (1, 1, 0, 60_000, 'n'),
        (1, 2, 0, 60_000, 'y'),
        (2, 1, 0, 60_000, 'y'),
        (2, 1, 59_999, 60_000, 'n'),
        // it is remembered as it was, whatever is said of it later
        (1, 1, 59_999, 90_000, 'n'),
        (1, 1, 60_000, 120_000, 'y'),
        (1, 1, 119_999, 120_000, 'n'),
        // what has expired already counts as what is about to
        (3, 3, 200_000, 100_000, 'y'),
        (3, 3, 204_999, 100_000, 'n'),
        (3, 3, 205_000, 100_000, 'y'),
    ] {
        assert_eq!(ask(&store, &used(key, jti, now, until)), expected, "{key} {jti} at {now}");
    }
}

#[test]
fn a_full_store_forgets_what_expires_first_of_whoever_has_the_most_and_accepts_none_of_it_again() {
    // 8 for each of the two keys
    let store = with_exact_room(16 + 4);
    assert_eq!(ask(&store, &used(1, 1, 0, 10_000)), 'y');
    for (jti, until) in [(1, 40_000), (2, 20_000), (3, 30_000)] {
        assert_eq!(ask(&store, &used(2, jti, 0, until)), 'y');
    }
    assert_eq!(ask(&store, &used(2, 4, 1000, 50_000)), 'y');
    assert_eq!(store.len(), 4);
    assert_eq!(ask(&store, &used(2, 2, 1000, 20_000)), 'u', "it was forgotten");
    assert_eq!(ask(&store, &used(2, 9, 1000, 20_000)), 'u', "it may have been forgotten");
    assert_eq!(ask(&store, &used(1, 1, 1000, 10_000)), 'n', "the other key has lost none");
    for jti in [1, 3, 4] {
        assert_eq!(ask(&store, &used(2, jti, 1000, 60_000)), 'n');
    }
    assert_eq!(ask(&store, &used(2, 9, 2000, 45_000)), 'y', "what expires later cannot have been");
    assert_eq!(ask(&store, &used(2, 3, 2000, 30_000)), 'u', "which cost another one");
    // what has expired makes room without a loss
    assert_eq!(ask(&store, &used(2, 10, 40_000, 60_000)), 'y');
    assert_eq!(ask(&store, &used(2, 9, 40_000, 45_000)), 'n');
    assert_eq!((store.len(), weight(&store)), (4, 20));
}

#[test]
fn keys_that_have_one_proof_each_lose_it_to_nobody() {
    let store = with_exact_room(9 * 10);
    for key in 0..10 {
        assert_eq!(ask(&store, &used(key, 0, 0, 60_000)), 'y');
    }
    assert_eq!(ask(&store, &used(10, 0, 2000, 60_000)), 'u');
    assert_eq!(ask(&store, &used(9, 1, 2000, 60_000)), 'u');
    for key in 0..10 {
        assert_eq!(ask(&store, &used(key, 0, 2000, 60_000)), 'n');
    }
    for key in 10..20 {
        assert_eq!(ask(&store, &used(key, 0, 60_000, 120_000)), 'y', "until they have expired");
    }
    assert_eq!((store.len(), weight(&store)), (10, 90));
}

#[test]
fn what_has_expired_goes_even_if_its_key_never_comes_again() {
    let store = InMemoryReplayStore::new();
    for key in 0..1000 {
        assert_eq!(ask(&store, &used(key, 0, 0, 60_000)), 'y');
    }
    assert_eq!(store.len(), 1000);
    // one proof for each part, as seldom as they are looked through
    for step in 0..64 {
        assert_eq!(ask(&store, &used(5000, step, 60_000 + u64::from(step) * 200, 200_000)), 'y');
    }
    assert_eq!((store.len(), weight(&store)), (64, 64 + 8));
    assert_eq!(store.used.load(Ordering::Relaxed), 64 + 8);
}

/// One step: so much later, this key uses this proof, which expires so much later.
fn steps() -> impl Strategy<Value = Vec<(u64, u32, u32, u64)>> {
    // few lives, so that the same proof comes again as it was, too
    let life = prop_oneof![Just(60_000), Just(65_000), Just(300_000), 5000..400_000_u64];
    prop::collection::vec((prop_oneof![Just(0), 0..20_000_u64], 0..4_u32, 0..30_u32, life), 0..400)
}

proptest! {
    #[test]
    fn with_room_for_all_it_knows_what_a_plain_map_knows(steps in steps()) {
        let store = InMemoryReplayStore::new();
        let (mut model, mut now) = (HashMap::new(), 0);
        for (passed, key, jti, life) in steps {
            now += passed;
            let known = model.get(&(key, jti)).is_some_and(|until| *until > now);
            if !known {
                model.insert((key, jti), now + life);
            }
            prop_assert_eq!(ask(&store, &used(key, jti, now, now + life)), if known { 'n' } else { 'y' });
            prop_assert_eq!(store.used.load(Ordering::Relaxed), weight(&store));
        }
    }

    /// A replay is the same proof, and so expires when it did.
    #[test]
    fn with_room_for_few_it_never_says_yes_twice(steps in steps(), room in 9..60_usize) {
        let store = with_exact_room(room);
        let (mut seen, mut now) = (Vec::new(), 0);
        for (at, (passed, key, jti, life)) in steps.into_iter().enumerate() {
            now += passed;
            let fresh = used(key, jti, now, now + life);
            if ask(&store, &fresh) == 'y' {
                seen.push((key, jti, now + life));
            }
            prop_assert!(weight(&store) <= room, "{} in {room}", weight(&store));
            prop_assert_eq!(store.used.load(Ordering::Relaxed), weight(&store));
            // some of all that were accepted, and have not expired
            for (key, jti, until) in seen.iter().skip(at % 3).step_by(3).filter(|(.., until)| *until >= now + 5000) {
                prop_assert_ne!(ask(&store, &used(*key, *jti, now, *until)), 'y');
            }
        }
    }
}
