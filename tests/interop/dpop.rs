//! Tokens that a real server binds to keys and certificates, and real clients that prove that they have those:
//! `senders.mjs` tells about both.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get as route;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Child;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Status};
use tower_bearer::config::{PublicOrigin, ResourceServerBuilder};
use tower_bearer::dpop::{Dpop, Nonces};
use tower_bearer::introspection::{ClientAuthentication, Introspection};
use tower_bearer::mtls::{CertificateHeader, ClientCertificates, TrustedPeers};
use tower_bearer::testing::{ManualClock, ProofKey};
use tower_bearer::{AccessToken, BearerAuthLayer, ErrorKind, Issuer, Require, ResourceServer, permissions};

use crate::support::orders::PlaceRequest;
use crate::support::orders::orders_client::OrdersClient;
use crate::support::orders::orders_server::OrdersServer;
use crate::support::shop::Shop;
use crate::{API, SCOPES, node};

permissions! {
    CloseShop = scope("shop:close");
}

const LIBRARIES: [&str; 2] = ["oauth4webapi", "openid-client"];
const KINDS: [&str; 2] = ["jwt", "opaque"];
const NONCE: &str = "dpop-nonce";

/// `oidc-provider`, beside the clients.
struct Senders {
    issuer: String,
    http: reqwest::Client,
    _process: Child,
}

/// What a client has done.
#[derive(Deserialize)]
struct Story {
    token: String,
    sent: Vec<Sent>,
    results: Vec<Value>,
}

/// A request of it, and the response.
#[derive(Deserialize)]
struct Sent {
    proof: Option<String>,
    status: u16,
    nonce: Option<String>,
    challenges: Option<String>,
}

impl Senders {
    async fn start() -> Self {
        let (issuer, process) = node::start("senders.mjs", &[]).await;
        Self { issuer, http: reqwest::Client::new(), _process: process }
    }

    /// Lets a client call a service: one call after the other.
    async fn call(&self, library: &str, client: &str, alg: &str, calls: Value) -> Story {
        self.tell(json!({ "library": library, "client": client, "alg": alg, "calls": calls })).await
    }

