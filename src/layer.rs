//! The layer: how a service is wrapped.

use std::fmt;

use http::Method;

use crate::authz::{AuthzRules, Route};
use crate::credential::TokenSource;
use crate::error::ConfigError;
use crate::guard::{Guard, Mode};
#[cfg(feature = "dpop")]
use crate::origin::PublicOrigin;
use crate::reject::DefaultReject;
use crate::server::ResourceServer;

/// Wraps a service so that it is only called with a verified token, which the request then carries
/// in its extensions.
///
/// Handlers get the token as [`AccessToken`](crate::AccessToken) (axum), by
/// `request.require::<P>()` (tonic), or with
/// [`AccessToken::from_extensions`](crate::AccessToken::from_extensions) (everything else).
///
/// Requests without a valid token are refused by the table of RFC 6750 §3.1, as HTTP or as gRPC;
/// see [`ErrorKind`](crate::ErrorKind).
///
/// # Examples
///
/// ```
/// use tower::{ServiceBuilder, service_fn};
/// use tower_bearer::{BearerAuthLayer, Issuer, ResourceServer};
///
/// # fn main() -> Result<(), tower_bearer::ConfigError> {
/// let server = ResourceServer::new("https://api.example.com").trust(Issuer::new("https://id.example.com/")).build()?;
/// let service = ServiceBuilder::new()
///     .layer(BearerAuthLayer::new(server))
///     .service(service_fn(|_: http::Request<()>| async { Ok::<_, std::io::Error>(http::Response::new(String::new())) }));
/// # let _: &dyn Fn(_) = &|request: http::Request<()>| drop(tower::ServiceExt::oneshot(service.clone(), request));
/// # Ok(())
/// # }
/// ```
///
/// # Deployment
///
/// A CORS layer belongs *outside* this one (in axum, it is added after it): a browser's preflight
/// request carries no token, and pages of other origins may not even read a refusal without the
/// headers that it adds. So do concurrency limits: a request that waits for keys, for the
/// [`key_wait_timeout`](crate::config::ResourceServerBuilder::key_wait_timeout), would hold a
/// permit of one inside.
///
/// A layer for grpc-web, such as tonic-web's, belongs *inside*. What comes through it looks like
/// gRPC over HTTP/1.1, which this layer would refuse as HTTP.
///
/// In axum, `Router::layer` covers the router's fallback, too: a path that nobody has is 401 without a
/// token. But a router has one fallback only, and of two that are merged it is that of the one that
/// is merged *into* the other. So add what is public after the layer, or merge the guarded router
/// into the public one. The other way round, anybody may find out which paths there are:
///
/// ```
/// use axum::{Router, routing::get};
/// # use tower_bearer::{BearerAuthLayer, Issuer, ResourceServer};
///
/// # fn main() -> Result<(), tower_bearer::ConfigError> {
/// # let server = ResourceServer::new("https://api.example.com").trust(Issuer::new("https://id.example.com/")).build()?;
/// let guarded = Router::new().route("/orders", get(async || "orders")).layer(BearerAuthLayer::new(server));
/// let public = Router::new().route("/health", get(async || "well"));
/// let app: Router = public.merge(guarded); // and not guarded.merge(public)
/// # Ok(())
/// # }
/// ```
///
/// What is nested has the fallback of the whole, unless it has one of its own. `Router::route_layer`
/// does not cover the fallback at all.
///
/// A layer *outside* that prints the headers of requests prints the token, since only this one
/// marks the header as sensitive. So does tower-http's `TraceLayer` with `include_headers`. Put it
/// inside, or mark the headers before it:
///
/// ```
/// use axum::{Router, routing::get};
/// use http::header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL};
/// use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;
/// use tower_http::trace::{DefaultMakeSpan, TraceLayer};
/// # use tower_bearer::{BearerAuthLayer, Issuer, ResourceServer};
///
/// # fn main() -> Result<(), tower_bearer::ConfigError> {
/// # let server = ResourceServer::new("https://api.example.com").trust(Issuer::new("https://id.example.com/")).build()?;
/// // in axum, what is added later is outside; in a `ServiceBuilder`, it is inside
/// let app: Router = Router::new()
///     .route("/orders", get(async || "orders"))
///     .layer(BearerAuthLayer::new(server))
///     .layer(TraceLayer::new_for_http().make_span_with(DefaultMakeSpan::new().include_headers(true)))
///     // and each header that a `TokenSource` names
///     .layer(SetSensitiveRequestHeadersLayer::new([AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL]));
/// # Ok(())
/// # }
/// ```
///
/// Inside, in one `ServiceBuilder`, a `TraceLayer` needs another body between the two: see
/// [`Reject`](crate::reject::Reject).
#[must_use]
pub struct BearerAuthLayer<C = (), R = DefaultReject> {
    pub(crate) server: ResourceServer<C>,
    pub(crate) guard: Guard,
    pub(crate) reject: R,
}

