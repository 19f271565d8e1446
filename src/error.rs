//! What can go wrong with a request ([`Error`], [`ErrorKind`]) or with a configuration
//! ([`ConfigError`]).

mod config;
mod kind;
mod space;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::config::{ConfigError, ConfigProblem, ConfigProblemKind};
pub use self::kind::ErrorKind;
pub(crate) use self::space::{ProtectionSpace, Scheme, Spoken};

/// The reason why a request was refused.
///
/// [`kind`](Self::kind) says what happened and decides what the caller is told. The
/// [`Display`](fmt::Display) text is for the *operator*: it adds what was expected, where, and the
/// likely fix. Of the token it holds no text but a short, plain [`kid`](Self::kid), so it may be
/// logged. It is not meant for the caller, who gets a fixed text per kind. The text tells all
/// causes, so there is no [`source`](std::error::Error::source).
///
/// The layer puts the error into the extensions of the response that it refuses with, where outer
/// layers find it:
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
    check: Option<&'static str>,
    needed: Needed,
    space: Option<Arc<ProtectionSpace>>,
    scheme: Scheme,
    /// What proofs are to contain from now on.
    dpop_nonce: Option<Box<str>>,
    retry_after: Option<Duration>,
}

/// What the caller's token must have for the operation, to be told to the client; written by the
/// [`Rule`](crate::Rule).
#[derive(Clone, Debug, Default)]
pub(crate) struct Needed {
    /// All scopes to ask for, separated by spaces.
    pub(crate) scope: Option<Box<str>>,
    /// Ways to sign in, of which one is needed, separated by spaces, the preferred first.
    pub(crate) acr_values: Option<Box<str>>,
    /// How long ago the user may have signed in.
    pub(crate) max_age: Option<Duration>,
}

impl Error {
    /// Makes one. It is large, and is not to stand between what a good request needs.
    #[cold]
    #[inline(never)]
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        let needed = Needed::default();
        Self(Arc::new(Inner {
            kind,
            detail,
            issuer: None,
            kid: None,
            check: None,
            needed,
            space: None,
            scheme: Scheme::default(),
            dpop_nonce: None,
            retry_after: None,
        }))
    }

    /// Names the trusted issuer at which the error arose: our configuration's text, never the
    /// token's.
    pub(crate) fn at(self, issuer: &Arc<str>) -> Self {
        self.with(|inner| inner.issuer = Some(Arc::clone(issuer)))
    }

    /// Names the key that the token asked for, if its name is short and plain enough for a log.
    pub(crate) fn for_key(self, kid: Option<&str>) -> Self {
        let plain = |kid: &&str| kid.len() <= 64 && kid.bytes().all(|byte| byte.is_ascii_graphic());
        self.with(|inner| inner.kid = kid.filter(plain).map(Into::into))
    }

    /// Says that this is what has happened, for the same reason.
    #[cfg(feature = "dpop")]
    pub(crate) fn with_kind(self, kind: ErrorKind) -> Self {
        self.with(|inner| inner.kind = kind)
    }

    /// Names the check that refused the token.
    pub(crate) fn by_check(self, name: &'static str) -> Self {
        self.with(|inner| inner.check = Some(name))
    }

    pub(crate) fn needing(self, needed: Needed) -> Self {
        self.with(|inner| inner.needed = needed)
    }

    /// Names the protection space of the layer that has seen the request, if one has.
    pub(crate) fn in_space(self, space: Option<&Arc<ProtectionSpace>>) -> Self {
        self.with(|inner| inner.space = space.cloned())
    }

    /// Names the scheme under which the token was presented.
    pub(crate) fn under(self, scheme: Scheme) -> Self {
        if scheme == self.0.scheme { self } else { self.with(|inner| inner.scheme = scheme) }
    }

    /// Says what the client's proofs are to contain (RFC 9449 §9).
    #[cfg(feature = "dpop")]
    pub(crate) fn with_dpop_nonce(self, nonce: String) -> Self {
        self.with(|inner| inner.dpop_nonce = Some(nonce.into()))
    }

    pub(crate) fn with_retry_after(self, wait: Duration) -> Self {
        self.with(|inner| inner.retry_after = Some(wait))
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    pub(crate) fn space(&self) -> Option<&Arc<ProtectionSpace>> {
        self.0.space.as_ref()
    }

    pub(crate) fn scheme(&self) -> Scheme {
        self.0.scheme
    }

    /// Returns what happened.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the trusted issuer whose policy or keys refused the token, if it got that far; for
    /// an unknown issuer, the trusted one that was probably meant, if one differs only by scheme,
    /// case, a trailing slash or its host.
    ///
    /// It is the text of the configuration, not of the token; or, for an issuer found at run time,
    /// what the resolver has let in.
    pub fn issuer(&self) -> Option<&str> {
        self.0.issuer.as_deref()
    }

    /// Returns the `kid` of the key that the token asked for, where a key was the problem.
    ///
    /// It comes from the token's unverified header and is only kept if it is at most 64 visible
    /// ASCII characters.
    pub fn kid(&self) -> Option<&str> {
        self.0.kid.as_deref()
    }

    /// Returns the name of the [check](crate::checks) that refused the token, or could not tell;
    /// that of the [`RevocationList`](crate::revocation::RevocationList) is `revocations`.
    pub fn check(&self) -> Option<&'static str> {
        self.0.check
    }

    /// Returns the scopes, separated by spaces, that the operation asks for, where a scope was
    /// missing.
    pub fn scope(&self) -> Option<&str> {
        self.0.needed.scope.as_deref()
    }

    /// Returns the ways to sign in, separated by spaces, of which the operation asks for one (RFC
    /// 9470 §3), where that is missing.
    pub fn acr_values(&self) -> Option<&str> {
        self.0.needed.acr_values.as_deref()
    }

    /// Returns how long ago the user may have signed in for the operation (RFC 9470 §3), where that
    /// is missing. The client is told whole seconds.
    pub fn max_age(&self) -> Option<Duration> {
        self.0.needed.max_age
    }

    /// Returns the nonce that the client's next proof must contain, to be told in the header
    /// `DPoP-Nonce` (RFC 9449 §9), where the kind is
    /// [`NonceRequired`](ErrorKind::NonceRequired), or
    /// [`ReplayUnavailable`](ErrorKind::ReplayUnavailable) and the service makes nonces.
    pub fn dpop_nonce(&self) -> Option<&str> {
        self.0.dpop_nonce.as_deref()
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
        if let Some(check) = self.check() {
            write!(f, " (check {check})")?;
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
