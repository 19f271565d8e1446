use super::Decision::{Fetch, Join, Refuse, Sleep};
use super::Event::{Failed, NoKeys, Timer, UnknownKid};
use super::*;

fn good(max_age: u64) -> Event {
    Event::Fetched { max_age: Some(Duration::from_secs(max_age)), usable: true }
}

const GOOD: Event = Event::Fetched { max_age: None, usable: true };
const EMPTY: Event = Event::Fetched { max_age: None, usable: false };
const HOUR: u64 = 3600;

/// Plays a history without jitter: seconds since the start, what happens, what is decided.
#[track_caller]
fn play(history: &[(u64, Event, Decision)]) -> Schedule {
    let start = Instant::now();
    let mut schedule = Schedule::new(Duration::from_secs(HOUR));
    for (row, (at, event, decision)) in history.iter().enumerate() {
        let found = schedule.on(*event, start + Duration::from_secs(*at), 0.5);
        assert_eq!(found, *decision, "row {row}: {event:?} at {at} s");
    }
    schedule
}

#[test]
fn the_first_token_starts_a_fetch_and_the_others_join_it() {
    play(&[
        (0, NoKeys, Fetch),
        (0, NoKeys, Join),
        (1, NoKeys, Join),
        (2, UnknownKid, Join),
        (2, Timer, Join),
        (3, GOOD, Sleep),
    ]);
}

#[test]
fn keys_are_fetched_again_at_eighty_percent_of_their_lifetime() {
    play(&[
        (0, NoKeys, Fetch),
        (0, GOOD, Sleep),
        (479, Timer, Sleep),
        (480, Timer, Fetch),
        (481, GOOD, Sleep),
        (960, Timer, Sleep),
        (961, Timer, Fetch),
    ]);
    // what the source says, between one minute and a day
    play(&[(0, NoKeys, Fetch), (0, good(300), Sleep), (239, Timer, Sleep), (240, Timer, Fetch)]);
    play(&[(0, NoKeys, Fetch), (0, good(0), Sleep), (47, Timer, Sleep), (48, Timer, Fetch)]);
    play(&[(0, NoKeys, Fetch), (0, good(u64::MAX), Sleep), (19 * HOUR, Timer, Sleep), (20 * HOUR, Timer, Fetch)]);
}

#[test]
fn jitter_spreads_a_fleet_by_five_percent_to_either_side() {
    let start = Instant::now();
    for (jitter, next) in [(0.0, 456), (0.5, 480), (1.0, 504)] {
        let mut schedule = Schedule::new(Duration::ZERO);
        schedule.on(NoKeys, start, jitter);
        schedule.on(GOOD, start, jitter);
        assert_eq!((schedule.next_fetch().unwrap() - start).as_secs_f64().round() as u64, next);
    }
}

#[test]
fn failures_are_retried_with_growing_pauses_and_requests_do_not_hasten_them() {
    play(&[
        (0, NoKeys, Fetch),
        (0, Failed, Sleep),
        (0, NoKeys, Refuse),
        (1, Timer, Fetch),
        (1, Failed, Sleep),
        (2, Timer, Sleep),
        (2, NoKeys, Refuse),
        (3, NoKeys, Fetch),
        (3, Failed, Sleep),
        (6, Timer, Sleep),
        (7, Timer, Fetch),
        (7, Failed, Sleep),
        (15, Timer, Fetch),
        (15, Failed, Sleep),
        (31, Timer, Fetch),
        (31, Failed, Sleep),
        (63, Timer, Fetch),
        (63, Failed, Sleep),
        (122, Timer, Sleep),
        (123, Timer, Fetch),
        (123, Failed, Sleep),
        (183, Timer, Fetch),
        (183, GOOD, Sleep),
        (184, Timer, Sleep),
    ]);
}

#[test]
fn a_set_without_a_usable_key_is_asked_for_again_like_after_a_failure() {
    let schedule = play(&[
        (0, NoKeys, Fetch),
        (0, EMPTY, Sleep),
        (0, NoKeys, Refuse),
        (1, NoKeys, Fetch),
        (1, EMPTY, Sleep),
        (2, Timer, Sleep),
        (3, Timer, Fetch),
    ]);
    assert_eq!(schedule.failures(), 2);
}

