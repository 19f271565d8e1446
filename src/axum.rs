//! Extractors for axum: [`AccessToken`], `Option<AccessToken>`, [`Require`] and [`CallerToken`].
//!
//! | argument of the handler | anonymous caller | token without the permission | no layer |
//! |---|---|---|---|
//! | [`AccessToken<C>`] | 401 | – | 500 |
//! | `Option<AccessToken<C>>` | `None` | – | 500 |
//! | [`CallerToken`] | 401 | – | 500 |
//! | [`Require<P, C>`] | 401 | 403 with the operation's `scope` | 500 |
//!
//! A caller is anonymous on a public route, and without a token behind a layer that is
//! [`optional`](crate::BearerAuthLayer::optional). A *bad* token does not get as far as an
//! extractor: the layer has refused it, unless it is [`lenient`](crate::BearerAuthLayer::lenient);
//! then the extractors refuse it, and `Option<AccessToken>` is `None`.

use axum_core::body::Body;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;

use crate::access_token::AccessToken;
use crate::authz::Permission;
use crate::error::Error;
use crate::reject::{Rejection, leave_to_layer};
use crate::relay::CallerToken;
use crate::require::Require;

impl<C: ?Sized + Send + Sync + 'static, S: Send + Sync> FromRequestParts<S> for AccessToken<C> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Self::from_extensions(&parts.extensions).cloned().map_err(|error| Rejection::new(error, &*parts))
    }
}

impl<C: ?Sized + Send + Sync + 'static, S: Send + Sync> OptionalFromRequestParts<S> for AccessToken<C> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        let found = Self::found_in(&parts.extensions).map_err(|error| Rejection::new(error, &*parts))?;
        Ok(found.ok().cloned())
    }
}

impl<P: Permission, C: ?Sized + Send + Sync + 'static, S: Send + Sync> FromRequestParts<S> for Require<P, C> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Self::from_extensions(&parts.extensions).map_err(|error| Rejection::new(error, &*parts))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for CallerToken {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Self::from_extensions(&parts.extensions).cloned().map_err(|error| Rejection::new(error, &*parts))
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let mut response = Self::into_response(self.clone(), Body::empty());
        leave_to_layer(&mut response, self);
        response
    }
}

impl IntoResponse for Error {
    /// Answers as the layer does, so that a handler may say `token.require(&rule)?`. Over HTTP: a
    /// gRPC method answers with a status instead.
    fn into_response(self) -> Response {
        IntoResponse::into_response(Rejection::without_request(self))
    }
}
