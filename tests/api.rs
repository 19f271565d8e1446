//! The public types keep their promises: threads, sizes, and one way to make an access token.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Debug;
use std::panic::{RefUnwindSafe, UnwindSafe};

use tower_bearer::testing::{Idp, IdpService, ManualClock, TokenBuilder};
use tower_bearer::{
    AccessToken, Algorithm, BearerAuth, BearerAuthLayer, ConfigError, Error, ErrorKind, FetchError, FetchedKeys,
    Issuer, IssuerStatus, KeyError, Rejection, Require, RequireLayer, ResourceServer, ResourceServerBuilder, Roles,
    Rule, Scopes, StaticKeys, Trust,
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
    shared::<ConfigError>();
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
fn a_wrong_configuration_is_refused_as_a_whole_with_each_place_and_fix() {
    let error = ResourceServer::new("")
        .audience("é")
        .realm("line\nbreak")
        .trust(Issuer::new(""))
        .trust(Issuer::new("http://id.test/"))
        .trust(
            Issuer::new("https://id.test/").algorithms([Algorithm::Hs256]).leeway(std::time::Duration::from_secs(301)),
        )
        .trust(Issuer::new("https://empty.test/").algorithms([]))
        .trust(Issuer::new("https://typed.test/").rfc9068().accept_typ("x"))
        .trust(Issuer::new("https://paths.test/").roles(Roles::at([""; 0])).scopes(Scopes::at(["scp"]).and([""; 0])))
        .trust(Issuer::new("https://twice.test/"))
        .trust((Issuer::new("https://twice.test/"), Idp::new("https://twice.test/")))
        .trust((Issuer::new("https://moved.test/").jwks_uri("https://x.test"), Idp::new("https://moved.test/")))
        .trust((
            Issuer::new("https://secret.test/").algorithms([Algorithm::Es256]),
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
            "issuers[https://id.test/].algorithms",
            "issuers[https://empty.test/].algorithms",
            "issuers[https://typed.test/].rfc9068",
            "issuers[https://paths.test/].roles",
            "issuers[https://paths.test/].scopes",
            "issuers[https://twice.test/]",
            "issuers[https://moved.test/].jwks_uri",
            "issuers[https://secret.test/].algorithms",
        ]
    );
    assert!(error.problems().iter().all(|problem| !problem.message().is_empty()));
    let error = ResourceServer::new("https://api.test").build().unwrap_err();
    assert_eq!(error.to_string(), "issuers: no issuer is trusted, so no token could ever be accepted; call trust");
}

#[test]
fn keys_in_pem_are_read_by_type_and_only_public_ones() {
    // RFC 8410 §10.1, and keys made with openssl for this test
    let ed = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    assert!(StaticKeys::pem(Algorithm::Ed25519, ed).is_ok());
    assert!(StaticKeys::pem(Algorithm::Ed25519, &format!("\n{ed}\n")).is_ok());
    assert!(matches!(StaticKeys::pem(Algorithm::Es256, ed), Err(KeyError::OtherAlgorithm(Algorithm::Es256))));
    assert!(matches!(StaticKeys::pem(Algorithm::Hs256, ed), Err(KeyError::OtherAlgorithm(_))));
    let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    for text in [private, "", "garbage", &ed[..80], &ed.replace("MCow", "MDow")] {
        assert!(matches!(StaticKeys::pem(Algorithm::Ed25519, text), Err(KeyError::NotAPublicKey)), "{text}");
    }
    for document in ["", "[]", "{}"] {
        assert!(matches!(StaticKeys::jwks(document), Err(KeyError::NotAKeySet)));
    }
    let error = StaticKeys::jwks(r#"{"keys":[{"kty":"oct","k":"AAAA","kid":"a"}]}"#).unwrap_err();
    assert!(error.to_string().contains("\"a\"") && error.to_string().contains("symmetric"), "{error}");
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
