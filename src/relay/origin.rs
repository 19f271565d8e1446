//! Where a token may go.

use http::Uri;

/// Scheme, host and port.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// Reads an origin; `None` if the text is none, or more than that.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let uri = text.parse::<Uri>().ok()?;
        let is_bare = uri.path() == "/" && uri.query().is_none() && !text.ends_with('/') && !text.contains(['#', '?']);
        if is_bare { Self::of(&uri) } else { None }
    }

    /// Returns the origin of an absolute address.
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        let (scheme, host) = (uri.scheme_str()?.to_ascii_lowercase(), uri.host()?.to_ascii_lowercase());
        let default = match scheme.as_str() {
            "https" => 443,
            "http" => 80,
            _ => return None,
        };
        // a user name before the host is no part of an origin, and nobody means it well
        let authority = uri.authority()?.as_str();
        let port = match authority.get(uri.host()?.len()..)? {
            "" => default,
            _ => uri.port_u16()?,
        };
        (!host.is_empty() && !authority.contains('@')).then_some(Self { scheme, host, port })
    }
}
