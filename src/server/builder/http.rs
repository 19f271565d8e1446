//! How a server fetches keys over HTTP, and from where.

use super::ResourceServerBuilder;
use crate::jwks::{HttpClient, PlainHost, is_bare_host};

#[cfg_attr(docsrs, doc(cfg(feature = "http-client")))]
impl<C: Send + Sync + 'static> ResourceServerBuilder<C> {
    /// Fetches metadata and keys with this client: for a private certificate authority, a proxy,
    /// mutual TLS.
    #[must_use]
    pub fn http_client(mut self, client: impl Into<HttpClient>) -> Self {
        self.settings.fetch.client = Some(client.into());
        self
    }

    /// Lets issuers that are found at run time have their keys at this host, whatever its address:
    /// a name, or an address in its canonical form (`fd12::1`), without brackets and port. May be
    /// called several times.
    ///
    /// # Security
    ///
    /// A token names the issuer before anybody has verified it. If the resolver trusts issuers at
    /// this host, whoever sends tokens can make this service send requests there.
    #[must_use]
    pub fn allow_private_host(mut self, host: impl Into<String>) -> Self {
        let host: String = host.into();
        if !is_bare_host(&host) {
            let fix = "not a host: it is one name, or an address in its canonical form, without brackets and port";
            self.settings.problems.push("allow_private_host", fix);
        }
        self.settings.fetch.private_hosts.push(host.into());
        self
    }

    /// Fetches keys from this host over plain http, for a configured issuer that has no TLS inside
    /// a cluster, say. May be called several times.
    ///
    /// The host is written as in the URL, with the port unless that is 80: `keycloak:8080`,
    /// `keycloak.auth.svc.cluster.local`, `host.docker.internal:8080`. Loopback addresses need not
    /// be named.
    ///
    /// It counts for the address of an issuer and for a given
    /// [`jwks_uri`](crate::Issuer::jwks_uri). It never counts for issuers that are found at run
    /// time, nor for a `jwks_uri` at another host that only metadata name. These requests go past
    /// the environment's proxy.
    ///
    /// ```
    /// use tower_bearer::{Issuer, ResourceServer};
    ///
    /// let server = ResourceServer::new("https://api.example.com")
    ///     .trust(Issuer::new("http://keycloak:8080/realms/shop"))
    ///     .dangerously_fetch_keys_over_plain_http_from("keycloak:8080")
    ///     .build();
    /// # assert!(server.is_ok());
    /// ```
    ///
    /// # Security
    ///
    /// Whoever is on the network path to this host, or can answer for its name, can replace the
    /// issuer's keys by their own. They can then sign tokens for any user, with any scope and role,
    /// and these tokens are accepted. Use it only in a network where nobody else can be. Prefer
    /// https with the cluster's own certificate authority, by [`http_client`](Self::http_client),
    /// or [`StaticKeys`](crate::keys::StaticKeys).
    #[must_use]
    pub fn dangerously_fetch_keys_over_plain_http_from(mut self, host: impl AsRef<str>) -> Self {
        match PlainHost::parse(host.as_ref()) {
            Ok(host) => self.settings.fetch.plain_hosts.push(host),
            Err(fix) => self.settings.problems.push("dangerously_fetch_keys_over_plain_http_from", fix),
        }
        self
    }
}
