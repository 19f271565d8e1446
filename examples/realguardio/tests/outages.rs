//! The whole system while parts of it are down, and while keys change. Nothing falls open, nobody is signed out for it, and the status says what is wrong.

mod person;

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use person::Person;
use realguardio::guard::AUDIENCE;
use realguardio::iam::{Iam, LIFETIME};
use realguardio::system::{Authorization, Options, System};
use tower_bearer::testing::{Idp, ManualClock};

async fn start(authorization: Authorization) -> (System, ManualClock) {
    let (options, clock) = (Options { authorization, ..Options::default() }, ManualClock::new());
    (System::start(options, Arc::new(clock.clone())).await.unwrap(), clock)
}

/// Asks until the answer is there that comes of other services' work, or for five seconds.
async fn eventually<T: PartialEq + std::fmt::Debug>(expected: T, mut ask: impl AsyncFnMut() -> T) {
    let mut last = ask().await;
    for _ in 0..200 {
        if last == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
        last = ask().await;
    }
    panic!("{last:?}, and not {expected:?}");
}

fn admin(idp: &Idp) -> String {
    idp.token("root").audience(AUDIENCE).role("admin").sign()
}

async fn status(url: &str, token: Option<&str>) -> u16 {
    let request = reqwest::Client::new().get(url);
    let request = token.into_iter().fold(request, |request, token| request.bearer_auth(token));
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn who_has_no_keys_yet_while_the_identity_service_is_down_says_so_and_recovers() {
    let (mut system, _) = start(Authorization::Fetch).await;
    let (iam, Iam { idp, .. }) = system.identity.as_mut().unwrap();
    // nobody has asked for anything yet, and keys are fetched when they are needed
    iam.stop().await;
    let (systems, token) = (format!("{}/systems", system.systems.url), admin(idp));
    assert_eq!(status(&systems, Some(&token)).await, 503);
    assert_eq!(status(&systems, None).await, 401);
    assert_eq!(status(&systems, Some("no.token.atall")).await, 401);
    assert_eq!(status(&format!("{}/health", system.systems.url), None).await, 200);
    let mut alice = Person::new();
    let page = alice.visit(&system.gateway.url).await;
    assert_eq!((page.url.path(), page.status.as_u16()), ("/sign-in", 502));
    assert!(page.text.contains("Sorry"));

    iam.resume().await.unwrap();
    eventually(200, || status(&systems, Some(&token))).await;
    let gateway = &system.gateway.url;
    eventually(StatusCode::OK, async || Person::new().sign_in(gateway, "alice").await.status).await;
}

#[tokio::test]
async fn whoever_is_signed_in_stays_so_while_the_identity_service_is_down() {
    let (mut system, clock) = start(Authorization::Fetch).await;
    let gateway = system.gateway.url.clone();
    let (iam, _) = system.identity.as_mut().unwrap();
    let (mut alice, mut bob) = (Person::new(), Person::new());
    assert_eq!(bob.sign_in(&gateway, "bob").await.status, 200);
    assert_eq!(alice.sign_in(&gateway, "alice").await.status, 200);
    assert_eq!(
        alice.submit("/systems/1/arm", &[]).await.between("system-1>", "<form"),
        "<td>1<td>1<td class=\"state armed\">armed<td>"
    );

    iam.stop().await;
    assert_eq!(alice.visit(&gateway).await.status, 200);
    // it is time to refresh, and it cannot be done; the token still is what it is
    clock.advance(LIFETIME - Duration::from_secs(5));
    assert_eq!(alice.visit(&gateway).await.status, 200);
    // the leeway is over, too
    clock.advance(Duration::from_secs(40));
    let page = alice.submit("/systems/1/disarm", &[]).await;
    assert_eq!((page.status.as_u16(), page.text.contains("Sorry")), (502, true));
    assert!(alice.cookie(&gateway, "__Host-session").is_some(), "she is not signed out for it");
    assert_eq!(alice.visit(&format!("{gateway}/health")).await.status, 200);
    // who wants to be signed out is
    bob.visit(&format!("{gateway}/health")).await;
    assert_eq!(bob.submit("/sign-out", &[]).await.status, 200);
    assert_eq!(bob.cookie(&gateway, "__Host-session"), None);

    iam.resume().await.unwrap();
    let page = alice.visit(&gateway).await;
    assert_eq!(page.status, 200);
    assert!(page.between("system-1>", "<form").contains(">armed<"), "what was refused was not done");
}

#[tokio::test]
async fn keys_are_rotated_and_users_notice_nothing() {
    let (mut system, clock) = start(Authorization::Fetch).await;
    let gateway = system.gateway.url.clone();
    let (_, Iam { idp, .. }) = system.identity.as_mut().unwrap();
    let mut alice = Person::new();
    alice.sign_in(&gateway, "alice").await;
    let statistics = format!("{}/statistics", system.statistics.url);
    let former = idp.token("root").audience(AUDIENCE).role("admin").expires_in(Duration::from_secs(3600)).sign();
    assert_eq!(status(&statistics, Some(&former)).await, 200);
    idp.rotate();
    clock.advance(LIFETIME);
    // the refreshed token is of the new key, at the gateway and at each service that it goes to
    assert_eq!(alice.visit(&gateway).await.status, 200);
    assert_eq!(status(&statistics, Some(&admin(idp))).await, 200);
    assert_eq!(status(&statistics, Some(&former)).await, 401, "its key is withdrawn");
}

#[tokio::test]
async fn tabs_that_are_opened_at_once_share_one_refresh() {
    let (system, clock) = start(Authorization::Fetch).await;
    let gateway = system.gateway.url.clone();
    let mut alice = Person::new();
    alice.sign_in(&gateway, "alice").await;
    clock.advance(LIFETIME);
    // each with the same refresh token, which is good for once
    let tabs = (0..8).map(|_| {
        let (mut tab, gateway) = (alice.clone(), gateway.clone());
        tokio::spawn(async move { tab.visit(&gateway).await.text.contains("id=user>alice<") })
    });
    for tab in tabs.collect::<Vec<_>>() {
        assert!(tab.await.unwrap());
    }
}

#[tokio::test]
async fn services_that_are_down_are_no_no_and_no_yes() {
    let (mut system, _) = start(Authorization::Fetch).await;
    let gateway = system.gateway.url.clone();
    let (mut alice, mut root) = (Person::new(), Person::new());
    alice.sign_in(&gateway, "alice").await;
    root.sign_in(&gateway, "root").await;

    // what alice may do is known to the customer service, and root's role is in the token
    system.customers.stop().await;
    let page = alice.visit(&gateway).await;
    assert_eq!((page.status.as_u16(), page.text.contains("Sorry")), (503, true));
    let page = alice.submit("/systems/1/arm", &[]).await;
    assert_eq!((page.status.as_u16(), page.url.path()), (503, "/systems/1/arm"));
    // of one that does not exist, the same
    assert_eq!(alice.submit("/systems/99/arm", &[]).await.status, 503);
    assert_eq!(root.visit(&gateway).await.status, 200);
    system.customers.resume().await.unwrap();
    let page = alice.visit(&gateway).await;
    assert!(page.between("system-1>", "<form").contains(">not armed<"));

    system.statistics.stop().await;
    assert_eq!(root.visit(&format!("{gateway}/statistics")).await.status, 502);
    system.systems.stop().await;
    assert_eq!(root.visit(&gateway).await.status, 502);
    system.systems.resume().await.unwrap();
    assert_eq!(root.visit(&gateway).await.status, 200);
    // the gateway itself, which keeps its sessions' key and its name
    system.gateway.stop().await;
    system.gateway.resume().await.unwrap();
    assert_eq!(system.gateway.url, gateway);
    assert_eq!(root.visit(&gateway).await.status, 200);
}

#[tokio::test]
async fn a_copy_goes_on_while_the_customer_service_is_down_and_catches_up() {
    let (mut system, _) = start(Authorization::Replicate).await;
    let gateway = system.gateway.url.clone();
    let mut alice = Person::new();
    alice.sign_in(&gateway, "alice").await;
    // what has followed nothing yet knows nothing
    eventually(StatusCode::OK, async || alice.visit(&gateway).await.status).await;
    system.customers.stop().await;
    assert_eq!(alice.visit(&gateway).await.status, 200);
    assert_eq!(alice.submit("/systems/1/arm", &[]).await.status, 200);

    system.customers.resume().await.unwrap();
    let (_, Iam { idp, .. }) = system.identity.as_ref().unwrap();
    let token = idp.token("alice").audience(AUDIENCE).role("employee").sign();
    let role = r#"{"location": 2, "grantee": {"employee": "alice"}, "role": "armer"}"#;
    let give = reqwest::Client::new().put(format!("{}/customers/1/roles", system.customers.url)).bearer_auth(token);
    let given = give.header("content-type", "application/json").body(role).send().await.unwrap();
    assert_eq!(given.status(), 200);
    eventually(StatusCode::OK, async || alice.submit("/systems/3/arm", &[]).await.status).await;
}

#[tokio::test]
async fn whoever_has_no_role_at_all_can_leave() {
    let (system, _) = start(Authorization::Fetch).await;
    let mut guest = Person::new();
    let page = guest.sign_in(&system.gateway.url, "guest").await;
    assert_eq!((page.status.as_u16(), page.text.contains("id=sign-out")), (403, true));
    assert_eq!(guest.submit("/sign-out", &[]).await.status, 200);
    let page = guest.visit(&system.gateway.url).await;
    assert_eq!(page.url.path(), "/authorize");
}

#[tokio::test]
async fn what_is_no_answer_to_a_question_of_this_browser_signs_nobody_in() {
    let (system, _) = start(Authorization::Fetch).await;
    let gateway = system.gateway.url.clone();
    let mut alice = Person::new();
    for back in ["code=x&state=y", "state=y", "error=access_denied&state=y", ""] {
        assert_eq!(alice.visit(&format!("{gateway}/callback?{back}")).await.status, 400, "{back}");
    }
    // a sign-in that somebody else has begun, finished here: its state is not this browser's
    let mut mallory = Person::new();
    mallory.visit(&gateway).await;
    let (request, at) = (mallory.visit(&gateway).await.between("name=request value=", ">").to_owned(), &system.issuer);
    alice.visit(&format!("{at}/jwks")).await;
    let fields = [("request", request.as_str()), ("user", "bob"), ("password", "realguardio")];
    assert_eq!(alice.submit("/authorize", &fields).await.status, 400);
    assert_eq!(alice.cookie(&gateway, "__Host-session"), None);
    // and nothing is to be had without the cookie, whatever else is said
    let token = admin(&system.identity.as_ref().unwrap().1.idp);
    let bare = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let by_header = bare.get(&gateway).bearer_auth(&token).send().await.unwrap();
    let by_cookie = bare.get(&gateway).header("cookie", format!("access_token={token}")).send().await.unwrap();
    assert_eq!((by_header.status().as_u16(), by_cookie.status().as_u16()), (303, 303));
}
