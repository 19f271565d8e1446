//! Requests that need no token.

use http::Method;

use crate::authz::is_identifier;

/// A route that is open to everybody.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Public {
    /// This method on exactly this path.
    Path(Method, Box<str>),
    /// All methods of a gRPC service; the text is its path, with a slash before and after.
    Service(Box<str>),
}

impl Public {
    pub(crate) fn service(name: &str) -> Self {
        Self::Service(["/", name, "/"].concat().into())
    }

    /// Tells whether a request is for this route. Paths are compared as they were sent: one that is written in another way needs a token.
    pub(crate) fn is(&self, method: &Method, path: &str) -> bool {
        match self {
            Self::Path(open, exact) => open == method && **exact == *path,
            // without a name, this would be whatever begins with two slashes
            Self::Service(prefix) => {
                method == Method::POST && prefix.len() > 2 && path.strip_prefix(&**prefix).is_some_and(is_identifier)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_is_open() {
        let health = Public::Path(Method::GET, "/health".into());
        assert!(health.is(&Method::GET, "/health"));
        for other in ["/health/", "/Health", "/health/x", "//health", "/%68ealth", "health", "/", ""] {
            assert!(!health.is(&Method::GET, other), "{other}");
        }
        assert!(!health.is(&Method::POST, "/health"));
        let service = Public::service("grpc.health.v1.Health");
        assert!(service.is(&Method::POST, "/grpc.health.v1.Health/Check"));
        for other in [
            "/grpc.health.v1.Health",
            "/grpc.health.v1.HealthX/Check",
            "/x/grpc.health.v1.Health/Check",
            "/grpc.health.v1.Health/",
            "/grpc.health.v1.Health/..",
            "/grpc.health.v1.Health/../orders.Orders/Place",
            "/grpc.health.v1.Health/%2e%2e",
            "/grpc.health.v1.Health/Check/",
            "//Check",
        ] {
            assert!(!service.is(&Method::POST, other), "{other}");
        }
        assert!(!service.is(&Method::GET, "/grpc.health.v1.Health/Check"));
        assert!(!Public::service("").is(&Method::POST, "//Check"));
    }
}
