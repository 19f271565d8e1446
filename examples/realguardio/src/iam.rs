//! The identity service: where users sign in, and who issues tokens. A small authorization server on top of the library's test issuer, with real keys: the
//! authorization-code flow with PKCE (RFC 7636), refresh tokens that are used once, and client credentials. Not for production; `--issuer` takes one that is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Form, Query, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tower_bearer::testing::{Idp, TokenBuilder};

use crate::guard::AUDIENCE;

/// How long access tokens are good: short, so that the gateway has something to refresh.
pub const LIFETIME: Duration = Duration::from_secs(120);

/// How long a code may wait to be redeemed.
const CODE_LIFETIME: Duration = Duration::from_secs(60);

/// Who can sign in. The password of all of them is `realguardio`.
#[derive(Clone, Debug, Default)]
pub struct User {
    pub roles: Vec<&'static str>,
    /// The roles at locations, which go into tokens; `null` is none.
    pub locations: Value,
}

/// A client with a secret.
#[derive(Clone)]
pub struct Registered {
    pub secret: String,
    /// Where users are sent back to; machines have none.
    pub redirect_uri: Option<String>,
    /// What it may do for itself.
    pub scopes: Vec<&'static str>,
    /// What it is when it acts for itself.
    pub roles: Vec<&'static str>,
}

/// The service.
#[derive(Clone)]
pub struct Iam {
    idp: Idp,
    users: Arc<HashMap<&'static str, User>>,
    clients: Arc<HashMap<String, Registered>>,
    state: Arc<Mutex<Memory>>,
}

