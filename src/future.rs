//! The response future: calling, rejected, or, where keys must be fetched first, waiting.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::access_token::AccessToken;
use crate::credential::Additions;
use crate::error::Error;
use crate::guard::{Guard, Requirement};
use crate::reject::{Reject, Rejection, head, head_of, is_default, reject, rewrite};
use crate::relay::CallerToken;

pin_project! {
    /// The future of [`BearerAuth`](crate::middleware::BearerAuth).
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
        pub(crate) state: State<S, S::Future, B, C, B2>,
        pub(crate) finish: Finish<R>,
    }
}

pin_project! {
    #[project = StateProj]
    pub(crate) enum State<S, F, B, C, B2> {
        /// Keys are being fetched. Boxed, since it is rare and large.
        Waiting { waiting: Box<Waiting<S, B, C>> },
        /// The inner service has been called.
        Calling { #[pin] future: F },
        /// The response is there; taken once.
        Rejected { response: Option<Response<B2>> },
    }
}

/// All that is needed to go on once the verdict is there.
pub(crate) struct Waiting<S, B, C> {
    pub(crate) verdict: Pin<Box<dyn Future<Output = Result<AccessToken<C>, Error>> + Send>>,
    pub(crate) caller: Option<CallerToken>,
    pub(crate) ready: S,
    /// Taken once.
    pub(crate) request: Option<Request<B>>,
    pub(crate) guard: Guard,
    pub(crate) requirement: Requirement,
}

/// What is done with a response.
pub(crate) struct Finish<R> {
    reject: R,
    /// Boxed, since it is rare: a future is moved about.
    about: Option<Box<About>>,
}

/// What must be known of the request when its response is there.
#[derive(Default)]
struct About {
    add: Additions,
    /// For a `Reject` that reads it.
    head: Option<Box<Request<()>>>,
}

impl<R> Finish<R> {
    pub(crate) fn new(reject: R, add: Additions) -> Self {
        let about = (add != Additions::default()).then(|| Box::new(About { add, head: None }));
        Self { reject, about }
    }

    /// Keeps the head of a request that the inner service is called with, which may refuse it too.
    fn keep_head<B, B2>(&mut self, guard: &Guard, request: &Request<B>)
    where
        R: Reject<B2>,
    {
        if self.reject.reads_request() {
            let head = head_of(request, guard.shown());
            self.about.get_or_insert_default().head = Some(head);
        }
    }

    /// Refuses a request.
    fn refuse<B, B2>(&self, guard: &Guard, error: Error, request: Request<B>) -> Response<B2>
    where
        R: Reject<B2>,
    {
        let rejection = Rejection::new(error, &request);
        let head = self.reject.reads_request().then(|| head(request, guard.shown()));
        let mut response = reject(&self.reject, rejection.with_request(head));
        let add = self.about.as_ref().map(|about| about.add).unwrap_or_default();
        add.of_refusal().add_to(&mut response);
        response
    }

    /// Leaves the response where it is, which is what most need: it is large.
    fn apply<B2, E>(&mut self, mut outcome: Poll<Result<Response<B2>, E>>) -> Poll<Result<Response<B2>, E>>
    where
        R: Reject<B2>,
    {
        if outcome.is_pending() || (is_default::<R>() && self.about.is_none()) {
            return outcome;
        }
        let About { add, head } = self.about.take().map(|about| *about).unwrap_or_default();
        if !is_default::<R>() {
            outcome = outcome.map_ok(|response| rewrite(&self.reject, response, head));
        }
        if let Poll::Ready(Ok(response)) = &mut outcome {
            add.add_to(response);
        }
        outcome
    }
}

impl<S: Service<Request<B>>, B, C, B2> State<S, S::Future, B, C, B2> {
    /// Calls the service with a request that was admitted, or refuses it.
    pub(crate) fn decided<R: Reject<B2>>(
        admitted: Result<(), Error>,
        request: Request<B>,
        guard: &Guard,
        service: &mut S,
        finish: &mut Finish<R>,
    ) -> Self {
        match admitted {
            Ok(()) => {
                finish.keep_head::<B, B2>(guard, &request);
                Self::Calling { future: service.call(request) }
            }
            Err(error) => Self::Rejected { response: Some(finish.refuse(guard, error, request)) },
        }
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
        let this = self.project();
        let (mut state, finish) = (this.state, this.finish);
        loop {
            let next = match state.as_mut().project() {
                StateProj::Calling { future } => return finish.apply(future.poll(cx)),
                StateProj::Rejected { response } => {
                    return Poll::Ready(Ok(response.take().expect("polled after completion")));
                }
                StateProj::Waiting { waiting } => {
                    let verdict = ready!(waiting.verdict.as_mut().poll(cx));
                    let Waiting { caller, ready, request, guard, requirement, .. } = &mut **waiting;
                    let mut request = request.take().expect("polled after completion");
                    let admitted = guard.admit(*requirement, verdict, caller.take(), &mut request);
                    State::decided(admitted, request, guard, ready, finish)
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
