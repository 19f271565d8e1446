//! What a token demands of its sender besides itself, and the evidence that it is met (RFC 7800).

#[cfg(test)]
mod tests;

use crate::error::{Error, ErrorKind, Scheme};
use crate::jose::{Value, decode_base64url};

/// A SHA-256 hash: of a public key (RFC 7638), or of a certificate (RFC 8705 §3.1).
pub(crate) type Thumbprint = [u8; 32];

/// As base64url, it has so many characters.
const THUMBPRINT_LEN: usize = 43;

/// What a token is bound to by its `cnf`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Binding {
    /// Nothing: it is good for whoever bears it (RFC 6750 §1.2).
    Unbound,
    /// To what its sender must prove to have. Boxed, since most tokens are not.
    Bound(Box<Bound>),
}

/// What the sender of a token must have: all that is named, and one thing at least.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Bound {
    /// `jkt`: the key of proofs (RFC 9449 §6.1).
    pub(crate) key: Option<Thumbprint>,
    /// `x5t#S256`: the client's certificate (RFC 8705 §3.1).
    pub(crate) certificate: Option<Thumbprint>,
}

/// Whether tokens that are bound in one way are accepted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Stance {
    /// They are refused, since nothing is proven here.
    #[default]
    Refused,
    /// They are, with the proof.
    Accepted,
    /// And no others are.
    Required,
}

/// How the tokens of an issuer may be bound to their senders, and must be.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct SenderConstraint {
    /// To keys (RFC 9449).
    pub(crate) dpop: Stance,
    /// To certificates (RFC 8705).
    pub(crate) mtls: Stance,
    /// Whether they must be bound to something, whatever it is.
    pub(crate) required: bool,
    /// Whether proofs are of the algorithms that the FAPI 2.0 Security Profile allows (§5.4).
    pub(crate) fapi2: bool,
}

/// What the sender of a request has proven to have.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    key: Option<Thumbprint>,
    certificate: Option<Thumbprint>,
}

/// The evidence that a token may be used by its sender; only [`Binding::prove`] makes one.
#[derive(Debug)]
pub(crate) struct Possessed(());

impl Binding {
    /// Reads `cnf`. Whatever is there and not understood binds the token, too: it is refused.
    pub(crate) fn read(cnf: Option<Value<'_>>) -> Result<Self, Error> {
        let unreadable = |detail: String| Err(Error::new(ErrorKind::SenderConstrained, detail));
        let Some(cnf) = cnf else { return Ok(Self::Unbound) };
        if !cnf.is_object() {
            return unreadable(format!("cnf is {}, not an object", cnf.type_name()));
        }
        let (mut key, mut certificate) = (None, None);
        for (name, value) in cnf.members() {
            match name {
                "jkt" => key = Some(thumbprint("jkt", value)?),
                "x5t#S256" => certificate = Some(thumbprint("x5t#S256", value)?),
                // its name is the token's, and may be anything
                _ => {
                    return unreadable(
                        "cnf has a member besides jkt and x5t#S256, of which no proof is known".to_owned(),
                    );
                }
            }
        }
        if key.is_none() && certificate.is_none() {
            return unreadable("cnf is empty, so it does not say what the token is bound to".to_owned());
        }
        Ok(Self::Bound(Box::new(Bound { key, certificate })))
    }

    pub(crate) fn bound(&self) -> Option<&Bound> {
        match self {
            Self::Unbound => None,
            Self::Bound(bound) => Some(bound),
        }
    }

    /// Returns the scheme under which the token is used (RFC 9449 §7, RFC 8705 §3).
    pub(crate) fn scheme(&self) -> Scheme {
        match self.bound() {
            Some(Bound { key: Some(_), .. }) => Scheme::Dpop,
            Some(Bound { key: None, .. }) | None => Scheme::Bearer,
        }
    }

    /// Judges the sender: it must have proven to have all that the token is bound to, and the token
    /// must have come under its own scheme (RFC 9449 §7.2, RFC 8705 §3).
    pub(crate) fn prove(&self, scheme: Scheme, shown: &Shown) -> Result<Possessed, Error> {
        self.check_scheme(scheme)?;
        let Some(Bound { key, certificate }) = self.bound() else { return Ok(Possessed(())) };
        let refused = |detail| Err(Error::new(ErrorKind::SenderConstrained, detail));
        match (key, &shown.key) {
            (None, _) => {}
            (Some(key), Some(shown)) if key == shown => {}
            (Some(_), _) => return refused("the token is bound to a key (cnf.jkt) that is not that of the proof"),
        }
        match (certificate, &shown.certificate) {
            (None, _) => {}
            (Some(certificate), Some(shown)) if certificate == shown => {}
            (Some(_), Some(_)) => {
                return refused("the token is bound to another certificate (cnf.x5t#S256) than that of the connection");
            }
            (Some(_), None) => {
                return refused(
                    "the token is bound to a certificate (cnf.x5t#S256), and the client has shown none: does the \
                     server ask for one, and does it get here?",
                );
            }
        }
        Ok(Possessed(()))
    }

