//! What verifies an issuer's tokens: its keys. It never waits, but says what it lacks.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::lookup::undecided;
use super::trust::TrustedIssuer;
use crate::clock::Moment;
use crate::crypto::{SignatureVerified, VerifyingKey};
use crate::error::{Error, ErrorKind};
use crate::issuer::Policy;
use crate::jose::Compact;
use crate::jwks::{Cause, Refresh};
use crate::validate::Plausible;

/// By what a token that was verified once is still believed: its key, for as long as the issuer has
/// it.
pub(super) struct Warrant {
    /// `None` if the issuer was asked instead.
    key: Option<KeyWarrant>,
    /// Until when the issuer's answer is believed, if it was asked.
    until: Option<Moment>,
}

struct KeyWarrant {
    key: Arc<VerifyingKey>,
    /// A generation of the issuer's keys in which the key has been seen, most often the newest.
    generation: AtomicU64,
}

impl Warrant {
    /// Of a token that was asked about and not verified.
    #[cfg(feature = "introspection")]
    pub(super) fn of_answer(until: Moment) -> Self {
        Self { key: None, until: Some(until) }
    }

    /// The same for as long as an answer is believed, if there was a question.
    pub(super) fn until(self, until: Option<Moment>) -> Self {
        Self { until, ..self }
    }
}

/// A no: for good, or for want of something that may come.
pub(super) enum Unverified<L> {
    Refused(Error),
    Lacking(L),
}

/// What is lacking for a verdict.
pub(super) enum Lack {
    /// A key of this issuer.
    Key {
        trusted: Arc<TrustedIssuer>,
        cause: Cause,
        /// That of the keys in hand.
        generation: u64,
        /// What is wrong if newer keys do not help; `None` if there are no keys in hand, or they
        /// are too old.
        error: Option<Error>,
    },
    /// A decision whether this issuer is trusted.
    Decision(Arc<str>),
}

/// What was done to get newer keys for a token that is refused.
#[derive(Clone, Copy)]
pub(super) enum Effort {
    /// They were fetched for its sake.
    Fetched,
    /// A fetch goes on.
    Fetching,
    /// There is no fetch for its sake now.
    Nothing,
}

