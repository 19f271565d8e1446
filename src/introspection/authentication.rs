//! How this service says who it is.

use std::fmt;

use crate::jose::Algorithm;
use crate::secret::Secret;

/// How this service authenticates to the issuer that it asks about tokens (RFC 7662 §2.1).
///
/// Register a client for this service, and do not use the one that gets the tokens: to that one,
/// Keycloak answers that the tokens are not active.
///
/// `Debug` names the method and the client, and no secret.
#[derive(Clone)]
pub struct ClientAuthentication {
    pub(crate) client: Box<str>,
    pub(crate) method: Method,
}

/// The method, with what it needs besides the client's identifier.
#[derive(Clone)]
pub(crate) enum Method {
    Basic { secret: Secret, encoded: bool },
    Bearer(Secret),
    Post(Secret),
    PrivateKey(ClientKey),
    Tls,
}

impl ClientAuthentication {
    /// Sends identifier and secret in the header `Authorization` (`client_secret_basic`).
    ///
    /// Both are form-encoded first, as RFC 6749 §2.3.1 demands. A server that does not decode them
    /// answers 401 if they hold other characters than letters, digits, `-`, `.`, `_` and `*`. For
    /// such a server there are [`client_secret_post`](Self::client_secret_post) and
    /// [`client_secret_basic_without_encoding`](Self::client_secret_basic_without_encoding).
    pub fn client_secret_basic(client_id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self::of(client_id, Method::Basic { secret: secret.into(), encoded: true })
    }

    /// Sends identifier and secret in the header `Authorization`, as they are: for servers that do
    /// not decode them.
    ///
    /// The identifier must not contain a colon.
    pub fn client_secret_basic_without_encoding(client_id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self::of(client_id, Method::Basic { secret: secret.into(), encoded: false })
    }

    /// Sends identifier and secret in the body (`client_secret_post`).
    pub fn client_secret_post(client_id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self::of(client_id, Method::Post(secret.into()))
    }

    /// Sends a JWT that is signed with a private key of this service (`private_key_jwt`, RFC 7523
    /// §2.2): a new one with each request, which is valid for a minute, and whose `aud` is the
    /// issuer's identifier.
    ///
    /// ```
    /// use tower_bearer::introspection::{ClientAuthentication, ClientKey, Secret};
    /// use tower_bearer::keys::Algorithm;
    ///
    /// let key = ClientKey::pem(Algorithm::Es256, Secret::file("/run/secrets/orders-api.pem"));
    /// let client = ClientAuthentication::private_key_jwt("orders-api", key.kid("2026-11"));
    /// ```
    pub fn private_key_jwt(client_id: impl Into<String>, key: ClientKey) -> Self {
        Self::of(client_id, Method::PrivateKey(key))
    }

    /// Sends the identifier only, for mutual TLS (RFC 8705 §2). The certificate is shown by the
    /// HTTP client that [`http_client`](crate::config::ResourceServerBuilder::http_client) sets.
    pub fn tls_client_auth(client_id: impl Into<String>) -> Self {
        Self::of(client_id, Method::Tls)
    }

    /// Sends an access token of this service as `Authorization: Bearer` (RFC 7662 §2.1).
    pub fn bearer(token: impl Into<Secret>) -> Self {
        Self::of("", Method::Bearer(token.into()))
    }

    fn of(client_id: impl Into<String>, method: Method) -> Self {
        Self { client: client_id.into().into(), method }
    }

    /// Returns the secret, or the key's text.
    pub(crate) fn secret(&self) -> Option<&Secret> {
        match &self.method {
            Method::Basic { secret, .. } | Method::Bearer(secret) | Method::Post(secret) => Some(secret),
            Method::PrivateKey(key) => Some(&key.pem),
            Method::Tls => None,
        }
    }

    /// Says what is wrong with it, as far as that can be told without a look at the secret.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        match &self.method {
            Method::Bearer(_) => None,
            _ if self.client.is_empty() => Some("the client identifier is empty"),
            Method::Basic { encoded: false, .. } if self.client.contains(':') => Some(
                "a client identifier with a colon can only be sent encoded; use client_secret_basic, or client_secret_post",
            ),
            Method::PrivateKey(key) if key.algorithm.is_symmetric() => {
                Some("a private key is for an asymmetric algorithm, such as ES256")
            }
            Method::Basic { .. } | Method::Post(_) | Method::PrivateKey(_) | Method::Tls => None,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self.method {
            Method::Basic { encoded: true, .. } => "client_secret_basic",
            Method::Basic { encoded: false, .. } => "client_secret_basic_without_encoding",
            Method::Bearer(_) => "bearer",
            Method::Post(_) => "client_secret_post",
            Method::PrivateKey(_) => "private_key_jwt",
            Method::Tls => "tls_client_auth",
        }
    }
}

impl fmt::Debug for ClientAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientAuthentication({} {:?})", self.name(), self.client)
    }
}

/// A private key by which this service authenticates; see
/// [`private_key_jwt`](ClientAuthentication::private_key_jwt).
#[derive(Clone)]
pub struct ClientKey {
    pub(crate) algorithm: Algorithm,
    pub(crate) pem: Secret,
    pub(crate) kid: Option<Box<str>>,
}

impl ClientKey {
    /// Takes a key in PEM: `PRIVATE KEY` (PKCS #8), or `RSA PRIVATE KEY` (PKCS #1), with its line
    /// breaks.
    ///
    /// [`build`](crate::config::ResourceServerBuilder::build) tries a key that is given as text. One
    /// from a file or a function is tried when it is first needed: it may be there later, or change.
    pub fn pem(algorithm: Algorithm, pem: impl Into<Secret>) -> Self {
        Self { algorithm, pem: pem.into(), kid: None }
    }

    /// Says by which `kid` the issuer knows the key.
    #[must_use]
    pub fn kid(mut self, kid: impl Into<String>) -> Self {
        self.kid = Some(kid.into().into());
        self
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientKey").field("algorithm", &self.algorithm).field("kid", &self.kid).finish_non_exhaustive()
    }
}
