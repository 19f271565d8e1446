//! An issuer together with where its keys are.

use std::fmt;

use crate::issuer::Issuer;
use crate::jwks::{DynKeySource, KeySource, StaticKeys};

/// What [`trust`](crate::ResourceServerBuilder::trust) takes: an issuer, whose keys are then fetched over HTTP, or a pair
/// of an issuer and its [`StaticKeys`] or any [`KeySource`].
pub struct Trust {
    pub(super) issuer: Issuer,
    pub(super) keys: Origin,
}

pub(super) enum Origin {
    /// The issuer's `jwks_uri`, given or discovered.
    Http,
    Source(Box<dyn DynKeySource>),
    Static(StaticKeys),
}

impl From<Issuer> for Trust {
    fn from(issuer: Issuer) -> Self {
        Self { issuer, keys: Origin::Http }
    }
}

impl From<(Issuer, StaticKeys)> for Trust {
    fn from((issuer, keys): (Issuer, StaticKeys)) -> Self {
        Self { issuer, keys: Origin::Static(keys) }
    }
}

impl<S: KeySource> From<(Issuer, S)> for Trust {
    fn from((issuer, source): (Issuer, S)) -> Self {
        Self { issuer, keys: Origin::Source(Box::new(source)) }
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trust({})", self.issuer.id())
    }
}
