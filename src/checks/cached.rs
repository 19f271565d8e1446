//! A check whose answers are remembered for a while.

mod known;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use self::known::{Known, Lookup};
use super::{Answer, RequestContext, TokenCheck};
use crate::access_token::AccessToken;

/// The longest that an answer is kept.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A check that looks at nothing but the token, so that its answers may be remembered; see
/// [`CachedCheck`].
pub trait TokenOnlyCheck: Send + Sync + 'static {
    /// Names the check, for logs, metrics and explanations.
    fn name(&self) -> &'static str;

    /// Decides about a token that was verified, and that its sender may use.
    ///
    /// The future of [`Answer::later`] runs in a task of its own, for 5 s at most.
    fn check(&self, token: &AccessToken) -> Answer;
}

/// Remembers the answers of a check, each for a while: for checks that ask somebody else.
///
/// Yes and no are remembered; that the check cannot tell is not. Requests that come before the
/// first answer is there wait for it: a thousand at once are one question. It goes on if their
/// callers go away, and its answer is for the next. A token is found by its
/// [`token_hash`](RequestContext::token_hash), which takes a microsecond for a long token: a check
/// that answers faster needs no cache.
///
/// # Security
///
/// A change is noticed only when the remembered answer has run out. It counts from when it was
/// asked for, and a question that has been open for longer is not waited for either, but asked
/// anew.
pub struct CachedCheck<T> {
    check: T,
    keep: Duration,
    known: Arc<Known>,
}

impl<T: TokenOnlyCheck> CachedCheck<T> {
    /// Keeps each answer for the time `keep`, which is a year at most, and the answers for
    /// `max_tokens` tokens at most.
    ///
    /// As many questions may be open at once; those that are more are asked without being shared.
    pub fn new(check: T, keep: Duration, max_tokens: u64) -> Self {
        // what lies too far ahead, no clock can express
        Self { check, keep: keep.min(LONGEST), known: Arc::new(Known::new(max_tokens)) }
    }
}

impl<T: TokenOnlyCheck> TokenCheck for CachedCheck<T> {
    fn name(&self) -> &'static str {
        self.check.name()
    }

    fn check(&self, token: &AccessToken, request: &RequestContext<'_>) -> Answer {
        let policy = token.policy();
        let key = (Arc::clone(&policy.issuer), request.token_hash());
        let question = match self.known.look_up(key, policy.server.clock.moment(), self.keep) {
            Lookup::Known(answer) => return answer,
            Lookup::Asked(answering) if Handle::try_current().is_ok() => return Answer::later(answering.wait()),
            // nobody can wait without a runtime
            Lookup::Asked(_) => None,
            Lookup::Unknown(question) => Some(question),
        };
        // should it panic, whoever waits is told that nobody can tell
        let answer = self.check.check(token);
        let Some(question) = question else { return answer };
        match (answer, Handle::try_current()) {
            (answer @ Answer::Later(_), Ok(runtime)) => {
                let answering = question.answering();
                runtime.spawn(question.ask(self.check.name(), answer));
                Answer::later(answering.wait())
            }
            (answer @ Answer::Later(_), Err(_)) => answer,
            (answer, _) => {
                question.close(&answer);
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
