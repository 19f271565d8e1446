//! The registered claims, found in one pass over the payload's members.

use crate::jose::{Json, Value};

/// The members of the payload that every token is checked by, but for `iss`, by which its policy was selected; none has
/// been looked into yet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Registered<'j> {
    pub(crate) aud: Option<Value<'j>>,
    pub(crate) azp: Option<Value<'j>>,
    pub(crate) client_id: Option<Value<'j>>,
    pub(crate) cnf: Option<Value<'j>>,
    pub(crate) exp: Option<Value<'j>>,
    pub(crate) iat: Option<Value<'j>>,
    pub(crate) jti: Option<Value<'j>>,
    pub(crate) nbf: Option<Value<'j>>,
    pub(crate) sub: Option<Value<'j>>,
}

impl<'j> Registered<'j> {
    pub(crate) fn of(payload: &'j Json) -> Self {
        let mut claims = Self::default();
        for (name, value) in payload.root().members() {
            let claim = match name {
                "aud" => &mut claims.aud,
                "azp" => &mut claims.azp,
                "client_id" => &mut claims.client_id,
                "cnf" => &mut claims.cnf,
                "exp" => &mut claims.exp,
                "iat" => &mut claims.iat,
                "jti" => &mut claims.jti,
                "nbf" => &mut claims.nbf,
                "sub" => &mut claims.sub,
                _ => continue,
            };
            *claim = Some(value);
        }
        claims
    }
}
