//! Which addresses may be asked for keys, and about tokens, as URLs and as what their names resolve
//! to.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

pub(super) const NOT_A_URL: &str = "not a URL";
const ONLY_HTTPS: &str = "only https will do (plain http is for loopback addresses)";

/// How far a client may reach.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Reach {
    /// For issuers that are configured: anywhere.
    Anywhere,
    /// For issuers that are found at run time, and so named by tokens: public addresses, and these
    /// hosts.
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

    /// Parses an address that may be asked (RFC 8414 §2, §3.1), and leaves out the
    /// fragment, which no server sees: with it, one address would be two. `loopback` says whether
    /// it may be on this host, as it may if it was configured.
    pub(super) fn checked(&self, uri: &str, loopback: bool, plain: &PlainHttp) -> Result<Url, &'static str> {
        let mut url = Url::parse(uri).map_err(|_| NOT_A_URL)?;
        url.set_fragment(None);
        let Some(host) = url.host() else { return Err("the URL has no host") };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("the URL holds a user name or password");
        }
        if !loopback && may_be_this_host(&url) {
            return Err("an issuer elsewhere cannot send us to this host");
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
            "http" => plain.check(&url).map(|()| url).map_err(|why| if self.is_limited() { ONLY_HTTPS } else { why }),
            _ => Err(ONLY_HTTPS),
        }
    }
}

impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.clone();
        Box::pin(async move {
            let found: Vec<_> = if is_localhost(name.as_str()) {
                LOOPBACK.into_iter().map(|address| SocketAddr::new(address, 0)).collect()
            } else {
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect()
            };
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

/// What may be asked over plain http: loopback addresses and, for keys, hosts that the application
/// names.
#[derive(Clone, Debug)]
pub(crate) struct PlainHttp {
    /// Those that the application names; `None` for what is secret.
    pub(crate) hosts: Option<Arc<[PlainHost]>>,
    /// Whether the client leads names below `localhost` to loopback addresses, as ours does.
    pub(crate) below_localhost: bool,
}

impl PlainHttp {
    /// Tells whether this address is among them; the error says what to do.
    fn check(&self, url: &Url) -> Result<(), &'static str> {
        let hosts = self.hosts.as_deref().unwrap_or_default();
        if PlainHost::of(url).is_some_and(|host| hosts.contains(&host)) {
            return Ok(());
        }
        let below = matches!(url.host(), Some(Host::Domain(name)) if name.trim_end_matches('.') != "localhost");
        match is_loopback(url) {
            true if below && !self.below_localhost => Err(
                "an http_client may lead a name below localhost elsewhere; use localhost, or see dangerously_fetch_keys_over_plain_http_from",
            ),
            true => Ok(()),
            false if self.hosts.is_none() => {
                Err("tokens and secrets are sent over https only; plain http is for loopback addresses")
            }
            false => Err(
                "keys are fetched over https only; plain http is for loopback addresses, and for hosts that are named by dangerously_fetch_keys_over_plain_http_from",
            ),
        }
    }
}

/// A host as it is written without brackets.
fn bare<S: AsRef<str>>(host: &Host<S>) -> String {
    match host {
        Host::Domain(name) => name.as_ref().to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    }
}

/// Tells whether a text is a host as hosts are compared here: one name, or an address in its
/// canonical form, without brackets and port.
pub(crate) fn is_bare_host(text: &str) -> bool {
    let host = text.parse().map(Host::Ipv6).or_else(|_| Host::parse(text));
    !text.contains('*') && host.is_ok_and(|host| bare(&host).eq_ignore_ascii_case(text))
}

const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// Tells whether a name is that of this host, or one below it: they are looked up nowhere, since
/// another resolver than ours might ask a server (RFC 6761 §6.3).
fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.rsplit('.').next().is_some_and(|top| top.eq_ignore_ascii_case("localhost"))
}

/// Tells whether an address is on this host, by its own word: a loopback address, or the name
/// `localhost` or one below it.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => is_localhost(name),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    }
}

/// Tells whether an address leads to this host in any spelling that needs no look-up of the name.
pub(super) fn may_be_this_host(url: &Url) -> bool {
    let unspecified = match url.host() {
        Some(Host::Domain(_)) => false,
        Some(Host::Ipv4(address)) => address.is_unspecified(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_unspecified(),
        None => true,
    };
    unspecified || is_loopback(url)
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
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string().chars().take(200).collect()
}
