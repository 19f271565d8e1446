//! What is known of some providers' tokens, as settings and nothing else.
//!
//! What a constructor sets, settings add to or replace as they do elsewhere. None of them sets the audience, unless there is only one that it can be. They follow what the
//! providers document and publish as source; `tests/presets` has a token in the shape of each.

mod hosted;
mod microsoft;
mod servers;
mod workloads;

use super::Issuer;
use crate::claims::Principals;

impl Issuer {
    /// Says by what the tokens tell users and clients apart.
    fn told_by(mut self, principals: Principals) -> Self {
        self.principals = Some(principals);
        self
    }
}
