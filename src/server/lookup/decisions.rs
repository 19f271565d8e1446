//! Decisions about issuers that were found at run time: how long each holds, and three maps of
//! them, each with bounds of its own.
//!
//! An issuer begins among the *candidates*. The first of its tokens that is verified makes it a
//! *proven* one. So a flood of tokens that nobody can verify pushes out other candidates, and none
//! that is in use.

use std::borrow::Cow;
use std::collections::HashMap;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moka::Entry;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::time::Instant;

use crate::clock::after;
use crate::error::{Error, ErrorKind};
use crate::server::trust::{Admission, TrustedIssuer};
use crate::sync::lock;

/// How long a decision holds.
const DECIDED: Duration = Duration::from_secs(5 * 60);
/// From then on a token makes the resolvers be asked again, and waits for nothing.
const DUE: Duration = Duration::from_secs(4 * 60);
/// How long a decision stays in force, from when it was made, while the resolvers cannot decide.
const MAX_STALE: Duration = Duration::from_secs(60 * 60);
/// How long after they could not decide the resolvers are asked again.
const RETRY: Duration = Duration::from_secs(10);

/// So many proven issuers are kept; when there are more, the one that was used longest ago goes.
const MAX_PROVEN: u64 = 10_000;
/// One that is not used for so long goes too, and with it the task that keeps its keys.
const IDLE: Duration = Duration::from_secs(60 * 60);
/// How long a refusal holds.
const REFUSAL_HOLDS: Duration = Duration::from_secs(60);
/// How long the same question is not asked again after a failure.
const FAILURE_HOLDS: Duration = Duration::from_secs(1);
/// Identifiers that were refused, or could not be decided on, are remembered up to so many bytes.
const MAX_REFUSED: u64 = 1024 * 1024;
/// What one takes beside its text: the map's own bookkeeping and the error.
const REFUSED_BYTES: u32 = 384;

/// So many are kept; when there are more, the one that was used longest ago goes. A request that
/// waits for its keys holds it meanwhile.
const MAX_CANDIDATES: usize = 256;

static EPOCHS: AtomicU64 = AtomicU64::new(0);

/// What the resolvers have decided.
pub(super) struct Decisions {
    /// Each server and each reload has its own: decisions of former resolvers count for nothing,
    /// but the keys are kept.
    pub(super) epoch: u64,
    proven: Cache<Arc<str>, Decision>,
    pub(super) candidates: Candidates,
    refused: Cache<Arc<str>, Refused>,
}

/// An identifier that is not trusted, or not decided on, for a while.
#[derive(Clone)]
struct Refused {
    error: Error,
    until: Instant,
}

impl Decisions {
    /// Begins anew, or with what a former one knows of proven issuers.
    pub(super) fn new(former: Option<&Self>) -> Self {
        let proven = || {
            let proven = Cache::builder().max_capacity(MAX_PROVEN).time_to_idle(IDLE);
            proven.eviction_policy(EvictionPolicy::lru()).build()
        };
        let weight =
            |id: &Arc<str>, _: &Refused| u32::try_from(id.len()).unwrap_or(u32::MAX).saturating_add(REFUSED_BYTES);
        Self {
            epoch: EPOCHS.fetch_add(1, Ordering::Relaxed),
            proven: former.map_or_else(proven, |former| former.proven.clone()),
            candidates: Candidates::default(),
            refused: Cache::builder().max_capacity(MAX_REFUSED).weigher(weight).build(),
        }
    }

    /// Returns the last decision to trust a proven issuer, while it can stay in force.
    pub(super) fn last(&self, id: &str, now: Instant) -> Option<Decision> {
        let holds = |last: &Decision| now.saturating_duration_since(last.made) < MAX_STALE;
        self.proven.get(id).filter(|last| last.epoch == self.epoch && holds(last))
    }

    /// Says why an identifier is not trusted, while that holds.
    pub(super) fn refused(&self, id: &str, now: Instant) -> Option<Error> {
        self.refused.get(id).filter(|refused| now < refused.until).map(|refused| refused.error)
    }

    /// Returns what was proven of an issuer, and whether by this one of the present resolvers.
    pub(super) fn proven(&self, id: &str, resolver: usize) -> Option<(Arc<TrustedIssuer>, bool)> {
        let Decision { trusted, epoch, .. } = self.proven.get(id)?;
        let again =
            epoch == self.epoch && trusted.admission.as_ref().is_some_and(|admission| admission.resolver == resolver);
        Some((trusted, again))
    }

    /// Takes a new decision to trust an issuer: one on a proven one replaces the former, if the
    /// same resolver has made it or the keys are the same.
    pub(super) fn trust(&self, trusted: &Arc<TrustedIssuer>) {
        let Some((decision, admission)) = Decision::on(trusted).zip(trusted.admission.as_ref()) else { return };
        let id = Arc::clone(&trusted.policy.issuer);
        let known = self.proven(&id, admission.resolver);
        let goes_on = known.is_some_and(|(known, again)| again || Arc::ptr_eq(&known.keys, &trusted.keys));
        if goes_on {
            self.proven.insert(id, decision);
        } else {
            self.proven.invalidate(&id);
            self.candidates.insert(id, decision);
        }
    }

