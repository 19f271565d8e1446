//! The HTTP client that fetches metadata and keys, and asks about tokens: ours, or the
//! application's.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::header::{ACCEPT, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::BodyExt;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tower_service::Service;
use url::Url;

use super::address::{PlainHost, PlainHttp, Reach, is_loopback, shown};
use crate::jwks::key_set::document::MAX_DOCUMENT_LEN;
use crate::jwks::source::FetchError;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Answering = Pin<Box<dyn Future<Output = Result<Answer, FetchError>> + Send>>;

/// What is sent to an address, with its method, headers and body.
pub(crate) type Outgoing = Request<Vec<u8>>;

/// What a server has answered. The body is empty unless the status is 200; of an answer to a POST
/// that is no success, it is the beginning.
pub(crate) type Answer = Response<Vec<u8>>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// So many bytes of the answer to a POST that is no success are worth a look.
const MAX_ERROR_LEN: usize = 4 * 1024;

/// An HTTP client of the application, to fetch metadata and keys with, and to ask about tokens: for
/// a private certificate authority, a proxy, mutual TLS.
///
/// It is made from a prepared [`reqwest::Client`], or [from any tower service](Self::from_service).
/// The limits stay: https unless loopback, the
/// [`key_fetch_timeout`](crate::config::ResourceServerBuilder::key_fetch_timeout) for each request
/// with its answer, and 512 KiB. Of a [`reqwest::Client`], an answer that it got by following a
/// redirect is refused; what a service follows, it alone knows. Names below `localhost` are not
/// taken for loopback, since the client decides where they lead.
///
/// A client that keeps idle connections (most do) keeps them on the runtime that made them. If this
/// is not driven any more, the next fetch on another runtime can hang until its timeout: keep none,
/// of a [`reqwest::Client`] with `pool_max_idle_per_host(0)`, if the server is used from several
/// runtimes.
///
/// Clones are the same client: give a clone to a [reload](crate::ResourceServer::reload), and the
/// keys are kept. Two made of clones of one [`reqwest::Client`] are not.
///
/// # Security
///
/// The client decides where a host name leads: for issuers that are found at run time, see to it
/// that it does not reach private addresses that it should not. Turn off redirects, of a
/// [`reqwest::Client`] with `redirect(Policy::none())`: a request is sent before its answer can be
/// refused. A question about a token takes that token along, and perhaps the client's secret.
///
/// # Examples
///
/// ```
/// use tower_bearer::{Issuer, ResourceServer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build()?;
/// let server = ResourceServer::new("https://api.example.com")
///     .trust(Issuer::new("https://id.example.com/"))
///     .http_client(client)
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct HttpClient {
    send: Arc<dyn Fn(Url, Outgoing) -> Answering + Send + Sync>,
    ours: bool,
    /// Whether it can send a body.
    #[cfg_attr(not(feature = "introspection"), expect(dead_code, reason = "keys are fetched without one"))]
    pub(crate) has_bodies: bool,
}

