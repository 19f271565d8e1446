//! What can go wrong with a request ([`Error`], [`ErrorKind`]) or with a configuration ([`ConfigError`]).

mod config;
mod kind;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::config::{ConfigError, ConfigProblem};
pub use self::kind::ErrorKind;

/// The reason why a request was refused.
///
/// [`kind`](Self::kind) says what happened and decides what the caller is told. The [`Display`](fmt::Display) text
/// is for the *operator*: it adds what was expected, where, and the likely fix. Of the token it holds no text but a
/// short, plain [`kid`](Self::kid), so it may be logged. It is not meant for the caller, who gets a fixed text per kind.
///
/// The layer puts the error into the extensions of the response that it refuses with, where outer layers find it:
///
/// ```
/// use tower_bearer::{Error, ErrorKind};
///
/// fn was_expired<B>(response: &http::Response<B>) -> bool {
///     response.extensions().get::<Error>().is_some_and(|error| error.kind() == ErrorKind::Expired)
/// }
/// # assert!(!was_expired(&http::Response::new(())));
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    detail: Cow<'static, str>,
    issuer: Option<Arc<str>>,
    kid: Option<Box<str>>,
    scope: Option<Box<str>>,
    realm: Option<Arc<str>>,
    retry_after: Option<Duration>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        Self(Arc::new(Inner { kind, detail, issuer: None, kid: None, scope: None, realm: None, retry_after: None }))
    }

    /// Names the trusted issuer at which the error arose: our configuration's text, never the token's.
    #[must_use]
    pub(crate) fn at(self, issuer: &Arc<str>) -> Self {
        self.with(|inner| inner.issuer = Some(Arc::clone(issuer)))
    }

    /// Names the key that the token asked for, if its name is short and plain enough for a log.
    #[must_use]
    pub(crate) fn for_key(self, kid: Option<&str>) -> Self {
        let plain = |kid: &&str| kid.len() <= 64 && kid.bytes().all(|byte| byte.is_ascii_graphic());
        self.with(|inner| inner.kid = kid.filter(plain).map(Into::into))
    }

    #[must_use]
    pub(crate) fn needing_scope(self, scope: Option<String>) -> Self {
        self.with(|inner| inner.scope = scope.map(Into::into))
    }

    /// Names the quoted realm of the layer that let the request through.
    #[must_use]
    pub(crate) fn in_realm(self, realm: &Arc<str>) -> Self {
        self.with(|inner| inner.realm = Some(Arc::clone(realm)))
    }

    #[must_use]
    pub(crate) fn with_retry_after(self, wait: Duration) -> Self {
        self.with(|inner| inner.retry_after = Some(wait))
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    pub(crate) fn realm(&self) -> Option<&Arc<str>> {
        self.0.realm.as_ref()
    }

    /// Returns what happened.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the trusted issuer whose policy or keys refused the token, if it got that far; for an unknown issuer, the
    /// trusted one that was probably meant, if one differs only by scheme, case, a trailing slash or its host.
    ///
    /// It is the text of the configuration, not of the token; or, for an issuer found at run time, what the resolver has let in.
    pub fn issuer(&self) -> Option<&str> {
        self.0.issuer.as_deref()
    }

    /// Returns the `kid` of the key that the token asked for, where a key was the problem.
    ///
    /// It comes from the token's unverified header and is only kept if it is at most 64 visible ASCII characters.
    pub fn kid(&self) -> Option<&str> {
        self.0.kid.as_deref()
    }

    /// Returns the scopes, separated by spaces, that the operation asks for, where a scope was missing.
    pub fn scope(&self) -> Option<&str> {
        self.0.scope.as_deref()
    }

    /// Returns how long a caller should wait before it tries again, where that would help.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.kind)?;
        if !self.0.detail.is_empty() {
            write!(f, ": {}", self.0.detail)?;
        }
        if let Some(issuer) = self.issuer() {
            write!(f, " (issuer {issuer})")?;
        }
        if let Some(kid) = self.kid() {
            write!(f, " (kid {kid})")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}, \"{self}\")", self.kind())
    }
}

impl std::error::Error for Error {}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self::new(kind, "")
    }
}
