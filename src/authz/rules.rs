//! The rules of a whole service, in one place.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use http::Method;

use super::routes::{Route, Routes, is_identifier, is_service};
use super::rule::Rule;
use crate::error::ConfigError;
use crate::trace::event;

/// What each operation of a service needs, by method and path or by gRPC method. What has no rule
/// is permitted to nobody.
///
/// The rules stand in a [`BearerAuthLayer`](crate::BearerAuthLayer::authorize), in front of a whole
/// router, a tonic server or a gateway. `Display` is a table. With the feature `tracing`, each rule
/// is logged when it is built (level info).
///
/// Patterns have axum's syntax: `/orders/{id}`, `/files/{*rest}`, and `{{` for a brace. If several
/// fit, the most exact one decides, whatever the order. A rule for `GET` is one for `HEAD` too,
/// unless `HEAD` has its own.
///
/// # Examples
///
/// ```
/// use http::Method;
/// use tower_bearer::authz::{Access, AuthzRules};
/// use tower_bearer::{BearerAuthLayer, Issuer, ResourceServer, Rule};
///
/// # fn main() -> Result<(), tower_bearer::ConfigError> {
/// # let server = ResourceServer::new("https://api.example.com").trust(Issuer::new("https://id.example.com/")).build()?;
/// let rules = AuthzRules::new()
///     .route(Method::GET, "/health", Access::Public)
///     .route(Method::GET, "/me", Access::Authenticated)
///     .route(Method::GET, "/orders/{id}", Rule::scope("orders:read"))
///     .route(Method::DELETE, "/orders/{id}", Rule::scope("orders:write") & Rule::role("admin"))
///     .grpc_service("grpc.health.v1.Health", Access::Public)
///     .grpc_method("shop.v1.Orders/Place", Rule::scope("orders:write"))
///     .build()?;
///
/// assert_eq!(rules.access(&Method::GET, "/orders/7"), Some(&Rule::scope("orders:read").into()));
/// assert_eq!(rules.access(&Method::PUT, "/orders/7"), None);
///
/// let layer = BearerAuthLayer::new(server).authorize(rules)?;
/// # Ok(())
/// # }
/// ```
///
/// # Security
///
/// The service behind may read a path in another way than axum does. Therefore these paths have no
/// rule:
///
/// * a path that could be split into other segments: with an empty, `.` or `..` segment, a
///   backslash or a `;`, or with an encoding of `/`, `\`, `;`, `%`, `?`, `#` or a control
///   character;
/// * a path with a needless or malformed encoding, such as `%61`, or one that is no UTF-8;
/// * a path that would get another rule if it were decoded, such as `/users/%40all` where
///   `/users/@all` has a rule of its own; or without white space around a segment, or dots at its
///   end; or with a slash more or less at its end.
///
/// Case is compared as it is. So are Unicode's different ways to write a letter. In front of a
/// service that ignores them, give no pattern with a parameter more than the strictest of the paths
/// that it covers.
///
/// `{id}` and `{*rest}` stand for something: `/files` and `/files/` need rules of their own, and
/// `/v{n}/x` does not fit `/v/x`.
#[derive(Clone)]
pub struct AuthzRules {
    routes: Arc<Routes<Access>>,
}

/// Who may do something.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Access {
    /// Everybody; a token is not looked at.
    Public,
    /// Whoever has a valid token.
    Authenticated,
    /// Whoever has a token that satisfies the rule.
    Rule(Rule),
}

impl From<Rule> for Access {
    fn from(rule: Rule) -> Self {
        Self::Rule(rule)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => f.write_str("public"),
            Self::Authenticated => f.write_str("authenticated"),
            Self::Rule(rule) => rule.fmt(f),
        }
    }
}

/// Collects [`AuthzRules`]; [`build`](Self::build) checks them all at once.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct AuthzRulesBuilder {
    listed: Vec<Route<Access>>,
    problems: ConfigError,
}

