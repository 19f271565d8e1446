//! Where a request has its token: a [`TokenSource`] is a header, a cookie, a WebSocket's protocol,
//! or what a closure finds in the [`RequestHead`]. Name them with
//! [`BearerAuthLayer::token_sources`](crate::BearerAuthLayer::token_sources).

// Step 1: what a request presents, which is one credential (RFC 6750 §2, RFC 9110 §11). No later
// step looks at a request.

mod cookie;
mod grammar;
mod head;
mod query;
mod source;
#[cfg(test)]
mod tests;
mod web_socket;

use std::borrow::Cow;

use http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderMap, HeaderValue};
use http::{Extensions, Request, Response, StatusCode};

pub(crate) use self::grammar::{BearerToken, DEFAULT_MAX_LEN, LARGEST_MAX_LEN, OwnedToken};
pub use self::head::RequestHead;
pub use self::source::TokenSource;
pub(crate) use self::source::find;
use self::web_socket::{Word, choose_protocol, take_tokens_from};
use crate::error::{Error, ErrorKind};

/// What a request presents: the token as it stands in its place, whose grammar nobody has checked
/// yet.
pub(crate) struct Credential<'r> {
    /// Owned if it was encoded in its place.
    pub(crate) token: Cow<'r, [u8]>,
}

/// Where a request has tokens, good or bad, or the marks of places for them.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// How much of the address has no token in it.
    shown: Shown,
    in_protocols: bool,
    /// The protocol that a WebSocket has offered beside its token.
    word: Option<Word>,
    /// Where in memory custom sources have found theirs.
    custom: Vec<usize>,
}

/// What is added to the response because of where the token was.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Additions {
    /// The address has a token in it, and caches remember addresses.
    no_store: bool,
    /// The protocol that a WebSocket is to get, if it opens.
    protocol: Option<Word>,
}

/// How much of an address a [`Reject`](crate::reject::Reject) may see, least first.
///
/// Stands in the extensions of a request whose address has a token in it, for all who could refuse
/// it.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Shown {
    /// Nothing: the token is in the path, where only custom sources look.
    Nothing,
    /// The path: a token may be anywhere behind it.
    Path,
    /// All but the parameter that a token may be in.
    #[default]
    Query,
}

impl<'r> Credential<'r> {
    /// Presents a bearer token (RFC 6750 §1.2).
    pub(crate) fn bearer(token: impl Into<Cow<'r, [u8]>>) -> Self {
        Self { token: token.into() }
    }

    /// Takes the credential from the `Authorization` header.
    ///
    /// No header, another scheme than `Bearer`, or none, is `MissingToken` (RFC 6750 §3.1 wants no
    /// error code for these). So is `Bearer` with nothing behind it, which clients send that are
    /// signed out.
    pub(crate) fn from_authorization(headers: &'r HeaderMap) -> Result<Self, Error> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let missing = |detail| Err(Error::new(ErrorKind::MissingToken, detail));
        let malformed = |detail| Err(Error::new(ErrorKind::MalformedRequest, detail));
        let Some(value) = values.next() else { return missing("no Authorization header") };
        if values.next().is_some() {
            return malformed("more than one Authorization header (the field is a singleton, RFC 9110 §11.6.2)");
        }
        // `credentials = "Bearer" 1*SP b64token`; the scheme's case does not matter (RFC 9110
        // §11.1), and white space around a field value is not part of it (RFC 9110 §5.5); HTTP/2
        // passes it on
        let credentials = value.as_bytes().trim_ascii();
        let (scheme, rest) = credentials.split_at_checked(b"bearer".len()).unwrap_or_default();
        if !scheme.eq_ignore_ascii_case(b"bearer") || rest.first().is_some_and(|byte| grammar::is_tchar(*byte)) {
            return missing("the Authorization header does not begin with the scheme Bearer");
        }
        if rest.is_empty() {
            return missing("the Authorization header has the scheme Bearer, and no token behind it");
        }
        let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
        if spaces == 0 {
            return malformed("the scheme Bearer is not followed by a space and a token");
        }
        Ok(Self::bearer(rest.get(spaces..).unwrap_or_default()))
    }
}

impl Places {
    /// Notes what a custom source has found. It does not say where, but what it returns is a part
    /// of the request.
    fn note(&mut self, found: &[u8], head: RequestHead<'_>) {
        let place = found.as_ptr().addr();
        let (address, path) = (head.uri().path_and_query(), head.uri().path());
        if is_in(place, path.as_bytes()) {
            self.shown = Shown::Nothing;
        } else if address.is_some_and(|address| is_in(place, address.as_str().as_bytes())) {
            self.shown = self.shown.min(Shown::Path);
        }
        self.custom.push(place);
    }

    /// Hides the tokens from the service, from what prints headers, where that was not done by the
    /// header's name, and from all who show the address to a `Reject`.
    pub(crate) fn hide_in<B>(self, request: &mut Request<B>) -> Additions {
        let headers = request.headers_mut();
        for place in self.custom {
            headers
                .values_mut()
                .filter(|value| is_in(place, value.as_bytes()))
                .for_each(|value| value.set_sensitive(true));
        }
        if self.in_protocols {
            take_tokens_from(headers);
        }
        let no_store = self.shown < Shown::Query;
        if no_store {
            let shown = self.shown.of(request.extensions());
            request.extensions_mut().insert(shown);
        }
        Additions { no_store, protocol: self.word }
    }
}

fn is_in(place: usize, text: &[u8]) -> bool {
    let text = text.as_ptr_range();
    (text.start.addr()..text.end.addr()).contains(&place)
}

impl Shown {
    /// Returns as much as may be seen of the request with these extensions.
    pub(crate) fn of(self, extensions: &Extensions) -> Self {
        extensions.get().map_or(self, |known| self.min(*known))
    }
}

impl Additions {
    /// Adds them to what the service has answered, or to a refusal.
    pub(crate) fn add_to<B>(self, response: &mut Response<B>) {
        // over HTTP/2, a WebSocket is opened with 200 (RFC 8441 §5.1)
        if let (Some(word), StatusCode::SWITCHING_PROTOCOLS | StatusCode::OK) = (self.protocol, response.status()) {
            choose_protocol(word, response.headers_mut());
        }
        // no cache keeps what an address with a token has led to (RFC 6750 §2.3)
        if self.no_store {
            response.headers_mut().entry(CACHE_CONTROL).or_insert_with(|| HeaderValue::from_static("no-store"));
        }
    }

    /// Leaves out what a refusal does not need: it opens no WebSocket, whatever its status.
    #[must_use]
    pub(crate) fn of_refusal(self) -> Self {
        Self { protocol: None, ..self }
    }
}