    /// Takes a decision not to trust an issuer.
    pub(super) fn refuse(&self, id: &Arc<str>, error: Error, now: Instant) {
        // in this order, so that `note_verified` cannot miss both
        self.refused.insert(Arc::clone(id), Refused { error, until: after(now, REFUSAL_HOLDS) });
        self.proven.invalidate(id);
        self.candidates.remove(id);
    }

    /// Takes it that nobody can decide: goes by the last decision, if there is one.
    pub(super) fn fail(&self, id: &Arc<str>, error: Error, now: Instant) {
        match self.last(id, now) {
            Some(last) => self.extend(id, &last, now),
            None => self.refused.insert(Arc::clone(id), Refused { error, until: after(now, FAILURE_HOLDS) }),
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
    pub(super) fn note_verified(&self, trusted: &Arc<TrustedIssuer>) {
        let Some(decision) = Decision::on(trusted) else { return };
        let id = &trusted.policy.issuer;
        self.proven.entry(Arc::clone(id)).and_compute_with(|entry| match entry.map(Entry::into_value) {
            Some(known) if !decision.is_newer_than(&known) => Op::Nop,
            _ => Op::Put(decision),
        });
        if self.refused(id, Instant::now()).is_some_and(|error| error.kind() == ErrorKind::UnknownIssuer) {
            self.proven.invalidate(id);
        }
        self.candidates.remove(id);
    }

    /// Returns the proven issuers that the present resolvers have decided on.
    pub(super) fn in_use(&self) -> Vec<Arc<TrustedIssuer>> {
        let current = self.proven.iter().filter(|(_, decision)| decision.epoch == self.epoch);
        current.map(|(_, decision)| decision.trusted).collect()
    }

    /// Drops issuers that were not used for long, and candidates whose decision holds no more.
    pub(super) fn tidy(&self) {
        self.proven.run_pending_tasks();
        self.candidates.tidy(Instant::now());
    }
}

#[derive(Clone)]
pub(super) struct Decision {
    pub(super) trusted: Arc<TrustedIssuer>,
    /// That of the resolvers that have said so.
    epoch: u64,
    made: Instant,
    /// When to ask again.
    pub(super) due: Instant,
    pub(super) until: Instant,
}

impl Decision {
    /// Returns the decision by which an issuer is trusted; `None` for a configured one.
    fn on(trusted: &Arc<TrustedIssuer>) -> Option<Self> {
        let &Admission { epoch, made, .. } = trusted.admission.as_ref()?;
        Some(Self { trusted: Arc::clone(trusted), epoch, made, due: after(made, DUE), until: after(made, DECIDED) })
    }

    /// Keeps it in force while the resolvers cannot decide.
    fn extended(self, now: Instant) -> Self {
        Self { due: after(now, RETRY), until: after(self.made, MAX_STALE), ..self }
    }

    fn is_newer_than(&self, other: &Self) -> bool {
        (self.epoch, self.made) > (other.epoch, other.made)
    }
}

/// Issuers that a resolver has let in, and of which no token was verified yet.
///
/// It is exact where moka is not: what is taken out is dropped at once, and its task with it.
#[derive(Default)]
pub(super) struct Candidates {
    /// Each with the number of its last use.
    kept: Mutex<HashMap<Arc<str>, (Decision, u64)>>,
    uses: AtomicU64,
}

impl Candidates {
    /// Returns one, while the decision to trust it holds.
    pub(super) fn get(&self, id: &str, now: Instant) -> Option<Arc<TrustedIssuer>> {
        let mut kept = lock(&self.kept);
        let (decision, used) = kept.get_mut(id).filter(|(decision, _)| now < decision.until)?;
        *used = self.uses.fetch_add(1, Ordering::Relaxed);
        Some(Arc::clone(&decision.trusted))
    }

    fn insert(&self, id: Arc<str>, decision: Decision) {
        let mut kept = lock(&self.kept);
        let former = kept.insert(id, (decision, self.uses.fetch_add(1, Ordering::Relaxed)));
        let oldest = kept.iter().min_by_key(|(_, (_, used))| *used).map(|(id, _)| Arc::clone(id));
        let oldest = oldest.filter(|_| kept.len() > MAX_CANDIDATES).and_then(|id| kept.remove(&id));
        // what is dropped may be the application's: no lock may be held
        drop(kept);
        drop((former, oldest));
    }

    fn remove(&self, id: &str) {
        let removed = lock(&self.kept).remove(id);
        drop(removed);
    }

    /// Lets those go whose decision does not hold any more.
    fn tidy(&self, now: Instant) {
        let mut kept = lock(&self.kept);
        let (held, over) = mem::take(&mut *kept).into_iter().partition(|(_, (held, _))| now < held.until);
        *kept = held;
        drop(kept);
        drop::<HashMap<_, _>>(over);
    }
}

/// The answer to a token of an issuer that nobody trusts.
pub(super) fn not_trusted() -> Error {
    Error::new(ErrorKind::UnknownIssuer, "iss names none of the trusted issuers, and no resolver trusts it")
}

/// The answer where nobody can say whether the issuer is trusted.
pub(in crate::server) fn undecided(detail: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::KeysUnavailable, detail).with_retry_after(RETRY)
}
