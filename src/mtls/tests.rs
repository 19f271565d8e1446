//! Requests, and what certificate they are found to have.

use std::net::SocketAddr;

use http::{HeaderValue, Request};

use super::*;
use crate::credential::RequestHead;
use crate::error::ErrorKind;

/// A certificate, as `Client-Cert` has it.
const CLIENT_CERT: &str = ":MAMCAQE=:";
const DER: &[u8] = &[0x30, 3, 2, 1, 1];

fn request(peer: Option<&str>, headers: &[(&'static str, &'static str)]) -> Request<()> {
    let mut request = Request::new(());
    for (name, value) in headers {
        request.headers_mut().append(*name, HeaderValue::from_static(value));
    }
    #[cfg(feature = "axum")]
    if let Some(peer) = peer {
        let address = SocketAddr::new(peer.parse().unwrap(), 4711);
        request.extensions_mut().insert(axum::extract::ConnectInfo(address));
    }
    request
}

fn ask(certificates: &ClientCertificates, request: &Request<()>) -> Result<Option<[u8; 32]>, String> {
    certificates.thumbprint(RequestHead::from(request)).map_err(|error| {
        assert_eq!(error.kind(), ErrorKind::MalformedRequest);
        error.to_string()
    })
}

#[cfg(feature = "axum")]
#[test]
fn a_header_is_believed_of_trusted_peers_only() {
    let own = Ok(Some(ClientCertificate::new(DER).thumbprint()));
    let peers = ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1"];
    let certificates =
        ClientCertificates::from_header(CertificateHeader::client_cert(), TrustedPeers::addresses(peers).unwrap());
    for peer in ["10.0.0.0", "10.255.255.255", "192.0.2.7", "2001:db8:1::1", "::1", "::ffff:10.0.0.1"] {
        assert_eq!(ask(&certificates, &request(Some(peer), &[("client-cert", CLIENT_CERT)])), own, "{peer}");
        assert_eq!(ask(&certificates, &request(Some(peer), &[])), Ok(None), "{peer}");
        assert_eq!(ask(&certificates, &request(Some(peer), &[("client-cert", "")])), Ok(None), "{peer}");
        assert_eq!(ask(&certificates, &request(Some(peer), &[("x-client-cert", CLIENT_CERT)])), Ok(None), "{peer}");
        for wrong in [
            &[("client-cert", CLIENT_CERT), ("client-cert", CLIENT_CERT)] as &[_],
            &[("client-cert", CLIENT_CERT), ("client-cert", "")],
            &[("client-cert", ":MAMCAQE=:, :MAMCAQE=:")],
            &[("client-cert", "garbage")],
        ] {
            assert!(ask(&certificates, &request(Some(peer), wrong)).is_err(), "{peer} {wrong:?}");
        }
    }
    for peer in ["11.0.0.0", "9.255.255.255", "192.0.2.6", "2001:db9::", "::", "::2", "::10.0.0.1", "::ffff:11.0.0.1"] {
        assert_eq!(ask(&certificates, &request(Some(peer), &[])), Ok(None), "{peer}");
        for value in [CLIENT_CERT, "", "garbage"] {
            let why = ask(&certificates, &request(Some(peer), &[("client-cert", value)])).unwrap_err();
            assert!(why.contains("client-cert") && why.contains("not among the trusted peers"), "{why}");
            assert!(!why.contains("MAMCAQE"), "{why}");
        }
    }
}

#[test]
fn a_peer_without_an_address_is_not_trusted_by_address() {
    let peers = TrustedPeers::addresses(["10.0.0.0/8"]).unwrap();
    let certificates = ClientCertificates::from_header(CertificateHeader::client_cert(), peers);
    let why = ask(&certificates, &request(None, &[("client-cert", CLIENT_CERT)])).unwrap_err();
    assert!(why.contains("into_make_service_with_connect_info"), "{why}");
    // addresses that anybody can write
    let forged = [("client-cert", CLIENT_CERT), ("x-forwarded-for", "10.0.0.1"), ("forwarded", "for=10.0.0.1")];
    assert!(ask(&certificates, &request(None, &forged)).is_err());
    assert_eq!(ask(&certificates, &request(None, &[])), Ok(None));
}

#[test]
fn a_function_decides_about_peers() {
    #[derive(Clone)]
    struct OverUnixSocket;

    let peers = TrustedPeers::from_fn(|head| head.extensions().get::<OverUnixSocket>().is_some());
    let certificates = ClientCertificates::from_header(CertificateHeader::client_cert(), peers);
    let mut request = request(None, &[("client-cert", CLIENT_CERT)]);
    assert!(ask(&certificates, &request).unwrap_err().contains("a peer that is not trusted"));
    request.extensions_mut().insert(OverUnixSocket);
    assert_eq!(ask(&certificates, &request), Ok(Some(ClientCertificate::new(DER).thumbprint())));
}

