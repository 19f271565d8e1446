//! The gateway, a backend for the frontend: it signs users in, keeps their tokens in an encrypted cookie that scripts cannot read, and calls the services in their name.
//! Its pages are made here ([`pages`]); no script runs in the browser.

mod pages;
mod session;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, FromRef, Path, Query, State};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum_extra::extract::PrivateCookieJar;
use axum_extra::extract::cookie::Key;
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tower_bearer::authz::{Access, AuthzRules};
use tower_bearer::config::Clock;
use tower_bearer::relay::RelayLayer;
use tower_bearer::{BearerAuthLayer, ConfigError, ResourceServer, Rule};

use self::session::{SIGN_IN, Sessions, end, give};
use crate::actor::{Actor, Claims};
use crate::client::{self, Client, SigningIn, StepUp};
use crate::domain::{ADMIN, EMPLOYEE, SecuritySystem};
use crate::statistics::Statistics;
use crate::system::Fault;

/// What the gateway needs.
#[derive(Clone)]
pub struct Bff {
    client: Client,
    /// The services' origins.
    systems: String,
    statistics: String,
    sessions: Sessions,
    server: ResourceServer<Claims>,
    rules: AuthzRules,
    http: reqwest::Client,
    relay: Arc<RelayLayer>,
    clock: Arc<dyn Clock>,
}

impl FromRef<Bff> for Key {
    fn from_ref(bff: &Bff) -> Self {
        bff.sessions.key.clone()
    }
}

