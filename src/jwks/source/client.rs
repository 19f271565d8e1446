//! The HTTP client that fetches metadata and keys: ours, or the application's.

mod ours;

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::timeout;
use tower_service::Service;
use url::Url;

use self::ours::Ours;
use super::FetchError;
use super::reach::{Reach, shown};
use crate::jwks::key_set::MAX_DOCUMENT_LEN;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Answering = Pin<Box<dyn Future<Output = Result<Answer, FetchError>> + Send>>;

/// What a server has answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Empty unless the status is 200.
    pub(super) body: Vec<u8>,
}

/// An HTTP client of the application, to fetch metadata and keys with: for a private certificate authority, a proxy, mutual TLS.
///
/// It is made from a prepared [`reqwest::Client`], or [from any tower service](Self::from_service).
/// The limits stay: https unless loopback, the
/// [`key_fetch_timeout`](crate::ResourceServerBuilder::key_fetch_timeout) for each request with its
/// answer, and 512 KiB. Of a [`reqwest::Client`], an answer that it got by following a redirect is
/// refused; what a service follows, it alone knows. Names below `localhost` are not taken for
/// loopback, since the client decides where they lead.
///
/// A client that keeps idle connections (most do) keeps them on the runtime that made them. If this
/// is not driven any more, the next fetch on another runtime can hang until its timeout: keep none,
/// of a [`reqwest::Client`] with `pool_max_idle_per_host(0)`, if the server is used from several
/// runtimes.
///
/// Clones are the same client: give a clone to a [reload](crate::ResourceServer::reload), and the keys are kept. Two made of clones of
/// one [`reqwest::Client`] are not.
///
/// # Security
///
/// The client decides where a host name leads: for issuers that are found at run time, see to it that it does not reach
/// private addresses that it should not. Turn off redirects, of a [`reqwest::Client`] with `redirect(Policy::none())`: a request is sent before
/// its answer can be refused.
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
    send: Arc<dyn Fn(Url, Option<HeaderValue>) -> Answering + Send + Sync>,
    ours: bool,
}

impl HttpClient {
    /// Makes one of any tower service, such as hyper's client with layers around it. Each request has a default body, which is to be empty.
    /// The type of a service that is not to be named is `tower::util::BoxCloneSyncService`.
    ///
    /// ```
    /// use http_body_util::Empty;
    /// use hyper_util::client::legacy::Client;
    /// use hyper_util::rt::TokioExecutor;
    /// use tower_bearer::HttpClient;
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
        Self::of(move |url, etag| {
            let mut service = service.clone();
            Box::pin(async move {
                let failed = |error: BoxError| no_answer(&url, error);
                let mut request = Request::new(B::default());
                *request.uri_mut() = Uri::try_from(url.as_str()).map_err(|error| failed(error.into()))?;
                *request.headers_mut() = headers(etag);
                poll_fn(|cx| service.poll_ready(cx)).await.map_err(|error| failed(error.into()))?;
                let response = service.call(request).await.map_err(|error| failed(error.into()))?;
                read(&url, response).await
            })
        })
    }

    fn of(send: impl Fn(Url, Option<HeaderValue>) -> Answering + Send + Sync + 'static) -> Self {
        Self { send: Arc::new(send), ours: false }
    }

    /// Prepares a client of our own, which is made when it is first needed.
    pub(crate) fn ours(reach: Reach) -> Self {
        let ours = Arc::new(Ours::new(reach));
        let client = Self::of(move |url, etag| {
            let ours = Arc::clone(&ours);
            Box::pin(async move { send(ours.client(&url).await?, url, etag).await })
        });
        Self { ours: true, ..client }
    }

    /// Tells whether it is one of our own, and not the application's.
    pub(crate) fn is_ours(&self) -> bool {
        self.ours
    }

    /// Tells whether this is a clone of the other, or both are our own.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.ours && other.ours || Arc::ptr_eq(&self.send, &other.send)
    }

    /// Sends one GET, on condition if there is an ETag, and reads the whole answer, all within this
    /// time.
    pub(super) async fn get(
        &self,
        url: Url,
        etag: Option<HeaderValue>,
        within: Duration,
    ) -> Result<Answer, FetchError> {
        let (shown, seconds) = (shown(&url), within.as_secs_f64());
        let late = || FetchError::message(format!("no complete answer from {shown} within {seconds} s"));
        timeout(within, (self.send)(url, etag)).await.unwrap_or_else(|_| Err(late()))
    }
}

impl From<reqwest::Client> for HttpClient {
    fn from(client: reqwest::Client) -> Self {
        Self::of(move |url, etag| Box::pin(send(client.clone(), url, etag)))
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}

async fn send(client: reqwest::Client, url: Url, etag: Option<HeaderValue>) -> Result<Answer, FetchError> {
    let response = client.get(url.clone()).headers(headers(etag)).send().await;
    let response = response.map_err(|error| no_answer(&url, error))?;
    if *response.url() != url {
        return Err(FetchError::message(format!(
            "{} answered with a redirect that the http_client has followed; give it redirect(Policy::none())",
            shown(&url)
        )));
    }
    read(&url, Response::from(response)).await
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
/// alone.
async fn read<B>(url: &Url, response: Response<B>) -> Result<Answer, FetchError>
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send,
{
    let (parts, incoming) = response.into_parts();
    let (mut incoming, mut body, mut left) = (pin!(incoming), Vec::new(), MAX_DOCUMENT_LEN);
    while parts.status == StatusCode::OK
        && let Some(frame) = incoming.frame().await
    {
        let data = frame.map_err(|error| no_answer(url, error))?.into_data().ok();
        let len = data.as_ref().map(bytes::Buf::remaining).unwrap_or_default();
        let too_long = || FetchError::message(format!("{} answered with more than 512 KiB", shown(url)));
        left = left.checked_sub(len.max(1)).ok_or_else(too_long)?;
        if let Some(data) = data {
            bytes::BufMut::put(&mut body, data);
        }
    }
    Ok(Answer { status: parts.status, headers: parts.headers, body })
}

/// Reports a failure of the client. reqwest's errors hold the whole URL, whose query may hold a key
/// of some API.
fn no_answer(url: &Url, error: impl Into<BoxError>) -> FetchError {
    let error =
        error.into().downcast::<reqwest::Error>().map_or_else(|error| error, |error| error.without_url().into());
    FetchError::caused(format!("no answer from {}", shown(url)), error)
}
