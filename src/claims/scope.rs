//! Scopes (RFC 6749 §3.3, RFC 8693 §4.2).

use super::path::{Path, Segment};
use crate::jose::Json;

/// Says which claims hold a token's scopes.
///
/// The default is the union of `scope` (RFC 8693 §4.2, RFC 9068 §2.2.3) and `scp` (Okta, Entra).
///
/// * A string is a list of scopes, separated by spaces.
/// * Each string of an array is one scope. If it has a space, it is none, and is left out: a
///   permission `"SSO Admin"` grants neither `SSO` nor `Admin`.
/// * A step into an array leads into each of its objects: `["permissions", "scope"]` finds `a` and
///   `b` in `{"permissions": [{"scope": "a"}, {"scope": "b"}]}`. A string found that way is one
///   scope, as in an array.
///
/// # Examples
///
/// ```
/// use tower_bearer::claims::Scopes;
/// use tower_bearer::Issuer;
///
/// // Auth0 puts an API's permissions into a claim of their own
/// let issuer = Issuer::new("https://tenant.eu.auth0.com/").scopes(Scopes::at(["permissions"]).and(["scope"]));
///
/// // one token for several services: `https://orders.example.com/read` is this one's `read`
/// let issuer = Issuer::new("https://id.example.com/").scopes(Scopes::default().only_with_prefix("https://orders.example.com/"));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "they do nothing until an issuer gets them"]
pub struct Scopes {
    paths: Vec<Path>,
    separator: Option<char>,
    prefix: Box<str>,
}

impl Scopes {
    /// Reads scopes at a path of at most 8 member names; a name may hold dots, colons and slashes.
    pub fn at(path: impl IntoIterator<Item = impl Into<Segment>>) -> Self {
        Self { paths: vec![Path::new(path)], separator: None, prefix: Box::default() }
    }

    /// Reads scopes at another path too.
    pub fn and(mut self, path: impl IntoIterator<Item = impl Into<Segment>>) -> Self {
        self.paths.push(Path::new(path));
        self
    }

    /// Separates the scopes of a string by this character too, and not only by spaces.
    ///
    /// It holds for all paths, but not within an array's strings.
    pub fn separated_by(mut self, separator: char) -> Self {
        self.separator = Some(separator);
        self
    }

    /// Takes only scopes that begin with this, and leaves it out: those of other services do not
    /// count.
    ///
    /// # Security
    ///
    /// A scope is then what stands behind the prefix, whatever stands there. Whoever can name a
    /// scope at the issuer that begins with the prefix can name any of ours: end the prefix with a
    /// separator that only this service's scopes have there, such as `api://orders/`. With
    /// `api://orders`, the scope `api://orders-admin/read` would count as `-admin/read`.
    pub fn only_with_prefix(mut self, prefix: impl Into<String>) -> Self {
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

    /// Returns the scopes of a token, in the order of the claims; one that stands in two claims
    /// comes twice.
    pub(crate) fn read<'a>(&'a self, payload: &'a Json) -> impl Iterator<Item = &'a str> {
        let found = self.paths.iter().flat_map(|path| path.follow(payload));
        let words = found.flat_map(|found| {
            let sole = found.sole().into_iter();
            let words = sole.flat_map(|text| text.split(|char| char == ' ' || Some(char) == self.separator));
            // an element is one scope; with a space it is none, and no word of it may become one
            words.chain(found.elements().filter(|element| !element.contains(' ')))
        });
        words.filter_map(|word| word.strip_prefix(&*self.prefix)).filter(|word| !word.is_empty())
    }
}

impl Default for Scopes {
    fn default() -> Self {
        Self::at(["scope"]).and(["scp"])
    }
}

/// Tells whether this text can be a scope: a `scope-token` of RFC 6749 §3.3.
///
/// For scopes that a service reads from its configuration; [`permissions!`](crate::permissions)
/// asks when it is compiled.
///
/// ```
/// use tower_bearer::claims::is_scope_token;
///
/// assert!(is_scope_token("orders:read"));
/// assert!(!is_scope_token("orders read"));
/// ```
#[must_use]
pub const fn is_scope_token(text: &str) -> bool {
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
        assert_eq!(read(&default, r#"{"scope":["a","b c","d"]}"#), ["a", "d"]);
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
        assert_eq!(read(&scopes, r#"{"o":{"per":["a,b","c d","e"]}}"#), ["a,b", "e"]);
        assert_eq!(read(&Scopes::default(), r#"{"scope":"a,b c"}"#), ["a,b", "c"]);
    }

    #[test]
    fn only_a_string_that_stands_alone_is_split() {
        let permissions = Scopes::at(["permissions"]).and(["permissions", "scope"]).separated_by(',');
        for (claims, expected) in [
            (r#"{"permissions":["SSO Admin","read"]}"#, &["read"][..]),
            (r#"{"permissions":["SSO Admin"]}"#, &[]),
            (r#"{"permissions":[" Admin","Admin ","  "]}"#, &[]),
            (r#"{"permissions":[["Admin"]]}"#, &[]),
            (r#"{"permissions":"read write,list"}"#, &["read", "write", "list"]),
            (r#"{"permissions":{"scope":"read write"}}"#, &["read", "write"]),
            (r#"{"permissions":{"scope":["read","SSO Admin"]}}"#, &["read"]),
            (
                r#"{"permissions":[{"scope":"a"},{"scope":"SSO Admin"},{"scope":["b","c d"]},{"scope":"e,f"}]}"#,
                &["a", "b", "e,f"],
            ),
        ] {
            assert_eq!(read(&permissions, claims), expected, "{claims}");
        }
        let prefixed = Scopes::at(["permissions"]).only_with_prefix("api:");
        assert_eq!(read(&prefixed, r#"{"permissions":["api:SSO Admin","x api:admin","api:read"]}"#), ["read"]);
    }

    #[test]
    fn with_a_prefix_the_scopes_of_others_do_not_count() {
        let scopes = Scopes::default().only_with_prefix("api://orders/");
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
