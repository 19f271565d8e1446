//! What a token demands of its sender besides itself, and the evidence that it is met (RFC 7800).

use crate::error::{Error, ErrorKind};
use crate::jose::Value;

/// What a token is bound to by its `cnf`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Binding {
    /// Nothing: it is good for whoever bears it (RFC 6750 §1.2).
    Unbound,
    /// Something of which no proof is known here.
    Unprovable,
}

/// The evidence that a token may be used by its sender; only [`Binding::prove`] makes one.
#[derive(Debug)]
pub(crate) struct Possessed(());

impl Binding {
    pub(crate) fn read(cnf: Option<Value<'_>>) -> Result<Self, Error> {
        match cnf {
            None => Ok(Self::Unbound),
            Some(cnf) if cnf.is_object() => Ok(Self::Unprovable),
            Some(cnf) => {
                Err(Error::new(ErrorKind::MalformedClaim, format!("cnf is {}, not an object", cnf.type_name())))
            }
        }
    }

    /// Judges the sender: a bound token proves nothing without the proof (RFC 9449 §7.2, RFC 8705
    /// §3).
    pub(crate) fn prove(self) -> Result<Possessed, Error> {
        match self {
            Self::Unbound => Ok(Possessed(())),
            Self::Unprovable => {
                let detail = "the token has cnf, and no proof of possession is checked here";
                Err(Error::new(ErrorKind::SenderConstrained, detail))
            }
        }
    }
}
