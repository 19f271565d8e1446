//! What of a request its token may be in.

use std::fmt;

use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue, UPGRADE};
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderName, Method, Request, Uri, Version};

use crate::error::{Error, ErrorKind};

/// How the types of gRPC and grpc-web begin.
const GRPC: &[u8] = b"application/grpc";

/// The head of a request: method, address, version, headers and extensions.
///
/// A [`custom`](crate::credential::TokenSource::custom) source finds the token in it.
///
/// `Debug` shows the method only: tokens may be in all the rest.
#[derive(Clone, Copy)]
pub struct RequestHead<'r> {
    method: &'r Method,
    uri: &'r Uri,
    version: Version,
    headers: &'r HeaderMap,
    extensions: &'r Extensions,
}

impl<'r> RequestHead<'r> {
    /// Returns the request's method.
    pub fn method(self) -> &'r Method {
        self.method
    }

    /// Returns the request's address. Inside an axum router that is nested, the path is the rest.
    pub fn uri(self) -> &'r Uri {
        self.uri
    }

    /// Returns the version of HTTP over which the request came.
    pub fn version(self) -> Version {
        self.version
    }

    /// Returns the request's headers.
    pub fn headers(self) -> &'r HeaderMap {
        self.headers
    }

    /// Returns the request's extensions, where the layers outside leave what they have found.
    pub fn extensions(self) -> &'r Extensions {
        self.extensions
    }

    /// Takes a header that must not come twice.
    pub(crate) fn single(self, name: &HeaderName) -> Result<Option<&'r [u8]>, Error> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next();
        if values.next().is_some() {
            return Err(Error::new(ErrorKind::MalformedRequest, format!("more than one {name} header")));
        }
        Ok(first.map(|value| value.as_bytes().trim_ascii()))
    }

    /// Tells whether this may become a WebSocket, or something else that is no plain exchange
    /// (RFC 9110 §7.8, RFC 8441).
    pub(super) fn asks_for_upgrade(self) -> bool {
        self.headers.contains_key(UPGRADE) || *self.method == Method::CONNECT
    }

    /// Tells whether this can change nothing, as far as it says so itself (RFC 9110 §9.2.1): an
    /// upgrade opens the way for more, and gRPC is called by name, whatever the method.
    pub(crate) fn is_safe(self) -> bool {
        let mut types = self.headers.get_all(CONTENT_TYPE).iter();
        let grpc = |value: &HeaderValue| {
            let start = value.as_bytes().trim_ascii_start().get(..GRPC.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(GRPC))
        };
        self.method.is_safe() && !self.asks_for_upgrade() && !types.any(grpc)
    }

    /// Tells whether this is what a browser's `EventSource` sends: a GET that accepts an event
    /// stream.
    pub(super) fn asks_for_events(self) -> bool {
        let accepted =
            self.headers.get_all(ACCEPT).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        let mut types = accepted.filter_map(|range| range.split(|byte| *byte == b';').next());
        *self.method == Method::GET
            && types.any(|media_type| media_type.trim_ascii().eq_ignore_ascii_case(b"text/event-stream"))
    }
}

impl<'r, B> From<&'r Request<B>> for RequestHead<'r> {
    fn from(request: &'r Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }
}

impl<'r> From<&'r Parts> for RequestHead<'r> {
    fn from(parts: &'r Parts) -> Self {
        let Parts { method, uri, version, headers, extensions, .. } = parts;
        Self { method, uri, version: *version, headers, extensions }
    }
}

impl fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead").field("method", self.method).finish_non_exhaustive()
    }
}
