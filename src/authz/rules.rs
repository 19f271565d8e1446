//! The rules of a whole service, in one place.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::Method;
use matchit::Router;

use super::rule::Rule;
use crate::error::ConfigError;
use crate::trace::event;

/// What every operation of a service needs, by method and path or by gRPC method; what has no rule is permitted to nobody.
///
/// It stands in a [`BearerAuthLayer`](crate::BearerAuthLayer::authorize), in front of a whole router, a tonic server or a gateway. `Display` is a table, and with the feature
/// `tracing` each rule is logged when it is built (level info).
///
/// Paths have the syntax of axum's: `/orders/{id}`, `/files/{*rest}`; of several that fit, the most exact one decides, whatever the order. A rule for `GET` is one for
/// `HEAD` too, unless there is one. A path is taken as the request has it: one that a service behind could read in another way (with an empty, `.` or `..` segment, a backslash, a `;`, or anything
/// encoded that need not be, such as `%61`, or that must not be taken for itself, such as `%2F` and `%25`) has no rule.
///
/// # Examples
///
/// ```
/// use http::Method;
/// use tower_bearer::{Access, AuthzRules, BearerAuthLayer, Issuer, ResourceServer, Rule};
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
/// let layer = BearerAuthLayer::new(server).authorize(rules);
/// # Ok(())
/// # }
/// ```
///
/// # Security
///
/// Case is compared as it is: in front of a service that ignores it, give no pattern with a parameter more than the strictest of the paths that it covers. A path has no rule if
/// a more exact pattern would decide about it with a slash more or less at its end. `{*rest}` stands for something: `/files` and `/files/` need rules of their own.
#[derive(Clone)]
pub struct AuthzRules {
    rules: Arc<Rules>,
}

struct Rules {
    /// In the order in which they were written.
    listed: Vec<Listed>,
    /// By the pattern: where in `listed` its rules are.
    router: Router<Vec<usize>>,
    /// Whether a slash more at the end of a path could make any difference.
    slash_matters: bool,
}

#[derive(Clone, Debug)]
struct Listed {
    method: Method,
    pattern: String,
    access: Access,
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
    listed: Vec<Listed>,
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
        if is_ambiguous(path) {
            return None;
        }
        let rules = self.rules.router.at(path).ok()?.value;
        if self.is_stricter_but_for_a_slash(path, rules) {
            return None;
        }
        let rule = |method: &Method| {
            let mut rules = rules.iter().filter_map(|place| Some((*place, self.rules.listed.get(*place)?)));
            rules.find(|(_, rule)| rule.method == *method).map(|(place, rule)| (place, &rule.access))
        };
        rule(method).or_else(|| if *method == Method::HEAD { rule(&Method::GET) } else { None })
    }

    /// Returns the rule at a place, where [`find`](Self::find) has found one.
    pub(crate) fn at(&self, place: usize) -> Option<&Rule> {
        match &self.rules.listed.get(place)?.access {
            Access::Rule(rule) => Some(rule),
            Access::Public | Access::Authenticated => None,
        }
    }

    /// Tells whether a pattern that is more exact would decide if the path had a slash more or less at its end, of which a service behind may take no
    /// notice.
    fn is_stricter_but_for_a_slash(&self, path: &str, rules: &[usize]) -> bool {
        let other: Cow<'_, str> = match path.strip_suffix('/') {
            Some(less) => less.into(),
            None if self.rules.slash_matters => [path, "/"].concat().into(),
            None => return false,
        };
        let looseness = |rules: &[usize]| {
            let pattern = rules.first().and_then(|rule| self.rules.listed.get(*rule)).map(|rule| rule.pattern.as_str());
            let pattern = pattern.unwrap_or_default();
            (pattern.contains("{*"), pattern.matches('{').count())
        };
        !other.is_empty() && self.rules.router.at(&other).is_ok_and(|other| looseness(other.value) < looseness(rules))
    }

    /// Returns the method and pattern of each rule.
    #[cfg(feature = "testing")]
    pub(crate) fn patterns(&self) -> impl Iterator<Item = (&Method, &str)> {
        self.rules.listed.iter().map(|rule| (&rule.method, rule.pattern.as_str()))
    }
}

