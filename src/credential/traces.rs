//! What a token leaves behind in a request, and asks of the response.

use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
use http::{Response, StatusCode};

use super::head::RequestHead;
use super::web_socket::{Mark, Word, choose_protocol, take_tokens_from};

/// Where a request has tokens, or the marks of places for them, whether or not one of them is good.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    pub(super) in_address: bool,
    /// Only where custom sources look.
    in_path: bool,
    pub(super) protocol: Option<Mark>,
    /// Where in memory custom sources have found theirs.
    custom: Vec<usize>,
}

/// What the response needs because of where the token was.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Owed {
    /// The address has a token in it, and caches remember addresses.
    no_store: bool,
    /// So has its path, which a refusal must not repeat.
    hides_path: bool,
    /// The protocol that a WebSocket has offered beside its token.
    protocol: Option<Word>,
}

impl Traces {
    /// Notes what a custom source has found. It does not say where, but what it returns is a part
    /// of the request.
    pub(super) fn note(&mut self, found: &[u8], head: RequestHead<'_>) {
        let place = found.as_ptr().addr();
        let (address, path) = (head.uri().path_and_query(), head.uri().path());
        self.in_address |= address.is_some_and(|address| is_in(place, address.as_str().as_bytes()));
        self.in_path |= is_in(place, path.as_bytes());
        self.custom.push(place);
    }

    /// Hides the tokens from the service and from what prints headers, where that was not done by
    /// the header's name; returns what is left to be done.
    pub(crate) fn hide_in(self, headers: &mut HeaderMap) -> Owed {
        for place in self.custom {
            headers
                .values_mut()
                .filter(|value| is_in(place, value.as_bytes()))
                .for_each(|value| value.set_sensitive(true));
        }
        if self.protocol.is_some() {
            take_tokens_from(headers);
        }
        let protocol = self.protocol.and_then(Mark::word);
        Owed { no_store: self.in_address, hides_path: self.in_path, protocol }
    }
}

fn is_in(place: usize, text: &[u8]) -> bool {
    let text = text.as_ptr_range();
    (text.start.addr()..text.end.addr()).contains(&place)
}

impl Owed {
    /// Tells whether the address has a token in it.
    pub(crate) fn hides_query(self) -> bool {
        self.no_store
    }

    /// Tells whether the path has a token in it.
    pub(crate) fn hides_path(self) -> bool {
        self.hides_path
    }

    /// Adds what the service's own response needs.
    pub(crate) fn add_to<B>(self, response: &mut Response<B>) {
        // over HTTP/2, a WebSocket is opened with 200 (RFC 8441 §5.1)
        if let (Some(word), StatusCode::SWITCHING_PROTOCOLS | StatusCode::OK) = (self.protocol, response.status()) {
            choose_protocol(word, response.headers_mut());
        }
        self.add_to_refusal(response);
    }

    /// Adds what a refusal needs, too: no cache keeps what an address with a token has led to
    /// (RFC 6750 §2.3).
    pub(crate) fn add_to_refusal<B>(self, response: &mut Response<B>) {
        if self.no_store {
            response.headers_mut().entry(CACHE_CONTROL).or_insert_with(|| HeaderValue::from_static("no-store"));
        }
    }
}
