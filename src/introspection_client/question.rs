//! The question as it is sent (RFC 7662 §2.1), pure.

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method as HttpMethod, Request};
use serde_json::json;
use url::form_urlencoded;

use super::assertion::assertion;
use crate::clock::UnixTime;
use crate::introspection::{Dialect, Fault, Introspection, Method, SIGNED};
use crate::jwks::Outgoing;

/// All that a question depends on.
pub(super) struct Question<'q> {
    pub(super) settings: &'q Introspection,
    pub(super) issuer: &'q str,
    pub(super) token: &'q str,
    /// For which audiences the token should be, where the question can say so.
    pub(super) audiences: &'q [Box<str>],
    /// The secret of this service, as it is now.
    pub(super) secret: &'q str,
    pub(super) now: UnixTime,
}

impl Question<'_> {
    /// Writes it; the fault is that of this service's own secret.
    pub(super) fn write(&self) -> Result<Outgoing, Fault> {
        match self.settings.dialect {
            Dialect::OAuth => self.form(),
            Dialect::Kubernetes => self.review(),
        }
    }

    fn form(&self) -> Result<Outgoing, Fault> {
        let Self { settings, issuer, token, secret, now, .. } = *self;
        let client = &*settings.client.client;
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("token", token).append_pair("token_type_hint", "access_token");
        let mut authorization = None;
        match &settings.client.method {
            Method::Basic { encoded: true, .. } => {
                // RFC 6749 §2.3.1
                let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                authorization = Some(basic(&encoded(client), &encoded(secret)));
            }
            Method::Basic { encoded: false, .. } => authorization = Some(basic(client, secret)),
            Method::Bearer(_) => authorization = Some(format!("Bearer {secret}")),
            Method::Post(_) => {
                form.append_pair("client_id", client).append_pair("client_secret", secret);
            }
            Method::PrivateKey(key) => {
                let assertion = assertion(client, issuer, key, secret, now);
                let assertion = assertion.ok_or_else(|| Fault::outage(NO_KEY))?;
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                form.append_pair("client_assertion_type", kind).append_pair("client_assertion", &assertion);
            }
            Method::Tls => {
                form.append_pair("client_id", client);
            }
        }
        let accepted = if settings.signed { format!("application/{SIGNED}") } else { "application/json".to_owned() };
        let body = form.finish().into_bytes();
        outgoing("application/x-www-form-urlencoded", &accepted, authorization, body)
    }

    fn review(&self) -> Result<Outgoing, Fault> {
        let Self { token, audiences, secret, .. } = *self;
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": { "token": token, "audiences": audiences },
        });
        let authorization = Some(format!("Bearer {secret}"));
        outgoing("application/json", "application/json", authorization, review.to_string().into_bytes())
    }
}

const NO_KEY: &str = "the key of this service is no private key in PEM (PKCS #8, or PKCS #1 of RSA; with its line breaks) for its algorithm";

fn basic(client: &str, secret: &str) -> String {
    let both = format!("{client}:{secret}");
    format!("Basic {}", base64_simd::STANDARD.encode_to_string(both.as_bytes()))
}

