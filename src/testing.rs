//! A real issuer in the process, so that tests need no network and no way around verification.
//!
//! [`Idp`] has real keys and publishes them as a real issuer does; the server under test fetches
//! and verifies as it does in production. There is no switch that turns verification off.
//!
//! # Examples
//!
//! ```
//! use tower_bearer::testing::Idp;
//! use tower_bearer::{ErrorKind, ResourceServer};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let idp = Idp::new("https://id.test/");
//! let server = ResourceServer::new("https://api.test").trust(&idp).build()?;
//!
//! let token = server.authenticate(&idp.token("alice").scope("orders:read").sign()).await?;
//! assert_eq!(token.subject(), Some("alice"));
//! assert!(token.has_scope("orders:read"));
//!
//! let refused = server.authenticate(&idp.token("alice").audience("https://other.test").sign()).await;
//! assert_eq!(refused.unwrap_err().kind(), ErrorKind::WrongAudience);
//! # Ok(())
//! # }
//! ```

mod clock;
mod idp;
mod introspection;
mod issued;
mod keys;
#[cfg(feature = "dpop")]
mod proof;
mod routes;
mod service;
mod token;

pub use self::clock::ManualClock;
pub use self::idp::{DEFAULT_AUDIENCE, Idp};
#[cfg(feature = "dpop")]
#[cfg_attr(docsrs, doc(cfg(feature = "dpop")))]
pub use self::proof::{ProofBuilder, ProofKey};
pub use self::routes::routes_without_rule;
pub use self::service::IdpService;
pub use self::token::TokenBuilder;
