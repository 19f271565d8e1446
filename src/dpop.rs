//! Tokens that are bound to a key of their sender, and the proofs that show it: DPoP (RFC 9449).
//!
//! [`Issuer::accept_dpop`](crate::Issuer::accept_dpop) or
//! [`require_dpop`](crate::Issuer::require_dpop) says whose tokens may or must be bound, and [`Dpop`]
//! what is asked of proofs.
//!
//! A proof is good once. A [`ReplayStore`] remembers those that were used: the
//! [`InMemoryReplayStore`] for one process, and the `RedisReplayStore` of the feature `redis` for
//! all replicas. [`Nonces`] make proofs that were made in advance, or long ago, worthless.

mod nonce;
mod proof;
mod replay;
mod settings;

pub(crate) use self::nonce::Mint;
pub use self::nonce::Nonces;
pub(crate) use self::proof::{Dating, Demands, Proof};
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use self::replay::RedisReplayStore;
pub(crate) use self::replay::{Asked, NotUnused, ask};
pub use self::replay::{FirstUse, InMemoryReplayStore, ProofUse, ReplayStore};
pub use self::settings::Dpop;
pub(crate) use self::settings::ProofTerms;
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use crate::redis::RedisError;
pub use crate::secret::Secret;