    /// A token that is bound to a key is no bearer token, nor is another one good under `DPoP`.
    pub(crate) fn check_scheme(&self, scheme: Scheme) -> Result<(), Error> {
        match (self.scheme(), scheme) {
            (Scheme::Bearer, Scheme::Bearer) | (Scheme::Dpop, Scheme::Dpop) => Ok(()),
            (Scheme::Dpop, Scheme::Bearer) => {
                let detail = "the token is bound to a key (cnf.jkt) and came under the scheme Bearer, or in a place \
                              where no proof is looked for; expected the scheme DPoP in Authorization, and a proof \
                              in the header DPoP";
                Err(Error::new(ErrorKind::SenderConstrained, detail))
            }
            (Scheme::Bearer, Scheme::Dpop) => {
                let detail = "the token has no cnf.jkt and came under the scheme DPoP; does the client send its proof \
                              to the token endpoint, and does the issuer bind tokens?";
                Err(Error::new(ErrorKind::NotSenderConstrained, detail))
            }
        }
    }
}

/// Reads a thumbprint: exactly 32 bytes as base64url without padding. Those of SHA-1, in hexadecimal,
/// or with padding, are seen, and are none.
fn thumbprint(name: &str, value: Value<'_>) -> Result<Thumbprint, Error> {
    let refused = |found: String| {
        let detail = format!("cnf.{name} is expected to be {THUMBPRINT_LEN} characters of base64url, and is {found}");
        Error::new(ErrorKind::SenderConstrained, detail)
    };
    let text = value.as_str().ok_or_else(|| refused(value.type_name().into()))?;
    let bytes = Some(text).filter(|text| text.len() == THUMBPRINT_LEN).and_then(decode_base64url);
    let bytes = bytes.and_then(|bytes| Thumbprint::try_from(bytes).ok());
    bytes.ok_or_else(|| refused(format!("a text of {} characters that is not", text.len())))
}

impl Shown {
    /// Notes that the sender has proven to have a key. `dpop` proofs alone do.
    #[cfg(feature = "dpop")]
    pub(crate) fn note_key(&mut self, key: Thumbprint) {
        self.key = Some(key);
    }

    /// Notes the certificate of the connection.
    #[cfg(feature = "mtls")]
    pub(crate) fn note_certificate(&mut self, certificate: Thumbprint) {
        self.certificate = Some(certificate);
    }
}

impl SenderConstraint {
    /// One of the two, whichever the features have.
    #[cfg(any(feature = "dpop", feature = "mtls"))]
    pub(crate) fn require(mut self) -> Self {
        let accepted = |known: Stance, possible: bool| {
            if possible && known == Stance::Refused { Stance::Accepted } else { known }
        };
        self.dpop = accepted(self.dpop, cfg!(feature = "dpop"));
        self.mtls = accepted(self.mtls, cfg!(feature = "mtls"));
        self.required = true;
        self
    }

    /// Tells whether some token could be accepted under the scheme.
    pub(crate) fn speaks(self, scheme: Scheme) -> bool {
        match scheme {
            Scheme::Dpop => self.dpop != Stance::Refused,
            Scheme::Bearer => self.dpop != Stance::Required && (!self.required || self.mtls != Stance::Refused),
        }
    }

    /// Judges what a token is bound to, whoever has sent it.
    pub(crate) fn check(self, binding: &Binding) -> Result<(), Error> {
        let (key, certificate) =
            binding.bound().map_or((false, false), |bound| (bound.key.is_some(), bound.certificate.is_some()));
        let refused = |kind, detail| Err(Error::new(kind, detail));
        for (bound, stance, unproven, missing) in [
            (
                key,
                self.dpop,
                "the token is bound to a key (cnf.jkt), and no proofs are accepted of this issuer's tokens; expected \
                 a bearer token, or accept_dpop",
                "the token is not bound to a key (cnf.jkt), as require_dpop demands",
            ),
            (
                certificate,
                self.mtls,
                "the token is bound to a certificate (cnf.x5t#S256), and none are looked at for this issuer's tokens; \
                 expected a bearer token, or accept_mtls",
                "the token is not bound to a certificate (cnf.x5t#S256), as require_mtls demands",
            ),
        ] {
            match (bound, stance) {
                (true, Stance::Refused) => return refused(ErrorKind::SenderConstrained, unproven),
                (false, Stance::Required) => return refused(ErrorKind::NotSenderConstrained, missing),
                (true, Stance::Accepted | Stance::Required) | (false, Stance::Refused | Stance::Accepted) => {}
            }
        }
        if self.required && !key && !certificate {
            return refused(
                ErrorKind::NotSenderConstrained,
                "the token has no cnf, and require_sender_constraint demands that it is bound to its sender",
            );
        }
        Ok(())
    }
}
