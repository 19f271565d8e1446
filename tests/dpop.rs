//! Requests with DPoP proofs (RFC 9449), right and wrong, through the whole layer: the status, and all challenges.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

use std::convert::Infallible;
use std::time::Duration;

use http::{HeaderMap, Method, Request, Response};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_bearer::dpop::Dpop;
use tower_bearer::keys::Algorithm;
use tower_bearer::testing::{Idp, ProofBuilder, ProofKey};
use tower_bearer::{BearerAuthLayer, ErrorKind, Issuer, ResourceServer};

type Body = axum::body::Body;

const ADDRESS: &str = "https://api.test/orders";
const ALGS: &str = "ES256 ES384 EdDSA Ed25519 PS256 RS256";

struct World {
    idp: Idp,
    key: ProofKey,
    token: String,
    layer: BearerAuthLayer,
}

impl World {
    fn new() -> Self {
        let (idp, key) = (Idp::new("https://id.test/"), ProofKey::new());
        let issuer = Issuer::new(idp.issuer()).accept_dpop();
        let server = ResourceServer::new("https://api.test").trust((issuer, idp.clone()));
        let server = server.dpop(Dpop::new()).public_origin("https://api.test").build().unwrap();
        Self { token: idp.token("alice").bound_to(&key).sign(), idp, key, layer: BearerAuthLayer::new(server) }
    }

    fn proof(&self) -> ProofBuilder {
        self.key.proof("GET", ADDRESS).token(&self.token)
    }

    async fn call(&self, request: Request<Body>) -> (u16, Vec<String>) {
        let inner = service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::default())));
        let response = self.layer.layer(inner).oneshot(request).await.unwrap();
        (response.status().as_u16(), texts(response.headers(), "www-authenticate"))
    }

    /// Calls with the token, under the scheme `DPoP`, and these proofs.
    async fn prove(&self, proofs: &[String]) -> (u16, Vec<String>) {
        self.call(request(&format!("DPoP {}", self.token), proofs)).await
    }
}

