//! Where the token may be, whether one is needed, and what each operation needs: the settings of the layer, over HTTP, gRPC and WebSockets.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use axum::extract::WebSocketUpgrade;
use axum::routing::{any, get as route, post};
use axum::{Extension, Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderName, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use support::orders::orders_client::OrdersClient;
use support::orders::orders_server::OrdersServer;
use support::orders::{PlaceRequest, WatchRequest};
use support::shop::Shop;
use support::{challenge, get, get_with, send, status};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tonic::Code;
use tower_bearer::authz::{Access, AuthzRules};
use tower_bearer::config::ConfigProblemKind;
use tower_bearer::credential::TokenSource;
use tower_bearer::reject::{GraphQlErrors, ProblemJson, Rejection};
use tower_bearer::testing::{Idp, ManualClock, routes_without_rule};
use tower_bearer::{
    AccessToken, BearerAuthLayer, Error, ErrorKind, Require, RequireLayer, ResourceServer, Rule, permissions,
};
use tower_http::cors::CorsLayer;

permissions! {
    ReadOrders = scope("orders:read");
}

fn world() -> (Idp, ResourceServer) {
    let idp = Idp::new("https://id.test/");
    let server = ResourceServer::new("https://api.test").trust(&idp).build().unwrap();
    (idp, server)
}

async fn whoami(token: Option<AccessToken>) -> String {
    token.and_then(|token| token.subject().map(ToOwned::to_owned)).unwrap_or_else(|| "nobody".to_owned())
}

async fn body(response: http::Response<axum::body::Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

async fn text_of(response: http::Response<axum::body::Body>) -> (u16, String) {
    (response.status().as_u16(), body(response).await)
}

#[tokio::test]
async fn a_lenient_layer_takes_bad_tokens_for_none_and_says_why() {
    let (idp, clock) = (Idp::new("https://id.test/"), ManualClock::new());
    let server = ResourceServer::new("https://api.test").trust(&idp).clock(clock.clone()).build().unwrap();
    let why = async |error: Option<Extension<Error>>| {
        error.map(|Extension(error)| error.kind().to_string()).unwrap_or_default()
    };
    let app = Router::new()
        .route("/who", route(whoami))
        .route("/why", route(why))
        .route("/me", route(async |_: AccessToken| "me"))
        .layer(BearerAuthLayer::new(server).lenient());
    let token = idp.token("alice").expires_in(Duration::from_secs(600)).sign();
    assert_eq!(body(send(&app, get_with("/who", &token)).await).await, "alice");
    assert_eq!(body(send(&app, get_with("/why", &token)).await).await, "");
    assert_eq!(body(send(&app, get("/who", &[])).await).await, "nobody");
    assert_eq!(body(send(&app, get("/why", &[])).await).await, "", "no token is nothing bad");
    clock.advance(Duration::from_secs(660));
    for (authorization, kind) in [
        (format!("Bearer {token}"), ErrorKind::Expired),
        ("Bearer garbage".to_owned(), ErrorKind::OpaqueToken),
        ("Bearer a b".to_owned(), ErrorKind::MalformedRequest),
    ] {
        let response = send(&app, get("/who", &[&authorization])).await;
        assert_eq!((response.status().as_u16(), body(response).await.as_str()), (200, "nobody"));
        assert_eq!(body(send(&app, get("/why", &[&authorization])).await).await, kind.to_string());
        let refused = send(&app, get("/me", &[&authorization])).await;
        assert_eq!(refused.status(), if kind == ErrorKind::MalformedRequest { 400 } else { 401 });
        assert!(challenge(refused.headers()).unwrap().1.contains_key("error"), "the error of the token");
    }
    assert_eq!(send(&app, get("/me", &[])).await.status(), 401);
}

#[tokio::test]
async fn nothing_prints_the_credentials_of_a_request_that_is_let_in_in_spite_of_them() {
    let (_, server) = world();
    let sensitive = async |headers: HeaderMap| headers.values().all(|value| value.is_sensitive()).to_string();
    let layer = BearerAuthLayer::new(server).lenient();
    let app = Router::new().route("/sensitive", route(sensitive)).layer(layer);
    let response = send(&app, get("/sensitive", &["Bearer a", "Bearer b"])).await;
    assert_eq!(body(response).await, "true");
}

#[tokio::test]
async fn an_outage_makes_nobody_anonymous_even_when_lenient() {
    let (idp, server) = world();
    idp.outage();
    let app = Router::new().route("/who", route(whoami)).layer(BearerAuthLayer::new(server).lenient());
    assert_eq!(status(&app, "/who", &idp.token("alice").sign()).await, 503);
    assert_eq!(status(&app, "/who", "garbage").await, 200);
}

#[tokio::test]
async fn within_a_lenient_layer_the_innermost_verdict_counts() {
    let (idp, server) = world();
    let (_, other) = world();
    let app = Router::new()
        .route("/who", route(whoami))
        .route("/why", route(async |error: Option<Extension<Error>>| error.is_some().to_string()))
        .layer(BearerAuthLayer::new(server).optional())
        .layer(BearerAuthLayer::new(other).lenient());
    let token = idp.token("alice").sign();
    assert_eq!(body(send(&app, get_with("/who", &token)).await).await, "alice");
    assert_eq!(body(send(&app, get_with("/why", &token)).await).await, "false", "the outer layer's error is gone");
    assert_eq!(body(send(&app, get("/why", &[])).await).await, "false");
}

#[tokio::test]
async fn a_token_from_a_cookie_is_verified_like_any_other_and_no_way_around_csrf() {
    let (idp, server) = world();
    let sources = [TokenSource::authorization(), TokenSource::cookie("__Host-token")];
    let sensitive = async |headers: HeaderMap| headers.values().all(|value| value.is_sensitive()).to_string();
    let app = Router::new()
        .route("/who", route(whoami).post(whoami))
        .route("/sensitive", route(sensitive))
        .layer(BearerAuthLayer::new(server).token_sources(sources).unwrap());
    let token = idp.token("alice").sign();
    let cookie = format!("a=1; __Host-token={token}");
    let with =
        |request: http::request::Builder| request.header("cookie", &cookie).body(axum::body::Body::empty()).unwrap();
    assert_eq!(body(send(&app, with(Request::get("/who"))).await).await, "alice");
    assert_eq!(body(send(&app, with(Request::get("/sensitive"))).await).await, "true");
    assert_eq!(body(send(&app, get_with("/who", &token)).await).await, "alice");
    let both = with(Request::get("/who").header("authorization", format!("Bearer {token}")));
    assert_eq!(send(&app, both).await.status(), 400);
    let bad = Request::get("/who").header("cookie", "__Host-token=garbage").body(axum::body::Body::empty()).unwrap();
    assert_eq!(send(&app, bad).await.status(), 401);
    for (site, expected) in [("cross-site", 403), ("same-site", 403), ("same-origin", 200)] {
        let response = send(&app, with(Request::post("/who").header("sec-fetch-site", site))).await;
        assert_eq!(response.status(), expected, "{site}");
        assert_eq!(challenge(response.headers()), None, "a token would not help");
    }
    assert_eq!(send(&app, with(Request::post("/who"))).await.status(), 403, "from nowhere");
}

#[tokio::test]
async fn a_copy_of_a_layer_has_settings_of_its_own() {
    let (_, server) = world();
    let required = BearerAuthLayer::new(server).without_grpc();
    let optional = required.clone().optional();
    for (layer, status) in [(required, 401), (optional, 200)] {
        let app = Router::new().route("/", route(async || "")).layer(layer);
        assert_eq!(send(&app, get("/", &[])).await.status(), status);
    }
}

#[test]
fn what_is_wrong_with_a_source_is_found_when_the_layer_is_built() {
    let (_, server) = world();
    let problems = |sources: Vec<TokenSource>| match BearerAuthLayer::new(server.clone()).token_sources(sources) {
        Ok(_) => Vec::new(),
        Err(error) => error.problems().to_vec(),
    };
    let cookie = || TokenSource::cookie("t");
    let custom = TokenSource::custom(|head| Some(head.headers().get("x-own")?.as_bytes()));
    let header = |name| TokenSource::header(HeaderName::from_static(name));
    for twice in [
        vec![TokenSource::authorization(), TokenSource::authorization()],
        vec![header("authorization"), TokenSource::authorization()],
        vec![header("x-token"), cookie(), header("x-token")],
        vec![cookie(), cookie().allow_origin("https://app.test")],
        vec![cookie(), header("cookie")],
        vec![TokenSource::web_socket_protocol(), TokenSource::web_socket_protocol()],
        vec![TokenSource::dangerously_query(), TokenSource::dangerously_query()],
        vec![custom.clone(), TokenSource::authorization(), custom.clone()],
    ] {
        let shown = format!("{twice:?}");
        let [problem] = &problems(twice)[..] else { panic!("{shown}") };
        assert_eq!(problem.kind(), ConfigProblemKind::Conflict);
        assert!(problem.path().starts_with("token_sources["), "{problem}");
        assert!(problem.message().contains("name one of them only"), "{shown}: {problem}");
    }
    for name in ["", "a; b", "a=b", "a b", " a", "a,b", "ä", "a\n", "\"a\""] {
        let [problem] = &problems(vec![TokenSource::authorization(), TokenSource::cookie(name)])[..] else {
            panic!("{name:?}")
        };
        assert_eq!(problem.path(), format!("token_sources[cookie({name})]"));
        assert!(problem.message().contains("RFC 6265"), "{problem}");
        assert!(problem.message().ends_with(&format!("found {name:?}")), "{problem}");
    }
    for origin in [
        "null",
        "x/",
        "",
        "app.test",
        "*",
        "//app.test",
        "https:app.test",
        "://app.test",
        "1x://app.test",
        "https://app.test/",
        "https://app.test/x",
        "https://app.test?x",
        "https://app.test#x",
        "https://App.test",
        "HTTPS://app.test",
        "https://äpp.test",
        "https://*.app.test",
        "https://",
        "https://:8443",
        "https://me@app.test",
        "https://app.test ",
        "https://a:b:1",
        "https://::1",
        "https://[::1",
        "https://app.test:",
        "https://app.test:x",
        "https://app.test:0443",
        "https://app.test:65536",
        "https://app.test:443",
        "http://localhost:80",
    ] {
        let source = cookie().allow_origin("https://good.test").allow_origin(origin);
        let [problem] = &problems(vec![source])[..] else { panic!("{origin:?}") };
        assert_eq!(problem.path(), "token_sources[cookie(t)].allow_origin");
        assert!(problem.message().contains("such as https://app.example.com"), "{problem}");
        assert!(problem.message().ends_with(&format!("found {origin:?}")), "{problem}");
    }
    for source in [TokenSource::authorization(), header("x-token"), custom.clone(), TokenSource::dangerously_query()] {
        let path = format!("token_sources[{}].allow_origin", format!("{source:?}").replace("TokenSource::", ""));
        let [problem] = &problems(vec![source.allow_origin("https://app.test")])[..] else { panic!("{path}") };
        assert_eq!((problem.path(), problem.kind()), (path.as_str(), ConfigProblemKind::Conflict));
    }
    // all of them at once
    let wrong = vec![TokenSource::cookie("").allow_origin("null").allow_origin("x/"), TokenSource::cookie("")];
    assert_eq!(problems(wrong).len(), 5);

    let origins = ["https://app.test:8443", "http://localhost:3000", "http://[::1]:3000", "http://[::1]"];
    let apps = ["chrome-extension://abcdefghijklmnop", "capacitor://localhost", "https://xn--pp-xia.test"];
    let many = origins.into_iter().chain(apps).fold(cookie(), TokenSource::allow_origin);
    let other = TokenSource::custom(|head| Some(head.headers().get("x-other")?.as_bytes()));
    let protocols = [TokenSource::web_socket_protocol(), TokenSource::dangerously_query()];
    let mut good = vec![TokenSource::authorization(), many, TokenSource::cookie("__Host-t"), header("x-token")];
    good.extend([custom, other].into_iter().chain(protocols));
    assert!(problems(good).is_empty() && problems(Vec::new()).is_empty());
}

#[tokio::test]
async fn a_proxys_header_is_the_token_and_the_authorization_header_then_means_nothing() {
    let (idp, server) = world();
    let source = TokenSource::header(HeaderName::from_static("x-goog-iap-jwt-assertion"));
    let app =
        Router::new().route("/who", route(whoami)).layer(BearerAuthLayer::new(server).token_sources([source]).unwrap());
    let token = idp.token("alice").sign();
    let request = Request::get("/who").header("x-goog-iap-jwt-assertion", &token).body(axum::body::Body::empty());
    assert_eq!(body(send(&app, request.unwrap()).await).await, "alice");
    let elsewhere = send(&app, get_with("/who", &token)).await;
    assert_eq!(elsewhere.status(), 401);
    assert!(!challenge(elsewhere.headers()).unwrap().1.contains_key("error"), "there is none where it should be");
}

/// Serves a router; returns its address.
async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(axum::serve(listener, app).into_future());
    address
}

#[tokio::test]
async fn a_browsers_web_socket_brings_its_token_as_a_protocol_and_is_told_one() {
    let (idp, server) = world();
    let events = async |token: AccessToken, headers: HeaderMap, socket: WebSocketUpgrade| {
        let offered = headers.get(SEC_WEBSOCKET_PROTOCOL).map(|value| value.to_str().unwrap().to_owned());
        let text = format!("{} {}", token.subject().unwrap(), offered.unwrap_or_default());
        socket.protocols(["chat"]).on_upgrade(async move |mut socket| {
            let _ = socket.send(axum::extract::ws::Message::Text(text.into())).await;
        })
    };
    let public = async |token: Option<AccessToken>, socket: WebSocketUpgrade| {
        let text = whoami(token).await;
        socket.on_upgrade(async move |mut socket| {
            let _ = socket.send(axum::extract::ws::Message::Text(text.into())).await;
        })
    };
    let layer = || BearerAuthLayer::new(server.clone()).token_sources([TokenSource::web_socket_protocol()]).unwrap();
    let app = Router::new()
        .route("/events", any(events))
        .route("/public", any(public))
        .layer(layer().public_path(Method::GET, "/public").unwrap())
        .merge(Router::new().route("/lenient", any(public)).layer(layer().lenient()));
    let address = serve(app).await;
    let token = idp.token("alice").sign();
    let open_at = async |path: &str, protocols: &str| {
        let mut request = format!("ws://{address}/{path}").into_client_request().unwrap();
        if !protocols.is_empty() {
            request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocols.parse().unwrap());
        }
        let (mut socket, response) = connect_async(request).await?;
        let text = futures_util::StreamExt::next(&mut socket).await.unwrap()?.into_text()?;
        let chosen = response.headers()[SEC_WEBSOCKET_PROTOCOL].to_str().unwrap().to_owned();
        Ok::<_, tungstenite::Error>((chosen, text.to_string()))
    };
    let open = async |protocols: &str| open_at("events", protocols).await;
    // the client refuses a response without a protocol, as browsers do
    assert_eq!(open(&format!("bearer, {token}")).await.unwrap(), ("bearer".to_owned(), "alice ".to_owned()));
    let chosen = open(&format!("v2.chat, chat, bearer, {token}")).await.unwrap();
    assert_eq!(chosen, ("chat".to_owned(), "alice v2.chat, chat".to_owned()));
    // browsers compare every letter of what is chosen
    let capital = open(&format!("Bearer, {token}")).await.unwrap();
    assert_eq!(capital, ("Bearer".to_owned(), "alice ".to_owned()));
    // Kubernetes' protocol is the token, so that another one beside it must be chosen
    let kubernetes = format!("base64url.bearer.authorization.k8s.io.{}", URL_SAFE_NO_PAD.encode(&token));
    for offer in [format!("{kubernetes}, chat"), format!("chat, {kubernetes}")] {
        assert_eq!(open(&offer).await.unwrap(), ("chat".to_owned(), "alice chat".to_owned()));
    }
    // whatever is wrong with the token, the client is told a protocol, and the service sees no
    // token
    for (offer, chosen) in [("bearer", "bearer"), ("Bearer, garbage", "Bearer"), ("bearer, a, BEARER, b", "bearer")] {
        assert_eq!(open_at("lenient", offer).await.unwrap(), (chosen.to_owned(), "nobody".to_owned()), "{offer}");
    }
    let public = open_at("public", &format!("bearer, {token}")).await.unwrap();
    assert_eq!(
        public,
        ("bearer".to_owned(), "nobody".to_owned()),
        "where nobody looks at it, it is a protocol all the same"
    );
    for (protocols, expected) in [
        ("", 401),
        ("chat", 401),
        ("bearer", 401),
        ("bearer, garbage", 401),
        ("bearer, a, bearer, b", 400),
        ("base64url.bearer.authorization.k8s.io.YQ, chat", 401),
        ("base64url.bearer.authorization.k8s.io.a.b.c, chat", 400),
    ] {
        match open(protocols).await {
            Err(tungstenite::Error::Http(response)) => assert_eq!(response.status(), expected, "{protocols}"),
            other => panic!("{protocols}: {other:?}"),
        }
    }
}

