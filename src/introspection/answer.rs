//! What an issuer answers, pure: from status, headers and body to claims, to "not active", or to a
//! fault that is not the caller's.

mod review;
mod said;
#[cfg(test)]
mod tests;

use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};

use self::said::parse;
pub(crate) use self::said::{Active, Fault, Said};
use super::settings::{Dialect, Introspection};
use crate::clock::UnixTime;
use crate::jose::{Json, Value, media_type};

/// The media type of a signed answer (RFC 9701 §4), without `application/`.
pub(crate) const SIGNED: &str = "token-introspection+jwt";

/// An issuer that wants to be left alone for longer is asked again all the same: no token of it that
/// is unknown is accepted meanwhile.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);
/// An issuer that limits how often it is asked, and does not say until when.
const LIMITED: Duration = Duration::from_secs(1);

impl Introspection {
    /// Reads an answer.
    pub(crate) fn read(&self, answer: Response<Vec<u8>>, now: UnixTime) -> Result<Said, Fault> {
        let (parts, body) = answer.into_parts();
        match (self.dialect, parts.status) {
            (Dialect::OAuth, StatusCode::OK) => {}
            (Dialect::Kubernetes, StatusCode::OK | StatusCode::CREATED) => return review::read(body),
            (_, status) => {
                let said = retry_after(&parts.headers, now);
                let limited = (status == StatusCode::TOO_MANY_REQUESTS).then_some(LIMITED);
                return Err(Fault { retry_after: said.or(limited), ..self.refusal(status, &body) });
            }
        }
        let signed = content_type(&parts.headers).is_some_and(|typ| media_type(typ).eq_ignore_ascii_case(SIGNED));
        match (self.signed, signed) {
            (false, false) => read_claims(body),
            (false, true) => {
                Err(Fault::of_answer("the issuer signs its answer, which was not asked for; see Introspection::signed"))
            }
            (true, false) => Err(Fault::of_answer(
                "the answer is not signed, as is demanded: its type is not application/token-introspection+jwt",
            )),
            (true, true) => {
                String::from_utf8(body).map(Said::Signed).map_err(|_| Fault::of_answer("the signed answer is no text"))
            }
        }
    }

    /// Says what another status than success means. Only what is about this service or the endpoint
    /// is an outage: a 403 may be that of a firewall which dislikes a token, and a 500 that of a
    /// token at which the issuer stumbles.
    fn refusal(&self, status: StatusCode, body: &[u8]) -> Fault {
        let code = error_code(body);
        let shown = code.map(|code| format!(" ({code})")).unwrap_or_default();
        let said = format!("the issuer answered {status}{shown}");
        let refuses = || format!("{said}: it refuses this service ({}); {}", self.client.name(), self.why_refused());
        match status {
            StatusCode::UNAUTHORIZED => Fault::outage(refuses()),
            StatusCode::BAD_REQUEST if matches!(code, Some("invalid_client" | "unauthorized_client")) => {
                Fault::outage(refuses())
            }
            StatusCode::FORBIDDEN => Fault::of_answer(refuses()),
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Fault::outage(said),
            _ if status.is_redirection() => {
                Fault::of_answer(format!("{said}; a redirect is not followed, since it would take the token along"))
            }
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                Fault::of_answer(format!("{said}; is this its introspection endpoint?"))
            }
            _ => Fault::of_answer(said),
        }
    }

    /// Says why an issuer most likely refuses this service.
    fn why_refused(&self) -> &'static str {
        match self.client.name() {
            "client_secret_basic" => {
                "are identifier and secret right? They were sent form-encoded (RFC 6749 §2.3.1): if they hold special \
                 characters and the issuer does not decode them, use ClientAuthentication::client_secret_post or \
                 client_secret_basic_without_encoding; at Keycloak, the client must be confidential, and another than \
                 the one that got the token"
            }
            "client_secret_basic_without_encoding" => {
                "are identifier and secret right? They were not form-encoded, as RFC 6749 §2.3.1 demands: if they hold \
                 special characters, use ClientAuthentication::client_secret_basic"
            }
            "private_key_jwt" => {
                "does it know the key, by this kid, and its identifier as the aud of the JWT; and are the clocks right?"
            }
            "bearer" if self.dialect == Dialect::Kubernetes => {
                "may its account create tokenreviews, as the cluster role system:auth-delegator may?"
            }
            "bearer" => "is the token right, and has it the scope for introspection?",
            "tls_client_auth" => "does the http_client show the certificate that the issuer knows?",
            _ => "are identifier and secret right, and may this client introspect?",
        }
    }
}

/// Reads the claims of an answer (RFC 7662 §2.2): also those inside a signed one.
pub(crate) fn read_claims(body: Vec<u8>) -> Result<Said, Fault> {
    let json = parse(body)?;
    match json.root().get("active").map(|active| active.as_bool().ok_or(active)) {
        Some(Ok(true)) => Ok(Said::Active(Active::stated(json))),
        Some(Ok(false)) => Ok(Said::Inactive),
        Some(Err(other)) => Err(Fault::of_answer(format!("active is {}, not a boolean", Value::type_name(other)))),
        None => Err(Fault::of_answer("the answer has no member active")),
    }
}

/// Returns the sole content type, without its parameters.
fn content_type(headers: &HeaderMap) -> Option<&str> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let sole = types.next().filter(|_| types.next().is_none())?;
    sole.to_str().ok()?.split(';').next().map(str::trim)
}

/// Reads how long an issuer wants to be left alone, in seconds or as a date (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap, now: UnixTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = text.parse().ok().map(Duration::from_secs);
    let until = || httpdate::parse_http_date(text).ok()?.duration_since(now.to_system_time()?).ok();
    seconds.or_else(until).map(|wait| wait.min(MAX_RETRY_AFTER))
}

/// The error codes that are worth a place in a log. Whatever else a server sends may repeat the
/// token.
const CODES: [&str; 10] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "invalid_token",
    "insufficient_scope",
    "access_denied",
    "unsupported_token_type",
    "server_error",
    "temporarily_unavailable",
];

fn error_code(body: &[u8]) -> Option<&'static str> {
    let json = Json::parse_all(body.to_vec()).ok()?;
    let code = json.root().get("error").and_then(Value::as_str);
    CODES.into_iter().find(|known| code == Some(known))
}
