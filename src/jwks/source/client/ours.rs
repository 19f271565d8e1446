//! Our own HTTP client, of which each part is made when it is first needed.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};
use tokio::task::spawn_blocking;
use url::Url;

use super::FetchError;
use crate::jwks::source::reach::{Reach, is_loopback};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The parts. One that cannot be made is tried anew with the next fetch.
pub(super) struct Ours {
    reach: Reach,
    /// For plain http: without TLS, and past the environment's proxy, which would be one more that
    /// could change the keys.
    plain: OnceLock<Client>,
    /// For https past the environment's proxy.
    direct: OnceLock<Client>,
    /// For https.
    proxied: OnceLock<Client>,
}

impl Ours {
    pub(super) fn new(reach: Reach) -> Self {
        Self { reach, plain: OnceLock::new(), direct: OnceLock::new(), proxied: OnceLock::new() }
    }

    /// Returns the part for an address. The environment's proxy serves all but plain http, loopback
    /// addresses, and issuers found at run time, whose addresses could not be checked behind it.
    pub(super) async fn client(&self, url: &Url) -> Result<Client, FetchError> {
        let (part, builder) = if url.scheme() == "http" {
            (&self.plain, self.builder().no_proxy().tls_certs_only([]))
        } else if is_loopback(url) || self.reach.is_limited() {
            (&self.direct, self.builder().no_proxy())
        } else {
            (&self.proxied, self.builder())
        };
        if let Some(client) = part.get() {
            return Ok(client.clone());
        }
        // the machine's certificate authorities are read from files
        let made = spawn_blocking(|| builder.build()).await;
        let made = made.map_err(|error| FetchError::caused(NOT_MADE, error))?;
        let made = made.map_err(|error| FetchError::caused(NOT_MADE, error))?;
        Ok(part.get_or_init(|| made).clone())
    }

    fn builder(&self) -> ClientBuilder {
        Client::builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            // an idle connection lives on the runtime that made it, and nobody may drive that any
            // more
            .pool_max_idle_per_host(0)
            .connect_timeout(CONNECT_TIMEOUT)
            .dns_resolver(self.reach.clone())
    }
}

const NOT_MADE: &str = "the HTTP client cannot be set up; where there are no CA certificates, install ca-certificates or give an http_client";
