//! What fetches keys over HTTP, for the issuers that are configured or for those that are found at run time.

#[cfg(feature = "http-client")]
use crate::jwks::{HttpClient, PlainHost};

#[cfg(not(feature = "http-client"))]
use std::sync::Arc;

#[cfg(feature = "http-client")]
pub(super) use self::with_http::Client;
use crate::jwks::Timing;
#[cfg(not(feature = "http-client"))]
use crate::jwks::{Allowance, Keys};

/// What the application says about it.
#[derive(Default)]
pub(super) struct HttpSettings {
    pub(super) timing: Timing,
    #[cfg(feature = "http-client")]
    pub(super) client: Option<HttpClient>,
    #[cfg(feature = "http-client")]
    pub(super) private_hosts: Vec<Box<str>>,
    #[cfg(feature = "http-client")]
    pub(super) plain_hosts: Vec<PlainHost>,
}

#[cfg(feature = "http-client")]
mod with_http {
    use std::collections::HashMap;
    use std::sync::{Arc, Mutex, Weak};

    use super::HttpSettings;
    use crate::jwks::{Allowance, HttpClient, HttpSource, Keys, KeysByKid, Plain, Reach, Timing, shown};
    use crate::sync::lock;

    /// Keys by their `jwks_uri`, while some issuer uses them.
    type SharedKeys = Mutex<HashMap<Box<str>, Weak<Keys>>>;

    #[derive(Clone)]
    pub(in crate::server) struct Client {
        http: HttpClient,
        reach: Reach,
        plain: Plain,
        /// For issuers that share their keys with those of the same address: those of a template, say.
        shared: Option<Arc<SharedKeys>>,
        /// For the same issuers: what their fetches may cost together.
        allowance: Option<Arc<Allowance>>,
        timing: Timing,
    }

    impl Client {
        /// For issuers that are configured.
        pub(in crate::server) fn configured(settings: &HttpSettings) -> Self {
            let mut new = Self::new(settings, Reach::Anywhere);
            new.plain.hosts = settings.plain_hosts.clone().into();
            new
        }

        /// For issuers that are found at run time, and these private hosts; it goes on with the keys of a former one like it.
        pub(in crate::server) fn found(settings: &HttpSettings, former: Option<&Self>) -> Self {
            let mut new = Self::new(settings, Reach::Public { and: settings.private_hosts.clone().into() });
            (new.shared, new.allowance) = (Some(Arc::default()), Some(Arc::new(Allowance::new())));
            match former.filter(|former| former.is(&new)) {
                Some(former) => Self { timing: new.timing, ..former.clone() },
                None => new,
            }
        }

        fn new(settings: &HttpSettings, reach: Reach) -> Self {
            let http = settings.client.clone().unwrap_or_else(|| HttpClient::ours(reach.clone()));
            let plain = Plain { hosts: Arc::default(), below_localhost: http.is_ours() };
            Self { http, reach, plain, shared: None, allowance: None, timing: settings.timing.clone() }
        }

        /// Tells whether keys come from the same place, whichever of the two fetches them.
        pub(in crate::server) fn is(&self, other: &Self) -> bool {
            self.http.is(&other.http) && self.reach == other.reach
        }

        /// Checks the addresses and makes a cache for the keys, or goes on with one that is
        /// `known`; the error says what is wrong with the addresses.
        pub(in crate::server) fn keys(
            &self,
            issuer: &Arc<str>,
            jwks_uri: Option<&str>,
            known: Option<&Arc<Keys>>,
        ) -> Result<Arc<Keys>, String> {
            let (http, reach, plain) = (self.http.clone(), self.reach.clone(), self.plain.clone());
            let source = HttpSource::new(http, reach, plain, issuer, jwks_uri)?;
            if let Some(known) = known {
                return Ok(Arc::clone(known));
            }
            let Some((shared, url)) = self.shared.as_ref().zip(source.address()) else {
                let (issuer, allowance) = (Arc::clone(issuer), self.allowance());
                return Ok(Arc::new(Keys::fetched(issuer, allowance, Box::new(source), &self.timing)));
            };
            let (address, name) = (Box::from(url.as_str()), shown(url));
            let mut shared = lock(shared);
            shared.retain(|_, keys| keys.strong_count() > 0);
            if let Some(keys) = shared.get(&address).and_then(Weak::upgrade) {
                return Ok(keys);
            }
            // they are no single issuer's
            let keys = Arc::new(Keys::fetched(name.into(), self.allowance(), Box::new(source), &self.timing));
            shared.insert(address, Arc::downgrade(&keys));
            Ok(keys)
        }

        /// The same, of keys that have an address each, by their `kid`, below this one.
        pub(in crate::server) fn keys_by_kid(
            &self,
            issuer: &Arc<str>,
            address: &str,
            known: Option<&Arc<Keys>>,
        ) -> Result<Arc<Keys>, String> {
            if self.is_for_found() {
                return Err("keys are fetched by their names for configured issuers only".into());
            }
            let source = KeysByKid::new(self.http.clone(), &self.plain, address)?;
            let fetched = || Arc::new(Keys::fetched(Arc::clone(issuer), None, Box::new(source), &self.timing));
            Ok(known.map_or_else(fetched, Arc::clone))
        }

        /// Tells whether it is for issuers that are found at run time.
        pub(in crate::server) fn is_for_found(&self) -> bool {
            self.allowance.is_some()
        }

        /// Returns what fetches may cost for issuers that are found at run time.
        pub(in crate::server) fn allowance(&self) -> Option<Arc<Allowance>> {
            self.allowance.clone()
        }

        pub(in crate::server) fn timing(&self) -> &Timing {
            &self.timing
        }
    }
}

#[cfg(not(feature = "http-client"))]
#[derive(Clone)]
pub(super) struct Client {
    allowance: Option<Arc<Allowance>>,
    timing: Timing,
}

#[cfg(not(feature = "http-client"))]
impl Client {
    pub(super) fn configured(settings: &HttpSettings) -> Self {
        Self { allowance: None, timing: settings.timing.clone() }
    }

    pub(super) fn found(settings: &HttpSettings, former: Option<&Self>) -> Self {
        let former = former.and_then(Self::allowance);
        let allowance = Some(former.unwrap_or_else(|| Arc::new(Allowance::new())));
        Self { allowance, timing: settings.timing.clone() }
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        self.is_for_found() == other.is_for_found()
    }

    pub(super) fn is_for_found(&self) -> bool {
        self.allowance.is_some()
    }

    pub(super) fn allowance(&self) -> Option<Arc<Allowance>> {
        self.allowance.clone()
    }

    pub(super) fn timing(&self) -> &Timing {
        &self.timing
    }

    #[expect(clippy::unused_self, reason = "the same call with and without the feature")]
    pub(super) fn keys(&self, _: &Arc<str>, _: Option<&str>, _: Option<&Arc<Keys>>) -> Result<Arc<Keys>, String> {
        Err(NOT_WITHOUT.into())
    }

    #[expect(clippy::unused_self, reason = "the same call with and without the feature")]
    pub(super) fn keys_by_kid(&self, _: &Arc<str>, _: &str, _: Option<&Arc<Keys>>) -> Result<Arc<Keys>, String> {
        Err(NOT_WITHOUT.into())
    }
}

#[cfg(not(feature = "http-client"))]
const NOT_WITHOUT: &str =
    "keys can be fetched over HTTP only with the feature `http-client`; or trust the issuer together with its keys";
