//! Tokens that their issuer is asked about (RFC 7662): opaque ones, and by choice its JWTs, too.
//!
//! An [`Introspection`] says how one issuer is asked; an [`Issuer`](crate::Issuer) is given it by
//! [`introspection`](crate::Issuer::introspection). [`ClientAuthentication`] is how this service
//! says who it is when it asks, and a [`Secret`] is what it proves that by.
//!
//! # Examples
//!
//! ```
//! use tower_bearer::introspection::{ClientAuthentication, Introspection, Secret};
//! use tower_bearer::{Issuer, ResourceServer};
//!
//! # fn main() -> Result<(), tower_bearer::ConfigError> {
//! let client = ClientAuthentication::client_secret_basic("orders-api", Secret::file("/run/secrets/orders-api"));
//! let server = ResourceServer::new("https://api.example.com")
//!     .trust(Issuer::new("https://id.example.com/").introspection(Introspection::new(client)))
//!     .build()?;
//! # Ok(())
//! # }
//! ```

mod answer;
mod authentication;
mod settings;

pub(crate) use self::answer::{Active, Fault, SIGNED, Said, read_claims};
pub(crate) use self::authentication::Method;
pub use self::authentication::{ClientAuthentication, ClientKey};
pub(crate) use self::settings::Dialect;
pub use self::settings::{Introspection, JwtIntrospection};
pub use crate::secret::Secret;
