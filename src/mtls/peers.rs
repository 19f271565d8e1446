//! Who may say what a client's certificate is.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::{Extensions, HeaderName};
use ipnet::IpNet;

use crate::credential::RequestHead;
use crate::error::{ConfigError, Error, ErrorKind};

/// The proxies whose word about a client's certificate is taken.
///
/// Each of them must remove the header from what clients send, whether or not they have shown a
/// certificate: nothing else keeps a client behind it from sending one of its own.
///
/// # Examples
///
/// ```
/// use tower_bearer::mtls::TrustedPeers;
///
/// # fn main() -> Result<(), tower_bearer::ConfigError> {
/// let peers = TrustedPeers::addresses(["10.20.0.0/16", "2001:db8::7"])?;
///
/// // not what somebody means who writes it
/// assert!(TrustedPeers::addresses(["0.0.0.0/0"]).is_err());
/// assert!(TrustedPeers::addresses(["10.20.0.7/16"]).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TrustedPeers(Peers);

#[derive(Clone)]
enum Peers {
    Networks(Arc<[IpNet]>),
    Function(Arc<dyn Fn(RequestHead<'_>) -> bool + Send + Sync>),
}

impl TrustedPeers {
    /// Trusts peers by their IP addresses: single ones, and networks in CIDR notation (RFC 4632).
    ///
    /// The address of a request's peer is what axum's `ConnectInfo<SocketAddr>` says (feature
    /// `axum`; serve with `into_make_service_with_connect_info::<SocketAddr>()`), or tonic's
    /// `TcpConnectInfo` (feature `tonic`), which its server always inserts. It is that of the
    /// connection; what a header says of addresses is not looked at. A layer that changes
    /// `ConnectInfo` by such a header must stand inside this one.
    ///
    /// # Errors
    ///
    /// Names each address that is none, each network with bits behind its prefix or without any
    /// prefix, and an empty list.
    pub fn addresses<I>(addresses: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        let (mut networks, mut problems) = (Vec::new(), ConfigError::default());
        let mut any = false;
        for text in addresses {
            let text = text.as_ref();
            any = true;
            match network(text) {
                Ok(network) => networks.push(network),
                Err(why) => problems.push(format!("trusted_peers[{text}]"), why),
            }
        }
        if !any {
            problems.push("trusted_peers", "there are none, so every certificate in a header would be refused");
        }
        problems.or(Self(Peers::Networks(networks.into())))
    }

    /// Trusts the peers of those requests for which the function returns true: for proxies that are
    /// known by something else than an address, such as a Unix socket or a certificate of their own.
    ///
    /// # Security
    ///
    /// Decide by what the connection is, and not by what the request says: a client can say that,
    /// too.
    pub fn from_fn(trusted: impl Fn(RequestHead<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self(Peers::Function(Arc::new(trusted)))
    }

    /// Refuses a request that has the header from somebody else.
    pub(super) fn check(&self, head: RequestHead<'_>, header: &HeaderName) -> Result<(), Error> {
        let networks = match &self.0 {
            Peers::Function(trusted) if trusted(head) => return Ok(()),
            Peers::Function(_) => return Err(refused(header, "a peer that is not trusted with it")),
            Peers::Networks(networks) => networks,
        };
        let Some(address) = peer(head.extensions()) else {
            let how = "a peer whose address is not known: serve with \
                       into_make_service_with_connect_info::<SocketAddr>() (axum), or decide by TrustedPeers::from_fn";
            return Err(refused(header, how));
        };
        if networks.iter().any(|network| network.contains(&address)) {
            return Ok(());
        }
        Err(refused(header, &format!("{address}, which is not among the trusted peers")))
    }
}

fn refused(header: &HeaderName, whom: &str) -> Error {
    Error::new(ErrorKind::MalformedRequest, format!("the request has the header {header}, and comes from {whom}"))
}

fn network(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let form = "an IP address, or a network such as 10.0.0.0/8, was expected";
    let network = text.parse::<IpNet>().map_err(|_| form.to_owned())?;
    if network.prefix_len() == 0 {
        return Err("this is everybody; name the proxies, or decide by TrustedPeers::from_fn".into());
    }
    if network.trunc() != network {
        return Err(format!("there are bits behind the prefix; write {}, or the address alone", network.trunc()));
    }
    if matches!(network, IpNet::V6(network) if network.addr().to_ipv4_mapped().is_some()) {
        return Err("write the network of IPv4 addresses as such, a.b.c.d/n".into());
    }
    Ok(network)
}

/// Finds the address of the peer, one of IPv4 as such, whatever the socket.
#[cfg_attr(not(any(feature = "axum", feature = "tonic")), allow(unused_variables, reason = "nobody says it"))]
fn peer(extensions: &Extensions) -> Option<IpAddr> {
    #[cfg(feature = "axum")]
    if let Some(info) = extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>() {
        return Some(info.0.ip().to_canonical());
    }
    #[cfg(feature = "tonic")]
    if let Some(address) = super::tonic::peer(extensions) {
        return Some(address.to_canonical());
    }
    None
}

impl fmt::Debug for TrustedPeers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Peers::Networks(networks) => f.debug_tuple("TrustedPeers").field(networks).finish(),
            Peers::Function(_) => f.write_str("TrustedPeers(function)"),
        }
    }
}
