//! Authorization-server metadata (RFC 8414 §3, OpenID Connect Discovery §4): pure, from issuer to
//! addresses, and from document to what it names.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use crate::jwks::key_set::document::NotJson;
use crate::jwks::source::FetchError;

/// Returns the addresses at which an issuer may publish its metadata, in the order in which they
/// are tried: OpenID Connect's, which appends to the path, then those of RFC 8414, which inserts
/// between host and path.
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

/// Returns an address of a document, which must be that of exactly our issuer (RFC 8414 §3.3). Whose
/// it is else is said only if the document may be `shown`.
pub(super) fn member(document: &[u8], issuer: &str, name: &str, shown: bool) -> Result<String, FetchError> {
    #[derive(Deserialize)]
    struct Metadata {
        issuer: String,
        #[serde(flatten)]
        members: HashMap<String, Value>,
    }

    let metadata: Metadata = serde_json::from_slice(document).map_err(|_| {
        let found = NotJson::of(document).map_or("no JSON object with the string `issuer`", Into::into);
        FetchError::message(format!("the metadata are {found}"))
    })?;
    if metadata.issuer != issuer {
        let whose = whose(&metadata.issuer, issuer, shown);
        return Err(FetchError::message(format!("the metadata are {whose}; their `issuer` must be exactly {issuer}")));
    }
    let address = metadata.members.get(name).and_then(Value::as_str).map(str::to_owned);
    address.ok_or_else(|| FetchError::message(format!("the metadata have no {name}")))
}

/// Longer identifiers are not worth a place in a log.
const MAX_SHOWN: usize = 200;

/// Says whose metadata they are.
fn whose(found: &str, issuer: &str, shown: bool) -> String {
    let plain = found.len() <= MAX_SHOWN && found.bytes().all(|byte| byte.is_ascii_graphic());
    let name = if shown && plain { found } else { "another issuer" };
    let hint = if found.trim_end_matches('/') == issuer.trim_end_matches('/') {
        " (a trailing slash makes the difference)"
    } else if found.contains('{') {
        " (a pattern for many: trust one by its own identifier or preset, such as Issuer::entra, or many with an IssuerTemplate, such as \
         IssuerTemplate::entra)"
    } else {
        ""
    };
    format!("those of {name}{hint}")
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
        let uri = |document: &str| member(document.as_bytes(), "https://id.test/", "jwks_uri", true).ok();
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

    #[test]
    fn it_is_said_whose_metadata_they_are_unless_a_token_has_chosen_the_issuer() {
        let why = |document: &str, shown| {
            member(document.as_bytes(), "https://id.test/", "jwks_uri", shown).unwrap_err().to_string()
        };
        for (found, told) in [
            ("https://id.test", "https://id.test (a trailing slash"),
            ("https://other.test/", "those of https://other.test/; their `issuer` must be exactly https://id.test/"),
            ("https://id.test/{tenantid}/v2.0", "IssuerTemplate"),
            ("two\\nlines", "those of another issuer;"),
            ("b\u{fc}cher", "those of another issuer;"),
            (&"a".repeat(MAX_SHOWN + 1), "those of another issuer;"),
        ] {
            let document = format!("{{\"issuer\":\"{found}\"}}");
            assert!(why(&document, true).contains(told), "{}", why(&document, true));
            assert!(why(&document, false).contains("those of another issuer"), "{}", why(&document, false));
        }
        for (document, told) in [
            ("<html>secret</html>", "an HTML page"),
            ("", "an empty document"),
            ("\u{feff}{}", "byte order mark"),
            ("{\"keys\":[]}", "no JSON object with the string `issuer`"),
            ("[]", "no JSON object with the string `issuer`"),
            ("{\"issuer\":\"https://id.test/\"}", "have no jwks_uri"),
        ] {
            assert!(why(document, true).contains(told), "{}", why(document, true));
        }
        assert!(member(b"\x1f\x8b\x08", "x", "jwks_uri", true).unwrap_err().to_string().contains("gzip"));
    }
}
