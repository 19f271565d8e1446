//! The application's say about each token: what its answers come to, in every mode, for known and unknown tokens.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{any, get as route};
use futures_util::FutureExt;
use http::{Method, Request, Response, header};
use support::{challenge, get_with, send};
use tokio::time::{Instant, sleep, timeout};
use tower_bearer::checks::{Answer, CachedCheck, Denied, OnUnavailable, RequestContext, TokenCheck, TokenOnlyCheck};
use tower_bearer::config::ConfigProblemKind;
use tower_bearer::explain::Outcome;
use tower_bearer::revocation::RevocationList;
use tower_bearer::testing::{Idp, ManualClock};
use tower_bearer::{AccessToken, BearerAuthLayer, Error, ErrorKind, ResourceServer, Rule};

/// What the check is to say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Say {
    Yes,
    Revoked,
    Denied,
    Scope,
    CannotTell,
}

impl Say {
    fn answer(self) -> Answer {
        match self {
            Self::Yes => Answer::Yes,
            Self::Revoked => Answer::No(Denied::revoked("the account is closed")),
            Self::Denied => Answer::No(Denied::access_denied("the tenant has not paid")),
            Self::Scope => Answer::No(Denied::insufficient_scope(Rule::scope("orders:write"))),
            Self::CannotTell => Answer::cannot_tell("the database is down"),
        }
    }
}

/// Says what it is told to, and counts.
#[derive(Clone)]
struct Check {
    name: &'static str,
    say: Arc<Mutex<Say>>,
    /// After so long, if it does not say it at once.
    later: Option<Duration>,
    asked: Arc<AtomicUsize>,
    /// The methods of the requests that it has seen.
    seen: Arc<Mutex<Vec<Option<Method>>>>,
}

impl Check {
    fn new(say: Say) -> Self {
        Self {
            name: "accounts",
            say: Arc::new(Mutex::new(say)),
            later: None,
            asked: Arc::default(),
            seen: Arc::default(),
        }
    }

    fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    fn later(self, later: Duration) -> Self {
        Self { later: Some(later), ..self }
    }

    fn says(&self, say: Say) {
        *self.say.lock().unwrap() = say;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn ask(&self) -> Answer {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let say = Arc::clone(&self.say);
        match self.later {
            None => say.lock().unwrap().answer(),
            Some(later) => Answer::later(async move {
                sleep(later).await;
                let say = *say.lock().unwrap();
                // one future that becomes another is one answer
                Answer::later(async move { say.answer() })
            }),
        }
    }
}

impl TokenCheck for Check {
    fn name(&self) -> &'static str {
        self.name
    }

    fn check(&self, token: &AccessToken, request: &RequestContext<'_>) -> Answer {
        assert_eq!(token.subject(), Some("alice"));
        self.seen.lock().unwrap().push(request.head().map(|head| head.method().clone()));
        self.ask()
    }
}

impl TokenOnlyCheck for Check {
    fn name(&self) -> &'static str {
        self.name
    }

    fn check(&self, _: &AccessToken) -> Answer {
        self.ask()
    }
}

fn world(
    configure: impl Fn(tower_bearer::config::ResourceServerBuilder) -> tower_bearer::config::ResourceServerBuilder,
) -> (Idp, ResourceServer) {
    let idp = Idp::new("https://id.test/");
    let server = configure(ResourceServer::new("https://api.test").trust(&idp)).build().unwrap();
    (idp, server)
}

async fn who(token: Option<AccessToken>) -> String {
    token.map_or_else(|| "nobody".to_owned(), |token| token.subject().unwrap_or_default().to_owned())
}

fn app(layer: BearerAuthLayer) -> Router {
    Router::new().route("/", any(who)).layer(layer)
}

fn error(response: &Response<Body>) -> Option<(ErrorKind, String)> {
    response.extensions().get::<Error>().map(|error| (error.kind(), error.to_string()))
}

