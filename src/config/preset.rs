//! The presets as data: each by the name of its constructor, with what that takes.

use serde::Deserialize;

use super::field::OneOrMany;
use crate::issuer::{Address, Issuer};

/// A provider whose tokens are known; see the method of [`Issuer`] of the same name.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) enum Preset {
    Adfs { base: String },
    Auth0 { domain: String },
    Authelia { issuer: String },
    Authentik { base: String, slug: String },
    AwsAlb { issuer: String, arns: OneOrMany },
    Clerk { base: String, origins: OneOrMany },
    CloudflareAccess { team: String, aud_tag: String },
    Cognito { region: String, pool: String, clients: OneOrMany },
    Descope { project: String },
    Duende { base: String },
    Entra { tenant: String },
    EntraB2c { name: String, tenant: String, policy: String },
    EntraV1 { tenant: String },
    Firebase { project: String },
    Fusionauth { base: String, issuer: String, application: String },
    GithubActions { owner_ids: OneOrMany },
    GitlabCi { base: String, namespace_ids: OneOrMany },
    Google {},
    GoogleIap { audience: String },
    Hydra { issuer: String },
    Kanidm { base: String, client: String },
    Keycloak { base: String, realm: String },
    Kubernetes { issuer: String },
    Logto { base: String },
    Okta { base: String, server: String },
    Pingone { domain: String, environment: String },
    Spiffe { trust_domain: String, jwks_uri: Address },
    Spring { issuer: String },
    Supabase { project: String },
    Workos { client: String },
    Wso2 { base: String },
    Zitadel { base: String },
}

impl Preset {
    pub(super) fn issuer(self) -> Issuer {
        match self {
            Self::Adfs { base } => Issuer::adfs(&base),
            Self::Auth0 { domain } => Issuer::auth0(&domain),
            Self::Authelia { issuer } => Issuer::authelia(&issuer),
            Self::Authentik { base, slug } => Issuer::authentik(&base, &slug),
            Self::AwsAlb { issuer, arns } => Issuer::aws_alb(&issuer, arns),
            Self::Clerk { base, origins } => Issuer::clerk(&base, origins),
            Self::CloudflareAccess { team, aud_tag } => Issuer::cloudflare_access(&team, &aud_tag),
            Self::Cognito { region, pool, clients } => Issuer::cognito(&region, &pool, clients),
            Self::Descope { project } => Issuer::descope(&project),
            Self::Duende { base } => Issuer::duende(&base),
            Self::Entra { tenant } => Issuer::entra(&tenant),
            Self::EntraB2c { name, tenant, policy } => Issuer::entra_b2c(&name, &tenant, &policy),
            Self::EntraV1 { tenant } => Issuer::entra_v1(&tenant),
            Self::Firebase { project } => Issuer::firebase(&project),
            Self::Fusionauth { base, issuer, application } => Issuer::fusionauth(&base, &issuer, &application),
            Self::GithubActions { owner_ids } => Issuer::github_actions(owner_ids),
            Self::GitlabCi { base, namespace_ids } => Issuer::gitlab_ci(&base, namespace_ids),
            Self::Google {} => Issuer::google(),
            Self::GoogleIap { audience } => Issuer::google_iap(&audience),
            Self::Hydra { issuer } => Issuer::hydra(&issuer),
            Self::Kanidm { base, client } => Issuer::kanidm(&base, &client),
            Self::Keycloak { base, realm } => Issuer::keycloak(&base, &realm),
            Self::Kubernetes { issuer } => Issuer::kubernetes(&issuer),
            Self::Logto { base } => Issuer::logto(&base),
            Self::Okta { base, server } => Issuer::okta(&base, &server),
            Self::Pingone { domain, environment } => Issuer::pingone(&domain, &environment),
            Self::Spiffe { trust_domain, jwks_uri } => Issuer::spiffe(&trust_domain, &String::from(jwks_uri)),
            Self::Spring { issuer } => Issuer::spring(&issuer),
            Self::Supabase { project } => Issuer::supabase(&project),
            Self::Workos { client } => Issuer::workos(&client),
            Self::Wso2 { base } => Issuer::wso2(&base),
            Self::Zitadel { base } => Issuer::zitadel(&base),
        }
    }
}
