use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use super::document::what_is_no_json;
use super::*;
use crate::jwks::{PlainHost, Reach};

#[test]
fn freshness_is_read_from_cache_control_or_expires() {
    let age = |values: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CACHE_CONTROL, HeaderValue::from_static(value));
        }
        max_age(&headers).map(|age| age.as_secs())
    };
    assert_eq!(age(&[]), None);
    assert_eq!(age(&["public, max-age=300"]), Some(300));
    assert_eq!(age(&["Max-Age=\"60\""]), Some(60));
    assert_eq!(age(&["public", "max-age=7"]), Some(7));
    // what wants to be asked for each time
    for wish in
        ["max-age=300, no-store", "no-cache", "max-age=0", "no-cache, no-store, must-revalidate", "must-revalidate"]
    {
        assert_eq!(age(&[wish]), Some(300), "{wish}");
    }
    assert_eq!(age(&["must-revalidate, max-age=7"]), Some(7));
    assert_eq!(age(&["no-cache=\"set-cookie\", max-age=7"]), Some(7), "for one field only");
    assert_eq!(age(&["max-age=-1"]), None);
    assert_eq!(age(&["s-maxage=10"]), None);
    assert_eq!(age(&["max-age=99999999999999999999"]), None);

    let mut headers = HeaderMap::new();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=300"));
    for (age, left) in [("100", 200), ("300", 0), ("999", 0), ("soon", 300)] {
        headers.insert(AGE, HeaderValue::from_static(age));
        assert_eq!(max_age(&headers), Some(Duration::from_secs(left)), "{age}");
    }

    let dates = |expires: &'static str, date: Option<&'static str>| {
        let mut headers = HeaderMap::new();
        headers.insert(EXPIRES, HeaderValue::from_static(expires));
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_static(date));
        }
        let without = max_age(&headers).map(|age| age.as_secs());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=5"));
        assert_eq!(max_age(&headers), Some(Duration::from_secs(5)), "max-age comes first");
        without
    };
    let noon = "Sun, 22 Nov 2026 12:00:00 GMT";
    assert_eq!(dates("Sun, 22 Nov 2026 12:10:00 GMT", Some(noon)), Some(600));
    assert_eq!(dates("Sun, 22 Nov 2026 11:00:00 GMT", Some(noon)), Some(300));
    assert_eq!(dates("0", Some(noon)), Some(300));
    assert_eq!(dates(noon, Some(noon)), Some(300));
    assert_eq!(dates("Sun, 22 Nov 2026 12:10:00 GMT", None), None, "against whose clock?");
    assert_eq!(dates("Sun, 22 Nov 2026 12:10:00 GMT", Some("noon")), None);
}

#[test]
fn entity_tags_are_compared_weakly_and_what_is_none_is_like_nothing() {
    let tag = |text: &'static str| HeaderValue::from_static(text);
    for (one, other) in [("\"a\"", "\"a\""), ("W/\"a\"", "\"a\""), ("W/\"a\"", "W/\"a\""), ("\"\"", "\"\"")] {
        assert_eq!(opaque_tag(&tag(one)), opaque_tag(&tag(other)), "{one} {other}");
        assert!(opaque_tag(&tag(one)).is_some(), "{one}");
    }
    assert_ne!(opaque_tag(&tag("\"a\"")), opaque_tag(&tag("\"A\"")));
    for none in ["", "*", "a", "\"", "\"a", "a\"", "w/\"a\"", "W/a", "\"a\", \"b\"", "W/*"] {
        assert_eq!(opaque_tag(&tag(none)), None, "{none}");
    }
    let long = HeaderValue::from_str(&format!("\"{}\"", "a".repeat(MAX_ETAG_LEN))).unwrap();
    assert_eq!(opaque_tag(&long), None);
}

fn source(issuer: &str, jwks_uri: Option<&str>, plain: &[&str]) -> Result<HttpSource, &'static str> {
    let hosts = plain.iter().map(|host| PlainHost::parse(host).unwrap()).collect();
    HttpSource::new(HttpAccess::new(None, Reach::Anywhere, hosts), issuer, jwks_uri)
}

