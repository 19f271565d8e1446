//! What real servers answer to introspection, as `tests/introspection/answers` records it.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::RequestBuilder;
use reqwest::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use crate::glewlwyd::{self, Glewlwyd};
use crate::introspection::OidcProvider;
use crate::{node, program};

const SIGNED: &str = "application/token-introspection+jwt";
const TIME: u64 = 1_800_000_000;

/// Answers of one server, by what was asked.
#[derive(Default)]
struct Answers(BTreeMap<&'static str, Value>);

impl Answers {
    async fn add(&mut self, name: &'static str, issuer: &str, request: RequestBuilder) {
        let response = request.send().await.unwrap();
        let mut headers = serde_json::Map::new();
        for name in [CONTENT_TYPE, CACHE_CONTROL, WWW_AUTHENTICATE] {
            if let Some(value) = response.headers().get(&name) {
                headers.insert(name.to_string(), json!(value.to_str().unwrap()));
            }
        }
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        let part = |part: &str| -> Option<Value> { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok() };
        let body = serde_json::from_str(&text).ok().or_else(|| {
            let (header, rest) = text.split_once('.')?;
            Some(json!({ "header": part(header)?, "claims": part(rest.split('.').next()?)? }))
        });
        let mut answer = json!({ "status": status, "headers": headers, "body": body.unwrap_or_else(|| json!(text)) });
        settle(&mut answer, issuer);
        self.0.insert(name, answer);
    }

    /// Compares with what is recorded, or records it.
    fn compare(self, server: &str) {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = here.join("tests/introspection/answers").join(server).with_extension("json");
        let answers = serde_json::to_value(self.0).unwrap();
        if std::env::var_os("UPDATE_ANSWERS").is_some() {
            std::fs::write(&path, serde_json::to_string_pretty(&answers).unwrap() + "\n").unwrap();
        }
        let recorded: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(answers, recorded, "{server} answers otherwise: UPDATE_ANSWERS=1 records it");
    }
}

/// Gives what differs from run to run a value that does not.
fn settle(value: &mut Value, issuer: &str) {
    match value {
        Value::String(text) => *text = text.replace(issuer, "https://id.test"),
        Value::Array(items) => items.iter_mut().for_each(|item| settle(item, issuer)),
        Value::Object(members) => {
            let life = members.get("exp").and_then(Value::as_u64).zip(members.get("iat").and_then(Value::as_u64));
            for (name, member) in members.iter_mut() {
                match (name.as_str(), &*member) {
                    ("iat" | "nbf", _) => *member = json!(TIME),
                    ("exp", _) => *member = json!(TIME + life.map_or(0, |(exp, iat)| exp - iat)),
                    ("jti" | "kid" | "sid", _) => *member = json!(format!("a-{name}")),
                    ("sub", Value::String(text)) if text.len() > 20 => *member = json!("a-sub"),
                    _ => settle(member, issuer),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[tokio::test]
async fn oidc_provider_answers_as_it_is_recorded() {
    if node::left_out() {
        return;
    }
    let idp = OidcProvider::start(&json!({})).await;
    let token = idp.sign_in("opaque", "alice", Some(crate::API)).await;
    let anywhere = idp.sign_in("opaque", "alice", None).await;
    let client = idp.token("opaque", Some(crate::API)).await;
    let bare = idp.token("opaque", None).await;
    let jwt = idp.sign_in("jwt", "alice", Some(crate::API)).await;
    let revoked = idp.token("opaque", Some(crate::API)).await;
    idp.revoke("opaque", &revoked).await;

    let ask = |token: &str| {
        let form = [("token", token), ("token_type_hint", "access_token")];
        idp.http.post(format!("{}/token/introspection", idp.issuer)).form(&form)
    };
    let basic = |request: RequestBuilder, id: &str, secret: &str| request.basic_auth(id, Some(secret));
    let mut answers = Answers::default();
    let mut rows = vec![
        ("inactive, as the token is for others", basic(ask(&token), "elsewhere", "secret")),
        ("to a client that is unknown", basic(ask(&token), "nobody", "secret")),
        ("to a client whose secret is wrong", basic(ask(&token), "elsewhere", "wrong")),
        ("to a client whose Basic is no form-encoding", basic(ask(&token), "elsewhere", "%")),
        ("to no client", ask(&token)),
    ];
    for (name, token) in [
        ("active, of a user", &token),
        ("active, of a user, without audience", &anywhere),
        ("active, of a client", &client),
        ("active, of a client, without audience and scope", &bare),
        ("inactive, revoked", &revoked),
        ("inactive, made up", &"made-up".to_owned()),
        ("of a JWT", &jwt),
    ] {
        rows.push((name, idp.api(ask(token))));
    }
    for (name, token) in [("signed, active, of a user", &token), ("signed, inactive", &revoked)] {
        rows.push((name, idp.api(ask(token)).header(ACCEPT, SIGNED)));
    }
    for (name, request) in rows {
        answers.add(name, &idp.issuer, request).await;
    }
    answers.compare("oidc-provider");
}

#[tokio::test]
async fn glewlwyd_answers_as_it_is_recorded() {
    if program::left_out("glewlwyd") {
        return;
    }
    let idp = Glewlwyd::start().await;
    let user = idp.user().await;
    let token = |name: &str| user[name].as_str().unwrap().to_owned();
    let (client, revoked) = (idp.client(crate::API).await, idp.client(crate::API).await);
    idp.revoke(&revoked).await;

    let ask = |token: &str| idp.post("introspect", &[("token", token), ("token_type_hint", "access_token")]);
    let own = |request: RequestBuilder| request.basic_auth(glewlwyd::CLIENT.0, Some(glewlwyd::CLIENT.1));
    let mut answers = Answers::default();
    for (name, request) in [
        ("active, of a user", own(ask(&token("access_token")))),
        ("active, of a client", own(ask(&client))),
        ("inactive, revoked", own(ask(&revoked))),
        ("inactive, made up", own(ask("made-up"))),
        ("inactive, a refresh token", own(ask(&token("refresh_token")))),
        ("signed, active, of a user", own(ask(&token("access_token"))).header(ACCEPT, SIGNED)),
        ("signed, active, of a client", own(ask(&client)).header(ACCEPT, SIGNED)),
        ("signed, inactive", own(ask(&revoked)).header(ACCEPT, SIGNED)),
        ("to a client that is unknown", ask(&client).basic_auth("nobody", Some("secret"))),
        ("to a client whose secret is wrong", ask(&client).basic_auth(glewlwyd::CLIENT.0, Some("wrong"))),
        ("to a client whose Basic is form-encoded", ask(&client).basic_auth("shop", Some("se%3Ac%25r%2Bt"))),
        ("to no client", ask(&client)),
    ] {
        answers.add(name, &idp.issuer, request).await;
    }
    answers.compare("glewlwyd");
}
