//! What of a request matters for its refusal.

use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, PROXY_AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderName, Method, Request, Uri, Version};

use crate::credential::{DPOP, RequestHead, Shown};

/// Stands in the extensions of a request that is not gRPC, whatever it looks like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoGrpc;

/// Recognises gRPC and grpc-web; returns the content type of the answer.
///
/// A refusal of gRPC has the HTTP status 200, so whatever only claims to be gRPC must not be
/// taken for it: above all not what a proxy sends, with the client's headers, to ask whether a
/// request is allowed. Hence only a POST is gRPC, and without grpc-web it needs HTTP/2, which
/// such proxies seldom speak to those that they ask.
pub(super) fn grpc_content_type(request: RequestHead<'_>) -> Option<&'static str> {
    if *request.method() != Method::POST || request.extensions().get::<NoGrpc>().is_some() {
        return None;
    }
    let value = request.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let format = media_type.strip_prefix("application/grpc")?;
    match format.split('+').next()? {
        "" if request.version() >= Version::HTTP_2 => Some("application/grpc"),
        "-web" => Some("application/grpc-web"),
        "-web-text" => Some("application/grpc-web-text"),
        _ => None,
    }
}

/// The parameter that a token may be in (RFC 6750 §2.3).
const TOKEN: &str = "access_token=";

/// Copies of a request what a [`Reject`](super::Reject) may see: nothing that could be a
/// credential.
pub(crate) fn head<B>(request: &Request<B>, shown: Shown) -> Box<Request<()>> {
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = shown_uri(request.uri(), shown.of(request.extensions()));
    *head.version_mut() = request.version();
    *head.headers_mut() = request.headers().clone();
    let headers = request.headers();
    let is_secret = |name: &HeaderName| {
        // whether or not the layer looks for tokens in them
        let holds_credentials =
            [AUTHORIZATION, COOKIE, DPOP, PROXY_AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL].contains(name);
        holds_credentials || headers.get_all(name).iter().any(|value| value.is_sensitive())
    };
    for name in headers.keys().filter(|name| is_secret(name)) {
        head.headers_mut().remove(name);
    }
    Box::new(head)
}

/// Takes out of an address what could be a token.
fn shown_uri(uri: &Uri, shown: Shown) -> Uri {
    if shown == Shown::Nothing {
        return Uri::default();
    }
    let Some(query) = uri.query() else { return uri.clone() };
    let is_shown = |parameter: &&str| shown == Shown::Query && !parameter.starts_with(TOKEN);
    let kept = query.split('&').filter(is_shown).collect::<Vec<_>>().join("&");
    if kept.len() == query.len() {
        return uri.clone();
    }
    let text = if kept.is_empty() { uri.path().to_owned() } else { [uri.path(), "?", &kept].concat() };
    let mut parts = uri.clone().into_parts();
    // neither can fail, since less of what was well-formed is so too; were it otherwise, nothing
    // would be shown
    parts.path_and_query = text.parse().ok();
    Uri::from_parts(parts).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn grpc(method: &str, version: Version, content_type: &str) -> Option<&'static str> {
        let request = Request::builder().method(method).version(version).header(CONTENT_TYPE, content_type);
        grpc_content_type((&request.body(()).unwrap()).into())
    }

    #[test]
    fn grpc_is_recognised_by_method_version_and_content_type() {
        let (old, new) = (Version::HTTP_11, Version::HTTP_2);
        for (method, version, content_type, answer) in [
            ("POST", new, "application/grpc", Some("application/grpc")),
            ("POST", Version::HTTP_3, "application/grpc", Some("application/grpc")),
            ("POST", new, "application/grpc+proto", Some("application/grpc")),
            ("POST", new, "Application/gRPC; charset=utf-8", Some("application/grpc")),
            ("POST", old, "application/grpc", None),
            ("POST", Version::HTTP_10, "application/grpc+proto", None),
            ("POST", old, "application/grpc-web+proto", Some("application/grpc-web")),
            ("POST", new, "application/grpc-web", Some("application/grpc-web")),
            ("POST", old, "application/grpc-web-text", Some("application/grpc-web-text")),
            ("POST", new, "application/grpc ,text/html", None),
            ("POST", new, "application/grpcurl", None),
            ("POST", new, "text/plain; application/grpc", None),
            ("GET", new, "application/grpc", None),
            ("PUT", new, "application/grpc-web", None),
            ("post", new, "application/grpc", None),
        ] {
            assert_eq!(grpc(method, version, content_type), answer, "{method} {version:?} {content_type}");
        }
        let mut marked = Request::post("/").version(new).header(CONTENT_TYPE, "application/grpc").body(()).unwrap();
        marked.extensions_mut().insert(NoGrpc);
        assert_eq!(grpc_content_type((&marked).into()), None);
        let (parts, ()) = marked.into_parts();
        assert_eq!(grpc_content_type((&parts).into()), None);
    }

    #[test]
    fn of_a_refused_request_no_credential_is_left() {
        let mut request =
            Request::get("/a?b=1&access_token=s3cr3t&c=2").header("accept", "text/html").body(()).unwrap();
        for name in ["authorization", "cookie", "dpop", "proxy-authorization", "sec-websocket-protocol", "x-token"] {
            let mut value = HeaderValue::from_static("s3cr3t");
            value.set_sensitive(name == "x-token");
            request.headers_mut().append(HeaderName::from_static(name), HeaderValue::from_static("first"));
            request.headers_mut().append(HeaderName::from_static(name), value);
        }
        request.extensions_mut().insert("s3cr3t");
        let shown = head(&request, Shown::Query);
        assert_eq!((shown.method(), shown.uri().to_string().as_str()), (&Method::GET, "/a?b=1&c=2"));
        assert_eq!(shown.headers().keys().collect::<Vec<_>>(), ["accept"]);
        assert!(shown.extensions().is_empty());
        for (uri, own, all) in [
            ("/", "/", "/"),
            ("/a?", "/a?", "/a?"),
            ("/a?b", "/a?b", "/a"),
            ("/a?access_token=x", "/a", "/a"),
            ("/a?access_token=x&access_token=y&b", "/a?b", "/a"),
            ("https://a.test/?access_token=x", "https://a.test/", "https://a.test/"),
            ("a.test:443", "a.test:443", "a.test:443"),
            ("*", "*", "*"),
        ] {
            let request = Request::get(uri).body(()).unwrap();
            assert_eq!(head(&request, Shown::Query).uri(), own, "{uri}");
            assert_eq!(head(&request, Shown::Path).uri(), all, "{uri}");
            assert_eq!(head(&request, Shown::Nothing).uri(), "/", "{uri}");
            // whoever has found a token in it decides for all
            for (known, expected) in [(Shown::Query, own), (Shown::Path, all), (Shown::Nothing, "/")] {
                let mut known_request = request.clone();
                known_request.extensions_mut().insert(known);
                assert_eq!(head(&known_request, Shown::Query).uri(), expected, "{uri}");
            }
        }
    }
}
