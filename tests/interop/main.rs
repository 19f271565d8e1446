//! Against real authorization servers, on loopback ports: `oidc-provider` from npm, and Debian's `glewlwyd`; and with
//! real clients, `oauth4webapi` and `openid-client` from npm.
//!
//! What is from npm sets itself up on first use (`npm ci` in `tests/interop`); `glewlwyd` is left out where it is not
//! installed, unless `TOWER_BEARER_INTEROP=all`. Set `TOWER_BEARER_INTEROP=skip` to leave out both.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod answers;
mod dpop;
mod glewlwyd;
mod introspection;
#[path = "../support/node.rs"]
mod node;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get as route;
use serde::Deserialize;
use serde_json::json;
use support::orders::orders_client::OrdersClient;
use support::orders::orders_server::{Orders, OrdersServer};
use support::orders::{Order, PlaceRequest, WatchRequest};
use tokio::net::TcpListener;
use tokio::process::Child;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Response, Status};
use tower_bearer::claims::{Principal, Roles, Scopes, Segment};
use tower_bearer::keys::{Algorithm, SkipReason};
use tower_bearer::testing::ManualClock;
use tower_bearer::tonic::RequestExt;
use tower_bearer::{AccessToken, BearerAuthLayer, ErrorKind, Issuer, Require, ResourceServer, permissions};

permissions! {
    ReadOrders = scope("orders:read");
    WriteOrders = scope("orders:write") & role("machine");
}

#[derive(Deserialize)]
struct Tenant {
    tenant_id: String,
}

/// The authorization server; it ends with its standard input, and so with this value.
struct AuthorizationServer {
    issuer: String,
    http: reqwest::Client,
    _process: Child,
}

impl AuthorizationServer {
    async fn start() -> Self {
        let (issuer, process) = node::start("server.mjs", &[]).await;
        Self { issuer, http: reqwest::Client::new(), _process: process }
    }

    /// A token by the client-credentials grant.
    async fn token(&self, client: &str, resource: &str, scope: &str) -> String {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", client),
            ("client_secret", "secret"),
            ("resource", resource),
            ("scope", scope),
        ];
        let response = self.http.post(format!("{}/token", self.issuer)).form(&form).send().await.unwrap();
        assert!(response.status().is_success(), "{}", response.text().await.unwrap());
        let body: serde_json::Value = response.json().await.unwrap();
        body["access_token"].as_str().unwrap().to_owned()
    }

    async fn control(&self, what: &str) -> String {
        let response = self.http.post(format!("{}/control/{what}", self.issuer)).send().await.unwrap();
        response.error_for_status().unwrap().text().await.unwrap()
    }
}

const API: &str = "https://api.test";
const SCOPES: &str = "orders:read orders:write";
const CLIENTS: &[&str] = &["RS256", "PS256", "ES256", "EdDSA", "Ed25519"];

