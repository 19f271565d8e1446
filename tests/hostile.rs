//! An issuer whose key server turns bad: whatever it does, tokens signed with the keys in hand go on being accepted
//! until `max_stale` is over, and then the answer is 503. On real sockets; only the clock of the runtime is moved.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Redirect;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION};
use http::{HeaderMap, Response, StatusCode};
use serde_json::json;
use support::{get_with, send};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tower_bearer::keys::{Freshness, HttpClient};
use tower_bearer::testing::Idp;
use tower_bearer::{BearerAuthLayer, ErrorKind, Issuer, ResourceServer};

const API: &str = "https://api.test";
const MINUTE: Duration = Duration::from_secs(60);

type Answer = Arc<dyn Fn(&str, &HeaderMap) -> Response<Body> + Send + Sync>;

/// A key server that answers as it is told, by path and headers.
#[derive(Clone)]
struct KeyServer {
    address: String,
    answer: Arc<Mutex<Answer>>,
}

impl KeyServer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let answer: Arc<Mutex<Answer>> = Arc::new(Mutex::new(Arc::new(|_, _| Response::new(Body::empty()))));
        let current = Arc::clone(&answer);
        let app = Router::new().fallback(async move |request: Request| {
            let answer = Arc::clone(&current.lock().unwrap());
            answer(request.uri().path(), request.headers())
        });
        tokio::spawn(axum::serve(listener, app).into_future());
        Self { address, answer }
    }

    fn answers(&self, answer: impl Fn(&str, &HeaderMap) -> Response<Body> + Send + Sync + 'static) {
        *self.answer.lock().unwrap() = Arc::new(answer);
    }

    /// Publishes metadata and keys as it should.
    fn is_good(&self, idp: &Idp) {
        let (idp, address) = (idp.clone(), self.address.clone());
        self.answers(move |path, _| match path {
            "/keys" => json_of(idp.jwks().to_string()),
            _ => json_of(json!({ "issuer": address, "jwks_uri": format!("{address}/keys") }).to_string()),
        });
    }
}

fn json_of(body: impl Into<Body>) -> Response<Body> {
    Response::builder().header(CONTENT_TYPE, "application/json").body(body.into()).unwrap()
}

fn status_of(status: StatusCode) -> Response<Body> {
    let mut response = json_of("{\"error\":\"secret\"}");
    *response.status_mut() = status;
    response
}

fn body_of(chunks: impl tokio_stream::Stream<Item = std::io::Result<Bytes>> + Send + 'static) -> Response<Body> {
    json_of(Body::from_stream(chunks))
}

/// 64 MiB of spaces, in 64 KiB.
fn bomb() -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut gzip, &vec![b' '; 64 << 20]).unwrap();
    gzip.finish().unwrap()
}

/// All that a key server can do, and what the operator is told.
fn wrongs() -> Vec<(&'static str, Answer, &'static str)> {
    let bomb = bomb();
    vec![
        ("500", Arc::new(|_, _| status_of(StatusCode::INTERNAL_SERVER_ERROR)), "500"),
        ("503", Arc::new(|_, _| status_of(StatusCode::SERVICE_UNAVAILABLE)), "503"),
        ("404", Arc::new(|_, _| status_of(StatusCode::NOT_FOUND)), "404"),
        ("203", Arc::new(|_, _| status_of(StatusCode::NON_AUTHORITATIVE_INFORMATION)), "203"),
        ("204", Arc::new(|_, _| status_of(StatusCode::NO_CONTENT)), "204"),
        ("206", Arc::new(|_, _| status_of(StatusCode::PARTIAL_CONTENT)), "206"),
        ("300", Arc::new(|_, _| status_of(StatusCode::MULTIPLE_CHOICES)), "300"),
        ("304 that nobody asked for", Arc::new(|_, _| status_of(StatusCode::NOT_MODIFIED)), "304"),
        ("a redirect", Arc::new(|_, _| to_private()), "307"),
        ("HTML", Arc::new(|_, _| html("text/html")), "content-type"),
        ("HTML as JSON", Arc::new(|_, _| html("application/json")), "not a JWK Set"),
        ("another content-type", Arc::new(|_, _| html("text/plain")), "content-type"),
        ("an error in JSON", Arc::new(|_, _| json_of("{\"error\":\"secret\"}")), "not a JWK Set"),
        ("an empty body", Arc::new(|_, _| json_of("")), "not a JWK Set"),
        ("an empty set", Arc::new(|_, _| json_of("{\"keys\":[]}")), "no usable key"),
        ("a set of what is no key", Arc::new(|_, _| json_of("{\"keys\":[7,{},null]}")), "no usable key"),
        ("2 MiB", Arc::new(|_, _| json_of(vec![b' '; 2 << 20])), "512 KiB"),
        ("a body that ends too early", Arc::new(|_, _| broken()), "no answer"),
        ("a gzip bomb", Arc::new(move |_, _| zipped(&bomb)), "512 KiB"),
    ]
}

