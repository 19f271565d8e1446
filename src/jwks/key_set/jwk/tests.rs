use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;

const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
const ED: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

/// A modulus of so many bits, odd.
fn modulus(bits: usize) -> String {
    let mut bytes = vec![0xff; bits.div_ceil(8)];
    if !bits.is_multiple_of(8) {
        bytes[0] = 0xff >> (8 - bits % 8);
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

fn with(mut jwk: Value, name: &str, value: impl Into<Value>) -> Value {
    jwk[name] = value.into();
    jwk
}

fn without(mut jwk: Value, name: &str) -> Value {
    jwk.as_object_mut().unwrap().remove(name);
    jwk
}

fn algorithms(jwk: &Value) -> Result<Vec<&'static str>, SkipReason> {
    algorithms_of(&jwk.to_string())
}

fn algorithms_of(jwk: &str) -> Result<Vec<&'static str>, SkipReason> {
    let jwk = RawValue::from_string(jwk.to_owned()).unwrap();
    Ok(Jwk::parse(&jwk, std::iter::empty())?.prepared.iter().map(|key| key.algorithm.name()).collect())
}

/// A key of which only a certificate is there: made by openssl 3.0 (`req -x509`) for this test.
fn certificate(kty: &str, leaf: &str) -> Value {
    json!({ "kty": kty, "x5c": [leaf, "the next of the chain is not looked at"] })
}

const EC_CERTIFICATE: &str = "MIIBeDCCAR+gAwIBAgIUWN2tMbLPKA2j9lCbEJUV1k6xxlkwCgYIKoZIzj0EAwIwEjEQMA4GA1UEAwwHaWQudGVzdDAeFw0yNjExMzAxOTExMDRaFw0yNjEyMDExOTExMDRaMBIxEDAOBgNVBAMMB2lkLnRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARorZMzYASSpmwEgOWprF1FegPC0zpIbuwygTiM8MPJYpVsHc1V6w3keAmghTciji4tk/HMn0oO/GHPeOEvGwllo1MwUTAdBgNVHQ4EFgQUZfEW6sW3oFWesXIuv7urtBO+jLkwHwYDVR0jBBgwFoAUZfEW6sW3oFWesXIuv7urtBO+jLkwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNHADBEAiBZR9XJNj7VzI+vMr2BTi4eUJ06Zgw2Yywf/cCTGYIBYQIgdNebLXDcLAdB3AU5USUeJ1F3fCSfYqbmmH6oZ+pEKwM=";
const ED_CERTIFICATE: &str = "MIIBODCB66ADAgECAhRr/b8JblNidwqHaaWNzLVFISLwOjAFBgMrZXAwEjEQMA4GA1UEAwwHaWQudGVzdDAeFw0yNjExMzAxOTExMDRaFw0yNjEyMDExOTExMDRaMBIxEDAOBgNVBAMMB2lkLnRlc3QwKjAFBgMrZXADIQD/G0BiyRGE020tQGwXTUqysxxQ3dzS5TVzU9GgCBVUkqNTMFEwHQYDVR0OBBYEFHvovWBuXFH71kFaGejLtO6vsHGjMB8GA1UdIwQYMBaAFHvovWBuXFH71kFaGejLtO6vsHGjMA8GA1UdEwEB/wQFMAMBAf8wBQYDK2VwA0EAKbZcDLohccagtz716FAIbBmvWHynCmjGRFNon2F5KrzJTFDoeoe5LFLyyM2UrSKR87jHzT8p+kJHGTYF+3kfDQ==";

