//! Users sign out at the issuer, and their tokens end here. A [`LogoutReceiver`] receives the
//! logout tokens that an issuer sends (OpenID Connect Back-Channel Logout 1.0), and feeds a
//! [`RevocationList`].
//!
//! # Examples
//!
//! ```
//! use std::time::Duration;
//! use axum::{Router, routing::get};
//! use tower_bearer::{AccessToken, BearerAuthLayer, Issuer, ResourceServer};
//! use tower_bearer::{logout::LogoutReceiver, revocation::RevocationList};
//!
//! # fn main() -> Result<(), tower_bearer::ConfigError> {
//! let revoked = RevocationList::new(Duration::from_secs(15 * 60));
//! let server = ResourceServer::new("https://api.example.com")
//!     .trust(Issuer::new("https://id.example.com/"))
//!     .revocation_list(revoked.clone())
//!     .build()?;
//!
//! // registered at the issuer as the client's `backchannel_logout_uri`
//! let logout = LogoutReceiver::new(server.clone(), revoked, "shop");
//! let app: Router = Router::new()
//!     .route("/me", get(async |token: AccessToken| token.subject().unwrap_or_default().to_owned()))
//!     .layer(BearerAuthLayer::new(server))
//!     .route_service("/backchannel-logout", logout); // below the layer: it needs no access token
//! # Ok(())
//! # }
//! ```

mod form;
mod seen;
mod token;

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use tower_service::Service;

use self::form::NoForm;
use self::seen::Seen;
pub use self::token::LogoutToken;
use crate::challenge::wire;
use crate::clock::whole_seconds_up;
use crate::error::{Error, ErrorKind};
use crate::revocation::RevocationList;
use crate::server::{LogoutTerms, ResourceServer};
use crate::sync::caught;
use crate::trace::{count, event};

/// Receives logout tokens, and revokes what they say; see the [module](self).
///
/// A tower service for `POST`, which answers as the specification says: 200, or 400 with an error
/// in JSON. It answers 503 with `Retry-After` if the issuer's keys cannot be had, and 405 to other
/// methods. A logout token is verified by the issuer's keys, as access tokens are. It must be
///
/// * of the type `logout+jwt`, with `iss`, `iat`, `exp` and `jti`, and valid for a day at most;
/// * for one of this receiver's clients (`aud`);
/// * about the event of back-channel logout (`events`), and about no other;
/// * about a session (`sid`), a user (`sub`), or both;
/// * without a `nonce`, and new: none counts twice in one process.
///
/// If it has a `sid`, the tokens of that session are revoked; else the user's that were issued
/// before the logout token. So access tokens must have the same `sid`, or the same `sub`.
pub struct LogoutReceiver<C = ()> {
    server: ResourceServer<C>,
    list: RevocationList,
    terms: LogoutTerms,
    seen: Arc<Seen>,
    tell: Option<Tell>,
}

type Tell = Arc<dyn Fn(&LogoutToken) + Send + Sync>;

impl<C> LogoutReceiver<C> {
    /// Receives the logout tokens that are for this client, from all issuers that the server
    /// trusts.
    pub fn new(server: ResourceServer<C>, list: RevocationList, client_id: impl Into<String>) -> Self {
        let terms = LogoutTerms { clients: vec![client_id.into().into()], legacy_typ: false };
        Self { server, list, terms, seen: Arc::default(), tell: None }
    }

    /// Also receives the logout tokens that are for this client; may be called several times.
    #[must_use]
    pub fn add_client(mut self, client_id: impl Into<String>) -> Self {
        self.terms.clients.push(client_id.into().into());
        self
    }

    /// Also accepts logout tokens whose `typ` is absent or `JWT`, as Keycloak before 25 and
    /// authentik before 2025.12 write them.
    ///
    /// The other conditions still tell them apart from all other tokens.
    #[must_use]
    pub fn accept_legacy_typ(mut self) -> Self {
        self.terms.legacy_typ = true;
        self
    }

    /// Tells the application of each logout, after the tokens were revoked: to end sessions of its
    /// own. If it panics, the issuer is answered 503, and may send the token again.
    #[must_use]
    pub fn on_logout(mut self, tell: impl Fn(&LogoutToken) + Send + Sync + 'static) -> Self {
        self.tell = Some(Arc::new(tell));
        self
    }
}

