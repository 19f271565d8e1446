//! Which claims a token must have, and where the others are: a [`Claim`] is a demand, for
//! [`Issuer::require`](crate::Issuer::require); [`Scopes`] and [`Roles`] say where an issuer puts
//! what its tokens permit, by paths of [`Segment`]s. What a token says is read by the methods of
//! [`AccessToken`](crate::AccessToken); a [`Principal`] is who calls, an [`Actor`] whoever acts for
//! a user, and an [`AuthorizationDetail`] what is permitted beyond scopes.

// The claims of the payload, by type, still unverified: registered claims (RFC 7519 §4.1), scopes
// and roles.

mod actor;
mod authorization_detail;
mod claim;
mod date;
mod path;
mod principal;
mod registered;
mod role;
mod scope;
#[cfg(test)]
mod tests;
mod typed;

pub use self::actor::Actor;
pub(crate) use self::actor::check_actors;
pub use self::authorization_detail::AuthorizationDetail;
pub(crate) use self::claim::Unmet;
pub use self::claim::{Claim, ClaimValue};
#[cfg(feature = "introspection")]
pub(crate) use self::date::LATEST_DATE;
pub(crate) use self::date::numeric_date;
pub(crate) use self::path::Path;
pub use self::path::Segment;
pub use self::principal::Principal;
pub(crate) use self::principal::{Mark, Principals};
pub(crate) use self::registered::{Audience, Registered};
pub use self::role::Roles;
pub use self::scope::{Scopes, is_scope_token};
pub(crate) use self::typed::read_claims;
