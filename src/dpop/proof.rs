//! One proof: that whoever sends a request has the key that its token is bound to (RFC 9449 §4).
//!
//! What costs least comes first: the form, then the key, then what the proof says of the request,
//! then its signature. Each step consumes or holds the evidence of the former.

mod demands;
mod keys;
mod parsed;
mod refusal;
#[cfg(test)]
mod tests;
mod verified;

pub(crate) use self::demands::{Dating, Demands};
pub(crate) use self::keys::PreparedKeys;
pub(crate) use self::parsed::Proof;
