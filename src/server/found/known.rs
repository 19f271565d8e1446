//! What is known of issuers that were found at run time: three maps, each with bounds of its own.
//!
//! An issuer begins among the *candidates*. The first of its tokens that is verified makes it a
//! *proven* one. So a flood of tokens that nobody can verify pushes out other candidates, and none
//! that is in use.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::Entry;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::time::Instant;

use super::candidates::Candidates;
use super::decision::Decision;
use crate::error::{Error, ErrorKind};
use crate::server::TrustedIssuer;
use crate::sync::after;

/// So many proven issuers are kept; when there are more, the one that was used longest ago goes.
const MAX_PROVEN: u64 = 10_000;
/// One that is not used for so long goes too, and with it the task that keeps its keys.
const IDLE: Duration = Duration::from_secs(60 * 60);
/// How long a refusal holds.
const REFUSED: Duration = Duration::from_secs(60);
/// How long the same question is not asked again after a failure.
const FAILED: Duration = Duration::from_secs(1);
/// Identifiers that were refused, or could not be decided on, are remembered up to so many bytes.
const MAX_REFUSED: u64 = 1024 * 1024;
/// What one takes beside its text: the map's own bookkeeping and the error.
const NO: u32 = 384;

static EPOCHS: AtomicU64 = AtomicU64::new(0);

pub(super) struct Known {
    /// Each server and each reload has its own: decisions of former resolvers count for nothing,
    /// but the keys are kept.
    pub(super) epoch: u64,
    proven: Cache<Arc<str>, Decision>,
    candidates: Candidates,
    refused: Cache<Arc<str>, No>,
}

/// An identifier that is not trusted, or not decided on, for a while.
#[derive(Clone)]
struct No {
    error: Error,
    until: Instant,
}

impl Known {
    /// Begins anew, or with what a former one knows of proven issuers.
    pub(super) fn new(former: Option<&Self>) -> Self {
        let proven = || {
            let proven = Cache::builder().max_capacity(MAX_PROVEN).time_to_idle(IDLE);
            proven.eviction_policy(EvictionPolicy::lru()).build()
        };
        let weight = |id: &Arc<str>, _: &No| u32::try_from(id.len()).unwrap_or(u32::MAX).saturating_add(NO);
        Self {
            epoch: EPOCHS.fetch_add(1, Ordering::Relaxed),
            proven: former.map_or_else(proven, |former| former.proven.clone()),
            candidates: Candidates::default(),
            refused: Cache::builder().max_capacity(MAX_REFUSED).weigher(weight).build(),
        }
    }

    /// Returns the last decision to trust a proven issuer, while it can stay in force.
    pub(super) fn last(&self, id: &str, now: Instant) -> Option<Decision> {
        self.proven.get(id).filter(|last| last.epoch == self.epoch && !last.is_stale(now))
    }

    /// Returns a candidate, while the decision to trust it holds.
    pub(super) fn candidate(&self, id: &str, now: Instant) -> Option<Arc<TrustedIssuer>> {
        self.candidates.get(id, now)
    }

    /// Says why an identifier is not trusted, while that holds.
    pub(super) fn no(&self, id: &str, now: Instant) -> Option<Error> {
        self.refused.get(id).filter(|no| now < no.until).map(|no| no.error)
    }

    /// Returns what was proven of an issuer, and whether by this one of the present resolvers.
    pub(super) fn proven(&self, id: &str, resolver: usize) -> Option<(Arc<TrustedIssuer>, bool)> {
        let Decision { trusted, epoch, .. } = self.proven.get(id)?;
        let again = epoch == self.epoch && trusted.found.as_ref().is_some_and(|found| found.resolver == resolver);
        Some((trusted, again))
    }

    /// Takes a new decision to trust an issuer: one on a proven one replaces the former, if the
    /// same resolver has made it or the keys are the same.
    pub(super) fn trust(&self, trusted: &Arc<TrustedIssuer>) {
        let Some((decision, found)) = Decision::on(trusted).zip(trusted.found.as_ref()) else { return };
        let id = Arc::clone(&trusted.policy.issuer);
        let known = self.proven(&id, found.resolver);
        let goes_on =
            known.is_some_and(|(known, again)| again || Arc::ptr_eq(&known.verifier.keys, &trusted.verifier.keys));
        if goes_on {
            self.proven.insert(id, decision);
        } else {
            self.proven.invalidate(&id);
            self.candidates.insert(id, decision);
        }
    }

    /// Takes a decision not to trust an issuer.
    pub(super) fn refuse(&self, id: &Arc<str>, error: Error, now: Instant) {
        // in this order, so that `prove` cannot miss both
        self.refused.insert(Arc::clone(id), No { error, until: after(now, REFUSED) });
        self.proven.invalidate(id);
        self.candidates.remove(id);
    }

    /// Takes it that nobody can decide: goes by the last decision, if there is one.
    pub(super) fn fail(&self, id: &Arc<str>, error: Error, now: Instant) {
        match self.last(id, now) {
            Some(last) => self.extend(id, &last, now),
            None => self.refused.insert(Arc::clone(id), No { error, until: after(now, FAILED) }),
        }
    }

    /// Goes by a decision for longer, unless there is another by now.
    pub(super) fn extend(&self, id: &Arc<str>, last: &Decision, now: Instant) {
        let entry = self.proven.entry(Arc::clone(id));
        entry.and_compute_with(|entry| match entry.map(Entry::into_value) {
            Some(decision) if decision.made == last.made => Op::Put(decision.extended(now)),
            _ => Op::Nop,
        });
    }

    /// Makes a candidate a proven issuer, even one that was pushed out meanwhile; unless there is a
    /// newer decision.
    pub(super) fn prove(&self, trusted: &Arc<TrustedIssuer>) {
        let Some(decision) = Decision::on(trusted) else { return };
        let id = &trusted.policy.issuer;
        self.proven.entry(Arc::clone(id)).and_compute_with(|entry| match entry.map(Entry::into_value) {
            Some(known) if !decision.is_newer_than(&known) => Op::Nop,
            _ => Op::Put(decision),
        });
        if self.no(id, Instant::now()).is_some_and(|error| error.kind() == ErrorKind::UnknownIssuer) {
            self.proven.invalidate(id);
        }
        self.candidates.remove(id);
    }

    /// Returns the proven issuers that the present resolvers have decided on.
    pub(super) fn in_use(&self) -> Vec<Arc<TrustedIssuer>> {
        let current = self.proven.iter().filter(|(_, decision)| decision.epoch == self.epoch);
        current.map(|(_, decision)| decision.trusted).collect()
    }

    /// Lets those go that have to.
    pub(super) fn tidy(&self) {
        self.proven.run_pending_tasks();
        self.candidates.tidy(Instant::now());
    }

    pub(super) fn len(&self) -> u64 {
        self.proven.entry_count()
    }
}
