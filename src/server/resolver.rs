//! Issuers that are found at run time: who decides, and by which template.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use super::trust::Trust;
use crate::claims::Claim;
use crate::issuer::{Issuer, Template, is_guid};
use crate::jwks::FetchError;

/// Decides whether to trust an issuer that is not configured; see
/// [`trust_with`](crate::config::ResourceServerBuilder::trust_with).
///
/// It is asked *before* anything is fetched, with the `iss` of a token that nobody has verified.
/// Whatever it looks up, it should find by this exact text.
///
/// A decision holds for 5 minutes, a refusal for 1 minute, a failure for 1 second. Each issuer is
/// decided on by a task of its own, once at a time, within 15 s. Decisions on issuers that are not
/// known yet take turns, 256 at a time. While an issuer is in use, it is decided on again in the
/// background.
///
/// The last decision to trust an issuer stays in force if the resolver fails, panics, or takes
/// longer than 1.5 s (or than three quarters of a shorter
/// [`key_wait_timeout`](crate::config::ResourceServerBuilder::key_wait_timeout)). That holds until
/// the decision is an hour old, and only if a token of this issuer was verified before. If the
/// resolver makes a [`KeySource`](crate::keys::KeySource) for each decision, the keys of the former
/// one are used until the new one has brought its own.
///
/// It must not block its thread, which the requests share: a look-up that blocks belongs into
/// `tokio::task::spawn_blocking`.
///
/// # Examples
///
/// ```
/// use std::collections::HashSet;
/// use tower_bearer::trust::{IssuerResolver, Trust};
/// use tower_bearer::keys::FetchError;
/// use tower_bearer::{Issuer, ResourceServer};
///
/// /// In real life, a table of the database.
/// struct Customers(HashSet<String>);
///
/// impl IssuerResolver for Customers {
///     async fn resolve(&self, issuer: &str) -> Result<Option<Trust>, FetchError> {
///         let known = self.0.contains(issuer);
///         Ok(known.then(|| Issuer::new(issuer).only_audiences(["api://orders"]).into()))
///     }
/// }
///
/// let customers = Customers(HashSet::from(["https://id.acme.example/".to_owned()]));
/// let server = ResourceServer::new("https://api.example.com").trust_with(customers).build();
/// # assert!(server.is_ok());
/// ```
pub trait IssuerResolver: Send + Sync + 'static {
    /// Returns on what terms to trust the issuer, or `None` not to.
    ///
    /// The [`Issuer`] must have the identifier that was asked for.
    ///
    /// # Errors
    ///
    /// If this cannot be decided now: the request is then refused as
    /// [`KeysUnavailable`](crate::ErrorKind::KeysUnavailable), unless there is a decision to go by.
    fn resolve(&self, issuer: &str) -> impl Future<Output = Result<Option<Trust>, FetchError>> + Send;
}

/// An [`IssuerResolver`] of a type that is not known.
pub(super) trait DynResolver: Send + Sync + 'static {
    fn resolve<'r>(&'r self, issuer: &'r str) -> Resolving<'r>;
}

type Resolving<'r> = Pin<Box<dyn Future<Output = Result<Option<Trust>, FetchError>> + Send + 'r>>;

impl<R: IssuerResolver> DynResolver for R {
    fn resolve<'r>(&'r self, issuer: &'r str) -> Resolving<'r> {
        Box::pin(IssuerResolver::resolve(self, issuer))
    }
}

/// Trusts all issuers of a template whose tenant is one of ours.
///
/// # Examples
///
/// The realms of a Keycloak that have a name for a certain purpose:
///
/// ```
/// use tower_bearer::trust::IssuerTemplate;
/// use tower_bearer::ResourceServer;
///
/// let realms = IssuerTemplate::new("https://id.example.com/realms/{realm}", |realm| realm.starts_with("shop-"))
///     .jwks_uri("https://id.example.com/realms/{realm}/protocol/openid-connect/certs");
/// let server = ResourceServer::new("https://api.example.com").trust_with(realms).build();
/// # assert!(server.is_ok());
/// ```
///
/// # Security
///
/// The tenant comes from a token that nobody has verified. If every name is taken for a tenant,
/// anybody who can become one (as on most platforms) is let in. A test that goes by the name alone
/// lets tokens name tenants that do not exist: see
/// [`trust_with`](crate::config::ResourceServerBuilder::trust_with) for what that costs.
///
/// A tenant is compared byte for byte. A test that takes several spellings for one tenant trusts
/// several issuers, each with keys and a look-up of its own.
pub struct IssuerTemplate {
    template: Box<str>,
    is_tenant: Box<dyn Fn(&str) -> bool + Send + Sync>,
    terms: Box<dyn Fn(Issuer) -> Issuer + Send + Sync>,
    tenant_claim: Option<Box<str>>,
    jwks_uri: Option<Box<str>>,
}

