use super::*;
use crate::jwks::PlainHost;

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
    let client = HttpClient::ours(Reach::Anywhere);
    HttpSource::new(client, Reach::Anywhere, Plain { hosts, below_localhost: true }, issuer, jwks_uri)
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
        let checked = source.checked_jwks_uri(jwks_uri, &Url::parse(issuer).unwrap());
        assert_eq!(checked.is_ok(), good, "{issuer} {jwks_uri} {checked:?}");
    }
}
