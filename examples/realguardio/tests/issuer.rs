//! With an identity service that is not ours: `oidc-provider`, with its own sign-in pages.

#[path = "../../../tests/support/node.rs"]
mod node;
mod person;

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use person::Person;
use realguardio::guard::AUDIENCE;
use realguardio::system::{Authorization, Options, System};
use tokio::net::TcpListener;
use tower_bearer::testing::ManualClock;

fn options(authorization: Authorization, port: u16, issuer: &str) -> Options {
    let secret = || "secret".to_owned();
    let issuer = Some(issuer.to_owned());
    Options { authorization, port, issuer, client_secret: secret(), machine_secret: secret(), ..Options::default() }
}

/// A port that is free now.
async fn free() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn users_of_a_real_authorization_server_sign_in_and_machines_follow_events() {
    if node::left_out() {
        return;
    }
    let port = free().await;
    let redirect = format!("http://localhost:{port}/callback");
    let (issuer, provider) = node::start("sign-in.mjs", &["0", &redirect, AUDIENCE]).await;
    let (options, clock) = (options(Authorization::Replicate, port, &issuer), ManualClock::new());
    let system = System::start(options, Arc::new(clock.clone())).await.unwrap();
    let gateway = &system.gateway.url;

    let mut alice = Person::new();
    sign_in(&mut alice, gateway, "alice").await;
    // by the copy, which the security-system service has asked for with its own token
    let mut rows = 0;
    for _ in 0..200 {
        let page = alice.visit(gateway).await;
        rows = page.text.matches("<tr id=system-").count();
        if page.status == StatusCode::OK && rows == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(rows, 3);
    let page = alice.submit("/systems/1/arm", &[]).await;
    assert!(page.between("system-1>", "<form").contains(">armed<"));
    // the provider says when she has signed in, and that was just now
    let page = alice.submit("/systems/1/disarm", &[]).await;
    assert!(page.between("system-1>", "<form").contains(">not armed<"), "{page:?}");
    alice.submit("/systems/1/arm", &[]).await;
    assert_eq!(alice.submit("/systems/3/arm", &[]).await.status, 403);
    assert_eq!(alice.submit("/systems/4/arm", &[]).await.status, 404);

    // whoever is nobody's employee sees nothing, and an administrator everything
    let mut eve = Person::new();
    let page = sign_in(&mut eve, gateway, "eve@example.com").await;
    assert_eq!((page.status.as_u16(), page.text.matches("<tr id=system-").count()), (200, 0));
    let mut root = Person::new();
    sign_in(&mut root, gateway, "root").await;
    let page = root.visit(&format!("{gateway}/statistics")).await;
    assert!(page.text.contains("4 systems, 1 of them armed"), "{}", page.text);

    // tokens are refreshed; the provider goes by the wall's clock, and takes no time as a reason to refuse
    let session = alice.cookie(gateway, "__Host-session").cloned();
    clock.advance(Duration::from_secs(115));
    assert_eq!(alice.visit(gateway).await.status, 200);
    assert_ne!(alice.cookie(gateway, "__Host-session").cloned(), session);

    // one that has lost its memory refuses to, and its users sign in again
    drop(provider);
    let at = issuer.rsplit_once(':').unwrap().1;
    let (again, _provider) = node::start("sign-in.mjs", &[at, &redirect, AUDIENCE]).await;
    assert_eq!(again, issuer);
    clock.advance(Duration::from_secs(115));
    let page = alice.visit(gateway).await;
    assert!(page.url.path().starts_with("/interaction/"), "{page:?}");
    assert_eq!(alice.cookie(gateway, "__Host-session"), None);
}

#[tokio::test]
async fn a_system_that_starts_before_its_identity_service_waits_for_it() {
    if node::left_out() {
        return;
    }
    let (port, at) = (free().await, free().await);
    let issuer = format!("http://127.0.0.1:{at}");
    let options = options(Authorization::Fetch, port, &issuer);
    let system = System::start(options, Arc::new(ManualClock::new())).await.unwrap();
    let mut alice = Person::new();
    assert_eq!(alice.visit(&system.gateway.url).await.status, 502);

    let redirect = format!("http://localhost:{port}/callback");
    let (started, _provider) = node::start("sign-in.mjs", &[&at.to_string(), &redirect, AUDIENCE]).await;
    assert_eq!(started, issuer);
    sign_in(&mut alice, &system.gateway.url, "alice").await;
    let page = alice.visit(&system.gateway.url).await;
    assert!(page.text.contains("id=user>alice<"), "{page:?}");
}

#[tokio::test]
async fn users_whose_tokens_the_services_would_refuse_are_not_sent_in_a_circle() {
    if node::left_out() {
        return;
    }
    let port = free().await;
    let redirect = format!("http://localhost:{port}/callback");
    // one that knows another audience only refuses to sign in for ours
    let (issuer, _provider) = node::start("sign-in.mjs", &["0", &redirect, "https://elsewhere.example"]).await;
    let options = options(Authorization::Fetch, port, &issuer);
    let system = System::start(options, Arc::new(ManualClock::new())).await.unwrap();
    let page = Person::new().visit(&system.gateway.url).await.clone();
    assert_eq!((page.url.path(), page.status.as_u16()), ("/callback", 400), "{page:?}");

    // and one that issues tokens for another audience, whatever is asked for
    let port = free().await;
    let redirect = format!("http://localhost:{port}/callback");
    let (issuer, _provider) =
        node::start("sign-in.mjs", &["0", &redirect, AUDIENCE, "https://elsewhere.example"]).await;
    let options = self::options(Authorization::Fetch, port, &issuer);
    let system = System::start(options, Arc::new(ManualClock::new())).await.unwrap();
    let mut alice = Person::new();
    let page = sign_in(&mut alice, &system.gateway.url, "alice").await;
    assert_eq!((page.url.path(), page.status.as_u16()), ("/callback", 502), "{page:?}");
}

/// Signs in on the provider's own page: a form that it sends to itself.
async fn sign_in<'p>(person: &'p mut Person, gateway: &str, user: &str) -> &'p person::Page {
    let page = person.visit(gateway).await;
    assert!(page.url.path().starts_with("/interaction/"), "{page:?}");
    person.submit("", &[("prompt", "login"), ("login", user), ("password", "anything")]).await
}