impl AuthzRulesBuilder {
    /// Says who may call this method on paths of this pattern.
    pub fn route(mut self, method: Method, pattern: impl Into<String>, access: impl Into<Access>) -> Self {
        self.listed.push(Listed { method, pattern: pattern.into(), access: access.into() });
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

    /// Says who may call the methods of a gRPC service, such as `shop.v1.Orders`, that have no rule of their own.
    pub fn grpc_service(mut self, name: impl AsRef<str>, access: impl Into<Access>) -> Self {
        let name = name.as_ref();
        if !is_service(name) {
            self.problems.push(format!("rules[{name}]"), "expected package.Service");
        }
        self.route(Method::POST, ["/", name, "/{method}"].concat(), access)
    }

    /// Checks the rules.
    ///
    /// # Errors
    ///
    /// With every pattern that is malformed or never permitted, is there twice for a method, or differs from another by the name of a parameter only; and
    /// every gRPC name that is none.
    pub fn build(self) -> Result<AuthzRules, ConfigError> {
        let Self { listed, mut problems } = self;
        let mut patterns: Vec<(&str, Vec<usize>)> = Vec::new();
        for (index, rule) in listed.iter().enumerate() {
            let path = || format!("rules[{} {}]", rule.method, rule.pattern);
            if !rule.pattern.starts_with('/') {
                problems.push(path(), "a path begins with a slash");
            }
            if is_ambiguous(&rule.pattern) {
                problems
                    .push(path(), "no path of this pattern is ever permitted, since it could be read in another way");
            }
            match patterns.iter_mut().find(|(pattern, _)| *pattern == rule.pattern) {
                Some((_, rules)) => {
                    let same = |other: &usize| listed.get(*other).is_some_and(|other| other.method == rule.method);
                    if rules.iter().any(same) {
                        problems.push(path(), "there are two rules for it; join them with & or |");
                    }
                    rules.push(index);
                }
                None => patterns.push((&rule.pattern, vec![index])),
            }
        }
        let slash_matters = listed
            .iter()
            .any(|Listed { pattern, .. }| pattern.contains("{*") || pattern.len() > 1 && pattern.ends_with('/'));
        let mut router = Router::new();
        for (pattern, rules) in patterns {
            if let Err(error) = router.insert(pattern, rules) {
                problems.push(format!("rules[{pattern}]"), error.to_string());
            }
        }
        problems.or(())?;
        for rule in &listed {
            event!(info, "a rule", method = rule.method, path = rule.pattern, needs = rule.access);
        }
        Ok(AuthzRules { rules: Arc::new(Rules { listed, router, slash_matters }) })
    }
}

/// Tells whether another service could take the path for another one: by leaving out or resolving segments, or by decoding before it
/// splits. Only what must be encoded may be.
fn is_ambiguous(path: &str) -> bool {
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        // the last one may be empty: a slash at the end
        let empty = segment.is_empty() && segments.peek().is_some();
        if empty || matches!(segment, "." | "..") || segment.contains(['\\', ';']) || has_needless_encoding(segment) {
            return true;
        }
    }
    false
}

/// Tells whether something is percent-encoded that need not be (RFC 3986 §6.2.2.2), or that another service may take for a part of the syntax.
fn has_needless_encoding(segment: &str) -> bool {
    segment.split('%').skip(1).any(|encoded| {
        let byte = encoded.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        byte.is_none_or(|byte| {
            byte.is_ascii_alphanumeric() || byte.is_ascii_control() || b"-._~/\\;%?#".contains(&byte)
        })
    })
}

/// Tells whether this is a name as gRPC has them, and no way to another path.
pub(crate) fn is_identifier(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_service(name: &str) -> bool {
    name.split('.').all(is_identifier)
}

impl fmt::Display for AuthzRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = &self.rules.listed;
        let width = |of: fn(&Listed) -> usize| listed.iter().map(of).max().unwrap_or_default();
        let (methods, patterns) = (width(|rule| rule.method.as_str().len()), width(|rule| rule.pattern.len()));
        for Listed { method, pattern, access } in listed {
            writeln!(f, "{:methods$}  {pattern:patterns$}  {access}", method.as_str())?;
        }
        f.write_str("everything else: nobody")
    }
}

impl fmt::Debug for AuthzRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.rules.listed).finish()
    }
}