/// The connection from a proxy has the proxy's certificate.
#[test]
fn where_a_header_counts_the_connection_does_not_and_the_other_way_round() {
    let mut request = request(None, &[("client-cert", CLIENT_CERT), ("x-forwarded-client-cert", "Hash=0")]);
    assert_eq!(ask(&ClientCertificates::new(), &request), Ok(None));
    let of_connection = ClientCertificate::new(b"of the connection");
    request.extensions_mut().insert(of_connection);
    assert_eq!(ask(&ClientCertificates::default(), &request), Ok(Some(of_connection.thumbprint())));

    request.headers_mut().clear();
    let header = CertificateHeader::envoy();
    let certificates = ClientCertificates::from_header(header, TrustedPeers::from_fn(|_| true));
    assert_eq!(ask(&certificates, &request), Ok(None));
}

#[test]
fn what_connections_share_and_what_functions_find() {
    struct Info(Vec<Vec<u8>>);

    let shared = ClientCertificates::from_connection(|info: &Info| info.0.first().map(Vec::as_slice));
    let function = ClientCertificates::from_fn(|head| head.extensions().get().copied());
    let mut request = request(None, &[]);
    for certificates in [&shared, &function] {
        assert_eq!(ask(certificates, &request), Ok(None));
    }
    request.extensions_mut().insert(std::sync::Arc::new(Info(vec![DER.to_vec(), b"issuer".to_vec()])));
    assert_eq!(ask(&shared, &request), Ok(Some(ClientCertificate::new(DER).thumbprint())));
    assert_eq!(ask(&function, &request), Ok(None));
    request.extensions_mut().insert(ClientCertificate::from_thumbprint([7; 32]));
    assert_eq!(ask(&function, &request), Ok(Some([7; 32])));
}

#[cfg(feature = "tonic")]
#[test]
fn the_peer_of_tonic() {
    use ::tonic::transport::server::TcpConnectInfo;

    let certificates = ClientCertificates::from_header(
        CertificateHeader::client_cert(),
        TrustedPeers::addresses(["10.0.0.0/8"]).unwrap(),
    );
    for (address, trusted) in [("10.0.0.1:1", true), ("[::ffff:10.0.0.1]:1", true), ("11.0.0.1:1", false)] {
        let mut request = request(None, &[("client-cert", CLIENT_CERT)]);
        let remote_addr: Option<SocketAddr> = Some(address.parse().unwrap());
        request.extensions_mut().insert(TcpConnectInfo { local_addr: None, remote_addr });
        assert_eq!(ask(&certificates, &request).is_ok(), trusted, "{address}");
    }
}

#[test]
fn addresses_of_peers() {
    for good in ["10.0.0.0/8", "10.0.0.1", "10.0.0.1/32", "::1", "2001:db8::/32", "::ffff:10.0.0.1", "128.0.0.0/1"] {
        assert!(TrustedPeers::addresses([good]).is_ok(), "{good}");
    }
    for (bad, why) in [
        ("", "was expected"),
        ("proxy.internal", "was expected"),
        ("10.0.0.1:80", "was expected"),
        ("10.0.0.0/33", "was expected"),
        ("10.0.0.0/-1", "was expected"),
        (" 10.0.0.1", "was expected"),
        ("10.0.0/8", "was expected"),
        ("*", "was expected"),
        ("0.0.0.0/0", "everybody"),
        ("::/0", "everybody"),
        ("10.0.0.1/8", "write 10.0.0.0/8"),
        ("2001:db8::1/32", "write 2001:db8::/32"),
        ("::ffff:10.0.0.0/104", "IPv4"),
    ] {
        let error = TrustedPeers::addresses(["10.0.0.1", bad]).unwrap_err();
        let [problem] = error.problems() else { panic!("{error}") };
        assert_eq!(problem.path(), format!("trusted_peers[{bad}]"));
        assert!(problem.message().contains(why), "{error}");
    }
    assert!(TrustedPeers::addresses([""; 0]).unwrap_err().to_string().contains("there are none"));
}

#[test]
fn what_is_shown() {
    let peers = TrustedPeers::addresses(["10.0.0.0/8"]).unwrap();
    for (certificates, shown) in [
        (ClientCertificates::new(), "ClientCertificates(connection)"),
        (
            ClientCertificates::from_connection(|chain: &Vec<u8>| Some(chain)),
            "ClientCertificates(connection, by alloc::vec::Vec<u8>)",
        ),
        (
            ClientCertificates::from_header(CertificateHeader::client_cert(), peers),
            "ClientCertificates(client-cert, TrustedPeers([10.0.0.0/8]))",
        ),
        (
            ClientCertificates::from_header(CertificateHeader::envoy(), TrustedPeers::from_fn(|_| true)),
            "ClientCertificates(x-forwarded-client-cert, TrustedPeers(function))",
        ),
        (ClientCertificates::from_fn(|_| None), "ClientCertificates(function)"),
    ] {
        assert_eq!(format!("{certificates:?}"), shown);
    }
}
