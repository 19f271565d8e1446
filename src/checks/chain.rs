//! The checks of a server, in their order.

use std::borrow::Cow;
use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::request_context::{Kept, RequestContext};
use super::{Answer, Fail, OnUnavailable, TokenCheck};
use crate::access_token::{AccessToken, Permitted};
use crate::credential::RequestHead;
use crate::error::{ConfigError, ConfigProblemKind, Error, ErrorKind};
use crate::revocation::{Finding, Kind};
use crate::sync::{caught, caught_now};
use crate::trace::{count, event};

/// How long a request waits for one check's answer: longer than any client would think a service
/// well, and short enough for requests not to pile up.
pub(super) const LONGEST: Duration = Duration::from_secs(5);

/// Why a check that takes longer cannot tell.
const TOO_LONG: &str = "it took longer than 5 s";

/// When to come again, if a check cannot tell.
const RETRY: Duration = Duration::from_secs(5);

/// The name of the list of revoked tokens among the checks.
pub(crate) const REVOCATIONS: &str = "revocations";

/// All that a server asks about each token.
#[derive(Default)]
pub(crate) struct Checks {
    /// What becomes of requests if the list of revoked tokens cannot tell.
    pub(crate) revocations: Option<OnUnavailable>,
    pub(crate) own: Vec<(Arc<dyn TokenCheck>, OnUnavailable)>,
}

/// What comes of asking.
pub(crate) enum Asked {
    Now(Result<Permitted, Error>),
    Later(Pin<Box<dyn Future<Output = Result<Permitted, Error>> + Send>>),
}

impl Checks {
    pub(crate) fn is_empty(&self) -> bool {
        self.revocations.is_none() && self.own.is_empty()
    }

    /// Names all checks, in the order in which they are asked.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        let revocations = self.revocations.map(|_| REVOCATIONS);
        revocations.into_iter().chain(self.own.iter().map(|(check, _)| check.name()))
    }

    /// Notes if two of them have one name.
    pub(crate) fn check_names(&self, problems: &mut ConfigError) {
        let mut seen = HashSet::new();
        for name in self.names().filter(|name| !seen.insert(*name)) {
            let fix = "two checks have this name; logs, metrics and explanations tell them apart by it";
            problems.push_as(ConfigProblemKind::Conflict, format!("checks[{name}]"), fix);
        }
    }

    /// Returns the checks that are to be asked, or the evidence that there are none.
    pub(crate) fn needed(checks: Option<&Arc<Self>>) -> Result<&Arc<Self>, Permitted> {
        checks.ok_or_else(Permitted::by_all_checks)
    }

    /// Asks about a token that its sender may use.
    pub(crate) fn ask<C: Send + Sync + 'static>(
        self: &Arc<Self>,
        token: &AccessToken<C>,
        request: &RequestContext<'_>,
    ) -> Asked {
        if let Some(on_unavailable) = self.revocations
            && let Err(error) = on_unavailable.judge(token.find_revocation(), request)
        {
            return Asked::Now(Err(error.at(&token.policy().issuer)));
        }
        if self.own.is_empty() {
            return Asked::Now(Ok(Permitted::by_all_checks()));
        }
        self.ask_own(&token.erase(), request)
    }

    fn ask_own(self: &Arc<Self>, token: &AccessToken, request: &RequestContext<'_>) -> Asked {
        for (place, (check, on_unavailable)) in self.own.iter().enumerate() {
            let answer = match ask(&**check, token, request) {
                // what most say: it needs no name, and is not moved about
                Answer::Yes => continue,
                Answer::Later(answer) => {
                    let (checks, token, kept) = (Arc::clone(self), token.clone(), request.keep());
                    return Asked::Later(Box::pin(async move { checks.go_on(place, answer, &token, &kept).await }));
                }
                answer @ (Answer::No(_) | Answer::CannotTell(_)) => answer,
            };
            if let Err(error) = on_unavailable.settle(check.name(), answer, token, request) {
                return Asked::Now(Err(error));
            }
        }
        Asked::Now(Ok(Permitted::by_all_checks()))
    }

    /// Waits for the answer of the check at this place, and asks those behind it.
    async fn go_on(
        &self,
        place: usize,
        first: Pin<Box<dyn Future<Output = Answer> + Send>>,
        token: &AccessToken,
        kept: &Kept,
    ) -> Result<Permitted, Error> {
        let mut pending = Some(first);
        for (check, on_unavailable) in self.own.iter().skip(place) {
            let answer = match pending.take() {
                Some(pending) => Answer::Later(pending),
                None => ask(&**check, token, &kept.context()),
            };
            let answer = in_time(check.name(), answer).await;
            on_unavailable.settle(check.name(), answer, token, &kept.context())?;
        }
        // what was revoked meanwhile
        let finding = self.revocations.map_or(Finding::Clear, |_| token.find_revocation());
        if let Finding::Revoked(kind) = finding {
            return Err(revoked(kind).at(&token.policy().issuer));
        }
        Ok(Permitted::by_all_checks())
    }
}

