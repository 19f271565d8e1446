//! Tokens that are bound to their senders: by what these are judged.

use super::ResourceServerBuilder;
#[cfg(feature = "dpop")]
use crate::dpop::Dpop;
#[cfg(feature = "mtls")]
use crate::mtls::ClientCertificates;
#[cfg(feature = "dpop")]
use crate::origin::PublicOrigin;

impl<C: Send + Sync + 'static> ResourceServerBuilder<C> {
    /// Says what is asked of DPoP proofs (RFC 9449); what [`Dpop::new`] says by default. Whose tokens
    /// they come with says [`Issuer::accept_dpop`](crate::Issuer::accept_dpop) or
    /// [`require_dpop`](crate::Issuer::require_dpop); of issuers that are found at run time, such
    /// tokens are accepted only if this is called.
    #[cfg(feature = "dpop")]
    #[cfg_attr(docsrs, doc(cfg(feature = "dpop")))]
    #[must_use]
    pub fn dpop(mut self, dpop: Dpop) -> Self {
        self.settings.senders.dpop = Some(dpop);
        self
    }

    /// Says under which address clients reach this service: `https://api.example.com`, with the
    /// prefix of the paths if a proxy takes one away; or
    /// [`PublicOrigin::loopback`](crate::config::PublicOrigin::loopback) for development.
    ///
    /// A DPoP proof is for an address (`htu`), which a service behind a proxy cannot know by itself.
    /// A layer with another address says so by
    /// [`BearerAuthLayer::public_origin`](crate::BearerAuthLayer::public_origin).
    #[cfg(feature = "dpop")]
    #[cfg_attr(docsrs, doc(cfg(feature = "dpop")))]
    #[must_use]
    pub fn public_origin(mut self, origin: impl Into<PublicOrigin>) -> Self {
        self.settings.senders.origin = Some(origin.into());
        self
    }

    /// Says where the certificates of clients are; those of the connection by default, as
    /// [`ClientCertificates::new`] says. Whose tokens they come with says
    /// [`Issuer::accept_mtls`](crate::Issuer::accept_mtls) or
    /// [`require_mtls`](crate::Issuer::require_mtls).
    #[cfg(feature = "mtls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "mtls")))]
    #[must_use]
    pub fn client_certificates(mut self, certificates: ClientCertificates) -> Self {
        self.settings.senders.certificates = Some(certificates);
        self
    }
}
