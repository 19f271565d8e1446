use http::HeaderValue;

use super::*;

#[test]
fn keys_come_over_https_or_from_loopback_only() {
    for good in
        ["https://id.test/jwks", "http://127.0.0.1:8080/", "http://127.1.2.3/", "http://[::1]/", "http://localhost/"]
    {
        assert!(checked(good, true).is_ok(), "{good}");
    }
    for bad in [
        "http://id.test/jwks",
        "http://10.0.0.1/",
        "http://169.254.169.254/latest",
        "http://127.0.0.1.id.test/",
        "http://localhost.id.test/",
        "file:///etc/passwd",
        "ftp://id.test/",
        "https://user:pw@id.test/",
        "http://0.0.0.0/",
        "http://keys.localhost/",
        "acme.com",
        "",
    ] {
        assert!(checked(bad, true).is_err(), "{bad}");
    }
    for own in [
        "http://127.0.0.1/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://localhost:8443/",
        "https://LOCALHOST./",
        "https://keys.localhost/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://0.0.0.0/",
        "https://[::]/",
    ] {
        assert!(checked(own, false).is_err(), "{own}");
    }
}

#[test]
fn freshness_is_read_from_cache_control() {
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
    assert_eq!(age(&["max-age=300, no-store"]), Some(0));
    assert_eq!(age(&["no-cache"]), Some(0));
    assert_eq!(age(&["max-age=-1"]), None);
    assert_eq!(age(&["s-maxage=10"]), None);
    assert_eq!(age(&["max-age=99999999999999999999"]), None);

    let mut headers = HeaderMap::new();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=300"));
    for (age, left) in [("100", 200), ("300", 0), ("999", 0), ("soon", 300)] {
        headers.insert(AGE, HeaderValue::from_static(age));
        assert_eq!(max_age(&headers), Some(Duration::from_secs(left)), "{age}");
    }
}

#[test]
fn addresses_are_shown_without_their_query() {
    let url = Url::parse("https://id.test/keys?api_key=s3cr3t").unwrap();
    assert_eq!(shown(&url), "https://id.test/keys");
}
