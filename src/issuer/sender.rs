//! Tokens that are bound to their senders.

use super::Issuer;
use crate::possession::Stance;

impl Issuer {
    /// Accepts tokens that are bound to a key (`cnf.jkt`), under the scheme `DPoP` and with a proof
    /// (RFC 9449 §7), and bearer tokens as before.
    ///
    /// The server must know its own
    /// [`public_origin`](crate::config::ResourceServerBuilder::public_origin). What is asked of the
    /// proofs says [`dpop`](crate::config::ResourceServerBuilder::dpop).
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_bearer::{Issuer, ResourceServer};
    ///
    /// # fn main() -> Result<(), tower_bearer::ConfigError> {
    /// let server = ResourceServer::new("https://api.example.com")
    ///     .trust(Issuer::new("https://id.example.com/").accept_dpop())
    ///     .public_origin("https://api.example.com")
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Security
    ///
    /// A token that is bound is good with its proof only. Those that are not are still good for
    /// whoever has stolen them: see [`require_dpop`](Self::require_dpop).
    #[cfg(feature = "dpop")]
    #[cfg_attr(docsrs, doc(cfg(feature = "dpop")))]
    pub fn accept_dpop(mut self) -> Self {
        self.terms.sender_constraint.dpop = Stance::Accepted;
        self
    }

    /// Accepts only tokens that are bound to a key (`cnf.jkt`), under the scheme `DPoP` and with a
    /// proof (RFC 9449 §7); see [`accept_dpop`](Self::accept_dpop).
    #[cfg(feature = "dpop")]
    #[cfg_attr(docsrs, doc(cfg(feature = "dpop")))]
    pub fn require_dpop(mut self) -> Self {
        self.terms.sender_constraint.dpop = Stance::Required;
        self
    }

    /// Accepts tokens that are bound to the client's certificate (`cnf.x5t#S256`), of clients that
    /// have that certificate (RFC 8705 §3), and others as before.
    ///
    /// Where the certificate is says
    /// [`client_certificates`](crate::config::ResourceServerBuilder::client_certificates).
    ///
    /// # Security
    ///
    /// A token that is bound is good with its certificate only. Those that are not are still good
    /// for whoever has stolen them: see [`require_mtls`](Self::require_mtls).
    #[cfg(feature = "mtls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "mtls")))]
    pub fn accept_mtls(mut self) -> Self {
        self.terms.sender_constraint.mtls = Stance::Accepted;
        self
    }

    /// Accepts only tokens that are bound to the client's certificate (`cnf.x5t#S256`); see
    /// [`accept_mtls`](Self::accept_mtls).
    #[cfg(feature = "mtls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "mtls")))]
    pub fn require_mtls(mut self) -> Self {
        self.terms.sender_constraint.mtls = Stance::Required;
        self
    }

    /// Accepts only tokens that are bound to their sender: to a key (DPoP), or to the client's
    /// certificate (mutual TLS), as far as the features `dpop` and `mtls` are on; or to both, and then
    /// both are to be proven.
    #[cfg(any(feature = "dpop", feature = "mtls"))]
    #[cfg_attr(docsrs, doc(cfg(any(feature = "dpop", feature = "mtls"))))]
    pub fn require_sender_constraint(mut self) -> Self {
        self.terms.sender_constraint = self.terms.sender_constraint.require();
        self
    }
}