impl<C: Send + Sync + 'static> LogoutReceiver<C> {
    /// Verifies a logout token, and revokes what it says: for requests that come in another way
    /// than through the service.
    ///
    /// # Errors
    ///
    /// The same [`ErrorKind`]s as for an access token; [`Revoked`](ErrorKind::Revoked) if this
    /// logout token has come before, and [`CheckUnavailable`](ErrorKind::CheckUnavailable) if the
    /// closure of [`on_logout`](Self::on_logout) panics.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time: then either all is done, or nothing.
    pub async fn receive(&self, token: &str) -> Result<LogoutToken, Error> {
        self.receive_bytes(token.as_bytes()).await
    }

    async fn receive_bytes(&self, token: &[u8]) -> Result<LogoutToken, Error> {
        let claimed = self.server.verify_logout(token, &self.terms).await?;
        let token = LogoutToken::read(&claimed)?;
        let (issuer, now) = (token.issuer(), claimed.policy.server.clock.now());
        if !self.seen.is_new(issuer, token.id(), token.expires(), now) {
            return Err(Error::new(ErrorKind::Revoked, "the logout token has come before").at(&claimed.policy.issuer));
        }
        let before = token.next_second().to_system_time();
        match (token.session_id(), token.subject().zip(before)) {
            (Some(session), _) => self.list.revoke_session(issuer, session),
            (None, Some((subject, before))) => self.list.revoke_subject(issuer, subject, before),
            (None, None) => {}
        }
        event!(info, "somebody has signed out at the issuer", issuer = issuer);
        if let Some(tell) = &self.tell
            && caught(async { tell(&token) }).await.is_none()
        {
            self.seen.forget(issuer, token.id());
            let error = Error::new(ErrorKind::CheckUnavailable, "the application's on_logout has panicked");
            return Err(error.at(&claimed.policy.issuer));
        }
        Ok(token)
    }
}

impl<B, C> Service<Request<B>> for LogoutReceiver<C>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    C: Send + Sync + 'static,
{
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<String>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let receiver = self.clone();
        Box::pin(async move {
            let form = form::read(request).await;
            let token = form.as_deref().map_err(|error| *error).and_then(form::token);
            Ok(match token {
                Ok(token) => answer(receiver.receive_bytes(&token).await),
                Err(error) => no_form(error),
            })
        })
    }
}

/// OpenID Connect Back-Channel Logout 1.0 §2.8.
fn answer(received: Result<LogoutToken, Error>) -> Response<String> {
    let Err(error) = received else {
        count!("tower_bearer_logouts_total", "outcome" => "done");
        return response(StatusCode::OK, None);
    };
    event!(warn, "a logout token was refused", error = error);
    if wire(error.kind()).status.is_server_error() {
        count!("tower_bearer_logouts_total", "outcome" => "failed");
        let text = Some(("temporarily_unavailable", error.kind().text()));
        let mut response = response(StatusCode::SERVICE_UNAVAILABLE, text);
        if let Some(wait) = error.retry_after() {
            response.headers_mut().insert(RETRY_AFTER, whole_seconds_up(wait).max(1).into());
        }
        return response;
    }
    count!("tower_bearer_logouts_total", "outcome" => "refused");
    response(StatusCode::BAD_REQUEST, Some(("invalid_request", error.kind().text())))
}

fn no_form(error: NoForm) -> Response<String> {
    count!("tower_bearer_logouts_total", "outcome" => "refused");
    let text = Some(("invalid_request", error.text()));
    if error != NoForm::Method {
        return response(StatusCode::BAD_REQUEST, text);
    }
    let mut response = response(StatusCode::METHOD_NOT_ALLOWED, text);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    response
}

/// Writes an answer that no cache keeps. The texts are our own, and hold nothing that needs
/// escaping.
fn response(status: StatusCode, error: Option<(&str, &str)>) -> Response<String> {
    let body = error.map(|(code, text)| format!(r#"{{"error":"{code}","error_description":"{text}"}}"#));
    let is_json = body.is_some();
    let mut response = Response::new(body.unwrap_or_default());
    *response.status_mut() = status;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if is_json {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response
}

impl<C> Clone for LogoutReceiver<C> {
    fn clone(&self) -> Self {
        let Self { server, list, terms, seen, tell } = self;
        let (server, list, terms) = (server.clone(), list.clone(), terms.clone());
        Self { server, list, terms, seen: Arc::clone(seen), tell: tell.clone() }
    }
}

impl<C> fmt::Debug for LogoutReceiver<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogoutReceiver").field("clients", &self.terms.clients).finish_non_exhaustive()
    }
}
