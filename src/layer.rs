//! The layer: how a service is wrapped.

use std::fmt;

use tower_layer::Layer;

use crate::reject::DefaultReject;
use crate::server::ResourceServer;
use crate::service::BearerAuth;

/// Wraps a service so that it is only called with a verified token, which the request then carries in its extensions.
///
/// Handlers get the token as [`AccessToken`](crate::AccessToken) (axum), by
/// `request.require::<P>()` (tonic), or with
/// [`AccessToken::from_extensions`](crate::AccessToken::from_extensions) (everything else).
///
/// Requests without a valid token are refused by the table of RFC 6750 §3.1, as HTTP or as gRPC; see
/// [`ErrorKind`](crate::ErrorKind).
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
/// A CORS layer belongs *outside* this one, since a browser's preflight request carries no token. So do concurrency limits: a request
/// that waits for keys, for 2 s at most, would hold a permit of one inside.
#[must_use]
pub struct BearerAuthLayer<C = (), R = DefaultReject> {
    server: ResourceServer<C>,
    optional: bool,
    reject: R,
}

impl<C> BearerAuthLayer<C> {
    /// Requires a valid token.
    pub fn new(server: ResourceServer<C>) -> Self {
        Self { server, optional: false, reject: DefaultReject }
    }
}

impl<C, R> BearerAuthLayer<C, R> {
    /// Lets requests without a token through, as anonymous ones.
    ///
    /// A token that is there but bad is still refused, and an outage is still 503: neither makes a caller anonymous.
    ///
    /// # Security
    ///
    /// Each handler must now decide what an anonymous caller may do; one that takes an
    /// [`AccessToken`](crate::AccessToken) still refuses them with 401.
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// Writes the layer's refusals in another way; see [`Reject`](crate::Reject). A closure needs the type of its argument:
    /// `|rejection: Rejection| …`.
    ///
    /// What an extractor behind the layer refuses is not written by it; to change that too, map the responses that have
    /// an [`Error`](crate::Error) in their extensions.
    pub fn reject_with<R2>(self, reject: R2) -> BearerAuthLayer<C, R2> {
        BearerAuthLayer { server: self.server, optional: self.optional, reject }
    }
}

impl<S, C, R: Clone> Layer<S> for BearerAuthLayer<C, R> {
    type Service = BearerAuth<S, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        BearerAuth::new(inner, self.server.clone(), self.optional, self.reject.clone())
    }
}

impl<C, R: Clone> Clone for BearerAuthLayer<C, R> {
    fn clone(&self) -> Self {
        Self { server: self.server.clone(), optional: self.optional, reject: self.reject.clone() }
    }
}

impl<C, R> fmt::Debug for BearerAuthLayer<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuthLayer")
            .field("server", &self.server)
            .field("optional", &self.optional)
            .finish_non_exhaustive()
    }
}
