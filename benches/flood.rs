//! What a flood of forged `kid`s does to valid requests: `cargo bench -p benches --bench flood`.
//!
//! 10,000 tokens, each with a `kid` of its own, come 64 at a time, while one thread goes on verifying a valid token (there is no token cache here) and
//! takes the time of each call. The table compares its 99th percentile with that of the same loop without a flood, in the same run.
//! That there are at most two fetches, and one more for each 15 s that the flood takes, is asserted; times are only reported.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a bench may panic")]
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a bench may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use tokio::runtime::Runtime;
use tokio::time::Instant;
use tower_bearer::keys::{FetchError, FetchedKeys, KeySource, SavedKeys};
use tower_bearer::testing::Idp;
use tower_bearer::{Issuer, ResourceServer};

const TOKENS: usize = 10_000;
const CONCURRENCY: usize = 64;
/// Valid requests that are timed at least.
const VALID: usize = 5_000;

/// How the issuer is during the flood.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Health {
    Healthy,
    Down,
    EmptySet,
    Slow,
    /// Down, and the keys in hand are not fresh any more.
    DownAndStale,
}

#[derive(Clone)]
struct Source {
    idp: Idp,
    health: Health,
    /// The first fetch is good.
    fetches: Arc<AtomicU64>,
}

impl KeySource for Source {
    async fn fetch(&self) -> Result<FetchedKeys, FetchError> {
        let first = self.fetches.fetch_add(1, Ordering::SeqCst) == 0;
        let keys = FetchedKeys::new(self.idp.jwks().to_string());
        match self.health {
            Health::Healthy => Ok(keys),
            _ if first => Ok(keys),
            Health::Down | Health::DownAndStale => Err(FetchError::new("down")),
            Health::EmptySet => Ok(FetchedKeys::new("{\"keys\":[]}")),
            Health::Slow => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(keys)
            }
        }
    }
}

/// Verifies a valid token over and over on this thread, until told to stop, and returns the 99th percentile and the median.
fn measure(server: &ResourceServer, token: &str, stop: &AtomicBool) -> (Duration, Duration) {
    let mut times = Vec::new();
    while !stop.load(Ordering::Relaxed) || times.len() < VALID {
        let begin = Instant::now();
        let verdict = server.authenticate(token).now_or_never().expect("a known key needs no wait");
        times.push(begin.elapsed());
        assert!(verdict.is_ok());
    }
    times.sort_unstable();
    (times[times.len() * 99 / 100], times[times.len() / 2])
}

/// The valid token's claims and signature under other names of keys.
fn forged(token: &str) -> Vec<String> {
    let (_, rest) = token.split_once('.').unwrap();
    let header = |n: usize| BASE64URL.encode(format!("{{\"alg\":\"ES256\",\"kid\":\"forged-{n}\"}}"));
    (0..TOKENS).map(|n| format!("{}.{rest}", header(n))).collect()
}

fn main() {
    println!("| issuer | fetches | valid requests p99: quiet | flooded | ratio | p50: quiet | flooded | flood took |");
    println!("|---|---|---|---|---|---|---|---|");
    for health in [Health::Healthy, Health::Down, Health::EmptySet, Health::Slow, Health::DownAndStale] {
        let runtime = Runtime::new().unwrap();
        let idp = Idp::new("https://id.test/");
        let source = Source { idp: idp.clone(), health, fetches: Arc::default() };
        let trust = || (Issuer::new("https://id.test/"), source.clone());
        let configuration = || ResourceServer::new("https://api.test").trust(trust()).token_cache(0);
        let mut server = configuration().build().unwrap();
        runtime.block_on(server.ready()).unwrap();
        if health == Health::DownAndStale {
            let mut saved = serde_json::to_value(server.save_keys()).unwrap();
            saved[0]["fresh_until"] = (saved[0]["fresh_until"].as_u64().unwrap() - 601).into();
            let saved: Vec<SavedKeys> = serde_json::from_value(saved).unwrap();
            server = configuration().saved_keys(saved).build().unwrap();
        }
        let token = idp.token("alice").sign();
        let forged = forged(&token);

        let stop = AtomicBool::new(true);
        measure(&server, &token, &stop);
        let quiet = measure(&server, &token, &stop);

        let before = source.fetches.load(Ordering::SeqCst);
        let stop = Arc::new(AtomicBool::new(false));
        let flood = runtime.spawn({
            let (server, stop) = (server.clone(), Arc::clone(&stop));
            async move {
                let begin = Instant::now();
                let refused = stream::iter(forged)
                    .map(|token| {
                        let server = server.clone();
                        async move { server.authenticate(&token).await.is_err() }
                    })
                    .buffer_unordered(CONCURRENCY);
                let refused = refused.filter(|refused| std::future::ready(*refused)).count().await;
                stop.store(true, Ordering::Relaxed);
                (refused, begin.elapsed())
            }
        });
        let flooded = measure(&server, &token, &stop);
        let (refused, took) = runtime.block_on(flood).unwrap();
        assert_eq!(refused, TOKENS);
        let fetches = source.fetches.load(Ordering::SeqCst) - before;
        // keys that are not fresh are also asked for by themselves, each time after a longer pause that begins with 1 s
        let by_itself = if health == Health::DownAndStale { took.as_secs() + 1 } else { 0 };
        assert!(fetches <= 2 + by_itself + took.as_secs() / 15, "{fetches} fetches in {took:?}");
        let ratio = flooded.0.as_secs_f64() / quiet.0.as_secs_f64();
        let (micros, millis) = (|time: Duration| time.as_nanos() as f64 / 1000.0, took.as_millis());
        println!(
            "| {health:?} | {fetches} | {:.1} µs | {:.1} µs | {ratio:.2} | {:.1} µs | {:.1} µs | {millis} ms |",
            micros(quiet.0),
            micros(flooded.0),
            micros(quiet.1),
            micros(flooded.1),
        );
    }
}
