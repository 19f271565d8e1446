//! A rule in front of a route or any tower service.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::access_token::AccessToken;
use crate::authz::Rule;
use crate::credential::Shown;
use crate::reject::{DefaultReject, Reject, Rejection, head, is_default, leave_to_layer, reject};

/// Calls the inner service only if the caller's token satisfies a [`Rule`]; stands behind a
/// [`BearerAuthLayer`](crate::BearerAuthLayer), whatever claims its server reads.
///
/// # Examples
///
/// ```
/// use axum::{Router, routing::post};
/// use tower_bearer::{RequireLayer, Rule};
///
/// let orders: Router = Router::new()
///     .route("/orders", post(async || "created"))
///     .route_layer(RequireLayer::new(Rule::scope("orders:write")));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RequireLayer<R = DefaultReject> {
    rule: Arc<Rule>,
    reject: R,
}

impl RequireLayer {
    /// Demands a rule.
    pub fn new(rule: Rule) -> Self {
        Self { rule: Arc::new(rule), reject: DefaultReject }
    }
}

impl<R> RequireLayer<R> {
    /// Writes refusals in another way; see [`Reject`].
    pub fn reject_with<R2>(self, reject: R2) -> RequireLayer<R2> {
        RequireLayer { rule: self.rule, reject }
    }
}

impl<S, R: Clone> Layer<S> for RequireLayer<R> {
    type Service = RequireRule<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireRule { inner, rule: Arc::clone(&self.rule), reject: self.reject.clone() }
    }
}

/// Middleware made by [`RequireLayer`].
#[derive(Clone, Debug)]
#[must_use]
pub struct RequireRule<S, R = DefaultReject> {
    inner: S,
    rule: Arc<Rule>,
    reject: R,
}

impl<S, R, B, B2> Service<Request<B>> for RequireRule<S, R>
where
    S: Service<Request<B>, Response = Response<B2>>,
    R: Reject<B2>,
{
    type Response = Response<B2>;
    type Error = S::Error;
    type Future = RequireFuture<S::Future, B2>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let token: Result<&AccessToken, _> = AccessToken::from_extensions(request.extensions());
        match token.and_then(|token| token.require(&self.rule)) {
            Ok(()) => RequireFuture { future: Some(self.inner.call(request)), response: None },
            Err(error) => {
                // what of the address could be a token, only the layer in front knows
                let head = self.reject.reads_request().then(|| head(&request, Shown::Path));
                let rejection = Rejection::new(error, &request).with_request(head);
                let mut response = reject(&self.reject, rejection.clone());
                if is_default::<R>() {
                    leave_to_layer(&mut response, rejection);
                }
                RequireFuture { future: None, response: Some(response) }
            }
        }
    }
}

pin_project! {
    /// The future of [`RequireRule`].
    #[must_use = "futures do nothing unless polled"]
    pub struct RequireFuture<F, B2> {
        #[pin]
        future: Option<F>,
        // Taken once.
        response: Option<Response<B2>>,
    }
}

impl<F: Future<Output = Result<Response<B2>, E>>, B2, E> Future for RequireFuture<F, B2> {
    type Output = F::Output;

    #[expect(clippy::expect_used, reason = "polling a future again after it has completed is a caller's bug")]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.future.as_pin_mut() {
            Some(future) => future.poll(cx),
            None => Poll::Ready(Ok(this.response.take().expect("polled after completion"))),
        }
    }
}

impl<F, B2> fmt::Debug for RequireFuture<F, B2> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequireFuture")
    }
}
