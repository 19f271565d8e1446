//! A service that says by which certificate its caller is known.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::Request;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use tokio::net::TcpListener;
use tower_bearer::credential::RequestHead;
use tower_bearer::mtls::ClientCertificates;
use tower_bearer::{Error, ErrorKind};

use crate::pki::Holder;

pub(crate) fn app(certificates: ClientCertificates) -> Router {
    Router::new().fallback(move |request: Request| {
        let found = certificates.thumbprint(RequestHead::from(&request));
        async move { found.map(shown).map_err(|error| refusal(&error)) }
    })
}

fn shown(thumbprint: Option<[u8; 32]>) -> String {
    thumbprint.map_or_else(|| "none".to_owned(), |thumbprint| URL_SAFE_NO_PAD.encode(thumbprint))
}

fn refusal(error: &Error) -> (StatusCode, String) {
    assert_eq!(error.kind(), ErrorKind::MalformedRequest);
    (StatusCode::BAD_REQUEST, error.to_string())
}

/// Serves without TLS, for proxies. Returns the port.
pub(crate) async fn serve_plainly(app: Router) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    port
}

/// What the service says to a request with these headers.
pub(crate) async fn ask(client: &reqwest::Client, origin: &str, headers: &[(&str, &str)]) -> (StatusCode, String) {
    let request = headers.iter().fold(client.get(origin), |request, (name, value)| request.header(*name, *value));
    let answer = request.send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

/// What it says to this client.
pub(crate) fn known(holder: Option<&Holder>) -> (StatusCode, String) {
    (StatusCode::OK, shown(holder.map(Holder::thumbprint)))
}
