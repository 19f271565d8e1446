//! The end of sessions: what the identity service does when a user signs out, and that no token of theirs is good any more, at any service.

mod person;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode};
use person::Person;
use realguardio::guard;
use realguardio::iam::{self, Iam, LIFETIME, Registered, User};
use realguardio::proto::security_systems_client::SecuritySystemsClient;
use realguardio::proto::{ListRequest, SystemRequest};
use realguardio::system::{Authorization, Options, Running, System, TokenKind};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tower_bearer::keys::Algorithm;
use tower_bearer::testing::{Idp, ManualClock};

/// An identity service alone, with services that keep what they are told.
struct Identity {
    iam: Iam,
    url: String,
    clock: ManualClock,
    told: Arc<Mutex<Vec<String>>>,
    http: reqwest::Client,
    _running: [Running; 2],
}

impl Identity {
    async fn new(opaque: bool) -> Self {
        let clock = ManualClock::new();
        let (listener, services) = (bind().await, bind().await);
        let url = format!("http://{}", listener.local_addr().unwrap());
        let told = Arc::<Mutex<Vec<String>>>::default();
        let keep = Arc::clone(&told);
        let at = services.local_addr().unwrap();
        let receiver = Router::new().route("/logout", post(async move |body: String| keep.lock().unwrap().push(body)));
        let services = Running::start(services, receiver).unwrap();
        let idp = Idp::with_algorithms(&url, &[Algorithm::Rs256]).clock(clock.clone());
        let user = || User { roles: vec!["employee"], locations: json!({}) };
        let client =
            |uri: Option<String>| Registered { secret: "secret".to_owned(), logout_uri: uri, ..Registered::default() };
        let clients = HashMap::from([
            ("gateway".to_owned(), client(None)),
            ("dashboard".to_owned(), client(None)),
            ("customers".to_owned(), client(Some(format!("http://{at}/logout")))),
            ("systems".to_owned(), client(Some(format!("http://{at}/logout")))),
            // nobody is there, which keeps nobody else from being told
            ("broken".to_owned(), client(Some(format!("http://{}/logout", bind().await.local_addr().unwrap())))),
        ]);
        let iam = Iam::new(idp, HashMap::from([("alice", user()), ("bob", user())]), clients).unwrap();
        let iam = if opaque { iam.opaque(Arc::new(clock.clone())) } else { iam };
        let running = Running::start(listener, iam::service(iam.clone())).unwrap();
        Self { iam, url, clock, told, http: reqwest::Client::new(), _running: [running, services] }
    }

    /// Access token and refresh token of a new session.
    fn sign_in(&self, user: &str) -> (String, String) {
        let answer = self.iam.sign_in(user, "gateway").unwrap();
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        (text("access_token"), text("refresh_token"))
    }

    async fn ask(&self, path: &str, client: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let request = self.http.post(format!("{}{path}", self.url)).basic_auth(client, Some("secret")).form(form);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default())
    }

    async fn claims(&self, token: &str) -> Value {
        let (status, answer) = self.ask("/introspect", "customers", &[("token", token)]).await;
        assert_eq!(status, 200);
        answer
    }

    async fn revoke(&self, client: &str, token: &str) -> u16 {
        self.ask("/revoke", client, &[("token", token)]).await.0
    }

    async fn refresh(&self, token: &str) -> u16 {
        self.ask("/token", "gateway", &[("grant_type", "refresh_token"), ("refresh_token", token)]).await.0
    }

    /// The logout tokens that services were sent since the last look: header and claims.
    fn told(&self) -> Vec<(Value, Value)> {
        let part = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        let told = std::mem::take(&mut *self.told.lock().unwrap());
        let tokens = told.iter().map(|body| body.strip_prefix("logout_token=").unwrap());
        tokens
            .map(|token| {
                let parts: Vec<_> = token.split('.').collect();
                (part(parts[0]), part(parts[1]))
            })
            .collect()
    }
}

async fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

