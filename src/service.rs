//! The service: verifies, then calls.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::AUTHORIZATION;
use http::{Request, Response};
use tower_service::Service;

use crate::access_token::Anonymous;
use crate::bearer::credentials;
use crate::error::ErrorKind;
use crate::future::{ResponseFuture, Waiting};
use crate::public::Public;
use crate::reject::{DefaultReject, Reject, Rejection, reject};
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
    optional: bool,
    /// `None` if nothing is, so that a clone costs nothing.
    public: Option<Arc<[Public]>>,
    reject: R,
}

impl<S, C, R> BearerAuth<S, C, R> {
    pub(crate) fn new(
        inner: S,
        server: ResourceServer<C>,
        optional: bool,
        public: Option<Arc<[Public]>>,
        reject: R,
    ) -> Self {
        Self { inner, server, optional, public, reject }
    }

    fn is_public<B>(&self, request: &Request<B>) -> bool {
        let public = self.public.as_deref().unwrap_or_default();
        public.iter().any(|public| public.is(request.method(), request.uri().path()))
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
        // whatever becomes of them, nothing is to print the credentials
        if let Some(credentials) = request.headers_mut().get_mut(AUTHORIZATION) {
            credentials.set_sensitive(true);
        }
        let attempt = match credentials(request.headers()) {
            _ if self.is_public(&request) => {
                Anonymous { realm: self.server.realm() }.enter(request.extensions_mut());
                return ResponseFuture::calling(self.inner.call(request));
            }
            Ok(token) => self.server.attempt(token),
            Err(error) if self.optional && error.kind() == ErrorKind::MissingToken => {
                Anonymous { realm: self.server.realm() }.enter(request.extensions_mut());
                return ResponseFuture::calling(self.inner.call(request));
            }
            Err(error) => Attempt::Done(Err(error.in_realm(&self.server.realm()))),
        };
        match attempt {
            Attempt::Done(Ok(token)) => {
                token.enter(request.extensions_mut());
                ResponseFuture::calling(self.inner.call(request))
            }
            Attempt::Done(Err(error)) => {
                let rejection = Rejection::new(error, request.method(), request.headers());
                ResponseFuture::rejected(reject(&self.reject, rejection))
            }
            Attempt::Waiting(verdict) => {
                // the instance that has been polled ready is the one that must be called
                let fresh = self.inner.clone();
                let ready = mem::replace(&mut self.inner, fresh);
                ResponseFuture::waiting(Waiting::new(verdict, ready, request, self.reject.clone()))
            }
        }
    }
}

impl<S: Clone, C, R: Clone> Clone for BearerAuth<S, C, R> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            server: self.server.clone(),
            optional: self.optional,
            public: self.public.clone(),
            reject: self.reject.clone(),
        }
    }
}

impl<S: fmt::Debug, C, R> fmt::Debug for BearerAuth<S, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuth").field("inner", &self.inner).field("server", &self.server).finish_non_exhaustive()
    }
}
