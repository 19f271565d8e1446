//! How an issuer is asked about tokens, as data.

use std::mem::take;
use std::time::Duration;

use serde::Deserialize;

use super::field::{Place, settings};
use super::secret::SecretConfig;
use crate::error::ConfigProblemKind::{Conflict, Missing};
use crate::introspection::{ClientAuthentication, ClientKey, Introspection, JwtIntrospection};
use crate::jose::Algorithm;

settings! {
    /// How the issuer is asked about its opaque tokens (RFC 7662), and by choice about its JWTs; as
    /// a client, or a Kubernetes API server by its TokenReview.
    #[cfg_attr(test, schemars(rename = "Introspection"))]
    pub(super) struct IntrospectionConfig {
        /// As which client this service asks.
        client: ClientConfig,
        /// The API server that is asked in place of an endpoint of RFC 7662.
        kubernetes: KubernetesConfig,
    }
    for Introspection {
        /// Where the issuer is asked, if that is not to be found by discovery.
        endpoint: String => |asked, url| asked.endpoint(url),
        /// For how long an answer is believed, and so a revoked token accepted; 60 by default, at
        /// most 3600, and with 0 each request asks.
        ttl_seconds: u64 => |asked, seconds| asked.ttl(Duration::from_secs(seconds)),
        /// For how long it is remembered that a token is not active; 5 by default, at most 10.
        inactive_ttl_seconds: u64 => |asked, seconds| asked.inactive_ttl(Duration::from_secs(seconds)),
        /// Whether answers must be signed (RFC 9701).
        signed: bool => |asked, on| if on { asked.signed() } else { asked },
        /// How often the issuer is asked about a JWT, too; with 0, for each request.
        introspect_jwts_every_seconds: u64 => |asked, seconds| asked.introspect_jwts(JwtIntrospection::Every(Duration::from_secs(seconds))),
        /// Whether the issuer has no keys, so that it is asked about all its tokens.
        without_keys: bool => |asked, on| if on { asked.without_keys() } else { asked },
        /// How the issuer's opaque tokens begin.
        only_prefix: String => |asked, prefix| asked.only_prefix(prefix),
    }
}

