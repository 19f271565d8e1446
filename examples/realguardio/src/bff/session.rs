//! Sessions, each in its browser's cookie, encrypted. The guard behind this sees their token in a cookie, and no other credential of the request.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::PrivateCookieJar;
use axum_extra::extract::cookie::{Cookie, Key, SameSite};
use http::{HeaderValue, Method, StatusCode, header};
use moka::future::Cache;
use moka::policy::EvictionPolicy;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tower_bearer::authz::Access;
use tower_bearer::config::Clock;
use tower_bearer::credential::TokenSource;
use tower_bearer::{Error, ErrorKind, ResourceServer};

use super::{Bff, pages};
use crate::actor::Claims;
use crate::client::{Client, Tokens};
use crate::iam::random;
use crate::system::Fault;

/// The cookie of the session. Of this host and https only; Chromium takes loopback hosts for secure.
pub const SESSION: &str = "__Host-session";
/// The cookie of a sign-in that has begun.
pub const SIGN_IN: &str = "__Host-sign-in";
/// The cookie that the guard finds the token in. It is made here, and no browser ever has it.
const TOKEN: &str = "access_token";

/// Before a token expires, it is refreshed this much earlier.
const EARLY: Duration = Duration::from_secs(10);

/// Requests that were under way with the same refresh token, which works once, share its answer for this long.
const TOGETHER: Duration = Duration::from_secs(30);

/// How long a session may last, and so for how long it is remembered that one has ended: what other tabs have refreshed at that moment, or somebody has copied, opens nothing.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What browsers take of one cookie (RFC 6265 §6.1).
const MAX_COOKIE: usize = 4096;

/// Who is signed in: their tokens.
#[derive(Clone, Deserialize, PartialEq, Serialize)]
struct Session {
    /// The same from sign-in to sign-out.
    id: String,
    began: SystemTime,
    access_token: String,
    /// Without one, the user signs in again when the token expires.
    refresh_token: Option<String>,
}

/// What opens sessions.
#[derive(Clone)]
pub struct Sessions {
    /// Made anew at each start, which signs everybody out.
    pub key: Key,
    client: Client,
    server: ResourceServer<Claims>,
    clock: Arc<dyn Clock>,
    /// By refresh token and access token, since not every identity service replaces both; `None` if it has refused to.
    refreshed: Cache<(String, String), Option<Session>>,
    /// By identifier.
    ended: Cache<String, ()>,
}

/// Where the guard looks for the token: in a cookie, so that it also asks which site's page has sent the request.
pub fn token() -> TokenSource {
    TokenSource::cookie(TOKEN)
}

impl Sessions {
    pub fn new(client: Client, server: ResourceServer<Claims>, clock: Arc<dyn Clock>) -> Self {
        let refreshed = Cache::builder().max_capacity(10_000).time_to_live(TOGETHER).build();
        // the oldest go first if there are too many
        let ended = Cache::builder().max_capacity(100_000).eviction_policy(EvictionPolicy::lru());
        let ended = ended.time_to_live(LONGEST).build();
        Self { key: Key::generate(), client, server, clock, refreshed, ended }
    }

    /// Begins a session.
    pub async fn begin(&self, jar: PrivateCookieJar, tokens: Tokens) -> Result<PrivateCookieJar, Fault> {
        // one that is refused here would send the user in a circle: to sign in, and back
        self.server.authenticate(&tokens.access_token).await?;
        let Tokens { access_token, refresh_token } = tokens;
        let session = Session { id: random(), began: self.clock.now(), access_token, refresh_token };
        give(jar, SESSION, &session).map_err(|_| "the tokens do not fit into a cookie".into())
    }

    /// Ends the browser's session, and all copies of it: here at once, and by the identity service everywhere.
    pub async fn end(&self, jar: PrivateCookieJar) -> PrivateCookieJar {
        if let Some(session) = read::<Session>(&jar, SESSION) {
            self.ended.insert(session.id, ()).await;
            if let Some(token) = session.refresh_token
                && let Err(error) = self.client.revoke(&token).await
            {
                tracing::warn!(error, "a session has ended here only: its tokens live on until they expire");
            }
        }
        end(jar, SESSION)
    }

    /// Returns the session as it goes on: as it is, refreshed, or over. With an error it is none of these: the identity service does not answer, and the token is of no use.
    async fn go_on(&self, session: Session) -> Result<Option<Session>, Arc<Fault>> {
        if self.ended.contains_key(&session.id) || self.clock.now() > session.began + LONGEST {
            return Ok(None);
        }
        let usable = match self.server.authenticate(&session.access_token).await {
            Ok(token) if token.expires_in(self.clock.now()).is_some_and(|left| left > EARLY) => {
                return Ok(Some(session));
            }
            // nobody can say now, as the guard will
            Err(error) if is_unsure(&error) => return Ok(Some(session)),
            verdict => verdict.is_ok(),
        };
        if session.refresh_token.is_none() {
            return Ok(Some(session));
        }
        // a task, which goes on if the browser does not wait for it: what the identity service has issued must not be lost
        let refreshed = tokio::spawn(self.clone().refresh(session.clone())).await;
        match refreshed.map_err(|panicked| Arc::new(Fault::from(panicked)))? {
            Err(error) if usable => {
                tracing::warn!(error = &**error, "a session cannot be refreshed now, and goes on");
                Ok(Some(session))
            }
            refreshed => refreshed,
        }
    }

