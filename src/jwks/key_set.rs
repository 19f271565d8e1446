//! A set of keys: which of them may have signed this token?

pub(super) mod document;
pub(super) mod jwk;
pub(super) mod pem;
#[cfg(feature = "dpop")]
pub(super) mod presented;
pub(super) mod static_keys;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use foldhash::quality::RandomState;
use serde::Serialize;

use self::document::NotAKeySet;
use self::jwk::{Jwk, SkipReason, SkippedKey};
use crate::crypto::{SignatureVerified, VerifyingKey};
use crate::error::{Error, ErrorKind};
use crate::issuer::Template;
use crate::jose::{Algorithm, Header, SignatureBuffer, Signed};

/// Keys beyond this many in a set are skipped. The largest real sets have some 20.
pub(super) const MAX_KEYS: usize = 256;

/// At most this many keys of a fetched set are tried for a token, the first of the set, so that
/// neither the token nor the issuer chooses what it costs. Real sets with more keys name them.
const MAX_TRIED: usize = 4;

/// And this many of a set that is configured, such as a list of the keys of a group's members: the
/// operator has chosen what a forged token costs.
pub(super) const MAX_TRIED_CONFIGURED: usize = 64;

/// Of skipped keys, so many are named in an error.
const MAX_NAMED: usize = 4;

const OTHER_ISSUER: &str = "the key of this kid is only for the tokens of another issuer, by its member issuer";

/// The usable keys of a set, and the names and faults of the others.
#[derive(Clone, Default)]
pub(crate) struct KeySet {
    pub(super) keys: Vec<Jwk>,
    /// Under a fast hash, since no token can add to it.
    by_kid: HashMap<Box<str>, Vec<usize>, RandomState>,
    pub(super) skipped: Vec<SkippedKey>,
    /// For a key that was configured by hand without a name: it answers to every `kid`.
    answers_any_kid: bool,
    /// Whether the operator has chosen the keys, and so what a token may cost.
    configured: bool,
}

/// Which keys of a set are for a token.
enum Selection<I> {
    /// One of these must verify the signature. Only the first [`max_tried`](KeySet::max_tried) may
    /// be tried.
    Candidates(I),
    /// The key exists, but is not for the token's algorithm.
    OtherAlgorithm,
    /// The key exists, but only for the tokens of another issuer.
    OtherIssuer,
    /// There is no such key, or without `kid` none for the algorithm; see
    /// [`why_unknown`](KeySet::why_unknown).
    Unknown,
}

impl KeySet {
    /// Reads a JWK Set (RFC 7517 §5) key by key; one that cannot be used never harms the others.
    ///
    /// Keys that a `former` set has had too stay the same.
    pub(crate) fn parse(document: &[u8], former: Option<&Self>) -> Result<Self, NotAKeySet> {
        let mut set = Self::default();
        for (index, jwk) in document::keys(document)?.into_iter().enumerate() {
            if index == MAX_KEYS {
                set.skipped.push(SkippedKey { index, kid: None, reason: SkipReason::TooMany });
                break;
            }
            match Jwk::parse(jwk, former.into_iter().flat_map(|set| &set.keys)) {
                Ok(key) => set.add(key),
                Err(reason) => set.skipped.push(SkippedKey { index, kid: jwk::kid(jwk), reason }),
            }
        }
        Ok(set)
    }

    /// Lets more keys be tried for a token, since the operator has chosen them.
    pub(crate) fn configured(self) -> Self {
        Self { configured: true, ..self }
    }

    /// Makes a set of one key that answers to every `kid` if it has none itself.
    pub(crate) fn of(key: Jwk) -> Self {
        let mut set = Self { answers_any_kid: key.kid.is_none(), ..Self::default() };
        set.add(key);
        set
    }

    pub(crate) fn add(&mut self, key: Jwk) {
        if let Some(kid) = &key.kid {
            self.by_kid.entry(kid.clone()).or_default().push(self.keys.len());
        }
        self.keys.push(key);
    }

