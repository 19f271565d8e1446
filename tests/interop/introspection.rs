//! Tokens that are asked about.

use serde_json::Value;
use tokio::process::Child;

use crate::node;

/// The client of the services, whose name and secret need the form-encoding of RFC 6749.
pub(crate) const ASKING: (&str, &str) = ("https://api.test/:a b", "%+:&=\"");

/// `oidc-provider` with opaque tokens: `introspection.mjs` tells about its clients and its answers.
pub(crate) struct OidcProvider {
    pub(crate) issuer: String,
    pub(crate) http: reqwest::Client,
    _process: Child,
}

impl OidcProvider {
    pub(crate) async fn start(options: &Value) -> Self {
        let (issuer, process) = node::start("introspection.mjs", &[&options.to_string()]).await;
        Self { issuer, http: reqwest::Client::new(), _process: process }
    }

    /// An access token of a user who signs in.
    pub(crate) async fn sign_in(&self, client: &str, subject: &str, resource: Option<&str>) -> String {
        let resource = resource.unwrap_or_default();
        let path = format!("/control/sign-in?client={client}&sub={subject}&resource={resource}");
        access_token(self.http.post(self.issuer.clone() + &path)).await
    }

    /// An access token of the client itself.
    pub(crate) async fn token(&self, client: &str, resource: Option<&str>) -> String {
        let mut form = vec![("grant_type", "client_credentials"), ("client_id", client), ("client_secret", "secret")];
        form.extend(resource.into_iter().flat_map(|resource| [("resource", resource), ("scope", "orders:read")]));
        access_token(self.http.post(format!("{}/token", self.issuer)).form(&form)).await
    }

    pub(crate) async fn revoke(&self, client: &str, token: &str) {
        let form = [("token", token), ("client_id", client), ("client_secret", "secret")];
        let request = self.http.post(format!("{}/token/revocation", self.issuer)).form(&form);
        request.send().await.unwrap().error_for_status().unwrap();
    }

    /// With the credentials of the services' client.
    pub(crate) fn api(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        let encoded = |text: &str| {
            let mut url = reqwest::Url::parse("x:").unwrap();
            url.query_pairs_mut().append_key_only(text);
            url.query().unwrap().to_owned()
        };
        request.basic_auth(encoded(ASKING.0), Some(encoded(ASKING.1)))
    }
}

async fn access_token(request: reqwest::RequestBuilder) -> String {
    let answer: Value = request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}
