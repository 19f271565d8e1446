//! Longer texts, for questions that no single item answers.

#[cfg(all(feature = "dpop", feature = "mtls"))]
#[doc = include_str!("guide/bound.md")]
pub mod bound {}

#[doc = include_str!("guide/calls.md")]
pub mod calls {}

#[cfg(feature = "mtls")]
#[doc = include_str!("guide/certificates.md")]
pub mod certificates {}

#[cfg(feature = "introspection")]
#[doc = include_str!("guide/opaque.md")]
pub mod opaque {}

#[doc = include_str!("guide/providers.md")]
pub mod providers {}

#[doc = include_str!("guide/refused.md")]
pub mod refused {}

#[doc = include_str!("guide/revoking.md")]
pub mod revoking {}

#[doc = include_str!("guide/scale.md")]
pub mod scale {}

#[doc = include_str!("guide/wishes.md")]
pub mod wishes {}
