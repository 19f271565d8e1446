//! What an operation needs, as a value.

mod node;
#[cfg(test)]
mod tests;
mod wanted;

use std::borrow::Cow;
use std::fmt;
use std::ops::{BitAnd, BitOr};
use std::time::Duration;

use self::node::{Judged, Node, Test};
use crate::access_token::AccessToken;
use crate::claims::AuthorizationDetail;
use crate::error::Error;

/// What an operation needs of the caller's token: scopes, roles, authorization details and how the
/// user has signed in, joined by `&` and `|`.
///
/// One rule serves everywhere: in a handler's type ([`Require`](crate::Require)), on a route
/// ([`RequireLayer`](crate::RequireLayer)), for a whole service
/// ([`AuthzRules`](crate::authz::AuthzRules)) and in code ([`AccessToken::require`]). It also
/// writes what the challenge asks the client for:
///
/// | the token lacks | answer | challenge |
/// |---|---|---|
/// | a scope | 403 `insufficient_scope` (RFC 6750 §3.1) | `scope` |
/// | a sign-in, and nothing else | 401 `insufficient_user_authentication` (RFC 9470 §3) | `acr_values`, `max_age` |
/// | a scope and a sign-in | 403 `insufficient_scope` | `scope`, `acr_values`, `max_age` |
/// | a role, an authorization detail | 403 `insufficient_scope` | the above, if any of it is lacking too |
///
/// The scope comes before the sign-in, since nobody should have to sign in again to hear that they
/// may not.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::Rule;
///
/// let refund = Rule::scope("orders:write") & (Rule::role("cashier") | Rule::role("admin"));
/// // whoever may do it has signed in with a second factor, within the last five minutes
/// let large_refund = refund & Rule::acr(["mfa"]) & Rule::authenticated_within(Duration::from_secs(300));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule(Node);

impl Rule {
    /// Needs a scope, compared exactly.
    ///
    /// A name outside the grammar of RFC 6749 §3.3 can stand in no token: such a rule refuses
    /// everyone. [`permissions!`](crate::permissions) refuses it when it is compiled, and
    /// [`AuthzRulesBuilder::build`](crate::authz::AuthzRulesBuilder::build) when it is built.
    #[must_use]
    pub fn scope(scope: impl Into<Cow<'static, str>>) -> Self {
        Self(Node::Scope(scope.into()))
    }

    /// Needs a role, compared exactly. An empty one is held by nobody.
    #[must_use]
    pub fn role(role: impl Into<Cow<'static, str>>) -> Self {
        Self(Node::Role(role.into()))
    }

    /// Needs a user who has signed in in one of these ways (`acr`, RFC 9470), compared exactly; the
    /// preferred one first.
    ///
    /// A token without `acr` does not satisfy it. Many issuers write `acr` into access tokens only
    /// if they are told to. A value is written as a scope is (RFC 6749 §3.3): without spaces.
    #[must_use]
    pub fn acr(values: impl IntoIterator<Item = impl Into<Cow<'static, str>>>) -> Self {
        Self(Node::Acr(values.into_iter().map(Into::into).collect()))
    }

    /// Needs a user who has signed in no longer ago than this (`auth_time`, RFC 9470), by the
    /// [clock](crate::config::ResourceServerBuilder::clock) of the server.
    ///
    /// * The issuer's [leeway](crate::Issuer::leeway) counts, as it does for
    ///   [`max_age`](crate::Issuer::max_age): 30 s unless it is set.
    /// * A token without `auth_time`, with one that is no date, or with one that lies ahead does not
    ///   satisfy the rule.
    /// * It is decided for each request, be the token in the cache or not.
    /// * The challenge asks for whole seconds (`max_age`); with zero, for a new sign-in.
    #[must_use]
    pub fn authenticated_within(longest: Duration) -> Self {
        Self(Node::AuthenticatedWithin(longest))
    }

    /// Needs one of the token's `authorization_details` to have this type (RFC 9396), compared
    /// exactly.
    ///
    /// ```
    /// use tower_bearer::Rule;
    ///
    /// let pay = Rule::scope("payments") & Rule::authorization_details("payment_initiation");
    /// ```
    #[must_use]
    pub fn authorization_details(type_name: impl Into<Cow<'static, str>>) -> Self {
        Self(Node::Details(type_name.into(), None))
    }

    /// Needs one of the token's `authorization_details` to have this type, and to be as a function
    /// says, which looks at nothing else.
    ///
    /// What depends on the request, such as an amount, is for the handler to compare; see
    /// [`AccessToken::authorization_details`].
    ///
    /// Two of these rules are equal only if one is a clone of the other.
    ///
    /// ```
    /// use tower_bearer::Rule;
    ///
    /// let pay = Rule::authorization_details_where("payment_initiation", |detail| {
    ///     detail.actions().any(|action| action == "initiate")
    /// });
    /// ```
    #[must_use]
    pub fn authorization_details_where(
        type_name: impl Into<Cow<'static, str>>,
        test: impl Fn(AuthorizationDetail<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self(Node::Details(type_name.into(), Some(Test::new(test))))
    }

    /// Refuses everyone: the empty string can be no scope.
    pub(super) fn never() -> Self {
        Self::scope("")
    }

    /// Returns a part of it that no token can satisfy.
    pub(super) fn impossible(&self) -> Option<impl fmt::Display> {
        self.0.impossible()
    }

    /// Refuses a token that does not satisfy the rule.
    pub(crate) fn refuse<C: ?Sized>(&self, token: &AccessToken<C>) -> Error {
        wanted::refuse(&self.0, &Judged::new(token))
    }
}

impl fmt::Display for Rule {
    /// Writes the rule as it is written: `scope(orders:write) & (role(cashier) | role(admin))`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl BitAnd for Rule {
    type Output = Self;

    /// Needs both.
    fn bitand(self, other: Self) -> Self {
        Self(Node::All(Box::new([self.0, other.0])))
    }
}

impl BitOr for Rule {
    type Output = Self;

    /// Needs one or the other.
    fn bitor(self, other: Self) -> Self {
        Self(Node::Any(Box::new([self.0, other.0])))
    }
}

impl<C: ?Sized> AccessToken<C> {
    /// Tells whether the token satisfies a rule.
    pub fn permits(&self, rule: &Rule) -> bool {
        rule.0.holds(&Judged::new(self))
    }

    /// Demands that the token satisfies a rule.
    ///
    /// # Errors
    ///
    /// * [`ErrorKind::InsufficientAuthentication`](crate::ErrorKind::InsufficientAuthentication) if
    ///   it would once the user has signed in as the rule says; as a response, it names that.
    /// * [`ErrorKind::InsufficientScope`](crate::ErrorKind::InsufficientScope) otherwise; as a
    ///   response, it names the operation's scopes.
    pub fn require(&self, rule: &Rule) -> Result<(), Error> {
        let judged = Judged::new(self);
        if rule.0.holds(&judged) { Ok(()) } else { Err(wanted::refuse(&rule.0, &judged)) }
    }
}
