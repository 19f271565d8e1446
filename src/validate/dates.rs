//! From when until when a token is good (RFC 7519 §4.1.4 to §4.1.6).

use std::time::Duration;

#[cfg(feature = "introspection")]
use crate::claims::LATEST_DATE;
use crate::claims::{Registered, numeric_date};
use crate::clock::{UnixTime, whole_seconds_up};
use crate::error::{Error, ErrorKind};
use crate::issuer::Policy;
use crate::jose::Value;

/// The moments that a token's validity depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dates {
    pub(crate) expires: UnixTime,
    pub(crate) not_before: Option<UnixTime>,
    pub(crate) issued: Option<UnixTime>,
}

impl Dates {
    /// Reads and checks them. Where there is no `exp`, it is this one, if there is one.
    pub(super) fn read(
        claims: &Registered<'_>,
        unsaid: Option<UnixTime>,
        policy: &Policy,
        now: UnixTime,
    ) -> Result<Self, Error> {
        // what never expires is valid for longer than any limit
        let dates = Self::parse(claims, unsaid.filter(|_| policy.terms.max_lifetime.is_none()))?;
        dates.check(policy, now)?;
        dates.check_lifetime(policy)?;
        Ok(dates)
    }

    /// Reads those of an answer about a token whose own dates were read before: what the answer
    /// repeats must hold, and it need not repeat them.
    #[cfg(feature = "introspection")]
    pub(super) fn read_repeated(
        claims: &Registered<'_>,
        unsaid: Option<UnixTime>,
        policy: &Policy,
        now: UnixTime,
    ) -> Result<Self, Error> {
        let dates = Self::parse(claims, unsaid)?;
        dates.check_span(policy, now)?;
        Ok(dates)
    }

    fn parse(claims: &Registered<'_>, unsaid: Option<UnixTime>) -> Result<Self, Error> {
        let read = |name, claim: Option<Value<'_>>| claim.map(|value| numeric_date(name, value)).transpose();
        let (expires, not_before, issued) =
            (read("exp", claims.exp)?, read("nbf", claims.nbf)?, read("iat", claims.iat)?);
        let expires = expires.or(unsaid).ok_or_else(|| Error::new(ErrorKind::MissingClaim, "exp is absent"))?;
        Ok(Self { expires, not_before, issued })
    }

    /// Checks them against the present, which is all that time can change: when a token first
    /// comes, and each time that it comes again.
    pub(crate) fn check(&self, policy: &Policy, now: UnixTime) -> Result<(), Error> {
        self.check_span(policy, now)?;
        self.check_age(policy, now)
    }

    /// Checks that it is neither too late nor too early.
    fn check_span(&self, policy: &Policy, now: UnixTime) -> Result<(), Error> {
        let leeway = policy.terms.leeway;
        if now.is_before_1970() {
            let detail =
                "the clock of this machine is set before 1970, which must be wrong, and nothing can be accepted by it";
            return Err(Error::new(ErrorKind::Expired, detail));
        }
        // RFC 7519 §4.1.4: on or after `exp`, leeway included, a token must not be accepted
        if let Some(ago) = self.expires.passed(now).filter(|ago| *ago >= leeway) {
            let detail = format!("exp passed {} s ago, with a leeway of {} s", ago.as_secs(), leeway.as_secs());
            return Err(Error::new(ErrorKind::Expired, detail));
        }
        not_ahead("nbf", self.not_before, leeway, now)
    }

    fn check_age(&self, policy: &Policy, now: UnixTime) -> Result<(), Error> {
        let leeway = policy.terms.leeway;
        if policy.terms.max_lifetime.or(policy.terms.max_age).is_some() {
            // one that is dated ahead would be good for longer than it says
            not_ahead("iat", self.issued, leeway, now)?;
        }
        let Some(max_age) = policy.terms.max_age else { return Ok(()) };
        let Some(issued) = self.issued else {
            return Err(Error::new(ErrorKind::MissingClaim, "iat is absent, by which the maximum age is checked"));
        };
        let too_old = issued.passed(now).filter(|age| *age > max_age.saturating_add(leeway));
        let Some(age) = too_old else { return Ok(()) };
        let (age, max_age) = (whole_seconds_up(age), max_age.as_secs());
        Err(Error::new(ErrorKind::Expired, format!("iat lies {age} s back, and the maximum age is {max_age} s")))
    }

    /// Checks for how long the token is valid, which no time can change.
    fn check_lifetime(&self, policy: &Policy) -> Result<(), Error> {
        let Some(longest) = policy.terms.max_lifetime else { return Ok(()) };
        let Some(issued) = self.issued else {
            return Err(Error::new(ErrorKind::MissingClaim, "iat is absent, by which the lifetime is checked"));
        };
        let too_long = self.expires.ahead(issued).filter(|lifetime| *lifetime > longest);
        let Some(lifetime) = too_long else { return Ok(()) };
        let (lifetime, longest) = (whole_seconds_up(lifetime), longest.as_secs());
        let detail = format!("the token is valid for {lifetime} s, and the maximum lifetime is {longest} s");
        Err(Error::new(ErrorKind::WrongClaim, detail))
    }
}

fn not_ahead(name: &str, date: Option<UnixTime>, leeway: Duration, now: UnixTime) -> Result<(), Error> {
    let too_early = date.and_then(|date| date.ahead(now)).filter(|ahead| *ahead > leeway);
    let Some(ahead) = too_early else { return Ok(()) };
    let (ahead, leeway) = (whole_seconds_up(ahead), leeway.as_secs());
    Err(Error::new(ErrorKind::NotYetValid, format!("{name} lies {ahead} s ahead, with a leeway of {leeway} s")))
}

/// Returns the last whole second before a moment, as a claim would have it.
#[cfg(feature = "introspection")]
pub(super) fn as_numeric_date(moment: UnixTime) -> UnixTime {
    UnixTime(Duration::from_secs(moment.0.as_secs()).min(LATEST_DATE))
}
