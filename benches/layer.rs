//! What the layer costs, beside what nobody can avoid: `cargo bench --bench layer`.
//!
//! All cases take turns in one run, so that whatever else the machine does falls on each alike, and the table shows medians
//! (with minimum and maximum), ratios, and the allocations of one call. *Bare* is the same axum router without a layer, *insert* the router with axum's
//! `Extension` of an `Arc`, *raw* one verification of the same signature by the same library with its key prepared.
//!
//! `cargo bench --bench layer -- count CASE N` runs one case N times and prints nothing, for `benches/instructions.sh`.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a bench may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a bench may panic")]
#![allow(clippy::wildcard_enum_match_arm, reason = "the list of algorithms is above")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
};
use axum::body::Body;
use axum::routing::get;
use axum::{Extension, Router};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use futures_util::FutureExt;
use http::Request;
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::Service;
use tower_bearer::testing::Idp;
use tower_bearer::{Algorithm, BearerAuthLayer, Issuer, ResourceServer, ResourceServerBuilder, StaticKeys};

const ALGORITHMS: [Algorithm; 5] =
    [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::Es384, Algorithm::Ed25519];
const ROUNDS: usize = 41;
/// A case runs for about this long in each round.
const ROUND: Duration = Duration::from_millis(2);

/// Something that is measured.
struct Case {
    name: String,
    run: Box<dyn FnMut()>,
    /// Nanoseconds per call, by round.
    times: Vec<f64>,
    allocations: u64,
}

impl Case {
    fn new(name: impl Into<String>, run: impl FnMut() + 'static) -> Self {
        Self { name: name.into(), run: Box::new(run), times: Vec::new(), allocations: 0 }
    }

    fn time(&mut self, calls: u32) -> f64 {
        let begin = Instant::now();
        for _ in 0..calls {
            (self.run)();
        }
        begin.elapsed().as_nanos() as f64 / f64::from(calls)
    }

    fn median(&self) -> f64 {
        let mut times = self.times.clone();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }

    fn range(&self) -> (f64, f64) {
        (self.times.iter().copied().fold(f64::MAX, f64::min), self.times.iter().copied().fold(0.0, f64::max))
    }
}

fn measure(cases: &mut [Case]) {
    let calls: Vec<u32> = cases
        .iter_mut()
        .map(|case| {
            case.time(20);
            let once = case.time(20);
            ((ROUND.as_nanos() as f64 / once) as u32).clamp(5, 100_000)
        })
        .collect();
    for case in &mut *cases {
        case.allocations = allocation_counter::measure(|| (case.run)()).count_total;
    }
    for _ in 0..ROUNDS {
        for (case, calls) in cases.iter_mut().zip(&calls) {
            let time = case.time(*calls);
            case.times.push(time);
        }
    }
}

/// The guarded service: one route that answers at once.
fn inner() -> Router {
    Router::new().route("/", get(async || "ok"))
}

fn guarded(server: ResourceServer) -> Router {
    inner().layer(BearerAuthLayer::new(server))
}

/// Calls a service with one request, over and over, to the end of the response; making the request is part of each case, and so of *bare*.
fn calling(mut service: Router, token: Option<&str>) -> impl FnMut() + use<> {
    let header = token.map(|token| http::HeaderValue::try_from(format!("Bearer {token}")).unwrap());
    move || {
        let mut request = Request::new(Body::empty());
        if let Some(header) = &header {
            request.headers_mut().insert("authorization", header.clone());
        }
        let response = Service::call(&mut service, request).now_or_never().expect("nothing to wait for");
        black_box(response.unwrap());
    }
}

/// Claims as Keycloak makes them.
fn token(idp: &Idp, algorithm: Algorithm) -> String {
    let token = idp
        .token_signed_with(algorithm, "f:9d6c1b1e-6c1b-4b1e-8c1b-0123456789ab:alice")
        .scope("openid profile email orders:read orders:write");
    let texts = [
        ("azp", "shop-web"),
        ("acr", "1"),
        ("sid", "3d2a7d86-5b1e-4e8b-a2b1-7f1f4c9a0f3e"),
        ("preferred_username", "alice"),
        ("email", "alice@example.com"),
        ("name", "Alice Example"),
        ("given_name", "Alice"),
        ("family_name", "Example"),
    ];
    let token = texts.into_iter().fold(token, |token, (name, text)| token.claim(name, text));
    token
        .claim("email_verified", true)
        .claim("allowed-origins", json!(["https://shop.example.com"]))
        .claim("realm_access", json!({ "roles": ["offline_access", "uma_authorization", "user"] }))
        .claim(
            "resource_access",
            json!({ "orders": { "roles": ["clerk", "viewer"] }, "account": { "roles": ["view-profile"] } }),
        )
        .sign()
}