fn to_private() -> Response<Body> {
    axum::response::IntoResponse::into_response(Redirect::temporary("http://169.254.169.254/latest/meta-data"))
}

fn html(content_type: &str) -> Response<Body> {
    Response::builder().header(CONTENT_TYPE, content_type).body("<html>secret</html>".into()).unwrap()
}

fn broken() -> Response<Body> {
    body_of(tokio_stream::iter([Ok(Bytes::from("{\"keys\":[")), Err(std::io::Error::other("reset"))]))
}

fn zipped(bomb: &[u8]) -> Response<Body> {
    let mut response = json_of(bomb.to_vec());
    response.headers_mut().insert(CONTENT_ENCODING, "gzip".parse().unwrap());
    response
}

/// Moves the clock of the runtime, while nothing is on its way.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn whatever_a_key_server_does_the_keys_in_hand_are_used_until_they_are_too_old() {
    for (name, wrong, told) in wrongs() {
        let keys = KeyServer::start().await;
        let idp = Idp::new(&keys.address);
        keys.is_good(&idp);
        let server = ResourceServer::new(API).trust(Issuer::new(&keys.address)).build().unwrap();
        let app = Router::new().fallback(async || "ok").layer(BearerAuthLayer::new(server.clone()));
        let answer = async || send(&app, get_with("/", &idp.token("alice").sign())).await;
        assert_eq!(answer().await.status(), 200, "{name}");

        let good = Arc::clone(&keys.answer.lock().unwrap());
        keys.answers(move |path, headers| if path == "/keys" { wrong(path, headers) } else { good(path, headers) });
        let error = server.refresh(&keys.address).await.unwrap_err().to_string();
        assert!(error.contains(told), "{name}: {error}");
        assert!(!error.contains("secret"), "{name}: {error}");
        assert_eq!(answer().await.status(), 200, "{name}");
        pass(65 * MINUTE).await;
        assert_eq!(answer().await.status(), 200, "{name}");
        let status = server.status().remove(0);
        assert_eq!((status.state, status.keys.len()), (Freshness::Stale, 1), "{name}");
        assert!(status.failures > 0 && status.last_error.is_some(), "{name}");

        pass(10 * MINUTE).await;
        let refused = answer().await;
        assert_eq!(refused.status(), 503, "{name}");
        assert!(refused.headers().contains_key("retry-after"), "{name}");
        assert_eq!(server.status()[0].state, Freshness::Expired, "{name}");

        keys.is_good(&idp);
        pass(MINUTE + MINUTE / 10).await;
        assert!(server.ready().await.is_ok(), "{name}");
        assert_eq!(answer().await.status(), 200, "{name}");
    }
}