/// A client, by the way in which it authenticates.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Client"))]
enum ClientConfig {
    /// Identifier and secret in the header, form-encoded (RFC 6749 §2.3.1).
    ClientSecretBasic(WithSecret),
    /// Identifier and secret in the header, for servers that do not decode them.
    ClientSecretBasicWithoutEncoding(WithSecret),
    /// Identifier and secret in the body.
    ClientSecretPost(WithSecret),
    /// A signed JWT (RFC 7523).
    PrivateKeyJwt(WithKey),
    /// The identifier, and the certificate of the HTTP client.
    TlsClientAuth(WithoutSecret),
    /// An access token of this service.
    Bearer(WithToken),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WithSecret {
    client_id: String,
    client_secret: SecretConfig,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WithKey {
    client_id: String,
    /// Such as `ES256`.
    algorithm: String,
    /// In PEM: `PRIVATE KEY`, or `RSA PRIVATE KEY`.
    key: SecretConfig,
    /// By which the issuer knows the key.
    kid: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WithoutSecret {
    client_id: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WithToken {
    token: SecretConfig,
}

/// A Kubernetes API server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Kubernetes"))]
struct KubernetesConfig {
    /// Its address, such as `https://kubernetes.default.svc`.
    api_server: String,
    /// The token of this service's own account.
    token: SecretConfig,
}

impl IntrospectionConfig {
    /// Reads it, and notes whatever is wrong with it.
    pub(super) fn read(mut self, place: &mut Place<'_>) -> Option<Introspection> {
        let (client, kubernetes) = (take(&mut self.client), take(&mut self.kubernetes));
        let unnamed = client.is_absent() && kubernetes.is_absent();
        let client = client.take(&mut place.of("client"));
        let asked = match (client, kubernetes.take(&mut place.of("kubernetes"))) {
            (Some(_), Some(_)) => {
                place.problem_as(Conflict, "the API server is asked in its own way; drop client or kubernetes");
                None
            }
            (Some(client), None) => client.read(&mut place.of("client")).map(Introspection::new),
            (None, Some(KubernetesConfig { api_server, token })) => Some(Introspection::kubernetes(api_server, token)),
            (None, None) => None,
        };
        if unnamed {
            place.problem_as(Missing, "it is not said as which client to ask; name client, or kubernetes");
        }
        // the settings are looked at all the same
        let any = || Introspection::new(ClientAuthentication::tls_client_auth("-"));
        let (known, asked) = (asked.is_some(), asked.unwrap_or_else(any));
        let asked = self.change(asked, place);
        known.then_some(asked)
    }
}

impl ClientConfig {
    fn read(self, place: &mut Place<'_>) -> Option<ClientAuthentication> {
        Some(match self {
            Self::ClientSecretBasic(with) => {
                ClientAuthentication::client_secret_basic(with.client_id, with.client_secret)
            }
            Self::ClientSecretBasicWithoutEncoding(with) => {
                ClientAuthentication::client_secret_basic_without_encoding(with.client_id, with.client_secret)
            }
            Self::ClientSecretPost(with) => {
                ClientAuthentication::client_secret_post(with.client_id, with.client_secret)
            }
            Self::PrivateKeyJwt(WithKey { client_id, algorithm, key, kid }) => {
                let known = algorithm.parse::<Algorithm>();
                let algorithm = known.map_err(|error| place.problem(format!("{algorithm:?} is {error}"))).ok()?;
                let key = ClientKey::pem(algorithm, key);
                let key = kid.into_iter().fold(key, ClientKey::kid);
                ClientAuthentication::private_key_jwt(client_id, key)
            }
            Self::TlsClientAuth(with) => ClientAuthentication::tls_client_auth(with.client_id),
            Self::Bearer(with) => ClientAuthentication::bearer(with.token),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::ResourceServerConfig;

    /// The problems of an issuer that is asked in this way.
    fn problems(introspection: &str) -> Vec<String> {
        let config =
            format!(r#"{{"audience":"a","issuers":[{{"issuer":"https://id.test","introspection":{introspection}}}]}}"#);
        let config: ResourceServerConfig = serde_json::from_str(&config).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        let Err(error) = config.builder().build() else { return Vec::new() };
        error.problems().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_way_to_ask_can_be_configured() {
        for good in [
            r#"{"client":{"client_secret_basic":{"client_id":"c","client_secret":"[hunter2"}},"ttl_seconds":"20","only_prefix":"x_"}"#,
            r#"{"client":{"client_secret_basic_without_encoding":{"client_id":"c","client_secret":{"file":"/run/s"}}}}"#,
            r#"{"client":{"client_secret_post":{"client_id":"c","client_secret":"12345"}},"inactive_ttl_seconds":0}"#,
            r#"{"client":{"private_key_jwt":{"client_id":"c","algorithm":"ES256","key":{"file":"/k"},"kid":"1"}},"signed":true}"#,
            r#"{"client":{"tls_client_auth":{"client_id":"c"}},"introspect_jwts_every_seconds":300}"#,
            r#"{"client":{"bearer":{"token":"hunter2"}},"endpoint":"https://id.test/x","without_keys":true}"#,
            r#"{"kubernetes":{"api_server":"https://k8s.test","token":{"file":"/t"}}}"#,
        ] {
            assert_eq!(problems(good), Vec::<String>::new(), "{good}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_secret() {
        for (bad, expected) in [
            (r#"{}"#, "as which client"),
            (r#"{"client":{"client_secret_basic":{"client_id":"c"}}}"#, "client_secret"),
            (r#"{"client":{"client_secret_basic":{"client_id":"c","client_secret":4711}}}"#, "a secret"),
            (r#"{"client":{"client_secret_basic":{"client_id":"c","client_secret":{"path":"hunter2"}}}}"#, "a secret"),
            (r#"{"client":{"digest":{}}}"#, "digest"),
            (
                r#"{"client":{"private_key_jwt":{"client_id":"c","algorithm":"es256","key":"hunter2"}}}"#,
                "not the exact name",
            ),
            (
                r#"{"client":{"tls_client_auth":{"client_id":"c"}},"kubernetes":{"api_server":"x","token":"hunter2"}}"#,
                "drop client or kubernetes",
            ),
            (r#"{"client":{"tls_client_auth":{"client_id":"c"}},"ttl_seconds":"soon"}"#, "ttl_seconds"),
            (r#"{"client":{"tls_client_auth":{"client_id":"c"}},"ttl":5}"#, "introspection.ttl"),
            (r#"{"client":{"tls_client_auth":{"client_id":"c"}},"endpoint":"http://id.test"}"#, "https only"),
        ] {
            let problems = problems(bad).join("; ");
            assert!(problems.contains(expected), "{bad}: {problems}");
            assert!(!problems.contains("hunter2") && !problems.contains("4711"), "{problems}");
        }
    }
}
