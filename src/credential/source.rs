//! Where in a request the token is.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL};

use super::head::RequestHead;
use super::{Credential, Places, Shown, cookie, query, web_socket};
use crate::error::{ConfigError, ConfigProblemKind, Error, ErrorKind};

/// Where a [`BearerAuthLayer`](crate::BearerAuthLayer) looks for the token.
///
/// The default is the `Authorization` header (RFC 6750 §2.1), and nothing else. A request that has
/// a token in two of the places that are named is refused with 400 (RFC 6750 §2). A place that is
/// empty has none: a cookie without a value, or `Bearer` with nothing behind it, as clients send
/// when they are signed out.
///
/// # Examples
///
/// ```
/// use http::HeaderName;
/// use tower_bearer::credential::TokenSource;
/// use tower_bearer::{BearerAuthLayer, Issuer, ResourceServer};
///
/// # fn main() -> Result<(), tower_bearer::ConfigError> {
/// # let server = ResourceServer::new("https://api.example.com").trust(Issuer::new("https://id.example.com/")).build()?;
/// // browsers by their cookie, and everybody else as usual
/// let layer = BearerAuthLayer::new(server.clone())
///     .token_sources([TokenSource::authorization(), TokenSource::cookie("__Host-access_token")])?;
///
/// // behind a proxy that signs people in
/// let layer = BearerAuthLayer::new(server)
///     .token_sources([TokenSource::header(HeaderName::from_static("x-goog-iap-jwt-assertion"))])?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TokenSource {
    source: Source,
    /// The origins whose pages may use a cookie, besides its own.
    origins: Vec<Box<str>>,
}

#[derive(Clone)]
enum Source {
    Authorization,
    Header(HeaderName),
    Cookie(Box<str>),
    WebSocketProtocol,
    Query,
    Custom(Arc<Find>),
}

