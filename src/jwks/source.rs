//! Where key sets come from.

#[cfg(feature = "http-client")]
pub(super) mod http;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use ::http::HeaderValue;
use tokio::time::Instant;

use crate::issuer::is_guid;

/// Fetches an issuer's current key set.
///
/// The crate brings one that speaks HTTP (discovery and `jwks_uri`); implement this for anything
/// else: a file, a secret store, another client. A document of more than 512 KiB is refused.
///
/// It is asked by one task, and a fetch that takes longer than 15 s (three times the
/// [`key_fetch_timeout`](crate::config::ResourceServerBuilder::key_fetch_timeout)) is dropped. A
/// second one begins before the first has ended only if that has not yielded for a second more, or
/// its runtime is not driven any more: it must not block its thread.
///
/// # Examples
///
/// ```
/// use tower_bearer::keys::{FetchError, FetchedKeys, KeySource};
/// use tower_bearer::{Issuer, ResourceServer};
///
/// struct File(std::path::PathBuf);
///
/// impl KeySource for File {
///     async fn fetch(&self) -> Result<FetchedKeys, FetchError> {
///         let document = tokio::fs::read(&self.0).await.map_err(FetchError::new)?;
///         Ok(FetchedKeys::new(document))
///     }
/// }
///
/// let server = ResourceServer::new("https://api.example.com")
///     .trust((Issuer::new("https://id.example.com/"), File("/etc/keys/jwks.json".into())))
///     .build();
/// # assert!(server.is_ok());
/// ```
pub trait KeySource: Send + Sync + 'static {
    /// Fetches the key set as it is now.
    ///
    /// # Errors
    ///
    /// If it cannot be had; the keys that are known stay in use meanwhile.
    fn fetch(&self) -> impl Future<Output = Result<FetchedKeys, FetchError>> + Send;
}

/// A [`KeySource`] of a type that is not known, or the crate's own, which knows more.
pub(crate) trait DynKeySource: Send + Sync + 'static {
    /// Fetches the key set, or learns that it is still the one with this validator. Each request
    /// may take so long.
    fn fetch(&self, known: Option<Validator>, within: Duration) -> Fetching<'_>;

    /// Returns what there is to say to a source that brings no list of all keys, but those that
    /// were wanted.
    fn by_kid(&self) -> Option<&dyn ByKid> {
        None
    }
}

/// A source that brings keys by their names.
pub(crate) trait ByKid {
    /// Asks for the key of this name with the next fetch.
    fn want(&self, kid: Guid);

    /// Tells whether the key of this name was looked for a moment ago and was not there.
    fn is_absent(&self, kid: Guid, now: Instant) -> bool;

    /// Goes on with the keys of a set that was saved.
    fn adopt(&self, document: &[u8]);
}

/// The name of a key that is fetched by its name, as a part of an address. As a number it can be
/// nothing else, whatever the token says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Guid(u128);

impl Guid {
    pub(crate) fn parse(kid: &str) -> Option<Self> {
        let hex = Some(kid).filter(|kid| is_guid(kid))?.replace('-', "");
        u128::from_str_radix(&hex, 16).ok().map(Self)
    }
}

impl fmt::Display for Guid {
    /// Writes it as it was read (RFC 9562 §4).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number) = self;
        let group = |shift: u32| number.checked_shr(shift).unwrap_or_default() & 0xffff;
        let (first, last) = (number >> 96, number & 0xffff_ffff_ffff);
        write!(f, "{first:08x}-{:04x}-{:04x}-{:04x}-{last:012x}", group(80), group(64), group(48))
    }
}

pub(crate) type Fetching<'s> = Pin<Box<dyn Future<Output = Result<Fetched, FetchError>> + Send + 's>>;

/// By what a document can be recognised at its address (RFC 9110 §8.8.3).
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "http-client"), expect(dead_code, reason = "only the HTTP source knows one"))]
pub(crate) struct Validator {
    pub(crate) address: Box<str>,
    pub(crate) etag: HeaderValue,
    pub(crate) max_age: Option<Duration>,
}

