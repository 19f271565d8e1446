//! Step 6: the evidence that a token was verified, and that its sender may use it.

mod said;
mod verified;

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Extensions;

pub(crate) use self::verified::Verified;
use self::verified::{Inner, claim, client, session, subject};
use crate::claims::{Audience, Principal};
use crate::clock::UnixTime;
use crate::error::{Error, ErrorKind, ProtectionSpace, Scheme};
use crate::issuer::Policy;
use crate::jose::Value;
use crate::possession::{Binding, Possessed};
use crate::revocation::{Finding, Revocable};

/// A verified access token: whoever holds one knows that its claims were checked and its signature
/// was verified.
///
/// There is no other way to make one than to verify a token, not even in tests.
///
/// `C` is the application's own claims type, as chosen with
/// [`claims`](crate::config::ResourceServerBuilder::claims). Without a parameter it is any:
/// `AccessToken` fits every server and offers everything but [`claims`](Self::claims).
///
/// Cheap to clone. `Debug` shows neither the token nor its claims. A claim that is `null` counts as
/// absent.
///
/// # Examples
///
/// ```
/// use tower_bearer::{AccessToken, Rule};
///
/// fn greet(token: &AccessToken) -> String {
///     let edits = token.permits(&Rule::scope("orders:write"));
///     format!("{} of {}, edits: {edits}", token.subject().unwrap_or("a machine"), token.issuer())
/// }
/// ```
pub struct AccessToken<C: ?Sized = dyn Any + Send + Sync> {
    inner: Arc<Inner<C>>,
}

/// A token that its sender may use, and about which the application's checks are still to be asked.
pub(crate) struct Candidate<C>(AccessToken<C>);

/// The evidence that nothing that the application has to say speaks against a token; only the
/// checks of a server make one.
#[derive(Debug)]
pub(crate) struct Permitted(());

impl Permitted {
    pub(crate) fn by_all_checks() -> Self {
        Self(())
    }
}

impl<C> Candidate<C> {
    /// Lets the sender of a request prove that the token may be used: by what this token, and no
    /// other, is bound to.
    pub(crate) fn prove(
        verified: Verified<C>,
        prove: impl FnOnce(&Binding) -> Result<Possessed, Error>,
    ) -> Result<Self, Error> {
        let Inner { token, .. } = &*verified.0;
        let Possessed { .. } = prove(&token.binding).map_err(|error| error.at(&token.policy.issuer))?;
        Ok(Self(AccessToken { inner: verified.0 }))
    }

    /// Returns the token, for those who decide about it.
    pub(crate) fn token(&self) -> &AccessToken<C> {
        &self.0
    }
}

impl<C> AccessToken<C> {
    /// Says yes to a request: its sender may use the token, and nothing speaks against it.
    pub(crate) fn admit(candidate: Candidate<C>, _: Permitted) -> Self {
        candidate.0
    }

    /// Returns the application's own claims.
    pub fn claims(&self) -> &C {
        &self.inner.claims
    }
}

impl<C: Send + Sync + 'static> AccessToken<C> {
    /// Forgets the type of the application's claims.
    pub fn erase(&self) -> AccessToken {
        self.clone().into()
    }

    /// Puts the evidence into a request's extensions.
    pub(crate) fn enter(self, extensions: &mut Extensions) {
        if TypeId::of::<C>() != TypeId::of::<()>() {
            extensions.insert(self.clone());
        }
        extensions.insert::<AccessToken>(self.into());
    }
}

impl<C: Send + Sync + 'static> From<AccessToken<C>> for AccessToken {
    fn from(token: AccessToken<C>) -> Self {
        Self { inner: token.inner }
    }
}