fn rules() -> AuthzRules {
    let rules = AuthzRules::new()
        .route(Method::GET, "/health", Access::Public)
        .route(Method::GET, "/who", Access::Authenticated)
        .route(Method::GET, "/orders/{id}", Rule::scope("orders:read"))
        .route(Method::POST, "/orders", Rule::scope("orders:write") & Rule::role("clerk"))
        .grpc_method("shop.Orders/Place", Rule::scope("orders:write"))
        .grpc_service("grpc.health.v1.Health", Access::Public);
    rules.build().unwrap()
}

#[tokio::test]
async fn every_operation_needs_what_its_rule_says_and_without_a_rule_it_is_permitted_to_nobody() {
    let (idp, server) = world();
    let router = || {
        Router::new()
            .route("/health", route(whoami))
            .route("/who", route(whoami))
            .route("/orders/{id}", route(whoami).delete(whoami))
            .route("/orders", post(whoami))
            .route("/forgotten", route(whoami))
    };
    assert_eq!(routes_without_rule(&rules(), &router()), ["DELETE /orders/{id}", "GET /forgotten"]);
    let clerk = idp.token("clerk").scope("orders:write").role("clerk").sign();
    let reader = idp.token("reader").scope("orders:read").sign();
    for (layer, optional) in [
        (BearerAuthLayer::new(server.clone()).authorize(rules()).unwrap(), false),
        (BearerAuthLayer::new(server).authorize(rules()).unwrap().optional(), true),
    ] {
        let app = router().layer(layer);
        let rows: [(&str, &str, Option<&str>, u16); 17] = [
            ("GET", "/health", None, 200),
            ("HEAD", "/health", None, 200),
            ("GET", "/health", Some("garbage"), 200),
            ("GET", "/who", None, 401),
            ("GET", "/who", Some(&reader), 200),
            ("GET", "/orders/7", None, 401),
            ("GET", "/orders/7", Some(&reader), 200),
            ("GET", "/orders/7", Some(&clerk), 403),
            ("GET", "/orders/7", Some("garbage"), 401),
            ("GET", "/orders/%2e%2e", Some(&reader), 403),
            ("POST", "/orders", Some(&clerk), 200),
            ("POST", "/orders", Some(&reader), 403),
            ("DELETE", "/orders/7", Some(&clerk), 403),
            ("GET", "/forgotten", Some(&clerk), 403),
            ("GET", "/forgotten", None, if optional { 403 } else { 401 }),
            ("GET", "/nowhere", Some(&clerk), 403),
            ("POST", "/health", Some(&clerk), 403),
        ];
        for (method, path, token, expected) in rows {
            let mut request = get(path, &[]);
            *request.method_mut() = method.parse().unwrap();
            if let Some(token) = token {
                request.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
            }
            assert_eq!(send(&app, request).await.status(), expected, "{method} {path} {token:?}");
        }
        let refused = send(&app, get_with("/orders/7", &clerk)).await;
        assert_eq!(challenge(refused.headers()).unwrap().1["scope"], "orders:read");
        let error: &Error = refused.extensions().get().unwrap();
        assert_eq!(error.kind(), ErrorKind::InsufficientScope);
    }
}

