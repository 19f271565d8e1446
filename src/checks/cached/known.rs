//! What a check has said of tokens, and about which it is being asked.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::checks::chain::{LONGEST, in_time};
use crate::checks::{Answer, Denied};
use crate::clock::{Moment, after};
use crate::sync::lock;

/// An issuer and the hash of a token.
type Key = (Arc<str>, [u8; 32]);

pub(super) struct Known {
    answers: Cache<Key, Remembered>,
    open: Mutex<Open>,
    max_open: usize,
}

/// The questions that are open.
#[derive(Default)]
struct Open {
    asked: u64,
    questions: HashMap<Key, Shared>,
}

/// A question that others may wait for.
#[derive(Clone)]
struct Shared {
    number: u64,
    /// Until when its answer is good for others.
    until: Moment,
    /// Until when it is there, however slow it is.
    there: Instant,
    answering: Answering,
}

impl Shared {
    fn may_be_joined(&self, now: Moment) -> bool {
        self.until.passed(now).is_none() && now.instant < self.there
    }
}

#[derive(Clone)]
struct Remembered {
    until: Moment,
    denied: Option<Denied>,
}

/// An answer that many get.
#[derive(Clone)]
enum Verdict {
    Yes,
    No(Denied),
    CannotTell(Cow<'static, str>),
}

/// What is known about a token.
pub(super) enum Lookup {
    Known(Answer),
    Asked(Answering),
    /// Nothing: it is this caller's to ask.
    Unknown(Question),
}

impl Known {
    pub(super) fn new(max_tokens: u64) -> Self {
        let max_open = usize::try_from(max_tokens).unwrap_or(usize::MAX);
        Self { answers: Cache::new(max_tokens), open: Mutex::default(), max_open }
    }

    /// Returns what is known, or opens a question.
    pub(super) fn look_up(self: &Arc<Self>, key: Key, now: Moment, keep: Duration) -> Lookup {
        if let Some(answer) = self.answer(&key, now) {
            return Lookup::Known(answer);
        }
        let mut open = lock(&self.open);
        // a question is closed after its answer was remembered
        if let Some(answer) = self.answer(&key, now) {
            return Lookup::Known(answer);
        }
        if let Some(shared) = open.questions.get(&key).filter(|shared| shared.may_be_joined(now)) {
            return Lookup::Asked(shared.answering.clone());
        }
        if open.questions.len() >= self.max_open {
            // left behind by runtimes that nobody drives
            open.questions.retain(|_, shared| shared.may_be_joined(now));
        }
        let number = open.asked;
        open.asked = number.wrapping_add(1);
        let (until, (sender, answer)) = (now.after(keep), watch::channel(None));
        if open.questions.len() < self.max_open {
            let there = after(now.instant, LONGEST);
            let shared = Shared { number, until, there, answering: Answering(answer) };
            open.questions.insert(key.clone(), shared);
        }
        Lookup::Unknown(Question { known: Arc::clone(self), key, number, until, sender })
    }

    fn answer(&self, key: &Key, now: Moment) -> Option<Answer> {
        let remembered = self.answers.get(key).filter(|remembered| remembered.until.passed(now).is_none())?;
        Some(remembered.denied.map_or(Answer::Yes, Answer::No))
    }
}

/// A question that is open. If it ends without an answer, those who wait are told so.
pub(super) struct Question {
    known: Arc<Known>,
    key: Key,
    number: u64,
    until: Moment,
    sender: watch::Sender<Option<Verdict>>,
}

impl Question {
    pub(super) fn answering(&self) -> Answering {
        Answering(self.sender.subscribe())
    }

    /// Waits for the answer, whoever else does.
    pub(super) async fn ask(self, check: &'static str, answer: Answer) {
        self.close(&in_time(check, answer).await);
    }

    /// Remembers the answer, and tells it to those who wait.
    pub(super) fn close(self, answer: &Answer) {
        let verdict = match answer {
            Answer::Yes => Verdict::Yes,
            Answer::No(denied) => Verdict::No(denied.clone()),
            Answer::CannotTell(why) => Verdict::CannotTell(why.clone()),
            Answer::Later(_) => return,
        };
        let denied = match &verdict {
            Verdict::Yes => Some(None),
            Verdict::No(denied) => Some(Some(denied.clone())),
            Verdict::CannotTell(_) => None,
        };
        // from when it was asked, since the answer may be as old, and not over a newer one
        let known = self.known.answers.get(&self.key).map(|known| known.until.instant);
        if let Some(denied) = denied
            && known.is_none_or(|known| known <= self.until.instant)
        {
            self.known.answers.insert(self.key.clone(), Remembered { until: self.until, denied });
        }
        self.sender.send_replace(Some(verdict));
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        let mut open = lock(&self.known.open);
        if open.questions.get(&self.key).is_some_and(|shared| shared.number == self.number) {
            open.questions.remove(&self.key);
        }
    }
}

/// Waits for the answer of a question.
#[derive(Clone)]
pub(super) struct Answering(watch::Receiver<Option<Verdict>>);

impl Answering {
    pub(super) async fn wait(mut self) -> Answer {
        let verdict = self.0.wait_for(Option::is_some).await.ok().and_then(|verdict| verdict.clone());
        match verdict {
            Some(Verdict::Yes) => Answer::Yes,
            Some(Verdict::No(denied)) => Answer::No(denied),
            Some(Verdict::CannotTell(why)) => Answer::CannotTell(why),
            None => Answer::cannot_tell("the question was cut short"),
        }
    }
}
