//! What Amazon's application load balancer does: it signs what a provider says of a user, with padding, and has its key at
//! an address of its own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use http::{Response, StatusCode};
use serde_json::{Value, json};

pub const ARN: &str = "arn:aws:elasticloadbalancing:eu-west-1:373508513302:loadbalancer/app/shop/a4df45643ccf98ac";
pub const PROVIDER: &str = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_b9VeQUg6y";

/// The load balancers of a region, and the addresses of their keys.
#[derive(Clone, Default)]
pub struct Region {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    made: AtomicU32,
    published: Mutex<HashMap<String, String>>,
    /// What is answered in place of a key, if anything is.
    fault: Mutex<Option<(StatusCode, &'static str)>>,
    asked: Mutex<Vec<String>>,
}

/// A key of a load balancer.
pub struct Key {
    pub kid: String,
    pair: EcdsaKeyPair,
}

impl Region {
    /// Makes a key, and publishes it.
    pub fn key(&self) -> Key {
        let number = self.shared.made.fetch_add(1, Ordering::SeqCst);
        let kid = format!("abb8289f-e3a4-4a34-9472-c210{number:08x}");
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        // SubjectPublicKeyInfo of P-256, up to the point
        let mut spki = STANDARD.decode("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgA=").unwrap();
        spki.extend(pair.public_key().as_ref());
        let text = STANDARD.encode(spki);
        let (first, second) = text.split_at(64);
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{first}\n{second}\n-----END PUBLIC KEY-----\n");
        self.shared.published.lock().unwrap().insert(kid.clone(), pem);
        Key { kid, pair }
    }

    pub fn withdraw(&self, key: &Key) {
        self.shared.published.lock().unwrap().remove(&key.kid);
    }

    /// Answers this from now on, whatever is asked for, or no longer.
    pub fn fail(&self, fault: Option<(StatusCode, &'static str)>) {
        *self.shared.fault.lock().unwrap() = fault;
    }

    /// Returns the paths that were asked for since it was last asked.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.asked.lock().unwrap())
    }

    /// Answers as the buckets of the keys do: what is not there is forbidden.
    pub fn answer<B: From<String>>(&self, path: &str) -> Response<B> {
        self.shared.asked.lock().unwrap().push(path.to_owned());
        let pem = self.shared.published.lock().unwrap().get(path.rsplit('/').next().unwrap()).cloned();
        let (status, body) = match (*self.shared.fault.lock().unwrap(), pem) {
            (Some((status, body)), _) => (status, body.to_owned()),
            (None, Some(pem)) => (StatusCode::OK, pem),
            (None, None) => (StatusCode::FORBIDDEN, "<?xml version=\"1.0\"?><Error/>".to_owned()),
        };
        Response::builder().status(status).header("content-type", "binary/octet-stream").body(body.into()).unwrap()
    }
}

impl Key {
    /// The header in Amazon's shape; the claims' `exp` and `iss` are repeated in it.
    pub fn header(&self, claims: &Value) -> Value {
        json!({
            "typ": "JWT", "kid": self.kid, "alg": "ES256", "iss": claims["iss"], "client": "3a33a02r5hn3onhtu1mr0dit20",
            "signer": ARN, "exp": claims["exp"],
        })
    }

    pub fn sign(&self, claims: &Value) -> String {
        self.sign_with(&self.header(claims), claims)
    }

    pub fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", URL_SAFE.encode(header.to_string()), URL_SAFE.encode(claims.to_string()));
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE.encode(signature))
    }
}

/// What the provider says of a user, and what the load balancer adds.
pub fn claims(exp: u64) -> Value {
    json!({
        "sub": "4b5bef9c-f2b5-40ff-a412-412cba9d0702", "email_verified": "true", "name": "John Doe +/=-_",
        "email": "johndoe@example.com", "username": "4b5bef9c-f2b5-40ff-a412-412cba9d0702", "exp": exp, "iss": PROVIDER,
    })
}
