//! Tokens that are bound to their senders, through the layer: who gets in, what the others are told, and that nobody is
//! taken for anonymous who may be a thief.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get as route;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use serde_json::json;
use support::orders::PlaceRequest;
use support::orders::orders_client::OrdersClient;
use support::orders::orders_server::OrdersServer;
use support::send;
use support::shop::Shop;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Code;
use tonic::transport::Server;
use tower_bearer::config::{PublicOrigin, ResourceServerBuilder};
use tower_bearer::dpop::{Dpop, FirstUse, InMemoryReplayStore, Nonces, ProofUse, ReplayStore};
use tower_bearer::testing::{Idp, ManualClock, ProofKey};
use tower_bearer::{AccessToken, BearerAuthLayer, Error, ErrorKind, Issuer, Require, ResourceServer, permissions};

const ORIGIN: &str = "https://api.test";
const ALGS: &str = "ES256 ES384 EdDSA Ed25519 PS256 RS256";

permissions! {
    Write = scope("write");
}

struct World {
    idp: Idp,
    key: ProofKey,
    clock: ManualClock,
}

impl World {
    fn new() -> Self {
        let clock = ManualClock::new();
        let idp = Idp::new("https://id.test/").clock(clock.clone());
        let key = ProofKey::new().clock(clock.clone());
        Self { idp, key, clock }
    }

    fn server(&self, terms: fn(Issuer) -> Issuer, dpop: Dpop) -> ResourceServer {
        self.builder(terms).dpop(dpop).public_origin(ORIGIN).build().unwrap()
    }

    fn builder(&self, terms: fn(Issuer) -> Issuer) -> ResourceServerBuilder {
        ResourceServer::new(ORIGIN)
            .trust((terms(Issuer::new("https://id.test/")), self.idp.clone()))
            .clock(self.clock.clone())
    }

    fn bound(&self) -> String {
        self.idp.token("alice").bound_to(&self.key).sign()
    }

    fn proof(&self, token: &str) -> String {
        self.key.proof("GET", format!("{ORIGIN}/me")).token(token).sign()
    }
}

fn app(layer: BearerAuthLayer) -> Router {
    Router::new()
        .route(
            "/me",
            route(async |token: Option<AccessToken>| match &token {
                Some(token) => token.subject().unwrap_or("-").to_owned(),
                None => "anonymous".to_owned(),
            }),
        )
        .route("/write", route(async |_: Require<Write>| "written"))
        .layer(layer)
}

fn request(scheme: &str, token: &str, proofs: &[&str]) -> Request<Body> {
    let mut request = Request::get("/me").header("authorization", format!("{scheme} {token}"));
    for proof in proofs {
        request = request.header("dpop", *proof);
    }
    request.body(Body::empty()).unwrap()
}

fn with_proof(token: &str, proof: &str) -> Request<Body> {
    request("DPoP", token, &[proof])
}

fn challenges(headers: &HeaderMap) -> Vec<&str> {
    let values: Vec<_> =
        headers.get_all(header::WWW_AUTHENTICATE).iter().map(|value| value.to_str().unwrap()).collect();
    let mut schemes: Vec<_> = values
        .iter()
        .map(|text| {
            let mut parsed = http_auth::parser::ChallengeParser::new(text);
            let scheme = parsed.next().expect("a challenge").expect("a well-formed one").scheme;
            assert!(parsed.next().is_none(), "one challenge in each value: {text}");
            scheme
        })
        .collect();
    schemes.sort_unstable();
    schemes.dedup();
    assert_eq!(schemes.len(), values.len(), "each scheme once: {values:?}");
    values
}

fn kind(response: &Response<Body>) -> Option<ErrorKind> {
    response.extensions().get::<Error>().map(Error::kind)
}

fn nonce(response: &Response<Body>) -> Option<String> {
    let values: Vec<_> = response.headers().get_all("dpop-nonce").iter().collect();
    assert!(values.len() <= 1, "more than one nonce");
    values.first().map(|value| value.to_str().unwrap().to_owned())
}

async fn body(response: Response<Body>) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn bare(scheme: &str) -> String {
    let algs = if scheme == "DPoP" { format!(", algs=\"{ALGS}\"") } else { String::new() };
    format!("{scheme} realm=\"{ORIGIN}\"{algs}")
}

fn told(scheme: &str, code: &str, kind: ErrorKind) -> String {
    let algs = if scheme == "DPoP" { format!(", algs=\"{ALGS}\"") } else { String::new() };
    format!("{scheme} realm=\"{ORIGIN}\", error=\"{code}\", error_description=\"{kind}\"{algs}")
}

