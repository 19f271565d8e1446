//! Nonces in time, for tokens, under secrets.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::{Instant, advance};

use super::Nonces;
use super::mint::{GoodNonce, Mint};
use crate::clock::{Moment, UnixTime};
use crate::secret::Secret;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NEXT: &str = "fedcba9876543210fedcba9876543210";
const TOKEN: [u8; 32] = [1; 32];
const FOREIGN: &str = "the nonce is not one of this service for this token";
const START: u64 = 1_700_000_000;

fn mint(nonces: &Nonces) -> Mint {
    nonces.prepare().unwrap()
}

/// So many milliseconds after the start, by both clocks.
fn at(born: Instant, millis: u64) -> Moment {
    let wall = UnixTime(Duration::from_secs(START) + Duration::from_millis(millis));
    Moment { instant: born + Duration::from_millis(millis), wall }
}

fn same(time: u64) -> Moment {
    at(Instant::now(), time)
}

#[test]
fn a_nonce_is_good_for_its_life_and_renewed_in_its_second_half() {
    let mint = mint(&Nonces::shared(SECRET));
    let nonce = mint.issue(&TOKEN, same(100_999));
    assert_eq!(nonce.len(), 28);
    assert!(nonce.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'), "{nonce}");
    let until = UnixTime(Duration::from_secs(START + 100 + 300));
    let good = |renew| Ok(GoodNonce { renew, until });
    for (now, expected) in [
        (100_999, good(false)),
        (249_999, good(false)),
        (250_000, good(true)),
        (399_999, good(true)),
        (400_000, Err("the nonce has expired")),
        (1_000_000_000, Err("the nonce has expired")),
        // another replica made it, whose clock is ahead
        (70_000, good(false)),
        (69_999, Err("the nonce was made in the future: the clocks of the replicas differ by more than 30 s")),
        (0, Err("the nonce was made in the future: the clocks of the replicas differ by more than 30 s")),
    ] {
        assert_eq!(mint.check(nonce.as_bytes(), &TOKEN, same(now)), expected, "{now}");
    }
}

#[test]
fn a_nonce_is_of_one_token_one_secret_and_one_service_alone() {
    let now = same(0);
    let shared = mint(&Nonces::shared(SECRET));
    let nonce = shared.issue(&TOKEN, now);
    let check = |mint: &Mint, nonce: &str, token: &[u8; 32]| mint.check(nonce.as_bytes(), token, now).map(drop);
    assert_eq!(check(&shared, &nonce, &TOKEN), Ok(()));
    assert_eq!(check(&mint(&Nonces::shared(SECRET)), &nonce, &TOKEN), Ok(()), "another replica");
    assert_eq!(check(&shared, &nonce, &[2; 32]), Err(FOREIGN), "another token");
    assert_eq!(check(&mint(&Nonces::shared(NEXT)), &nonce, &TOKEN), Err(FOREIGN), "another secret");
    let local = Nonces::local();
    assert_eq!(check(&mint(&local), &nonce, &TOKEN), Err(FOREIGN), "a secret of its own");
    assert_eq!(check(&mint(&local), &mint(&local.clone()).issue(&TOKEN, now), &TOKEN), Ok(()), "a clone");
    let elsewhere = mint(&Nonces::local()).issue(&TOKEN, now);
    assert_eq!(check(&mint(&local), &elsewhere, &TOKEN), Err(FOREIGN), "another process");

    for wrong in
        ["", "A", &nonce[1..], &format!("{nonce}A"), &format!("{nonce}AAA"), &format!("{nonce}="), &nonce.repeat(300)]
    {
        assert_eq!(check(&shared, wrong, &TOKEN), Err(FOREIGN), "{wrong}");
    }
    for place in 0..nonce.len() {
        for byte in *b"Aa0-_+/=. \0\xff" {
            let mut altered = nonce.clone().into_bytes();
            if std::mem::replace(&mut altered[place], byte) != byte {
                assert!(shared.check(&altered, &TOKEN, now).is_err(), "{place}");
            }
        }
    }
}

#[test]
fn a_rotation_that_all_replicas_know_of_costs_no_client_a_round_trip() {
    let now = same(0);
    let former = mint(&Nonces::shared(SECRET));
    let prepared = mint(&Nonces::shared(SECRET).also_accept(NEXT));
    let rotated = mint(&Nonces::shared(NEXT).also_accept(SECRET));
    let done = mint(&Nonces::shared(NEXT));
    for (makes, knows, good) in [
        (&former, &prepared, true),
        (&prepared, &former, true),
        (&rotated, &prepared, true),
        (&prepared, &rotated, true),
        (&done, &rotated, true),
        (&rotated, &done, true),
        (&former, &done, false),
        (&done, &former, false),
    ] {
        assert_eq!(knows.check(makes.issue(&TOKEN, now).as_bytes(), &TOKEN, now).is_ok(), good);
    }
}

/// The secret that a function tells.
fn told(text: &str) -> (Arc<Mutex<Option<String>>>, Secret) {
    let told = Arc::new(Mutex::new(Some(text.to_owned())));
    let of_function = Arc::clone(&told);
    (told, Secret::from_fn(move || of_function.lock().unwrap().clone().ok_or("it is gone")))
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_changes_is_noticed_and_the_former_one_is_known_for_a_life() {
    let (secret, function) = told(SECRET);
    let changing = mint(&Nonces::shared(function).life(Duration::from_secs(120)));
    let (former, next) = (Nonces::shared(SECRET), Nonces::shared(NEXT));
    let life = Duration::from_secs(120);
    let (former, next) = (mint(&former.life(life)), mint(&next.life(life)));
    let born = Instant::now();
    let now = || at(born, u64::try_from((Instant::now() - born).as_millis()).unwrap());
    let knows = |by: &Mint| changing.check(by.issue(&TOKEN, now()).as_bytes(), &TOKEN, now()).is_ok();

    *secret.lock().unwrap() = Some(NEXT.to_owned());
    advance(Duration::from_secs(59)).await;
    assert!(knows(&former) && !knows(&next), "it is not read for each request");
    advance(Duration::from_secs(1)).await;
    read_by(&changing, now(), |made| next.check(made.as_bytes(), &TOKEN, now()).is_ok()).await;
    assert!(knows(&former) && knows(&next));
    advance(Duration::from_secs(119)).await;
    assert!(knows(&former) && knows(&next));
    advance(Duration::from_secs(1)).await;
    assert!(!knows(&former) && knows(&next), "its nonces have expired");

    // what cannot be read, or is none, changes nothing
    for none in [None, Some("short".to_owned())] {
        *secret.lock().unwrap() = none;
        advance(Duration::from_secs(61)).await;
        assert!(knows(&next));
        settled().await;
        assert!(knows(&next) && !knows(&former));
    }
}

/// Makes nonces until one of them is so.
async fn read_by(mint: &Mint, now: Moment, is: impl Fn(String) -> bool) {
    for _ in 0..10_000 {
        if is(mint.issue(&TOKEN, now)) {
            return;
        }
        settled().await;
    }
    panic!("the secret was not read");
}

/// Lets what was begun on threads that may block come to its end.
async fn settled() {
    tokio::task::spawn_blocking(|| {}).await.unwrap();
    tokio::task::yield_now().await;
}

#[test]
fn what_is_wrong_with_the_settings_is_said_and_no_secret() {
    let with_life = |seconds| Nonces::shared(SECRET).life(Duration::from_secs(seconds));
    for (nonces, setting, why) in [
        (Nonces::shared("hunter2"), "shared", "has 7 bytes, and needs 32"),
        (Nonces::shared(SECRET).also_accept("hunter2"), "also_accept", "has 7 bytes"),
        (Nonces::shared(Secret::file("/nowhere/hunter")), "shared", "cannot be had: /nowhere/hunter"),
        (Nonces::shared(Secret::from_fn(|| Err::<String, _>("hunter2"))), "shared", "its function failed"),
        (with_life(59), "life", "59s"),
        (with_life(3601), "life", "from 1 minute to 1 hour"),
    ] {
        let (wrong, text) = nonces.prepare().unwrap_err();
        assert!(wrong == setting && text.contains(why) && !text.contains("hunter2"), "{wrong}: {text}");
        assert!(!format!("{nonces:?}").contains("hunter2"));
    }
    assert!(with_life(60).prepare().is_ok() && with_life(3600).prepare().is_ok());
    let shown =
        format!("{:?} {:?}", mint(&Nonces::shared(SECRET).also_accept(NEXT)), mint(&Nonces::local().optional()));
    assert!(!shown.contains(SECRET) && !shown.contains(NEXT), "{shown}");
    assert!(shown.contains("required: true") && shown.contains("required: false"), "{shown}");
}

/// By a code that another implementation has made, so that a new version of this crate beside an old one
/// knows its nonces.
#[test]
fn the_form_of_nonces_stays_as_it_is() {
    let nonce = mint(&Nonces::shared(SECRET)).issue(&TOKEN, same(0));
    assert_eq!(nonce, "AGVT8QDyrz2-wbAKysuMj0VI34bG");
}

#[test]
fn a_clock_at_the_end_of_time_harms_nobody() {
    let mint = mint(&Nonces::shared(SECRET));
    let last = Moment { instant: Instant::now(), wall: UnixTime(Duration::MAX) };
    let nonce = mint.issue(&TOKEN, last);
    assert!(mint.check(nonce.as_bytes(), &TOKEN, last).is_err());
}

proptest! {
    #[test]
    fn no_bytes_are_a_nonce(bytes in prop::collection::vec(any::<u8>(), 0..64), text in "[A-Za-z0-9_-]{28}") {
        let mint = mint(&Nonces::shared(SECRET));
        for nonce in [&*bytes, text.as_bytes()] {
            prop_assert_eq!(mint.check(nonce, &TOKEN, same(0)), Err(FOREIGN));
        }
    }
}