#[tokio::test]
async fn a_public_path_is_a_pattern_as_those_of_rules_are() {
    let (idp, server) = world();
    let layer = BearerAuthLayer::new(server)
        .public_path(Method::GET, "/swagger-ui/{*rest}")
        .and_then(|layer| layer.public_path(Method::GET, "/health"))
        .and_then(|layer| layer.public_path(Method::GET, "/users/{id}/avatar"))
        .and_then(|layer| layer.public_service("grpc.health.v1.Health"))
        .unwrap();
    let app = Router::new().fallback(whoami).layer(layer);
    let token = idp.token("alice").sign();
    for (method, path, public) in [
        ("GET", "/swagger-ui/index.html", true),
        ("GET", "/swagger-ui/fonts/a%20b.woff", true),
        ("HEAD", "/swagger-ui/index.html", true),
        ("GET", "/health", true),
        ("GET", "/health?deep=1", true),
        ("HEAD", "/health", true),
        ("GET", "/users/a%40b.test/avatar", true),
        ("POST", "/grpc.health.v1.Health/Check", true),
        ("POST", "/swagger-ui/index.html", false),
        ("GET", "/swagger-ui/", false),
        ("GET", "/swagger-ui", false),
        ("GET", "/swagger-ui/../orders", false),
        ("GET", "/swagger-ui/%2e%2e/orders", false),
        ("GET", "/swagger-ui/..%2Forders", false),
        ("GET", "/swagger-ui//orders", false),
        ("GET", "/swagger-ui/..;/orders", false),
        ("GET", "/swagger-ui/%C0%AF", false),
        ("GET", "/swagger-ui/{*rest}/..", false),
        ("GET", "/health/", false),
        ("GET", "/Health", false),
        ("GET", "//health", false),
        ("GET", "/%68ealth", false),
        ("GET", "/health.", false),
        ("GET", "/health%20", false),
        ("OPTIONS", "/health", false),
        ("GET", "/grpc.health.v1.Health/Check", false),
        ("POST", "/grpc.health.v1.Health", false),
        ("POST", "/grpc.health.v1.Health/", false),
        ("POST", "/grpc.health.v1.HealthX/Check", false),
        ("POST", "/grpc.health.v1.Health/Check/", false),
        ("POST", "/grpc.health.v1.Health/..", false),
    ] {
        let mut request = get(path, &[]);
        *request.method_mut() = method.parse().unwrap();
        assert_eq!(send(&app, request).await.status(), if public { 200 } else { 401 }, "{method} {path}");
        // whoever has a token may ask for anything
        let mut request = get_with(path, &token);
        *request.method_mut() = method.parse().unwrap();
        assert_eq!(send(&app, request).await.status(), 200, "{method} {path}");
    }
}

