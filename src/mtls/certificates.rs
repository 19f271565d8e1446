//! Where the certificate of a request's client is.

use std::any::{Any, type_name};
use std::fmt;
use std::sync::Arc;

use http::{Extensions, HeaderName};

use super::certificate::ClientCertificate;
use super::connection::Connections;
use super::header::CertificateHeader;
use super::peers::TrustedPeers;
use crate::credential::RequestHead;
use crate::error::{Error, ErrorKind};

/// Where the certificate of a request's client is: with its connection, or in a header that a
/// trusted proxy has set.
///
/// Clones share what they know of connections.
///
/// # Examples
///
/// ```
/// use http::HeaderName;
/// use tower_bearer::mtls::{CertificateHeader, ClientCertificates, TrustedPeers};
///
/// # fn main() -> Result<(), tower_bearer::ConfigError> {
/// // TLS ends here
/// let certificates = ClientCertificates::new();
///
/// // TLS ends in nginx, which sends the certificate along
/// let header = CertificateHeader::escaped_pem(HeaderName::from_static("x-client-cert"));
/// let certificates = ClientCertificates::from_header(header, TrustedPeers::addresses(["10.20.0.7"])?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ClientCertificates(Arc<Place>);

enum Place {
    Connection(Connections),
    Shared { find: Box<FindShared>, connections: Connections, name: &'static str },
    Header { header: CertificateHeader, peers: TrustedPeers },
    Function(Box<dyn Fn(RequestHead<'_>) -> Option<ClientCertificate> + Send + Sync>),
}

type FindShared = dyn Fn(&Connections, &Extensions) -> Option<ClientCertificate> + Send + Sync;

impl ClientCertificates {
    /// Takes the certificate of the connection: a [`ClientCertificate`] in the request's extensions
    /// or, with the feature `tonic`, what tonic's server knows of its peer.
    ///
    /// A certificate is hashed with the first request of its connection, and then known.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Place::Connection(Connections::new())))
    }

    /// Takes the certificate of the connection from an `Arc<T>` in the request's extensions, which
    /// all requests of the connection share. The function returns the client's own certificate, the
    /// first of its chain, in DER.
    ///
    /// A certificate is hashed with the first request of its connection, and then known.
    ///
    /// # Examples
    ///
    /// With axum-server, from 0.9 on, `T` is `axum_server::tls::TlsInfo`:
    ///
    /// ```
    /// # mod axum_server { pub mod tls { pub struct TlsInfo { pub peer_certificates: Vec<Vec<u8>> } } }
    /// use axum_server::tls::TlsInfo;
    /// use tower_bearer::mtls::ClientCertificates;
    ///
    /// let certificates =
    ///     ClientCertificates::from_connection(|tls: &TlsInfo| tls.peer_certificates.first().map(Vec::as_slice));
    /// ```
    pub fn from_connection<T: Any + Send + Sync>(find: impl Fn(&T) -> Option<&[u8]> + Send + Sync + 'static) -> Self {
        let find = Box::new(move |connections: &Connections, extensions: &Extensions| {
            connections.certificate(extensions.get::<Arc<T>>()?, &find)
        });
        Self(Arc::new(Place::Shared { find, connections: Connections::new(), name: type_name::<T>() }))
    }

    /// Takes the certificate from a header, if one of these peers has sent the request.
    ///
    /// The proxy that has sent it ends TLS, and *its* certificate is not the client's: without the
    /// header, the client has shown none. Reading a certificate and hashing it takes a few
    /// microseconds for each request; Envoy's header has it hashed.
    ///
    /// Such a request is refused with 400, be its token bound or not, and be there none; by a layer
    /// that is [`optional`](crate::BearerAuthLayer::optional) or
    /// [`lenient`](crate::BearerAuthLayer::lenient), and on public routes, too:
    ///
    /// * one from another peer with this header, since it can only be forged, or come from a proxy
    ///   that is not listed;
    /// * one with two such headers, with two values in it, or with anything else that is not exactly
    ///   the format.
    #[must_use]
    pub fn from_header(header: CertificateHeader, peers: TrustedPeers) -> Self {
        Self(Arc::new(Place::Header { header, peers }))
    }

    /// Asks this function for the certificate, with each request.
    ///
    /// # Security
    ///
    /// What the function returns is believed. It must not return what a client can write: see
    /// [`from_header`](Self::from_header) for what that means for headers.
    ///
    /// # Examples
    ///
    /// The type that a listener of your own makes for axum's `ConnectInfo`:
    ///
    /// ```
    /// use axum::extract::ConnectInfo;
    /// use tower_bearer::mtls::{ClientCertificate, ClientCertificates};
    ///
    /// #[derive(Clone)]
    /// struct Peer {
    ///     certificate: Option<ClientCertificate>,
    /// }
    ///
    /// let certificates =
    ///     ClientCertificates::from_fn(|head| head.extensions().get::<ConnectInfo<Peer>>()?.0.certificate);
    /// ```
    pub fn from_fn(find: impl Fn(RequestHead<'_>) -> Option<ClientCertificate> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Place::Function(Box::new(find))))
    }

    /// Finds the thumbprint of the certificate; `None` if the client has shown none. An error says
    /// that the request must be refused, whatever its token.
    ///
    /// # Errors
    ///
    /// [`MalformedRequest`](ErrorKind::MalformedRequest), as [`from_header`](Self::from_header)
    /// says.
    pub fn thumbprint(&self, head: RequestHead<'_>) -> Result<Option<[u8; 32]>, Error> {
        let extensions = head.extensions();
        let certificate = match &*self.0 {
            Place::Connection(connections) => {
                extensions.get::<ClientCertificate>().copied().or_else(|| connections.of_tonic(extensions))
            }
            Place::Shared { find, connections, .. } => find(connections, extensions),
            Place::Header { header, peers } => in_header(header, peers, head)?,
            Place::Function(find) => find(head),
        };
        Ok(certificate.map(|certificate| certificate.thumbprint()))
    }

    /// Returns the header in which certificates are; it is judged with each request that has one,
    /// whatever its token.
    pub(crate) fn header_name(&self) -> Option<&HeaderName> {
        match &*self.0 {
            Place::Header { header, .. } => Some(header.name()),
            Place::Connection(_) | Place::Shared { .. } | Place::Function(_) => None,
        }
    }
}

/// Finds the certificate in a header; whoever sends one must be trusted with it, and be it empty.
fn in_header(
    header: &CertificateHeader,
    peers: &TrustedPeers,
    head: RequestHead<'_>,
) -> Result<Option<ClientCertificate>, Error> {
    let name = header.name();
    if !head.headers().contains_key(name) {
        return Ok(None);
    }
    peers.check(head, name)?;
    let value = head.single(name)?.unwrap_or_default();
    header.read(value).map_err(|wrong| Error::new(ErrorKind::MalformedRequest, format!("the header {name}: {wrong}")))
}

impl Default for ClientCertificates {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ClientCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Place::Connection(_) => f.write_str("ClientCertificates(connection)"),
            Place::Shared { name, .. } => write!(f, "ClientCertificates(connection, by {name})"),
            Place::Header { header, peers } => write!(f, "ClientCertificates({}, {peers:?})", header.name()),
            Place::Function(_) => f.write_str("ClientCertificates(function)"),
        }
    }
}
