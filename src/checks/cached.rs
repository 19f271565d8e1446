//! A check whose answers are remembered for a while.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tokio::time::Instant;

use super::{Answer, Denied, RequestContext, TokenCheck};
use crate::access_token::AccessToken;
use crate::clock::after;

/// A check that looks at nothing but the token, so that its answers may be remembered; see
/// [`CachedCheck`].
pub trait TokenOnlyCheck: Send + Sync + 'static {
    /// Names the check, for logs, metrics and explanations.
    fn name(&self) -> &'static str;

    /// Decides about a token that was verified, and that its sender may use.
    fn check(&self, token: &AccessToken) -> Answer;
}

/// Remembers the answers of a check, each for a while: for checks that ask somebody else.
///
/// Yes and no are remembered; that the check cannot tell is not. Requests that come before the
/// first answer is there ask, too. A token is found by its [`token_hash`](RequestContext::token_hash),
/// which takes a microsecond for a long token: a check that answers faster needs no cache.
///
/// # Security
///
/// A change is noticed only when the remembered answer has run out.
pub struct CachedCheck<T> {
    check: T,
    keep: Duration,
    answers: Cache<Key, Known>,
}

/// An issuer and the hash of a token.
type Key = (Arc<str>, [u8; 32]);

#[derive(Clone)]
struct Known {
    until: Instant,
    denied: Option<Denied>,
}

impl<T: TokenOnlyCheck> CachedCheck<T> {
    /// Keeps each answer for the time `keep`, and the answers for `max_tokens` tokens at most.
    pub fn new(check: T, keep: Duration, max_tokens: u64) -> Self {
        Self { check, keep, answers: Cache::new(max_tokens) }
    }
}

impl<T: TokenOnlyCheck> TokenCheck for CachedCheck<T> {
    fn name(&self) -> &'static str {
        self.check.name()
    }

    fn check(&self, token: &AccessToken, request: &RequestContext<'_>) -> Answer {
        let (key, asked) = ((Arc::clone(&token.policy().issuer), request.token_hash()), Instant::now());
        if let Some(known) = self.answers.get(&key).filter(|known| asked < known.until) {
            return known.denied.map_or(Answer::Yes, Answer::No);
        }
        // from when it was asked, since the answer may be as old
        let (answers, until) = (self.answers.clone(), after(asked, self.keep));
        let remember = move |answer: &Answer| {
            let denied = match answer {
                Answer::Yes => None,
                Answer::No(denied) => Some(denied.clone()),
                Answer::CannotTell(_) | Answer::Later(_) => return,
            };
            answers.insert(key, Known { until, denied });
        };
        match self.check.check(token) {
            Answer::Later(answer) => Answer::later(async move {
                let mut answer = answer.await;
                while let Answer::Later(later) = answer {
                    answer = later.await;
                }
                remember(&answer);
                answer
            }),
            answer @ (Answer::Yes | Answer::No(_) | Answer::CannotTell(_)) => {
                remember(&answer);
                answer
            }
        }
    }
}

impl<T: TokenOnlyCheck> fmt::Debug for CachedCheck<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedCheck")
            .field("check", &self.check.name())
            .field("keep", &self.keep)
            .finish_non_exhaustive()
    }
}
