//! TLS ends in a real proxy, which tells the certificate by a header.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use http::HeaderName;
use tokio::process::{Child, Command};
use tower_bearer::mtls::{CertificateHeader, ClientCertificates, TrustedPeers};

use crate::pki::{Holder, Pki};
use crate::program::{free_port, left_out, listening};
use crate::service::{app, ask, known, only_its_own_tokens_are_good, serve_plainly};

/// A proxy on a free port, with a folder for its files, which both end with the test.
struct Proxy {
    port: u16,
    folder: PathBuf,
    _process: Child,
}

impl Proxy {
    /// Starts a program, with the certificates in its folder.
    async fn start(pki: &Pki, program: &str, arguments: &[&str], config: impl Fn(u16, &Path) -> String) -> Self {
        let port = free_port().await;
        let folder = std::env::temp_dir().join(format!("tower-bearer-{program}-{}-{port}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("authority.pem"), pki.authority()).unwrap();
        fs::write(folder.join("server.pem"), [pki.server.certificate.as_str(), &pki.server.key].concat()).unwrap();
        fs::write(folder.join("proxy.conf"), config(port, &folder)).unwrap();
        let mut command = Command::new(program);
        command.args(arguments).arg(folder.join("proxy.conf")).current_dir(&folder).kill_on_drop(true);
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        listening(port).await;
        Self { port, folder, _process: process }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // what cannot be removed is left to the system, which empties the folder of temporary files
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn nginx(port: u16, folder: &Path, service: u16) -> String {
    let folder = folder.display();
    format!(
        "daemon off; master_process off; pid {folder}/pid; error_log stderr;
        events {{}}
        http {{
            access_log off;
            client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
            uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
            server {{
                listen 127.0.0.1:{port} ssl;
                ssl_certificate {folder}/server.pem;
                ssl_certificate_key {folder}/server.pem;
                ssl_client_certificate {folder}/authority.pem;
                ssl_verify_client optional;
                location / {{
                    proxy_pass http://127.0.0.1:{service};
                    proxy_set_header X-Client-Cert $ssl_client_escaped_cert;
                }}
            }}
        }}"
    )
}

fn haproxy(port: u16, folder: &Path, service: u16) -> String {
    let folder = folder.display();
    format!(
        "global
    log stderr format raw daemon warning
defaults
    mode http
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend tls
    bind 127.0.0.1:{port} ssl crt {folder}/server.pem ca-file {folder}/authority.pem verify optional
    http-request set-header Client-Cert :%[ssl_c_der,base64]:
    default_backend service
backend service
    server one 127.0.0.1:{service}
"
    )
}

/// Clients with one certificate, with another, with none, honest and not, through the proxy and past it.
async fn each_is_known_by_its_certificate(
    pki: &Pki,
    (header, forged, victim): (&str, &str, &Holder),
    proxy: u16,
    service: u16,
) {
    let through = format!("https://localhost:{proxy}/");
    let (one, other) = (pki.holder("one"), pki.holder("other"));
    for keep in [true, false] {
        for holder in [Some(&one), Some(&other), None] {
            let client = pki.client(holder, "127.0.0.1", keep);
            for _ in 0..3 {
                assert_eq!(ask(&client, &through, &[]).await, known(holder), "kept: {keep}");
                for value in [forged, "garbage", ""] {
                    assert_eq!(ask(&client, &through, &[(header, value)]).await, known(holder), "{value:?}");
                    only_its_own_tokens_are_good(&client, holder, victim, (&through, &[(header, value)])).await;
                }
                assert_eq!(ask(&client, &through, &[(header, forged), (header, forged)]).await, known(holder));
            }
        }
    }

    let past = format!("http://127.0.0.1:{service}/");
    let client = pki.client(None, "127.0.0.2", true);
    assert_eq!(ask(&client, &past, &[]).await, known(None));
    let address = ("x-forwarded-for", "127.0.0.1");
    for headers in [vec![(header, forged)], vec![(header, "")], vec![(header, forged), address]] {
        let (status, why) = ask(&client, &past, &headers).await;
        assert_eq!(status, 400);
        assert!(why.contains("127.0.0.2, which is not among the trusted peers"), "{why}");
    }
}

#[tokio::test]
async fn nginx_tells_the_certificate() {
    if left_out("nginx") {
        return;
    }
    let pki = Pki::new();
    let header = CertificateHeader::escaped_pem(HeaderName::from_static("x-client-cert"));
    let peers = TrustedPeers::addresses(["127.0.0.1"]).unwrap();
    let service = serve_plainly(app(ClientCertificates::from_header(header, peers))).await;
    let proxy = Proxy::start(&pki, "nginx", &["-e", "stderr", "-c"], |port, folder| nginx(port, folder, service)).await;
    let victim = pki.holder("victim");
    let forged = victim.certificate.replace('\n', "%0A").replace(' ', "%20");
    each_is_known_by_its_certificate(&pki, ("x-client-cert", &forged, &victim), proxy.port, service).await;
}

#[tokio::test]
async fn haproxy_tells_the_certificate() {
    if left_out("haproxy") {
        return;
    }
    let pki = Pki::new();
    let peers = TrustedPeers::addresses(["127.0.0.1"]).unwrap();
    let service = serve_plainly(app(ClientCertificates::from_header(CertificateHeader::client_cert(), peers))).await;
    let proxy = Proxy::start(&pki, "haproxy", &["-f"], |port, folder| haproxy(port, folder, service)).await;
    let victim = pki.holder("victim");
    let base64: String = victim.certificate.lines().filter(|line| !line.starts_with('-')).collect();
    let forged = format!(":{base64}:");
    each_is_known_by_its_certificate(&pki, ("client-cert", &forged, &victim), proxy.port, service).await;
}
