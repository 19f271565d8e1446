//! What a check sees of a request.

use std::cell::OnceCell;
use std::fmt;

use http::{Request, request};

use crate::credential::RequestHead;
use crate::crypto::sha256;
use crate::revocation::unchangeable;

/// A token's request, as a check sees it.
#[derive(Default)]
pub struct RequestContext<'r> {
    head: Option<RequestHead<'r>>,
    token: &'r [u8],
    hash: OnceCell<[u8; 32]>,
}

impl<'r> RequestContext<'r> {
    pub(crate) fn new(head: Option<RequestHead<'r>>, token: &'r [u8]) -> Self {
        Self { head, token, hash: OnceCell::new() }
    }

    /// Returns the head of the request; `None` if the token came without one, to
    /// [`authenticate`](crate::ResourceServer::authenticate).
    pub fn head(&self) -> Option<RequestHead<'r>> {
        self.head
    }

    /// Returns the SHA-256 of the token's text, by which the token may be known elsewhere.
    ///
    /// The signature of a JWT, and the dot before it, are left out: anybody can turn some valid
    /// signatures into others that are valid, too. The hash is made when it is first asked for, in
    /// some 2 ns for each byte of the token.
    pub fn token_hash(&self) -> [u8; 32] {
        *self.hash.get_or_init(|| sha256(&[unchangeable(self.token)]))
    }

    /// Keeps all of it.
    pub(crate) fn keep(&self) -> Kept {
        Kept { head: self.head.map(parts), token: self.token.into() }
    }
}

impl fmt::Debug for RequestContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestContext").field("head", &self.head).finish_non_exhaustive()
    }
}

/// The same, where it must outlive the request: while something is waited for.
pub(crate) struct Kept {
    head: Option<request::Parts>,
    token: Box<[u8]>,
}

impl Kept {
    pub(crate) fn context(&self) -> RequestContext<'_> {
        let (head, token) = self.parts();
        RequestContext::new(head, token)
    }

    pub(crate) fn parts(&self) -> (Option<RequestHead<'_>>, &[u8]) {
        (self.head.as_ref().map(RequestHead::from), &self.token)
    }
}

fn parts(head: RequestHead<'_>) -> request::Parts {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = head.method().clone();
    parts.uri = head.uri().clone();
    parts.version = head.version();
    parts.headers = head.headers().clone();
    parts.extensions = head.extensions().clone();
    parts
}
