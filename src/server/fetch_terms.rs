//! How keys are fetched: for the issuers that are configured, or for those that are found at run
//! time.

use std::sync::Arc;
#[cfg(feature = "http-client")]
use std::{
    collections::HashMap,
    sync::{Mutex, Weak},
};

use crate::jwks::{Allowance, Keys, Timing};
#[cfg(feature = "http-client")]
use crate::jwks::{DynKeySource, HttpAccess, HttpClient, HttpSource, KeysByKid, PlainHost, Reach, shown};
#[cfg(feature = "http-client")]
use crate::sync::lock;

/// What the application says about how keys are fetched.
#[derive(Default)]
pub(super) struct FetchSettings {
    pub(super) timing: Timing,
    #[cfg(feature = "http-client")]
    pub(super) client: Option<HttpClient>,
    #[cfg(feature = "http-client")]
    pub(super) private_hosts: Vec<Box<str>>,
    #[cfg(feature = "http-client")]
    pub(super) plain_hosts: Vec<PlainHost>,
}

#[derive(Clone)]
pub(super) struct FetchTerms {
    pub(super) timing: Timing,
    /// What the fetches of issuers that are found at run time may cost together; `None` for those
    /// that are configured.
    pub(super) allowance: Option<Arc<Allowance>>,
    #[cfg(feature = "http-client")]
    access: HttpAccess,
    /// Keys by their `jwks_uri`, while some issuer that was found at run time uses them: those of a
    /// template, say.
    #[cfg(feature = "http-client")]
    shared: Arc<Mutex<HashMap<Box<str>, Weak<Keys>>>>,
}

impl FetchTerms {
    /// For issuers that are configured.
    pub(super) fn for_configured(settings: &FetchSettings) -> Self {
        Self {
            timing: settings.timing.clone(),
            allowance: None,
            #[cfg(feature = "http-client")]
            access: HttpAccess::new(settings.client.clone(), Reach::Anywhere, settings.plain_hosts.clone().into()),
            #[cfg(feature = "http-client")]
            shared: Arc::default(),
        }
    }

    /// For issuers that are found at run time, and these private hosts; it goes on with the keys of
    /// a former one like it.
    pub(super) fn for_resolved(settings: &FetchSettings, former: Option<&Self>) -> Self {
        #[cfg(feature = "http-client")]
        let reach = Reach::Public { and: settings.private_hosts.clone().into() };
        let new = Self {
            allowance: Some(Arc::new(Allowance::new())),
            #[cfg(feature = "http-client")]
            access: HttpAccess::new(settings.client.clone(), reach, Arc::default()),
            ..Self::for_configured(settings)
        };
        match former.filter(|former| former.same_as(&new)) {
            Some(former) => Self { timing: new.timing, ..former.clone() },
            None => new,
        }
    }

    /// Tells whether keys come from the same place, whichever of the two fetches them.
    pub(super) fn same_as(&self, other: &Self) -> bool {
        let same = self.allowance.is_some() == other.allowance.is_some();
        #[cfg(feature = "http-client")]
        let same = same && self.access.same_as(&other.access);
        same
    }
}

/// Where keys are fetched from over HTTP, and how: if neither changes, they are kept when a server
/// is reloaded.
pub(super) struct HttpOrigin {
    pub(super) jwks_uri: Option<Box<str>>,
    pub(super) by_kid: bool,
    pub(super) fetch_terms: FetchTerms,
}

impl HttpOrigin {
    pub(super) fn same_as(&self, other: &Self) -> bool {
        self.jwks_uri == other.jwks_uri && self.by_kid == other.by_kid && self.fetch_terms.same_as(&other.fetch_terms)
    }

    /// Checks the addresses and keeps the keys that come from there, or goes on with those that are
    /// `known`; the error says what is wrong with the addresses. By `kid`, each key has an address
    /// of its own below the given one.
    #[cfg(feature = "http-client")]
    pub(super) fn keys(&self, issuer: &Arc<str>, known: Option<&Arc<Keys>>) -> Result<Arc<Keys>, String> {
        let Self { jwks_uri, by_kid, fetch_terms } = self;
        let access = fetch_terms.access.clone();
        let (source, address): (Box<dyn DynKeySource>, _) = match jwks_uri.as_deref() {
            Some(_) if *by_kid && fetch_terms.allowance.is_some() => {
                return Err("keys are fetched by their names for configured issuers only".into());
            }
            Some(address) if *by_kid => (Box::new(KeysByKid::new(access, address)?), None),
            jwks_uri => {
                let source = HttpSource::new(access, issuer, jwks_uri)?;
                let address = source.given.clone();
                (Box::new(source), address)
            }
        };
        if let Some(known) = known {
            return Ok(Arc::clone(known));
        }
        let fetched = |name| Arc::new(Keys::fetched(name, fetch_terms.allowance.clone(), source, &fetch_terms.timing));
        let Some(address) = address.filter(|_| fetch_terms.allowance.is_some()) else {
            return Ok(fetched(Arc::clone(issuer)));
        };
        let mut shared = lock(&fetch_terms.shared);
        shared.retain(|_, keys| keys.strong_count() > 0);
        if let Some(keys) = shared.get(address.as_str()).and_then(Weak::upgrade) {
            return Ok(keys);
        }
        // they are no single issuer's
        let keys = fetched(shown(&address).into());
        shared.insert(address.as_str().into(), Arc::downgrade(&keys));
        Ok(keys)
    }

    #[cfg(not(feature = "http-client"))]
    #[expect(clippy::unused_self, reason = "the same call with and without the feature")]
    pub(super) fn keys(&self, _: &Arc<str>, _: Option<&Arc<Keys>>) -> Result<Arc<Keys>, String> {
        Err("keys can be fetched over HTTP only with the feature `http-client`; or trust the issuer together with its keys".into())
    }
}
