//! Step 8: the request is refused, as HTTP or as gRPC.

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use crate::challenge::{self, Challenge};
use crate::error::{Error, ErrorKind};
use crate::trace::{count, event};

/// A refusal that is about to become a response: what happened, and how it is said on the wire.
///
/// [`into_response`](Self::into_response) writes it with any body. A [`Reject`] may choose the body and add headers.
///
/// # Examples
///
/// A JSON body that repeats the fixed text:
///
/// ```
/// use http::{Response, header};
/// use tower_bearer::Rejection;
///
/// fn as_json(rejection: Rejection) -> Response<String> {
///     let body = format!(r#"{{"error":"{}"}}"#, rejection.error().kind());
///     let mut response = rejection.into_response(body);
///     response.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
///     response
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Rejection {
    error: Error,
    /// The content type of the answer, if the request was gRPC.
    grpc: Option<&'static str>,
}

impl Rejection {
    /// Refuses a request with this method and these headers.
    pub(crate) fn new(error: Error, method: &Method, headers: &HeaderMap) -> Self {
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
        Self { error, grpc: grpc_content_type(method, headers) }
    }

    /// Returns what happened.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// Tells whether the request was gRPC, so that the response must be headers only.
    pub fn is_grpc(&self) -> bool {
        self.grpc.is_some()
    }

    /// Returns the status of the response: for gRPC always 200, with the outcome in `grpc-status`.
    pub fn status(&self) -> StatusCode {
        if self.is_grpc() { StatusCode::OK } else { challenge::wire(self.error.kind()).status }
    }

    /// Writes the response: status, challenge, `Retry-After` or gRPC status, and the [`Error`] in its extensions.
    pub fn into_response<B>(self, body: B) -> Response<B> {
        let mut response = Response::new(body);
        *response.status_mut() = self.status();
        self.write_headers(response.headers_mut());
        response.extensions_mut().insert(self.error);
        response
    }

    fn write_headers(&self, headers: &mut HeaderMap) {
        // each value is ASCII by construction; were one not, the refusal would stand without it
        let mut set = |name: HeaderName, value: String| {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        };
        if self.is_grpc() {
            set(HeaderName::from_static("grpc-status"), challenge::wire(self.error.kind()).grpc.to_string());
            set(HeaderName::from_static("grpc-message"), challenge::percent_encoded(self.error.kind().text()));
        } else {
            let realm = self.error.realm().map_or("\"\"", |realm| realm);
            if let Some(value) = challenge::challenge(&self.error, realm) {
                set(WWW_AUTHENTICATE, value);
            }
            if let Some(wait) = self.error.retry_after() {
                set(RETRY_AFTER, wait.as_secs().max(1).to_string());
            }
        }
        if let Some(content_type) = self.grpc {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
    }
}

/// Recognises gRPC and grpc-web by method and content type; returns the content type of the answer.
///
/// Only POST is gRPC. A GET that claims to be, for example one that a proxy makes with the client's headers to ask whether a
/// request is allowed, must not be refused with HTTP 200.
fn grpc_content_type(method: &Method, headers: &HeaderMap) -> Option<&'static str> {
    let value = headers.get(CONTENT_TYPE).filter(|_| method == Method::POST)?.to_str().ok()?;
    let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let format = media_type.strip_prefix("application/grpc")?;
    match format.split('+').next()? {
        "" => Some("application/grpc"),
        "-web" => Some("application/grpc-web"),
        "-web-text" => Some("application/grpc-web-text"),
        _ => None,
    }
}

/// Turns a refusal into a response. Any closure `Fn(Rejection) -> Response<B>` is one.
///
/// The default, [`DefaultReject`], answers with an empty body. Whatever the response, the layer puts the [`Error`] into its
/// extensions.
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
pub trait Reject<B> {
    /// Writes the response, best by way of [`Rejection::into_response`].
    fn reject(&self, rejection: Rejection) -> Response<B>;

    // whether nothing is to be changed about what others have refused
    #[doc(hidden)]
    fn is_default(&self) -> bool {
        false
    }
}

impl<F, B> Reject<B> for F
where
    F: Fn(Rejection) -> Response<B>,
{
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

    fn is_default(&self) -> bool {
        true
    }
}

