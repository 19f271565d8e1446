//! How one issuer is asked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::authentication::{ClientAuthentication, Method};
use crate::secret::Secret;

/// For so long an answer is believed, unless told otherwise.
const TTL: Duration = Duration::from_secs(60);
/// Longer would make the question pointless.
const MAX_TTL: Duration = Duration::from_secs(60 * 60);
/// For so long it is remembered that a token is not active.
const INACTIVE_TTL: Duration = Duration::from_secs(5);
const MAX_INACTIVE_TTL: Duration = Duration::from_secs(10);

/// How an issuer is asked about tokens (RFC 7662), for
/// [`Issuer::introspection`](crate::Issuer::introspection).
///
/// | setting | default |
/// |---|---|
/// | endpoint | found by discovery (`introspection_endpoint`) |
/// | how long an answer is believed, and so the delay of a revocation | 60 s, and never beyond `exp` |
/// | how long it is remembered that a token is not active | 5 s |
/// | tokens | opaque ones; its JWTs are verified by its keys, and not asked about |
/// | signed answers (RFC 9701) | not demanded |
///
/// At most 32 questions to an issuer are open at once, one about each token; other requests wait
/// for their turn as they wait for keys. A question that was asked goes on whatever becomes of the
/// request. A secret in a file or from a function is read by one thread for all who ask meanwhile,
/// and the endpoint is discovered by one question for all.
///
/// # When the issuer fails
///
/// | it answers | taken for | what happens |
/// |---|---|---|
/// | not at all, too late, 401, 429, 502 to 504, 400 with `invalid_client` or `unauthorized_client` | an outage | No question for 1 s, then 2 s, up to 60 s, or for as long as its `Retry-After` says, 60 s at most. Then it is asked about one token, and any answer ends the outage. |
/// | 403, any other status, what cannot be read, what is too long | the fault of one token, perhaps | For 10 s after a good answer, it stops nobody. Else the issuer is asked 20 times a second at most, until it gives a good answer. |
///
/// A token that is not asked about is refused at once, with 503. A question that fails while another
/// one gets a good answer stops nobody, unless the issuer has sent a 429 or a `Retry-After`. If an
/// issuer hangs at certain tokens, or a firewall before it cuts their connections, whoever sends
/// such tokens can cause these pauses while no good answer comes in between.
///
/// So 10,000 made-up tokens at once lead to 10,000 questions, 32 at a time, at an issuer that is
/// well; to 32 at one that is down or hangs, and then one after each pause; and to 32 at one that
/// answers 500, and then 20 a second.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::Issuer;
/// use tower_bearer::introspection::{ClientAuthentication, Introspection, Secret};
///
/// let client = ClientAuthentication::client_secret_basic("orders-api", Secret::file("/run/secrets/orders-api"));
/// let issuer = Issuer::new("https://id.example.com/")
///     .introspection(Introspection::new(client).ttl(Duration::from_secs(20)));
/// ```
#[derive(Clone)]
#[must_use = "it does nothing until an issuer is given it"]
pub struct Introspection {
    pub(crate) client: ClientAuthentication,
    pub(crate) dialect: Dialect,
    pub(crate) endpoint: Option<Box<str>>,
    pub(crate) ttl: Duration,
    pub(crate) inactive_ttl: Duration,
    pub(crate) signed: bool,
    pub(crate) jwts: JwtIntrospection,
    pub(crate) without_keys: bool,
    only_if: Option<Filter>,
}

/// Tells an issuer's opaque tokens from those of others.
#[derive(Clone)]
enum Filter {
    Prefix(Arc<str>),
    Function(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

/// The language in which the question is put.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Dialect {
    /// RFC 7662.
    OAuth,
    /// Kubernetes' TokenReview.
    Kubernetes,
}

/// Whether an issuer is asked about its JWTs, too.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum JwtIntrospection {
    /// Not at all: the signature and the times of the JWT are enough.
    #[default]
    Never,
    /// When a JWT first comes, and again each time that this interval has passed; with zero, on
    /// each request. At most 1 h.
    Every(Duration),
}

