//! Addresses that are the same, and those that are not.

use http::Request;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn judged(origin: &PublicOrigin, request: &Request<()>, htu: &str) -> Result<(), String> {
    let target = origin.target(request.into()).map_err(|error| error.to_string())?;
    target.is(htu).map_err(Cow::into_owned)
}

fn request(path: &str) -> Request<()> {
    Request::get(path).body(()).unwrap()
}

#[test]
fn an_address_is_compared_after_the_normalisation_of_rfc_3986() {
    const SAME: &str = "";
    let table = [
        ("https://api.example.com", "/orders", "https://api.example.com/orders", SAME),
        ("https://api.example.com", "/orders?a=1", "https://api.example.com/orders", SAME),
        ("https://api.example.com", "/orders", "https://api.example.com/orders?b=2", SAME),
        ("https://api.example.com", "/orders", "https://api.example.com/orders#there", SAME),
        ("https://api.example.com", "/orders?a=/x", "https://api.example.com/orders?/y#/z", SAME),
        ("https://api.example.com", "/orders", "HTTPS://API.Example.COM/orders", SAME),
        ("https://API.example.com:443/", "/orders", "https://api.example.com/orders", SAME),
        ("https://api.example.com", "/orders", "https://api.example.com:443/orders", SAME),
        ("https://api.example.com", "/orders", "https://api.example.com:/orders", SAME),
        ("http://api.example.com:80", "/orders", "http://api.example.com/orders", SAME),
        ("https://api.example.com:8443", "/orders", "https://api.example.com:8443/orders", SAME),
        ("https://api.example.com", "/", "https://api.example.com", SAME),
        ("https://api.example.com", "/", "https://api.example.com?a=1", SAME),
        ("https://api.example.com", "/a/b", "https://api.example.com/a/./x/../b", SAME),
        ("https://api.example.com", "/b", "https://api.example.com/../../b", SAME),
        ("https://api.example.com", "/a/", "https://api.example.com/a/b/..", SAME),
        ("https://api.example.com", "/%7Eme", "https://api.example.com/~me", SAME),
        ("https://api.example.com", "/~me", "https://api.example.com/%7eme", SAME),
        ("https://api.example.com", "/b", "https://api.example.com/a/%2e%2E/b", SAME),
        ("https://api.example.com", "/a%2fb", "https://api.example.com/a%2Fb", SAME),
        ("https://api.example.com", "/a//b", "https://api.example.com/a//b", SAME),
        ("https://api.example.com", "/100%", "https://api.example.com/100%25", SAME),
        ("https://xn--bcher-kva.example", "/", "https://XN--bcher-kva.example/", SAME),
        ("https://[::1]:8443", "/", "https://[::1]:8443/", SAME),
        ("https://example.com/shop", "/orders", "https://example.com/shop/orders", SAME),
        ("https://example.com/shop/", "/orders", "https://example.com/shop/orders", SAME),
        ("https://example.com/shop", "/", "https://example.com/shop/", SAME),
        // which axum's nested router has as `/`
        ("https://example.com/shop", "/", "https://example.com/shop", SAME),
        ("https://example.com/shop", "/", "https://example.com/shop?a=1", SAME),
        ("https://api.example.com", "/orders", "http://api.example.com/orders", "scheme"),
        ("https://api.example.com", "/orders", "http://api.example.com:443/orders", "scheme"),
        ("https://api.example.com", "/orders", "https://example.com/orders", "host"),
        ("https://api.example.com", "/orders", "https://api.example.com./orders", "host"),
        ("https://api.example.com", "/orders", "https://api.example.com.evil.test/orders", "host"),
        ("https://[::1]", "/", "https://[::2]/", "host"),
        ("https://api.example.com", "/orders", "https://api.example.com:8443/orders", "port"),
        ("https://api.example.com", "/orders", "https://api.example.com:80/orders", "port"),
        ("https://api.example.com:8443", "/orders", "https://api.example.com/orders", "port"),
        ("https://api.example.com:8443", "/orders", "https://api.example.com:84430/orders", "host"),
        ("https://api.example.com:84", "/orders", "https://api.example.com:8443/orders", "port"),
        ("https://api.example.com", "/orders", "https://api.example.com/orders/", "path"),
        ("https://api.example.com", "/orders", "https://api.example.com/Orders", "path"),
        ("https://api.example.com", "/orders", "https://api.example.com//orders", "path"),
        ("https://api.example.com", "/orders", "https://api.example.com/", "path"),
        ("https://api.example.com", "/a/b", "https://api.example.com/a%2Fb", "path"),
        ("https://api.example.com", "/a/b", "https://api.example.com/a//b", "path"),
        ("https://api.example.com", "/a%2Fb", "https://api.example.com/a%252Fb", "path"),
        ("https://api.example.com", "/a!b", "https://api.example.com/a%21b", "path"),
        ("https://api.example.com", "/orders", "https://api.example.com/orders%20", "path"),
        ("https://api.example.com", "/orders", "https://api.example.com/orders ", "path"),
        ("https://api.example.com", "/orders", "https://api.example.com/orders;a=1", "path"),
        ("https://example.com/shop", "/orders", "https://example.com/orders", "path"),
        ("https://example.com/shop", "/orders", "https://example.com/shoporders", "path"),
        ("https://example.com/shop", "/", "https://example.com/", "path"),
        ("https://example.com/shop", "/", "https://example.com/shopping", "path"),
        ("https://example.com/shop", "//", "https://example.com/shop", "path"),
        ("https://example.com/shop", "/orders", "https://example.com/shop", "path"),
        // no router would see the path that these are normalised to
        ("https://api.example.com", "/a/../b", "https://api.example.com/b", "dot segments"),
        ("https://api.example.com", "/a/../b", "https://api.example.com/a/../b", "dot segments"),
        ("https://api.example.com", "/a/%2E%2e/b", "https://api.example.com/b", "dot segments"),
        ("https://api.example.com", "/b/.", "https://api.example.com/b/", "dot segments"),
        ("https://api.example.com", "/.b/..c/...", "https://api.example.com/.b/..c/...", SAME),
        // another service beside this one is not reached by a dot segment
        ("https://example.com/shop", "/../admin", "https://example.com/admin", "dot segments"),
        ("https://example.com/shop", "/../admin", "https://example.com/shop/../admin", "dot segments"),
        ("https://example.com/shop", "/../admin", "https://example.com/shop/admin", "dot segments"),
        ("https://example.com/shop", "/%2e%2E/admin", "https://example.com/shop/%2e%2E/admin", "dot segments"),
        ("https://api.example.com", "/orders", "https://me@api.example.com/orders", "credentials"),
        ("https://api.example.com", "/orders", "https://me:pw@api.example.com/orders", "credentials"),
        ("https://api.example.com", "/orders", "https://api.example.com@evil.test/orders", "credentials"),
        ("https://api.example.com", "/orders", "https://@api.example.com/orders", "credentials"),
        ("https://api.example.com", "/orders", "/orders", "absolute"),
        ("https://api.example.com", "/orders", "orders", "absolute"),
        ("https://api.example.com", "/orders", "", "absolute"),
        ("https://api.example.com", "/orders", "//api.example.com/orders", "absolute"),
        ("https://api.example.com", "/orders", "api.example.com/orders", "absolute"),
        ("https://api.example.com", "/orders", "https:/api.example.com/orders", "absolute"),
        ("https://api.example.com", "/orders", "https:api.example.com/orders", "absolute"),
        ("https://api.example.com", "/orders", "wss://api.example.com/orders", "absolute"),
        ("https://api.example.com", "/orders", "ftp://api.example.com/orders", "absolute"),
        ("https://api.example.com", "/orders", " https://api.example.com/orders", "absolute"),
        ("https://api.example.com", "/orders", "https:///orders", "no host"),
        ("https://api.example.com", "/orders", "https://", "no host"),
        ("https://api.example.com", "/orders", "https://:443/orders", "no host"),
        ("https://api.example.com", "/orders", "https://api.example.com:+443/orders", "no host"),
        ("https://api.example.com", "/orders", "https://api.example.com:443:443/orders", "no host"),
        ("https://api.example.com", "/orders", "https://api.example.com\\orders", "no host"),
        ("https://api.example.com", "/orders", "https://api.example.com /orders", "no host"),
        ("https://api.example.com", "/orders", "https://api.example.com\t/orders", "no host"),
        ("https://[::1]", "/", "https://[::1/", "no host"),
        ("https://[::1]", "/", "https://[::1]x/", "no host"),
    ];
    for (origin, path, htu, expected) in table {
        let judged = judged(&origin.into(), &request(path), htu);
        match judged {
            Ok(()) => assert_eq!(expected, SAME, "{htu} for {origin} and {path}"),
            Err(why) => assert!(!expected.is_empty() && why.contains(expected), "{htu} for {origin} and {path}: {why}"),
        }
    }
}

