//! The token of a caller, as it was sent.

use std::fmt;

use http::{Extensions, HeaderValue};

use crate::access_token::AccessToken;
use crate::error::{Error, ErrorKind};

/// The text of a token that was verified, to be passed on.
///
/// It stands in the request's extensions behind a layer that is
/// [`relayable`](crate::BearerAuthLayer::relayable), where the caller is not anonymous; in axum it
/// is an extractor. `Debug` does not show it.
///
/// One that is bound to its sender (DPoP, mutual TLS) can be exchanged, and is of no use to the
/// other service by itself: the sender's proof was for this one. A
/// [`RelayLayer`](super::RelayLayer) does not pass it on.
#[derive(Clone)]
pub struct CallerToken {
    /// What `Authorization` says.
    pub(super) value: HeaderValue,
    /// Which [`AccessToken`] it is the text of.
    of: usize,
    /// Whether it is of no use without what its sender has proven to have.
    pub(super) bound: bool,
}

impl CallerToken {
    /// Keeps a token.
    pub(crate) fn new(token: &[u8]) -> Option<Self> {
        let mut value = HeaderValue::from_bytes(&[b"Bearer ", token].concat()).ok()?;
        value.set_sensitive(true);
        Some(Self { value, of: 0, bound: false })
    }

    /// Puts it into a request's extensions, beside the token that has come of it.
    pub(crate) fn enter<C: ?Sized>(self, token: &AccessToken<C>, extensions: &mut Extensions) {
        extensions.insert(Self { of: token.identity(), bound: token.is_bound(), ..self });
    }

    /// Takes the token from a request's extensions, where the layer puts it.
    ///
    /// # Errors
    ///
    /// As [`AccessToken::from_extensions`]; and [`ErrorKind::LayerMissing`] if the layer is not
    /// [`relayable`](crate::BearerAuthLayer::relayable).
    pub fn from_extensions(extensions: &Extensions) -> Result<&Self, Error> {
        let token: &AccessToken = AccessToken::from_extensions(extensions)?;
        let detail = "the layer in front of this handler keeps no text of tokens; add .relayable() to it";
        // with layers one inside the other, it may be an outer one's
        let own = extensions.get().filter(|caller: &&Self| caller.is_of(token));
        own.ok_or_else(|| Error::new(ErrorKind::LayerMissing, detail))
    }

    /// Tells whether it is the text of this token.
    pub(super) fn is_of(&self, token: &AccessToken) -> bool {
        self.of == token.identity()
    }

    /// Returns the token's text, for a request that has it elsewhere than in `Authorization`: the
    /// `subject_token` of a token exchange (RFC 8693 §2.1).
    ///
    /// # Security
    ///
    /// Whoever reads it is the caller until it expires. Never log it.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        // the layer has read nothing but ASCII
        self.value.to_str().ok().and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default()
    }
}

impl fmt::Debug for CallerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallerToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_text_is_had_on_request_and_shown_to_nobody_else() {
        let caller = CallerToken::new(b"a.b.c").unwrap();
        assert_eq!((caller.expose_secret(), &*format!("{caller:?}")), ("a.b.c", "CallerToken(…)"));
    }
}
