//! What fetches keys over HTTP, for the issuers that are configured or for those that are found at run time.

#[cfg(feature = "http-client")]
use crate::jwks::HttpClient;

#[cfg(not(feature = "http-client"))]
use std::sync::Arc;

#[cfg(feature = "http-client")]
pub(super) use self::with_http::Client;
#[cfg(not(feature = "http-client"))]
use crate::jwks::{Allowance, Keys};

/// What the application says about it.
#[derive(Default)]
pub(super) struct HttpSettings {
    #[cfg(feature = "http-client")]
    pub(super) client: Option<HttpClient>,
    #[cfg(feature = "http-client")]
    pub(super) private_hosts: Vec<Box<str>>,
}

#[cfg(feature = "http-client")]
mod with_http {
    use std::collections::HashMap;
    use std::sync::{Arc, Mutex, OnceLock, Weak};

    use super::HttpSettings;
    use crate::jwks::{Allowance, HttpClient, HttpSource, Keys, Reach, is_loopback};
    use crate::sync::lock;

    /// Keys by their `jwks_uri`, while some issuer uses them.
    type SharedKeys = Mutex<HashMap<Box<str>, Weak<Keys>>>;

    #[derive(Clone)]
    pub(in crate::server) struct Client {
        /// The application's.
        own: Option<HttpClient>,
        /// Ours, made when an issuer first needs it.
        ours: Arc<OnceLock<HttpClient>>,
        reach: Reach,
        /// For issuers that share their keys with those of the same address: those of a template, say.
        shared: Option<Arc<SharedKeys>>,
        /// For the same issuers: what their fetches may cost together.
        allowance: Option<Arc<Allowance>>,
    }

    impl Client {
        /// For issuers that are configured.
        pub(in crate::server) fn configured(settings: &HttpSettings) -> Self {
            let own = settings.client.clone();
            Self { own, ours: Arc::default(), reach: Reach::Anywhere, shared: None, allowance: None }
        }

        /// For issuers that are found at run time, and these private hosts; it goes on with the keys of a former one like it.
        pub(in crate::server) fn found(settings: &HttpSettings, former: Option<&Self>) -> Self {
            let (own, and) = (settings.client.clone(), settings.private_hosts.clone().into());
            let (shared, allowance) = (Some(Arc::default()), Some(Arc::new(Allowance::new())));
            let new = Self { own, ours: Arc::default(), reach: Reach::Public { and }, shared, allowance };
            former.filter(|former| former.is(&new)).cloned().unwrap_or(new)
        }

        /// Tells whether keys come from the same place, whichever of the two fetches them.
        pub(in crate::server) fn is(&self, other: &Self) -> bool {
            let same_client = match (&self.own, &other.own) {
                (Some(own), Some(other)) => own.is(other),
                (None, None) => true,
                _ => false,
            };
            same_client && self.reach == other.reach
        }

        /// Checks the addresses and makes a cache for the keys; the error says what is wrong with them.
        pub(in crate::server) fn keys(&self, issuer: &Arc<str>, jwks_uri: Option<&str>) -> Result<Arc<Keys>, String> {
            let client = self.client(is_loopback(jwks_uri.unwrap_or(issuer)))?;
            let source = HttpSource::new(client, self.reach.clone(), issuer, jwks_uri)?;
            let Some((shared, uri)) = self.shared.as_ref().zip(jwks_uri) else {
                return Ok(Arc::new(Keys::fetched(Arc::clone(issuer), self.allowance(), Box::new(source))));
            };
            let mut shared = lock(shared);
            shared.retain(|_, keys| keys.strong_count() > 0);
            if let Some(keys) = shared.get(uri).and_then(Weak::upgrade) {
                return Ok(keys);
            }
            // they are no single issuer's; a query may hold a key of some API
            let name = uri.split('?').next().unwrap_or_default();
            let keys = Arc::new(Keys::fetched(name.into(), self.allowance(), Box::new(source)));
            shared.insert(uri.into(), Arc::downgrade(&keys));
            Ok(keys)
        }

        /// Tells whether it is for issuers that are found at run time.
        pub(in crate::server) fn is_for_found(&self) -> bool {
            self.allowance.is_some()
        }

        /// Returns what fetches may cost for issuers that are found at run time.
        pub(in crate::server) fn allowance(&self) -> Option<Arc<Allowance>> {
            self.allowance.clone()
        }

        fn client(&self, loopback: bool) -> Result<HttpClient, String> {
            let known = self.own.as_ref().or_else(|| self.ours.get().filter(|_| !loopback));
            if let Some(known) = known {
                return Ok(known.clone());
            }
            let made = HttpClient::new(&self.reach, loopback)
                .map_err(|error| format!("the HTTP client cannot be set up: {error}"))?;
            Ok(if loopback { made } else { self.ours.get_or_init(|| made).clone() })
        }
    }
}

#[cfg(not(feature = "http-client"))]
#[derive(Clone)]
pub(super) struct Client {
    allowance: Option<Arc<Allowance>>,
}

#[cfg(not(feature = "http-client"))]
impl Client {
    pub(super) fn configured(_: &HttpSettings) -> Self {
        Self { allowance: None }
    }

    pub(super) fn found(_: &HttpSettings, former: Option<&Self>) -> Self {
        former.cloned().unwrap_or_else(|| Self { allowance: Some(Arc::new(Allowance::new())) })
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

    #[expect(clippy::unused_self, reason = "the same call with and without the feature")]
    pub(super) fn keys(&self, _: &Arc<str>, _: Option<&str>) -> Result<Arc<Keys>, String> {
        Err("keys can be fetched over HTTP only with the feature `http-client`; or trust the issuer together with its keys".into())
    }
}