#[tokio::test]
async fn a_public_path_that_cannot_be_meant_is_a_problem() {
    let (_, server) = world();
    let layer = || BearerAuthLayer::new(server.clone()).public_path(Method::GET, "/a/{b}").unwrap();
    for pattern in ["health", "", "/a/{", "/a/{*rest}", "/a/{b}", "/a/{c}", "/a/../b", "/a;b", "/%61"] {
        let error = layer().public_path(Method::GET, pattern).unwrap_err();
        assert!(error.problems()[0].path().starts_with("public["), "{pattern}: {error}");
    }
    for name in ["", "/", "shop", "shop.Health/Check", "shop.{x}", "a..b"] {
        let named = layer().public_service(name);
        assert_eq!(named.is_ok(), name == "shop", "{name}");
    }
    assert!(layer().public_path(Method::POST, "/a/{b}").is_ok());
}

#[test]
fn beside_rules_there_is_no_public_path() {
    let (_, server) = world();
    let layer = BearerAuthLayer::new(server.clone()).authorize(rules()).unwrap();
    let error = layer.public_path(Method::GET, "/who").unwrap_err();
    let public = BearerAuthLayer::new(server).public_path(Method::GET, "/who").unwrap();
    for error in [error, public.public_service("grpc.health.v1.Health").unwrap().authorize(rules()).unwrap_err()] {
        let problem = &error.problems()[0];
        assert_eq!((problem.path(), problem.kind()), ("public[GET /who]", ConfigProblemKind::Conflict));
        assert!(problem.message().contains("Access::Public"), "{error}");
    }
}

#[tokio::test]
async fn a_path_that_is_decoded_behind_the_layer_gets_nobody_past_a_rule() {
    let (idp, server) = world();
    let rules = AuthzRules::new()
        .route(Method::GET, "/users/{id}", Access::Authenticated)
        .route(Method::GET, "/users/@all", Rule::role("admin"))
        .build()
        .unwrap();
    let app = Router::new().fallback(whoami).layer(BearerAuthLayer::new(server).authorize(rules).unwrap());
    let token = idp.token("alice").sign();
    for (path, expected) in [
        ("/users/alice", 200),
        ("/users/a%40b.test", 200),
        ("/users/@all", 403),
        ("/users/%40all", 403),
        ("/users/%40all%20", 403),
        ("/users/@all.", 403),
        ("/users/%C0%AF", 403),
    ] {
        assert_eq!(status(&app, path, &token).await, expected, "{path}");
    }
}

