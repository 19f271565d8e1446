//! What kinds of refusals there are.

use std::fmt;

/// Defines the kinds, each with the fixed text that the caller is told.
macro_rules! kinds {
    ($(#[$of_all:meta])* pub enum $name:ident { $($(#[$of_one:meta])* $kind:ident = $text:literal,)+ }) => {
        $(#[$of_all])*
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[non_exhaustive]
        pub enum $name { $($(#[$of_one])* $kind,)+ }

        impl $name {
            /// In the order of their names.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$kind,)+];

            /// Returns the fixed text that the caller is told.
            pub(crate) fn text(self) -> &'static str {
                match self { $(Self::$kind => $text,)+ }
            }

            /// Returns the name of the variant, for metrics.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$kind => stringify!($kind),)+ }
            }
        }
    };
}

kinds! {
    /// What happened to a refused request.
    ///
    /// What the caller sees of it (RFC 6750 §3.1; in gRPC there is no challenge but where the table
    /// says so):
    ///
    /// | kind | HTTP | gRPC | `WWW-Authenticate` |
    /// |---|---|---|---|
    /// | [`MissingToken`](Self::MissingToken) | 401 | 16 `UNAUTHENTICATED` | `Bearer realm="…"`, no error code |
    /// | [`MalformedRequest`](Self::MalformedRequest) | 400 | 16 `UNAUTHENTICATED` | `error="invalid_request"` |
    /// | [`InsufficientScope`](Self::InsufficientScope) | 403 | 7 `PERMISSION_DENIED` | `error="insufficient_scope"`, and `scope="…"` if a scope is missing |
    /// | [`InsufficientAuthentication`](Self::InsufficientAuthentication) | 401 | 16 `UNAUTHENTICATED` | `error="insufficient_user_authentication"`, `acr_values="…"`, `max_age="…"`; in gRPC's metadata, too |
    /// | [`InvalidProof`](Self::InvalidProof) | 401 | 16 `UNAUTHENTICATED` | `DPoP … error="invalid_dpop_proof"`; in gRPC's metadata, too |
    /// | [`NonceRequired`](Self::NonceRequired) | 401 and `DPoP-Nonce` | 16 `UNAUTHENTICATED` | `DPoP … error="use_dpop_nonce"`; in gRPC's metadata, too |
    /// | [`AccessDenied`](Self::AccessDenied), [`CrossOriginRequest`](Self::CrossOriginRequest), [`NoRule`](Self::NoRule) | 403 | 7 `PERMISSION_DENIED` | none |
    /// | [`CheckUnavailable`](Self::CheckUnavailable), [`IntrospectionUnavailable`](Self::IntrospectionUnavailable), [`KeysUnavailable`](Self::KeysUnavailable), [`ReplayUnavailable`](Self::ReplayUnavailable) | 503 and `Retry-After` | 14 `UNAVAILABLE` | none |
    /// | [`LayerMissing`](Self::LayerMissing) | 500 | 13 `INTERNAL` | none |
    /// | all others | 401 | 16 `UNAUTHENTICATED` | `error="invalid_token"` |
    ///
    /// The challenge is that of the scheme under which the token came, `Bearer` or `DPoP`. Where the
    /// server accepts tokens under both, a 401 has a second challenge for the other, without an
    /// error code (RFC 9449 §7.1). In gRPC, the metadata have the challenges of a token that came
    /// under `DPoP`.
    ///
    /// `error_description` and `grpc-message` are the kind's [`Display`](fmt::Display) text, which
    /// is fixed.
    pub enum ErrorKind {
        /// The application's own decision: this caller may not do this to this object. The layer
        /// itself never says so, but a [check](crate::checks) may; and a handler that returns it as
        /// an [`Error`](crate::Error) or, in gRPC, as a status is answered as the layer answers. No
        /// other token of this caller's would help, so nothing asks the client for one.
        AccessDenied = "the caller may not do this",
        /// No key that the token may be signed with verifies the signature.
        BadSignature = "the token's signature is invalid",
        /// A [check](crate::checks) of the application, or its list of revoked tokens, cannot tell
        /// whether the token is still good: nothing the caller did.
        CheckUnavailable = "it cannot be told at present whether the token is still good",
        /// The protected header lists critical extensions (`crit`, RFC 7515 §4.1.11) or `b64` (RFC
        /// 7797).
        CriticalHeader = "the token uses unsupported critical header parameters",
        /// The token is in a cookie, and a page of another origin may have made the browser send
        /// it; see [`TokenSource::cookie`](crate::credential::TokenSource::cookie).
        CrossOriginRequest = "the request comes from another origin",
        /// The token is encrypted (JWE, five parts).
        EncryptedToken = "encrypted tokens are not accepted",
        /// `exp` has passed, leeway included (RFC 7519 §4.1.4).
        Expired = "the token has expired",
        /// Its issuer says that the token is not active (RFC 7662 §2.2): it has expired, was revoked,
        /// or never was one.
        Inactive = "the token is not active",
        /// The token is valid and permits this operation to its user, who must have signed in more
        /// recently, or in another way (RFC 9470 §3 `insufficient_user_authentication`).
        InsufficientAuthentication = "the user must sign in again, or in a stronger way",
        /// The token is valid, but does not permit this operation (RFC 6750 §3.1
        /// `insufficient_scope`).
        InsufficientScope = "the token does not permit this operation",
        /// The issuer could not be asked about the token in time, or its answer is of no use:
        /// nothing the caller did.
        IntrospectionUnavailable = "the token's issuer cannot be asked about it",
        /// The proof that the sender has the token's key is missing, malformed, for another request,
        /// too old, or was used before (RFC 9449 §4.3).
        InvalidProof = "the DPoP proof is missing or invalid",
        /// The issuer's keys could not be had in time, or nobody could decide whether to trust it:
        /// nothing the caller did.
        KeysUnavailable = "the keys that verify tokens are unavailable",
        /// An extractor ran without the layer in front of it: a bug of this service.
        LayerMissing = "the service is not set up to authenticate this request",
        /// A claim has the wrong JSON type or an impossible value.
        MalformedClaim = "a claim of the token is malformed",
        /// The request carries two credentials, or one that breaks the grammar of RFC 6750 §2.1 or
        /// is too long.
        MalformedRequest = "the request does not carry exactly one well-formed bearer token",
        /// The token is not a readable JWT: its parts, base64url or JSON are malformed.
        MalformedToken = "the token is malformed",
        /// A claim that the policy demands is absent.
        MissingClaim = "a required claim is missing from the token",
        /// The request carries no bearer token.
        MissingToken = "a bearer token is required",
        /// No rule of the service's [`AuthzRules`](crate::authz::AuthzRules) permits this operation
        /// to anybody.
        NoRule = "this operation is permitted to nobody",
        /// The proof has no nonce of this service, or one that is not good any more; the client is told
        /// one (RFC 9449 §9).
        NonceRequired = "the DPoP proof must contain the nonce of this service",
        /// The token is not bound to its sender, and must be: it came under the scheme `DPoP`, or its
        /// issuer's terms demand it, as by
        /// [`Issuer::require_sender_constraint`](crate::Issuer::require_sender_constraint).
        NotSenderConstrained = "the token is not bound to its sender",
        /// `nbf` lies in the future, leeway included (RFC 7519 §4.1.5).
        NotYetValid = "the token is not valid yet",
        /// The token has no parts at all: an opaque token, not a JWT, and no issuer is asked about
        /// such ones.
        OpaqueToken = "the token is not a JWT",
        /// The store of used proofs cannot tell whether this one was used before: nothing the caller
        /// did.
        ReplayUnavailable = "it cannot be told at present whether the DPoP proof was used before",
        /// The token was revoked before it expired, as a [check](crate::checks) or the
        /// [`RevocationList`](crate::revocation::RevocationList) says.
        Revoked = "the token was revoked",
        /// The token is bound to a key or certificate of its sender (`cnf`, RFC 7800), and the request
        /// does not prove that it has that: it has another one or none, came under the scheme
        /// `Bearer`, or it is a proof that is not accepted here; or its `cnf` cannot be read.
        SenderConstrained = "the token is bound to a sender, and the request does not prove to be from it",
        /// `iss` names no trusted issuer.
        UnknownIssuer = "the token's issuer is not trusted",
        /// The issuer publishes no key of this name, or none that fits.
        UnknownKey = "the token was signed with an unknown key",
        /// `alg` is not acceptable: unknown, `none`, not allowed for the issuer, or not the key's.
        UnsupportedAlgorithm = "the token's signature algorithm is not accepted",
        /// `aud` does not name this service.
        WrongAudience = "the token is meant for another audience",
        /// A claim does not have the value that the policy demands.
        WrongClaim = "a claim of the token does not have the required value",
        /// `typ` says that this is another kind of token.
        WrongType = "the token is of another type",
    }
}

impl fmt::Display for ErrorKind {
    /// Writes a fixed text, which is also what the caller is told.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
