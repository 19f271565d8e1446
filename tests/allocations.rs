//! What a request costs in allocations, and that a known token costs none of its own.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use http::{Extensions, Method, Request, Response};
use support::endpoint::Endpoint;
use support::get_with;
use tower::{Layer, Service, service_fn};
use tower_bearer::authz::{Access, AuthzRules};
use tower_bearer::checks::{Answer, RequestContext, TokenCheck};
use tower_bearer::config::ResourceServerBuilder;
use tower_bearer::keys::StaticKeys;
use tower_bearer::reject::{ProblemJson, Reject};
use tower_bearer::revocation::RevocationList;
use tower_bearer::testing::{Idp, ProofKey};
use tower_bearer::{AccessToken, BearerAuthLayer, Issuer, ResourceServer, Rule};

type Body = axum::body::Body;

/// Answers at once, and allocates nothing.
fn inner(_: Request<Body>) -> Ready<Result<Response<Body>, Infallible>> {
    ready(Ok(Response::new(Body::default())))
}

/// What a call allocates, when all is as it has been for a while, from the request to the end of the response.
fn allocations(server: ResourceServerBuilder, request: impl Fn() -> Request<Body>, status: u16) -> u64 {
    allocations_behind(&BearerAuthLayer::new(server.build().unwrap()), request, status)
}

fn allocations_behind<R: Reject<Body> + Clone>(
    layer: &BearerAuthLayer<(), R>,
    request: impl Fn() -> Request<Body>,
    status: u16,
) -> u64 {
    let mut service = layer.layer(service_fn(inner));
    let mut count = 0;
    for _ in 0..5 {
        let mut request = Some(request());
        let calling = || {
            let response = service.call(request.take().unwrap()).now_or_never().expect("nothing to wait for").unwrap();
            assert_eq!(response.status(), status);
        };
        // that of the request's own parts is not counted: they were allocated before
        count = allocation_counter::measure(calling).count_total;
    }
    count
}

fn trusting(idp: &Idp) -> ResourceServerBuilder {
    let keys = StaticKeys::jwks(&idp.jwks().to_string()).unwrap();
    ResourceServer::new("https://api.test").trust((Issuer::new(idp.issuer()), keys))
}

/// What `http` needs to put anything into a request's extensions.
fn insert() -> u64 {
    let (value, mut extensions) = (Arc::new(0), Extensions::new());
    allocation_counter::measure(|| {
        extensions.insert(value);
    })
    .count_total
}

#[test]
fn a_known_token_costs_no_allocation_but_that_of_the_extensions() {
    let idp = Idp::new("https://id.test/");
    let token = idp.token("alice").scope("orders:read").sign();
    assert_eq!(allocations(trusting(&idp), || get_with("/", &token), 200), insert());
}

#[test]
fn a_token_costs_three_allocations_more_without_the_cache() {
    let idp = Idp::new("https://id.test/");
    let token = idp.token("alice").scope("orders:read").sign();
    // header and claims as one text and one list of nodes, and the evidence; what the signature's library does is not Rust's allocator's business
    let cold = allocations(trusting(&idp).token_cache(0), || get_with("/", &token), 200);
    assert_eq!(cold, insert() + 3);
}

#[test]
fn what_is_asked_in_memory_costs_no_allocation() {
    struct Yes(&'static str);
    impl TokenCheck for Yes {
        fn name(&self) -> &'static str {
            self.0
        }

        fn check(&self, token: &AccessToken, request: &RequestContext<'_>) -> Answer {
            assert_eq!((token.subject(), request.head().unwrap().method()), (Some("alice"), &Method::GET));
            Answer::Yes
        }
    }
    let idp = Idp::new("https://id.test/");
    let token = idp.token("alice").sign();
    let list = RevocationList::new(Duration::from_secs(3600));
    let server = || trusting(&idp).revocation_list(list.clone());
    assert_eq!(allocations(server(), || get_with("/", &token), 200), insert(), "an empty list");
    list.revoke_subject("https://id.test/", "bob", SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40));
    list.revoke_session("https://id.test/", "s1");
    list.revoke_jti("https://id.test/", "j1");
    assert_eq!(allocations(server(), || get_with("/", &token), 200), insert(), "a list");
    assert_eq!(
        allocations(server().check(Yes("one")).check(Yes("two")), || get_with("/", &token), 200),
        insert(),
        "and checks"
    );
    // the hashes, and what holds them with the list; what makes them is not Rust's allocator's business
    let cold = allocations(server().token_cache(0), || get_with("/", &token), 200);
    assert!(cold <= insert() + 3 + 4, "{cold}");
}