impl<C: ?Sized> AccessToken<C> {
    fn claim(&self, name: &str) -> Option<Value<'_>> {
        claim(&self.inner.token.json, name)
    }

    pub(crate) fn policy(&self) -> &Arc<Policy> {
        &self.inner.token.policy
    }

    /// Asks the list of revoked tokens, if the token's server has one.
    pub(crate) fn find_revocation(&self) -> Finding {
        self.inner.revocable.as_ref().map_or(Finding::Clear, |revocable| revocable.find())
    }

    /// Returns the scheme under which the token is presented.
    pub(crate) fn scheme(&self) -> Scheme {
        self.inner.token.binding.scheme()
    }

    /// Tells whether the token is of no use without what its sender has proven to have.
    pub(crate) fn is_bound(&self) -> bool {
        self.inner.token.binding.bound().is_some()
    }

    pub(crate) fn revocable(&self) -> Option<&Arc<Revocable>> {
        self.inner.revocable.as_ref()
    }

    /// Tells tokens apart, not what they say.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.inner).addr()
    }

    /// Returns from when on the token is not to be used, without any leeway.
    #[cfg(feature = "deadline")]
    pub(crate) fn ends(&self) -> UnixTime {
        let (dates, policy) = (&self.inner.token.dates, self.policy());
        let oldest =
            dates.issued.zip(policy.terms.max_age).map(|(issued, max_age)| UnixTime(issued.0.saturating_add(max_age)));
        oldest.map_or(dates.expires, |oldest| oldest.min(dates.expires))
    }

    /// Returns the issuer's identifier, exactly as it was configured; the token says the same
    /// (`iss`), or one of its [other names](crate::Issuer::also_known_as).
    pub fn issuer(&self) -> &str {
        &self.policy().issuer
    }

    /// Returns the subject (`sub`), unique at its [`issuer`](Self::issuer) only; some tokens of
    /// machines have none, or an empty one, which is none.
    ///
    /// In a token of the client-credentials grant it may be the client's identifier (RFC 9068 §5).
    pub fn subject(&self) -> Option<&str> {
        subject(&self.inner.token.json)
    }

    /// Tells whether a user or a client calls, by what is known of the issuer's tokens: its preset,
    /// else RFC 9068 §5, by which a client's own tokens have the client for their subject.
    ///
    /// Without a preset or [`rfc9068`](crate::Issuer::rfc9068), it is never known to be a user.
    ///
    /// # Security
    ///
    /// Decide on what a caller may do by scopes and roles, and not by this.
    pub fn principal(&self) -> Principal {
        self.policy().terms.principals.unwrap_or_default().tell(&self.inner.token.json, self.client_id())
    }

    /// Returns the tenant or organisation of the caller, where the issuer's preset or
    /// [`tenant_at`](crate::Issuer::tenant_at) says where it is.
    ///
    /// Where the way leads through an array to more than one value, there is none.
    pub fn tenant(&self) -> Option<&str> {
        let mut found = self.policy().terms.tenant.as_ref()?.follow(&self.inner.token.json);
        let tenant = found.next()?.value.as_str().filter(|tenant| !tenant.is_empty());
        // one of several is nobody's tenant
        tenant.filter(|_| found.next().is_none())
    }

    /// Returns the client that the token was issued to: `client_id` (RFC 8693 §4.3), else `azp`, or
    /// what [`client_claim`](crate::Issuer::client_claim) names.
    pub fn client_id(&self) -> Option<&str> {
        client(&self.inner.token)
    }

    /// Returns the token's own identifier (`jti`).
    pub fn jwt_id(&self) -> Option<&str> {
        self.claim("jti").and_then(Value::as_str)
    }

    /// Returns the issuer's name of the user's session (`sid`, or `session_id`), if the token has
    /// one.
    pub fn session_id(&self) -> Option<&str> {
        session(&self.inner.token.json)
    }

    /// Returns all audiences that the token names (`aud`); one of them is this service's, unless
    /// the issuer's terms say otherwise.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        let audience = self.claim("aud").and_then(|aud| Audience::read(aud).ok());
        audience.into_iter().flat_map(Audience::iter)
    }

    /// Returns the scopes, as the issuer's [`Scopes`](crate::claims::Scopes) find them.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.policy().terms.scopes.read(&self.inner.token.json)
    }

    /// Tells whether the token has this scope; compared exactly (RFC 6749 §3.3).
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().any(|held| held == scope)
    }

    /// Returns the roles, as the issuer's [`Roles`](crate::claims::Roles) find them.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.policy().terms.roles.read(&self.inner.token.json)
    }

    /// Tells whether the token has this role; compared exactly.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles().any(|held| held == role)
    }

    /// Returns when the token expires (`exp`), without any leeway.
    pub fn expires_at(&self) -> SystemTime {
        // dates end with the year 9999, which every platform can express
        self.inner.token.dates.expires.to_system_time().unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Returns how long the token is still valid, without any leeway; `None` if `exp` has passed.
    pub fn expires_in(&self, now: SystemTime) -> Option<Duration> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.inner.token.dates.expires.ahead(UnixTime(now))
    }

    /// Returns when the token was issued (`iat`), if it says so.
    pub fn issued_at(&self) -> Option<SystemTime> {
        self.inner.token.dates.issued.and_then(UnixTime::to_system_time)
    }

    /// Returns from when on the token is valid (`nbf`), if it says so.
    pub fn not_before(&self) -> Option<SystemTime> {
        self.inner.token.dates.not_before.and_then(UnixTime::to_system_time)
    }
}

