//! Who calls: what the services take from the layer.

use axum::extract::FromRequestParts;
use http::Extensions;
use http::request::Parts;
use serde::Deserialize;
use tower_bearer::relay::CallerToken;
use tower_bearer::{AccessToken, Error};

use crate::domain::{ADMIN, Roles};

/// What our own tokens say of an employee, if they were issued with it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Claims {
    /// The roles at each location. A role that we do not know makes the token malformed.
    pub locations: Option<Roles>,
}

/// Who calls.
#[derive(Clone, Debug)]
pub struct Actor {
    pub token: AccessToken<Claims>,
    /// To ask another service in the caller's name.
    pub caller: CallerToken,
}

impl Actor {
    /// Takes it from a request's extensions, where the layer puts it.
    pub fn from_extensions(extensions: &Extensions) -> Result<Self, Error> {
        let token = AccessToken::from_extensions(extensions)?.clone();
        Ok(Self { token, caller: CallerToken::from_extensions(extensions)?.clone() })
    }

    /// Employees are known by the subject of their tokens, which each token here has.
    pub fn subject(&self) -> &str {
        self.token.subject().unwrap_or_default()
    }

    pub fn is_admin(&self) -> bool {
        self.token.has_role(ADMIN)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Actor {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        Self::from_extensions(&parts.extensions)
    }
}
