//! A token among the protocols that a WebSocket offers (RFC 6455 §4.1), where browsers can put it.

use std::borrow::Cow;
use std::iter;

use base64_simd::URL_SAFE_NO_PAD;
use http::header::{HeaderMap, HeaderValue, SEC_WEBSOCKET_PROTOCOL};

use crate::error::{Error, ErrorKind};

/// The protocol before the token, in any case.
const WORD: &[u8; 6] = b"bearer";

/// How the protocol begins that is the token itself, as Kubernetes wants it.
const KUBERNETES: &[u8] = b"base64url.bearer.authorization.k8s.io.";

/// `bearer` as it was offered: browsers compare what is chosen letter by letter.
pub(super) type Word = [u8; WORD.len()];

/// What is offered.
enum Offer<'r> {
    Word(Word, Option<&'r [u8]>),
    Kubernetes(&'r [u8]),
    Other(&'r [u8]),
}

/// Finds the token: the protocol that follows `bearer`, or what Kubernetes' ends with. There must
/// not be two.
pub(super) fn token(headers: &HeaderMap) -> Result<Option<Cow<'_, [u8]>>, Error> {
    let malformed = |detail| Error::new(ErrorKind::MalformedRequest, detail);
    let mut found = None;
    for offer in offers(headers) {
        let token = match offer {
            Offer::Word(_, Some(token)) => Cow::Borrowed(token),
            Offer::Kubernetes(token) if !token.is_empty() => match URL_SAFE_NO_PAD.decode_to_vec(token) {
                Ok(token) => Cow::Owned(token),
                Err(_) => return Err(malformed("the token in Kubernetes' protocol is not base64url without padding")),
            },
            Offer::Word(_, None) | Offer::Kubernetes(_) | Offer::Other(_) => continue,
        };
        if found.replace(token).is_some() {
            return Err(malformed("the WebSocket offers more than one token among its protocols"));
        }
    }
    Ok(found)
}

/// Tells whether something says that there is a token, be there one or not; and returns `bearer` as
/// it was offered. Kubernetes' protocol cannot be chosen.
pub(super) fn marks(headers: &HeaderMap) -> (bool, Option<Word>) {
    offers(headers).fold((false, None), |(marked, first), offer| match offer {
        Offer::Word(word, _) => (true, first.or(Some(word))),
        Offer::Kubernetes(_) => (true, first),
        Offer::Other(_) => (marked, first),
    })
}

/// Takes the tokens, and what says that they are there, from the protocols that are offered.
pub(super) fn take_tokens_from(headers: &mut HeaderMap) {
    let others = offers(headers).filter_map(|offer| match offer {
        Offer::Other(protocol) => Some(protocol),
        Offer::Word(..) | Offer::Kubernetes(_) => None,
    });
    let rest = others.collect::<Vec<_>>().join(&b", "[..]);
    headers.remove(SEC_WEBSOCKET_PROTOCOL);
    if let Some(rest) = HeaderValue::from_bytes(&rest).ok().filter(|rest| !rest.is_empty()) {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, rest);
    }
}

/// Chooses `bearer`, if the service has chosen nothing: a browser that has offered protocols closes
/// a connection that has none.
pub(super) fn choose_protocol(word: Word, headers: &mut HeaderMap) {
    if let (false, Ok(word)) = (headers.contains_key(SEC_WEBSOCKET_PROTOCOL), HeaderValue::from_bytes(&word)) {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, word);
    }
}