#[test]
fn an_origin_that_cannot_be_one_says_why() {
    for good in ["https://a.example", "https://a.example/", "http://a.example:8080/x/y/", "https://[2001:db8::1]:8443"]
    {
        assert_eq!(PublicOrigin::from(good).fault(), None, "{good}");
    }
    let wrong = [
        ("", "begin with"),
        ("api.example.com", "begin with"),
        ("/prefix", "begin with"),
        ("ftp://a.example", "begin with"),
        ("https://", "no host"),
        ("https://a.example:port", "no host"),
        ("https://a.example:70000", "no host"),
        ("https://bücher.example", "no host"),
        ("https://a b.example", "no host"),
        ("https://me:pw@a.example", "credentials"),
        ("https://a.example?x", "query"),
        ("https://a.example/#x", "fragment"),
        ("https://a.example/a b", "percent-encoded"),
    ];
    for (text, expected) in wrong {
        let origin = PublicOrigin::from(text.to_owned());
        let fault = origin.fault().unwrap();
        assert!(fault.contains(expected) && fault.contains("https://api.example.com"), "{text}: {fault}");
        assert!(origin.target((&request("/")).into()).is_err(), "{text}");
    }
}

#[test]
fn a_host_is_believed_on_loopback_only() {
    let origin = PublicOrigin::loopback();
    let at = |hosts: &[&str]| {
        let request = hosts.iter().fold(Request::get("/orders"), |request, host| request.header("host", *host));
        request.body(()).unwrap()
    };
    let good = [
        ("localhost:3000", "http://localhost:3000/orders"),
        ("localhost:3000", "https://localhost:3000/orders"),
        ("localhost", "http://localhost/orders"),
        ("localhost", "https://localhost:443/orders"),
        ("LOCALHOST:80", "http://localhost/orders"),
        ("api.localhost:3000", "http://api.localhost:3000/orders"),
        ("127.0.0.1:3000", "http://127.0.0.1:3000/orders"),
        ("127.1.2.3", "http://127.1.2.3/orders"),
        ("[::1]:3000", "http://[::1]:3000/orders"),
        ("[::ffff:127.0.0.1]", "http://[::ffff:127.0.0.1]/orders"),
    ];
    for (host, htu) in good {
        assert_eq!(judged(&origin, &at(&[host]), htu), Ok(()), "{host} {htu}");
    }
    for host in [
        "api.example.com",
        "localhost.evil.test",
        "evil-localhost",
        "10.0.0.1",
        "0.0.0.0",
        "[::]",
        "",
        "[::1",
        "2130706433",
    ] {
        let why = judged(&origin, &at(&[host]), "http://localhost/orders").unwrap_err();
        assert!(why.contains("set public_origin"), "{host}: {why}");
    }
    for hosts in [&[][..], &["localhost", "localhost"], &["localhost", "api.example.com"], &["localhost, localhost"]] {
        assert!(judged(&origin, &at(hosts), "http://localhost/orders").is_err(), "{hosts:?}");
    }
    // HTTP/2 has the authority in the address, and then it is what counts
    let two = |authority: &str| Request::get(authority).header("host", "localhost:3000").body(()).unwrap();
    assert_eq!(judged(&origin, &two("http://localhost:3000/orders"), "http://localhost:3000/orders"), Ok(()));
    assert!(judged(&origin, &two("http://api.example.com/orders"), "http://localhost:3000/orders").is_err());
    // nor does the host of a request count where the origin is known, or a header of a proxy
    let fixed = PublicOrigin::from("https://api.example.com");
    let forged = Request::get("/orders").header("host", "evil.test").header("x-forwarded-host", "evil.test");
    let forged = forged.header("forwarded", "host=evil.test").body(()).unwrap();
    assert_eq!(judged(&fixed, &forged, "https://api.example.com/orders"), Ok(()));
    assert!(judged(&fixed, &forged, "https://evil.test/orders").unwrap_err().contains("host"));
}

