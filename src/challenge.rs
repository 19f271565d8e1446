//! Step 8, pure: what each kind of error is on the wire. Nothing else knows a status code.

#[cfg(test)]
mod tests;

use std::iter;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::credential::{expose, write_nonce};
use crate::error::{Error, ErrorKind, Scheme, Spoken};

/// What a caller is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Wire {
    pub(crate) status: StatusCode,
    /// The gRPC status code.
    pub(crate) grpc: u8,
    pub(crate) challenge: Challenge,
}

/// Which `WWW-Authenticate` goes with it (RFC 6750 §3, RFC 9449 §7.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Challenge {
    /// With an error code.
    Code(&'static str),
    /// With an error code of proofs, under the scheme `DPoP` (RFC 9449 §7.1).
    Proof(&'static str),
    /// Without: nothing was presented that could be wrong (RFC 6750 §3.1).
    Bare,
    /// None: a token would not help.
    No,
}

const UNAUTHENTICATED: u8 = 16;
const PERMISSION_DENIED: u8 = 7;
const UNAVAILABLE: u8 = 14;
const INTERNAL: u8 = 13;

/// The error table.
pub(crate) fn wire(kind: ErrorKind) -> Wire {
    use ErrorKind as K;
    let (status, grpc, challenge) = match kind {
        K::MissingToken => (StatusCode::UNAUTHORIZED, UNAUTHENTICATED, Challenge::Bare),
        K::MalformedRequest => (StatusCode::BAD_REQUEST, UNAUTHENTICATED, Challenge::Code("invalid_request")),
        K::BadSignature
        | K::CriticalHeader
        | K::EncryptedToken
        | K::Expired
        | K::Inactive
        | K::MalformedClaim
        | K::MalformedToken
        | K::MissingClaim
        | K::NotSenderConstrained
        | K::NotYetValid
        | K::OpaqueToken
        | K::Revoked
        | K::SenderConstrained
        | K::UnknownIssuer
        | K::UnknownKey
        | K::UnsupportedAlgorithm
        | K::WrongAudience
        | K::WrongClaim
        | K::WrongType => (StatusCode::UNAUTHORIZED, UNAUTHENTICATED, Challenge::Code("invalid_token")),
        K::InsufficientAuthentication => {
            (StatusCode::UNAUTHORIZED, UNAUTHENTICATED, Challenge::Code("insufficient_user_authentication"))
        }
        K::InvalidProof => (StatusCode::UNAUTHORIZED, UNAUTHENTICATED, Challenge::Proof("invalid_dpop_proof")),
        K::NonceRequired => (StatusCode::UNAUTHORIZED, UNAUTHENTICATED, Challenge::Proof("use_dpop_nonce")),
        K::InsufficientScope => (StatusCode::FORBIDDEN, PERMISSION_DENIED, Challenge::Code("insufficient_scope")),
        K::AccessDenied | K::CrossOriginRequest | K::NoRule => {
            (StatusCode::FORBIDDEN, PERMISSION_DENIED, Challenge::No)
        }
        K::CheckUnavailable | K::IntrospectionUnavailable | K::KeysUnavailable | K::ReplayUnavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, Challenge::No)
        }
        K::LayerMissing => (StatusCode::INTERNAL_SERVER_ERROR, INTERNAL, Challenge::No),
    };
    Wire { status, grpc, challenge }
}

/// Writes the values of `WWW-Authenticate`; there is none where a token would not help.
pub(crate) fn challenges(error: &Error) -> impl Iterator<Item = HeaderValue> {
    let Wire { status, challenge, .. } = wire(error.kind());
    write(challenge, status == StatusCode::UNAUTHORIZED, error)
}

/// Writes the values of `WWW-Authenticate` for a 401, which must have one (RFC 9110 §11.6.1),
/// whatever the error.
pub(crate) fn challenges_of_401(error: &Error) -> impl Iterator<Item = HeaderValue> {
    let challenge = match wire(error.kind()).challenge {
        Challenge::No => Challenge::Bare,
        challenge @ (Challenge::Bare | Challenge::Code(_) | Challenge::Proof(_)) => challenge,
    };
    write(challenge, true, error)
}