async fn text(response: Response<Body>) -> String {
    let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_answer_is_the_same_at_once_and_later_for_known_and_unknown_tokens() {
    let rows = [
        (Say::Yes, 200, None, ""),
        (Say::Revoked, 401, Some(ErrorKind::Revoked), "invalid_token"),
        (Say::Denied, 403, Some(ErrorKind::AccessDenied), ""),
        (Say::Scope, 403, Some(ErrorKind::InsufficientScope), "insufficient_scope"),
        (Say::CannotTell, 503, Some(ErrorKind::CheckUnavailable), ""),
    ];
    for (say, status, kind, code) in rows {
        for later in [None, Some(Duration::ZERO), Some(Duration::from_secs(4))] {
            for cache in [0, 1 << 20] {
                let check = Check { later, ..Check::new(say) };
                let (idp, server) = world(|server| server.check(check.clone()).token_cache(cache));
                let app = app(BearerAuthLayer::new(server));
                let token = idp.token("alice").sign();
                for asked in 1..=3 {
                    let response = send(&app, get_with("/", &token)).await;
                    let row = format!("{say:?} {later:?} {cache}");
                    assert_eq!(response.status(), status, "{row}");
                    assert_eq!(error(&response).map(|(kind, _)| kind), kind, "{row}");
                    let challenge = challenge(response.headers());
                    let found = challenge.as_ref().and_then(|(_, params)| params.get("error").cloned());
                    assert_eq!(found.unwrap_or_default(), code, "{row}");
                    let scope = challenge.and_then(|(_, mut params)| params.remove("scope"));
                    assert_eq!(scope.as_deref(), (say == Say::Scope).then_some("orders:write"), "{row}");
                    assert_eq!(response.headers().contains_key(header::RETRY_AFTER), status == 503, "{row}");
                    assert_eq!(check.asked(), asked, "every request is asked about");
                }
            }
        }
    }
}

#[tokio::test]
async fn our_fault_makes_nobody_anonymous() {
    let rows = [(Say::Yes, "alice", "alice"), (Say::Revoked, "401", "nobody"), (Say::CannotTell, "503", "503")];
    for (say, optional, lenient) in rows {
        let (idp, server) = world(|server| server.check(Check::new(say)));
        let token = idp.token("alice").sign();
        let layers = [
            (BearerAuthLayer::new(server.clone()).optional(), optional),
            (BearerAuthLayer::new(server).optional().lenient(), lenient),
        ];
        for (layer, expected) in layers {
            let app = app(layer);
            let response = send(&app, get_with("/", &token)).await;
            let status = response.status();
            let got = if status.is_success() { text(response).await } else { status.as_u16().to_string() };
            assert_eq!(got, expected, "{say:?}");
            assert_eq!(text(send(&app, support::get("/", &[])).await).await, "nobody");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_told_goes_by_the_stance() {
    let safe = [Method::GET, Method::HEAD, Method::OPTIONS];
    let unsafe_methods =
        [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::from_bytes(b"PURGE").unwrap()];
    for later in [None, Some(Duration::from_secs(1))] {
        for (on_unavailable, for_safe, for_others) in [
            (OnUnavailable::fail_closed(), 503, 503),
            (OnUnavailable::default(), 503, 503),
            (OnUnavailable::dangerously_fail_open(), 200, 200),
            (OnUnavailable::dangerously_fail_open_for_safe_methods(), 200, 503),
        ] {
            let check = Check { later, ..Check::new(Say::CannotTell) };
            let (idp, server) = world(|server| server.check_with(check.clone(), on_unavailable));
            let token = idp.token("alice").sign();
            let app = app(BearerAuthLayer::new(server.clone()));
            let methods = safe.iter().map(|method| (method, for_safe));
            for (method, expected) in methods.chain(unsafe_methods.iter().map(|method| (method, for_others))) {
                let request =
                    Request::builder().method(method).uri("/").header("authorization", format!("Bearer {token}"));
                let response = send(&app, request.body(Body::empty()).unwrap()).await;
                assert_eq!(response.status(), expected, "{method} {on_unavailable:?}");
            }
            for (name, value) in [("content-type", "Application/gRPC+proto"), ("upgrade", "websocket")] {
                let mut request = get_with("/", &token);
                request.headers_mut().insert(name, value.parse().unwrap());
                assert_eq!(send(&app, request).await.status(), for_others, "{name}, whatever the method");
            }
            let without_request = server.authenticate(&token).await.is_ok();
            assert_eq!(without_request, for_others == 200, "nobody knows what it is for");
            check.says(Say::Revoked);
            assert_eq!(send(&app, get_with("/", &token)).await.status(), 401, "a no is a no");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn checks_are_asked_in_their_order_and_each_sees_the_request() {
    let [first, second, third] = [("a", None), ("b", Some(Duration::from_secs(1))), ("c", None)]
        .map(|(name, later)| Check { later, ..Check::new(Say::Yes).named(name) });
    let (idp, server) =
        world(|server| server.check(first.clone()).check(Arc::new(second.clone())).check(third.clone()));
    let token = idp.token("alice").sign();
    let app = app(BearerAuthLayer::new(server.clone()));
    let post = || {
        let request = Request::post("/").header("authorization", format!("Bearer {token}"));
        request.body(Body::empty()).unwrap()
    };
    // the first request waits for keys, too
    for _ in 0..2 {
        assert_eq!(text(send(&app, post()).await).await, "alice");
    }
    server.authenticate(&token).await.unwrap();
    for check in [&first, &second, &third] {
        assert_eq!(*check.seen.lock().unwrap(), [Some(Method::POST), Some(Method::POST), None]);
    }
    second.says(Say::Denied);
    let response = send(&app, post()).await;
    let (kind, told) = error(&response).unwrap();
    assert_eq!(kind, ErrorKind::AccessDenied);
    assert!(told.contains("the tenant has not paid") && told.contains("(check b)"), "{told}");
    assert!(!text(response).await.contains("paid"), "the caller is told a fixed text");
    assert_eq!((first.asked(), second.asked(), third.asked()), (4, 4, 3));
    first.says(Say::CannotTell);
    assert_eq!(send(&app, post()).await.status(), 503);
    assert_eq!((first.asked(), second.asked()), (5, 4));
}

#[tokio::test(start_paused = true)]
async fn what_is_revoked_while_a_check_takes_its_time_is_refused() {
    let list = RevocationList::new(Duration::from_secs(3600));
    let check = Check::new(Say::Yes).later(Duration::from_secs(4));
    let (idp, server) = world(|server| server.revocation_list(list.clone()).check(check.clone()));
    let token = idp.token("alice").claim("jti", "t1").sign();
    let revoke = async {
        sleep(Duration::from_secs(1)).await;
        list.revoke_jti("https://id.test/", "t1");
    };
    let (refused, ()) = tokio::join!(server.authenticate(&token), revoke);
    let refused = refused.unwrap_err();
    assert_eq!((refused.kind(), refused.check()), (ErrorKind::Revoked, Some("revocations")));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_too_long_cannot_be_told() {
    let slow = Check::new(Say::Yes).later(Duration::from_secs(3600));
    let (idp, server) = world(|server| server.check(slow.clone()));
    let token = idp.token("alice").sign();
    let start = Instant::now();
    let error = server.authenticate(&token).await.unwrap_err();
    assert_eq!((error.kind(), error.check()), (ErrorKind::CheckUnavailable, Some("accounts")));
    assert_eq!(start.elapsed().as_secs(), 5);
    let app = app(BearerAuthLayer::new(server));
    let response = send(&app, get_with("/", &token)).await;
    assert_eq!((response.status().as_u16(), start.elapsed().as_secs()), (503, 10));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_looks_at_the_token_alone_may_remember() {
    for later in [None, Some(Duration::from_secs(1))] {
        let check = Check { later, ..Check::new(Say::Yes) };
        let cached = CachedCheck::new(check.clone(), Duration::from_secs(30), 100);
        let idp = Idp::new("https://id.test/");
        // without the cache of tokens, a token is the same all the same
        let server = ResourceServer::new("https://api.test").trust(&idp).check(cached).token_cache(0).build().unwrap();
        let [one, other] = ["alice", "bob"].map(|name| idp.token(name).sign());
        let kind = async |token: &str| server.authenticate(token).await.err().map(|error| error.kind());
        for _ in 0..3 {
            assert_eq!(kind(&one).await, None);
        }
        assert_eq!(check.asked(), 1);
        check.says(Say::Revoked);
        assert_eq!(kind(&other).await, Some(ErrorKind::Revoked));
        assert_eq!(kind(&one).await, None, "as it was known");
        assert_eq!(check.asked(), 2);
        sleep(Duration::from_secs(31)).await;
        for _ in 0..3 {
            assert_eq!(kind(&one).await, Some(ErrorKind::Revoked));
        }
        assert_eq!(check.asked(), 3, "a no is remembered, too");
        check.says(Say::CannotTell);
        sleep(Duration::from_secs(31)).await;
        for _ in 0..3 {
            assert_eq!(kind(&one).await, Some(ErrorKind::CheckUnavailable));
        }
        assert_eq!(check.asked(), 6, "and that nobody knows is not");
        check.says(Say::Yes);
        assert_eq!(kind(&one).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_requests_at_once_are_one_question_that_nobody_can_cancel() {
    for say in [Say::Yes, Say::Revoked, Say::CannotTell] {
        let check = Check::new(say).later(Duration::from_secs(1));
        let (idp, server) = world(|server| server.check(CachedCheck::new(check.clone(), Duration::from_secs(30), 100)));
        let token = idp.token("alice").sign();
        server.ready().await.unwrap();
        let kind = async || server.authenticate(&token).await.err().map(|error| error.kind());
        let expected = match say {
            Say::Yes => None,
            Say::Revoked => Some(ErrorKind::Revoked),
            Say::CannotTell | Say::Denied | Say::Scope => Some(ErrorKind::CheckUnavailable),
        };
        let kinds = futures_util::future::join_all((0..1000).map(|_| kind())).await;
        assert!(kinds.iter().all(|kind| *kind == expected), "{say:?}");
        assert_eq!(check.asked(), 1, "{say:?}");

        // whoever has asked goes away, and the answer is for the next
        let other = idp.token("alice").claim("n", 1).sign();
        for _ in 0..10 {
            assert!(timeout(Duration::from_millis(50), server.authenticate(&other)).await.is_err());
        }
        sleep(Duration::from_millis(600)).await;
        assert_eq!(check.asked(), 2, "{say:?}");
        let asked = if say == Say::CannotTell { 3 } else { 2 };
        let start = Instant::now();
        assert_eq!(server.authenticate(&other).await.err().map(|error| error.kind()), expected);
        assert_eq!((check.asked(), start.elapsed().is_zero()), (asked, asked == 2), "{say:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_is_not_shared_for_longer_than_its_answer_counts_or_may_take() {
    // with no time to keep, none is shared
    for (keep, latest, questions) in [(0, 0, 10), (1, 900, 1), (1, 1100, 2), (3600, 4900, 1), (3600, 5100, 2)] {
        let check = Check::new(Say::Yes).later(Duration::from_secs(3600));
        let (idp, server) =
            world(|server| server.check(CachedCheck::new(check.clone(), Duration::from_secs(keep), 100)));
        let token = idp.token("alice").sign();
        server.ready().await.unwrap();
        let ask = async |delay: u64| {
            sleep(Duration::from_millis(delay)).await;
            server.authenticate(&token).await.unwrap_err().kind()
        };
        let delays = (0..9).map(|_| 0).chain([latest]);
        let start = Instant::now();
        let kinds = futures_util::future::join_all(delays.map(ask)).await;
        assert!(kinds.iter().all(|kind| *kind == ErrorKind::CheckUnavailable));
        assert_eq!(check.asked(), questions, "{keep} {latest}");
        assert!(start.elapsed() <= Duration::from_millis(5000 + latest), "{:?}", start.elapsed());
    }
}

/// While a machine is suspended, only the wall clock goes on.
#[tokio::test]
async fn an_answer_is_not_remembered_over_a_machines_sleep() {
    let (check, clock) = (Check::new(Say::Yes), ManualClock::new());
    let idp = Idp::new("https://id.test/").clock(clock.clone());
    let cached = CachedCheck::new(check.clone(), Duration::from_secs(30), 100);
    let server = ResourceServer::new("https://api.test").trust(&idp).clock(clock.clone()).check(cached);
    let (server, token) = (server.build().unwrap(), idp.token("alice").sign());
    for (passed, asked) in [(0, 1), (29, 1), (1, 2), (0, 2)] {
        clock.advance(Duration::from_secs(passed));
        server.authenticate(&token).await.unwrap();
        assert_eq!(check.asked(), asked, "{passed}");
    }
}

/// Who waits needs a runtime, and who is answered at once does not.
#[test]
fn without_a_runtime_nobody_waits_for_another() {
    struct Slow(Mutex<Option<mpsc::Receiver<()>>>, mpsc::Sender<()>, Arc<AtomicUsize>);
    impl TokenOnlyCheck for Slow {
        fn name(&self) -> &'static str {
            "slow"
        }

        fn check(&self, _: &AccessToken) -> Answer {
            self.2.fetch_add(1, Ordering::SeqCst);
            let end = self.0.lock().unwrap().take();
            if let Some(end) = end {
                self.1.send(()).unwrap();
                end.recv().unwrap();
            }
            Answer::Yes
        }
    }
    let ((end, ended), (begin, begun), asked) = (mpsc::channel(), mpsc::channel(), Arc::<AtomicUsize>::default());
    let slow = Slow(Mutex::new(Some(ended)), begin, Arc::clone(&asked));
    let idp = Idp::new("https://id.test/");
    let cached = CachedCheck::new(slow, Duration::from_secs(30), 100);
    let server = ResourceServer::new("https://api.test").trust(&idp).check(cached).build().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(server.ready()).unwrap();
    let token = idp.token("alice").sign();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| server.authenticate(&token).now_or_never().unwrap().is_ok());
        begun.recv().unwrap();
        assert!(server.authenticate(&token).now_or_never().unwrap().is_ok(), "it asks itself");
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        end.send(()).unwrap();
        assert!(first.join().unwrap());
    });
    assert!(server.authenticate(&token).now_or_never().unwrap().is_ok());
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn open_questions_beyond_a_caches_size_are_not_shared() {
    let check = Check::new(Say::Yes).later(Duration::from_secs(1));
    let (idp, server) = world(|server| server.check(CachedCheck::new(check.clone(), Duration::from_secs(30), 10)));
    server.ready().await.unwrap();
    let tokens: Vec<_> = (0..20).map(|number| idp.token("alice").claim("n", number).sign()).collect();
    let asked = tokens.iter().chain(&tokens).map(|token| server.authenticate(token));
    assert!(futures_util::future::join_all(asked).await.iter().all(Result::is_ok));
    assert_eq!(check.asked(), 10 + 2 * 10);
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_be_kept_for_as_long_as_there_is() {
    let check = Check::new(Say::Yes).later(Duration::from_secs(1));
    let (idp, server) = world(|server| server.check(CachedCheck::new(check.clone(), Duration::MAX, 10)));
    let token = idp.token("alice").sign();
    for _ in 0..3 {
        assert!(server.authenticate(&token).await.is_ok());
    }
    assert_eq!(check.asked(), 1);
}

/// Gives its answers in turn, each after so many seconds.
struct InTurn(Mutex<Vec<(u64, Say)>>);

impl TokenOnlyCheck for InTurn {
    fn name(&self) -> &'static str {
        "in turn"
    }

    fn check(&self, _: &AccessToken) -> Answer {
        let (seconds, say) = self.0.lock().unwrap().remove(0);
        Answer::later(async move {
            sleep(Duration::from_secs(seconds)).await;
            say.answer()
        })
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_late_does_not_replace_one_that_was_asked_for_later() {
    // the first takes the only place among the questions that are shared
    let turns = InTurn(Mutex::new(vec![(4, Say::Yes), (3, Say::Yes), (1, Say::Revoked)]));
    let idp = Idp::new("https://id.test/");
    let check = CachedCheck::new(turns, Duration::from_secs(30), 1);
    let server = ResourceServer::new("https://api.test").trust(&idp).check(check).build().unwrap();
    server.ready().await.unwrap();
    let [other, token] = ["other", "token"].map(|name| idp.token("alice").claim("name", name).sign());
    let ask = async |token: &str, after: u64| {
        sleep(Duration::from_secs(after)).await;
        server.authenticate(token).await.err().map(|error| error.kind())
    };
    let kinds = async { tokio::join!(ask(&token, 0), ask(&token, 1)) };
    let kinds = async { (kinds.await, ask(&token, 0).await) };
    let (_, (kinds, known)) = tokio::join!(ask(&other, 0), kinds);
    assert_eq!(kinds, (None, Some(ErrorKind::Revoked)));
    assert_eq!(known, Some(ErrorKind::Revoked), "as the newer answer says");
}

/// Panics where it is told to.
#[derive(Clone, Copy)]
enum Panics {
    AtOnce,
    Later,
    /// After it was polled once.
    AfterAWait,
}

impl Panics {
    fn panic(self) -> Answer {
        match self {
            Self::AtOnce => panic!("eyJ.secret"),
            Self::Later => Answer::later(async { panic!("eyJ.secret") }),
            Self::AfterAWait => Answer::later(async {
                sleep(Duration::from_millis(1)).await;
                Answer::later(async { panic!("eyJ.secret") })
            }),
        }
    }
}

impl TokenCheck for Panics {
    fn name(&self) -> &'static str {
        "panics"
    }

    fn check(&self, _: &AccessToken, _: &RequestContext<'_>) -> Answer {
        self.panic()
    }
}

impl TokenOnlyCheck for Panics {
    fn name(&self) -> &'static str {
        "panics"
    }

    fn check(&self, _: &AccessToken) -> Answer {
        self.panic()
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_that_panics_cannot_tell() {
    for panics in [Panics::AtOnce, Panics::Later, Panics::AfterAWait] {
        for cached in [false, true] {
            // whether the check before it answers at once
            for later in [None, Some(Duration::from_secs(1))] {
                for (on_unavailable, status) in
                    [(OnUnavailable::fail_closed(), 503), (OnUnavailable::dangerously_fail_open(), 200)]
                {
                    let first = Check { later, ..Check::new(Say::Yes) };
                    let (idp, server) = world(|server| {
                        let server = server.check(first.clone());
                        if cached {
                            let keep = Duration::from_secs(30);
                            server.check_with(CachedCheck::new(panics, keep, 100), on_unavailable)
                        } else {
                            server.check_with(panics, on_unavailable)
                        }
                    });
                    let app = app(BearerAuthLayer::new(server));
                    let token = idp.token("alice").sign();
                    for _ in 0..2 {
                        let both = futures_util::future::join(
                            send(&app, get_with("/", &token)),
                            send(&app, get_with("/", &token)),
                        );
                        let (one, other) = both.await;
                        for response in [one, other] {
                            assert_eq!(response.status(), status);
                            let Some((kind, told)) = error(&response) else { continue };
                            assert_eq!(kind, ErrorKind::CheckUnavailable);
                            assert!(!told.contains("eyJ") && told.contains("(check panics)"), "{told}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn two_checks_of_one_name_are_a_problem() {
    let idp = Idp::new("https://id.test/");
    let server = || ResourceServer::new("https://api.test").trust(&idp);
    let check = |name| Check::new(Say::Yes).named(name);
    let paths = |server: tower_bearer::config::ResourceServerBuilder| {
        let error = server.build().unwrap_err();
        error.problems().iter().map(|problem| (problem.path().to_owned(), problem.kind())).collect::<Vec<_>>()
    };
    let expected = |name: &str| vec![(format!("checks[{name}]"), ConfigProblemKind::Conflict)];
    assert_eq!(paths(server().check(check("a")).check(check("b")).check(check("a"))), expected("a"));
    let list = RevocationList::new(Duration::from_secs(60));
    assert_eq!(paths(server().check(check("revocations")).revocation_list(list)), expected("revocations"));
    assert!(server().check(check("revocations")).check(check("b")).build().is_ok(), "there is no list");
    let good = server().build().unwrap();
    assert!(good.reload(server().check(check("a")).check(check("a"))).is_err());
}

#[tokio::test]
async fn many_tokens_do_not_take_more_than_a_caches_size() {
    let check = Check::new(Say::Yes);
    let (idp, server) = world(|server| server.check(CachedCheck::new(check.clone(), Duration::from_secs(300), 10)));
    for number in 0..200 {
        server.authenticate(&idp.token("alice").claim("n", number).sign()).await.unwrap();
    }
    for number in 0..200 {
        server.authenticate(&idp.token("alice").claim("n", number).sign()).await.unwrap();
    }
    assert!(check.asked() >= 380, "{}", check.asked());
}

#[tokio::test]
async fn each_check_is_a_step_of_the_explanation() {
    let [first, second] = ["a", "b"].map(|name| Check::new(Say::Yes).named(name));
    let (idp, server) = world(|server| server.check(first.clone()).check(second.clone()));
    let steps = async |token: &str| -> Vec<_> {
        let explanation = server.explain(token).await;
        let outcome = |outcome: &Outcome| match outcome {
            Outcome::Passed => "passed",
            Outcome::Skipped => "skipped",
            Outcome::Failed(_) => "failed",
            other => panic!("{other:?}"),
        };
        let last: Vec<_> =
            explanation.steps.iter().rev().take(3).map(|step| (step.name, outcome(&step.outcome))).collect();
        assert_eq!(explanation.accepted, last.iter().all(|(_, outcome)| *outcome == "passed"));
        last.into_iter().rev().collect()
    };
    let token = idp.token("alice").sign();
    assert_eq!(steps(&token).await, [("claims type", "passed"), ("a", "passed"), ("b", "passed")]);
    for say in [Say::Denied, Say::CannotTell, Say::Revoked, Say::Scope] {
        second.says(say);
        assert_eq!(steps(&token).await, [("claims type", "passed"), ("a", "passed"), ("b", "failed")]);
    }
    first.says(Say::Denied);
    assert_eq!(steps(&token).await, [("claims type", "passed"), ("a", "failed"), ("b", "skipped")]);
    assert_eq!(
        steps(&idp.token("alice").expired().sign()).await,
        [("claims type", "skipped"), ("a", "skipped"), ("b", "skipped")]
    );
}

#[tokio::test]
async fn a_reload_asks_other_checks() {
    let (idp, server) = world(|server| server.check(Check::new(Say::Revoked)));
    let token = idp.token("alice").sign();
    assert!(server.authenticate(&token).await.is_err());
    server.reload(ResourceServer::new("https://api.test").trust(&idp)).unwrap();
    assert!(server.authenticate(&token).await.is_ok());
    server.reload(ResourceServer::new("https://api.test").trust(&idp).check(Check::new(Say::Revoked))).unwrap();
    assert!(server.authenticate(&token).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_request_is_verified_by_its_authorization_header() {
    let check = Check::new(Say::Yes);
    let (idp, server) = world(|server| server.check(check.clone()));
    let token = idp.token("alice").sign();
    let with = |values: &[&str]| {
        let mut request = Request::put("/").body("a body of any type").unwrap();
        for value in values {
            request.headers_mut().append(header::AUTHORIZATION, value.parse().unwrap());
        }
        request
    };
    let bearer = format!("Bearer {token}");
    let kind = async |values: &[&str]| {
        let verdict = server.authenticate_request(&with(values)).await;
        verdict.map(|token| assert_eq!(token.subject(), Some("alice"))).map_err(|error| error.kind())
    };
    assert_eq!(kind(&[&bearer]).await, Ok(()));
    assert_eq!(*check.seen.lock().unwrap(), [Some(Method::PUT)]);
    assert_eq!(kind(&[]).await, Err(ErrorKind::MissingToken));
    assert_eq!(kind(&["Basic YTpi"]).await, Err(ErrorKind::MissingToken));
    assert_eq!(kind(&[&bearer, &bearer]).await, Err(ErrorKind::MalformedRequest));
    assert_eq!(kind(&["Bearer a.b.c"]).await, Err(ErrorKind::MalformedToken));
    check.says(Say::Denied);
    assert_eq!(kind(&[&bearer]).await, Err(ErrorKind::AccessDenied));
}

#[tokio::test]
async fn a_token_is_known_by_what_its_issuer_has_signed() {
    let seen: Arc<Mutex<Vec<[u8; 32]>>> = Arc::default();
    struct Hashes(Arc<Mutex<Vec<[u8; 32]>>>);
    impl TokenCheck for Hashes {
        fn name(&self) -> &'static str {
            "hashes"
        }

        fn check(&self, _: &AccessToken, request: &RequestContext<'_>) -> Answer {
            assert_eq!(request.token_hash(), request.token_hash());
            assert!(!format!("{request:?}").contains("eyJ"));
            self.0.lock().unwrap().push(request.token_hash());
            Answer::Yes
        }
    }
    let (idp, server) = world(|server| server.check(Hashes(Arc::clone(&seen))));
    let token = idp.token("alice").sign();
    server.authenticate(&token).await.unwrap();
    server.authenticate(&token).await.unwrap();
    let (signed, _) = token.rsplit_once('.').unwrap();
    let expected = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, signed.as_bytes());
    assert_eq!(seen.lock().unwrap().iter().map(|hash| &hash[..]).collect::<Vec<_>>(), [expected.as_ref(); 2]);
}

#[tokio::test]
async fn without_checks_a_route_is_answered_as_ever() {
    let (idp, server) = world(|server| server);
    let app = Router::new().route("/", route(who)).layer(BearerAuthLayer::new(server));
    assert_eq!(text(send(&app, get_with("/", &idp.token("alice").sign())).await).await, "alice");
}