/// What a source brings.
pub(crate) enum Fetched {
    Document(FetchedKeys, Option<Validator>),
    #[cfg_attr(not(feature = "http-client"), expect(dead_code, reason = "only the HTTP source can tell"))]
    Unchanged {
        max_age: Option<Duration>,
    },
}

impl<S: KeySource> DynKeySource for S {
    fn fetch(&self, _: Option<Validator>, _: Duration) -> Fetching<'_> {
        Box::pin(async { Ok(Fetched::Document(KeySource::fetch(self).await?, None)) })
    }
}

/// A fetched JWK Set.
#[derive(Clone, Debug)]
pub struct FetchedKeys {
    pub(crate) document: Vec<u8>,
    pub(crate) max_age: Option<Duration>,
}

impl FetchedKeys {
    /// Takes the JSON text of a JWK Set (RFC 7517 §5).
    pub fn new(document: impl Into<Vec<u8>>) -> Self {
        Self { document: document.into(), max_age: None }
    }

    /// Says for how long the source calls the set fresh; it is clamped to between 1 minute and 24
    /// hours, and is 10 minutes if nothing is said.
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }
}

/// Why a key set could not be fetched, or a [resolver](crate::trust::IssuerResolver) could not
/// decide.
///
/// Those of the crate's own sources hold nothing of what a server sent but its status and, of
/// issuers that are configured, the media type, the coding, and the `issuer` of its metadata: each
/// only if it is short and of visible characters.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct FetchError(Box<dyn std::error::Error + Send + Sync>);

impl FetchError {
    /// Wraps the cause, whose text it takes.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }

    #[cfg(feature = "http-client")]
    pub(crate) fn caused(
        message: impl Into<String>,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self(Box::new(Caused { message: message.into(), cause: cause.into() }))
    }

    pub(crate) fn message(message: impl Into<String>) -> Self {
        Self(message.into().into())
    }

    /// Of an answer that is longer than is permitted.
    #[cfg(feature = "http-client")]
    pub(crate) fn too_long(message: String) -> Self {
        Self(Box::new(TooLong(message)))
    }

    /// Tells whether there was an answer, which was too long.
    #[cfg(feature = "introspection")]
    pub(crate) fn is_too_long(&self) -> bool {
        self.0.is::<TooLong>()
    }

    /// Returns the message followed by those of all causes.
    pub(crate) fn report(&self) -> String {
        let mut report = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            report.push_str(": ");
            report.push_str(&error.to_string());
            cause = error.source();
        }
        report
    }
}

/// An answer was longer than is permitted.
#[cfg(feature = "http-client")]
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct TooLong(String);

/// What was tried, and why it failed.
#[cfg(feature = "http-client")]
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Caused {
    message: String,
    #[source]
    cause: Box<dyn std::error::Error + Send + Sync>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_is_written_as_it_was_read_and_nothing_else_is_one() {
        for guid in [
            "12345678-1234-1234-1234-123456789012",
            "abb8289f-e3a4-4a34-9472-c2105e2b2482",
            "00000000-0000-0000-0000-000000000000",
            "0fffffff-0001-0020-0300-00000000000f",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ] {
            assert_eq!(Guid::parse(guid).unwrap().to_string(), guid);
        }
        for other in [
            "",
            "es256-1",
            "12345678123412341234123456789012",
            "12345678-1234-1234-1234-12345678901",
            "12345678-1234-1234-1234-1234567890123",
            "ABB8289F-E3A4-4A34-9472-C2105E2B2482",
            "12345678-1234-1234-1234-12345678901/",
            "12345678-1234-1234-+234-123456789012",
            "../45678-1234-1234-1234-123456789012",
            "1234567%-1234-1234-1234-123456789012",
            "１2345678-1234-1234-1234-123456789012",
        ] {
            assert_eq!(Guid::parse(other), None, "{other}");
        }
    }
}
