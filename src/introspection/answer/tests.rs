use super::*;
use crate::introspection::ClientAuthentication;

const NOW: UnixTime = UnixTime(Duration::from_secs(1_800_000_000));

fn settings() -> Introspection {
    Introspection::new(ClientAuthentication::client_secret_basic("orders", "s3cret"))
}

fn read(settings: &Introspection, status: u16, headers: &[(&'static str, &str)], body: &[u8]) -> Result<Said, Fault> {
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    settings.read(answer.body(body.to_vec()).unwrap(), NOW)
}

/// What is said: `yes`, `no`, `signed`, or why it is of no use.
fn said(result: Result<Said, Fault>) -> String {
    match result {
        Ok(Said::Active(_)) => "yes".into(),
        Ok(Said::Inactive) => "no".into(),
        Ok(Said::Signed(_)) => "signed".into(),
        Err(Fault { detail, outage, .. }) => format!("{} {detail}", if outage { "outage:" } else { "answer:" }),
    }
}

#[test]
fn only_a_strict_object_with_active_true_is_a_yes() {
    for (body, expected) in [
        (r#"{"active":true}"#, "yes"),
        (" {\"active\" : true}\r\n", "yes"),
        (r#"{"act\u0069ve":true}"#, "yes"),
        (r#"{"active":false}"#, "no"),
        (r#"{"active":false,"exp":"never","aud":7}"#, "no"),
        (r#"{"active":"true"}"#, "answer: active is a string"),
        (r#"{"active":"false"}"#, "answer: active is a string"),
        (r#"{"active":1}"#, "answer: active is a number"),
        (r#"{"active":0}"#, "answer: active is a number"),
        (r#"{"active":null}"#, "answer: active is null"),
        (r#"{"active":[true]}"#, "answer: active is an array"),
        (r#"{"active":{}}"#, "answer: active is an object"),
        (r#"{"Active":true}"#, "answer: the answer has no member active"),
        (r#"{"ACTIVE":true,"sub":"alice"}"#, "answer: the answer has no member active"),
        ("{}", "answer: the answer has no member active"),
        (r#"{"error":"invalid_client"}"#, "answer: the answer has no member active"),
        (r#"{"token_introspection":{"active":true}}"#, "answer: the answer has no member active"),
        (r#"{"active":false,"active":true}"#, "answer: the answer cannot be read: a member appears twice"),
        (r#"{"active":true,"active":true}"#, "answer: the answer cannot be read: a member appears twice"),
        (r#"{"active":true,"act\u0069ve":false}"#, "answer: the answer cannot be read: a member appears twice"),
        (r#"{"active":true,"x":{"a":1,"a":2}}"#, "answer: the answer cannot be read: a member appears twice"),
        ("[{\"active\":true}]", "answer: the answer cannot be read: the JSON text is not an object"),
        ("true", "answer: the answer cannot be read: the JSON text is not an object"),
        ("\"true\"", "answer: the answer cannot be read: the JSON text is not an object"),
        ("null", "answer: the answer cannot be read: the JSON text is not an object"),
        (r#"{"active":true}{"active":true}"#, "answer: the answer cannot be read: the JSON text is malformed"),
        (r#"{"active":true} x"#, "answer: the answer cannot be read: the JSON text is malformed"),
        (r#"{"active":true,}"#, "answer: the answer cannot be read: the JSON text is malformed"),
        ("{'active':true}", "answer: the answer cannot be read: the JSON text is malformed"),
        ("{active:true}", "answer: the answer cannot be read: the JSON text is malformed"),
        (r#"{"active":true,"x":NaN}"#, "answer: the answer cannot be read: the JSON text is malformed"),
        (r#"{"active":tru"#, "answer: the answer cannot be read: the JSON text is malformed"),
        (r#"{"active":true // yes"#, "answer: the answer cannot be read: the JSON text is malformed"),
        ("\u{feff}{\"active\":true}", "answer: the answer cannot be read: the JSON text is malformed"),
        ("active=true", "answer: the answer cannot be read: the JSON text is malformed"),
        ("<html>sign in</html>", "answer: the answer cannot be read: the JSON text is malformed"),
        ("", "answer: the answer is empty"),
        (" \r\n", "answer: the answer is empty"),
    ] {
        let found = said(read(&settings(), 200, &[("content-type", "application/json")], body.as_bytes()));
        assert!(found == expected || expected.contains(' ') && found.starts_with(expected), "{body}: {found}");
    }
    for body in [&b"\xff\xfe{\x00}\x00"[..], b"{\"active\":true,\"sub\":\"\xe9\"}", b"\x1f\x8b\x08\x00"] {
        assert!(said(read(&settings(), 200, &[], body)).starts_with("answer: the answer cannot be read"));
    }
    let deep = format!("{{\"active\":true,\"x\":{}{}}}", "[".repeat(70), "]".repeat(70));
    assert!(said(read(&settings(), 200, &[], deep.as_bytes())).contains("nested more than 64 deep"));
}

#[test]
fn every_other_status_is_a_fault_of_the_issuer_or_of_this_service() {
    let yes = r#"{"active":true,"sub":"alice","error":"server_error"}"#;
    for (status, expected) in [
        (201, "answer: the issuer answered 201"),
        (202, "answer: the issuer answered 202"),
        (204, "answer: the issuer answered 204"),
        (206, "answer: the issuer answered 206"),
        (301, "answer: the issuer answered 301 Moved Permanently (server_error); a redirect is not followed"),
        (302, "answer: the issuer answered 302"),
        (304, "answer: the issuer answered 304"),
        (307, "answer: the issuer answered 307"),
        (400, "answer: the issuer answered 400 Bad Request (server_error)"),
        (
            401,
            "outage: the issuer answered 401 Unauthorized (server_error): it refuses this service (client_secret_basic)",
        ),
        (
            403,
            "answer: the issuer answered 403 Forbidden (server_error): it refuses this service (client_secret_basic)",
        ),
        (404, "answer: the issuer answered 404 Not Found (server_error); is this its introspection endpoint?"),
        (405, "answer: the issuer answered 405"),
        (410, "answer: the issuer answered 410"),
        (413, "answer: the issuer answered 413"),
        (415, "answer: the issuer answered 415"),
        (422, "answer: the issuer answered 422"),
        (429, "outage: the issuer answered 429"),
        (500, "answer: the issuer answered 500"),
        (501, "answer: the issuer answered 501"),
        (502, "outage: the issuer answered 502"),
        (503, "outage: the issuer answered 503"),
        (504, "outage: the issuer answered 504"),
        (599, "answer: the issuer answered 599"),
    ] {
        let found = said(read(&settings(), status, &[("content-type", "application/json")], yes.as_bytes()));
        assert!(found.starts_with(expected), "{found}");
        // nor does a no count that is no success
        let found = said(read(&settings(), status, &[], br#"{"active":false}"#));
        assert!(found.contains(&format!("answered {status}")), "{found}");
    }
}

#[test]
fn of_an_error_only_a_registered_code_is_repeated() {
    for (body, shown) in [
        (r#"{"error":"invalid_client","error_description":"hunter2"}"#, "(invalid_client)"),
        (r#"{"error":"hunter2"}"#, ""),
        (r#"{"error":["invalid_client"]}"#, ""),
        ("hunter2", ""),
        ("", ""),
    ] {
        let found = said(read(&settings(), 401, &[("www-authenticate", "hunter2")], body.as_bytes()));
        assert!(found.contains(shown) && !found.contains("hunter2"), "{found}");
        assert!(found.contains("form-encoded") && found.contains("Keycloak"), "{found}");
    }
}

#[test]
fn the_wish_to_be_left_alone_is_read_in_seconds_and_as_a_date() {
    let wait = |value: &str| {
        let fault = read(&settings(), 429, &[("retry-after", value)], b"").err().unwrap();
        fault.retry_after.map(|wait| wait.as_secs())
    };
    let date = |ahead| {
        let then = NOW.to_system_time().unwrap() + Duration::from_secs(ahead);
        httpdate::fmt_http_date(then)
    };
    assert_eq!(wait("7"), Some(7));
    assert_eq!(wait("0"), Some(0));
    assert_eq!(wait("86400"), Some(60), "but not for longer than is good for anybody");
    assert_eq!((wait(&date(40)), wait(&date(90))), (Some(40), Some(60)));
    let past = httpdate::fmt_http_date(NOW.to_system_time().unwrap() - Duration::from_secs(5));
    assert_eq!((wait(&past), wait("soon"), wait("-1"), wait("1.5")), (Some(1), Some(1), Some(1), Some(1)));
    let silent = read(&settings(), 503, &[], b"").err().unwrap();
    assert_eq!((silent.retry_after, silent.outage), (None, true));
}

#[test]
fn a_client_that_is_unknown_is_so_for_every_token_whatever_the_status() {
    for (body, expected) in [
        (r#"{"error":"invalid_client"}"#, "outage: the issuer answered 400 Bad Request (invalid_client): it refuses"),
        (r#"{"error":"unauthorized_client"}"#, "outage: the issuer answered 400"),
        (r#"{"error":"invalid_request"}"#, "answer: the issuer answered 400"),
        (r#"{"error":"unsupported_token_type"}"#, "answer: the issuer answered 400"),
        ("", "answer: the issuer answered 400"),
    ] {
        let found = said(read(&settings(), 400, &[], body.as_bytes()));
        assert!(found.starts_with(expected), "{found}");
    }
}

#[test]
fn a_signed_answer_is_one_where_it_is_demanded_and_no_other_will_do() {
    const TYPE: &str = "application/token-introspection+jwt";
    let yes = br#"{"active":true}"#;
    for (signed, content_type, expected) in [
        (true, Some(TYPE), "signed"),
        (true, Some("Application/Token-Introspection+JWT; charset=utf-8"), "signed"),
        (true, Some("application/json"), "answer: the answer is not signed"),
        (true, Some("application/jwt"), "answer: the answer is not signed"),
        (true, None, "answer: the answer is not signed"),
        (false, Some(TYPE), "answer: the issuer signs its answer"),
        (false, Some("application/json; charset=utf-8"), "yes"),
        (false, Some("text/plain"), "yes"),
        (false, None, "yes"),
    ] {
        let settings = if signed { settings().signed() } else { settings() };
        let headers: Vec<_> = content_type.map(|typ| ("content-type", typ)).into_iter().collect();
        let found = said(read(&settings, 200, &headers, yes));
        assert!(found.starts_with(expected), "{content_type:?}: {found}");
    }
    let twice = [("content-type", TYPE), ("content-type", "application/json")];
    assert!(said(read(&settings().signed(), 200, &twice, yes)).starts_with("answer: the answer is not signed"));
}

#[test]
fn a_token_review_is_a_yes_with_the_claims_of_its_user() {
    let settings = Introspection::kubernetes("https://k8s.test", "-");
    let review = |status: &str| {
        let body = format!(r#"{{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","status":{status}}}"#);
        read(&settings, 201, &[], body.as_bytes())
    };
    let Ok(Said::Active(active)) = review(
        r#"{"authenticated":true,"audiences":["https://api.test"],"user":{"username":"system:serviceaccount:shop:orders","uid":"u-1","groups":["system:authenticated"],"extra":{"pod":["p"]}}}"#,
    ) else {
        panic!("no yes");
    };
    let claims: serde_json::Value = serde_json::from_str(active.into_claims().text()).unwrap();
    assert_eq!(
        claims,
        serde_json::json!({
            "sub": "system:serviceaccount:shop:orders",
            "aud": ["https://api.test"],
            "uid": "u-1",
            "groups": ["system:authenticated"],
            "extra": { "pod": ["p"] },
        })
    );
    for (status, expected) in [
        (r#"{"authenticated":true,"user":{"username":"a"}}"#, "yes"),
        (r#"{"authenticated":false}"#, "no"),
        (r#"{"error":"[invalid bearer token, token has been invalidated]"}"#, "no"),
        (r#"{"user":{"username":"a"}}"#, "no"),
        ("{}", "no"),
        (
            r#"{"authenticated":true,"error":"webhook timed out","user":{"username":"a"}}"#,
            "answer: the TokenReview says that the token is authenticated, and names an error",
        ),
        (r#"{"authenticated":true,"error":"","user":{"username":"a"}}"#, "yes"),
        (r#"{"authenticated":true,"error":null,"user":{"username":"a"}}"#, "yes"),
        (r#"{"authenticated":true,"error":true,"user":{"username":"a"}}"#, "answer: the answer is no TokenReview"),
        (r#"{"authenticated":true}"#, "answer: the TokenReview names no user"),
        (r#"{"authenticated":true,"user":{"username":""}}"#, "answer: the TokenReview names no user"),
        (r#"{"authenticated":"true","user":{"username":"a"}}"#, "answer: the answer is no TokenReview"),
        (r#"{"authenticated":1,"user":{"username":"a"}}"#, "answer: the answer is no TokenReview"),
        (r#"{"authenticated":true,"user":{"username":7}}"#, "answer: the answer is no TokenReview"),
        (r#"{"authenticated":true,"audiences":"a","user":{"username":"a"}}"#, "answer: the answer is no TokenReview"),
        (
            r#"{"authenticated":false,"authenticated":true,"user":{"username":"a"}}"#,
            "answer: the answer cannot be read",
        ),
        ("null", "answer: the answer is no TokenReview"),
    ] {
        let found = said(review(status));
        assert!(found.starts_with(expected), "{status}: {found}");
    }
    for (body, expected) in [
        (r#"{"active":true}"#, "answer: the answer is no TokenReview"),
        (r#"{"kind":"Status","status":"Failure"}"#, "answer: the answer is no TokenReview"),
        (
            r#"{"kind":"Pod","status":{"authenticated":true,"user":{"username":"a"}}}"#,
            "answer: the answer is no TokenReview",
        ),
    ] {
        assert!(said(read(&settings, 201, &[], body.as_bytes())).starts_with(expected), "{body}");
    }
    let refused = said(read(&settings, 403, &[], b""));
    assert!(refused.starts_with("answer:") && refused.contains("system:auth-delegator"), "{refused}");
}
