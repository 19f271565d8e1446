//! A token in a cookie (RFC 6265 §5.4), and whether its request comes from where it should.

use std::net::Ipv6Addr;

use http::header::{COOKIE, HOST, ORIGIN};
use http::{HeaderName, Method};

use super::head::RequestHead;
use super::is_tchar;
use crate::error::{ConfigError, Error, ErrorKind};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Finds what is wrong with the name of a cookie, and with the origins whose pages may use it.
pub(super) fn check(name: &str, origins: &[Box<str>], path: &str, problems: &mut ConfigError) {
    if name.is_empty() || !name.bytes().all(is_tchar) {
        let expected = "expected a cookie's name, of letters, digits and !#$%&'*+-.^_`|~ (RFC 6265 §4.1.1)";
        problems.push(path, format!("{expected}; found {name:?}"));
    }
    for origin in origins.iter().filter(|origin| !is_origin(origin)) {
        let expected = "expected an origin as browsers send it: scheme, host in lower case, port if it is not the \
             scheme's, and nothing behind, such as https://app.example.com";
        problems.push(format!("{path}.allow_origin"), format!("{expected}; found {origin:?}"));
    }
}

/// Finds a cookie's value, if the request comes from where it should; an empty one is none, as
/// after signing out.
pub(super) fn find<'r>(name: &str, origins: &[Box<str>], head: RequestHead<'r>) -> Result<Option<&'r [u8]>, Error> {
    let pairs = head.headers().get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    let mut values = pairs.filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    let found = values.next();
    // nobody can tell which of them was set by another host of the domain
    if values.next().is_some() {
        return Err(Error::new(ErrorKind::MalformedRequest, format!("the cookie {name} comes twice")));
    }
    let Some(token) = found.filter(|value| !value.is_empty()) else { return Ok(None) };
    check_site(name, origins, head)?;
    Ok(Some(token))
}

/// Refuses what another site may have made the browser send.
fn check_site(name: &str, origins: &[Box<str>], head: RequestHead<'_>) -> Result<(), Error> {
    let safe = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(head.method());
    if safe && !head.asks_for_upgrade() {
        return Ok(());
    }
    let origin = head.single(&ORIGIN)?;
    if origin.is_some_and(|origin| origins.iter().any(|allowed| allowed.as_bytes() == origin)) {
        return Ok(());
    }
    // browsers say by themselves where a request comes from; pages cannot change it
    let why = match (head.single(&SEC_FETCH_SITE)?, origin) {
        (Some(b"same-origin" | b"none"), _) => return Ok(()),
        (Some(_), _) => "Sec-Fetch-Site says that a page of another origin has sent it",
        (None, Some(origin)) if is_of(origin, host(head)?) => return Ok(()),
        (None, Some(_)) => "its Origin is not this host",
        (None, None) => "it has neither Sec-Fetch-Site nor Origin",
    };
    let fix = "let a page that should use the cookie in with allow_origin";
    Err(Error::new(ErrorKind::CrossOriginRequest, format!("the token is in the cookie {name}, and {why}; {fix}")))
}

/// Returns the host that the request is for (RFC 9110 §7.2); HTTP/2 has it in the address.
fn host(head: RequestHead<'_>) -> Result<Option<&[u8]>, Error> {
    match head.uri().authority() {
        Some(authority) => Ok(Some(authority.as_str().as_bytes())),
        None => head.single(&HOST),
    }
}

/// Tells whether an origin is that of a host: over https, or on the same machine.
fn is_of(origin: &[u8], host: Option<&[u8]>) -> bool {
    let Some(host) = host.filter(|host| !host.is_empty()) else { return false };
    if let Some(origin) = origin.strip_prefix(b"https://") {
        let origin = without_port(origin, b":443");
        return !origin.is_empty() && origin.eq_ignore_ascii_case(without_port(host, b":443"));
    }
    let Some(origin) = origin.strip_prefix(b"http://") else { return false };
    let name = match origin.iter().rposition(|byte| *byte == b':') {
        Some(colon) if !origin.ends_with(b"]") => origin.get(..colon).unwrap_or_default(),
        _ => origin,
    };
    let loopback = [&b"localhost"[..], b"127.0.0.1", b"[::1]"].contains(&name);
    loopback && without_port(origin, b":80").eq_ignore_ascii_case(without_port(host, b":80"))
}

/// Tells whether a browser could send this as the origin of a page (RFC 6454 §6.2). It sends `null`
/// for pages that have none.
fn is_origin(text: &str) -> bool {
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !rest.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let consists_of = |text: &str, others: &[u8]| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || others.contains(&byte);
        !text.is_empty() && text.bytes().all(allowed)
    };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => consists_of(host, b"-._"),
    };
    let is_port = |port: &str| {
        let number = port.parse::<u16>().is_ok_and(|number| number.to_string() == port);
        number && ![("http", "80"), ("https", "443")].contains(&(scheme, port))
    };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase()) && consists_of(scheme, b"+-.");
    is_scheme && is_host && port.is_none_or(is_port)
}

fn without_port<'a>(host: &'a [u8], port: &[u8]) -> &'a [u8] {
    host.strip_suffix(port).unwrap_or(host)
}
