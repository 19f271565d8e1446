//! What a known token costs that its issuer was asked about, beside a known JWT:
//! `cargo bench -p benches --features introspection --bench opaque`.
//!
//! Both are of one issuer and go through one server; the opaque ones have the same claims. The last column holds what they take above a router
//! without a layer against what the JWT takes: 1.5 at most is aimed at. What is longer takes more, since all of it is hashed twice by a keyed hash.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a bench may panic")]
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a bench may panic")]

mod harness;

use std::time::Duration;

use axum::body::Body;
use axum::routing::{get, post};
use axum::{Json, Router};
use tokio::runtime::Runtime;
use tower_bearer::introspection::{ClientAuthentication, Introspection};
use tower_bearer::keys::{Algorithm, HttpClient, StaticKeys};
use tower_bearer::testing::Idp;
use tower_bearer::{BearerAuthLayer, Issuer, ResourceServer};

use harness::{Case, above, calling, keycloak, measure, median, print, range, ratio};

/// The lengths of opaque tokens: of a UUID, of 256 bits as many servers make them, and of some that hold more.
const LENGTHS: [usize; 4] = [36, 43, 128, 1024];

fn main() {
    let idp = Idp::new("https://id.test/realms/shop");
    let jwt = keycloak(&idp, Algorithm::Es256);
    let mut answer = jwt.claims().clone();
    answer.insert("active".to_owned(), true.into());

    let issuer = Router::new().route("/introspect", post(async move || Json(answer)));
    let issuer = HttpClient::from_service_with_bodies::<_, Body, _>(issuer);
    let runtime = Runtime::new().unwrap();

    let client = ClientAuthentication::client_secret_basic("orders-api", "secret");
    // longer than the bench takes
    let introspection =
        Introspection::new(client).endpoint("https://id.test/introspect").ttl(Duration::from_secs(60 * 60));
    let trusted = Issuer::new(idp.issuer()).introspection(introspection);
    let keys = StaticKeys::jwks(&idp.jwks().to_string()).unwrap();
    let server = ResourceServer::new("https://api.test").trust((trusted, keys)).http_client(issuer).build().unwrap();
    let jwt_only = (Issuer::new(idp.issuer()), StaticKeys::jwks(&idp.jwks().to_string()).unwrap());
    let jwt_only = ResourceServer::new("https://api.test").trust(jwt_only).build().unwrap();

    let inner = || Router::new().route("/", get(async || "ok"));
    let guarded = |server: &ResourceServer| inner().layer(BearerAuthLayer::new(server.clone()));
    let jwt = jwt.sign();
    let mut cases = vec![
        Case::new("bare", calling::<_, Body>(inner(), Some(&jwt))),
        Case::new("a JWT, nobody is asked", calling::<_, Body>(guarded(&jwt_only), Some(&jwt))),
        Case::new("a JWT", calling::<_, Body>(guarded(&server), Some(&jwt))),
    ];
    for length in LENGTHS {
        let opaque: String = "Zq3-_x9Ka".chars().cycle().take(length).collect();
        runtime.block_on(server.authenticate(&opaque)).unwrap();
        cases.push(Case::new(format!("opaque, {length} B"), calling::<_, Body>(guarded(&server), Some(&opaque))));
    }
    measure(&mut cases);
    print("Known tokens", &cases);

    println!("\n| | above bare, ns | ÷ a JWT, nobody is asked | min–max | budget ≤ 1.5 |\n|---|---|---|---|---|");
    let [bare, jwt, others @ ..] = &*cases else { unreachable!("there are more") };
    for case in others {
        let own = above(case, bare);
        let ratios = ratio(&own, &above(jwt, bare));
        let (min, max) = range(&ratios);
        let verdict = if median(&ratios) <= 1.5 { "met" } else { "missed" };
        println!("| {} | {:.0} | {:.2} | {min:.2}–{max:.2} | {verdict} |", case.name, median(&own), median(&ratios));
    }
}