#[tokio::test]
async fn only_services_are_told_what_an_opaque_token_stands_for_and_only_while_it_is_good() {
    let identity = Identity::new(true).await;
    let (token, _) = identity.sign_in("alice");
    assert_eq!(token.len(), 43, "nothing but what cannot be guessed");
    let claims = identity.claims(&token).await;
    for (name, value) in [("active", json!(true)), ("token_type", json!("Bearer")), ("sub", json!("alice"))] {
        assert_eq!(claims[name], value);
    }
    assert_eq!((&claims["iss"], &claims["roles"]), (&json!(identity.url), &json!(["employee"])));
    let question = [("token", token.as_str())];
    for (client, status) in [("systems", 200), ("gateway", 401), ("dashboard", 401), ("nobody", 401)] {
        assert_eq!(identity.ask("/introspect", client, &question).await.0, status, "{client}");
    }
    let nobody = identity.http.post(format!("{}/introspect", identity.url)).form(&question).send().await.unwrap();
    assert_eq!(nobody.status(), 401);
    let inactive = json!({ "active": false });
    assert_eq!(identity.claims("made-up").await, inactive);
    identity.clock.advance(LIFETIME - Duration::from_secs(1));
    assert_eq!(identity.claims(&token).await["active"], true);
    identity.clock.advance(Duration::from_secs(1));
    assert_eq!(identity.claims(&token).await, inactive);
}

#[tokio::test]
async fn a_token_is_taken_back_by_its_own_client_and_a_refresh_token_takes_its_session_along() {
    let identity = Identity::new(true).await;
    let ((first, refresh), (second, other)) = (identity.sign_in("alice"), identity.sign_in("alice"));
    let (bobs, bobs_refresh) = identity.sign_in("bob");
    for token in [&first, &refresh] {
        assert_eq!(identity.revoke("dashboard", token).await, 200, "which says nothing, and does nothing");
    }
    assert_eq!(identity.claims(&first).await["active"], true);
    assert_eq!(identity.revoke("gateway", &second).await, 200);
    assert_eq!(identity.claims(&second).await["active"], false);
    assert_eq!((identity.refresh(&other).await, identity.told().len()), (200, 0));

    // by one that was used up, too: whoever signs out may not have got the next one yet
    assert_eq!(identity.refresh(&refresh).await, 200);
    let sid = identity.claims(&first).await["sid"].clone();
    assert_eq!(identity.revoke("gateway", &refresh).await, 200);
    assert_eq!(identity.claims(&first).await["active"], false);
    assert_eq!(identity.refresh(&bobs_refresh).await, 200);
    assert_eq!(identity.claims(&bobs).await["active"], true);
    assert_eq!(identity.revoke("gateway", &refresh).await, 200, "as for any token that is unknown");

    let told = identity.told();
    let audiences: BTreeSet<_> = told.iter().map(|(_, claims)| claims["aud"].as_str().unwrap()).collect();
    assert_eq!((told.len(), audiences), (2, BTreeSet::from(["customers", "systems"])));
    for (header, claims) in &told {
        assert_eq!((&header["typ"], &header["alg"]), (&json!("logout+jwt"), &json!("RS256")));
        assert_eq!((&claims["iss"], &claims["sub"], &claims["sid"]), (&json!(identity.url), &json!("alice"), &sid));
        assert_eq!(claims["events"], json!({ "http://schemas.openid.net/event/backchannel-logout": {} }));
        assert!(claims["exp"].as_u64().unwrap() <= claims["iat"].as_u64().unwrap() + 120);
        assert!(claims["nonce"].is_null() && claims["client_id"].is_null());
    }
    assert_ne!(told[0].1["jti"], told[1].1["jti"]);
}

#[tokio::test]
async fn whoever_signs_out_everywhere_says_who_they_are_and_ends_all_sessions_of_theirs_and_no_others() {
    for opaque in [true, false] {
        let identity = Identity::new(opaque).await;
        let (first, second, bobs) = (identity.sign_in("alice"), identity.sign_in("alice"), identity.sign_in("bob"));
        let page = format!("{}/sign-out", identity.url);
        let shown = identity.http.get(&page).send().await.unwrap();
        assert!(shown.status() == 200 && shown.text().await.unwrap().contains("name=password"));
        let send = async |user: &str, password: &str| {
            let form = [("user", user), ("password", password)];
            identity.http.post(&page).form(&form).send().await.unwrap().text().await.unwrap()
        };
        assert!(send("alice", "wrong").await.contains("wrong"));
        assert!(send("<b>", "realguardio").await.contains("wrong"));
        assert!(identity.told().is_empty());
        assert!(send("alice", "realguardio").await.contains("Signed out everywhere"));
        let told = identity.told();
        let sessions: BTreeSet<_> = told.iter().map(|(_, claims)| claims["sid"].as_str().unwrap()).collect();
        assert_eq!((told.len(), sessions.len()), (4, 2), "two sessions, at two services");
        for (_, refresh) in [&first, &second] {
            assert_eq!(identity.refresh(refresh).await, 400);
        }
        assert_eq!(identity.refresh(&bobs.1).await, 200);
        if opaque {
            assert_eq!(identity.claims(&first.0).await["active"], false);
            assert_eq!(identity.claims(&bobs.0).await["active"], true);
        } else {
            assert_eq!(identity.revoke("gateway", &bobs.0).await, StatusCode::BAD_REQUEST, "a JWT goes on");
            assert_eq!(identity.ask("/introspect", "customers", &[("token", &bobs.0)]).await.0, 404);
        }
    }
}

