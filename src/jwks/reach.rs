//! Which addresses keys may be fetched from, as URLs and as what their names resolve to.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

pub(super) const NOT_A_URL: &str = "not a URL";

/// How far a client may reach.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Reach {
    /// For issuers that are configured: anywhere.
    Anywhere,
    /// For issuers that are found at run time, and so named by tokens: public addresses, and these hosts.
    Public { and: Arc<[Box<str>]> },
}

impl Reach {
    pub(crate) fn is_limited(&self) -> bool {
        matches!(self, Self::Public { .. })
    }

    fn allows(&self, host: &str) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Public { and } => and.iter().any(|allowed| allowed.eq_ignore_ascii_case(host)),
        }
    }

    /// Parses an address that keys may be fetched from (RFC 8414 §2, §3.1). `loopback` says whether it may be on this host,
    /// as it may if it was configured.
    pub(super) fn checked(&self, uri: &str, loopback: bool) -> Result<Url, &'static str> {
        let url = Url::parse(uri).map_err(|_| NOT_A_URL)?;
        let Some(host) = url.host() else { return Err("the URL has no host") };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("the URL holds a user name or password");
        }
        if !loopback && may_be_this_host(&url) {
            return Err("an issuer elsewhere cannot have its keys on this host");
        }
        let literal = match host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
        };
        // other names are checked where they are resolved
        let private = literal.is_some_and(|address| !is_public(address)) || may_be_this_host(&url);
        if private && !self.allows(&bare(&host)) {
            return Err("a private address, of an issuer that was found at run time");
        }
        match url.scheme() {
            "https" => Ok(url),
            "http" if is_loopback_url(&url) => Ok(url),
            _ => Err("keys are fetched over https only (http is for loopback addresses)"),
        }
    }
}

impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.clone();
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let all = reach.allows(name.as_str());
            let allowed: Vec<_> = found.into_iter().filter(|address| all || is_public(address.ip())).collect();
            if allowed.is_empty() {
                return Err("the name leads to private addresses only, and the issuer was found at run time".into());
            }
            let addresses: Addrs = Box::new(allowed.into_iter());
            Ok(addresses)
        })
    }
}

/// A host as it is written without brackets.
fn bare(host: &Host<&str>) -> String {
    match host {
        Host::Domain(name) => (*name).to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    }
}

/// Tells whether an address is on this host, by its own word: a loopback address, or the name `localhost`.
pub(crate) fn is_loopback(uri: &str) -> bool {
    Url::parse(uri).is_ok_and(|url| is_loopback_url(&url))
}

fn is_loopback_url(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Tells whether an address leads to this host in any spelling that needs no look-up of the name.
fn may_be_this_host(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
        Some(Host::Ipv6(address)) => {
            let address = address.to_canonical();
            address.is_loopback() || address.is_unspecified()
        }
        None => true,
    }
}

/// Tells whether an address is globally reachable, by the special-purpose registries of RFC 6890.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        [0 | 10 | 127 | 224.., ..] => true,
        // shared address space, RFC 6598
        [100, second, ..] => (64..128).contains(&second),
        [169, 254, ..] | [192, 168, ..] => true,
        [172, second, ..] => (16..32).contains(&second),
        // protocol assignments, documentation, the former 6to4 relays
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 51, 100, _] | [203, 0, 113, _] => true,
        // benchmarks, RFC 2544
        [198, 18 | 19, ..] => true,
        _ => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // translated from IPv4: NAT64 (RFC 6052) and 6to4 (RFC 3056)
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        // protocol assignments (Teredo among them) and documentation
        [0x2001, 0..0x200 | 0xdb8, ..] | [0x3fff, 0..0x1000, ..] => false,
        // global unicast
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

/// An address for logs and errors: without its query, which may hold a key of some API.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string().chars().take(200).collect()
}
