//! The trusted issuers, by exact identifier.

use std::collections::HashMap;
use std::iter;
use std::sync::Arc;

use foldhash::quality::RandomState;

use super::Terms;
use crate::error::{Error, ErrorKind};
use crate::jose::Value;

const TWICE: &str = "the issuer, or another name of it, is there twice; say all about it in one place";
const UNNAMED: &str = "another issuer takes the tokens without iss; only one can accept_absent_iss";

/// What belongs to each trusted issuer, found in the same time for one or for a thousand.
#[derive(Debug)]
pub(crate) struct IssuerSet<T> {
    listed: Vec<(Arc<str>, T)>,
    /// Their places in the list, by identifier and by other names; under a fast hash, since no
    /// token can add to it.
    by_name: HashMap<Box<str>, usize, RandomState>,
    /// Whose the tokens are that name nobody.
    unnamed: Option<usize>,
    /// Identifiers as [`bare`] leaves them: only to guess, for an error text, which issuer was
    /// meant.
    by_bare: HashMap<String, Arc<str>>,
    /// And by what comes after the host, if anything does.
    by_path: HashMap<String, Arc<str>>,
}

impl<T> IssuerSet<T> {
    pub(crate) fn new() -> Self {
        Self {
            listed: Vec::new(),
            by_name: HashMap::default(),
            unnamed: None,
            by_bare: HashMap::new(),
            by_path: HashMap::new(),
        }
    }

    /// Adds an issuer; says what is wrong if something by which it is named is another's.
    pub(crate) fn insert(&mut self, id: Arc<str>, terms: &Terms, entry: T) -> Result<(), &'static str> {
        let place = self.listed.len();
        let mut clash = None;
        for name in iter::once(&*id).chain(terms.also_known_as.iter().map(|name| &**name)) {
            if self.by_name.insert(name.into(), place).is_some() {
                clash = Some(TWICE);
            }
            self.by_bare.insert(bare(name), Arc::clone(&id));
        }
        if terms.absent_iss && self.unnamed.replace(place).is_some() {
            clash = Some(UNNAMED);
        }
        self.by_path.extend(path(&id).map(|path| (path, Arc::clone(&id))));
        self.listed.push((id, entry));
        clash.map_or(Ok(()), Err)
    }

    /// Returns the issuer of this identifier, and none that has it for another name: what belongs
    /// to the one, such as its keys, is not the other's.
    pub(crate) fn get(&self, id: &str) -> Option<&T> {
        let (own, entry) = self.listed.get(*self.by_name.get(id)?)?;
        (**own == *id).then_some(entry)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.listed.iter().map(|(_, entry)| entry)
    }

    /// Selects by the token's `iss`, which must be a string and equal an identifier byte for byte
    /// (RFC 7519 §4.1.1).
    pub(crate) fn select(&self, iss: Option<Value<'_>>) -> Result<&T, Error> {
        let at = |place: Option<usize>| Some(&self.listed.get(place?)?.1);
        let Some(iss) = iss else {
            return at(self.unnamed).ok_or_else(|| Error::new(ErrorKind::MissingClaim, "iss is absent"));
        };
        let Some(id) = iss.as_str() else {
            return Err(Error::new(ErrorKind::MalformedClaim, format!("iss is {}, not a string", iss.type_name())));
        };
        at(self.by_name.get(id).copied()).ok_or_else(|| self.unknown(id))
    }

    /// Names the trusted issuer that was probably meant, without repeating what the token says.
    fn unknown(&self, id: &str) -> Error {
        let unknown = |detail: &'static str| Error::new(ErrorKind::UnknownIssuer, detail);
        if let Some(known) = self.by_bare.get(&bare(id)) {
            let detail = "iss differs only by scheme, case or a trailing slash; it must be configured byte for byte";
            return unknown(detail).at(known);
        }
        if let Some(known) = path(id).and_then(|path| self.by_path.get(&path)) {
            let detail =
                "iss differs only by its host: another server, or one issuer that takes its name from the request";
            return unknown(detail).at(known);
        }
        unknown("iss names none of the trusted issuers")
    }
}

/// Tells whether two identifiers differ by what issuers and configurations most often disagree
/// about, and nothing else.
pub(crate) fn differ_little(one: &str, other: &str) -> bool {
    core(one).eq_ignore_ascii_case(core(other))
}

