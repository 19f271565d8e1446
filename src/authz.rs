//! Step 7: the caller is authorized by what the token permits.

mod permission;
mod rule;
mod rules;

pub use self::permission::Permission;
pub(crate) use self::permission::needed;
#[doc(hidden)]
pub use self::permission::{checked, unchecked};
pub use self::rule::Rule;
pub(crate) use self::rules::is_identifier;
pub use self::rules::{Access, AuthzRules, AuthzRulesBuilder};
