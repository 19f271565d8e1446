//! The request of a logout: one parameter in a form (OpenID Connect Back-Channel Logout 1.0 §2.5).

use std::borrow::Cow;

use bytes::Buf;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request};
use http_body::Body;
use http_body_util::{BodyExt, Limited};

use crate::credential::percent_decoded;

/// The longest form; a logout token has 1 KB.
const MAX_LEN: usize = 64 * 1024;

/// Why a request is none of a logout.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NoForm {
    Method,
    Type,
    Body,
    Parameter,
}

impl NoForm {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Method => "a logout token is sent by POST",
            Self::Type => "a logout token is sent as application/x-www-form-urlencoded",
            Self::Body => "the form could not be read, or is longer than 64 KiB",
            Self::Parameter => "the form does not have exactly one logout_token",
        }
    }
}

/// Reads the form of a request.
pub(super) async fn read<B: Body>(request: Request<B>) -> Result<Vec<u8>, NoForm>
where
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if *request.method() != Method::POST {
        return Err(NoForm::Method);
    }
    if !is_form(request.headers()) {
        return Err(NoForm::Type);
    }
    let body = Limited::new(request.into_body(), MAX_LEN).collect().await.map_err(|_| NoForm::Body)?;
    let mut data = body.aggregate();
    let mut form = Vec::with_capacity(data.remaining());
    while data.has_remaining() {
        let chunk = data.chunk();
        form.extend_from_slice(chunk);
        let read = chunk.len();
        data.advance(read);
    }
    Ok(form)
}

/// Finds the token.
pub(super) fn token(form: &[u8]) -> Result<Cow<'_, [u8]>, NoForm> {
    let form = std::str::from_utf8(form).map_err(|_| NoForm::Parameter)?;
    let mut tokens = form.split('&').filter_map(|parameter| parameter.strip_prefix("logout_token="));
    match (tokens.next(), tokens.next()) {
        (Some(token), None) if !token.is_empty() => Ok(percent_decoded(token)),
        _ => Err(NoForm::Parameter),
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let essence = |text: &str| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(essence);
    content_type.as_deref() == Some("application/x-www-form-urlencoded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_token_is_found() {
        for (form, expected) in [
            ("logout_token=a.b.c", Some("a.b.c")),
            ("logout_token=a%2Eb%2ec", Some("a.b.c")),
            ("x=1&logout_token=a.b.c&y=", Some("a.b.c")),
            ("", None),
            ("logout_token", None),
            ("logout_token=", None),
            ("logout_token=a&logout_token=a", None),
            ("logout_token=a&logout_token=", None),
            ("xlogout_token=a", None),
            ("token=a", None),
        ] {
            assert_eq!(token(form.as_bytes()).ok().as_deref(), expected.map(str::as_bytes), "{form}");
        }
        assert_eq!(token(b"logout_token=\xff"), Err(NoForm::Parameter));
    }
}