fn texts(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

fn request(authorization: &str, proofs: &[String]) -> Request<Body> {
    let mut request = Request::get("/orders?page=2").header("authorization", authorization);
    for proof in proofs {
        request = request.header("dpop", proof);
    }
    request.body(Body::default()).unwrap()
}

/// What a caller is told under the scheme that it has used, and that the other is spoken, too.
fn told(scheme: &str, code: &str, kind: ErrorKind) -> Vec<String> {
    let error = format!("{scheme} realm=\"https://api.test\", error=\"{code}\", error_description=\"{kind}\"");
    match scheme {
        "DPoP" => vec![format!("{error}, algs=\"{ALGS}\""), "Bearer realm=\"https://api.test\"".to_owned()],
        _ => vec![error, format!("DPoP realm=\"https://api.test\", algs=\"{ALGS}\"")],
    }
}

fn invalid_proof() -> (u16, Vec<String>) {
    (401, told("DPoP", "invalid_dpop_proof", ErrorKind::InvalidProof))
}

fn invalid_token(scheme: &str, kind: ErrorKind) -> (u16, Vec<String>) {
    (401, told(scheme, "invalid_token", kind))
}

/// Changes of a good proof of which each makes it a wrong one; `dpop/proof` has many more, with their reasons.
fn wrong_proofs(world: &World) -> Vec<ProofBuilder> {
    let begin = || world.proof();
    let hour = Duration::from_secs(3600);
    let mut wrong = vec![
        begin().made_before(hour),
        begin().made_ahead(hour),
        begin().signed_by(&ProofKey::new()),
        begin().unsigned(),
        begin().secret(Algorithm::Hs256, b"secret"),
        begin().raw_header("{}"),
        begin().raw_header("[]"),
        begin().raw_claims("{}"),
        begin().raw_claims("[]"),
        begin().raw_claims("{\"jti\":1,\"jti\":2}"),
        begin().token("another"),
        begin().claim("ath", format!("{}=", begin().claims()["ath"].as_str().unwrap())),
        begin().claim("jti", ""),
        begin().claim("jti", "j".repeat(1025)),
        begin().claim("else", "l".repeat(8192)),
        begin().header("crit", json!(["exp"])),
        begin().header("b64", false),
        begin().header("else", "l".repeat(5000)),
    ];
    for name in ["typ", "alg", "jwk"] {
        wrong.push(begin().without_header(name));
        for value in [Value::Null, json!(7), json!(true), json!([]), json!({}), json!(""), json!("JWT")] {
            wrong.push(begin().header(name, value));
        }
    }
    for name in ["htm", "htu", "ath", "jti", "iat"] {
        wrong.push(begin().without(name));
        for value in [Value::Null, json!(true), json!([]), json!({})] {
            wrong.push(begin().claim(name, value));
        }
    }
    for htm in ["get", "POST", "GET ", ""] {
        wrong.push(begin().claim("htm", htm));
    }
    for htu in [
        "/orders",
        "http://api.test/orders",
        "https://api.test",
        "https://other.test/orders",
        "https://a@api.test/orders",
    ] {
        wrong.push(begin().claim("htu", htu));
    }
    for name in ["d", "k", "p", "q"] {
        let mut jwk = world.key.jwk().clone();
        jwk[name] = "AAAA".into();
        wrong.push(begin().header("jwk", jwk));
    }
    wrong
}

#[tokio::test]
async fn each_wrong_proof_is_told_to_be_one_and_a_good_one_is_let_in() {
    let world = World::new();
    assert_eq!(world.prove(&[world.proof().sign()]).await, (200, vec![]));
    let wrong = wrong_proofs(&world);
    assert!(wrong.len() > 70, "{}", wrong.len());
    for (index, proof) in wrong.iter().enumerate() {
        assert_eq!(world.prove(&[proof.sign()]).await, invalid_proof(), "{index}: {:?}", proof.claims());
    }
    let good = || world.proof().sign();
    let headers = [
        vec![],
        vec![good(), good()],
        vec![format!("{},{}", good(), good())],
        vec![format!("{}, {}", good(), good())],
        vec![String::new()],
        vec![String::new(), good()],
        vec!["garbage".to_owned()],
        vec!["a.b.c".to_owned()],
        vec![format!("{}.", good())],
        vec![format!("DPoP {}", good())],
        vec![format!("\"{}\"", good())],
        vec![world.token.clone()],
    ];
    for proofs in headers {
        assert_eq!(world.prove(&proofs).await, invalid_proof(), "{proofs:?}");
    }
    // none of that has used up what is good
    assert_eq!(world.prove(&[good()]).await, (200, vec![]));
}

#[tokio::test]
async fn a_token_is_good_only_as_it_is_bound() {
    use ErrorKind as K;

    let world = World::new();
    let begin = || world.idp.token("alice");
    let (unbound, other) = (begin().sign(), ProofKey::new());
    let proof_of = |key: &ProofKey, token: &str| vec![key.proof("GET", ADDRESS).token(token).sign()];
    let bound = |cnf: Value| begin().claim("cnf", cnf).sign();
    let table = [
        ("unbound, as bearer", "Bearer", unbound.clone(), false, (200, vec![])),
        ("unbound, as bearer with a proof", "Bearer", unbound.clone(), true, (200, vec![])),
        ("unbound, with a proof", "DPoP", unbound.clone(), true, invalid_token("DPoP", K::NotSenderConstrained)),
        ("unbound, without", "DPoP", unbound, false, invalid_token("DPoP", K::NotSenderConstrained)),
        ("bound, as bearer", "Bearer", world.token.clone(), false, invalid_token("Bearer", K::SenderConstrained)),
        (
            "bound, as bearer with a proof",
            "Bearer",
            world.token.clone(),
            true,
            invalid_token("Bearer", K::SenderConstrained),
        ),
        ("bound, in any case", "dPoP", world.token.clone(), true, (200, vec![])),
        ("bound, without", "DPoP", world.token.clone(), false, invalid_proof()),
        (
            "bound to another key",
            "DPoP",
            begin().bound_to(&other).sign(),
            true,
            invalid_token("DPoP", K::SenderConstrained),
        ),
        ("bound to nothing", "DPoP", bound(json!({})), true, invalid_token("DPoP", K::SenderConstrained)),
        (
            "bound to something else",
            "DPoP",
            bound(json!({ "jku": "a" })),
            true,
            invalid_token("DPoP", K::SenderConstrained),
        ),
        ("expired", "DPoP", begin().bound_to(&world.key).expired().sign(), true, invalid_token("DPoP", K::Expired)),
        (
            "forged",
            "DPoP",
            begin().bound_to(&world.key).wrong_key().sign(),
            true,
            invalid_token("DPoP", K::BadSignature),
        ),
        ("garbage", "DPoP", "a.b.c".to_owned(), true, invalid_token("DPoP", K::MalformedToken)),
    ];
    // twice, since the second time, good tokens are known
    for round in 0..2 {
        for (name, scheme, token, with_proof, expected) in &table {
            let proofs = if *with_proof { proof_of(&world.key, token) } else { vec![] };
            let told = world.call(request(&format!("{scheme} {token}"), &proofs)).await;
            assert_eq!(&told, expected, "{name}, {round}");
        }
    }
    for cnf in [json!("a"), json!([]), json!(7), json!({ "jkt": 7 }), json!({ "jkt": "" }), json!({ "jkt": "AAAA" })] {
        let token = bound(cnf.clone());
        for scheme in ["DPoP", "Bearer"] {
            let (status, _) = world.call(request(&format!("{scheme} {token}"), &proof_of(&world.key, &token))).await;
            assert_eq!(status, 401, "{cnf} {scheme}");
        }
    }
}

#[tokio::test]
async fn a_proof_is_for_one_request() {
    let world = World::new();
    let proof = world.proof().sign();
    let with = |method: Method, path: &str| {
        let request = Request::builder().method(method).uri(path).header("dpop", &proof);
        request.header("authorization", format!("DPoP {}", world.token)).body(Body::default()).unwrap()
    };
    assert_eq!(world.call(with(Method::POST, "/orders")).await, invalid_proof());
    assert_eq!(world.call(with(Method::GET, "/orders/1")).await, invalid_proof());
    assert_eq!(world.call(with(Method::GET, "/Orders")).await, invalid_proof());
    assert_eq!(world.call(with(Method::GET, "/orders%2F")).await, invalid_proof());
    // the query is no part of it; and it is good once
    assert_eq!(world.call(with(Method::GET, "/orders?a=b")).await, (200, vec![]));
    for _ in 0..2 {
        assert_eq!(world.call(with(Method::GET, "/orders?a=b")).await, invalid_proof());
    }
    // another key may choose the same jti
    let (other, jti) = (ProofKey::new(), world.proof().claims()["jti"].clone());
    let token = world.idp.token("bob").bound_to(&other).sign();
    assert_eq!(world.prove(&[world.proof().claim("jti", jti.clone()).sign()]).await, (200, vec![]));
    let proof = other.proof("GET", ADDRESS).token(&token).claim("jti", jti).sign();
    assert_eq!(world.call(request(&format!("DPoP {token}"), &[proof])).await, (200, vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_uses_of_a_proof_at_once_one_is_the_first() {
    let world = std::sync::Arc::new(World::new());
    for _ in 0..20 {
        let proof = world.proof().sign();
        let calls = (0..100).map(|_| {
            let (world, proof) = (std::sync::Arc::clone(&world), proof.clone());
            tokio::spawn(async move { world.prove(&[proof]).await })
        });
        let mut good = 0;
        for call in calls.collect::<Vec<_>>() {
            match call.await.unwrap() {
                (200, _) => good += 1,
                refused => assert_eq!(refused, invalid_proof()),
            }
        }
        assert_eq!(good, 1);
    }
}
