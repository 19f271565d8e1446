//! Which routes of a router have no rule.

use std::collections::HashMap;
use std::fmt;

use http::Method;

use crate::authz::AuthzRules;

/// Returns the routes of an axum router that have no rule, as `GET /orders/{id}`: so that a test
/// notices a route that somebody has added without one.
///
/// A route has a rule if one has its method and its pattern, whatever the parameters are called.
/// One that takes every method needs a rule for some method, and for each that has a handler of its
/// own; with `method_not_allowed_fallback`, every route is such a one. That a wider pattern covers
/// it does not count, nor does [`public_path`](crate::BearerAuthLayer::public_path).
///
/// # Examples
///
/// ```
/// use axum::{Router, routing::get};
/// use http::Method;
/// use tower_bearer::authz::AuthzRules;
/// use tower_bearer::testing::routes_without_rule;
/// use tower_bearer::Rule;
///
/// # fn main() -> Result<(), tower_bearer::ConfigError> {
/// let rules = AuthzRules::new().route(Method::GET, "/orders/{id}", Rule::scope("orders:read")).build()?;
/// let router: Router = Router::new().route("/orders/{order}", get(async || "order")).route("/me", get(async || "me"));
///
/// assert_eq!(routes_without_rule(&rules, &router), ["GET /me"]);
/// # Ok(())
/// # }
/// ```
///
/// # Panics
///
/// If `router` is no [`Router`](https://docs.rs/axum/0.8/axum/struct.Router.html) of axum 0.8, or
/// of a version whose `Debug` is another one. axum tells its routes in no other way, so every
/// character of that is compared with what is expected: a new kind of route makes the test fail,
/// and is not left out.
#[track_caller]
pub fn routes_without_rule(rules: &AuthzRules, router: &impl fmt::Debug) -> Vec<String> {
    let text = format!("{router:?}");
    let mut rest = text.as_str();
    let Some(routes) = read_router(&mut rest) else {
        panic!("this is not how axum 0.8 shows a router, as far as tower-bearer knows it, from here on: {rest:.100}");
    };
    let mut without = Vec::new();
    for (pattern, endpoint) in routes {
        let has_rule = |method: &&Method| has_rule(rules, method, pattern);
        if endpoint.has_fallback && !METHODS.iter().any(|method| has_rule(&method)) {
            without.push(format!("* {pattern}"));
        } else {
            let missing = endpoint.methods.iter().filter(|method| !has_rule(method));
            without.extend(missing.map(|method| format!("{method} {pattern}")));
        }
    }
    without.sort();
    without
}

/// What answers at a pattern: handlers of methods, and perhaps one for all that have none.
#[derive(Debug, Eq, PartialEq)]
struct Endpoint {
    methods: Vec<Method>,
    has_fallback: bool,
}

/// Tells whether a rule has this method and this pattern, whatever its parameters are called.
fn has_rule(rules: &AuthzRules, method: &Method, pattern: &str) -> bool {
    let pattern = unnamed(pattern);
    let covers = |own: &Method| own == method || (*method == Method::HEAD && *own == Method::GET);
    rules.patterns().any(|(own, other)| covers(own) && unnamed(other) == pattern)
}

/// Leaves out the names of a pattern's parameters.
fn unnamed<'p>(pattern: &'p str) -> Vec<&'p str> {
    let part = |part: &'p str| match part {
        _ if part.starts_with("{{") => part,
        _ if part.starts_with("{*") => "{*}",
        _ if part.starts_with('{') => "{}",
        _ => part,
    };
    pattern.split('/').map(part).collect()
}

/// The methods for which axum's method routers have handlers, in the order in which they show them.
const METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::DELETE,
    Method::OPTIONS,
    Method::PATCH,
    Method::POST,
    Method::PUT,
    Method::TRACE,
    Method::CONNECT,
];

// Each of these reads a part from the beginning of the text, and leaves the rest. At `None`, what
// is left begins with what is not as expected.

fn read_router<'t>(rest: &mut &'t str) -> Option<Vec<(&'t str, Endpoint)>> {
    skip(rest, "Router { path_router: ")?;
    let routes = read_routes(rest)?;
    skip(rest, ", fallback_router: ")?;
    read_routes(rest)?;
    skip(rest, ", default_fallback: ")?;
    skip(rest, "true").or_else(|| skip(rest, "false"))?;
    skip(rest, ", catch_all_fallback: ")?;
    read_fallback(rest)?;
    (*rest == " }").then_some(routes)
}

