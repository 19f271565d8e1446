//! What the layer costs, beside what nobody can avoid: `cargo bench -p benches --bench layer`.
//!
//! All cases take turns in one run, so that whatever else the machine does falls on each alike. The tables show medians of the rounds (with
//! minimum and maximum), ratios within a round, and the allocations of one call. *Bare* is the same axum router without a layer, *insert* the
//! router with axum's `Extension` of an `Arc`, *raw* one verification of the same signature by the same library with its key prepared. The first table
//! is that of the README, the last holds all against what the design aims at.
//!
//! `cargo bench -p benches --bench layer -- count CASE N` runs one case N times and prints nothing, for `benches/instructions.sh`.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a bench may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a bench may panic")]

mod harness;

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::get;
use axum::{Extension, Router};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD as BASE64, BASE64_URL_SAFE_NO_PAD as BASE64URL};
use http::{HeaderName, Request, Response};
use serde_json::json;
use tokio::time::Instant;
use tower::{Layer, service_fn};
use tower_bearer::checks::{Answer, Denied, RequestContext, TokenCheck};
use tower_bearer::credential::RequestHead;
use tower_bearer::keys::{Algorithm, StaticKeys};
use tower_bearer::mtls::{CertificateHeader, ClientCertificate, ClientCertificates, TrustedPeers};
use tower_bearer::revocation::RevocationList;
use tower_bearer::testing::Idp;
use tower_bearer::{AccessToken, BearerAuthLayer, Issuer, ResourceServer};

use harness::{Case, above, keycloak, measure, median, print, range, ratio, raw, trusting};

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
    let begin = || keycloak(&idp, Algorithm::Es256);
    let good = begin().sign();
    let tokens = [
        ("garbage", "garbage.garbage.garbage".to_owned()),
        ("opaque", "0123456789abcdef0123456789abcdef".to_owned()),
        ("unknown issuer", begin().issuer("https://other.test/").sign()),
        ("expired", begin().expired().sign()),
        ("wrong audience", begin().audience("https://other.test").sign()),
        ("unknown kid", begin().unknown_kid().sign()),
        ("forged", forged(&good)),
    ];
    let server = trusting(&idp).build().unwrap();
    let mut cases = vec![
        Case::new("bare", calling(inner(), Some(&good))),
        Case::new("raw", raw(&idp, Algorithm::Es256, &good)),
        Case::new("no token", calling(guarded(server.clone()), None)),
    ];
    for (name, token) in tokens {
        cases.push(Case::new(name, calling(guarded(server.clone()), Some(&token))));
    }
    cases
}

/// The same token with another signature.
fn forged(token: &str) -> String {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { "B" } else { "A" };
    format!("{message}.{other}{}", &signature[1..])
}

/// A known token, with nothing to ask, with a list of revoked tokens that is empty or has 10,000 entries of the usual kinds, with a check that looks at
/// nothing, and with one that reads a claim.
fn checks() -> Vec<Case> {
    struct Yes;
    impl TokenCheck for Yes {
        fn name(&self) -> &'static str {
            "yes"
        }

        fn check(&self, _: &AccessToken, _: &RequestContext<'_>) -> Answer {
            Answer::Yes
        }
    }
    struct NotMallory;
    impl TokenCheck for NotMallory {
        fn name(&self) -> &'static str {
            "not mallory"
        }

        fn check(&self, token: &AccessToken, _: &RequestContext<'_>) -> Answer {
            if token.subject() == Some("mallory") { Answer::No(Denied::revoked("")) } else { Answer::Yes }
        }
    }
    let idp = Idp::new("https://id.test/realms/shop");
    let token = token(&idp, Algorithm::Es256);
    let (empty, full) = (RevocationList::new(LIFE), RevocationList::new(LIFE));
    for n in 0..3333 {
        full.revoke_jti(idp.issuer(), &format!("id-{n}"));
        full.revoke_session(idp.issuer(), &format!("session-{n}"));
        full.revoke_subject(idp.issuer(), &format!("subject-{n}"), SystemTime::UNIX_EPOCH + 100 * 365 * LIFE);
    }
    let servers = [
        ("nothing asked", trusting(&idp)),
        ("an empty list", trusting(&idp).revocation_list(empty)),
        ("a list of 10,000", trusting(&idp).revocation_list(full)),
        ("a check in memory", trusting(&idp).check(Yes)),
        ("a check in memory that reads the subject", trusting(&idp).check(NotMallory)),
    ];
    let cases = servers.map(|(name, server)| Case::new(name, calling(guarded(server.build().unwrap()), Some(&token))));
    cases.into()
}

