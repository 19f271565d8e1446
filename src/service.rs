//! The service: verifies, then calls.

use std::fmt;
use std::iter;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::AUTHORIZATION;
use http::{Request, Response};
use tower_service::Service;

use crate::access_token::Anonymous;
use crate::future::{Finish, ResponseFuture, Waiting};
use crate::gate::{Gate, Need, admit, find_credential, keep, let_in, mark, need};
use crate::reject::{DefaultReject, Reject};
use crate::server::{Attempt, ResourceServer};

/// Middleware that calls the inner service only with a verified token; made by
/// [`BearerAuthLayer`](crate::BearerAuthLayer).
///
/// A token whose key is known is verified within `call`, without an await or a boxed future. Only when keys must be
/// fetched first does the future wait; it then calls the very instance of the inner service that was ready.
#[must_use]
pub struct BearerAuth<S, C = (), R = DefaultReject> {
    inner: S,
    server: ResourceServer<C>,
    /// `None` if it asks for nothing but a token, so that a clone costs nothing.
    gate: Option<Arc<Gate>>,
    reject: R,
}

impl<S, C, R> BearerAuth<S, C, R> {
    pub(crate) fn new(inner: S, server: ResourceServer<C>, gate: Option<Arc<Gate>>, reject: R) -> Self {
        Self { inner, server, gate, reject }
    }

    /// Sees to it that nothing prints the credentials, whatever becomes of them; what custom
    /// sources find is hidden afterwards.
    fn hide_credentials<B>(&self, request: &mut Request<B>) {
        let headers = request.headers_mut();
        let Some(gate) = &self.gate else {
            // were there two, the request would be refused
            if let Some(credentials) = headers.get_mut(AUTHORIZATION) {
                credentials.set_sensitive(true);
            }
            return;
        };
        let sources = gate.sources.iter().flatten().filter_map(|source| source.header_name());
        for name in iter::once(&AUTHORIZATION).chain(sources) {
            if let http::header::Entry::Occupied(mut values) = headers.entry(name) {
                values.iter_mut().for_each(|value| value.set_sensitive(true));
            }
        }
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
        self.hide_credentials(&mut request);
        let gate = self.gate.as_deref();
        mark(gate, &mut request);
        let need = need(gate, &request);
        let open = need == Need::Nothing;
        let (credential, places) = find_credential(gate, &request);
        let (attempt, caller) = match credential {
            _ if open => (None, None),
            Ok(credential) => (Some(self.server.attempt(&credential)), keep(gate, &credential)),
            Err(error) => (Some(Attempt::Done(Err(error.in_realm(&self.server.realm())))), None),
        };
        let mut finish = Finish::new(&self.reject, places.hide_in(&mut request));
        let Some(attempt) = attempt else {
            let_in(Anonymous::in_realm(self.server.realm()), &mut request);
            finish.keep_head::<B, B2>(gate, &request);
            return ResponseFuture::calling(self.inner.call(request), finish);
        };
        match attempt {
            Attempt::Done(verdict) => match admit(gate, need, verdict, caller, &mut request) {
                Ok(()) => {
                    finish.keep_head::<B, B2>(gate, &request);
                    ResponseFuture::calling(self.inner.call(request), finish)
                }
                Err(error) => ResponseFuture::rejected(finish.refuse(gate, error, request), finish),
            },
            Attempt::Waiting(verdict) => {
                // the instance that has been polled ready is the one that must be called
                let fresh = self.inner.clone();
                let ready = mem::replace(&mut self.inner, fresh);
                ResponseFuture::waiting(Waiting::new(verdict, caller, ready, request, self.gate.clone(), need), finish)
            }
        }
    }
}

impl<S: Clone, C, R: Clone> Clone for BearerAuth<S, C, R> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            server: self.server.clone(),
            gate: self.gate.clone(),
            reject: self.reject.clone(),
        }
    }
}

impl<S: fmt::Debug, C, R> fmt::Debug for BearerAuth<S, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuth").field("inner", &self.inner).field("server", &self.server).finish_non_exhaustive()
    }
}
