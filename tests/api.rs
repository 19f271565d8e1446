//! The public types keep their promises: threads, sizes, and one way to make an access token.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Debug;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use tower_bearer::checks::{Denied, OnUnavailable};
use tower_bearer::claims::{Claim, ClaimValue, Roles, Scopes, Segment};
use tower_bearer::config::ResourceServerBuilder;
use tower_bearer::credential::RequestHead;
use tower_bearer::dpop::{InMemoryReplayStore, Nonces, ProofUse, RedisReplayStore, Secret};
use tower_bearer::keys::{
    Algorithm, FetchError, FetchedKeys, IssuerStatus, KeyError, NotAKeySet, StaticKeys, UnknownAlgorithm,
};
use tower_bearer::logout::{LogoutReceiver, LogoutToken};
use tower_bearer::middleware::BearerAuth;
use tower_bearer::reject::Rejection;
use tower_bearer::revocation::{Entry, RevocationList};
use tower_bearer::testing::{Idp, IdpService, ManualClock, TokenBuilder};
use tower_bearer::trust::Trust;
use tower_bearer::{
    AccessToken, BearerAuthLayer, ConfigError, Error, ErrorKind, Issuer, Require, RequireLayer, ResourceServer, Rule,
};

tower_bearer::permissions! { ReadOrders = scope("orders:read"); }

struct NotDebug;

#[test]
fn public_types_can_be_sent_and_shared_and_shown() {
    fn shared<T: ?Sized + Send + Sync + Unpin + Debug>() {}
    shared::<AccessToken>();
    shared::<AccessToken<NotDebug>>();
    shared::<Algorithm>();
    shared::<BearerAuth<(), NotDebug>>();
    shared::<BearerAuthLayer<NotDebug>>();
    shared::<Claim>();
    shared::<ClaimValue>();
    shared::<ConfigError>();
    shared::<InMemoryReplayStore>();
    shared::<Nonces>();
    shared::<ProofUse>();
    shared::<RedisReplayStore>();
    shared::<Secret>();
    shared::<Error>();
    shared::<ErrorKind>();
    shared::<FetchError>();
    shared::<FetchedKeys>();
    shared::<Idp>();
    shared::<IdpService>();
    shared::<Issuer>();
    shared::<KeyError>();
    shared::<IssuerStatus>();
    shared::<ManualClock>();
    shared::<Rejection>();
    shared::<RequestHead<'static>>();
    shared::<RevocationList>();
    shared::<LogoutReceiver<NotDebug>>();
    shared::<LogoutToken>();
    shared::<Entry>();
    shared::<Denied>();
    shared::<OnUnavailable>();
    shared::<Require<ReadOrders, NotDebug>>();
    shared::<RequireLayer>();
    shared::<ResourceServer<NotDebug>>();
    shared::<ResourceServerBuilder<NotDebug>>();
    shared::<Roles>();
    shared::<Rule>();
    shared::<Scopes>();
    shared::<StaticKeys>();
    shared::<TokenBuilder>();
    shared::<Trust>();
}

#[test]
fn errors_are_errors_and_small() {
    fn error<T: std::error::Error + Send + Sync + UnwindSafe + RefUnwindSafe + 'static>() {}
    error::<ConfigError>();
    error::<Error>();
    error::<KeyError>();
    error::<NotAKeySet>();
    error::<UnknownAlgorithm>();
    assert_eq!(size_of::<Error>(), size_of::<usize>());
    assert_eq!(size_of::<Option<AccessToken<()>>>(), size_of::<usize>());
}

#[test]
fn the_future_of_a_known_key_is_hardly_larger_than_the_inner_one() {
    type Inner = tower::util::ServiceFn<fn(http::Request<()>) -> std::future::Ready<Result<http::Response<()>, ()>>>;
    type Outer = BearerAuth<Inner>;
    let inner = size_of::<<Inner as tower::Service<http::Request<()>>>::Future>();
    let outer = size_of::<<Outer as tower::Service<http::Request<()>>>::Future>();
    assert!(outer <= inner.max(size_of::<http::Response<()>>()) + 2 * size_of::<usize>(), "{inner} -> {outer}");
}

