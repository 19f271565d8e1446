//! Step 4: the issuer's key set answers (RFC 7517). Mechanism: what a key is, where sets come from, when they are fetched.

mod absent;
mod allowance;
mod cache;
#[cfg(feature = "http-client")]
mod client;
mod demand;
#[cfg(feature = "http-client")]
mod discovery;
#[cfg(feature = "http-client")]
mod http;
mod jwk;
mod keeper;
mod key_set;
mod lease;
mod pem;
#[cfg(feature = "http-client")]
mod reach;
mod saved;
mod schedule;
mod source;
mod static_keys;
mod status;
#[cfg(test)]
mod vectors;

pub(crate) use self::absent::Fingerprint;
pub(crate) use self::allowance::Allowance;
pub(crate) use self::cache::Keys;
#[cfg(feature = "http-client")]
pub use self::client::HttpClient;
pub(crate) use self::demand::{Demand, Fetch, Outage, Want};
#[cfg(feature = "http-client")]
pub(crate) use self::http::HttpSource;
pub use self::jwk::SkipReason;
pub(crate) use self::keeper::MAX_FETCH;
pub(crate) use self::key_set::{Answer, KeySet};
pub use self::key_set::{KeyStatus, SkippedKey};
pub(crate) use self::lease::GRACE;
#[cfg(feature = "http-client")]
pub(crate) use self::reach::{Reach, is_loopback};
pub use self::saved::SavedKeys;
pub(crate) use self::source::DynKeySource;
pub use self::source::{FetchError, FetchedKeys, KeySource};
pub use self::static_keys::{KeyError, StaticKeys};
pub use self::status::{IssuerStatus, KeysState};
