//! What tonic's server knows of a connection.

use std::net::IpAddr;

use http::Extensions;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::{Connected, TcpConnectInfo};

/// tonic's `TlsConnectInfo<TcpConnectInfo>`, which has that name only where a back end of rustls is
/// chosen, and that is the application's choice.
pub(super) type TlsConnectInfo = <TlsStream<TcpStream> as Connected>::ConnectInfo;

/// Returns the address of the peer.
pub(super) fn peer(extensions: &Extensions) -> Option<IpAddr> {
    let over_tls = || extensions.get().map(TlsConnectInfo::get_ref);
    let info = extensions.get::<TcpConnectInfo>().or_else(over_tls)?;
    Some(info.remote_addr()?.ip())
}