type Find = dyn Fn(RequestHead<'_>) -> Option<&[u8]> + Send + Sync;

impl TokenSource {
    fn of(source: Source) -> Self {
        Self { source, origins: Vec::new() }
    }

    /// Takes the token from the `Authorization` header, behind the scheme `Bearer` (RFC 6750 §2.1).
    #[must_use]
    pub fn authorization() -> Self {
        Self::of(Source::Authorization)
    }

    /// Takes the token from a header of its own, such as `x-goog-iap-jwt-assertion` or
    /// `cf-access-jwt-assertion`.
    ///
    /// The header must be the token and nothing else; if it is empty, there is no token. A scheme
    /// before the token, as in `Authorization`, is refused; [`custom`](Self::custom) can take one
    /// away.
    #[must_use]
    pub fn header(name: HeaderName) -> Self {
        Self::of(Source::Header(name))
    }

    /// Takes the token from a cookie, for browsers.
    ///
    /// A browser sends cookies with whatever request another site makes it send. With a token from
    /// a cookie, every request but a plain `GET`, `HEAD`, `OPTIONS` or `TRACE` must therefore say
    /// that a page of this origin has sent it; one that asks for an upgrade, as WebSockets do,
    /// always must. It says so by `Sec-Fetch-Site`, which is `same-origin` or `none`, or else by an
    /// `Origin` that is this host's, over https unless it is a loopback host. Others are refused as
    /// [`CrossOriginRequest`](crate::ErrorKind::CrossOriginRequest). Let other origins in with
    /// [`allow_origin`](Self::allow_origin). An empty cookie is no token.
    ///
    /// A gateway with sessions of its own opens them in front of the layer, and puts their token
    /// into such a cookie of the request, in place of what the browser has sent: the protection is
    /// then the same. The example `realguardio` does so.
    ///
    /// # Security
    ///
    /// * Name the cookie `__Host-…`, and set it `HttpOnly`, `Secure` and `SameSite`: under another
    ///   name, other hosts of the domain can set it.
    /// * A `GET` must not change anything.
    /// * Other sites on the same host, under another port, share its cookies.
    #[must_use]
    pub fn cookie(name: impl Into<String>) -> Self {
        Self::of(Source::Cookie(name.into().into()))
    }

    /// Lets pages of this origin use the [`cookie`](Self::cookie).
    ///
    /// Write it as browsers do: scheme, host in lower case, port if it is not the scheme's, and no
    /// slash at the end: `https://app.example.com`. Anything else is an error of
    /// [`token_sources`](crate::BearerAuthLayer::token_sources), and so is an origin of a source
    /// that is no cookie: those are not protected by origins.
    #[must_use]
    pub fn allow_origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.push(origin.into().into());
        self
    }

    /// Takes the token from the protocols that a WebSocket offers: its browser cannot set headers.
    ///
    /// * The token is the protocol that follows `bearer`, in any case.
    /// * Or, in Kubernetes' way, a protocol is the token, in base64url without padding, with a
    ///   fixed text before it.
    ///
    /// ```js
    /// new WebSocket("wss://api.example.com/events", ["bearer", token])
    /// new WebSocket("wss://api.example.com/events", ["base64url.bearer.authorization.k8s.io." + encoded, "v4.channel.k8s.io"])
    /// ```
    ///
    /// All of this is taken from the request, so that the service chooses among the others. If it
    /// chooses none, the response says `bearer`, as the client has written it, without which the
    /// browser would close the connection. Kubernetes' protocol is never chosen, for it is the
    /// token: its client offers another one beside it, which the service must choose.
    #[must_use]
    pub fn web_socket_protocol() -> Self {
        Self::of(Source::WebSocketProtocol)
    }

    /// Takes the token from the parameter `access_token` of the query (RFC 6750 §2.3), where
    /// browsers can set no header.
    ///
    /// It is only read in requests that ask for an upgrade, as WebSockets do, and in a `GET` that
    /// accepts `text/event-stream`, as `EventSource` does.
    ///
    /// # Security
    ///
    /// Addresses end up in the logs of every proxy and server on the way, and the tokens with them;
    /// OAuth 2.1 forbids this. Prefer [`web_socket_protocol`](Self::web_socket_protocol), or for
    /// events a client that uses `fetch`. The service sees the parameter too, and so does every
    /// layer that logs. All responses to such requests, refusals too, get
    /// `Cache-Control: no-store`, unless they have one.
    #[must_use]
    pub fn dangerously_query() -> Self {
        Self::of(Source::Query)
    }

    /// Takes the token that this closure finds in the head of a request.
    ///
    /// `None` is no token, and neither is an empty slice.
    ///
    /// ```
    /// use tower_bearer::credential::TokenSource;
    ///
    /// // a header with something before the token
    /// let source = TokenSource::custom(|head| head.headers().get("x-token")?.as_bytes().strip_prefix(b"jwt:"));
    ///
    /// // a header that only counts below one path
    /// let source = TokenSource::custom(|head| {
    ///     let hook = head.uri().path().starts_with("/hooks/");
    ///     head.headers().get("x-hook-token").filter(|_| hook).map(|token| token.as_bytes())
    /// });
    ///
    /// // what a layer outside has left in the request's extensions
    /// #[derive(Clone)]
    /// struct Session { token: String }
    ///
    /// let source = TokenSource::custom(|head| Some(head.extensions().get::<Session>()?.token.as_bytes()));
    /// ```
    ///
    /// The header in which it finds the token is marked as sensitive. If the token is in the
    /// address, responses get `Cache-Control: no-store`, unless they have one.
    ///
    /// # Security
    ///
    /// A cookie that it reads, directly or by way of a session, has none of the protection of
    /// [`cookie`](Self::cookie). For the address, see
    /// [`dangerously_query`](Self::dangerously_query).
    #[must_use]
    pub fn custom(find: impl Fn(RequestHead<'_>) -> Option<&[u8]> + Send + Sync + 'static) -> Self {
        Self::of(Source::Custom(Arc::new(find)))
    }

    /// Finds what is wrong with sources, alone or together.
    pub(crate) fn check(sources: &[Self]) -> Result<(), ConfigError> {
        let mut problems = ConfigError::default();
        for (place, source) in sources.iter().enumerate() {
            let path = format!("token_sources[{}]", source.source);
            if let Source::Cookie(name) = &source.source {
                cookie::check(name, &source.origins, &path, &mut problems);
            } else if !source.origins.is_empty() {
                let text = "only a cookie is protected by origins; drop allow_origin";
                problems.push_as(ConfigProblemKind::Conflict, format!("{path}.allow_origin"), text);
            }
            if let Some(other) = sources.iter().take(place).find(|other| other.overlaps(source)) {
                let other = &other.source;
                let text = format!("{other} looks there, too: every token would be there twice; name one of them only");
                problems.push_as(ConfigProblemKind::Conflict, path, text);
            }
        }
        problems.or(())
    }

    /// Tells whether the two would find the same token.
    fn overlaps(&self, other: &Self) -> bool {
        match (&self.source, &other.source) {
            (Source::Cookie(own), Source::Cookie(other)) => own == other,
            (Source::Custom(own), Source::Custom(other)) => Arc::ptr_eq(own, other),
            (Source::Query, Source::Query) => true,
            (Source::Authorization | Source::Header(_) | Source::Cookie(_) | Source::WebSocketProtocol, _) => {
                self.header_name() == other.header_name()
            }
            (Source::Query | Source::Custom(_), _) => false,
        }
    }

    /// Finds sources besides the `Authorization` header, where no other is allowed.
    pub(crate) fn check_only_authorization(sources: &[Self]) -> Result<(), ConfigError> {
        let mut problems = ConfigError::default();
        for source in sources.iter().filter(|source| !matches!(source.source, Source::Authorization)) {
            let text = "the server trusts an issuer by fapi2, whose tokens come in the Authorization header only; drop \
                        this source, or give the other issuers a server and a layer of their own";
            problems.push_as(ConfigProblemKind::Conflict, format!("token_sources[{}]", source.source), text);
        }
        problems.or(())
    }

    /// Returns the header that the token is in, if it is known.
    pub(crate) fn header_name(&self) -> Option<&HeaderName> {
        match &self.source {
            Source::Authorization => Some(&AUTHORIZATION),
            Source::Header(name) => Some(name),
            Source::Cookie(_) => Some(&COOKIE),
            Source::WebSocketProtocol => Some(&SEC_WEBSOCKET_PROTOCOL),
            Source::Query | Source::Custom(_) => None,
        }
    }

    /// Looks for a credential. An empty place has none.
    fn find<'r>(&self, head: RequestHead<'r>, places: &mut Places) -> Result<Option<Credential<'r>>, Error> {
        let headers = head.headers();
        let found = match &self.source {
            Source::Authorization => match Credential::from_authorization(headers) {
                Err(error) if error.kind() == ErrorKind::MissingToken => None,
                found => Some(found?),
            },
            Source::Header(name) => head.single(name)?.map(Credential::bearer),
            Source::Cookie(name) => cookie::find(name, &self.origins, head)?.map(Credential::bearer),
            Source::WebSocketProtocol if head.asks_for_upgrade() => {
                (places.in_protocols, places.word) = web_socket::marks(headers);
                web_socket::token(headers)?.map(Credential::bearer)
            }
            Source::Query if head.asks_for_upgrade() || head.asks_for_events() => {
                if query::has_token(head.uri()) {
                    places.shown = places.shown.min(Shown::Path);
                }
                query::token(head.uri())?.map(Credential::bearer)
            }
            Source::WebSocketProtocol | Source::Query => None,
            Source::Custom(find) => find(head).inspect(|token| places.note(token, head)).map(Credential::bearer),
        };
        Ok(found.filter(|credential| !credential.token.is_empty()))
    }
}

