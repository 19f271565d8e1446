use http::Request;
use http::header::{HOST, ORIGIN};

use super::*;

fn request(method: &str, uri: &str, headers: Headers<'_>) -> Request<()> {
    let request = headers
        .iter()
        .fold(Request::builder().method(method).uri(uri), |request, (name, value)| request.header(*name, *value));
    request.body(()).unwrap()
}

fn found(sources: &[TokenSource], request: &Request<()>) -> Result<String, ErrorKind> {
    let (found, _) = find(sources, RequestHead::from(request));
    Ok(String::from_utf8_lossy(&found.map_err(|error| error.kind())?.token).into_owned())
}

type Headers<'t> = &'t [(&'t str, &'t str)];

const COOKIE_NAME: &str = "__Host-token";

#[test]
fn a_request_has_one_token_in_one_of_the_places() {
    use ErrorKind::{MalformedRequest, MissingToken};
    let sources = [
        TokenSource::authorization(),
        TokenSource::header(HeaderName::from_static("x-assertion")),
        TokenSource::cookie(COOKIE_NAME),
        TokenSource::web_socket_protocol(),
        TokenSource::dangerously_query(),
        TokenSource::custom(|head| head.headers().get("x-custom")?.as_bytes().strip_prefix(b"jwt:")),
    ];
    let bearer = ("authorization", "Bearer a");
    let (assertion, cookie, custom) =
        (("x-assertion", "b"), ("cookie", "x=1; __Host-token=c; y=2"), ("x-custom", "jwt:f"));
    let (upgrade, protocols) = (("upgrade", "websocket"), ("sec-websocket-protocol", "bearer, d"));
    let kubernetes = ("sec-websocket-protocol", "base64url.bearer.authorization.k8s.io.ZA, v4.channel.k8s.io");
    let events = ("accept", "text/event-stream");
    let rows: &[(Headers<'_>, &str, Result<&str, ErrorKind>)] = &[
        (&[], "/", Err(MissingToken)),
        (&[bearer], "/", Ok("a")),
        (&[assertion], "/", Ok("b")),
        (&[cookie], "/", Ok("c")),
        (&[upgrade, protocols], "/", Ok("d")),
        (&[("connection", "keep-alive, Upgrade"), protocols], "/", Err(MissingToken)),
        (&[protocols], "/", Err(MissingToken)),
        (&[upgrade, kubernetes], "/", Ok("d")),
        (&[kubernetes], "/", Err(MissingToken)),
        (&[upgrade, ("sec-websocket-protocol", "bearer")], "/", Err(MissingToken)),
        (&[upgrade, ("sec-websocket-protocol", "bearer"), cookie], "/", Ok("c")),
        (&[upgrade], "/?x=1&access_token=e", Ok("e")),
        (&[], "/?access_token=e", Err(MissingToken)),
        (&[bearer], "/?access_token=e", Ok("a")),
        (&[upgrade], "/?xaccess_token=e", Err(MissingToken)),
        (&[upgrade], "/?access_token=e&access_token=e", Err(MalformedRequest)),
        (&[upgrade], "/?access_token=e%2Ef", Ok("e.f")),
        (&[upgrade], "/?access%5Ftoken=e", Err(MissingToken)),
        (&[events], "/?access_token=e", Ok("e")),
        (&[("accept", "text/html, Text/Event-Stream;q=0.9")], "/?access_token=e", Ok("e")),
        (&[("accept", "text/html"), events], "/?access_token=e", Ok("e")),
        (&[("accept", "*/*")], "/?access_token=e", Err(MissingToken)),
        (&[("accept", "text/*")], "/?access_token=e", Err(MissingToken)),
        (&[("accept", "text/event-streams")], "/?access_token=e", Err(MissingToken)),
        (&[("content-type", "text/event-stream")], "/?access_token=e", Err(MissingToken)),
        (&[events], "/?access_token=", Err(MissingToken)),
        (&[events, bearer], "/?access_token=e", Err(MalformedRequest)),
        (&[events, bearer], "/?access_token=", Ok("a")),
        (&[custom], "/", Ok("f")),
        (&[("x-custom", "f")], "/", Err(MissingToken)),
        (&[bearer, assertion], "/", Err(MalformedRequest)),
        (&[assertion, cookie], "/", Err(MalformedRequest)),
        (&[bearer, custom], "/", Err(MalformedRequest)),
        (&[upgrade, protocols], "/?access_token=d", Err(MalformedRequest)),
        (&[assertion, assertion], "/", Err(MalformedRequest)),
        (&[("authorization", "Basic x"), cookie], "/", Ok("c")),
        (&[("authorization", "Bearer"), cookie], "/", Ok("c")),
        (&[("authorization", "Bearer")], "/", Err(MissingToken)),
        (&[("authorization", "Bearer"), ("authorization", "Bearer")], "/", Err(MalformedRequest)),
        (&[("x-custom", "jwt:")], "/", Err(MissingToken)),
        (&[("x-custom", "jwt:"), bearer], "/", Ok("a")),
        (&[("x-assertion", "Bearer a.b.c")], "/", Ok("Bearer a.b.c")),
        (&[("x-assertion", "")], "/", Err(MissingToken)),
        (&[("x-assertion", " ")], "/", Err(MissingToken)),
        (&[upgrade], "/?access_token=", Err(MissingToken)),
        (&[("cookie", "__Host-token=")], "/", Err(MissingToken)),
        (&[("cookie", "__Host-token")], "/", Err(MissingToken)),
        (&[("cookie", "x__Host-token=c")], "/", Err(MissingToken)),
        (&[("cookie", "__Host-tokens=c")], "/", Err(MissingToken)),
        (&[("cookie", "__host-token=c")], "/", Err(MissingToken)),
        (&[("cookie", "a=1"), ("cookie", "__Host-token=c")], "/", Ok("c")),
        (&[("cookie", "__Host-token=c"), ("cookie", "__Host-token=d")], "/", Err(MalformedRequest)),
        (&[("cookie", "__Host-token=c;__Host-token=c")], "/", Err(MalformedRequest)),
        (&[("cookie", "__Host-token=; __Host-token=c")], "/", Err(MalformedRequest)),
    ];
    for (headers, uri, expected) in rows {
        // from this site, so that nothing is said here about others
        let headers = [*headers, &[("sec-fetch-site", "same-origin")]].concat();
        let found = found(&sources, &request("GET", uri, &headers));
        assert_eq!(found.as_deref(), expected.as_ref().map(|token| &**token), "{headers:?} {uri}");
    }
    assert_eq!(found(&[], &request("GET", "/", &[bearer])), Err(MissingToken));
    // an event stream is had by GET
    let post = request("POST", "/?access_token=e", &[events, ("sec-fetch-site", "same-origin")]);
    assert_eq!(found(&sources, &post), Err(MissingToken));
    let signed_out = request("POST", "/", &[("cookie", "__Host-token="), ("sec-fetch-site", "cross-site")]);
    assert_eq!(found(&sources, &signed_out), Err(MissingToken), "a cookie without a token needs no protection");
}

#[test]
fn a_custom_source_sees_the_whole_head_of_a_request() {
    #[derive(Clone)]
    struct Session(String);

    let sources = [
        TokenSource::custom(|head| head.extensions().get().map(|Session(token)| token.as_bytes())),
        TokenSource::custom(|head| {
            let hook = *head.method() == http::Method::POST && head.uri().path().starts_with("/hooks/");
            head.headers().get("x-hook").filter(|_| hook).map(|token| token.as_bytes())
        }),
        TokenSource::custom(|head| head.uri().path().strip_prefix("/t/").map(str::as_bytes)),
    ];
    let hook = ("x-hook", "h");
    assert_eq!(found(&sources, &request("POST", "/hooks/1", &[hook])).as_deref(), Ok("h"));
    assert_eq!(found(&sources, &request("GET", "/hooks/1", &[hook])), Err(ErrorKind::MissingToken));
    assert_eq!(found(&sources, &request("POST", "/", &[hook])), Err(ErrorKind::MissingToken));
    assert_eq!(found(&sources, &request("GET", "/t/u", &[])).as_deref(), Ok("u"));
    let mut with_session = request("GET", "/", &[]);
    with_session.extensions_mut().insert(Session("s".to_owned()));
    assert_eq!(found(&sources, &with_session).as_deref(), Ok("s"));
    assert_eq!(format!("{:?}", RequestHead::from(&request("GET", "/t/u", &[hook]))), "RequestHead { method: GET, .. }");
}

#[test]
fn what_is_found_by_a_custom_source_is_hidden_wherever_it_was() {
    let sources = || {
        [
            TokenSource::authorization(),
            TokenSource::custom(|head| head.headers().get("x-one")?.as_bytes().strip_prefix(b"jwt:")),
            TokenSource::custom(|head| head.headers().get_all("x-two").iter().nth(1).map(|value| value.as_bytes())),
            TokenSource::custom(|head| head.uri().path().strip_prefix("/t/").map(str::as_bytes)),
        ]
    };
    let rows: &[(&str, Headers<'_>, &[&str], bool)] = &[
        ("/", &[("x-one", "jwt:a"), ("x-three", "jwt:a")], &["jwt:a"], false),
        ("/", &[("x-one", "a")], &[], false),
        ("/", &[("x-one", "jwt:")], &[], false),
        ("/", &[("x-two", "a"), ("x-two", "b"), ("x-two", "c")], &["b"], false),
        ("/", &[("x-one", "jwt:a"), ("x-two", "b"), ("x-two", "c")], &["jwt:a", "c"], false),
        // though the request is refused for another reason
        ("/", &[("authorization", "Bearer a"), ("authorization", "Bearer b"), ("x-one", "jwt:c")], &["jwt:c"], false),
        ("/t/u", &[], &[], true),
        ("/t/u", &[("x-one", "jwt:c")], &["jwt:c"], true),
        ("/t/", &[], &[], false),
    ];
    for (uri, headers, hidden, no_store) in rows {
        let mut request = request("GET", uri, headers);
        let (_, places) = find(&sources(), RequestHead::from(&request));
        let mut response = http::Response::new(());
        places.hide_in(&mut request).add_to(&mut response);
        let sensitive = request.headers().values().filter(|value| value.is_sensitive());
        assert_eq!(sensitive.collect::<Vec<_>>(), *hidden, "{uri} {headers:?}");
        assert_eq!(response.headers().contains_key("cache-control"), *no_store, "{uri} {headers:?}");
    }
}

#[test]
fn a_cookie_is_only_good_for_requests_of_this_site() {
    let app = [TokenSource::cookie(COOKIE_NAME).allow_origin("https://app.test")];
    let own = ("sec-fetch-site", "same-origin");
    let typed = ("sec-fetch-site", "none");
    let sibling = ("sec-fetch-site", "same-site");
    let foreign = ("sec-fetch-site", "cross-site");
    let upgrade = ("upgrade", "websocket");
    let from = |origin| (ORIGIN.as_str(), origin);
    let rows: &[(&str, Headers<'_>, bool)] = &[
        ("GET", &[], true),
        ("GET", &[foreign, from("https://evil.test")], true),
        ("HEAD", &[foreign], true),
        ("OPTIONS", &[foreign], true),
        ("POST", &[], false),
        ("POST", &[own], true),
        ("POST", &[typed], true),
        ("POST", &[sibling], false),
        ("POST", &[foreign], false),
        ("POST", &[("sec-fetch-site", "")], false),
        ("POST", &[own, own], false),
        ("POST", &[own, foreign], false),
        ("PUT", &[foreign], false),
        ("DELETE", &[foreign], false),
        ("PATCH", &[foreign], false),
        ("PROPFIND", &[foreign], false),
        ("CONNECT", &[foreign], false),
        ("GET", &[upgrade], false),
        ("GET", &[upgrade, foreign, from("https://evil.test")], false),
        ("GET", &[upgrade, from("https://api.test")], true),
        ("GET", &[("connection", "upgrade"), from("https://evil.test")], true),
        ("POST", &[foreign, from("https://app.test")], true),
        ("POST", &[from("https://app.test")], true),
        ("POST", &[foreign, from("https://app.test.evil.test")], false),
        ("POST", &[foreign, from("https://api.test")], false),
        ("POST", &[from("https://api.test")], true),
        ("POST", &[from("https://API.test:443")], true),
        ("POST", &[from("https://api.test:8443")], false),
        ("POST", &[from("http://api.test")], false),
        ("POST", &[from("https://evil.test")], false),
        ("POST", &[from("https://xapi.test")], false),
        ("POST", &[from("https://api.test.evil.test")], false),
        ("POST", &[from("null")], false),
        ("POST", &[from("")], false),
        ("POST", &[from("https://")], false),
        ("POST", &[from("https://api.test"), from("https://api.test")], false),
    ];
    for (method, headers, good) in rows {
        let headers = [*headers, &[(HOST.as_str(), "api.test"), ("cookie", "__Host-token=c")]].concat();
        let uri = if *method == "CONNECT" { "api.test:443" } else { "/" };
        let found = found(&app, &request(method, uri, &headers));
        assert_eq!(found.is_ok(), *good, "{method} {headers:?}: {found:?}");
    }
    let local = |origin, host| {
        let headers = [(ORIGIN.as_str(), origin), (HOST.as_str(), host), ("cookie", "__Host-token=c")];
        found(&app, &request("POST", "/", &headers))
    };
    for (origin, host) in [
        ("http://localhost:3000", "localhost:3000"),
        ("http://127.0.0.1", "127.0.0.1:80"),
        ("http://[::1]:3000", "[::1]:3000"),
        ("http://[::1]", "[::1]"),
    ] {
        assert_eq!(local(origin, host).as_deref(), Ok("c"), "{origin} {host}");
    }
    for (origin, host) in [
        ("http://localhost:3000", "localhost:3001"),
        ("http://localhost.evil.test", "localhost.evil.test"),
        ("http://127.0.0.1", "localhost"),
        ("https://", ""),
        ("http://", ""),
    ] {
        assert_eq!(local(origin, host), Err(ErrorKind::CrossOriginRequest), "{origin} {host}");
    }
    // HTTP/2 has the host in the address
    let headers = [(ORIGIN.as_str(), "https://api.test"), ("cookie", "__Host-token=c")];
    assert_eq!(found(&app, &request("POST", "https://api.test/x", &headers)).as_deref(), Ok("c"));
    assert_eq!(found(&app, &request("POST", "https://other.test/x", &headers)), Err(ErrorKind::CrossOriginRequest));
    assert_eq!(found(&app, &request("POST", "/x", &headers)), Err(ErrorKind::CrossOriginRequest), "no host at all");
}

#[test]
fn debug_says_where_and_not_what() {
    let sources = [TokenSource::cookie("c"), TokenSource::header(AUTHORIZATION), TokenSource::web_socket_protocol()];
    let text = "[TokenSource::cookie(c), TokenSource::header(authorization), TokenSource::web_socket_protocol]";
    assert_eq!(format!("{sources:?}"), text);
}
