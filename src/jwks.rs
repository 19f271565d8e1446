//! Step 4: the issuer's key set answers (RFC 7517). Mechanism: what a key is, where sets come from, when they are fetched.

mod cache;
#[cfg(feature = "http-client")]
mod discovery;
#[cfg(feature = "http-client")]
mod http;
mod jwk;
mod key_set;
mod pem;
mod schedule;
mod source;
mod static_keys;
#[cfg(test)]
mod vectors;

pub use self::cache::IssuerStatus;
pub(crate) use self::cache::{Demand, Fetch, Keys, MAX_FETCH, Want};
#[cfg(feature = "http-client")]
pub(crate) use self::http::{HttpSource, is_loopback};
pub use self::jwk::SkipReason;
pub(crate) use self::key_set::{Answer, KeySet};
pub use self::key_set::{KeyStatus, SkippedKey};
pub(crate) use self::source::DynKeySource;
pub use self::source::{FetchError, FetchedKeys, KeySource};
pub use self::static_keys::{KeyError, StaticKeys};