#[tokio::test]
async fn metadata_that_turn_bad_leave_the_known_address_in_use() {
    let (wrong, forbidden) = ("https://other.test/", "http://169.254.169.254/keys");
    for (issuer, jwks_uri) in [(Some(wrong), None), (None, Some(forbidden)), (None, Some("https://127.0.0.1:1/keys"))] {
        let keys = KeyServer::start().await;
        let idp = Idp::new(&keys.address);
        keys.is_good(&idp);
        let server = ResourceServer::new(API).trust(Issuer::new(&keys.address)).build().unwrap();
        assert!(server.authenticate(&idp.token("alice").sign()).await.is_ok());
        let good = Arc::clone(&keys.answer.lock().unwrap());
        let metadata = json!({
            "issuer": issuer.unwrap_or(&keys.address),
            "jwks_uri": jwks_uri.map_or_else(|| format!("{}/keys", keys.address), ToOwned::to_owned),
        });
        let metadata = metadata.to_string();
        keys.answers(
            move |path, headers| if path == "/keys" { good(path, headers) } else { json_of(metadata.clone()) },
        );
        // after an hour the metadata are read again
        for _ in 0..8 {
            pass(9 * MINUTE).await;
            let _ = server.refresh(&keys.address).await;
            assert!(server.authenticate(&idp.token("alice").sign()).await.is_ok(), "{issuer:?} {jwks_uri:?}");
        }
    }
}

#[tokio::test]
async fn a_cold_herd_of_a_thousand_reads_the_metadata_once_and_the_keys_once() {
    let keys = KeyServer::start().await;
    let idp = Idp::new(&keys.address);
    keys.is_good(&idp);
    let (good, seen) = (Arc::clone(&keys.answer.lock().unwrap()), Arc::new(Mutex::new(Vec::new())));
    let log = Arc::clone(&seen);
    keys.answers(move |path, headers| {
        log.lock().unwrap().push(path.to_owned());
        good(path, headers)
    });
    let server = ResourceServer::new(API).trust(Issuer::new(&keys.address)).build().unwrap();
    let token = idp.token("alice").sign();
    let verdicts = futures_util::future::join_all((0..1000).map(|_| server.authenticate(&token))).await;
    assert!(verdicts.iter().all(Result::is_ok));
    assert_eq!(*seen.lock().unwrap(), ["/.well-known/openid-configuration", "/keys"]);
}

#[tokio::test]
async fn one_poisoned_key_harms_no_other() {
    let keys = KeyServer::start().await;
    let idp = Idp::new(&keys.address);
    keys.is_good(&idp);
    let poison = [
        json!({ "kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA", "kid": "short" }),
        json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "weak" }),
        json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "secret" }),
        json!({ "kty": "AKP", "alg": "ML-DSA-65", "pub": "AAAA", "kid": "new" }),
        json!([1]),
    ];
    for jwk in &poison {
        idp.publish(jwk.clone());
    }
    let server = ResourceServer::new(API).trust(Issuer::new(&keys.address)).build().unwrap();
    assert!(server.authenticate(&idp.token("alice").sign()).await.is_ok());
    let status = server.status().remove(0);
    assert_eq!((status.keys.len(), status.skipped.len(), status.failures), (1, poison.len(), 0));
}