#[tokio::test]
async fn the_same_rules_stand_in_front_of_a_tonic_server() {
    let (idp, server) = world();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let layer = BearerAuthLayer::new(server).authorize(rules()).unwrap();
    let serving = tonic::transport::Server::builder().layer(layer).add_service(OrdersServer::new(Shop));
    tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
    let mut client = OrdersClient::connect(address).await.unwrap();
    let signed = |token: &str| format!("Bearer {token}").parse().unwrap();
    let mut place = async |token: Option<&str>| {
        let mut request = tonic::Request::new(PlaceRequest { item: "lamp".into() });
        if let Some(token) = token {
            request.metadata_mut().insert("authorization", signed(token));
        }
        client.place(request).await.map(|order| order.into_inner().buyer).map_err(|status| status.code())
    };
    assert_eq!(place(None).await, Err(Code::Unauthenticated));
    assert_eq!(place(Some(&idp.token("alice").sign())).await, Err(Code::PermissionDenied));
    let writer = idp.token("alice").scope("orders:write").sign();
    assert_eq!(place(Some(&writer)).await.as_deref(), Ok("alice"));
    let mut watch = tonic::Request::new(WatchRequest { id: 1 });
    watch.metadata_mut().insert("authorization", signed(&writer));
    assert_eq!(client.watch(watch).await.unwrap_err().code(), Code::PermissionDenied, "it has no rule");
}

fn guarded(layer: impl Fn(Router) -> Router) -> Router {
    let inner = Router::new()
        .route("/orders", route(async |_: Require<ReadOrders>| "orders"))
        .route("/ruled", route(async || "ruled").route_layer(RequireLayer::new(Rule::scope("orders:read"))))
        .route("/code", route(async |token: AccessToken| token.require(&Rule::scope("orders:read")).map(|()| "code")))
        .layer(axum::middleware::map_response(async |mut response: axum::response::Response| {
            response.headers_mut().append("x-inner", "1".parse().unwrap());
            response.headers_mut().append("x-inner", "2".parse().unwrap());
            response
        }));
    layer(inner)
}

#[tokio::test]
async fn refusals_from_behind_the_layer_are_written_as_its_own_are() {
    let (idp, server) = world();
    let app = guarded(|inner| inner.layer(BearerAuthLayer::new(server.clone()).reject_with(ProblemJson::default())));
    for path in ["/orders", "/ruled", "/code"] {
        let response = send(&app, get_with(path, &idp.token("alice").sign())).await;
        assert_eq!(response.status(), 403, "{path}");
        assert_eq!(challenge(response.headers()).unwrap().1["scope"], "orders:read");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let inner: Vec<_> = response.headers().get_all("x-inner").iter().collect();
        assert_eq!(inner, ["1", "2"], "what was added on the way stays");
        assert_eq!(response.extensions().get::<Error>().unwrap().kind(), ErrorKind::InsufficientScope);
        let problem: serde_json::Value = serde_json::from_str(&body(response).await).unwrap();
        assert_eq!((&problem["status"], &problem["error"]), (&403.into(), &"insufficient_scope".into()));
        let good = send(&app, get_with(path, &idp.token("alice").scope("orders:read").sign())).await;
        assert_eq!((good.status().as_u16(), body(good).await), (200, path[1..].to_owned()));
    }
    // what somebody has made something else of, or has added to, stays as it is
    let hidden =
        async |token: AccessToken| token.require(&Rule::scope("a")).map_err(|error| (StatusCode::NOT_FOUND, error));
    let also = async |mut response: axum::response::Response| {
        response.headers_mut().append(header::WWW_AUTHENTICATE, "Basic".parse().unwrap());
        response
    };
    let changed = Router::new()
        .route("/hidden", route(hidden))
        .route("/also", route(async |_: Require<ReadOrders>| "ok").layer(axum::middleware::map_response(also)))
        .layer(BearerAuthLayer::new(server.clone()).reject_with(ProblemJson::default()));
    assert_eq!(
        text_of(send(&changed, get_with("/hidden", &idp.token("alice").sign())).await).await,
        (404, String::new())
    );
    let both = send(&changed, get_with("/also", &idp.token("alice").sign())).await;
    assert_eq!(both.headers().get_all(header::WWW_AUTHENTICATE).iter().count(), 2);
    // one that was written by hand stays as it is
    let own = |rejection: Rejection| rejection.into_response(axum::body::Body::from("own"));
    let inner = Router::new()
        .route("/own", route(async || "ok").route_layer(RequireLayer::new(Rule::scope("a")).reject_with(own)))
        .layer(BearerAuthLayer::new(server).reject_with(ProblemJson::default()));
    assert_eq!(body(send(&inner, get_with("/own", &idp.token("alice").sign())).await).await, "own");
}

#[tokio::test]
async fn a_permission_is_checked_before_the_body_is_read() {
    let (idp, server) = world();
    let place = async |_: Require<ReadOrders>, Json(order): Json<serde_json::Value>| order.to_string();
    let app = Router::new().route("/orders", post(place)).layer(BearerAuthLayer::new(server));
    let send = async |token: &str, body: &'static str| {
        let request = Request::post("/orders").header("authorization", format!("Bearer {token}"));
        let request = request.header("content-type", "application/json").body(axum::body::Body::from(body)).unwrap();
        send(&app, request).await.status().as_u16()
    };
    let (reader, other) = (idp.token("alice").scope("orders:read").sign(), idp.token("bob").sign());
    assert_eq!(send(&reader, "{}").await, 200);
    assert_eq!(send(&reader, "{").await, 400);
    assert_eq!(send(&other, "{").await, 403);
}

#[tokio::test]
async fn a_check_that_waits_stands_behind_the_layer() {
    let (idp, server) = world();
    // in real life, a table of the database
    let check = async |token: AccessToken, request: axum::extract::Request, next: axum::middleware::Next| {
        tokio::task::yield_now().await;
        match token.subject() {
            Some("mallory") => Err(StatusCode::FORBIDDEN),
            Some("unlucky") => Err(StatusCode::SERVICE_UNAVAILABLE),
            _ => Ok(next.run(request).await),
        }
    };
    let app = Router::new()
        .route("/who", route(whoami))
        .layer(axum::middleware::from_fn(check))
        .layer(BearerAuthLayer::new(server));
    for (subject, expected) in [("alice", 200), ("mallory", 403), ("unlucky", 503)] {
        assert_eq!(status(&app, "/who", &idp.token(subject).sign()).await, expected, "{subject}");
    }
    assert_eq!(send(&app, get("/who", &[])).await.status(), 401);
}