#[tokio::test]
async fn each_request_gets_in_or_is_told_why_not_in_every_mode() {
    use ErrorKind as K;

    let world = World::new();
    let (idp, key, other) = (&world.idp, &world.key, ProofKey::new().clock(world.clock.clone()));
    let bound = world.bound();
    let plain = idp.token("alice").sign();
    let unreadable = idp.token("alice").claim("cnf", json!({ "jkt": key.thumbprint(), "kid": "x" })).sign();
    let certified = idp.token("alice").claim("cnf", json!({ "x5t#S256": key.thumbprint() })).sign();
    let both = idp.token("alice").claim("cnf", json!({ "x5t#S256": key.thumbprint(), "jkt": key.thumbprint() })).sign();
    let proof = |token: &str| key.proof("GET", format!("{ORIGIN}/me")).token(token);
    let bearer = |code, kind| vec![told("Bearer", code, kind), bare("DPoP")];
    let dpop = |code, kind| vec![told("DPoP", code, kind), bare("Bearer")];
    let twice = proof(&bound).sign();
    type Row = (&'static str, Request<Body>, u16, Option<K>, Vec<String>);
    let rows: Vec<Row> = vec![
        ("bound, with its proof", with_proof(&bound, &proof(&bound).sign()), 200, None, vec![]),
        ("the scheme in lower case", request("dpop", &bound, &[&proof(&bound).sign()]), 200, None, vec![]),
        ("a bearer token", request("Bearer", &plain, &[]), 200, None, vec![]),
        (
            "a bearer token with a proof that nobody needs",
            request("Bearer", &plain, &[&proof(&plain).sign()]),
            200,
            None,
            vec![],
        ),
        (
            "bound, as a bearer token",
            request("Bearer", &bound, &[]),
            401,
            Some(K::SenderConstrained),
            bearer("invalid_token", K::SenderConstrained),
        ),
        (
            "bound, as a bearer token, with its proof",
            request("Bearer", &bound, &[&proof(&bound).sign()]),
            401,
            Some(K::SenderConstrained),
            bearer("invalid_token", K::SenderConstrained),
        ),
        (
            "not bound, under DPoP",
            with_proof(&plain, &proof(&plain).sign()),
            401,
            Some(K::NotSenderConstrained),
            dpop("invalid_token", K::NotSenderConstrained),
        ),
        (
            "unreadable cnf, under DPoP",
            with_proof(&unreadable, &proof(&unreadable).sign()),
            401,
            Some(K::SenderConstrained),
            dpop("invalid_token", K::SenderConstrained),
        ),
        (
            "unreadable cnf, as a bearer token",
            request("Bearer", &unreadable, &[]),
            401,
            Some(K::SenderConstrained),
            bearer("invalid_token", K::SenderConstrained),
        ),
        (
            "bound to a certificate",
            request("Bearer", &certified, &[]),
            401,
            Some(K::SenderConstrained),
            bearer("invalid_token", K::SenderConstrained),
        ),
        (
            "bound to both, with one proven",
            with_proof(&both, &proof(&both).sign()),
            401,
            Some(K::SenderConstrained),
            dpop("invalid_token", K::SenderConstrained),
        ),
        (
            "no proof",
            request("DPoP", &bound, &[]),
            401,
            Some(K::InvalidProof),
            dpop("invalid_dpop_proof", K::InvalidProof),
        ),
        (
            "an empty proof",
            request("DPoP", &bound, &[""]),
            401,
            Some(K::InvalidProof),
            dpop("invalid_dpop_proof", K::InvalidProof),
        ),
        (
            "two proofs",
            request("DPoP", &bound, &[&proof(&bound).sign(), &proof(&bound).sign()]),
            401,
            Some(K::InvalidProof),
            dpop("invalid_dpop_proof", K::InvalidProof),
        ),
        (
            "one proof twice",
            request("DPoP", &bound, &[&twice, &twice]),
            401,
            Some(K::InvalidProof),
            dpop("invalid_dpop_proof", K::InvalidProof),
        ),
        (
            "joined by a comma",
            with_proof(&bound, &format!("{twice}, {twice}")),
            401,
            Some(K::InvalidProof),
            dpop("invalid_dpop_proof", K::InvalidProof),
        ),
        (
            "of another key",
            with_proof(&bound, &other.proof("GET", format!("{ORIGIN}/me")).token(&bound).sign()),
            401,
            Some(K::SenderConstrained),
            dpop("invalid_token", K::SenderConstrained),
        ),
        (
            "signed by another key",
            with_proof(&bound, &proof(&bound).signed_by(&other).sign()),
            401,
            Some(K::InvalidProof),
            dpop("invalid_dpop_proof", K::InvalidProof),
        ),
        (
            "for another method",
            with_proof(&bound, &key.proof("POST", format!("{ORIGIN}/me")).token(&bound).sign()),
            401,
            Some(K::InvalidProof),
            dpop("invalid_dpop_proof", K::InvalidProof),
        ),
        (
            "for another path",
            with_proof(&bound, &key.proof("GET", format!("{ORIGIN}/you")).token(&bound).sign()),
            401,
            Some(K::InvalidProof),
            dpop("invalid_dpop_proof", K::InvalidProof),
        ),
        (
            "for another host",
            with_proof(&bound, &key.proof("GET", "https://other.test/me").token(&bound).sign()),
            401,
            Some(K::InvalidProof),
            dpop("invalid_dpop_proof", K::InvalidProof),
        ),
        (
            "for http",
            with_proof(&bound, &key.proof("GET", "http://api.test/me").token(&bound).sign()),
            401,
            Some(K::InvalidProof),
            dpop("invalid_dpop_proof", K::InvalidProof),
        ),
        (
            "for another token",
            with_proof(&bound, &proof(&plain).sign()),
            401,
            Some(K::InvalidProof),
            dpop("invalid_dpop_proof", K::InvalidProof),
        ),
        (
            "for no token",
            with_proof(&bound, &proof(&bound).without("ath").sign()),
            401,
            Some(K::InvalidProof),
            dpop("invalid_dpop_proof", K::InvalidProof),
        ),
        (
            "without jti",
            with_proof(&bound, &proof(&bound).without("jti").sign()),
            401,
            Some(K::InvalidProof),
            dpop("invalid_dpop_proof", K::InvalidProof),
        ),
        (
            "old",
            with_proof(&bound, &proof(&bound).made_before(Duration::from_secs(91)).sign()),
            401,
            Some(K::InvalidProof),
            dpop("invalid_dpop_proof", K::InvalidProof),
        ),
        (
            "as old as it may be",
            with_proof(&bound, &proof(&bound).made_before(Duration::from_secs(89)).sign()),
            200,
            None,
            vec![],
        ),
        (
            "from the future",
            with_proof(&bound, &proof(&bound).made_ahead(Duration::from_secs(31)).sign()),
            401,
            Some(K::InvalidProof),
            dpop("invalid_dpop_proof", K::InvalidProof),
        ),
        (
            "unsigned",
            with_proof(&bound, &proof(&bound).unsigned().sign()),
            401,
            Some(K::InvalidProof),
            dpop("invalid_dpop_proof", K::InvalidProof),
        ),
        (
            "the token as its own proof",
            with_proof(&bound, &bound),
            401,
            Some(K::InvalidProof),
            dpop("invalid_dpop_proof", K::InvalidProof),
        ),
        (
            "with a nonce that nobody has asked for",
            with_proof(&bound, &proof(&bound).nonce("x").sign()),
            200,
            None,
            vec![],
        ),
        (
            "an expired token",
            with_proof(&idp.token("alice").bound_to(key).expired().sign(), "x"),
            401,
            Some(K::Expired),
            dpop("invalid_token", K::Expired),
        ),
        (
            "garbage under DPoP",
            with_proof("a.b.c", "x"),
            401,
            Some(K::MalformedToken),
            dpop("invalid_token", K::MalformedToken),
        ),
        (
            "two words under DPoP",
            with_proof("a b", "x"),
            400,
            Some(K::MalformedRequest),
            vec![told("DPoP", "invalid_request", K::MalformedRequest)],
        ),
        (
            "another scheme",
            request("Basic", "YTpi", &[]),
            401,
            Some(K::MissingToken),
            vec![bare("Bearer"), bare("DPoP")],
        ),
    ];
    for mode in ["required", "optional", "lenient"] {
        let server = world.server(Issuer::accept_dpop, Dpop::new());
        let layer = BearerAuthLayer::new(server);
        let layer = match mode {
            "required" => layer,
            "optional" => layer.optional(),
            _ => layer.lenient(),
        };
        let app = app(layer);
        // those that are known, too
        for round in 0..2 {
            for (name, request, status, expected, said) in &rows {
                if round == 1 && *status == 200 {
                    continue;
                }
                let mut copy = Request::get("/me").body(Body::empty()).unwrap();
                *copy.headers_mut() = request.headers().clone();
                let response = send(&app, copy).await;
                let anonymous = match mode {
                    "required" => false,
                    "optional" => *expected == Some(K::MissingToken),
                    _ => {
                        matches!(expected, Some(K::MissingToken | K::Expired | K::MalformedToken | K::MalformedRequest))
                    }
                };
                if anonymous {
                    assert_eq!(
                        (response.status().as_u16(), body(response).await.as_str()),
                        (200, "anonymous"),
                        "{mode}: {name}"
                    );
                    continue;
                }
                assert_eq!((response.status().as_u16(), kind(&response)), (*status, *expected), "{mode}: {name}");
                assert_eq!(challenges(response.headers()), *said, "{mode}: {name}");
                assert_eq!(nonce(&response), None, "{mode}: {name}");
                if *status == 200 {
                    assert_eq!(body(response).await, "alice", "{mode}: {name}");
                }
            }
        }
    }
}

#[tokio::test]
async fn an_issuer_that_says_nothing_of_proofs_has_none() {
    let world = World::new();
    let server = world.builder(|issuer| issuer).build().unwrap();
    let app = app(BearerAuthLayer::new(server).lenient());
    let (bound, plain) = (world.bound(), world.idp.token("alice").sign());
    for (request, expected) in [
        (with_proof(&bound, &world.proof(&bound)), ErrorKind::SenderConstrained),
        (request("Bearer", &bound, &[]), ErrorKind::SenderConstrained),
        (with_proof(&plain, &world.proof(&plain)), ErrorKind::NotSenderConstrained),
    ] {
        let response = send(&app, request).await;
        assert_eq!(kind(&response), Some(expected));
        assert_eq!(challenges(response.headers()), [told("Bearer", "invalid_token", expected)]);
    }
}

#[tokio::test]
async fn where_all_tokens_must_be_bound_no_bearer_token_is_asked_for() {
    let world = World::new();
    let server = world.server(Issuer::require_dpop, Dpop::new());
    let app = app(BearerAuthLayer::new(server));
    let (bound, plain) = (world.bound(), world.idp.token("alice").sign());
    assert_eq!(send(&app, with_proof(&bound, &world.proof(&bound))).await.status(), 200);
    let response = send(&app, request("Bearer", &plain, &[])).await;
    assert_eq!(challenges(response.headers()), [told("DPoP", "invalid_token", ErrorKind::NotSenderConstrained)]);
    let response = send(&app, Request::get("/me").body(Body::empty()).unwrap()).await;
    assert_eq!(challenges(response.headers()), [bare("DPoP")]);
}

#[tokio::test]
async fn a_rule_is_refused_under_the_scheme_of_the_token() {
    let world = World::new();
    let server = world.server(Issuer::accept_dpop, Dpop::new());
    let app = app(BearerAuthLayer::new(server));
    let token = world.bound();
    let proof = world.key.proof("GET", format!("{ORIGIN}/write")).token(&token).sign();
    let mut refused = with_proof(&token, &proof);
    *refused.uri_mut() = "/write".parse().unwrap();
    let response = send(&app, refused).await;
    assert_eq!(response.status(), 403);
    let expected = told("DPoP", "insufficient_scope", ErrorKind::InsufficientScope);
    let expected = expected.replace(", algs", ", scope=\"write\", algs");
    assert_eq!(challenges(response.headers()), [expected]);
}

#[tokio::test]
async fn a_proof_is_good_once_by_however_many_at_once_and_once_for_layers_in_layers() {
    let world = World::new();
    let server = world.server(Issuer::accept_dpop, Dpop::new());
    let one = app(BearerAuthLayer::new(server.clone()));
    let token = world.bound();
    let proof = world.proof(&token);
    let tries = (0..100).map(|_| {
        let (one, request) = (one.clone(), with_proof(&token, &proof));
        tokio::spawn(async move { send(&one, request).await.status().as_u16() })
    });
    let mut yes = 0;
    for attempt in tries.collect::<Vec<_>>() {
        let status = attempt.await.unwrap();
        assert!(status == 200 || status == 401, "{status}");
        yes += usize::from(status == 200);
    }
    assert_eq!(yes, 1);
    let nested = one.layer(BearerAuthLayer::new(server.clone()));
    let proof = world.proof(&token);
    assert_eq!(send(&nested, with_proof(&token, &proof)).await.status(), 200);
    let response = send(&nested, with_proof(&token, &proof)).await;
    assert_eq!(kind(&response), Some(ErrorKind::InvalidProof));
    // and in code, without a layer
    let (request, proof) = (|proof: &str| with_proof(&token, proof), world.proof(&token));
    assert!(server.authenticate_request(&request(&proof)).await.is_ok());
    assert_eq!(server.authenticate_request(&request(&proof)).await.unwrap_err().kind(), ErrorKind::InvalidProof);
    let alone = server.authenticate(&token).await.unwrap_err();
    assert_eq!(alone.kind(), ErrorKind::SenderConstrained);
}

#[tokio::test]
async fn a_client_is_told_a_nonce_and_later_the_next() {
    let world = World::new();
    let dpop = || Dpop::new().nonces(Nonces::local());
    let server = world.server(Issuer::accept_dpop, dpop());
    for layer in [
        BearerAuthLayer::new(server.clone()),
        BearerAuthLayer::new(server.clone()).optional(),
        BearerAuthLayer::new(server).lenient(),
    ] {
        let app = app(layer);
        let token = world.bound();
        let proof = |nonce: &str| world.key.proof("GET", format!("{ORIGIN}/me")).token(&token).nonce(nonce);
        let told_one = |response: &Response<Body>| {
            assert_eq!(kind(response), Some(ErrorKind::NonceRequired));
            let expected = [told("DPoP", "use_dpop_nonce", ErrorKind::NonceRequired), bare("Bearer")];
            assert_eq!(challenges(response.headers()), expected);
            assert_eq!(response.headers()["cache-control"], "no-store");
            assert_eq!(response.headers()["access-control-expose-headers"], "DPoP-Nonce, WWW-Authenticate");
            nonce(response).expect("a nonce")
        };
        let first = told_one(&send(&app, with_proof(&token, &world.proof(&token))).await);
        // the client's clock does not matter
        for proof in [
            proof(&first),
            proof(&first).made_before(Duration::from_secs(86400)),
            proof(&first).made_ahead(Duration::from_secs(86400)),
        ] {
            let proof = proof.sign();
            let response = send(&app, with_proof(&token, &proof)).await;
            assert_eq!((response.status().as_u16(), nonce(&response)), (200, None));
            assert!(!response.headers().contains_key("cache-control"));
            let replay = send(&app, with_proof(&token, &proof)).await;
            assert_eq!((kind(&replay), nonce(&replay)), (Some(ErrorKind::InvalidProof), None));
        }
        // nor does one that was made for another token
        let others = world.idp.token("bob").bound_to(&world.key).sign();
        let stolen = world.key.proof("GET", format!("{ORIGIN}/me")).token(&others).nonce(&first).sign();
        assert_ne!(told_one(&send(&app, with_proof(&others, &stolen)).await), first);
        told_one(&send(&app, with_proof(&token, &proof("garbage").sign())).await);
        told_one(&send(&app, with_proof(&token, &proof("").sign())).await);
        // a stranger is told none
        let thief = ProofKey::new().clock(world.clock.clone());
        let stolen = thief.proof("GET", format!("{ORIGIN}/me")).token(&token).sign();
        let response = send(&app, with_proof(&token, &stolen)).await;
        assert_eq!((kind(&response), nonce(&response)), (Some(ErrorKind::SenderConstrained), None));
        world.clock.advance(Duration::from_secs(151));
        let response = send(&app, with_proof(&token, &proof(&first).sign())).await;
        let next = nonce(&response).expect("another one");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["access-control-expose-headers"], "DPoP-Nonce, WWW-Authenticate");
        let response = send(&app, with_proof(&token, &proof(&next).sign())).await;
        assert_eq!((response.status().as_u16(), nonce(&response)), (200, None));
        world.clock.advance(Duration::from_secs(150));
        let response = send(&app, with_proof(&world.bound(), &proof(&first).sign())).await;
        assert_ne!(response.status(), 200, "the nonce has expired");
    }
    // where they are optional, one is offered, also with a refusal that has nothing to do with proofs
    let server = world.server(Issuer::accept_dpop, Dpop::new().nonces(Nonces::local().optional()));
    let app = app(BearerAuthLayer::new(server));
    let token = world.bound();
    let response = send(&app, with_proof(&token, &world.proof(&token))).await;
    assert!(response.status() == 200 && nonce(&response).is_some());
    let mut refused = with_proof(&token, &world.key.proof("GET", format!("{ORIGIN}/write")).token(&token).sign());
    *refused.uri_mut() = "/write".parse().unwrap();
    let response = send(&app, refused).await;
    assert!(response.status() == 403 && nonce(&response).is_some());
}

