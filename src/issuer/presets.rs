//! What is known of some providers' tokens, as settings and nothing else.
//!
//! What a constructor sets, settings add to or replace as they do elsewhere. None of them sets the audience, unless there is only one that it can be. They follow what the
//! providers document and publish as source; `tests/presets` has a token in the shape of each.

mod hosted;
mod microsoft;
mod servers;
mod workloads;

use super::Issuer;
use crate::claims::{Claim, Principals};

impl Issuer {
    /// Says by what the tokens tell users and clients apart.
    fn told_by(mut self, principals: Principals) -> Self {
        self.terms.principals = Some(principals);
        self
    }

    /// Refuses tokens that have one of these claims, by which other kinds of them can be told.
    fn lacking<const N: usize>(self, names: [&str; N]) -> Self {
        names.into_iter().fold(self, |issuer, name| issuer.require(Claim::absent([name])))
    }

    /// Notes, to be said when the server is built, that an argument cannot be meant.
    fn expecting(mut self, right: bool, field: &'static str, fix: &'static str) -> Self {
        if !right {
            self.terms.faults.push((field, fix));
        }
        self
    }
}

/// Tells whether this is a GUID as tokens have it.
pub(crate) fn is_guid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Tells whether this is a host, perhaps with a port, and no address.
fn is_host(text: &str) -> bool {
    !text.is_empty() && !text.contains(['/', '?', '#', '@', ' ']) && !text.contains("://")
}
