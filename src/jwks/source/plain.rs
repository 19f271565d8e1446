//! From where keys may be fetched over plain http: loopback addresses, and hosts that the
//! application names.

use std::sync::Arc;

use url::{Host, Url};

use super::reach::is_loopback;

/// A host with its port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct PlainHost {
    host: Host,
    port: u16,
}

impl PlainHost {
    /// Reads a host as it stands in a URL, with its port unless that is 80; the error says what is
    /// wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let odd = |char: char| char.is_whitespace() || char.is_control() || r"/\?#@*%".contains(char);
        let url = Some(text).filter(|text| !text.contains(odd) && !text.ends_with(':'));
        let url = url.and_then(|text| Url::parse(&format!("http://{text}")).ok());
        url.as_ref().and_then(Self::of).ok_or(
            "not a host: it is written as in the URL, with the port unless that is 80, such as keycloak:8080, and is one host (no URL, no pattern)",
        )
    }

    fn of(url: &Url) -> Option<Self> {
        Some(Self { host: url.host()?.to_owned(), port: url.port_or_known_default()? })
    }
}

/// From where a source may fetch over plain http.
#[derive(Clone, Debug)]
pub(crate) struct Plain {
    /// Those that the application names.
    pub(crate) hosts: Arc<[PlainHost]>,
    /// Whether the client leads names below `localhost` to loopback addresses, as ours does.
    pub(crate) below_localhost: bool,
}

impl Plain {
    /// Tells whether this address is among them; the error says what to do.
    pub(super) fn check(&self, url: &Url) -> Result<(), &'static str> {
        if PlainHost::of(url).is_some_and(|host| self.hosts.contains(&host)) {
            return Ok(());
        }
        let below = matches!(url.host(), Some(Host::Domain(name)) if name.trim_end_matches('.') != "localhost");
        match is_loopback(url) {
            true if below && !self.below_localhost => Err(
                "an http_client may lead a name below localhost elsewhere; use localhost, or see dangerously_fetch_keys_over_plain_http_from",
            ),
            true => Ok(()),
            false => Err(
                "keys are fetched over https only; plain http is for loopback addresses, and for hosts that are named by dangerously_fetch_keys_over_plain_http_from",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(hosts: &[&str], below_localhost: bool) -> Plain {
        Plain { hosts: hosts.iter().map(|host| PlainHost::parse(host).unwrap()).collect(), below_localhost }
    }

    #[test]
    fn a_host_is_named_as_it_stands_in_the_url_and_nothing_else_is_a_host() {
        for (named, url) in [
            ("keycloak:8080", "http://keycloak:8080/realms/shop"),
            ("Keycloak:8080", "http://keycloak:8080/"),
            ("keycloak", "http://keycloak/"),
            ("keycloak:80", "http://keycloak:80/"),
            ("keycloak", "http://KEYCLOAK:80/"),
            ("id.auth.svc.cluster.local", "http://id.auth.svc.cluster.local/jwks"),
            ("host.docker.internal:9000", "http://host.docker.internal:9000/"),
            ("10.0.0.5:8080", "http://10.0.0.5:8080/"),
            ("[fd12::1]:8080", "http://[fd12:0::1]:8080/"),
        ] {
            assert_eq!(plain(&[named], true).check(&Url::parse(url).unwrap()), Ok(()), "{named} {url}");
        }
        for (named, url) in [
            ("keycloak:8080", "http://keycloak/"),
            ("keycloak", "http://keycloak:8080/"),
            ("keycloak:8080", "http://keycloak.test:8080/"),
            ("keycloak:8080", "http://a.keycloak:8080/"),
            ("keycloak:8080", "http://keycloak.:8080/"),
            ("keycloak:8080", "http://keycloak8080/"),
        ] {
            let why = plain(&[named], true).check(&Url::parse(url).unwrap()).unwrap_err();
            assert!(why.contains("dangerously_fetch_keys_over_plain_http_from"), "{named} {url}: {why}");
        }
        for nonsense in [
            "",
            " ",
            "http://keycloak:8080",
            "keycloak:8080/realms/shop",
            "https:keycloak",
            "*.svc.cluster.local",
            "user@keycloak",
            "user:pw@keycloak:8080",
            "keycloak:",
            ":8080",
            "keycloak:http",
            "keycloak:80800",
            "keycloak 8080",
            "key\tcloak",
            "keycloak?",
            "keycloak#x",
            "fd12::1",
            "key%63loak",
        ] {
            assert!(PlainHost::parse(nonsense).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn loopback_needs_no_name_but_below_localhost_the_client_must_lead_there() {
        let checked = |url: &str, below| plain(&[], below).check(&Url::parse(url).unwrap()).is_ok();
        for url in ["http://localhost/", "http://LOCALHOST.:1/", "http://127.1.2.3/", "http://[::1]/"] {
            assert!(checked(url, true) && checked(url, false), "{url}");
        }
        for url in ["http://keys.localhost/", "http://a.b.localhost./"] {
            assert!(checked(url, true) && !checked(url, false), "{url}");
        }
        for url in ["http://localhost.test/", "http://notlocalhost/", "http://0.0.0.0/", "http://[::]/"] {
            assert!(!checked(url, true), "{url}");
        }
        assert!(plain(&["keys.localhost"], false).check(&Url::parse("http://keys.localhost/").unwrap()).is_ok());
    }
}