impl HttpClient {
    /// Makes one of any tower service, such as hyper's client with layers around it. Each request
    /// has a default body, which is to be empty. The type of a service that is not to be named is
    /// `tower::util::BoxCloneSyncService`.
    ///
    /// ```
    /// use http_body_util::Empty;
    /// use hyper_util::client::legacy::Client;
    /// use hyper_util::rt::TokioExecutor;
    /// use tower_bearer::keys::HttpClient;
    ///
    /// let hyper = Client::builder(TokioExecutor::new()).build_http::<Empty<axum::body::Bytes>>();
    /// let client = HttpClient::from_service(hyper);
    /// ```
    #[must_use]
    pub fn from_service<S, B, B2>(service: S) -> Self
    where
        S: Service<Request<B>, Response = Response<B2>, Error: Into<BoxError>, Future: Send>
            + Clone
            + Send
            + Sync
            + 'static,
        B: Default + Send + 'static,
        B2: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        Self { has_bodies: false, ..Self::of_service(service, |body| body.is_empty().then(B::default)) }
    }

    /// Makes one of any tower service that sends bodies, such as those of `http_body_util::Full`:
    /// an issuer can be asked about tokens by this one, too.
    ///
    /// ```
    /// use http_body_util::Full;
    /// use hyper_util::client::legacy::Client;
    /// use hyper_util::rt::TokioExecutor;
    /// use tower_bearer::keys::HttpClient;
    ///
    /// let hyper = Client::builder(TokioExecutor::new()).build_http::<Full<axum::body::Bytes>>();
    /// let client = HttpClient::from_service_with_bodies(hyper);
    /// ```
    #[cfg(feature = "introspection")]
    #[cfg_attr(docsrs, doc(cfg(feature = "introspection")))]
    #[must_use]
    pub fn from_service_with_bodies<S, B, B2>(service: S) -> Self
    where
        S: Service<Request<B>, Response = Response<B2>, Error: Into<BoxError>, Future: Send>
            + Clone
            + Send
            + Sync
            + 'static,
        B: From<Vec<u8>> + Send + 'static,
        B2: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        Self::of_service(service, |body| Some(B::from(body)))
    }

    fn of_service<S, B, B2>(service: S, body: fn(Vec<u8>) -> Option<B>) -> Self
    where
        S: Service<Request<B>, Response = Response<B2>, Error: Into<BoxError>, Future: Send>
            + Clone
            + Send
            + Sync
            + 'static,
        B: Send + 'static,
        B2: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        Self::of(move |url, outgoing| {
            let mut service = service.clone();
            Box::pin(async move {
                let failed = |error: BoxError| no_answer(&url, error);
                let (mut parts, content) = outgoing.into_parts();
                let content = body(content).ok_or_else(|| failed(NO_BODIES.into()))?;
                parts.uri = Uri::try_from(url.as_str()).map_err(|error| failed(error.into()))?;
                let method = parts.method.clone();
                poll_fn(|cx| service.poll_ready(cx)).await.map_err(|error| failed(error.into()))?;
                let response = service.call(Request::from_parts(parts, content)).await;
                read(&url, &method, response.map_err(|error| failed(error.into()))?).await
            })
        })
    }

    fn of(send: impl Fn(Url, Outgoing) -> Answering + Send + Sync + 'static) -> Self {
        Self { send: Arc::new(send), ours: false, has_bodies: true }
    }

    /// Prepares a client of our own, which is made when it is first needed.
    fn ours(reach: Reach) -> Self {
        let [plain, direct, proxied] = [const { OnceLock::new() }; 3];
        let ours = Arc::new(Ours { reach, plain, direct, proxied });
        let client = Self::of(move |url, outgoing| {
            let ours = Arc::clone(&ours);
            Box::pin(async move { send(ours.client(&url).await?, url, outgoing).await })
        });
        Self { ours: true, ..client }
    }

    /// Sends one GET, on condition if there is an ETag, and reads the whole answer, all within this
    /// time.
    pub(super) async fn get(
        &self,
        url: Url,
        etag: Option<HeaderValue>,
        within: Duration,
    ) -> Result<Answer, FetchError> {
        let mut outgoing = Request::new(Vec::new());
        *outgoing.headers_mut() = headers(etag);
        self.send(url, outgoing, within).await
    }

    /// Sends one request and reads the answer, all within this time.
    pub(crate) async fn send(&self, url: Url, outgoing: Outgoing, within: Duration) -> Result<Answer, FetchError> {
        let (shown, seconds) = (shown(&url), within.as_secs_f64());
        let late = || FetchError::message(format!("no complete answer from {shown} within {seconds} s"));
        timeout(within, (self.send)(url, outgoing)).await.unwrap_or_else(|_| Err(late()))
    }
}

/// How keys are fetched over HTTP, and how far that reaches.
#[derive(Clone)]
pub(crate) struct HttpAccess {
    pub(crate) client: HttpClient,
    reach: Reach,
    plain: PlainHttp,
}

impl HttpAccess {
    /// Uses the application's client, or one of our own.
    pub(crate) fn new(client: Option<HttpClient>, reach: Reach, hosts: Arc<[PlainHost]>) -> Self {
        let client = client.unwrap_or_else(|| HttpClient::ours(reach.clone()));
        let plain = PlainHttp { hosts: Some(hosts), below_localhost: client.ours };
        Self { client, reach, plain }
    }

    /// The same for what is secret, which no plain http of another host may carry.
    #[cfg(feature = "introspection")]
    pub(crate) fn for_secrets(&self) -> Self {
        Self { plain: PlainHttp { hosts: None, ..self.plain.clone() }, ..self.clone() }
    }

    /// Tells whether both fetch from the same places in the same way; our own clients all do.
    pub(crate) fn same_as(&self, other: &Self) -> bool {
        let same = Arc::ptr_eq(&self.client.send, &other.client.send) || self.client.ours && other.client.ours;
        same && self.reach == other.reach
    }

    /// Tells whether it is for issuers that are configured: what these answer may be shown, since
    /// nobody else has chosen them.
    pub(super) fn is_for_configured(&self) -> bool {
        !self.reach.is_limited()
    }

    pub(crate) fn checked(&self, uri: &str, loopback: bool) -> Result<Url, &'static str> {
        self.reach.checked(uri, loopback, &self.plain)
    }
}

