//! What can go wrong behind the layer, as an answer.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use tonic::{Code, Status};
use tower_bearer::{Error, ErrorKind};

/// Why an operation is not done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Problem {
    /// There is none, or the caller may not know that there is.
    NotFound,
    /// The caller may not do this.
    Forbidden,
    /// Whether the caller may do this cannot be found out now.
    Unavailable,
    /// It cannot be done in the present state.
    Conflict,
    /// What was asked for makes no sense.
    Invalid,
    /// A fault of ours.
    Broken,
}

/// Whether a caller may do something cannot be found out: never taken for a yes, nor for a no.
#[derive(Clone, Copy, Debug)]
pub struct Unavailable;

impl From<Unavailable> for Problem {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::RowNotFound => Self::NotFound,
            sqlx::Error::Database(error) if error.is_foreign_key_violation() => Self::NotFound,
            sqlx::Error::Database(error) if error.is_unique_violation() => Self::Conflict,
            error => {
                tracing::error!(%error, "the database");
                Self::Broken
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND.into_response(),
            // as the layer refuses
            Self::Forbidden => Error::from(ErrorKind::AccessDenied).into_response(),
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            Self::Conflict => StatusCode::CONFLICT.into_response(),
            Self::Invalid => StatusCode::UNPROCESSABLE_ENTITY.into_response(),
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        let (code, text) = match problem {
            Problem::NotFound => (Code::NotFound, "there is no such system"),
            Problem::Forbidden => return Error::from(ErrorKind::AccessDenied).into(),
            Problem::Unavailable => (Code::Unavailable, "permission cannot be checked now"),
            Problem::Conflict => (Code::FailedPrecondition, "the system is in that state already"),
            Problem::Invalid => (Code::InvalidArgument, "that makes no sense"),
            Problem::Broken => (Code::Internal, "a fault of the service"),
        };
        Self::new(code, text)
    }
}
