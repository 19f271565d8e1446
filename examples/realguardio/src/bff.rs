//! The gateway, a backend for the frontend: it signs users in, keeps their tokens in an encrypted cookie that scripts cannot read, and calls the services in their name.
//! Its pages are made here; no script runs in the browser.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::{Form, FromRef, FromRequestParts, Path, Query, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum_extra::extract::PrivateCookieJar;
use axum_extra::extract::cookie::{Cookie, Key, SameSite};
use http::{HeaderValue, Method, StatusCode, header};
use openidconnect::core::{CoreAuthenticationFlow, CoreClient, CoreProviderMetadata};
use openidconnect::{
    AuthorizationCode, ClientId, ClientSecret, CsrfToken, IssuerUrl, Nonce, OAuth2TokenResponse, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RefreshToken, TokenResponse,
};
use serde::{Deserialize, Serialize};
use tower_bearer::relay::{CallerToken, RelayLayer};
use tower_bearer::{Access, AccessToken, AuthzRules, BearerAuthLayer, ConfigError, ResourceServer, Rule};

use crate::domain::SecuritySystem;
use crate::iam::random;
use crate::statistics::Statistics;

/// The cookie of the session. Of this host and https only; a browser takes loopback addresses for secure.
const SESSION: &str = "__Host-session";
/// The cookie of a sign-in that has begun.
const SIGN_IN: &str = "__Host-sign-in";

/// Before a token expires, it is refreshed this much earlier.
const EARLY: Duration = Duration::from_secs(10);

/// What the gateway needs.
#[derive(Clone)]
pub struct Bff {
    /// Where browsers reach it.
    pub origin: String,
    pub issuer: String,
    pub client: String,
    pub secret: String,
    /// The services' origins.
    pub systems: String,
    pub statistics: String,
    key: Key,
    http: reqwest::Client,
    relay: Arc<RelayLayer>,
}

/// Who is signed in, and their tokens; only ever seen by this service.
#[derive(Clone, Deserialize, Serialize)]
struct Session {
    access_token: String,
    refresh_token: String,
    /// In seconds since the epoch.
    expires: u64,
    /// What a form of ours has and another site's has not.
    form: String,
}

/// A sign-in that has begun.
#[derive(Deserialize, Serialize)]
struct SigningIn {
    state: String,
    nonce: String,
    verifier: String,
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// What goes wrong at the gateway, as an answer.
struct Broken;

impl IntoResponse for Broken {
    fn into_response(self) -> Response {
        (StatusCode::BAD_GATEWAY, Html(page("Sorry", "<p>One of our services did not answer. Please try again.</p>")))
            .into_response()
    }
}

impl<E: Into<Fault>> From<E> for Broken {
    fn from(_: E) -> Self {
        Self
    }
}

impl FromRef<Bff> for Key {
    fn from_ref(bff: &Bff) -> Self {
        bff.key.clone()
    }
}

impl Bff {
    /// A gateway to these services, with a key of its own: who is signed in is signed out when it starts again.
    pub fn new(
        origin: String,
        issuer: String,
        (client, secret): (&str, &str),
        systems: String,
        statistics: String,
    ) -> Result<Self, Fault> {
        // a redirect could lead the client, and what it carries, elsewhere
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
        let relay = Arc::new(RelayLayer::to([&systems, &statistics])?);
        let (client, secret) = (client.to_owned(), secret.to_owned());
        Ok(Self { origin, issuer, client, secret, systems, statistics, key: Key::generate(), http, relay })
    }

