//! An introspection endpoint that a test holds in its hands.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use http::{HeaderMap, Response, header};
use tower_bearer::introspection::{ClientAuthentication, Introspection};
use tower_bearer::keys::HttpClient;
use tower_bearer::{Issuer, config::ResourceServerBuilder};

pub const ISSUER: &str = "https://id.test";

/// What was asked.
pub struct Asked {
    pub headers: HeaderMap,
    pub form: HashMap<String, String>,
    pub body: Bytes,
}

type Answer = Arc<dyn Fn(&Asked) -> Response<Body> + Send + Sync>;

/// Counts its calls, and answers as it is told.
#[derive(Clone)]
pub struct Endpoint(Arc<Inner>);

struct Inner {
    calls: AtomicUsize,
    open: AtomicUsize,
    most: AtomicUsize,
    takes: Mutex<Duration>,
    answer: Mutex<Answer>,
}

impl Endpoint {
    pub fn new(answer: impl Fn(&Asked) -> Response<Body> + Send + Sync + 'static) -> Self {
        let [calls, open, most] = [const { AtomicUsize::new(0) }; 3];
        let inner = Inner { calls, open, most, takes: Mutex::default(), answer: Mutex::new(Arc::new(answer)) };
        Self(Arc::new(inner))
    }

    /// Says of each token that begins with `good` that it is alice's.
    pub fn of_alice() -> Self {
        Self::new(|asked| {
            if asked.form["token"].starts_with("good") { json(200, &alice()) } else { json(200, r#"{"active":false}"#) }
        })
    }

    pub fn answer(&self, answer: impl Fn(&Asked) -> Response<Body> + Send + Sync + 'static) {
        *self.0.answer.lock().unwrap() = Arc::new(answer);
    }

    /// Takes so long from now on.
    pub fn takes(&self, time: Duration) {
        *self.0.takes.lock().unwrap() = time;
    }

    pub fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    /// How many calls were open at once, at most.
    pub fn most(&self) -> usize {
        self.0.most.load(Ordering::SeqCst)
    }

    pub fn router(&self) -> Router {
        Router::new().fallback(called).with_state(self.clone())
    }

    /// A client that reaches nothing else, and needs no network.
    pub fn client(&self) -> HttpClient {
        HttpClient::from_service_with_bodies::<_, Body, _>(self.router())
    }

    /// A server of one issuer without keys, which is asked here.
    pub fn server(&self, change: impl FnOnce(Introspection) -> Introspection) -> ResourceServerBuilder {
        self.server_of(change, |issuer| issuer)
    }

    /// The same, of an issuer with other terms.
    pub fn server_of(
        &self,
        change: impl FnOnce(Introspection) -> Introspection,
        terms: impl FnOnce(Issuer) -> Issuer,
    ) -> ResourceServerBuilder {
        let introspection = Introspection::new(ClientAuthentication::client_secret_basic("orders", "s3cret"));
        let introspection = introspection.endpoint(format!("{ISSUER}/introspect")).without_keys();
        let issuer = terms(Issuer::new(ISSUER).introspection(change(introspection)));
        tower_bearer::ResourceServer::new("https://api.test").trust(issuer).http_client(self.client())
    }
}

async fn called(State(Endpoint(inner)): State<Endpoint>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    struct Open(Arc<Inner>);

    impl Drop for Open {
        fn drop(&mut self) {
            self.0.open.fetch_sub(1, Ordering::SeqCst);
        }
    }

    inner.calls.fetch_add(1, Ordering::SeqCst);
    let open = inner.open.fetch_add(1, Ordering::SeqCst) + 1;
    inner.most.fetch_max(open, Ordering::SeqCst);
    let _open = Open(Arc::clone(&inner));
    let takes = *inner.takes.lock().unwrap();
    if !takes.is_zero() {
        tokio::time::sleep(takes).await;
    }
    let form = url::form_urlencoded::parse(&body).into_owned().collect();
    let answer = Arc::clone(&inner.answer.lock().unwrap());
    answer(&Asked { headers, form, body })
}

/// A JSON answer.
pub fn json(status: u16, body: &str) -> Response<Body> {
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
    response.body(Body::from(body.to_owned())).unwrap()
}

/// What is said of alice's tokens.
pub fn alice() -> String {
    r#"{"active":true,"iss":"https://id.test","aud":"https://api.test","sub":"alice","client_id":"shop","scope":"orders:read","token_type":"Bearer"}"#.into()
}
