//! *Fetch*: the customer service is asked, in the caller's name.

use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;
use tower::{Layer, ServiceExt};
use tower_bearer::ConfigError;
use tower_bearer::relay::{Relay, RelayLayer};

use super::{Authorizer, Permitted, by_roles};
use crate::actor::Actor;
use crate::domain::{Action, Roles, SecuritySystem};
use crate::problem::Unavailable;
use crate::system::Fault;

/// How long the caller waits for the other service.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is read of an answer: some tens of thousands of roles.
const MAX_BODY: usize = 1024 * 1024;

/// Asks the customer service with the caller's token, by a tower client; the gateway relays tokens by reqwest.
#[derive(Clone, Debug)]
pub struct FromCustomers {
    origin: String,
    http: Relay<Client<HttpConnector, Body>>,
}

impl FromCustomers {
    /// Asks the customer service at this origin, and relays tokens nowhere else.
    pub fn at(origin: &str) -> Result<Self, ConfigError> {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Ok(Self { origin: origin.to_owned(), http: RelayLayer::to([origin])?.layer(client) })
    }

    async fn roles(&self, actor: &Actor) -> Result<Roles, Fault> {
        let mut request = Request::get(format!("{}/roles", self.origin)).body(Body::empty())?;
        request.extensions_mut().insert(actor.caller.clone());
        let response = self.http.clone().oneshot(request).await?;
        if response.status() != StatusCode::OK {
            return Err(format!("it answers {}", response.status()).into());
        }
        let body = Limited::new(response.into_body(), MAX_BODY).collect().await?.to_bytes();
        Ok(serde_json::from_slice(&body)?)
    }
}

#[tonic::async_trait]
impl Authorizer for FromCustomers {
    async fn filter(&self, actor: &Actor, action: Action, systems: &[SecuritySystem]) -> Permitted {
        // both services let the same callers in, so whatever is no answer is a fault between them, and none of the caller's
        let roles = timeout(PATIENCE, self.roles(actor)).await.unwrap_or_else(|late| Err(late.into()));
        let roles = roles.map_err(|error| {
            tracing::warn!(error, "the customer service does not say what the caller may do");
            Unavailable
        })?;
        by_roles(&roles, action, systems)
    }
}
