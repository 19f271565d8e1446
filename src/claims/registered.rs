//! The registered claims (RFC 7519 §4.1), found in one pass over the payload's members.

use crate::error::{Error, ErrorKind};
use crate::jose::{Json, Value};

macro_rules! registered {
    ($($claim:ident)*) => {
        /// The members of the payload that every token is checked by, but for `iss`, by which its
        /// policy was selected; none has been looked into yet.
        #[derive(Clone, Copy, Default)]
        pub(crate) struct Registered<'j> {
            $(pub(crate) $claim: Option<Value<'j>>,)*
        }

        impl<'j> Registered<'j> {
            pub(crate) fn of(payload: &'j Json) -> Self {
                let mut claims = Self::default();
                for (name, value) in payload.root().members() {
                    match name {
                        $(_ if name == stringify!($claim) => claims.$claim = Some(value),)*
                        _ => {}
                    }
                }
                claims
            }
        }
    };
}

registered! { act aud azp client_id cnf events exp iat jti nbf sub }

#[cfg(feature = "introspection")]
impl Registered<'_> {
    /// Leaves out what is `null` of what may be absent: some servers write `null` for what they do
    /// not know.
    pub(crate) fn without_nulls(self) -> Self {
        let [aud, exp, iat, nbf] =
            [self.aud, self.exp, self.iat, self.nbf].map(|claim| claim.filter(|value| !value.is_null()));
        Self { aud, exp, iat, nbf, ..self }
    }
}

/// The audiences of a token (`aud`): a string or an array of strings (RFC 7519 §4.1.3).
#[derive(Clone, Copy)]
pub(crate) struct Audience<'j>(Value<'j>);

impl<'j> Audience<'j> {
    pub(crate) fn read(value: Value<'j>) -> Result<Self, Error> {
        let malformed = || Error::new(ErrorKind::MalformedClaim, "aud is neither a string nor an array of strings");
        let strings = value.is_array() && value.items().all(|item| item.as_str().is_some());
        if strings || value.as_str().is_some() { Ok(Self(value)) } else { Err(malformed()) }
    }

    /// Returns the audiences in the order in which the token lists them.
    pub(crate) fn iter(self) -> impl Iterator<Item = &'j str> {
        self.0.strings()
    }

    /// Tells whether one of `ours` is meant, byte for byte.
    pub(crate) fn names(self, ours: &[Box<str>]) -> bool {
        self.iter().any(|theirs| ours.iter().any(|own| **own == *theirs))
    }
}