/// A known token that is bound to the certificate of a known connection, and one that is not, over the same connection.
fn bound() -> Vec<Case> {
    let idp = Idp::new("https://id.test/realms/shop");
    let chain = Arc::new(vec![b"a certificate".to_vec()]);
    let thumbprint = BASE64URL.encode(ClientCertificate::new(&chain[0]).thumbprint());
    let begin = || keycloak(&idp, Algorithm::Es256);
    let tokens = [
        ("a token", begin().sign()),
        ("a token that is bound to a certificate", begin().claim("cnf", json!({ "x5t#S256": thumbprint })).sign()),
    ];
    let keys = StaticKeys::jwks(&idp.jwks().to_string()).unwrap();
    let certificates = ClientCertificates::from_connection(|chain: &Vec<Vec<u8>>| chain.first().map(Vec::as_slice));
    let server = ResourceServer::new("https://api.test").trust((Issuer::new(idp.issuer()).accept_mtls(), keys));
    let server = server.client_certificates(certificates).build().unwrap();
    let cases = tokens.map(|(name, token)| {
        let service = guarded(server.clone()).layer(Extension(Arc::clone(&chain)));
        Case::new(name, calling(service, Some(&token)))
    });
    cases.into()
}

/// Where the client's certificate is found: with its connection, which has asked before, and in the headers of proxies.
fn certificates() -> Vec<Case> {
    // a sequence of the usual length, whatever it says
    let der = [vec![0x30, 0x82, 0x04, 0x00], vec![0; 1024]].concat();
    let in_header = |header| ClientCertificates::from_header(header, TrustedPeers::addresses(["10.0.0.0/8"]).unwrap());
    let sequence = format!(":{}:", BASE64.encode(&der));
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines(&BASE64.encode(&der)));
    let escaped = pem.replace('\n', "%0A").replace(' ', "%20").replace('/', "%2F").replace('=', "%3D");
    let envoy = format!("By=spiffe://cluster.local/ns/shop/sa/orders;Hash={};Subject=\"\"", "0f".repeat(32));
    let name = HeaderName::from_static("x-client-cert");
    let shared = ClientCertificates::from_connection(|chain: &Vec<Vec<u8>>| chain.first().map(Vec::as_slice));
    let cases = [
        ("inserted", ClientCertificates::new(), None),
        ("of a known connection", shared, None),
        ("Client-Cert", in_header(CertificateHeader::client_cert()), Some(("client-cert", sequence))),
        ("Envoy's header", in_header(CertificateHeader::envoy()), Some(("x-forwarded-client-cert", envoy))),
        ("nginx's header", in_header(CertificateHeader::escaped_pem(name)), Some(("x-client-cert", escaped))),
    ];
    let cases = cases.into_iter().map(|(name, certificates, header)| {
        let mut request = Request::new(());
        if let Some((name, value)) = header {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([10, 0, 0, 7], 4711))));
        request.extensions_mut().insert(ClientCertificate::new(&der));
        request.extensions_mut().insert(Arc::new(vec![der.clone()]));
        Case::new(name, move || {
            let found = certificates.thumbprint(RequestHead::from(black_box(&request)));
            assert!(found.unwrap().is_some());
        })
    });
    cases.collect()
}

/// Lines of 64 characters.
fn lines(base64: &str) -> String {
    base64.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect::<Vec<_>>().join("\n")
}