impl From<Client> for HttpClient {
    fn from(client: Client) -> Self {
        Self::of(move |url, outgoing| Box::pin(send(client.clone(), url, outgoing)))
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}

async fn send(client: Client, url: Url, outgoing: Outgoing) -> Result<Answer, FetchError> {
    let (parts, body) = outgoing.into_parts();
    let mut request = client.request(parts.method.clone(), url.clone()).headers(parts.headers);
    if parts.method == Method::POST {
        request = request.body(body);
    }
    let response = request.send().await;
    let response = response.map_err(|error| no_answer(&url, error))?;
    if *response.url() != url {
        return Err(FetchError::message(format!(
            "{} answered with a redirect that the http_client has followed; give it redirect(Policy::none())",
            shown(&url)
        )));
    }
    read(&url, &parts.method, Response::from(response)).await
}

fn headers(etag: Option<HeaderValue>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, application/jwk-set+json, */*;q=0.1"));
    if let Some(etag) = etag {
        headers.insert(IF_NONE_MATCH, etag);
    }
    headers
}

/// Reads an answer, up to the limit, which counts what has been decompressed, and each frame as a
/// byte at least: some that are empty could go on for ever. The body of what is no document is left
/// alone, and of what is no success of a POST only the beginning is read.
async fn read<B>(url: &Url, method: &Method, response: Response<B>) -> Result<Answer, FetchError>
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send,
{
    let (parts, incoming) = response.into_parts();
    let (mut incoming, mut body, mut left) = (pin!(incoming), Vec::new(), MAX_DOCUMENT_LEN);
    let whole = parts.status == StatusCode::OK || method == Method::POST && parts.status.is_success();
    if !whole {
        left = if method == Method::POST { MAX_ERROR_LEN } else { 0 };
    }
    while (whole || left > 0)
        && let Some(frame) = incoming.frame().await
    {
        let data = frame.map_err(|error| no_answer(url, error))?.into_data().ok();
        let len = data.as_ref().map(bytes::Buf::remaining).unwrap_or_default();
        let too_long = || FetchError::too_long(format!("{} answered with more than 512 KiB", shown(url)));
        left = match left.checked_sub(len.max(1)) {
            Some(left) => left,
            None if whole => return Err(too_long()),
            // as much as there is room for would be cut in the middle, and be of no use
            None => break,
        };
        if let Some(data) = data {
            bytes::BufMut::put(&mut body, data);
        }
    }
    Ok(Response::from_parts(parts, body))
}

/// Reports a failure of the client. reqwest's errors hold the whole URL, whose query may hold a key
/// of some API.
fn no_answer(url: &Url, error: impl Into<BoxError>) -> FetchError {
    let error =
        error.into().downcast::<reqwest::Error>().map_or_else(|error| error, |error| error.without_url().into());
    FetchError::caused(format!("no answer from {}", shown(url)), error)
}

/// Our own client, of which each part is made when it is first needed. One that cannot be made is
/// tried anew with the next fetch.
struct Ours {
    reach: Reach,
    /// For plain http: without TLS, and past the environment's proxy, which would be one more that
    /// could change the keys.
    plain: OnceLock<Client>,
    /// For https past the environment's proxy.
    direct: OnceLock<Client>,
    /// For https.
    proxied: OnceLock<Client>,
}

impl Ours {
    /// Returns the part for an address. The environment's proxy serves all but plain http, loopback
    /// addresses, and issuers found at run time, whose addresses could not be checked behind it.
    async fn client(&self, url: &Url) -> Result<Client, FetchError> {
        let (part, builder) = if url.scheme() == "http" {
            (&self.plain, self.builder().no_proxy().tls_certs_only([]))
        } else if is_loopback(url) || self.reach.is_limited() {
            (&self.direct, self.builder().no_proxy())
        } else {
            (&self.proxied, self.builder())
        };
        if let Some(client) = part.get() {
            return Ok(client.clone());
        }
        // the machine's certificate authorities are read from files
        let made = spawn_blocking(|| builder.build()).await;
        let made = made.map_err(|error| FetchError::caused(NOT_MADE, error))?;
        let made = made.map_err(|error| FetchError::caused(NOT_MADE, error))?;
        Ok(part.get_or_init(|| made).clone())
    }

    fn builder(&self) -> ClientBuilder {
        Client::builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            // an idle connection lives on the runtime that made it, and nobody may drive that any
            // more
            .pool_max_idle_per_host(0)
            .connect_timeout(CONNECT_TIMEOUT)
            .dns_resolver(self.reach.clone())
    }
}

const NO_BODIES: &str =
    "the http_client was made by from_service, and sends no bodies; make it by from_service_with_bodies";

const NOT_MADE: &str = "the HTTP client cannot be set up; where there are no CA certificates, install ca-certificates or give an http_client";
