//! Authorization-server metadata (RFC 8414 §3, OpenID Connect Discovery §4): pure, from issuer to addresses, and from
//! document to `jwks_uri`.

use serde::Deserialize;

use super::source::FetchError;

/// Returns the addresses at which an issuer may publish its metadata, in the order in which they are tried: OpenID
/// Connect's, which appends to the path, then those of RFC 8414, which inserts between host and path.
pub(super) fn locations(issuer: &str) -> Vec<String> {
    let base = issuer.strip_suffix('/').unwrap_or(issuer);
    let mut locations = vec![format!("{base}/.well-known/openid-configuration")];
    let (scheme, rest) = base.split_once("://").unwrap_or(("https", base));
    let (host, path) = rest.find('/').and_then(|slash| rest.split_at_checked(slash)).unwrap_or((rest, ""));
    locations.push(format!("{scheme}://{host}/.well-known/oauth-authorization-server{path}"));
    if !path.is_empty() {
        locations.push(format!("{scheme}://{host}/.well-known/openid-configuration{path}"));
        locations.push(format!("{base}/.well-known/oauth-authorization-server"));
    }
    locations
}

/// Returns the `jwks_uri` of a document, which must be that of exactly our issuer (RFC 8414 §3.3).
pub(super) fn jwks_uri(document: &[u8], issuer: &str) -> Result<String, FetchError> {
    #[derive(Deserialize)]
    struct Metadata {
        issuer: String,
        jwks_uri: Option<String>,
    }

    let metadata: Metadata = serde_json::from_slice(document)
        .map_err(|_| FetchError::message("the metadata is not a JSON object with the string `issuer`"))?;
    if metadata.issuer != issuer {
        let slash = metadata.issuer.trim_end_matches('/') == issuer.trim_end_matches('/');
        let how = if slash { "differs from ours by a trailing slash" } else { "is not ours" };
        return Err(FetchError::message(format!("the `issuer` of the metadata {how}; it must be exactly {issuer}")));
    }
    metadata.jwks_uri.ok_or_else(|| FetchError::message("the metadata has no jwks_uri"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_looked_for_in_the_appended_and_the_inserted_form() {
        assert_eq!(
            locations("https://id.test/"),
            [
                "https://id.test/.well-known/openid-configuration",
                "https://id.test/.well-known/oauth-authorization-server"
            ]
        );
        assert_eq!(
            locations("https://id.test:8443/realms/shop"),
            [
                "https://id.test:8443/realms/shop/.well-known/openid-configuration",
                "https://id.test:8443/.well-known/oauth-authorization-server/realms/shop",
                "https://id.test:8443/.well-known/openid-configuration/realms/shop",
                "https://id.test:8443/realms/shop/.well-known/oauth-authorization-server",
            ]
        );
    }

    #[test]
    fn only_metadata_of_exactly_this_issuer_is_believed() {
        let uri = |document: &str| jwks_uri(document.as_bytes(), "https://id.test/").ok();
        let good = r#"{"issuer":"https://id.test/","jwks_uri":"https://keys.test/jwks","x":[1]}"#;
        assert_eq!(uri(good).as_deref(), Some("https://keys.test/jwks"));
        for bad in [
            r#"{"issuer":"https://id.test","jwks_uri":"https://keys.test/jwks"}"#,
            r#"{"issuer":"https://ID.test/","jwks_uri":"https://keys.test/jwks"}"#,
            r#"{"issuer":["https://id.test/"],"jwks_uri":"https://keys.test/jwks"}"#,
            r#"{"jwks_uri":"https://keys.test/jwks"}"#,
            r#"{"issuer":"https://id.test/"}"#,
            r#"{"issuer":"https://id.test/","jwks_uri":7}"#,
            "<html>",
            "",
        ] {
            assert_eq!(uri(bad), None, "{bad}");
        }
    }
}
