//! The protection space that challenges name, and the schemes that are spoken in it (RFC 9110
//! §11.5).

/// How a token is presented (RFC 9110 §11.1).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Scheme {
    /// RFC 6750 §2.
    #[default]
    Bearer,
    /// With a proof that its sender has a key (RFC 9449 §7.1).
    Dpop,
}

/// What challenges say of a server, whatever the error.
#[derive(Debug)]
pub(crate) struct ProtectionSpace {
    /// Escaped and quoted.
    pub(crate) realm: Box<str>,
    pub(crate) spoken: Spoken,
}

/// The schemes under which some token could be accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Spoken {
    pub(crate) bearer: bool,
    /// The algorithms of proofs, separated by spaces, if there are proofs.
    pub(crate) dpop: Option<Box<str>>,
}

impl Spoken {
    pub(crate) const BEARER: Self = Self { bearer: true, dpop: None };

    /// Tells whether a token could be accepted under the scheme.
    pub(crate) fn has(&self, scheme: Scheme) -> bool {
        match scheme {
            Scheme::Bearer => self.bearer,
            Scheme::Dpop => self.dpop.is_some(),
        }
    }
}

impl ProtectionSpace {
    /// Writes the realm as a quoted-string (RFC 9110 §5.6.4); `None` if it cannot stand in a header.
    pub(crate) fn new(realm: &str) -> Option<Self> {
        let escaped = realm.replace('\\', "\\\\").replace('"', "\\\"");
        let printable = realm.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        printable.then(|| Self { realm: format!("\"{escaped}\"").into(), spoken: Spoken::BEARER })
    }

    pub(crate) fn unnamed() -> Self {
        Self { realm: "\"\"".into(), spoken: Spoken::BEARER }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_realm_is_quoted_or_refused() {
        let quoted = |realm| ProtectionSpace::new(realm).map(|space| space.realm);
        assert_eq!(quoted("https://api.test").as_deref(), Some("\"https://api.test\""));
        assert_eq!(quoted("a \"b\" \\c").as_deref(), Some("\"a \\\"b\\\" \\\\c\""));
        assert_eq!(quoted(""), Some("\"\"".into()));
        for wrong in ["a\r\nb", "é", "\t", "\0", "\u{7f}"] {
            assert_eq!(quoted(wrong), None);
        }
    }
}
