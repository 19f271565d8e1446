//! Tokens that are bound to a key of their sender, and the proofs that show it: DPoP (RFC 9449).
//!
//! A proof is good once. A [`ReplayStore`] remembers those that were used: the
//! [`InMemoryReplayStore`] for one process, and the `RedisReplayStore` of the feature `redis` for
//! all replicas. [`Nonces`] make proofs that were made in advance, or long ago, worthless.

mod nonce;
mod proof;
mod replay;

pub use self::nonce::Nonces;
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use self::replay::RedisReplayStore;
pub use self::replay::{FirstUse, InMemoryReplayStore, ProofUse, ReplayStore};
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use crate::redis::RedisError;
pub use crate::secret::Secret;