fn offers(headers: &HeaderMap) -> impl Iterator<Item = Offer<'_>> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let listed = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let mut listed = listed.map(<[u8]>::trim_ascii).filter(|protocol| !protocol.is_empty());
    iter::from_fn(move || {
        let protocol = listed.next()?;
        Some(match (Word::try_from(protocol), protocol.strip_prefix(KUBERNETES)) {
            (Ok(word), _) if word.eq_ignore_ascii_case(WORD) => Offer::Word(word, listed.next()),
            (_, Some(token)) => Offer::Kubernetes(token),
            _ => Offer::Other(protocol),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (SEC_WEBSOCKET_PROTOCOL, value.parse().unwrap())).collect()
    }

    #[test]
    fn the_token_is_what_follows_bearer_or_what_kubernetes_protocol_ends_with() {
        let find = |values: &[&str]| {
            let headers = headers(values);
            let token = token(&headers).map(|token| token.map(|token| String::from_utf8_lossy(&token).into_owned()));
            token.map_err(|error| error.kind())
        };
        let some = |token: &str| Ok(Some(token.to_owned()));
        assert_eq!(find(&["bearer, a.b.c"]), some("a.b.c"));
        assert_eq!(find(&["Bearer, a.b.c"]), some("a.b.c"));
        assert_eq!(find(&["BEARER,a.b.c"]), some("a.b.c"));
        assert_eq!(find(&["chat,bearer,a.b.c,v2"]), some("a.b.c"));
        assert_eq!(find(&["chat, bearer", "a.b.c"]), some("a.b.c"));
        assert_eq!(find(&["bearer,, a.b.c"]), some("a.b.c"), "empty elements of a list are none");
        assert_eq!(find(&["base64url.bearer.authorization.k8s.io.YS5iLmM, v4.channel.k8s.io"]), some("a.b.c"));
        assert_eq!(find(&["v4.channel.k8s.io", "base64url.bearer.authorization.k8s.io.YS5iLmM"]), some("a.b.c"));
        for none in [
            &[][..],
            &["chat"],
            &[""],
            &["bearer.a.b.c"],
            &["xbearer, a"],
            &["bearer"],
            &["bearer,"],
            &["chat, Bearer , "],
            &["base64url.bearer.authorization.k8s.io., chat"],
            &["base64url.bearer.authorization.k8s.io"],
            &["xbase64url.bearer.authorization.k8s.io.YS5iLmM"],
        ] {
            assert_eq!(find(none), Ok(None), "{none:?}");
        }
        for bad in [
            &["bearer, a, bearer, b"][..],
            &["bearer, a", "Bearer, b"],
            &["bearer, a, base64url.bearer.authorization.k8s.io.YS5iLmM"],
            &["base64url.bearer.authorization.k8s.io.YQ, base64url.bearer.authorization.k8s.io.YQ"],
            &["base64url.bearer.authorization.k8s.io.YQ=="],
            &["base64url.bearer.authorization.k8s.io.YR"],
            &["base64url.bearer.authorization.k8s.io.a.b.c"],
        ] {
            assert_eq!(find(bad), Err(ErrorKind::MalformedRequest), "{bad:?}");
        }
    }

    #[test]
    fn the_service_does_not_see_the_token() {
        for (before, after) in [
            (&["bearer, a.b.c"][..], None),
            (&["Bearer, a.b.c"], None),
            (&["bearer"], None),
            (&["chat,bearer,a.b.c,v2"], Some("chat, v2")),
            (&["chat, bearer", "a.b.c"], Some("chat")),
            (&["bearer, a", "v2, BEARER, b"], Some("v2")),
            (&["base64url.bearer.authorization.k8s.io.YS5iLmM, v4.channel.k8s.io"], Some("v4.channel.k8s.io")),
            (&["base64url.bearer.authorization.k8s.io.a.b.c"], None),
        ] {
            let mut headers = headers(before);
            take_tokens_from(&mut headers);
            let left: Vec<_> = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().collect();
            assert_eq!(left.first().map(|value| value.to_str().unwrap()), after, "{before:?}");
            assert!(left.len() <= 1);
        }
    }

    #[test]
    fn the_word_is_chosen_as_it_was_offered_and_a_token_never() {
        for (offered, chosen, expected) in [
            (&["bearer, a.b.c"][..], None, Some("bearer")),
            (&["v2, BeaReR, a.b.c"], None, Some("BeaReR")),
            (&["Bearer"], None, Some("Bearer")),
            (&["Bearer, a.b.c, v2"], Some("v2"), Some("v2")),
            (&["base64url.bearer.authorization.k8s.io.YQ, Bearer, a"], None, Some("Bearer")),
            (&["base64url.bearer.authorization.k8s.io.YQ, v2"], None, None),
            (&["base64url.bearer.authorization.k8s.io.YQ, v2"], Some("v2"), Some("v2")),
            (&["v2"], None, None),
        ] {
            let mut response: HeaderMap =
                chosen.iter().map(|chosen| (SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(chosen))).collect();
            if let (_, Some(word)) = marks(&headers(offered)) {
                choose_protocol(word, &mut response);
            }
            let found = response.get(SEC_WEBSOCKET_PROTOCOL).map(|value| value.to_str().unwrap());
            assert_eq!(found, expected, "{offered:?} {chosen:?}");
        }
    }
}
