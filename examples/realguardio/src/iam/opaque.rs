//! Access tokens that say nothing: a random text, and what it stands for is kept here. Services ask for it (RFC 7662).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::{Form, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tower_bearer::config::Clock;
use tower_bearer::testing::TokenBuilder;

use super::{Iam, authenticated, random, refuse};

/// What a token stands for: the claims of the JWT that it is in place of.
pub struct Kept(pub Map<String, Value>);

impl Kept {
    fn has_expired(&self, now: SystemTime) -> bool {
        let expires = self.0.get("exp").and_then(Value::as_u64).unwrap_or_default();
        SystemTime::UNIX_EPOCH + Duration::from_secs(expires) <= now
    }

    /// Tells whether it is of this session, or was issued to this client.
    pub fn says(&self, claim: &str, value: &str) -> bool {
        self.0.get(claim).and_then(Value::as_str) == Some(value)
    }
}

impl Iam {
    /// Issues opaque access tokens, of whose time this clock tells.
    #[must_use]
    pub fn opaque(self, clock: Arc<dyn Clock>) -> Self {
        Self { opaque: Some(clock), ..self }
    }

    /// Issues an access token: signed, or opaque.
    pub fn issue(&self, token: &TokenBuilder) -> String {
        let Some(clock) = &self.opaque else { return token.sign() };
        let (name, now, mut memory) = (random(), clock.now(), self.memory());
        memory.kept.retain(|_, kept| !kept.has_expired(now));
        memory.kept.insert(name.clone(), Kept(token.claims().clone()));
        name
    }
}

pub fn routes() -> Router<Iam> {
    Router::new().route("/introspect", post(introspect))
}

#[derive(Deserialize)]
struct Question {
    token: String,
}

/// Says what a token stands for, to services. Of one that is not good any more, nothing is said but that.
async fn introspect(State(iam): State<Iam>, headers: HeaderMap, Form(question): Form<Question>) -> Response {
    let is_service = |client: &String| iam.clients.get(client).is_some_and(|client| client.logout_uri.is_some());
    if !authenticated(&iam, &headers).as_ref().is_some_and(is_service) {
        return refuse(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    let mut answer = json!({ "active": false });
    if let (Some(clock), Some(kept)) = (&iam.opaque, iam.memory().kept.get(&question.token))
        && !kept.has_expired(clock.now())
    {
        let mut claims = kept.0.clone();
        claims.extend([("active".to_owned(), true.into()), ("token_type".to_owned(), "Bearer".into())]);
        answer = claims.into();
    }
    ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}
