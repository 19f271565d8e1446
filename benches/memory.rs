//! What the cache of verified tokens takes: `cargo bench -p benches --bench memory`.
//!
//! A million distinct tokens come three times each to a server whose cache has its default size, and fewer to caches of other sizes. By a counting allocator it is asserted
//! that memory stays within the size (with what is beside it: the slots in front, and the map's spare room), and that the cache's own gauge is right; and so is that a token
//! which was just seen is known.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a bench may panic")]
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a bench may panic")]

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use futures_util::FutureExt;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tower_bearer::keys::{Algorithm, StaticKeys};
use tower_bearer::testing::ManualClock;
use tower_bearer::{Issuer, ResourceServer};

const SECRET: &[u8] = b"a secret of thirty-two bytes or more";
const MIB: u64 = 1024 * 1024;
/// So many tokens do not fill any cache here.
const FEW: usize = 1_000;
/// What stands beside the entries may take a quarter of the size, and the map some room in advance.
const BESIDE: f64 = 0.35;

/// Mints tokens of a Keycloak's size, by a shared secret, because that is quick.
struct Mint {
    key: hmac::Key,
    head: String,
}

impl Mint {
    fn new() -> Self {
        let head = BASE64URL.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, SECRET), head }
    }

    fn token(&self, number: usize) -> String {
        let claims = serde_json::json!({
            "iss": "https://id.test/realms/shop", "aud": "https://api.test", "exp": 4_102_444_800_u64, "jti": number.to_string(),
            "sub": format!("f:9d6c1b1e-6c1b-4b1e-8c1b-0123456789ab:user-{number}"), "azp": "shop-web", "acr": "1",
            "scope": "openid profile email orders:read orders:write", "sid": "3d2a7d86-5b1e-4e8b-a2b1-7f1f4c9a0f3e",
            "preferred_username": "alice", "email": "alice@example.com", "email_verified": true, "name": "Alice Example",
            "given_name": "Alice", "family_name": "Example", "allowed-origins": ["https://shop.example.com"],
            "realm_access": { "roles": ["offline_access", "uma_authorization", "user"] },
            "resource_access": { "orders": { "roles": ["clerk", "viewer"] }, "account": { "roles": ["view-profile"] } },
        });
        let message = format!("{}.{}", self.head, BASE64URL.encode(claims.to_string()));
        let signature = BASE64URL.encode(hmac::sign(&self.key, message.as_bytes()));
        format!("{message}.{signature}")
    }
}

/// What a cache of this size takes after so many tokens: by the allocator, and by its own gauge.
fn fill(mint: &Mint, size: u64, tokens: usize) -> (i64, f64) {
    let issuer = Issuer::new("https://id.test/realms/shop");
    let keys = StaticKeys::hmac(Algorithm::Hs256, SECRET).unwrap();
    let clock = ManualClock::new();
    let server = ResourceServer::new("https://api.test").trust((issuer, keys)).token_cache(size).clock(clock.clone());
    let server = server.build().unwrap();
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let verify = |number| {
        let mut token = String::new();
        allocation_counter::opt_out(|| token = mint.token(number));
        for _ in 0..3 {
            let verdict = server.authenticate(&token).now_or_never().expect("nothing to wait for");
            assert!(verdict.is_ok());
        }
        allocation_counter::opt_out(|| drop(token));
    };
    let taken = allocation_counter::measure(|| (0..tokens).for_each(verify)).bytes_current;
    // the gauge is set once a second
    clock.advance(Duration::from_secs(1));
    metrics::with_local_recorder(&recorder, || verify(tokens));
    let seen = snapshotter.snapshot().into_vec();
    let value = |wanted: &str| {
        let found = seen.iter().find(|(key, ..)| key.key().to_string().contains(wanted));
        match found.map(|(.., value)| value) {
            Some(DebugValue::Gauge(value)) => value.into_inner(),
            Some(DebugValue::Counter(value)) => *value as f64,
            _ => 0.0,
        }
    };
    let known = if size == 0 { 0.0 } else { 2.0 };
    assert!((value("hit") - known).abs() < f64::EPSILON, "a token that was just seen is not known");
    (taken, value("bytes"))
}

fn main() {
    let mint = Mint::new();
    println!("| size of the cache | distinct tokens | memory taken | by its own gauge |\n|---|---|---|---|");
    let mut each = 0.0;
    for (size, tokens) in [(0, 10_000), (16 * MIB, FEW), (16 * MIB, 1_000_000), (128 * MIB, 100_000)] {
        let (taken, gauge) = fill(&mint, size, tokens);
        assert!(taken as f64 <= size as f64 * (1.0 + BESIDE) + MIB as f64, "{taken} bytes for a cache of {size}");
        assert!((taken as f64 - gauge).abs() <= gauge * 0.15 + MIB as f64, "{taken} bytes, and {gauge} by the gauge");
        if tokens == FEW {
            each = taken as f64 / tokens as f64;
        }
        let mib = |bytes: f64| bytes / MIB as f64;
        println!("| {} MiB | {tokens} | {:.1} MiB | {:.1} MiB |", size / MIB, mib(taken as f64), mib(gauge));
    }
    let (len, fit) = (mint.token(1).len(), 16.0 * MIB as f64 / each);
    println!("\nA token of {len} B takes {each:.0} B; {fit:.0} of them fit into 16 MiB.");
}
