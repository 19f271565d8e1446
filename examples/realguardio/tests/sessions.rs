//! Sessions at the gateway, with an identity service that answers what the test says; and our identity service, asked by those who are up to no good.

mod person;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{StatusCode, header};
use person::Person;
use realguardio::iam::{self, Iam, LIFETIME, Registered, User};
use realguardio::system::{Authorization, Options, Running, System};
use reqwest::Url;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tower_bearer::keys::Algorithm;
use tower_bearer::testing::{Idp, ManualClock};

const SESSION: &str = "__Host-session";

/// What the identity service's token endpoint does.
enum Script {
    /// What it should.
    Plain,
    /// It answers this, whatever is asked.
    Answer(u16, &'static str),
    /// It changes its answer.
    Alter(Box<dyn Fn(&mut Value) + Send>),
    /// It does, and the keys can be had so many times more.
    KeysFor(AtomicUsize),
    /// It says that it was asked, and then waits.
    Wait(Arc<Notify>, Arc<Notify>),
}

type Scripted = Arc<Mutex<Script>>;

async fn play(State(script): State<Scripted>, request: Request, next: Next) -> Response {
    let is_token = request.uri().path() == "/token";
    if let (true, Script::Answer(status, body)) = (is_token, &*script.lock().unwrap()) {
        let json = [(header::CONTENT_TYPE, "application/json")];
        return (StatusCode::from_u16(*status).unwrap(), json, *body).into_response();
    }
    if let ("/jwks", Script::KeysFor(times)) = (request.uri().path(), &*script.lock().unwrap())
        && times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |times| times.checked_sub(1)).is_err()
    {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let wait = match &*script.lock().unwrap() {
        Script::Wait(asked, go) if is_token => Some((Arc::clone(asked), Arc::clone(go))),
        _ => None,
    };
    if let Some((asked, go)) = wait {
        asked.notify_one();
        go.notified().await;
    }
    let response = next.run(request).await;
    if !is_token || response.status() != StatusCode::OK {
        return response;
    }
    let mut answer: Value = serde_json::from_slice(&to_bytes(response.into_body(), 1 << 20).await.unwrap()).unwrap();
    if let Script::Alter(alter) = &*script.lock().unwrap() {
        alter(&mut answer);
    }
    axum::Json(answer).into_response()
}

struct World {
    system: System,
    clock: ManualClock,
    idp: Idp,
    script: Scripted,
    issuer: String,
    _iam: Running,
}

impl World {
    async fn new() -> Self {
        let clock = ManualClock::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let redirect_uri = Some(format!("http://localhost:{port}/callback"));
        let idp = Idp::with_algorithms(&issuer, &[Algorithm::Rs256]).clock(clock.clone());
        let employee = || User { roles: vec!["employee"], locations: json!({}) };
        let users = HashMap::from([("alice", employee()), ("bob", employee()), ("<b>&\"eve", employee())]);
        let registered = |redirect_uri, scopes| {
            let secret = "secret".to_owned();
            Registered { secret, redirect_uri, scopes, ..Registered::default() }
        };
        let clients = HashMap::from([
            ("gateway".to_owned(), registered(redirect_uri, vec![])),
            ("systems".to_owned(), registered(None, vec!["events:read"])),
        ]);
        let script = Arc::new(Mutex::new(Script::Plain));
        let app: Router = iam::service(Iam::new(idp.clone(), users, clients).unwrap());
        let iam = Running::start(listener, app.layer(from_fn_with_state(Arc::clone(&script), play))).unwrap();
        let options = Options {
            authorization: Authorization::Fetch,
            port,
            issuer: Some(issuer.clone()),
            client_secret: "secret".to_owned(),
            ..Options::default()
        };
        let system = System::start(options, Arc::new(clock.clone())).await.unwrap();
        Self { system, clock, idp, script, issuer, _iam: iam }
    }

    fn gateway(&self) -> &str {
        &self.system.gateway.url
    }