#[tokio::test]
async fn a_key_server_that_hangs_or_drips_is_given_up_after_five_seconds() {
    let drip = |_: &str, _: &HeaderMap| {
        let bytes = tokio_stream::StreamExt::throttle(tokio_stream::iter(0_u64..), Duration::from_secs(1));
        body_of(tokio_stream::StreamExt::map(bytes, |_| Ok(Bytes::from(" "))))
    };
    let hang = |_: &str, _: &HeaderMap| body_of(tokio_stream::pending());
    for wrong in [Arc::new(drip) as Answer, Arc::new(hang)] {
        let keys = KeyServer::start().await;
        let idp = Idp::new(&keys.address);
        keys.is_good(&idp);
        let jwks_uri = format!("{}/keys", keys.address);
        let server = ResourceServer::new(API).trust(Issuer::new(&keys.address).jwks_uri(jwks_uri)).build().unwrap();
        assert!(server.authenticate(&idp.token("alice").sign()).await.is_ok());
        keys.answers(move |path, headers| wrong(path, headers));
        // from here on, the clock runs as fast as nothing else happens
        tokio::time::pause();
        let begin = tokio::time::Instant::now();
        let error = server.refresh(&keys.address).await.unwrap_err().to_string();
        assert!(error.contains("within 5 s"), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
        assert!(server.authenticate(&idp.token("alice").sign()).await.is_ok());
        tokio::time::resume();
    }
}

#[tokio::test]
async fn an_answer_that_comes_too_late_does_not_replace_a_newer_one() {
    // raw, so that the first answer can be held back
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let idp = Idp::new(&address);
    let server =
        ResourceServer::new(API).trust(Issuer::new(&address).jwks_uri(format!("{address}/keys"))).build().unwrap();
    let write = |keys: String| {
        let len = keys.len();
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len}\r\n\r\n{keys}")
    };
    let accept = async || {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 2048]).await.unwrap();
        stream
    };
    let token = idp.token("alice").sign();
    let old = write(idp.jwks().to_string());
    let (slow, verdict) = futures_util::join!(accept(), async {
        let waiting = server.authenticate(&token);
        futures_util::pin_mut!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        while futures_util::poll!(&mut waiting).is_pending() {
            tokio::task::yield_now().await;
            pass(Duration::from_millis(100)).await;
        }
        server.status()[0].state
    });
    assert_eq!(verdict, Freshness::NeverLoaded);
    let mut slow = slow;
    pass(Duration::from_secs(6)).await;
    idp.rotate();
    let new = write(idp.jwks().to_string());
    let (quick, ready) = futures_util::join!(
        async {
            let mut quick = accept().await;
            quick.write_all(new.as_bytes()).await.unwrap();
            quick
        },
        async {
            while server.status()[0].state == Freshness::NeverLoaded {
                tokio::task::yield_now().await;
                pass(Duration::from_millis(100)).await;
                let _ = server.ready().await;
            }
        }
    );
    let ((), _) = (ready, quick);
    // now comes what was asked first; nobody listens any more
    let _ = slow.write_all(old.as_bytes()).await;
    assert!(server.authenticate(&idp.token("alice").sign()).await.is_ok());
    assert!(server.authenticate(&token).await.is_err(), "signed with the old key");
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let keys = KeyServer::start().await;
    let idp = Idp::new(&keys.address);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (publisher, log, address) = (idp.clone(), Arc::clone(&seen), keys.address.clone());
    keys.answers(move |path, headers| {
        if path != "/keys" {
            return json_of(json!({ "issuer": address, "jwks_uri": format!("{address}/keys") }).to_string());
        }
        let set = publisher.jwks().to_string();
        let etag = format!("\"{}\"", publisher.jwks()["keys"][0]["kid"].as_str().unwrap());
        let condition = headers.get(IF_NONE_MATCH).map(|value| value.to_str().unwrap().to_owned());
        let unchanged = condition.as_deref() == Some(&etag);
        log.lock().unwrap().push((condition, unchanged));
        let mut response = if unchanged { status_of(StatusCode::NOT_MODIFIED) } else { json_of(set) };
        response.headers_mut().insert(ETAG, etag.parse().unwrap());
        response
    });
    let server = ResourceServer::new(API).trust(Issuer::new(&keys.address)).build().unwrap();
    let accepted = async |token: &str| server.authenticate(token).await.is_ok();
    let first = idp.token("alice").sign();
    assert!(accepted(&first).await);
    pass(11 * MINUTE).await;
    server.refresh(&keys.address).await.unwrap();
    assert_eq!(server.status()[0].state, Freshness::Fresh, "it counts as fetched");
    assert!(server.status()[0].age.unwrap() < MINUTE);
    assert!(accepted(&first).await);
    idp.rotate();
    assert!(accepted(&idp.token("alice").sign()).await, "and what has changed is");
    assert!(!accepted(&first).await);
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0], (None, false));
    assert!(seen.contains(&(Some("\"es256-1\"".to_owned()), true)), "{seen:?}");
    assert_eq!(*seen.last().unwrap(), (Some("\"es256-1\"".to_owned()), false));
}

