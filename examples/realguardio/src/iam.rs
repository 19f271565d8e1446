//! The identity service: where users sign in, and who issues tokens. A small authorization server on top of the library's test issuer, with real keys: the
//! authorization-code flow with PKCE (RFC 7636), refresh tokens that are used once, and client credentials; opaque access tokens ([`opaque`]); and sign-outs, of which
//! every service is told ([`sign_out`]). Not for production; `--issuer` takes one that is.

mod opaque;
mod sign_out;

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
use tower_bearer::config::Clock;
use tower_bearer::testing::{Idp, TokenBuilder};

use self::opaque::Kept;
use crate::client;
use crate::guard::AUDIENCE;

/// How long access tokens are good: short, so that the gateway has something to refresh.
pub const LIFETIME: Duration = Duration::from_secs(120);

/// How users sign in (`acr`): by a password, and in no other way.
const PASSWORD: &str = "pwd";

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
#[derive(Clone, Default)]
pub struct Registered {
    pub secret: String,
    /// Where users are sent back to; machines have none.
    pub redirect_uri: Option<String>,
    /// What it may do for itself.
    pub scopes: Vec<&'static str>,
    /// What it is when it acts for itself.
    pub roles: Vec<&'static str>,
    /// Where it wants to be told that a session has ended. Those who do are services, which may also ask about tokens.
    pub logout_uri: Option<String>,
}

/// The service.
#[derive(Clone)]
pub struct Iam {
    /// What signs.
    pub idp: Idp,
    /// Tells the time of opaque tokens; without, tokens are JWTs.
    opaque: Option<Arc<dyn Clock>>,
    users: Arc<HashMap<&'static str, User>>,
    clients: Arc<HashMap<String, Registered>>,
    state: Arc<Mutex<Memory>>,
    http: reqwest::Client,
}

/// What has begun and is not over.
#[derive(Default)]
struct Memory {
    /// Requests whose user has not signed in yet.
    asked: HashMap<String, Asked>,
    /// Codes that have not been redeemed yet, each good for once, with their session.
    codes: HashMap<String, (Asked, String, Instant)>,
    /// The sessions of users, from sign-in to sign-out.
    sessions: HashMap<String, Session>,
    /// Refresh tokens.
    refresh: HashMap<String, Refresh>,
    /// What opaque access tokens stand for.
    kept: HashMap<String, Kept>,
}

/// A session of a user. Its tokens say when it began, however often they are refreshed.
struct Session {
    user: &'static str,
    /// When the user has signed in (`auth_time`).
    since: Value,
}

/// What a refresh token is good for. It is known for as long as its session, though it is used once.
struct Refresh {
    client: String,
    session: String,
    used: bool,
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
    /// How the user shall sign in (RFC 9470). `max_age` and `prompt=login` need no look: here, whoever comes signs in.
    acr_values: Option<String>,
    prompt: Option<String>,
}

impl Asked {
    /// Returns what this cannot be asked for, as an error.
    fn refused(&self) -> Option<&'static str> {
        let (acr_values, prompt) = (self.acr_values.as_deref().unwrap_or_default(), self.prompt.as_deref());
        if !acr_values.is_empty() && !acr_values.split(' ').any(|acr| acr == PASSWORD) {
            return Some("unmet_authentication_requirements");
        }
        // without asking the user anything, nobody signs in
        (prompt == Some("none")).then_some("login_required")
    }

    /// Sends the user back.
    fn back(&self, answer: [(&str, &str); 2]) -> Response {
        match reqwest::Url::parse_with_params(&self.redirect_uri, answer) {
            // with GET, whatever the form's method was
            Ok(back) => Redirect::to(back.as_str()).into_response(),
            Err(_) => StatusCode::BAD_REQUEST.into_response(),
        }
    }
}

#[derive(Deserialize)]
struct SignIn {
    request: String,
    #[serde(flatten)]
    login: Login,
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
    pub fn new(
        idp: Idp,
        users: HashMap<&'static str, User>,
        clients: HashMap<String, Registered>,
    ) -> reqwest::Result<Self> {
        let (users, clients, http) = (Arc::new(users), Arc::new(clients), client::http_client()?);
        Ok(Self { idp, opaque: None, users, clients, state: Arc::default(), http })
    }