#[tokio::test]
async fn graphql_clients_get_errors_in_their_shape() {
    let (idp, server) = world();
    let app = guarded(|inner| inner.layer(BearerAuthLayer::new(server.clone()).reject_with(GraphQlErrors::default())));
    let rows = [
        (get("/orders", &[]), 401, "UNAUTHENTICATED", ErrorKind::MissingToken),
        (get("/orders", &["Bearer garbage"]), 401, "UNAUTHENTICATED", ErrorKind::OpaqueToken),
        (get("/orders", &["Bearer a b"]), 400, "BAD_REQUEST", ErrorKind::MalformedRequest),
        (get_with("/orders", &idp.token("alice").sign()), 403, "FORBIDDEN", ErrorKind::InsufficientScope),
    ];
    for (request, status, code, kind) in rows {
        let response = send(&app, request).await;
        assert_eq!(response.status(), status);
        assert!(challenge(response.headers()).is_some());
        assert_eq!(response.headers()[CONTENT_TYPE], "application/graphql-response+json");
        let Json(errors) = Json::<serde_json::Value>::from_bytes(body(response).await.as_bytes()).unwrap();
        let expected =
            serde_json::json!({ "errors": [{ "message": kind.to_string(), "extensions": { "code": code } }] });
        assert_eq!(errors, expected);
    }
    let (elsewhere, unreachable) = world();
    elsewhere.outage();
    let down =
        guarded(|inner| inner.layer(BearerAuthLayer::new(unreachable.clone()).reject_with(GraphQlErrors::default())));
    let outage = send(&down, get_with("/orders", &elsewhere.token("alice").sign())).await;
    assert_eq!(outage.status(), 503);
    assert!(body(outage).await.contains("\"SERVICE_UNAVAILABLE\""));
    let mut grpc = get("/orders", &[]);
    *grpc.method_mut() = Method::POST;
    *grpc.version_mut() = http::Version::HTTP_2;
    grpc.headers_mut().insert(CONTENT_TYPE, "application/grpc".parse().unwrap());
    assert_eq!(body(send(&app, grpc).await).await, "");
}

