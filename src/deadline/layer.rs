//! Responses that end with the token that has opened them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::Deadline;
use crate::access_token::AccessToken;
use crate::challenge::grpc_status;
use crate::error::ErrorKind;
use crate::reject::Rejection;

/// Ends the responses of a service that are streams, server-sent events and gRPC, when the token of
/// their request is not accepted any more: when it has expired, and the issuer's
/// [`leeway`](crate::Issuer::leeway) is over, or when it is [revoked](crate::revocation). Stands behind a
/// [`BearerAuthLayer`](crate::BearerAuthLayer); without one, requests are refused with 500.
///
/// Events just end, and a browser's `EventSource` connects again; a gRPC stream ends with
/// `UNAUTHENTICATED`. An answer that is there at once, as that of a unary call, is never cut off.
/// Other responses, and those to anonymous callers, are left alone. A layer for grpc-web belongs
/// outside of this one, which does not know its trailers.
///
/// It ends what is *sent*. What a client streams to the service goes on: end that with
/// [`Deadline::end`]. And what the service does for a stream goes on until it notices that nobody
/// reads any more.
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
    B2: Default,
{
    type Response = Response<DeadlineBody<B2>>;
    type Error = S::Error;
    type Future = DeadlineFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let found: Result<Result<&AccessToken, _>, _> = AccessToken::found_in(request.extensions());
        match found {
            Ok(token) => {
                let token = token.ok().cloned();
                DeadlineFuture { future: Some(self.inner.call(request)), token, rejection: None }
            }
            // in the wrong order, nothing would ever end
            Err(error) => {
                let rejection = Rejection::new(error, &request);
                DeadlineFuture { future: None, token: None, rejection: Some(rejection) }
            }
        }
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
        future: Option<F>,
        token: Option<AccessToken>,
        // Taken once.
        rejection: Option<Rejection>,
    }
}

impl<F, B, E> Future for DeadlineFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Default,
{
    type Output = Result<Response<DeadlineBody<B>>, E>;

    #[expect(clippy::expect_used, reason = "polling a future again after it has completed is a caller's bug")]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(future) = this.future.as_pin_mut() else {
            let rejection = this.rejection.take().expect("polled after completion");
            return Poll::Ready(Ok(rejection.into_response(DeadlineBody::default())));
        };
        let mut response = ready!(future.poll(cx))?;
        let stream = kind(response.headers());
        let end = this.token.take().zip(stream).map(|(token, kind)| (token.last_moment(), kind));
        if end.is_some() {
            // it may be cut
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        Poll::Ready(Ok(response.map(|body| DeadlineBody { end, ..DeadlineBody::endless(body) })))
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
        // How many frames were there at once, before the first that had to be waited for.
        at_once: usize,
        over: bool,
    }
}

/// As many frames that are there at once are the answer to a call, which was permitted when it
/// began; what comes after is a stream.
const AT_ONCE: usize = 64;

impl<B> DeadlineBody<B> {
    fn endless(body: B) -> Self {
        Self { body, end: None, at_once: 0, over: false }
    }
}

impl<B: Body> Body for DeadlineBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        let Some((deadline, kind)) = this.end else { return this.body.poll_frame(cx) };
        if *this.over || this.body.is_end_stream() {
            return Poll::Ready(None);
        }
        let frame = this.body.poll_frame(cx);
        match &frame {
            Poll::Ready(Some(Ok(frame))) if frame.is_data() => *this.at_once = this.at_once.saturating_add(1),
            Poll::Ready(_) => *this.over = true,
            Poll::Pending => *this.at_once = AT_ONCE.saturating_add(1),
        }
        if *this.over || *this.at_once <= AT_ONCE || Pin::new(&mut *deadline).poll(cx).is_pending() {
            return frame;
        }
        *this.over = true;
        let reason = deadline.reason().unwrap_or(ErrorKind::Expired);
        Poll::Ready((*kind == Kind::Grpc).then(|| Ok(Frame::trailers(grpc_status(reason).collect()))))
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
        Self::endless(B::default())
    }
}

impl<B: From<String>> From<String> for DeadlineBody<B> {
    fn from(text: String) -> Self {
        Self::endless(B::from(text))
    }
}

impl<B> fmt::Debug for DeadlineBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadlineBody").field("end", &self.end).finish_non_exhaustive()
    }
}
