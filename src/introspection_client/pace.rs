//! When an issuer may be asked, after it could not be: a pure state machine.
//!
//! * After a failure that every token would meet (an outage), nothing is asked for 1 s, then 2 s, up
//!   to 60 s, or for as long as the issuer says. Then one question is asked, about whatever token
//!   comes. Any answer to it ends the outage, be it of use or not.
//! * An answer that is of no use may be due to its token, which anybody can make up. For 10 s after
//!   a good answer it stops nobody. Else the issuer is in doubt, and is asked 20 times a second at
//!   most until it gives a good answer. A caller with such tokens then keeps the others waiting, but
//!   does not keep them out.
//! * A question that fails while another one gets a good answer says nothing about the others,
//!   unless the issuer has named a time.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock::after;
use crate::introspection::Fault;

const MIN_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// For so long after a good answer, one that is of no use is held to be due to its token.
const IN_HEALTH: Duration = Duration::from_secs(10);
/// Between two questions to an issuer that is in doubt.
const IN_DOUBT: Duration = Duration::from_millis(50);
/// For so long a question is taken to be on its way after its last sign of life.
pub(crate) const LEASE: Duration = Duration::from_secs(3);

/// How it went with an issuer of late.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// The last good answer.
    good: Option<Instant>,
    /// `None` while all is well.
    trouble: Option<Trouble>,
}

/// An outage, or a doubt.
#[derive(Debug)]
struct Trouble {
    /// What was last wrong. It says which of the two it is.
    fault: Fault,
    /// How many outages there were since the last good answer.
    outages: u32,
    /// Until when nothing is asked.
    until: Instant,
    /// By when the one question that is to show whether the outage is over gives a sign of life.
    trying: Option<Instant>,
}

/// Whether a question may be asked.
#[derive(Debug)]
pub(crate) enum Turn {
    Ask(Asked),
    /// Not before so long, and why.
    Wait(Duration, Fault),
}

/// A question on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    begun: Instant,
    /// Whether it is the one that is to show whether an outage is over.
    tries: bool,
}

/// What a question without an answer to go by leads to.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Failed {
    /// When to come again.
    pub(crate) wait: Duration,
    /// Whether the operator does not know yet.
    pub(crate) is_news: bool,
}

impl Pace {
    /// Asks for leave to ask a question.
    pub(crate) fn turn(&mut self, now: Instant) -> Turn {
        let tries = match &mut self.trouble {
            None => false,
            Some(trouble) => {
                let wait = trouble.until.saturating_duration_since(now);
                if !wait.is_zero() || trouble.trying.is_some_and(|until| until > now) {
                    return Turn::Wait(wait.max(MIN_PAUSE), trouble.fault.clone());
                }
                if trouble.fault.outage {
                    trouble.trying = Some(after(now, LEASE));
                } else {
                    trouble.until = after(now, IN_DOUBT);
                }
                trouble.fault.outage
            }
        };
        Turn::Ask(Asked { begun: now, tries })
    }

    /// Notes that a question is still on its way.
    pub(crate) fn is_alive(&mut self, asked: Asked, now: Instant) {
        if let Some(trouble) = self.trouble.as_mut().filter(|_| asked.tries) {
            trouble.trying = Some(after(now, LEASE));
        }
    }

    /// Notes a good answer; returns whether that is news to the operator.
    pub(crate) fn succeeded(&mut self, now: Instant) -> bool {
        self.good = Some(now);
        // the other questions on their way do not shorten what the issuer has asked for
        let stays = |trouble: &Trouble| trouble.until > now && trouble.fault.retry_after.is_some();
        if self.trouble.as_ref().is_some_and(stays) {
            return false;
        }
        self.trouble.take().is_some()
    }

    /// Notes a question that has no answer to go by.
    pub(crate) fn failed(&mut self, fault: &Fault, asked: Asked, now: Instant) -> Failed {
        let well_otherwise = self.is_well_otherwise(fault, asked, now);
        let is_news = match &mut self.trouble {
            Some(trouble) => trouble.goes_on(fault, asked, now),
            None if well_otherwise => false,
            None => {
                let trouble = Trouble { fault: fault.clone(), outages: 0, until: now, trying: None };
                self.trouble.insert(trouble).begins(fault, now);
                true
            }
        };
        let wait = self.trouble.as_ref().map(|trouble| trouble.until.saturating_duration_since(now));
        Failed { wait: wait.unwrap_or_default().max(MIN_PAUSE), is_news }
    }