fn trusting(idp: &Idp) -> ResourceServerBuilder {
    let keys = StaticKeys::jwks(&idp.jwks().to_string()).unwrap();
    ResourceServer::new("https://api.test").trust((Issuer::new(idp.issuer()), keys))
}

fn cold(idp: &Idp) -> ResourceServer {
    trusting(idp).token_cache(0).build().unwrap()
}

/// The verification that nobody can avoid.
fn raw(idp: &Idp, algorithm: Algorithm, token: &str) -> impl FnMut() + use<> {
    let jwks = idp.jwks();
    let is_it = |jwk: &&Value| jwk["alg"] == algorithm.name();
    let jwk = jwks["keys"].as_array().unwrap().iter().find(is_it).unwrap().clone();
    let member = |name: &str| BASE64URL.decode(jwk[name].as_str().unwrap()).unwrap();
    let point = || [&[4][..], &member("x"), &member("y")].concat();
    let rsa = |parameters| RsaPublicKeyComponents { n: member("n"), e: member("e") }.to_parsed_public_key(parameters);
    let key = match algorithm {
        Algorithm::Rs256 => rsa(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Ps256 => rsa(&RSA_PSS_2048_8192_SHA256),
        Algorithm::Es256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point()),
        Algorithm::Es384 => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point()),
        _ => ParsedPublicKey::new(&ED25519, member("x")),
    }
    .unwrap();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (message, signature) = (message.to_owned(), BASE64URL.decode(signature).unwrap());
    move || key.verify_sig(message.as_bytes(), black_box(&signature)).unwrap()
}

fn algorithms() -> Vec<Case> {
    let idp = Idp::with_algorithms("https://id.test/realms/shop", &ALGORITHMS);
    let mut cases = Vec::new();
    for algorithm in ALGORITHMS {
        let text = token(&idp, algorithm);
        let (name, token) = (algorithm.name(), Some(&*text));
        let insert = inner().layer(Extension(Arc::new(json!({ "sub": "alice" }))));
        cases.push(Case::new(format!("{name} bare"), calling(inner(), token)));
        cases.push(Case::new(format!("{name} raw"), raw(&idp, algorithm, &text)));
        cases.push(Case::new(format!("{name} cold"), calling(guarded(cold(&idp)), token)));
        cases.push(Case::new(format!("{name} insert"), calling(insert, token)));
        cases.push(Case::new(format!("{name} cached"), calling(guarded(trusting(&idp).build().unwrap()), token)));
    }
    cases
}

fn refusals() -> Vec<Case> {
    let idp = Idp::new("https://id.test/realms/shop");
    let good = token(&idp, Algorithm::Es256);
    let tokens = [
        ("garbage", "garbage.garbage.garbage".to_owned()),
        ("opaque", "0123456789abcdef0123456789abcdef".to_owned()),
        ("unknown issuer", idp.token("m").issuer("https://other.test/").sign()),
        ("expired", idp.token("m").expired().sign()),
        ("wrong audience", idp.token("m").audience("https://other.test").sign()),
        ("unknown kid", idp.token("m").unknown_kid().sign()),
    ];
    let server = trusting(&idp).build().unwrap();
    let mut cases = vec![
        Case::new("bare", calling(inner(), Some(&good))),
        Case::new("no token", calling(guarded(server.clone()), None)),
    ];
    for (name, token) in tokens {
        cases.push(Case::new(name, calling(guarded(server.clone()), Some(&token))));
    }
    cases
}