/// Longer than the tokens of the benches live.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// Look-ups among one and among many, and tokens of several sizes; and by how many bytes the last is longer than the first.
fn growth() -> (Vec<Case>, f64) {
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
    let mut longer = 0;
    for size in [4, 7, 15] {
        let large = idp.token("alice").claim("padding", "x".repeat(size * 768)).sign();
        longer = large.len() - good.len();
        let name = format!("token of {} B, ", large.len());
        cases.push(Case::new(format!("{name}cold"), calling(guarded(cold(&idp)), Some(&large))));
        cases.push(Case::new(format!("{name}cached"), calling(guarded(trusting(&idp).build().unwrap()), Some(&large))));
    }
    (cases, longer as f64)
}

fn readme(cases: &[Case]) {
    println!("\n| | raw signature | first time, above bare | a known token, above bare |\n|---|---|---|---|");
    for algorithm in cases.chunks(5) {
        let [bare, raw, cold, _, cached] = algorithm else { unreachable!("five cases each") };
        println!(
            "| {} | {:.1} µs | {:.1} µs ({:.2} ×) | {:.2} µs |",
            raw.name.trim_end_matches(" raw"),
            raw.median() / 1000.0,
            median(&above(cold, bare)) / 1000.0,
            median(&above(cold, bare)) / raw.median(),
            median(&above(cached, bare)) / 1000.0,
        );
    }
}

/// What the design aims at, and what was measured; `ARCHITECTURE.md` says why some of it is missed.
fn budgets([algorithms, refusals, checks, bound]: [&[Case]; 4], (growth, longer): &(Vec<Case>, f64), scaling: &[f64]) {
    println!("\nBudgets\n\n| | budget | median | min–max | |\n|---|---|---|---|---|");
    let row = |what: &str, limit: &str, met: &dyn Fn(f64) -> bool, measured: &[f64]| {
        let (median, (min, max)) = (median(measured), range(measured));
        let verdict = if met(median) { "met" } else { "missed" };
        println!("| {what} | {limit} | {median:.3} | {min:.3}–{max:.3} | {verdict} |");
    };
    let at_most = |what: &str, limit: f64, measured: &[f64]| {
        row(what, &format!("≤ {limit}"), &|median| median <= limit, measured);
    };
    let of = |cases: &'static str| move |case: &&Case| case.name == cases;
    for (name, limit) in [("RS256", 1.20), ("ES256", 1.07), ("EdDSA", 1.10)] {
        let group = algorithms.chunks(5).find(|group| group[0].name.starts_with(name)).unwrap();
        let [bare, raw, cold, insert, cached] = group else { unreachable!("five cases each") };
        at_most(&format!("{name} cold ÷ raw"), limit, &ratio(&above(cold, bare), &raw.times));
        at_most(&format!("{name} cached ÷ insert"), 1.4, &ratio(&above(cached, bare), &above(insert, bare)));
        for (case, limit) in [(cold, 2.0), (cached, 0.0)] {
            let more = case.allocations as f64 - insert.allocations as f64;
            at_most(&format!("{} allocations beyond insert", case.name), limit, &[more]);
        }
    }
    let find = |name| refusals.iter().find(of(name)).unwrap();
    for (name, limit) in
        [("no token", 0.0), ("garbage", 0.2), ("expired", 2.5), ("wrong audience", 2.5), ("unknown kid", 2.5)]
    {
        let micros: Vec<f64> = above(find(name), find("bare")).iter().map(|nanos| nanos / 1000.0).collect();
        at_most(&format!("refused: {name}, µs above bare"), limit, &micros);
    }
    at_most("refused: forged ÷ raw", 1.07, &ratio(&above(find("forged"), find("bare")), &find("raw").times));
    let one = &growth[0];
    for case in &growth[1..3] {
        at_most(&format!("{} ÷ one", case.name), 1.03, &ratio(&case.times, &one.times));
    }
    let (large, cached) = (&growth[growth.len() - 2], &growth[growth.len() - 3]);
    let each: Vec<f64> = above(large, one).iter().map(|nanos| nanos / longer).collect();
    at_most("cold, ns per byte more", 2.8, &each);
    let micros: Vec<f64> = above(cached, find("bare")).iter().map(|nanos| nanos / 1000.0).collect();
    at_most("the largest token that is kept, cached, µs above bare", 0.35, &micros);
    for case in &checks[1..] {
        at_most(&format!("{}, ns", case.name), 60.0, &above(case, &checks[0]));
    }
    at_most("bound to a certificate, ns", 100.0, &above(&bound[1], &bound[0]));
    row("two threads ÷ one, one hot token", "≥ 1.5", &|median| median >= 1.5, scaling);
}

