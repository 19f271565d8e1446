//! The issuer.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::issued::Issued;
use super::keys::SigningKey;
use super::token::TokenBuilder;
use crate::clock::{Clock, SystemClock};
use crate::issuer::Issuer;
use crate::jose::Algorithm;
use crate::jwks::{FetchError, FetchedKeys, KeySource};
use crate::server::Trust;
use crate::sync::{lock, random};

/// The audience of tokens for which no other is named.
pub const DEFAULT_AUDIENCE: &str = "https://api.test";

/// An issuer in the process: it makes keys, signs tokens, publishes its keys, rotates them, and can
/// be down.
///
/// Trust it in the process with `.trust(&idp)`, or serve its [`service`](Self::service) on a
/// loopback address and trust it by its address, as a real one. With the feature `introspection`,
/// its [`http_client`](Self::http_client) does without an address. Clones are the same issuer.
///
/// See the [module](crate::testing) for an example.
#[derive(Clone)]
pub struct Idp {
    issuer: Arc<str>,
    algorithms: Arc<[Algorithm]>,
    issued: Issued,
    state: Arc<Mutex<State>>,
}

struct State {
    audience: String,
    clock: Arc<dyn Clock>,
    /// What is published; the last one of an algorithm signs.
    keys: Vec<SigningKey>,
    /// Published beside the keys, just as it is.
    extra: Vec<Value>,
    /// How many keys it has had.
    made: u64,
    is_down: bool,
    fetches: u64,
}

impl Idp {
    /// Makes an issuer with this identifier and a key for ES256.
    #[must_use]
    pub fn new(issuer: impl Into<String>) -> Self {
        Self::with_algorithms(issuer, &[Algorithm::Es256])
    }

    /// Makes an issuer with a key for each of these algorithms; tokens are signed with the first
    /// unless told otherwise.
    ///
    /// An HMAC algorithm is ignored: its secret could not be published.
    #[must_use]
    pub fn with_algorithms(issuer: impl Into<String>, algorithms: &[Algorithm]) -> Self {
        let state = State {
            audience: DEFAULT_AUDIENCE.to_owned(),
            clock: Arc::new(SystemClock),
            keys: Vec::new(),
            extra: Vec::new(),
            made: 0,
            is_down: false,
            fetches: 0,
        };
        let state = Arc::new(Mutex::new(state));
        let (issuer, algorithms) = (issuer.into().into(), algorithms.into());
        let idp = Self { issuer, algorithms, issued: Issued::default(), state };
        idp.rotate();
        idp
    }

    /// Names the audience of tokens that name none themselves; [`DEFAULT_AUDIENCE`] if this is not
    /// called.
    #[must_use]
    pub fn audience(self, audience: impl Into<String>) -> Self {
        self.state().audience = audience.into();
        self
    }

