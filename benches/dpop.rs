//! What a proof of possession costs (RFC 9449), beside its raw signature: `cargo bench -p benches --bench dpop`.
//!
//! The token is known, as it is for all but a client's first request. All cases take turns, so that whatever else the machine does falls on each
//! alike. *Bare* is the same service without a layer, *raw* one verification of the proof's signature by the same library with its key prepared. The
//! store of proofs says yes to all, since a case sends the same proof over and over; *remembered* is what the real one costs, by proofs that differ.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a bench may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a bench may panic")]

mod harness;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::time::Duration;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use axum::body::Body;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response};
use tower::{Layer, Service, service_fn};
use tower_bearer::dpop::{Dpop, FirstUse, InMemoryReplayStore, ProofUse, ReplayStore};
use tower_bearer::keys::{Algorithm, StaticKeys};
use tower_bearer::testing::{Idp, ProofKey};
use tower_bearer::{BearerAuthLayer, Issuer, ResourceServer};

use harness::{Case, keycloak, measure, range};

const ADDRESS: &str = "https://api.test/";
const ALGORITHMS: [Algorithm; 3] = [Algorithm::Es256, Algorithm::Ed25519, Algorithm::Rs256];

/// What a request with a proof may cost, in raw signatures, and in allocations; and a refusal before the signature, in nanoseconds.
const MOST_SIGNATURES: f64 = 1.15;
/// Six, and the two by which any accepted token gets into a request's extensions.
const MOST_ALLOCATIONS: u64 = 8;
const DEAREST_REFUSAL: f64 = 5_000.0;

struct Yes;

impl ReplayStore for Yes {
    fn first_use(&self, _: &ProofUse) -> FirstUse {
        FirstUse::Yes
    }
}

fn inner(_: Request<Body>) -> Ready<Result<Response<Body>, Infallible>> {
    ready(Ok(Response::new(Body::empty())))
}

fn server(idp: &Idp) -> ResourceServer {
    let keys = StaticKeys::jwks(&idp.jwks().to_string()).unwrap();
    // a bench may take longer than a proof is good
    let dpop = Dpop::new().algorithms(ALGORITHMS).max_age(Duration::from_secs(300)).replay_store(Yes);
    let server = ResourceServer::new("https://api.test").trust((Issuer::new(idp.issuer()).require_dpop(), keys));
    server.dpop(dpop).public_origin("https://api.test").build().unwrap()
}

fn calling<S>(mut service: S, token: &str, proof: &str, status: u16) -> impl FnMut() + use<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let token = HeaderValue::try_from(format!("DPoP {token}")).unwrap();
    let proof = HeaderValue::try_from(proof).unwrap();
    move || {
        let mut request = Request::new(Body::empty());
        request.headers_mut().insert("authorization", token.clone());
        request.headers_mut().insert("dpop", proof.clone());
        let response = service.call(request).now_or_never().expect("nothing to wait for").unwrap();
        assert_eq!(response.status(), status);
        black_box(response);
    }
}

/// One verification of the proof's signature.
fn raw(key: &ProofKey, algorithm: Algorithm, proof: &str) -> impl FnMut() + use<> {
    let member = |name: &str| BASE64URL.decode(key.jwk()[name].as_str().unwrap()).unwrap();
    let public = if algorithm == Algorithm::Es256 {
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, [&[4][..], &member("x"), &member("y")].concat())
    } else if algorithm == Algorithm::Rs256 {
        RsaPublicKeyComponents { n: member("n"), e: member("e") }.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
    } else {
        ParsedPublicKey::new(&ED25519, member("x"))
    }
    .unwrap();
    let (message, signature) = proof.rsplit_once('.').unwrap();
    let (message, signature) = (message.to_owned(), BASE64URL.decode(signature).unwrap());
    move || public.verify_sig(message.as_bytes(), black_box(&signature)).unwrap()
}

