//! The whole system in a real browser: headless Chromium, driven by chromedriver. Set `REALGUARDIO_BROWSER=skip` to leave it out.

use std::process::Stdio;
use std::time::Duration;

use fantoccini::{Client, ClientBuilder, Locator};
use realguardio::system::{Authorization, System};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

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
            let field = self.client.find(Locator::Css(&format!("input[name={name}]"))).await.unwrap();
            field.send_keys(text).await.unwrap();
        }
        self.click("button").await;
    }

    async fn screenshot(&self, name: &str) {
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
        std::fs::write(folder.join(name), self.client.screenshot().await.unwrap()).unwrap();
    }
}

#[tokio::test]
async fn users_sign_in_see_their_own_systems_and_are_refused_on_others() {
    if std::env::var("REALGUARDIO_BROWSER").is_ok_and(|choice| choice == "skip") {
        eprintln!("left out, as REALGUARDIO_BROWSER=skip says");
        return;
    }
    // the copy need not have followed anything yet, so the service asks
    let system = System::start(Authorization::Fetch).await.unwrap();
    let browser = Browser::start().await;

    // whoever is not signed in is sent to the identity service
    browser.open(&system.gateway).await;
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

    // the roof is only to be looked at
    browser.click("#system-3 button").await;
    browser.says("h1", "Not permitted").await;
    browser.open(&system.gateway).await;
    browser.says("#system-3 .state", "not armed").await;

    // the figures are for administrators
    browser.open(&format!("{}/statistics", system.gateway)).await;
    browser.says("h1", "Not permitted").await;

    // scripts do not see the session, and a form without its secret is another site's
    let cookies = browser.client.execute("return document.cookie", vec![]).await.unwrap();
    assert_eq!(cookies, "");
    browser.open(&system.gateway).await;
    let forged = "document.querySelector('#system-1 input[name=form]').value = 'forged'; \
                  document.querySelector('#system-1 form').submit()";
    browser.client.execute(forged, vec![]).await.unwrap();
    browser.says("h1", "Not permitted").await;

    // signed out, there is nothing to see
    browser.open(&system.gateway).await;
    // the forged form has changed nothing
    browser.says("#system-1 button", "disarm").await;
    browser.click("#sign-out").await;
    browser.at(&system.issuer).await;

    // a session that somebody has made up is none, for pages and for forms
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let forged = http.get(&system.gateway).header("cookie", "__Host-session=forged").send().await.unwrap();
    assert_eq!((forged.status().as_u16(), &forged.headers()["location"]), (303, &"/sign-in".parse().unwrap()));
    let form = http.post(format!("{}/systems/1/arm", system.gateway)).header("cookie", "__Host-session=forged");
    let form = form.header("content-type", "application/x-www-form-urlencoded").body("form=x").send().await.unwrap();
    assert_eq!(form.status(), 401);

    // an administrator sees all, and the figures
    browser.sign_in("root", "realguardio").await;
    browser.says("#user", "root").await;
    assert_eq!(browser.count("tr[id]").await, 4);
    browser.open(&format!("{}/statistics", system.gateway)).await;
    browser.says("p", "4 systems, 1 of them armed").await;
    browser.client.clone().close().await.unwrap();
}