fn outgoing(
    content_type: &'static str,
    accepted: &str,
    authorization: Option<String>,
    body: Vec<u8>,
) -> Result<Outgoing, Fault> {
    let mut request = Request::new(body);
    *request.method_mut() = HttpMethod::POST;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(accepted) = HeaderValue::from_str(accepted) {
        headers.insert(ACCEPT, accepted);
    }
    if let Some(authorization) = authorization {
        let value = HeaderValue::from_str(&authorization);
        let mut value = value.map_err(|_| Fault::outage("the secret of this service cannot stand in a header"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::introspection::{ClientAuthentication, ClientKey, Secret};
    use crate::jose::{Algorithm, decode_base64url};

    const TOKEN: &str = "2YotnFZFEjr1zCsicMWpAA+/=";

    fn write(settings: &Introspection, secret: &str) -> Result<Outgoing, Fault> {
        let (audiences, now) = (["https://api.test".into()], UnixTime(Duration::from_secs(1_800_000_000)));
        let issuer = "https://id.test/";
        Question { settings, issuer, token: TOKEN, audiences: &audiences, secret, now }.write()
    }

    fn with(client: ClientAuthentication, secret: &str) -> (String, String, String) {
        let request = write(&Introspection::new(client), secret).unwrap();
        assert_eq!(request.method(), HttpMethod::POST);
        let header = |name| {
            let value: Option<&HeaderValue> = request.headers().get(name);
            value.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
        };
        assert_eq!(header(CONTENT_TYPE), "application/x-www-form-urlencoded");
        assert!(!format!("{request:?}").contains("Basic"), "{request:?}");
        (header(AUTHORIZATION), header(ACCEPT), String::from_utf8(request.body().clone()).unwrap())
    }

    const ASKED: &str = "token=2YotnFZFEjr1zCsicMWpAA%2B%2F%3D&token_type_hint=access_token";

    #[test]
    fn identifier_and_secret_are_sent_as_they_were_agreed_on() {
        let secret = || Secret::new("-");
        let base64 = |text: &str| format!("Basic {}", base64_simd::STANDARD.encode_to_string(text.as_bytes()));
        // identifier, secret, and what of both is encoded
        for (client, password, encoded) in [
            ("orders", "s3cret", "orders:s3cret"),
            ("https://api.test/x", "a b:c%&+", "https%3A%2F%2Fapi.test%2Fx:a+b%3Ac%25%26%2B"),
            ("a.b-c_d*e", "~!'()", "a.b-c_d*e:%7E%21%27%28%29"),
            ("ü", "€", "%C3%BC:%E2%82%AC"),
        ] {
            let (authorization, accept, body) =
                with(ClientAuthentication::client_secret_basic(client, secret()), password);
            assert_eq!((&*authorization, &*accept, &*body), (&*base64(encoded), "application/json", ASKED));
            let (authorization, ..) =
                with(ClientAuthentication::client_secret_basic_without_encoding(client, secret()), password);
            assert_eq!(authorization, base64(&format!("{client}:{password}")));
        }
        let (authorization, _, body) = with(ClientAuthentication::client_secret_post("a&b", secret()), "c=d e");
        assert_eq!((&*authorization, body), ("", format!("{ASKED}&client_id=a%26b&client_secret=c%3Dd+e")));
        let (authorization, _, body) = with(ClientAuthentication::bearer(secret()), "2Yotn");
        assert_eq!((&*authorization, &*body), ("Bearer 2Yotn", ASKED));
        let (authorization, _, body) = with(ClientAuthentication::tls_client_auth("orders"), "");
        assert_eq!((&*authorization, body), ("", format!("{ASKED}&client_id=orders")));
        for wrong in ["a\nb", "a\0"] {
            let client = Introspection::new(ClientAuthentication::bearer(secret()));
            let fault = write(&client, wrong).unwrap_err();
            assert!(fault.outage && !fault.detail.contains(wrong));
        }
    }

    #[test]
    fn a_signed_answer_is_asked_for_where_it_is_demanded() {
        let settings = Introspection::new(ClientAuthentication::tls_client_auth("orders")).signed();
        let request = write(&settings, "").unwrap();
        assert_eq!(request.headers()[ACCEPT], "application/token-introspection+jwt");
    }

    #[test]
    fn kubernetes_is_asked_by_a_token_review() {
        let settings = Introspection::kubernetes("https://k8s.test/", "-");
        assert_eq!(settings.endpoint.as_deref(), Some("https://k8s.test/apis/authentication.k8s.io/v1/tokenreviews"));
        let request = write(&settings, "own").unwrap();
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer own");
        let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap();
        assert_eq!(
            body,
            json!({
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenReview",
                "spec": { "token": TOKEN, "audiences": ["https://api.test"] },
            })
        );
    }

    #[cfg(feature = "testing")]
    #[test]
    fn each_question_has_a_jwt_of_its_own() {
        use serde_json::Value;

        // of no use to anybody
        const PEM: &str = include_str!("testdata/es256.pem");

        let key = ClientKey::pem(Algorithm::Es256, "-").kid("k1");
        let settings = Introspection::new(ClientAuthentication::private_key_jwt("orders", key));
        let jwt = || {
            let request = write(&settings, PEM).unwrap();
            let form: Vec<(String, String)> = form_urlencoded::parse(request.body()).into_owned().collect();
            assert_eq!(form[2].1, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
            assert_eq!(form[3].0, "client_assertion");
            form[3].1.clone()
        };
        let parts = |jwt: &str| -> Vec<Value> {
            let part = |text: &str| serde_json::from_slice(&decode_base64url(text).unwrap()).unwrap();
            jwt.split('.').take(2).map(part).collect()
        };
        let (one, other) = (jwt(), jwt());
        let (one, other) = (parts(&one), parts(&other));
        assert_eq!(one[0], json!({ "alg": "ES256", "typ": "JWT", "kid": "k1" }));
        assert_ne!(one[1]["jti"], other[1]["jti"]);
        assert_eq!(one[1]["jti"].as_str().unwrap().len(), 32);
        assert_eq!(one[1]["aud"], "https://id.test/");
        assert_eq!((&one[1]["iss"], &one[1]["sub"]), (&json!("orders"), &json!("orders")));
        assert_eq!(one[1]["exp"], 1_800_000_060);
        let fault = write(&settings, "-----BEGIN PRIVATE KEY-----\nhunter2").unwrap_err();
        assert!(fault.outage && !fault.detail.contains("hunter2"));
    }
}
