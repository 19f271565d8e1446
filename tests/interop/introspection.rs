//! Tokens that real servers are asked about, and sessions that they end.

use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use axum::Router;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Child;
use tokio::time::Instant;
use tonic::Code;
use tower_bearer::claims::Principal;
use tower_bearer::introspection::{ClientAuthentication, ClientKey, Introspection, JwtIntrospection};
use tower_bearer::keys::Algorithm;
use tower_bearer::logout::LogoutReceiver;
use tower_bearer::revocation::RevocationList;
use tower_bearer::{ErrorKind, Issuer, ResourceServer};

use crate::glewlwyd::{self, Glewlwyd};
use crate::{API, Tenant, node, place, program, services};

/// The client of the services, whose name and secret need the form-encoding of RFC 6749.
pub(crate) const ASKING: (&str, &str) = ("https://api.test/:a b", "%+:&=\"");

/// `oidc-provider` with opaque tokens: `introspection.mjs` tells about its clients and its answers.
pub(crate) struct OidcProvider {
    pub(crate) issuer: String,
    pub(crate) http: reqwest::Client,
    process: Child,
}

impl OidcProvider {
    pub(crate) async fn start(options: &Value) -> Self {
        let (issuer, process) = node::start("introspection.mjs", &[&options.to_string()]).await;
        Self { issuer, http: reqwest::Client::new(), process }
    }

    /// An access token of a user who signs in.
    pub(crate) async fn sign_in(&self, client: &str, subject: &str, resource: Option<&str>) -> String {
        let resource = resource.unwrap_or_default();
        let path = format!("/control/sign-in?client={client}&sub={subject}&resource={resource}");
        access_token(self.http.post(self.issuer.clone() + &path)).await
    }

    /// Signs a user out of all clients, as the user does it.
    pub(crate) async fn sign_out(&self, subject: &str) {
        let request = self.http.post(format!("{}/control/sign-out?sub={subject}", self.issuer));
        request.send().await.unwrap().error_for_status().unwrap();
    }

    /// How often it was asked about a token.
    pub(crate) async fn asked(&self) -> u64 {
        let response = self.http.post(format!("{}/control/asked", self.issuer)).send().await.unwrap();
        response.text().await.unwrap().parse().unwrap()
    }

    /// An access token of the client itself.
    pub(crate) async fn token(&self, client: &str, resource: Option<&str>) -> String {
        let mut form = vec![("grant_type", "client_credentials"), ("client_id", client), ("client_secret", "secret")];
        form.extend(resource.into_iter().flat_map(|resource| [("resource", resource), ("scope", "orders:read")]));
        access_token(self.http.post(format!("{}/token", self.issuer)).form(&form)).await
    }

    pub(crate) async fn revoke(&self, client: &str, token: &str) {
        let form = [("token", token), ("client_id", client), ("client_secret", "secret")];
        let request = self.http.post(format!("{}/token/revocation", self.issuer)).form(&form);
        request.send().await.unwrap().error_for_status().unwrap();
    }

    /// Ends it at once.
    async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }

    /// With the credentials of the services' client.
    pub(crate) fn api(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        let encoded = |text: &str| {
            let mut url = reqwest::Url::parse("x:").unwrap();
            url.query_pairs_mut().append_key_only(text);
            url.query().unwrap().to_owned()
        };
        request.basic_auth(encoded(ASKING.0), Some(encoded(ASKING.1)))
    }
}

async fn access_token(request: reqwest::RequestBuilder) -> String {
    let answer: Value = request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

/// A key for signing assertions: in PEM, and as a public JWK.
fn client_key() -> (String, Value) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let text = STANDARD.encode(pair.to_pkcs8v1().unwrap().as_ref());
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
    // the uncompressed point: a byte 4, x, y
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
    (pem, json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "one", "x": x, "y": y }))
}

fn server(idp: &OidcProvider, introspection: Introspection) -> ResourceServer<Tenant> {
    let issuer = Issuer::new(&idp.issuer).introspection(introspection);
    ResourceServer::new(API).trust(issuer).claims::<Tenant>().build().unwrap()
}

fn basic() -> ClientAuthentication {
    ClientAuthentication::client_secret_basic(ASKING.0, ASKING.1)
}

