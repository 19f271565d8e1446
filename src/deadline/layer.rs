//! Responses that end with the token that has opened them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::Deadline;
use crate::access_token::AccessToken;
use crate::challenge::{percent_encoded, wire};
use crate::error::ErrorKind;

/// Ends the streams of a service, server-sent events and gRPC, when the token of their request expires; stands behind a
/// [`BearerAuthLayer`](crate::BearerAuthLayer).
///
/// Events just end, and a browser's `EventSource` connects again; a gRPC stream ends with `UNAUTHENTICATED`. Other responses, and those to anonymous callers, are left alone. So is what the
/// service does for the stream: it notices that nobody reads it any more, as when a client hangs up.
///
/// # Examples
///
/// ```
/// use axum::{Router, routing::get};
/// use tower_bearer::{BearerAuthLayer, Issuer, ResourceServer, deadline::DeadlineLayer};
///
/// # fn main() -> Result<(), tower_bearer::ConfigError> {
/// # let server = ResourceServer::new("https://api.example.com").trust(Issuer::new("https://id.example.com/")).build()?;
/// let app: Router = Router::new()
///     .route("/events", get(async || "…"))
///     .layer(DeadlineLayer::default())
///     .layer(BearerAuthLayer::new(server));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
#[non_exhaustive]
pub struct DeadlineLayer;

impl<S> Layer<S> for DeadlineLayer {
    type Service = EndAtDeadline<S>;

    fn layer(&self, inner: S) -> Self::Service {
        EndAtDeadline { inner }
    }
}

/// Middleware made by [`DeadlineLayer`].
#[derive(Clone, Debug)]
#[must_use]
pub struct EndAtDeadline<S> {
    inner: S,
}

impl<S, B, B2> Service<Request<B>> for EndAtDeadline<S>
where
    S: Service<Request<B>, Response = Response<B2>>,
{
    type Response = Response<DeadlineBody<B2>>;
    type Error = S::Error;
    type Future = DeadlineFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let token: Option<&AccessToken> = AccessToken::from_extensions(request.extensions()).ok();
        let token = token.cloned();
        DeadlineFuture { future: self.inner.call(request), token }
    }
}

#[cfg(feature = "tonic")]
impl<S: tonic::server::NamedService> tonic::server::NamedService for EndAtDeadline<S> {
    const NAME: &'static str = S::NAME;
}

pin_project! {
    /// The future of [`EndAtDeadline`].
    #[must_use = "futures do nothing unless polled"]
    pub struct DeadlineFuture<F> {
        #[pin]
        future: F,
        token: Option<AccessToken>,
    }
}

impl<F, B, E> Future for DeadlineFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<DeadlineBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.future.poll(cx))?;
        let stream = kind(response.headers());
        let end = this.token.take().zip(stream).map(|(token, kind)| (token.deadline(), kind));
        Poll::Ready(Ok(response.map(|body| DeadlineBody { body, end, over: false })))
    }
}

impl<F> fmt::Debug for DeadlineFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeadlineFuture")
    }
}

/// What kind of stream a response is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Events,
    Grpc,
}

fn kind(headers: &HeaderMap) -> Option<Kind> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?.to_ascii_lowercase();
    let essence = text.split(';').next().unwrap_or_default().trim();
    match essence {
        "text/event-stream" => Some(Kind::Events),
        // grpc-web has its trailers in the body, which a layer outside of this one writes
        "application/grpc" => Some(Kind::Grpc),
        _ => essence.starts_with("application/grpc+").then_some(Kind::Grpc),
    }
}

pin_project! {
    /// The body of a response that may end with a token; made by [`DeadlineLayer`].
    #[must_use]
    pub struct DeadlineBody<B> {
        #[pin]
        body: B,
        // `None` if it ends by itself.
        end: Option<(Deadline, Kind)>,
        over: bool,
    }
}

impl<B: Body> Body for DeadlineBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        if *this.over {
            return Poll::Ready(None);
        }
        if let Some((deadline, kind)) = this.end
            && Pin::new(deadline).poll(cx).is_ready()
        {
            *this.over = true;
            return Poll::Ready((*kind == Kind::Grpc).then(|| Ok(Frame::trailers(expired()))));
        }
        this.body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.end.is_none() { self.body.size_hint() } else { SizeHint::default() }
    }
}

impl<B: Default> Default for DeadlineBody<B> {
    /// An empty body, for refusals.
    fn default() -> Self {
        Self { body: B::default(), end: None, over: false }
    }
}

impl<B: From<String>> From<String> for DeadlineBody<B> {
    fn from(text: String) -> Self {
        Self { body: B::from(text), end: None, over: false }
    }
}

impl<B> fmt::Debug for DeadlineBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadlineBody").field("end", &self.end).finish_non_exhaustive()
    }
}

/// The trailers of a gRPC stream whose token has expired.
fn expired() -> HeaderMap {
    let kind = ErrorKind::Expired;
    let message = HeaderValue::try_from(percent_encoded(kind.text())).ok();
    let status = HeaderValue::from(u16::from(wire(kind).grpc));
    let trailers = [("grpc-status", Some(status)), ("grpc-message", message)];
    trailers.into_iter().filter_map(|(name, value)| Some((HeaderName::from_static(name), value?))).collect()
}
