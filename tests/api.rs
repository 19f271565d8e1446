//! The public types keep their promises: threads, sizes, and one way to make an access token.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Debug;
use std::panic::{RefUnwindSafe, UnwindSafe};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use tower_bearer::testing::{Idp, IdpService, ManualClock, TokenBuilder};
use tower_bearer::{
    AccessToken, Algorithm, BearerAuth, BearerAuthLayer, ConfigError, Error, ErrorKind, FetchError, FetchedKeys,
    Issuer, IssuerStatus, KeyError, Rejection, RequestHead, Require, RequireLayer, ResourceServer,
    ResourceServerBuilder, Roles, Rule, Scopes, Segment, SkipReason, StaticKeys, Trust,
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
    shared::<RequestHead<'static>>();
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
fn empty_names_and_paths_of_the_callers_choice_are_refused() {
    let path = |issuer: Issuer| {
        let error = ResourceServer::new("https://api.test").trust(issuer).build().unwrap_err();
        error.problems().iter().map(|problem| problem.path().to_owned()).collect::<Vec<_>>()
    };
    let issuer = || Issuer::new("https://id.test/");
    let by_claim = || Segment::value_of("tenant");
    for (issuer, field) in [
        (issuer().audience_claim("", ["a"]), "audience_claim"),
        (issuer().audience_claim("a", [""; 0]), "audience_claim"),
        (issuer().audience_claim("a", [""]), "audience_claim"),
        (issuer().client_claim(""), "client_claim"),
        (issuer().allow_clients(["a", ""]), "allow_clients"),
        (issuer().require_claims([""]), "require_claims"),
        (issuer().require_claim_value("", "a"), "require_claim_value"),
        (issuer().forbid_claims([""]), "forbid_claims"),
        (issuer().accept_typ(""), "accept_typ"),
        (issuer().roles(Roles::at(["a", ""])), "roles"),
        (issuer().roles(Roles::at([by_claim(), "roles".into()])), "roles"),
        (issuer().roles(Roles::at(["a"]).granted_in("")), "roles"),
        (issuer().scopes(Scopes::at([Segment::from("a"), Segment::value_of("")])), "scopes"),
        (issuer().scopes(Scopes::default().with_prefix("a b")), "scopes"),
        (issuer().scopes(Scopes::default().with_prefix("a\"")), "scopes"),
        (issuer().scopes(Scopes::default().with_prefix("a\n")), "scopes"),
        (issuer().rfc9068().accept_typ("JWT"), "rfc9068"),
    ] {
        assert_eq!(path(issuer), [format!("issuers[https://id.test/].{field}")]);
    }
    let profile = [Issuer::duende("https://id.test").rfc9068(), Issuer::kanidm("https://id.test", "a").rfc9068()];
    for issuer in profile {
        assert!(ResourceServer::new("https://api.test").trust(issuer).build().is_ok());
    }
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
        .trust(Issuer::new("https://any.test/").dangerously_accept_any_audience().audience_claim("azp", ["a"]))
        .trust(Issuer::new("https://both.test/").dangerously_accept_any_audience().audience("x"))
        .trust(Issuer::new("https://none.test/").allow_clients([""; 0]).max_age(std::time::Duration::ZERO))
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
            "issuers[https://any.test/].audience",
            "issuers[https://both.test/].audience",
            "issuers[https://none.test/].allow_clients",
            "issuers[https://none.test/].max_age",
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

/// DER: a tag, a length and the content.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len()).unwrap().to_be_bytes();
    let header = match content.len() {
        0..=127 => vec![tag, len[1]],
        128..=255 => vec![tag, 0x81, len[1]],
        _ => vec![tag, 0x82, len[0], len[1]],
    };
    [header, content.to_vec()].concat()
}

fn pem(label: &str, der: &[u8]) -> String {
    let lines: Vec<_> =
        STANDARD.encode(der).as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// The key of a JWK as PEM blocks: a SubjectPublicKeyInfo, and for RSA a PKCS #1 key too.
fn pems(jwk: &serde_json::Value) -> Vec<String> {
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let spki = |algorithm: &[u8], key: &[u8]| {
        let bits = der(0x03, &[&[0], key].concat());
        pem("PUBLIC KEY", &der(0x30, &[der(0x30, algorithm), bits].concat()))
    };
    let oid = |bytes: &[u8]| der(0x06, bytes);
    let ec = oid(&[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01]);
    let point = || [&[4], &*bytes("x"), &bytes("y")].concat();
    match jwk["crv"].as_str() {
        Some("P-256") => vec![spki(&[ec, oid(&[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07])].concat(), &point())],
        Some("P-384") => vec![spki(&[ec, oid(&[0x2B, 0x81, 0x04, 0x00, 0x22])].concat(), &point())],
        Some(_) => vec![spki(&oid(&[0x2B, 0x65, 0x70]), &bytes("x"))],
        None => {
            let number = |name| der(0x02, &[&[0], &*bytes(name)].concat());
            let exponent = der(0x02, &bytes("e"));
            let key = der(0x30, &[number("n"), exponent].concat());
            let rsa = [oid(&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01]), vec![5, 0]].concat();
            vec![spki(&rsa, &key), pem("RSA PUBLIC KEY", &key)]
        }
    }
}

#[tokio::test]
async fn a_key_in_pem_verifies_what_its_issuer_signs_whatever_the_kid() {
    let algorithms = [Algorithm::Rs256, Algorithm::Ps512, Algorithm::Es256, Algorithm::Es384, Algorithm::Ed25519];
    let idp = Idp::with_algorithms("https://id.test/", &algorithms);
    for (algorithm, jwk) in algorithms.into_iter().zip(idp.jwks()["keys"].as_array().unwrap()) {
        for text in pems(jwk) {
            let keys = StaticKeys::pem(algorithm, &text).unwrap();
            let trust = (Issuer::new("https://id.test/"), keys);
            let server = ResourceServer::new("https://api.test").trust(trust).build().unwrap();
            let token = idp.token_signed_with(algorithm, "alice");
            assert!(server.authenticate(&token.sign()).await.is_ok(), "{algorithm}");
            assert!(server.authenticate(&token.clone().header("kid", "other").sign()).await.is_ok(), "{algorithm}");
            assert!(server.authenticate(&token.clone().without_header("kid").sign()).await.is_ok(), "{algorithm}");
            let forged = server.authenticate(&token.wrong_key().sign()).await.unwrap_err();
            assert_eq!(forged.kind(), ErrorKind::BadSignature, "{algorithm}");
            let other = if algorithm == Algorithm::Es256 { Algorithm::Es384 } else { Algorithm::Es256 };
            assert!(matches!(StaticKeys::pem(other, &text), Err(KeyError::OtherAlgorithm(_))), "{algorithm}");
        }
    }
    let weak = serde_json::json!({ "n": URL_SAFE_NO_PAD.encode([0xff; 128]), "e": "AQAB" });
    let weak = StaticKeys::pem(Algorithm::Rs256, &pems(&weak)[0]).unwrap_err();
    assert!(matches!(weak, KeyError::Unusable(SkipReason::WeakModulus)), "{weak}");
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
    assert_eq!(page.lines().filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit()).count(), 23);
}

#[tokio::test]
async fn a_server_that_is_asked_for_no_claims_reads_none() {
    let idp = Idp::new("https://id.test/");
    let server: ResourceServer = ResourceServer::new("https://api.test").trust(&idp).claims::<()>().build().unwrap();
    assert!(server.authenticate(&idp.token("alice").sign()).await.is_ok());
}
