//! The end of sessions. None of their tokens is good any more, and each service is told so at once, since it cannot see that of a JWT (OpenID Connect Back-Channel Logout).

use axum::extract::{Form, State};
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use tokio::task::JoinSet;

use super::{Iam, Login, authenticated, form, random, refuse};

impl Iam {
    /// Ends sessions: what was issued in them is not known any more. Returns them, with their users.
    fn end(&self, which: impl Fn(&str, &str) -> bool) -> Vec<(String, &'static str)> {
        let mut memory = self.memory();
        let ended = memory.sessions.extract_if(|session, own| which(session, own.user));
        let ended: Vec<_> = ended.map(|(session, own)| (session, own.user)).collect();
        for (session, _) in &ended {
            memory.refresh.retain(|_, refresh| refresh.session != *session);
            memory.kept.retain(|_, kept| !kept.says("sid", session));
        }
        ended
    }

    /// Tells each service which sessions have ended, and returns when all know it, or do not answer. It goes on if nobody waits for that.
    async fn tell_all(self, ended: Vec<(String, &'static str)>) {
        let telling = tokio::spawn(async move {
            let mut told = JoinSet::new();
            for (session, user) in ended {
                for (client, registered) in &*self.clients {
                    let Some(uri) = registered.logout_uri.clone() else { continue };
                    told.spawn(self.clone().tell(client.clone(), uri, session.clone(), user));
                }
            }
            told.join_all().await;
        });
        let _ = telling.await;
    }

    /// Takes back a client's own token: an opaque access token, alone. Of a refresh token, returns the session.
    fn take_back(&self, token: &str, client: &str) -> Option<String> {
        let mut memory = self.memory();
        if memory.kept.get(token).is_some_and(|kept| kept.says("client_id", client)) {
            memory.kept.remove(token);
        }
        let own = memory.refresh.get(token).filter(|refresh| refresh.client == client);
        own.map(|refresh| refresh.session.clone())
    }

    /// Tells a service that a session has ended.
    async fn tell(self, client: String, uri: String, session: String, user: &'static str) {
        let token = self.idp.logout_token(&client).claim("jti", random()).claim("sub", user).claim("sid", session);
        // a JWT needs no encoding
        let body = format!("logout_token={}", token.sign());
        let request = self.http.post(&uri).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        // it is not told again: its next process knows of nothing, and tokens do not live long
        match request.send().await.and_then(reqwest::Response::error_for_status) {
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, client, "a service that could not be told of a sign-out"),
        }
    }
}

#[derive(Deserialize)]
pub struct Revocation {
    token: String,
}

/// Takes back a token of the client's own (RFC 7009). With a refresh token, the whole session ends.
pub async fn revoke(State(iam): State<Iam>, headers: HeaderMap, Form(form): Form<Revocation>) -> Response {
    let Some(client) = authenticated(&iam, &headers) else {
        return refuse(StatusCode::UNAUTHORIZED, "invalid_client");
    };
    match iam.take_back(&form.token, &client) {
        Some(ended) => {
            let ended = iam.end(|session, _| session == ended);
            iam.tell_all(ended).await;
        }
        // what a JWT says, it says until it expires
        None if form.token.contains('.') => return refuse(StatusCode::BAD_REQUEST, "unsupported_token_type"),
        // one that is unknown is no good already
        None => {}
    }
    StatusCode::OK.into_response()
}

/// The page for users who want all of their sessions to end, wherever they are.
pub fn page(message: &str) -> Response {
    form("/sign-out", "Sign out everywhere", "", "End all of your sessions, on every device.", message)
}

pub async fn everywhere(State(iam): State<Iam>, Form(login): Form<Login>) -> Response {
    if !login.is_right(&iam) {
        return page(Login::WRONG);
    }
    let ended = iam.end(|_, user| user == login.user);
    iam.tell_all(ended).await;
    Html("<!doctype html><html lang=en><meta charset=utf-8><title>Signed out</title><h1>RealGuardIO</h1><p>Signed out everywhere.</p></html>")
        .into_response()
}