/// One token, verified from the cache by one thread and by two, and the same with a token for each, behind axum and behind nothing; returns
/// the ratios of the first.
fn scaling() -> Vec<f64> {
    let idp = Idp::new("https://id.test/realms/shop");
    let server = trusting(&idp).build().unwrap();
    let tokens = [token(&idp, Algorithm::Es256), idp.token("bob").sign()];
    let calls = 200_000_u32;
    let run = |threads: usize, axum: bool, distinct: bool| {
        let begin = Instant::now();
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let token = Some(&*tokens[if distinct { thread } else { 0 }]);
                let mut call: Box<dyn FnMut() + Send> = if axum {
                    Box::new(calling(guarded(server.clone()), token))
                } else {
                    let nothing = service_fn(async |_: Request<Body>| Ok(Response::new(Body::default())));
                    Box::new(harness::calling(BearerAuthLayer::new(server.clone()).layer(nothing), token))
                };
                scope.spawn(move || (0..calls).for_each(|_| call()));
            }
        });
        f64::from(calls) * threads as f64 / begin.elapsed().as_secs_f64()
    };
    run(2, true, true);
    println!("\nScaling\n\n| cached | one thread, calls per second | two ÷ one | min–max |\n|---|---|---|---|");
    let cases = [
        ("axum, one hot token", true, false),
        ("axum, a token each", true, true),
        ("nothing behind it, one hot token", false, false),
        ("nothing behind it, a token each", false, true),
    ];
    let [hot, ..] = cases.map(|(name, axum, distinct)| {
        let rounds = (0..9).map(|_| (run(1, axum, distinct), run(2, axum, distinct)));
        let (one, two): (Vec<f64>, Vec<f64>) = rounds.unzip();
        let ratios = ratio(&two, &one);
        let (min, max) = range(&ratios);
        println!("| {name} | {:.2} M | {:.2} | {min:.2}–{max:.2} |", median(&one) / 1e6, median(&ratios));
        ratios
    });
    hot
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [count, case, calls] = &*arguments {
        assert_eq!(count, "count");
        let mut all: Vec<Case> = algorithms().into_iter().chain(refusals()).chain(checks()).collect();
        let case = all.iter_mut().find(|known| known.name == *case).expect("the name of a case");
        (0..calls.parse::<u32>().unwrap()).for_each(|_| (case.run)());
        // taking the cases down is nothing that a call costs
        std::mem::forget(all);
        return;
    }
    let idp = Idp::with_algorithms("https://id.test/realms/shop", &ALGORITHMS);
    println!("a token of {} B (ES256)", token(&idp, Algorithm::Es256).len());
    let (mut algorithms, mut refusals, mut checks, mut growth) = (algorithms(), refusals(), checks(), growth());
    let (mut bound, mut certificates) = (bound(), certificates());
    for cases in [&mut algorithms, &mut refusals, &mut checks, &mut bound, &mut certificates, &mut growth.0] {
        measure(cases.iter_mut());
    }
    readme(&algorithms);
    print("Algorithms", &algorithms);
    print("Refusals", &refusals);
    print("Checks", &checks);
    print("Tokens that are bound to certificates", &bound);
    print("Certificates of clients", &certificates);
    print("Growth", &growth.0);
    budgets([&algorithms, &refusals, &checks, &bound], &growth, &scaling());
}
