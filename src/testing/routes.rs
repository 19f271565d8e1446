//! Which routes of a router have no rule.

use std::fmt;

use http::Method;

use crate::authz::AuthzRules;

/// Returns the routes of an axum router that have no rule, as `GET /orders/{id}`: so that a test notices a route that somebody has added without
/// one.
///
/// A route has a rule if one has its method and its pattern, whatever the parameters are called; one that takes every method, if any method has one. That a wider pattern covers it does not
/// count, nor does [`public_path`](crate::BearerAuthLayer::public_path).
///
/// What axum does not tell, this reads from the router's `Debug`. If that is not as expected, the answer is not empty either.
///
/// # Examples
///
/// ```
/// use axum::{Router, routing::get};
/// use http::Method;
/// use tower_bearer::{AuthzRules, Rule, testing::routes_without_rule};
///
/// # fn main() -> Result<(), tower_bearer::ConfigError> {
/// let rules = AuthzRules::new().route(Method::GET, "/orders/{id}", Rule::scope("orders:read")).build()?;
/// let router: Router = Router::new().route("/orders/{order}", get(async || "order")).route("/me", get(async || "me"));
///
/// assert_eq!(routes_without_rule(&rules, &router), ["GET /me"]);
/// # Ok(())
/// # }
/// ```
pub fn routes_without_rule(rules: &AuthzRules, router: &impl fmt::Debug) -> Vec<String> {
    let text = format!("{router:?}");
    let Some(routes) = read(&text) else {
        return vec!["the routes of this router cannot be read from its Debug".to_owned()];
    };
    let mut without: Vec<String> = routes.iter().flat_map(|route| route.without_rule(rules)).collect();
    without.sort();
    without
}

/// A route: its pattern, and its methods, or all.
#[derive(Debug, Eq, PartialEq)]
struct Route<'t> {
    pattern: &'t str,
    methods: Option<Vec<Method>>,
}

impl Route<'_> {
    fn without_rule(&self, rules: &AuthzRules) -> Vec<String> {
        let pattern = self.pattern;
        match &self.methods {
            Some(methods) => {
                let without = methods.iter().filter(|method| !has_rule(rules, method, pattern));
                without.map(|method| format!("{method} {pattern}")).collect()
            }
            None if METHODS.iter().any(|(_, method)| has_rule(rules, method, pattern)) => Vec::new(),
            None => vec![format!("* {pattern}")],
        }
    }
}

/// Tells whether a rule has this method and this pattern, whatever its parameters are called.
fn has_rule(rules: &AuthzRules, method: &Method, pattern: &str) -> bool {
    let pattern = unnamed(pattern);
    let covers = |own: &Method| own == method || (*method == Method::HEAD && *own == Method::GET);
    rules.patterns().any(|(own, other)| covers(own) && unnamed(other) == pattern)
}

/// Leaves out the names of a pattern's parameters.
fn unnamed(pattern: &str) -> Vec<&str> {
    let part = |part: &'_ str| match part {
        _ if part.starts_with("{{") => None,
        _ if part.starts_with("{*") => Some("{*}"),
        _ if part.starts_with('{') => Some("{}"),
        _ => None,
    };
    pattern.split('/').map(|text| part(text).unwrap_or(text)).collect()
}

/// A method by the name that axum's method routers have for it.
const METHODS: [(&str, Method); 9] = [
    ("get", Method::GET),
    ("head", Method::HEAD),
    ("delete", Method::DELETE),
    ("options", Method::OPTIONS),
    ("patch", Method::PATCH),
    ("post", Method::POST),
    ("put", Method::PUT),
    ("trace", Method::TRACE),
    ("connect", Method::CONNECT),
];