impl TrustedIssuer {
    /// Checks the claims by a policy of this issuer, and then the signature.
    pub(super) fn verify<'t>(
        self: &Arc<Self>,
        token: Compact<'t>,
        policy: &Arc<Policy>,
        now: Moment,
    ) -> Result<(Plausible<'t>, SignatureVerified, Warrant), Unverified<Lack>> {
        let plausible = Plausible::check(token, policy, now.wall)?;
        let current = self.keys.current_with_task(now.instant);
        let generation = current.as_ref().map_or(0, |snapshot| snapshot.generation);
        let lacking =
            |cause, error| Unverified::Lacking(Lack::Key { trusted: Arc::clone(self), cause, generation, error });
        let Some(keys) = current.as_ref().and_then(|snapshot| snapshot.keys(self.max_stale(), now)) else {
            return Err(lacking(Cause::NoKeys, None));
        };
        let header = plausible.header();
        let (verified, key) = keys.verify(header, plausible.signed(), plausible.issuer()).map_err(|error| {
            // perhaps the key was replaced under its name
            let unfit = matches!(error.kind(), ErrorKind::BadSignature | ErrorKind::UnsupportedAlgorithm);
            if error.kind() == ErrorKind::UnknownKey || unfit && header.kid().is_none() {
                lacking(Cause::UnknownKid(self.keys.fingerprint(header.kid())), Some(error))
            } else if unfit {
                lacking(Cause::BadSignature, Some(error))
            } else {
                error.into()
            }
        })?;
        let key = KeyWarrant { key: Arc::clone(key), generation: AtomicU64::new(generation) };
        let warrant = Warrant { key: Some(key), until: None };
        Ok((plausible, verified, warrant))
    }

    /// Tells whether a token would still be verified, as far as that is not said by the token
    /// itself: its very key is in the set in hand, which is not too old, and the issuer's answer is
    /// still believed.
    pub(super) fn vouches(&self, warrant: &Warrant, now: Moment) -> bool {
        if warrant.until.is_some_and(|until| until.passed(now).is_some()) {
            return false;
        }
        let Some(warrant) = &warrant.key else { return true };
        let current = self.keys.current_with_task(now.instant);
        let Some(snapshot) = current.as_ref() else { return false };
        let Some(keys) = snapshot.keys(self.max_stale(), now) else { return false };
        let generation = snapshot.generation;
        if warrant.generation.load(Ordering::Relaxed) == generation {
            return true;
        }
        let stands = keys.contains(&warrant.key);
        if stands {
            warrant.generation.store(generation, Ordering::Relaxed);
        }
        stands
    }

    /// Asks for newer keys than those in hand, whatever these are.
    pub(super) fn refresh(&self, cause: Cause) -> Refresh {
        let current = self.keys.current_with_task(Instant::now());
        self.keys.refresh(cause, current.as_ref().map_or(0, |snapshot| snapshot.generation))
    }

    /// Returns for how long keys are trusted that are not fresh any more.
    pub(super) fn max_stale(&self) -> Duration {
        self.policy.terms.max_stale
    }

    pub(super) fn is_empty(&self, now: Moment) -> bool {
        let current = self.keys.current_with_task(now.instant);
        current.as_ref().and_then(|snapshot| snapshot.keys(self.max_stale(), now)).is_none()
    }

    /// Says why there are no keys that would do.
    pub(super) fn unavailable(&self, cause: Cause) -> Error {
        let detail = match self.keys.outage() {
            Some(outage) if !outage.never || Handle::try_current().is_ok() => Cow::Owned(outage.error.to_string()),
            Some(_) => OUTSIDE.into(),
            None if self.is_empty(self.policy.server.clock.moment()) => {
                "the keys are too old, and newer ones are not there yet".into()
            }
            None => "a fetch of newer keys has not ended yet".into(),
        };
        self.later(detail, cause)
    }

    /// Says why there is no fetch.
    pub(super) fn not_now(&self, cause: Cause) -> Error {
        let outside = Handle::try_current().is_err();
        self.later(if outside { OUTSIDE } else { "at most two fetches are forced in 30 s" }.into(), cause)
    }

    fn later(&self, detail: Cow<'static, str>, cause: Cause) -> Error {
        let wait = self.keys.next_chance(cause);
        Error::new(ErrorKind::KeysUnavailable, detail).with_retry_after(wait).at(&self.policy.issuer)
    }
}

const OUTSIDE: &str = "keys cannot be fetched outside a tokio runtime";

impl Lack {
    /// Says what to answer when there is nothing (more) to wait for.
    ///
    /// A key that is missing because *we* have not fetched the set lately is not the caller's
    /// fault: it must not throw a good token away. A signature that a key of the token's `kid` does
    /// not verify is bad.
    pub(super) fn into_error(self, effort: Effort) -> Error {
        let (trusted, cause, error) = match self {
            Self::Key { trusted, cause, error: Some(error), .. } => (trusted, cause, error),
            Self::Key { trusted, cause, error: None, .. } => return trusted.unavailable(cause),
            Self::Decision(_) => return undecided("no resolver has decided on the issuer yet"),
        };
        let Cause::UnknownKid(kid) = cause else { return error };
        let ours = match effort {
            _ if trusted.keys.outage().is_some() => trusted.unavailable(cause),
            Effort::Fetching => trusted.unavailable(cause),
            Effort::Nothing if !trusted.keys.is_absent(kid) => trusted.not_now(cause),
            Effort::Fetched | Effort::Nothing => return error,
        };
        ours.for_key(error.kid())
    }
}

impl<L> Unverified<L> {
    pub(super) fn lack(self) -> Result<L, Error> {
        match self {
            Self::Refused(error) => Err(error),
            Self::Lacking(lack) => Ok(lack),
        }
    }
}

impl<L> From<Error> for Unverified<L> {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}
