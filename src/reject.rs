//! How refusals are written: by [`ProblemJson`], by [`GraphQlErrors`], or by a closure or a
//! [`Reject`] of yours, which turns a [`Rejection`] into a response. Name it with
//! [`BearerAuthLayer::reject_with`](crate::BearerAuthLayer::reject_with).

// Step 8: the request is refused, as HTTP or as gRPC.

mod document;
mod request;

use std::any::TypeId;
use std::fmt;

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};

pub use self::document::{GraphQlErrors, ProblemJson};
use self::request::grpc_content_type;
pub(crate) use self::request::{NoGrpc, head};
use crate::challenge;
use crate::clock::whole_seconds_up;
use crate::credential::{DPOP_NONCE, RequestHead};
use crate::error::{Error, ErrorKind};
use crate::trace::{count, event};

/// A refusal that is about to become a response: what happened, and how it is said on the wire.
///
/// [`into_response`](Self::into_response) writes it with any body. A [`Reject`] may choose the body
/// and add headers.
///
/// # Examples
///
/// A page for browsers, and a problem document for programs:
///
/// ```
/// use http::{Response, header};
/// use tower_bearer::reject::{ProblemJson, Reject, Rejection};
///
/// fn page_or_json(rejection: Rejection) -> Response<String> {
///     let accept = rejection.request().and_then(|request| request.headers().get(header::ACCEPT)?.to_str().ok());
///     if rejection.is_grpc() || !accept.is_some_and(|accept| accept.contains("text/html")) {
///         return ProblemJson::default().reject(rejection);
///     }
///     let page = format!("<!doctype html><title>Sign in</title><p>{}</p>", rejection.error().kind());
///     let mut response = rejection.into_response(page);
///     response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/html; charset=utf-8"));
///     response
/// }
/// ```
#[derive(Clone)]
pub struct Rejection {
    error: Error,
    /// The content type of the answer, if the request was gRPC.
    grpc: Option<&'static str>,
    request: Option<Box<Request<()>>>,
}