/// Reads `Router { path_router: PathRouter { routes: {RouteId(1): MethodRouter(…)}, node: Node { paths: {RouteId(1): "/"} } }, fallback_router: …`.
fn read(text: &str) -> Option<Vec<Route<'_>>> {
    let (own, _) =
        text.strip_prefix("Router { path_router: PathRouter { routes: {")?.split_once(", fallback_router: ")?;
    let (endpoints, patterns) = own.split_once("node: Node { paths: {")?;
    let endpoints: Vec<(&str, &str)> =
        endpoints.split("RouteId(").skip(1).map(|text| text.split_once("): ")).collect::<Option<_>>()?;
    let mut routes = Vec::new();
    for entry in patterns.split("RouteId(").skip(1) {
        let (id, rest) = entry.split_once("): \"")?;
        let (pattern, _) = rest.split_once('"')?;
        let (_, endpoint) = endpoints.iter().find(|(own, _)| *own == id)?;
        routes.push(Route { pattern, methods: methods(endpoint)? });
    }
    (routes.len() == endpoints.len()).then_some(routes)
}

/// Returns the methods of an endpoint; all of them within, if it takes whatever comes.
fn methods(endpoint: &str) -> Option<Option<Vec<Method>>> {
    if endpoint.starts_with("Route(") {
        return Some(None);
    }
    let fields = endpoint.strip_prefix("MethodRouter(MethodRouter { ")?;
    let (by_method, fallback) = fields.split_once("fallback: ")?;
    if !fallback.starts_with("Default(") {
        return Some(None);
    }
    let mut methods = Vec::new();
    for (name, method) in METHODS {
        let (_, handler) = by_method.split_once(&format!("{name}: "))?;
        if !handler.starts_with("None") {
            methods.push(method);
        }
    }
    Some(Some(methods))
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::{any, get, post};

    use super::*;
    use crate::authz::Access;

    async fn nothing() {}

    #[test]
    fn every_route_is_found_whatever_made_it() {
        let nested = Router::new().route("/x/{*rest}", get(nothing)).route("/", post(nothing));
        let router: Router = Router::new()
            .route("/a/{id}", get(nothing).delete(nothing))
            .route("/any", any(nothing))
            .route_service("/service", get(nothing))
            .nest("/n", nested)
            .merge(Router::new().route("/merged", get(nothing)))
            .nest_service("/files", Router::<()>::new())
            .fallback(nothing)
            .layer(tower::layer::util::Identity::new());
        let none = AuthzRules::new().build().unwrap();
        let all = [
            "* /any",
            "* /files",
            "* /files/",
            "* /files/{*__private__axum_nest_tail_param}",
            "* /service",
            "DELETE /a/{id}",
            "GET /a/{id}",
            "GET /merged",
            "GET /n/x/{*rest}",
            "POST /n",
        ];
        assert_eq!(routes_without_rule(&none, &router), all);
        let some = AuthzRules::new()
            .route(Method::GET, "/a/{order}", Access::Authenticated)
            .route(Method::PUT, "/any", Access::Authenticated)
            .route(Method::POST, "/n", Access::Authenticated)
            .route(Method::GET, "/files/{*path}", Access::Public);
        let left = ["* /files", "* /files/", "* /service", "DELETE /a/{id}", "GET /merged", "GET /n/x/{*rest}"];
        assert_eq!(routes_without_rule(&some.build().unwrap(), &router), left);
    }

    #[test]
    fn a_route_has_a_rule_if_one_has_its_pattern_whatever_its_parameters_are_called() {
        let rules = AuthzRules::new()
            .route(Method::GET, "/orders/{id}", Access::Authenticated)
            .route(Method::GET, "/files/{*rest}", Access::Authenticated)
            .build()
            .unwrap();
        for (method, pattern) in
            [(Method::GET, "/orders/{order_id}"), (Method::HEAD, "/orders/{id}"), (Method::GET, "/files/{*path}")]
        {
            assert!(has_rule(&rules, &method, pattern), "{method} {pattern}");
        }
        for (method, pattern) in [
            (Method::PUT, "/orders/{id}"),
            (Method::GET, "/orders/{*id}"),
            (Method::GET, "/orders/{{id}}"),
            (Method::GET, "/orders"),
        ] {
            assert!(!has_rule(&rules, &method, pattern), "{method} {pattern}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_no_success() {
        let none = AuthzRules::new().build().unwrap();
        assert_eq!(routes_without_rule(&none, &Router::<()>::new()), [""; 0]);
        for other in ["", "Router { .. }", "Router { path_router: PathRouter { routes: {RouteId(1): ?"] {
            assert_eq!(routes_without_rule(&none, &format_args!("{other}")).len(), 1, "{other}");
        }
    }
}
