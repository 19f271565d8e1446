//! Somebody with a browser that can do just what is needed: cookies, redirects and forms.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::BTreeMap;

use http::{Method, StatusCode, header};
use reqwest::Url;

/// Somebody with a browser.
#[derive(Clone)]
pub struct Person {
    http: reqwest::Client,
    /// By origin and name.
    cookies: BTreeMap<(String, String), String>,
    page: Page,
}

/// What they see.
#[derive(Clone, Debug)]
pub struct Page {
    pub url: Url,
    pub status: StatusCode,
    pub text: String,
}

impl Page {
    /// Returns what stands between two marks.
    pub fn between(&self, start: &str, end: &str) -> &str {
        let (_, rest) = self.text.split_once(start).unwrap_or_else(|| panic!("no {start} in {}", self.text));
        rest.split_once(end).unwrap().0
    }
}

impl Person {
    pub fn new() -> Self {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let page = Page { url: "about:blank".parse().unwrap(), status: StatusCode::OK, text: String::new() };
        Self { http, cookies: BTreeMap::new(), page }
    }

    /// Goes to an address.
    pub async fn visit(&mut self, url: &str) -> &Page {
        self.go(Method::GET, url.parse().unwrap(), &[]).await
    }

    /// Sends a form of the page that they see.
    pub async fn submit(&mut self, action: &str, fields: &[(&str, &str)]) -> &Page {
        let url = self.page.url.join(action).unwrap();
        self.go(Method::POST, url, fields).await
    }

    /// Signs in at our identity service, where the gateway has sent them.
    pub async fn sign_in(&mut self, gateway: &str, user: &str) -> &Page {
        self.visit(gateway).await;
        let request = self.page.between("name=request value=", ">").to_owned();
        self.submit("/authorize", &[("request", &request), ("user", user), ("password", "realguardio")]).await
    }

    /// Returns a cookie of an origin.
    pub fn cookie(&self, url: &str, name: &str) -> Option<&String> {
        let origin = url.parse::<Url>().unwrap().origin().ascii_serialization();
        self.cookies.get(&(origin, name.to_owned()))
    }

    async fn go(&mut self, mut method: Method, mut url: Url, fields: &[(&str, &str)]) -> &Page {
        for _ in 0..20 {
            let origin = url.origin().ascii_serialization();
            let cookies = self.cookies.iter().filter(|((of, _), _)| *of == origin);
            let cookies: Vec<_> = cookies.map(|((_, name), value)| format!("{name}={value}")).collect();
            let mut request = self.http.request(method.clone(), url.clone()).header(header::COOKIE, cookies.join("; "));
            if method == Method::POST {
                request = request.header(header::ORIGIN, self.page.url.origin().ascii_serialization()).form(fields);
            }
            let response = request.send().await.unwrap();
            for cookie in response.headers().get_all(header::SET_COOKIE) {
                let cookie = cookie.to_str().unwrap();
                let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
                let over = cookie.to_lowercase().contains("max-age=0") || value.is_empty();
                let key = (origin.clone(), name.to_owned());
                let _ = if over { self.cookies.remove(&key) } else { self.cookies.insert(key, value.to_owned()) };
            }
            let location = response.headers().get(header::LOCATION).cloned();
            let (status, text) = (response.status(), response.text().await.unwrap());
            let Some(location) = location else {
                self.page = Page { url, status, text };
                return &self.page;
            };
            url = url.join(location.to_str().unwrap()).unwrap();
            method = Method::GET;
        }
        panic!("sent in a circle: {url}");
    }
}
