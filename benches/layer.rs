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

mod harness;

use std::sync::Arc;

use axum::body::Body;
use axum::routing::get;
use axum::{Extension, Router};
use serde_json::json;
use tokio::time::Instant;
use tower_bearer::testing::Idp;
use tower_bearer::{Algorithm, BearerAuthLayer, Issuer, ResourceServer, ResourceServerBuilder, StaticKeys};

use harness::{Case, keycloak, measure, range, raw};

const ALGORITHMS: [Algorithm; 5] =
    [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::Es384, Algorithm::Ed25519];

/// The guarded service: one route that answers at once.
fn inner() -> Router {
    Router::new().route("/", get(async || "ok"))
}

fn guarded(server: ResourceServer) -> Router {
    inner().layer(BearerAuthLayer::new(server))
}

fn calling(service: Router, token: Option<&str>) -> impl FnMut() + use<> {
    harness::calling::<_, Body>(service, token)
}

fn token(idp: &Idp, algorithm: Algorithm) -> String {
    keycloak(idp, algorithm).sign()
}

fn trusting(idp: &Idp) -> ResourceServerBuilder {
    let keys = StaticKeys::jwks(&idp.jwks().to_string()).unwrap();
    ResourceServer::new("https://api.test").trust((Issuer::new(idp.issuer()), keys))
}

fn cold(idp: &Idp) -> ResourceServer {
    trusting(idp).token_cache(0).build().unwrap()
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
        let (min, max) = range(&case.times);
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
