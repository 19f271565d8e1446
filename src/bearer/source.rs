//! Where in a request the token is.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use http::header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, HeaderName, Method, Request, Uri};

use super::cookie::{Cookie, check_site};
use super::{credentials, web_socket};
use crate::error::{Error, ErrorKind};

/// Where a [`BearerAuthLayer`](crate::BearerAuthLayer) looks for the token.
///
/// The default is the `Authorization` header (RFC 6750 §2.1), and nothing else. A request that has a token in two of the places that are
/// named is refused with 400 (RFC 6750 §2).
///
/// # Examples
///
/// ```
/// use http::HeaderName;
/// use tower_bearer::{BearerAuthLayer, Issuer, ResourceServer, TokenSource};
///
/// # fn main() -> Result<(), tower_bearer::ConfigError> {
/// # let server = ResourceServer::new("https://api.example.com").trust(Issuer::new("https://id.example.com/")).build()?;
/// // browsers by their cookie, and everybody else as usual
/// let layer = BearerAuthLayer::new(server.clone())
///     .token_sources([TokenSource::authorization(), TokenSource::cookie("__Host-access_token")]);
///
/// // behind a proxy that signs people in
/// let layer = BearerAuthLayer::new(server)
///     .token_sources([TokenSource::header(HeaderName::from_static("x-goog-iap-jwt-assertion"))]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TokenSource(Source);

#[derive(Clone)]
enum Source {
    Authorization,
    Header(HeaderName),
    Cookie(Cookie),
    WebSocketProtocol,
    QueryOfUpgrades,
    Custom(Arc<Find>),
}

type Find = dyn Fn(&HeaderMap) -> Option<&[u8]> + Send + Sync;

/// A token, and what must be done because of where it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'r> {
    pub(crate) token: &'r [u8],
    pub(crate) place: Place,
}

/// What kind of place a token was in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    Header,
    /// Among the protocols that a browser's WebSocket offers, one of which it wants to be chosen.
    Protocol,
    /// In the address, which caches remember.
    Query,
}

impl TokenSource {
    /// The `Authorization` header, with the scheme `Bearer` (RFC 6750 §2.1).
    #[must_use]
    pub fn authorization() -> Self {
        Self(Source::Authorization)
    }

    /// A header that is the token and nothing else, or empty, such as `x-goog-iap-jwt-assertion` or `cf-access-jwt-assertion`.
    ///
    /// A scheme before the token, as in `Authorization`, is refused; [`custom`](Self::custom) can take one away.
    #[must_use]
    pub fn header(name: HeaderName) -> Self {
        Self(Source::Header(name))
    }

    /// A cookie, for browsers.
    ///
    /// A browser sends cookies with whatever request another site makes it send. With a token from a cookie, every request but a plain `GET`, `HEAD`, `OPTIONS` or `TRACE` must
    /// therefore say that a page of this origin has sent it; one that asks for an upgrade, as WebSockets do, always must. It says so by `Sec-Fetch-Site`, which is
    /// `same-origin` or `none`, or else by an `Origin` that is this host's, over https unless it is a loopback host. Others are refused as
    /// [`CrossOriginRequest`](crate::ErrorKind::CrossOriginRequest). Let other origins in with [`allow_origin`](Self::allow_origin).
    /// An empty cookie is no token.
    ///
    /// A gateway with sessions of its own opens them in front of the layer, and puts their token into such a cookie of the request, in place of what the browser has sent: the protection
    /// is then the same. The example `realguardio` does so.
    ///
    /// # Security
    ///
    /// * Name the cookie `__Host-…`, and set it `HttpOnly`, `Secure` and `SameSite`: under another name, other hosts of the domain can set it.
    /// * A `GET` must not change anything.
    /// * Other sites on the same host, under another port, share its cookies.
    #[must_use]
    pub fn cookie(name: impl Into<String>) -> Self {
        Self(Source::Cookie(Cookie::named(name.into())))
    }

    /// Lets pages of this origin use the [`cookie`](Self::cookie); other sources need no such thing, and ignore it.
    ///
    /// Write it as browsers do: scheme, host in lower case, port if it is not the scheme's, and no slash at the end: `https://app.example.com`.
    #[must_use]
    pub fn allow_origin(mut self, origin: impl Into<String>) -> Self {
        if let Source::Cookie(cookie) = &mut self.0 {
            cookie.allow(origin.into());
        }
        self
    }

    /// The protocol that follows `bearer` among those that a WebSocket offers: browsers cannot set headers for
    /// them.
    ///
    /// ```js
    /// new WebSocket("wss://api.example.com/events", ["bearer", token])
    /// ```
    ///
    /// The two are taken from the request, so that the service chooses among the others. If it chooses none, the response says `bearer`, without
    /// which the browser would close the connection.
    #[must_use]
    pub fn web_socket_protocol() -> Self {
        Self(Source::WebSocketProtocol)
    }

    /// The parameter `access_token` of the query (RFC 6750 §2.3), in requests that ask for an upgrade and in no others.
    ///
    /// # Security
    ///
    /// Addresses end up in the logs of every proxy and server on the way, and the tokens with them; OAuth 2.1 forbids this. Prefer
    /// [`web_socket_protocol`](Self::web_socket_protocol). The service sees the parameter too, and so does every layer that logs. Its responses get
    /// `Cache-Control: no-store`, unless they have one.
    #[must_use]
    pub fn dangerously_query_of_upgrades() -> Self {
        Self(Source::QueryOfUpgrades)
    }

