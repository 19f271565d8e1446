//! Step 7: the caller is authorized by what the token permits.

mod index;
mod permission;
mod routes;
mod rule;
mod rules;
mod spelling;

pub use self::permission::Permission;
pub(crate) use self::permission::needed;
#[doc(hidden)]
pub use self::permission::{checked, unchecked};
pub(crate) use self::routes::{Route, Routes};
pub use self::rule::Rule;
pub use self::rules::{Access, AuthzRules, AuthzRulesBuilder};
