//! When an issuer may be asked, after it could not be: a pure state machine.
//!
//! * After a failure that every token would meet, nothing is asked for 1 s, then 2 s, up to 60 s, or
//!   for as long as the issuer says. Then one question is asked, and its end decides.
//! * An answer that is of no use may be due to its token, which anybody can make up. While others
//!   get good answers, it stops nobody; else all for 1 s each time, and for no longer: a caller with
//!   such a token must not keep the others out.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock::after;
use crate::introspection::Fault;

const MIN_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// For so long after a good answer, one that is of no use is held to be due to its token.
const IN_HEALTH: Duration = Duration::from_secs(10);

/// How it went with an issuer of late.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// How often it has failed since the last good answer.
    failures: u32,
    /// Until when nothing is asked.
    until: Option<Instant>,
    /// By when the one question that is to show whether it is well again has ended, if it is on its
    /// way.
    trying: Option<Instant>,
    /// The last good answer.
    good: Option<Instant>,
    /// What was last wrong.
    fault: Option<Fault>,
}

/// Whether a question may be asked.
#[derive(Debug)]
pub(crate) enum Turn {
    Ask,
    /// Not before so long, and why.
    Wait(Duration, Fault),
}

impl Pace {
    /// Asks for leave to ask a question that takes so long at most.
    pub(crate) fn turn(&mut self, now: Instant, longest: Duration) -> Turn {
        let Some((until, fault)) = self.until.zip(self.fault.as_ref()) else { return Turn::Ask };
        let wait = until.saturating_duration_since(now);
        if wait.is_zero() && self.trying.is_none_or(|ends| ends <= now) {
            self.trying = Some(after(now, longest));
            return Turn::Ask;
        }
        Turn::Wait(wait.max(MIN_PAUSE), fault.clone())
    }

    /// Notes a good answer.
    pub(crate) fn succeeded(&mut self, now: Instant) {
        *self = Self { good: Some(now), ..Self::default() };
    }

    /// Notes a question that has no answer to go by, and returns when to come again.
    pub(crate) fn failed(&mut self, fault: &Fault, now: Instant) -> Duration {
        let well = self.good.is_some_and(|good| now.saturating_duration_since(good) < IN_HEALTH);
        self.trying = None;
        if well && !fault.outage && self.until.is_none() {
            return MIN_PAUSE;
        }
        let grown = if fault.outage { self.failures } else { 0 };
        let doubled = MIN_PAUSE.saturating_mul(1_u32.checked_shl(grown).unwrap_or(u32::MAX));
        let wish = fault.retry_after.filter(|_| fault.outage).unwrap_or_default();
        let pause = doubled.min(MAX_PAUSE).max(wish);
        // of several questions that were on their way, each has the same to say
        let begun = self.until.is_some_and(|until| until > now);
        if !begun && fault.outage {
            self.failures = self.failures.saturating_add(1);
        }
        let until = after(now, pause);
        self.until = Some(self.until.filter(|_| begun).map_or(until, |former| former.max(after(now, MIN_PAUSE))));
        self.fault = Some(fault.clone());
        self.until.map_or(pause, |until| until.saturating_duration_since(now))
    }

    /// Notes that the question on its way has ended without an answer of any kind.
    pub(crate) fn dropped(&mut self) {
        self.trying = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(15);

    /// What a turn says, in seconds to wait.
    fn turn(pace: &mut Pace, now: Instant) -> Result<(), u64> {
        match pace.turn(now, LONGEST) {
            Turn::Ask => Ok(()),
            Turn::Wait(wait, _) => Err(wait.as_secs()),
        }
    }

    #[test]
    fn an_issuer_that_is_down_is_asked_once_after_growing_pauses() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let down = Fault::outage("down");
        assert_eq!((turn(&mut pace, start), turn(&mut pace, start)), (Ok(()), Ok(())), "nothing is known yet");
        let mut now = start;
        for pause in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            assert_eq!(pace.failed(&down, now), Duration::from_secs(pause));
            assert_eq!(turn(&mut pace, now), Err(pause));
            now += Duration::from_secs(pause);
            assert_eq!((turn(&mut pace, now), turn(&mut pace, now)), (Ok(()), Err(1)), "one, and no other");
        }
        pace.succeeded(now);
        assert_eq!((turn(&mut pace, now), turn(&mut pace, now)), (Ok(()), Ok(())));
        assert_eq!(pace.failed(&down, now), Duration::from_secs(1), "and from the beginning");
    }

    #[test]
    fn questions_that_fail_together_count_once() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        for _ in 0..32 {
            assert_eq!(pace.failed(&Fault::outage("down"), now), Duration::from_secs(1));
        }
        assert_eq!(turn(&mut pace, now + Duration::from_secs(1)), Ok(()));
    }

    #[test]
    fn a_question_that_never_ends_is_followed_by_another() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        pace.failed(&Fault::outage("down"), start);
        let now = start + Duration::from_secs(1);
        assert_eq!((turn(&mut pace, now), turn(&mut pace, now + LONGEST)), (Ok(()), Ok(())));
        let now = now + LONGEST;
        assert_eq!(turn(&mut pace, now), Err(1));
        pace.dropped();
        assert_eq!(turn(&mut pace, now), Ok(()));
    }

    #[test]
    fn what_may_be_due_to_a_token_stops_nobody_while_others_get_answers() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let odd = Fault::of_answer("odd");
        pace.failed(&odd, start);
        assert_eq!(turn(&mut pace, start), Err(1), "nobody has had an answer yet");
        pace.succeeded(start);
        let later = |seconds| start + Duration::from_secs(seconds);
        pace.failed(&odd, later(9));
        assert_eq!(turn(&mut pace, later(9)), Ok(()));
        pace.failed(&Fault::outage("down"), later(9));
        assert_eq!(turn(&mut pace, later(9)), Err(1), "what every token would meet stops all");
        pace.succeeded(later(10));
        pace.failed(&odd, later(20));
        assert_eq!(turn(&mut pace, later(20)), Err(1), "the last answer is too old");
    }

    #[test]
    fn an_issuer_is_left_alone_for_as_long_as_it_says() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let limited = Fault { retry_after: Some(Duration::from_secs(120)), ..Fault::outage("429") };
        assert_eq!(pace.failed(&limited, now), Duration::from_secs(120));
        assert_eq!(turn(&mut pace, now + Duration::from_secs(119)), Err(1));
        assert_eq!(turn(&mut pace, now + Duration::from_secs(120)), Ok(()));
    }
}
