//! Tokens that are not good any more, although they have not expired: a [`RevocationList`] is asked
//! about every token, for less than a tenth of a microsecond.
//!
//! | what | by |
//! |---|---|
//! | one token | [`revoke_token`](RevocationList::revoke_token), [`revoke_jti`](RevocationList::revoke_jti), [`revoke_text`](RevocationList::revoke_text) |
//! | a session, as after a logout | [`revoke_session`](RevocationList::revoke_session) |
//! | a user's tokens, after a change of password or a ban | [`revoke_subject`](RevocationList::revoke_subject) |
//! | a client's tokens, after its secret has leaked | [`revoke_client`](RevocationList::revoke_client) |
//!
//! A list belongs to a server by
//! [`revocation_list`](crate::config::ResourceServerBuilder::revocation_list). It is cheap to clone:
//! all clones are the same list, and several servers may share it.
//!
//! # Several replicas
//!
//! A list is one process's. A *store* lets several share theirs, such as `redis::RedisStore` of the
//! feature `redis`. It is code that
//!
//! 1. calls [`disconnected`](RevocationList::disconnected), before the first request comes;
//! 2. joins [`local_entries`](RevocationList::local_entries), and then tells the others all
//!    [`entries`](RevocationList::entries) that are there already;
//! 3. takes in what the others have revoked, by [`merge`](RevocationList::merge): all of it
//!    first, and then each revocation as it comes;
//! 4. calls [`connected`](RevocationList::connected) once it has all, and `disconnected` as soon as
//!    it may miss something. After that it begins again with the second step.
//!
//! An [`Entry`] has a short text form, and knows [until](Entry::until) when it matters. It changes
//! nothing if one is taken in twice, or in another order, so a store need not remember what it has
//! told. A revocation cannot be taken back.
//!
//! While a list is disconnected, it still refuses the tokens that it knows to be revoked. Of all
//! others it cannot tell. The [`OnUnavailable`](crate::checks::OnUnavailable) says what becomes of their
//! requests; by default they are refused with 503.

mod connection;
mod entry;
mod local;
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub mod redis;
mod revocable;
mod table;
mod times;
#[cfg(feature = "deadline")]
mod watchers;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use self::connection::Connection;
pub(crate) use self::entry::Kind;
use self::entry::{ALWAYS, Mark, Span, millis};
pub use self::entry::{Entry, ParseEntryError};
use self::local::Listeners;
pub use self::local::{LocalEntries, LocalEvent};
#[cfg(feature = "deadline")]
pub(crate) use self::revocable::Watch;
pub(crate) use self::revocable::{Finding, Identity, Revocable};
use self::table::Table;
use self::times::Times;
#[cfg(feature = "deadline")]
use self::watchers::Watchers;
use crate::clock::{Clock, SharedClock, SystemClock, UnixTime};
use crate::jose::decode_base64url;
use crate::trace::{event, gauge};

/// How many entries a list holds, unless told otherwise: some 10 MB.
const CAPACITY: usize = 100_000;

/// The most that the terms of any issuer allow after `exp`; and so far ahead may `iat` lie, for the
/// sake of clocks that differ.
const LEEWAY: Duration = Duration::from_secs(300);

/// The tokens that were revoked; see the [module](self).
///
/// Each revocation names the issuer, as it is configured: identifiers are unique at their issuer
/// only. It is forgotten when all tokens that it revokes have expired, by the wall clock as well as
/// by the monotonic one: a wall clock that was wrong, and is put right, makes nothing be forgotten
/// too early. A machine that was suspended, or a test that sets the clock forward, forgets later.
///
/// # Security
///
/// "Issued before" looks at `iat`, which most issuers write in whole seconds: a token that was
/// issued in the same second counts as issued before, and one that does not say when it was issued
/// always does. If the issuer's clock is ahead of the caller's, name a later time.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::{Issuer, ResourceServer, revocation::RevocationList};
///
/// # fn main() -> Result<(), tower_bearer::ConfigError> {
/// let revoked = RevocationList::new(Duration::from_secs(15 * 60)); // no token lives longer
/// let server = ResourceServer::new("https://api.example.com")
///     .trust(Issuer::new("https://id.example.com/"))
///     .revocation_list(revoked.clone())
///     .build()?;
///
/// // later, wherever it becomes known
/// revoked.revoke_session("https://id.example.com/", "08a5019c-17e1-4977-8f42-65a12843ea02");
/// # let _ = server;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RevocationList(Arc<Shared>);

struct Shared {
    table: Table,
    max_lifetime: Duration,
    times: Times,
    connection: Connection,
    listeners: Listeners,
    #[cfg(feature = "deadline")]
    watchers: Watchers,
}

/// Configures a [`RevocationList`].
#[must_use]
pub struct RevocationListBuilder {
    max_lifetime: Duration,
    capacity: usize,
    clock: SharedClock,
}

