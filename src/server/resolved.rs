//! Issuers that resolvers find at run time: decided on once, kept within bounds.

mod decisions;
mod question;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

pub(super) use self::decisions::undecided;
use self::decisions::{Decisions, not_trusted};
use self::question::{PATIENCE, Questions, Resolution, cut_short};
use super::fetch_terms::FetchTerms;
use super::resolver::DynResolver;
use super::trusted_issuer::{Admission, TrustedIssuer};
use crate::error::ErrorKind;
use crate::issuer::ServerPolicy;
use crate::jwks::IssuerStatus;

/// Longer identifiers are refused unasked.
const MAX_ISSUER_LEN: usize = 1024;

/// The issuers that the resolvers have decided on. Dropping it ends the tasks that ask.
pub(super) struct ResolvedIssuers {
    decisions: Arc<Decisions>,
    questions: Questions,
}

impl ResolvedIssuers {
    /// Begins anew, or where a former server has left: with its keys, but not with its decisions.
    /// What another client fetches is of no use here, and ends with the former server.
    pub(super) fn new(
        resolvers: Vec<Arc<dyn DynResolver>>,
        fetch_terms: FetchTerms,
        policy: Arc<ServerPolicy>,
        former: Option<&Self>,
    ) -> Self {
        let former = former.filter(|former| !resolvers.is_empty() && former.fetch_terms().same_as(&fetch_terms));
        let decisions = Arc::new(Decisions::new(former.map(|former| &*former.decisions)));
        let questions = Questions::new(resolvers, fetch_terms, policy, Arc::clone(&decisions));
        Self { decisions, questions }
    }

    pub(super) fn fetch_terms(&self) -> &FetchTerms {
        &self.questions.asking.fetch_terms
    }

    /// Tells whether there is nobody to ask.
    pub(super) fn is_closed(&self) -> bool {
        self.questions.asking.resolvers.is_empty()
    }

    /// Tells what is known, without waiting; `None` if nobody has been asked, or too long ago.
    pub(super) fn find(&self, id: &str) -> Option<Resolution> {
        if id.len() > MAX_ISSUER_LEN || id.contains(char::is_control) {
            return Some(Err(not_trusted()));
        }
        let now = Instant::now();
        let last = self.decisions.last(id, now);
        if let Some(decision) = last.as_ref().filter(|decision| now < decision.until) {
            if decision.due <= now {
                // the answer is for those who come later
                drop(self.questions.ask(&decision.trusted.policy.issuer, None));
            }
            return Some(Ok(Arc::clone(&decision.trusted)));
        }
        if let Some(candidate) = self.decisions.candidates.get(id, now) {
            return Some(Ok(candidate));
        }
        if let Some(error) = self.decisions.refused(id, now) {
            return Some(Err(error));
        }
        match last {
            _ if Handle::try_current().is_ok() => None,
            Some(last) => Some(Ok(last.trusted)),
            None => Some(Err(undecided("issuers cannot be looked up outside a tokio runtime"))),
        }
    }

    /// Asks the resolvers, or waits for the answer that somebody else has asked for; but not long
    /// if an earlier decision is still in force.
    pub(super) async fn resolve(&self, id: &Arc<str>, key_wait: Duration) -> Resolution {
        let Some(last) = self.decisions.last(id, Instant::now()) else {
            // those of unknown issuers take turns, so that a flood of them does not flood whatever
            // the resolvers ask
            let turn = self.questions.turn().await;
            return match self.find(id) {
                Some(resolution) => resolution,
                None => self.questions.ask(id, turn).await,
            };
        };
        match timeout(PATIENCE.min(key_wait.mul_f64(0.75)), self.questions.ask(id, None)).await {
            Ok(answer @ Ok(_)) => answer,
            Ok(Err(error)) if error.kind() != ErrorKind::KeysUnavailable => Err(error),
            Ok(Err(_)) | Err(_) => {
                self.decisions.extend(id, &last, Instant::now());
                self.find(id).unwrap_or_else(|| Err(cut_short()))
            }
        }
    }

    /// Notes that a token of an issuer was verified; the first one makes the issuer a proven one.
    pub(super) fn note_verified(&self, trusted: &Arc<TrustedIssuer>) {
        if trusted.admission.as_ref().is_some_and(Admission::note_verified) {
            trusted.keys.note_verified();
            self.decisions.note_verified(trusted);
        }
    }

    /// Returns the state of the keys of those that are in use, each key set once. Others are left
    /// out: anybody could put them there.
    pub(super) fn status(&self) -> Vec<IssuerStatus> {
        self.decisions.tidy();
        let mut trusted = self.decisions.in_use();
        trusted.sort_by_key(|trusted| Arc::as_ptr(&trusted.keys));
        trusted.dedup_by(|a, b| Arc::ptr_eq(&a.keys, &b.keys));
        trusted.iter().map(|trusted| trusted.keys.status(trusted.max_stale())).collect()
    }
}