fn proofs() -> Vec<Case> {
    let idp = Idp::new("https://id.test/realms/shop");
    let layer = BearerAuthLayer::new(server(&idp));
    let mut cases = Vec::new();
    for algorithm in ALGORITHMS {
        let (name, key) = (algorithm.name(), ProofKey::with_algorithm(algorithm));
        let token = keycloak(&idp, Algorithm::Es256).bound_to(&key).sign();
        let proof = key.proof("GET", ADDRESS).token(&token).sign();
        cases.push(Case::new(format!("{name} bare"), calling(service_fn(inner), &token, &proof, 200)));
        cases.push(Case::new(format!("{name} raw"), raw(&key, algorithm, &proof)));
        let guarded = layer.layer(service_fn(inner));
        cases.push(Case::new(format!("{name} proven"), calling(guarded, &token, &proof, 200)));
    }
    cases
}

fn refusals() -> Vec<Case> {
    let (idp, key) = (Idp::new("https://id.test/realms/shop"), ProofKey::new());
    let layer = BearerAuthLayer::new(server(&idp));
    let token = keycloak(&idp, Algorithm::Es256).bound_to(&key).sign();
    let begin = || key.proof("GET", ADDRESS).token(&token);
    let table = [
        ("garbage", "garbage.garbage.garbage".to_owned()),
        ("two proofs", format!("{0}, {0}", begin().sign())),
        ("8 KB", begin().claim("else", "l".repeat(5_500)).claim("htm", "PUT").sign()),
        ("another type", begin().header("typ", "JWT").sign()),
        ("another key", ProofKey::new().proof("GET", ADDRESS).token(&token).sign()),
        ("another method", begin().claim("htm", "PUT").sign()),
        ("another address", begin().claim("htu", "https://api.test/other").sign()),
        ("another token", begin().token("another").sign()),
        ("too old", begin().made_before(Duration::from_secs(3600)).sign()),
    ];
    let service = || layer.layer(service_fn(inner));
    table.into_iter().map(|(name, proof)| Case::new(name, calling(service(), &token, &proof, 401))).collect()
}

/// The store alone, each proof another.
fn remembered() -> Case {
    let store = InMemoryReplayStore::new();
    let (now, mut number) = (std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000), 0_u64);
    Case::new("remembered", move || {
        number += 1;
        let mut jti = [0; 32];
        jti[..8].copy_from_slice(&number.to_le_bytes());
        let later = now + Duration::from_millis(number);
        black_box(store.first_use(&ProofUse::new([7; 32], jti, later, later + Duration::from_secs(1))));
    })
}

fn main() {
    let (mut cases, mut others) = (proofs(), refusals());
    others.push(remembered());
    measure(cases.iter_mut().chain(&mut others));
    let mut kept = true;
    let mut print = |name: &str, figures: String, good: bool| {
        kept &= good;
        println!("{name:<16} {figures}{}", if good { "" } else { ": TOO DEAR" });
    };
    let times = |case: &Case| {
        let (least, most) = range(&case.times);
        format!("{:>9.0} ns ({least:.0} to {most:.0}), {} allocations", case.median(), case.allocations)
    };
    for cases in cases.chunks(3) {
        let [bare, raw, proven] = cases else { continue };
        let signatures = (proven.median() - bare.median()) / raw.median();
        let allocations = proven.allocations - bare.allocations;
        print(&bare.name, times(bare), true);
        print(&raw.name, times(raw), true);
        print(&proven.name, times(proven), true);
        let figures = format!("{signatures:>9.3} raw signatures above bare, {allocations} allocations");
        print("", figures, signatures <= MOST_SIGNATURES && allocations <= MOST_ALLOCATIONS);
    }
    for case in &others {
        print(&case.name, times(case), case.median() <= DEAREST_REFUSAL);
    }
    println!("{}", if kept { "within the budget" } else { "NOT within the budget" });
}
