//! Which keys are used, in whatever form they are there, and what is said of those that are not.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use support::kind;
use support::source::Scripted;
use tower_bearer::keys::{Algorithm, FetchedKeys, KeyError, NotAKeySet, SavedKeys, SkipReason, StaticKeys};
use tower_bearer::testing::Idp;
use tower_bearer::{ErrorKind, Issuer, ResourceServer};

const ISSUER: &str = "https://id.test/";

/// Members of a group, each with a key of its own, who sign as one issuer.
fn members(count: usize) -> Vec<Idp> {
    (0..count).map(|_| Idp::with_algorithms(ISSUER, &[Algorithm::Ed25519])).collect()
}

/// The set of their keys, each changed.
fn set_of(members: &[Idp], change: impl Fn(&mut Value)) -> String {
    let keys = members.iter().map(|idp| {
        let mut key = idp.jwks()["keys"][0].take();
        change(&mut key);
        key
    });
    json!({ "keys": keys.collect::<Vec<_>>() }).to_string()
}

fn without_kid(key: &mut Value) {
    key.as_object_mut().unwrap().remove("kid");
}

fn fixed(set: &str) -> ResourceServer {
    let keys = StaticKeys::jwks(set).unwrap();
    ResourceServer::new("https://api.test").trust((Issuer::new(ISSUER), keys)).build().unwrap()
}

/// A server that fetches this set, each time the same, and counts.
fn fetching(set: String) -> (ResourceServer, Scripted) {
    let source = Scripted::new(move |_| {
        let set = set.clone();
        async move { Ok(FetchedKeys::new(set)) }
    });
    let trust = (Issuer::new(ISSUER), source.clone());
    (ResourceServer::new("https://api.test").trust(trust).build().unwrap(), source)
}

fn nameless(idp: &Idp) -> String {
    idp.token("alice").without_header("kid").sign()
}

#[tokio::test]
async fn each_member_of_a_group_is_known_by_a_key_of_its_own() {
    let members = members(64);
    let server = fixed(&set_of(&members, without_kid));
    let same = fixed(&set_of(&members, |key| key["kid"] = "same".into()));
    // each costs as many signatures as there are members before it
    for index in [0, 3, 4, 20, 63] {
        let idp = &members[index];
        assert_eq!(kind(&server, &nameless(idp)).await, None, "member {index}");
        let token = idp.token("alice").header("kid", "same").sign();
        assert_eq!(kind(&same, &token).await, None, "member {index}");
    }
    let forged = Idp::with_algorithms(ISSUER, &[Algorithm::Ed25519]);
    assert_eq!(kind(&server, &nameless(&forged)).await, Some(ErrorKind::BadSignature), "all were tried");
    // a token that names a key is never tried with one that has no name
    let error = server.authenticate(&members[0].token("alice").sign()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownKey);
    assert!(error.to_string().contains("its keys without kid are for tokens without kid"), "{error}");
}