#[test]
fn empty_names_and_paths_of_the_callers_choice_are_refused() {
    let path = |issuer: Issuer| {
        let error = ResourceServer::new("https://api.test").trust(issuer).build().unwrap_err();
        error.problems().iter().map(|problem| problem.path().to_owned()).collect::<Vec<_>>()
    };
    let issuer = || Issuer::new("https://id.test/");
    let by_claim = || Segment::value_of("tenant");
    for (issuer, field) in [
        (issuer().accept_absent_aud_if("", ["a"]), "accept_absent_aud_if"),
        (issuer().accept_absent_aud_if("a", [""; 0]), "accept_absent_aud_if"),
        (issuer().accept_absent_aud_if("a", [""]), "accept_absent_aud_if"),
        (issuer().accept_absent_aud_if("a", ["b"]).dangerously_accept_absent_aud(), "dangerously_accept_absent_aud"),
        (issuer().client_claim(""), "client_claim"),
        (issuer().max_stale(Duration::from_secs(24 * 60 * 60 + 1)), "max_stale"),
        (issuer().max_stale(Duration::MAX), "max_stale"),
        (issuer().only_clients(["a", ""]), "only_clients"),
        (issuer().require(Claim::at([""])), "require"),
        (issuer().require(Claim::at(["a", ""]).equals("a")), "require"),
        (issuer().require(Claim::at([by_claim()])), "require"),
        (issuer().require(Claim::absent(["a"]).equals(1)), "require"),
        (issuer().require(Claim::absent(["a"])).require(Claim::at(["a"])), "require"),
        (issuer().require(Claim::at(["a"]).one_of([""; 0])), "require"),
        (issuer().only_types([""]), "only_types"),
        (issuer().roles(Roles::at(["a", ""])), "roles"),
        (issuer().roles(Roles::at([by_claim(), "roles".into()])), "roles"),
        (issuer().roles(Roles::at(["a"; 9])), "roles"),
        (issuer().roles(Roles::at(["a"]).only_granted_in("")), "roles"),
        (issuer().scopes(Scopes::at([Segment::from("a"), Segment::value_of("")])), "scopes"),
        (issuer().scopes(Scopes::default().only_with_prefix("a b")), "scopes"),
        (issuer().scopes(Scopes::default().only_with_prefix("a\"")), "scopes"),
        (issuer().scopes(Scopes::default().only_with_prefix("a\n")), "scopes"),
        (issuer().rfc9068().only_types(["JWT"]), "rfc9068"),
        (issuer().rfc9068().require(Claim::absent(["jti"])), "require"),
    ] {
        assert_eq!(path(issuer), [format!("issuers[https://id.test/].{field}")]);
    }
    let profile = [Issuer::duende("https://id.test").rfc9068(), Issuer::kanidm("https://id.test", "a").rfc9068()];
    // the second takes the place of what the preset says
    let narrowed = Issuer::descope("P2abc").accept_absent_aud_if("azp", ["a"]);
    let a_day = issuer().max_stale(Duration::from_secs(24 * 60 * 60));
    for issuer in profile.into_iter().chain([narrowed, a_day]) {
        assert!(ResourceServer::new("https://api.test").trust(issuer).build().is_ok());
    }
}