impl Rejection {
    /// Refuses a request.
    pub(crate) fn new<'r>(error: Error, request: impl Into<RequestHead<'r>>) -> Self {
        let grpc = grpc_content_type(request.into());
        Self { grpc, ..Self::without_request(error) }
    }

    /// Refuses, over HTTP, a request of which nothing is known here.
    pub(crate) fn without_request(error: Error) -> Self {
        if error.kind() == ErrorKind::LayerMissing {
            // not the caller's doing, and it will not go away by itself
            event!(error, "a handler has no layer in front of it", reason = error);
        } else {
            event!(
                debug,
                "refused a request",
                kind = format_args!("{:?}", error.kind()),
                reason = error,
                issuer = error.issuer().unwrap_or("-"),
                kid = error.kid().unwrap_or("-"),
            );
        }
        count!("tower_bearer_refusals_total", "kind" => error.kind().name());
        Self { error, grpc: None, request: None }
    }

    /// Says what was asked for, for a [`Reject`] that looks at it.
    pub(crate) fn with_request(mut self, request: Option<Box<Request<()>>>) -> Self {
        self.request = request;
        self
    }

    /// Returns what happened.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// Returns the head of the refused request, without its credentials: method, address, HTTP
    /// version and headers.
    ///
    /// It is there for a [`Reject`] that [reads it](Reject::reads_request). It is `None` elsewhere,
    /// as where an extractor of your own gets a `Rejection` from one of this crate's.
    ///
    /// These are left out:
    ///
    /// * headers that are marked as sensitive, as the layer marks those that it looks for tokens
    ///   in, or finds them in;
    /// * `Authorization`, `Cookie`, `DPoP`, `Proxy-Authorization` and `Sec-WebSocket-Protocol`;
    /// * the parameter `access_token` of the query; the whole query if one of the layer's
    ///   [sources](crate::BearerAuthLayer::token_sources) looks at the address, and for a
    ///   [`RequireLayer`](crate::RequireLayer), which does not know where that looks; and the path,
    ///   too, if it has the token in it;
    /// * the extensions.
    pub fn request(&self) -> Option<&Request<()>> {
        self.request.as_deref()
    }

    /// Tells whether the request was gRPC, so that the response must be headers only.
    ///
    /// A request is gRPC if it is a `POST` with the content type `application/grpc` over HTTP/2 or
    /// newer, or grpc-web (`application/grpc-web`, `application/grpc-web-text`) over any version,
    /// unless the layer is [`without_grpc`](crate::BearerAuthLayer::without_grpc).
    pub fn is_grpc(&self) -> bool {
        self.grpc.is_some()
    }

    /// Returns the status of the response: for gRPC always 200, with the outcome in `grpc-status`.
    pub fn status(&self) -> StatusCode {
        if self.is_grpc() { StatusCode::OK } else { challenge::wire(self.error.kind()).status }
    }

    /// Writes the response: status, challenge, `Retry-After` or gRPC status, and the [`Error`] in
    /// its extensions.
    pub fn into_response<B>(self, body: B) -> Response<B> {
        let mut response = Response::new(body);
        *response.status_mut() = self.status();
        self.write_headers(response.headers_mut());
        response.extensions_mut().insert(self.error);
        response
    }

    fn write_headers(&self, headers: &mut HeaderMap) {
        // `extend` would make room for these alone
        if let Some(content_type) = self.grpc {
            for (name, value) in challenge::grpc_status(self.error.kind()) {
                headers.insert(name, value);
            }
            for value in challenge::grpc_challenges(&self.error) {
                headers.append(WWW_AUTHENTICATE, value);
            }
            challenge::write_for_proofs(&self.error, headers);
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            return;
        }
        if let Some(wait) = self.error.retry_after() {
            headers.insert(RETRY_AFTER, whole_seconds_up(wait).max(1).into());
        }
        for value in challenge::challenges(&self.error) {
            headers.append(WWW_AUTHENTICATE, value);
        }
        challenge::write_for_proofs(&self.error, headers);
    }
}

/// Turns a refusal into a response. Any closure `Fn(Rejection) -> Response<B>` is one.
///
/// The default, [`DefaultReject`], answers with an empty body. Whatever the response, the layer
/// puts the [`Error`] into its extensions. A 401 without any `WWW-Authenticate` gets the layer's,
/// which RFC 9110 §11.6.1 demands.
///
/// The default needs a body that can be empty (`B: Default`). Those of most layers that wrap
/// bodies, such as tower-http's `TraceLayer`, cannot: put such a layer outside, or give the body
/// another type in between:
///
/// ```
/// use axum::{Router, body::Body, routing::get};
/// use http::Response;
/// use tower::ServiceBuilder;
/// use tower_http::trace::TraceLayer;
/// # use tower_bearer::{BearerAuthLayer, Issuer, ResourceServer};
///
/// # fn main() -> Result<(), tower_bearer::ConfigError> {
/// # let server = ResourceServer::new("https://api.example.com").trust(Issuer::new("https://id.example.com/")).build()?;
/// let layers = ServiceBuilder::new()
///     .layer(BearerAuthLayer::new(server))
///     .map_response(|response: Response<_>| response.map(Body::new))
///     .layer(TraceLayer::new_for_http());
/// let app: Router = Router::new().route("/orders", get(async || "orders")).layer(layers);
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot refuse a request with a body of the type `{B}`",
    label = "cannot write a refusal with this body",
    note = "`DefaultReject` needs `B: Default`; `ProblemJson` and `GraphQlErrors` need `B: Default + From<String>`; a closure needs `Fn(Rejection) -> Response<B>`",
    note = "a layer that wraps bodies, such as `TraceLayer`, belongs outside: `ServiceBuilder::new().layer(TraceLayer::new_for_http()).layer(BearerAuthLayer::new(server))`",
    note = "or give the body another type in between: `.layer(BearerAuthLayer::new(server)).map_response(|response: Response<_>| response.map(axum::body::Body::new)).layer(TraceLayer::new_for_http())`"
)]
pub trait Reject<B>: 'static {
    /// Writes the response, best by way of [`Rejection::into_response`].
    fn reject(&self, rejection: Rejection) -> Response<B>;

    /// Tells whether this `Reject` looks at [`Rejection::request`]; true by default, also of
    /// closures.
    ///
    /// If so, the layer copies the head of each request, for refusals from behind the layer.
    fn reads_request(&self) -> bool {
        true
    }
}

