//! A verified token, before anybody has said yes to a request that it came with.

use std::sync::Arc;

use crate::clock::UnixTime;
use crate::crypto::SignatureVerified;
#[cfg(feature = "dpop")]
use crate::crypto::sha256;
use crate::error::Error;
use crate::issuer::Policy;
use crate::jose::{Json, Value};
use crate::possession::Binding;
#[cfg(feature = "introspection")]
use crate::revocation::unchangeable;
use crate::revocation::{Identity, Revocable, RevocationList};
#[cfg(feature = "introspection")]
use crate::validate::Stated;
use crate::validate::{Claimed, Plausible};

/// What is known of a verified token.
pub(super) struct Inner<C: ?Sized> {
    pub(super) token: Claimed,
    /// By what it can be revoked, if its server has a list.
    pub(super) revocable: Option<Arc<Revocable>>,
    /// The SHA-256 of its text, if its sender must prove to have made a proof for it (RFC 9449 §4.2).
    #[cfg(feature = "dpop")]
    pub(super) text_hash: Option<Box<[u8; 32]>>,
    pub(super) claims: C,
}

/// A token whose claims were checked and whose signature was verified, and not yet a yes: what
/// depends on the request is judged for each one, be the token known or not. So it has none of the
/// accessors, and no way into a request.
pub(crate) struct Verified<C>(pub(super) Arc<Inner<C>>);

impl<C> Verified<C> {
    /// Reads the application's claims, given the evidence that the signature was verified, and by
    /// what the token can be revoked.
    pub(crate) fn new(
        token: Plausible<'_>,
        text: &str,
        verified: SignatureVerified,
        read: fn(&Json) -> Result<C, Error>,
        revocations: Option<&RevocationList>,
    ) -> Result<Self, Error> {
        let signed = token.signed().message();
        Self::read(token.into_claimed(verified), (text, signed), read, revocations)
    }

    /// The same, given what the issuer has said of this token.
    #[cfg(feature = "introspection")]
    pub(crate) fn stated(
        token: Stated,
        text: &str,
        read: fn(&Json) -> Result<C, Error>,
        revocations: Option<&RevocationList>,
    ) -> Result<Self, Error> {
        Self::read(token.into_claimed(), (text, unchangeable(text.as_bytes())), read, revocations)
    }

    fn read(
        token: Claimed,
        (text, unchangeable): (&str, &[u8]),
        read: fn(&Json) -> Result<C, Error>,
        revocations: Option<&RevocationList>,
    ) -> Result<Self, Error> {
        #[cfg(not(feature = "dpop"))]
        let _ = text;
        let claims = read(&token.json).map_err(|error| error.at(&token.policy.issuer))?;
        let revocable = revocations.map(|list| Arc::new(Revocable::new(list, &identity(&token, unchangeable))));
        Ok(Self(Arc::new(Inner {
            #[cfg(feature = "dpop")]
            text_hash: token.binding.bound().map(|_| Box::new(sha256(&[text.as_bytes()]))),
            token,
            revocable,
            claims,
        })))
    }

    pub(crate) fn binding(&self) -> &Binding {
        &self.0.token.binding
    }

    /// Returns the SHA-256 of the token's text; `None` if the token is not bound.
    #[cfg(feature = "dpop")]
    pub(crate) fn text_hash(&self) -> Option<&[u8; 32]> {
        self.0.text_hash.as_deref()
    }

    pub(crate) fn policy(&self) -> &Arc<Policy> {
        &self.0.token.policy
    }

    /// Checks again, of all that was checked, what time can change.
    pub(crate) fn check_times(&self, now: UnixTime) -> Result<(), Error> {
        self.0.token.dates.check(self.policy(), now)
    }

    /// Returns what it takes, in bytes; the application's own claims, which nobody can measure,
    /// twice as much as the payload, if there are any.
    pub(crate) fn weight(&self) -> usize {
        let payload = self.0.token.json.weight();
        let claims = if size_of_val(&self.0.claims) == 0 { 0 } else { payload.saturating_mul(2) };
        let revocable = self.0.revocable.as_ref().map_or(0, |revocable| revocable.weight());
        // what it is bound to, and the hash of its text
        let bound = self.binding().bound().map_or(0, |bound| size_of_val(bound).saturating_add(32));
        let parts = [payload, claims, revocable, bound, size_of_val(&*self.0)];
        parts.into_iter().fold(0, usize::saturating_add)
    }
}

impl<C> Clone for Verified<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Says what a token says about itself. `text` is what of it nobody but its issuer can change.
fn identity<'t>(token: &'t Claimed, text: &'t [u8]) -> Identity<'t> {
    let Claimed { json, policy, dates, .. } = token;
    Identity {
        issuer: &policy.issuer,
        id: string(json, "jti").filter(|id| !id.is_empty()),
        session: session(json),
        subject: subject(json),
        client: client(token),
        text,
        issued: dates.issued,
        expires: dates.expires,
        ends: claim(json, "exp").is_some(),
    }
}

/// Returns a top-level claim; `null` is none.
pub(super) fn claim<'t>(json: &'t Json, name: &str) -> Option<Value<'t>> {
    json.root().get(name).filter(|value| !value.is_null())
}

pub(super) fn string<'t>(json: &'t Json, name: &str) -> Option<&'t str> {
    claim(json, name).and_then(Value::as_str)
}

pub(super) fn subject(json: &Json) -> Option<&str> {
    string(json, "sub").filter(|subject| !subject.is_empty())
}

pub(super) fn session(json: &Json) -> Option<&str> {
    // a name that is no text is none, and must not hide the other
    string(json, "sid").or_else(|| string(json, "session_id"))
}

pub(super) fn client(token: &Claimed) -> Option<&str> {
    let (_, client) = token.policy.terms.client(&token.json)?;
    client.as_str()
}