    /// Calls a service in the user's name.
    async fn call(&self, method: Method, address: String, caller: &CallerToken) -> Result<reqwest::Response, Fault> {
        let mut request = http::Request::builder().method(method).uri(address).body(String::new())?;
        self.relay.prepare(&mut request, Some(caller));
        Ok(self.http.execute(request.try_into()?).await?)
    }
}

/// What each page needs.
pub fn rules() -> Result<AuthzRules, ConfigError> {
    AuthzRules::new()
        .route(Method::GET, "/health", Access::Public)
        .route(Method::GET, "/sign-in", Access::Public)
        .route(Method::GET, "/callback", Access::Public)
        .route(Method::GET, "/", Rule::role("employee") | Rule::role("admin"))
        .route(Method::POST, "/systems/{system}/{action}", Rule::role("employee") | Rule::role("admin"))
        .route(Method::POST, "/sign-out", Access::Authenticated)
        .route(Method::GET, "/statistics", Rule::role("admin"))
        .build()
}

/// The gateway behind the same guard as all services: its own session brings the token.
pub fn service(bff: Bff, server: ResourceServer) -> Result<Router, ConfigError> {
    let guard = BearerAuthLayer::new(server).authorize(rules()?).relayable();
    let session = from_fn_with_state(bff.clone(), with_session);
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

/// Takes the session's token for the request's, refreshes it in time, and sends a user who has none, or a bad one, to sign in.
async fn with_session(State(bff): State<Bff>, mut jar: PrivateCookieJar, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    // only the session brings a token
    parts.headers.remove(header::AUTHORIZATION);
    let mut session = read::<Session>(&jar, SESSION);
    if let Some(old) = &session
        && now() + EARLY.as_secs() >= old.expires
    {
        session = refresh(&bff, old).await.ok();
        jar = match &session {
            Some(session) => jar.add(cookie(SESSION, session)),
            None => jar.remove(Cookie::build(SESSION).path("/").secure(true)),
        };
    }
    let bearer = session.as_ref().map(|session| HeaderValue::try_from(format!("Bearer {}", session.access_token)));
    if let Some(Ok(bearer)) = bearer {
        parts.headers.insert(header::AUTHORIZATION, bearer);
    }
    let wants_page = parts.method == Method::GET;
    if let Some(session) = session {
        parts.extensions.insert(FormKey(session.form));
    }
    let response = next.run(Request::from_parts(parts, body)).await;
    let response = match response.status() {
        StatusCode::UNAUTHORIZED if wants_page => Redirect::to("/sign-in").into_response(),
        StatusCode::FORBIDDEN => {
            let text = "<p>Your account may not do this.</p><p><a href=/>Back</a></p>";
            (StatusCode::FORBIDDEN, Html(page("Not permitted", text))).into_response()
        }
        _ => response,
    };
    (jar, response).into_response()
}

/// The session's secret for forms.
#[derive(Clone)]
struct FormKey(String);

impl<S: Send + Sync> FromRequestParts<S> for FormKey {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut http::request::Parts, _: &S) -> Result<Self, StatusCode> {
        parts.extensions.get().cloned().ok_or(StatusCode::FORBIDDEN)
    }
}

#[derive(Deserialize)]
struct Sent {
    form: String,
}

impl Sent {
    /// A form that is not of this session's pages is another site's.
    fn check(&self, FormKey(own): &FormKey) -> Result<(), StatusCode> {
        if self.form == *own { Ok(()) } else { Err(StatusCode::FORBIDDEN) }
    }
}

async fn discovered(bff: &Bff) -> Result<CoreProviderMetadata, Fault> {
    let issuer = IssuerUrl::new(bff.issuer.clone())?;
    Ok(CoreProviderMetadata::discover_async(issuer, &bff.http).await?)
}

macro_rules! client {
    ($bff:expr) => {{
        let secret = ClientSecret::new($bff.secret.clone());
        CoreClient::from_provider_metadata(discovered($bff).await?, ClientId::new($bff.client.clone()), Some(secret))
            .set_redirect_uri(RedirectUrl::new(format!("{}/callback", $bff.origin))?)
    }};
}

async fn sign_in(State(bff): State<Bff>, jar: PrivateCookieJar) -> Result<Response, Broken> {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let flow = CoreAuthenticationFlow::AuthorizationCode;
    let client = client!(&bff);
    let asked = client.authorize_url(flow, CsrfToken::new_random, Nonce::new_random).set_pkce_challenge(challenge);
    let (url, state, nonce) = asked.url();
    let signing_in =
        SigningIn { state: state.secret().clone(), nonce: nonce.secret().clone(), verifier: verifier.secret().clone() };
    Ok((jar.add(cookie(SIGN_IN, &signing_in)), Redirect::to(url.as_str())).into_response())
}

#[derive(Deserialize)]
struct Back {
    code: String,
    state: String,
}

async fn callback(State(bff): State<Bff>, jar: PrivateCookieJar, Query(back): Query<Back>) -> Result<Response, Broken> {
    // what this browser has begun, and no other
    let Some(begun) = read::<SigningIn>(&jar, SIGN_IN).filter(|begun| begun.state == back.state) else {
        return Ok((StatusCode::BAD_REQUEST, Html(page("Sign in", "<p><a href=/sign-in>Please try again.</a></p>")))
            .into_response());
    };
    let client = client!(&bff);
    let exchange = client.exchange_code(AuthorizationCode::new(back.code))?;
    let exchange = exchange.set_pkce_verifier(PkceCodeVerifier::new(begun.verifier));
    let tokens = exchange.request_async(&bff.http).await?;
    let id_token = tokens.id_token().ok_or("no ID token")?;
    id_token.claims(&client.id_token_verifier(), &Nonce::new(begun.nonce))?;
    let session = session(&tokens, None).ok_or("no refresh token")?;
    let jar = jar.remove(Cookie::build(SIGN_IN).path("/").secure(true)).add(cookie(SESSION, &session));
    Ok((jar, Redirect::to("/")).into_response())
}

async fn refresh(bff: &Bff, old: &Session) -> Result<Session, Fault> {
    let client = client!(bff);
    let refresh = RefreshToken::new(old.refresh_token.clone());
    let tokens = client.exchange_refresh_token(&refresh)?.request_async(&bff.http).await?;
    session(&tokens, Some(old)).ok_or_else(|| "no refresh token".into())
}

fn session(tokens: &impl OAuth2TokenResponse, old: Option<&Session>) -> Option<Session> {
    let refresh = tokens.refresh_token().map(|token| token.secret().clone());
    Some(Session {
        access_token: tokens.access_token().secret().clone(),
        refresh_token: refresh.or_else(|| old.map(|old| old.refresh_token.clone()))?,
        expires: now() + tokens.expires_in().unwrap_or_default().as_secs(),
        form: old.map_or_else(random, |old| old.form.clone()),
    })
}

async fn sign_out(jar: PrivateCookieJar, own: FormKey, Form(sent): Form<Sent>) -> Result<Response, StatusCode> {
    sent.check(&own)?;
    Ok((jar.remove(Cookie::build(SESSION).path("/").secure(true)), Redirect::to("/")).into_response())
}

async fn home(
    State(bff): State<Bff>,
    token: AccessToken,
    caller: CallerToken,
    FormKey(form): FormKey,
) -> Result<Response, Broken> {
    let response = bff.call(Method::GET, format!("{}/systems", bff.systems), &caller).await?;
    let systems: Vec<SecuritySystem> = serde_json::from_str(&response.error_for_status()?.text().await?)?;
    let mut rows = String::new();
    for system in systems {
        let (state, action) = if system.armed { ("armed", "disarm") } else { ("not armed", "arm") };
        let (id, location) = (system.id.0, system.location.0);
        rows.push_str(&format!(
            "<tr id=system-{id}><td>{id}<td>{location}<td class=state>{state}<td><form method=post action=/systems/{id}/{action}>\
             <input type=hidden name=form value={form}><button>{action}</button></form>"
        ));
    }
    let user = escape(token.subject().unwrap_or_default());
    let admin = if token.has_role("admin") { "<p><a href=/statistics>Statistics</a></p>" } else { "" };
    let body = format!(
        "<p>Signed in as <b id=user>{user}</b></p><table><tr><th>System<th>Location<th>State<th>{rows}</table>{admin}\
         <form method=post action=/sign-out><input type=hidden name=form value={form}><button id=sign-out>Sign out</button></form>"
    );
    Ok(Html(page("Your security systems", &body)).into_response())
}

async fn switch(
    State(bff): State<Bff>,
    Path((system, action)): Path<(i64, String)>,
    caller: CallerToken,
    own: FormKey,
    Form(sent): Form<Sent>,
) -> Result<Response, Broken> {
    if let Err(status) = sent.check(&own) {
        return Ok(status.into_response());
    }
    if !["arm", "disarm"].contains(&action.as_str()) {
        return Ok(StatusCode::NOT_FOUND.into_response());
    }
    let response = bff.call(Method::POST, format!("{}/systems/{system}/{action}", bff.systems), &caller).await?;
    // what the service says is what the user is told: 403 is shown as such, 404 is 404
    Ok(match response.status() {
        status if status.is_success() || status == StatusCode::CONFLICT => Redirect::to("/").into_response(),
        status if status.is_client_error() => status.into_response(),
        _ => Broken.into_response(),
    })
}

async fn statistics(State(bff): State<Bff>, caller: CallerToken) -> Result<Response, Broken> {
    let response = bff.call(Method::GET, format!("{}/statistics", bff.statistics), &caller).await?;
    let Statistics { systems, armed } = serde_json::from_str(&response.error_for_status()?.text().await?)?;
    let body = format!("<p>{systems} systems, {armed} of them armed.</p><p><a href=/>Back</a></p>");
    Ok(Html(page("Statistics", &body)).into_response())
}

fn read<T: serde::de::DeserializeOwned>(jar: &PrivateCookieJar, name: &str) -> Option<T> {
    serde_json::from_str(jar.get(name)?.value()).ok()
}

fn cookie(name: &'static str, value: &impl Serialize) -> Cookie<'static> {
    let value = serde_json::to_string(value).unwrap_or_default();
    let cookie = Cookie::build((name, value)).path("/").secure(true).http_only(true);
    // a link from elsewhere, such as the way back from the identity service, may bring it; a form from elsewhere may not
    cookie.same_site(SameSite::Lax).build()
}

#[expect(clippy::disallowed_methods, reason = "sessions end by the wall's clock")]
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>\
         <style>body{{font:16px system-ui;max-width:40rem;margin:3rem auto}}table{{border-collapse:collapse;width:100%}}\
         td,th{{text-align:left;padding:.4rem;border-bottom:1px solid #ccc}}form{{display:inline}}button{{font:inherit}}</style>\
         <h1>{title}</h1>{body}</html>"
    )
}
