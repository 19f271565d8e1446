//! The presets as data: each by the name of its constructor, with what that takes.

use serde::Deserialize;

use super::field::OneOrMany;
use crate::issuer::Issuer;

/// A provider whose tokens are known; see the method of [`Issuer`] of the same name.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) enum Preset {
    Auth0 { domain: String },
    Authelia { issuer: String },
    Authentik { base: String, slug: String },
    Clerk { frontend_api: String, origins: OneOrMany },
    CloudflareAccess { team: String, audience: String },
    Cognito { region: String, pool: String, clients: OneOrMany },
    Descope { project: String },
    Duende { origin: String },
    Entra { tenant: String },
    EntraB2c { tenant: String, tenant_id: String, policy: String },
    EntraV1 { tenant: String },
    Firebase { project: String },
    Fusionauth { issuer: String, base: String, application: String },
    GithubActions { owner_id: String },
    GitlabCi { instance: String, namespace_id: String },
    Google {},
    GoogleIap { audience: String },
    Hydra { issuer: String },
    Kanidm { base: String, client: String },
    Keycloak { base: String, realm: String },
    Kubernetes { issuer: String },
    Logto { endpoint: String },
    Okta { base: String, server: String },
    Pingone { domain: String, environment: String },
    Spiffe { trust_domain: String, jwks_uri: String },
    Spring { issuer: String },
    Supabase { project: String },
    Workos { client_id: String },
    Wso2 { base: String },
    Zitadel { instance: String },
}

impl Preset {
    pub(super) fn issuer(self) -> Issuer {
        match self {
            Self::Auth0 { domain } => Issuer::auth0(&domain),
            Self::Authelia { issuer } => Issuer::authelia(&issuer),
            Self::Authentik { base, slug } => Issuer::authentik(&base, &slug),
            Self::Clerk { frontend_api, origins } => Issuer::clerk(&frontend_api, Vec::from(origins)),
            Self::CloudflareAccess { team, audience } => Issuer::cloudflare_access(&team, &audience),
            Self::Cognito { region, pool, clients } => Issuer::cognito(&region, &pool, Vec::from(clients)),
            Self::Descope { project } => Issuer::descope(&project),
            Self::Duende { origin } => Issuer::duende(&origin),
            Self::Entra { tenant } => Issuer::entra(&tenant),
            Self::EntraB2c { tenant, tenant_id, policy } => Issuer::entra_b2c(&tenant, &tenant_id, &policy),
            Self::EntraV1 { tenant } => Issuer::entra_v1(&tenant),
            Self::Firebase { project } => Issuer::firebase(&project),
            Self::Fusionauth { issuer, base, application } => Issuer::fusionauth(&issuer, &base, &application),
            Self::GithubActions { owner_id } => Issuer::github_actions(&owner_id),
            Self::GitlabCi { instance, namespace_id } => Issuer::gitlab_ci(&instance, &namespace_id),
            Self::Google {} => Issuer::google(),
            Self::GoogleIap { audience } => Issuer::google_iap(&audience),
            Self::Hydra { issuer } => Issuer::hydra(&issuer),
            Self::Kanidm { base, client } => Issuer::kanidm(&base, &client),
            Self::Keycloak { base, realm } => Issuer::keycloak(&base, &realm),
            Self::Kubernetes { issuer } => Issuer::kubernetes(&issuer),
            Self::Logto { endpoint } => Issuer::logto(&endpoint),
            Self::Okta { base, server } => Issuer::okta(&base, &server),
            Self::Pingone { domain, environment } => Issuer::pingone(&domain, &environment),
            Self::Spiffe { trust_domain, jwks_uri } => Issuer::spiffe(&trust_domain, &jwks_uri),
            Self::Spring { issuer } => Issuer::spring(&issuer),
            Self::Supabase { project } => Issuer::supabase(&project),
            Self::Workos { client_id } => Issuer::workos(&client_id),
            Self::Wso2 { base } => Issuer::wso2(&base),
            Self::Zitadel { instance } => Issuer::zitadel(&instance),
        }
    }
}
