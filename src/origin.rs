//! The address that a client has used, which no service behind a proxy can know from the request: a
//! [`PublicOrigin`] says it.

mod address;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::header::HOST;

use self::address::{Address, Base, has_dot_segments, loopback, normalised};
use crate::credential::RequestHead;
use crate::error::{Error, ErrorKind};

/// Scheme, host and port under which clients reach a service, and the prefix of its paths, if a
/// proxy takes one away.
///
/// What a client signs contains the address that it has used (`htu` of RFC 9449 §4.2). A service
/// behind a proxy does not see it: TLS ends before, prefixes are gone, and `Host` is what the
/// proxy, or the client, has chosen. So it has to be said. `X-Forwarded-Host`, `Forwarded` and the
/// like are never believed.
///
/// | clients use | the service sees | setting |
/// |---|---|---|
/// | `https://api.example.com/orders` | `/orders` | `"https://api.example.com"` |
/// | `https://example.com/shop/orders` | `/orders` | `"https://example.com/shop"` |
/// | `http://localhost:3000/orders` | `/orders` | [`PublicOrigin::loopback`] |
/// | several host names | `/orders` | [`PublicOrigin::from_fn`] |
///
/// Inside an axum router that is nested, the layer sees the rest of the path only, so that the
/// prefix is what the router was nested under. With a prefix, `/shop` and `/shop/` are the same
/// address, since the service sees `/` for both.
///
/// # Examples
///
/// ```
/// use tower_bearer::config::PublicOrigin;
///
/// let origin = PublicOrigin::from("https://api.example.com");
/// let tenants = PublicOrigin::from_fn(|head| {
///     // HTTP/2 has the host in the address, and HTTP/1.1 in a header
///     let host = head.uri().authority().map(|authority| authority.as_str());
///     match host.or_else(|| head.headers().get("host")?.to_str().ok())? {
///         host @ ("a.example.com" | "b.example.com") => Some(format!("https://{host}")),
///         _ => None,
///     }
/// });
/// ```
#[derive(Clone)]
pub struct PublicOrigin(Kind);

type Find = dyn Fn(RequestHead<'_>) -> Option<String> + Send + Sync;

#[derive(Clone)]
enum Kind {
    Fixed(Arc<Base>),
    /// What cannot be used, and why.
    Wrong(Arc<str>, &'static str),
    Loopback,
    Function(Arc<Find>),
}

impl PublicOrigin {
    /// Believes the request's authority or `Host`, if this is a loopback address, `localhost` or a
    /// name below it; and any scheme.
    ///
    /// For development and tests: requests for other hosts are refused.
    /// It has no prefix: inside a nested router, name `http://localhost:3000/shop` instead.
    #[must_use]
    pub fn loopback() -> Self {
        Self(Kind::Loopback)
    }

    /// Asks a function for the origin, with the prefix if there is one, such as
    /// `https://example.com/shop`. It is asked for each request with a proof, and must not block.
    /// `None`, or what is no origin, refuses the request.
    ///
    /// # Security
    ///
    /// Whoever sends a request can choose its headers, so compare them with what you know: an
    /// origin that is taken from `Host` as it is lets a proof for another service pass for one for
    /// this.
    pub fn from_fn(origin: impl Fn(RequestHead<'_>) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Kind::Function(Arc::new(origin)))
    }

    /// Says what is wrong with it, for a configuration's list of problems.
    pub(crate) fn fault(&self) -> Option<String> {
        let Kind::Wrong(text, why) = &self.0 else { return None };
        Some(format!("{text:?} is no origin: {why}; write it as https://api.example.com, or with a prefix behind it"))
    }

    /// Finds the address that the client has used.
    pub(crate) fn target<'r>(&self, head: RequestHead<'r>) -> Result<Target<'r>, Error> {
        let unknown = |detail| Err(Error::new(ErrorKind::InvalidProof, detail));
        let path = match head.uri().path() {
            "" => "/",
            path if path.starts_with('/') => path,
            _ => return unknown("the request has no path, so that no proof can be for its address"),
        };
        let base = match &self.0 {
            Kind::Fixed(base) => Arc::clone(base),
            Kind::Wrong(..) => return unknown("the public origin of this service is not one"),
            Kind::Loopback => match authority(head).and_then(loopback) {
                Some(base) => Arc::new(base),
                None => {
                    return unknown(
                        "the request is not for a loopback address, and only such ones are believed; set public_origin",
                    );
                }
            },
            Kind::Function(find) => match find(head).as_deref().map(Base::parse) {
                Some(Ok(base)) => Arc::new(base),
                Some(Err(_)) => return unknown("what the function of public_origin has returned is no origin"),
                None => return unknown("the function of public_origin knows no origin for this request"),
            },
        };
        Ok(Target { base, path })
    }
}

/// Returns what the request itself says of its host; `None` if it is not one thing.
fn authority(head: RequestHead<'_>) -> Option<&str> {
    if let Some(authority) = head.uri().authority() {
        return Some(authority.as_str());
    }
    let mut hosts = head.headers().get_all(HOST).iter();
    let host = hosts.next()?.to_str().ok()?;
    hosts.next().is_none().then_some(host)
}

impl From<&str> for PublicOrigin {
    fn from(text: &str) -> Self {
        Self(match Base::parse(text) {
            Ok(base) => Kind::Fixed(Arc::new(base)),
            Err(why) => Kind::Wrong(text.into(), why),
        })
    }
}

impl From<String> for PublicOrigin {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl fmt::Debug for PublicOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Fixed(base) => write!(f, "PublicOrigin({base})"),
            Kind::Wrong(..) => f.write_str("PublicOrigin(none)"),
            Kind::Loopback => f.write_str("PublicOrigin(loopback)"),
            Kind::Function(_) => f.write_str("PublicOrigin(function)"),
        }
    }
}

