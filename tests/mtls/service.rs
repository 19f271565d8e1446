//! A service whose tokens may be bound to certificates, and that says by which its caller is known.

use std::net::SocketAddr;
use std::sync::LazyLock;

use axum::Router;
use axum::extract::Request;
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::json;
use tokio::net::TcpListener;
use tower_bearer::credential::RequestHead;
use tower_bearer::keys::StaticKeys;
use tower_bearer::mtls::ClientCertificates;
use tower_bearer::testing::Idp;
use tower_bearer::{BearerAuthLayer, Error, Issuer, ResourceServer};

use crate::pki::Holder;

static IDP: LazyLock<Idp> = LazyLock::new(|| Idp::new("https://id.test/"));

pub(crate) fn app(certificates: ClientCertificates) -> Router {
    let keys = StaticKeys::jwks(&IDP.jwks().to_string()).unwrap();
    let server = ResourceServer::new("https://api.test").trust((Issuer::new(IDP.issuer()).accept_mtls(), keys));
    let server = server.client_certificates(certificates.clone()).build().unwrap();
    let service = Router::new().fallback(move |request: Request| {
        let found = certificates.thumbprint(RequestHead::from(&request));
        async move { shown(found.unwrap()) }
    });
    service.layer(BearerAuthLayer::new(server)).layer(map_response(tell))
}

fn shown(thumbprint: Option<[u8; 32]>) -> String {
    thumbprint.map_or_else(|| "none".to_owned(), |thumbprint| URL_SAFE_NO_PAD.encode(thumbprint))
}

/// Tells why a request is refused, which is otherwise for operators.
async fn tell(response: Response) -> Response {
    match response.extensions().get::<Error>() {
        Some(error) => (response.status(), error.to_string()).into_response(),
        None => response,
    }
}

/// Serves without TLS, for proxies. Returns the port.
pub(crate) async fn serve_plainly(app: Router) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    port
}

/// A token that is bound to this one's certificate.
fn token(holder: Option<&Holder>) -> String {
    let token = IDP.token("alice").audience("https://api.test");
    match holder {
        Some(holder) => token.claim("cnf", json!({ "x5t#S256": shown(Some(holder.thumbprint())) })).sign(),
        None => token.sign(),
    }
}

async fn send(client: &reqwest::Client, origin: &str, token: &str, headers: &[(&str, &str)]) -> (StatusCode, String) {
    let request = client.get(origin).bearer_auth(token);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = request.send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

/// What the service says to a request with a bearer token, and with these headers.
pub(crate) async fn ask(client: &reqwest::Client, origin: &str, headers: &[(&str, &str)]) -> (StatusCode, String) {
    send(client, origin, &token(None), headers).await
}

/// Sees to it that the client can use a token that is bound to it, whatever headers it sends, and no other's.
pub(crate) async fn only_its_own_tokens_are_good(
    client: &reqwest::Client,
    holder: Option<&Holder>,
    other: &Holder,
    (origin, headers): (&str, &[(&str, &str)]),
) {
    if let Some(holder) = holder {
        let token = token(Some(holder));
        // the second time, it is a known token
        for _ in 0..2 {
            assert_eq!(send(client, origin, &token, headers).await, known(Some(holder)));
        }
    }
    for _ in 0..2 {
        let (status, why) = send(client, origin, &token(Some(other)), headers).await;
        assert_eq!(status, 401, "{why}");
    }
}

/// What it says to this client.
pub(crate) fn known(holder: Option<&Holder>) -> (StatusCode, String) {
    (StatusCode::OK, shown(holder.map(Holder::thumbprint)))
}
