//! A token in a cookie (RFC 6265 §5.4), and whether the request that brings it comes from where it should.

use std::fmt;

use http::header::{COOKIE, HOST, ORIGIN};
use http::{HeaderMap, HeaderName, Method};

use super::head::RequestHead;
use crate::error::{Error, ErrorKind};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A cookie, and the origins whose pages may use it besides its own.
#[derive(Clone)]
pub(super) struct Cookie {
    name: Box<str>,
    origins: Vec<Box<str>>,
}

impl Cookie {
    pub(super) fn named(name: String) -> Self {
        Self { name: name.into(), origins: Vec::new() }
    }

    pub(super) fn allow(&mut self, origin: String) {
        self.origins.push(origin.into());
    }

    /// Finds its value; an empty one is none, as after signing out.
    pub(super) fn find<'r>(&self, headers: &'r HeaderMap) -> Result<Option<&'r [u8]>, Error> {
        let pairs = headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
        let mut found = None;
        for pair in pairs {
            let value = pair.trim_ascii().strip_prefix(self.name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
            // one of them may have been set by another host of the domain, and nobody can tell which
            if let Some(value) = value
                && found.replace(value).is_some()
            {
                return Err(Error::new(ErrorKind::MalformedRequest, format!("the cookie {self} comes twice")));
            }
        }
        Ok(found.filter(|value| !value.is_empty()))
    }
}

impl fmt::Display for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Refuses what another site may have made the browser send.
pub(super) fn check_site(head: RequestHead<'_>, cookie: &Cookie) -> Result<(), Error> {
    let safe = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(head.method());
    if safe && !head.asks_for_upgrade() {
        return Ok(());
    }
    let origin = head.single(&ORIGIN)?;
    if origin.is_some_and(|origin| cookie.origins.iter().any(|allowed| allowed.as_bytes() == origin)) {
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
    Err(Error::new(ErrorKind::CrossOriginRequest, format!("the token is in the cookie {cookie}, and {why}; {fix}")))
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

fn without_port<'a>(host: &'a [u8], port: &[u8]) -> &'a [u8] {
    host.strip_suffix(port).unwrap_or(host)
}
