//! When an issuer's key set is fetched, and what is known of it meanwhile.

mod absent;
mod allowance;
mod cache;
mod demand;
mod keeper;
mod lease;
mod saved;
mod schedule;
mod state;
mod status;
mod upkeep;

pub(crate) use self::allowance::Allowance;
pub(crate) use self::cache::Keys;
pub(crate) use self::demand::{Demand, Fetch, Want};
pub(crate) use self::lease::GRACE;
pub use self::saved::SavedKeys;
pub use self::status::{IssuerStatus, KeysState};
pub(crate) use self::upkeep::Upkeep;
