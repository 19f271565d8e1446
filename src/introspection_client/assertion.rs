//! A JWT by which this service says who it is (`private_key_jwt`, RFC 7523 §2.2 and §3).

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use crate::clock::UnixTime;
use crate::crypto::Private;
use crate::introspection::ClientKey;
use crate::jose::encode_base64url;

/// For so many seconds it is valid: for one request, and a clock that is not quite right.
const LIFETIME: u64 = 60;

/// Makes and signs one, for one request; `None` if the text is no key for the algorithm.
pub(super) fn assertion(client: &str, issuer: &str, key: &ClientKey, pem: &str, now: UnixTime) -> Option<String> {
    let private = Private::from_pem(key.algorithm, pem)?;
    let mut header = json!({ "alg": key.algorithm.name(), "typ": "JWT" });
    if let (Some(kid), Some(header)) = (&key.kid, header.as_object_mut()) {
        header.insert("kid".into(), (**kid).into());
    }
    let now = now.0.as_secs();
    let claims = json!({
        "iss": client,
        "sub": client,
        // a string, as FAPI 2.0 wants it
        "aud": issuer,
        "jti": unique(),
        "iat": now,
        "exp": now.saturating_add(LIFETIME),
    });
    let [header, claims] = [header, claims].map(|part| encode_base64url(part.to_string().as_bytes()));
    let message = format!("{header}.{claims}");
    let signature = encode_base64url(&private.sign(key.algorithm, message.as_bytes())?);
    Some(format!("{message}.{signature}"))
}

/// Makes a text that no other is like: of 128 bits, from the operating system's random numbers and
/// a counter.
fn unique() -> String {
    static MADE: AtomicU64 = AtomicU64::new(0);

    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let random = RandomState::new();
    format!("{:016x}{:016x}", random.hash_one((number, 0)), random.hash_one((number, 1)))
}