impl<C> BearerAuthLayer<C> {
    /// Requires a valid token.
    pub fn new(server: ResourceServer<C>) -> Self {
        let guard = Guard::hiding(server.certificate_header());
        Self { server, guard, reject: DefaultReject }
    }
}

impl<C, R> BearerAuthLayer<C, R> {
    /// Lets requests without a token through, as anonymous ones.
    ///
    /// A token that is there but bad is still refused, and an outage is still 503: neither makes a
    /// caller anonymous.
    ///
    /// # Security
    ///
    /// Each handler must now decide what an anonymous caller may do; one that takes an
    /// [`AccessToken`](crate::AccessToken) still refuses them with 401.
    pub fn optional(mut self) -> Self {
        self.guard.settings().mode = Mode::Optional;
        self
    }

    /// Lets requests with a bad token through as well, as anonymous ones, with the
    /// [`Error`](crate::Error) in their extensions: for pages that everybody may see, and that a
    /// browser also asks for with a token that has expired.
    ///
    /// The error is for handlers that have found no token: where layers stand one inside the other,
    /// the outer one's may be there beside the inner one's token.
    ///
    /// An outage is still 503, and does not make a caller anonymous. A handler that takes an
    /// [`AccessToken`](crate::AccessToken) refuses anonymous callers with the error of their token.
    ///
    /// # Security
    ///
    /// As with [`optional`](Self::optional). A client with a bad token is not told so, unless it
    /// asks for something that needs one.
    pub fn lenient(mut self) -> Self {
        self.guard.settings().mode = Mode::Lenient;
        self
    }

    /// Looks for the token in these places only; the `Authorization` header is one of them only if
    /// it is named. Without any, every request lacks a token. The last call counts.
    ///
    /// The headers that are named, and those in which a [`custom`](TokenSource::custom) source
    /// finds the token, are marked as sensitive, so that nothing inside prints them.
    ///
    /// # Errors
    ///
    /// With each name of a [`cookie`](TokenSource::cookie) that can be none, each
    /// [origin](TokenSource::allow_origin) that no browser would send or that is no cookie's,
    /// each source that would find the same token as another one, so that every request would have
    /// two; and each but the `Authorization` header, if the server trusts an issuer by `fapi2`.
    pub fn token_sources(mut self, sources: impl IntoIterator<Item = TokenSource>) -> Result<Self, ConfigError> {
        let sources: Vec<_> = sources.into_iter().collect();
        TokenSource::check(&sources)?;
        if self.server.trusts_by_fapi2() {
            TokenSource::check_only_authorization(&sources)?;
        }
        self.guard.settings().sources = Some(sources);
        Ok(self)
    }

    /// Demands of each request what the rules say of it, and lets none through that has no rule.
    /// The last call counts.
    ///
    /// A rule that says [`Public`](crate::authz::Access::Public) lets a request through without a
    /// look at its token. The rules alone decide: a layer that has rules has no
    /// [`public_path`](Self::public_path).
    ///
    /// Paths are what the layer sees: put it in front of a whole router. One that the router does
    /// not know is then refused with 403, and without a token with 401, and never gets as far as
    /// the router's 404. `OPTIONS` needs a rule, or a CORS layer outside; a WebSocket over HTTP/2
    /// is a `CONNECT`.
    ///
    /// # Errors
    ///
    /// With each [public path](Self::public_path) of the layer, where a rule says `Public` instead.
    pub fn authorize(mut self, rules: AuthzRules) -> Result<Self, ConfigError> {
        self.guard.settings().authorize(rules)?;
        Ok(self)
    }