impl<C: ?Sized + Send + Sync + 'static> AccessToken<C> {
    /// Takes the token from a request's extensions, where the layer puts it.
    ///
    /// For services that are neither axum's nor tonic's; `http` and tonic requests share this type
    /// of extensions.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingToken`] if the layer is optional and the caller is anonymous;
    /// [`ErrorKind::LayerMissing`] if no layer with this claims type has seen the request.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_bearer::{AccessToken, Error};
    ///
    /// fn caller<B>(request: &http::Request<B>) -> Result<String, Error> {
    ///     let token: &AccessToken = AccessToken::from_extensions(request.extensions())?;
    ///     Ok(token.subject().unwrap_or_default().to_owned())
    /// }
    /// # assert!(caller(&http::Request::new(())).is_err());
    /// ```
    pub fn from_extensions(extensions: &Extensions) -> Result<&Self, Error> {
        Self::found_in(extensions)?
    }

    /// Takes the token from a request's extensions; the error within is that of an anonymous
    /// caller.
    pub(crate) fn found_in(extensions: &Extensions) -> Result<Result<&Self, Error>, Error> {
        // with layers one inside the other, that of the innermost counts, and not what another has
        // left there
        let current: Option<&AccessToken> = extensions.get();
        let current = current.map(AccessToken::identity);
        if let Some(token) = extensions.get().filter(|token: &&Self| Some(token.identity()) == current) {
            return Ok(Ok(token));
        }
        // an outer layer may have found nobody, and the innermost a token of another type
        if let (Some(anonymous), None) = (extensions.get::<Anonymous>(), current) {
            return Ok(Err(anonymous.error()));
        }
        let claims = std::any::type_name::<C>();
        let detail = if current.is_some() && TypeId::of::<C>() == TypeId::of::<()>() {
            "a request carries `AccessToken`, without a parameter, not `AccessToken<()>`".to_owned()
        } else if current.is_some() {
            format!("the layer's server reads other claims than {claims}; build it with .claims::<{claims}>()")
        } else {
            "no BearerAuthLayer is in front of this handler; add .layer(BearerAuthLayer::new(server)), in axum after the \
             routes that it is to guard"
                .to_owned()
        };
        Err(Error::new(ErrorKind::LayerMissing, detail))
    }
}

impl<C: ?Sized> Clone for AccessToken<C> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<C: ?Sized> fmt::Debug for AccessToken<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken").field("issuer", &self.issuer()).finish_non_exhaustive()
    }
}

/// Stands in a request's extensions where a layer has found no token that it needs, or none that is
/// any good.
#[derive(Clone, Debug)]
pub(crate) struct Anonymous {
    space: Option<Arc<ProtectionSpace>>,
    /// What is wrong with the token.
    bad: Option<Error>,
}

impl Anonymous {
    pub(crate) fn in_space(space: Arc<ProtectionSpace>) -> Self {
        Self { space: Some(space), bad: None }
    }

    /// Says that nobody is known to call, since this is what came of looking.
    pub(crate) fn after(error: Error) -> Self {
        let space = error.space().cloned();
        Self { space, bad: Some(error).filter(|error| error.kind() != ErrorKind::MissingToken) }
    }

    fn error(&self) -> Error {
        let missing = || {
            let detail = "the handler needs a token, and the caller is anonymous";
            Error::new(ErrorKind::MissingToken, detail).in_space(self.space.as_ref())
        };
        self.bad.clone().unwrap_or_else(missing)
    }

    /// Says in a request's extensions that nobody is known to call, whatever an outer layer has
    /// found.
    pub(crate) fn enter(self, extensions: &mut Extensions) {
        extensions.remove::<AccessToken>();
        extensions.remove::<Error>();
        if let Some(error) = &self.bad {
            extensions.insert(error.clone());
        }
        extensions.insert(self);
    }
}