/// The guarded services, each on a port of its own: axum's and tonic's.
async fn services(server: &ResourceServer<Tenant>) -> (Api, OrdersClient<tonic::transport::Channel>) {
    let app = Router::new()
        .route("/tenant", route(async |token: AccessToken<Tenant>| token.claims().tenant_id.clone()))
        .route("/orders", route(async |_: Require<ReadOrders>| "orders"))
        .route("/place", route(async |_: Require<WriteOrders>| "placed"))
        .layer(BearerAuthLayer::new(server.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = Api { address: format!("http://{}", listener.local_addr().unwrap()), http: reqwest::Client::new() };
    tokio::spawn(axum::serve(listener, app).into_future());

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let layer = BearerAuthLayer::new(server.clone());
    let serving = tonic::transport::Server::builder().layer(layer).add_service(OrdersServer::new(Shop));
    tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
    let client = OrdersClient::connect(address).await.unwrap();
    (api, client)
}

struct Api {
    address: String,
    http: reqwest::Client,
}

impl Api {
    async fn get(&self, path: &str, token: &str) -> reqwest::Response {
        self.http.get(format!("{}{path}", self.address)).bearer_auth(token).send().await.unwrap()
    }

    async fn status(&self, path: &str, token: &str) -> http::StatusCode {
        self.get(path, token).await.status()
    }
}

struct Shop;

#[tonic::async_trait]
impl Orders for Shop {
    async fn place(&self, request: Request<PlaceRequest>) -> Result<Response<Order>, Status> {
        let buyer = request.require::<WriteOrders>()?.subject().unwrap_or_default().to_owned();
        Ok(Response::new(Order { id: 1, item: request.into_inner().item, buyer }))
    }

    type WatchStream = tokio_stream::Empty<Result<Order, Status>>;

    async fn watch(&self, _: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(tokio_stream::empty()))
    }
}

fn place(token: &str) -> Request<PlaceRequest> {
    let mut request = Request::new(PlaceRequest { item: "lamp".into() });
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

/// As many callers as these, each with tokens of its own, while the server rotates its keys twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_the_authorization_server_rotates_its_keys_under_load() {
    if node::left_out() {
        return;
    }
    let idp = Arc::new(AuthorizationServer::start().await);
    let server = ResourceServer::new(API).trust(Issuer::new(&idp.issuer)).claims::<Tenant>().build().unwrap();
    let (api, _) = services(&server).await;
    let (api, over) = (Arc::new(api), Arc::new(AtomicBool::new(false)));
    // a token is used a few times, as a client would that keeps it
    let call = async |idp: &AuthorizationServer, api: &Api, client: &str| {
        let token = idp.token(client, API, SCOPES).await;
        for _ in 0..3 {
            assert_eq!(api.status("/orders", &token).await, 200);
        }
    };
    let callers: Vec<_> = (0..8)
        .map(|caller| {
            let (idp, api, over) = (Arc::clone(&idp), Arc::clone(&api), Arc::clone(&over));
            tokio::spawn(async move {
                while !over.load(Ordering::SeqCst) {
                    call(&idp, &api, CLIENTS[caller % CLIENTS.len()]).await;
                }
            })
        })
        .collect();
    for rotation in 0..3 {
        for _ in 0..50 {
            call(&idp, &api, "RS256").await;
        }
        if rotation < 2 {
            idp.control("rotate?keep").await;
        }
    }
    over.store(true, Ordering::SeqCst);
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(api.status("/orders", &idp.token("ES256", API, SCOPES).await).await, 200);
    // the present keys, those before, and none of the first
    let keys = server.status().remove(0).keys;
    assert_eq!(keys.len(), 2 * CLIENTS.len(), "{keys:?}");
}

/// What a real server signs in every shape that providers are known for, and what comes of it.
#[tokio::test]
async fn claims_are_read_in_every_shape_that_a_server_can_sign() {
    if node::left_out() {
        return;
    }
    let idp = AuthorizationServer::start().await;
    let org = || Segment::value_of("org");
    let rows: [(serde_json::Value, Issuer, &[&str]); 12] = [
        (json!({ "roles": ["a", "b"] }), Issuer::new(&idp.issuer), &["a", "b"]),
        (json!({ "roles": "site admin" }), Issuer::new(&idp.issuer), &["site admin"]),
        (json!({ "roles": "a, b" }), Issuer::new(&idp.issuer).roles(Roles::default().separated_by(',')), &["a", "b"]),
        (json!({ "roles": { "a": { "1": "x" }, "b": false } }), Issuer::new(&idp.issuer), &["a"]),
        (
            json!({ "realm_access": { "roles": ["a"] }, "resource_access": { "api": { "roles": ["b"] } } }),
            Issuer::new(&idp.issuer).roles(Roles::at(["realm_access", "roles"]).and([
                "resource_access",
                "api",
                "roles",
            ])),
            &["a", "b"],
        ),
        (
            json!({ "https://x.test/roles": ["a"], "cognito:groups": ["b"], "kubernetes.io": { "namespace": "c" } }),
            Issuer::new(&idp.issuer)
                .roles(Roles::at(["https://x.test/roles"]).and(["cognito:groups"]).and(["kubernetes.io", "namespace"])),
            &["a", "b", "c"],
        ),
        (
            json!({ "org": "1", "roles": { "a": { "1": "x" }, "b": { "2": "y" } } }),
            Issuer::new(&idp.issuer).roles(Roles::default().only_granted_in(org())),
            &["a"],
        ),
        (
            json!({ "org": "T2", "tenants": { "T1": { "roles": ["a"] }, "T2": { "roles": ["b"] } } }),
            Issuer::new(&idp.issuer).roles(Roles::at(["tenants".into(), org(), "roles".into()])),
            &["b"],
        ),
        (
            json!({ "roles": ["ROLE_a", "ROLE_b", "c"] }),
            Issuer::new(&idp.issuer).roles(Roles::default().only_with_prefix("ROLE_").only_renamed([("a", "admin")])),
            &["admin"],
        ),
        (json!({ "roles": [1, null, ["x"], { "y": 1 }] }), Issuer::new(&idp.issuer), &[]),
        (json!({ "roles": "ä\"\\\u{1F600}" }), Issuer::new(&idp.issuer), &["ä\"\\\u{1F600}"]),
        (json!({}), Issuer::new(&idp.issuer), &[]),
    ];
    for (claims, issuer, roles) in rows {
        idp.control(&format!("claims?{}", percent_encoded(&claims.to_string()))).await;
        let server = ResourceServer::new(API).trust(issuer.tenant_at(["org"])).build().unwrap();
        let token = server.authenticate(&idp.token("ES256", API, SCOPES).await).await.unwrap();
        assert_eq!(token.roles().collect::<Vec<_>>(), roles, "{claims}");
        assert_eq!(token.scopes().collect::<Vec<_>>(), ["orders:read", "orders:write"], "{claims}");
        assert_eq!(token.tenant(), claims["org"].as_str(), "{claims}");
        assert_eq!(token.principal(), Principal::Client, "its subject is the client");
    }
    let permissions = json!({ "permissions": ["api:read", "other:write"], "o": { "per": "x,y" } });
    idp.control(&format!("claims?{}", percent_encoded(&permissions.to_string()))).await;
    let token = idp.token("ES256", API, SCOPES).await;
    for (scopes, expected) in [
        (Scopes::at(["permissions"]), &["api:read", "other:write"][..]),
        (Scopes::at(["permissions"]).only_with_prefix("api:"), &["read"]),
        (Scopes::at(["o", "per"]).separated_by(','), &["x", "y"]),
        (Scopes::default().and(["permissions"]), &["orders:read", "orders:write", "api:read", "other:write"]),
        (Scopes::at(["nowhere"]), &[]),
    ] {
        let server = ResourceServer::new(API).trust(Issuer::new(&idp.issuer).scopes(scopes)).build().unwrap();
        let token = server.authenticate(&token).await.unwrap();
        assert_eq!(token.scopes().collect::<Vec<_>>(), expected);
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn tokens_of_a_certified_authorization_server_are_accepted_and_all_others_refused() {
    if node::left_out() {
        return;
    }
    let idp = AuthorizationServer::start().await;
    let clock = ManualClock::new();
    let server = ResourceServer::new(API)
        .trust(Issuer::new(&idp.issuer).rfc9068())
        .claims::<Tenant>()
        .clock(clock.clone())
        .build()
        .unwrap();
    server.ready().await.unwrap();
    let status = &server.status()[0];
    assert_eq!(status.keys.len(), 5, "{status:?}");
    assert_eq!(status.skipped.len(), 1, "the encryption key: {status:?}");
    assert_eq!(status.skipped[0].reason, SkipReason::WrongUse);

    let (api, mut grpc) = services(&server).await;
    let kind = async |token: &str| server.authenticate(token).await.err().map(|error| error.kind());

    // accepted, over HTTP and gRPC, with claims, scopes and roles
    for client in CLIENTS {
        let token = idp.token(client, API, SCOPES).await;
        let response = api.get("/tenant", &token).await;
        assert_eq!(response.status(), 200, "{client}");
        assert_eq!(response.text().await.unwrap(), "t-1");
        assert_eq!(api.status("/place", &token).await, 200, "{client}");
        let order = grpc.place(place(&token)).await.unwrap().into_inner();
        assert_eq!((order.item.as_str(), order.buyer.as_str()), ("lamp", *client));
    }

    // permitted only what the granted scope says
    let reader = idp.token("ES256", API, "orders:read").await;
    assert_eq!(api.status("/orders", &reader).await, 200);
    let refused = api.get("/place", &reader).await;
    assert_eq!(refused.status(), 403);
    assert_eq!(support::challenge(refused.headers()).unwrap().1["scope"], "orders:write");
    assert_eq!(grpc.place(place(&reader)).await.unwrap_err().code(), Code::PermissionDenied);

    // other tokens of the same issuer
    let elsewhere = idp.token("ES256", "https://other.test", SCOPES).await;
    assert_eq!(kind(&elsewhere).await, Some(ErrorKind::WrongAudience));
    assert_eq!(api.status("/orders", &elsewhere).await, 401);
    assert_eq!(grpc.place(place(&elsewhere)).await.unwrap_err().code(), Code::Unauthenticated);
    let id_token = idp.control("id-token?client=ES256&sub=alice").await;
    assert_eq!(kind(&id_token).await, Some(ErrorKind::WrongType));
    assert_eq!(grpc.place(place(&id_token)).await.unwrap_err().code(), Code::Unauthenticated);
    let default = ResourceServer::new(API).trust(Issuer::new(&idp.issuer)).build().unwrap();
    let refused = default.authenticate(&id_token).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::WrongAudience, "without the strict profile its audience gives it away");
    let opaque = idp.control("opaque").await;
    assert_eq!(kind(&opaque).await, Some(ErrorKind::OpaqueToken));

    // tampered with
    let good = idp.token("EdDSA", API, SCOPES).await;
    let (head, signature) = good.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { "B" } else { "A" };
    assert_eq!(kind(&format!("{head}.{other}{}", &signature[1..])).await, Some(ErrorKind::BadSignature));

    // rotated: the new key is found at once, the old one is gone
    idp.control("rotate").await;
    let rotated = idp.token("RS256", API, SCOPES).await;
    assert_eq!(api.status("/orders", &rotated).await, 200);
    let order = grpc.place(place(&rotated)).await.unwrap().into_inner();
    assert_eq!(order.buyer, "RS256");
    assert_eq!(kind(&good).await, Some(ErrorKind::UnknownKey));
    assert!(server.status()[0].keys.iter().all(|key| !key.algorithms.contains(&Algorithm::Hs256)));

    // expired
    clock.advance(Duration::from_secs(300 + 60));
    assert_eq!(kind(&rotated).await, Some(ErrorKind::Expired));
    assert_eq!(api.status("/orders", &rotated).await, 401);
    assert_eq!(grpc.place(place(&rotated)).await.unwrap_err().code(), Code::Unauthenticated);
}
