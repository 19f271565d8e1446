//! Authorization servers that one runs oneself.

use crate::claims::{Claim, Mark, Principals, Roles};
use crate::issuer::Issuer;

const BY_SUBJECT: Principals = Principals { users: &[Mark::Has("sub")], clients: &[Mark::Lacks("sub")] };

presets! {
    /// Trusts an Authelia by its issuer.
    ///
    /// * The type is `at+jwt`. Scopes are in `scp`; roles are the `groups`, which are in access
    ///   tokens only if a claims policy puts them there.
    /// * The usual mistake: tokens are opaque unless the client's
    ///   `access_token_signed_response_alg` is set.
    authelia(issuer: str = "https://auth.example.com") => "https://auth.example.com" {
        Self::new(issuer).only_types(["at+jwt"]).roles(Roles::at(["groups"])).told_by(Principals::RFC9068)
    }

    /// Trusts an application of authentik, by the address of the server and the application's
    /// *slug*.
    ///
    /// * The audience is the client's identifier. Roles are the `groups`.
    /// * An ID token of the same client has the same claims but for `azp` and `uid`, which must be
    ///   there.
    /// * The usual mistake: without a signing key at the provider, tokens are signed with the
    ///   client's secret (HS256), and are refused.
    authentik(
        base: url = "https://auth.example.com",
        slug: str = "shop"
    ) => "https://auth.example.com/application/o/shop/" {
        Self::new(format!("{base}/application/o/{slug}/"))
            .require(Claim::at(["azp"]))
            .require(Claim::at(["uid"]))
            .roles(Roles::at(["groups"]))
    }

    /// Trusts a Duende IdentityServer, or an IdentityServer4, by its origin.
    ///
    /// * The type is `at+jwt`, as it is unless the server is told otherwise. Roles are in `role`.
    /// * A client calls if there is no `sub`.
    /// * The issuer is the origin in lower case. The usual mistake: `aud` is absent where a scope
    ///   belongs to no *API resource*.
    duende(base: url = "https://id.example.com") => "https://id.example.com" {
        Self::new(base).only_types(["at+jwt"]).roles(Roles::at(["role"])).told_by(BY_SUBJECT)
    }

    /// Trusts a tenant of FusionAuth, by the server's address and the tenant's *issuer*, a text of
    /// its settings that need not be an address, for tokens of one application, which is set as the
    /// audience.
    ///
    /// * ID tokens have the same audience and type; they are refused because they have `at_hash`,
    ///   `c_hash` or `nonce`.
    /// * Roles are those of the application, if the user is registered for it. The tenant is `tid`.
    /// * The usual mistake: tokens that are signed with a shared secret, as they are by default,
    ///   are refused.
    [examples]
    ///
    /// # Security
    ///
    /// An ID token with none of these claims cannot be told apart: have clients send a `nonce`.
    fusionauth(
        base: url = "https://auth.example.com",
        issuer: str = "acme.com",
        application: str = "e9fdb985-9173-4e01-9d73-ac2d60d1dc8e"
    ) => "acme.com" {
        Self::new(issuer)
            .jwks_uri(format!("{base}/.well-known/jwks.json"))
            .only_audiences([application])
            .lacking(["at_hash", "c_hash", "nonce"])
            .client_claim("applicationId")
            .tenant_at(["tid"])
    }

    /// Trusts an Ory Hydra by its issuer, which usually ends with a slash.
    ///
    /// * The audience is what the client asks for, and `[]` if it asks for none. The client must be
    ///   named, as it is not in ID tokens.
    /// * Scopes are in `scp` or `scope`. What the consent app adds is in `ext`; roles are read from
    ///   `ext.roles`.
    /// * The usual mistake: tokens are opaque unless `strategies.access_token` is `jwt`.
    hydra(issuer: str = "https://hydra.example.com/") => "https://hydra.example.com/" {
        Self::new(issuer)
            .require(Claim::at(["client_id"]))
            .lacking(["at_hash", "nonce"])
            .roles(Roles::at(["ext", "roles"]))
            .told_by(Principals::RFC9068)
    }

    /// Trusts a client (an *OAuth2 resource server*) of Kanidm, each of which is an issuer of its
    /// own.
    ///
    /// The type is `at+jwt`; the audience is the client, and is set. Groups are mapped to scopes,
    /// so there are no roles.
    kanidm(
        base: url = "https://idm.example.com",
        client: str = "shop"
    ) => "https://idm.example.com/oauth2/openid/shop" {
        Self::new(format!("{base}/oauth2/openid/{client}"))
            .only_audiences([client])
            .only_types(["at+jwt"])
            .told_by(Principals::RFC9068)
    }

    /// Trusts a Keycloak realm: `{base}/realms/{realm}`, with the roles of the realm.
    ///
    /// * Only access tokens: their claim `typ` is `Bearer`; that of ID tokens is `ID`.
    /// * The usual mistake: Keycloak puts the API into `aud` only where an *audience* mapper of the
    ///   client or its scopes says so, or the user has roles of the API's client.
    /// * A client calls if the token has `client_id`, or `preferred_username` begins with
    ///   `service-account-`; a user, if it has `sid`.
    /// * The roles of one client are at `["resource_access", client, "roles"]`: add them with
    ///   [`Roles::and`].
    keycloak(base: url = "https://id.example.com", realm: str = "shop") => "https://id.example.com/realms/shop" {
        const SERVICE: Mark = Mark::BeginsWith("preferred_username", "service-account-");
        Self::new(format!("{base}/realms/{realm}"))
            .require(Claim::at(["typ"]).equals("Bearer"))
            .roles(Roles::at(["realm_access", "roles"]))
            .told_by(Principals {
                users: &[Mark::Has("sid")],
                clients: &[Mark::Has("client_id"), Mark::Has("clientId"), SERVICE],
            })
    }

    /// Trusts a Spring Authorization Server by its issuer.
    ///
    /// * The audience is the *client*, unless a customizer of the tokens says otherwise: name the
    ///   clients by [`only_audiences`](Self::only_audiences).
    /// * ID tokens have the same audience; they are refused because they have `azp`, which access
    ///   tokens do not.
    /// * Roles are in `roles` or `authorities`, where a customizer puts them.
    /// * The usual mistake: by default the server makes new keys with each start, and takes its
    ///   issuer from the request's host.
    spring(issuer: str = "https://id.example.com") => "https://id.example.com" {
        Self::new(issuer).lacking(["azp", "nonce", "at_hash"]).roles(Roles::default().and(["authorities"]))
    }

    /// Trusts a WSO2 Identity Server by its address, or an organisation of Asgardeo:
    /// `https://api.asgardeo.io/t/{organisation}`.
    ///
    /// * The audience is the client, and whatever is added to the application. Only tokens that say
    ///   in `aut` who is authorised; it also tells users and clients apart. ID tokens are refused
    ///   because they have `at_hash`, `c_hash` or `nonce`, too.
    /// * Roles are `groups` and `roles`. The tenant is the organisation, `org_id`.
    /// * The usual mistake: tokens are opaque unless the application is set to JWT.
    wso2(base: url = "https://id.example.com:9443") => "https://id.example.com:9443/oauth2/token" {
        Self::new(format!("{base}/oauth2/token"))
            .jwks_uri(format!("{base}/oauth2/jwks"))
            .require(Claim::at(["aut"]))
            .lacking(["at_hash", "c_hash", "nonce"])
            .roles(Roles::at(["groups"]).and(["roles"]))
            .tenant_at(["org_id"])
            .told_by(Principals {
                users: &[Mark::Is("aut", "APPLICATION_USER")],
                clients: &[Mark::Is("aut", "APPLICATION")],
            })
    }

    /// Trusts a Zitadel instance by its address.
    ///
    /// * Roles are those of the project, in whatever organisation they are granted: say in which
    ///   with [`Roles::only_granted_in`]. They are in the token if the client asks for them, or the
    ///   project asserts them.
    /// * Tokens have no scopes. The audience is the project's or the client's identifier, and so is
    ///   that of ID tokens, which are refused because they have `auth_time` or `at_hash`.
    /// * The tenant is the organisation of the user, where the client asks for it. Machines are
    ///   users, too.
    /// * The usual mistake: tokens are opaque unless the client is set to JWT.
    zitadel(base: url = "https://shop.zitadel.cloud") => "https://shop.zitadel.cloud" {
        Self::new(base)
            .lacking(["auth_time", "at_hash"])
            .roles(Roles::at(["urn:zitadel:iam:org:project:roles"]))
            .tenant_at(["urn:zitadel:iam:user:resourceowner:id"])
    }
}