#[test]
fn a_known_opaque_token_costs_no_allocation_but_that_of_the_extensions() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let endpoint = Endpoint::of_alice();
    for (n, revocations) in [None, Some(RevocationList::new(Duration::from_secs(3600)))].into_iter().enumerate() {
        let server = endpoint.server(|introspection| introspection);
        let server = revocations.into_iter().fold(server, ResourceServerBuilder::revocation_list).build().unwrap();
        runtime.block_on(server.authenticate("good-1")).unwrap();
        let layer = BearerAuthLayer::new(server);
        assert_eq!(allocations_behind(&layer, || get_with("/", "good-1"), 200), insert());
        assert_eq!(endpoint.calls(), n + 1);
    }
}

#[test]
fn a_proof_allocates_little() {
    let (idp, key) = (Idp::new("https://id.test/"), ProofKey::new());
    let token = idp.token("alice").bound_to(&key).sign();
    let proof = |name: &str| key.proof("GET", "https://api.test/").token(&token).claim("jti", name).sign();
    let server = || {
        let keys = StaticKeys::jwks(&idp.jwks().to_string()).unwrap();
        let issuer = (Issuer::new(idp.issuer()).accept_dpop(), keys);
        ResourceServer::new("https://api.test").trust(issuer).public_origin("https://api.test")
    };
    let names = std::cell::Cell::new(0);
    let request = || {
        names.set(names.get() + 1);
        let proof = proof(&names.get().to_string());
        Request::get("/").header("authorization", format!("DPoP {token}")).header("dpop", proof)
    };
    // what is taken apart, what stands in the request for layers inside, and room in the store now and then
    let count = allocations(server(), || request().body(Body::empty()).unwrap(), 200);
    assert!(count <= insert() + 6, "{count}");
}

#[test]
fn rules_cost_no_allocation() {
    let idp = Idp::new("https://id.test/");
    let token = idp.token("alice").scope("orders:read").sign();
    let rules = AuthzRules::new()
        .route(Method::GET, "/health", Access::Public)
        .route(Method::GET, "/customers/{customer}/orders/{order}", Rule::scope("orders:read"))
        .route(Method::GET, "/files/{*rest}", Access::Authenticated)
        .build()
        .unwrap();
    let layer = BearerAuthLayer::new(trusting(&idp).build().unwrap()).authorize(rules).unwrap();
    for path in ["/customers/7/orders/8", "/files/7/8"] {
        assert_eq!(allocations_behind(&layer, || get_with(path, &token), 200), insert(), "{path}");
    }
}

#[test]
fn a_reject_that_does_not_read_the_request_costs_no_allocation() {
    let idp = Idp::new("https://id.test/");
    let token = idp.token("alice").sign();
    let layer = BearerAuthLayer::new(trusting(&idp).build().unwrap()).reject_with(ProblemJson::default());
    assert_eq!(allocations_behind(&layer, || get_with("/", &token), 200), insert());
}

#[test]
fn refusals_allocate_little() {
    let idp = Idp::new("https://id.test/");
    let expired = idp.token("alice").expired().sign();
    let refusal = |authorization: &[&str]| allocations(trusting(&idp), || support::get("/", authorization), 401);
    // the error, its label for metrics, the challenge, and two for the headers that it goes into
    let least = insert() + 5;
    assert_eq!(refusal(&[]), least);
    assert!(refusal(&["Bearer garbage.garbage.garbage"]) <= least + 1);
    // taken apart, and told to the operator with the number of seconds
    assert!(refusal(&[&format!("Bearer {expired}")]) <= least + 3);
}
