//! The application's own say about a token: whether the user is still there, the tenant has paid, the
//! token was revoked.
//!
//! A [`TokenCheck`] is asked on every request, be its token known or not, after the token was
//! verified and before anybody else gets it. It answers yes, no, or that it cannot tell; its
//! [`OnUnavailable`] says what becomes of the request then. Add it by
//! [`check`](crate::config::ResourceServerBuilder::check). Several are asked in the order in which
//! they were added, after the [`RevocationList`]. If one of them had to be waited for, the list is
//! asked once more at the end.
//!
//! # Examples
//!
//! A check that answers at once, and one that must ask somebody:
//!
//! ```
//! use std::collections::HashSet;
//! use std::time::Duration;
//! use tower_bearer::checks::{Answer, CachedCheck, Denied, RequestContext, TokenCheck, TokenOnlyCheck};
//! use tower_bearer::{AccessToken, Issuer, ResourceServer};
//!
//! struct Banned(HashSet<String>);
//!
//! impl TokenCheck for Banned {
//!     fn name(&self) -> &'static str {
//!         "banned"
//!     }
//!
//!     fn check(&self, token: &AccessToken, _: &RequestContext<'_>) -> Answer {
//!         let banned = token.subject().is_some_and(|subject| self.0.contains(subject));
//!         if banned { Answer::No(Denied::access_denied("the user is banned")) } else { Answer::Yes }
//!     }
//! }
//!
//! struct Accounts;
//!
//! # impl Accounts {
//! #     async fn is_active(_: &str) -> Result<bool, std::io::Error> { Ok(true) }
//! # }
//! impl TokenOnlyCheck for Accounts {
//!     fn name(&self) -> &'static str {
//!         "accounts"
//!     }
//!
//!     fn check(&self, token: &AccessToken) -> Answer {
//!         let token = token.clone();
//!         Answer::later(async move {
//!             match Accounts::is_active(token.subject().unwrap_or_default()).await {
//!                 Ok(true) => Answer::Yes,
//!                 Ok(false) => Answer::No(Denied::revoked("the account is closed")),
//!                 Err(error) => Answer::cannot_tell(error.to_string()),
//!             }
//!         })
//!     }
//! }
//!
//! # fn main() -> Result<(), tower_bearer::ConfigError> {
//! let server = ResourceServer::new("https://api.example.com")
//!     .trust(Issuer::new("https://id.example.com/"))
//!     .check(Banned(HashSet::new()))
//!     // an answer about a token counts for 30 s
//!     .check(CachedCheck::new(Accounts, Duration::from_secs(30), 10_000))
//!     .build()?;
//! # let _ = server;
//! # Ok(())
//! # }
//! ```

mod cached;
mod chain;
mod request_context;

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

pub use self::cached::{CachedCheck, TokenOnlyCheck};
pub(crate) use self::chain::{Asked, Checks};
pub(crate) use self::request_context::Kept;
pub use self::request_context::RequestContext;
use crate::access_token::AccessToken;
use crate::authz::Rule;
use crate::error::{Error, ErrorKind};
use crate::revocation::RevocationList;

/// A say of the application about each token; see the [module](self).
///
/// # Security
///
/// It is asked within `call` of the layer's service, on a thread of the runtime, and must not
/// block: what has to wait returns [`Answer::later`]. A check that is asked later may still refuse
/// the token.
///
/// One that panics, at once or later, counts as one that cannot tell, and is logged at `error`. What
/// it says is not repeated there; the hook of the standard library still prints it. A program that is
/// built with `panic = "abort"` ends.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no check of tokens",
    note = "implement `TokenCheck`; a `TokenOnlyCheck` becomes one by `CachedCheck::new`"
)]
pub trait TokenCheck: Send + Sync + 'static {
    /// Names the check, for logs, metrics and explanations. No other check of the server may have
    /// this name, nor `revocations`, if there is a list of revoked tokens.
    fn name(&self) -> &'static str;

    /// Decides about a token that was verified, and that its sender may use.
    fn check(&self, token: &AccessToken, request: &RequestContext<'_>) -> Answer;
}

impl<T: TokenCheck + ?Sized> TokenCheck for Arc<T> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn check(&self, token: &AccessToken, request: &RequestContext<'_>) -> Answer {
        (**self).check(token, request)
    }
}

