//! What a request demands of its proof (RFC 9449 §4.3).

use std::time::Duration;

use base64_simd::{Out, URL_SAFE_NO_PAD};
use http::Method;

use super::parsed::Proof;
use super::refusal::invalid;
use crate::clock::{UnixTime, whole_seconds_up};
use crate::dpop::nonce::GoodNonce;
use crate::error::{Error, ErrorKind};
use crate::origin::Target;

/// A SHA-256 hash in base64url has so many characters.
const HASH_TEXT: usize = 43;

/// What a request demands of its proof.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demands<'d> {
    /// The thumbprint of the key that the access token is bound to (`cnf.jkt`).
    pub(crate) bound_to: &'d [u8; 32],
    pub(crate) method: &'d Method,
    pub(crate) target: &'d Target<'d>,
    /// The SHA-256 hash of the access token's text.
    pub(crate) token_hash: &'d [u8; 32],
    pub(crate) dating: Dating,
    pub(crate) now: UnixTime,
}

/// By which clock it is known when the proof was made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Dating {
    /// By the client's, which may differ from ours by the leeway.
    ByClock { max_age: Duration, leeway: Duration },
    /// By ours: `iat` is not judged, so that the client's clock may be wrong (RFC 9449 §11.1).
    ByNonce(GoodNonce),
}

/// A proof that says what it must, and whose signature nobody has verified yet; only
/// [`Proof::check`] makes one.
#[derive(Debug)]
pub(crate) struct Plausible<'p> {
    pub(super) proof: &'p Proof,
    /// Until when it would be accepted.
    pub(super) until: UnixTime,
}

impl Proof {
    /// Compares what the proof says with the request; the key first, so that a stranger's proof
    /// costs no more than that.
    pub(crate) fn check(&self, demands: &Demands<'_>) -> Result<Plausible<'_>, Error> {
        self.check_key(demands.bound_to)?;
        // RFC 9110 §9.1: methods are case-sensitive
        if self.claim("htm")? != demands.method.as_str() {
            return Err(invalid(
                "its htm is not the method of the request; methods are compared by case, and that of gRPC is POST",
            ));
        }
        demands.target.is(self.claim("htu")?).map_err(invalid)?;
        self.check_token(demands.token_hash)?;
        let until = match demands.dating {
            Dating::ByNonce(GoodNonce { until, .. }) => until,
            Dating::ByClock { max_age, leeway } => self.check_age(max_age, leeway, demands.now)?,
        };
        Ok(Plausible { proof: self, until })
    }

    /// Compares the proof's key with the one that the token is bound to.
    pub(crate) fn check_key(&self, bound_to: &[u8; 32]) -> Result<(), Error> {
        if self.thumbprint() == bound_to {
            return Ok(());
        }
        let detail = "the proof is by another key than the one that the token is bound to (cnf.jkt)";
        Err(Error::new(ErrorKind::SenderConstrained, detail))
    }

    fn check_token(&self, hash: &[u8; 32]) -> Result<(), Error> {
        let mut buffer = [0; HASH_TEXT];
        let expected = &*URL_SAFE_NO_PAD.encode(hash, Out::from_slice(&mut buffer));
        if self.claim("ath")?.as_bytes() == expected {
            return Ok(());
        }
        Err(invalid("its ath is not the hash of the token that it came with: base64url of SHA-256, without padding"))
    }

    /// Returns until when the proof is new enough.
    fn check_age(&self, max_age: Duration, leeway: Duration, now: UnixTime) -> Result<UnixTime, Error> {
        if now.is_before_1970() {
            return Err(invalid("the clock of this machine is set before 1970, which must be wrong"));
        }
        let issued = self.issued();
        if let Some(ahead) = issued.ahead(now).filter(|ahead| *ahead > leeway) {
            let (ahead, leeway) = (whole_seconds_up(ahead), leeway.as_secs());
            return Err(invalid(format!("its iat lies {ahead} s ahead, with a leeway of {leeway} s")));
        }
        let oldest = max_age.saturating_add(leeway);
        if let Some(age) = issued.passed(now).filter(|age| *age > oldest) {
            let (age, max_age, leeway) = (whole_seconds_up(age), max_age.as_secs(), leeway.as_secs());
            return Err(invalid(format!(
                "its iat lies {age} s back, and the maximum age is {max_age} s, with a leeway of {leeway} s; a client \
                 makes a proof for each request, and one with a wrong clock needs nonces"
            )));
        }
        Ok(UnixTime(issued.0.saturating_add(oldest)))
    }
}
