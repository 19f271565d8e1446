//! What is known of some providers' tokens, as settings and nothing else.
//!
//! What a constructor sets, settings add to or replace as they do elsewhere. None of them sets the audience, unless there is only one that it can be. They follow what the
//! providers document; `tests/presets.rs` has a token in the shape of each.

use super::Issuer;
use crate::claims::{Roles, Scopes};
use crate::jose::Algorithm;

impl Issuer {
    /// Trusts a Keycloak realm: `{base}/realms/{realm}`, with the roles of the realm.
    ///
    /// * Only access tokens: their claim `typ` is `Bearer`; that of ID tokens is `ID`.
    /// * The usual mistake: Keycloak puts the API into `aud` only where an *audience* mapper of the client or its scopes says so, or the user has roles of the API's client.
    /// * The roles of one client are at `["resource_access", client, "roles"]`: add them with [`Roles::and`].
    ///
    /// ```
    /// let issuer = tower_bearer::Issuer::keycloak("https://id.example.com", "shop");
    /// assert_eq!(issuer.id(), "https://id.example.com/realms/shop");
    /// ```
    #[must_use]
    pub fn keycloak(base: &str, realm: &str) -> Self {
        let base = base.trim_end_matches('/');
        let issuer = Self::new(format!("{base}/realms/{realm}")).require_claim_value("typ", "Bearer");
        issuer.roles(Roles::at(["realm_access", "roles"]))
    }

    /// Trusts an Auth0 tenant by its domain, such as `tenant.eu.auth0.com` or a custom one.
    ///
    /// * Scopes are those of `scope`. Where role-based access control adds the user's `permissions` to the token, these are what the *user* may do, whatever the client has asked
    ///   for: read them too, or instead, by [`scopes`](Self::scopes)`(Scopes::at(["permissions"]))`.
    /// * The usual mistake: a client that asks for no `audience` gets an opaque or encrypted token.
    /// * Auth0 has no roles of its own in access tokens: an action may put them into a claim with a URL for a name.
    ///
    /// ```
    /// let issuer = tower_bearer::Issuer::auth0("tenant.eu.auth0.com");
    /// assert_eq!(issuer.id(), "https://tenant.eu.auth0.com/");
    /// ```
    #[must_use]
    pub fn auth0(domain: &str) -> Self {
        Self::new(format!("https://{domain}/")).scopes(Scopes::at(["scope"]))
    }

    /// Trusts a custom authorization server of an Okta organisation, such as `("https://dev-1.okta.com", "default")`.
    ///
    /// * The client is in `cid`, which ID tokens do not have; roles are the `groups`, where the server is set up to add them.
    /// * The usual mistake: tokens of the *organisation's* server, whose issuer has no `/oauth2/…`, are for Okta itself and cannot be verified by others.
    ///
    /// ```
    /// let issuer = tower_bearer::Issuer::okta("https://dev-1.okta.com", "default");
    /// assert_eq!(issuer.id(), "https://dev-1.okta.com/oauth2/default");
    /// ```
    #[must_use]
    pub fn okta(base: &str, server: &str) -> Self {
        let base = base.trim_end_matches('/');
        let issuer = Self::new(format!("{base}/oauth2/{server}")).client_claim("cid").require_claims(["cid"]);
        issuer.roles(Roles::at(["groups"]))
    }

    /// Trusts one tenant of Microsoft Entra, by its GUID, for tokens of version 2.
    ///
    /// * The audience is the GUID of the API's registration. The usual mistake: its `requestedAccessTokenVersion` is not 2, and then the tokens are
    ///   those of [`entra_v1`](Self::entra_v1).
    /// * Roles are the app roles. Groups are left out of tokens of users who have more than 200.
    /// * Only tokens of users have scopes.
    /// * The client, `azp`, must be named. Give the API a registration of its own all the same: an ID token of a client that shares it names the same audience.
    /// * For many tenants, see [`IssuerTemplate`](crate::IssuerTemplate) with `https://login.microsoftonline.com/{tid}/v2.0` and the tenant's claim `tid`.
    ///
    /// ```
    /// let issuer = tower_bearer::Issuer::entra("11111111-1111-1111-1111-111111111111");
    /// assert_eq!(issuer.id(), "https://login.microsoftonline.com/11111111-1111-1111-1111-111111111111/v2.0");
    /// ```
    #[must_use]
    pub fn entra(tenant: &str) -> Self {
        Self::new(format!("https://login.microsoftonline.com/{tenant}/v2.0"))
            .require_claim_value("tid", tenant)
            .require_claims(["azp"])
            .client_claim("azp")
    }

