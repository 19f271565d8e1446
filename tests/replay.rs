//! Proofs that are remembered in the process: threads, floods, and how much memory they take.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use allocation_counter::measure;
use tower_bearer::dpop::{FirstUse, InMemoryReplayStore, ProofUse, ReplayStore};

/// How long a proof is good that has no nonce, and how long one is that has.
const WINDOW: u64 = 90_000;
const NONCE: u64 = 300_000;

/// A number's hash, more or less.
fn hash(kind: u64, number: u64) -> [u8; 32] {
    let mut state = kind << 56 ^ number;
    let mut hash = [0; 32];
    for part in hash.chunks_mut(8) {
        // SplitMix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        part.copy_from_slice(&(mixed ^ mixed >> 31).to_be_bytes());
    }
    hash
}

/// Times in milliseconds after some start.
fn used(key: u64, jti: u64, now: u64, until: u64) -> ProofUse {
    let time = |millis| SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + Duration::from_millis(millis);
    ProofUse::new(hash(1, key), hash(2, jti), time(now), time(until))
}

fn is_first(store: &InMemoryReplayStore, proof: &ProofUse) -> bool {
    matches!(store.first_use(proof), FirstUse::Yes)
}

fn is_replay(store: &InMemoryReplayStore, proof: &ProofUse) -> bool {
    matches!(store.first_use(proof), FirstUse::No)
}

#[test]
fn of_a_hundred_threads_with_one_proof_one_gets_a_yes() {
    let store = InMemoryReplayStore::new();
    for round in 0..20 {
        let (together, firsts, replays) = (Barrier::new(100), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| {
                    let proof = used(round % 3, round, 0, WINDOW);
                    together.wait();
                    match store.first_use(&proof) {
                        FirstUse::Yes => firsts.fetch_add(1, Ordering::Relaxed),
                        FirstUse::No => replays.fetch_add(1, Ordering::Relaxed),
                        FirstUse::CannotTell(_) | FirstUse::Later(_) | _ => panic!("no answer"),
                    };
                });
            }
        });
        assert_eq!((firsts.into_inner(), replays.into_inner()), (1, 99));
    }
    assert_eq!(store.len(), 20);
}

