//! Step 4: the issuer's key set answers (RFC 7517). Mechanism: what a key is, where sets come from, when they are fetched.

mod absent;
mod allowance;
#[cfg(feature = "http-client")]
mod by_kid;
mod cache;
#[cfg(feature = "http-client")]
mod client;
#[cfg(feature = "http-client")]
mod content;
mod demand;
#[cfg(feature = "http-client")]
mod discovery;
mod document;
mod guid;
#[cfg(feature = "http-client")]
mod http;
mod jwk;
mod keeper;
mod key_set;
mod lease;
mod pem;
#[cfg(feature = "http-client")]
mod plain;
#[cfg(feature = "http-client")]
mod reach;
mod saved;
mod schedule;
mod skipped;
mod source;
mod state;
mod static_keys;
mod status;
mod upkeep;
#[cfg(test)]
mod vectors;

pub(crate) use self::allowance::Allowance;
#[cfg(feature = "http-client")]
pub(crate) use self::by_kid::KeysByKid;
pub(crate) use self::cache::Keys;
#[cfg(feature = "http-client")]
pub use self::client::HttpClient;
pub(crate) use self::demand::{Demand, Fetch, Want};
pub use self::document::NotAKeySet;
#[cfg(feature = "http-client")]
pub(crate) use self::http::HttpSource;
pub use self::key_set::KeyStatus;
pub(crate) use self::key_set::{Answer, KeySet};
pub(crate) use self::lease::GRACE;
#[cfg(feature = "http-client")]
pub(crate) use self::plain::{Plain, PlainHost};
#[cfg(feature = "http-client")]
pub(crate) use self::reach::{Reach, is_bare_host, shown};
pub use self::saved::SavedKeys;
pub use self::skipped::{SkipReason, SkippedKey};
pub(crate) use self::source::DynKeySource;
pub use self::source::{FetchError, FetchedKeys, KeySource};
pub use self::static_keys::{KeyError, StaticKeys};
pub use self::status::{IssuerStatus, KeysState};
pub(crate) use self::upkeep::Upkeep;
