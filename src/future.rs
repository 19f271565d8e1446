//! The response future: calling, rejected, or, where keys must be fetched first, waiting.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::access_token::AccessToken;
use crate::error::Error;
use crate::reject::{Reject, Rejection, reject};

pin_project! {
    /// The future of [`BearerAuth`](crate::BearerAuth).
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time: a fetch of keys that it waits for goes on for the others.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, B, C, R, B2>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, S::Future, B, C, R, B2>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, B, C, R, B2> {
        /// Keys are being fetched. Boxed, since it is rare and large.
        Waiting { waiting: Box<Waiting<S, B, C, R>> },
        /// The inner service has been called.
        Calling { #[pin] future: F },
        /// The response is there; taken once.
        Rejected { response: Option<Response<B2>> },
    }
}

/// All that is needed to go on once the verdict is there.
pub(crate) struct Waiting<S, B, C, R> {
    verdict: Pin<Box<dyn Future<Output = Result<AccessToken<C>, Error>> + Send>>,
    ready: S,
    /// Taken once.
    request: Option<Request<B>>,
    reject: R,
}

impl<S, B, C, R> Waiting<S, B, C, R> {
    pub(crate) fn new(
        verdict: Pin<Box<dyn Future<Output = Result<AccessToken<C>, Error>> + Send>>,
        ready: S,
        request: Request<B>,
        reject: R,
    ) -> Self {
        Self { verdict, ready, request: Some(request), reject }
    }
}

impl<S, B, C, R, B2> ResponseFuture<S, B, C, R, B2>
where
    S: Service<Request<B>>,
{
    pub(crate) fn calling(future: S::Future) -> Self {
        Self { state: State::Calling { future } }
    }

    pub(crate) fn rejected(response: Response<B2>) -> Self {
        Self { state: State::Rejected { response: Some(response) } }
    }

    pub(crate) fn waiting(waiting: Waiting<S, B, C, R>) -> Self {
        Self { state: State::Waiting { waiting: Box::new(waiting) } }
    }
}

impl<S, B, C, R, B2> Future for ResponseFuture<S, B, C, R, B2>
where
    S: Service<Request<B>, Response = Response<B2>>,
    C: Send + Sync + 'static,
    R: Reject<B2>,
{
    type Output = Result<Response<B2>, S::Error>;

    #[expect(clippy::expect_used, reason = "polling a future again after it has completed is a caller's bug")]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Calling { future } => return future.poll(cx),
                StateProj::Rejected { response } => {
                    return Poll::Ready(Ok(response.take().expect("polled after completion")));
                }
                StateProj::Waiting { waiting } => {
                    let verdict = ready!(waiting.verdict.as_mut().poll(cx));
                    let mut request = waiting.request.take().expect("polled after completion");
                    match verdict {
                        Ok(token) => {
                            token.enter(request.extensions_mut());
                            State::Calling { future: waiting.ready.call(request) }
                        }
                        Err(error) => {
                            let rejection = Rejection::new(error, request.method(), request.headers());
                            State::Rejected { response: Some(reject(&waiting.reject, rejection)) }
                        }
                    }
                }
            };
            state.set(next);
        }
    }
}

impl<S, B, C, R, B2> fmt::Debug for ResponseFuture<S, B, C, R, B2>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Waiting { .. } => "ResponseFuture(waiting)",
            State::Calling { .. } => "ResponseFuture(calling)",
            State::Rejected { .. } => "ResponseFuture(rejected)",
        })
    }
}
