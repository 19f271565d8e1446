use http::HeaderValue;

use super::*;

fn taken(values: &[&[u8]]) -> Result<String, ErrorKind> {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
    }
    let kind = |error: Error| error.kind();
    let credential = Credential::from_authorization(&headers).map_err(kind)?;
    let token = BearerToken::from_bytes(&credential.token, DEFAULT_MAX_LEN).map_err(kind)?;
    Ok(token.as_str().to_owned())
}

#[test]
fn the_grammar_of_rfc_6750_decides_what_a_credential_is() {
    use ErrorKind::{MalformedRequest, MissingToken};
    let table: &[(&[u8], Result<&str, ErrorKind>)] = &[
        (b"Bearer a.b.c", Ok("a.b.c")),
        (b"bearer a.b.c", Ok("a.b.c")),
        (b"BEARER a.b.c", Ok("a.b.c")),
        (b"bEaReR a.b.c", Ok("a.b.c")),
        (b"Bearer    a.b.c", Ok("a.b.c")),
        (b"Bearer a.b.c  ", Ok("a.b.c")),
        (b"Bearer a-._~+/9==", Ok("a-._~+/9==")),
        // each part of it is one; whether a token may be padded is for its issuer's terms to say
        (b"Bearer a==.b=.c", Ok("a==.b=.c")),
        (b"Bearer a.b=.c==", Ok("a.b=.c==")),
        (b"Bearer a=.=.c", Err(MalformedRequest)),
        (b"Bearer a=..c", Err(MalformedRequest)),
        (b"Bearer a=.b=c.d", Err(MalformedRequest)),
        (b"Bearer a=. b", Err(MalformedRequest)),
        (b"", Err(MissingToken)),
        (b"Basic YTpi", Err(MissingToken)),
        (b"DPoP a.b.c", if cfg!(feature = "dpop") { Ok("a.b.c") } else { Err(MissingToken) }),
        (b"Bearera.b.c", Err(MissingToken)),
        (b"Bearer-a b.c", Err(MissingToken)),
        (b" Bearer a.b.c", Ok("a.b.c")),
        (b"\t Bearer garbage ", Ok("garbage")),
        (b" Bearer", Err(MissingToken)),
        (b"Bearer", Err(MissingToken)),
        (b"bearer", Err(MissingToken)),
        (b"BEARER   ", Err(MissingToken)),
        (b"Bearer \t", Err(MissingToken)),
        (b"a.b.c", Err(MissingToken)),
        (b"Bearer null", Ok("null")),
        (b"Bearer undefined", Ok("undefined")),
        (b"Bearer Bearer", Ok("Bearer")),
        (b"Bearer Bearer a.b.c", Err(MalformedRequest)),
        (b"Bearer\ta.b.c", Err(MalformedRequest)),
        (b"Bearer \ta.b.c", Err(MalformedRequest)),
        (b"Bearer=a.b.c", Err(MalformedRequest)),
        (b"Bearer,a.b.c", Err(MalformedRequest)),
        (b"Bearer a, Bearer b", Err(MalformedRequest)),
        (b"Bearer a b", Err(MalformedRequest)),
        (b"Bearer a=b", Err(MalformedRequest)),
        (b"Bearer =", Err(MalformedRequest)),
        (b"Bearer \"a.b.c\"", Err(MalformedRequest)),
        (b"Bearer a.b.c;", Err(MalformedRequest)),
        (b"Bearer \xff\xfe", Err(MalformedRequest)),
        ("Bearer äöü".as_bytes(), Err(MalformedRequest)),
    ];
    for (value, expected) in table {
        let found = taken(&[value]);
        assert_eq!(found.as_deref(), expected.as_ref().map(|token| &**token), "{:?}", String::from_utf8_lossy(value));
    }
}

