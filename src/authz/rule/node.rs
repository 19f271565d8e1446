//! A rule as a tree, and whether a token satisfies it.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::access_token::AccessToken;
use crate::claims::{AuthorizationDetail, is_scope_token};
use crate::clock::UnixTime;

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Node {
    All(Box<[Self; 2]>),
    Any(Box<[Self; 2]>),
    /// How the user has signed in, in order of preference (RFC 9470 §3).
    Acr(Box<[Cow<'static, str>]>),
    /// How long ago the user has signed in at most.
    AuthenticatedWithin(Duration),
    /// What is permitted in detail (RFC 9396): one of this type, of which the test holds.
    Details(Cow<'static, str>, Option<Test>),
    Role(Cow<'static, str>),
    Scope(Cow<'static, str>),
}

/// The application's own say about an authorization detail. It equals itself and its clones.
#[derive(Clone)]
pub(super) struct Test(Arc<dyn Fn(AuthorizationDetail<'_>) -> bool + Send + Sync>);

impl Test {
    pub(super) fn new(test: impl Fn(AuthorizationDetail<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(test))
    }
}

impl PartialEq for Test {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Test {}

impl fmt::Debug for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_")
    }
}

/// A token, and the moment at which a rule decides about it.
pub(super) struct Judged<'t, C: ?Sized> {
    pub(super) token: &'t AccessToken<C>,
    /// By the clock of the token's server; read once, and only for a rule that has to do with time.
    now: OnceCell<UnixTime>,
}

impl<'t, C: ?Sized> Judged<'t, C> {
    pub(super) fn new(token: &'t AccessToken<C>) -> Self {
        Self { token, now: OnceCell::new() }
    }

    pub(super) fn now(&self) -> UnixTime {
        *self.now.get_or_init(|| self.token.policy().server.clock.now())
    }

    /// Tells whether the user has signed in in one of these ways.
    pub(super) fn has_acr<T: AsRef<str>>(&self, values: &[T]) -> bool {
        self.token.acr().is_some_and(|acr| is_acr(acr) && values.iter().any(|value| value.as_ref() == acr))
    }

    /// Tells whether the user has signed in no longer ago than this. What is dated ahead has not
    /// happened.
    pub(super) fn is_authenticated_within(&self, longest: Duration) -> bool {
        let (now, leeway) = (self.now(), self.token.policy().terms.leeway);
        let Some(then) = self.token.authenticated().filter(|_| !now.is_before_1970()) else { return false };
        match then.ahead(now) {
            Some(ahead) => ahead <= leeway,
            None => then.passed(now).is_some_and(|age| age <= longest.saturating_add(leeway)),
        }
    }
}

/// Tells whether an authentication context class can stand in the list `acr_values`, which spaces
/// separate, and that in a header.
pub(super) fn is_acr(acr: &str) -> bool {
    is_scope_token(acr)
}

impl Node {
    /// Returns a part of it that no token can satisfy.
    pub(super) fn impossible(&self) -> Option<&Self> {
        match self {
            Self::All(nodes) | Self::Any(nodes) => nodes.iter().find_map(Self::impossible),
            Self::Acr(values) => (values.is_empty() || !values.iter().all(|acr| is_acr(acr))).then_some(self),
            Self::AuthenticatedWithin(_) => None,
            Self::Details(name, _) => name.is_empty().then_some(self),
            Self::Role(role) => role.is_empty().then_some(self),
            Self::Scope(scope) => (!is_scope_token(scope)).then_some(self),
        }
    }

    /// Tells whether a token satisfies it.
    pub(super) fn holds<C: ?Sized>(&self, judged: &Judged<'_, C>) -> bool {
        self.decide(judged, false)
    }

    /// Tells whether a token would satisfy it if its user had just signed in, in the right way.
    pub(super) fn holds_after_sign_in<C: ?Sized>(&self, judged: &Judged<'_, C>) -> bool {
        self.decide(judged, true)
    }

    fn decide<C: ?Sized>(&self, judged: &Judged<'_, C>, signed_in: bool) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|node| node.decide(judged, signed_in)),
            Self::Any(nodes) => nodes.iter().any(|node| node.decide(judged, signed_in)),
            Self::Acr(values) => judged.has_acr(values) || signed_in && values.iter().any(|acr| is_acr(acr)),
            Self::AuthenticatedWithin(longest) => signed_in || judged.is_authenticated_within(*longest),
            Self::Details(name, test) => {
                let mut details = judged.token.authorization_details(name);
                details.any(|detail| test.as_ref().is_none_or(|test| (test.0)(detail)))
            }
            // an empty role is most often a setting that is missing
            Self::Role(role) => !role.is_empty() && judged.token.has_role(role),
            Self::Scope(scope) => is_scope_token(scope) && judged.token.has_scope(scope),
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nodes, sign) = match self {
            Self::Acr(values) => return write!(f, "acr({})", values.join(" ")),
            Self::AuthenticatedWithin(longest) => return write!(f, "authenticated_within({longest:?})"),
            Self::Details(name, None) => return write!(f, "authorization_details({name})"),
            Self::Details(name, Some(_)) => return write!(f, "authorization_details_where({name}, …)"),
            Self::Role(role) => return write!(f, "role({role})"),
            Self::Scope(scope) => return write!(f, "scope({scope})"),
            Self::All(nodes) => (nodes, '&'),
            Self::Any(nodes) => (nodes, '|'),
        };
        let [left, right] = &**nodes;
        let inner = |node: &Self| match (self, node) {
            (Self::All(_), Self::Any(_)) | (Self::Any(_), Self::All(_)) => format!("({node})"),
            _ => node.to_string(),
        };
        write!(f, "{} {sign} {}", inner(left), inner(right))
    }
}
