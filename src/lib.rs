#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    test,
    allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::string_slice, reason = "tests")
)]
#![doc = include_str!("../README.md")]

// The modules stand in the order of the proofs, and each uses only those above it. A request comes
// in at the end: by layer, service, guard and server.

// beneath the story

/// Log events and metrics, or nothing, without a `cfg` where they are written.
mod trace;

/// Locks and panics.
mod sync;

/// Times, as arguments.
mod clock;

/// What can go wrong.
mod error;

/// A secret of this service, wherever it is.
#[cfg(any(feature = "dpop", feature = "introspection"))]
mod secret;

/// A Redis: its address, its errors, and the pace of attempts to connect.
#[cfg(feature = "redis")]
mod redis;

// 1 the token is taken from the request

// Exactly one credential; and a token's grammar, checked once it is not a known one.
pub mod credential;

/// The address that a client has used.
#[cfg(feature = "dpop")]
mod origin;

// 2 it is taken apart; nothing is believed yet

/// The compact serialization, the protected header, strict JSON.
mod jose;

// The claims, by type.
pub mod claims;

// 3 the issuer is selected: policy, pure data

// How an issuer is asked about tokens, as settings; and what its answer says, as data.
#[cfg(feature = "introspection")]
#[cfg_attr(docsrs, doc(cfg(feature = "introspection")))]
pub mod introspection;

/// Pure: what a token demands of its sender, and the evidence that it is met.
mod possession;

/// Whom to believe, and on what terms.
mod issuer;

// 4 its key set answers: mechanism

/// The seam to the cryptography.
mod crypto;

/// Key sets: what they are and verify, where they come from, when they are fetched.
mod jwks;

// Proofs of possession of a key (RFC 9449).
#[cfg(feature = "dpop")]
#[cfg_attr(docsrs, doc(cfg(feature = "dpop")))]
pub mod dpop;

// Certificates of clients (RFC 8705).
#[cfg(feature = "mtls")]
#[cfg_attr(docsrs, doc(cfg(feature = "mtls")))]
pub mod mtls;

// 5 the registered claims are checked

/// Pure: compact token, policy, time → plausible token.
mod validate;

// 6 the evidence: a signature or an issuer's answer, and a sender who may use the token

// Tokens that are not good any more.
pub mod revocation;

/// The question to an issuer over HTTP, and the pace after failures.
#[cfg(feature = "introspection")]
mod introspection_client;

/// The evidence: a token whose signature was verified, and one that its sender may use.
mod access_token;

// 7 the caller is authorized

// Rules and permissions.
pub mod authz;

// The application's own say.
pub mod checks;

// 8 or the request is refused

/// Pure: error → status, challenge, gRPC status.
mod challenge;

// The refusal as a response.
pub mod reject;

// the engine and its tower clothes

/// All steps in one.
mod server;

/// The caller's token, passed on.
pub mod relay;

/// Who gets in: where the token is, whether one is needed, and what the operation requires.
mod guard;

// How a server is set up, by calls or as data.
pub mod config;

/// How a service is wrapped.
mod layer;

/// The middleware, and its future: calling, rejected or waiting.
mod service;

/// Permission in a handler's type and on a route.
mod require;

// at the edges

#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub mod axum;

#[cfg(feature = "tonic")]
#[cfg_attr(docsrs, doc(cfg(feature = "tonic")))]
pub mod tonic;

#[cfg(feature = "deadline")]
#[cfg_attr(docsrs, doc(cfg(feature = "deadline")))]
pub mod deadline;

#[cfg(feature = "logout")]
#[cfg_attr(docsrs, doc(cfg(feature = "logout")))]
pub mod logout;

#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;

#[cfg(doc)]
pub mod guide;

// the public names: those of the paved path here, all others by topic, each in one place

pub use crate::access_token::AccessToken;
pub use crate::authz::rule::Rule;
pub use crate::error::{ConfigError, Error, ErrorKind};
pub use crate::issuer::Issuer;
pub use crate::layer::BearerAuthLayer;
pub use crate::require::{Require, RequireLayer};
pub use crate::server::ResourceServer;

pub mod explain {
    //! Why a token is refused: an [`Explanation`] has each [`Step`] of its verification with its
    //! [`Outcome`]. Print one, or serialise it, where
    //! [`ResourceServer::explain`](crate::ResourceServer::explain) has made it.

    pub use crate::server::{Explanation, Outcome, Step};
}

pub mod keys {
    //! Where an issuer's keys come from, and how they are: [`StaticKeys`] are configured, and a
    //! [`KeySource`] of your own fetches them in its own way, as [`HttpClient`] does for ours.
    //! [`IssuerStatus`] is for probes and operators, and [`SavedKeys`] are for the next process.

    pub use crate::jose::{Algorithm, UnknownAlgorithm};
    #[cfg(feature = "http-client")]
    #[cfg_attr(docsrs, doc(cfg(feature = "http-client")))]
    pub use crate::jwks::HttpClient;
    pub use crate::jwks::{
        FetchError, FetchedKeys, Freshness, IssuerStatus, KeyError, KeySource, NotAKeySet, SavedKeys, SkipReason,
        SkippedKey, StaticKeys, UsableKey,
    };
    pub use crate::server::NotReady;
}

pub mod middleware {
    //! What [`BearerAuthLayer`](crate::BearerAuthLayer) and [`RequireLayer`](crate::RequireLayer)
    //! make, for where its type must be written: in a field, or as an associated type.

    pub use crate::require::{RequireFuture, RequireRule};
    pub use crate::service::{BearerAuth, ResponseFuture};
}

pub mod trust {
    //! Issuers with their keys, and issuers that are found at run time: [`Trust`] is what
    //! [`trust`](crate::config::ResourceServerBuilder::trust) takes, and an [`IssuerResolver`] or
    //! [`IssuerTemplate`] decides about issuers when a token first names them, for
    //! [`trust_with`](crate::config::ResourceServerBuilder::trust_with).

    pub use crate::server::{IssuerResolver, IssuerTemplate, Trust};
}