/// Threads that make room for each other, and each says yes to each proof at most once over all.
#[test]
fn threads_that_take_the_last_room_from_each_other_accept_nothing_twice() {
    let store = InMemoryReplayStore::with_room(900);
    let accepted: Vec<AtomicUsize> = (0..4000).map(|_| AtomicUsize::new(0)).collect();
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for (at, count) in (0..).zip(&accepted) {
                    let proof = used(at % 7, at, at, WINDOW + at);
                    if is_first(&store, &proof) {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let counts: Vec<_> = accepted.into_iter().map(AtomicUsize::into_inner).collect();
    assert!(counts.iter().all(|count| *count <= 1));
    assert!(counts.iter().sum::<usize>() >= 900, "{counts:?}");
    assert!(store.len() <= 900);
}

/// A client with 1,000 requests a second for minutes, beside somebody with one now and then.
#[test]
fn a_busy_client_is_never_refused_and_pushes_nobody_out() {
    let store = InMemoryReplayStore::new();
    let mut most = 0;
    for at in 0..200_000 {
        assert!(is_first(&store, &used(1, at, at, at + WINDOW)), "at {at}");
        if at % 10_000 == 0 {
            assert!(is_first(&store, &used(2, at, at, at + WINDOW)));
            assert!(at == 0 || is_replay(&store, &used(2, at - 10_000, at, at - 10_000 + WINDOW)));
            most = most.max(store.len());
        }
    }
    assert!((95_000..=95_020).contains(&most), "{most}");
}

/// Some attackers, each with a key and a token of its own, and much more than there is room for.
#[test]
fn a_flood_pushes_out_its_own_proofs_only_and_makes_none_of_them_good_again() {
    let store = InMemoryReplayStore::with_room(10_000);
    let victims: Vec<_> = (0..50).map(|jti| used(0, jti, 0, WINDOW)).collect();
    assert!(victims.iter().all(|proof| is_first(&store, proof)));

    let flood = |jti: u64| used(1 + jti % 20, jti, jti / 10, jti / 10 + WINDOW + 5000);
    for jti in 0..100_000 {
        assert!(is_first(&store, &flood(jti)), "newer ones are good");
    }
    let end = 10_000;
    assert!(store.len() <= 10_000);
    assert!(victims.iter().all(|proof| is_replay(&store, proof)), "what the victim has used is known");
    assert!(is_first(&store, &used(0, 1000, end, end + WINDOW)), "and it goes on");
    let again = (0..100_000).filter(|jti| is_first(&store, &flood(*jti))).count();
    assert_eq!(again, 0);

    // one that comes anew has room, too
    for jti in 0..400 {
        assert!(is_first(&store, &used(77, jti, end, end + WINDOW)));
    }
    assert!((0..400).all(|jti| is_replay(&store, &used(77, jti, end, end + WINDOW))));
}

/// What the documentation says of its memory: in the order of expiry and in none, for one key and for
/// as many as possible.
#[test]
fn a_full_store_takes_no_more_than_it_says() {
    let room = 20_000;
    let full = |proof: &dyn Fn(u64) -> ProofUse| {
        let mut store = None;
        let taken = measure(|| {
            let made = InMemoryReplayStore::with_room(room);
            for at in 0..60_000 {
                made.first_use(&proof(at));
            }
            store = Some(made);
        });
        let len = store.map_or(0, |store| store.len());
        (len, taken.bytes_max / room as u64)
    };
    let scattered = |at: u64| hash(3, at)[0] as u64 * 300;
    let cases: [(&str, &dyn Fn(u64) -> ProofUse); 4] = [
        ("one key", &|at| used(0, at, 0, WINDOW + at)),
        ("one key, in no order", &|at| used(0, at, 0, WINDOW + scattered(at))),
        ("many keys", &|at| used(at % 500, at, 0, WINDOW + scattered(at))),
        ("keys only", &|at| used(at, at, 0, WINDOW)),
    ];
    for (name, proof) in cases {
        let (len, bytes) = full(proof);
        println!("{name}: {len} proofs, {bytes} bytes for each that there is room for");
        assert!(len > 2000 && len <= room, "{name}: {len}");
        assert!(bytes <= 80, "{name}: {bytes}");
    }
}

/// Six hours of clients that come, change their keys and nonces, and go; each proof comes twice.
#[test]
fn memory_is_flat_over_hours_of_new_keys_and_nonces() {
    let store = InMemoryReplayStore::new();
    let mut peaks = Vec::new();
    for hour in 0..6_u64 {
        let taken = measure(|| {
            for second in hour * 3600..(hour + 1) * 3600 {
                for client in 0..10 {
                    // each client has another key every ten minutes, and another nonce every two
                    let key = (client << 32) | ((second + client * 60) / 600);
                    let now = second * 1000 + client * 100;
                    let until = if client < 5 { now + WINDOW } else { (second / 120 * 120) * 1000 + NONCE };
                    let proof = used(key, now, now, until);
                    assert!(is_first(&store, &proof) && is_replay(&store, &proof));
                }
            }
        });
        peaks.push((taken.bytes_current, store.len()));
    }
    println!("{peaks:?}");
    // a sweep comes every 10 s: what has expired may be there for so long
    assert!(peaks.iter().all(|(_, len)| *len <= 5 * (95 + 11) + 5 * (305 + 11)), "{peaks:?}");
    // how full the nodes of its trees are settles in the first hours
    let (first, grown) = (peaks[0].0, peaks[3..].iter().map(|(grown, _)| grown).sum::<i64>());
    assert!(grown.abs() < first / 10, "{grown} bytes more: {peaks:?}");
}