fn bare(id: &str) -> String {
    core(id).to_ascii_lowercase()
}

/// An identifier without its scheme, and without slashes at its end.
fn core(id: &str) -> &str {
    let id = id.trim_end_matches('/');
    id.split_once("://").map_or(id, |(_, rest)| rest)
}

/// What comes after an identifier's host.
fn path(id: &str) -> Option<String> {
    let (_, path) = id.split_once("://")?.1.split_once('/')?;
    let path = path.trim_end_matches('/');
    (!path.is_empty()).then(|| path.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::Json;

    fn named(names: &[&str]) -> Terms {
        Terms { also_known_as: names.iter().map(|name| (*name).into()).collect(), ..Terms::default() }
    }

    fn set() -> IssuerSet<u8> {
        let mut set = IssuerSet::new();
        set.insert("https://id.test/".into(), &Terms::default(), 1).unwrap();
        set.insert("https://id.test/other".into(), &named(&["other", "id:other"]), 2).unwrap();
        set
    }

    fn select(set: &IssuerSet<u8>, claims: &str) -> Result<u8, ErrorKind> {
        let json = Json::parse_all(claims.as_bytes().to_vec()).unwrap();
        set.select(json.root().get("iss")).copied().map_err(|error| error.kind())
    }

    #[test]
    fn a_name_is_one_issuers() {
        for (id, others) in [
            ("https://id.test/", named(&[])),
            ("other", named(&[])),
            ("new", named(&["https://id.test/"])),
            ("new", named(&["id:other"])),
            ("new", named(&["new"])),
            ("new", named(&["twice", "twice"])),
        ] {
            assert_eq!(set().insert(id.into(), &others, 3), Err(TWICE), "{id}");
        }
        let mut set = set();
        let nameless = Terms { absent_iss: true, ..Terms::default() };
        set.insert("nameless".into(), &nameless, 3).unwrap();
        assert_eq!(select(&set, "{}"), Ok(3));
        assert_eq!(select(&set, r#"{"iss":null}"#), Err(ErrorKind::MalformedClaim), "that is not absent");
        assert_eq!(select(&set, r#"{"iss":""}"#), Err(ErrorKind::UnknownIssuer));
        assert_eq!(set.insert("another".into(), &nameless, 4), Err(UNNAMED));
    }

    #[test]
    fn the_operator_learns_which_issuer_was_probably_meant() {
        let mut set = set();
        set.insert("https://id.test/realms/shop".into(), &Terms::default(), 3).unwrap();
        for (iss, guess, why) in [
            ("https://id.test", Some("https://id.test/"), "slash"),
            ("http://id.test/Other", Some("https://id.test/other"), "scheme"),
            ("http://keycloak:8080/realms/shop", Some("https://id.test/realms/shop"), "host"),
            ("https://elsewhere.test/", None, "none of"),
            ("shop", None, "none of"),
        ] {
            let json = Json::parse_all(format!(r#"{{"iss":"{iss}"}}"#).into_bytes()).unwrap();
            let error = set.select(json.root().get("iss")).unwrap_err();
            assert_eq!(error.issuer(), guess, "{iss}");
            assert!(error.to_string().contains(why), "{iss}: {error}");
        }
    }

    #[test]
    fn an_issuer_is_one_exact_string() {
        assert_eq!(select(&set(), r#"{"iss":"https://id.test/"}"#), Ok(1));
        assert_eq!(select(&set(), r#"{"iss":"https:\/\/id.test\/other"}"#), Ok(2));
        assert_eq!(select(&set(), r#"{"iss":"id:other"}"#), Ok(2));
        for near in
            ["https://id.test", "https://ID.test/", "http://id.test/", "https://id.test/ ", "https://id.test/o", ""]
        {
            assert_eq!(select(&set(), &format!(r#"{{"iss":"{near}"}}"#)), Err(ErrorKind::UnknownIssuer), "{near}");
        }
        for wrong in [r#"["https://id.test/"]"#, "null", "1", "{}", "true"] {
            assert_eq!(select(&set(), &format!(r#"{{"iss":{wrong}}}"#)), Err(ErrorKind::MalformedClaim), "{wrong}");
        }
        assert_eq!(select(&set(), "{}"), Err(ErrorKind::MissingClaim));
    }
}
