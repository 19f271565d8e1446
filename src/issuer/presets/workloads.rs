//! Issuers of workloads, jobs and proxies.

use super::is_number;
use crate::claims::{Claim, Mark, Principals};
use crate::issuer::{Issuer, texts};
use crate::jose::Algorithm;

const WORKLOADS: Principals = Principals { users: &[], clients: &[Mark::Always] };

presets! {
    /// Trusts Amazon's application load balancers in front of this service, by the provider that
    /// signs people in, as their tokens' `iss` has it, and the load balancers' ARNs, of one region.
    ///
    /// * The token is in the header `x-amzn-oidc-data`: see
    ///   [`TokenSource::header`](crate::credential::TokenSource::header). It is padded, which is
    ///   accepted of these tokens only.
    /// * The protected header's `signer` must be one of the ARNs. There is no `aud`: where several
    ///   applications have one load balancer, name this one's client by
    ///   [`only_clients`](Self::only_clients). It is the protected header's `client`.
    /// * The claims are those of the provider's userinfo endpoint, which often has neither scopes
    ///   nor groups.
    /// * Each key has an address of its own, and is fetched when a token first names it, so that
    ///   [`ready`](crate::ResourceServer::ready) waits for none. GovCloud and China have other
    ///   hosts, which the ARNs tell; if yours is elsewhere, name the address before the `kid` by
    ///   [`jwks_uri`](Self::jwks_uri).
    /// * Health checks of the load balancer carry no token: see
    ///   [`public_path`](crate::BearerAuthLayer::public_path).
    /// * It is for configured issuers, and not for those that are found at run time.
    ///
    /// ```
    /// use http::HeaderName;
    /// use tower_bearer::credential::TokenSource;
    /// use tower_bearer::{BearerAuthLayer, Issuer, ResourceServer};
    ///
    /// # fn main() -> Result<(), tower_bearer::ConfigError> {
    /// let arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:\
    ///            loadbalancer/app/shop/50dc6c495c0c9188";
    /// let issuer = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_b9VeQUg6y";
    /// let server = ResourceServer::new("https://shop.example.com")
    ///     .trust(Issuer::aws_alb(issuer, [arn]))
    ///     .build()?;
    /// let layer = BearerAuthLayer::new(server)
    ///     .token_sources([TokenSource::header(HeaderName::from_static("x-amzn-oidc-data"))])?;
    /// # Ok(())
    /// # }
    /// ```
    [examples]
    ///
    /// # Security
    ///
    /// Let only the load balancer reach the service: whoever gets past it can use up the fetches of
    /// keys, so that a new key is had too late.
    aws_alb(
        issuer: str = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_b9VeQUg6y",
        arns: [str] = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/shop/50dc6c495c0c9188"]
    ) => "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_b9VeQUg6y" {
        let places: Vec<_> = arns.iter().map(|arn| place_of_alb(arn)).collect();
        let first = places.first().copied().flatten();
        let right = first.is_some() && places.iter().all(|place| *place == first);
        let (partition, region) = first.unwrap_or(("aws", "-"));
        let mut issuer = Self::new(issuer)
            .jwks_uri(match partition {
                "aws-us-gov" => format!("https://s3-{region}.amazonaws.com/aws-elb-public-keys-prod-{region}"),
                "aws-cn" => format!("https://public-keys.auth.elb.{region}.amazonaws.com.cn"),
                _ => format!("https://public-keys.auth.elb.{region}.amazonaws.com"),
            })
            .only_algorithms([Algorithm::Es256])
            .dangerously_accept_absent_aud()
            .require(Claim::at(["sub"]))
            .expecting(
                right,
                "arns",
                "expected the ARNs of application load balancers, at least one, all of one region",
            )
            .told_by(Principals { users: &[Mark::Always], clients: &[] });
        issuer.terms.load_balancers = Some(texts(arns));
        issuer.terms.client_claims.clear();
        issuer
    }

    /// Trusts an application behind Cloudflare Access, by the team's name and the application's
    /// *AUD tag*, which is set as the audience.
    ///
    /// * The token is in the header `cf-access-jwt-assertion`: see
    ///   [`TokenSource::header`](crate::credential::TokenSource::header).
    /// * Only tokens for applications: their `type` is `app`. Service tokens have an empty subject,
    ///   and their name in `common_name`, which is the client.
    cloudflare_access(
        team: str = "acme",
        aud_tag: str = "32eafc7626e737904a6e3e1d1ec8a1dd"
    ) => "https://acme.cloudflareaccess.com" {
        Self::new(format!("https://{team}.cloudflareaccess.com"))
            .jwks_uri(format!("https://{team}.cloudflareaccess.com/cdn-cgi/access/certs"))
            .only_audiences([aud_tag])
            .require(Claim::at(["type"]).equals("app"))
            .client_claim("common_name")
            .told_by(Principals { users: &[Mark::Has("sub")], clients: &[Mark::Has("common_name")] })
    }

    /// Trusts the GitHub Actions of these owners of repositories, by their numeric identifiers.
    ///
    /// * The audience is of the workflow's choice, and by default the address of the repository's
    ///   owner.
    /// * Decide by `repository_id`, `ref` and `environment`, not by names, which may change hands.
    [examples]
    ///
    /// # Security
    ///
    /// Everybody who has a repository can get a token of this issuer, and every workflow of these
    /// owners, also of a pull request's branch, one that is accepted here.
    github_actions(owner_ids: [str] = ["65"]) => "https://token.actions.githubusercontent.com" {
        let numbers = owner_ids.iter().all(|id| is_number(id));
        Self::new("https://token.actions.githubusercontent.com")
            .require(Claim::at(["repository_owner_id"]).one_of(owner_ids))
            .require(Claim::at(["repository_id"]))
            .expecting(numbers, "owner_ids", "expected the owners' numeric identifiers, and not their names")
            .tenant_at(["repository_owner_id"])
            .told_by(WORKLOADS)
    }

    /// Trusts the CI/CD jobs of these namespaces (groups or users) of a GitLab instance, by their
    /// numeric identifiers.
    ///
    /// * The audience is what the job asks for.
    /// * Decide by `project_id`, `ref` and `ref_protected`, whose value is the *string* `"true"`.
    ///   In merge requests from forks, these may name the fork.
    [examples]
    ///
    /// # Security
    ///
    /// Everybody who has a project can get a token of this issuer, and every job of these
    /// namespaces one that is accepted here.
    gitlab_ci(base: url = "https://gitlab.com", namespace_ids: [str] = ["72"]) => "https://gitlab.com" {
        let numbers = namespace_ids.iter().all(|id| is_number(id));
        Self::new(base)
            .require(Claim::at(["namespace_id"]).one_of(namespace_ids))
            .require(Claim::at(["project_id"]))
            .expecting(numbers, "namespace_ids", "expected the namespaces' numeric identifiers")
            .tenant_at(["namespace_id"])
            .told_by(WORKLOADS)
    }

    /// Trusts Google's Identity-Aware Proxy in front of this service, by its audience:
    /// `/projects/{number}/apps/{project}` or `/projects/{number}/global/backendServices/{id}`.
    ///
    /// * The token is in the header `x-goog-iap-jwt-assertion`: see
    ///   [`TokenSource::header`](crate::credential::TokenSource::header).
    /// * Health checks of the load balancer carry none: see
    ///   [`public_path`](crate::BearerAuthLayer::public_path).
    google_iap(audience: str = "/projects/1/global/backendServices/2") => "https://cloud.google.com/iap" {
        Self::new("https://cloud.google.com/iap")
            .jwks_uri("https://www.gstatic.com/iap/verify/public_key-jwk")
            .only_audiences([audience])
            .only_algorithms([Algorithm::Es256])
            .require(Claim::at(["sub"]))
            .tenant_at(["hd"])
    }

    /// Trusts the service accounts of a Kubernetes cluster, by the API server's
    /// `--service-account-issuer`.
    ///
    /// * The audience is that of the pod's projected volume. The tenant is the namespace; demand
    ///   one by
    ///   [`require`](Self::require)`(Claim::at(["sub"]).starts_with("system:serviceaccount:shop:"))`.
    /// * The metadata and keys of most clusters are only for those with a token and the cluster's
    ///   certificate authority: give an
    ///   [`http_client`](crate::config::ResourceServerBuilder::http_client) with both, or publish
    ///   `/openid/v1/jwks` elsewhere and name it by [`jwks_uri`](Self::jwks_uri).
    [examples]
    ///
    /// # Security
    ///
    /// That a pod or account is gone does not end its token, and some live for a year: set a
    /// [`max_lifetime`](Self::max_lifetime).
    kubernetes(
        issuer: str = "https://kubernetes.default.svc.cluster.local"
    ) => "https://kubernetes.default.svc.cluster.local" {
        Self::new(issuer)
            .require(Claim::at(["kubernetes.io"]))
            .require(Claim::at(["sub"]).starts_with("system:serviceaccount:"))
            .tenant_at(["kubernetes.io", "namespace"])
            .told_by(WORKLOADS)
    }

    /// Trusts a SPIFFE trust domain, such as `example.org`, for its JWT-SVIDs, with the keys of its
    /// bundle or of SPIRE's discovery provider.
    ///
    /// * They need not name an issuer, and then come to this one: it is the only one of a server
    ///   that [accepts those](Self::accept_absent_iss). Where SPIRE is set up to name one, add it
    ///   by [`also_known_as`](Self::also_known_as).
    /// * `sub` must be of the trust domain. A type of `JOSE`, which the standard allows, is
    ///   refused; SPIRE writes `JWT`.
    spiffe(
        trust_domain: str = "example.org",
        jwks_uri: str = "https://spire.example.org/keys"
    ) => "spiffe://example.org" {
        use Algorithm::{Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        Self::new(format!("spiffe://{trust_domain}"))
            .accept_absent_iss()
            .jwks_uri(jwks_uri)
            .only_algorithms([Rs256, Rs384, Rs512, Es256, Es384, Ps256, Ps384, Ps512])
            .require(Claim::at(["sub"]).starts_with(format!("spiffe://{trust_domain}/")))
            .told_by(WORKLOADS)
    }
}

/// Returns the partition and region of an application load balancer's ARN.
fn place_of_alb(arn: &str) -> Option<(&str, &str)> {
    let parts: Vec<_> = arn.splitn(6, ':').collect();
    let [scheme, partition, service, region, account, resource] = *parts.as_slice() else { return None };
    let known = scheme == "arn" && partition.starts_with("aws") && service == "elasticloadbalancing";
    // it becomes a part of a host
    let sound = !region.is_empty() && region.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    (known && sound && is_number(account) && resource.starts_with("loadbalancer/app/")).then_some((partition, region))
}
