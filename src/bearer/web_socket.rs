//! A token among the protocols that a WebSocket offers (RFC 6455 §4.1), where browsers can put it.

use http::header::{HeaderMap, HeaderValue, SEC_WEBSOCKET_PROTOCOL};

use crate::error::{Error, ErrorKind};

/// The protocol before the token.
const MARK: &[u8] = b"bearer";

/// Finds the protocol that follows `bearer`, which must not come twice.
pub(super) fn token(headers: &HeaderMap) -> Result<Option<&[u8]>, Error> {
    let mut offered = offered(headers);
    if !offered.any(|protocol| protocol == MARK) {
        return Ok(None);
    }
    let token = offered.next();
    if token.is_none() || offered.any(|protocol| protocol == MARK) {
        let detail = "the WebSocket does not offer `bearer` once, followed by the token";
        return Err(Error::new(ErrorKind::MalformedRequest, detail));
    }
    Ok(token)
}

/// Takes `bearer` and the token from the protocols that are offered.
pub(crate) fn take_token_from(headers: &mut HeaderMap) {
    let mut rest: Vec<u8> = Vec::new();
    let mut offered = offered(headers);
    while let Some(protocol) = offered.next() {
        if protocol == MARK {
            offered.next();
            continue;
        }
        if !rest.is_empty() {
            rest.extend(b", ");
        }
        rest.extend(protocol);
    }
    drop(offered);
    headers.remove(SEC_WEBSOCKET_PROTOCOL);
    if let Some(rest) = HeaderValue::from_bytes(&rest).ok().filter(|rest| !rest.is_empty()) {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, rest);
    }
}

/// Chooses `bearer`, if the service has chosen nothing: a browser that has offered protocols closes a connection that has none.
pub(crate) fn choose_protocol(headers: &mut HeaderMap) {
    if !headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("bearer"));
    }
}

fn offered(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let listed = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    listed.map(<[u8]>::trim_ascii).filter(|protocol| !protocol.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (SEC_WEBSOCKET_PROTOCOL, value.parse().unwrap())).collect()
    }

    #[test]
    fn the_token_is_what_follows_bearer() {
        let find = |values: &[&str]| {
            let headers = headers(values);
            let token = token(&headers).map(|token| token.map(|token| String::from_utf8_lossy(token).into_owned()));
            token.map_err(|error| error.kind())
        };
        let some = |token: &str| Ok(Some(token.to_owned()));
        assert_eq!(find(&["bearer, a.b.c"]), some("a.b.c"));
        assert_eq!(find(&["chat,bearer,a.b.c,v2"]), some("a.b.c"));
        assert_eq!(find(&["chat, bearer", "a.b.c"]), some("a.b.c"));
        for none in [&[][..], &["chat"], &[""], &["Bearer, a.b.c"], &["bearer.a.b.c"]] {
            assert_eq!(find(none), Ok(None), "{none:?}");
        }
        for bad in [&["bearer"][..], &["bearer,"], &["bearer, a, bearer, b"], &["bearer, a", "bearer, b"]] {
            assert_eq!(find(bad), Err(ErrorKind::MalformedRequest), "{bad:?}");
        }
    }

    #[test]
    fn the_service_does_not_see_the_token() {
        for (before, after) in [
            (&["bearer, a.b.c"][..], None),
            (&["chat,bearer,a.b.c,v2"], Some("chat, v2")),
            (&["chat, bearer", "a.b.c"], Some("chat")),
        ] {
            let mut headers = headers(before);
            take_token_from(&mut headers);
            let left: Vec<_> = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().collect();
            assert_eq!(left.first().map(|value| value.to_str().unwrap()), after, "{before:?}");
            assert!(left.len() <= 1);
        }
    }
}
