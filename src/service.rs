//! The middleware: verifies, then calls. Its future is calling, rejected, or, where keys must be
//! fetched first, waiting.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::access_token::AccessToken;
use crate::credential::{Additions, RequestHead};
use crate::error::Error;
use crate::guard::{Guard, Requirement};
use crate::layer::BearerAuthLayer;
use crate::reject::{DefaultReject, Reject, Rejection, head, is_default, reject, rewrite};
use crate::relay::CallerToken;
use crate::server::{Admitted, Attempt, Verdict};

/// Middleware that calls the inner service only with a verified token; made by
/// [`BearerAuthLayer`](crate::BearerAuthLayer).
///
/// A token whose key is known is verified within `call`, without an await or a boxed future. Only
/// when keys must be fetched first does the future wait; it then calls the very instance of the
/// inner service that was ready.
#[must_use]
pub struct BearerAuth<S, C = (), R = DefaultReject> {
    inner: S,
    layer: BearerAuthLayer<C, R>,
}

impl<S, C, R: Clone> Layer<S> for BearerAuthLayer<C, R> {
    type Service = BearerAuth<S, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        BearerAuth { inner, layer: self.clone() }
    }
}

impl<S, C, R> BearerAuth<S, C, R> {
    /// Returns the inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, C, R, B, B2> Service<Request<B>> for BearerAuth<S, C, R>
where
    S: Service<Request<B>, Response = Response<B2>> + Clone,
    C: Send + Sync + 'static,
    R: Reject<B2> + Clone,
{
    type Response = Response<B2>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B, C, R, B2>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let BearerAuthLayer { server, guard, reject } = &self.layer;
        guard.prepare(&mut request);
        let requirement = guard.requirement(&request);
        let (credential, places) = guard.find(&request);
        let (attempt, caller) = match credential {
            _ if requirement == Requirement::Nothing => (None, None),
            Ok(credential) => (
                Some(server.attempt(&credential, Some(RequestHead::from(&request)), guard.origin())),
                guard.keep(&credential),
            ),
            Err(error) => (Some(server.without_token(error, RequestHead::from(&request))), None),
        };
        let mut finish = Finish::new(reject.clone(), places.hide_in(&mut request));
        let admitted = match attempt {
            None => server
                .anybody(RequestHead::from(&request))
                .map(|anonymous| Guard::admit_anonymous(anonymous, &mut request)),
            Some(Attempt::Refused(error)) => Err(error),
            Some(Attempt::Done(verdict)) => {
                let verdict = finish.note_proof(verdict, &mut request);
                guard.let_in(requirement, verdict, caller, &mut request)
            }
            Some(Attempt::Waiting(verdict)) => {
                // the instance that has been polled ready is the one that must be called
                let fresh = self.inner.clone();
                let ready = mem::replace(&mut self.inner, fresh);
                let (request, guard) = (Some(request), guard.clone());
                let waiting = Box::new(Waiting { verdict, caller, ready, request, guard, requirement });
                return ResponseFuture { progress: Progress::Waiting { waiting }, finish };
            }
        };
        // as `Progress::decided`, but the request, which is large, is moved about less
        match admitted {
            Ok(()) => {
                finish.keep_head::<B, B2>(guard, &request);
                let future = self.inner.call(request);
                ResponseFuture { progress: Progress::Calling { future }, finish }
            }
            Err(error) => {
                let response = Some(finish.refuse(guard, error, &request));
                ResponseFuture { progress: Progress::Rejected { response }, finish }
            }
        }
    }
}

impl<S: Clone, C, R: Clone> Clone for BearerAuth<S, C, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: self.layer.clone() }
    }
}

impl<S: fmt::Debug, C, R> fmt::Debug for BearerAuth<S, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuth")
            .field("inner", &self.inner)
            .field("server", &self.layer.server)
            .finish_non_exhaustive()
    }
}

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
        progress: Progress<S, S::Future, B, C, B2>,
        finish: Finish<R>,
    }
}

