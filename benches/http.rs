//! The server of `benches/http.sh`, which measures over HTTP what the layer costs.
//!
//! `http ADDRESS WORKERS TOKENS FILE MODE ALGORITHM [CACHE_BYTES]` writes that many distinct tokens to a file, one a line, and then serves
//! one route, `guarded` by the layer, `bare`, or, in between, with axum's `Extension` of an `Arc` (`insert`). The key is made in the process, so each server accepts the tokens that it has written
//! itself, and the address answers once they are there.

#![allow(clippy::unwrap_used, reason = "a bench may panic")]

// without the rest of the harness, whose allocator counts
#[path = "harness/tokens.rs"]
mod tokens;

use std::io::{BufWriter, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::routing::get;
use axum::{Extension, Router};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tower_bearer::BearerAuthLayer;
use tower_bearer::keys::Algorithm;
use tower_bearer::testing::Idp;

/// Longer than any run.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

fn write_tokens(idp: &Idp, algorithm: Algorithm, count: u32, file: &str) {
    let mut file = BufWriter::new(std::fs::File::create(file).unwrap());
    for n in 0..count {
        let token = tokens::keycloak(idp, algorithm).claim("jti", format!("{n:036}")).expires_in(LIFETIME);
        writeln!(file, "{}", token.sign()).unwrap();
    }
    file.flush().unwrap();
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [address, workers, count, file, mode, algorithm, ref cache @ ..] = *arguments else {
        return println!("this is for benches/http.sh");
    };
    let algorithm = match algorithm {
        "ES256" => Algorithm::Es256,
        "RS256" => Algorithm::Rs256,
        _ => panic!("ES256 or RS256"),
    };
    let idp = Idp::with_algorithms("https://id.test/realms/shop", &[algorithm]);
    write_tokens(&idp, algorithm, count.parse().unwrap(), file);

    let router = Router::new().route("/", get(async || "ok"));
    let router = match mode {
        "bare" => router,
        "insert" => router.layer(Extension(Arc::new(()))),
        "guarded" => {
            let server = tokens::trusting(&idp);
            let server = if let [bytes] = cache { server.token_cache(bytes.parse().unwrap()) } else { server };
            router.layer(BearerAuthLayer::new(server.build().unwrap()))
        }
        _ => panic!("bare, insert or guarded"),
    };
    let runtime = Builder::new_multi_thread().worker_threads(workers.parse().unwrap()).enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await.unwrap();
        axum::serve(listener, router).await.unwrap();
    });
}
