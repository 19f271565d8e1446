//! Where a request has its token: a [`TokenSource`] is a header, a cookie, a WebSocket's protocol,
//! or what a closure finds in the [`RequestHead`]. Name them with
//! [`BearerAuthLayer::token_sources`](crate::BearerAuthLayer::token_sources).

// Step 1: what a request presents, which is one credential (RFC 6750 §2, RFC 9110 §11). No later
// step looks at a request.

mod cookie;
mod dpop;
mod head;
mod query;
mod source;
#[cfg(test)]
mod tests;
mod web_socket;

use std::borrow::Cow;

use http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderMap, HeaderValue};
use http::{Extensions, Request, Response, StatusCode};

pub(crate) use self::dpop::{DPOP, DPOP_NONCE, expose, write_nonce};
pub use self::head::RequestHead;
#[cfg(feature = "logout")]
pub(crate) use self::query::decoded as percent_decoded;
pub use self::source::TokenSource;
pub(crate) use self::source::find;
use self::web_socket::{Word, choose_protocol, take_tokens_from};
use crate::error::{Error, ErrorKind, Scheme};

/// The longest token that is looked at, in bytes, unless told otherwise. Real tokens have 1 to 4
/// KiB; most servers cap the headers at 8 to 32.
pub(crate) const DEFAULT_MAX_LEN: usize = 16 * 1024;

/// What can be told otherwise: a user with a thousand groups has some 45 KiB.
pub(crate) const LARGEST_MAX_LEN: usize = 64 * 1024;

/// What a request presents: the token as it stands in its place, whose grammar nobody has checked
/// yet.
pub(crate) struct Credential<'r> {
    /// Owned if it was encoded in its place.
    pub(crate) token: Cow<'r, [u8]>,
    /// `Bearer` wherever no scheme is named.
    pub(crate) scheme: Scheme,
}

/// A token that satisfies the grammar of RFC 6750 §2.1, or would without the padding of its parts;
/// nothing about it is believed yet.
///
/// It has no `Debug`, so that nothing prints it.
#[derive(Clone, Copy)]
pub(crate) struct BearerToken<'r>(&'r str);

impl<'r> BearerToken<'r> {
    /// Checks the grammar, and the length first.
    pub(crate) fn from_bytes(token: &'r [u8], max_len: usize) -> Result<Self, Error> {
        if token.len() > max_len {
            let detail = format!("the token has {} bytes, more than max_token_bytes, {max_len}", token.len());
            return Err(Error::new(ErrorKind::MalformedRequest, detail));
        }
        let text = str::from_utf8(token).ok().filter(|_| is_b64token(token) || is_padded(token));
        text.map(Self).ok_or_else(|| {
            let kind = if token.is_empty() { ErrorKind::MissingToken } else { ErrorKind::MalformedRequest };
            Error::new(kind, flaw(token))
        })
    }

    pub(crate) fn as_str(self) -> &'r str {
        self.0
    }

    /// Keeps it for longer than its request.
    pub(crate) fn into_owned(self) -> OwnedToken {
        OwnedToken(self.0.into())
    }
}

/// A [`BearerToken`] that outlives its request.
pub(crate) struct OwnedToken(Box<str>);

impl OwnedToken {
    pub(crate) fn as_bearer(&self) -> BearerToken<'_> {
        BearerToken(&self.0)
    }
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

/// What is added to the response because of where the token was, or of the proof beside it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Additions {
    /// The address has a token in it, and caches remember addresses.
    no_store: bool,
    /// The protocol that a WebSocket is to get, if it opens.
    protocol: Option<Word>,
    /// What the client's next proofs are to contain (RFC 9449 §8.2).
    pub(crate) dpop_nonce: Option<HeaderValue>,
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
        Self { token: token.into(), scheme: Scheme::Bearer }
    }

    /// Takes the credential from the `Authorization` header.
    ///
    /// No header, another scheme than `Bearer` and `DPoP`, or none, is `MissingToken` (RFC 6750 §3.1
    /// wants no error code for these). So is a scheme with nothing behind it, which clients send that
    /// are signed out.
    pub(crate) fn from_authorization(headers: &'r HeaderMap) -> Result<Self, Error> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            return Err(Error::new(ErrorKind::MissingToken, "no Authorization header"));
        };
        if values.next().is_some() {
            let detail = "more than one Authorization header (the field is a singleton, RFC 9110 §11.6.2)";
            return Err(Error::new(ErrorKind::MalformedRequest, detail));
        }
        // `credentials = scheme 1*SP b64token` (RFC 9449 §7.1: token68); white space around a field
        // value is not part of it (RFC 9110 §5.5); HTTP/2 passes it on
        let credentials = value.as_bytes().trim_ascii();
        let Some((scheme, rest)) = split_scheme(credentials) else {
            return Err(Error::new(ErrorKind::MissingToken, flaw_of_scheme()));
        };
        let refuse = |kind, detail| Err(Error::new(kind, detail).under(scheme));
        if rest.is_empty() {
            return refuse(ErrorKind::MissingToken, "the Authorization header has a scheme, and no token behind it");
        }
        let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
        if spaces == 0 {
            return refuse(ErrorKind::MalformedRequest, "the scheme is not followed by a space and a token");
        }
        Ok(Self { token: rest.get(spaces..).unwrap_or_default().into(), scheme })
    }
}

