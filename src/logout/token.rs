//! What a logout token says.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::UnixTime;
use crate::error::{Error, ErrorKind};
use crate::jose::{Json, Value};
use crate::validate::Claimed;

/// A verified logout token (OpenID Connect Back-Channel Logout 1.0 §2.4): a user has signed out at
/// the issuer.
///
/// It is no [`AccessToken`](crate::AccessToken), and neither is ever taken for the other.
#[derive(Clone)]
pub struct LogoutToken(Arc<Said>);

struct Said {
    issuer: Arc<str>,
    subject: Option<Box<str>>,
    session: Option<Box<str>>,
    id: Box<str>,
    issued: UnixTime,
    expires: UnixTime,
}

impl LogoutToken {
    /// Reads what only logout tokens say.
    pub(super) fn read(token: &Claimed) -> Result<Self, Error> {
        let Claimed { json, policy, dates, .. } = token;
        let fail = |kind, detail: &'static str| Error::new(kind, detail).at(&policy.issuer);
        if json.root().get("iss").is_none() {
            return Err(fail(ErrorKind::MissingClaim, "iss is absent"));
        }
        if json.root().get("nonce").is_some() {
            return Err(fail(ErrorKind::WrongType, "it has a nonce, and so may be an ID token"));
        }
        let events = json.root().get("events").into_iter().flat_map(Value::members);
        if events.count() != 1 {
            return Err(fail(ErrorKind::WrongType, "it is about other events, too"));
        }
        let text = |name| string(json, name).map_err(|error| error.at(&policy.issuer));
        let (subject, session) = (text("sub")?, text("sid")?);
        if subject.is_none() && session.is_none() {
            return Err(fail(ErrorKind::MissingClaim, "sub and sid are absent"));
        }
        let id = text("jti")?.ok_or_else(|| fail(ErrorKind::MissingClaim, "jti is absent"))?;
        let issued = dates.issued.ok_or_else(|| fail(ErrorKind::MissingClaim, "iat is absent"))?;
        // until it would not be accepted any more
        let expires = UnixTime(dates.expires.0.saturating_add(policy.terms.leeway));
        Ok(Self(Arc::new(Said { issuer: Arc::clone(&policy.issuer), subject, session, id, issued, expires })))
    }

    /// Returns the issuer's identifier, as it is configured.
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// Returns the user (`sub`), if the token names one; at least one of user and session is named.
    pub fn subject(&self) -> Option<&str> {
        self.0.subject.as_deref()
    }

    /// Returns the session that has ended (`sid`). If there is none, all of the user's have.
    pub fn session_id(&self) -> Option<&str> {
        self.0.session.as_deref()
    }

    pub(super) fn id(&self) -> &str {
        &self.0.id
    }

    pub(super) fn expires(&self) -> UnixTime {
        self.0.expires
    }

    /// Returns the first moment after it was issued that a token's `iat`, in whole seconds, can
    /// name.
    pub(super) fn next_second(&self) -> UnixTime {
        UnixTime(Duration::from_secs(self.0.issued.0.as_secs().saturating_add(1)))
    }
}

/// Reads a claim that must be a text, and not an empty one, if it is there.
fn string(json: &Json, name: &'static str) -> Result<Option<Box<str>>, Error> {
    let Some(value) = json.root().get(name) else { return Ok(None) };
    match value.as_str().filter(|text| !text.is_empty()) {
        Some(text) => Ok(Some(text.into())),
        None => Err(Error::new(ErrorKind::MalformedClaim, format!("{name} is no string, or an empty one"))),
    }
}

impl fmt::Debug for LogoutToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogoutToken").field("issuer", &self.issuer()).finish_non_exhaustive()
    }
}