    fn script(&self, script: Script) {
        *self.script.lock().unwrap() = script;
    }

    async fn signed_in(&self, user: &str) -> Person {
        let mut person = Person::new();
        assert_eq!(person.sign_in(self.gateway(), user).await.status, 200);
        person
    }

    /// Signs in at the identity service, and stops on the way back: returns where to.
    async fn way_back(&self, person: &mut Person, user: &str) -> Url {
        self.way_back_from(person, "", user).await
    }

    async fn way_back_from(&self, person: &mut Person, path: &str, user: &str) -> Url {
        let page = person.visit(&format!("{}{path}", self.gateway())).await;
        let request = page.between("name=request value=", ">").to_owned();
        let form = [("request", request.as_str()), ("user", user), ("password", "realguardio")];
        let response = bare().post(format!("{}/authorize", self.issuer)).form(&form).send().await.unwrap();
        response.headers()["location"].to_str().unwrap().parse().unwrap()
    }
}

fn bare() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

fn parameter(url: &Url, name: &str) -> String {
    url.query_pairs().find(|(own, _)| own == name).unwrap().1.into_owned()
}

#[tokio::test]
async fn a_session_ends_when_the_refresh_token_is_refused_and_for_no_other_error() {
    let world = World::new().await;
    let gateway = world.gateway().to_owned();
    let mut alice = world.signed_in("alice").await;
    world.clock.advance(LIFETIME - Duration::from_secs(5));
    let faults = [
        (503, r#"{"error":"temporarily_unavailable"}"#),
        (401, r#"{"error":"invalid_client"}"#),
        (403, "<h1>blocked</h1>"),
        (200, "{}"),
    ];
    for (status, body) in faults {
        world.script(Script::Answer(status, body));
        assert_eq!(alice.visit(&gateway).await.status, 200, "{status} {body}");
        assert!(alice.cookie(&gateway, SESSION).is_some(), "{status} {body}");
    }
    // when the token has expired, too, this can only be said; and what needs no token goes on
    world.clock.advance(Duration::from_secs(40));
    for (status, body) in faults {
        world.script(Script::Answer(status, body));
        assert_eq!(alice.visit(&gateway).await.status, 502, "{status} {body}");
        assert_eq!(alice.visit(&format!("{gateway}/health")).await.status, 200, "{status} {body}");
        assert!(alice.cookie(&gateway, SESSION).is_some(), "{status} {body}");
    }
    world.script(Script::Plain);
    let mut other = alice.clone();
    assert_eq!(alice.visit(&gateway).await.status, 200);
    world.script(Script::Answer(400, r#"{"error":"invalid_grant"}"#));
    world.clock.advance(2 * LIFETIME);
    assert_eq!(alice.visit(&gateway).await.url.path(), "/authorize");
    assert_eq!(alice.cookie(&gateway, SESSION), None);
    // another browser with a copy of it has to sign in, too
    assert_eq!(other.visit(&gateway).await.url.path(), "/authorize");
    // as does who must be asked something
    world.script(Script::Plain);
    let mut bob = world.signed_in("bob").await;
    world.script(Script::Answer(400, r#"{"error":"interaction_required"}"#));
    world.clock.advance(2 * LIFETIME);
    assert_eq!(bob.visit(&gateway).await.url.path(), "/authorize");
}

#[tokio::test]
async fn a_new_refresh_token_is_kept_though_the_access_token_is_the_same() {
    let world = World::new().await;
    let former = Arc::new(Mutex::new(Value::Null));
    let keep = Arc::clone(&former);
    world.script(Script::Alter(Box::new(move |answer| {
        let mut former = keep.lock().unwrap();
        if former.is_null() {
            *former = answer["access_token"].clone();
        }
        answer["access_token"] = former.clone();
    })));
    let mut alice = world.signed_in("alice").await;
    let before = alice.cookie(world.gateway(), SESSION).cloned();
    world.clock.advance(LIFETIME - Duration::from_secs(5));
    assert_eq!(alice.visit(world.gateway()).await.status, 200);
    assert_ne!(alice.cookie(world.gateway(), SESSION).cloned(), before);
}

#[tokio::test]
async fn what_does_not_fit_into_a_cookie_is_refused_and_not_dropped_by_the_browser() {
    let world = World::new().await;
    let mut alice = world.signed_in("alice").await;
    assert!(alice.cookie(world.gateway(), SESSION).is_some());
    world.script(Script::Alter(Box::new(|answer| answer["refresh_token"] = "r".repeat(4000).into())));
    assert_eq!(Person::new().sign_in(world.gateway(), "bob").await.status, 502);
    // for this page it is good; then she must sign in again
    world.clock.advance(LIFETIME);
    assert_eq!(alice.visit(world.gateway()).await.status, 200);
    assert_eq!(alice.cookie(world.gateway(), SESSION), None);
}

#[tokio::test]
async fn a_refreshed_token_that_the_services_would_refuse_replaces_none() {
    let world = World::new().await;
    let mut alice = world.signed_in("alice").await;
    let before = alice.cookie(world.gateway(), SESSION).cloned();
    let other = world.idp.token("alice").audience("https://elsewhere.example").role("employee").sign();
    world.script(Script::Alter(Box::new(move |answer| answer["access_token"] = json!(other))));
    world.clock.advance(LIFETIME - Duration::from_secs(5));
    assert_eq!(alice.visit(world.gateway()).await.status, 200);
    assert_eq!(alice.cookie(world.gateway(), SESSION).cloned(), before);
}

#[tokio::test]
async fn a_session_lives_without_a_refresh_token_and_keeps_one_that_is_not_replaced() {
    let world = World::new().await;
    let none = || Script::Alter(Box::new(|answer| drop(answer.as_object_mut().unwrap().remove("refresh_token"))));
    world.script(none());
    let mut alice = world.signed_in("alice").await;
    world.clock.advance(LIFETIME - Duration::from_secs(5));
    assert_eq!(alice.visit(world.gateway()).await.status, 200);
    world.clock.advance(Duration::from_secs(40));
    assert_eq!(alice.visit(world.gateway()).await.url.path(), "/authorize");

    world.script(Script::Plain);
    let mut alice = world.signed_in("alice").await;
    world.script(none());
    world.clock.advance(LIFETIME);
    assert_eq!(alice.visit(world.gateway()).await.status, 200);
    // there is something to refresh with, and it cannot be done now
    world.script(Script::Answer(503, "{}"));
    world.clock.advance(2 * LIFETIME);
    assert_eq!(alice.visit(world.gateway()).await.status, 502);
}

#[tokio::test]
async fn what_was_refreshed_for_a_browser_that_did_not_wait_is_not_lost() {
    let world = World::new().await;
    let alice = world.signed_in("alice").await;
    world.clock.advance(2 * LIFETIME);
    let (asked, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    world.script(Script::Wait(Arc::clone(&asked), Arc::clone(&go)));
    let (mut tab, gateway) = (alice.clone(), world.gateway().to_owned());
    let waiting = tokio::spawn(async move { tab.visit(&gateway).await.status });
    asked.notified().await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    world.script(Script::Plain);
    go.notify_one();
    let mut alice = alice;
    assert_eq!(alice.visit(world.gateway()).await.url.path(), "/");
}

#[tokio::test]
async fn a_service_that_refuses_a_good_token_sends_nobody_in_a_circle() {
    let mut world = World::new().await;
    let mut alice = world.signed_in("alice").await;
    world.system.systems.stop().await;
    let at = world.system.systems.url.strip_prefix("http://").unwrap();
    let refusing = Router::new().fallback(async || StatusCode::UNAUTHORIZED);
    let _refusing = Running::start(TcpListener::bind(at).await.unwrap(), refusing).unwrap();
    let page = alice.visit(world.gateway()).await;
    assert_eq!((page.status.as_u16(), page.text.contains("id=sign-out")), (502, true));
}

#[tokio::test]
async fn an_id_token_that_is_no_answer_to_this_sign_in_signs_nobody_in() {
    let world = World::new().await;
    let token = |audience: &str, nonce: &str| {
        world.idp.token("alice").audience(audience).header("typ", "JWT").claim("nonce", nonce).sign()
    };
    for (id_token, expected) in [
        (json!(token("gateway", "another")), 400),
        (json!(token("another", "n")), 400),
        (json!(world.idp.token("alice").audience("gateway").header("typ", "JWT").sign()), 400),
        (Value::Null, 502),
    ] {
        world.script(Script::Alter(Box::new(move |answer| answer["id_token"] = id_token.clone())));
        let mut alice = Person::new();
        let page = alice.sign_in(world.gateway(), "alice").await;
        assert_eq!((page.url.path(), page.status.as_u16()), ("/callback", expected));
        assert_eq!(alice.cookie(world.gateway(), SESSION), None);
    }
    // what it says of lifetimes is not needed, since the token itself does
    world.script(Script::Alter(Box::new(|answer| answer["expires_in"] = u64::MAX.into())));
    world.signed_in("alice").await;
}

#[tokio::test]
async fn nobody_finishes_a_sign_in_that_another_has_begun() {
    let world = World::new().await;
    let (mut alice, mut mallory) = (Person::new(), Person::new());
    let own = world.way_back(&mut alice, "alice").await;
    let others = world.way_back(&mut mallory, "bob").await;
    // mallory would have alice signed in as bob; the identity service is not even asked
    world.script(Script::Answer(500, "{}"));
    assert_eq!(alice.visit(others.as_str()).await.status, 400);
    world.script(Script::Plain);
    let (code, state) = (parameter(&others, "code"), parameter(&own, "state"));
    let mixed = Url::parse_with_params(&format!("{}/callback", world.gateway()), [("code", code), ("state", state)]);
    assert_eq!(alice.visit(mixed.unwrap().as_str()).await.status, 400);
    assert_eq!(alice.cookie(world.gateway(), SESSION), None);
    // and her own way back is still open, once
    assert_eq!(alice.visit(own.as_str()).await.status, 200);
    assert_eq!(alice.cookie(world.gateway(), "__Host-sign-in"), None);
    assert_eq!(alice.visit(own.as_str()).await.status, 400);
}

#[tokio::test]
async fn whoever_has_signed_out_is_signed_out_everywhere() {
    let world = World::new().await;
    let gateway = world.gateway();
    let mut alice = world.signed_in("alice").await;
    // a copy of the cookie, and a tab that has refreshed in the meantime
    let (mut copy, mut tab) = (alice.clone(), alice.clone());
    world.clock.advance(LIFETIME);
    assert_eq!(tab.visit(gateway).await.status, 200);
    assert_ne!(tab.cookie(gateway, SESSION), alice.cookie(gateway, SESSION));
    alice.visit(&format!("{gateway}/health")).await;
    assert_eq!(alice.submit("/sign-out", &[]).await.status, 200);
    for mut other in [alice, copy.clone(), tab] {
        assert_eq!(other.visit(gateway).await.url.path(), "/authorize");
    }
    assert_eq!(copy.submit(&format!("{gateway}/systems/1/arm"), &[]).await.status, 401);

    // whoever signs in as somebody else is signed out first
    let mut alice = world.signed_in("alice").await;
    let mut copy = alice.clone();
    let back = world.way_back_from(&mut alice, "/sign-in", "bob").await;
    assert!(alice.visit(back.as_str()).await.text.contains("id=user>bob<"));
    assert_eq!(copy.visit(gateway).await.url.path(), "/authorize");

    // and nobody is signed out by a page of another origin, nor stays for longer than a day
    let session = format!("{SESSION}={}", alice.cookie(gateway, SESSION).unwrap());
    for (site, status) in [("same-site", 403), ("cross-site", 403), ("same-origin", 200)] {
        let request = bare().post(format!("{gateway}/sign-out")).header("cookie", &session);
        assert_eq!(request.header("sec-fetch-site", site).send().await.unwrap().status(), status);
        assert_eq!(alice.clone().visit(gateway).await.url.path() == "/", status == 403);
    }
    let mut alice = world.signed_in("alice").await;
    world.clock.advance(Duration::from_secs(24 * 60 * 60 + 1));
    assert_eq!(alice.visit(gateway).await.url.path(), "/authorize");
}

#[tokio::test]
async fn a_session_whose_refresh_was_refused_is_over_in_every_copy() {
    let world = World::new().await;
    let mut alice = world.signed_in("alice").await;
    let mut thief = alice.clone();
    world.clock.advance(2 * LIFETIME);
    assert_eq!(thief.visit(world.gateway()).await.status, 200);
    // the refusal of one copy's refresh ends them all, as when a used one comes again
    world.script(Script::Answer(400, r#"{"error":"invalid_grant"}"#));
    world.clock.advance(2 * LIFETIME);
    let _ = thief.clone().visit(world.gateway()).await;
    world.script(Script::Plain);
    assert_eq!(thief.visit(world.gateway()).await.url.path(), "/authorize");
    assert_eq!(alice.visit(world.gateway()).await.url.path(), "/authorize");
}

#[tokio::test]
async fn whoever_signs_out_is_signed_out_though_nothing_can_be_refreshed() {
    let world = World::new().await;
    let mut bob = world.signed_in("bob").await;
    let mut copy = bob.clone();
    world.script(Script::Answer(503, "{}"));
    world.clock.advance(2 * LIFETIME);
    bob.visit(&format!("{}/health", world.gateway())).await;
    assert_eq!(bob.submit("/sign-out", &[]).await.status, 200);
    world.script(Script::Plain);
    assert_eq!(copy.visit(world.gateway()).await.url.path(), "/authorize");
}

#[tokio::test]
async fn what_was_refreshed_while_no_keys_can_be_had_is_not_lost() {
    let world = World::new().await;
    let mut alice = world.signed_in("alice").await;
    let before = alice.cookie(world.gateway(), SESSION).cloned();
    // the new token is of a key that the gateway's OAuth client gets to see, and its layer does not
    world.idp.rotate();
    world.script(Script::KeysFor(AtomicUsize::new(1)));
    world.clock.advance(2 * LIFETIME);
    assert_eq!(alice.visit(world.gateway()).await.status, 503);
    let after = alice.cookie(world.gateway(), SESSION).cloned();
    assert!(after.is_some() && after != before);
}

#[tokio::test]
async fn a_token_whose_key_was_withdrawn_is_replaced() {
    let world = World::new().await;
    let (mut alice, mut leaving) = (world.signed_in("alice").await, world.signed_in("bob").await);
    world.idp.rotate();
    // somebody brings a token of the new key, so that the gateway has it
    world.signed_in("bob").await;
    assert_eq!(alice.visit(world.gateway()).await.status, 200);
    leaving.visit(&format!("{}/health", world.gateway())).await;
    assert_eq!(leaving.submit("/sign-out", &[]).await.status, 200);
    assert_eq!(leaving.cookie(world.gateway(), SESSION), None);
}

#[tokio::test]
async fn pages_say_what_browsers_may_do_with_them() {
    let world = World::new().await;
    let eve = world.signed_in("<b>&\"eve").await;
    let page = eve.clone().visit(world.gateway()).await.text.clone();
    assert_eq!(page.matches("eve").count(), page.matches("&lt;b&gt;&amp;&quot;eve").count());
    assert!(page.contains("&lt;b&gt;&amp;&quot;eve"));
    let session = format!("{SESSION}={}", eve.cookie(world.gateway(), SESSION).unwrap());
    for (path, status) in [("/", 200), ("/statistics", 403), ("/nothing", 403), ("/callback?state=x", 400)] {
        let request = bare().get(format!("{}{path}", world.gateway())).header("cookie", &session);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        let policy = response.headers()["content-security-policy"].to_str().unwrap();
        for part in ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert_eq!(response.headers()["cache-control"], "no-store", "{path}");
    }
    // the cookie that a sign-in begins with is as the session's
    let begun = bare().get(format!("{}/sign-in", world.gateway())).send().await.unwrap();
    let cookie = begun.headers()["set-cookie"].to_str().unwrap();
    for attribute in ["__Host-sign-in=", "HttpOnly", "Secure", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
}

#[tokio::test]
async fn a_form_counts_only_if_a_page_of_the_gateway_has_sent_it() {
    let (options, clock) = (Options { authorization: Authorization::Fetch, ..Options::default() }, ManualClock::new());
    let system = System::start(options, Arc::new(clock)).await.unwrap();
    let gateway = system.gateway.url.as_str();
    let mut alice = Person::new();
    alice.sign_in(gateway, "alice").await;
    let session = format!("{SESSION}={}", alice.cookie(gateway, SESSION).unwrap());
    let send = async |headers: &[(&str, &str)]| {
        let request = bare().post(format!("{gateway}/systems/1/arm")).header("cookie", &session);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.send().await.unwrap().status().as_u16()
    };
    let forged: [&[(&str, &str)]; 8] = [
        &[],
        &[("origin", "null")],
        &[("origin", "https://evil.example")],
        &[("referer", gateway)],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "cross-site"), ("origin", gateway)],
        &[("origin", "https://evil.example"), ("x-forwarded-host", "evil.example")],
    ];
    for headers in forged {
        assert_eq!(send(headers).await, 403, "{headers:?}");
    }
    assert_eq!(send(&[("sec-fetch-site", "same-origin")]).await, 303);
    // it is armed now: the page shows it, and pressing the button again in an old tab is no error
    assert_eq!(alice.submit("/systems/1/arm", &[]).await.status, 200);
    assert_eq!(
        bare().get(format!("{gateway}/systems/1/arm")).header("cookie", &session).send().await.unwrap().status(),
        403
    );
}

#[tokio::test]
async fn the_identity_service_gives_nothing_to_others_and_nothing_twice() {
    let world = World::new().await;
    let redirect = format!("{}/callback", world.gateway());
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest("verifier"));
    let ask = async |client: &str, redirect: &str, challenge: &str, method: &str| {
        let parameters = [
            ("response_type", "code"),
            ("client_id", client),
            ("redirect_uri", redirect),
            ("state", "a&b=c d#e"),
            ("code_challenge", challenge),
            ("code_challenge_method", method),
        ];
        let url = Url::parse_with_params(&format!("{}/authorize", world.issuer), parameters).unwrap();
        bare().get(url).send().await.unwrap()
    };
    for (client, to, challenge, method) in [
        ("nobody", redirect.as_str(), challenge.as_str(), "S256"),
        ("systems", redirect.as_str(), challenge.as_str(), "S256"),
        ("gateway", "https://evil.example/callback", challenge.as_str(), "S256"),
        ("gateway", redirect.as_str(), challenge.as_str(), "plain"),
        ("gateway", redirect.as_str(), "", "S256"),
    ] {
        assert_eq!(ask(client, to, challenge, method).await.status(), 400, "{client} {to} {challenge} {method}");
    }
    // what it cannot do, it says (OpenID Connect Core §3.1.2.6, RFC 9470 §5)
    for (name, value, error) in [
        ("acr_values", "gold", Some("unmet_authentication_requirements")),
        ("acr_values", "gold pwd", None),
        ("prompt", "none", Some("login_required")),
        ("prompt", "login", None),
        ("max_age", "0", None),
    ] {
        let asked = ask("gateway", &redirect, &challenge, "S256").await;
        let mut url = asked.url().clone();
        url.query_pairs_mut().append_pair(name, value);
        let answer = bare().get(url).send().await.unwrap();
        let back = answer.headers().get("location").map(|back| back.to_str().unwrap().parse::<Url>().unwrap());
        assert_eq!(back.is_some(), error.is_some(), "{name}={value}");
        if let (Some(back), Some(error)) = (back, error) {
            assert_eq!((parameter(&back, "error").as_str(), parameter(&back, "state").as_str()), (error, "a&b=c d#e"));
        }
    }
    let code = async || {
        let page = ask("gateway", &redirect, &challenge, "S256").await.text().await.unwrap();
        let request = page.split_once("name=request value=").unwrap().1.split_once('>').unwrap().0.to_owned();
        let form = [("request", request.as_str()), ("user", "alice"), ("password", "realguardio")];
        let response = bare().post(format!("{}/authorize", world.issuer)).form(&form).send().await.unwrap();
        let back: Url = response.headers()["location"].to_str().unwrap().parse().unwrap();
        assert_eq!(parameter(&back, "state"), "a&b=c d#e");
        parameter(&back, "code")
    };
    let token = async |client: &str, secret: &str, form: &[(&str, &str)]| {
        let request = bare().post(format!("{}/token", world.issuer)).basic_auth(client, Some(secret)).form(form);
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_str::<Value>(&response.text().await.unwrap()).unwrap())
    };
    let redeem = |code: &str, verifier: &str, redirect: &str| {
        let code = [("grant_type", "authorization_code"), ("code", code), ("code_verifier", verifier)];
        code.into_iter()
            .chain([("redirect_uri", redirect)])
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect::<Vec<_>>()
    };
    let code = code().await;
    for (client, secret, verifier, to, status) in [
        ("gateway", "wrong", "verifier", redirect.as_str(), 401),
        ("nobody", "secret", "verifier", redirect.as_str(), 401),
        ("systems", "secret", "verifier", redirect.as_str(), 400),
        ("gateway", "secret", "wrong", redirect.as_str(), 400),
        ("gateway", "secret", "verifier", "http://localhost/callback", 400),
        // what others have tried has not used it up
        ("gateway", "secret", "verifier", redirect.as_str(), 200),
        ("gateway", "secret", "verifier", redirect.as_str(), 400),
    ] {
        let form = redeem(&code, verifier, to);
        let form: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(token(client, secret, &form).await.0, status, "{client} {secret} {verifier} {to}");
    }
    let again = world.way_back(&mut Person::new(), "alice").await;
    assert_eq!(parameter(&again, "code").len(), 43);
}

#[tokio::test]
async fn a_refresh_token_is_good_for_once_and_for_its_own_client_and_machines_get_their_own_scopes() {
    let world = World::new().await;
    let seen = Arc::new(Mutex::new(String::new()));
    let keep = Arc::clone(&seen);
    world.script(Script::Alter(Box::new(move |answer| {
        if let Some(token) = answer["refresh_token"].as_str() {
            *keep.lock().unwrap() = token.to_owned();
        }
    })));
    world.signed_in("alice").await;
    let refresh = seen.lock().unwrap().clone();
    let token = async |client: &str, form: &[(&str, &str)]| {
        let request = bare().post(format!("{}/token", world.issuer)).basic_auth(client, Some("secret")).form(form);
        request.send().await.unwrap().status().as_u16()
    };
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    assert_eq!(token("systems", &form).await, 400);
    assert_eq!(token("gateway", &form).await, 200);
    assert_eq!(token("gateway", &form).await, 400);
    let machine = |scope| [("grant_type", "client_credentials"), ("scope", scope)];
    assert_eq!(token("systems", &machine("events:read")).await, 200);
    for scope in ["stats:read", "events:read stats:read", ""] {
        assert_eq!(token("systems", &machine(scope)).await, 400, "{scope}");
    }
    let elsewhere =
        [("grant_type", "client_credentials"), ("scope", "events:read"), ("resource", "https://elsewhere.example")];
    assert_eq!(token("systems", &elsewhere).await, 400);
}
