//! Addresses of http and https (RFC 9110 §4.2), and what makes two of them the same (RFC 3986 §6.2.2
//! and §6.2.3, RFC 9110 §4.2.3).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// Takes the scheme, and `://`, from an address; case does not matter.
    fn take(text: &str) -> Option<(Self, &str)> {
        let (scheme, rest) = text.split_once("://")?;
        let scheme = match scheme {
            _ if scheme.eq_ignore_ascii_case("https") => Self::Https,
            _ if scheme.eq_ignore_ascii_case("http") => Self::Http,
            _ => return None,
        };
        Some((scheme, rest))
    }

    /// Returns the default port.
    pub(super) fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// An absolute address without its query and fragment.
#[derive(Debug)]
pub(super) struct Address<'a> {
    pub(super) scheme: Scheme,
    pub(super) host: String,
    pub(super) port: Option<u16>,
    /// As it is written.
    pub(super) path: &'a str,
}

impl<'a> Address<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, &'static str> {
        const RELATIVE: &str = "its htu is not an absolute address of http or https";

        let (scheme, rest) = Scheme::take(text).ok_or(RELATIVE)?;
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len())).ok_or(RELATIVE)?;
        if authority.contains('@') {
            return Err("its htu has credentials before the host");
        }
        let (host, port) = host_and_port(authority).ok_or("its htu has no host, or one that cannot be read")?;
        Ok(Self { scheme, host, port, path })
    }
}

/// Reads `host [":" port]`. The host comes in lower case, with what need not be percent-encoded
/// decoded; a port that is empty is none (RFC 3986 §6.2.3).
fn host_and_port(authority: &str) -> Option<(String, Option<u16>)> {
    let end = if authority.starts_with('[') { authority.find(']')?.checked_add(1)? } else { 0 };
    let colon = authority.get(end..)?.find(':').and_then(|colon| colon.checked_add(end));
    let (host, port) = authority.split_at_checked(colon.unwrap_or(authority.len()))?;
    let port = match port.strip_prefix(':') {
        None | Some("") => None,
        // no sign, which `parse` takes
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
        Some(_) => return None,
    };
    let host = decoded(host).to_ascii_lowercase();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&byte);
    let good = match host.strip_prefix('[') {
        Some(literal) => literal.strip_suffix(']').is_some_and(|literal| literal.parse::<Ipv6Addr>().is_ok()),
        None => !host.is_empty() && host.bytes().all(is_name),
    };
    good.then_some((host, port))
}

/// Where a service is: an origin, and a prefix of the paths.
#[derive(Debug)]
pub(super) struct Base {
    /// `None`: whichever the client says.
    pub(super) scheme: Option<Scheme>,
    pub(super) host: String,
    pub(super) port: Option<u16>,
    /// Empty, or begins with a slash, and has none at its end.
    pub(super) prefix: Box<str>,
    /// All of it, without a default port; empty if the scheme is not known.
    text: String,
}

impl Base {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = Scheme::take(text).ok_or("it does not begin with https:// or http://")?;
        if rest.contains(['?', '#']) {
            return Err("it has a query or a fragment");
        }
        let (authority, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len())).unwrap_or_default();
        if authority.contains('@') {
            return Err("it has credentials before the host");
        }
        let (host, port) = host_and_port(authority)
            .ok_or("it has no host, or one that cannot be read; hosts are ASCII, others in punycode")?;
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("its path has characters that must be percent-encoded");
        }
        let prefix: Box<str> = normalised(path).trim_end_matches('/').into();
        let port = port.filter(|port| *port != scheme.port());
        let shown_port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let text = [scheme.name(), "://", &host, &shown_port, &prefix].concat();
        Ok(Self { scheme: Some(scheme), host, port, prefix, text })
    }

    /// Returns how an address begins that is written as most clients do.
    pub(super) fn text(&self) -> Option<&str> {
        self.scheme.is_some().then_some(&*self.text)
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().unwrap_or("a loopback address"))
    }
}

/// Reads an authority that leads to this machine and no other.
pub(super) fn loopback(authority: &str) -> Option<Base> {
    let (host, port) = host_and_port(authority)?;
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_loopback = match address {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    };
    is_loopback.then(|| Base { scheme: None, host, port, prefix: "".into(), text: String::new() })
}

/// Tells whether a path has segments that normalisation takes out, however they are written.
pub(super) fn has_dot_segments(path: &str) -> bool {
    decoded(path).split('/').any(|segment| matches!(segment, "." | ".."))
}

/// Normalises a path: percent-encoding (RFC 3986 §6.2.2.1, §6.2.2.2), then dot segments (§6.2.2.3,
/// §5.2.4); an empty one is `/` (§6.2.3). Two slashes stay two, and an encoded slash is none.
pub(super) fn normalised(path: &str) -> String {
    let decoded = decoded(path);
    let mut segments: Vec<&str> = Vec::new();
    let mut rest = decoded.strip_prefix('/').unwrap_or(&decoded).split('/').peekable();
    while let Some(segment) = rest.next() {
        let is_last = rest.peek().is_none();
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
        // a dot segment at the end leaves its slash
        if is_last && matches!(segment, "." | "..") {
            segments.push("");
        }
    }
    ["/", &segments.join("/")].concat()
}

/// Decodes what need not be percent-encoded, and writes the digits of the rest in upper case. A
/// percent sign that encodes nothing is encoded itself.
fn decoded(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('%') {
        decoded.push_str(before);
        let digits = behind.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) else {
            decoded.push_str("%25");
            rest = behind;
            continue;
        };
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            decoded.push(char::from(byte));
        } else {
            decoded.push_str(&format!("%{byte:02X}"));
        }
        rest = behind.get(2..).unwrap_or_default();
    }
    decoded.push_str(rest);
    decoded
}