impl AuthzRules {
    /// Begins with no rule, so that nothing is permitted.
    #[expect(clippy::new_ret_no_self, reason = "rules cannot be had without what the builder checks")]
    pub fn new() -> AuthzRulesBuilder {
        AuthzRulesBuilder::default()
    }

    /// Returns who may do this; `None` is nobody.
    pub fn access(&self, method: &Method, path: &str) -> Option<&Access> {
        self.find(method, path).map(|(_, access)| access)
    }

    /// Returns who may do this, and the place of the rule that says so.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Option<(usize, &Access)> {
        self.routes.find(method, path)
    }

    /// Returns the rule at a place, where [`find`](Self::find) has found one.
    pub(crate) fn at(&self, place: usize) -> Option<&Rule> {
        match self.routes.at(place)? {
            Access::Rule(rule) => Some(rule),
            Access::Public | Access::Authenticated => None,
        }
    }

    /// Returns the method and pattern of each rule.
    #[cfg(feature = "testing")]
    pub(crate) fn patterns(&self) -> impl Iterator<Item = (&Method, &str)> {
        self.routes.listed().iter().map(|rule| (&rule.method, rule.pattern.as_str()))
    }
}

impl AuthzRulesBuilder {
    /// Says who may call this method on paths of this pattern.
    pub fn route(mut self, method: Method, pattern: impl Into<String>, access: impl Into<Access>) -> Self {
        self.listed.push(Route { method, pattern: pattern.into(), value: access.into() });
        self
    }

    /// Says who may call a gRPC method, such as `shop.v1.Orders/Place`.
    pub fn grpc_method(mut self, name: impl AsRef<str>, access: impl Into<Access>) -> Self {
        let name = name.as_ref();
        match name.split_once('/') {
            Some((service, method)) if is_service(service) && is_identifier(method) => {}
            _ => self.problems.push(format!("rules[{name}]"), "expected package.Service/Method"),
        }
        self.route(Method::POST, ["/", name].concat(), access)
    }

    /// Says who may call the methods of a gRPC service, such as `shop.v1.Orders`, that have no rule
    /// of their own.
    pub fn grpc_service(mut self, name: impl AsRef<str>, access: impl Into<Access>) -> Self {
        self.listed.push(Route::of_service("rules", name.as_ref(), access.into(), &mut self.problems));
        self
    }

    /// Checks the rules.
    ///
    /// # Errors
    ///
    /// With each gRPC name that is none, and each pattern that
    ///
    /// * is malformed,
    /// * is never permitted, since all its paths could be read in another way,
    /// * is there twice for a method,
    /// * differs from another by the name of a parameter only,
    /// * differs from another by an encoding only, and has another rule,
    /// * or needs a scope or `acr` that is none (RFC 6749 §3.3), one `acr` of none, or an empty role
    ///   or type, which no token can have.
    pub fn build(self) -> Result<AuthzRules, ConfigError> {
        let Self { listed, mut problems } = self;
        for route in &listed {
            if let Access::Rule(rule) = &route.value
                && let Some(part) = rule.impossible()
            {
                let text = format!(
                    "no token can have {part}: a role or type is not empty, and a scope or acr is as in RFC 6749 §3.3"
                );
                problems.push(route.problem_path("rules"), text);
            }
        }
        let routes = Routes::new("rules", listed, &mut problems);
        problems.or(())?;
        for rule in routes.listed() {
            event!(info, "a rule", method = rule.method, path = rule.pattern, needs = rule.value);
        }
        Ok(AuthzRules { routes: Arc::new(routes) })
    }
}

impl fmt::Display for AuthzRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = self.routes.listed();
        let width = |of: fn(&Route<Access>) -> usize| listed.iter().map(of).max().unwrap_or_default();
        let (methods, patterns) = (width(|rule| rule.method.as_str().len()), width(|rule| rule.pattern.len()));
        for Route { method, pattern, value: access } in listed {
            writeln!(f, "{:methods$}  {pattern:patterns$}  {access}", method.as_str())?;
        }
        f.write_str("everything else: nobody")
    }
}

impl fmt::Debug for AuthzRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.routes.fmt(f)
    }
}