impl Bff {
    /// A gateway to these services.
    pub fn new(
        client: Client,
        server: ResourceServer<Claims>,
        (systems, statistics): (String, String),
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Fault> {
        let relay = Arc::new(RelayLayer::to([&systems, &statistics])?);
        let sessions = Sessions::new(client.clone(), server.clone(), Arc::clone(&clock));
        let (rules, http) = (rules()?, client::http_client()?);
        Ok(Self { client, systems, statistics, sessions, server, rules, http, relay, clock })
    }

    /// Calls a service in the user's name. What it refuses is refused here, for the same reason.
    async fn call(&self, method: Method, address: String, actor: &Actor) -> Result<reqwest::Response, Refusal> {
        let broken = |error: Fault| {
            tracing::error!(%error, "a call that cannot be made");
            StatusCode::INTERNAL_SERVER_ERROR
        };
        let request = http::Request::builder().method(method).uri(&address).body(String::new());
        let mut request = request.map_err(|error| broken(error.into()))?;
        self.relay.prepare(&mut request, Some(&actor.caller));
        let request = request.try_into().map_err(|error: reqwest::Error| broken(error.into()))?;
        let response = self.http.execute(request).await.map_err(|error| {
            tracing::warn!(error = &error as &(dyn std::error::Error + 'static), "a service does not answer");
            StatusCode::BAD_GATEWAY
        })?;
        match response.status() {
            status if status.is_success() => return Ok(response),
            StatusCode::UNAUTHORIZED if let Some(step_up) = StepUp::asked_for(response.headers()) => {
                return Err(Refusal::SignIn(step_up));
            }
            // a new token helps if this one has expired on its way, and else not
            StatusCode::UNAUTHORIZED if actor.token.expires_in(self.clock.now()).is_some() => {}
            status if status.is_client_error() || status == StatusCode::SERVICE_UNAVAILABLE => {
                return Err(status.into());
            }
            _ => {}
        }
        tracing::warn!(address, status = %response.status(), "a service answers what it should not");
        Err(StatusCode::BAD_GATEWAY.into())
    }

    async fn read<T: DeserializeOwned>(&self, address: String, actor: &Actor) -> Result<T, Refusal> {
        let response = self.call(Method::GET, address, actor).await?;
        let body = response.bytes().await.map_err(|error| unreadable(error.into()))?;
        Ok(serde_json::from_slice(&body).map_err(|error| unreadable(error.into()))?)
    }
}

/// Why the user does not get what they want.
enum Refusal {
    Status(StatusCode),
    /// They must sign in again first.
    SignIn(StepUp),
}

impl From<StatusCode> for Refusal {
    fn from(status: StatusCode) -> Self {
        Self::Status(status)
    }
}

impl IntoResponse for Refusal {
    /// The page is made of it by [`session::open`].
    fn into_response(self) -> Response {
        match self {
            Self::Status(status) => status.into_response(),
            Self::SignIn(step_up) => (StatusCode::UNAUTHORIZED, Extension(step_up)).into_response(),
        }
    }
}

fn unreadable(error: Fault) -> StatusCode {
    tracing::warn!(error, "an answer that cannot be read");
    StatusCode::BAD_GATEWAY
}

/// What each page needs. Who signs out needs nothing: not even a token that is still good.
pub fn rules() -> Result<AuthzRules, ConfigError> {
    let user = || Rule::role(EMPLOYEE) | Rule::role(ADMIN);
    AuthzRules::new()
        .route(Method::GET, "/health", Access::Public)
        .route(Method::GET, "/sign-in", Access::Public)
        .route(Method::GET, "/callback", Access::Public)
        .route(Method::POST, "/sign-out", Access::Public)
        .route(Method::GET, "/", user())
        .route(Method::POST, "/systems/{system}/{action}", user())
        .route(Method::GET, "/statistics", Rule::role(ADMIN))
        .build()
}

/// The gateway behind the same layer as all services. Its token is the session's, and comes by a cookie: what changes something must come from a page of ours.
pub fn service(bff: Bff) -> Result<Router, ConfigError> {
    let guard = BearerAuthLayer::new(bff.server.clone()).authorize(bff.rules.clone())?;
    let guard = guard.token_sources([session::token()])?.relayable();
    let session = from_fn_with_state(bff.clone(), session::open);
    Ok(routes().layer(guard).layer(session).with_state(bff))
}

/// The routes, unguarded, for a test that each has a rule.
pub fn routes() -> Router<Bff> {
    Router::new()
        .route("/health", get(async || "ok"))
        .route("/sign-in", get(sign_in))
        .route("/callback", get(callback))
        .route("/", get(home))
        .route("/systems/{system}/{action}", post(switch))
        .route("/sign-out", post(sign_out))
        .route("/statistics", get(statistics))
}

type Answer = Result<Response, Refusal>;

async fn sign_in(
    State(bff): State<Bff>,
    Extension(jar): Extension<PrivateCookieJar>,
    Query(step_up): Query<StepUp>,
) -> Answer {
    let (url, signing_in) = bff.client.sign_in(&step_up).await.map_err(unreachable)?;
    Ok((give(jar, SIGN_IN, &signing_in)?, Redirect::to(&url)).into_response())
}

/// What the identity service sends a user back with: a code, or an error (RFC 6749 §4.1.2).
#[derive(Deserialize)]
struct Back {
    code: Option<String>,
    state: String,
}

async fn callback(
    State(bff): State<Bff>,
    Extension(jar): Extension<PrivateCookieJar>,
    Query(back): Query<Back>,
) -> Answer {
    // what this browser has begun, and no other
    let begun = session::read::<SigningIn>(&jar, SIGN_IN).filter(|begun| begun.state == back.state);
    let (Some(begun), Some(code)) = (begun, back.code) else { return Err(StatusCode::BAD_REQUEST.into()) };
    let tokens = bff.client.redeem(code, begun).await.map_err(unreachable)?.ok_or(StatusCode::BAD_REQUEST)?;
    let jar = bff.sessions.end(end(jar, SIGN_IN)).await;
    let jar = bff.sessions.begin(jar, tokens).await.map_err(unreachable)?;
    Ok((jar, Redirect::to("/")).into_response())
}

/// The identity service does not answer, or not what it should.
fn unreachable(error: Fault) -> StatusCode {
    tracing::warn!(error, "the identity service");
    StatusCode::BAD_GATEWAY
}

async fn sign_out(State(bff): State<Bff>, Extension(jar): Extension<PrivateCookieJar>, headers: HeaderMap) -> Answer {
    // without a token, the layer does not ask; other pages of the same site shall not sign anybody out
    if headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return Err(StatusCode::FORBIDDEN.into());
    }
    Ok((bff.sessions.end(jar).await, pages::signed_out()).into_response())
}

async fn home(State(bff): State<Bff>, actor: Actor) -> Answer {
    let systems: Vec<SecuritySystem> = bff.read(format!("{}/systems", bff.systems), &actor).await?;
    Ok(pages::home(&actor, &systems))
}

async fn switch(State(bff): State<Bff>, Path((system, action)): Path<(i64, String)>, actor: Actor) -> Answer {
    if !["arm", "disarm"].contains(&action.as_str()) {
        return Err(StatusCode::NOT_FOUND.into());
    }
    match bff.call(Method::POST, format!("{}/systems/{system}/{action}", bff.systems), &actor).await {
        // it is in that state already, which the page will show
        Ok(_) | Err(Refusal::Status(StatusCode::CONFLICT)) => Ok(Redirect::to("/").into_response()),
        Err(refusal) => Err(refusal),
    }
}

async fn statistics(State(bff): State<Bff>, actor: Actor) -> Answer {
    let figures: Statistics = bff.read(format!("{}/statistics", bff.statistics), &actor).await?;
    Ok(pages::statistics(figures))
}
