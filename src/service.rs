//! The service: verifies, then calls.

use std::fmt;
use std::mem;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use crate::access_token::Anonymous;
use crate::future::{Finish, ResponseFuture, State, Waiting};
use crate::guard::{Guard, Requirement};
use crate::reject::{DefaultReject, Reject};
use crate::server::{Attempt, ResourceServer};

/// Middleware that calls the inner service only with a verified token; made by
/// [`BearerAuthLayer`](crate::BearerAuthLayer).
///
/// A token whose key is known is verified within `call`, without an await or a boxed future. Only
/// when keys must be fetched first does the future wait; it then calls the very instance of the
/// inner service that was ready.
#[must_use]
pub struct BearerAuth<S, C = (), R = DefaultReject> {
    inner: S,
    server: ResourceServer<C>,
    guard: Guard,
    reject: R,
}

impl<S, C, R> BearerAuth<S, C, R> {
    pub(crate) fn new(inner: S, server: ResourceServer<C>, guard: Guard, reject: R) -> Self {
        Self { inner, server, guard, reject }
    }

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
        let guard = &self.guard;
        guard.prepare(&mut request);
        let requirement = guard.requirement(&request);
        let (credential, places) = guard.find(&request);
        let (attempt, caller) = match credential {
            _ if requirement == Requirement::Nothing => (None, None),
            Ok(credential) => (Some(self.server.attempt(&credential)), guard.keep(&credential)),
            Err(error) => (Some(Attempt::Done(Err(error.in_space(Some(&self.server.space()))))), None),
        };
        let mut finish = Finish::new(self.reject.clone(), places.hide_in(&mut request));
        let admitted = match attempt {
            None => {
                Guard::admit_anonymous(Anonymous::in_space(self.server.space()), &mut request);
                Ok(())
            }
            Some(Attempt::Done(verdict)) => guard.admit(requirement, verdict, caller, &mut request),
            Some(Attempt::Waiting(verdict)) => {
                // the instance that has been polled ready is the one that must be called
                let fresh = self.inner.clone();
                let ready = mem::replace(&mut self.inner, fresh);
                let (request, guard) = (Some(request), guard.clone());
                let waiting = Box::new(Waiting { verdict, caller, ready, request, guard, requirement });
                return ResponseFuture { state: State::Waiting { waiting }, finish };
            }
        };
        let state = State::decided(admitted, request, guard, &mut self.inner, &mut finish);
        ResponseFuture { state, finish }
    }
}

impl<S: Clone, C, R: Clone> Clone for BearerAuth<S, C, R> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            server: self.server.clone(),
            guard: self.guard.clone(),
            reject: self.reject.clone(),
        }
    }
}

impl<S: fmt::Debug, C, R> fmt::Debug for BearerAuth<S, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuth").field("inner", &self.inner).field("server", &self.server).finish_non_exhaustive()
    }
}
