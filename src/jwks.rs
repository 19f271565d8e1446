//! Step 4: the issuer's key set answers (RFC 7517). Mechanism, in three rooms: what a key set is,
//! where it comes from, and when it is fetched.

mod key_set;

mod source;

mod refresh;

pub use self::key_set::UsableKey;
pub use self::key_set::document::NotAKeySet;
pub use self::key_set::jwk::{SkipReason, SkippedKey};
#[cfg(feature = "dpop")]
pub(crate) use self::key_set::presented::PresentedKey;
pub use self::key_set::static_keys::{KeyError, StaticKeys};
pub(crate) use self::refresh::{Allowance, Cause, GRACE, Keys, PendingFetch, Refresh, Timing};
pub use self::refresh::{Freshness, IssuerStatus, SavedKeys};
pub(crate) use self::source::DynKeySource;
#[cfg(feature = "http-client")]
pub use self::source::http::HttpClient;
#[cfg(feature = "introspection")]
pub(crate) use self::source::http::{Discovered, Outgoing};
#[cfg(feature = "http-client")]
pub(crate) use self::source::http::{HttpAccess, HttpSource, KeysByKid, PlainHost, Reach, is_bare_host, shown};
pub use self::source::{FetchError, FetchedKeys, KeySource};
