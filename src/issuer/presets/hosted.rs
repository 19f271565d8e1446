//! Sign-in as a service.

use std::time::Duration;

use super::is_host;
use crate::claims::{Claim, Mark, Principals, Roles, Scopes, Segment};
use crate::issuer::Issuer;
use crate::jose::Algorithm;

presets! {
    /// Trusts an Auth0 tenant by its domain, such as `tenant.eu.auth0.com` or a custom one.
    ///
    /// * Scopes are those of `scope`. Where role-based access control adds the user's `permissions`
    ///   to the token, these are what the *user* may do, whatever the client has asked for: read
    ///   them too, or instead, by [`scopes`](Self::scopes)`(Scopes::at(["permissions"]))`.
    /// * The usual mistake: a client that asks for no `audience` gets an opaque or encrypted token.
    /// * A client calls if `sub` ends with `@clients`. The tenant is the organisation, `org_id`.
    /// * Auth0 has no roles of its own in access tokens: an action may put them into a claim with a
    ///   URL for a name.
    auth0(domain: str = "tenant.eu.auth0.com") => "https://tenant.eu.auth0.com/" {
        Self::new(format!("https://{domain}/"))
            .expecting(is_host(domain), "domain", "expected a domain, such as tenant.eu.auth0.com")
            .scopes(Scopes::at(["scope"]))
            .tenant_at(["org_id"])
            .told_by(Principals { users: &[Mark::Contains("sub", '|')], clients: &[Mark::EndsWith("sub", "@clients")] })
    }

    /// Trusts a Clerk application, by its Frontend API and the origins of its pages, for session
    /// tokens.
    ///
    /// * `azp`, the origin of the page, must be one of these. Session tokens have no `aud`, unless
    ///   a custom claim adds it; then it must be this service's, too.
    /// * Tokens of a sign-in that is not complete (`sts` is `pending`) are refused, and so are
    ///   OAuth and machine tokens.
    /// * The role is that of the active organisation, without `org:`; the tenant is its identifier.
    ///   Permissions are not read for scopes: tokens of version 2 pack them together with features;
    ///   read them into your claims type.
    /// * They live for a minute, so the [leeway](Self::leeway) is 5 s here.
    clerk(
        base: url = "https://clerk.example.com",
        origins: [str] = ["https://example.com"]
    ) => "https://clerk.example.com" {
        Self::new(base)
            .jwks_uri(format!("{base}/.well-known/jwks.json"))
            .accept_absent_aud_if("azp", origins.clone())
            .require(Claim::at(["azp"]).one_of(origins))
            .only_types(["JWT"])
            .require(Claim::at(["sid"]))
            .require(Claim::at(["sub"]).starts_with("user_"))
            .require(Claim::if_present(["sts"]).not_equals("pending"))
            .leeway(Duration::from_secs(5))
            .roles(Roles::at(["o", "rol"]))
            .tenant_at(["o", "id"])
            .told_by(Principals { users: &[Mark::Always], clients: &[] })
    }

    /// Trusts a user pool of Amazon Cognito, such as `("eu-west-1", "eu-west-1_x")`, for tokens of
    /// these clients.
    ///
    /// * Only access tokens: their `token_use` is `access`.
    /// * The client must be one of these. A token has no `aud`, unless it is bound to a resource;
    ///   then it must be this service's, too.
    /// * Roles are the groups. A user calls if the token has `username`.
    cognito(
        region: str = "eu-west-1",
        pool: str = "eu-west-1_x",
        clients: [str] = ["7tvr1q"]
    ) => "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_x" {
        Self::new(format!("https://cognito-idp.{region}.amazonaws.com/{pool}"))
            .require(Claim::at(["token_use"]).equals("access"))
            .accept_absent_aud_if("client_id", clients.clone())
            .require(Claim::at(["client_id"]).one_of(clients))
            .roles(Roles::at(["cognito:groups"]))
            .told_by(Principals { users: &[Mark::Has("username")], clients: &[Mark::Lacks("username")] })
    }

    /// Trusts a Descope project for its session tokens.
    ///
    /// * Refresh tokens are signed by the same keys; only those whose `drn` is `DS` are accepted.
    ///   The issuer is the project's identifier, or its address.
    /// * Tokens have no audience unless one is set up, and are accepted without; if there is one,
    ///   it must be the project, unless [`only_audiences`](Self::only_audiences) names others.
    /// * Roles and scopes (the `permissions`) are those of the project and of the current tenant,
    ///   `dct`. A permission whose name has a space, such as `SSO Admin`, is no scope.
    [examples]
    ///
    /// # Security
    ///
    /// Without an audience, a token is good at every service of the project.
    /// [`require`](Self::require)`(Claim::at(["aud"]))` refuses such tokens.
    descope(project: str = "P2abc") => "P2abc" {
        let address = format!("https://api.descope.com/{project}");
        let of_tenant = |what: &'static str| [Segment::from("tenants"), Segment::value_of("dct"), what.into()];
        Self::new(project)
            .jwks_uri(format!("{address}/.well-known/jwks.json"))
            .also_known_as(address)
            .only_audiences([project])
            .dangerously_accept_absent_aud()
            .require(Claim::at(["drn"]).equals("DS"))
            .scopes(Scopes::default().and(["permissions"]).and(of_tenant("permissions")))
            .roles(Roles::default().and(of_tenant("roles")))
            .tenant_at(["dct"])
    }

    /// Trusts a Firebase project for the ID tokens of its users, which Firebase means for backends,
    /// too.
    ///
    /// * The audience is the project, and is set.
    /// * Custom claims stand at the top of the token: name the one with the roles by
    ///   [`roles`](Self::roles).
    /// * Tokens of the emulator are unsigned, and are refused. Anonymous users have tokens, too:
    ///   see `firebase.sign_in_provider`.
    firebase(project: str = "shop") => "https://securetoken.google.com/shop" {
        Self::new(format!("https://securetoken.google.com/{project}"))
            .only_audiences([project])
            .only_algorithms([Algorithm::Rs256])
            .require(Claim::at(["sub"]))
            .require(Claim::at(["auth_time"]))
            .jwks_uri("https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com")
            .tenant_at(["firebase", "tenant"])
            .told_by(Principals { users: &[Mark::Always], clients: &[] })
    }

    /// Trusts Google for the ID tokens of its users, as Google's sign-in gives them to web sites
    /// and apps.
    ///
    /// * The audience is the client's identifier, `….apps.googleusercontent.com`. Google's access
    ///   tokens are opaque, and cannot be verified.
    /// * `iss` has been written with and without `https://`; both are accepted. The tenant is the
    ///   Workspace domain, `hd`.
    /// * Service accounts have such tokens, too, for an audience of their choice: a client calls if
    ///   `email` ends with `.gserviceaccount.com`.
    [examples]
    ///
    /// # Security
    ///
    /// Everybody has a Google account. Decide by `hd`, or by what your service knows of the
    /// subject; `email` may change hands.
    google() => "https://accounts.google.com" {
        Self::new("https://accounts.google.com")
            .also_known_as("accounts.google.com")
            .only_algorithms([Algorithm::Rs256])
            .tenant_at(["hd"])
            .told_by(Principals { users: &[], clients: &[Mark::EndsWith("email", ".gserviceaccount.com")] })
    }

    /// Trusts a Logto tenant by its endpoint.
    ///
    /// * The type is `at+jwt`. The audience is the API resource, or `urn:logto:organization:…`.
    ///   Permissions are scopes; there are no roles.
    /// * The usual mistake: a client that asks for no `resource` gets an opaque token.
    logto(base: url = "https://shop.logto.app") => "https://shop.logto.app/oidc" {
        Self::new(format!("{base}/oidc"))
            .only_types(["at+jwt"])
            .tenant_at(["organization_id"])
            .told_by(Principals::RFC9068)
    }

    /// Trusts a custom authorization server of an Okta organisation, such as
    /// `("https://dev-1.okta.com", "default")`.
    ///
    /// * The client is in `cid`, which ID tokens do not have; roles are the `groups`, where the
    ///   server is set up to add them.
    /// * A user calls if the token has `uid`, which those of clients do not.
    /// * The usual mistake: tokens of the *organisation's* server, whose issuer has no `/oauth2/…`,
    ///   are for Okta itself and cannot be verified by others.
    okta(base: url = "https://dev-1.okta.com", server: str = "default") => "https://dev-1.okta.com/oauth2/default" {
        Self::new(format!("{base}/oauth2/{server}"))
            .client_claim("cid")
            .require(Claim::at(["cid"]))
            .roles(Roles::at(["groups"]))
            .told_by(Principals { users: &[Mark::Has("uid")], clients: &[Mark::Lacks("uid")] })
    }

    /// Trusts an environment of PingOne, by its region's domain and its identifier, such as
    /// `("auth.pingone.eu", "11111111-…")`.
    ///
    /// * The audience is that of the custom resource. The client must be named, as it is not in ID
    ///   tokens.
    /// * A user calls if the token has `sid`, which those of clients do not.
    pingone(
        domain: str = "auth.pingone.eu",
        environment: str = "11111111-1111-1111-1111-111111111111"
    ) => "https://auth.pingone.eu/11111111-1111-1111-1111-111111111111/as" {
        Self::new(format!("https://{domain}/{environment}/as"))
            .expecting(is_host(domain), "domain", "expected a domain, such as auth.pingone.eu")
            .require(Claim::at(["client_id"]))
            .told_by(Principals { users: &[Mark::Has("sid")], clients: &[Mark::Lacks("sid")] })
    }

    /// Trusts a Supabase project by its reference, for the tokens of its users.
    ///
    /// * The audience is `authenticated`, and is set; the project's own `anon` key has another.
    ///   Users who sign in anonymously have it, too, and `is_anonymous` is true in their tokens:
    ///   read it into your claims type.
    /// * Roles are those that the application keeps in `app_metadata`. The claim `role` is the
    ///   database's, and `user_metadata` is written by the users themselves: do not read roles
    ///   there.
    /// * The usual mistake: projects that still sign with a shared secret publish no keys.
    supabase(project: str = "abcdefgh") => "https://abcdefgh.supabase.co/auth/v1" {
        Self::new(format!("https://{project}.supabase.co/auth/v1"))
            .only_audiences(["authenticated"])
            .roles(Roles::at(["app_metadata", "roles"]))
            .told_by(Principals { users: &[Mark::Always], clients: &[] })
    }

    /// Trusts the sessions of a WorkOS application (AuthKit), by its client identifier.
    ///
    /// * The keys are the application's own. Tokens have no audience unless one is set up, and are
    ///   accepted without; if there is one, it must be the client's, unless
    ///   [`only_audiences`](Self::only_audiences) names others.
    /// * `iss` is one of three texts that WorkOS has been seen to write; for a custom domain, add
    ///   yours by [`also_known_as`](Self::also_known_as). Two of these texts are those of every
    ///   application, so that a server can have one.
    /// * A permission whose name has a space is no scope.
    /// * Roles are `role` and `roles`, scopes the `permissions`, the tenant is the organisation.
    ///   Tokens of Connect, for machines, have another issuer.
    [examples]
    ///
    /// # Security
    ///
    /// Without an audience, a token is good at every service of the application.
    /// [`require`](Self::require)`(Claim::at(["aud"]))` refuses such tokens.
    workos(client: str = "client_123") => "https://api.workos.com/user_management/client_123" {
        Self::new(format!("https://api.workos.com/user_management/{client}"))
            .also_known_as("https://api.workos.com")
            .also_known_as("https://api.workos.com/")
            .jwks_uri(format!("https://api.workos.com/sso/jwks/{client}"))
            .only_audiences([client])
            .dangerously_accept_absent_aud()
            .require(Claim::at(["sid"]))
            .scopes(Scopes::at(["permissions"]))
            .roles(Roles::at(["roles"]).and(["role"]))
            .tenant_at(["org_id"])
            .told_by(Principals { users: &[Mark::Has("sid")], clients: &[] })
    }
}
