//! The known bug classes of JWT middleware, each as an attack that must fail. What needs time or floods stands in
//! `rotation.rs`, what needs a hostile key server in `fetch.rs`, the grammar of headers in `http.rs`.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::routing::get as route;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Request;
use proptest::prelude::*;
use serde_json::{Value, json};
use support::kind;
use support::{get, send};
use tokio::net::TcpListener;
use tower_bearer::credential::TokenSource;
use tower_bearer::keys::{Algorithm, StaticKeys};
use tower_bearer::testing::{Idp, ManualClock};
use tower_bearer::{AccessToken, BearerAuthLayer, Error, ErrorKind, Issuer, ResourceServer};

const API: &str = "https://api.test";

/// A server that knows the issuer's keys from the start, so that nothing has to be awaited.
fn world(algorithms: &[Algorithm]) -> (Idp, ResourceServer) {
    let idp = Idp::with_algorithms("https://id.test/", algorithms);
    let keys = StaticKeys::jwks(&idp.jwks().to_string()).unwrap();
    let server = ResourceServer::new(API).trust((Issuer::new("https://id.test/"), keys)).build().unwrap();
    (idp, server)
}

#[tokio::test]
async fn an_unsigned_token_is_refused_however_none_is_spelled() {
    let (idp, server) = world(&[Algorithm::Es256]);
    for none in ["none", "None", "NONE", "nOnE"] {
        let token = idp.token("mallory").unsigned().header("alg", none).sign();
        assert_eq!(kind(&server, &token).await, Some(ErrorKind::UnsupportedAlgorithm), "{none}");
        assert_eq!(kind(&server, token.trim_end_matches('.')).await, Some(ErrorKind::MalformedToken));
    }
    let stripped = idp.token("mallory").sign();
    let (head, _) = stripped.rsplit_once('.').unwrap();
    assert_eq!(kind(&server, &format!("{head}.")).await, Some(ErrorKind::BadSignature));
}

#[tokio::test]
async fn a_public_key_never_serves_as_a_shared_secret() {
    let (idp, server) = world(&[Algorithm::Es256, Algorithm::Rs256, Algorithm::Ed25519]);
    for jwk in idp.jwks()["keys"].as_array().unwrap() {
        let text = jwk.to_string();
        let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().or_else(|| jwk["x"].as_str()).unwrap()).unwrap();
        let kid = jwk["kid"].as_str().unwrap();
        for secret in [text.as_bytes(), format!(" {text}").as_bytes(), format!("{text}\n").as_bytes(), &modulus, b""] {
            for algorithm in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
                let token = idp.token("mallory").secret(algorithm, secret).header("kid", kid).sign();
                assert_eq!(kind(&server, &token).await, Some(ErrorKind::UnsupportedAlgorithm));
            }
        }
    }
}

#[tokio::test]
async fn a_symmetric_key_in_a_published_set_is_no_key() {
    let idp = Idp::new("https://id.test/");
    idp.publish(json!({ "kty": "oct", "kid": "shared", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode([7; 32]) }));
    let server = ResourceServer::new(API).trust(&idp).build().unwrap();
    let token = idp.token("mallory").secret(Algorithm::Hs256, &[7; 32]).header("kid", "shared").sign();
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::UnsupportedAlgorithm));
    assert!(server.ready().await.is_ok());
    let status = &server.status()[0];
    assert_eq!(status.skipped[0].kid.as_deref(), Some("shared"));
}

#[tokio::test]
async fn a_key_is_used_only_with_its_own_algorithm() {
    let (idp, server) = world(&[Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256]);
    let kid = |algorithm| {
        let keys = idp.jwks();
        let key = keys["keys"].as_array().unwrap().iter().find(|key| key["alg"] == algorithm).unwrap().clone();
        key["kid"].as_str().unwrap().to_owned()
    };
    // the signature of one key, in the name of another, with either alg
    for (signer, alg, named) in [
        (Algorithm::Rs256, "PS256", "RS256"),
        (Algorithm::Ps256, "RS256", "PS256"),
        (Algorithm::Rs256, "RS384", "RS256"),
        (Algorithm::Rs256, "ES256", "RS256"),
    ] {
        let token = idp.token_signed_with(signer, "mallory").header("alg", alg).header("kid", kid(named)).sign();
        assert_eq!(kind(&server, &token).await, Some(ErrorKind::UnsupportedAlgorithm), "{alg} with the key of {named}");
    }
    let token = idp.token_signed_with(Algorithm::Rs256, "mallory").header("kid", kid("PS256")).sign();
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::UnsupportedAlgorithm));
    let token =
        idp.token_signed_with(Algorithm::Ps256, "mallory").header("alg", "RS256").header("kid", kid("RS256")).sign();
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::BadSignature));
}