impl IssuerTemplate {
    /// Trusts issuers that fit the template, which has one placeholder in braces, and whose tenant
    /// passes the test. A tenant has at most 253 letters, digits, `-`, `_` and `.`.
    #[must_use]
    pub fn new(template: impl Into<String>, is_tenant: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self {
            template: template.into().into(),
            is_tenant: Box::new(is_tenant),
            terms: Box::new(|issuer| issuer),
            tenant_claim: None,
            jwks_uri: None,
        }
    }

    /// Trusts the tenants of Microsoft Entra that pass the test, for tokens of version 2, as
    /// [`Issuer::entra`] trusts one. They share the keys of `common`, which are then fetched once.
    ///
    /// ```
    /// use tower_bearer::trust::IssuerTemplate;
    /// use tower_bearer::ResourceServer;
    ///
    /// const TENANTS: [&str; 1] = ["11111111-1111-1111-1111-111111111111"];
    ///
    /// let tenants = IssuerTemplate::entra(|tenant| TENANTS.contains(&tenant));
    /// let server = ResourceServer::new("33333333-3333-3333-3333-333333333333").trust_with(tenants).build();
    /// # assert!(server.is_ok());
    /// ```
    ///
    /// # Security
    ///
    /// Personal accounts are a tenant, too (`9188040d-6c67-4c5b-b112-36a304b66dad`), to which
    /// anybody can belong.
    #[must_use]
    pub fn entra(is_tenant: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        const ISSUER: &str = "https://login.microsoftonline.com/{tenant}/v2.0";
        let is_tenant = move |tenant: &str| is_guid(tenant) && is_tenant(tenant);
        Self::new(ISSUER, is_tenant).jwks_uri("https://login.microsoftonline.com/common/discovery/v2.0/keys").terms(
            |issuer| {
                let tenant = Template::parse(ISSUER).and_then(|template| template.tenant(issuer.id()));
                Issuer::entra(tenant.unwrap_or_default())
            },
        )
    }

    /// Demands that this claim names the tenant too, such as Entra's `tid`.
    #[must_use]
    pub fn tenant_claim(mut self, name: impl Into<String>) -> Self {
        self.tenant_claim = Some(name.into().into());
        self
    }

    /// Fetches the keys from this address, and uses no discovery. It may have a placeholder for the
    /// tenant; without one, all tenants share one key set, of which a key with an `issuer` of its
    /// own is only used for that one.
    #[must_use]
    pub fn jwks_uri(mut self, uri: impl Into<String>) -> Self {
        self.jwks_uri = Some(uri.into().into());
        self
    }

    /// Sets the terms on which each of the issuers is trusted; may be called several times, and
    /// each goes on with what the former has made.
    ///
    /// What is wrong with them, such as a leeway of an hour, is found when a token first names an
    /// issuer. Its tokens are then refused, and an error in the log says why.
    ///
    /// ```
    /// # use tower_bearer::claims::Roles;
    /// # use tower_bearer::trust::IssuerTemplate;
    /// let realms = IssuerTemplate::new("https://id.example.com/realms/{realm}", |realm| realm.starts_with("shop-"))
    ///     .terms(|issuer| issuer.roles(Roles::at(["realm_access", "roles"])));
    /// ```
    #[must_use]
    pub fn terms(mut self, terms: impl Fn(Issuer) -> Issuer + Send + Sync + 'static) -> Self {
        let former = self.terms;
        self.terms = Box::new(move |issuer| terms(former(issuer)));
        self
    }

    /// Says what is wrong with it.
    pub(super) fn fault(&self) -> Option<&'static str> {
        if Template::parse(&self.template).is_none() {
            return Some("the template must have one placeholder, as in https://id.example.com/{tenant}/");
        }
        let wrong = |uri: &str| uri.contains(['{', '}']) && Template::parse(uri).is_none();
        self.jwks_uri.as_deref().is_some_and(wrong).then_some("jwks_uri can have one placeholder")
    }

    fn issuer(&self, id: &str) -> Option<Issuer> {
        let tenant = Template::parse(&self.template)?.tenant(id).filter(|tenant| (self.is_tenant)(tenant))?;
        let mut issuer = (self.terms)(Issuer::new(id));
        if let Some(claim) = &self.tenant_claim {
            issuer = issuer.require(Claim::at([&**claim]).equals(tenant));
        }
        if let Some(uri) = &self.jwks_uri {
            issuer = issuer.jwks_uri(Template::parse(uri).map_or_else(|| uri.to_string(), |uri| uri.fill(tenant)));
        }
        Some(issuer)
    }
}

impl IssuerResolver for IssuerTemplate {
    async fn resolve(&self, issuer: &str) -> Result<Option<Trust>, FetchError> {
        Ok(self.issuer(issuer).map(Trust::from))
    }
}

impl fmt::Debug for IssuerTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IssuerTemplate({})", self.template)
    }
}