#[cfg(feature = "dpop")]
#[test]
fn a_scheme_is_told_from_another() {
    let found = |value: &'static str| {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
        let found = Credential::from_authorization(&headers);
        found.map(|credential| credential.scheme).map_err(|error| (error.kind(), error.scheme()))
    };
    for (value, expected) in [
        ("DPoP a.b.c", Ok(Scheme::Dpop)),
        ("dpop a.b.c", Ok(Scheme::Dpop)),
        (" DPOP   a.b.c", Ok(Scheme::Dpop)),
        ("Bearer DPoP", Ok(Scheme::Bearer)),
        ("DPoP", Err((ErrorKind::MissingToken, Scheme::Dpop))),
        ("DPoP\ta.b.c", Err((ErrorKind::MalformedRequest, Scheme::Dpop))),
        ("DPoP=a.b.c", Err((ErrorKind::MalformedRequest, Scheme::Dpop))),
        ("DPoPa.b.c", Err((ErrorKind::MissingToken, Scheme::Bearer))),
        ("DPoP-x a.b.c", Err((ErrorKind::MissingToken, Scheme::Bearer))),
        ("Dpo a.b.c", Err((ErrorKind::MissingToken, Scheme::Bearer))),
    ] {
        assert_eq!(found(value), expected, "{value}");
    }
}

#[test]
fn two_authorization_headers_are_refused_in_any_order() {
    assert_eq!(taken(&[b"DPoP a", b"Bearer b"]), Err(ErrorKind::MalformedRequest));
    assert_eq!(taken(&[b"Bearer a", b"Bearer b"]), Err(ErrorKind::MalformedRequest));
    assert_eq!(taken(&[b"Bearer a", b"Basic b"]), Err(ErrorKind::MalformedRequest));
    assert_eq!(taken(&[b"Basic b", b"Bearer a"]), Err(ErrorKind::MalformedRequest));
    assert_eq!(taken(&[b"Bearer", b"Bearer"]), Err(ErrorKind::MalformedRequest));
    assert_eq!(taken(&[b"Bearer", b"Bearer a"]), Err(ErrorKind::MalformedRequest));
    assert_eq!(taken(&[]), Err(ErrorKind::MissingToken));
}

#[test]
fn a_token_over_the_limit_is_refused_before_it_is_read() {
    let at_limit = [b"Bearer ".as_slice(), &vec![b'.'; DEFAULT_MAX_LEN]].concat();
    let over = [b"Bearer ".as_slice(), &vec![b'.'; DEFAULT_MAX_LEN + 1]].concat();
    assert_eq!(taken(&[&at_limit]).unwrap().len(), DEFAULT_MAX_LEN);
    assert_eq!(taken(&[&over]), Err(ErrorKind::MalformedRequest));
}

#[test]
fn what_is_no_token_is_told_by_what_is_in_its_way() {
    for (text, says) in [
        ("", "empty"),
        ("Bearer s3cr3t.a.b", "the scheme Bearer"),
        ("bearer  s3cr3t", "the scheme Bearer"),
        ("{\"access_token\":\"s3cr3t\"}", "JSON"),
        ("\"s3cr3t\"", "quotes"),
        ("'s3cr3t'", "quotes"),
        ("s3cr3t, s3cr3t", "a comma"),
        ("s3cr3t\n", "a line break"),
        ("s3cr3t\r\ns3cr3t", "a line break"),
        ("s3cr3t s3cr3t", "white space"),
        ("JWT s3cr3t", "white space"),
        ("s3cr3t\t", "white space"),
        ("<s3cr3t>", "a placeholder"),
        ("{{s3cr3t}}", "a placeholder"),
        ("$s3cr3t", "a placeholder"),
        ("s3cr3t%2Es3cr3t", "percent-encoded"),
        ("s3cr3t\u{0}", "control characters"),
        ("s3cr3t\u{7f}", "control characters"),
        ("s3cr3tä", "not ASCII"),
        ("s3cr3t\u{200b}", "not ASCII"),
        ("s3cr3t==.=.s3cr3t", "an equals sign"),
        ("s3cr3t=..s3cr3t", "an equals sign"),
        ("s3=cr3t", "an equals sign"),
        ("==", "an equals sign"),
        ("s3cr3t;", "does not allow"),
        ("s3cr3t:s3cr3t", "does not allow"),
    ] {
        let error = BearerToken::from_bytes(text.as_bytes(), DEFAULT_MAX_LEN).err().unwrap().to_string();
        assert!(error.contains(says), "{text:?}: {error}");
        assert!(!error.contains("s3"), "{text:?}: {error}");
    }
}
