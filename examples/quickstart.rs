//! An issuer and an API that is guarded by the layer, both in this process, both on loopback.
//!
//! `cargo run --example quickstart` makes some requests to itself, prints what came back and why, then serves until
//! Ctrl-C. With `-- --once` it ends after the table, with an error if a row is not as expected.

use std::process::ExitCode;
use std::time::Duration;

use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_bearer::testing::Idp;
use tower_bearer::{AccessToken, BearerAuthLayer, Issuer, Require, RequireLayer, ResourceServer, Rule, permissions};

type Error = Box<dyn std::error::Error>;

const AUDIENCE: &str = "https://api.example.com";

permissions! {
    /// May see what everybody may who is signed in.
    pub UseShop = role("user") | role("admin");
    /// May manage users.
    pub ManageUsers = role("admin");
}

/// The application's own claims.
#[derive(Deserialize)]
struct Shop {
    tenant_id: Option<String>,
}

fn api(server: ResourceServer<Shop>) -> Router {
    let guarded = Router::new()
        .route("/users/me", get(me))
        .route("/statistics", get(statistics))
        .route("/admin/users", get(users))
        .route("/orders", get(orders).layer(RequireLayer::new(Rule::scope("orders:read"))))
        .route("/tenant", get(tenant))
        .layer(BearerAuthLayer::new(server));
    Router::new().route("/health", get(async || "ok")).merge(guarded)
}

async fn me(caller: Require<UseShop>) -> Json<Value> {
    Json(json!({ "subject": caller.subject(), "roles": caller.roles().collect::<Vec<_>>() }))
}

async fn statistics(_: Require<UseShop>) -> Json<Value> {
    Json(json!({ "orders": 2 }))
}

async fn users(_: Require<ManageUsers>) -> Json<Value> {
    Json(json!(["alice", "root"]))
}

async fn orders(caller: AccessToken) -> Json<Value> {
    Json(json!({ "for": caller.subject(), "orders": ["a lamp", "two chairs"] }))
}

async fn tenant(token: AccessToken<Shop>) -> Json<Value> {
    Json(json!({ "tenant": token.claims().tenant_id }))
}

#[tokio::main]
async fn main() -> Result<ExitCode, Error> {
    let idp_listener = TcpListener::bind("127.0.0.1:0").await?;
    let idp = Idp::new(format!("http://{}", idp_listener.local_addr()?)).audience(AUDIENCE);
    tokio::spawn(axum::serve(idp_listener, Router::new().fallback_service(idp.service())).into_future());

    let server = ResourceServer::new(AUDIENCE).trust(Issuer::new(idp.issuer())).claims::<Shop>().build()?;
    let api_listener = TcpListener::bind("127.0.0.1:0").await?;
    let api_url = format!("http://{}", api_listener.local_addr()?);
    tokio::spawn(axum::serve(api_listener, api(server)).into_future());

    println!("issuer  {}/.well-known/openid-configuration", idp.issuer());
    println!("API     {api_url}\n");
    let unexpected = tour(&idp, &api_url).await?;
    if unexpected > 0 {
        println!("\n{unexpected} rows are not as expected");
        return Ok(ExitCode::FAILURE);
    }
    if std::env::args().any(|argument| argument == "--once") {
        return Ok(ExitCode::SUCCESS);
    }

    println!("\nTry it yourself; the tokens are good for an hour:\n");
    let hour = Duration::from_secs(60 * 60);
    let admin = idp.token("root").role("admin").scope("orders:read").expires_in(hour).sign();
    let user = idp.token("alice").role("user").claim("tenant_id", "north").expires_in(hour).sign();
    for (path, token) in [("/admin/users", &admin), ("/admin/users", &user), ("/tenant", &user)] {
        println!("curl -i {api_url}{path} -H 'Authorization: Bearer {token}'\n");
    }
    println!("Ctrl-C ends the example.");
    tokio::signal::ctrl_c().await?;
    Ok(ExitCode::SUCCESS)
}

/// Makes the requests and prints the table; returns how many rows are not as expected.
async fn tour(idp: &Idp, api_url: &str) -> Result<usize, Error> {
    let admin = || idp.token("root").role("admin");
    let user = || idp.token("alice").role("user");
    let rows = [
        ("anyone", "/health", None, 200),
        ("anyone", "/users/me", None, 401),
        ("alice, a user", "/users/me", Some(user().sign()), 200),
        ("alice, a user", "/statistics", Some(user().sign()), 200),
        ("alice, a user", "/admin/users", Some(user().sign()), 403),
        ("root, an admin", "/statistics", Some(admin().sign()), 200),
        ("root, an admin", "/admin/users", Some(admin().sign()), 200),
        ("bob, no role", "/statistics", Some(idp.token("bob").sign()), 403),
        ("alice, without scope", "/orders", Some(user().sign()), 403),
        ("a machine with scope", "/orders", Some(idp.token("robot").scope("orders:read").sign()), 200),
        ("alice of tenant north", "/tenant", Some(user().claim("tenant_id", "north").sign()), 200),
        ("an expired token", "/users/me", Some(user().expired().sign()), 401),
        ("another audience", "/users/me", Some(user().audience("https://other.example.com").sign()), 401),
        ("another issuer", "/users/me", Some(user().issuer("https://evil.example.com").sign()), 401),
        ("a forged signature", "/users/me", Some(user().wrong_key().sign()), 401),
        ("an unsigned token", "/users/me", Some(user().unsigned().sign()), 401),
        ("not even a token", "/users/me", Some("=".to_owned()), 400),
    ];
    let client = reqwest::Client::new();
    let mut unexpected = Vec::new();
    println!("{:<22} {:<13} {:<4} challenge or answer", "who", "GET", "");
    for (who, path, token, expected) in rows {
        let mut request = client.get(format!("{api_url}{path}"));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let challenge = response.headers().get("www-authenticate").map(|value| value.to_str().map(ToOwned::to_owned));
        let what = match challenge.transpose()? {
            Some(challenge) => challenge,
            None => response.text().await?,
        };
        let mark = if status == expected { "" } else { "  <-- unexpected" };
        unexpected.extend((status != expected).then_some(who));
        println!("{who:<22} {path:<13} {status:<4} {what}{mark}");
    }
    Ok(unexpected.len())
}