#[test]
fn a_function_says_the_origin_of_each_request() {
    let origin = PublicOrigin::from_fn(|head| match head.headers().get("host")?.to_str().ok()? {
        "a.example" => Some("https://a.example/one".to_owned()),
        "odd" => Some("odd".to_owned()),
        _ => None,
    });
    let at = |host: &str| Request::get("/orders").header("host", host).body(()).unwrap();
    assert_eq!(judged(&origin, &at("a.example"), "https://a.example/one/orders"), Ok(()));
    assert!(judged(&origin, &at("a.example"), "https://a.example/orders").unwrap_err().contains("path"));
    assert!(judged(&origin, &at("odd"), "https://a.example/orders").unwrap_err().contains("no origin"));
    assert!(judged(&origin, &at("b.example"), "https://b.example/orders").unwrap_err().contains("knows no origin"));
    assert_eq!(format!("{origin:?}"), "PublicOrigin(function)");
}

#[test]
fn a_request_without_a_path_is_for_no_address() {
    let origin = PublicOrigin::from("https://api.example.com");
    let star = Request::options("*").body(()).unwrap();
    assert!(judged(&origin, &star, "https://api.example.com/*").is_err());
}

/// What a segment of a path can have, each another thing.
const SYMBOLS: [&str; 8] = ["a", "B", ".", "~", "!", "%21", "%2F", "%25"];