fn read_routes<'t>(rest: &mut &'t str) -> Option<Vec<(&'t str, Endpoint)>> {
    skip(rest, "PathRouter { routes: ")?;
    let mut endpoints = read_by_id(rest, read_endpoint)?;
    skip(rest, ", node: Node { paths: ")?;
    let patterns = read_by_id(rest, read_text)?;
    skip(rest, " } }")?;
    let route = |(id, pattern)| Some((pattern, endpoints.remove(id)?));
    let routes = patterns.into_iter().map(route).collect();
    if endpoints.is_empty() { routes } else { None }
}

/// Reads `{RouteId(1): …, RouteId(2): …}`.
fn read_by_id<'t, T>(rest: &mut &'t str, read: impl Fn(&mut &'t str) -> Option<T>) -> Option<HashMap<&'t str, T>> {
    skip(rest, "{")?;
    let mut values = HashMap::new();
    while skip(rest, "}").is_none() {
        if !values.is_empty() {
            skip(rest, ", ")?;
        }
        skip(rest, "RouteId(")?;
        values.insert(until(rest, "): ")?, read(rest)?);
    }
    Some(values)
}

fn read_endpoint(rest: &mut &str) -> Option<Endpoint> {
    if skip(rest, "Route(Route)").is_some() {
        return Some(Endpoint { methods: Vec::new(), has_fallback: true });
    }
    skip(rest, "MethodRouter(MethodRouter { ")?;
    let mut methods = Vec::new();
    for method in METHODS {
        skip(rest, &method.as_str().to_ascii_lowercase())?;
        if skip(rest, ": None, ").is_none() {
            skip(rest, ": Route, ").or_else(|| skip(rest, ": BoxedHandler, "))?;
            methods.push(method);
        }
    }
    skip(rest, "fallback: ")?;
    let has_fallback = !read_fallback(rest)?;
    skip(rest, ", allow_header: ")?;
    if skip(rest, "Bytes(b\"").is_some() {
        // they are there once more
        let allowed: Vec<_> = until(rest, "\")")?.split(',').collect();
        let handles = |method| methods.contains(method) || (*method == Method::HEAD && methods.contains(&Method::GET));
        if METHODS.iter().any(|method| handles(method) != allowed.contains(&method.as_str())) {
            return None;
        }
    } else {
        skip(rest, "None").or_else(|| skip(rest, "Skip"))?;
    }
    skip(rest, " })")?;
    Some(Endpoint { methods, has_fallback })
}

fn read_text<'t>(rest: &mut &'t str) -> Option<&'t str> {
    skip(rest, "\"")?;
    until(rest, "\"")
}

/// Reads a fallback; tells whether it is axum's own.
fn read_fallback(rest: &mut &str) -> Option<bool> {
    if skip(rest, "Default(Route)").is_some() {
        return Some(true);
    }
    skip(rest, "Service(Route)").or_else(|| skip(rest, "BoxedHandler"))?;
    Some(false)
}

fn skip(rest: &mut &str, text: &str) -> Option<()> {
    *rest = rest.strip_prefix(text)?;
    Some(())
}

fn until<'t>(rest: &mut &'t str, end: &str) -> Option<&'t str> {
    let (text, after) = rest.split_once(end)?;
    *rest = after;
    Some(text)
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
    fn what_answers_all_other_methods_hides_no_missing_rule() {
        let both = || get(nothing).post(nothing);
        let rules = AuthzRules::new().route(Method::GET, "/a", Access::Authenticated).build().unwrap();
        for router in [
            Router::<()>::new().route("/a", both()).method_not_allowed_fallback(nothing),
            Router::new().route("/a", both().fallback(nothing)),
        ] {
            assert_eq!(routes_without_rule(&rules, &router), ["POST /a"]);
        }
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
    fn no_character_of_what_is_not_read_may_differ() {
        let router = Router::<()>::new().route("/a", get(nothing).post(nothing)).route("/b", any(nothing));
        let text = format!("{router:?}");
        assert_eq!(read_router(&mut text.as_str()).unwrap().len(), 2);
        for (place, char) in text.char_indices() {
            let (before, after) = text.split_at(place);
            let in_quotes = before.matches('"').count() % 2 == 1;
            let less = [before, &after[char.len_utf8()..]].concat();
            let more = [before, "_", after].concat();
            for other in [less, more, before.to_owned()].iter().filter(|_| !in_quotes) {
                assert_eq!(read_router(&mut other.as_str()), None, "{other}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "from here on: ?")]
    fn what_cannot_be_read_is_no_success() {
        let text = "Router { path_router: PathRouter { routes: {}, node: Node { paths: {} } }, fallback_router: ?";
        routes_without_rule(&AuthzRules::new().build().unwrap(), &format_args!("{text}"));
    }
}
