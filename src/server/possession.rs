//! Whether a token's sender may use it: what the token is bound to, against what the request shows.

mod judged;
mod presented;
#[cfg(feature = "dpop")]
mod proof;
pub(super) mod settings;

#[cfg(feature = "mtls")]
use http::HeaderName;

pub(super) use self::judged::Judged;
pub(crate) use self::judged::UsedProof;
pub(crate) use self::presented::LayerOrigin;
pub(super) use self::presented::{KeptPresented, Presented};
#[cfg(feature = "dpop")]
pub(super) use self::proof::ProofJudge;
use crate::access_token::Verified;
use crate::clock::SharedClock;
use crate::credential::RequestHead;
use crate::error::{Error, ErrorKind};
#[cfg(feature = "mtls")]
use crate::mtls::ClientCertificates;
use crate::possession::{Bound, Shown, Thumbprint};

/// All that senders are judged by.
pub(super) struct Senders {
    /// `None` if no proof is accepted.
    #[cfg(feature = "dpop")]
    pub(super) proofs: Option<ProofJudge>,
    /// `None` if no certificate is looked at.
    #[cfg(feature = "mtls")]
    pub(super) certificates: Option<ClientCertificates>,
}

impl Senders {
    /// Goes on where a former server has been.
    #[cfg_attr(not(feature = "dpop"), expect(clippy::unused_self, unused_variables, reason = "proofs are remembered"))]
    pub(super) fn go_on_from(&mut self, former: &Self) {
        #[cfg(feature = "dpop")]
        if let (Some(proofs), Some(former)) = (&mut self.proofs, &former.proofs) {
            proofs.terms.go_on_from(&former.terms);
        }
    }

    /// Tells whether a token may be bound to a certificate, so that its request must be at hand when
    /// the token is known.
    pub(super) fn look_at_certificates(&self) -> bool {
        #[cfg(feature = "mtls")]
        return self.certificates.is_some();
        #[cfg(not(feature = "mtls"))]
        false
    }

    /// Returns the header that certificates come in, if that is where they are.
    #[cfg(feature = "mtls")]
    pub(super) fn certificate_header(&self) -> Option<&HeaderName> {
        self.certificates.as_ref()?.header_name()
    }

    /// Judges what a request is refused for whatever its token, and be there none: a header with a
    /// certificate must not come from just anybody. Returns the certificate in the header.
    #[cfg(feature = "mtls")]
    pub(super) fn screen(&self, head: RequestHead<'_>) -> Result<Option<Thumbprint>, Error> {
        let guarded = self.certificates.as_ref().filter(|certificates| certificates.header_name().is_some());
        guarded.map_or(Ok(None), |certificates| certificates.thumbprint(head))
    }

    #[cfg(not(feature = "mtls"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the same call with and without the feature")]
    pub(super) fn screen(&self, _: RequestHead<'_>) -> Result<Option<Thumbprint>, Error> {
        Ok(None)
    }

    /// Judges what a request shows for a token: the certificate first, which costs least, and a
    /// proof of a key last.
    #[cfg_attr(not(feature = "dpop"), expect(unused_variables, reason = "the same call with and without features"))]
    pub(super) fn judge<C>(&self, verified: &Verified<C>, presented: &Presented<'_>, clock: &SharedClock) -> Judged {
        let binding = verified.binding();
        if let Err(error) = binding.check_scheme(presented.scheme) {
            return Judged::Now(Err(error));
        }
        // FAPI 2.0 §5.3.3: each token of such an issuer is bound, and so comes this way
        if verified.policy().terms.fapi2 && !presented.is_in_authorization() {
            let detail = "the token's issuer is trusted by fapi2, and the token is not in the Authorization header";
            return Judged::Now(Err(Error::new(ErrorKind::MalformedRequest, detail)));
        }
        let shown = match self.certificate(binding.bound(), presented) {
            Ok(shown) => shown,
            Err(error) => return Judged::Now(Err(error)),
        };
        #[cfg(feature = "dpop")]
        if let Some(Bound { key: Some(key), .. }) = binding.bound() {
            return match (&self.proofs, verified.text_hash()) {
                (Some(proofs), Some(hash)) => proofs.judge((key, hash), presented, clock.moment(), shown),
                // it was checked before that the issuer's terms accept such tokens
                (None, _) | (_, None) => {
                    let detail = "the token is bound to a key (cnf.jkt), and this server has no settings of proofs; \
                                  call dpop on its builder";
                    Judged::Now(Err(Error::new(ErrorKind::SenderConstrained, detail)))
                }
            };
        }
        Judged::Now(Ok((shown, None)))
    }

    /// Finds the certificate, if the token is bound to one; one in a header was found when the
    /// request was screened.
    #[cfg(feature = "mtls")]
    fn certificate(&self, bound: Option<&Bound>, presented: &Presented<'_>) -> Result<Shown, Error> {
        let mut shown = Shown::default();
        let wanted = bound.is_some_and(|bound| bound.certificate.is_some());
        let Some(certificates) = self.certificates.as_ref().filter(|_| wanted) else { return Ok(shown) };
        let head = presented.request()?;
        let found = match self.certificate_header() {
            Some(_) => presented.certificate,
            None => certificates.thumbprint(head)?,
        };
        if let Some(certificate) = found {
            shown.note_certificate(certificate);
        }
        Ok(shown)
    }

    #[cfg(not(feature = "mtls"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the same call with and without the feature")]
    fn certificate(&self, _: Option<&Bound>, _: &Presented<'_>) -> Result<Shown, Error> {
        Ok(Shown::default())
    }
}
