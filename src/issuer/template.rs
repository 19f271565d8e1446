//! Issuers that differ in one part only, their tenant.

/// An identifier with one `{placeholder}`, such as `https://login.example.com/{tenant}/v2.0`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Template<'t> {
    before: &'t str,
    after: &'t str,
}

/// Longer names of tenants are refused; a GUID has 36 characters, a host name 253 at most.
const MAX_TENANT_LEN: usize = 253;

impl<'t> Template<'t> {
    /// Reads a text with exactly one placeholder.
    pub(crate) fn parse(text: &'t str) -> Option<Self> {
        let (before, rest) = text.split_once('{')?;
        let (name, after) = rest.split_once('}')?;
        let plain = |part: &str| !part.contains(['{', '}']);
        (!name.is_empty() && plain(before) && plain(name) && plain(after)).then_some(Self { before, after })
    }

    /// Returns the tenant of an identifier that fits: letters, digits, `-`, `_` and `.`, so that it
    /// can change nothing else in an address.
    pub(crate) fn tenant<'i>(&self, issuer: &'i str) -> Option<&'i str> {
        let tenant = issuer.strip_prefix(self.before)?.strip_suffix(self.after)?;
        let plain = tenant.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        let dots = tenant.bytes().all(|byte| byte == b'.');
        (plain && !dots && tenant.len() <= MAX_TENANT_LEN).then_some(tenant)
    }

    /// Writes the tenant into the placeholder.
    pub(crate) fn fill(&self, tenant: &str) -> String {
        [self.before, tenant, self.after].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_has_one_placeholder() {
        for good in ["https://id.test/{tenant}/v2.0", "{tenant}", "https://{tenantid}.id.test/"] {
            assert!(Template::parse(good).is_some(), "{good}");
        }
        for bad in ["", "https://id.test/", "{}", "{a}{b}", "{a", "a}", "}{", "{{a}}", "{a}}"] {
            assert_eq!(Template::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_tenant_is_one_plain_segment() {
        let template = Template::parse("https://id.test/{tenant}/v2.0").unwrap();
        assert_eq!(template.tenant("https://id.test/a-B_9.c/v2.0"), Some("a-B_9.c"));
        assert_eq!(template.fill("acme"), "https://id.test/acme/v2.0");
        for bad in [
            "https://id.test//v2.0",
            "https://id.test/./v2.0",
            "https://id.test/../v2.0",
            "https://id.test/a/b/v2.0",
            "https://id.test/a?/v2.0",
            "https://id.test/a%2Fb/v2.0",
            "https://id.test/a/v2.0/",
            "https://id.test/a/v2",
            "https://id.test/v2.0",
            "https://ID.test/a/v2.0",
            "http://id.test/a/v2.0",
            "https://id.test/ä/v2.0",
            "https://id.test/{tenant}/v2.0",
            "",
        ] {
            assert_eq!(template.tenant(bad), None, "{bad}");
        }
        assert_eq!(template.tenant(&format!("https://id.test/{}/v2.0", "a".repeat(254))), None);
        let open = Template::parse("{tenant}").unwrap();
        assert_eq!(open.tenant(""), None);
    }
}
