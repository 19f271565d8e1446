//! What is revoked in this process, for a store that tells the others.

use tokio::sync::broadcast::{self, Receiver, Sender};

use super::entry::Entry;

/// So many entries wait for a store that is slow.
const WAITING: usize = 256;

/// To whom local revocations are told.
pub(super) struct Listeners(Sender<Entry>);

impl Default for Listeners {
    fn default() -> Self {
        Self(broadcast::channel(WAITING).0)
    }
}

impl Listeners {
    pub(super) fn tell(&self, entries: &[Entry]) {
        for entry in entries {
            // with nobody to tell, there is nothing to do
            let _ = self.0.send(*entry);
        }
    }

    pub(super) fn join(&self) -> LocalEntries {
        LocalEntries { receiver: self.0.subscribe() }
    }
}

/// The revocations that are made in this process, in their order; from
/// [`RevocationList::local_entries`](super::RevocationList::local_entries).
#[derive(Debug)]
pub struct LocalEntries {
    receiver: Receiver<Entry>,
}

/// What [`LocalEntries`] yields: a revocation, or that some were missed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum LocalEvent {
    /// A revocation.
    Entry(Entry),
    /// Some were missed, because more than 256 were waiting. All of them are among
    /// [`RevocationList::entries`](super::RevocationList::entries).
    Missed,
}

impl LocalEntries {
    /// Waits for the next one; `None` when the list is gone.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time: nothing is lost.
    pub async fn next(&mut self) -> Option<LocalEvent> {
        match self.receiver.recv().await {
            Ok(entry) => Some(LocalEvent::Entry(entry)),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(LocalEvent::Missed),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    /// Returns the next one if it is there.
    #[cfg(feature = "redis")]
    pub(super) fn ready(&mut self) -> Option<LocalEvent> {
        match self.receiver.try_recv() {
            Ok(entry) => Some(LocalEvent::Entry(entry)),
            Err(broadcast::error::TryRecvError::Lagged(_)) => Some(LocalEvent::Missed),
            Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed) => None,
        }
    }
}