#[tokio::test]
async fn unchanged_is_only_what_is_in_hand() {
    // (what the keys came with, what the 304 has, whether our tag is sent at all, whether the 304
    // is believed)
    for (ours, theirs, sent, believed) in [
        ("\"1\"", &["\"1\""][..], true, true),
        ("\"1\"", &[], true, true),
        ("\"1\"", &["W/\"1\""], true, true),
        ("W/\"1\"", &["\"1\""], true, true),
        ("\"1\"", &["\"2\""], true, false),
        ("\"1\"", &["W/\"2\""], true, false),
        ("\"1\"", &["\"1\"", "\"2\""], true, false),
        ("\"1\"", &["1"], true, false),
        ("*", &["*"], false, false),
        ("1", &["1"], false, false),
        ("\"1\", \"2\"", &["\"1\""], false, false),
    ] {
        let keys = KeyServer::start().await;
        let idp = Idp::new(&keys.address);
        let publisher = idp.clone();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        keys.answers(move |_, headers| {
            let asked = headers.contains_key(IF_NONE_MATCH);
            log.lock().unwrap().push(asked);
            let mut response =
                if asked { status_of(StatusCode::NOT_MODIFIED) } else { json_of(publisher.jwks().to_string()) };
            let ours = [ours];
            for tag in if asked { theirs } else { &ours } {
                response.headers_mut().append(ETAG, tag.parse().unwrap());
            }
            response
        });
        let trust = Issuer::new(&keys.address).jwks_uri(format!("{}/keys", keys.address));
        let server = ResourceServer::new(API).trust(trust).build().unwrap();
        server.ready().await.unwrap();
        idp.rotate();
        server.refresh(&keys.address).await.unwrap();
        let new = server.status()[0].keys[0].kid.as_deref() == idp.jwks()["keys"][0]["kid"].as_str();
        assert_eq!(new, !believed, "{ours} {theirs:?}");
        let expected = match (sent, believed) {
            (true, true) => &[false, true][..],
            (true, false) => &[false, true, false],
            (false, _) => &[false, false],
        };
        assert_eq!(*seen.lock().unwrap(), expected, "{ours} {theirs:?}");
    }
}

#[tokio::test]
async fn the_etag_of_an_address_that_the_keys_have_left_is_not_sent_to_the_new_one() {
    let keys = KeyServer::start().await;
    let idp = Idp::new(&keys.address);
    let place = Arc::new(Mutex::new("old"));
    let (publisher, address, current) = (idp.clone(), keys.address.clone(), Arc::clone(&place));
    keys.answers(move |path, headers| {
        let place = *current.lock().unwrap();
        if path.contains("well-known") {
            return json_of(json!({ "issuer": address, "jwks_uri": format!("{address}/{place}") }).to_string());
        }
        let mut response = match headers.get(IF_NONE_MATCH) {
            Some(_) if path == "/new" => panic!("a tag of another address"),
            Some(_) => status_of(StatusCode::NOT_MODIFIED),
            None => json_of(publisher.jwks().to_string()),
        };
        response.headers_mut().insert(ETAG, "\"1\"".parse().unwrap());
        response
    });
    let server = ResourceServer::new(API).trust(Issuer::new(&keys.address)).build().unwrap();
    server.ready().await.unwrap();
    *place.lock().unwrap() = "new";
    pass(61 * MINUTE).await;
    idp.rotate();
    assert!(server.authenticate(&idp.token("alice").sign()).await.is_ok());
}

