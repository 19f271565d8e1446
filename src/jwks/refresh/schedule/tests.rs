mod clocks;

use super::Action::{Fetch, Join, Refuse, Sleep};
use super::Event::{BadSignature, ByHand, Failed, NoKeys, Proven, Restored, Timer, UnknownKid};
use super::Standing::{AskedOften, AskedOnce, New, Withdrawn};
use super::*;
use crate::clock::UnixTime;
use crate::jwks::refresh::is_trusted;

fn start() -> Moment {
    Moment { instant: Instant::now(), wall: UnixTime(Duration::from_secs(1_700_000_000)) }
}

fn good(max_age: u64) -> Event {
    Event::Fetched { max_age: Some(Duration::from_secs(max_age)) }
}

const GOOD: Event = Event::Fetched { max_age: None };
const HOUR: u64 = 3600;
/// A `kid` that nobody has asked for.
const UNKNOWN: Event = UnknownKid(New);

/// Plays a history without jitter: seconds since the start, what happens, what is decided.
#[track_caller]
fn play(history: &[(u64, Event, Action)]) -> Schedule {
    play_with(Schedule::default(), history)
}

#[track_caller]
fn play_with(mut schedule: Schedule, history: &[(u64, Event, Action)]) -> Schedule {
    let start = start();
    for (row, (at, event, decision)) in history.iter().enumerate() {
        let found = schedule.on(*event, start.after(Duration::from_secs(*at)), 0.5);
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
        (2, UNKNOWN, Join),
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
    let start = start();
    for (jitter, next) in [(0.0, 456), (0.5, 480), (1.0, 504)] {
        let mut schedule = Schedule::default();
        schedule.on(NoKeys, start, jitter);
        schedule.on(GOOD, start, jitter);
        assert_eq!((schedule.next_fetch().unwrap() - start.instant).as_secs_f64().round() as u64, next);
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
fn an_unknown_kid_may_force_two_fetches_in_thirty_seconds_whatever_comes_of_them() {
    for outcome in [GOOD, Failed] {
        play(&[
            (0, NoKeys, Fetch),
            (0, GOOD, Sleep),
            (10, UNKNOWN, Fetch),
            (11, UNKNOWN, Join),
            (12, outcome, Sleep),
            (12, UNKNOWN, Fetch),
            (13, outcome, Sleep),
            (13, UNKNOWN, Refuse),
            (39, UNKNOWN, Refuse),
            (40, UNKNOWN, Fetch),
            (40, outcome, Sleep),
            (41, UNKNOWN, Refuse),
            (42, UNKNOWN, Fetch),
            (43, outcome, Sleep),
            (69, UNKNOWN, Refuse),
            (70, UNKNOWN, Fetch),
        ]);
    }
}

#[test]
fn a_bad_signature_may_force_one_fetch_and_only_with_keys_as_old_as_the_interval() {
    for outcome in [GOOD, Failed] {
        play(&[
            (0, NoKeys, Fetch),
            (0, GOOD, Sleep),
            (29, BadSignature, Refuse),
            (30, BadSignature, Fetch),
            (30, BadSignature, Join),
            (30, outcome, Sleep),
            (31, BadSignature, Refuse),
            // the other permit is left to an unknown `kid`
            (31, UNKNOWN, Fetch),
            (31, outcome, Sleep),
            (32, UNKNOWN, Refuse),
            (60, BadSignature, Refuse),
            (60, UNKNOWN, Fetch),
            (60, outcome, Sleep),
            (89, BadSignature, Refuse),
            (90, BadSignature, Fetch),
        ]);
    }
}

#[test]
fn a_fetch_by_hand_goes_through_the_same_limit() {
    play(&[
        (0, ByHand, Fetch),
        (0, ByHand, Join),
        (0, GOOD, Sleep),
        (1, UNKNOWN, Fetch),
        (1, GOOD, Sleep),
        (2, ByHand, Refuse),
        (2, UNKNOWN, Refuse),
        (30, ByHand, Fetch),
        (30, Failed, Sleep),
        (31, ByHand, Fetch),
    ]);
}

#[test]
fn restored_keys_are_fetched_again_at_once() {
    let now = start();
    let mut schedule = Schedule::default();
    assert_eq!(schedule.on(Restored { fresh_until: now.after(Duration::from_secs(60)) }, now, 0.5), Sleep);
    let fresh_until = |schedule: &Schedule| schedule.fresh_until.unwrap().instant;
    assert_eq!(fresh_until(&schedule), now.after(Duration::from_secs(60)).instant);
    assert_eq!(schedule.on(Timer, now, 0.5), Fetch);
    assert_eq!(schedule.on(Failed, now, 0.5), Sleep);
    assert_eq!(fresh_until(&schedule), now.after(Duration::from_secs(60)).instant, "a failure changes nothing");
    assert_eq!(schedule.on(BadSignature, now, 0.5), Fetch, "how old they are is not known");
}

#[test]
fn failing_since_is_when_the_first_of_the_failures_was() {
    let start = start();
    let schedule = play(&[(0, NoKeys, Fetch), (5, Failed, Sleep), (6, Timer, Fetch), (7, Failed, Sleep)]);
    let since = schedule.failing_since.unwrap();
    assert!(
        since >= start.after(Duration::from_secs(5)).instant && since < start.after(Duration::from_secs(7)).instant
    );
    let schedule = play(&[(0, NoKeys, Fetch), (5, Failed, Sleep), (6, Timer, Fetch), (7, GOOD, Sleep)]);
    assert_eq!((schedule.failing_since, schedule.failures), (None, 0));
}

#[test]
fn a_forced_fetch_that_fails_leaves_the_plan_as_it_was() {
    play(&[
        (0, NoKeys, Fetch),
        (0, GOOD, Sleep),
        (10, UNKNOWN, Fetch),
        (11, Failed, Sleep),
        (12, Timer, Sleep),
        (12, UNKNOWN, Fetch),
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
        (481, UNKNOWN, Fetch),
        (481, GOOD, Sleep),
        (482, UNKNOWN, Fetch),
    ]);
}

#[test]
fn keys_are_fresh_for_their_lifetime_whatever_fails_meanwhile() {
    let start = start();
    let mut schedule = Schedule::default();
    let mut at = |seconds, event| {
        schedule.on(event, start.after(Duration::from_secs(seconds)), 0.5);
        (schedule.fresh_until.map(|until| (until.instant - start.instant).as_secs()), schedule.failures)
    };
    assert_eq!(at(0, NoKeys), (None, 0));
    assert_eq!(at(0, GOOD), (Some(600), 0));
    assert_eq!(at(480, Timer), (Some(600), 0));
    assert_eq!(at(480, Failed), (Some(600), 1));
    assert_eq!(at(600, Timer), (Some(600), 1));
    assert_eq!(at(601, Failed), (Some(600), 2));
    at(700, Timer);
    assert_eq!(at(700, good(120)), (Some(820), 0));
}

#[test]
fn keys_are_trusted_for_max_stale_beyond_their_freshness() {
    let start = start();
    let after = |seconds| start.after(Duration::from_secs(seconds));
    let trusted = |max_stale, now| is_trusted(Some(after(600)), Duration::from_secs(max_stale), after(now));
    assert!(trusted(HOUR, 0) && trusted(HOUR, 600) && trusted(HOUR, 600 + HOUR - 1));
    assert!(!trusted(HOUR, 600 + HOUR));
    assert!(trusted(0, 599) && !trusted(0, 600), "with a limit of zero, while they are fresh");
    assert!(is_trusted(None, Duration::ZERO, after(u64::from(u32::MAX))), "those that never change");
}

#[test]
fn a_caller_is_told_to_come_back_when_a_fetch_is_possible() {
    let start = start();
    let mut schedule = Schedule::default();
    let mut after = |seconds, event| {
        let now = start.after(Duration::from_secs(seconds));
        schedule.on(event, now, 0.5);
        let chance = |event| schedule.next_chance(event, now).as_secs();
        (chance(NoKeys), chance(UNKNOWN), chance(UnknownKid(AskedOften)))
    };
    after(0, NoKeys);
    assert_eq!(after(0, Failed).0, 1, "without keys, the retries set the pace");
    after(1, NoKeys);
    assert_eq!(after(1, Failed).0, 2);
    assert_eq!(after(3, NoKeys), (0, 0, 0), "a fetch is in flight");
    assert_eq!(after(3, good(24 * HOUR)), (69_120, 0, 0), "with keys, an unknown kid may force a fetch at once");
    after(10, UNKNOWN);
    assert_eq!(after(11, Failed), (69_112, 0, 29), "one that was asked for often leaves a permit to others");
    after(12, UNKNOWN);
    assert_eq!(after(13, Failed), (69_110, 27, 29), "until a permit is free, and not until tomorrow's plan");
    after(14, good(60));
    assert_eq!(after(62, Timer), (0, 0, 0));
    assert_eq!(after(62, good(60)), (48, 0, 0));
}

#[test]
fn a_name_that_was_asked_for_waits_five_seconds_and_leaves_a_permit_if_it_was_often() {
    let (once, often) = (UnknownKid(AskedOnce), UnknownKid(AskedOften));
    play(&[
        (0, NoKeys, Fetch),
        (0, GOOD, Sleep),
        (100, UNKNOWN, Fetch),
        (102, GOOD, Sleep),
        // counted from when the fetch began: what it brought may be as old as that
        (104, once, Refuse),
        (105, once, Fetch),
        (105, GOOD, Sleep),
        (110, often, Refuse),
        (129, UNKNOWN, Refuse),
        (130, often, Refuse),
        (134, often, Refuse),
        (135, often, Fetch),
        (135, GOOD, Sleep),
        (136, often, Refuse),
        // the other is left to a new one
        (136, UNKNOWN, Fetch),
        (136, GOOD, Sleep),
        (165, often, Refuse),
        (166, often, Fetch),
    ]);
    // a failed fetch tells nothing of the set
    play(&[
        (0, NoKeys, Fetch),
        (0, GOOD, Sleep),
        (1, UNKNOWN, Fetch),
        (1, Failed, Sleep),
        (2, once, Fetch),
        (2, Failed, Sleep),
        (7, once, Refuse),
    ]);
    // whoever has had a look at the set
    for asked in [once, often, UnknownKid(Withdrawn)] {
        play(&[
            (0, NoKeys, Fetch),
            (0, GOOD, Sleep),
            (480, Timer, Fetch),
            (480, GOOD, Sleep),
            (484, asked, Refuse),
            (485, asked, Fetch),
        ]);
    }
}

#[test]
fn a_set_is_new_for_five_seconds_from_when_its_fetch_began() {
    let start = start();
    let mut schedule = Schedule::default();
    let mut new = |seconds, event| {
        schedule.on(event, start.after(Duration::from_secs(seconds)), 0.5);
        schedule.is_new(start.after(Duration::from_secs(seconds)).instant)
    };
    assert!(!new(0, NoKeys) && new(3, GOOD) && new(4, Timer) && !new(5, Timer));
    assert!(!new(9, UNKNOWN) && !new(15, GOOD), "one that took longer brings nothing new");
    assert!(!new(39, UNKNOWN) && new(39, GOOD));
    assert!(new(40, UNKNOWN) && !new(41, Failed), "after a failure nobody can tell");
}

#[test]
fn on_demand_only_tokens_cause_fetches_under_the_same_pauses_until_one_was_verified() {
    // never answered
    let schedule = play_with(
        Schedule::on_demand(),
        &[
            (0, Timer, Sleep),
            (0, NoKeys, Fetch),
            (0, NoKeys, Join),
            (0, Failed, Sleep),
            (0, NoKeys, Refuse),
            (HOUR, Timer, Sleep),
            (HOUR, NoKeys, Fetch),
            (HOUR, Failed, Sleep),
            (HOUR + 1, NoKeys, Refuse),
            (HOUR + 2, NoKeys, Fetch),
        ],
    );
    assert_eq!(schedule.next_fetch(), None, "there is no plan");
    // answered, and then proven
    let schedule = play_with(
        Schedule::on_demand(),
        &[
            (0, NoKeys, Fetch),
            (0, GOOD, Sleep),
            (480, Timer, Sleep),
            (481, UNKNOWN, Fetch),
            (481, GOOD, Sleep),
            (2 * HOUR, Timer, Sleep),
            (2 * HOUR, Proven, Sleep),
            (2 * HOUR, Timer, Fetch),
        ],
    );
    assert!(!schedule.on_demand);
}

#[test]
fn on_demand_a_caller_is_not_told_to_come_back_by_a_plan_that_is_not_carried_out() {
    let history = [
        (0, NoKeys, Fetch),
        (0, GOOD, Sleep),
        (490, UNKNOWN, Fetch),
        (490, Failed, Sleep),
        (491, UNKNOWN, Fetch),
        (491, Failed, Sleep),
    ];
    let now = start().after(Duration::from_secs(495));
    let chance = |schedule: Schedule, event| schedule.next_chance(event, now).as_secs();
    assert_eq!(chance(play_with(Schedule::on_demand(), &history), UNKNOWN), 25, "a permit is free");
    assert_eq!(chance(play_with(Schedule::on_demand(), &history), NoKeys), 0);
    assert_eq!(chance(play(&history), UNKNOWN), 0, "the plan fetches");
}
