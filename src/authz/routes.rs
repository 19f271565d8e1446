//! Which of the routes that were listed a request is for.

#[cfg(test)]
mod tests;

use std::fmt;

use http::Method;

use super::index::{Index, exactness};
use super::spelling::{leniently, pattern_as_read};
use crate::error::ConfigError;

/// Routes, each with a value, such as who may use it.
pub(crate) struct Routes<T> {
    /// In the order in which they were written.
    listed: Vec<Route<T>>,
    as_sent: Index,
    /// By the patterns as the most lenient service reads them, if it reads any in another way.
    as_read: Option<Index>,
}

/// A method on the paths of a pattern.
#[derive(Clone, Debug)]
pub(crate) struct Route<T> {
    pub(crate) method: Method,
    pub(crate) pattern: String,
    pub(crate) value: T,
}

impl<T: PartialEq> Routes<T> {
    /// Lists routes. If there are problems, which are called `name[…]`, the routes are not to be
    /// used.
    pub(crate) fn new(name: &str, listed: Vec<Route<T>>, problems: &mut ConfigError) -> Self {
        for (place, route) in listed.iter().enumerate() {
            let mut problem = |text: &str| problems.push(route.problem_path(name), text);
            if !route.pattern.starts_with('/') {
                problem("a path begins with a slash");
            }
            if leniently(&route.pattern).is_none() {
                problem("no path of this pattern is ever permitted, since it could be read in another way");
            }
            let mut before = listed.iter().take(place);
            if before.any(|other| other.pattern == route.pattern && other.method == route.method) {
                problem("it is there twice; join rules with & or |");
            }
        }
        let as_sent = Index::new(name, listed.iter().map(|route| route.pattern.as_str()), problems);
        let mut routes = Self { listed, as_sent, as_read: None };
        if problems.problems().is_empty() {
            routes.as_read = routes.index_as_read(name, problems);
        }
        routes
    }

    /// Makes the index of the patterns as the most lenient service reads them; `None` if it reads
    /// them as they are.
    fn index_as_read(&self, name: &str, problems: &mut ConfigError) -> Option<Index> {
        let read: Vec<_> = self.listed.iter().map(|route| pattern_as_read(&route.pattern)).collect();
        let each = || self.listed.iter().zip(&read);
        for (place, (route, read)) in each().enumerate() {
            let alike = |(other, same): &(&Route<T>, &String)| *same == read && other.method == route.method;
            for (other, _) in each().take(place).filter(alike).filter(|(other, _)| other.value != route.value) {
                let text = format!("a service could take it for {}, and the two have different rules", other.pattern);
                problems.push(route.problem_path(name), text);
            }
        }
        let differs = each().any(|(route, read)| route.pattern != *read);
        differs.then(|| Index::new(name, read.iter().map(String::as_str), problems))
    }

    /// Returns the place of the route that a request is for, and its value.
    ///
    /// There is none if a service that reads paths more leniently could take the request for one
    /// with another value.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Option<(usize, &T)> {
        let read = leniently(path)?;
        let found = self.find_in(&self.as_sent, method, path)?;
        if self.as_read.is_none() && *read == *path {
            return Some(found);
        }
        let (_, other) = self.find_in(self.as_read.as_ref().unwrap_or(&self.as_sent), method, &read)?;
        (found.1 == other).then_some(found)
    }

    fn find_in(&self, index: &Index, method: &Method, path: &str) -> Option<(usize, &T)> {
        let places = index.at(path)?;
        let found = self.of_method(places, method)?;
        // a service may take no notice of a slash at the end
        match index.but_for_a_slash(path) {
            Some(others) if self.precedes(others, places) => {
                let (_, other) = self.of_method(others, method)?;
                (found.1 == other).then_some(found)
            }
            _ => Some(found),
        }
    }

    /// Finds the route of a method among those of a pattern. A route for `GET` is one for `HEAD`,
    /// unless that has its own.
    fn of_method(&self, places: &[usize], method: &Method) -> Option<(usize, &T)> {
        let find = |method: &Method| {
            let mut routes = places.iter().filter_map(|place| Some((*place, self.listed.get(*place)?)));
            routes.find(|(_, route)| route.method == *method).map(|(place, route)| (place, &route.value))
        };
        find(method).or_else(|| if *method == Method::HEAD { find(&Method::GET) } else { None })
    }

    /// Tells whether a router would take the one pattern if both fitted.
    fn precedes(&self, one: &[usize], other: &[usize]) -> bool {
        let first = |places: &[usize]| places.first().and_then(|place| self.listed.get(*place));
        let rank = |places| first(places).into_iter().flat_map(|route| exactness(&route.pattern));
        rank(one).gt(rank(other))
    }

    /// Returns the value of the route at a place.
    pub(crate) fn at(&self, place: usize) -> Option<&T> {
        self.listed.get(place).map(|route| &route.value)
    }

    /// Returns the routes in the order in which they were written.
    pub(crate) fn listed(&self) -> &[Route<T>] {
        &self.listed
    }
}

impl<T> Route<T> {
    /// What its problems are called.
    pub(crate) fn problem_path(&self, name: &str) -> String {
        format!("{name}[{} {}]", self.method, self.pattern)
    }

    /// All methods of a gRPC service. A name that is none is a problem, called `name[…]`.
    pub(crate) fn of_service(name: &str, service: &str, value: T, problems: &mut ConfigError) -> Self {
        if !is_service(service) {
            problems.push(format!("{name}[{service}]"), "expected package.Service");
        }
        Self { method: Method::POST, pattern: ["/", service, "/{method}"].concat(), value }
    }
}

/// Tells whether this is a name as gRPC has them.
pub(super) fn is_identifier(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Tells whether this is the name of a gRPC service.
pub(super) fn is_service(name: &str) -> bool {
    name.split('.').all(is_identifier)
}

impl<T: fmt::Debug> fmt::Debug for Routes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.listed).finish()
    }
}
