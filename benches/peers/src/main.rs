//! What other crates cost for the same job, beside ours:
//! `cargo run --release --manifest-path benches/peers/Cargo.toml`.
//!
//! The harness, the token and the words are those of `benches/layer.rs`: all cases take turns in one run, *bare* is the
//! same router without a guard, *raw* one verification of the same signature by the library which the crate uses. Keys
//! are fetched before anything is measured, and each guard is asked whether it really refuses what is wrong.

#[path = "../../harness/mod.rs"]
mod harness;

mod guards;
mod issuer;
mod ring_raw;
mod service;

use http::StatusCode;
use tokio::runtime::Runtime;
use tower_bearer::keys::Algorithm;

use guards::{BackEnd, Guard};
use harness::{Case, keycloak, measure, median, range, raw};
use service::Service;

const ALGORITHMS: [Algorithm; 3] = [Algorithm::Rs256, Algorithm::Es256, Algorithm::Ed25519];

/// A line of the table.
struct Row {
    case: Case,
    token: &'static str,
    back_end: Option<BackEnd>,
    /// Where the router without a guard stands; nothing for what others are compared with.
    bare: Option<usize>,
    /// Whether a token of another issuer is refused.
    checks_issuer: Option<bool>,
}

impl Row {
    fn baseline(name: &str, token: &'static str, back_end: Option<BackEnd>, run: impl FnMut() + 'static) -> Self {
        Self { case: Case::new(name, run), token, back_end, bare: None, checks_issuer: None }
    }
}

/// One algorithm: the bare routers of both axums, the raw signatures of both libraries, then the guards.
async fn group(algorithm: Algorithm) -> Vec<Row> {
    let idp = issuer::serve(algorithm).await;
    // axum-keycloak-auth insists on Keycloak's `typ`
    let token = || keycloak(&idp, algorithm).claim("typ", "Bearer");
    let (good, name) = (token().sign(), algorithm.name());
    let bare = |service: Service| service.calling(&good);
    let mut rows = vec![
        Row::baseline("bare", name, None, bare(guards::bare().into())),
        Row::baseline("bare (axum 0.7)", name, None, bare(guards::bare_07().into())),
        Row::baseline("raw signature", name, Some(BackEnd::AwsLc), raw(&idp, algorithm, &good)),
        Row::baseline("raw signature", name, Some(BackEnd::Ring), ring_raw::raw(&idp, algorithm, &good)),
    ];
    let expired = token().expired().sign();
    let mut refusals = Vec::new();
    for guard in guards::all(&idp, algorithm).await {
        guard.service.ready(&good).await;
        for wrong in [&broken(&good), &expired, &token().audience("https://other.test").sign()] {
            assert!(refuses(&guard, wrong).await, "{} lets a wrong token in: {wrong}", guard.name);
        }
        let checks_issuer = refuses(&guard, &token().issuer("https://other.test").sign()).await;
        let row = |name, token: &str| Row {
            case: Case::new(
                format!("{} {}{}", guard.name, version(guard.name), guard.remark),
                guard.service.calling(token),
            ),
            token: name,
            back_end: Some(guard.back_end),
            bare: Some(if let Service::Axum(_) = guard.service { 0 } else { 1 }),
            checks_issuer: Some(checks_issuer),
        };
        rows.push(row(name, &good));
        if algorithm == Algorithm::Rs256 {
            refusals.push(row("RS256, expired", &expired));
        }
    }
    rows.extend(refusals);
    rows
}

async fn refuses(guard: &Guard, token: &str) -> bool {
    let status = guard.service.status(token).await;
    let refusals = [StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
    assert!(status == StatusCode::OK || refusals.contains(&status), "{} answers {status}", guard.name);
    status != StatusCode::OK
}

/// The same token with one character of its signature changed.
fn broken(token: &str) -> String {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let other = if signature.as_bytes()[20] == b'A' { "B" } else { "A" };
    format!("{message}.{}{other}{}", &signature[..20], &signature[21..])
}

/// The version in the lock file, so that the table cannot lie about it.
fn version(name: &str) -> &'static str {
    let (_, rest) = include_str!("../Cargo.lock").split_once(&format!("name = \"{name}\"\nversion = \"")).unwrap();
    rest.split_once('"').unwrap().0
}

fn print(rows: &[Row]) {
    for row in rows {
        let bare = row.bare.map(|at| &rows[at].case);
        let above = |(round, time): (usize, &f64)| (time - bare.map_or(0.0, |bare| bare.times[round])) / 1000.0;
        let above: Vec<f64> = row.case.times.iter().enumerate().map(above).collect();
        let (min, max) = range(&above);
        let (back_end, raw) = match row.back_end {
            Some(BackEnd::AwsLc) => ("aws-lc-rs", Some(&rows[2].case)),
            Some(BackEnd::Ring) => ("ring", Some(&rows[3].case)),
            None => ("", None),
        };
        println!(
            "| {} | {back_end} | {} | {:.2} ({min:.2}–{max:.2}) | {} | {} | {} |",
            row.case.name,
            row.token,
            median(&above),
            raw.map_or(String::new(), |raw| format!("{:.2}", median(&above) * 1000.0 / raw.median())),
            row.case.allocations - bare.map_or(0, |bare| bare.allocations),
            row.checks_issuer.map_or("", |checks| if checks { "yes" } else { "no" }),
        );
    }
}

fn main() {
    let runtime = Runtime::new().unwrap();
    let mut groups: Vec<Vec<Row>> = ALGORITHMS.map(|algorithm| runtime.block_on(group(algorithm))).into();
    // once the keys are there, no guard waits for anything; what it has in the runtime it finds all the same
    let _inside = runtime.enter();
    measure(groups.iter_mut().flatten().map(|row| &mut row.case));
    println!("*bare* and *raw signature* as they are, the others above *bare* of the same round\n");
    println!("| | signature by | token | µs, median (min–max) | ÷ raw | allocations | checks `iss` |");
    println!("|---|---|---|---|---|---|---|");
    groups.iter().for_each(|rows| print(rows));
}
