//! The layer around an HTTP client.

use std::collections::HashSet;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::AUTHORIZATION;
use http::{HeaderName, Request};
use tower_layer::Layer;
use tower_service::Service;

use super::caller::CallerToken;
use super::identity::strip;
use super::origin::Origin;
use crate::access_token::AccessToken;
use crate::error::ConfigError;
use crate::trace::event;

/// Passes on the caller's token to some origins, as a layer around an HTTP client.
///
/// From *every* request it first takes what could stand for an identity. A gateway that passes on
/// its request's headers would else pass on what its caller has made up. It takes
///
/// * `Authorization`, `Proxy-Authorization`, `DPoP` and `Cookie`;
/// * whatever is marked as sensitive, as the layer marks the headers that it looks for tokens in;
/// * headers by which well-known proxies and platforms name users, or show clients' certificates,
///   such as `X-Forwarded-User` and `X-Forwarded-Tls-Client-Cert`;
/// * `Connection`, all that it names, and the other headers that are about one connection only (RFC
///   9110 §7.6.1);
/// * `Host`, which the client then writes anew.
///
/// Then it adds the [`CallerToken`] of the request's extensions, if the request goes to an origin
/// that is listed: the same scheme, host and port. A token that is bound to its sender (DPoP,
/// mutual TLS) it does not add: no proof could come with it. The other service then refuses the
/// request; exchange such a token for one that is this service's to use.
///
/// # Security
///
/// * Whoever gets the token can use it wherever it is accepted. List origins of your own services,
///   and `http://` ones only where the network is trusted.
/// * A client that follows redirects may send the token elsewhere. Turn that off.
/// * The host is compared, not where its name leads; and with `http://`, a client that uses the
///   environment's proxy sends the token to that.
/// * The list of headers cannot be complete: add yours with [`strip`](Self::strip). A token in the
///   address ([`dangerously_query`](crate::credential::TokenSource::dangerously_query)) is not
///   taken away.
/// * tonic's clients say where a call goes only if they are made `with_origin`; without, nothing is
///   passed on.
/// * No request asks for an upgrade any more. For a WebSocket, take a client without this layer,
///   and [`CallerToken::expose_secret`].
#[derive(Clone, Debug)]
#[must_use]
pub struct RelayLayer {
    origins: Arc<HashSet<Origin>>,
    stripped: Arc<Vec<HeaderName>>,
}

impl RelayLayer {
    /// Passes tokens on to these origins, such as `https://customers.internal:8443`.
    ///
    /// # Errors
    ///
    /// With each text that is no origin: scheme `https` or `http`, a host, perhaps a port, and
    /// nothing else.
    pub fn to<I>(origins: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let (mut problems, mut known) = (ConfigError::default(), HashSet::new());
        for text in origins {
            let text = text.as_ref();
            match Origin::parse(text) {
                Some(origin) => drop(known.insert(origin)),
                None => {
                    problems.push(format!("relay[{text}]"), "expected an origin, such as https://orders.internal:8443")
                }
            }
        }
        problems.or(Self { origins: Arc::new(known), stripped: Arc::default() })
    }

    /// Takes this header from every request, too.
    pub fn strip(mut self, name: HeaderName) -> Self {
        Arc::make_mut(&mut self.stripped).push(name);
        self
    }

    /// Does to one request what the layer does to each: for clients that are no tower services.
    pub fn prepare<B>(&self, request: &mut Request<B>, caller: Option<&CallerToken>) {
        strip(request.headers_mut(), &self.stripped);
        let listed = |uri| Origin::of(uri).is_some_and(|origin| self.origins.contains(&origin));
        let Some(caller) = caller.filter(|_| listed(request.uri())) else { return };
        if caller.bound {
            event!(debug, "a token that is bound to its sender is not passed on; exchange it (RFC 8693)");
            return;
        }
        request.headers_mut().insert(AUTHORIZATION, caller.value.clone());
    }
}

impl<S> Layer<S> for RelayLayer {
    type Service = Relay<S>;

    fn layer(&self, inner: S) -> Relay<S> {
        Relay { inner, layer: self.clone() }
    }
}

/// Middleware made by [`RelayLayer`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Relay<S> {
    inner: S,
    layer: RelayLayer,
}

impl<S, B> Service<Request<B>> for Relay<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let caller: Option<CallerToken> = request.extensions_mut().remove();
        // of a request that is passed on as it came, an outer layer's token is not the caller's
        let current: Option<&AccessToken> = request.extensions().get();
        let caller = caller.filter(|caller| current.is_none_or(|token| caller.is_of(token)));
        self.layer.prepare(&mut request, caller.as_ref());
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn relayed(origins: &[&str], uri: &str) -> bool {
        let mut request = Request::get(uri).header("Authorization", "Basic x").body(()).unwrap();
        RelayLayer::to(origins).unwrap().prepare(&mut request, CallerToken::new(b"a.b.c").as_ref());
        let values: Vec<_> = request.headers().get_all(AUTHORIZATION).iter().collect();
        assert!(values.len() <= 1 && values.iter().all(|value| *value == "Bearer a.b.c" && value.is_sensitive()));
        !values.is_empty()
    }

    #[test]
    fn a_token_goes_to_listed_origins_and_nowhere_else() {
        let origins = ["https://a.test", "https://b.test:8443", "http://c.test", "https://[::1]:1"];
        for listed in [
            "https://a.test/x?y",
            "https://A.test:443/",
            "https://b.test:8443",
            "http://c.test:80/",
            "http://c.test",
            "https://[::1]:1/",
        ] {
            assert!(relayed(&origins, listed), "{listed}");
        }
        for other in [
            "http://a.test/",
            "https://a.test:8443/",
            "https://b.test/",
            "https://c.test/",
            "https://a.test.evil.test/",
            "https://evil.test/https://a.test",
            "https://a.test@evil.test/",
            "https://user@a.test/",
            "https://xa.test/",
            "https://a.test./",
            "/a.test",
            "a.test:443",
        ] {
            assert!(!relayed(&origins, other), "{other}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        let bad = [
            "",
            "a.test",
            "https://",
            "https://a.test/",
            "https://a.test/x",
            "https://a.test?x",
            "ftp://a.test",
            "https://u@a.test",
            "https://a.test#x",
            "*",
            "https://a.test:",
            "https://a.test:8443x",
            "https://a.test:65536",
        ];
        let error = RelayLayer::to(bad).unwrap_err();
        assert_eq!(error.problems().len(), bad.len(), "{error}");
    }

    #[test]
    fn identities_are_taken_from_every_request() {
        for uri in ["https://a.test/", "https://elsewhere.test/"] {
            let mut request = Request::get(uri).header("X-Forwarded-User", "admin").header("cookie", "session=1");
            request = request.header("x-tenant", "1").header("accept", "*/*").header("authorization", "Bearer x");
            let mut request = request.header("authorization", "Bearer y").body(()).unwrap();
            let layer = RelayLayer::to(["https://a.test"]).unwrap().strip(HeaderName::from_static("x-tenant"));
            for name in ["x_forwarded_user", "Remote-Groups", "X-Authentik-Username", "host", "x-assertion", "x-user"] {
                let mut value = HeaderValue::from_static("x");
                value.set_sensitive(name == "x-assertion");
                request.headers_mut().insert(HeaderName::try_from(name).unwrap(), value);
            }
            request.headers_mut().insert("x-user-agent", HeaderValue::from_static("grpc-web"));
            layer.prepare(&mut request, None);
            let mut left: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
            left.sort_unstable();
            assert_eq!(left, ["accept", "x-user-agent"], "{uri}");
        }
    }
}