/// A store that answers what the test says, at once or later.
struct Said(fn() -> FirstUse, Arc<AtomicUsize>);

impl ReplayStore for Said {
    fn first_use(&self, _: &ProofUse) -> FirstUse {
        self.1.fetch_add(1, Ordering::Relaxed);
        (self.0)()
    }
}

#[tokio::test]
async fn the_store_of_proofs_is_asked_last_and_is_never_taken_for_a_yes() {
    let world = World::new();
    type Row = (fn() -> FirstUse, u16, Option<ErrorKind>);
    let stores: [Row; 6] = [
        (|| FirstUse::Yes, 200, None),
        (|| FirstUse::No, 401, Some(ErrorKind::InvalidProof)),
        (|| FirstUse::cannot_tell("gone"), 503, Some(ErrorKind::ReplayUnavailable)),
        (|| FirstUse::later(async { FirstUse::Yes }), 200, None),
        (|| FirstUse::later(async { FirstUse::No }), 401, Some(ErrorKind::InvalidProof)),
        (|| FirstUse::later(async { FirstUse::cannot_tell("gone") }), 503, Some(ErrorKind::ReplayUnavailable)),
    ];
    for (answer, status, expected) in stores {
        let asked = Arc::new(AtomicUsize::new(0));
        let server = world.server(Issuer::accept_dpop, Dpop::new().replay_store(Said(answer, Arc::clone(&asked))));
        let app = app(BearerAuthLayer::new(server).lenient());
        let token = world.bound();
        for _ in 0..2 {
            let response = send(&app, with_proof(&token, &world.proof(&token))).await;
            assert_eq!((response.status().as_u16(), kind(&response)), (status, expected));
            assert_eq!(response.headers().contains_key("retry-after"), status == 503);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        let thief = ProofKey::new().clock(world.clock.clone());
        for wrong in [
            thief.proof("GET", format!("{ORIGIN}/me")).token(&token).sign(),
            world.key.proof("GET", format!("{ORIGIN}/me")).token(&token).signed_by(&thief).sign(),
            world.key.proof("GET", format!("{ORIGIN}/you")).token(&token).sign(),
        ] {
            assert_eq!(send(&app, with_proof(&token, &wrong)).await.status(), 401);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2, "only good proofs are remembered");
    }
}

#[tokio::test]
async fn a_token_that_waits_for_keys_is_judged_by_the_request_that_it_came_with() {
    let world = World::new();
    let server = world.server(Issuer::accept_dpop, Dpop::new());
    let app = app(BearerAuthLayer::new(server).public_origin("https://other.test").unwrap());
    let at = |htu: &str, token: &str| world.key.proof("GET", htu).token(token).sign();
    // the first token of a server always waits; each of these is the first after a rotation
    for (htu, scheme, status) in [
        ("https://other.test/me", "DPoP", 200),
        ("https://api.test/me", "DPoP", 401),
        ("https://other.test/me", "Bearer", 401),
    ] {
        world.idp.rotate();
        world.clock.advance(Duration::from_secs(31));
        let token = world.bound();
        let response = send(&app, request(scheme, &token, &[&at(htu, &token)])).await;
        assert_eq!(response.status(), status, "{htu} {scheme}: {:?}", response.extensions().get::<Error>());
        let response = send(&app, request("DPoP", &token, &[&at("https://other.test/me", &token)])).await;
        assert_eq!(response.status(), 200, "{htu} {scheme}");
    }
}

#[tokio::test]
async fn a_token_that_is_bound_to_both_needs_both() {
    use tower_bearer::mtls::ClientCertificate;

    let world = World::new();
    let server = world.server(Issuer::require_sender_constraint, Dpop::new());
    let app = app(BearerAuthLayer::new(server).lenient());
    let (ours, other) = (ClientCertificate::new(b"ours"), ClientCertificate::new(b"other"));
    let x5t = "rgvsnp0zxWNUvWEsimAQhAMk_FuXhs4KGLaWswSwk5c";
    let key = json!({ "jkt": world.key.thumbprint(), "x5t#S256": x5t });
    for (cnf, scheme, proof, certificate, good) in [
        (key.clone(), "DPoP", true, Some(ours), true),
        (key.clone(), "DPoP", true, Some(other), false),
        (key.clone(), "DPoP", true, None, false),
        (key.clone(), "DPoP", false, Some(ours), false),
        (key.clone(), "Bearer", true, Some(ours), false),
        (json!({ "x5t#S256": x5t }), "Bearer", false, Some(ours), true),
        (json!({ "x5t#S256": x5t }), "Bearer", false, Some(other), false),
        (json!({ "x5t#S256": x5t }), "Bearer", false, None, false),
        (json!({ "x5t#S256": x5t }), "DPoP", true, Some(ours), false),
        (json!({ "jkt": world.key.thumbprint() }), "DPoP", true, None, true),
    ] {
        let token = world.idp.token("alice").claim("cnf", cnf.clone()).sign();
        // known and not
        for _ in 0..2 {
            let proof = proof.then(|| world.proof(&token));
            let mut request = request(scheme, &token, &proof.iter().map(|proof| &**proof).collect::<Vec<_>>());
            if let Some(certificate) = certificate {
                request.extensions_mut().insert(certificate);
            }
            let response = send(&app, request).await;
            assert_eq!(response.status() == 200, good, "{cnf} {scheme} {:?}", kind(&response));
        }
    }
    let plain = send(&app, request("Bearer", &world.idp.token("alice").sign(), &[])).await;
    assert_eq!(kind(&plain), Some(ErrorKind::NotSenderConstrained));
}

/// A certificate in a header from elsewhere is forged, or its proxy is not listed: nobody is let in
/// with it, with whatever token, and be they let in without any.
#[tokio::test]
async fn a_header_with_a_certificate_is_refused_from_just_anybody_by_every_layer() {
    use axum::extract::ConnectInfo;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use std::net::SocketAddr;
    use tower_bearer::mtls::{CertificateHeader, ClientCertificate, ClientCertificates, TrustedPeers};

    const HEADER: &str = "x-own-certificate";
    const PROXY: &str = "10.0.0.1";
    let world = World::new();
    let header = CertificateHeader::byte_sequence(http::HeaderName::from_static(HEADER));
    let certificates = ClientCertificates::from_header(header, TrustedPeers::addresses([PROXY]).unwrap());
    let server = world.builder(Issuer::accept_mtls).client_certificates(certificates).build().unwrap();
    let x5t = URL_SAFE_NO_PAD.encode(ClientCertificate::new(&[0x30, 3, 2, 1, 1]).thumbprint());
    let bound = world.idp.token("alice").claim("cnf", json!({ "x5t#S256": x5t })).sign();
    let (plain, expired) = (world.idp.token("alice").sign(), world.idp.token("alice").expired().sign());
    let ask = async |app: &Router, token: Option<&str>, peer: Option<&str>, value: Option<&str>| {
        let mut request = Request::get("/me").body(Body::empty()).unwrap();
        if let Some(token) = token {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        if let Some(peer) = peer {
            request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 4711)));
        }
        if let Some(value) = value {
            request.headers_mut().insert(HEADER, value.parse().unwrap());
        }
        let response = send(app, request).await;
        (response.status().as_u16(), kind(&response), body(response).await)
    };
    let layer = || BearerAuthLayer::new(server.clone());
    let public = layer().public_path(http::Method::GET, "/me").unwrap();
    let good = Some(":MAMCAQE=:");
    for (number, layer) in [layer(), layer().optional(), layer().lenient(), public].into_iter().enumerate() {
        let app = app(layer);
        let tokens = [Some(&*bound), Some(&*plain), Some(&*expired), Some("garbage"), None];
        for token in tokens {
            for (peer, value) in [
                (Some("10.0.0.2"), good),
                (Some("10.0.0.2"), Some("")),
                (Some("10.0.0.2"), Some("garbage")),
                (None, good),
                (Some(PROXY), Some("garbage")),
            ] {
                let (status, kind, _) = ask(&app, token, peer, value).await;
                let expected = (400, Some(ErrorKind::MalformedRequest));
                assert_eq!((status, kind), expected, "{number} {token:?} {peer:?} {value:?}");
            }
        }
        let name = if number == 3 { "anonymous" } else { "alice" };
        for (token, value) in [(&bound, good), (&plain, good), (&plain, None)] {
            assert_eq!(ask(&app, Some(token), Some(PROXY), value).await, (200, None, name.to_owned()), "{number}");
        }
        let without = ask(&app, None, Some("10.0.0.2"), None).await.0;
        assert_eq!(without, if number == 0 { 401 } else { 200 }, "{number}");
        let another = ask(&app, Some(&bound), Some(PROXY), Some(":MAMCAQI=:")).await.1;
        assert_eq!(another, (number != 3).then_some(ErrorKind::SenderConstrained), "{number}");
    }
    // where there is no layer
    let forged = Request::builder().header(HEADER, ":MAMCAQE=:").header("authorization", format!("Bearer {plain}"));
    for forged in [forged.body(()).unwrap(), Request::builder().header(HEADER, "").body(()).unwrap()] {
        let error = server.authenticate_request(&forged).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MalformedRequest);
    }
    // nothing inside prints it
    let hidden = Router::new()
        .route("/me", route(async |request: Request<Body>| request.headers()[HEADER].is_sensitive().to_string()))
        .layer(layer());
    assert_eq!(ask(&hidden, Some(&bound), Some(PROXY), good).await, (200, None, "true".to_owned()));
}