/// Look-ups among one and among many, and tokens of several sizes.
fn growth() -> Vec<Case> {
    let idp = Idp::new("https://id.test/realms/shop");
    let good = token(&idp, Algorithm::Es256);
    let mut cases = vec![Case::new("one key, one issuer", calling(guarded(cold(&idp)), Some(&good)))];
    let mut many = idp.jwks();
    let key = many["keys"][0].clone();
    for n in 0..255 {
        let mut other = key.clone();
        other["kid"] = format!("other-{n}").into();
        many["keys"].as_array_mut().unwrap().insert(0, other);
    }
    let keys = StaticKeys::jwks(&many.to_string()).unwrap();
    let server = ResourceServer::new("https://api.test").trust((Issuer::new(idp.issuer()), keys)).token_cache(0);
    cases.push(Case::new("256 keys", calling(guarded(server.build().unwrap()), Some(&good))));
    let others = (0..999).fold(trusting(&idp).token_cache(0), |server, n| {
        let keys = StaticKeys::jwks(&idp.jwks().to_string()).unwrap();
        server.trust((Issuer::new(format!("https://id.test/realms/other-{n}")), keys))
    });
    cases.push(Case::new("1000 issuers", calling(guarded(others.build().unwrap()), Some(&good))));
    for size in [4, 7, 15] {
        let large = idp.token("alice").claim("padding", "x".repeat(size * 768)).sign();
        let name = format!("token of {} B, ", large.len());
        cases.push(Case::new(format!("{name}cold"), calling(guarded(cold(&idp)), Some(&large))));
        cases.push(Case::new(format!("{name}cached"), calling(guarded(trusting(&idp).build().unwrap()), Some(&large))));
    }
    cases
}

fn print(title: &str, cases: &[Case]) {
    println!("\n{title}\n\n| case | median ns | min–max | allocations |\n|---|---|---|---|");
    for case in cases {
        let (min, max) = case.range();
        println!("| {} | {:.0} | {min:.0}–{max:.0} | {} |", case.name, case.median(), case.allocations);
    }
}

fn summary(cases: &[Case]) {
    println!(
        "\n| | raw signature | cold, above bare | ÷ raw | cached, above bare | insert, above bare | cached ÷ insert | allocations beyond insert: cold, cached |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for algorithm in cases.chunks(5) {
        let [bare, raw, cold, insert, cached] = algorithm else { unreachable!("five cases each") };
        let above = |case: &Case| case.median() - bare.median();
        let allocations = |case: &Case| case.allocations as i64 - insert.allocations as i64;
        println!(
            "| {} | {:.1} µs | {:.1} µs | **{:.3}** | {:.0} ns | {:.0} ns | **{:.2}** | {}, {} |",
            raw.name.trim_end_matches(" raw"),
            raw.median() / 1000.0,
            above(cold) / 1000.0,
            above(cold) / raw.median(),
            above(cached),
            above(insert),
            above(cached) / above(insert),
            allocations(cold),
            allocations(cached),
        );
    }
}

/// One token, verified from the cache by one thread and by two; and the same with a token for each.
fn scaling() {
    let idp = Idp::new("https://id.test/realms/shop");
    let server = trusting(&idp).build().unwrap();
    let tokens = [token(&idp, Algorithm::Es256), idp.token("bob").sign()];
    let calls = 200_000_u32;
    let run = |threads: usize, distinct: bool| {
        let begin = Instant::now();
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let token = &tokens[if distinct { thread } else { 0 }];
                let mut call = calling(guarded(server.clone()), Some(token));
                scope.spawn(move || (0..calls).for_each(|_| call()));
            }
        });
        f64::from(calls) * threads as f64 / begin.elapsed().as_secs_f64()
    };
    run(2, true);
    println!("\n| cached, calls per second | one thread | two threads | ratio |\n|---|---|---|---|");
    for (name, distinct) in [("one hot token", false), ("a token each", true)] {
        let mut ratios: Vec<(f64, f64)> = (0..9).map(|_| (run(1, distinct), run(2, distinct))).collect();
        ratios.sort_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)));
        let (one, two) = ratios[4];
        println!("| {name} | {:.2} M | {:.2} M | **{:.2}** |", one / 1e6, two / 1e6, two / one);
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [count, case, calls] = &*arguments {
        assert_eq!(count, "count");
        let all = algorithms().into_iter().chain(refusals());
        let mut case = all.into_iter().find(|known| known.name == *case).expect("the name of a case");
        (0..calls.parse::<u32>().unwrap()).for_each(|_| (case.run)());
        return;
    }
    let mut cases = algorithms();
    println!("token: {} B (ES256)", token(&Idp::new("https://id.test/realms/shop"), Algorithm::Es256).len());
    measure(&mut cases);
    summary(&cases);
    print("In full", &cases);
    for (title, mut cases) in [("Refusals", refusals()), ("Growth", growth())] {
        measure(&mut cases);
        print(title, &cases);
    }
    scaling();
}
