//! By what senders are judged, as it is said, and checked as a whole.

#[cfg(feature = "dpop")]
use super::ProofJudge;
use super::Senders;
#[cfg(feature = "dpop")]
use crate::dpop::Dpop;
#[cfg(feature = "dpop")]
use crate::error::ConfigProblemKind;
use crate::error::{ConfigError, Scheme, Spoken};
#[cfg(feature = "dpop")]
use crate::issuer::FAPI2;
#[cfg(feature = "mtls")]
use crate::mtls::ClientCertificates;
#[cfg(feature = "dpop")]
use crate::origin::PublicOrigin;
use crate::possession::SenderConstraint;
#[cfg(feature = "mtls")]
use crate::possession::Stance;

/// What a server is told about senders.
#[derive(Default)]
pub(in crate::server) struct SenderSettings {
    #[cfg(feature = "dpop")]
    pub(in crate::server) dpop: Option<Dpop>,
    #[cfg(feature = "dpop")]
    pub(in crate::server) origin: Option<PublicOrigin>,
    #[cfg(feature = "mtls")]
    pub(in crate::server) certificates: Option<ClientCertificates>,
}

impl SenderSettings {
    /// Checks what is said, given the terms of the configured issuers, and whether there may be
    /// others. Returns the schemes that are spoken, too.
    pub(in crate::server) fn prepare(
        self,
        issuers: &[SenderConstraint],
        open: bool,
        #[cfg_attr(not(feature = "dpop"), expect(unused_variables, reason = "only proofs have settings"))]
        problems: &mut ConfigError,
    ) -> (Senders, Spoken) {
        let speaks = |scheme| issuers.iter().any(|terms| terms.speaks(scheme));
        // an issuer that is not known yet may have bearer tokens
        let bearer = open || speaks(Scheme::Bearer) || !speaks(Scheme::Dpop);
        #[cfg(feature = "dpop")]
        let (proofs, dpop) = {
            let fapi2 = issuers.iter().any(|terms| terms.fapi2);
            self.proofs((speaks(Scheme::Dpop), open), fapi2, problems)
        };
        #[cfg(not(feature = "dpop"))]
        let dpop = None;
        let senders = Senders {
            #[cfg(feature = "dpop")]
            proofs,
            #[cfg(feature = "mtls")]
            certificates: self.certificates.or_else(|| {
                let wanted = open || issuers.iter().any(|terms| terms.mtls != Stance::Refused);
                wanted.then(ClientCertificates::new)
            }),
        };
        (senders, Spoken { bearer, dpop })
    }

    #[cfg(feature = "dpop")]
    fn proofs(
        &self,
        (accepted, open): (bool, bool),
        fapi2: bool,
        problems: &mut ConfigError,
    ) -> (Option<ProofJudge>, Option<Box<str>>) {
        if let Some(fault) = self.origin.as_ref().and_then(PublicOrigin::fault) {
            problems.push("public_origin", fault);
        }
        let Some(dpop) = self.dpop.clone().or_else(|| accepted.then(Dpop::new)) else { return (None, None) };
        // a proof is a JWT, too
        let dpop = if fapi2 { dpop.within(&FAPI2) } else { dpop };
        let spoken = (accepted || open).then(|| dpop.algs());
        let Some(origin) = self.origin.clone() else {
            let fix = "a DPoP proof is for the address that its client has used, which has to be said: \
                       public_origin(\"https://api.example.com\"), or PublicOrigin::loopback() for development";
            problems.push_as(ConfigProblemKind::Missing, "public_origin", fix);
            return (None, spoken);
        };
        let terms = dpop.prepare(problems);
        (terms.map(|terms| ProofJudge { terms, origin }), spoken)
    }
}