    async fn refresh(self, session: Session) -> Result<Option<Session>, Arc<Fault>> {
        let token = session.refresh_token.clone().unwrap_or_default();
        let before = (token.clone(), session.access_token.clone());
        let refresh = async {
            let Some(Tokens { access_token, refresh_token }) = self.client.refresh(token.clone()).await? else {
                // it has expired; or somebody else has used it up, who shall not go on with what they have got
                self.ended.insert(session.id, ()).await;
                return Ok(None);
            };
            match self.server.authenticate(&access_token).await {
                Ok(_) => {}
                // it is kept though it cannot be checked now: the refresh token before it may be used up
                Err(error) if is_unsure(&error) || error.kind() == ErrorKind::UnknownKey => {}
                Err(error) => return Err(error.into()),
            }
            Ok(Some(Session { access_token, refresh_token: refresh_token.or_else(|| Some(token.clone())), ..session }))
        };
        self.refreshed.try_get_with(before, refresh).await
    }
}

/// Tells whether a token may be good, and nobody can say now.
fn is_unsure(error: &Error) -> bool {
    use ErrorKind::{CheckUnavailable, IntrospectionUnavailable, KeysUnavailable};
    matches!(error.kind(), CheckUnavailable | IntrospectionUnavailable | KeysUnavailable)
}

/// Opens the session for those behind, keeps it fresh, and turns refusals into pages.
pub async fn open(State(bff): State<Bff>, jar: PrivateCookieJar, request: Request, next: Next) -> Response {
    let answer = answer(&bff, jar, request, next).await;
    pages::protected(answer.unwrap_or_else(pages::refused))
}

async fn answer(
    bff: &Bff,
    mut jar: PrivateCookieJar,
    mut request: Request,
    next: Next,
) -> Result<Response, StatusCode> {
    let (mut session, mut unreachable) = (None, false);
    // what is for everybody needs no session, and does not wait for one
    let public = bff.rules.access(request.method(), request.uri().path()) == Some(&Access::Public);
    if let Some(before) = read::<Session>(&jar, SESSION).filter(|_| !public) {
        match bff.sessions.go_on(before.clone()).await {
            Ok(now) => session = now,
            Err(error) => {
                tracing::warn!(error = &**error, "a session cannot be refreshed now");
                unreachable = true;
            }
        }
        jar = match &session {
            // one that has become too large is good for this page
            Some(session) if *session != before => give(jar.clone(), SESSION, session).unwrap_or_else(|_| {
                tracing::warn!("the refreshed tokens do not fit into a cookie");
                end(jar, SESSION)
            }),
            None if !unreachable => end(jar, SESSION),
            _ => jar,
        };
    }

    // what says who this is are the session's tokens, and nothing else that the browser has sent along
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
        StatusCode::UNAUTHORIZED if let Some(step_up) = response.extensions().get() => pages::sign_in_again(step_up),
        // whose session it is cannot be said now, and it may go on later
        StatusCode::UNAUTHORIZED if unreachable => pages::refused(StatusCode::BAD_GATEWAY),
        StatusCode::UNAUTHORIZED if is_page => Redirect::to("/sign-in").into_response(),
        status if status.is_client_error() || status.is_server_error() => pages::refused(status),
        _ => response,
    };
    // whoever gives or takes a cookie has begun with this jar
    let done = response.headers().contains_key(header::SET_COOKIE);
    Ok(if done { response } else { (jar, response).into_response() })
}

/// Reads a cookie of ours. One that this gateway has not made since its start is none.
pub fn read<T: DeserializeOwned>(jar: &PrivateCookieJar, name: &str) -> Option<T> {
    serde_json::from_str(jar.get(name)?.value()).ok()
}

/// Gives the browser a cookie that nobody but us can read or make. One that is too large is refused here: the browser would drop it without a word.
pub fn give(jar: PrivateCookieJar, name: &'static str, value: &impl Serialize) -> Result<PrivateCookieJar, StatusCode> {
    let value = serde_json::to_string(value).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let cookie = Cookie::build((name, value)).path("/").secure(true).http_only(true);
    // a link from elsewhere, such as the way back from the identity service, may bring it; a form from elsewhere may not
    let jar = jar.add(cookie.same_site(SameSite::Lax));
    let response = jar.clone().into_response();
    let fits = response.headers().get_all(header::SET_COOKIE).iter().all(|cookie| cookie.len() <= MAX_COOKIE);
    if fits { Ok(jar) } else { Err(StatusCode::BAD_GATEWAY) }
}

/// Takes a cookie of ours from the browser.
pub fn end(jar: PrivateCookieJar, name: &'static str) -> PrivateCookieJar {
    jar.remove(Cookie::build(name).path("/").secure(true))
}