    fn access_token(&self, subject: &str, client: &str) -> TokenBuilder {
        let token = self.idp.token(subject).audience(AUDIENCE).expires_in(LIFETIME);
        token.header("typ", "at+jwt").claim("jti", random()).claim("client_id", client)
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a session of a user, if there is one of this name.
    fn begin(&self, user: &str) -> Option<String> {
        let (session, user) = (random(), *self.users.get_key_value(user)?.0);
        let since = self.idp.token(user).claims().get("iat").cloned().unwrap_or_default();
        self.memory().sessions.insert(session.clone(), Session { user, since });
        Some(session)
    }

    /// Signs a user in without a browser, for tests: begins a session, and returns its tokens.
    pub fn sign_in(&self, user: &str, client: &str) -> Option<Value> {
        self.tokens(&self.begin(user)?, client, None)
    }

    /// Access token, refresh token and, at the first time, ID token of a session; none if it has ended.
    fn tokens(&self, session: &str, client: &str, asked: Option<&Asked>) -> Option<Value> {
        let (user, since) = self.memory().sessions.get(session).map(|own| (own.user, own.since.clone()))?;
        let known = self.users.get(user)?;
        let signed_in =
            |token: TokenBuilder| token.claim("sid", session).claim("acr", PASSWORD).claim("auth_time", since.clone());
        let token = signed_in(self.access_token(user, client)).claim("locations", known.locations.clone());
        let access_token = self.issue(&known.roles.iter().fold(token, |token, role| token.role(*role)));
        let refresh = random();
        let mut memory = self.memory();
        // whoever has signed out in the meantime gets nothing
        if !memory.sessions.contains_key(session) {
            memory.kept.remove(&access_token);
            return None;
        }
        let (client_id, session_id) = (client.to_owned(), session.to_owned());
        memory.refresh.insert(refresh.clone(), Refresh { client: client_id, session: session_id, used: false });
        drop(memory);
        let mut answer = json!({
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": LIFETIME.as_secs(),
            "refresh_token": refresh,
        });
        if let Some(asked) = asked {
            let token = self.idp.token(user).audience(client).expires_in(LIFETIME).header("typ", "JWT");
            let token = asked.nonce.iter().fold(signed_in(token), |token, nonce| token.claim("nonce", nonce.clone()));
            answer["id_token"] = token.sign().into();
        }
        Some(answer)
    }
}

/// The service's routes.
pub fn service(iam: Iam) -> Router {
    let introspection = if iam.opaque.is_some() { opaque::routes() } else { Router::new() };
    introspection
        .route("/.well-known/openid-configuration", get(metadata))
        .route("/jwks", get(async |State(iam): State<Iam>| Json(iam.idp.jwks())))
        .route("/authorize", get(authorize).post(sign_in))
        .route("/token", post(token))
        .route("/revoke", post(sign_out::revoke))
        .route("/sign-out", get(async || sign_out::page("")).post(sign_out::everywhere))
        .with_state(iam)
}

async fn metadata(State(iam): State<Iam>) -> Json<Value> {
    let issuer = iam.idp.issuer();
    let at = |path: &str| format!("{}{path}", issuer.trim_end_matches('/'));
    let mut metadata = json!({
        "issuer": issuer,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "jwks_uri": at("/jwks"),
        "response_types_supported": ["code"],
        "acr_values_supported": [PASSWORD],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "code_challenge_methods_supported": ["S256"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        "revocation_endpoint": at("/revoke"),
        "revocation_endpoint_auth_methods_supported": ["client_secret_basic"],
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
    });
    if iam.opaque.is_some() {
        metadata["introspection_endpoint"] = at("/introspect").into();
        metadata["introspection_endpoint_auth_methods_supported"] = json!(["client_secret_basic"]);
    }
    Json(metadata)
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
    if let Some(error) = asked.refused() {
        return asked.back([("error", error), ("state", &asked.state)]);
    }
    let request = random();
    iam.memory().asked.insert(request.clone(), asked);
    page(&request, "")
}

fn page(request: &str, message: &str) -> Response {
    let request = format!("<input type=hidden name=request value={request}>");
    form("/authorize", "Sign in", &request, "Sign in at the identity service.", message)
}

/// A page that asks for name and password.
fn form(action: &str, title: &str, hidden: &str, text: &str, message: &str) -> Response {
    // all of it is ours, and holds nothing that HTML could mistake
    let page = Html(format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>\
         <style>body{{font:16px system-ui;max-width:22rem;margin:4rem auto}}input,button{{font:inherit;width:100%;margin:.3rem 0;padding:.5rem}}</style>\
         <h1>RealGuardIO</h1><p>{text}</p><p role=alert>{message}</p>\
         <form method=post action={action}>{hidden}\
         <input name=user placeholder=user autocomplete=username autofocus><input name=password type=password placeholder=password>\
         <button>{title}</button></form></html>"
    ));
    ([(header::CONTENT_SECURITY_POLICY, "frame-ancestors 'none'")], page).into_response()
}

/// What somebody has typed who says who they are.
#[derive(Deserialize)]
struct Login {
    user: String,
    password: String,
}

impl Login {
    const WRONG: &str = "The name or the password is wrong.";