impl<F: Fn(Rejection) -> Response<B> + 'static, B> Reject<B> for F {
    fn reject(&self, rejection: Rejection) -> Response<B> {
        self(rejection)
    }
}

/// Refuses with an empty body.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct DefaultReject;

impl<B: Default> Reject<B> for DefaultReject {
    fn reject(&self, rejection: Rejection) -> Response<B> {
        rejection.into_response(B::default())
    }

    fn reads_request(&self) -> bool {
        false
    }
}

/// Tells whether nothing is to be changed about what others have refused. The compiler knows.
pub(crate) fn is_default<R: 'static>() -> bool {
    TypeId::of::<R>() == TypeId::of::<DefaultReject>()
}

/// Refuses, and sees to it that the error stands in the response's extensions, and a challenge in a
/// 401.
pub(crate) fn reject<B>(with: &impl Reject<B>, rejection: Rejection) -> Response<B> {
    let (error, is_grpc) = (rejection.error.clone(), rejection.is_grpc());
    let mut response = with.reject(rejection);
    let challenged = response.headers().contains_key(WWW_AUTHENTICATE);
    if response.status() == StatusCode::UNAUTHORIZED && !challenged && !is_grpc {
        let challenges = challenge::challenges_of_401(&error).map(|value| (WWW_AUTHENTICATE, value));
        response.headers_mut().extend(challenges);
    }
    // without it, the client could only come back with the same
    if error.dpop_nonce().is_some() && !response.headers().contains_key(DPOP_NONCE) {
        challenge::write_for_proofs(&error, response.headers_mut());
    }
    response.extensions_mut().get_or_insert_with(|| error);
    response
}

/// Stands in the extensions of a refusal from behind a layer, which may have a [`Reject`] to write
/// it with.
#[derive(Clone)]
struct Unwritten(Rejection);

/// Marks a refusal from behind a layer, whose [`Reject`] is not known here.
pub(crate) fn leave_to_layer<B>(response: &mut Response<B>, rejection: Rejection) {
    response.extensions_mut().insert(Unwritten(rejection));
}

/// Writes a refusal from behind a layer as the layer's own are written; all other responses are
/// left alone.
pub(crate) fn rewrite<B>(
    with: &impl Reject<B>,
    mut response: Response<B>,
    request: Option<Box<Request<()>>>,
) -> Response<B> {
    let Some(Unwritten(rejection)) = response.extensions_mut().remove() else { return response };
    // somebody has made something else of it
    if response.status() != rejection.status() {
        return response;
    }
    let (plain, _) = response.into_parts();
    let mut written = HeaderMap::new();
    rejection.write_headers(&mut written);
    let mut response = reject(with, rejection.with_request(request));
    for (name, value) in &plain.headers {
        let of_body = [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE].contains(name);
        // of which a response has one (RFC 9449 §8.2)
        let told = *name == DPOP_NONCE && response.headers().contains_key(DPOP_NONCE);
        if !of_body && !told && !written.get_all(name).iter().any(|own| own == value) {
            response.headers_mut().append(name, value.clone());
        }
    }
    let own = std::mem::replace(response.extensions_mut(), plain.extensions);
    response.extensions_mut().extend(own);
    response
}

impl fmt::Debug for Rejection {
    /// Shows nothing of the request.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection").field("error", &self.error).field("grpc", &self.grpc).finish_non_exhaustive()
    }
}