/// An issuer whose key server writes these bytes for every request, and says no more.
async fn raw(bytes: impl Fn(&Idp) -> Vec<u8> + Send + 'static, hang: bool) -> (Idp, ResourceServer) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let idp = Idp::new(&address);
    let publisher = idp.clone();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 2048]).await;
            let _ = stream.write_all(&bytes(&publisher)).await;
            if hang {
                open.push(stream);
            }
        }
    });
    let trust = Issuer::new(&address).jwks_uri(format!("{address}/keys"));
    (idp, ResourceServer::new(API).trust(trust).build().unwrap())
}

#[tokio::test]
async fn what_is_no_good_http_is_a_failure_and_what_comes_before_an_answer_is_none() {
    type Bytes = fn(&Idp) -> Vec<u8>;
    fn answer(idp: &Idp, before: &str, head: &str) -> Vec<u8> {
        format!("{before}HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{head}\r\n\r\n{}", idp.jwks())
            .into_bytes()
    }
    let good: [Bytes; 3] = [
        |idp| answer(idp, "", "connection: close"),
        |idp| {
            answer(
                idp,
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n",
                "connection: close",
            )
        },
        |idp| answer(idp, &"HTTP/1.1 102 Processing\r\n\r\n".repeat(1000), "connection: close"),
    ];
    for (number, bytes) in good.into_iter().enumerate() {
        let (idp, server) = raw(bytes, false).await;
        let verdict = server.authenticate(&idp.token("alice").sign()).await;
        assert!(verdict.is_ok(), "{number}: {verdict:?}");
    }
    let bad: [(&str, Bytes); 8] = [
        ("a length that is too long", |idp| answer(idp, "", "content-length: 100000")),
        ("a length that is too short", |idp| answer(idp, "", "content-length: 20")),
        ("two lengths", |idp| answer(idp, "", "content-length: 20\r\ncontent-length: 21")),
        ("a length that is none", |idp| answer(idp, "", "content-length: -1")),
        ("another protocol", |_| {
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n{}".into()
        }),
        ("a head of 1 MiB", |idp| answer(idp, "", &format!("x: {}", "a".repeat(1 << 20)))),
        ("a head of 10,000 lines", |idp| answer(idp, "", &"x: a\r\n".repeat(10_000))),
        ("no HTTP", |_| b"SSH-2.0-OpenSSH_9.6\r\n".into()),
    ];
    for (name, bytes) in bad {
        let (idp, server) = raw(bytes, false).await;
        let error = server.authenticate(&idp.token("alice").sign()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeysUnavailable, "{name}");
        assert_eq!(server.status()[0].failures, 1, "{name}: {error}");
    }
}

#[tokio::test]
async fn a_head_that_does_not_end_is_given_up_after_five_seconds() {
    for head in ["HTTP/1.1 200 OK\r\nx: ", "HTTP/1.1 103 Early Hints\r\n\r\n", ""] {
        let (_, server) =
            raw(move |_| head.repeat(if head.contains("103") { 1000 } else { 1 }).into_bytes(), true).await;
        tokio::time::pause();
        let error = server.ready().await.unwrap_err();
        assert!(error.to_string().contains("within 5 s"), "{error}");
        tokio::time::resume();
    }
}

#[tokio::test]
async fn frames_without_data_do_not_go_on_for_ever() {
    let endless = tower::service_fn(|_: http::Request<http_body_util::Empty<Bytes>>| async {
        let frames = tokio_stream::StreamExt::map(tokio_stream::iter(0_u64..), |_| {
            Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::new()))
        });
        Ok::<_, std::io::Error>(Response::new(http_body_util::StreamBody::new(frames)))
    });
    let client = HttpClient::from_service(endless);
    let server = ResourceServer::new(API).trust(Issuer::new("https://id.test/")).http_client(client).build().unwrap();
    assert!(server.ready().await.unwrap_err().to_string().contains("512 KiB"));
}