    /// Verifies a token's signature, and returns the evidence and the key that gave it.
    ///
    /// `UnknownKey` means that newer keys may help; `BadSignature` and `UnsupportedAlgorithm`, that
    /// they may if a key was replaced under its name.
    pub(crate) fn verify<'k>(
        &'k self,
        header: Header<'_>,
        signed: Signed<'_>,
        issuer: &Arc<str>,
    ) -> Result<(SignatureVerified, &'k Arc<VerifyingKey>), Error> {
        let fail = |kind, detail: Cow<'static, str>| Err(Error::new(kind, detail).at(issuer).for_key(header.kid()));
        // AD FS names a key by the thumbprint of its certificate alone, which is the key's `kid`,
        // too
        let name = header.kid().or_else(|| header.x5t().filter(|x5t| self.has(x5t)));
        let mut candidates = match self.select(name, header.algorithm, issuer) {
            Selection::Candidates(candidates) => candidates,
            Selection::OtherAlgorithm => {
                return fail(ErrorKind::UnsupportedAlgorithm, "the key of this kid is for another algorithm".into());
            }
            Selection::OtherIssuer => return fail(ErrorKind::UnknownKey, OTHER_ISSUER.into()),
            Selection::Unknown => return fail(ErrorKind::UnknownKey, self.why_unknown(header.kid())),
        };
        let mut buffer: SignatureBuffer = [0; size_of::<SignatureBuffer>()];
        let signature = signed.signature(&mut buffer)?;
        let message = signed.message();
        let verified = |key: &'k Arc<VerifyingKey>| Some((key.verify(message, signature)?, key));
        match candidates.by_ref().take(self.max_tried()).find_map(verified) {
            Some(verified) => Ok(verified),
            // the key may be among those that were not tried, so nobody knows whether the signature
            // is bad
            None if candidates.next().is_some() => {
                let max = self.max_tried();
                let detail = format!(
                    "none of the first {max} keys that fit verifies it, and no more are tried; the issuer should name each key by a kid of its own"
                );
                fail(ErrorKind::UnknownKey, detail.into())
            }
            None => fail(ErrorKind::BadSignature, "no key that the token may be signed with verifies it".into()),
        }
    }

    /// Finds the keys that may have signed a token with this header.
    ///
    /// A `kid` is compared exactly, and one that is not there never falls back to other keys. Keys
    /// may share a `kid` if they are of different types (RFC 7517 §4.5). A key with an `issuer` of
    /// its own is only for that one's tokens.
    fn select<'s, 'i>(
        &'s self,
        kid: Option<&str>,
        algorithm: Algorithm,
        issuer: &'i str,
    ) -> Selection<impl Iterator<Item = &'s Arc<VerifyingKey>> + use<'s, 'i>> {
        let mut named = self.named(kid).peekable();
        let is_there = kid.is_some() && named.peek().is_some();
        let mut keys = named.filter(move |key| is_for(key, issuer)).peekable();
        let is_ours = keys.peek().is_some();
        let prepared = keys.flat_map(|key| &key.prepared);
        let mut candidates = prepared.filter(move |key| key.algorithm == algorithm).peekable();
        if candidates.peek().is_some() {
            Selection::Candidates(candidates)
        } else if !is_there {
            Selection::Unknown
        } else if is_ours {
            Selection::OtherAlgorithm
        } else {
            Selection::OtherIssuer
        }
    }

    /// Tells whether a key has this name.
    fn has(&self, kid: &str) -> bool {
        self.by_kid.contains_key(kid)
    }

    /// Returns the keys of this name; all of them for a token that names none.
    fn named<'s>(&'s self, kid: Option<&str>) -> impl Iterator<Item = &'s Jwk> + use<'s> {
        let named = kid.filter(|_| !self.answers_any_kid);
        let indices = named.map(|kid| self.by_kid.get(kid).map(Vec::as_slice).unwrap_or_default());
        let all = if indices.is_none() { self.keys.as_slice() } else { &[] };
        all.iter().chain(indices.unwrap_or_default().iter().filter_map(|index| self.keys.get(*index)))
    }

    /// Tells whether the set has more keys than are looked at.
    pub(super) fn is_cut_off(&self) -> bool {
        self.skipped.last().is_some_and(|key| key.reason == SkipReason::TooMany)
    }

    /// Returns how many keys may be tried for a token.
    fn max_tried(&self) -> usize {
        if self.configured { MAX_TRIED_CONFIGURED } else { MAX_TRIED }
    }

    /// Returns how many keys would have to be tried at most for a token that one of them has
    /// signed, and names as far as it has a name.
    pub(super) fn most_candidates(&self) -> usize {
        let candidates = |jwk: &Jwk, algorithm| {
            let prepared = self.named(jwk.kid.as_deref()).flat_map(|key| &key.prepared);
            prepared.filter(|key| key.algorithm == algorithm).count()
        };
        let each = self.keys.iter().flat_map(|jwk| jwk.prepared.iter().map(move |key| candidates(jwk, key.algorithm)));
        each.max().unwrap_or_default()
    }

    /// Says why there is no key for a token: perhaps it is there, but not used.
    fn why_unknown(&self, kid: Option<&str>) -> Cow<'static, str> {
        let Some(kid) = kid else {
            let unused = self.unused();
            return format!("the token has no kid, and no key of the issuer fits its algorithm{unused}").into();
        };
        if let Some(key) = self.skipped.iter().find(|key| key.kid.as_deref() == Some(kid)) {
            return format!("the issuer's set has the key of this kid, but it is not used: {}", key.reason).into();
        }
        if self.is_cut_off() {
            return "the issuer's set has no key of this kid among its first 256; those behind are not looked at"
                .into();
        }
        if self.keys.iter().any(|key| key.kid.is_none()) {
            return "the issuer's set has no key of this kid; its keys without kid are for tokens without kid".into();
        }
        "the issuer's set has no key of this kid".into()
    }

    /// Tells whether this very key is in the set, in whatever place; another of the same name is
    /// not it.
    pub(crate) fn contains(&self, key: &Arc<VerifyingKey>) -> bool {
        self.keys.iter().flat_map(|jwk| &jwk.prepared).any(|prepared| Arc::ptr_eq(prepared, key))
    }

    /// Says of the first few keys why they are not used, without a name that somebody else has
    /// chosen.
    pub(super) fn unused(&self) -> String {
        let named = self.skipped.iter().take(MAX_NAMED);
        let mut unused: String = named.map(|key| format!("; key {} is not used: {}", key.index, key.reason)).collect();
        if let more @ 1.. = self.skipped.len().saturating_sub(MAX_NAMED) {
            unused.push_str(&format!("; nor are {more} more"));
        }
        unused
    }

    /// Returns what an operator may know of the usable keys.
    pub(crate) fn status(&self) -> Vec<UsableKey> {
        let status = |key: &Jwk| UsableKey {
            kid: key.kid.clone(),
            algorithms: key.prepared.iter().map(|key| key.algorithm).collect(),
        };
        self.keys.iter().map(status).collect()
    }
}

/// Tells whether the key may verify this issuer's tokens.
fn is_for(key: &Jwk, issuer: &str) -> bool {
    key.issuer.as_deref().is_none_or(|own| match Template::parse(own) {
        Some(template) => template.tenant(issuer).is_some(),
        None => own == issuer,
    })
}

/// A key that is in use.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct UsableKey {
    /// The key's name.
    pub kid: Option<Box<str>>,
    /// The algorithms that it is for; the issuer's policy may allow fewer.
    pub algorithms: Vec<Algorithm>,
}