fn revoked(kind: Kind) -> Error {
    count!("tower_bearer_checks_total", "check" => REVOCATIONS, "outcome" => "no");
    Error::new(ErrorKind::Revoked, kind.how()).by_check(REVOCATIONS)
}

/// Asks a check, which may panic. That costs nothing as long as it does not.
fn ask(check: &dyn TokenCheck, token: &AccessToken, request: &RequestContext<'_>) -> Answer {
    caught_now(|| check.check(token, request)).unwrap_or_else(|| panicked(check.name()))
}

/// Waits for an answer, but not for too long.
pub(super) async fn in_time(check: &'static str, answer: Answer) -> Answer {
    let answer =
        timeout(LONGEST, caught(at_last(answer))).await.unwrap_or_else(|_| Some(Answer::cannot_tell(TOO_LONG)));
    answer.unwrap_or_else(|| panicked(check))
}

/// A check that panics cannot tell. What it says of it may hold what it has seen, and is not
/// repeated.
fn panicked(check: &'static str) -> Answer {
    event!(error, "a check of tokens has panicked", check = check);
    Answer::cannot_tell("the check has panicked")
}

/// Waits for as long as an answer is another future.
async fn at_last(mut answer: Answer) -> Answer {
    while let Answer::Later(later) = answer {
        answer = later.await;
    }
    answer
}

impl OnUnavailable {
    /// Makes a verdict of what a check says.
    fn settle(
        self,
        check: &'static str,
        answer: Answer,
        token: &AccessToken,
        request: &RequestContext<'_>,
    ) -> Result<(), Error> {
        let named = |error: Error| error.by_check(check).at(&token.policy().issuer);
        match answer {
            // not counted, since that would cost more than most checks
            Answer::Yes => Ok(()),
            Answer::No(denied) => {
                count!("tower_bearer_checks_total", "check" => check, "outcome" => "no");
                Err(named(denied.into_error(token)))
            }
            Answer::CannotTell(why) => self.unknown(check, why, request).map_err(named),
            // nobody waits here
            Answer::Later(_) => self.unknown(check, "the answer is not there yet".into(), request).map_err(named),
        }
    }

    /// Makes a verdict of what the list of revoked tokens says.
    fn judge(self, finding: Finding, request: &RequestContext<'_>) -> Result<(), Error> {
        match finding {
            Finding::Clear => Ok(()),
            Finding::Revoked(kind) => Err(revoked(kind)),
            Finding::Unknown(why) => self.unknown(REVOCATIONS, why, request),
        }
    }

    fn unknown(self, check: &'static str, why: Cow<'static, str>, request: &RequestContext<'_>) -> Result<(), Error> {
        count!("tower_bearer_checks_total", "check" => check, "outcome" => "unknown");
        let let_in = match self.0 {
            Fail::Closed => false,
            Fail::Open => true,
            Fail::OpenForSafe => request.head().is_some_and(RequestHead::is_safe),
        };
        if let_in {
            event!(debug, "let in without an answer of a check", check = check, reason = why);
            return Ok(());
        }
        Err(Error::new(ErrorKind::CheckUnavailable, why).by_check(check).with_retry_after(RETRY))
    }
}