#[tokio::test]
async fn a_cors_layer_belongs_outside() {
    let (_, server) = world();
    let cors = || {
        CorsLayer::new()
            .allow_origin(["https://app.test".parse().unwrap()])
            .allow_headers([header::AUTHORIZATION])
            .allow_methods([Method::GET])
    };
    let preflight = || {
        let request = Request::options("/who").header("origin", "https://app.test");
        let request = request.header("access-control-request-method", "GET");
        request.header("access-control-request-headers", "authorization").body(axum::body::Body::empty()).unwrap()
    };
    let request = || Request::get("/who").header("origin", "https://app.test").body(axum::body::Body::empty()).unwrap();
    let routes = || Router::new().route("/who", route(whoami));

    let right = routes().layer(BearerAuthLayer::new(server.clone())).layer(cors());
    let response = send(&right, preflight()).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN]),
        (200, &"https://app.test".parse().unwrap())
    );
    let refused = send(&right, request()).await;
    assert_eq!(refused.status(), 401);
    assert_eq!(refused.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.test", "the page may read why");

    let wrong = routes().layer(cors()).layer(BearerAuthLayer::new(server));
    let response = send(&wrong, preflight()).await;
    assert_eq!(response.status(), 401, "a preflight has no token");
    assert!(!response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
    assert!(!send(&wrong, request()).await.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
}

#[tokio::test]
async fn a_token_in_the_query_is_taken_where_browsers_can_set_no_header_and_no_cache_keeps_what_comes_of_it() {
    let (idp, server) = world();
    let (elsewhere, unreachable) = world();
    elsewhere.outage();
    let sources = || [TokenSource::dangerously_query(), TokenSource::authorization()];
    let app = |layer: BearerAuthLayer| {
        let orders = route(async |_: Require<ReadOrders>| "orders");
        let kept = route(async || ([(header::CACHE_CONTROL, "private")], "kept"));
        let router = Router::new().route("/who", route(whoami).post(whoami)).route("/orders", orders);
        router.route("/kept", kept).layer(layer.token_sources(sources()).unwrap())
    };
    let layer = || BearerAuthLayer::new(server.clone());
    let (good, events, upgrade) =
        (idp.token("alice").sign(), [("accept", "text/event-stream")], [("upgrade", "websocket")]);
    let grpc = [("upgrade", "websocket"), ("content-type", "application/grpc-web")];
    let both = [("accept", "text/event-stream"), ("authorization", "Bearer a.b.c")];
    type Row<'t> = (&'t str, &'t Router, &'t str, &'t str, &'t [(&'t str, &'t str)], u16, Option<&'t str>);
    let (required, optional, lenient) = (app(layer()), app(layer().optional()), app(layer().lenient()));
    let problems = Router::new().route("/orders", route(async |_: Require<ReadOrders>| "orders")).layer(
        BearerAuthLayer::new(server.clone()).reject_with(ProblemJson::default()).token_sources(sources()).unwrap(),
    );
    let down = app(BearerAuthLayer::new(unreachable));
    let rows: &[Row<'_>] = &[
        ("GET", &required, "/who", &good, &[], 401, None),
        ("GET", &required, "/who", &good, &[("accept", "application/json")], 401, None),
        ("POST", &required, "/who", &good, &events, 401, None),
        ("GET", &required, "/who", &good, &events, 200, Some("no-store")),
        ("GET", &required, "/who", &good, &upgrade, 200, Some("no-store")),
        ("GET", &required, "/kept", &good, &events, 200, Some("private")),
        ("GET", &required, "/who", "garbage", &events, 401, Some("no-store")),
        ("GET", &required, "/who", "garbage", &upgrade, 401, Some("no-store")),
        ("GET", &required, "/who", "a%20b", &events, 400, Some("no-store")),
        ("GET", &required, "/who", &good, &both, 400, Some("no-store")),
        ("GET", &required, "/who", "a&access_token=b", &events, 400, Some("no-store")),
        ("GET", &required, "/who", "", &events, 401, None),
        ("GET", &required, "/nowhere", &good, &events, 404, Some("no-store")),
        ("POST", &required, "/who", "garbage", &grpc, 200, Some("no-store")),
        // a handler's refusal, and the layer's in another's words
        ("GET", &required, "/orders", &good, &events, 403, Some("no-store")),
        ("GET", &problems, "/orders", &good, &events, 403, Some("no-store")),
        ("GET", &problems, "/orders", "garbage", &events, 401, Some("no-store")),
        ("GET", &optional, "/who", "garbage", &events, 401, Some("no-store")),
        ("GET", &optional, "/who", "", &events, 200, None),
        ("GET", &lenient, "/who", "garbage", &events, 200, Some("no-store")),
        ("GET", &lenient, "/who", "a&access_token=b", &events, 200, Some("no-store")),
        ("GET", &lenient, "/orders", "garbage", &events, 401, Some("no-store")),
        // after a wait for keys that cannot be had
        ("GET", &down, "/who", &elsewhere.token("alice").sign(), &events, 503, Some("no-store")),
    ];
    for (method, app, path, token, headers, expected, cache) in rows {
        let request = Request::builder().method(*method).uri(format!("{path}?x=1&access_token={token}"));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = send(app, request.body(axum::body::Body::empty()).unwrap()).await;
        let found = response.headers().get(header::CACHE_CONTROL).map(|value| value.to_str().unwrap());
        assert_eq!((response.status().as_u16(), found), (*expected, *cache), "{method} {path} {token} {headers:?}");
        assert!(response.headers().get_all(header::CACHE_CONTROL).iter().count() <= 1);
    }
}

#[tokio::test]
async fn the_header_in_which_a_custom_source_finds_the_token_is_hidden() {
    let (idp, server) = world();
    let sensitive = async |headers: HeaderMap| headers["x-hook"].is_sensitive().to_string();
    let source = || TokenSource::custom(|head| head.headers().get("x-hook")?.as_bytes().strip_prefix(b"Token "));
    let app = |layer: BearerAuthLayer| {
        let router = Router::new().route("/who", route(whoami)).route("/sensitive", route(sensitive));
        router.layer(layer.token_sources([source()]).unwrap())
    };
    let with =
        |path: &str, value: &str| Request::get(path).header("x-hook", value).body(axum::body::Body::empty()).unwrap();
    let token = format!("Token {}", idp.token("alice").sign());
    let required = app(BearerAuthLayer::new(server.clone()));
    assert_eq!(body(send(&required, with("/who", &token)).await).await, "alice");
    assert_eq!(body(send(&required, with("/sensitive", &token)).await).await, "true");
    let lenient = app(BearerAuthLayer::new(server.clone()).lenient());
    assert_eq!(body(send(&lenient, with("/sensitive", "Token garbage")).await).await, "true");
    assert_eq!(body(send(&lenient, with("/sensitive", "something else")).await).await, "false");
    let public = app(BearerAuthLayer::new(server).public_path(Method::GET, "/sensitive").unwrap());
    assert_eq!(body(send(&public, with("/sensitive", &token)).await).await, "true");
}

#[tokio::test]
async fn a_header_that_is_no_token_is_refused_by_what_is_in_its_way() {
    let (idp, server) = world();
    let source = TokenSource::header(HeaderName::from_static("x-auth-token"));
    let app =
        Router::new().route("/who", route(whoami)).layer(BearerAuthLayer::new(server).token_sources([source]).unwrap());
    let token = idp.token("alice").sign();
    for (value, says) in [
        (format!("Bearer {token}"), "the scheme Bearer stands before the token"),
        (format!("\"{token}\""), "quotes"),
        (format!("{token}, {token}"), "a comma"),
        (format!("JWT {token}"), "white space"),
        ("{{token}}".to_owned(), "a placeholder"),
    ] {
        let request = Request::get("/who").header("x-auth-token", &value).body(axum::body::Body::empty()).unwrap();
        let response = send(&app, request).await;
        assert_eq!(response.status(), 400, "{says}");
        let error = response.extensions().get::<Error>().unwrap().to_string();
        assert!(error.contains(says) && !error.contains(&token), "{error}");
    }
}

/// Says, as a page or as text, what it sees of the request.
fn shows(rejection: Rejection) -> http::Response<axum::body::Body> {
    let request = rejection.request().expect("the layer has it");
    let page = request.headers().get(header::ACCEPT).is_some_and(|accept| accept == "text/html");
    let mut names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let text = format!("{} {} {:?} {names:?}", request.method(), request.uri(), request.version());
    assert!(!format!("{request:?}{rejection:?}").contains("eyJ"), "no token");
    let mut response = rejection.into_response(text.into());
    let media_type = if page { "text/html" } else { "text/plain" };
    response.headers_mut().insert(CONTENT_TYPE, media_type.parse().unwrap());
    response
}

#[tokio::test]
async fn a_reject_sees_the_request_wherever_it_is_refused_and_never_its_token() {
    let (idp, server) = world();
    let (down, unreachable) = world();
    down.outage();
    let sources = [TokenSource::authorization(), TokenSource::header(HeaderName::from_static("x-token"))];
    let app = |server: ResourceServer| {
        let layer = BearerAuthLayer::new(server).token_sources(sources.clone()).unwrap().reject_with(shows);
        guarded(|inner| {
            let own = RequireLayer::new(Rule::scope("orders:read")).reject_with(shows);
            inner.route("/own", route(async || "own").route_layer(own)).layer(layer.clone())
        })
    };
    let (app, down_app) = (app(server), app(unreachable));
    let (poor, expired) = (idp.token("alice").sign(), idp.token("alice").expired().sign());
    for (app, path, token, expected) in [
        (&app, "/orders", "", 401),
        (&app, "/orders", "garbage", 401),
        (&app, "/orders", &*expired, 401),
        // the first that needs keys waits for them
        (&app, "/orders", &*poor, 403),
        (&app, "/ruled", &*poor, 403),
        (&app, "/code", &*poor, 403),
        (&app, "/own", &*poor, 403),
        (&down_app, "/orders", &*down.token("alice").sign(), 503),
    ] {
        for (accept, media_type) in [("text/html", "text/html"), ("application/json", "text/plain")] {
            let mut request = get(&format!("{path}?page=2&access_token={poor}"), &[]);
            for (name, value) in [("accept", accept), ("hx-request", "true"), ("cookie", &format!("t={poor}"))] {
                request.headers_mut().insert(HeaderName::from_static(name), value.parse().unwrap());
            }
            if !token.is_empty() {
                let value = format!("Bearer {token}").parse().unwrap();
                request.headers_mut().insert(header::AUTHORIZATION, value);
            }
            let response = send(app, request).await;
            assert_eq!(response.status(), expected, "{path} {token}");
            assert_eq!(response.headers()[CONTENT_TYPE], media_type, "{path} {token}");
            // a layer that stands behind does not know what in the address is a token
            let query = if path == "/own" { "" } else { "?page=2" };
            let seen = format!(r#"GET {path}{query} HTTP/1.1 ["accept", "hx-request"]"#);
            assert_eq!(body(response).await, seen, "{token}");
        }
    }
    let proxied = Request::get("/orders").header("x-token", "garbage").body(axum::body::Body::empty()).unwrap();
    assert_eq!(body(send(&app, proxied).await).await, "GET /orders HTTP/1.1 []");
    let good = idp.token("alice").scope("orders:read").sign();
    assert_eq!(body(send(&app, get_with("/code", &good)).await).await, "code");
}

#[tokio::test]
async fn where_a_token_may_be_in_the_address_a_reject_sees_no_query() {
    let (_, server) = world();
    let custom = TokenSource::custom(|head| Some(head.headers().get("x-own")?.as_bytes()));
    for sources in [vec![TokenSource::dangerously_query()], vec![TokenSource::authorization(), custom]] {
        let layer = BearerAuthLayer::new(server.clone()).token_sources(sources).unwrap().reject_with(shows);
        let app = Router::new().route("/who", route(whoami)).layer(layer);
        assert_eq!(body(send(&app, get("/who?t=1", &[])).await).await, "GET /who HTTP/1.1 []");
    }
}

#[tokio::test]
async fn a_reject_sees_nothing_in_which_a_custom_source_finds_the_token() {
    let (idp, server) = world();
    let (down, unreachable) = world();
    down.outage();
    let (poor, lost) = (idp.token("alice").sign(), down.token("alice").sign());
    let of_header = TokenSource::custom(|head| head.headers().get("x-hook")?.as_bytes().strip_prefix(b"Token "));
    let of_path =
        TokenSource::custom(|head| Some(head.uri().path().strip_prefix("/by/")?.trim_end_matches("/own").as_bytes()));
    let app = |server: ResourceServer| {
        let layer = BearerAuthLayer::new(server).token_sources([of_header.clone(), of_path.clone()]).unwrap();
        let orders = route(async |_: Require<ReadOrders>| "orders");
        let own = RequireLayer::new(Rule::scope("orders:read")).reject_with(shows);
        let router = Router::new().route("/orders", orders.clone()).route("/by/{token}", orders);
        let router = router.route("/by/{token}/own", route(async || "own").route_layer(own));
        router.layer(layer.reject_with(shows))
    };
    let (app, down_app) = (app(server), app(unreachable));
    // refused by the layer, by a handler behind it, and after a wait for keys that cannot be had
    for (app, token, status) in [(&app, "garbage", 401), (&app, &*poor, 403), (&down_app, &*lost, 503)] {
        let hook = format!("Token {token}");
        for (path, hook, expected) in [
            ("/orders?page=2".to_owned(), &*hook, r#"GET /orders HTTP/1.1 ["accept"]"#),
            (format!("/by/{token}?page=2"), "Another", r#"GET / HTTP/1.1 ["accept", "x-hook"]"#),
        ] {
            let request = Request::get(path).header("accept", "text/plain").header("x-hook", hook);
            let response = send(app, request.body(axum::body::Body::empty()).unwrap()).await;
            assert_eq!(response.status(), status, "{expected}");
            assert_eq!(body(response).await, expected, "{status}");
        }
    }
    // and by a layer behind it, with a `Reject` of its own
    let response = send(&app, get(&format!("/by/{poor}/own?page=2"), &[])).await;
    assert_eq!((response.status().as_u16(), body(response).await), (403, "GET / HTTP/1.1 []".to_owned()));
}

#[tokio::test]
async fn a_401_that_a_reject_makes_without_a_challenge_gets_the_layers() {
    let (idp, server) = world();
    let made = |status: u16, challenge: Option<&'static str>| {
        move |_: Rejection| {
            let response = http::Response::builder().status(status);
            let response =
                challenge.into_iter().fold(response, |response, value| response.header("www-authenticate", value));
            response.body(axum::body::Body::empty()).unwrap()
        }
    };
    let poor = idp.token("alice").sign();
    let own = r#"Bearer realm="https://api.test""#;
    let insufficient = format!(
        "{own}, error=\"insufficient_scope\", error_description=\"{}\", scope=\"orders:read\"",
        ErrorKind::InsufficientScope
    );
    for (status, challenge, token, expected) in [
        (401, None, None, Some(own)),
        (401, Some("Basic"), None, Some("Basic")),
        (302, None, None, None),
        (403, None, Some(&poor), None),
        // from behind the layer
        (401, None, Some(&poor), Some(&*insufficient)),
    ] {
        let app =
            guarded(|inner| inner.layer(BearerAuthLayer::new(server.clone()).reject_with(made(status, challenge))));
        let request = token.map_or_else(|| get("/orders", &[]), |token| get_with("/orders", token));
        let response = send(&app, request).await;
        assert_eq!(response.status(), status);
        let values: Vec<_> = response.headers().get_all(header::WWW_AUTHENTICATE).iter().collect();
        assert_eq!(values, expected.into_iter().collect::<Vec<_>>(), "{status} {challenge:?} {token:?}");
    }
    // where a token would not help, a 401 has the plain one
    let layer = BearerAuthLayer::new(server.clone()).authorize(rules()).unwrap().reject_with(made(401, None));
    let response = send(&Router::new().fallback(whoami).layer(layer), get_with("/forgotten", &poor)).await;
    assert_eq!(response.headers()[header::WWW_AUTHENTICATE], own);
    // gRPC has none
    let layer = BearerAuthLayer::new(server).reject_with(made(401, None));
    let mut grpc = get("/orders", &[]);
    *grpc.method_mut() = Method::POST;
    *grpc.version_mut() = http::Version::HTTP_2;
    grpc.headers_mut().insert(CONTENT_TYPE, "application/grpc".parse().unwrap());
    let response = send(&Router::new().fallback(whoami).layer(layer), grpc).await;
    assert!(!response.headers().contains_key(header::WWW_AUTHENTICATE));
}
