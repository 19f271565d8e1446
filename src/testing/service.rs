//! What an issuer publishes, as a tower service.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tower_service::Service;

use super::idp::Idp;

impl Idp {
    /// Returns a tower service that publishes the metadata (OpenID Connect Discovery and RFC 8414)
    /// and the key set, to be served on a loopback address:
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_bearer::testing::Idp;
    /// use tower_bearer::{Issuer, ResourceServer};
    ///
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// let idp = Idp::new(format!("http://{}", listener.local_addr()?));
    /// let published = axum::Router::new().fallback_service(idp.service());
    /// tokio::spawn(async move { axum::serve(listener, published).await });
    ///
    /// let server = ResourceServer::new("https://api.test").trust(Issuer::new(idp.issuer())).build()?;
    /// assert!(server.authenticate(&idp.token("alice").sign()).await.is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub fn service(&self) -> IdpService {
        IdpService { idp: self.clone() }
    }
}

/// Publishes an [`Idp`]'s metadata and key set; made by [`Idp::service`].
#[derive(Clone, Debug)]
pub struct IdpService {
    idp: Idp,
}

impl IdpService {
    fn answer(&self, path: &str) -> (StatusCode, Value) {
        let issuer = self.idp.issuer();
        let base = issuer.strip_suffix('/').unwrap_or(issuer);
        let rest = base.split_once("://").map_or(base, |(_, rest)| rest);
        let prefix = rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or_default();
        let jwks = format!("{prefix}/jwks");
        if path == jwks {
            self.idp.count_fetch();
        }
        if self.idp.is_down() {
            return (StatusCode::SERVICE_UNAVAILABLE, json!({ "error": "temporarily_unavailable" }));
        }
        let appended = format!("{prefix}/.well-known/openid-configuration");
        let inserted = format!("/.well-known/oauth-authorization-server{prefix}");
        if path == jwks {
            (StatusCode::OK, self.idp.jwks())
        } else if path == appended || path == inserted {
            (StatusCode::OK, json!({ "issuer": issuer, "jwks_uri": format!("{base}/jwks") }))
        } else {
            (StatusCode::NOT_FOUND, json!({ "error": "not_found" }))
        }
    }
}

impl<B> Service<Request<B>> for IdpService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (status, body) = self.answer(request.uri().path());
        let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        ready(Ok(response))
    }
}