/// By every way in which a service can say who it is.
#[tokio::test]
async fn opaque_tokens_and_jwts_of_one_issuer_come_through_one_layer() {
    if node::left_out() {
        return;
    }
    let (pem, jwk) = client_key();
    let idp = OidcProvider::start(&json!({ "key": jwk })).await;
    let opaque = idp.sign_in("opaque", "alice", Some(API)).await;
    let jwt = idp.sign_in("jwt", "alice", Some(API)).await;
    let machines = idp.token("opaque", Some(API)).await;
    let key = ClientKey::pem(Algorithm::Es256, pem).kid("one");
    for introspection in [
        Introspection::new(basic()),
        Introspection::new(basic()).signed(),
        Introspection::new(ClientAuthentication::client_secret_post("post", "secret")),
        Introspection::new(ClientAuthentication::private_key_jwt("assertion", key)),
    ] {
        let said = format!("{introspection:?}");
        let server = server(&idp, introspection);
        let (api, mut grpc) = services(&server).await;
        let asked = idp.asked().await;
        for token in [&opaque, &jwt] {
            for _ in 0..3 {
                let response = api.get("/tenant", token).await;
                assert_eq!((response.status().as_u16(), response.text().await.unwrap()), (200, "t-1".into()), "{said}");
                assert_eq!(api.status("/place", token).await, 200);
                assert_eq!(grpc.place(place(token)).await.unwrap().into_inner().buyer, "alice");
            }
        }
        assert_eq!(idp.asked().await, asked + 1, "about the opaque one, once: {said}");
        assert_eq!(api.status("/orders", &machines).await, 200);
        assert_eq!(api.status("/place", &machines).await, 403, "its client was not granted that");
        assert_eq!(grpc.place(place(&machines)).await.unwrap_err().code(), Code::PermissionDenied);

        let token = server.authenticate(&opaque).await.unwrap();
        assert_eq!((token.subject(), token.client_id()), (Some("alice"), Some("opaque")));
        assert!(token.claims().tenant_id == "t-1");
        let token = server.authenticate(&machines).await.unwrap();
        assert_eq!((token.principal(), token.subject()), (Principal::Client, None));
    }
}

/// The caller's fault is a 401, and ours is not.
#[tokio::test]
async fn tokens_that_are_not_active_are_refused_and_ours_is_the_fault_that_is_ours() {
    if node::left_out() {
        return;
    }
    let idp = OidcProvider::start(&json!({})).await;
    let opaque = idp.token("opaque", Some(API)).await;
    let jwt = idp.token("jwt", Some(API)).await;
    let anywhere = idp.token("opaque", None).await;
    let elsewhere = |secret| ClientAuthentication::client_secret_basic("elsewhere", secret);
    let rows = [
        (Introspection::new(basic()), &*opaque, None),
        (Introspection::new(basic()), "made-up", Some(ErrorKind::Inactive)),
        (Introspection::new(basic()), &anywhere, Some(ErrorKind::MissingClaim)),
        (Introspection::new(elsewhere("secret")), &opaque, Some(ErrorKind::Inactive)),
        (Introspection::new(elsewhere("wrong")), &opaque, Some(ErrorKind::IntrospectionUnavailable)),
        (Introspection::new(elsewhere("wrong")), &jwt, None),
        // it does not talk about JWTs
        (
            Introspection::new(basic()).introspect_jwts(JwtIntrospection::Every(Duration::ZERO)),
            &jwt,
            Some(ErrorKind::IntrospectionUnavailable),
        ),
    ];
    for (introspection, token, expected) in rows {
        let said = format!("{introspection:?}");
        let kind = server(&idp, introspection).authenticate(token).await.err().map(|error| error.kind());
        assert_eq!(kind, expected, "{said}");
    }
}