#[test]
fn a_key_is_used_for_its_alg_or_for_what_its_type_can_do() {
    let ec = || json!({ "kty": "EC", "crv": "P-256", "x": X, "y": Y });
    let ed = || json!({ "kty": "OKP", "crv": "Ed25519", "x": ED });
    let rsa = || json!({ "kty": "RSA", "n": modulus(2048), "e": "AQAB" });
    let leading_zero = URL_SAFE_NO_PAD.encode([&[0], &[0xff; 256][..]].concat());
    let even = URL_SAFE_NO_PAD.encode([&[0xff; 255][..], &[0xfe]].concat());
    assert_eq!(algorithms(&with(rsa(), "n", even)), Err(SkipReason::InvalidKey));
    let all = vec!["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
    let table = [
        (ec(), vec!["ES256"]),
        (ed(), vec!["EdDSA"]),
        (rsa(), all.clone()),
        (with(rsa(), "alg", "PS256"), vec!["PS256"]),
        (with(ed(), "alg", "EdDSA"), vec!["EdDSA"]),
        (with(ed(), "alg", "Ed25519"), vec!["EdDSA"]),
        (with(ec(), "use", "sig"), vec!["ES256"]),
        (with(ec(), "key_ops", vec!["verify"]), vec!["ES256"]),
        (with(ec(), "key_ops", vec!["sign", "verify"]), vec!["ES256"]),
        (with(ec(), "key_ops", vec!["sign", "verify", "x-own"]), vec!["ES256"]),
        // what is not understood is ignored (RFC 7517 §4)
        (with(ec(), "exp", 1), vec!["ES256"]),
        // the members count, where they are there
        (with(ec(), "x5c", vec!["MIIB"]), vec!["ES256"]),
        (with(ec(), "x5c", 7), vec!["ES256"]),
        (certificate("EC", EC_CERTIFICATE), vec!["ES256"]),
        (with(certificate("EC", EC_CERTIFICATE), "crv", "P-256"), vec!["ES256"]),
        (with(certificate("OKP", ED_CERTIFICATE), "crv", "Ed25519"), vec!["EdDSA"]),
        (with(rsa(), "n", leading_zero), vec!["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]),
        (with(rsa(), "e", "AAEAAQ"), all.clone()),
        (with(rsa(), "e", "Aw"), all),
    ];
    for (jwk, expected) in table {
        assert_eq!(algorithms(&jwk), Ok(expected), "{jwk:.120}");
    }
}

#[test]
fn a_key_that_cannot_verify_is_skipped_with_its_reason() {
    use SkipReason as R;
    let ec = || json!({ "kty": "EC", "crv": "P-256", "x": X, "y": Y });
    let ed = || json!({ "kty": "OKP", "crv": "Ed25519", "x": ED });
    let rsa = || json!({ "kty": "RSA", "n": modulus(2048), "e": "AQAB" });
    let table = [
        (json!({}), R::MissingMember),
        (json!({ "kty": null }), R::MissingMember),
        (json!("key"), R::Malformed),
        (json!(null), R::Malformed),
        (json!([]), R::Malformed),
        // serde reads structs from arrays, too
        (json!(["OKP", null, null, null, null, null, "Ed25519", null, null, ED]), R::Malformed),
        (json!({ "kty": 7 }), R::Malformed),
        (with(ec(), "kid", 7), R::Malformed),
        (with(ec(), "use", vec!["sig"]), R::Malformed),
        (with(ec(), "key_ops", "verify"), R::Malformed),
        (without(ec(), "y"), R::MissingMember),
        (without(ec(), "crv"), R::MissingMember),
        (with(ec(), "x", &X[..42]), R::NotBase64url),
        (with(ec(), "x", format!("{X}=")), R::NotBase64url),
        (with(ec(), "x", format!("{X}\n")), R::NotBase64url),
        (with(ec(), "y", Y.replace('_', "/")), R::NotBase64url),
        (with(ec(), "x", "AAAA"), R::WrongLength),
        // the leading zero is not written
        (with(ec(), "y", URL_SAFE_NO_PAD.encode([1; 31])), R::WrongLength),
        (with(ec(), "y", X), R::InvalidKey),
        (without(rsa(), "e"), R::MissingMember),
        (without(ed(), "x"), R::MissingMember),
        (without(ed(), "crv"), R::MissingMember),
        (with(ed(), "x", "AAAA"), R::WrongLength),
        (with(ed(), "x", URL_SAFE_NO_PAD.encode([0; 32])), R::SmallOrder),
        (certificate("RSA", EC_CERTIFICATE), R::Certificate),
        (with(certificate("EC", EC_CERTIFICATE), "crv", "P-384"), R::Certificate),
        (with(certificate("EC", EC_CERTIFICATE), "crv", "P-521"), R::UnsupportedCurve),
        (certificate("AKP", EC_CERTIFICATE), R::UnsupportedType),
        (certificate("EC", "MIIB"), R::Certificate),
        (certificate("EC", ""), R::Certificate),
        (certificate("EC", &EC_CERTIFICATE[..EC_CERTIFICATE.len() - 4]), R::Certificate),
        (certificate("EC", &EC_CERTIFICATE.replace('+', "-")), R::Certificate),
        (json!({ "kty": "EC", "x5c": EC_CERTIFICATE }), R::Certificate),
        (json!({ "kty": "EC", "x5c": [] }), R::Certificate),
        (json!({ "kty": "EC", "x5c": [null] }), R::Certificate),
        (json!({ "kty": "EC", "x5c": null }), R::MissingMember),
        (with(certificate("EC", EC_CERTIFICATE), "x", X), R::MissingMember),
        (json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA" }), R::UnsupportedType),
        (json!({ "kty": "ec", "crv": "P-256", "x": X, "y": Y }), R::UnsupportedType),
        (with(ec(), "crv", "P-521"), R::UnsupportedCurve),
        (with(ec(), "crv", "secp256k1"), R::UnsupportedCurve),
        (with(ed(), "crv", "X25519"), R::UnsupportedCurve),
        (with(ed(), "crv", "Ed448"), R::UnsupportedCurve),
        (with(ec(), "alg", "ES384"), R::UnsupportedAlgorithm),
        (with(ec(), "alg", "RS256"), R::UnsupportedAlgorithm),
        (with(ec(), "alg", "HS256"), R::UnsupportedAlgorithm),
        (with(ec(), "alg", "none"), R::UnsupportedAlgorithm),
        (with(rsa(), "alg", "RSA-OAEP"), R::UnsupportedAlgorithm),
        (with(rsa(), "use", "enc"), R::WrongUse),
        (with(rsa(), "use", "Sig"), R::WrongUse),
        (with(rsa(), "use", "x509-svid"), R::WrongUse),
        (with(rsa(), "key_ops", vec!["encrypt"]), R::WrongUse),
        (with(rsa(), "key_ops", vec!["x-own"]), R::WrongUse),
        (with(rsa(), "key_ops", vec!["verify", "verify"]), R::WrongUse),
        (with(rsa(), "key_ops", vec!["verify", "x-own", "x-own"]), R::WrongUse),
        (with(rsa(), "key_ops", vec!["verify", "wrapKey"]), R::WrongUse),
        (with(rsa(), "key_ops", Value::Array(vec![])), R::WrongUse),
        (with(with(rsa(), "use", "sig"), "key_ops", vec!["encrypt"]), R::WrongUse),
        (json!({ "kty": "oct", "k": "c2VjcmV0" }), R::SymmetricKey),
        (with(ec(), "k", "c2VjcmV0"), R::SymmetricKey),
        (with(ec(), "d", X), R::PrivateKey),
        (with(ed(), "d", ED), R::PrivateKey),
        (with(rsa(), "p", "AQAB"), R::PrivateKey),
        (with(rsa(), "n", modulus(1024)), R::WeakModulus),
        (with(rsa(), "n", modulus(2047)), R::WeakModulus),
        (with(rsa(), "n", modulus(8193)), R::WeakModulus),
        (with(rsa(), "n", ""), R::WeakModulus),
        (with(rsa(), "e", "AQ"), R::WeakExponent),
        (with(rsa(), "e", "Ag"), R::WeakExponent),
        (with(rsa(), "e", "AQAA"), R::WeakExponent),
        (with(rsa(), "e", ""), R::WeakExponent),
        (with(rsa(), "e", "AQAAAAE"), R::WeakExponent),
    ];
    for (jwk, expected) in table {
        assert_eq!(algorithms(&jwk), Err(expected), "{jwk:.160}");
    }
}

#[test]
fn a_certificate_that_is_cut_or_altered_anywhere_is_read_or_refused() {
    let der = STANDARD.decode_to_vec(EC_CERTIFICATE).unwrap();
    let whole = pem::from_certificate(&der).unwrap();
    for at in 0..der.len() {
        assert!(pem::from_certificate(&der[..at]).is_none(), "{at}");
        for flip in [0x01, 0x20, 0x80, 0xff] {
            let mut altered = der.clone();
            altered[at] ^= flip;
            let _ = pem::from_certificate(&altered);
        }
    }
    // it ends with the signature, which is not looked at
    let mut altered = der;
    *altered.last_mut().unwrap() ^= 1;
    assert!(pem::from_certificate(&altered) == Some(whole));
    altered.push(0);
    assert!(pem::from_certificate(&altered).is_none());
}

#[test]
fn a_member_that_is_null_is_absent() {
    let ec = || json!({ "kty": "EC", "crv": "P-256", "x": X, "y": Y });
    let rsa = || json!({ "kty": "RSA", "n": modulus(2048), "e": "AQAB", "alg": "RS256" });
    for name in [
        "kid", "issuer", "use", "key_ops", "alg", "n", "e", "x5c", "k", "d", "p", "q", "dp", "dq", "qi", "oth", "x-own",
    ] {
        assert_eq!(algorithms(&with(ec(), name, Value::Null)), Ok(vec!["ES256"]), "{name}");
    }
    for name in ["crv", "x", "y"] {
        assert_eq!(algorithms(&with(rsa(), name, Value::Null)), Ok(vec!["RS256"]), "{name}");
        assert_eq!(algorithms(&with(ec(), name, Value::Null)), Err(SkipReason::MissingMember), "{name}");
    }
}

#[test]
fn a_member_that_comes_twice_makes_a_key_unusable_and_one_that_is_not_read_does_not() {
    let key = |more: &str| format!(r#"{{"kty":"EC","crv":"P-256","x":"{X}","y":"{Y}"{more}}}"#);
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    for good in
        ["", r#","x-own":1e999"#, r#","x-own":1,"x-own":2"#, r#","x-own":"\ud800""#, &format!(r#","x-own":{deep}"#)]
    {
        assert_eq!(algorithms_of(&key(good)), Ok(vec!["ES256"]), "{good:.40}");
    }
    for bad in [
        r#","kty":"EC""#,
        r#","k\u0074y":"EC""#,
        r#","kid":"a","kid":"b""#,
        r#","d":null,"d":null"#,
        r#","kid":"\ud800""#,
        &format!(r#","kid":{deep}"#),
        &format!(r#","key_ops":{deep}"#),
    ] {
        assert_eq!(algorithms_of(&key(bad)), Err(SkipReason::Malformed), "{bad:.40}");
    }
    // what is long is not dear
    let operations =
        format!(r#","key_ops":["verify"{}]"#, (0..50_000).map(|n| format!(",\"{n}\"")).collect::<String>());
    assert_eq!(algorithms_of(&key(&operations)), Ok(vec!["ES256"]));
}

#[test]
fn each_reason_says_what_to_do() {
    use SkipReason as R;
    for reason in [
        R::Certificate,
        R::InvalidKey,
        R::Malformed,
        R::MissingMember,
        R::NotBase64url,
        R::PrivateKey,
        R::SmallOrder,
        R::SymmetricKey,
        R::TooMany,
        R::UnsupportedAlgorithm,
        R::UnsupportedCurve,
        R::UnsupportedType,
        R::WeakExponent,
        R::WeakModulus,
        R::WrongLength,
        R::WrongUse,
    ] {
        let text = reason.to_string();
        assert!(text.contains("; ") && !text.ends_with('.'), "{text}");
        let guide = include_str!("../../../guide/refused.md");
        let (what, _) = text.split_once("; ").unwrap();
        assert!(guide.contains(what), "the guide does not know: {what}");
    }
}
