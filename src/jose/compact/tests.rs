use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

fn kind(token: &str) -> Option<ErrorKind> {
    let token = BearerToken::from_bytes(token.as_bytes(), usize::MAX).unwrap();
    Compact::parse(token).err().map(|error| error.kind())
}

fn token(header: &str, claims: &str) -> String {
    format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
}

#[test]
fn only_three_parts_of_canonical_base64url_are_a_jws() {
    use ErrorKind::{EncryptedToken, MalformedToken, OpaqueToken};
    let good = token(r#"{"alg":"ES256"}"#, "{}");
    assert_eq!(kind(&good), None);
    let (header, _) = good.split_once('.').unwrap();
    let table: &[(String, ErrorKind)] = &[
        ("opaque".into(), OpaqueToken),
        ("a.b".into(), MalformedToken),
        ("..".into(), MalformedToken),
        ("a..b".into(), MalformedToken),
        (format!(".{good}"), MalformedToken),
        (format!("{good}."), MalformedToken),
        ("a.b.c.d".into(), MalformedToken),
        ("a.b.c.d.e".into(), EncryptedToken),
        ("....".into(), EncryptedToken),
        ("a.b.c.d.e.f".into(), MalformedToken),
        (".".repeat(16 * 1024), MalformedToken),
        (format!("{header}.e3+/.c2ln"), MalformedToken),
        // "e31" has stray bits after the byte that "e30" encodes
        (format!("{header}.e31.c2ln"), MalformedToken),
        (format!("{header}..c2ln"), MalformedToken),
    ];
    for (token, expected) in table {
        assert_eq!(kind(token), Some(*expected), "{token:.80}");
    }
}

#[test]
fn the_header_decides_what_is_refused_before_anything_is_verified() {
    use ErrorKind::{CriticalHeader, MalformedToken, UnsupportedAlgorithm};
    let long = format!(r#"{{"alg":"ES256","x5c":["{}"]}}"#, "A".repeat(4096));
    let table: &[(&str, Option<ErrorKind>)] = &[
        (r#"{"alg":"ES256","kid":"1","typ":"JWT","jku":"https://a.test","x5u":1,"jwk":{},"cty":"JWT"}"#, None),
        (r#"{"alg":"ES256","x-unknown":{"a":[1]}}"#, None),
        (r#"{"kid":"1"}"#, Some(MalformedToken)),
        (r#"{"alg":256}"#, Some(MalformedToken)),
        (r#"{"alg":null}"#, Some(MalformedToken)),
        (r#"{"alg":["ES256"]}"#, Some(MalformedToken)),
        (r#"{"alg":"ES256","kid":1}"#, Some(MalformedToken)),
        (r#"{"alg":"ES256","kid":null}"#, Some(MalformedToken)),
        (r#"{"alg":"ES256","typ":["JWT"]}"#, Some(MalformedToken)),
        (r#"{"alg":"ES256","alg":"ES256"}"#, Some(MalformedToken)),
        (r#"{"alg":"ES256","\u0061lg":"none"}"#, Some(MalformedToken)),
        (r#"{"alg":"ES256"} "#, None),
        (r#"{"alg":"ES256"}x"#, Some(MalformedToken)),
        (r#"["ES256"]"#, Some(MalformedToken)),
        (&long, Some(MalformedToken)),
        (r#"{"alg":"none"}"#, Some(UnsupportedAlgorithm)),
        (r#"{"alg":"nOnE"}"#, Some(UnsupportedAlgorithm)),
        (r#"{"alg":"es256"}"#, Some(UnsupportedAlgorithm)),
        (r#"{"alg":"ES256","crit":["b64"],"b64":false}"#, Some(CriticalHeader)),
        (r#"{"alg":"ES256","crit":[]}"#, Some(CriticalHeader)),
        (r#"{"alg":"ES256","crit":"exp"}"#, Some(CriticalHeader)),
        (r#"{"alg":"ES256","crit":null}"#, Some(CriticalHeader)),
        (r#"{"alg":"ES256","b64":true}"#, Some(CriticalHeader)),
    ];
    for (header, expected) in table {
        assert_eq!(kind(&token(header, "{}")), *expected, "{header:.80}");
    }
}

#[test]
fn claims_must_be_one_strict_object() {
    for claims in ["", "[]", "null", "\"a\"", "{}x", r#"{"iss":"a","iss":"b"}"#, r#"{"a":{"b":1,"b":2}}"#, "\u{feff}{}"]
    {
        assert_eq!(kind(&token(r#"{"alg":"ES256"}"#, claims)), Some(ErrorKind::MalformedToken), "{claims}");
    }
}
