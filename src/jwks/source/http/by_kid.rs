//! Keys that have an address each, by their `kid`: those of Amazon's application load balancers.
//!
//! Nobody publishes a list of them, so that a key is asked for when a token names it, by a permit
//! as for every unknown `kid`. It is then kept beside those that were asked for before; together
//! they are the set.

#[cfg(test)]
mod tests;

use std::sync::Mutex;
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;
use url::Url;

use super::address::shown;
use super::client::HttpAccess;
use crate::crypto::Material;
use crate::jose::{Curve, encode_base64url};
use crate::jwks::key_set::document::{self, NotJson};
use crate::jwks::key_set::{jwk, pem};
use crate::jwks::source::{ByKid, DynKeySource, FetchError, Fetched, FetchedKeys, Fetching, Guid, Validator};
use crate::sync::lock;

/// So many keys are kept, the newest. A load balancer signs with one at a time.
const MAX_KEPT: usize = 8;
/// So many names are remembered that lead to no key: more than two fetches in 30 s can add in the
/// time for which it counts.
const MAX_MISSED: usize = 4;
/// For so long after it was looked for, a key that is not there is absent.
const MISSED: Duration = Duration::from_secs(5);
/// For so long the set is fresh. A key never changes under its name, but can be withdrawn.
const TTL: Duration = Duration::from_secs(60 * 60);
/// A key is not asked for again for the sake of another before it is so old.
const AGAIN: Duration = Duration::from_secs(30 * 60);

/// Fetches keys by their names, from below one address.
pub(crate) struct KeysByKid {
    access: HttpAccess,
    base: Box<str>,
    known: Mutex<KnownKeys>,
}

#[derive(Default)]
struct KnownKeys {
    /// The name for whose sake a fetch was ordered.
    wanted: Option<Guid>,
    /// From the oldest to the newest.
    kept: Vec<KnownKey>,
    missed: Vec<(Guid, Instant)>,
}

struct KnownKey {
    kid: Guid,
    /// As an element of a JWK Set.
    jwk: Box<str>,
    /// When it was last asked for here.
    asked: Option<Instant>,
}

impl KeysByKid {
    /// Checks the address; the error says what is wrong with it.
    pub(crate) fn new(access: HttpAccess, address: &str) -> Result<Self, &'static str> {
        let url = access.checked(address, true)?;
        if url.query().is_some() || address.contains('#') {
            return Err("the kid is put behind the address of the keys, which must have neither query nor fragment");
        }
        Ok(Self { access, base: url.as_str().trim_end_matches('/').into(), known: Mutex::default() })
    }

    /// Asks for the key that is wanted, and for those in hand that were not asked for of late; for
    /// all in hand if none is wanted.
    async fn fetch(&self, within: Duration) -> Result<Fetched, FetchError> {
        let (wanted, due) = lock(&self.known).due(Instant::now());
        if let Some(kid) = wanted {
            let jwk = self.ask(kid, within).await?;
            lock(&self.known).answered(kid, jwk, Instant::now());
        }
        let mut gone = Vec::new();
        for kid in due {
            match self.ask(kid, within).await? {
                Some(jwk) => lock(&self.known).answered(kid, Some(jwk), Instant::now()),
                None => gone.push(kid),
            }
        }
        let mut known = lock(&self.known);
        if !gone.is_empty() && known.kept.iter().all(|key| gone.contains(&key.kid)) {
            // perhaps something in between refuses everything: the keys in hand are better than
            // none
            let base = &self.base;
            return Err(FetchError::message(format!("none of the keys in hand is there any more, below {base}")));
        }
        known.kept.retain(|key| !gone.contains(&key.kid));
        let keys: Vec<&str> = known.kept.iter().map(|key| &*key.jwk).collect();
        let document = format!("{{\"keys\":[{}]}}", keys.join(",")).into_bytes();
        Ok(Fetched::Document(FetchedKeys::new(document).max_age(TTL), None))
    }

    /// Asks for one key. There is none if the answer is 404, 410, or 403, which is what a bucket
    /// says that does not tell what it has.
    async fn ask(&self, kid: Guid, within: Duration) -> Result<Option<Box<str>>, FetchError> {
        let url = Url::parse(&format!("{}/{kid}", self.base)).map_err(FetchError::new)?;
        let answer = self.access.client.get(url.clone(), None, within).await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::FORBIDDEN | StatusCode::GONE | StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(FetchError::message(format!("{} answered {status}", shown(&url)))),
        }
        let material = std::str::from_utf8(answer.body()).ok().and_then(pem::parse);
        let Some(Material::Ec { curve: Curve::P256, x, y }) = material else {
            let found = NotJson::of(answer.body()).filter(|found| *found != NotJson::Pem);
            let found = found.map_or("what is no P-256 key in PEM", Into::into);
            return Err(FetchError::message(format!("{} answered with {found}", shown(&url))));
        };
        let (x, y) = (encode_base64url(&x), encode_base64url(&y));
        let jwk = format!(r#"{{"kty":"EC","crv":"P-256","alg":"ES256","kid":"{kid}","x":"{x}","y":"{y}"}}"#);
        Ok(Some(jwk.into()))
    }
}

impl KnownKeys {
    fn due(&mut self, now: Instant) -> (Option<Guid>, Vec<Guid>) {
        let wanted = self.wanted.take();
        let old = |key: &&KnownKey| {
            let asked = key.asked.filter(|_| wanted.is_some());
            wanted != Some(key.kid) && asked.is_none_or(|asked| now.saturating_duration_since(asked) >= AGAIN)
        };
        (wanted, self.kept.iter().filter(old).map(|key| key.kid).collect())
    }

    /// Takes note of an answer.
    fn answered(&mut self, kid: Guid, jwk: Option<Box<str>>, now: Instant) {
        match jwk {
            Some(jwk) => self.keep(KnownKey { kid, jwk, asked: Some(now) }),
            None => push(&mut self.missed, (kid, now), MAX_MISSED),
        }
    }

    /// Keeps a key, in the place that it has already or else as the newest.
    fn keep(&mut self, new: KnownKey) {
        match self.kept.iter_mut().find(|key| key.kid == new.kid) {
            Some(key) => *key = new,
            None => push(&mut self.kept, new, MAX_KEPT),
        }
    }
}

fn push<T>(list: &mut Vec<T>, new: T, max: usize) {
    if list.len() >= max {
        list.remove(0);
    }
    list.push(new);
}

impl DynKeySource for KeysByKid {
    fn fetch(&self, _: Option<Validator>, within: Duration) -> Fetching<'_> {
        Box::pin(self.fetch(within))
    }

    fn by_kid(&self) -> Option<&dyn ByKid> {
        Some(self)
    }
}

impl ByKid for KeysByKid {
    fn want(&self, kid: Guid) {
        lock(&self.known).wanted = Some(kid);
    }

    fn is_absent(&self, kid: Guid, now: Instant) -> bool {
        let known = lock(&self.known);
        known.missed.iter().any(|(missed, when)| *missed == kid && now.saturating_duration_since(*when) < MISSED)
    }

    fn adopt(&self, document: &[u8]) {
        let mut known = lock(&self.known);
        for jwk in document::keys(document).unwrap_or_default() {
            if let Some(kid) = jwk::kid(jwk).and_then(|kid| Guid::parse(&kid)) {
                known.keep(KnownKey { kid, jwk: jwk.get().into(), asked: None });
            }
        }
    }
}