    /// Whatever bytes this finds in the headers; `None` is no token.
    ///
    /// ```
    /// use tower_bearer::TokenSource;
    ///
    /// let source = TokenSource::custom(|headers| headers.get("x-token")?.as_bytes().strip_prefix(b"jwt:"));
    /// ```
    ///
    /// # Security
    ///
    /// A cookie that it reads has none of the protection of [`cookie`](Self::cookie), and its header is not marked as sensitive.
    #[must_use]
    pub fn custom(find: impl Fn(&HeaderMap) -> Option<&[u8]> + Send + Sync + 'static) -> Self {
        Self(Source::Custom(Arc::new(find)))
    }

    /// Returns the header that the token is in, if it is known.
    pub(crate) fn header_name(&self) -> Option<&HeaderName> {
        match &self.0 {
            Source::Authorization => Some(&AUTHORIZATION),
            Source::Header(name) => Some(name),
            Source::Cookie(_) => Some(&COOKIE),
            Source::WebSocketProtocol => Some(&SEC_WEBSOCKET_PROTOCOL),
            Source::QueryOfUpgrades | Source::Custom(_) => None,
        }
    }

    fn place(&self) -> Place {
        match &self.0 {
            Source::WebSocketProtocol => Place::Protocol,
            Source::QueryOfUpgrades => Place::Query,
            Source::Authorization | Source::Cookie(_) | Source::Custom(_) | Source::Header(_) => Place::Header,
        }
    }

    fn find<'r>(&self, head: Head<'r>) -> Result<Option<&'r [u8]>, Error> {
        match &self.0 {
            Source::Authorization => match credentials(head.headers) {
                Err(error) if error.kind() == ErrorKind::MissingToken => Ok(None),
                found => found.map(Some),
            },
            Source::Header(name) => Ok(single(head.headers, name)?.filter(|token| !token.is_empty())),
            Source::Cookie(cookie) => match cookie.find(head.headers)? {
                Some(token) => check_site(head, cookie).map(|()| Some(token)),
                None => Ok(None),
            },
            Source::WebSocketProtocol if head.asks_for_upgrade() => web_socket::token(head.headers),
            Source::QueryOfUpgrades if head.asks_for_upgrade() => from_query(head.uri),
            Source::WebSocketProtocol | Source::QueryOfUpgrades => Ok(None),
            Source::Custom(find) => Ok(find(head.headers)),
        }
    }
}

/// Finds the one token of a request, by its place and not yet by its grammar.
pub(crate) fn find<'r, B>(sources: &[TokenSource], request: &'r Request<B>) -> Result<Found<'r>, Error> {
    let head = Head { method: request.method(), uri: request.uri(), headers: request.headers() };
    let mut found = None;
    for source in sources {
        let Some(token) = source.find(head)? else { continue };
        if found.replace(Found { token, place: source.place() }).is_some() {
            return Err(Error::new(ErrorKind::MalformedRequest, "the request has a token in two places (RFC 6750 §2)"));
        }
    }
    found.ok_or_else(|| Error::new(ErrorKind::MissingToken, "the request has no token where one is looked for"))
}

/// What of a request its token may be in.
#[derive(Clone, Copy)]
pub(super) struct Head<'r> {
    pub(super) method: &'r Method,
    pub(super) uri: &'r Uri,
    pub(super) headers: &'r HeaderMap,
}

impl Head<'_> {
    /// Tells whether this may become a WebSocket, or something else that is no plain exchange (RFC 9110 §7.8, RFC 8441).
    pub(super) fn asks_for_upgrade(&self) -> bool {
        self.headers.contains_key(UPGRADE) || *self.method == Method::CONNECT
    }
}

/// Takes a header that must not come twice.
pub(super) fn single<'r>(headers: &'r HeaderMap, name: &HeaderName) -> Result<Option<&'r [u8]>, Error> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Error::new(ErrorKind::MalformedRequest, format!("more than one {name} header")));
    }
    Ok(first.map(|value| value.as_bytes().trim_ascii()))
}

fn from_query(uri: &Uri) -> Result<Option<&[u8]>, Error> {
    let parameters = uri.query().unwrap_or_default().split('&');
    let mut tokens = parameters.filter_map(|parameter| parameter.strip_prefix("access_token="));
    let first = tokens.next();
    if tokens.next().is_some() {
        return Err(Error::new(ErrorKind::MalformedRequest, "the query has more than one access_token"));
    }
    Ok(first.filter(|token| !token.is_empty()).map(str::as_bytes))
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSource::")?;
        match &self.0 {
            Source::Authorization => f.write_str("authorization"),
            Source::Header(name) => write!(f, "header({name})"),
            Source::Cookie(cookie) => write!(f, "cookie({cookie})"),
            Source::WebSocketProtocol => f.write_str("web_socket_protocol"),
            Source::QueryOfUpgrades => f.write_str("dangerously_query_of_upgrades"),
            Source::Custom(_) => f.write_str("custom"),
        }
    }
}
