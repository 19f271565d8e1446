//! Refusals with a document for a body.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};

use super::{Reject, Rejection};
use crate::challenge::{self, Challenge};
use crate::error::ErrorKind;

/// Refuses with a problem document (RFC 9457), such as
/// `{"type":"about:blank","title":"Unauthorized","status":401,"detail":"…","error":"invalid_token"}`.
///
/// `detail` is the fixed text of the [`ErrorKind`] and `error` the code of RFC 6750 §3.1, if there
/// is one. gRPC is refused as always, without a body.
///
/// ```
/// # use tower_bearer::{BearerAuthLayer, Issuer, ResourceServer};
/// use tower_bearer::reject::ProblemJson;
///
/// # fn main() -> Result<(), tower_bearer::ConfigError> {
/// # let server = ResourceServer::new("https://api.example.com").trust(Issuer::new("https://id.example.com/")).build()?;
/// let layer = BearerAuthLayer::new(server).reject_with(ProblemJson::default());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ProblemJson;

impl<B: Default + From<String>> Reject<B> for ProblemJson {
    fn reject(&self, rejection: Rejection) -> Response<B> {
        with_json(rejection, "application/problem+json", |kind, status| {
            let mut problem = serde_json::json!({
                "type": "about:blank",
                "title": status.canonical_reason(),
                "status": status.as_u16(),
                "detail": kind.text(),
            });
            if let (Challenge::Code(code), Some(members)) = (challenge::wire(kind).challenge, problem.as_object_mut()) {
                members.insert("error".to_owned(), code.into());
            }
            problem
        })
    }

    fn reads_request(&self) -> bool {
        false
    }
}

/// Refuses as GraphQL clients expect it:
/// `{"errors":[{"message":"…","extensions":{"code":"UNAUTHENTICATED"}}]}`, as
/// `application/graphql-response+json`, with the status and challenge of every refusal.
///
/// The code is `UNAUTHENTICATED` for 401, else the name of the status: `FORBIDDEN`, `BAD_REQUEST`,
/// `SERVICE_UNAVAILABLE` or `INTERNAL_SERVER_ERROR`. gRPC is refused as always, without a body.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct GraphQlErrors;

impl<B: Default + From<String>> Reject<B> for GraphQlErrors {
    fn reject(&self, rejection: Rejection) -> Response<B> {
        with_json(rejection, "application/graphql-response+json", |kind, status| {
            let code = match status {
                StatusCode::UNAUTHORIZED => "UNAUTHENTICATED".to_owned(),
                other => other.canonical_reason().unwrap_or_default().to_ascii_uppercase().replace(' ', "_"),
            };
            serde_json::json!({ "errors": [{ "message": kind.text(), "extensions": { "code": code } }] })
        })
    }

    fn reads_request(&self) -> bool {
        false
    }
}

/// Refuses with a document; gRPC, as always, without a body.
fn with_json<B: Default + From<String>>(
    rejection: Rejection,
    media_type: &'static str,
    document: impl FnOnce(ErrorKind, StatusCode) -> serde_json::Value,
) -> Response<B> {
    if rejection.is_grpc() {
        return rejection.into_response(B::default());
    }
    let document = document(rejection.error().kind(), rejection.status());
    let mut response = rejection.into_response(B::from(document.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_a_graphql_error_is_that_of_its_status() {
        for kind in ErrorKind::ALL {
            let response: Response<String> = GraphQlErrors.reject(Rejection::without_request((*kind).into()));
            let code = match response.status().as_u16() {
                400 => "BAD_REQUEST",
                401 => "UNAUTHENTICATED",
                403 => "FORBIDDEN",
                500 => "INTERNAL_SERVER_ERROR",
                503 => "SERVICE_UNAVAILABLE",
                other => panic!("{other} has no code in the documentation"),
            };
            let body: serde_json::Value = serde_json::from_str(response.body()).unwrap();
            assert_eq!(body["errors"][0]["extensions"]["code"], code, "{kind:?}");
        }
    }
}
