//! Makes nonces, and knows its own.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use base64_simd::{Out, URL_SAFE_NO_PAD};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::{LIVES, MIN_SECRET, Nonces, Origin};
use crate::clock::{Moment, UnixTime, after};
use crate::crypto::MacKey;
use crate::jose::encode_base64url;
use crate::secret::Secret;
use crate::trace::event;

/// The clocks of replicas may differ by so much.
const SKEW: Duration = Duration::from_secs(30);

/// How often a secret is read that can change.
const READ_EVERY: Duration = Duration::from_secs(60);

/// What the code is for: the same secret may serve another purpose, too.
const PURPOSE: &[u8] = b"tower-bearer: DPoP nonce, version 1";

/// A time in seconds, then the first half of the code; and how long that is as text.
const TIME: usize = 5;
const CODE: usize = 16;
const TEXT: usize = 28;

/// A nonce that was made here, or at another replica, for this token, and has not expired.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct GoodNonce {
    /// Whether the response is to have another one.
    pub(crate) renew: bool,
    /// Until when it is good. Whoever uses it once, must not use the same proof again before.
    pub(crate) until: UnixTime,
}

/// Makes nonces, and knows its own.
#[derive(Clone)]
pub(crate) struct Mint(Arc<Inner>);

struct Inner {
    nonces: Nonces,
    keys: ArcSwap<Keys>,
    /// Whether a secret may change.
    changes: bool,
    born: Instant,
    /// When to read the secrets again, in milliseconds since `born`.
    read_again: AtomicU64,
}

struct Keys {
    current: Key,
    also_accepted: Vec<Key>,
    /// What was the current one, and until when its nonces are good.
    former: Option<(Key, Instant)>,
}

#[derive(Clone)]
struct Key {
    secret: Arc<[u8]>,
    mac: Arc<MacKey>,
}

impl Nonces {
    /// Reads the secrets; this may block. The error is for who sets up the service: which setting
    /// is wrong, and how.
    pub(crate) fn prepare(&self) -> Result<Mint, (&'static str, String)> {
        if self.life < LIVES.0 || self.life > LIVES.1 {
            let wrong = format!("a nonce's life is {:?}; choose one from 1 minute to 1 hour", self.life);
            return Err(("life", wrong));
        }
        let keys = self.read()?;
        let shared = match &self.origin {
            Origin::Shared(secret) => Some(secret),
            Origin::Local(_) => None,
        };
        let changes = shared.into_iter().chain(&self.also_accepted).any(|secret| !secret.is_at_hand());
        let read_again = AtomicU64::new(millis(READ_EVERY));
        let keys = ArcSwap::from_pointee(keys);
        Ok(Mint(Arc::new(Inner { nonces: self.clone(), keys, changes, born: Instant::now(), read_again })))
    }

    fn read(&self) -> Result<Keys, (&'static str, String)> {
        let current = match &self.origin {
            Origin::Shared(secret) => Key::read(secret).map_err(|why| ("shared", why))?,
            Origin::Local(secret) => secret
                .as_ref()
                .and_then(|secret| Key::new(&**secret))
                .ok_or_else(|| ("local", "the system has no random bytes".to_owned()))?,
        };
        let also_accepted = self.also_accepted.iter().map(Key::read).collect::<Result<_, _>>();
        Ok(Keys { current, also_accepted: also_accepted.map_err(|why| ("also_accept", why))?, former: None })
    }
}

impl Key {
    fn new(secret: &[u8]) -> Option<Self> {
        Some(Self { secret: secret.into(), mac: Arc::new(MacKey::new(secret)?) })
    }

    fn read(secret: &Secret) -> Result<Self, String> {
        let text = secret.read().map_err(|why| format!("the secret of nonces cannot be had: {why}"))?;
        if text.len() < MIN_SECRET {
            let len = text.len();
            return Err(format!(
                "the secret of nonces has {len} bytes, and needs {MIN_SECRET}; `openssl rand -base64 48` makes one"
            ));
        }
        Self::new(text.as_bytes()).ok_or_else(|| "the secret of nonces cannot be used".to_owned())
    }
}

