//! What can come of a question.

use std::borrow::Cow;
use std::time::Duration;

use crate::jose::Json;

/// What an issuer says of a token.
pub(crate) enum Said {
    Active(Active),
    Inactive,
    /// It is said in a JWT, which is to be verified first.
    Signed(String),
}

/// The answer that a token is active: the claims that its issuer vouches for. Only what reads
/// answers makes one.
pub(crate) struct Active(Json);

impl Active {
    pub(super) fn stated(claims: Json) -> Self {
        Self(claims)
    }

    pub(crate) fn into_claims(self) -> Json {
        self.0
    }
}

/// Why there is no answer to go by: our fault or the issuer's, and never the caller's.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// For the operator; nothing of a token or a secret.
    pub(crate) detail: Cow<'static, str>,
    /// How long the issuer wants to be left alone.
    pub(crate) retry_after: Option<Duration>,
    /// Whether it would be the same for every token.
    pub(crate) outage: bool,
}

impl Fault {
    /// Of every token alike.
    pub(crate) fn outage(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { detail: detail.into(), retry_after: None, outage: true }
    }

    /// Perhaps of this token only.
    pub(crate) fn of_answer(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { detail: detail.into(), retry_after: None, outage: false }
    }
}

pub(super) fn parse(body: Vec<u8>) -> Result<Json, Fault> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Fault::of_answer("the answer is empty"));
    }
    Json::parse_all(body).map_err(|fault| Fault::of_answer(format!("the answer cannot be read: {fault}")))
}