/// What has begun and is not over.
#[derive(Default)]
struct Memory {
    /// Requests whose user has not signed in yet.
    asked: HashMap<String, Asked>,
    /// Codes that have not been redeemed yet, each good for once.
    codes: HashMap<String, (Asked, &'static str, Instant)>,
    /// Refresh tokens: client and user.
    refresh: HashMap<String, (String, &'static str)>,
}

/// An authorization request (RFC 6749 §4.1.1).
#[derive(Clone, Deserialize)]
struct Asked {
    response_type: String,
    client_id: String,
    redirect_uri: String,
    state: String,
    nonce: Option<String>,
    code_challenge: String,
    code_challenge_method: String,
    /// Whom the access token shall be for (RFC 8707). There is one audience.
    resource: Option<String>,
}

#[derive(Deserialize)]
struct SignIn {
    request: String,
    user: String,
    password: String,
}

#[derive(Deserialize)]
struct TokenRequest {
    grant_type: String,
    code: Option<String>,
    redirect_uri: Option<String>,
    code_verifier: Option<String>,
    refresh_token: Option<String>,
    scope: Option<String>,
    resource: Option<String>,
}

impl Iam {
    /// An identity service at the address that the issuer has for a name.
    pub fn new(idp: Idp, users: HashMap<&'static str, User>, clients: HashMap<String, Registered>) -> Self {
        Self { idp, users: Arc::new(users), clients: Arc::new(clients), state: Arc::default() }
    }

    fn access_token(&self, subject: &str, client: &str) -> TokenBuilder {
        let token = self.idp.token(subject).audience(AUDIENCE).expires_in(LIFETIME);
        token.header("typ", "at+jwt").claim("client_id", client)
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Access token, refresh token and, at the first time, ID token of a user.
    fn tokens(&self, user: &'static str, client: &str, asked: Option<&Asked>) -> Value {
        let Some(known) = self.users.get(user) else { return Value::Null };
        let roles = known.roles.iter().fold(self.access_token(user, client), |token, role| token.role(*role));
        let refresh = random();
        self.memory().refresh.insert(refresh.clone(), (client.to_owned(), user));
        let mut answer = json!({
            "access_token": roles.claim("locations", known.locations.clone()).sign(),
            "token_type": "Bearer",
            "expires_in": LIFETIME.as_secs(),
            "refresh_token": refresh,
        });
        if let Some(asked) = asked {
            let token = self.idp.token(user).audience(client).expires_in(LIFETIME).header("typ", "JWT");
            let token = asked.nonce.iter().fold(token, |token, nonce| token.claim("nonce", nonce.clone()));
            answer["id_token"] = token.sign().into();
        }
        answer
    }
}

/// The service's routes.
pub fn service(iam: Iam) -> Router {
    Router::new()
        .route("/.well-known/openid-configuration", get(metadata))
        .route("/jwks", get(async |State(iam): State<Iam>| Json(iam.idp.jwks())))
        .route("/authorize", get(authorize).post(sign_in))
        .route("/token", post(token))
        .with_state(iam)
}

async fn metadata(State(iam): State<Iam>) -> Json<Value> {
    let issuer = iam.idp.issuer();
    let at = |path: &str| format!("{}{path}", issuer.trim_end_matches('/'));
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "jwks_uri": at("/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "code_challenge_methods_supported": ["S256"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
    }))
}

/// Shows the login page. The request waits here, so that nothing of it stands in the page.
async fn authorize(State(iam): State<Iam>, Query(asked): Query<Asked>) -> Response {
    let client = iam.clients.get(&asked.client_id);
    // whoever asks to be sent elsewhere is not sent at all (RFC 6749 §4.1.2.1)
    if client.and_then(|client| client.redirect_uri.as_ref()) != Some(&asked.redirect_uri) {
        return (StatusCode::BAD_REQUEST, "the client and where it wants its users back do not belong together")
            .into_response();
    }
    if asked.response_type != "code" || asked.code_challenge_method != "S256" || asked.code_challenge.is_empty() {
        return (StatusCode::BAD_REQUEST, "only the code flow, with PKCE by S256").into_response();
    }
    if !is_ours(asked.resource.as_ref()) {
        return (StatusCode::BAD_REQUEST, "tokens for others are not issued here").into_response();
    }
    let request = random();
    iam.memory().asked.insert(request.clone(), asked);
    page(&request, "")
}

fn page(request: &str, message: &str) -> Response {
    // both are ours, and hold nothing that HTML could mistake
    let page = Html(format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Sign in</title>\
         <style>body{{font:16px system-ui;max-width:22rem;margin:4rem auto}}input,button{{font:inherit;width:100%;margin:.3rem 0;padding:.5rem}}</style>\
         <h1>RealGuardIO</h1><p>Sign in at the identity service.</p><p role=alert>{message}</p>\
         <form method=post action=/authorize><input type=hidden name=request value={request}>\
         <input name=user placeholder=user autocomplete=username autofocus><input name=password type=password placeholder=password>\
         <button>Sign in</button></form></html>"
    ));
    ([(header::CONTENT_SECURITY_POLICY, "frame-ancestors 'none'")], page).into_response()
}

async fn sign_in(State(iam): State<Iam>, Form(form): Form<SignIn>) -> Response {
    let Some(asked) = iam.memory().asked.get(&form.request).cloned() else {
        return (StatusCode::BAD_REQUEST, "nobody has asked for this").into_response();
    };
    let user = iam.users.keys().find(|user| **user == form.user).filter(|_| form.password == "realguardio");
    let Some(user) = user else { return page(&form.request, "The name or the password is wrong.") };
    let code = random();
    let answer = [("code", &code), ("state", &asked.state)];
    let Ok(back) = reqwest::Url::parse_with_params(&asked.redirect_uri, answer) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let mut memory = iam.memory();
    memory.asked.remove(&form.request);
    memory.codes.insert(code, (asked, *user, Instant::now()));
    // with GET, whatever the form's method was
    Redirect::to(back.as_str()).into_response()
}