impl RevocationList {
    /// Revokes this one token: by its `jti`, if it has one, else by its text.
    ///
    /// A token without `jti` must have been verified by a server with a revocation list, be it this
    /// one or another: only then is its text known here. Returns whether it could be revoked.
    #[must_use = "a token without `jti`, of a server without a list, is not revoked"]
    pub fn revoke_token<C: ?Sized>(&self, token: &AccessToken<C>) -> bool {
        let known = token.revocable();
        match (known, token.jwt_id().filter(|jti| !jti.is_empty())) {
            (Some(revocable), _) => revocable.revoke_in(self),
            (None, Some(jti)) => self.revoke_jti(token.issuer(), jti),
            (None, None) => return false,
        }
        true
    }
}

/// What a check says.
#[non_exhaustive]
pub enum Answer {
    /// The token is good.
    Yes,
    /// The token is refused.
    No(Denied),
    /// The check cannot tell. The text says why, for the operator and without secrets. The check's
    /// [`OnUnavailable`] decides.
    CannotTell(Cow<'static, str>),
    /// The answer takes a while. The request waits for 5 s at most; after that, the check counts as
    /// one that cannot tell.
    ///
    /// This needs a Tokio runtime with its timers enabled. A future that blocks its thread and never
    /// yields is not ended after 5 s.
    Later(Pin<Box<dyn Future<Output = Self> + Send>>),
}

impl Answer {
    /// Answers when the future is ready.
    pub fn later(answer: impl Future<Output = Self> + Send + 'static) -> Self {
        Self::Later(Box::pin(answer))
    }

    /// Says that the check cannot tell, and why: for the operator, without secrets.
    pub fn cannot_tell(why: impl Into<Cow<'static, str>>) -> Self {
        Self::CannotTell(why.into())
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes => f.write_str("Yes"),
            Self::No(denied) => f.debug_tuple("No").field(denied).finish(),
            Self::CannotTell(why) => f.debug_tuple("CannotTell").field(why).finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}

/// Why a check refuses a token. The text is for the operator; nothing of the token belongs there.
#[derive(Clone, Debug)]
pub struct Denied {
    kind: ErrorKind,
    detail: Cow<'static, str>,
    rule: Option<Rule>,
}

impl Denied {
    /// Refuses a token that is not good any more: 401, so that the client gets another one.
    pub fn revoked(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: ErrorKind::Revoked, detail: detail.into(), rule: None }
    }

    /// Refuses a caller whom no other token would help: 403.
    pub fn access_denied(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: ErrorKind::AccessDenied, detail: detail.into(), rule: None }
    }

    /// Refuses a token that does not meet the rule: 403, and the client is told the scopes; 401, and
    /// it is told how the user must sign in, where that is all that the token lacks.
    pub fn insufficient_scope(rule: Rule) -> Self {
        Self { kind: ErrorKind::InsufficientScope, detail: "".into(), rule: Some(rule) }
    }

    fn into_error(self, token: &AccessToken) -> Error {
        match self.rule {
            Some(rule) => rule.refuse(token),
            None => Error::new(self.kind, self.detail),
        }
    }
}

/// What becomes of a request if a check cannot tell whether its token is good. By default, it is
/// refused.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct OnUnavailable(Fail);

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Fail {
    #[default]
    Closed,
    Open,
    OpenForSafe,
}

impl OnUnavailable {
    /// Refuses the request: 503 with `Retry-After`.
    #[must_use]
    pub fn fail_closed() -> Self {
        Self(Fail::Closed)
    }

    /// Lets the request in.
    ///
    /// # Security
    ///
    /// Whoever can disturb the check, or make it panic, gets in with a token that it would refuse.
    #[must_use]
    pub fn dangerously_fail_open() -> Self {
        Self(Fail::Open)
    }

    /// Lets the request in if its method is safe (RFC 9110 §9.2.1: `GET`, `HEAD`, `OPTIONS`,
    /// `TRACE`), and refuses all others: what could change something, gRPC, upgrades such as to
    /// WebSockets, and tokens that came without a request.
    ///
    /// # Security
    ///
    /// Whoever can disturb the check, or make it panic, may read with a token that it would refuse.
    /// Whether a `GET` changes nothing is the service's to see to. tonic serves gRPC whatever the
    /// method and the content type of the request are: do not choose this in front of it.
    #[must_use]
    pub fn dangerously_fail_open_for_safe_methods() -> Self {
        Self(Fail::OpenForSafe)
    }
}
