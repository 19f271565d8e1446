//! What each operation of a service needs, in one place: [`AuthzRules`] say it for a whole router
//! or tonic server, by an [`Access`] for each route. A [`Permission`] is a type that stands for a
//! [`Rule`], for handlers that say in their signature what they need;
//! [`permissions!`](crate::permissions) makes such types.

// Step 7: the caller is authorized by what the token permits.

mod index;
mod permission;
mod routes;
pub(crate) mod rule;
mod rules;
mod spelling;

pub use self::permission::Permission;
pub(crate) use self::permission::needed;
pub(crate) use self::routes::{Route, Routes};
pub(crate) use self::rule::Rule;
pub use self::rules::{Access, AuthzRules, AuthzRulesBuilder};