    /// Issues tokens at the time of this clock.
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        self.state().clock = Arc::new(clock);
        self
    }

    /// Returns the identifier.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Begins a token for this subject, valid for five minutes and without scopes; unsigned after
    /// [`withdraw`](Self::withdraw).
    pub fn token(&self, subject: impl Into<String>) -> TokenBuilder {
        let state = self.state();
        let key = state.keys.first().and_then(|first| state.signing(first.algorithm)).cloned();
        self.begin(&state, &subject.into(), key)
    }

    /// Begins a logout token (OpenID Connect Back-Channel Logout 1.0 §2.4) for a client. It still
    /// wants a `sid` or a `sub`.
    ///
    /// ```
    /// # let idp = tower_bearer::testing::Idp::new("https://id.test/");
    /// let token = idp.logout_token("shop").claim("sid", "s1").sign();
    /// ```
    pub fn logout_token(&self, client_id: impl Into<String>) -> TokenBuilder {
        let event = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
        let token = self.token("").without("sub").without("client_id").header("typ", "logout+jwt");
        let token = token.audience(client_id.into()).claim("events", event).expires_in(Duration::from_secs(120));
        // a receiver may have seen those of another process
        token.claim("jti", format!("{:016x}{:016x}", random(), random()))
    }

    /// Begins a token that is signed with the key for this algorithm.
    ///
    /// # Panics
    ///
    /// If there is no such key.
    pub fn token_signed_with(&self, algorithm: Algorithm, subject: impl Into<String>) -> TokenBuilder {
        let state = self.state();
        let key = state.signing(algorithm).cloned();
        assert!(key.is_some(), "the test issuer has no key for {algorithm}; make it with Idp::with_algorithms");
        self.begin(&state, &subject.into(), key)
    }

    /// Publishes another key for this algorithm, and signs with it from now on; the old one is
    /// still published.
    ///
    /// An HMAC algorithm is ignored: its secret could not be published.
    pub fn add_key(&self, algorithm: Algorithm) {
        let mut state = self.state();
        let key = state.new_key(algorithm);
        state.keys.extend(key);
    }

    /// Replaces all keys by new ones at once; the old are withdrawn.
    pub fn rotate(&self) {
        let mut state = self.state();
        let algorithms = self.algorithms.iter();
        state.keys = algorithms.filter_map(|algorithm| state.new_key(*algorithm)).collect();
    }

    /// Replaces all keys by new ones that have their names: the same `kid`, another key.
    pub fn replace_keys(&self) {
        for key in &mut self.state().keys {
            *key = SigningKey::generate(key.algorithm, &key.kid);
        }
    }

    /// Withdraws all keys and publishes an empty set, until the next [`rotate`](Self::rotate).
    /// Until then it cannot sign.
    pub fn withdraw(&self) {
        self.state().keys.clear();
    }

    /// Publishes a JWK just as it is, beside the issuer's own keys.
    pub fn publish(&self, jwk: Value) {
        self.state().extra.push(jwk);
    }

    /// Goes down: from now on it publishes nothing.
    pub fn outage(&self) {
        self.state().is_down = true;
    }

    /// Comes back.
    pub fn recover(&self) {
        self.state().is_down = false;
    }

    /// Returns how often the key set was asked for, successfully or not.
    pub fn fetches(&self) -> u64 {
        self.state().fetches
    }

    /// Revokes a token, opaque or a JWT: whoever asks is told that it is not active.
    pub fn revoke(&self, token: &str) {
        self.issued.revoke(token);
    }

    /// Returns how often it was asked about a token, successfully or not.
    pub fn questions(&self) -> u64 {
        self.issued.questions()
    }

    /// Returns the published JWK Set.
    pub fn jwks(&self) -> Value {
        let state = self.state();
        let keys: Vec<_> = state.keys.iter().map(|key| &key.jwk).chain(&state.extra).cloned().collect();
        json!({ "keys": keys })
    }

    pub(super) fn issued(&self) -> &Issued {
        &self.issued
    }

    pub(super) fn now(&self) -> SystemTime {
        self.state().clock.now()
    }

    pub(super) fn is_down(&self) -> bool {
        self.state().is_down
    }

    pub(super) fn count_fetch(&self) {
        let mut state = self.state();
        state.fetches = state.fetches.saturating_add(1);
    }

    fn begin(&self, state: &State, subject: &str, key: Option<SigningKey>) -> TokenBuilder {
        TokenBuilder::new((self.issuer(), self.issued.clone()), &state.audience, subject, state.clock.now(), key)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn new_key(&mut self, algorithm: Algorithm) -> Option<SigningKey> {
        self.made = self.made.saturating_add(1);
        let kid = format!("{}-{}", algorithm.name().to_ascii_lowercase(), self.made);
        (!algorithm.is_symmetric()).then(|| SigningKey::generate(algorithm, &kid))
    }

    fn signing(&self, algorithm: Algorithm) -> Option<&SigningKey> {
        self.keys.iter().rfind(|key| key.algorithm == algorithm)
    }
}

impl KeySource for Idp {
    async fn fetch(&self) -> Result<FetchedKeys, FetchError> {
        self.count_fetch();
        if self.is_down() {
            return Err(FetchError::new("the test issuer is down"));
        }
        Ok(FetchedKeys::new(self.jwks().to_string()))
    }
}

impl From<&Idp> for Trust {
    fn from(idp: &Idp) -> Self {
        (Issuer::new(idp.issuer()), idp.clone()).into()
    }
}

impl fmt::Debug for Idp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Idp({})", self.issuer())
    }
}
