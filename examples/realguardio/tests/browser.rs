//! The whole system in a real browser: headless Chromium, driven by chromedriver. Set `REALGUARDIO_BROWSER=skip` to leave it out.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use fantoccini::{Client, ClientBuilder, Locator};
use realguardio::iam::LIFETIME;
use realguardio::system::{Authorization, Options, System};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tower_bearer::testing::ManualClock;

/// The browser, and the program that drives it; both end with this value.
struct Browser {
    client: Client,
    _driver: Child,
}

const MISSING: &str = "the browser test needs chromium and chromedriver on the PATH (Debian: chromium, chromium-driver); \
                       set REALGUARDIO_BROWSER=skip to leave it out on purpose";

impl Browser {
    async fn start() -> Self {
        // a port that is free now
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let mut driver = Command::new("chromedriver");
        driver.arg(format!("--port={port}")).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let driver = driver.spawn().unwrap_or_else(|_| panic!("{MISSING}"));
        let arguments =
            ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=900,700"];
        let capabilities = json!({ "goog:chromeOptions": { "args": arguments } });
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        builder.capabilities(capabilities.as_object().unwrap().clone());
        for _ in 0..200 {
            if let Ok(client) = builder.connect(&format!("http://127.0.0.1:{port}")).await {
                return Self { client, _driver: driver };
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("chromedriver does not answer; {MISSING}");
    }

    async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Waits for the page that begins with this address.
    async fn at(&self, address: &str) {
        for _ in 0..200 {
            if self.client.current_url().await.unwrap().as_str().starts_with(address) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("not at {address}, but at {}", self.client.current_url().await.unwrap());
    }

    async fn click(&self, css: &str) {
        self.client
            .wait()
            .for_element(Locator::Css(css))
            .await
            .unwrap_or_else(|_| panic!("no {css}"))
            .click()
            .await
            .unwrap();
    }

    /// Waits until an element says this.
    async fn says(&self, css: &str, expected: &str) {
        let mut last = String::new();
        for _ in 0..200 {
            // a page that is just being replaced may take the element away in between
            if let Ok(element) = self.client.find(Locator::Css(css)).await
                && let Ok(text) = element.text().await
            {
                if text.contains(expected) {
                    return;
                }
                last = text;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{css} says {last:?} and not {expected:?}");
    }

    /// How many there are.
    async fn count(&self, css: &str) -> usize {
        self.client.find_all(Locator::Css(css)).await.unwrap().len()
    }

    /// Signs in at the identity service, where the gateway has sent us.
    async fn sign_in(&self, user: &str, password: &str) {
        for (name, text) in [("user", user), ("password", password)] {
            let css = format!("input[name={name}]");
            let field = self.client.wait().for_element(Locator::Css(&css)).await;
            let field = match field {
                Ok(field) => field,
                Err(_) => panic!("no {css} in {}", self.client.source().await.unwrap()),
            };
            field.send_keys(text).await.unwrap();
        }
        self.click("button").await;
    }

    /// The session's cookie, as the browser keeps it.
    async fn session(&self) -> String {
        self.client.get_named_cookie("__Host-session").await.unwrap().value().to_owned()
    }

    /// Leaves a picture among the build's own files.
    async fn screenshot(&self, name: &str) {
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
        std::fs::write(folder.join(name), self.client.screenshot().await.unwrap()).unwrap();
    }
}

/// Begins a form on whatever page this is, to the gateway, and sends it.
const FORGE: &str = "const form = document.createElement('form'); form.method = 'post'; form.action = arguments[0]; \
                     document.body.append(form); form.submit()";

#[tokio::test]
async fn users_sign_in_see_their_own_systems_and_are_refused_on_others() {
    if std::env::var("REALGUARDIO_BROWSER").is_ok_and(|choice| choice == "skip") {
        eprintln!("left out, as REALGUARDIO_BROWSER=skip says");
        return;
    }
    // the copy need not have followed anything yet, so the service asks
    let options = Options { authorization: Authorization::Fetch, ..Options::default() };
    let clock = ManualClock::new();
    let system = System::start(options, Arc::new(clock.clone())).await.unwrap();
    let (gateway, browser) = (&system.gateway.url, Browser::start().await);

    // whoever is not signed in is sent to the identity service
    browser.open(gateway).await;
    browser.at(&system.issuer).await;
    browser.sign_in("alice", "wrong").await;
    browser.says("[role=alert]", "wrong").await;
    browser.screenshot("sign-in.png").await;
    browser.sign_in("alice", "realguardio").await;

    // and comes back, to what is theirs: two systems in the yard, one on the roof, and not the bank's
    browser.says("#user", "alice").await;
    assert_eq!(browser.count("tr[id]").await, 3);
    browser.says("#system-1 .state", "not armed").await;
    browser.click("#system-1 button").await;
    browser.says("#system-1 button", "disarm").await;
    browser.screenshot("systems.png").await;

    // the roof is only to be looked at, the figures are for administrators, and the vault is another customer's
    browser.click("#system-3 button").await;
    browser.says("h1", "Not permitted").await;
    browser.screenshot("not-permitted.png").await;
    browser.open(&format!("{gateway}/statistics")).await;
    browser.says("h1", "Not permitted").await;
    browser.open(gateway).await;
    browser.says("#system-3 .state", "not armed").await;
    let elsewhere = "document.querySelector('#system-1 form').action = '/systems/4/arm'";
    browser.client.execute(elsewhere, vec![]).await.unwrap();
    browser.click("#system-1 button").await;
    browser.says("h1", "Not found").await;

    // scripts do not see the session
    let cookies = browser.client.execute("return document.cookie", vec![]).await.unwrap();
    assert_eq!(cookies, "");

    // in the middle of it, the token expires: the gateway has it refreshed, and alice notices nothing
    let session = browser.session().await;
    browser.open(gateway).await;
    browser.says("#user", "alice").await;
    assert_eq!(browser.session().await, session, "what is fresh is left alone");
    clock.advance(2 * LIFETIME);
    browser.click("#system-2 button").await;
    browser.says("#system-2 button", "disarm").await;
    let refreshed = browser.session().await;
    assert_ne!(refreshed, session);
    clock.advance(2 * LIFETIME);
    browser.open(gateway).await;
    browser.says("#user", "alice").await;
    assert_ne!(browser.session().await, refreshed);

    // by now it is too long ago that she has signed in to disarm anything: she does so again, and it goes through
    browser.click("#system-1 button").await;
    browser.says("h1", "Is it you?").await;
    browser.screenshot("step-up.png").await;
    browser.open(gateway).await;
    browser.says("#system-1 button", "disarm").await;
    browser.click("#system-1 button").await;
    browser.click("#again").await;
    browser.at(&system.issuer).await;
    let asked = browser.client.current_url().await.unwrap();
    let asks = |name: &str, value: &str| asked.query_pairs().any(|pair| pair == (name.into(), value.into()));
    assert!(asks("max_age", "300") && asks("prompt", "login"), "{asked}");
    browser.sign_in("alice", "realguardio").await;
    browser.says("#user", "alice").await;
    browser.says("#system-1 button", "disarm").await;
    browser.click("#system-1 button").await;
    browser.says("#system-1 .state", "not armed").await;
    browser.click("#system-1 button").await;
    browser.says("#system-1 button", "disarm").await;

    // a page of another site sends a form without the cookie; one of this site at another port sends the cookie, and is refused by the guard
    let disarm = json!(format!("{gateway}/systems/1/disarm"));
    browser.open(&format!("{}/jwks", system.issuer)).await;
    browser.client.execute(FORGE, vec![disarm.clone()]).await.unwrap();
    browser.says("h1", "Signed out").await;
    browser.open(&format!("{}/health", system.customers.url.replace("127.0.0.1", "localhost"))).await;
    browser.client.execute(FORGE, vec![disarm]).await.unwrap();
    browser.says("h1", "Not permitted").await;
    browser.open(gateway).await;
    browser.says("#system-1 button", "disarm").await;

    // signed out, there is nothing to see
    browser.click("#sign-out").await;
    browser.says("h1", "Signed out").await;
    browser.open(gateway).await;
    browser.at(&system.issuer).await;

    // an administrator sees all, and the figures
    browser.sign_in("root", "realguardio").await;
    browser.says("#user", "root").await;
    assert_eq!(browser.count("tr[id]").await, 4);
    browser.open(&format!("{gateway}/statistics")).await;
    browser.says("#figures", "4 systems, 2 of them armed").await;

    // a session that somebody has made up is none
    let forged = "__Host-session=forged; Path=/; Secure; SameSite=Lax";
    browser.client.delete_cookie("__Host-session").await.unwrap();
    browser.client.execute("document.cookie = arguments[0]", vec![json!(forged)]).await.unwrap();
    assert_eq!(browser.session().await, "forged");
    browser.open(gateway).await;
    browser.at(&system.issuer).await;
    browser.client.clone().close().await.unwrap();
}