impl RevocationListBuilder {
    /// Sets how many entries are held; 100,000 by default, which take some 10 MB.
    ///
    /// A revocation that finds no room revokes *all* tokens that were issued before it: everybody
    /// needs a new one. It is not lost, but for tokens whose `iat` is ahead of this list's clock, and
    /// for those that a session gets later: choose a capacity that is never reached.
    pub fn capacity(mut self, entries: usize) -> Self {
        self.capacity = entries;
        self
    }

    /// Tells the time by another clock, which should be the server's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = SharedClock::new(clock);
        self
    }

    /// Makes the list.
    pub fn build(self) -> RevocationList {
        RevocationList(Arc::new(Shared {
            table: Table::new(self.capacity),
            max_lifetime: self.max_lifetime,
            times: Times::new(self.clock),
            connection: Connection::default(),
            listeners: Listeners::default(),
            #[cfg(feature = "deadline")]
            watchers: Watchers::default(),
        }))
    }
}

impl RevocationList {
    /// Makes an empty list for tokens that live no longer than this, from `iat` to `exp`. The
    /// issuers' [`leeway`](crate::Issuer::leeway) need not be counted.
    ///
    /// Of a token that lives longer, the list cannot tell whether it was revoked, since it may have
    /// forgotten: see [`OnUnavailable`](crate::checks::OnUnavailable). How long a token without `iat` lives is not
    /// known. It counts as issued when it is verified, so that one which lives longer than this may be
    /// accepted after its revocation was forgotten.
    #[must_use]
    pub fn new(max_lifetime: Duration) -> Self {
        Self::builder(max_lifetime).build()
    }

    /// Begins the configuration of a list for tokens that live no longer than this, from `iat` to
    /// `exp`.
    pub fn builder(max_lifetime: Duration) -> RevocationListBuilder {
        RevocationListBuilder { max_lifetime, capacity: CAPACITY, clock: SharedClock::new(SystemClock) }
    }

    /// Revokes one token, by its `jti`.
    pub fn revoke_jti(&self, issuer: &str, jti: &str) {
        self.revoke(Kind::Id, issuer, jti.as_bytes());
    }

    /// Revokes all tokens of a session, by their `sid`, or `session_id`.
    pub fn revoke_session(&self, issuer: &str, sid: &str) {
        self.revoke(Kind::Session, issuer, sid.as_bytes());
    }

    /// Revokes the tokens of a subject (`sub`) that were issued before some time.
    pub fn revoke_subject(&self, issuer: &str, subject: &str, issued_before: SystemTime) {
        self.revoke_before(Kind::Subject, issuer, subject.as_bytes(), before(issued_before));
    }

    /// Revokes the tokens of a client that were issued before some time; the client as
    /// [`client_id`](crate::AccessToken::client_id) has it.
    pub fn revoke_client(&self, issuer: &str, client: &str, issued_before: SystemTime) {
        self.revoke_before(Kind::Client, issuer, client.as_bytes(), before(issued_before));
    }

    /// Revokes one token, by its text, of which only a hash is kept.
    ///
    /// The signature of a JWT does not count: anybody can turn some valid signatures into others
    /// that are valid, too.
    pub fn revoke_text(&self, issuer: &str, token: &str) {
        self.revoke(Kind::Text, issuer, unchangeable(token.as_bytes()));
    }

    /// Revokes what is named, for good.
    fn revoke(&self, kind: Kind, issuer: &str, value: &[u8]) {
        self.revoke_mark(Mark::new(kind, issuer, value), self.last());
    }

    fn revoke_before(&self, kind: Kind, issuer: &str, value: &[u8], before: u64) {
        let span = Span { before, until: self.last() };
        self.revoke_here(Entry { mark: Mark::new(kind, issuer, value), span });
    }

    /// Revokes one token, which expires then; `None` if it does not say so.
    fn revoke_one(&self, mark: Mark, expires: Option<UnixTime>) {
        let until = |expires: UnixTime| expires.0.saturating_add(LEEWAY).as_secs().saturating_add(1);
        self.revoke_mark(mark, expires.map_or_else(|| self.last(), until));
    }

    /// Revokes what has the mark, until then in seconds.
    fn revoke_mark(&self, mark: Mark, until: u64) {
        self.revoke_here(Entry { mark, span: Span { before: millis(self.0.times.latest().0), until } });
    }

    fn revoke_here(&self, entry: Entry) {
        self.put(&[entry]);
        self.0.listeners.tell(&[entry]);
    }

    fn put(&self, entries: &[Entry]) {
        let Shared { table, times, .. } = &*self.0;
        let full = table.put(entries, times.present(), times.latest_millis(), self.last());
        if full {
            event!(warn, "the revocation list is full, and revokes all tokens that were issued before");
        }
        gauge!("tower_bearer_revocations", u32::try_from(self.len()).unwrap_or(u32::MAX));
        #[cfg(feature = "deadline")]
        self.0.watchers.wake(entries.iter().map(|entry| entry.mark).chain(full.then_some(Mark::ALL)));
    }

