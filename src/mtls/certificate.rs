//! A client's certificate, as far as a token is bound to it.

use std::fmt;

use crate::crypto::sha256;

/// The certificate that a client has shown over TLS, by its thumbprint.
///
/// Code that ends TLS itself makes one per connection, and inserts it into the extensions of each
/// request, where [`ClientCertificates::new`](super::ClientCertificates::new) finds it. `Debug`
/// does not show it.
///
/// # Examples
///
/// ```
/// use tower_bearer::mtls::ClientCertificate;
///
/// # let leaf: &[u8] = b"the first certificate that rustls's peer_certificates() returns";
/// // once, after the handshake
/// let certificate = ClientCertificate::new(leaf);
///
/// // for each request of the connection
/// # let mut request = http::Request::new(());
/// request.extensions_mut().insert(certificate);
/// # assert_eq!(format!("{certificate:?}"), "ClientCertificate(…)");
/// ```
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct ClientCertificate {
    thumbprint: [u8; 32],
}

impl ClientCertificate {
    /// Takes the client's own certificate, the first of its chain, in DER. It is hashed here, which
    /// takes about a microsecond.
    #[must_use]
    pub fn new(der: &[u8]) -> Self {
        Self::from_thumbprint(sha256(&[der]))
    }

    /// Takes a certificate's SHA-256 thumbprint (RFC 8705 §3.1), where somebody else has hashed it.
    #[must_use]
    pub const fn from_thumbprint(thumbprint: [u8; 32]) -> Self {
        Self { thumbprint }
    }

    /// Returns the SHA-256 thumbprint, which is `x5t#S256` in a token.
    #[must_use]
    pub const fn thumbprint(&self) -> [u8; 32] {
        self.thumbprint
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificate(…)")
    }
}
