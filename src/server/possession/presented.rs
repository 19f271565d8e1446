//! A credential, and what of its request its sender is judged by.

use crate::checks::{Kept, RequestContext};
use crate::credential::{Credential, RequestHead};
use crate::error::Scheme;
#[cfg(any(feature = "dpop", feature = "mtls"))]
use crate::error::{Error, ErrorKind};
use crate::possession::Thumbprint;

/// Where a layer says that it is reached, if it does so itself.
#[cfg(feature = "dpop")]
pub(crate) type LayerOrigin = crate::origin::PublicOrigin;
#[cfg(not(feature = "dpop"))]
pub(crate) type LayerOrigin = std::convert::Infallible;

/// A credential, and what of its request its sender is judged by.
#[derive(Clone, Copy)]
pub(in crate::server) struct Presented<'r> {
    pub(in crate::server) token: &'r [u8],
    pub(in crate::server) scheme: Scheme,
    /// `None` if the token came without a request.
    pub(in crate::server) head: Option<RequestHead<'r>>,
    pub(in crate::server) origin: Option<&'r LayerOrigin>,
    /// The certificate in the request's header, which was judged before.
    pub(in crate::server) certificate: Option<Thumbprint>,
}

/// The same, where it must outlive the request.
pub(in crate::server) struct KeptPresented {
    kept: Kept,
    scheme: Scheme,
    origin: Option<LayerOrigin>,
    certificate: Option<Thumbprint>,
}

impl<'r> Presented<'r> {
    /// A bearer token whose request nobody looks at.
    pub(in crate::server) fn unseen() -> Self {
        Self { token: &[], scheme: Scheme::Bearer, head: None, origin: None, certificate: None }
    }

    /// Tells whether the token is in the `Authorization` header; or came without a request, in which
    /// nothing can be proven.
    pub(super) fn is_in_authorization(&self) -> bool {
        self.head.is_none_or(|head| {
            Credential::from_authorization(head.headers()).is_ok_and(|credential| *credential.token == *self.token)
        })
    }

    /// Returns what checks see of it.
    pub(in crate::server) fn context(&self) -> RequestContext<'r> {
        RequestContext::new(self.head, self.token)
    }

    pub(in crate::server) fn keep(&self) -> KeptPresented {
        let Self { scheme, certificate, .. } = *self;
        KeptPresented { kept: self.context().keep(), scheme, origin: self.origin.cloned(), certificate }
    }

    /// Returns the head of the request, without which nobody can prove anything.
    #[cfg(any(feature = "dpop", feature = "mtls"))]
    pub(super) fn request(&self) -> Result<RequestHead<'r>, Error> {
        self.head.ok_or_else(|| {
            let detail = "the token is bound to its sender (cnf) and came without its request, in which the proof \
                          would be; use authenticate_request";
            Error::new(ErrorKind::SenderConstrained, detail)
        })
    }
}

impl KeptPresented {
    pub(in crate::server) fn presented(&self) -> Presented<'_> {
        let (head, token) = self.kept.parts();
        let Self { scheme, certificate, .. } = *self;
        Presented { token, scheme, head, origin: self.origin.as_ref(), certificate }
    }
}
