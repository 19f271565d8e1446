//! What an issuer publishes, as a tower service.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower_service::Service;

use super::idp::Idp;
use super::introspection::Answer;
#[cfg(feature = "introspection")]
use crate::jwks::HttpClient;

impl Idp {
    /// Returns a tower service that publishes the metadata (OpenID Connect Discovery and RFC 8414)
    /// and the key set, and answers about tokens (RFC 7662), to be served on a loopback address:
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

    /// Returns an HTTP client that reaches this issuer and nothing else, without a socket: for
    /// [`http_client`](crate::config::ResourceServerBuilder::http_client), so that a service with
    /// opaque tokens is tested with the settings of production.
    ///
    /// The issuer answers about the tokens of [`issue_opaque`](super::TokenBuilder::issue_opaque)
    /// and about its JWTs, and signs its answers where that is demanded (RFC 9701). It takes
    /// whatever client asks for the one that it says it is.
    ///
    /// ```
    /// use tower_bearer::introspection::{ClientAuthentication, Introspection};
    /// use tower_bearer::testing::Idp;
    /// use tower_bearer::{ErrorKind, Issuer, ResourceServer};
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let idp = Idp::new("https://id.test/");
    /// let client = ClientAuthentication::client_secret_basic("orders-api", "s3cret");
    /// let server = ResourceServer::new("https://api.test")
    ///     .trust(Issuer::new("https://id.test/").introspection(Introspection::new(client)))
    ///     .http_client(idp.http_client())
    ///     .build()?;
    ///
    /// let token = idp.token("alice").scope("orders:read").issue_opaque();
    /// assert!(server.authenticate(&token).await?.has_scope("orders:read"));
    /// assert_eq!(idp.questions(), 1);
    ///
    /// let revoked = idp.token("bob").issue_opaque();
    /// idp.revoke(&revoked);
    /// assert_eq!(server.authenticate(&revoked).await.unwrap_err().kind(), ErrorKind::Inactive);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "introspection")]
    #[cfg_attr(docsrs, doc(cfg(feature = "introspection")))]
    pub fn http_client(&self) -> HttpClient {
        HttpClient::from_service_with_bodies::<_, Full<Bytes>, _>(self.service())
    }
}

/// Publishes an [`Idp`]'s metadata and key set, and answers about its tokens; made by
/// [`Idp::service`].
#[derive(Clone, Debug)]
pub struct IdpService {
    idp: Idp,
}

impl IdpService {
    /// Returns the path below which all is published.
    fn prefix(&self) -> &str {
        let issuer = self.idp.issuer();
        let base = issuer.strip_suffix('/').unwrap_or(issuer);
        let rest = base.split_once("://").map_or(base, |(_, rest)| rest);
        rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or_default()
    }

    fn document(&self, path: &str) -> Answer {
        let (issuer, prefix) = (self.idp.issuer(), self.prefix());
        let base = issuer.strip_suffix('/').unwrap_or(issuer);
        let jwks = format!("{prefix}/jwks");
        if path == jwks {
            self.idp.count_fetch();
        }
        let appended = format!("{prefix}/.well-known/openid-configuration");
        let inserted = format!("/.well-known/oauth-authorization-server{prefix}");
        let (status, document) = if self.idp.is_down() {
            (StatusCode::SERVICE_UNAVAILABLE, json!({ "error": "temporarily_unavailable" }))
        } else if path == jwks {
            (StatusCode::OK, self.idp.jwks())
        } else if path == appended || path == inserted {
            let metadata: Value = json!({
                "issuer": issuer,
                "jwks_uri": format!("{base}/jwks"),
                "introspection_endpoint": format!("{base}/introspect"),
            });
            (StatusCode::OK, metadata)
        } else {
            (StatusCode::NOT_FOUND, json!({ "error": "not_found" }))
        };
        (status, "application/json", document.to_string())
    }

    async fn answer<B: Body>(self, request: Request<B>) -> Answer {
        let (head, body) = request.into_parts();
        if head.method != Method::POST || head.uri.path() != format!("{}/introspect", self.prefix()) {
            return self.document(head.uri.path());
        }
        // what cannot be read is no question
        let question = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        self.idp.introspect(&head.headers, &question)
    }
}

impl<B: Body<Data: Send> + Send + 'static> Service<Request<B>> for IdpService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            let (status, content_type, body) = service.answer(request).await;
            let mut response = Response::new(Full::new(Bytes::from(body)));
            *response.status_mut() = status;
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            Ok(response)
        })
    }
}