    /// In seconds, when all tokens have expired that were issued until now, by whichever clock.
    fn last(&self) -> u64 {
        let now = self.0.times.latest().0;
        now.saturating_add(self.0.max_lifetime).saturating_add(LEEWAY.saturating_mul(2)).as_secs().saturating_add(1)
    }

    fn now(&self) -> UnixTime {
        self.0.times.now()
    }

    fn max_lifetime(&self) -> Duration {
        self.0.max_lifetime
    }

    /// Finds by which of its marks a token is revoked.
    fn find(&self, marks: &[Mark], issued: Option<u64>) -> Option<Kind> {
        // the clocks are read if there is an entry, which is rare
        self.0.table.find(marks, |kept| kept.revokes(issued) && !kept.is_over(self.0.times.present()))
    }

    fn is_connected(&self) -> bool {
        self.0.connection.stands()
    }

    fn why_disconnected(&self) -> Cow<'static, str> {
        self.0.connection.outage()
    }

    #[cfg(feature = "redis")]
    fn times(&self) -> &Times {
        &self.0.times
    }

    #[cfg(feature = "redis")]
    fn connection(&self) -> &Connection {
        &self.0.connection
    }

    #[cfg(feature = "deadline")]
    fn watchers(&self) -> &Watchers {
        &self.0.watchers
    }

    /// Returns how many entries there are; some of them may have expired.
    pub fn len(&self) -> usize {
        self.0.table.len()
    }

    /// Tells whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.0.table.is_empty()
    }

    /// Returns all entries, wherever they were made: for a store that must be told all of them.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.0.table.entries(self.0.times.present())
    }

    /// Returns the revocations that are made here from now on, those by
    /// [`merge`](Self::merge) left out.
    #[must_use]
    pub fn local_entries(&self) -> LocalEntries {
        self.0.listeners.join()
    }

    /// Takes in what was revoked elsewhere: one entry, or all that a store has.
    pub fn merge(&self, entries: impl IntoIterator<Item = Entry>) {
        let entries: Vec<_> = entries.into_iter().collect();
        self.put(&entries);
    }

    /// Says that this list may not have all that was revoked elsewhere, and why: for the operator,
    /// without secrets.
    pub fn disconnected(&self, why: impl Into<Cow<'static, str>>) {
        self.0.connection.end(why.into());
    }

    /// Says that this list has all that was revoked elsewhere, and goes on getting it.
    pub fn connected(&self) {
        self.0.connection.begin();
    }
}

impl fmt::Debug for RevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationList")
            .field("entries", &self.len())
            .field("connected", &self.is_connected())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RevocationListBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationListBuilder").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

/// In milliseconds, rounded up.
fn before(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let part = u64::from(since.subsec_nanos().checked_rem(1_000_000).unwrap_or_default() > 0);
    // less than "all", which is another thing
    millis(since).saturating_add(part).min(ALWAYS.saturating_sub(1))
}

/// Returns what of a token's text nobody but its issuer can change: of a JWT, what is signed. What
/// does not begin with a header may have dots, too, and what tells it apart behind the last.
pub(crate) fn unchangeable(token: &[u8]) -> &[u8] {
    let mut parts = token.split(|byte| *byte == b'.');
    let header = parts.next().and_then(|part| str::from_utf8(part).ok());
    let header = header.and_then(|part| decode_base64url(part.trim_end_matches('=')));
    let is_jwt = header.is_some_and(|header| header.trim_ascii_start().starts_with(b"{")) && parts.count() == 2;
    let signature = memchr::memrchr(b'.', token).filter(|_| is_jwt);
    signature.and_then(|dot| token.get(..dot)).unwrap_or(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_of_a_jwt_is_left_out_and_nothing_of_what_looks_like_one() {
        for (token, expected) in [
            ("eyJhbGciOiJFUzI1NiJ9.e30.c2ln", "eyJhbGciOiJFUzI1NiJ9.e30"),
            ("eyJhbGciOiJFUzI1NiJ9IA==.e30=.c2ln", "eyJhbGciOiJFUzI1NiJ9IA==.e30="),
            ("v1.public.secret", "v1.public.secret"),
            ("abcd.public.secret", "abcd.public.secret"),
            ("eyJhbGciOiJFUzI1NiJ9.e30", "eyJhbGciOiJFUzI1NiJ9.e30"),
            ("a.b.c.d.e", "a.b.c.d.e"),
            ("..", ".."),
            ("", ""),
        ] {
            assert_eq!(unchangeable(token.as_bytes()), expected.as_bytes());
        }
    }
}
