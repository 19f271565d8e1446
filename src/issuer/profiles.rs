//! Profiles: many demands of one standard, by one switch.

use super::Issuer;

impl Issuer {
    /// Demands the whole profile of RFC 9068 §4: `typ` is `at+jwt`, and `iss`, `exp`, `aud`, `sub`,
    /// `client_id`, `iat` and `jti` are present.
    pub fn rfc9068(mut self) -> Self {
        self.terms.rfc9068 = true;
        self
    }

    /// Demands of this issuer's tokens what the FAPI 2.0 Security Profile (§5.3.3) demands of a
    /// resource server.
    ///
    /// | demand | how it is met |
    /// |---|---|
    /// | 1 tokens come in the `Authorization` header | a layer with other [sources](crate::BearerAuthLayer::token_sources) is a mistake, and a token that comes from elsewhere is refused |
    /// | 2 and not in the query | the same |
    /// | 3 validity, integrity, expiration and revocation status are verified | as always; that the server has a [revocation list](crate::config::ResourceServerBuilder::revocation_list) or a [check](crate::config::ResourceServerBuilder::check), or asks the issuer about each token, is checked when it is built |
    /// | 4 the authorization is sufficient, or the errors of RFC 6750 say what is missing | a [`Rule`](crate::Rule) of yours |
    /// | 5 tokens are sender-constrained by DPoP, mutual TLS or both | as by [`require_sender_constraint`](Self::require_sender_constraint) |
    ///
    /// Of the algorithms (§5.4), PS256, ES256 and EdDSA with Ed25519 are left, or those of them that
    /// [`only_algorithms`](Self::only_algorithms) names; and for DPoP proofs those of them that the
    /// server's settings name, whosever tokens they come with. TLS is up to the deployment.
    ///
    /// What contradicts the profile is an error of
    /// [`build`](crate::config::ResourceServerBuilder::build). [`require_dpop`](Self::require_dpop)
    /// and [`require_mtls`](Self::require_mtls) narrow it further.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_bearer::revocation::RevocationList;
    /// use tower_bearer::{Issuer, ResourceServer};
    ///
    /// # fn main() -> Result<(), tower_bearer::ConfigError> {
    /// let list = RevocationList::builder(Duration::from_secs(3600)).build();
    /// let server = ResourceServer::new("https://api.bank.example")
    ///     .trust(Issuer::new("https://id.bank.example/").fapi2())
    ///     .revocation_list(list)
    ///     .public_origin("https://api.bank.example")
    ///     .build()?;
    /// # let _ = server;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(any(feature = "dpop", feature = "mtls"))]
    #[cfg_attr(docsrs, doc(cfg(any(feature = "dpop", feature = "mtls"))))]
    pub fn fapi2(mut self) -> Self {
        self.terms = self.terms.fapi2();
        self
    }
}
