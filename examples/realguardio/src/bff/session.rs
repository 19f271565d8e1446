//! Sessions, each in its browser's cookie, encrypted. The guard behind this sees their token in a cookie, and nothing else of what the browser has sent along.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::PrivateCookieJar;
use axum_extra::extract::cookie::{Cookie, Key, SameSite};
use http::{HeaderValue, Method, StatusCode, header};
use moka::future::Cache;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tower_bearer::{Clock, TokenSource};

use super::{Bff, pages};
use crate::client::{Client, Tokens};
use crate::system::Fault;

/// The cookie of the session. Of this host and https only; a browser takes loopback addresses for secure.
pub const SESSION: &str = "__Host-session";
/// The cookie of a sign-in that has begun.
pub const SIGN_IN: &str = "__Host-sign-in";
/// The cookie that the guard finds the token in. It is made here, and no browser ever has it.
const TOKEN: &str = "access_token";

/// Before a token expires, it is refreshed this much earlier.
const EARLY: Duration = Duration::from_secs(10);

/// For how long those of a browser's requests that were under way get what the first one has got for a refresh token, which is good for once.
const TOGETHER: Duration = Duration::from_secs(30);

/// What browsers take of one cookie (RFC 6265 §6.1).
const MAX_COOKIE: usize = 4096;

/// Who is signed in: their tokens.
#[derive(Clone, Deserialize, Serialize)]
struct Session {
    access_token: String,
    /// Without one, the user signs in again when the token expires.
    refresh_token: Option<String>,
    /// Since the epoch.
    expires: Duration,
}

/// What opens sessions.
#[derive(Clone)]
pub struct Sessions {
    /// Made anew at each start, which signs everybody out.
    pub key: Key,
    client: Client,
    clock: Arc<dyn Clock>,
    /// By refresh token; `None` if the identity service has refused it.
    refreshed: Cache<String, Option<Session>>,
}

/// Where the guard looks for the token: in a cookie, so that it also asks which site's page has sent the request.
pub fn token() -> TokenSource {
    TokenSource::cookie(TOKEN)
}

impl Sessions {
    pub fn new(client: Client, clock: Arc<dyn Clock>) -> Self {
        let refreshed = Cache::builder().max_capacity(10_000).time_to_live(TOGETHER).build();
        Self { key: Key::generate(), client, clock, refreshed }
    }

    /// Begins a session.
    pub fn begin(&self, jar: PrivateCookieJar, tokens: Tokens) -> Result<PrivateCookieJar, StatusCode> {
        let jar = begin(jar, SESSION, &self.session(tokens, None));
        // a browser would drop it without a word, and the user would sign in for ever
        let response = jar.clone().into_response();
        let fits = response.headers().get_all(header::SET_COOKIE).iter().all(|cookie| cookie.len() <= MAX_COOKIE);
        if fits { Ok(jar) } else { Err(StatusCode::BAD_GATEWAY) }
    }

    fn session(&self, tokens: Tokens, old: Option<&str>) -> Session {
        let refresh_token = tokens.refresh_token.or(old.map(str::to_owned));
        Session { access_token: tokens.access_token, refresh_token, expires: self.now() + tokens.expires_in }
    }

    fn now(&self) -> Duration {
        self.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::MAX)
    }

    /// Returns the session as it goes on: as it is, refreshed, or over. An error is neither: the identity service does not answer, and the token is of no use any more.
    async fn go_on(&self, session: Session) -> Result<Option<Session>, StatusCode> {
        let Some(token) = &session.refresh_token else { return Ok(Some(session)) };
        if self.now() + EARLY < session.expires {
            return Ok(Some(session));
        }
        let (sessions, token) = (self.clone(), token.clone());
        // a task, which goes on if the browser does not wait for it: what the identity service has issued must not be lost
        let refreshed = tokio::spawn(async move { sessions.refresh(token).await }).await;
        match refreshed {
            Ok(Ok(refreshed)) => Ok(refreshed),
            _ if self.now() < session.expires => Ok(Some(session)),
            _ => Err(StatusCode::BAD_GATEWAY),
        }
    }

    async fn refresh(&self, token: String) -> Result<Option<Session>, Arc<Fault>> {
        let refresh = async {
            let tokens = self.client.refresh(token.clone()).await?;
            Ok(tokens.map(|tokens| self.session(tokens, Some(&token))))
        };
        self.refreshed.try_get_with_by_ref(&token, refresh).await
    }
}

/// Opens the session for those behind, keeps it fresh, and turns refusals into pages.
pub async fn open(State(bff): State<Bff>, jar: PrivateCookieJar, mut request: Request, next: Next) -> Response {
    let before = read::<Session>(&jar, SESSION);
    let session = match before.clone() {
        Some(session) => match bff.sessions.go_on(session).await {
            Ok(session) => session,
            Err(status) => return pages::refused(status),
        },
        None => None,
    };
    let jar = match (&before, &session) {
        (Some(before), Some(session)) if before.access_token == session.access_token => jar,
        (Some(_), Some(session)) => begin(jar, SESSION, session),
        (Some(_), None) => end(jar, SESSION),
        (None, _) => jar,
    };

    // what the browser says of itself is the session, and nothing else
    let headers = request.headers_mut();
    headers.remove(header::AUTHORIZATION);
    headers.remove(header::COOKIE);
    let cookie = session.map(|session| HeaderValue::try_from(format!("{TOKEN}={}", session.access_token)));
    if let Some(Ok(cookie)) = cookie {
        headers.insert(header::COOKIE, cookie);
    }
    request.extensions_mut().insert(jar.clone());
    let is_page = request.method() == Method::GET;

    let response = next.run(request).await;
    let response = match response.status() {
        StatusCode::UNAUTHORIZED if is_page => Redirect::to("/sign-in").into_response(),
        status if status.is_client_error() || status.is_server_error() => pages::refused(status),
        _ => response,
    };
    // whoever begins or ends a session has begun with this jar
    let response =
        if response.headers().contains_key(header::SET_COOKIE) { response } else { (jar, response).into_response() };
    pages::protected(response)
}

/// Reads a cookie of ours. One that we have not made, or not lately, is none.
pub fn read<T: DeserializeOwned>(jar: &PrivateCookieJar, name: &str) -> Option<T> {
    serde_json::from_str(jar.get(name)?.value()).ok()
}

/// Gives the browser a cookie that nobody but us can read or make.
pub fn begin(jar: PrivateCookieJar, name: &'static str, value: &impl Serialize) -> PrivateCookieJar {
    let value = serde_json::to_string(value).unwrap_or_default();
    let cookie = Cookie::build((name, value)).path("/").secure(true).http_only(true);
    // a link from elsewhere, such as the way back from the identity service, may bring it; a form from elsewhere may not
    jar.add(cookie.same_site(SameSite::Lax))
}

/// Takes a cookie of ours from the browser.
pub fn end(jar: PrivateCookieJar, name: &'static str) -> PrivateCookieJar {
    jar.remove(Cookie::build(name).path("/").secure(true))
}
