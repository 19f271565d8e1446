//! The proof of a key: exactly one, for this request and token, and for the first time (RFC 9449
//! §4.3, §7).

use std::time::Duration;

use http::HeaderValue;

use super::judged::{Judged, Judgement, SeenProof, UsedProof};
use super::presented::Presented;
use crate::clock::Moment;
use crate::credential::RequestHead;
use crate::dpop::{Asked, Dating, Demands, Mint, NotUnused, Proof, ProofTerms, ProofUse, ask};
use crate::error::{Error, ErrorKind};
use crate::origin::PublicOrigin;
use crate::possession::{Shown, Thumbprint};
use crate::trace::count;

/// When a caller should try again whose proof nobody could look up.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// By what proofs are judged.
pub(in crate::server) struct ProofJudge {
    pub(in crate::server) terms: ProofTerms,
    pub(in crate::server) origin: PublicOrigin,
}

/// A key, and the hash of the text of the token that is bound to it.
type KeyAndToken<'t> = (&'t Thumbprint, &'t [u8; 32]);

/// How old a proof may be, and the nonce that the response is to have.
type Dated = (Dating, Option<HeaderValue>);

impl ProofJudge {
    /// Judges the proof in a request. What costs least comes first; the store of used proofs is asked
    /// last, about nothing that is not good otherwise.
    pub(super) fn judge(&self, of: KeyAndToken<'_>, presented: &Presented<'_>, now: Moment, shown: Shown) -> Judged {
        let (head, proof_use, renewed) = match self.check(of, presented, now) {
            Ok(checked) => checked,
            Err(error) => {
                count!("tower_bearer_dpop_proofs_total", "outcome" => "refused");
                return Judged::Now(Err(error));
            }
        };
        let seen = SeenProof { key: *proof_use.key_thumbprint(), jti: *proof_use.jti_hash() };
        let yes = move |mut shown: Shown| {
            count!("tower_bearer_dpop_proofs_total", "outcome" => "accepted");
            shown.note_key(seen.key);
            Ok((shown, Some(Box::new(UsedProof { seen, renewed }))))
        };
        // a layer outside has asked about it, for this very request
        if head.extensions().get::<SeenProof>() == Some(&seen) {
            return Judged::Now(yes(shown));
        }
        match ask(&*self.terms.store, &proof_use) {
            Asked::Now(Ok(_)) => Judged::Now(yes(shown)),
            Asked::Now(Err(why)) => Judged::Now(not_unused(why, self.terms.mint.as_ref(), of.1, now)),
            Asked::Later(answer) => {
                let (mint, token_hash) = (self.terms.mint.clone(), *of.1);
                Judged::Later(Box::pin(async move {
                    match answer.await {
                        Ok(_) => yes(shown),
                        Err(why) => not_unused(why, mint.as_ref(), &token_hash, now),
                    }
                }))
            }
        }
    }

    /// Checks all that can be checked at once.
    fn check<'r>(
        &self,
        (key, token_hash): KeyAndToken<'_>,
        presented: &Presented<'r>,
        now: Moment,
    ) -> Result<(RequestHead<'r>, ProofUse, Option<HeaderValue>), Error> {
        let head = presented.request()?;
        let proof = Proof::find(head.headers(), &self.terms.algorithms)?.ok_or_else(|| {
            let detail = "there is no DPoP header beside the scheme DPoP; does a proxy take it away?";
            Error::new(ErrorKind::InvalidProof, detail)
        })?;
        // before any code over a nonce: a stranger is told none
        proof.check_key(key)?;
        let (dating, renewed) = self.date(&proof, token_hash, now)?;
        let target = presented.origin.unwrap_or(&self.origin).target(head)?;
        let demands =
            Demands { bound_to: key, method: head.method(), target: &target, token_hash, dating, now: now.wall };
        let verified = proof.check(&demands)?.verify(&self.terms.keys)?;
        Ok((head, verified.used_at(now.wall), renewed))
    }

    /// Finds out how old a proof is: by its nonce if it has a good one, else by its client's clock.
    fn date(&self, proof: &Proof, token_hash: &[u8; 32], now: Moment) -> Result<Dated, Error> {
        let ProofTerms { max_age, leeway, .. } = self.terms;
        let Some(mint) = &self.terms.mint else { return Ok((Dating::ByClock { max_age, leeway }, None)) };
        let issue = || HeaderValue::try_from(mint.issue(token_hash, now)).ok();
        let ask_for = |why: &'static str| {
            let nonce = mint.issue(token_hash, now);
            Error::new(ErrorKind::NonceRequired, why).with_dpop_nonce(nonce)
        };
        match proof.nonce() {
            Some(nonce) => {
                let good = mint.check(nonce.as_bytes(), token_hash, now).map_err(ask_for)?;
                Ok((Dating::ByNonce(good), if good.renew { issue() } else { None }))
            }
            None if mint.is_required() => Err(ask_for("the proof has no nonce; the client is told one")),
            None => Ok((Dating::ByClock { max_age, leeway }, issue())),
        }
    }
}

fn not_unused(why: NotUnused, mint: Option<&Mint>, token_hash: &[u8; 32], now: Moment) -> Judgement {
    count!("tower_bearer_dpop_proofs_total", "outcome" => "refused");
    Err(match why {
        NotUnused::Replayed => {
            let detail = "the proof was used before; a client makes one for each request, and for each retry";
            Error::new(ErrorKind::InvalidProof, detail)
        }
        NotUnused::Unknown(why) => {
            let detail = format!("the store of used proofs: {why}");
            let error = Error::new(ErrorKind::ReplayUnavailable, detail).with_retry_after(RETRY_AFTER);
            // a proof with a new one expires later than all that a full store has forgotten
            match mint {
                Some(mint) => error.with_dpop_nonce(mint.issue(token_hash, now)),
                None => error,
            }
        }
    })
}
