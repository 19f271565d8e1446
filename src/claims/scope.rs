//! Scopes (RFC 6749 §3.3, RFC 8693 §4.2).

use super::path::{Path, Segment};
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
///
/// // one token for several services: `https://orders.example.com/read` is this one's `read`
/// let issuer = Issuer::new("https://id.example.com/").scopes(Scopes::default().with_prefix("https://orders.example.com/"));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scopes {
    paths: Vec<Path>,
    separator: Option<char>,
    prefix: Box<str>,
}

impl Scopes {
    /// Reads scopes at a path of member names; a name may hold dots, colons and slashes.
    #[must_use]
    pub fn at<I>(path: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Segment>,
    {
        Self { paths: vec![Path::new(path)], separator: None, prefix: Box::default() }
    }

    /// Reads scopes at another path too.
    #[must_use]
    pub fn and<I>(mut self, path: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Segment>,
    {
        self.paths.push(Path::new(path));
        self
    }

    /// Separates the scopes of a string by this character too, and not only by spaces; at all paths, but not within an array's strings.
    #[must_use]
    pub fn separated_by(mut self, separator: char) -> Self {
        self.separator = Some(separator);
        self
    }

    /// Takes only scopes that begin with this, and leaves it out: those of other services do not count.
    ///
    /// # Security
    ///
    /// A scope is then what stands behind the prefix, whatever stands there. Whoever can name a
    /// scope at the issuer that begins with the prefix can name any of ours: end the prefix with a
    /// separator that only this service's scopes have there, such as `api://orders/`. With
    /// `api://orders`, the scope `api://orders-admin/read` would count as `-admin/read`.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into().into();
        self
    }

    /// Tells whether each path leads somewhere.
    pub(crate) fn is_sound(&self) -> bool {
        self.paths.iter().all(Path::is_sound)
    }

    /// Tells whether scopes can begin with the prefix; it is also written into challenges.
    pub(crate) fn has_sound_prefix(&self) -> bool {
        self.prefix.is_empty() || is_scope_token(&self.prefix)
    }

    /// Returns a scope as the issuer calls it.
    pub(crate) fn theirs(&self, scope: &str) -> String {
        [&self.prefix, scope].concat()
    }

    /// Returns the scopes of a token, in the order of the claims; one that stands in two claims comes twice.
    pub(crate) fn read<'a>(&'a self, payload: &'a Json) -> impl Iterator<Item = &'a str> {
        let values = self.paths.iter().filter_map(|path| path.follow(payload));
        let words = values.flat_map(|value| {
            let text = value.as_str().into_iter();
            let words = text.flat_map(|text| text.split(|char| char == ' ' || Some(char) == self.separator));
            // some issuers put `"a b"` into an array of one
            words.chain(value.items().filter_map(Value::as_str).flat_map(|string| string.split(' ')))
        });
        words.filter_map(|word| word.strip_prefix(&*self.prefix)).filter(|word| !word.is_empty())
    }
}

impl Default for Scopes {
    fn default() -> Self {
        Self::at(["scope"]).and(["scp"])
    }
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
    fn another_separator_comes_beside_the_space() {
        let scopes = Scopes::at(["o", "per"]).separated_by(',');
        assert_eq!(read(&scopes, r#"{"o":{"per":"read,manage"}}"#), ["read", "manage"]);
        assert_eq!(read(&scopes, r#"{"o":{"per":"a, b,,c ,"}}"#), ["a", "b", "c"]);
        assert_eq!(read(&scopes, r#"{"o":{"per":["a,b","c d"]}}"#), ["a,b", "c", "d"]);
        assert_eq!(read(&Scopes::default(), r#"{"scope":"a,b c"}"#), ["a,b", "c"]);
    }

    #[test]
    fn with_a_prefix_the_scopes_of_others_do_not_count() {
        let scopes = Scopes::default().with_prefix("api://orders/");
        let claims =
            r#"{"scope":"api://orders/read read api://other/write api://orders/ openid","scp":["api://orders/write"]}"#;
        assert_eq!(read(&scopes, claims), ["read", "write"]);
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