/// Takes a scheme away, whose case does not matter (RFC 9110 §11.1).
fn split_scheme(credentials: &[u8]) -> Option<(Scheme, &[u8])> {
    let behind = |name: &[u8]| {
        let (scheme, rest) = credentials.split_at_checked(name.len())?;
        let ends = !rest.first().is_some_and(|byte| is_tchar(*byte));
        (ends && scheme.eq_ignore_ascii_case(name)).then_some(rest)
    };
    if let Some(rest) = behind(b"bearer") {
        return Some((Scheme::Bearer, rest));
    }
    #[cfg(feature = "dpop")]
    if let Some(rest) = behind(b"dpop") {
        return Some((Scheme::Dpop, rest));
    }
    None
}

fn flaw_of_scheme() -> &'static str {
    if cfg!(feature = "dpop") {
        "the Authorization header begins neither with the scheme Bearer nor with DPoP"
    } else {
        "the Authorization header does not begin with the scheme Bearer"
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
        Additions { no_store, protocol: self.word, dpop_nonce: None }
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
        if let Some(nonce) = self.dpop_nonce {
            write_nonce(nonce, response.headers_mut());
        }
    }

    /// Leaves out what a refusal does not need: it opens no WebSocket, whatever its status.
    #[must_use]
    pub(crate) fn of_refusal(self) -> Self {
        Self { protocol: None, ..self }
    }
}

/// `b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`
fn is_b64token(token: &[u8]) -> bool {
    let padding = token.iter().rev().take_while(|byte| **byte == b'=').count();
    let (characters, _) = token.split_at_checked(token.len().saturating_sub(padding)).unwrap_or_default();
    // without a branch for each byte, so that the compiler can look at many of them at once
    let allowed = characters.iter().fold(true, |all, &byte| {
        let other = (byte == b'-') | (byte == b'.') | (byte == b'_') | (byte == b'~') | (byte == b'+') | (byte == b'/');
        all & (byte.is_ascii_alphanumeric() | other)
    });
    allowed & !characters.is_empty()
}

/// Tells whether the parts of a token are of these characters, each with padding behind it or none.
fn is_padded(token: &[u8]) -> bool {
    token.split(|byte| *byte == b'.').all(is_b64token)
}

/// `tchar` of RFC 9110 §5.6.2, the characters of a scheme.
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Names what a text has that no token has, in words that hold nothing of it.
fn flaw(text: &[u8]) -> &'static str {
    let has = |wrong: fn(&u8) -> bool| text.iter().any(wrong);
    if text.is_empty() {
        "the token is empty"
    } else if begins_with_scheme(text) {
        "the scheme Bearer stands before the token where only the token is expected"
    } else if text.starts_with(b"{\"") {
        "it is a JSON document, and not the token in it"
    } else if has(|byte| matches!(byte, b'"' | b'\'')) {
        "the token has quotes around it or in it"
    } else if has(|byte| *byte == b',') {
        "there is a comma: more than one token, or something behind it"
    } else if has(|byte| matches!(byte, b'\n' | b'\r')) {
        "the token has a line break at its end or in it"
    } else if has(u8::is_ascii_whitespace) {
        "the token has white space in it, or there is a word before or behind it"
    } else if has(|byte| matches!(byte, b'<' | b'>' | b'{' | b'}' | b'$')) {
        "the token has brackets or a dollar sign, as a placeholder has that was not filled in"
    } else if has(|byte| *byte == b'%') {
        "the token is percent-encoded"
    } else if has(|byte| !byte.is_ascii_graphic()) {
        "the token has control characters, or some that are not ASCII"
    } else if has(|byte| *byte == b'=') {
        "the token has an equals sign that is not at the end of a part, or is all of one"
    } else {
        "the token has characters that RFC 6750 §2.1 does not allow"
    }
}

fn begins_with_scheme(text: &[u8]) -> bool {
    let (scheme, rest) = text.split_at_checked(b"bearer".len()).unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"bearer") && rest.first().is_some_and(u8::is_ascii_whitespace)
}