#[tokio::test]
async fn an_explanation_says_that_the_sender_is_still_to_prove_it() {
    let world = World::new();
    let server = world.server(Issuer::accept_dpop, Dpop::new());
    let explained = server.explain(&world.bound()).await;
    let last = explained.steps.last().unwrap();
    assert_eq!((explained.accepted, last.name), (false, "sender"));
    assert!(explained.to_string().contains("key and signature  passed"), "{explained}");
}

#[tokio::test]
async fn only_what_is_configured_says_where_the_service_is() {
    let world = World::new();
    let token = world.bound();
    let ask = async |layer: BearerAuthLayer, htu: &str, headers: &[(&'static str, &'static str)]| {
        let proof = world.key.proof("GET", htu).token(&token).sign();
        let mut request = with_proof(&token, &proof);
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_static(value));
        }
        send(&app(layer), request).await.status().as_u16()
    };
    let at = |origin: PublicOrigin| {
        BearerAuthLayer::new(world.builder(Issuer::accept_dpop).public_origin(origin).build().unwrap())
    };
    let forged: &[(&str, &str)] = &[
        ("host", "evil.test"),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "host=evil.test;proto=https"),
    ];
    assert_eq!(ask(at(ORIGIN.into()), "https://api.test/me", forged).await, 200);
    assert_eq!(ask(at(ORIGIN.into()), "https://evil.test/me", forged).await, 401);
    assert_eq!(ask(at(ORIGIN.into()), "https://API.test:443/me?x=1#y", &[]).await, 200);
    let prefix = || at("https://gateway.test/shop".into());
    assert_eq!(ask(prefix(), "https://gateway.test/shop/me", &[]).await, 200);
    assert_eq!(ask(prefix(), "https://gateway.test/me", &[]).await, 401);
    let own = at(ORIGIN.into()).public_origin("https://other.test").unwrap();
    assert_eq!(ask(own.clone(), "https://other.test/me", &[]).await, 200);
    assert_eq!(ask(own, "https://api.test/me", &[]).await, 401);
    assert!(at(ORIGIN.into()).public_origin("other.test").is_err());
    let local = || at(PublicOrigin::loopback());
    assert_eq!(ask(local(), "http://localhost:3000/me", &[("host", "localhost:3000")]).await, 200);
    assert_eq!(ask(local(), "http://127.0.0.1:3000/me", &[("host", "localhost:3000")]).await, 401);
    assert_eq!(ask(local(), "https://evil.test/me", &[("host", "evil.test")]).await, 401);
    assert_eq!(ask(local(), "http://localhost/me", &[("x-forwarded-host", "localhost")]).await, 401);
}

