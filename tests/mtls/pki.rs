//! An authority, and who has certificates from it.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use tower_bearer::mtls::ClientCertificate;

pub(crate) struct Pki {
    authority: CertifiedIssuer<'static, KeyPair>,
    /// Of the server, `localhost`.
    pub(crate) server: Holder,
}

/// Somebody with a key and a certificate.
pub(crate) struct Holder {
    der: Vec<u8>,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Holder {
    pub(crate) fn thumbprint(&self) -> [u8; 32] {
        ClientCertificate::new(&self.der).thumbprint()
    }
}

impl Pki {
    pub(crate) fn new() -> Self {
        // the first test says it for all
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let server = issue(&authority, "localhost");
        Self { authority, server }
    }

    /// Somebody with a certificate of the authority.
    pub(crate) fn holder(&self, name: &str) -> Holder {
        issue(&self.authority, name)
    }

    /// The authority's own certificate.
    pub(crate) fn authority(&self) -> String {
        self.authority.pem()
    }

    /// What a server that asks for certificates, and insists on none, is set up with.
    pub(crate) fn server_config(&self) -> Arc<rustls::ServerConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder(roots.into()).allow_unauthenticated().build().unwrap();
        let chain = vec![CertificateDer::from(self.server.der.clone())];
        let key = PrivateKeyDer::from_pem_slice(self.server.key.as_bytes()).unwrap();
        let builder = rustls::ServerConfig::builder().with_client_cert_verifier(verifier);
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.into()
    }

    /// A client of `localhost`, from this address; without connections that are kept, each request makes a new one.
    pub(crate) fn client(&self, holder: Option<&Holder>, from: &str, keep: bool) -> reqwest::Client {
        let authority = reqwest::Certificate::from_pem(self.authority().as_bytes()).unwrap();
        let builder = reqwest::Client::builder().no_proxy().tls_certs_only([authority]);
        let mut builder = builder.local_address(from.parse::<IpAddr>().unwrap());
        if let Some(holder) = holder {
            let identity = [holder.certificate.as_str(), &holder.key].concat();
            builder = builder.identity(reqwest::Identity::from_pem(identity.as_bytes()).unwrap());
        }
        if !keep {
            builder = builder.pool_max_idle_per_host(0);
        }
        builder.build().unwrap()
    }
}

fn issue(authority: &CertifiedIssuer<'_, KeyPair>, name: &str) -> Holder {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    // or OpenSSL would take it for one that is signed by itself, as the authority's of the same name is
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.signed_by(&key, authority).unwrap();
    Holder { der: certificate.der().to_vec(), certificate: certificate.pem(), key: key.serialize_pem() }
}
