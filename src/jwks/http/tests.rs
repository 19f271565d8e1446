use super::*;

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
fn only_json_is_taken_for_json() {
    let url = Url::parse("https://id.test/jwks").unwrap();
    let json = |content_type: &'static str| {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        check_type(&url, &headers).is_ok()
    };
    for good in ["application/json", "Application/JSON; charset=utf-8", "application/jwk-set+json", "text/json"] {
        assert!(json(good), "{good}");
    }
    for bad in
        ["text/html", "text/plain", "application/octet-stream", "", "application/jsonx", "text/html; application/json"]
    {
        assert!(!json(bad), "{bad}");
    }
    assert!(check_type(&url, &HeaderMap::new()).is_ok());
}