#[test]
fn plain_http_is_for_hosts_that_are_named_and_metadata_send_nobody_elsewhere_over_it() {
    let hosts = ["keycloak:8080", "keys:9000"];
    assert!(source("http://keycloak:8080/realms/shop", None, &[]).is_err());
    assert!(source("http://keycloak:8081/realms/shop", None, &hosts).is_err());
    assert!(
        source("https://id.test/", Some("http://keycloak:8080/keys"), &hosts).is_ok(),
        "both by the operator's word"
    );
    for (issuer, jwks_uri, good) in [
        ("http://keycloak:8080/realms/shop", "http://keycloak:8080/keys", true),
        ("http://keycloak:8080/realms/shop", "https://keys.test/keys", true),
        ("http://keycloak:8080/realms/shop", "http://keys:9000/keys", false),
        ("http://keycloak:8080/realms/shop", "http://keycloak:8081/keys", false),
        ("http://keycloak:8080/realms/shop", "http://localhost/keys", false),
        ("https://id.test/", "http://keycloak:8080/keys", false),
        ("https://keycloak:8080/", "http://keycloak:8080/keys", false),
        ("http://localhost:1/", "http://keys.localhost:2/keys", true),
        ("http://localhost:1/", "http://keycloak:8080/keys", false),
    ] {
        let source = source(issuer, None, &hosts).unwrap();
        let checked = source.discovered.checked(jwks_uri, &Url::parse(issuer).unwrap());
        assert_eq!(checked.is_ok(), good, "{issuer} {jwks_uri} {checked:?}");
    }
}

fn verdict(content_type: &[&'static str], encoding: &[&'static str], body: &[u8], shown: bool) -> Result<(), String> {
    let header = |name: HeaderName| move |value: &&'static str| (name.clone(), HeaderValue::from_static(value));
    let lines = content_type.iter().map(header(CONTENT_TYPE)).chain(encoding.iter().map(header(CONTENT_ENCODING)));
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(name, value);
    }
    let mut answer = Answer::new(body.to_vec());
    *answer.headers_mut() = headers;
    what_is_no_json(&answer, shown).map_or(Ok(()), Err)
}

#[test]
fn what_is_json_is_taken_for_json_whatever_it_is_called_but_for_a_page() {
    for called in [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/jwk-set+json",
        "text/json",
        "application/octet-stream",
        "binary/octet-stream",
        "text/plain; charset=utf-8",
        "image/png",
        "application/javascript",
        "",
        "json",
    ] {
        assert_eq!(verdict(&[called], &[], b" {\"keys\":[]}\n", true), Ok(()), "{called}");
    }
    assert_eq!(verdict(&[], &[], b"{}", true), Ok(()));
    // such as a bucket's leftover `aws-chunked`
    assert_eq!(verdict(&["text/plain"], &["aws-chunked"], b"{}", true), Ok(()));
    for called in ["text/html", "Text/HTML; charset=utf-8", "application/xhtml+xml", "text/html; application/json"] {
        let why = verdict(&[called], &[], b"{}", true).unwrap_err();
        assert!(why.starts_with("an HTML page (content-type "), "{called}: {why}");
    }
    assert!(verdict(&["application/json", "text/html"], &[], b"{}", true).is_err());
}

#[test]
fn what_is_not_json_is_named() {
    for (content_type, encoding, body, named) in [
        ("text/plain", None, &b"<!DOCTYPE html><html>secret"[..], "an HTML page (content-type text/plain)"),
        ("text/xml", None, b"<?xml version=\"1.0\"?>", "XML (content-type text/xml)"),
        (
            "multipart/mixed; boundary=secret",
            None,
            b"--secret",
            "something that is not JSON (content-type multipart/mixed)",
        ),
        ("image/png", None, b"\x89PNG", "something that is not JSON (content-type image/png)"),
        ("application/octet-stream", None, b"", "an empty document (content-type application/octet-stream)"),
        ("text/plain", None, b"\xef\xbb\xbf{}", "a text with a byte order mark (content-type text/plain)"),
        ("application/x-pem-file", None, b"-----BEGIN", "PEM (content-type application/x-pem-file)"),
        (
            "application/json",
            Some("gzip"),
            b"\x1f\x8b\x08",
            "gzip, which was not asked for (content-type application/json, content-encoding gzip)",
        ),
        (
            "application/json",
            Some("br"),
            b"\x0b",
            "something that is not JSON (content-type application/json, content-encoding br)",
        ),
        // words of its own are not repeated
        ("a secret", None, b"secret", "something that is not JSON"),
        ("text/s\"cret", None, b"secret", "something that is not JSON"),
    ] {
        let encoding = Vec::from_iter(encoding);
        assert_eq!(verdict(&[content_type], &encoding, body, true).unwrap_err(), named);
        assert!(!verdict(&[content_type], &encoding, body, false).unwrap_err().contains('('), "{content_type}");
    }
}
