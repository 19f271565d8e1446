//! What kinds of refusals there are.

use std::fmt;

/// What happened to a refused request.
///
/// What the caller sees of it (RFC 6750 §3.1; gRPC has no challenge):
///
/// | kind | HTTP | gRPC | `WWW-Authenticate` |
/// |---|---|---|---|
/// | [`MissingToken`](Self::MissingToken) | 401 | 16 `UNAUTHENTICATED` | `Bearer realm="…"`, no error code |
/// | [`MalformedRequest`](Self::MalformedRequest) | 400 | 16 `UNAUTHENTICATED` | `error="invalid_request"` |
/// | [`InsufficientScope`](Self::InsufficientScope) | 403 | 7 `PERMISSION_DENIED` | `error="insufficient_scope"`, and `scope="…"` if a scope is missing |
/// | [`AccessDenied`](Self::AccessDenied), [`CrossOriginRequest`](Self::CrossOriginRequest), [`NoRule`](Self::NoRule) | 403 | 7 `PERMISSION_DENIED` | none |
/// | [`KeysUnavailable`](Self::KeysUnavailable) | 503 and `Retry-After` | 14 `UNAVAILABLE` | none |
/// | [`LayerMissing`](Self::LayerMissing) | 500 | 13 `INTERNAL` | none |
/// | all others | 401 | 16 `UNAUTHENTICATED` | `error="invalid_token"` |
///
/// `error_description` and `grpc-message` are the kind's [`Display`](fmt::Display) text, which is
/// fixed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The application's own decision: this caller may not do this to this object. The layer never
    /// says so; a handler that returns it as an [`Error`](crate::Error) or, in gRPC, as a status is
    /// answered as the layer answers. No other token of this caller's would help, so nothing asks
    /// the client for one.
    AccessDenied,
    /// No key that the token may be signed with verifies the signature.
    BadSignature,
    /// The protected header lists critical extensions (`crit`, RFC 7515 §4.1.11) or `b64` (RFC
    /// 7797).
    CriticalHeader,
    /// The token is in a cookie, and a page of another origin may have made the browser send it;
    /// see [`TokenSource::cookie`](crate::TokenSource::cookie).
    CrossOriginRequest,
    /// The token is encrypted (JWE, five parts).
    EncryptedToken,
    /// `exp` has passed, leeway included (RFC 7519 §4.1.4).
    Expired,
    /// The token is valid, but does not permit this operation (RFC 6750 §3.1 `insufficient_scope`).
    InsufficientScope,
    /// The issuer's keys could not be had in time, or nobody could decide whether to trust it:
    /// nothing the caller did.
    KeysUnavailable,
    /// An extractor ran without the layer in front of it: a bug of this service.
    LayerMissing,
    /// A claim has the wrong JSON type or an impossible value.
    MalformedClaim,
    /// The request carries two credentials, or one that breaks the grammar of RFC 6750 §2.1 or is
    /// too long.
    MalformedRequest,
    /// The token is not a readable JWT: its parts, base64url or JSON are malformed.
    MalformedToken,
    /// A claim that the policy demands is absent.
    MissingClaim,
    /// The request carries no bearer token.
    MissingToken,
    /// No rule of the service's [`AuthzRules`](crate::AuthzRules) permits this operation to
    /// anybody.
    NoRule,
    /// `nbf` lies in the future, leeway included (RFC 7519 §4.1.5).
    NotYetValid,
    /// The token has no parts at all: an opaque token, not a JWT.
    OpaqueToken,
    /// The token is bound to a key of its sender (`cnf`, RFC 7800), and no proof of possession is
    /// checked here.
    SenderConstrained,
    /// `iss` names no trusted issuer.
    UnknownIssuer,
    /// The issuer publishes no key of this name, or none that fits.
    UnknownKey,
    /// `alg` is not acceptable: unknown, `none`, not allowed for the issuer, or not the key's.
    UnsupportedAlgorithm,
    /// `aud` does not name this service.
    WrongAudience,
    /// A claim does not have the value that the policy demands.
    WrongClaim,
    /// `typ` says that this is another kind of token.
    WrongType,
}

impl ErrorKind {
    /// Returns the fixed text that the caller is told.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::AccessDenied => "the caller may not do this",
            Self::BadSignature => "the token's signature is invalid",
            Self::CriticalHeader => "the token uses unsupported critical header parameters",
            Self::CrossOriginRequest => "the request comes from another origin",
            Self::EncryptedToken => "encrypted tokens are not accepted",
            Self::Expired => "the token has expired",
            Self::InsufficientScope => "the token does not permit this operation",
            Self::KeysUnavailable => "the keys that verify tokens are unavailable",
            Self::LayerMissing => "the service is not set up to authenticate this request",
            Self::MalformedClaim => "a claim of the token is malformed",
            Self::MalformedRequest => "the request does not carry exactly one well-formed bearer token",
            Self::MalformedToken => "the token is malformed",
            Self::MissingClaim => "a required claim is missing from the token",
            Self::MissingToken => "a bearer token is required",
            Self::NoRule => "this operation is permitted to nobody",
            Self::NotYetValid => "the token is not valid yet",
            Self::OpaqueToken => "the token is not a JWT",
            Self::SenderConstrained => "sender-constrained tokens are not accepted as bearer tokens",
            Self::UnknownIssuer => "the token's issuer is not trusted",
            Self::UnknownKey => "the token was signed with an unknown key",
            Self::UnsupportedAlgorithm => "the token's signature algorithm is not accepted",
            Self::WrongAudience => "the token is meant for another audience",
            Self::WrongClaim => "a claim of the token does not have the required value",
            Self::WrongType => "the token is of another type",
        }
    }

    /// Returns the name of the variant, for metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AccessDenied => "AccessDenied",
            Self::BadSignature => "BadSignature",
            Self::CriticalHeader => "CriticalHeader",
            Self::CrossOriginRequest => "CrossOriginRequest",
            Self::EncryptedToken => "EncryptedToken",
            Self::Expired => "Expired",
            Self::InsufficientScope => "InsufficientScope",
            Self::KeysUnavailable => "KeysUnavailable",
            Self::LayerMissing => "LayerMissing",
            Self::MalformedClaim => "MalformedClaim",
            Self::MalformedRequest => "MalformedRequest",
            Self::MalformedToken => "MalformedToken",
            Self::MissingClaim => "MissingClaim",
            Self::MissingToken => "MissingToken",
            Self::NoRule => "NoRule",
            Self::NotYetValid => "NotYetValid",
            Self::OpaqueToken => "OpaqueToken",
            Self::SenderConstrained => "SenderConstrained",
            Self::UnknownIssuer => "UnknownIssuer",
            Self::UnknownKey => "UnknownKey",
            Self::UnsupportedAlgorithm => "UnsupportedAlgorithm",
            Self::WrongAudience => "WrongAudience",
            Self::WrongClaim => "WrongClaim",
            Self::WrongType => "WrongType",
        }
    }
}

impl fmt::Display for ErrorKind {
    /// Writes a fixed text, which is also what the caller is told.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
