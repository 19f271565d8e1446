//! What an operation needs, as a value.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::ops::{BitAnd, BitOr};

use crate::access_token::AccessToken;
use crate::claims::is_scope_token;
use crate::error::{Error, ErrorKind, Needed};

/// What an operation needs of the caller's token: scopes and roles, joined by `&` and `|`.
///
/// One rule serves everywhere: in a handler's type ([`Require`](crate::Require)), on a route
/// ([`RequireLayer`](crate::RequireLayer)), for a whole service
/// ([`AuthzRules`](crate::authz::AuthzRules)) and in code ([`AccessToken::require`]). It also
/// writes the `scope` of the 403 (RFC 6750 §3.1).
///
/// # Examples
///
/// ```
/// use tower_bearer::Rule;
///
/// let refund = Rule::scope("orders:write") & (Rule::role("cashier") | Rule::role("admin"));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule(Node);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Node {
    All(Box<[Self; 2]>),
    Any(Box<[Self; 2]>),
    Role(Cow<'static, str>),
    Scope(Cow<'static, str>),
}

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
        let policy = token.policy();
        let scopes = self.lacking(token);
        let detail = match &scopes {
            Some(scopes) => format!("the operation needs the scopes {:?}", scopes.join(" ")),
            None => "the token lacks a role that the operation needs".to_owned(),
        };
        // as the issuer calls them, which is where the client asks
        let theirs = |scope| policy.terms.scopes.theirs(scope);
        let scope = scopes.map(|scopes| scopes.into_iter().map(theirs).collect::<Vec<_>>().join(" ").into());
        Error::new(ErrorKind::InsufficientScope, detail)
            .needing(Needed { scope })
            .at(&policy.issuer)
            .in_space(Some(&policy.server.space))
    }

    /// Names the scopes to ask for, if a scope is what the token lacks.
    ///
    /// These are all scopes of the operation, also those that the token has: a client that asks for
    /// them gets a token that will do. Of alternatives, the one that the token satisfies is named,
    /// else the first for which scopes are enough, else the first that has any.
    fn lacking<C: ?Sized>(&self, token: &AccessToken<C>) -> Option<Vec<&str>> {
        let mut needed = Vec::new();
        self.0.needed(token, &mut needed);
        let mut seen = HashSet::new();
        needed.retain(|scope| seen.insert(*scope));
        let lacks = needed.iter().any(|scope| !token.has_scope(scope));
        lacks.then_some(needed)
    }
}

impl Node {
    fn impossible(&self) -> Option<&Self> {
        match self {
            Self::All(nodes) | Self::Any(nodes) => nodes.iter().find_map(Self::impossible),
            Self::Role(role) => role.is_empty().then_some(self),
            Self::Scope(scope) => (!is_scope_token(scope)).then_some(self),
        }
    }

    fn holds<C: ?Sized>(&self, token: &AccessToken<C>) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|node| node.holds(token)),
            Self::Any(nodes) => nodes.iter().any(|node| node.holds(token)),
            // an empty role is most often a setting that is missing
            Self::Role(role) => !role.is_empty() && token.has_role(role),
            Self::Scope(scope) => is_scope_token(scope) && token.has_scope(scope),
        }
    }

    /// Adds the scopes that this asks for; tells whether they would be enough.
    fn needed<'n, C: ?Sized>(&'n self, token: &AccessToken<C>, scopes: &mut Vec<&'n str>) -> bool {
        match self {
            Self::All(nodes) => {
                let [left, right] = nodes.each_ref().map(|node| node.needed(token, scopes));
                left && right
            }
            Self::Any(nodes) => {
                if let Some(held) = nodes.iter().find(|node| node.holds(token)) {
                    return held.needed(token, scopes);
                }
                let alternatives = nodes.each_ref().map(|node| {
                    let mut scopes = Vec::new();
                    (node.needed(token, &mut scopes), scopes)
                });
                let enough = alternatives.iter().find(|(enough, _)| *enough);
                let named = || alternatives.iter().find(|(_, scopes)| !scopes.is_empty());
                scopes.extend(enough.or_else(named).map(|(_, scopes)| scopes.as_slice()).unwrap_or_default());
                enough.is_some()
            }
            Self::Role(_) => self.holds(token),
            Self::Scope(scope) => {
                let valid = is_scope_token(scope);
                if valid {
                    scopes.push(scope);
                }
                valid
            }
        }
    }
}

impl fmt::Display for Rule {
    /// Writes the rule as it is written: `scope(orders:write) & (role(cashier) | role(admin))`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nodes, sign) = match self {
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
        rule.0.holds(self)
    }

    /// Demands that the token satisfies a rule.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InsufficientScope`] otherwise; as a response, it names the operation's scopes.
    pub fn require(&self, rule: &Rule) -> Result<(), Error> {
        if self.permits(rule) { Ok(()) } else { Err(rule.refuse(self)) }
    }
}
