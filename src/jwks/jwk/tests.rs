use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

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
    Ok(Jwk::parse(jwk, None)?.prepared.iter().map(|key| key.algorithm().name()).collect())
}

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
        // what is not understood is ignored (RFC 7517 §4)
        (with(with(ec(), "exp", 1), "x5c", vec!["MIIB"]), vec!["ES256"]),
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
        (json!({}), R::Malformed),
        (json!("key"), R::Malformed),
        (json!(null), R::Malformed),
        (json!({ "kty": 7 }), R::Malformed),
        (with(ec(), "kid", 7), R::Malformed),
        (with(ec(), "use", vec!["sig"]), R::Malformed),
        (with(ec(), "key_ops", "verify"), R::Malformed),
        (without(ec(), "y"), R::Malformed),
        (without(ec(), "crv"), R::Malformed),
        (with(ec(), "x", &X[..42]), R::Malformed),
        (with(ec(), "x", format!("{X}=")), R::Malformed),
        (with(ec(), "x", "AAAA"), R::Malformed),
        (with(ec(), "y", X), R::InvalidKey),
        (without(rsa(), "e"), R::Malformed),
        (without(ed(), "x"), R::Malformed),
        (with(ed(), "x", "AAAA"), R::Malformed),
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
        (with(rsa(), "key_ops", vec!["verify", "verify"]), R::WrongUse),
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
