//! TLS ends in the server.

use std::net::SocketAddr;

use axum_server::tls::TlsInfo;
use axum_server::tls_rustls::RustlsConfig;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::Routes;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tower_bearer::mtls::{CertificateHeader, ClientCertificates, TrustedPeers};

use crate::pki::Pki;
use crate::service::{app, ask, known, only_its_own_tokens_are_good};

/// Clients with one certificate, with another, with none; over one connection, and over new ones, which resume its session.
async fn each_is_known_by_its_certificate(pki: &Pki, port: u16) {
    let origin = format!("https://localhost:{port}/");
    let (one, other, victim) = (pki.holder("one"), pki.holder("other"), pki.holder("victim"));
    // which count nowhere here
    let headers = [("client-cert", ":AAAA:"), ("x-forwarded-client-cert", "Hash=0")];
    for keep in [true, false] {
        for holder in [Some(&one), Some(&other), None] {
            let client = pki.client(holder, "127.0.0.1", keep);
            for _ in 0..4 {
                assert_eq!(ask(&client, &origin, &headers).await, known(holder), "kept: {keep}");
                only_its_own_tokens_are_good(&client, holder, &victim, (&origin, &headers)).await;
            }
        }
    }
}

async fn serve_by_axum_server(pki: &Pki, certificates: ClientCertificates) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = RustlsConfig::from_config(pki.server_config());
    let server = axum_server::from_tcp_rustls(listener, config).unwrap();
    tokio::spawn(server.serve(app(certificates).into_make_service_with_connect_info::<SocketAddr>()));
    port
}

async fn serve_by_tonic(pki: &Pki, certificates: ClientCertificates) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(&pki.server.certificate, &pki.server.key))
        .client_ca_root(Certificate::from_pem(pki.authority()))
        .client_auth_optional(true);
    let routes = Routes::from(app(certificates));
    let server = Server::builder().tls_config(tls).unwrap().add_routes(routes);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    port
}

#[tokio::test]
async fn axum_server_tells_the_certificate() {
    let pki = Pki::new();
    let certificates =
        ClientCertificates::from_connection(|tls: &TlsInfo| tls.peer_certificates.first().map(Vec::as_slice));
    let port = serve_by_axum_server(&pki, certificates).await;
    each_is_known_by_its_certificate(&pki, port).await;
}

#[tokio::test]
async fn tonic_tells_the_certificate() {
    let pki = Pki::new();
    let port = serve_by_tonic(&pki, ClientCertificates::new()).await;
    each_is_known_by_its_certificate(&pki, port).await;
}

/// A proxy with a certificate of its own, by which it is not mistaken for its client.
#[tokio::test]
async fn a_proxy_s_own_certificate_is_not_its_client_s() {
    let pki = Pki::new();
    let (proxy, client) = (pki.holder("proxy"), pki.holder("client"));
    let from = |peer: &str| {
        let header = CertificateHeader::envoy();
        ClientCertificates::from_header(header, TrustedPeers::addresses([peer]).unwrap())
    };
    let hash: String = client.thumbprint().iter().map(|byte| format!("{byte:02x}")).collect();
    let header = format!("By=spiffe://here;Hash={hash};Subject=\"CN=client,O=\\\"x\\\"\"");
    let headers = [("x-forwarded-client-cert", header.as_str())];
    for port in [serve_by_axum_server(&pki, from("127.0.0.1")).await, serve_by_tonic(&pki, from("127.0.0.1")).await] {
        let origin = format!("https://localhost:{port}/");
        let trusted = pki.client(Some(&proxy), "127.0.0.1", true);
        assert_eq!(ask(&trusted, &origin, &headers).await, known(Some(&client)));
        assert_eq!(ask(&trusted, &origin, &[]).await, known(None));

        let stranger = pki.client(Some(&proxy), "127.0.0.2", true);
        let (status, why) = ask(&stranger, &origin, &headers).await;
        assert_eq!(status, 400);
        assert!(why.contains("127.0.0.2"), "{why}");
        assert_eq!(ask(&stranger, &origin, &[]).await, known(None));
    }
}