/// The address of a request as its client has used it, without query and fragment.
#[derive(Clone)]
pub(crate) struct Target<'r> {
    base: Arc<Base>,
    /// Begins with a slash.
    path: &'r str,
}

impl Target<'_> {
    /// Compares the address with one that a client states, after the normalisation of RFC 3986
    /// §6.2.2 and §6.2.3; the error says what differs. Query and fragment of the latter are ignored.
    pub(crate) fn is(&self, stated: &str) -> Result<(), Cow<'static, str>> {
        // what is the same text is the same address; but no prefix is to be left by a dot segment
        let rest = self.base.text().and_then(|base| stated.strip_prefix(base));
        if rest.is_some_and(|path| path == self.path && !path.contains('%') && !path.contains("/.")) {
            return Ok(());
        }
        let stated = Address::parse(stated)?;
        let base = &self.base;
        let scheme = base.scheme.unwrap_or(stated.scheme);
        let what = if stated.scheme != scheme {
            "scheme"
        } else if stated.host != base.host {
            "host"
        } else if stated.port.unwrap_or_else(|| scheme.port()) != base.port.unwrap_or_else(|| scheme.port()) {
            "port"
        } else if has_dot_segments(self.path) {
            return Err("the request's path has dot segments, which a client takes out before it sends it: a service \
                        that does not could answer for another path than that of the proof"
                .into());
        } else if !self.is_path(&normalised(stated.path)) {
            "path"
        } else {
            return Ok(());
        };
        let detail = format!(
            "its htu has another {what} than the request, whose address begins with {base}; if that is not what clients \
             use, set public_origin, with the prefix that a proxy takes away"
        );
        Err(detail.into())
    }

    /// Compares the path with a normalised one.
    fn is_path(&self, stated: &str) -> bool {
        let prefix = &*self.base.prefix;
        let Some(rest) = stated.strip_prefix(prefix) else { return false };
        // whoever takes a prefix away leaves a slash where nothing is behind it
        rest == normalised(self.path) || (self.path == "/" && rest.is_empty())
    }
}

/// Without the path, which may have anything in it.
impl fmt::Debug for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({}…)", self.base)
    }
}