#[test]
fn what_is_missing_is_said_when_the_server_is_built() {
    let world = World::new();
    let problems = |builder: ResourceServerBuilder| {
        let error = builder.build().unwrap_err();
        error.problems().iter().map(|problem| problem.path().to_owned()).collect::<Vec<_>>()
    };
    let accept = || world.builder(Issuer::accept_dpop);
    assert_eq!(problems(accept()), ["public_origin"]);
    let text = accept().build().unwrap_err().to_string();
    assert!(text.contains("PublicOrigin::loopback()"), "{text}");
    assert_eq!(problems(world.builder(Issuer::require_sender_constraint)), ["public_origin"]);
    assert_eq!(problems(accept().public_origin("api.test")), ["public_origin"]);
    let with = |dpop: Dpop| problems(accept().public_origin(ORIGIN).dpop(dpop));
    use tower_bearer::keys::Algorithm;
    assert_eq!(with(Dpop::new().algorithms([])), ["dpop.algorithms"]);
    assert_eq!(with(Dpop::new().algorithms([Algorithm::Hs256])), ["dpop.algorithms"]);
    assert_eq!(with(Dpop::new().max_age(Duration::ZERO)), ["dpop.max_age"]);
    assert_eq!(with(Dpop::new().max_age(Duration::from_secs(301))), ["dpop.max_age"]);
    assert_eq!(with(Dpop::new().leeway(Duration::from_secs(301))), ["dpop.leeway"]);
    assert_eq!(with(Dpop::new().nonces(Nonces::shared("short"))), ["dpop.nonces.shared"]);
    assert_eq!(with(Dpop::new().nonces(Nonces::local().life(Duration::ZERO))), ["dpop.nonces.life"]);
    let good = Dpop::new().algorithms([Algorithm::Es256]).replay_store(InMemoryReplayStore::with_room(10));
    assert!(accept().public_origin(ORIGIN).dpop(good).build().is_ok());
}