/// Writes a path in one of the ways that are the same.
fn written(model: &[Vec<usize>], mut choices: impl Iterator<Item = u8>) -> String {
    let mut choose = move || choices.next().unwrap_or_default();
    let mut path = String::new();
    for segment in model {
        match choose() % 4 {
            1 => path.push_str("/."),
            2 => path.push_str("/x/%2e."),
            _ => {}
        }
        path.push('/');
        for symbol in segment {
            let symbol = SYMBOLS[*symbol];
            let lower = choose() % 2 == 0;
            match (symbol.len(), choose() % 2) {
                (1, 1) if symbol != "!" && lower => path.push_str(&format!("%{:02x}", symbol.as_bytes()[0])),
                (1, 1) if symbol != "!" => path.push_str(&format!("%{:02X}", symbol.as_bytes()[0])),
                (3, 1) => path.push_str(&symbol.to_ascii_lowercase()),
                _ => path.push_str(symbol),
            }
        }
    }
    path
}

fn model() -> impl Strategy<Value = Vec<Vec<usize>>> {
    let segment = vec(0..SYMBOLS.len(), 0..3);
    let is_dots = |segment: &Vec<usize>| !segment.is_empty() && segment.iter().all(|symbol| SYMBOLS[*symbol] == ".");
    vec(segment.prop_filter("a dot segment", move |segment| !is_dots(segment)), 1..4)
}

proptest! {
    #[test]
    fn paths_are_equal_if_and_only_if_they_are_the_same(
        one in model(), other in model(), choices in vec(any::<u8>(), 40), more in vec(any::<u8>(), 40)
    ) {
        let [first, second, third] =
            [written(&one, choices.iter().copied()), written(&one, more.iter().copied()), written(&other, more.into_iter())];
        prop_assert_eq!(normalised(&first), normalised(&second), "{} {}", first, second);
        prop_assert_eq!(normalised(&first) == normalised(&third), one == other, "{} {}", first, third);
    }

    #[test]
    fn normalisation_is_the_same_twice(path in "[/.%2eEfF5~a!é ]{0,24}") {
        let once = normalised(&path);
        prop_assert_eq!(normalised(&once), once);
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), rest in r"[\[\]:@/?#%a0.]{0,16}") {
        let origin = PublicOrigin::from("https://a");
        let request = request("/");
        let target = origin.target((&request).into()).unwrap();
        for htu in [text.clone(), format!("https://{text}"), format!("https://{rest}")] {
            let _: Result<_, _> = target.is(&htu);
            let _: Option<String> = PublicOrigin::from(htu).fault();
        }
        let _: bool = loopback(&rest).is_some();
    }
}