    /// Trusts one tenant of Microsoft Entra, by its GUID, for tokens of version 1; see [`entra`](Self::entra).
    ///
    /// The audience is the application's URI, such as `api://…`, or its GUID; the client is in `appid`.
    ///
    /// ```
    /// let issuer = tower_bearer::Issuer::entra_v1("11111111-1111-1111-1111-111111111111");
    /// assert_eq!(issuer.id(), "https://sts.windows.net/11111111-1111-1111-1111-111111111111/");
    /// ```
    #[must_use]
    pub fn entra_v1(tenant: &str) -> Self {
        // the metadata are those of another host
        Self::new(format!("https://sts.windows.net/{tenant}/"))
            .jwks_uri(format!("https://login.microsoftonline.com/{tenant}/discovery/keys"))
            .require_claim_value("tid", tenant)
            .require_claims(["appid"])
            .client_claim("appid")
    }

    /// Trusts a user pool of Amazon Cognito, such as `("eu-west-1", "eu-west-1_x")`, for tokens of these clients.
    ///
    /// * Only access tokens: their `token_use` is `access`. They have no `aud`, so it is the client that is checked. A token that is bound to a resource has one, and is
    ///   checked by that, whoever the client is.
    /// * Roles are the groups.
    ///
    /// ```
    /// let issuer = tower_bearer::Issuer::cognito("eu-west-1", "eu-west-1_x", ["7tvr1q"]);
    /// assert_eq!(issuer.id(), "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_x");
    /// ```
    #[must_use]
    pub fn cognito<I>(region: &str, pool: &str, clients: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Self::new(format!("https://cognito-idp.{region}.amazonaws.com/{pool}"))
            .require_claim_value("token_use", "access")
            .audience_claim("client_id", clients)
            .roles(Roles::at(["cognito:groups"]))
    }

    /// Trusts a Firebase project for the ID tokens of its users, which Firebase means for backends, too.
    ///
    /// * The audience is the project, and is set.
    /// * Custom claims stand at the top of the token: name the one with the roles by [`roles`](Self::roles).
    /// * Tokens of the emulator are unsigned, and are refused. Anonymous users have tokens, too: see `firebase.sign_in_provider`.
    ///
    /// ```
    /// let issuer = tower_bearer::Issuer::firebase("shop");
    /// assert_eq!(issuer.id(), "https://securetoken.google.com/shop");
    /// ```
    #[must_use]
    pub fn firebase(project: &str) -> Self {
        Self::new(format!("https://securetoken.google.com/{project}"))
            .audience(project)
            .algorithms([Algorithm::Rs256])
            .require_claims(["sub", "auth_time"])
            .jwks_uri("https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com")
    }

    /// Trusts a Duende IdentityServer, or an IdentityServer4, by its origin.
    ///
    /// * The type is `at+jwt`, as it is unless the server is told otherwise. Roles are in `role`.
    /// * The issuer is the origin in lower case. The usual mistake: `aud` is absent where a scope belongs to no *API resource*.
    ///
    /// ```
    /// let issuer = tower_bearer::Issuer::duende("https://id.example.com");
    /// assert_eq!(issuer.id(), "https://id.example.com");
    /// ```
    #[must_use]
    pub fn duende(origin: &str) -> Self {
        Self::new(origin.trim_end_matches('/')).accept_typ("at+jwt").roles(Roles::at(["role"]))
    }