#[tokio::test]
async fn a_token_in_another_place_is_a_bearer_token() {
    use tower_bearer::credential::TokenSource;

    let world = World::new();
    let server = world.server(Issuer::accept_dpop, Dpop::new());
    let sources = [TokenSource::authorization(), TokenSource::header("x-token".parse().unwrap())];
    let app = app(BearerAuthLayer::new(server).token_sources(sources).unwrap());
    let token = world.bound();
    let elsewhere = |value: String| Request::get("/me").header("x-token", value).header("dpop", world.proof(&token));
    let response = send(&app, elsewhere(token.clone()).body(Body::empty()).unwrap()).await;
    assert_eq!(kind(&response), Some(ErrorKind::SenderConstrained));
    let response = send(&app, with_proof(&token, &world.proof(&token))).await;
    assert_eq!(response.status(), 200);
    let two = elsewhere(token.clone()).header("authorization", format!("DPoP {token}")).body(Body::empty()).unwrap();
    assert_eq!(kind(&send(&app, two).await), Some(ErrorKind::MalformedRequest));
}

#[tokio::test]
async fn a_proof_is_hidden_from_what_prints_headers() {
    let world = World::new();
    let server = world.server(Issuer::accept_dpop, Dpop::new());
    let hidden = Router::new()
        .route("/me", route(async |request: Request<Body>| request.headers()["dpop"].is_sensitive().to_string()));
    let token = world.bound();
    for layer in [BearerAuthLayer::new(server.clone()), BearerAuthLayer::new(server).optional()] {
        let response = send(&hidden.clone().layer(layer), with_proof(&token, &world.proof(&token))).await;
        assert_eq!(body(response).await, "true");
    }
}