/// Refuses with a problem document (RFC 9457): `{"type":"about:blank","title":"Unauthorized","status":401,"detail":"…","error":"invalid_token"}`, where
/// `detail` is the fixed text of the [`ErrorKind`] and `error` the code of RFC 6750 §3.1, if there is one. gRPC is refused as always, without a body.
///
/// ```
/// # use tower_bearer::{BearerAuthLayer, Issuer, ResourceServer};
/// use tower_bearer::ProblemJson;
///
/// # fn main() -> Result<(), tower_bearer::ConfigError> {
/// # let server = ResourceServer::new("https://api.example.com").trust(Issuer::new("https://id.example.com/")).build()?;
/// let layer = BearerAuthLayer::new(server).reject_with(ProblemJson::default());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ProblemJson;

impl<B: Default + From<String>> Reject<B> for ProblemJson {
    fn reject(&self, rejection: Rejection) -> Response<B> {
        with_json(rejection, "application/problem+json", |kind, status| {
            let mut problem = serde_json::json!({
                "type": "about:blank",
                "title": status.canonical_reason(),
                "status": status.as_u16(),
                "detail": kind.text(),
            });
            if let (Challenge::Code(code), Some(members)) = (challenge::wire(kind).challenge, problem.as_object_mut()) {
                members.insert("error".to_owned(), code.into());
            }
            problem
        })
    }
}

/// Refuses as GraphQL clients expect it: `{"errors":[{"message":"…","extensions":{"code":"UNAUTHENTICATED"}}]}`, as `application/graphql-response+json`, with the status
/// and challenge of every refusal. The codes are `UNAUTHENTICATED`, `FORBIDDEN`, `BAD_REQUEST`, `SERVICE_UNAVAILABLE` and `INTERNAL_SERVER_ERROR`. gRPC is refused as
/// always, without a body.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct GraphQlErrors;

impl<B: Default + From<String>> Reject<B> for GraphQlErrors {
    fn reject(&self, rejection: Rejection) -> Response<B> {
        with_json(rejection, "application/graphql-response+json", |kind, status| {
            let code = match status {
                StatusCode::UNAUTHORIZED => "UNAUTHENTICATED",
                StatusCode::FORBIDDEN => "FORBIDDEN",
                StatusCode::BAD_REQUEST => "BAD_REQUEST",
                StatusCode::SERVICE_UNAVAILABLE => "SERVICE_UNAVAILABLE",
                _ => "INTERNAL_SERVER_ERROR",
            };
            serde_json::json!({ "errors": [{ "message": kind.text(), "extensions": { "code": code } }] })
        })
    }
}

/// Refuses with a document; gRPC, as always, without a body.
fn with_json<B: Default + From<String>>(
    rejection: Rejection,
    media_type: &'static str,
    document: impl FnOnce(ErrorKind, StatusCode) -> serde_json::Value,
) -> Response<B> {
    if rejection.is_grpc() {
        return rejection.into_response(B::default());
    }
    let document = document(rejection.error().kind(), rejection.status());
    let mut response = rejection.into_response(B::from(document.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// Refuses, and sees to it that the error stands in the response's extensions.
pub(crate) fn reject<B>(with: &impl Reject<B>, rejection: Rejection) -> Response<B> {
    let error = rejection.error.clone();
    let mut response = with.reject(rejection);
    response.extensions_mut().get_or_insert_with(|| error);
    response
}

/// Stands in the extensions of a refusal from behind a layer, which may have a [`Reject`] to write it with.
#[derive(Clone)]
struct Unwritten(Rejection);

/// Marks a refusal from behind a layer, whose [`Reject`] is not known here.
pub(crate) fn leave_to_layer<B>(response: &mut Response<B>, rejection: Rejection) {
    response.extensions_mut().insert(Unwritten(rejection));
}

/// Writes a refusal from behind a layer as the layer's own are written; all other responses are left alone.
pub(crate) fn rewrite<B>(with: &impl Reject<B>, mut response: Response<B>) -> Response<B> {
    let Some(Unwritten(rejection)) = response.extensions_mut().remove() else { return response };
    // somebody has made something else of it
    if response.status() != rejection.status() {
        return response;
    }
    let (plain, _) = response.into_parts();
    let mut written = HeaderMap::new();
    rejection.write_headers(&mut written);
    let mut response = reject(with, rejection);
    for (name, value) in &plain.headers {
        let of_body = [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE].contains(name);
        if !of_body && written.get(name) != Some(value) {
            response.headers_mut().append(name, value.clone());
        }
    }
    let own = std::mem::replace(response.extensions_mut(), plain.extensions);
    response.extensions_mut().extend(own);
    response
}
