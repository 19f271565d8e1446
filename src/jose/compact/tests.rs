use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};

use super::*;

fn parse(token: &str) -> Result<Compact<'_>, Error> {
    Compact::parse(BearerToken::from_bytes(token.as_bytes(), usize::MAX)?)
}

fn kind(token: &str) -> Option<ErrorKind> {
    parse(token).err().map(|error| error.kind())
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
fn a_wrong_encoding_is_named_and_so_is_the_part_that_has_it() {
    let good = token(r#"{"alg":"ES256"}"#, "{}");
    let (header, claims) = (URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#), "e30");
    for (token, expected) in [
        (format!("{header}.{claims}.c2ln="), "the signature is wrongly padded base64url (=)"),
        (format!("{header}.{claims}.c2+n"), "the signature is base64 (+ and /)"),
        (format!("{header}.{claims}.c2lnA"), "the signature is not base64url: no text of this length"),
        (format!("{header}.{claims}.c2l"), "the signature is not base64url: bits are left over"),
        (format!("{header}.e3+/.c2ln"), "the claims are base64 (+ and /)"),
        (format!("{header}.e~30.c2ln"), "the claims are not base64url: it does not have"),
        (format!("{header}A.{claims}.c2ln"), "the protected header is not base64url: "),
        (format!("{header}.e30==.c2ln"), "the claims are wrongly padded base64url (=)"),
        (format!("{header}.e30A=.c2ln"), "the claims are wrongly padded base64url (=)"),
        (format!("{header}=.e30=.c2ln"), "the protected header is wrongly padded base64url (=)"),
    ] {
        let mut buffer: SignatureBuffer = [0; size_of::<SignatureBuffer>()];
        let decoded = parse(&token).and_then(|compact| compact.signed.signature(&mut buffer).map(drop));
        let text = decoded.unwrap_err().to_string();
        assert!(text.contains(expected), "{token}: {text}");
    }
    assert!(parse(&good).is_ok());
}

#[test]
fn right_padding_is_read_and_noted_for_the_issuers_terms_to_judge() {
    // each is 2 bytes too many, 1, or none
    for (claims, signature) in [("{ }", "s"), ("{}", "si"), ("{  }", "sig")] {
        let header = r#"{"alg":"ES256" }"#;
        let encode = |text: &str| [URL_SAFE_NO_PAD.encode(text), URL_SAFE.encode(text)];
        let (headers, claims, signatures) = (encode(header), encode(claims), encode(signature));
        for (a, b, c) in (0..8).map(|mask| (mask & 1, mask >> 1 & 1, mask >> 2)) {
            let token = format!("{}.{}.{}", headers[a], claims[b], signatures[c]);
            let compact = parse(&token).unwrap();
            assert_eq!(compact.padded, token.contains('='), "{token}");
            assert_eq!(compact.json.first().get("alg").and_then(Value::as_str), Some("ES256"));
            let mut buffer: SignatureBuffer = [0; size_of::<SignatureBuffer>()];
            assert_eq!(compact.signed.signature(&mut buffer).unwrap(), signature.as_bytes(), "{token}");
            let (message, _) = token.rsplit_once('.').unwrap();
            assert_eq!(compact.signed.message(), message.as_bytes(), "padding and all");
        }
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