async fn token(State(iam): State<Iam>, headers: HeaderMap, Form(request): Form<TokenRequest>) -> Response {
    let Some(client) = authenticated(&iam, &headers) else {
        return refuse(StatusCode::UNAUTHORIZED, "invalid_client");
    };
    if !is_ours(request.resource.as_ref()) {
        return refuse(StatusCode::BAD_REQUEST, "invalid_target");
    }
    let answer = match request.grant_type.as_str() {
        "authorization_code" => redeem(&iam, &client, &request),
        "refresh_token" => {
            let refresh = request.refresh_token.unwrap_or_default();
            // good for once, and for its own client
            let mut memory = iam.memory();
            let own = memory.refresh.get(&refresh).is_some_and(|(owner, _)| *owner == client);
            let user = own.then(|| memory.refresh.remove(&refresh)).flatten().map(|(_, user)| user);
            drop(memory);
            user.map(|user| iam.tokens(user, &client, None))
        }
        "client_credentials" => {
            let own = iam.clients.get(&client);
            let (scopes, roles) = own.map(|own| (own.scopes.clone(), own.roles.clone())).unwrap_or_default();
            let scope = request.scope.unwrap_or_default();
            if scope.is_empty() || !scope.split(' ').all(|scope| scopes.contains(&scope)) {
                return refuse(StatusCode::BAD_REQUEST, "invalid_scope");
            }
            let token = iam.access_token(&client, &client).scope(&scope);
            let token = roles.into_iter().fold(token, TokenBuilder::role).sign();
            let lifetime = LIFETIME.as_secs();
            Some(json!({ "access_token": token, "token_type": "Bearer", "expires_in": lifetime, "scope": scope }))
        }
        _ => return refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type"),
    };
    match answer {
        Some(answer) => ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response(),
        None => refuse(StatusCode::BAD_REQUEST, "invalid_grant"),
    }
}

/// Redeems a code, once, for the client that it was issued to and by whoever has made the challenge. Others do not use it up.
fn redeem(iam: &Iam, client: &str, request: &TokenRequest) -> Option<Value> {
    let code = request.code.as_deref()?;
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(request.code_verifier.as_deref()?));
    let mut memory = iam.memory();
    let (asked, _, since) = memory.codes.get(code)?;
    let good = asked.client_id == client
        && Some(&asked.redirect_uri) == request.redirect_uri.as_ref()
        && asked.code_challenge == challenge
        && since.elapsed() < CODE_LIFETIME;
    let (asked, user, _) = good.then(|| memory.codes.remove(code)).flatten()?;
    drop(memory);
    Some(iam.tokens(user, client, Some(&asked)))
}

/// Returns the client of `Authorization: Basic` (RFC 6749 §2.3.1).
fn authenticated(iam: &Iam, headers: &HeaderMap) -> Option<String> {
    let basic = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(basic).ok()?).ok()?;
    let (client, secret) = text.split_once(':')?;
    let known = iam.clients.get(client)?;
    // digests, so that the time says nothing about the secret
    (Sha256::digest(secret) == Sha256::digest(&known.secret)).then(|| client.to_owned())
}

fn is_ours(resource: Option<&String>) -> bool {
    resource.is_none_or(|resource| resource == AUDIENCE)
}

fn refuse(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}

/// 256 bits that nobody can guess, as text.
pub fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_code_is_good_for_a_minute() {
        let iam = Iam::new(Idp::new("https://id.test/"), HashMap::from([("alice", User::default())]), HashMap::new());
        let asked = Asked {
            response_type: "code".to_owned(),
            client_id: "gateway".to_owned(),
            redirect_uri: "https://app.test/".to_owned(),
            state: String::new(),
            nonce: None,
            code_challenge: URL_SAFE_NO_PAD.encode(Sha256::digest("verifier")),
            code_challenge_method: "S256".to_owned(),
            resource: None,
        };
        let request = TokenRequest {
            grant_type: "authorization_code".to_owned(),
            code: Some("code".to_owned()),
            redirect_uri: Some("https://app.test/".to_owned()),
            code_verifier: Some("verifier".to_owned()),
            refresh_token: None,
            scope: None,
            resource: None,
        };
        for (waited, good) in [(CODE_LIFETIME - Duration::from_secs(1), true), (CODE_LIFETIME, false)] {
            iam.memory().codes.insert("code".to_owned(), (asked.clone(), "alice", Instant::now()));
            tokio::time::advance(waited).await;
            assert_eq!(redeem(&iam, "gateway", &request).is_some(), good, "{waited:?}");
        }
    }
}
