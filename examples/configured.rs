//! A service whose policy is a file, and the environment where it says otherwise.
//!
//! ```sh
//! cargo run --example configured                       # serves on 127.0.0.1:3000
//! ORDERS_AUTH_REALM=orders cargo run --example configured -- other.toml
//! cargo run --example configured -- --once             # asks itself two questions, and ends
//! ```

use std::error::Error;
use std::future::IntoFuture;

use axum::Router;
use axum::routing::get;
use config::{Config, Environment, File};
use http::Method;
use tokio::net::TcpListener;
use tower_bearer::authz::{Access, AuthzRules};
use tower_bearer::config::ResourceServerConfig;
use tower_bearer::reject::ProblemJson;
use tower_bearer::{AccessToken, BearerAuthLayer, ResourceServer, Rule};

const DEFAULT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/configured.toml");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let once = arguments.iter().any(|argument| argument == "--once");
    let file = arguments.iter().find(|argument| !argument.starts_with("--")).map_or(DEFAULT, String::as_str);

    let server = match read(file)?.builder().build() {
        Ok(server) => server,
        // every problem, each on a line
        Err(error) => {
            for problem in error.problems() {
                eprintln!("{file}: {problem}");
            }
            return Err("the configuration has problems".into());
        }
    };
    let listener = TcpListener::bind(if once { "127.0.0.1:0" } else { "127.0.0.1:3000" }).await?;
    let address = listener.local_addr()?;
    let serving = axum::serve(listener, service(server)?).into_future();
    if once {
        tokio::spawn(serving);
        for (path, expected) in [("health", 200), ("me", 401)] {
            let status = reqwest::get(format!("http://{address}/{path}")).await?.status();
            println!("/{path}: {status}");
            if status != expected {
                return Err(format!("expected {expected}").into());
            }
        }
        return Ok(());
    }
    println!("listening on http://{address}");
    Ok(serving.await?)
}

/// Reads a file, and the variables `ORDERS_AUTH_AUDIENCE`, `ORDERS_AUTH_ISSUERS` and so on, if they are set.
fn read(file: &str) -> Result<ResourceServerConfig, config::ConfigError> {
    let sources =
        Config::builder().add_source(File::with_name(file)).add_source(Environment::with_prefix("ORDERS_AUTH"));
    sources.build()?.try_deserialize()
}

fn service(server: ResourceServer) -> Result<Router, tower_bearer::ConfigError> {
    let rules = AuthzRules::new()
        .route(Method::GET, "/health", Access::Public)
        .route(Method::GET, "/me", Access::Authenticated)
        .route(Method::GET, "/staff", Rule::role("clerk") | Rule::role("admin"))
        .build()?;
    println!("{rules}");
    Ok(Router::new()
        .route("/health", get(async || "ok"))
        .route("/me", get(async |token: AccessToken| token.subject().unwrap_or("a machine").to_owned()))
        .route("/staff", get(async || "for the staff only"))
        .layer(BearerAuthLayer::new(server).authorize(rules)?.reject_with(ProblemJson::default())))
}
