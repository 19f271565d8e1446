//! Scopes (RFC 6749 §3.3, RFC 8693 §4.2).

use crate::jose::{Json, Value};

/// Says which claims hold a token's scopes.
///
/// The default is the union of `scope` (RFC 8693 §4.2, RFC 9068 §2.2.3) and `scp` (Okta, Entra), each either a string of scopes separated
/// by spaces or an array of strings.
///
/// # Examples
///
/// ```
/// use tower_bearer::{Issuer, Scopes};
///
/// // Auth0 puts an API's permissions into a claim of their own
/// let issuer = Issuer::new("https://tenant.eu.auth0.com/").scopes(Scopes::at(["permissions"]).and(["scope"]));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scopes {
    paths: Vec<Vec<Box<str>>>,
}

impl Scopes {
    /// Reads scopes at a path of member names; a name may hold dots, colons and slashes.
    #[must_use]
    pub fn at<I>(path: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Self { paths: vec![crate::claims::role::path(path)] }
    }

    /// Reads scopes at another path too.
    #[must_use]
    pub fn and<I>(mut self, path: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.paths.push(crate::claims::role::path(path));
        self
    }

    /// Tells whether a path leads nowhere: to the claims as a whole.
    pub(crate) fn is_empty(&self) -> bool {
        self.paths.iter().any(Vec::is_empty)
    }

    /// Returns the scopes of a token, in the order of the claims; one that stands in two claims comes twice.
    pub(crate) fn read<'j>(&self, payload: &'j Json) -> impl Iterator<Item = &'j str> {
        self.paths.iter().filter_map(|path| payload.root().at(path)).flat_map(words)
    }
}

impl Default for Scopes {
    fn default() -> Self {
        Self::at(["scope"]).and(["scp"])
    }
}

/// A string's words, or those of an array's strings: some issuers put `"a b"` into an array of one.
fn words(value: Value<'_>) -> impl Iterator<Item = &str> {
    let strings = value.as_str().into_iter().chain(value.items().filter_map(Value::as_str));
    strings.flat_map(|string| string.split(' ')).filter(|word| !word.is_empty())
}

/// Tells whether `text` is a `scope-token`: `1*( %x21 / %x23-5B / %x5D-7E )`.
pub(crate) const fn is_scope_token(text: &str) -> bool {
    let mut rest = text.as_bytes();
    if rest.is_empty() {
        return false;
    }
    while let [byte, tail @ ..] = rest {
        if !matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E) {
            return false;
        }
        rest = tail;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(scopes: &Scopes, claims: &str) -> Vec<String> {
        let json = Json::parse_all(claims.as_bytes().to_vec()).unwrap();
        scopes.read(&json).map(ToOwned::to_owned).collect()
    }

    #[test]
    fn scopes_are_the_union_of_scope_and_scp_as_string_or_array() {
        let default = Scopes::default();
        assert_eq!(read(&default, r#"{"scope":"a b"}"#), ["a", "b"]);
        assert_eq!(read(&default, r#"{"scope":["a","b c"]}"#), ["a", "b", "c"]);
        assert_eq!(read(&default, r#"{"scp":["x"],"scope":"a"}"#), ["a", "x"]);
        assert_eq!(read(&default, r#"{"scope":"","scp":"  "}"#), [""; 0]);
        assert_eq!(read(&default, r#"{"scope":7,"scp":{"a":true}}"#), [""; 0]);
        assert_eq!(read(&default, r#"{"scope":[1,"a",null]}"#), ["a"]);
        assert_eq!(read(&Scopes::at(["https://x/y", "p"]), r#"{"https://x/y":{"p":"a"},"scope":"b"}"#), ["a"]);
    }

    #[test]
    fn a_hundred_thousand_scopes_are_read_in_one_pass() {
        let claims = format!(r#"{{"scope":"{}"}}"#, "s ".repeat(100_000));
        assert_eq!(read(&Scopes::default(), &claims).len(), 100_000);
    }

    #[test]
    fn the_grammar_of_a_scope_token_is_that_of_rfc_6749() {
        for good in ["a", "orders:read", "https://api.test/x.y?z", "!#[]~"] {
            assert!(is_scope_token(good), "{good}");
        }
        for bad in ["", " ", "a b", "a\"b", "a\\b", "ä", "a\n", "\u{7f}"] {
            assert!(!is_scope_token(bad), "{bad:?}");
        }
    }
}
