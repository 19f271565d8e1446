//! What could stand for an identity, and is taken from every request before it goes on.

use http::header::{AUTHORIZATION, CONNECTION, COOKIE, HOST, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::credential::DPOP;

/// How the names of headers begin by which proxies and platforms tell services who calls, or hand
/// them a credential.
///
/// What only names an address or a trace is not here.
const IDENTITY: &[&str] = &[
    // by no product in particular
    "forwarded-user",
    "remote-",
    "x-access-token",
    "x-auth-",
    "x-authenticated-",
    "x-forwarded-access-token",
    "x-forwarded-authorization",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-id-token",
    "x-forwarded-preferred-username",
    "x-forwarded-roles",
    "x-forwarded-user",
    "x-id-token",
    "x-identity-",
    "x-jwt-",
    "x-remote-",
    "x-token-",
    "x-user-email",
    "x-user-group",
    "x-user-id",
    "x-user-info",
    "x-user-name",
    "x-user-role",
    "x-userinfo",
    "x-username",
    // certificates of clients: RFC 9440, Traefik, Envoy, nginx, HAProxy, Apache, load balancers
    "cf-client-cert-",
    "client-cert",
    "ssl-client-",
    "x-amzn-mtls-",
    "x-arr-clientcert",
    "x-client-cert",
    "x-client-dn",
    "x-client-verify",
    "x-forwarded-client-cert",
    "x-forwarded-tls-client-cert",
    "x-ssl-",
    // platforms
    "cf-access-",
    "dapr-caller-",
    "impersonate-",
    "l5d-client-id",
    "sec-istio-auth-",
    "tailscale-",
    "teleport-jwt-assertion",
    "x-amz-security-token",
    "x-amzn-ava-",
    "x-amzn-lambda-context",
    "x-amzn-oidc-",
    "x-amzn-request-context",
    "x-apigateway-api-userinfo",
    "x-appengine-",
    "x-endpoint-api-userinfo",
    "x-envoy-internal",
    "x-goog-authenticated-user-",
    "x-goog-iap-",
    "x-ms-client-",
    "x-ms-token-",
    "x-rh-identity",
    "x-serverless-authorization",
    "x-vercel-oidc-token",
    "x-zumo-auth",
    // gateways, and proxies that sign people in
    "gap-auth",
    "iv-",
    "mellon-",
    "oam-",
    "oidc-",
    "shib-",
    "sm-",
    "x-anonymous-consumer",
    "x-authentik-",
    "x-consumer-",
    "x-credential-",
    "x-grafana-id",
    "x-hasura-",
    "x-pomerium-",
    "x-proxiedentit",
    "x-vouch-",
    "x-webauth-",
];

/// Such headers whose names are the beginning of others, which say nothing of the kind.
const WHOLE: &[&str] = &["x-email", "x-groups", "x-identity", "x-role", "x-roles", "x-user"];

/// Tells whether a header may say who calls. Some services take `_` for `-`.
fn is_identity(name: &HeaderName) -> bool {
    let name = name.as_str().replace('_', "-");
    WHOLE.contains(&name.as_str()) || IDENTITY.iter().any(|start| name.starts_with(start))
}

/// Tells whether a header is about one connection only (RFC 9110 §7.6.1), so that an intermediary
/// takes it away.
fn is_hop_by_hop(name: &HeaderName, value: &HeaderValue) -> bool {
    [CONNECTION, TRANSFER_ENCODING, UPGRADE].contains(name)
        || ["keep-alive", "proxy-connection"].contains(&name.as_str())
        // every call of gRPC has `te: trailers`
        || (name == TE && value != "trailers")
}

/// Takes away what could stand for an identity, what is about one connection only, and these.
pub(super) fn strip(headers: &mut HeaderMap, others: &[HeaderName]) {
    let of_identity = |(name, value): (&HeaderName, &HeaderValue)| {
        let own = [AUTHORIZATION, COOKIE, DPOP, HOST, PROXY_AUTHORIZATION].contains(name) || others.contains(name);
        let stripped = own || value.is_sensitive() || is_identity(name) || is_hop_by_hop(name, value);
        stripped.then(|| name.clone())
    };
    let mut names: Vec<_> = headers.iter().filter_map(of_identity).collect();
    // else a caller could have the next proxy take away what is added here
    let named = headers.get_all(CONNECTION).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    names.extend(named.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()));
    for name in names {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_who_calls_is_taken_away() {
        for name in [
            "authorization",
            "cookie",
            "dpop",
            "host",
            "proxy-authorization",
            "x_forwarded_user",
            "remote-groups",
            "remote_user",
            "x-authentik-username",
            "x-auth-request-email",
            "x-auth-subject",
            "x-user",
            "x-roles",
            "x-user-id",
            "client-cert-chain",
            "x-forwarded-client-cert",
            "x-forwarded-tls-client-cert",
            "x-forwarded-tls-client-cert-info",
            "x-ssl-client-cn",
            "x-ssl-cert",
            "ssl-client-cert",
            "ssl-client-subject-dn",
            "ssl_client_s_dn",
            "x-client-cert",
            "x-client-cert-chain-verified",
            "x-arr-clientcert",
            "x-amzn-mtls-clientcert-leaf",
            "cf-client-cert-der-base64",
            "x-endpoint-api-userinfo",
            "x-apigateway-api-userinfo",
            "x-forwarded-authorization",
            "x-serverless-authorization",
            "x-ms-client-principal",
            "x-ms-client-cert",
            "x-appengine-user-email",
            "x-vouch-user",
            "x-vouch-idp-claims-name",
            "tailscale-user-login",
            "teleport-jwt-assertion",
            "x-token-subject",
            "x-jwt-assertion",
            "oidc_claim_sub",
            "x-hasura-role",
            "x-proxiedentitieschain",
            "l5d-client-id",
            "connection",
            "keep-alive",
            "proxy-connection",
            "te",
            "transfer-encoding",
            "upgrade",
        ] {
            let mut headers = HeaderMap::new();
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("x"));
            strip(&mut headers, &[]);
            assert!(headers.is_empty(), "{name}");
        }
    }

    #[test]
    fn everything_else_goes_on() {
        for name in [
            "accept",
            "accept-language",
            "content-length",
            "content-type",
            "forwarded",
            "grpc-timeout",
            "traceparent",
            "user-agent",
            "via",
            "x-amzn-trace-id",
            "x-cloud-trace-context",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-request-id",
            "x-user-agent",
        ] {
            let mut headers = HeaderMap::new();
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("x"));
            strip(&mut headers, &[]);
            assert_eq!(headers.len(), 1, "{name}");
        }
        let mut headers = HeaderMap::from_iter([(TE, HeaderValue::from_static("trailers"))]);
        strip(&mut headers, &[]);
        assert_eq!(headers.len(), 1, "gRPC needs it");
    }

    #[test]
    fn what_a_connection_names_goes_no_further() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Own"),
            ("connection", " TE ,, not a name, x-other"),
            ("te", "trailers"),
            ("x-own", "1"),
            ("x-other", "2"),
            ("x-other", "3"),
            ("accept", "*/*"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        strip(&mut headers, &[]);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["accept"]);
    }
}