    /// Tells whether others get good answers, so that a failure is that of one token.
    fn is_well_otherwise(&self, fault: &Fault, asked: Asked, now: Instant) -> bool {
        let Some(good) = self.good else { return false };
        let lately = now.saturating_duration_since(good) < IN_HEALTH && !fault.outage;
        let meanwhile = good > asked.begun && fault.retry_after.is_none();
        lately || meanwhile
    }

    /// Notes that a question has ended without an answer of any kind.
    pub(crate) fn dropped(&mut self, asked: Asked) {
        if let Some(trouble) = self.trouble.as_mut().filter(|_| asked.tries) {
            trouble.trying = None;
        }
    }
}

impl Trouble {
    /// Begins an outage, the next one, or a doubt.
    fn begins(&mut self, fault: &Fault, now: Instant) {
        if fault.outage {
            let doubled = MIN_PAUSE.saturating_mul(1_u32.checked_shl(self.outages).unwrap_or(u32::MAX));
            self.outages = self.outages.saturating_add(1);
            self.until = after(now, doubled.min(MAX_PAUSE).max(fault.retry_after.unwrap_or_default()));
        } else {
            self.until = after(now, IN_DOUBT);
        }
        self.fault = fault.clone();
    }

    /// Takes in one more failure; returns whether the operator does not know of it.
    fn goes_on(&mut self, fault: &Fault, asked: Asked, now: Instant) -> bool {
        if asked.tries {
            self.trying = None;
        }
        match (self.fault.outage, fault.outage) {
            // of several questions that were on their way, each has the same to say
            (true, true) if self.until > now => {
                self.until = self.until.max(after(now, fault.retry_after.unwrap_or_default().max(MIN_PAUSE)));
                false
            }
            (true, true) => {
                let same = self.fault.detail == fault.detail;
                self.begins(fault, now);
                !same
            }
            // it has an answer, if not to this; but one from before the outage says nothing
            (true, false) if asked.tries => {
                self.begins(fault, now);
                true
            }
            (true, false) => false,
            (false, true) => {
                self.begins(fault, now);
                true
            }
            (false, false) => {
                self.fault = fault.clone();
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a turn says, in seconds to wait.
    fn turn(pace: &mut Pace, now: Instant) -> Result<Asked, u64> {
        match pace.turn(now) {
            Turn::Ask(asked) => Ok(asked),
            Turn::Wait(wait, _) => Err(wait.as_secs()),
        }
    }

    fn failed(pace: &mut Pace, fault: &Fault, asked: Asked, now: Instant) -> (u64, bool) {
        let Failed { wait, is_news } = pace.failed(fault, asked, now);
        (wait.as_secs(), is_news)
    }

    fn down() -> Fault {
        Fault::outage("down")
    }

    fn odd() -> Fault {
        Fault::of_answer("odd")
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_issuer_that_is_down_is_asked_once_after_growing_pauses() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let mut asked = turn(&mut pace, start).unwrap();
        turn(&mut pace, start).expect("nothing is known yet");
        let mut now = start;
        for (number, pause) in [1, 2, 4, 8, 16, 32, 60, 60, 60].into_iter().enumerate() {
            assert_eq!(failed(&mut pace, &down(), asked, now), (pause, number == 0), "it is news once");
            assert_eq!(turn(&mut pace, now).unwrap_err(), pause);
            now += seconds(pause);
            asked = turn(&mut pace, now).unwrap();
            assert_eq!(turn(&mut pace, now).unwrap_err(), 1, "one, and no other");
        }
        assert_eq!(failed(&mut pace, &Fault::outage("refused"), asked, now), (60, true), "another reason is news");
        assert!(pace.succeeded(now));
        assert!(!pace.succeeded(now), "and so is the end, once");
        let asked = turn(&mut pace, now).unwrap();
        let later = now + seconds(1);
        let again = turn(&mut pace, later).unwrap();
        assert_eq!(failed(&mut pace, &down(), again, later), (1, true), "from the beginning");
        assert_eq!(failed(&mut pace, &down(), asked, later), (1, false));
    }

    #[test]
    fn questions_that_fail_together_count_once() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let asked: Vec<_> = (0..32).map(|_| turn(&mut pace, now).unwrap()).collect();
        for (number, asked) in asked.into_iter().enumerate() {
            assert_eq!(failed(&mut pace, &down(), asked, now), (1, number == 0));
        }
        turn(&mut pace, now + seconds(1)).unwrap();
    }

    #[test]
    fn a_question_that_gives_no_sign_of_life_is_followed_by_another() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let asked = turn(&mut pace, start).unwrap();
        failed(&mut pace, &down(), asked, start);
        let now = start + seconds(1);
        let tries = turn(&mut pace, now).unwrap();
        pace.is_alive(asked, now + seconds(2));
        pace.is_alive(tries, now + seconds(1));
        assert_eq!(turn(&mut pace, now + LEASE).unwrap_err(), 1);
        let tries = turn(&mut pace, now + LEASE + seconds(1)).unwrap();
        pace.dropped(asked);
        assert_eq!(turn(&mut pace, now + LEASE + seconds(1)).unwrap_err(), 1);
        pace.dropped(tries);
        turn(&mut pace, now + LEASE + seconds(1)).unwrap();
    }

    #[test]
    fn what_may_be_due_to_a_token_stops_nobody_while_others_get_answers() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        pace.succeeded(start);
        let later = |seconds| start + Duration::from_secs(seconds);
        let asked = turn(&mut pace, later(9)).unwrap();
        assert_eq!(failed(&mut pace, &odd(), asked, later(9)), (1, false));
        turn(&mut pace, later(9)).unwrap();
        assert_eq!(failed(&mut pace, &odd(), asked, later(10)), (1, true), "the last answer is too old");
        assert_eq!(turn(&mut pace, later(10)).unwrap_err(), 1);
    }