#[test]
fn an_unknown_kid_may_force_two_fetches_in_thirty_seconds_whatever_comes_of_them() {
    for outcome in [GOOD, EMPTY, Failed] {
        play(&[
            (0, NoKeys, Fetch),
            (0, GOOD, Sleep),
            (10, UnknownKid, Fetch),
            (11, UnknownKid, Join),
            (12, outcome, Sleep),
            (12, UnknownKid, Fetch),
            (13, outcome, Sleep),
            (13, UnknownKid, Refuse),
            (39, UnknownKid, Refuse),
            (40, UnknownKid, Fetch),
            (40, outcome, Sleep),
            (41, UnknownKid, Refuse),
            (42, UnknownKid, Fetch),
            (43, outcome, Sleep),
            (69, UnknownKid, Refuse),
            (70, UnknownKid, Fetch),
        ]);
    }
}

#[test]
fn a_forced_fetch_that_fails_leaves_the_plan_as_it_was() {
    play(&[
        (0, NoKeys, Fetch),
        (0, GOOD, Sleep),
        (10, UnknownKid, Fetch),
        (11, Failed, Sleep),
        (12, Timer, Sleep),
        (12, UnknownKid, Fetch),
        (13, Failed, Sleep),
        (100, Timer, Sleep),
        (479, Timer, Sleep),
        (480, Timer, Fetch),
        (481, Failed, Sleep),
        (482, Timer, Sleep),
        (485, Timer, Fetch),
    ]);
}

#[test]
fn a_planned_fetch_spends_no_permit() {
    play(&[
        (0, NoKeys, Fetch),
        (0, GOOD, Sleep),
        (480, Timer, Fetch),
        (480, GOOD, Sleep),
        (481, UnknownKid, Fetch),
        (481, GOOD, Sleep),
        (482, UnknownKid, Fetch),
    ]);
}

#[test]
fn keys_are_trusted_for_max_stale_beyond_their_freshness_whatever_fails_meanwhile() {
    let start = Instant::now();
    let mut schedule = Schedule::new(Duration::from_secs(HOUR));
    let until = |schedule: &Schedule| schedule.trusted_until().map(|until| (until - start).as_secs());
    assert_eq!(until(&schedule), None);
    let mut at = |seconds, event| {
        schedule.on(event, start + Duration::from_secs(seconds), 0.5);
        (schedule.is_fresh(start + Duration::from_secs(seconds)), until(&schedule), schedule.failures())
    };
    at(0, NoKeys);
    assert_eq!(at(0, GOOD), (true, Some(600 + HOUR), 0));
    assert_eq!(at(480, Timer), (true, Some(600 + HOUR), 0));
    assert_eq!(at(480, Failed), (true, Some(600 + HOUR), 1));
    assert_eq!(at(600, Timer), (false, Some(600 + HOUR), 1));
    assert_eq!(at(601, Failed), (false, Some(600 + HOUR), 2));
    at(700, Timer);
    assert_eq!(at(700, good(120)), (true, Some(820 + HOUR), 0));
}

#[test]
fn a_caller_is_told_to_come_back_when_a_fetch_is_possible() {
    let start = Instant::now();
    let mut schedule = Schedule::new(Duration::from_secs(HOUR));
    let mut after = |seconds, event| {
        let now = start + Duration::from_secs(seconds);
        schedule.on(event, now, 0.5);
        schedule.next_chance(now).as_secs()
    };
    after(0, NoKeys);
    assert_eq!(after(0, Failed), 1, "without keys, the retries set the pace");
    after(1, NoKeys);
    assert_eq!(after(1, Failed), 2);
    after(3, NoKeys);
    assert_eq!(after(3, good(24 * HOUR)), 0, "with keys, an unknown kid may force a fetch at once");
    after(10, UnknownKid);
    assert_eq!(after(11, Failed), 0);
    after(12, UnknownKid);
    assert_eq!(after(13, Failed), 27, "until both permits are spent, and not until tomorrow's plan");
}
