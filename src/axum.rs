//! Extractors for axum: [`AccessToken`], `Option<AccessToken>` and [`Require`].
//!
//! | argument of the handler | no token (optional layer) | token without the permission | no layer |
//! |---|---|---|---|
//! | [`AccessToken<C>`] | 401 | – | 500 |
//! | `Option<AccessToken<C>>` | `None` | – | 500 |
//! | [`Require<P, C>`] | 401 | 403 with the operation's `scope` | 500 |
//!
//! A *bad* token never gets as far as an extractor: the layer has refused it.

use axum_core::body::Body;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;

use crate::access_token::AccessToken;
use crate::authz::Permission;
use crate::error::ErrorKind;
use crate::reject::Rejection;
use crate::require::Require;
use crate::trace::event;

impl<C, S> FromRequestParts<S> for AccessToken<C>
where
    C: ?Sized + Send + Sync + 'static,
    S: Send + Sync,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Self::from_extensions(&parts.extensions).cloned().map_err(|error| refuse(error, parts))
    }
}

impl<C, S> OptionalFromRequestParts<S> for AccessToken<C>
where
    C: ?Sized + Send + Sync + 'static,
    S: Send + Sync,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        match Self::from_extensions(&parts.extensions) {
            Ok(token) => Ok(Some(token.clone())),
            Err(error) if error.kind() == ErrorKind::MissingToken => Ok(None),
            Err(error) => Err(refuse(error, parts)),
        }
    }
}

impl<P, C, S> FromRequestParts<S> for Require<P, C>
where
    P: Permission,
    C: ?Sized + Send + Sync + 'static,
    S: Send + Sync,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Self::from_extensions(&parts.extensions).map_err(|error| refuse(error, parts))
    }
}

fn refuse(error: crate::error::Error, parts: &Parts) -> Rejection {
    if error.kind() == ErrorKind::LayerMissing {
        event!(error, "a handler has no layer in front of it", reason = error);
    }
    Rejection::inner(error, &parts.headers, &parts.extensions)
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        Self::into_response(self, Body::empty())
    }
}