    #[test]
    fn an_issuer_in_doubt_is_asked_twenty_times_a_second_about_whatever_token() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let asked = turn(&mut pace, start).unwrap();
        assert_eq!(failed(&mut pace, &odd(), asked, start), (1, true));
        let turns = (0..10_000_u64).filter(|tick| {
            let now = start + Duration::from_micros(tick * 100);
            turn(&mut pace, now).is_ok_and(|asked| failed(&mut pace, &odd(), asked, now) == (1, false))
        });
        assert_eq!(turns.count(), 19);
        assert!(pace.succeeded(start + seconds(1)), "a good answer ends it");
        turn(&mut pace, start + seconds(1)).unwrap();
        turn(&mut pace, start + seconds(1)).unwrap();
    }

    #[test]
    fn any_answer_to_the_question_that_tries_ends_an_outage_and_no_earlier_one_does() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let early = [(); 3].map(|()| turn(&mut pace, start).unwrap());
        failed(&mut pace, &down(), early[0], start);
        assert_eq!(failed(&mut pace, &odd(), early[1], start), (1, false));
        assert_eq!(turn(&mut pace, start).unwrap_err(), 1, "the outage goes on");
        let now = start + seconds(1);
        let tries = turn(&mut pace, now).unwrap();
        assert_eq!(failed(&mut pace, &odd(), tries, now), (1, true));
        let now = now + IN_DOUBT;
        let asked = turn(&mut pace, now).unwrap();
        turn(&mut pace, now + IN_DOUBT).unwrap();
        assert_eq!(failed(&mut pace, &down(), asked, now + IN_DOUBT), (2, true), "the second outage, not the first");
    }

    #[test]
    fn a_question_that_fails_while_another_gets_an_answer_says_nothing_about_the_others() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let hanging = turn(&mut pace, start).unwrap();
        pace.succeeded(start + seconds(4));
        assert_eq!(failed(&mut pace, &down(), hanging, start + seconds(5)), (1, false));
        turn(&mut pace, start + seconds(5)).unwrap();
        let limited = Fault { retry_after: Some(seconds(30)), ..Fault::outage("429") };
        assert_eq!(failed(&mut pace, &limited, hanging, start + seconds(5)), (30, true), "it has said so for all");
    }

    #[test]
    fn an_issuer_is_left_alone_for_as_long_as_it_says() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let asked = turn(&mut pace, now).unwrap();
        let limited = Fault { retry_after: Some(seconds(40)), ..Fault::outage("429") };
        assert_eq!(failed(&mut pace, &limited, asked, now), (40, true));
        assert!(!pace.succeeded(now + seconds(1)), "one that was on its way changes nothing");
        assert_eq!(turn(&mut pace, now + seconds(39)).unwrap_err(), 1);
        turn(&mut pace, now + seconds(40)).unwrap();
        assert!(pace.succeeded(now + seconds(40)));
    }
}
