//! What a test issuer knows of its tokens.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value};

use crate::sync::{lock, random};

/// The opaque tokens, and those of all kinds that were revoked. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Issued(Arc<Mutex<Book>>);

#[derive(Default)]
struct Book {
    opaque: HashMap<String, Map<String, Value>>,
    revoked: HashSet<String>,
    questions: u64,
}

impl Issued {
    /// Makes a token of which nobody else knows what it says.
    pub(super) fn add(&self, claims: Map<String, Value>) -> String {
        let token = format!("opaque-{:016x}{:016x}", random(), random());
        lock(&self.0).opaque.insert(token.clone(), claims);
        token
    }

    pub(super) fn revoke(&self, token: &str) {
        lock(&self.0).revoked.insert(token.to_owned());
    }

    pub(super) fn is_revoked(&self, token: &str) -> bool {
        lock(&self.0).revoked.contains(token)
    }

    /// Returns what an opaque token says.
    pub(super) fn claims(&self, token: &str) -> Option<Map<String, Value>> {
        lock(&self.0).opaque.get(token).cloned()
    }

    pub(super) fn count_question(&self) {
        let mut book = lock(&self.0);
        book.questions = book.questions.saturating_add(1);
    }

    pub(super) fn questions(&self) -> u64 {
        lock(&self.0).questions
    }
}