pin_project! {
    #[project = ProgressProj]
    enum Progress<S, F, B, C, B2> {
        /// Keys are being fetched. Boxed, since it is rare and large.
        Waiting { waiting: Box<Waiting<S, B, C>> },
        /// The inner service has been called.
        Calling { #[pin] future: F },
        /// The response is there; taken once.
        Rejected { response: Option<Response<B2>> },
    }
}

/// All that is needed to go on once the verdict is there.
struct Waiting<S, B, C> {
    verdict: Pin<Box<dyn Future<Output = Verdict<C>> + Send>>,
    caller: Option<CallerToken>,
    ready: S,
    /// Taken once.
    request: Option<Request<B>>,
    guard: Guard,
    requirement: Requirement,
}

/// What is done with a response.
struct Finish<R> {
    reject: R,
    /// Boxed, since it is rare: a future is moved about.
    for_response: Option<Box<ForResponse>>,
}

/// What must be known of the request when its response is there.
#[derive(Default)]
struct ForResponse {
    add: Additions,
    /// For a `Reject` that reads it.
    head: Option<Box<Request<()>>>,
}

impl<R> Finish<R> {
    fn new(reject: R, add: Additions) -> Self {
        let for_response = (add != Additions::default()).then(|| Box::new(ForResponse { add, head: None }));
        Self { reject, for_response }
    }

    /// Notes what came of the request's proof, if it has one: for layers inside, and the response.
    fn note_proof<B, C>(&mut self, verdict: Verdict<C>, request: &mut Request<B>) -> Result<AccessToken<C>, Error> {
        let Admitted { token, proof } = verdict?;
        if let Some(nonce) = proof.and_then(|proof| proof.enter(request.extensions_mut())) {
            self.for_response.get_or_insert_default().add.dpop_nonce = Some(nonce);
        }
        Ok(token)
    }

    /// Keeps the head of a request that the inner service is called with, which may refuse it too.
    fn keep_head<B, B2>(&mut self, guard: &Guard, request: &Request<B>)
    where
        R: Reject<B2>,
    {
        if self.reject.reads_request() {
            let head = head(request, guard.shown());
            self.for_response.get_or_insert_default().head = Some(head);
        }
    }

    /// Refuses a request.
    fn refuse<B, B2>(&self, guard: &Guard, error: Error, request: &Request<B>) -> Response<B2>
    where
        R: Reject<B2>,
    {
        let rejection = Rejection::new(error, request);
        let head = self.reject.reads_request().then(|| head(request, guard.shown()));
        let mut response = reject(&self.reject, rejection.with_request(head));
        let add = self.for_response.as_ref().map(|about| about.add.clone()).unwrap_or_default();
        add.of_refusal().add_to(&mut response);
        response
    }

    /// Leaves the response where it is, which is what most need: it is large.
    fn apply<B2, E>(&mut self, mut outcome: Poll<Result<Response<B2>, E>>) -> Poll<Result<Response<B2>, E>>
    where
        R: Reject<B2>,
    {
        if outcome.is_pending() || (is_default::<R>() && self.for_response.is_none()) {
            return outcome;
        }
        let ForResponse { add, head } = self.for_response.take().map(|about| *about).unwrap_or_default();
        if !is_default::<R>() {
            outcome = outcome.map_ok(|response| rewrite(&self.reject, response, head));
        }
        if let Poll::Ready(Ok(response)) = &mut outcome {
            add.add_to(response);
        }
        outcome
    }
}

impl<S: Service<Request<B>>, B, C, B2> Progress<S, S::Future, B, C, B2> {
    /// Calls the service with a request that was admitted, or refuses it.
    fn decided<R: Reject<B2>>(
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
            Err(error) => Self::Rejected { response: Some(finish.refuse(guard, error, &request)) },
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
        let (mut progress, finish) = (this.progress, this.finish);
        loop {
            let next = match progress.as_mut().project() {
                ProgressProj::Calling { future } => return finish.apply(future.poll(cx)),
                ProgressProj::Rejected { response } => {
                    return Poll::Ready(Ok(response.take().expect("polled after completion")));
                }
                ProgressProj::Waiting { waiting } => {
                    let verdict = ready!(waiting.verdict.as_mut().poll(cx));
                    let Waiting { caller, ready, request, guard, requirement, .. } = &mut **waiting;
                    let mut request = request.take().expect("polled after completion");
                    let verdict = finish.note_proof(verdict, &mut request);
                    let admitted = guard.let_in(*requirement, verdict, caller.take(), &mut request);
                    Progress::decided(admitted, request, guard, ready, finish)
                }
            };
            progress.set(next);
        }
    }
}

impl<S, B, C, R, B2> fmt::Debug for ResponseFuture<S, B, C, R, B2>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.progress {
            Progress::Waiting { .. } => "ResponseFuture(waiting)",
            Progress::Calling { .. } => "ResponseFuture(calling)",
            Progress::Rejected { .. } => "ResponseFuture(rejected)",
        })
    }
}