    /// Trusts a Zitadel instance by its address.
    ///
    /// * Roles are those of the project, in whatever organisation they are granted: say in which with [`Roles::granted_in`]. They are in the token only if the client asks for
    ///   them.
    /// * Tokens have no scopes. The audience is the project's or the client's identifier, and so is that of ID tokens, which are refused because they have `auth_time` or `at_hash`.
    /// * The usual mistake: tokens are opaque unless the client is set to JWT.
    ///
    /// ```
    /// let issuer = tower_bearer::Issuer::zitadel("https://shop.zitadel.cloud");
    /// assert_eq!(issuer.id(), "https://shop.zitadel.cloud");
    /// ```
    #[must_use]
    pub fn zitadel(instance: &str) -> Self {
        let instance = instance.trim_end_matches('/');
        let issuer = Self::new(instance).forbid_claims(["auth_time", "at_hash"]);
        issuer.roles(Roles::at(["urn:zitadel:iam:org:project:roles"]))
    }

    /// Trusts a client (an *OAuth2 resource server*) of Kanidm, each of which is an issuer of its own.
    ///
    /// The type is `at+jwt`; the audience is the client, and is set. Groups are mapped to scopes, so there are no roles.
    ///
    /// ```
    /// let issuer = tower_bearer::Issuer::kanidm("https://idm.example.com", "shop");
    /// assert_eq!(issuer.id(), "https://idm.example.com/oauth2/openid/shop");
    /// ```
    #[must_use]
    pub fn kanidm(base: &str, client: &str) -> Self {
        let base = base.trim_end_matches('/');
        Self::new(format!("{base}/oauth2/openid/{client}")).audience(client).accept_typ("at+jwt")
    }

    /// Trusts an application of authentik, by the address of the server and the application's *slug*.
    ///
    /// * The audience is the client's identifier. Roles are the `groups`.
    /// * An ID token of the same client has the same claims but for `azp` and `uid`, which must be there.
    /// * The usual mistake: without a signing key at the provider, tokens are signed with the client's secret (HS256), and are refused.
    ///
    /// ```
    /// let issuer = tower_bearer::Issuer::authentik("https://auth.example.com", "shop");
    /// assert_eq!(issuer.id(), "https://auth.example.com/application/o/shop/");
    /// ```
    #[must_use]
    pub fn authentik(base: &str, slug: &str) -> Self {
        let base = base.trim_end_matches('/');
        let issuer = Self::new(format!("{base}/application/o/{slug}/")).require_claims(["azp", "uid"]);
        issuer.roles(Roles::at(["groups"]))
    }

    /// Trusts a Supabase project by its reference, for the tokens of its users.
    ///
    /// * The audience is `authenticated`, and is set; the project's own `anon` key has another. Users who sign in anonymously have it, too, and `is_anonymous` is true in their
    ///   tokens: read it into your claims type.
    /// * Roles are those that the application keeps in `app_metadata`. The claim `role` is the database's, and `user_metadata` is written by the users themselves: do not
    ///   read roles there.
    /// * The usual mistake: projects that still sign with a shared secret publish no keys.
    ///
    /// ```
    /// let issuer = tower_bearer::Issuer::supabase("abcdefgh");
    /// assert_eq!(issuer.id(), "https://abcdefgh.supabase.co/auth/v1");
    /// ```
    #[must_use]
    pub fn supabase(project: &str) -> Self {
        Self::new(format!("https://{project}.supabase.co/auth/v1"))
            .audience("authenticated")
            .roles(Roles::at(["app_metadata", "roles"]))
    }

    /// Trusts the GitHub Actions of one owner of repositories, by the owner's numeric identifier.
    ///
    /// * Everybody who has a repository can get a token of this issuer, for whatever audience: that of the workflow's choice, and by default the address of the repository's owner.
    /// * Decide by `repository_id`, `ref` and `environment`, not by names, which may change hands.
    ///
    /// ```
    /// let issuer = tower_bearer::Issuer::github_actions("65");
    /// assert_eq!(issuer.id(), "https://token.actions.githubusercontent.com");
    /// ```
    #[must_use]
    pub fn github_actions(owner_id: &str) -> Self {
        Self::new("https://token.actions.githubusercontent.com")
            .require_claim_value("repository_owner_id", owner_id)
            .require_claims(["repository_id"])
    }
}