    fn is_right(&self, iam: &Iam) -> bool {
        iam.users.contains_key(self.user.as_str()) && self.password == "realguardio"
    }
}

async fn sign_in(State(iam): State<Iam>, Form(form): Form<SignIn>) -> Response {
    let Some(asked) = iam.memory().asked.get(&form.request).cloned() else {
        return (StatusCode::BAD_REQUEST, "nobody has asked for this").into_response();
    };
    let session = form.login.is_right(&iam).then(|| iam.begin(&form.login.user)).flatten();
    let Some(session) = session else { return page(&form.request, Login::WRONG) };
    let code = random();
    let back = asked.back([("code", &code), ("state", &asked.state)]);
    let mut memory = iam.memory();
    memory.asked.remove(&form.request);
    memory.codes.insert(code, (asked, session, Instant::now()));
    back
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
            let own = memory.refresh.get_mut(&refresh).filter(|own| own.client == client && !own.used);
            let session = own.map(|own| {
                own.used = true;
                own.session.clone()
            });
            drop(memory);
            session.and_then(|session| iam.tokens(&session, &client, None))
        }
        "client_credentials" => {
            let own = iam.clients.get(&client);
            let (scopes, roles) = own.map(|own| (own.scopes.clone(), own.roles.clone())).unwrap_or_default();
            let scope = request.scope.unwrap_or_default();
            if scope.is_empty() || !scope.split(' ').all(|scope| scopes.contains(&scope)) {
                return refuse(StatusCode::BAD_REQUEST, "invalid_scope");
            }
            let token = iam.access_token(&client, &client).scope(&scope);
            let token = iam.issue(&roles.into_iter().fold(token, TokenBuilder::role));
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
    let (asked, session, _) = good.then(|| memory.codes.remove(code)).flatten()?;
    drop(memory);
    iam.tokens(&session, client, Some(&asked))
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
        let users = HashMap::from([("alice", User::default())]);
        let iam = Iam::new(Idp::new("https://id.test/"), users, HashMap::new()).unwrap();
        let asked = Asked {
            response_type: "code".to_owned(),
            client_id: "gateway".to_owned(),
            redirect_uri: "https://app.test/".to_owned(),
            state: String::new(),
            nonce: None,
            code_challenge: URL_SAFE_NO_PAD.encode(Sha256::digest("verifier")),
            code_challenge_method: "S256".to_owned(),
            resource: None,
            acr_values: None,
            prompt: None,
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
            let session = iam.begin("alice").unwrap();
            iam.memory().codes.insert("code".to_owned(), (asked.clone(), session, Instant::now()));
            tokio::time::advance(waited).await;
            assert_eq!(redeem(&iam, "gateway", &request).is_some(), good, "{waited:?}");
        }
    }
}