impl Mint {
    pub(crate) fn is_required(&self) -> bool {
        self.0.nonces.is_required()
    }

    /// Makes a nonce for the token of which this is the hash.
    pub(crate) fn issue(&self, token_hash: &[u8; 32], now: Moment) -> String {
        self.read_in_time(now.instant);
        let time = to_bytes(now.wall);
        let code = self.0.keys.load().current.mac.sign(&[PURPOSE, &time, token_hash]);
        let mut nonce = [0; TIME + CODE];
        nonce.iter_mut().zip(time.iter().chain(&code)).for_each(|(to, from)| *to = *from);
        encode_base64url(&nonce)
    }

    /// Tells whether the nonce is good for the token of which this is the hash; the error says why
    /// not.
    pub(crate) fn check(&self, nonce: &[u8], token_hash: &[u8; 32], now: Moment) -> Result<GoodNonce, &'static str> {
        const FOREIGN: &str = "the nonce is not one of this service for this token";

        self.read_in_time(now.instant);
        let mut bytes = [0; TIME + CODE];
        if nonce.len() != TEXT || URL_SAFE_NO_PAD.decode(nonce, Out::from_slice(&mut bytes)).is_err() {
            return Err(FOREIGN);
        }
        let (time, code) = bytes.split_at_checked(TIME).ok_or(FOREIGN)?;
        let issued = UnixTime(Duration::from_secs(time.iter().fold(0, |time, byte| time << 8 | u64::from(*byte))));
        let parts = [PURPOSE, time, token_hash];
        if !self.0.keys.load().in_use(now.instant).any(|key| key.mac.knows(&parts, code)) {
            return Err(FOREIGN);
        }
        let life = self.0.nonces.life;
        let until = UnixTime(issued.0.saturating_add(life));
        if until <= now.wall {
            return Err("the nonce has expired");
        }
        if issued.ahead(now.wall).is_some_and(|ahead| ahead > SKEW) {
            return Err("the nonce was made in the future: the clocks of the replicas differ by more than 30 s");
        }
        let renew = issued.passed(now.wall).is_some_and(|age| age.saturating_mul(2) >= life);
        Ok(GoodNonce { renew, until })
    }

    /// Lets the secrets be read once more, by a thread that may block, if it is time.
    fn read_in_time(&self, now: Instant) {
        if !self.0.changes {
            return;
        }
        let since = millis(now.saturating_duration_since(self.0.born));
        let due = self.0.read_again.load(Ordering::Relaxed);
        let next = since.saturating_add(millis(READ_EVERY));
        let wins = || self.0.read_again.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if since >= due
            && wins()
            && let Ok(runtime) = Handle::try_current()
        {
            let inner = Arc::clone(&self.0);
            drop(runtime.spawn_blocking(move || inner.read_once_more(now)));
        }
    }
}

impl Inner {
    fn read_once_more(&self, now: Instant) {
        let mut keys = match self.nonces.read() {
            Ok(keys) => keys,
            Err((_, why)) => {
                event!(warn, "the secret of DPoP nonces cannot be read, and the former one stays", reason = why);
                return;
            }
        };
        let held = self.keys.load();
        keys.former = if held.current.secret == keys.current.secret {
            held.former.clone()
        } else {
            event!(info, "the secret of DPoP nonces has changed");
            Some((held.current.clone(), after(now, self.nonces.life)))
        };
        self.keys.store(Arc::new(keys));
    }
}

impl Keys {
    fn in_use(&self, now: Instant) -> impl Iterator<Item = &Key> {
        let former = self.former.iter().filter(move |(_, until)| now < *until).map(|(key, _)| key);
        [&self.current].into_iter().chain(&self.also_accepted).chain(former)
    }
}

/// Whole seconds, without the bytes that are zero for the next 30,000 years.
fn to_bytes(time: UnixTime) -> [u8; TIME] {
    let [_, _, _, bytes @ ..] = time.0.as_secs().to_be_bytes();
    bytes
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Debug for Mint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.nonces.fmt(f)
    }
}