#[tokio::test]
async fn a_revoked_opaque_token_is_refused_when_its_answer_is_not_believed_any_more() {
    if node::left_out() {
        return;
    }
    let idp = OidcProvider::start(&json!({})).await;
    let server = server(&idp, Introspection::new(basic()).ttl(Duration::from_secs(1)));
    let (api, mut grpc) = services(&server).await;
    let token = idp.sign_in("opaque", "alice", Some(API)).await;
    assert_eq!(api.status("/orders", &token).await, 200);
    idp.revoke("opaque", &token).await;
    let revoked = Instant::now();
    while api.status("/orders", &token).await == 200 {
        assert!(revoked.elapsed() < Duration::from_secs(3), "the answer is believed for a second");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(api.status("/orders", &token).await, 401);
    assert_eq!(grpc.place(place(&token)).await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn while_the_issuer_is_away_known_tokens_are_good_and_others_are_not_judged() {
    if node::left_out() {
        return;
    }
    let idp = OidcProvider::start(&json!({})).await;
    let server = server(&idp, Introspection::new(basic()));
    let known = idp.sign_in("opaque", "alice", Some(API)).await;
    let unknown = idp.sign_in("opaque", "bob", Some(API)).await;
    let jwt = idp.sign_in("jwt", "alice", Some(API)).await;
    for token in [&known, &jwt] {
        server.authenticate(token).await.unwrap();
    }
    idp.kill().await;
    let (api, _) = services(&server).await;
    for token in [&known, &jwt] {
        assert_eq!(api.status("/orders", token).await, 200);
    }
    let response = api.get("/orders", &unknown).await;
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after") && !response.headers().contains_key("www-authenticate"));
}

/// Opaque tokens whose answers are still believed, and JWTs that nobody is asked about.
#[tokio::test]
async fn who_signs_out_at_the_issuer_is_signed_out_of_the_services_at_once() {
    if node::left_out() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let receiver = format!("http://{}/logout", listener.local_addr().unwrap());
    let idp = OidcProvider::start(&json!({ "logout": receiver })).await;
    let list = RevocationList::new(Duration::from_secs(300));
    let issuer = Issuer::new(&idp.issuer).introspection(Introspection::new(basic()));
    let server =
        ResourceServer::new(API).trust(issuer).revocation_list(list.clone()).claims::<Tenant>().build().unwrap();
    let logout = LogoutReceiver::new(server.clone(), list, "opaque").add_client("jwt");
    tokio::spawn(axum::serve(listener, Router::new().route_service("/logout", logout)).into_future());
    let (api, mut grpc) = services(&server).await;

    let alices = [idp.sign_in("opaque", "alice", Some(API)).await, idp.sign_in("jwt", "alice", Some(API)).await];
    let bobs = [idp.sign_in("opaque", "bob", Some(API)).await, idp.sign_in("jwt", "bob", Some(API)).await];
    for token in alices.iter().chain(&bobs) {
        assert_eq!(api.status("/orders", token).await, 200);
        grpc.place(place(token)).await.unwrap();
    }
    idp.sign_out("alice").await;
    for token in &alices {
        assert_eq!(server.authenticate(token).await.unwrap_err().kind(), ErrorKind::Revoked);
        assert_eq!(api.status("/orders", token).await, 401);
        assert_eq!(grpc.place(place(token)).await.unwrap_err().code(), Code::Unauthenticated);
    }
    for token in &bobs {
        assert_eq!(api.status("/orders", token).await, 200, "another's session goes on");
    }
    // and a new session is a new one
    let token = idp.sign_in("opaque", "alice", Some(API)).await;
    assert_eq!(api.status("/orders", &token).await, 200);
}

/// The second server: its tokens are JWTs, which it is asked about after they were verified here.
#[tokio::test]
async fn jwts_of_glewlwyd_are_verified_and_asked_about() {
    if program::left_out("glewlwyd") {
        return;
    }
    let idp = Glewlwyd::start().await;
    let (id, secret) = glewlwyd::CLIENT;
    let (raw, encoded) = (
        ClientAuthentication::client_secret_basic_without_encoding(id, secret),
        ClientAuthentication::client_secret_basic(id, secret),
    );
    let always = |client: &ClientAuthentication| {
        Introspection::new(client.clone()).introspect_jwts(JwtIntrospection::Every(Duration::ZERO))
    };
    let server = |introspection: Introspection| {
        let issuer = Issuer::new(&idp.issuer).introspection(introspection.inactive_ttl(Duration::ZERO));
        ResourceServer::new(API).trust(issuer).build().unwrap()
    };
    let kind =
        async |server: &ResourceServer, token: &str| server.authenticate(token).await.err().map(|error| error.kind());
    let post = ClientAuthentication::client_secret_post(id, secret);
    let token = idp.client(API).await;
    let active = [
        server(always(&raw)),
        server(always(&post)),
        server(Introspection::new(raw.clone()).without_keys().ttl(Duration::ZERO)),
    ];
    for server in &active {
        assert_eq!(kind(server, &token).await, None);
        let token = server.authenticate(&token).await.unwrap();
        assert_eq!((token.client_id(), token.has_scope("orders:read")), (Some("shop"), true));
    }
    // what it says of a user is for its scopes, and for nobody in particular
    let user = idp.user().await;
    assert_eq!(kind(&active[0], user["access_token"].as_str().unwrap()).await, Some(ErrorKind::WrongAudience));

    idp.revoke(&token).await;
    for server in &active {
        assert_eq!(kind(server, &token).await, Some(ErrorKind::Inactive));
    }
    // nobody asks: its signature and its times are right
    assert_eq!(kind(&server(Introspection::new(raw.clone())), &token).await, None);
    // it does not decode, does not say whom a signed answer is for, and signs none of what is not active
    let active = idp.client(API).await;
    for (introspection, token, why) in [
        (always(&encoded), &active, "basic_without_encoding"),
        (always(&raw).signed(), &active, "aud"),
        (always(&raw).signed(), &token, "400"),
    ] {
        let error = server(introspection).authenticate(token).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::IntrospectionUnavailable);
        assert!(error.to_string().contains(why), "{error}");
    }
}
