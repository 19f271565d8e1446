//! Microsoft's issuers.

use super::{is_guid, is_host};
use crate::claims::{Claim, Mark, Principals, Roles};
use crate::issuer::Issuer;

/// The claim for roles, as Windows calls it.
const ROLE: &str = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role";

const GUID: &str = "expected the tenant's GUID, in lower case; not its domain, and not `common`";

const ENTRA: Principals = Principals { users: &[Mark::Has("scp")], clients: &[Mark::Is("idtyp", "app")] };

presets! {
    /// Trusts an AD FS (Windows Server 2016 or newer) by its address, such as
    /// `https://adfs.example.com`.
    ///
    /// * Access tokens name the *federation service identifier*, which is
    ///   `http://adfs.example.com/adfs/services/trust` unless it was changed. The metadata call it
    ///   `access_token_issuer`. If yours differs, even by case only, add it by
    ///   [`also_known_as`](Self::also_known_as).
    /// * ID tokens name `https://adfs.example.com/adfs`, and are refused.
    /// * The audience is the identifier of the *Web API*. If that is no address, the token has
    ///   `microsoft:identityserver:` before it.
    /// * Roles are in `role`, or in the claim that Windows calls so, where a rule of the Web API
    ///   adds them. For groups, read [`roles`](Self::roles)`(Roles::at(["group"]))`, or whatever
    ///   the rule calls them.
    /// * The client is in `appid`, which must be there. A user calls where there are scopes.
    /// * Access tokens may name their key by `x5t` alone, the thumbprint of its certificate. It is
    ///   then looked up as the key's `kid`, which is the same text.
    /// * The usual mistake: a client that names no `resource` gets a token for
    ///   `urn:microsoft:userinfo`.
    adfs(base: url = "https://adfs.example.com") => "http://adfs.example.com/adfs/services/trust" {
        let host = base.split_once("://").map_or(base, |(_, host)| host);
        // the metadata name another issuer, that of ID tokens
        Self::new(format!("http://{host}/adfs/services/trust"))
            .jwks_uri(format!("{base}/adfs/discovery/keys"))
            .expecting(
                is_host(host),
                "base",
                "expected the server's address without a path, such as https://adfs.example.com",
            )
            .require(Claim::at(["appid"]))
            .client_claim("appid")
            .roles(Roles::at(["role"]).and([ROLE]))
            .told_by(Principals { users: &[Mark::Has("scp")], clients: &[] })
    }

    /// Trusts one tenant of Microsoft Entra, by its GUID, for tokens of version 2.
    ///
    /// * The audience is the GUID of the API's registration. The usual mistake: its
    ///   `requestedAccessTokenVersion` is not 2, and then the tokens are those of
    ///   [`entra_v1`](Self::entra_v1).
    /// * Roles are the app roles. Groups are left out of tokens of users who have more than 200.
    /// * Only tokens of users have scopes, and a user calls where there are some. That a client
    ///   calls is only certain from `idtyp`, an optional claim of the registration.
    /// * The client, `azp`, must be named.
    /// * For many tenants, see [`IssuerTemplate::entra`](crate::trust::IssuerTemplate::entra).
    [examples]
    ///
    /// # Security
    ///
    /// Give the API a registration of its own: an ID token of a client that shares it names the
    /// same audience, and may have the same claims.
    entra(
        tenant: str = "11111111-1111-1111-1111-111111111111"
    ) => "https://login.microsoftonline.com/11111111-1111-1111-1111-111111111111/v2.0" {
        Self::new(format!("https://login.microsoftonline.com/{tenant}/v2.0"))
            .require(Claim::at(["tid"]).equals(tenant))
            .require(Claim::at(["azp"]))
            .client_claim("azp")
            .expecting(is_guid(tenant), "tenant", GUID)
            .tenant_at(["tid"])
            .told_by(ENTRA)
    }

    /// Trusts one tenant of Microsoft Entra, by its GUID, for tokens of version 1; see
    /// [`entra`](Self::entra).
    ///
    /// The audience is the application's URI, such as `api://…`, or its GUID; the client is in
    /// `appid`.
    entra_v1(
        tenant: str = "11111111-1111-1111-1111-111111111111"
    ) => "https://sts.windows.net/11111111-1111-1111-1111-111111111111/" {
        // the metadata are those of another host
        Self::new(format!("https://sts.windows.net/{tenant}/"))
            .jwks_uri(format!("https://login.microsoftonline.com/{tenant}/discovery/keys"))
            .require(Claim::at(["tid"]).equals(tenant))
            .require(Claim::at(["appid"]))
            .expecting(is_guid(tenant), "tenant", GUID)
            .client_claim("appid")
            .tenant_at(["tid"])
            .told_by(ENTRA)
    }

    /// Trusts one policy of an Azure AD B2C tenant, such as
    /// `("contoso", "11111111-1111-1111-1111-111111111111", "B2C_1_sign_in")`: the tenant's name,
    /// its GUID, and the policy as the tokens' `tfp` has it.
    ///
    /// * The audience is the API's application identifier. Both forms of the issuer are accepted.
    /// * Only tokens with `scp` and without `nonce`: no claim that all ID tokens have tells them
    ///   apart, but they have no scopes.
    /// * One of a server: all policies have the same issuer, and keys of their own.
    /// * The usual mistake: policies that write `acr` in place of `tfp` (for compatibility) are
    ///   refused.
    [examples]
    ///
    /// # Security
    ///
    /// Give the API a registration of its own, as with [`entra`](Self::entra).
    entra_b2c(
        name: str = "contoso",
        tenant: str = "11111111-1111-1111-1111-111111111111",
        policy: str = "B2C_1_sign_in"
    ) => "https://contoso.b2clogin.com/11111111-1111-1111-1111-111111111111/v2.0/" {
        let host = format!("https://{name}.b2clogin.com");
        Self::new(format!("{host}/{tenant}/v2.0/"))
            .also_known_as(format!("{host}/tfp/{tenant}/{}/v2.0/", policy.to_lowercase()))
            .jwks_uri(format!("{host}/{name}.onmicrosoft.com/{policy}/discovery/v2.0/keys"))
            .require(Claim::at(["tfp"]).equals(policy))
            .require(Claim::at(["scp"]))
            .expecting(is_guid(tenant), "tenant", "expected the tenant's GUID, in lower case")
            .lacking(["nonce", "at_hash", "c_hash"])
            .client_claim("azp")
            .told_by(ENTRA)
    }
}