#[tokio::test]
async fn grpc_proves_it_by_post_and_the_full_path_and_hears_of_nonces_in_the_metadata() {
    let world = World::new();
    let server = world.server(Issuer::accept_dpop, Dpop::new().nonces(Nonces::local()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let serving = Server::builder().layer(BearerAuthLayer::new(server)).add_service(OrdersServer::new(Shop));
    tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
    let mut client = OrdersClient::connect(address).await.unwrap();
    let token = world.bound();
    let mut place = async |scheme: &str, proof: String| {
        let mut request = tonic::Request::new(PlaceRequest { item: "lamp".into() });
        request.metadata_mut().insert("authorization", format!("{scheme} {token}").parse().unwrap());
        request.metadata_mut().insert("dpop", proof.parse().unwrap());
        client.place(request).await
    };
    let proof = |method: &str, path: &str| world.key.proof(method, format!("{ORIGIN}{path}")).token(&token);
    let status = place("DPoP", proof("POST", "/shop.Orders/Place").sign()).await.unwrap_err();
    let headers = status.metadata().clone().into_headers();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unauthenticated, "the DPoP proof must contain the nonce of this service")
    );
    assert_eq!(challenges(&headers), [told("DPoP", "use_dpop_nonce", ErrorKind::NonceRequired), bare("Bearer")]);
    let nonce = headers["dpop-nonce"].to_str().unwrap().to_owned();
    assert_eq!(
        place("DPoP", proof("POST", "/shop.Orders/Place").nonce(&nonce).sign()).await.unwrap().into_inner().buyer,
        "alice"
    );
    for (scheme, wrong) in [
        ("DPoP", proof("GET", "/shop.Orders/Place")),
        ("DPoP", proof("POST", "/shop.Orders/Watch")),
        ("DPoP", proof("POST", "/Place")),
    ] {
        let status = place(scheme, wrong.nonce(&nonce).sign()).await.unwrap_err();
        let headers = status.metadata().clone().into_headers();
        assert_eq!(status.code(), Code::Unauthenticated);
        assert_eq!(challenges(&headers), [told("DPoP", "invalid_dpop_proof", ErrorKind::InvalidProof), bare("Bearer")]);
    }
    let status = place("Bearer", proof("POST", "/shop.Orders/Place").nonce(&nonce).sign()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, &*ErrorKind::SenderConstrained.to_string()));
    world.clock.advance(Duration::from_secs(151));
    let response = place("DPoP", proof("POST", "/shop.Orders/Place").nonce(&nonce).sign()).await.unwrap();
    assert!(response.metadata().contains_key("dpop-nonce"));
}