/// Finds the one credential of a request; and all places of tokens, whatever comes of it.
pub(crate) fn find<'r>(sources: &[TokenSource], head: RequestHead<'r>) -> (Result<Credential<'r>, Error>, Places) {
    let (mut places, mut found) = (Places::default(), Ok(None));
    // all of them, also after an error, so that nothing is left that is to be hidden
    for source in sources {
        let next = source.find(head, &mut places);
        found = match (found, next) {
            (Ok(None), next) => next,
            (found, Ok(None)) | (found @ Err(_), _) => found,
            (_, Err(error)) => Err(error),
            (Ok(Some(_)), Ok(Some(_))) => {
                Err(Error::new(ErrorKind::MalformedRequest, "the request has a token in two places (RFC 6750 §2)"))
            }
        };
    }
    let missing = || Error::new(ErrorKind::MissingToken, "the request has no token where one is looked for");
    (found.and_then(|found| found.ok_or_else(missing)), places)
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenSource::{}", self.source)
    }
}

impl fmt::Display for Source {
    /// Writes it as it was made.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authorization => f.write_str("authorization"),
            Self::Header(name) => write!(f, "header({name})"),
            Self::Cookie(name) => write!(f, "cookie({name})"),
            Self::WebSocketProtocol => f.write_str("web_socket_protocol"),
            Self::Query => f.write_str("dangerously_query"),
            Self::Custom(_) => f.write_str("custom"),
        }
    }
}
