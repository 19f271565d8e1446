//! Step 3: the issuer is selected by its exact `iss`. Policy, pure data.

mod address;
mod presets;
mod profiles;
#[cfg(any(feature = "dpop", feature = "mtls"))]
mod sender;
mod set;
mod template;
mod terms;

use std::sync::Arc;
use std::time::Duration;

use crate::claims::{Claim, Path, Roles, Scopes, Segment};
#[cfg(feature = "introspection")]
use crate::introspection::Introspection;
use crate::jose::Algorithm;

pub(crate) use self::address::Address;
pub(crate) use self::presets::{Argument, Preset, is_guid, presets};
pub(crate) use self::set::{IssuerSet, differ_little};
pub(crate) use self::template::Template;
#[cfg(feature = "dpop")]
pub(crate) use self::terms::FAPI2;
pub(crate) use self::terms::{Policy, ServerPolicy, Terms};

/// An authorization server whose access tokens are trusted, and on what terms.
///
/// The identifier is compared byte for byte with the token's `iss`: a trailing slash matters, and
/// it need not be a URL unless its keys are to be found by discovery.
///
/// | setting | default |
/// |---|---|
/// | keys | found by discovery (OpenID Connect Discovery, RFC 8414) |
/// | audiences | the server's own |
/// | algorithms | [`Algorithm::ASYMMETRIC`] |
/// | leeway | 30 s |
/// | maximum age, maximum lifetime | none: tokens are valid until `exp` |
/// | keys that cannot be fetched anew | used for 1 h |
/// | client | `client_id`, else `azp` |
/// | actors | everybody whom the issuer lets act for others |
/// | tenant | none |
/// | bound to their sender (`cnf`) | refused |
/// | `typ` | absent, `JWT`, `at+jwt` |
/// | scopes, roles | [`Scopes::default`], [`Roles::default`] |
///
/// [`require`](Self::require) and [`also_known_as`](Self::also_known_as) add to what was set
/// before. All others replace it. So they do after a preset (such as [`keycloak`](Self::keycloak)),
/// too.
///
/// A preset's argument that is called `base` may end with a slash; one that is called `issuer` is
/// the tokens' `iss`, byte for byte.
///
/// A token without a `kid`, or with one that several keys share, is tried with the first four keys
/// for its algorithm, and with up to 64 of [`StaticKeys`](crate::keys::StaticKeys).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::claims::Roles;
/// use tower_bearer::keys::Algorithm;
/// use tower_bearer::Issuer;
///
/// let issuer = Issuer::new("https://id.example.com/")
///     .only_audiences(["api://orders"])
///     .only_algorithms([Algorithm::Es256])
///     .leeway(Duration::from_secs(5))
///     .roles(Roles::at(["realm_access", "roles"]));
/// assert_eq!(issuer.id(), "https://id.example.com/");
/// ```
#[derive(Clone, Debug)]
#[must_use = "an issuer does nothing until it is trusted"]
pub struct Issuer {
    pub(crate) id: Arc<str>,
    pub(crate) terms: Terms,
}