const KINDS: [TokenKind; 2] = [TokenKind::Jwt, TokenKind::Opaque];

async fn start(tokens: TokenKind) -> (System, ManualClock) {
    let options = Options { authorization: Authorization::Fetch, tokens, ..Options::default() };
    let clock = ManualClock::new();
    (System::start(options, Arc::new(clock.clone())).await.unwrap(), clock)
}

/// An access token of a new session, as the gateway would get it.
fn session(system: &System, user: &str) -> String {
    let (_, iam) = system.identity.as_ref().unwrap();
    iam.sign_in(user, "gateway").unwrap()["access_token"].as_str().unwrap().to_owned()
}

fn bearing<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

async fn grpc(system: &System) -> SecuritySystemsClient<Channel> {
    SecuritySystemsClient::connect(system.systems.url.clone()).await.unwrap()
}

/// What becomes of a token at each service: the statuses by REST, and that by gRPC.
async fn everywhere(system: &System, token: &str) -> ([u16; 3], Code) {
    let (customers, systems, statistics) = (&system.customers.url, &system.systems.url, &system.statistics.url);
    let addresses =
        [format!("{customers}/customers"), format!("{systems}/systems"), format!("{statistics}/statistics")];
    let (http, mut statuses) = (reqwest::Client::new(), [0; 3]);
    for (status, address) in statuses.iter_mut().zip(addresses) {
        let response = http.get(address).bearer_auth(token).send().await.unwrap();
        *status = response.status().as_u16();
        if *status == 401 {
            let challenge = response.headers()["www-authenticate"].to_str().unwrap();
            assert!(challenge.contains(r#"error="invalid_token""#), "{challenge}");
        }
    }
    let listed = grpc(system).await.list(bearing(token, ListRequest {})).await;
    (statuses, listed.map_or_else(|status| status.code(), |_| Code::Ok))
}

const GOOD: ([u16; 3], Code) = ([200; 3], Code::Ok);
const REFUSED: ([u16; 3], Code) = ([401; 3], Code::Unauthenticated);

#[tokio::test]
async fn whoever_signs_out_everywhere_is_signed_out_at_every_service_at_once_and_nobody_else_is() {
    for tokens in KINDS {
        let (system, _) = start(tokens).await;
        let gateway = &system.gateway.url;
        let (mut alice, mut bob) = (Person::new(), Person::new());
        assert_eq!(alice.sign_in(gateway, "alice").await.status, 200);
        assert_eq!(bob.sign_in(gateway, "bob").await.status, 200);
        let [first, second, bobs] = ["alice", "alice", "bob"].map(|user| session(&system, user));
        assert_eq!(first.contains('.'), tokens == TokenKind::Jwt);
        for token in [&first, &second, &bobs] {
            // the second time, each service knows it
            assert_eq!([everywhere(&system, token).await, everywhere(&system, token).await], [GOOD; 2], "{tokens:?}");
        }
        let mut client = grpc(&system).await;
        let mut hers = client.watch(bearing(&first, SystemRequest { id: 1 })).await.unwrap().into_inner();
        let mut his = client.watch(bearing(&bobs, SystemRequest { id: 4 })).await.unwrap().into_inner();
        for stream in [&mut hers, &mut his] {
            assert!(!stream.next().await.unwrap().unwrap().armed);
        }

        let form = [("user", "alice"), ("password", "realguardio")];
        let signed_out = reqwest::Client::new().post(format!("{}/sign-out", system.issuer)).form(&form).send().await;
        assert_eq!(signed_out.unwrap().status(), 200);
        for token in [&first, &second] {
            assert_eq!(everywhere(&system, token).await, REFUSED, "{tokens:?}");
        }
        assert_eq!(hers.next().await.unwrap().unwrap_err().code(), Code::Unauthenticated, "{tokens:?}");
        assert!(hers.next().await.is_none());
        assert_eq!(alice.visit(gateway).await.url.path(), "/authorize", "{tokens:?}");

        assert_eq!(everywhere(&system, &bobs).await, GOOD, "{tokens:?}");
        client.arm(bearing(&bobs, SystemRequest { id: 4 })).await.unwrap();
        assert!(his.next().await.unwrap().unwrap().armed);
        assert_eq!(bob.visit(gateway).await.url.path(), "/");
        // and she can come back at once
        assert_eq!(alice.sign_in(gateway, "alice").await.url.path(), "/", "{tokens:?}");
        assert_eq!(everywhere(&system, &session(&system, "alice")).await, GOOD, "{tokens:?}");
    }
}

/// The token that the gateway relays for somebody.
async fn relayed(system: &mut System, person: &mut Person) -> String {
    system.systems.stop().await;
    let seen = Arc::<Mutex<String>>::default();
    let keep = Arc::clone(&seen);
    let keeping = Router::new().fallback(async move |headers: HeaderMap| {
        *keep.lock().unwrap() = headers["authorization"].to_str().unwrap().to_owned();
        "[]"
    });
    let at = system.systems.url.strip_prefix("http://").unwrap();
    let mut keeping = Running::start(TcpListener::bind(at).await.unwrap(), keeping).unwrap();
    assert_eq!(person.visit(&system.gateway.url).await.status, 200);
    keeping.stop().await;
    system.systems.resume().await.unwrap();
    seen.lock().unwrap().strip_prefix("Bearer ").unwrap().to_owned()
}

#[tokio::test]
async fn whoever_signs_out_at_the_gateway_ends_this_session_at_every_service_and_no_other() {
    for tokens in KINDS {
        let (mut system, _) = start(tokens).await;
        let gateway = system.gateway.url.clone();
        let (mut alice, mut phone) = (Person::new(), Person::new());
        assert_eq!(phone.sign_in(&gateway, "alice").await.status, 200);
        assert_eq!(alice.sign_in(&gateway, "alice").await.status, 200);
        let (token, other) = (relayed(&mut system, &mut alice).await, session(&system, "alice"));
        assert_eq!([everywhere(&system, &token).await, everywhere(&system, &other).await], [GOOD; 2], "{tokens:?}");
        assert_eq!(alice.submit("/sign-out", &[]).await.status, 200);
        assert_eq!(
            [everywhere(&system, &token).await, everywhere(&system, &other).await],
            [REFUSED, GOOD],
            "{tokens:?}"
        );
        assert_eq!(phone.visit(&gateway).await.url.path(), "/", "{tokens:?}");
    }
}

#[tokio::test]
async fn services_believe_no_sign_out_that_is_not_the_identity_services_and_theirs() {
    let (system, _) = start(TokenKind::Jwt).await;
    let (_, iam) = system.identity.as_ref().unwrap();
    let token = session(&system, "alice");
    let logout = |client: &str| iam.idp.logout_token(client).claim("sub", "alice");
    let foreign = Idp::with_algorithms(&system.issuer, &[Algorithm::Rs256]);
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let services = [
        ("gateway", &system.gateway),
        ("customers", &system.customers),
        ("systems", &system.systems),
        ("statistics", &system.statistics),
    ];
    for (client, service) in services {
        let other = if client == "gateway" { "customers" } else { "gateway" };
        let forged = foreign.logout_token(client).claim("sub", "alice").sign();
        for wrong in [logout(other).sign(), logout(client).wrong_key().sign(), forged, token.clone(), String::new()] {
            let body = [("logout_token", wrong)];
            let post = http.post(format!("{}{}", service.url, guard::LOGOUT)).form(&body);
            assert_eq!(post.send().await.unwrap().status(), 400, "{client}");
        }
        // what stands beside the guard has made no hole into it
        let nothing = http.get(format!("{}{}/nothing", service.url, guard::LOGOUT)).send().await.unwrap();
        assert_eq!(nothing.status(), if client == "gateway" { 303 } else { 401 }, "{client}");
    }
    assert_eq!(everywhere(&system, &token).await, GOOD);
}

#[tokio::test]
async fn what_was_told_of_opaque_tokens_is_believed_for_seconds_while_the_identity_service_is_down() {
    let (mut system, clock) = start(TokenKind::Opaque).await;
    let (token, unknown) = (session(&system, "bob"), session(&system, "bob"));
    assert_eq!(everywhere(&system, &token).await, GOOD);
    system.identity.as_mut().unwrap().0.stop().await;
    assert_eq!(everywhere(&system, &token).await, GOOD);
    assert_eq!(everywhere(&system, &unknown).await, ([503; 3], Code::Unavailable), "neither a yes nor a no");
    clock.advance(Duration::from_secs(11));
    assert_eq!(everywhere(&system, &token).await, ([503; 3], Code::Unavailable));
}