#[tokio::test]
async fn an_etag_of_what_was_refused_is_forgotten() {
    let keys = KeyServer::start().await;
    let idp = Idp::new(&keys.address);
    let jwks_uri = format!("{}/keys", keys.address);
    let server = ResourceServer::new(API).trust(Issuer::new(&keys.address).jwks_uri(jwks_uri)).build().unwrap();
    let broken = |_: &str, headers: &HeaderMap| {
        let known = headers.get(IF_NONE_MATCH).is_some();
        let mut response = if known { status_of(StatusCode::NOT_MODIFIED) } else { json_of("{\"keys\":[]}") };
        response.headers_mut().insert(ETAG, "\"broken\"".parse().unwrap());
        response
    };
    keys.is_good(&idp);
    server.ready().await.unwrap();
    keys.answers(broken);
    for _ in 0..2 {
        let error = server.refresh(&keys.address).await.unwrap_err();
        assert!(error.to_string().contains("no usable key"), "{error}");
    }
}

#[tokio::test]
async fn the_applications_own_client_fetches_metadata_and_keys_within_the_same_limits() {
    let keys = KeyServer::start().await;
    let idp = Idp::new(&keys.address);
    keys.is_good(&idp);
    let hyper = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .build_http::<http_body_util::Empty<Bytes>>();
    let clients =
        [HttpClient::from(reqwest::Client::builder().no_proxy().build().unwrap()), HttpClient::from_service(hyper)];
    for client in clients {
        keys.is_good(&idp);
        let trust = Issuer::new(&keys.address);
        let server = ResourceServer::new(API).trust(trust).http_client(client).build().unwrap();
        assert!(server.authenticate(&idp.token("alice").sign()).await.is_ok());
        keys.answers(|_, _| json_of(vec![b' '; 2 << 20]));
        let error = server.refresh(&keys.address).await.unwrap_err().to_string();
        assert!(error.contains("512 KiB"), "{error}");
        // a client that follows redirects is of no use to whoever sends them
        keys.is_good(&idp);
        let good = Arc::clone(&keys.answer.lock().unwrap());
        keys.answers(move |path, headers| {
            if path != "/keys" {
                return good(path, headers);
            }
            let response = Response::builder().status(307).header(LOCATION, "/.well-known/openid-configuration");
            response.body(Body::empty()).unwrap()
        });
        let error = server.refresh(&keys.address).await.unwrap_err().to_string();
        assert!(error.contains("redirect") || error.contains("307"), "{error}");
        assert!(server.authenticate(&idp.token("alice").sign()).await.is_ok());
    }
}

/// A client that is not ready: it fails, or stays so.
#[derive(Clone)]
struct NotReady {
    fails: bool,
}

impl tower::Service<http::Request<http_body_util::Empty<Bytes>>> for NotReady {
    type Response = Response<Body>;
    type Error = std::io::Error;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        if self.fails {
            std::task::Poll::Ready(Err(std::io::Error::other("no route")))
        } else {
            std::task::Poll::Pending
        }
    }

    fn call(&mut self, _: http::Request<http_body_util::Empty<Bytes>>) -> Self::Future {
        panic!("called without being ready");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_not_ready_or_fails_is_an_outage() {
    let idp = Idp::new("https://id.test/");
    let failing = tower::service_fn(|_: http::Request<http_body_util::Empty<Bytes>>| async {
        Err::<Response<Body>, _>(std::io::Error::other("no route"))
    });
    let clients = [
        (HttpClient::from_service(failing), "no route"),
        (HttpClient::from_service(NotReady { fails: true }), "no route"),
        (HttpClient::from_service(NotReady { fails: false }), "within 5 s"),
    ];
    for (client, told) in clients {
        let server =
            ResourceServer::new(API).trust(Issuer::new("https://id.test/")).http_client(client).build().unwrap();
        let error = server.ready().await.unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        let error = server.authenticate(&idp.token("alice").sign()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeysUnavailable);
    }
}