    async fn tell(&self, asked: Value) -> Story {
        let response = self.http.post(format!("{}/control/call", self.issuer)).json(&asked).send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert_eq!(status, 200, "{asked}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// A token, as it is asked for with this header; and its type.
    async fn token(&self, client: &str, header: Option<(&str, String)>) -> (String, String) {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", client),
            ("client_secret", "secret"),
            ("resource", API),
            ("scope", SCOPES),
        ];
        let mut request = self.http.post(self.token_endpoint()).form(&form);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let response = request.send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert_eq!(status, 200, "{client}: {text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        let member = |name: &str| answer[name].as_str().unwrap().to_owned();
        (member("access_token"), member("token_type"))
    }

    fn token_endpoint(&self) -> String {
        format!("{}/token", self.issuer)
    }

    /// Asks about opaque tokens.
    fn issuer(&self) -> Issuer {
        let credentials = ClientAuthentication::client_secret_basic("asking", "secret");
        Issuer::new(&self.issuer).introspection(Introspection::new(credentials))
    }
}

/// Demands a nonce of every proof.
fn server(issuer: Issuer) -> ResourceServerBuilder {
    let dpop = Dpop::new().nonces(Nonces::local());
    ResourceServer::new(API).trust(issuer).dpop(dpop).public_origin(PublicOrigin::loopback())
}

/// Tells each client its name; `/close` needs what nobody was granted.
fn app(server: ResourceServer) -> Router {
    Router::new()
        .route("/close", route(async |_: Require<CloseShop>| "closed"))
        .fallback(async |token: AccessToken| token.client_id().unwrap_or_default().to_owned())
        .layer(BearerAuthLayer::new(server))
}

/// Returns the address.
async fn serve(app: Router) -> String {
    serve_at(|_| app).await
}

/// The same, for what must know it.
async fn serve_at(app: impl FnOnce(&str) -> Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let app = app(&address).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(axum::serve(listener, app).into_future());
    address
}

/// The status, and the challenges.
async fn outcome(request: reqwest::RequestBuilder) -> (StatusCode, String) {
    let response = request.send().await.unwrap();
    let values = response.headers().get_all(WWW_AUTHENTICATE).iter().map(|value| value.to_str().unwrap());
    (response.status(), values.collect::<Vec<_>>().join(", "))
}

async fn refused(request: reqwest::RequestBuilder, code: &str, why: &str) {
    let (status, challenges) = outcome(request).await;
    assert!(status == 401 && challenges.contains(&format!("error=\"{code}\"")), "{why}: {status} {challenges}");
}

/// By every kind of key, for JWTs and opaque tokens, where bearer tokens are accepted beside them and where not.
#[tokio::test]
async fn clients_prove_their_keys_and_follow_the_challenge_for_a_nonce() {
    if node::left_out() {
        return;
    }
    let idp = Senders::start().await;
    let either = serve(app(server(idp.issuer().accept_dpop()).build().unwrap())).await;
    // below a prefix, which the layer does not see
    let nested = |address: &str| {
        let server = server(idp.issuer().require_dpop()).public_origin(format!("{address}/v1/shop"));
        Router::new().nest("/v1/shop", app(server.build().unwrap()))
    };
    let bound = serve_at(nested).await + "/v1/shop";
    for library in LIBRARIES {
        for (nth, alg) in ["ES256", "ES384", "Ed25519", "PS256", "RS256"].into_iter().enumerate() {
            for kind in KINDS {
                let api = if (nth % 2 == 0) == (kind == "jwt") { &either } else { &bound };
                let said = format!("{library} {alg} {kind} {}", if *api == either { "accepted" } else { "required" });
                let calls = json!([
                    { "method": "GET", "url": format!("{api}/orders/%2f/\u{E4}?from=1&to=%20#top") },
                    { "method": "POST", "url": format!("{api}/orders"), "body": "lamp" },
                    { "method": "DELETE", "url": format!("{api}/orders/../orders/./1//2") },
                    { "method": "GET", "url": format!("{api}/close") },
                ]);
                let Story { token, sent, results } = idp.call(library, kind, alg, calls).await;

                // the challenge is followed, and the nonce then known
                let statuses: Vec<_> = sent.iter().map(|sent| sent.status).collect();
                assert_eq!(statuses, [401, 200, 200, 200, 403], "{said}");
                let challenges = sent[0].challenges.as_deref().unwrap();
                assert!(challenges.contains("error=\"use_dpop_nonce\""), "{said}: {challenges}");
                assert_eq!(challenges.contains("Bearer "), *api == either, "{said}: {challenges}");
                assert!(sent[0].nonce.is_some() && sent[1..].iter().all(|sent| sent.nonce.is_none()), "{said}");
                assert_eq!(results[..3], [(); 3].map(|()| json!({ "status": 200, "body": kind })), "{said}");
                let read = &results[3]["challenges"];
                assert_eq!((&read[0]["scheme"], read.as_array().unwrap().len()), (&json!("dpop"), 1), "{said}: {read}");
                let expected = json!({
                    "realm": API,
                    "error": "insufficient_scope",
                    "error_description": read[0]["parameters"]["error_description"],
                    "scope": "shop:close",
                    "algs": "ES256 ES384 EdDSA Ed25519 PS256 RS256",
                });
                assert_eq!(read[0]["parameters"], expected, "{said}");

                // nobody else can do anything with all that
                let place = |scheme: &str| {
                    let request = idp.http.post(format!("{api}/orders"));
                    request.header(AUTHORIZATION, format!("{scheme} {token}"))
                };
                let proof = |nth: usize| sent[nth].proof.as_deref().unwrap();
                refused(place("DPoP").header("dpop", proof(2)), "invalid_dpop_proof", &said).await;
                refused(place("DPoP").header("dpop", proof(1)), "invalid_dpop_proof", &said).await;
                refused(place("DPoP").header("dpop", proof(0)), "use_dpop_nonce", &said).await;
                refused(place("DPoP"), "invalid_dpop_proof", &said).await;
                refused(place("Bearer"), "invalid_token", &said).await;
                refused(place("Bearer").header("dpop", proof(2)), "invalid_token", &said).await;
                let nonce = sent[0].nonce.clone().unwrap();
                let thief = ProofKey::new().proof("POST", format!("{api}/orders")).token(&token).nonce(nonce).sign();
                let (status, _) = outcome(place("DPoP").header("dpop", thief)).await;
                assert_eq!(status, 401, "{said}");
            }
        }
    }
    // those that show no key get tokens for whoever has them
    for kind in KINDS {
        let (token, of_type) = idp.token(kind, None).await;
        assert_eq!(of_type, "Bearer");
        let get = |api: &str| idp.http.get(format!("{api}/orders")).bearer_auth(&token);
        assert_eq!(outcome(get(&either)).await.0, 200, "{kind}");
        refused(get(&bound), "invalid_token", kind).await;
    }
}

/// Of the same client and token.
#[tokio::test]
async fn a_client_comes_to_two_services_and_each_has_its_own_nonces() {
    if node::left_out() {
        return;
    }
    let idp = Senders::start().await;
    let serve = async || serve(app(server(idp.issuer().require_dpop()).build().unwrap())).await;
    let (a, b) = (serve().await, serve().await);
    for library in LIBRARIES {
        let calls = [&a, &b, &a, &b].map(|api| json!({ "method": "GET", "url": api }));
        let Story { sent, results, .. } = idp.call(library, "jwt", "ES256", json!(calls)).await;
        let statuses: Vec<_> = sent.iter().map(|sent| sent.status).collect();
        assert_eq!(statuses, [401, 200, 401, 200, 200, 200], "{library}");
        assert!(results.iter().all(|result| result["status"] == 200), "{library}: {results:?}");
        // a proof for the one service is none for the other
        assert_ne!(sent[0].nonce, sent[2].nonce, "{library}");
    }
}

/// Its own clock is then some minutes slow, which does not matter.
#[tokio::test]
async fn a_client_goes_on_with_the_nonce_that_renews_its_own_and_asks_for_one_when_that_is_over() {
    if node::left_out() {
        return;
    }
    let idp = Senders::start().await;
    for library in LIBRARIES {
        for kind in KINDS {
            let clock = ManualClock::new();
            let dpop = Dpop::new().nonces(Nonces::local().life(Duration::from_secs(60)));
            let server = server(idp.issuer().require_dpop()).dpop(dpop).clock(clock.clone()).build().unwrap();
            let wait = async move |Path(seconds): Path<u64>| clock.advance(Duration::from_secs(seconds));
            let app = Router::new().route("/wait/{seconds}", route(wait)).fallback(async || "ok");
            let api = serve(app.layer(BearerAuthLayer::new(server))).await;

            let paths = ["/", "/wait/40", "/", "/wait/40", "/", "/wait/70", "/"];
            let calls = paths.map(|path| json!({ "method": "GET", "url": format!("{api}{path}") }));
            let Story { sent, results, .. } = idp.call(library, kind, "ES256", json!(calls)).await;
            assert!(results.iter().all(|result| result["status"] == 200), "{library} {kind}: {results:?}");
            let sent: Vec<_> = sent.iter().map(|sent| (sent.status, sent.nonce.is_some())).collect();
            let [asked, good, renewed] = [(401, true), (200, false), (200, true)];
            // the first nonce is old after 40 s, as is the second after another 40 s, and the third over after 70 s
            assert_eq!(sent, [asked, good, good, renewed, good, renewed, good, asked, good], "{library} {kind}");
        }
    }
}

/// None of them knows a nonce when it begins.
#[tokio::test]
async fn calls_of_one_client_at_the_same_time_all_come_through() {
    if node::left_out() {
        return;
    }
    const CALLS: usize = 50;
    let idp = Senders::start().await;
    let api = serve(app(server(idp.issuer().require_dpop()).build().unwrap())).await;
    for library in LIBRARIES {
        for kind in KINDS {
            let calls = vec![json!({ "method": "GET", "url": api }); CALLS];
            let asked = json!({ "library": library, "client": kind, "alg": "ES256", "calls": calls, "together": true });
            let Story { sent, results, .. } = idp.tell(asked).await;
            assert!(results.iter().all(|result| result["status"] == 200), "{library} {kind}: {results:?}");
            let good: BTreeSet<_> = sent.iter().filter(|sent| sent.status == 200).map(|sent| &sent.proof).collect();
            assert_eq!((good.len(), results.len()), (CALLS, CALLS), "{library} {kind}: each with a proof of its own");
            let others: Vec<_> = sent.iter().filter(|sent| sent.status != 200).collect();
            assert!(!others.is_empty(), "{library} {kind}: the first knows no nonce");
            for sent in others {
                let challenges = sent.challenges.as_deref().unwrap_or_default();
                assert!(sent.status == 401 && challenges.contains("error=\"use_dpop_nonce\""), "{library} {kind}");
            }
        }
    }
}

fn order(token: &str, proof: Option<&str>) -> Request<PlaceRequest> {
    let mut request = Request::new(PlaceRequest { item: "lamp".into() });
    let scheme = if proof.is_some() { "DPoP" } else { "Bearer" };
    request.metadata_mut().insert("authorization", format!("{scheme} {token}").parse().unwrap());
    if let Some(proof) = proof {
        request.metadata_mut().insert("dpop", proof.parse().unwrap());
    }
    request
}

fn told<'m>(metadata: &'m MetadataMap, name: &str) -> Vec<&'m str> {
    metadata.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

/// The proofs of the testing kit are good for the real server, too.
#[tokio::test]
async fn a_tonic_client_proves_its_key_and_follows_the_challenge_for_a_nonce() {
    if node::left_out() {
        return;
    }
    let idp = Senders::start().await;
    let server = server(idp.issuer().require_dpop()).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let mut serving = tonic::transport::Server::builder().layer(BearerAuthLayer::new(server));
    let serving = serving.add_service(OrdersServer::new(Shop));
    tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
    let mut client = OrdersClient::connect(address.clone()).await.unwrap();
    for kind in KINDS {
        let key = ProofKey::new();
        let for_token = key.proof("POST", idp.token_endpoint()).sign();
        let (token, of_type) = idp.token(kind, Some(("dpop", for_token))).await;
        assert_eq!(of_type, "DPoP", "{kind}");

        let proof = |method: &str, path: &str| key.proof(method, format!("{address}{path}")).token(&token);
        let right = || proof("POST", "/shop.Orders/Place");
        let refusal = client.place(order(&token, Some(&right().sign()))).await.unwrap_err();
        assert_eq!(refusal.code(), Code::Unauthenticated, "{kind}");
        let challenges = told(refusal.metadata(), "www-authenticate");
        assert!(challenges[0].starts_with("DPoP ") && challenges[0].contains("error=\"use_dpop_nonce\""), "{kind}");
        let [nonce] = told(refusal.metadata(), NONCE)[..] else { panic!("{kind}: exactly one nonce") };

        let good = right().nonce(nonce).sign();
        let placed = client.place(order(&token, Some(&good))).await.unwrap();
        assert!(told(placed.metadata(), NONCE).is_empty(), "{kind}: it is good for longer");
        assert_eq!(placed.into_inner().item, "lamp", "{kind}");

        let other = ProofKey::new().proof("POST", format!("{address}/shop.Orders/Place")).token(&token);
        for (why, proof, code) in [
            ("used before", Some(good), "invalid_dpop_proof"),
            ("another method", Some(proof("GET", "/shop.Orders/Place").nonce(nonce).sign()), "invalid_dpop_proof"),
            ("another call", Some(proof("POST", "/shop.Orders/Watch").nonce(nonce).sign()), "invalid_dpop_proof"),
            ("the service", Some(proof("POST", "/shop.Orders").nonce(nonce).sign()), "invalid_dpop_proof"),
            ("no path", Some(proof("POST", "/").nonce(nonce).sign()), "invalid_dpop_proof"),
            ("another token", Some(right().token("other").nonce(nonce).sign()), "invalid_dpop_proof"),
            ("another key", Some(other.nonce(nonce).sign()), "invalid_token"),
            // of which a client of gRPC is told no more than by the status
            ("as a bearer", None, "invalid_token"),
        ] {
            let refusal: Status = client.place(order(&token, proof.as_deref())).await.unwrap_err();
            assert_eq!(refusal.code(), Code::Unauthenticated, "{kind}: {why}");
            let challenges = told(refusal.metadata(), "www-authenticate");
            let said = challenges.iter().any(|text| text.contains(&format!("error=\"{code}\"")));
            assert_eq!(said, proof.is_some(), "{kind}: {why}: {challenges:?}");
        }
        // the connection goes on
        client.place(order(&token, Some(&right().nonce(nonce).sign()))).await.unwrap();
    }
}

/// A client's, in DER: self-signed, for P-256.
const CERTIFICATE: &str = "\
    MIIBeDCCAR2gAwIBAgIUClDxgNmOgAGxqjzEKHhiYbK83VQwCgYIKoZIzj0EAwIwETEPMA0GA1UEAwwGY2xpZW50MB4XDTI2MTIwMTE0MTUyM1oX\
    DTM2MTEyODE0MTUyM1owETEPMA0GA1UEAwwGY2xpZW50MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE9dEGd16VxjrO9N+k+pPfDECUKmFDz9Q/\
    SGv4ejqNwLZBdA94Rd/3LlqfNeBMAIXOJqz+LWOtQdl8b33f9kMjWKNTMFEwHQYDVR0OBBYEFBi5OrkSXXB/1wiilqtbk3vpAJYAMB8GA1UdIwQY\
    MBaAFBi5OrkSXXB/1wiilqtbk3vpAJYAMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSQAwRgIhALV4uVkJ8bwYrW6GmPfX37J1HTazHXRT\
    FO/Hp/a40O3ZAiEAudR88Rvi0Nhn4ZOnN5WLwiGrug/kCgVAVMYUgawAA60=";

/// What the one server binds to a certificate that a proxy tells it of, the other finds so bound.
#[tokio::test]
async fn tokens_that_are_bound_to_certificates_are_good_for_those_that_have_them() {
    if node::left_out() {
        return;
    }
    let idp = Senders::start().await;
    let header = |der: &[u8]| format!(":{}:", STANDARD.encode(der));
    let own = STANDARD.decode(CERTIFICATE).unwrap();
    let mut others = own.clone();
    *others.last_mut().unwrap() ^= 1;
    let proxies = TrustedPeers::addresses(["127.0.0.1"]).unwrap();
    let certificates = ClientCertificates::from_header(CertificateHeader::client_cert(), proxies);
    let build = |issuer: Issuer| server(issuer).client_certificates(certificates.clone()).build().unwrap();
    let bound = build(idp.issuer().require_mtls());
    let known = bound.clone();
    let bound = serve(app(bound)).await;
    let without = serve(app(server(idp.issuer().accept_dpop()).build().unwrap())).await;
    let both = serve(app(build(idp.issuer().accept_dpop().accept_mtls()))).await;
    for kind in KINDS {
        let client = format!("certificate-{kind}");
        let (token, of_type) = idp.token(&client, Some(("client-cert", header(&own)))).await;
        assert_eq!(of_type, "Bearer", "{kind}");
        let get = |api: &str, certificate: Option<&[u8]>| {
            let request = idp.http.get(format!("{api}/orders")).bearer_auth(&token);
            certificate.into_iter().fold(request, |request, der| request.header("client-cert", header(der)))
        };
        assert_eq!(outcome(get(&bound, Some(&own))).await.0, 200, "{kind}");
        assert_eq!(outcome(get(&both, Some(&own))).await.0, 200, "{kind}");
        for api in [&bound, &both] {
            refused(get(api, Some(&others)), "invalid_token", kind).await;
            refused(get(api, None), "invalid_token", kind).await;
        }
        refused(get(&without, Some(&own)), "invalid_token", kind).await;
        let error = known.authenticate(&token).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SenderConstrained, "{kind}: alone it says nothing of its sender");
    }
}
