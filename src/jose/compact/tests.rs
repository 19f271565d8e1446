use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;

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

proptest! {
    /// Two libraries, one by the book and one by vectors, agree on what is canonical, and on
    /// what it says.
    #[test]
    fn another_decoder_reads_the_same(mut text in "[A-Za-z0-9_-]{0,140}", odd in "[A-Z=+/. \n\u{0}\u{e9}]?", at: prop::sample::Index) {
        text.insert_str(at.index(text.len() + 1), &odd);
        let expected = URL_SAFE_NO_PAD.decode(&text).ok();
        let decoded = decode_base64url(&text);
        prop_assert_eq!(decoded.as_deref(), expected.as_deref());
        let mut buffer = [0; 200];
        if !is_padded(&text) {
            prop_assert_eq!(decode_into(&text, &mut buffer), expected.as_deref());
        }
        if let Some(bytes) = expected {
            prop_assert_eq!(decode_base64url(&URL_SAFE_NO_PAD.encode(&bytes)), Some(bytes));
        }
    }

    /// And so they do on what is padded rightly.
    #[test]
    fn another_decoder_reads_the_same_padding(bytes: Vec<u8>, mut odd in "[A-Za-z0-9_=-]{0,12}={1,3}") {
        odd.insert_str(0, "AAAA");
        for text in [URL_SAFE.encode(&bytes), odd] {
            let expected = URL_SAFE.decode(&text).ok();
            let (mut appended, mut buffer) = (Vec::new(), vec![0; max_len(&text)]);
            prop_assert_eq!(decode_to(&text, &mut appended).map(|()| &*appended), expected.as_deref());
            prop_assert_eq!(decode_into(&text, &mut buffer), expected.as_deref());
            prop_assert!(!is_padded(&text) || decode_base64url(&text).is_none(), "members of keys have none");
        }
    }
}

#[test]
fn what_is_no_base64url_is_told_apart() {
    for (text, expected) in [
        ("e30=", NotBase64url::Padded),
        ("e3=0", NotBase64url::Padded),
        ("+/8=", NotBase64url::Padded),
        ("+/8", NotBase64url::StandardAlphabet),
        ("e30~", NotBase64url::Characters),
        ("e3\n0", NotBase64url::Characters),
        ("é", NotBase64url::Characters),
        ("e30AA", NotBase64url::CutOff),
        ("e31", NotBase64url::StrayBits),
    ] {
        assert_eq!((decode_base64url(text), NotBase64url::of(text)), (None, expected), "{text:?}");
    }
}

#[test]
fn a_text_that_might_not_fit_is_not_decoded() {
    assert_eq!(decode_into("AAAA", &mut [0; 3]), Some(&[0; 3][..]));
    assert_eq!(decode_into("AAAA", &mut [0; 2]), None);
    assert_eq!(decode_into("AAAAA", &mut [0; 3]), None);
}

#[cfg(feature = "introspection")]
#[test]
fn the_form_of_a_jwt_is_told_without_a_look_at_whether_it_is_a_good_one() {
    let part = |text: &str| encode_base64url(text.as_bytes());
    let jwt = |header: &str| is_jwt(&format!("{}.{}.c2ln", part(header), part("{}")));
    for header in [
        r#"{"alg":"ES256"}"#,
        r#"{"alg":"none"}"#,
        r#"{"alg":7}"#,
        r#" {"typ":"x", "alg":null}"#,
        r#"{"alg":"ES256","alg":"none"}"#,
        r#"{"crit":["x"],"alg":"XX"}"#,
    ] {
        assert!(jwt(header), "{header}");
    }
    for header in [r#"{"typ":"JWT"}"#, "[]", "\"alg\"", "{\"alg\":", "", "\u{1}"] {
        assert!(!jwt(header), "{header}");
    }
    let header = part(r#"{"alg":"ES256"}"#);
    assert!(is_jwt(&format!("{header}.e30.")), "unsigned, and a JWT all the same");
    for opaque in
        ["", "a", "a.b", "a.b.c", &header, &format!("{header}.e30"), &format!("{header}.e30.a.b.c"), "ory_at_x.y"]
    {
        assert!(!is_jwt(opaque), "{opaque}");
    }
    assert!(!is_jwt(&format!("{header}.e30.+/=")));
}
