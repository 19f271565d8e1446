//! Where the two clocks do not agree: a machine was suspended, or its wall clock was set.

use super::*;
use crate::jwks::refresh::is_trusted;

/// The same as [`play`], with what the wall clock says beside the other.
#[track_caller]
fn play_both(history: &[(u64, u64, Event, Action)]) -> (Schedule, Moment) {
    let start = start();
    let mut schedule = Schedule::default();
    let at = |instant, wall| Moment {
        instant: start.instant + Duration::from_secs(instant),
        wall: UnixTime(start.wall.0 + Duration::from_secs(wall)),
    };
    let mut now = start;
    for (row, (instant, wall, event, decision)) in history.iter().enumerate() {
        now = at(*instant, *wall);
        let found = schedule.on(*event, now, 0.5);
        assert_eq!(found, *decision, "row {row}: {event:?} at {instant} s, by the wall clock {wall} s");
    }
    (schedule, now)
}

#[test]
fn keys_that_only_the_wall_clock_calls_stale_are_fetched_by_a_permit_and_then_as_planned() {
    let day = 24 * HOUR;
    for asks in [Timer, NoKeys] {
        let no = if matches!(asks, Timer) { Sleep } else { Refuse };
        // the machine was suspended for a day
        play_both(&[
            (0, 0, NoKeys, Fetch),
            (0, 0, GOOD, Sleep),
            (10, 599, asks, no),
            (10, day, asks, Fetch),
            (10, day, asks, Join),
            (10, day, GOOD, Sleep),
            (11, day + 1, asks, no),
            (489, day + 479, asks, no),
            (490, day + 480, asks, Fetch),
        ]);
        // and its network takes a while to come back
        play_both(&[
            (0, 0, NoKeys, Fetch),
            (0, 0, GOOD, Sleep),
            (10, day, asks, Fetch),
            (10, day, Failed, Sleep),
            (10, day, asks, no),
            (11, day + 1, asks, Fetch),
            (11, day + 1, Failed, Sleep),
            (12, day + 2, asks, no),
            (13, day + 3, asks, Fetch),
            (13, day + 3, GOOD, Sleep),
            (14, day + 4, asks, no),
        ]);
        // a clock that jumps all the time cannot cause more than the limit
        play_both(&[
            (0, 0, NoKeys, Fetch),
            (0, 0, GOOD, Sleep),
            (1, day, asks, Fetch),
            (1, 0, GOOD, Sleep),
            (2, day, asks, Fetch),
            (2, 0, GOOD, Sleep),
            (3, day, asks, Refuse),
            (30, day, asks, Refuse),
            (31, day, asks, Fetch),
        ]);
    }
    // nor does one that is set back make them last
    play_both(&[(0, day, NoKeys, Fetch), (0, day, GOOD, Sleep), (479, 0, Timer, Sleep), (480, 0, Timer, Fetch)]);
}

#[test]
fn keys_are_trusted_by_both_clocks() {
    let (schedule, now) = play_both(&[(0, 0, NoKeys, Fetch), (0, 0, GOOD, Sleep), (10, 10, Timer, Sleep)]);
    let trusted = |by_wall| {
        let now = Moment { wall: UnixTime(now.wall.0 + Duration::from_secs(by_wall)), ..now };
        is_trusted(schedule.fresh_until, Duration::from_secs(HOUR), now)
    };
    assert!(trusted(0) && trusted(589 + HOUR) && !trusted(590 + HOUR));
    let set_back = Moment { instant: now.instant + Duration::from_secs(590 + HOUR), wall: UnixTime(Duration::ZERO) };
    assert!(!is_trusted(schedule.fresh_until, Duration::from_secs(HOUR), set_back));
    let overtaken = Moment { wall: UnixTime(now.wall.0 + Duration::from_secs(2 * HOUR)), ..now };
    assert_eq!(schedule.next_chance(NoKeys, overtaken), Duration::ZERO);
    assert_eq!(schedule.next_chance(NoKeys, now), Duration::from_secs(470));
}
