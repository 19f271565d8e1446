//! How long is waited.

use std::time::Duration;

use super::ResourceServerBuilder;

impl<C: Send + Sync + 'static> ResourceServerBuilder<C> {
    /// Sets how long a request waits for keys that have to be fetched, for a resolver's decision,
    /// or for what an issuer answers about a token; 2 s by default, 30 s at most, and with 0 it
    /// does not wait.
    ///
    /// A request that has waited so long is refused with 503 and `Retry-After`, and the fetch, or
    /// the question, goes on. Where the issuer is slow to answer, a service that starts had better
    /// wait for [`ready`](crate::ResourceServer::ready) than let its first requests wait for
    /// longer.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tower_bearer::{Issuer, ResourceServer};
    /// let server = ResourceServer::new("https://api.example.com")
    ///     .trust(Issuer::new("https://id.example.com/"))
    ///     .key_wait_timeout(Duration::from_secs(5))
    ///     .key_fetch_timeout(Duration::from_secs(10))
    ///     .build();
    /// # assert!(server.is_ok());
    /// ```
    #[must_use]
    pub fn key_wait_timeout(mut self, timeout: Duration) -> Self {
        self.settings.key_wait = timeout;
        self
    }

    /// Sets how long one HTTP request for metadata or keys may take, with its whole answer; 5 s by
    /// default, between 1 s and 30 s.
    ///
    /// A whole fetch, with discovery, or of a [`KeySource`](crate::keys::KeySource), may take three
    /// times that.
    #[must_use]
    pub fn key_fetch_timeout(mut self, timeout: Duration) -> Self {
        self.settings.fetch.timing.fetch_timeout = timeout;
        self
    }
}