#[test]
fn a_wrong_configuration_is_refused_as_a_whole_with_each_place_and_fix() {
    let error = ResourceServer::new("")
        .add_audience("é")
        .realm("line\nbreak")
        .trust(Issuer::new(""))
        .trust(Issuer::new("http://id.test/"))
        .trust(Issuer::new("https://id.test/").only_algorithms([Algorithm::Hs256]).leeway(Duration::from_secs(301)))
        .trust(Issuer::new("https://empty.test/").only_algorithms([]))
        .trust(Issuer::new("https://typed.test/").rfc9068().only_types(["x"]))
        .trust(Issuer::new("https://paths.test/").roles(Roles::at([""; 0])).scopes(Scopes::at(["scp"]).and([""; 0])))
        .trust(Issuer::new("https://any.test/").dangerously_accept_any_aud().accept_absent_aud_if("azp", ["a"]))
        .trust(Issuer::new("https://both.test/").dangerously_accept_any_aud().only_audiences(["x"]))
        .trust(Issuer::new("https://none.test/").only_clients([""; 0]).max_age(Duration::ZERO))
        .trust(Issuer::new("https://twice.test/"))
        .trust((Issuer::new("https://twice.test/"), Idp::new("https://twice.test/")))
        .trust((Issuer::new("https://moved.test/").jwks_uri("https://x.test"), Idp::new("https://moved.test/")))
        .trust((
            Issuer::new("https://secret.test/").only_algorithms([Algorithm::Es256]),
            StaticKeys::hmac(Algorithm::Hs256, &[7; 32]).unwrap(),
        ))
        .build()
        .unwrap_err();
    let paths: Vec<_> = error.problems().iter().map(|problem| problem.path()).collect();
    assert_eq!(
        paths,
        [
            "audience",
            "realm",
            "issuers[].id",
            "issuers[http://id.test/].id",
            "issuers[https://id.test/].leeway",
            "issuers[https://id.test/].only_algorithms",
            "issuers[https://empty.test/].only_algorithms",
            "issuers[https://typed.test/].rfc9068",
            "issuers[https://paths.test/].roles",
            "issuers[https://paths.test/].scopes",
            "issuers[https://any.test/].dangerously_accept_any_aud",
            "issuers[https://both.test/].dangerously_accept_any_aud",
            "issuers[https://none.test/].only_clients",
            "issuers[https://none.test/].max_age",
            "issuers[https://twice.test/]",
            "issuers[https://moved.test/].jwks_uri",
            "issuers[https://secret.test/].only_algorithms",
        ]
    );
    assert!(error.problems().iter().all(|problem| !problem.message().is_empty()));
    let error = ResourceServer::new("https://api.test").build().unwrap_err();
    assert_eq!(error.to_string(), "issuers: no issuer is trusted, so no token could ever be accepted; call trust");
}

#[tokio::test]
async fn debug_of_what_users_hold_shows_no_token_and_no_claim() {
    let idp = Idp::new("https://id.test/");
    let server = ResourceServer::new("https://api.test").trust(&idp).build().unwrap();
    let text = idp.token("s3cr3t").scope("s3cr3t-scope").sign();
    let token = server.authenticate(&text).await.unwrap();
    let layer = BearerAuthLayer::new(server.clone());
    let require =
        Require::<ReadOrders, ()>::new(server.authenticate(&idp.token("a").scope("orders:read").sign()).await.unwrap());
    let shown =
        format!("{token:?} {server:?} {layer:?} {require:?} {idp:?} {:?} {:?}", idp.token("s3cr3t"), token.erase());
    assert!(!shown.contains("s3cr3t") && !shown.contains("eyJ"), "{shown}");
}

#[test]
fn the_tests_that_answer_wishes_exist() {
    let page = include_str!("../src/guide/wishes.md");
    let named = page.split('`').filter(|text| text.contains("::") && text.chars().next().unwrap().is_lowercase());
    let named: Vec<_> = named
        .filter(|text| {
            !text.contains(|char: char| char == '.' || char == ' ' || char.is_uppercase()) && *text != "file::name"
        })
        .collect();
    assert!(named.len() > 25, "{named:?}");
    for test in named {
        let (file, name) = test.split_once("::").unwrap();
        let files = ["tests/{}.rs", "tests/{}/hosted.rs"].map(|path| path.replace("{}", file));
        let text: String = files.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect();
        assert!(text.contains(&format!("fn {name}(")), "{test}");
    }
    assert_eq!(page.lines().filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit()).count(), 27);
}

#[tokio::test]
async fn a_server_that_is_asked_for_no_claims_reads_none() {
    let idp = Idp::new("https://id.test/");
    let server: ResourceServer = ResourceServer::new("https://api.test").trust(&idp).claims::<()>().build().unwrap();
    assert!(server.authenticate(&idp.token("alice").sign()).await.is_ok());
}