/// Writes a challenge for each scheme that is spoken, a value each. What is wrong is said under the
/// scheme by which the token came, which stands first; the others are told of if `all` says so.
fn write(challenge: Challenge, all: bool, error: &Error) -> impl Iterator<Item = HeaderValue> {
    const BEARER: &Spoken = &Spoken::BEARER;

    let spoken = error.space().map_or(BEARER, |space| &space.spoken);
    let by_proof = matches!(challenge, Challenge::Proof(_)) || error.scheme() == Scheme::Dpop;
    let schemes = if by_proof { [Scheme::Dpop, Scheme::Bearer] } else { [Scheme::Bearer, Scheme::Dpop] };
    let of_others = all.then_some(Challenge::Bare);
    let mut each = iter::once(Some(challenge)).chain(iter::repeat(of_others));
    let values = schemes.map(|scheme| {
        if challenge == Challenge::No || !spoken.has(scheme) {
            return None;
        }
        write_one(scheme, each.next()??, spoken, error)
    });
    values.into_iter().flatten()
}

/// Writes the challenge of one scheme.
fn write_one(scheme: Scheme, challenge: Challenge, spoken: &Spoken, error: &Error) -> Option<HeaderValue> {
    let realm = error.space().map_or("\"\"", |space| &space.realm);
    let name = match scheme {
        Scheme::Bearer => "Bearer",
        Scheme::Dpop => "DPoP",
    };
    let code = match challenge {
        Challenge::Code(code) | Challenge::Proof(code) => Some(code),
        Challenge::Bare | Challenge::No => None,
    };
    let max_age = error.max_age().map(|longest| longest.as_secs().to_string());
    let with_code = |text| code.and(text);
    // the texts are our own and hold nothing that needs escaping
    let parts = [
        Some([name, " realm=", realm, "", ""]),
        parameter("error", code),
        parameter("error_description", with_code(Some(error.kind().text()))),
        parameter("scope", with_code(error.scope())),
        parameter("acr_values", with_code(error.acr_values())),
        parameter("max_age", with_code(max_age.as_deref())),
        parameter("algs", spoken.dpop.as_deref().filter(|_| scheme == Scheme::Dpop)),
    ];
    let parts = || parts.iter().flatten().flatten();
    // with no room to spare, a text becomes a header's value without another allocation
    let mut value = String::with_capacity(parts().map(|part| part.len()).sum());
    parts().for_each(|part| value.push_str(part));
    // it is ASCII by construction; were it not, the refusal would stand without it
    HeaderValue::try_from(value).ok()
}

/// Writes one parameter in parts, if there is something to say.
fn parameter<'t>(name: &'static str, text: Option<&'t str>) -> Option<[&'t str; 5]> {
    text.map(|text| [", ", name, "=\"", text, "\""])
}

/// Writes the headers that a client needs to make a better proof, over HTTP and in gRPC's metadata.
pub(crate) fn write_for_proofs(error: &Error, headers: &mut HeaderMap) {
    if let Some(nonce) = error.dpop_nonce().and_then(|nonce| HeaderValue::try_from(nonce).ok()) {
        write_nonce(nonce, headers);
    } else if error.scheme() == Scheme::Dpop {
        expose(headers);
    }
}

/// Writes what gRPC is told, in the headers of a refusal or the trailers of a stream.
pub(crate) fn grpc_status(kind: ErrorKind) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let status = HeaderValue::from(u16::from(wire(kind).grpc));
    let message = HeaderValue::try_from(percent_encoded(kind.text())).ok();
    let values = [("grpc-status", Some(status)), ("grpc-message", message)];
    values.into_iter().filter_map(|(name, value)| Some((HeaderName::from_static(name), value?)))
}

/// Writes the values of `WWW-Authenticate` in the metadata of gRPC; there are some only where the
/// client can do nothing without them.
pub(crate) fn grpc_challenges(error: &Error) -> impl Iterator<Item = HeaderValue> {
    let told = error.kind() == ErrorKind::InsufficientAuthentication || error.scheme() == Scheme::Dpop;
    told.then(|| challenges(error)).into_iter().flatten()
}

/// Percent-encodes a `grpc-message`: all but `%x20-24 / %x26-7E`.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' | 0..=0x1F | 0x7F.. => encoded.push_str(&format!("%{byte:02X}")),
            _ => encoded.push(char::from(byte)),
        }
    }
    encoded
}
