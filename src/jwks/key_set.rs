//! A set of keys: which of them may have signed this token?

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use foldhash::quality::RandomState;
use serde::Serialize;
use serde_json::Value;

use super::jwk::{Jwk, SkipReason};
use crate::crypto::VerifyingKey;
use crate::jose::Algorithm;

/// Documents may be this long, wherever they come from; real ones have 1 to 20 KiB.
pub(super) const MAX_DOCUMENT_LEN: usize = 512 * 1024;

/// Keys beyond this many in a set are skipped. The largest real sets have some 20.
const MAX_KEYS: usize = 256;

/// At most this many keys are tried for a token, the first of the set, so that it cannot choose its cost.
const MAX_CANDIDATES: usize = 4;

/// The usable keys of a set, and the names and faults of the others.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeySet {
    keys: Vec<Jwk>,
    /// Under a fast hash, since no token can add to it.
    by_kid: HashMap<Box<str>, Vec<usize>, RandomState>,
    skipped: Vec<SkippedKey>,
    /// For a key that was configured by hand without a name: it answers to every `kid`.
    answers_any_kid: bool,
}

/// What a key set says to a token.
pub(crate) enum Answer<I> {
    /// One of these, at most four, must verify the signature.
    Candidates(I),
    /// The key exists, but is not for the token's algorithm.
    OtherAlgorithm,
    /// There is no such key, or without `kid` none for the algorithm.
    Unknown,
}

impl KeySet {
    /// Reads a JWK Set (RFC 7517 §5) key by key; one that cannot be used never harms the others.
    ///
    /// Keys that a `former` set has had too stay the same. `None` if the document is not a JWK Set at all, or longer than 512 KiB.
    pub(crate) fn parse(document: &[u8], former: Option<&Self>) -> Option<Self> {
        let document = Some(document).filter(|document| document.len() <= MAX_DOCUMENT_LEN)?;
        let document: Value = serde_json::from_slice(document).ok()?;
        let mut set = Self::default();
        for (index, jwk) in document.get("keys")?.as_array()?.iter().enumerate() {
            if index == MAX_KEYS {
                set.skipped.push(SkippedKey { index, kid: None, reason: SkipReason::TooMany });
                break;
            }
            match Jwk::parse(jwk, former) {
                Ok(key) => set.add(key),
                Err(reason) => {
                    let kid = jwk.get("kid").and_then(Value::as_str).map(Into::into);
                    set.skipped.push(SkippedKey { index, kid, reason });
                }
            }
        }
        Some(set)
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

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Finds the keys that may have signed a token with this header.
    ///
    /// A `kid` is compared exactly, and one that is not there never falls back to other keys. Keys may share a `kid`
    /// if they are of different types (RFC 7517 §4.5). A key with an `issuer` of its own is only for that one's tokens.
    pub(crate) fn answer<'s, 'i>(
        &'s self,
        kid: Option<&str>,
        algorithm: Algorithm,
        issuer: &'i str,
    ) -> Answer<impl Iterator<Item = &'s Arc<VerifyingKey>> + use<'s, 'i>> {
        let named = kid.filter(|_| !self.answers_any_kid);
        let indices = named.map(|kid| self.by_kid.get(kid).map(Vec::as_slice).unwrap_or_default());
        let all = if indices.is_none() { self.keys.as_slice() } else { &[] };
        let some = indices.unwrap_or_default().iter().filter_map(|index| self.keys.get(*index));
        let mut keys = all.iter().chain(some).filter(move |key| key.is_for(issuer)).peekable();
        let is_there = kid.is_some() && keys.peek().is_some();
        let prepared = keys.flat_map(|key| &key.prepared);
        let mut candidates = prepared.filter(move |key| key.algorithm() == algorithm).take(MAX_CANDIDATES).peekable();
        if candidates.peek().is_some() {
            Answer::Candidates(candidates)
        } else if is_there {
            Answer::OtherAlgorithm
        } else {
            Answer::Unknown
        }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Jwk> {
        self.keys.iter()
    }

    /// Tells whether this very key is in the set, in whatever place; another of the same name is not it.
    pub(crate) fn contains(&self, key: &Arc<VerifyingKey>) -> bool {
        self.keys.iter().flat_map(|jwk| &jwk.prepared).any(|prepared| Arc::ptr_eq(prepared, key))
    }

    pub(crate) fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }

    /// Returns what an operator may know of the usable keys.
    pub(crate) fn status(&self) -> Vec<KeyStatus> {
        let status = |key: &Jwk| KeyStatus {
            kid: key.kid.clone(),
            algorithms: key.prepared.iter().map(|key| key.algorithm()).collect(),
        };
        self.keys.iter().map(status).collect()
    }
}

/// A key that is in use.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct KeyStatus {
    /// The key's name.
    pub kid: Option<Box<str>>,
    /// The algorithms that it is for; the issuer's policy may allow fewer.
    pub algorithms: Vec<Algorithm>,
}

/// A key of a set that is not used, and why.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct SkippedKey {
    /// Its place in the set, from 0.
    pub index: usize,
    /// The key's name, if it has one that can be read.
    pub kid: Option<Box<str>>,
    /// Why it is not used.
    pub reason: SkipReason,
}

impl fmt::Display for SkippedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {} ({:?}): {}", self.index, self.kid.as_deref().unwrap_or("no kid"), self.reason)
    }
}
