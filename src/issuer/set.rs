//! The trusted issuers, by exact identifier.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::quality::RandomState;

use crate::error::{Error, ErrorKind};
use crate::jose::Value;

/// What belongs to each trusted issuer, found in the same time for one or for a thousand.
#[derive(Debug)]
pub(crate) struct IssuerSet<T> {
    /// Under a fast hash, since no token can add to it.
    by_id: HashMap<Arc<str>, T, RandomState>,
    /// Identifiers as [`bare`] leaves them: only to guess, for an error text, which issuer was meant.
    by_bare: HashMap<String, Arc<str>>,
}

impl<T> IssuerSet<T> {
    pub(crate) fn new() -> Self {
        Self { by_id: HashMap::default(), by_bare: HashMap::new() }
    }

    /// Adds an issuer; returns false if one of this identifier is there already, which then stays.
    pub(crate) fn insert(&mut self, id: Arc<str>, entry: T) -> bool {
        let new = !self.by_id.contains_key(&id);
        if new {
            self.by_bare.insert(bare(&id), Arc::clone(&id));
            self.by_id.insert(id, entry);
        }
        new
    }

    pub(crate) fn get(&self, id: &str) -> Option<&T> {
        self.by_id.get(id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.by_id.values()
    }

    /// Selects by the token's `iss`, which must be a string and equal an identifier byte for byte (RFC 7519 §4.1.1).
    pub(crate) fn select(&self, iss: Option<Value<'_>>) -> Result<&T, Error> {
        let Some(iss) = iss else {
            return Err(Error::new(ErrorKind::MissingClaim, "iss is absent"));
        };
        let Some(id) = iss.as_str() else {
            return Err(Error::new(ErrorKind::MalformedClaim, format!("iss is {}, not a string", iss.type_name())));
        };
        self.by_id.get(id).ok_or_else(|| self.unknown(id))
    }

    /// Names the trusted issuer that was probably meant, without repeating what the token says.
    fn unknown(&self, id: &str) -> Error {
        match self.by_bare.get(&bare(id)) {
            Some(known) => {
                let detail =
                    "iss differs only by scheme, case or a trailing slash; it must be configured byte for byte";
                Error::new(ErrorKind::UnknownIssuer, detail).at(known)
            }
            None => Error::new(ErrorKind::UnknownIssuer, "iss names none of the trusted issuers"),
        }
    }
}

/// An identifier without what issuers and configurations most often disagree about.
fn bare(id: &str) -> String {
    let id = id.trim_end_matches('/');
    id.split_once("://").map_or(id, |(_, rest)| rest).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::Json;

    fn select(claims: &str) -> Result<u8, ErrorKind> {
        let mut set = IssuerSet::new();
        assert!(set.insert("https://id.test/".into(), 1));
        assert!(set.insert("https://id.test/other".into(), 2));
        assert!(!set.insert("https://id.test/".into(), 3));
        let json = Json::parse_all(claims.as_bytes().to_vec()).unwrap();
        set.select(json.root().get("iss")).copied().map_err(|error| error.kind())
    }

    #[test]
    fn an_issuer_is_one_exact_string() {
        assert_eq!(select(r#"{"iss":"https://id.test/"}"#), Ok(1));
        assert_eq!(select(r#"{"iss":"https:\/\/id.test\/other"}"#), Ok(2));
        for near in
            ["https://id.test", "https://ID.test/", "http://id.test/", "https://id.test/ ", "https://id.test/o", ""]
        {
            assert_eq!(select(&format!(r#"{{"iss":"{near}"}}"#)), Err(ErrorKind::UnknownIssuer), "{near}");
        }
        for wrong in [r#"["https://id.test/"]"#, "null", "1", "{}", "true"] {
            assert_eq!(select(&format!(r#"{{"iss":{wrong}}}"#)), Err(ErrorKind::MalformedClaim), "{wrong}");
        }
        assert_eq!(select("{}"), Err(ErrorKind::MissingClaim));
    }
}