#[tokio::test]
async fn a_token_cannot_bring_its_own_key_or_have_one_fetched() {
    let hits = Arc::new(AtomicU64::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let evil = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::clone(&hits);
    let app = Router::new().fallback(async move || {
        count.fetch_add(1, Ordering::SeqCst);
        "{\"keys\":[]}"
    });
    tokio::spawn(axum::serve(listener, app).into_future());

    let (_, server) = world(&[Algorithm::Es256]);
    let mallory = Idp::new("https://id.test/");
    let jwk = mallory.jwks()["keys"][0].clone();
    let good_kid = "es256-1";
    let headers = [
        ("jwk", jwk.clone()),
        ("jku", json!(format!("{evil}/jwks"))),
        ("x5u", json!(format!("{evil}/cert"))),
        ("x5c", json!(["MIIB"])),
        ("kid", json!(format!("{evil}/key"))),
        ("kid", json!("../../../../dev/null")),
        ("kid", json!("' OR 1=1 --")),
        ("kid", json!("\u{0}")),
        ("kid", json!("k".repeat(2_000))),
    ];
    for (name, value) in headers {
        let forged = mallory.token("mallory").header("kid", good_kid).header(name, value.clone()).sign();
        let expected = if name == "kid" { ErrorKind::UnknownKey } else { ErrorKind::BadSignature };
        assert_eq!(kind(&server, &forged).await, Some(expected), "{name}");
    }
    assert_eq!(hits.load(Ordering::SeqCst), 0, "nothing that a token names is fetched");
}

#[tokio::test]
async fn each_byte_of_a_signature_counts() {
    let (idp, server) = world(&[Algorithm::Es256, Algorithm::Ed25519, Algorithm::Rs256]);
    for algorithm in [Algorithm::Es256, Algorithm::Ed25519, Algorithm::Rs256] {
        let token = idp.token_signed_with(algorithm, "alice").sign();
        let (head, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        for index in 0..signature.len() {
            let mut forged = signature.clone();
            forged[index] ^= 0x01;
            let forged = format!("{head}.{}", URL_SAFE_NO_PAD.encode(forged));
            assert_eq!(kind(&server, &forged).await, Some(ErrorKind::BadSignature), "{algorithm}, byte {index}");
        }
        for forged in
            [vec![0; signature.len()], vec![0; 64 * 64], signature[1..].to_vec(), [&*signature, &[0]].concat()]
        {
            let forged = format!("{head}.{}", URL_SAFE_NO_PAD.encode(forged));
            assert_eq!(kind(&server, &forged).await, Some(ErrorKind::BadSignature));
        }
    }
}

#[tokio::test]
async fn the_signature_covers_the_header_and_the_claims_as_they_were_sent() {
    let (idp, server) = world(&[Algorithm::Es256]);
    let (alice, mallory) = (idp.token("alice").sign(), idp.token("mallory").role("admin").sign());
    let parts = |token: &str| token.split('.').map(ToOwned::to_owned).collect::<Vec<_>>();
    let (a, m) = (parts(&alice), parts(&mallory));
    let crossed = format!("{}.{}.{}", a[0], m[1], a[2]);
    assert_eq!(kind(&server, &crossed).await, Some(ErrorKind::BadSignature));
    // the same claims, encoded anew with white space
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(&a[1]).unwrap()).unwrap();
    let pretty = URL_SAFE_NO_PAD.encode(serde_json::to_string_pretty(&claims).unwrap());
    assert_eq!(kind(&server, &format!("{}.{pretty}.{}", a[0], a[2])).await, Some(ErrorKind::BadSignature));
}

#[tokio::test]
async fn a_token_of_another_kind_is_no_access_token() {
    let (idp, server) = world(&[Algorithm::Es256]);
    for typ in ["dpop+jwt", "logout+jwt", "token-introspection+jwt", "statuslist+jwt", "secevent+jwt", "JOSE", "ID"] {
        let token = idp.token("alice").header("typ", typ).sign();
        assert_eq!(kind(&server, &token).await, Some(ErrorKind::WrongType), "{typ}");
    }
    // an ID token's audience is the client
    let id_token = idp.token("alice").without_header("typ").audience("test-client").claim("nonce", "n").sign();
    assert_eq!(kind(&server, &id_token).await, Some(ErrorKind::WrongAudience));
}

#[tokio::test]
async fn members_that_appear_twice_are_refused_wherever_they_stand() {
    let (idp, server) = world(&[Algorithm::Es256]);
    let claims = |extra: &str| {
        let text = Value::Object(idp.token("alice").claims().clone()).to_string();
        format!("{}{extra}}}", text.strip_suffix('}').unwrap())
    };
    for extra in [
        r#","iss":"https://id.test/""#,
        r#","aud":"https://evil.test""#,
        r#","\u0061ud":"https://evil.test""#,
        r#","realm_access":{"roles":[],"roles":["admin"]}"#,
        r#","cnf":{"jkt":"a","jkt":"b"}"#,
    ] {
        let token = idp.token("alice").raw_claims(claims(extra)).sign();
        assert_eq!(kind(&server, &token).await, Some(ErrorKind::MalformedToken), "{extra}");
    }
    assert_eq!(kind(&server, &idp.token("alice").raw_claims(claims("")).sign()).await, None);
    let header = r#"{"alg":"ES256","kid":"es256-1","alg":"ES256"}"#;
    assert_eq!(kind(&server, &idp.token("alice").raw_header(header).sign()).await, Some(ErrorKind::MalformedToken));
}

#[tokio::test]
async fn critical_extensions_and_detached_payloads_are_refused() {
    let (idp, server) = world(&[Algorithm::Es256]);
    for crit in [json!(["exp"]), json!(["b64"]), json!([]), json!("b64"), json!(null), json!({}), json!([1])] {
        let token = idp.token("alice").header("crit", crit.clone()).sign();
        assert_eq!(kind(&server, &token).await, Some(ErrorKind::CriticalHeader), "{crit}");
    }
    for b64 in [json!(false), json!(true), json!("false")] {
        let token = idp.token("alice").header("b64", b64).sign();
        assert_eq!(kind(&server, &token).await, Some(ErrorKind::CriticalHeader));
    }
}

#[tokio::test]
async fn issuers_differ_by_a_single_byte_and_arrays_are_none() {
    let (idp, server) = world(&[Algorithm::Es256]);
    for issuer in [
        json!("https://id.test"),
        json!("https://id.test//"),
        json!("HTTPS://id.test/"),
        json!("https://id.test/ "),
        json!("https://id.test/\u{0}"),
        json!("https://id.test.evil.test/"),
        json!("https://ıd.test/"),
    ] {
        assert_eq!(kind(&server, &idp.token("a").issuer(issuer).sign()).await, Some(ErrorKind::UnknownIssuer));
    }
    for issuer in [json!(["https://id.test/"]), json!({"a": 1}), json!(null), json!(1)] {
        assert_eq!(kind(&server, &idp.token("a").issuer(issuer).sign()).await, Some(ErrorKind::MalformedClaim));
    }
}

#[tokio::test]
async fn a_bomb_is_refused_for_its_size_before_anything_else() {
    let (_, server) = world(&[Algorithm::Es256]);
    for bomb in [".".repeat(1 << 20), "a".repeat(1 << 20), format!("{}.{}.x", "e30".repeat(9_000), "e30")] {
        assert_eq!(kind(&server, &bomb).await, Some(ErrorKind::MalformedRequest));
    }
    let deep = URL_SAFE_NO_PAD.encode("[".repeat(11_000));
    assert_eq!(kind(&server, &format!("e30.{deep}.x")).await, Some(ErrorKind::MalformedToken));
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#);
    assert_eq!(kind(&server, &format!("{header}.{deep}.x")).await, Some(ErrorKind::MalformedToken));
    assert_eq!(kind(&server, &format!("{header}.a.a.a.a")).await, Some(ErrorKind::EncryptedToken));
}

#[tokio::test]
async fn zero_is_a_date_like_any_other() {
    let (idp, server) = world(&[Algorithm::Es256]);
    assert_eq!(kind(&server, &idp.token("alice").claim("exp", 0).sign()).await, Some(ErrorKind::Expired));
    assert_eq!(kind(&server, &idp.token("alice").claim("nbf", 0).sign()).await, None);
}

#[tokio::test]
async fn two_servers_with_other_terms_decide_each_for_itself() {
    let clock = ManualClock::new();
    let idp = Idp::new("https://id.test/").clock(clock.clone());
    let server = |audience: &str| ResourceServer::new(audience).trust(&idp).clock(clock.clone()).build().unwrap();
    let (one, two) = (server("https://one.test"), server("https://two.test"));
    let token = idp.token("alice").audience("https://one.test").sign();
    for _ in 0..3 {
        assert_eq!(kind(&one, &token).await, None);
        assert_eq!(kind(&two, &token).await, Some(ErrorKind::WrongAudience));
    }
    clock.advance(std::time::Duration::from_secs(331));
    assert_eq!(kind(&one, &token).await, Some(ErrorKind::Expired));
}

#[tokio::test]
async fn hostile_text_in_a_token_never_reaches_a_header() {
    let idp = Idp::new("https://id.test/");
    let server = ResourceServer::new(API).trust(&idp).build().unwrap();
    let app = Router::new().route("/", route(async |_: AccessToken| "hello")).layer(BearerAuthLayer::new(server));
    let evil = "x\"\r\nSet-Cookie: a=b, Bearer realm=\"evil\" é";
    for token in [
        idp.token("alice").issuer(evil).sign(),
        idp.token("alice").audience(evil).sign(),
        idp.token("alice").header("kid", evil).sign(),
        idp.token("alice").header("typ", evil).sign(),
        idp.token("alice").header("alg", evil).sign(),
        idp.token("alice").claim("exp", evil).sign(),
        idp.token("alice").raw_claims(evil).sign(),
    ] {
        let response = send(&app, get("/", &[&format!("Bearer {token}")])).await;
        assert_eq!(response.status(), 401);
        let shown = format!("{:?} {:?}", response.headers(), response.extensions().get::<Error>());
        assert!(!shown.contains("evil") && !shown.contains("Set-Cookie"), "{shown}");
        let (_, params) = support::challenge(response.headers()).unwrap();
        assert_eq!(params.keys().collect::<Vec<_>>(), ["error", "error_description", "realm"]);
    }
}

#[tokio::test]
async fn hmac_works_with_its_own_constructor_and_nowhere_else() {
    let secret = [42; 32];
    let keys = StaticKeys::hmac(Algorithm::Hs256, &secret).unwrap();
    let server = ResourceServer::new(API).trust((Issuer::new("https://id.test/"), keys)).build().unwrap();
    let idp = Idp::new("https://id.test/");
    assert_eq!(kind(&server, &idp.token("a").secret(Algorithm::Hs256, &secret).sign()).await, None);
    assert_eq!(
        kind(&server, &idp.token("a").secret(Algorithm::Hs256, &[43; 32]).sign()).await,
        Some(ErrorKind::BadSignature)
    );
    for wrong in [idp.token("a").sign(), idp.token("a").secret(Algorithm::Hs512, &secret).sign()] {
        assert_eq!(kind(&server, &wrong).await, Some(ErrorKind::UnsupportedAlgorithm));
    }
    // every byte of the tag counts
    let token = idp.token("a").secret(Algorithm::Hs256, &secret).sign();
    let (head, tag) = token.rsplit_once('.').unwrap();
    let tag = URL_SAFE_NO_PAD.decode(tag).unwrap();
    for index in 0..tag.len() {
        let mut forged = tag.clone();
        forged[index] ^= 0x80;
        let forged = format!("{head}.{}", URL_SAFE_NO_PAD.encode(forged));
        assert_eq!(kind(&server, &forged).await, Some(ErrorKind::BadSignature));
    }
    assert!(StaticKeys::hmac(Algorithm::Hs256, b"hunter2").is_err());
    assert!(StaticKeys::hmac(Algorithm::Es256, &[7; 64]).is_err());
}

proptest! {
    /// Any header value whatever is answered, never with a panic and never with a 5xx.
    #[test]
    fn any_authorization_header_is_the_callers_fault(value in proptest::collection::vec(0x20_u8..=0xff, 0..400)) {
        prop_assume!(!value.contains(&0x7f));
        let mut request = get("/", &[]);
        request.headers_mut().insert("authorization", value.try_into().unwrap());
        answered(request)?;
    }

    /// The same for the other places that a token may be looked for in.
    #[test]
    fn whatever_stands_in_another_place_is_the_callers_fault(
        protocols in r"((bearer|BEARER|base64url\.bearer\.authorization\.k8s\.io\.|[!-~]{0,9}),? ?){0,5}",
        query in "((access_token=)?[A-Za-z0-9%._~+=-]{0,9}&?){0,4}",
        cookie in r"((t=|t|u=)[!-~]{0,9};? ?){0,3}",
        custom in proptest::collection::vec(0x20_u8..=0x7e, 0..40),
        upgrade in any::<bool>(),
    ) {
        let mut request = get(&format!("/anywhere?{query}"), &[]);
        let kind = if upgrade { ("upgrade", "websocket") } else { ("accept", "text/event-stream") };
        let others = [("sec-websocket-protocol", &*protocols), ("cookie", &cookie), kind, ("origin", "https://api.test")];
        for (name, value) in others.into_iter().chain([("host", "api.test")]) {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        request.headers_mut().insert("x-custom", custom.try_into().unwrap());
        answered(request)?;
    }

    /// The same for what looks like a token.
    #[test]
    fn anything_like_a_token_is_the_callers_fault(
        header in r#"\{"(alg|typ|kid|crit|b64)":("(ES256|none|at\+jwt|[a-z]{0,3})"|[0-9]|null|\[\])(,"(alg|kid)":"(ES256|es256-1)"){0,2}\}"#,
        claims in r#"\{("(iss|aud|exp|sub|nbf)":("https://(id|api)\.test/?"|[0-9]{1,12}|null|\[\]),?){0,5}\}"#,
        signature in "[A-Za-z0-9_-]{0,90}",
        good in any::<bool>(),
    ) {
        // half of them plausible, so that they get as far as the keys
        let exp = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() + 60;
        let plausible = format!(r#"{{"iss":"https://id.test/","aud":"{API}","exp":{exp}}}"#);
        let claims = if good { plausible } else { claims };
        let token = format!("Bearer {}.{}.{signature}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        answered(get("/", &[&token]))?;
    }
}

/// The status of this request is one of 400 and 401.
fn answered(request: Request<Body>) -> Result<(), TestCaseError> {
    // keys that are fetched, so that an outage could be made
    static SERVER: std::sync::LazyLock<(tokio::runtime::Runtime, Router)> = std::sync::LazyLock::new(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = ResourceServer::new(API).trust(&Idp::new("https://id.test/")).build().unwrap();
        let sources = [
            TokenSource::cookie("t"),
            TokenSource::web_socket_protocol(),
            TokenSource::dangerously_query(),
            TokenSource::custom(|head| head.headers().get("x-custom")?.as_bytes().strip_prefix(b"a")),
        ];
        let anywhere = Router::new()
            .route("/anywhere", route(async |_: AccessToken| "hello"))
            .layer(BearerAuthLayer::new(server.clone()).token_sources(sources).unwrap());
        let hello = Router::new().route("/", route(async |_: AccessToken| "hello"));
        (runtime, hello.layer(BearerAuthLayer::new(server)).merge(anywhere))
    });
    let (runtime, app) = &*SERVER;
    let response = runtime.block_on(send(app, request));
    let status = response.status().as_u16();
    prop_assert!(status == 400 || status == 401, "{}", status);
    Ok(())
}