impl Issuer {
    /// Trusts the issuer with this exact identifier.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into().into(), terms: Terms::default() }
    }

    /// Returns the identifier.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Accepts tokens that name the issuer by this identifier too; may be called several times.
    ///
    /// [`AccessToken::issuer`](crate::AccessToken::issuer) returns the [`id`](Self::id) of the
    /// issuer for all of them. Not for issuers that are found at run time: they have one
    /// identifier.
    ///
    /// ```
    /// // Google's tokens have had both
    /// let issuer = tower_bearer::Issuer::new("https://accounts.google.com").also_known_as("accounts.google.com");
    /// ```
    pub fn also_known_as(mut self, id: impl Into<String>) -> Self {
        self.terms.also_known_as.push(id.into().into());
        self
    }

    /// Accepts tokens without `iss` as this issuer's.
    ///
    /// SPIFFE's need not have it (JWT-SVID §3). One issuer of a server can have this setting, and
    /// none that is found at run time.
    ///
    /// # Security
    ///
    /// Then only the signature tells which issuer a token is from.
    pub fn accept_absent_iss(mut self) -> Self {
        self.terms.absent_iss = true;
        self
    }

    /// Fetches the keys from this address and uses no discovery. It may be on another host than the
    /// issuer.
    pub fn jwks_uri(mut self, uri: impl Into<String>) -> Self {
        self.terms.jwks_uri = Some(Address::new(uri.into()));
        self
    }

    /// Accepts only these audiences from this issuer, in place of the server's own.
    ///
    /// # Security
    ///
    /// Every audience but the service's own identifier lets tokens in that were issued for
    /// something else.
    pub fn only_audiences(mut self, audiences: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.terms.audiences = Some(texts(audiences));
        self
    }

    /// Accepts tokens without `aud` if this top-level claim is one of these strings: `client_id`
    /// for Amazon Cognito, whose access tokens name only the client. A token that has `aud` is
    /// checked by that, as always, and this claim is then not looked at. It takes the place of
    /// [`dangerously_accept_absent_aud`](Self::dangerously_accept_absent_aud), such as a preset's.
    ///
    /// ```
    /// use tower_bearer::claims::Claim;
    /// use tower_bearer::Issuer;
    ///
    /// // what was issued to this client, and is no ID token
    /// let issuer = Issuer::new("https://id.example.com/pool")
    ///     .accept_absent_aud_if("client_id", ["7tvr1q"])
    ///     .require(Claim::at(["token_use"]).equals("access"));
    /// ```
    ///
    /// # Security
    ///
    /// Where the claim names the client, the client's tokens are then good at every service that it
    /// may call. Name a claim that the issuer sets, and no user.
    ///
    /// If the claim must be right in every token, with `aud` or without, demand it by
    /// [`require`](Self::require) or [`only_clients`](Self::only_clients), too.
    pub fn accept_absent_aud_if(
        mut self,
        claim: impl Into<String>,
        one_of: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.terms = self.terms.accept_absent_aud_if(claim.into(), texts(one_of));
        self
    }

    /// Accepts tokens that have no `aud`.
    ///
    /// In those that have one, it must still be right. After
    /// [`accept_absent_aud_if`](Self::accept_absent_aud_if) it is a mistake, found when the server
    /// is built: the claim that is named there would not be looked at.
    ///
    /// # Security
    ///
    /// As with [`dangerously_accept_any_aud`](Self::dangerously_accept_any_aud), for the tokens
    /// that have none.
    pub fn dangerously_accept_absent_aud(mut self) -> Self {
        self.terms.absent_aud = true;
        self
    }

    /// Accepts tokens whatever their audience is.
    ///
    /// # Security
    ///
    /// Then every token of this issuer is good here, also those that were issued for other
    /// services, and whoever gets hold of one there can use it here (RFC 9068 §4, RFC 8725 §3.9).
    /// Only for issuers that serve nobody else; prefer to make the issuer add `aud`, or
    /// [`accept_absent_aud_if`](Self::accept_absent_aud_if).
    pub fn dangerously_accept_any_aud(mut self) -> Self {
        self.terms.any_aud = true;
        self
    }

    /// Accepts only tokens that were issued to one of these clients.
    ///
    /// Who the client is, is what [`AccessToken::client_id`](crate::AccessToken::client_id)
    /// returns.
    pub fn only_clients(mut self, clients: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.terms.clients = Some(texts(clients));
        self
    }

    /// Accepts tokens by which somebody acts for their subject only if it is one of these actors
    /// (`act`, RFC 8693 §4.1). With an empty list, accepts no such tokens.
    ///
    /// Tokens without `act` are accepted as without this setting. To demand one, use
    /// [`require`](Self::require) with `Claim::at(["act", "sub"])`, too.
    ///
    /// * The actor is the outermost `act`; those inside are history and do not count.
    /// * It is compared by `sub`, exactly. An actor without `sub`, or whose `iss` is another issuer,
    ///   is none of these.
    ///
    /// Without this setting, whoever the issuer has let act for others is accepted, and
    /// [`AccessToken::actor`](crate::AccessToken::actor) tells who it is. In any case, a token whose
    /// `act` is no object, has a `sub`, `iss` or `client_id` that is no string, or is nested more
    /// than 8 deep, is refused as malformed.
    ///
    /// ```
    /// // on behalf of users, only the gateway and the assistant may call
    /// let issuer = tower_bearer::Issuer::new("https://id.example.com/").only_actors(["gateway", "assistant"]);
    /// ```
    pub fn only_actors(mut self, actors: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.terms.actors = Some(texts(actors));
        self
    }

    /// Reads the client's identifier from this top-level claim, in place of `client_id`, else
    /// `azp`: `cid` for Okta, `appid` for Entra's tokens of version 1.
    pub fn client_claim(mut self, name: impl Into<String>) -> Self {
        self.terms.client_claims = vec![name.into().into()];
        self
    }

    /// Accepts only these algorithms (RFC 8725 §3.1). A key is still used only with the algorithm
    /// it is for.
    pub fn only_algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.terms.algorithms = Some(algorithms.into_iter().collect());
        self
    }

    /// Tolerates clocks that differ by up to this much when `exp`, `nbf` and the [maximum
    /// age](Self::max_age) are checked; at most 5 minutes.
    ///
    /// # Security
    ///
    /// A token is accepted for this long after it has expired.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.terms.leeway = leeway;
        self
    }

    /// Refuses tokens that were issued longer ago than this and the [`leeway`](Self::leeway),
    /// however late they expire, and those that do not say when (`iat`).
    ///
    /// Without it, the issuer alone decides how long its tokens are valid. A token that is kept by
    /// the [cache](crate::config::ResourceServerBuilder::token_cache) is refused at the same moment
    /// as a new one.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.terms.max_age = Some(max_age);
        self
    }

    /// Refuses tokens that are valid for longer than this from `iat` to `exp`, and those without
    /// `iat`: an issuer that signs for a year does not know that the account is gone tomorrow.
    pub fn max_lifetime(mut self, max_lifetime: Duration) -> Self {
        self.terms.max_lifetime = Some(max_lifetime);
        self
    }

    /// Accepts only tokens with one of these `typ`, and none without.
    ///
    /// Compared as a media type: case does not matter, nor does the prefix `application/` (RFC 7515
    /// §4.1.9).
    ///
    /// # Security
    ///
    /// The type keeps other tokens of the same issuer apart, such as ID tokens, logout tokens and
    /// proofs (RFC 8725 §3.11): name only types that the issuer uses for access tokens.
    pub fn only_types(mut self, types: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.terms = self.terms.only_types(types);
        self
    }

    /// Demands something of a claim, such as that it is there or has a certain value.
    ///
    /// May be called several times; all demands must be met. See [`Claim`].
    ///
    /// ```
    /// use tower_bearer::claims::Claim;
    /// use tower_bearer::Issuer;
    ///
    /// // Cognito's access tokens, and not its ID tokens
    /// let issuer = Issuer::new("https://id.example.com/pool")
    ///     .require(Claim::at(["token_use"]).equals("access"))
    ///     .require(Claim::absent(["at_hash"]));
    /// ```
    pub fn require(mut self, claim: Claim) -> Self {
        self.terms.demands.push(claim);
        self
    }

    /// Accepts integers for `sub`, `jti`, `azp` and `client_id`, and reads them as the text of
    /// their digits.
    ///
    /// The standards demand strings (RFC 7519 §4.1.2), and without this setting such tokens are
    /// refused. So it is for issuers that cannot be changed.
    ///
    /// * `7` is then `"7"`, for [`only_clients`](Self::only_clients) and
    ///   [`require`](Self::require), too. The application's own claims type sees the number.
    /// * It also holds for the claim that [`client_claim`](Self::client_claim) names.
    /// * Numbers with a fraction or an exponent, or beyond 64 bits, are refused.
    ///
    /// # Security
    ///
    /// The subjects `7` and `"7"` are then the same. Use it only for issuers that write numbers.
    pub fn accept_numeric_ids(mut self) -> Self {
        self.terms.numeric_ids = true;
        self
    }

    /// Reads scopes from these claims, in place of those so far, a preset's too.
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.terms.scopes = scopes;
        self
    }

    /// Reads roles from these claims, in place of those so far, a preset's too.
    pub fn roles(mut self, roles: Roles) -> Self {
        self.terms.roles = roles;
        self
    }

    /// Reads [`AccessToken::tenant`](crate::AccessToken::tenant) at a path of member names:
    /// `["tid"]` for Entra, `["firebase", "tenant"]`.
    ///
    /// The path has at most 8 names. If it leads through an array to several values, none counts.
    pub fn tenant_at(mut self, path: impl IntoIterator<Item = impl Into<Segment>>) -> Self {
        self.terms.tenant = Some(Path::new(path));
        self
    }

    /// Asks the issuer about its opaque tokens, and by choice about its JWTs, too (RFC 7662).
    ///
    /// The answer must meet the same terms as the claims of a JWT, but for the type, the algorithm
    /// and the key. An answer that names no audience is refused, unless
    /// [`accept_absent_aud_if`](Self::accept_absent_aud_if) or one of its siblings says otherwise.
    /// Issuers that are found at run time cannot be asked.
    ///
    /// A token that has the form of a JWT is never opaque: if it is refused, the issuer is not
    /// asked about it.
    ///
    /// ```
    /// use tower_bearer::Issuer;
    /// use tower_bearer::introspection::{ClientAuthentication, Introspection, Secret};
    ///
    /// let client = ClientAuthentication::client_secret_basic("orders-api", Secret::file("/run/secrets/orders-api"));
    /// let issuer = Issuer::new("https://id.example.com/").introspection(Introspection::new(client));
    /// ```
    #[cfg(feature = "introspection")]
    #[cfg_attr(docsrs, doc(cfg(feature = "introspection")))]
    pub fn introspection(mut self, introspection: Introspection) -> Self {
        self.terms.introspection = Some(introspection);
        self
    }

    /// Goes on using known keys for this long after they have ceased to be fresh, while no newer
    /// ones can be had; 1 h by default, 24 h at most.
    ///
    /// # Security
    ///
    /// A key that the issuer withdraws during such an outage is trusted until this time is over.
    pub fn max_stale(mut self, max_stale: Duration) -> Self {
        self.terms.max_stale = max_stale;
        self
    }
}

fn texts(texts: impl IntoIterator<Item = impl Into<String>>) -> Vec<Box<str>> {
    texts.into_iter().map(|text| text.into().into()).collect()
}