#[test]
fn a_group_that_is_too_large_to_be_tried_is_refused_at_once() {
    let members = members(65);
    let refused = |change: fn(&mut Value)| StaticKeys::jwks(&set_of(&members, change)).err();
    let alike = KeyError::TooManyAlike { max: 64 };
    assert_eq!(refused(without_kid), Some(alike.clone()));
    assert_eq!(refused(|key| key["kid"] = "same".into()), Some(alike.clone()));
    assert!(alike.to_string().ends_with("give each a kid of its own"), "{alike}");
    let named = std::sync::atomic::AtomicU32::new(0);
    let name = |key: &mut Value| {
        key["kid"] = named.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string().into();
    };
    assert!(StaticKeys::jwks(&set_of(&members, name)).is_ok(), "names tell them apart");
    let many = members.iter().cycle().take(257).cloned().collect::<Vec<_>>();
    assert_eq!(StaticKeys::jwks(&set_of(&many, name)).err(), Some(KeyError::TooManyKeys { max: 256 }));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_not_tried_does_not_make_a_signature_bad() {
    let members = members(5);
    for same_kid in [false, true] {
        let change = |key: &mut Value| if same_kid { key["kid"] = "same".into() } else { without_kid(key) };
        let token = |idp: &Idp| {
            let token = idp.token("alice");
            if same_kid { token.header("kid", "same").sign() } else { token.without_header("kid").sign() }
        };
        let (server, source) = fetching(set_of(&members, change));
        for idp in &members[..4] {
            assert_eq!(kind(&server, &token(idp)).await, None);
        }
        let error = server.authenticate(&token(&members[4])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownKey);
        assert!(error.to_string().contains("none of the first 4 keys that fit verifies it"), "{error}");
        assert!(error.to_string().contains("a kid of its own"), "{error}");
        let stranger = Idp::with_algorithms(ISSUER, &[Algorithm::Ed25519]);
        for _ in 0..20 {
            assert_eq!(kind(&server, &token(&stranger)).await, Some(ErrorKind::UnknownKey), "nobody can know");
        }
        assert!(source.fetches() <= 3, "two may be forced, as for any unknown key: {}", source.fetches());
        let (server, _) = fetching(set_of(&members[..4], change));
        assert_eq!(kind(&server, &token(&stranger)).await, Some(ErrorKind::BadSignature), "all were tried");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_without_kid_may_name_its_key_by_the_thumbprint_of_the_certificate() {
    let (members, numbers) = (members(6), std::cell::Cell::new(0));
    let (server, source) = fetching(set_of(&members, |key| {
        key["kid"] = format!("k{}", numbers.get()).into();
        numbers.set(numbers.get() + 1);
    }));
    let token = |signer: usize, x5t: Value| {
        let token = members[signer].token("alice").without_header("kid");
        token.header("x5t", x5t).sign()
    };
    for number in 0..6 {
        let expected = kind(&server, &token(number, format!("k{number}").into())).await;
        assert_eq!(expected, None, "{number}: also the fifth and the sixth");
    }
    assert_eq!(kind(&server, &token(0, "k1".into())).await, Some(ErrorKind::BadSignature), "only that one is tried");
    // what names no key is no name, and `kid` counts more
    for hint in [json!("other"), json!(7), json!(null)] {
        assert_eq!(kind(&server, &token(0, hint)).await, None);
    }
    let named = members[5].token("alice").header("kid", "k5").header("x5t", "k0").sign();
    assert_eq!(kind(&server, &named).await, None);
    assert!(source.fetches() <= 2, "{}", source.fetches());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_why_the_key_that_is_there_is_not_used() {
    use SkipReason as R;
    let idp = Idp::with_algorithms(ISSUER, &[Algorithm::Es256]);
    let other = members(1).remove(0).jwks()["keys"][0].take();
    let key = idp.jwks()["keys"][0].take();
    let with = |name: &str, value: Value| {
        let mut key = key.clone();
        key[name] = value;
        key
    };
    let short = URL_SAFE_NO_PAD.encode([7; 31]);
    let table = [
        (with("x", format!("{}=", key["x"].as_str().unwrap()).into()), R::NotBase64url),
        (with("x", short.into()), R::WrongLength),
        (with("x", Value::Null), R::MissingMember),
        (with("use", "enc".into()), R::WrongUse),
        (with("key_ops", json!(["sign"])), R::WrongUse),
        (with("alg", "RSA-OAEP".into()), R::UnsupportedAlgorithm),
        (with("d", "AAAA".into()), R::PrivateKey),
        (with("crv", "P-521".into()), R::UnsupportedCurve),
        (json!({ "kid": key["kid"], "kty": "EC", "x5c": ["MIIB"] }), R::Certificate),
        (
            json!({ "kid": key["kid"], "kty": "RSA", "e": "AQAB", "n": URL_SAFE_NO_PAD.encode([0xff; 128]) }),
            R::WeakModulus,
        ),
    ];
    for (skipped, reason) in table {
        let set = json!({ "keys": [other, skipped] }).to_string();
        let (server, source) = fetching(set.clone());
        server.ready().await.unwrap();
        let error = server.authenticate(&idp.token("alice").sign()).await.unwrap_err();
        let expected = format!("the issuer's set has the key of this kid, but it is not used: {reason}");
        assert_eq!(error.kind(), ErrorKind::UnknownKey);
        assert!(error.to_string().contains(&expected), "{error}");
        assert_eq!(source.fetches(), 2, "the key may have been replaced");
        assert_eq!(server.status()[0].skipped[0].reason, reason);
        let error = server.authenticate(&nameless(&idp)).await.unwrap_err();
        let expected = format!("no key of the issuer fits its algorithm; key 1 is not used: {reason}");
        assert!(error.to_string().contains(&expected), "{error}");
        // the same of keys that never change
        let error = fixed(&set).authenticate(&idp.token("alice").sign()).await.unwrap_err();
        assert!(error.to_string().contains("but it is not used"), "{error}");
    }
}

#[tokio::test]
async fn what_is_fetched_and_is_no_key_set_is_named() {
    let idp = Idp::new(ISSUER);
    for (document, found) in [
        (format!("\u{feff}{}", idp.jwks()), NotAKeySet::ByteOrderMark),
        (idp.jwks()["keys"][0].to_string(), NotAKeySet::BareKey),
        (idp.jwks()["keys"].to_string(), NotAKeySet::Array),
        ("<html>secret</html>".to_owned(), NotAKeySet::Markup),
        (json!({ "issuer": ISSUER, "jwks_uri": "https://id.test/k" }).to_string(), NotAKeySet::Metadata),
    ] {
        let error = fetching(document).0.authenticate(&idp.token("alice").sign()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeysUnavailable);
        assert!(error.to_string().contains(&format!("what was fetched is {found}")), "{error}");
        assert!(!error.to_string().contains("secret"));
    }
}

#[tokio::test]
async fn one_key_that_cannot_be_read_harms_no_other() {
    let idp = Idp::new(ISSUER);
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let set = idp.jwks().to_string().replacen('[', &format!("[{deep},{{\"kid\":\"\\ud800\"}},"), 1);
    for server in [fixed(&set), fetching(set.clone()).0] {
        assert_eq!(kind(&server, &idp.token("alice").sign()).await, None);
        assert_eq!(server.status()[0].skipped.len(), 2);
    }
}

#[tokio::test]
async fn a_key_that_is_there_as_a_certificate_verifies_what_its_issuer_signs() {
    let algorithms = [Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384, Algorithm::Ed25519];
    let idp = Idp::with_algorithms(ISSUER, &algorithms);
    let mut set = idp.jwks();
    for key in set["keys"].as_array_mut().unwrap() {
        let leaf = STANDARD.encode(certificate(&keys_in_der(key).0, true));
        *key = json!({ "kty": key["kty"], "kid": key["kid"], "use": "sig", "x5c": [leaf, "the next of the chain"] });
    }
    let set = set.to_string();
    for server in [fixed(&set), fetching(set.clone()).0] {
        for algorithm in algorithms {
            let token = idp.token_signed_with(algorithm, "alice");
            assert_eq!(kind(&server, &token.sign()).await, None, "{algorithm}");
            assert_eq!(kind(&server, &token.wrong_key().sign()).await, Some(ErrorKind::BadSignature), "{algorithm}");
        }
    }
}

#[tokio::test]
async fn saved_keys_survive_a_format_that_does_not_describe_itself() {
    let idp = Idp::new(ISSUER);
    let server = ResourceServer::new("https://api.test").trust(&idp).build().unwrap();
    server.ready().await.unwrap();
    let saved = postcard::to_allocvec(&server.save_keys()).unwrap();
    idp.outage();
    let saved: Vec<SavedKeys> = postcard::from_bytes(&saved).unwrap();
    let server = ResourceServer::new("https://api.test").trust(&idp).saved_keys(saved).build().unwrap();
    assert_eq!(kind(&server, &idp.token("alice").sign()).await, None);
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
    for text in [private, "", "garbage", &ed[..80], &ed.replace("MCow", "MDow"), &format!("{ed}{ed}")] {
        assert!(matches!(StaticKeys::pem(Algorithm::Ed25519, text), Err(KeyError::NotAPublicKey)), "{text}");
    }
    let certificate = ed.replace("PUBLIC KEY", "CERTIFICATE");
    for text in [&*certificate, &pem("CERTIFICATE", &[]), &pem("CERTIFICATE", &der(0x30, &der(0x30, &[])))] {
        assert!(matches!(StaticKeys::pem(Algorithm::Ed25519, text), Err(KeyError::Certificate)), "{text}");
    }
    for (document, found) in
        [("", NotAKeySet::Empty), ("[]", NotAKeySet::Array), ("{}", NotAKeySet::NoKeys), (ed, NotAKeySet::Pem)]
    {
        let error = StaticKeys::jwks(document).unwrap_err();
        assert_eq!(error, KeyError::NotAKeySet(found));
        assert_eq!(error.to_string(), format!("the text is {found}"));
    }
    let error = StaticKeys::jwks(r#"{"keys":[{"kty":"oct","k":"AAAA","kid":"a"}]}"#).unwrap_err();
    assert!(error.to_string().contains("\"a\"") && error.to_string().contains("symmetric"), "{error}");
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

/// A certificate around a SubjectPublicKeyInfo, of version 3 or 1, as far as anybody reads it here.
fn certificate(spki: &[u8], version_3: bool) -> Vec<u8> {
    let version = if version_3 { der(0xA0, &der(0x02, &[2])) } else { Vec::new() };
    let algorithm = der(0x30, &der(0x06, &[0x2B, 0x65, 0x70]));
    // RFC 5280 §4.1: serial number, algorithm, issuer, validity, subject
    let (serial, name, validity) = (der(0x02, &[0x80; 21]), der(0x30, &[]), der(0x30, b"not looked at"));
    let tbs = [&*version, &serial, &algorithm, &name, &validity, &name, spki, &der(0xA3, b"extensions")].concat();
    der(0x30, &[der(0x30, &tbs), algorithm, der(0x03, &[0])].concat())
}

/// The key of a JWK as PEM blocks: a SubjectPublicKeyInfo, certificates and a chain, and for RSA a
/// PKCS #1 key too.
fn pems(jwk: &Value) -> Vec<String> {
    let (spki, pkcs1) = keys_in_der(jwk);
    let leaf = pem("CERTIFICATE", &certificate(&spki, true));
    let chain = format!("subject=CN = id.test\n\n{leaf}\n{}", pem("CERTIFICATE", b"an authority"));
    let old = pem("CERTIFICATE", &certificate(&spki, false));
    let pkcs1 = pkcs1.map(|key| pem("RSA PUBLIC KEY", &key));
    [pem("PUBLIC KEY", &spki), leaf, chain, old].into_iter().chain(pkcs1).collect()
}

/// The SubjectPublicKeyInfo of a JWK, and the PKCS #1 key of one for RSA.
fn keys_in_der(jwk: &Value) -> (Vec<u8>, Option<Vec<u8>>) {
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let spki = |algorithm: &[u8], key: &[u8]| {
        let bits = der(0x03, &[&[0], key].concat());
        der(0x30, &[der(0x30, algorithm), bits].concat())
    };
    let oid = |bytes: &[u8]| der(0x06, bytes);
    let ec = oid(&[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01]);
    let point = || [&[4], &*bytes("x"), &bytes("y")].concat();
    match jwk["crv"].as_str() {
        Some("P-256") => (spki(&[ec, oid(&[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07])].concat(), &point()), None),
        Some("P-384") => (spki(&[ec, oid(&[0x2B, 0x81, 0x04, 0x00, 0x22])].concat(), &point()), None),
        Some(_) => (spki(&oid(&[0x2B, 0x65, 0x70]), &bytes("x")), None),
        None => {
            let number = |name| der(0x02, &[&[0], &*bytes(name)].concat());
            let exponent = der(0x02, &bytes("e"));
            let key = der(0x30, &[number("n"), exponent].concat());
            let rsa = [oid(&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01]), vec![5, 0]].concat();
            (spki(&rsa, &key), Some(key))
        }
    }
}

#[tokio::test]
async fn a_key_in_pem_verifies_what_its_issuer_signs_whatever_the_kid() {
    let algorithms = [Algorithm::Rs256, Algorithm::Ps512, Algorithm::Es256, Algorithm::Es384, Algorithm::Ed25519];
    let idp = Idp::with_algorithms("https://id.test/", &algorithms);
    for (algorithm, jwk) in algorithms.into_iter().zip(idp.jwks()["keys"].as_array().unwrap()) {
        let token = idp.token_signed_with(algorithm, "alice");
        let (other_kid, no_kid) = (token.clone().header("kid", "other"), token.clone().without_header("kid"));
        let (good, forged) = ([token.sign(), other_kid.sign(), no_kid.sign()], token.wrong_key().sign());
        for text in pems(jwk) {
            let keys = StaticKeys::pem(algorithm, &text).unwrap();
            let trust = (Issuer::new(ISSUER), keys);
            let server = ResourceServer::new("https://api.test").trust(trust).build().unwrap();
            for token in &good {
                assert_eq!(kind(&server, token).await, None, "{algorithm}");
            }
            assert_eq!(kind(&server, &forged).await, Some(ErrorKind::BadSignature), "{algorithm}");
            let other = if algorithm == Algorithm::Es256 { Algorithm::Es384 } else { Algorithm::Es256 };
            assert!(matches!(StaticKeys::pem(other, &text), Err(KeyError::OtherAlgorithm(_))), "{algorithm}");
        }
    }
    let weak = json!({ "n": URL_SAFE_NO_PAD.encode([0xff; 128]), "e": "AQAB" });
    let weak = StaticKeys::pem(Algorithm::Rs256, &pems(&weak)[0]).unwrap_err();
    assert!(matches!(weak, KeyError::Unusable(SkipReason::WeakModulus)), "{weak}");
}