impl Introspection {
    /// Asks as this client, at the endpoint that the issuer's metadata name
    /// (`introspection_endpoint` of OpenID Connect Discovery or RFC 8414).
    pub fn new(client: ClientAuthentication) -> Self {
        Self {
            client,
            dialect: Dialect::OAuth,
            endpoint: None,
            ttl: TTL,
            inactive_ttl: INACTIVE_TTL,
            signed: false,
            jwts: JwtIntrospection::Never,
            without_keys: false,
            only_if: None,
        }
    }

    /// Asks the API server of a Kubernetes cluster by `TokenReview`, for a cluster whose keys
    /// cannot be fetched from here. Each of the issuer's tokens is asked about, and no keys are
    /// fetched.
    ///
    /// `api_server` is its address, such as `https://kubernetes.default.svc`. `token` is the one of
    /// this service's own account, which needs the right to create `tokenreviews` (the cluster role
    /// `system:auth-delegator` has it). The cluster's certificate authority is for the
    /// [`http_client`](crate::config::ResourceServerBuilder::http_client) to know.
    ///
    /// The name of the user is the token's `sub`, its `groups`, `uid` and `extra` are claims. The
    /// API server is asked whether the token is for one of the audiences of this issuer.
    ///
    /// ```
    /// use tower_bearer::Issuer;
    /// use tower_bearer::introspection::{Introspection, Secret};
    ///
    /// let token = Secret::file("/var/run/secrets/kubernetes.io/serviceaccount/token");
    /// let issuer = Issuer::new("https://kubernetes.default.svc.cluster.local")
    ///     .introspection(Introspection::kubernetes("https://kubernetes.default.svc", token));
    /// ```
    pub fn kubernetes(api_server: impl Into<String>, token: impl Into<Secret>) -> Self {
        let base = api_server.into();
        let base = base.strip_suffix('/').unwrap_or(&base);
        let endpoint = format!("{base}/apis/authentication.k8s.io/v1/tokenreviews");
        let new = Self::new(ClientAuthentication::bearer(token)).endpoint(endpoint).without_keys();
        Self { dialect: Dialect::Kubernetes, ..new }
    }