    /// Lets requests with this method, to paths of this pattern, through as anonymous ones. Their
    /// token is not looked at.
    ///
    /// Patterns have the syntax of [`AuthzRules`], such as `/swagger-ui/{*rest}`. `GET` includes
    /// `HEAD`. A path that could be read in more than one way is not public, as it has no rule. The
    /// path is what the layer sees: inside an axum router that is nested, it is the rest.
    ///
    /// ```
    /// # use tower_bearer::{BearerAuthLayer, Issuer, ResourceServer};
    /// use http::Method;
    ///
    /// # fn main() -> Result<(), tower_bearer::ConfigError> {
    /// # let server = ResourceServer::new("https://api.example.com").trust(Issuer::new("https://id.example.com/")).build()?;
    /// let layer = BearerAuthLayer::new(server)
    ///     .public_path(Method::GET, "/health")?
    ///     .public_path(Method::GET, "/swagger-ui/{*rest}")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`AuthzRulesBuilder::build`](crate::authz::AuthzRulesBuilder::build); and if the layer
    /// has [rules](Self::authorize), where a rule says `Public` instead.
    ///
    /// # Security
    ///
    /// Whatever answers there is open to everybody. A route that is added outside the layer needs
    /// no exception.
    pub fn public_path(mut self, method: Method, pattern: impl Into<String>) -> Result<Self, ConfigError> {
        self.guard.settings().open(Route { method, pattern: pattern.into(), value: () }, ConfigError::default())?;
        Ok(self)
    }

    /// Lets calls of this gRPC service through as anonymous ones, such as `grpc.health.v1.Health`
    /// or `grpc.reflection.v1.ServerReflection`. Their token is not looked at.
    ///
    /// # Errors
    ///
    /// As [`public_path`](Self::public_path); and if this is no name of a service.
    ///
    /// # Security
    ///
    /// All methods of the service are open to everybody.
    pub fn public_service(mut self, name: impl AsRef<str>) -> Result<Self, ConfigError> {
        let mut problems = ConfigError::default();
        let route = Route::of_service("public", name.as_ref(), (), &mut problems);
        self.guard.settings().open(route, problems)?;
        Ok(self)
    }

    /// Refuses every request over HTTP, also one that looks like gRPC.
    ///
    /// A refusal of a gRPC call has the HTTP status 200: see
    /// [`is_grpc`](crate::reject::Rejection::is_grpc). A check endpoint must never answer so. A
    /// proxy that asks it whether a request is allowed (*forward auth*, *ext_authz*) takes 200 for
    /// a yes; and if the proxy passes on the client's method and headers, the client decides what
    /// the request looks like. It holds for what stands behind the layer, too: extractors, a
    /// [`RequireLayer`](crate::RequireLayer).
    pub fn without_grpc(mut self) -> Self {
        self.guard.settings().without_grpc = true;
        self
    }

    /// Says under which address clients reach this layer, if it is another than the server's
    /// [`public_origin`](crate::config::ResourceServerBuilder::public_origin).
    ///
    /// # Errors
    ///
    /// If it is no origin.
    #[cfg(feature = "dpop")]
    #[cfg_attr(docsrs, doc(cfg(feature = "dpop")))]
    pub fn public_origin(mut self, origin: impl Into<PublicOrigin>) -> Result<Self, ConfigError> {
        let origin = origin.into();
        let mut problems = ConfigError::default();
        if let Some(fault) = origin.fault() {
            problems.push("public_origin", fault);
        }
        problems.or(())?;
        self.guard.settings().origin = Some(origin);
        Ok(self)
    }

    /// Keeps the text of each token that is accepted, as a
    /// [`CallerToken`](crate::relay::CallerToken) in the request's extensions, so that it can be
    /// passed on to other services: see [`relay`](crate::relay).
    pub fn relayable(mut self) -> Self {
        self.guard.settings().relayable = true;
        self
    }

    /// Writes the layer's refusals in another way; see [`Reject`](crate::reject::Reject). A closure
    /// needs the type of its argument: `|rejection: Rejection| …`.
    ///
    /// It also writes what an extractor or a [`RequireLayer`](crate::RequireLayer) behind the layer
    /// refuses with an empty body. Headers that were added on the way are kept, a body is not. A
    /// response whose status was changed on the way is left alone.
    ///
    /// A closure may look at the [request](crate::reject::Rejection::request), so the layer copies
    /// the head of each request for it;
    /// [`Reject::reads_request`](crate::reject::Reject::reads_request) turns that off.
    pub fn reject_with<R2>(self, reject: R2) -> BearerAuthLayer<C, R2> {
        BearerAuthLayer { server: self.server, guard: self.guard, reject }
    }
}

impl<C, R: Clone> Clone for BearerAuthLayer<C, R> {
    fn clone(&self) -> Self {
        Self { server: self.server.clone(), guard: self.guard.clone(), reject: self.reject.clone() }
    }
}

impl<C, R> fmt::Debug for BearerAuthLayer<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuthLayer")
            .field("server", &self.server)
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}
