//! The headers of proofs (RFC 9449 §4.1, §8).

use http::header::{ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL};
use http::{HeaderMap, HeaderName, HeaderValue};

/// A client's proof: for a short while, it is worth as much as the token beside it.
pub(crate) const DPOP: HeaderName = HeaderName::from_static("dpop");

/// What a client's proofs are to contain.
pub(crate) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// Writes what a client's proofs are to contain. No cache keeps it, and a browser's page may see it.
pub(crate) fn write_nonce(nonce: HeaderValue, headers: &mut HeaderMap) {
    headers.insert(DPOP_NONCE, nonce);
    headers.entry(CACHE_CONTROL).or_insert_with(|| HeaderValue::from_static("no-store"));
    expose(headers);
}

/// Lets the page of another origin see the nonce and the challenge of a proof, which it could not
/// answer otherwise. It says nothing to pages that a CORS layer does not let in.
pub(crate) fn expose(headers: &mut HeaderMap) {
    const EXPOSED: HeaderValue = HeaderValue::from_static("DPoP-Nonce, WWW-Authenticate");

    if !headers.get_all(ACCESS_CONTROL_EXPOSE_HEADERS).iter().any(|value| *value == EXPOSED) {
        headers.append(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}