    /// Asks at this address, and not at one that is discovered. It must be https, unless it is on
    /// this host.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into().into());
        self
    }

    /// Sets for how long an answer is believed, which is never beyond the token's `exp`; 60 s by
    /// default, 1 h at most. With zero, each request asks. Those that wait for their turn share the
    /// answer to the next question.
    ///
    /// # Security
    ///
    /// A token that is revoked meanwhile is accepted until the answer has run out.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Sets for how long it is remembered that a token is not active; 5 s by default, 10 s at most.
    /// With zero, each request asks.
    ///
    /// At most 10,000 such tokens are remembered. A token that becomes active just after the
    /// question is refused until this time is over.
    pub fn inactive_ttl(mut self, how_long: Duration) -> Self {
        self.inactive_ttl = how_long;
        self
    }

    /// Demands signed answers (RFC 9701), verified by the issuer's keys. Their `aud` must be the
    /// identifier of our client.
    ///
    /// # Security
    ///
    /// A signed answer does not name the opaque token that it is about. That it belongs to this
    /// question is known by TLS, and by its `iat`, which may lie a minute back: who can break TLS
    /// can give the answer about another active token of that minute. The answer about a JWT is
    /// held against the JWT's own `jti` and `sub`, if both name them.
    pub fn signed(mut self) -> Self {
        self.signed = true;
        self
    }

    /// Asks about the issuer's JWTs, too, after they have been verified by its keys.
    ///
    /// What a JWT says counts; the answer only says whether it is still active. If it names another
    /// `jti` or `sub`, it is the answer about another token, and of no use (503).
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_bearer::introspection::{ClientAuthentication, Introspection, JwtIntrospection, Secret};
    ///
    /// let client = ClientAuthentication::client_secret_basic("orders-api", Secret::file("/run/secrets/orders-api"));
    /// let introspection = Introspection::new(client).introspect_jwts(JwtIntrospection::Every(Duration::from_secs(300)));
    /// ```
    pub fn introspect_jwts(mut self, check: JwtIntrospection) -> Self {
        self.jwts = check;
        self
    }

    /// Says that the issuer has no keys: it is asked about all its tokens, including the JWTs that
    /// name it in `iss`. No keys are fetched, and nothing waits for any. An issuer that is given
    /// keys beside that is a [conflict](crate::config::ConfigProblemKind::Conflict).
    pub fn without_keys(mut self) -> Self {
        self.without_keys = true;
        self
    }

    /// Asks only about opaque tokens that begin with this prefix: it tells apart the tokens of
    /// several issuers. It replaces an [`only_if`](Self::only_if).
    ///
    /// The issuers are looked at in the order in which they were trusted. One without such a
    /// condition gets the tokens that are left.
    pub fn only_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.only_if = Some(Filter::Prefix(prefix.into().into()));
        self
    }

    /// Asks only about opaque tokens for which this function returns `true`. It replaces an
    /// [`only_prefix`](Self::only_prefix).
    ///
    /// # Security
    ///
    /// Whoever sends a token that fits makes this service pass it on to the issuer.
    pub fn only_if(mut self, fits: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.only_if = Some(Filter::Function(Arc::new(fits)));
        self
    }

    /// Tells whether an opaque token may be the issuer's.
    pub(crate) fn fits(&self, token: &str) -> bool {
        match &self.only_if {
            None => true,
            Some(Filter::Prefix(prefix)) => token.starts_with(&**prefix),
            Some(Filter::Function(fits)) => fits(token),
        }
    }

    /// Tells whether the issuer is asked about all its tokens, JWTs too.
    pub(crate) fn is_about_all(&self) -> bool {
        self.without_keys || matches!(self.jwts, JwtIntrospection::Every(_))
    }

    /// Tells whether any opaque token may be the issuer's.
    pub(crate) fn takes_all(&self) -> bool {
        self.only_if.is_none()
    }

    /// Says what is wrong: settings, each with its fix.
    pub(crate) fn faults(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let empty = matches!(&self.only_if, Some(Filter::Prefix(prefix)) if prefix.is_empty());
        let nameless = matches!(self.client.method, Method::Bearer(_));
        let asks = matches!(self.jwts, JwtIntrospection::Every(_));
        let too_rare = matches!(self.jwts, JwtIntrospection::Every(every) if every > MAX_TTL);
        let rows = [
            (self.ttl > MAX_TTL, "ttl", "more than an hour, for which a revoked token would be accepted"),
            (too_rare, "introspect_jwts", "more than an hour, for which a revoked token would be accepted"),
            (self.inactive_ttl > MAX_INACTIVE_TTL, "inactive_ttl", "more than 10 s"),
            (empty, "only_prefix", "the prefix is empty, so it tells nothing apart"),
            (
                self.signed && self.without_keys,
                "signed",
                "signed answers are verified by the issuer's keys; drop without_keys or signed",
            ),
            (
                self.signed && nameless,
                "signed",
                "the aud of a signed answer is our client's identifier, which bearer does not say; authenticate in \
                 another way",
            ),
            (
                asks && self.without_keys,
                "introspect_jwts",
                "without keys, all tokens are asked about; drop introspect_jwts or without_keys",
            ),
        ];
        let client = self.client.fault().map(|fault| (true, "client", fault));
        rows.into_iter().chain(client).filter_map(|(wrong, setting, fix)| wrong.then_some((setting, fix)))
    }
}

impl fmt::Debug for Introspection {
    /// Leaves out the address, which may hold a key of some API.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspection")
            .field("client", &self.client)
            .field("dialect", &self.dialect)
            .field("ttl", &self.ttl)
            .field("inactive_ttl", &self.inactive_ttl)
            .field("signed", &self.signed)
            .field("jwts", &self.jwts)
            .field("without_keys", &self.without_keys)
            .field("takes_all", &self.takes_all())
            .finish_non_exhaustive()
    }
}
