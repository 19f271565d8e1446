//! What a verified token can be revoked by, and whether it was.

use std::borrow::Cow;
use std::fmt;
#[cfg(feature = "deadline")]
use std::sync::Arc;
#[cfg(feature = "deadline")]
use std::task::{Context, Poll};
use std::time::Duration;

use super::entry::{Kind, Mark, millis};
#[cfg(feature = "deadline")]
use super::watchers::Ticket;
use super::{LEEWAY, RevocationList};
use crate::clock::UnixTime;

/// What a token says about itself.
pub(crate) struct Identity<'t> {
    pub(crate) issuer: &'t str,
    pub(crate) id: Option<&'t str>,
    pub(crate) session: Option<&'t str>,
    pub(crate) subject: Option<&'t str>,
    pub(crate) client: Option<&'t str>,
    /// What of its text nobody but the issuer can change.
    pub(crate) text: &'t [u8],
    pub(crate) issued: Option<UnixTime>,
    pub(crate) expires: UnixTime,
    /// Whether it says itself when it expires.
    pub(crate) ends: bool,
}

/// A token with its list. The hashes are made once, and not for each request.
pub(crate) struct Revocable {
    list: RevocationList,
    marks: Box<[Mark]>,
    /// In milliseconds.
    issued: Option<u64>,
    expires: UnixTime,
    /// How long it lives, if that is longer than the list remembers.
    too_long: Option<Duration>,
    /// Whether it says when it expires.
    ends: bool,
}

/// What a list knows about a token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Finding {
    Clear,
    Revoked(Kind),
    Unknown(Cow<'static, str>),
}

impl Revocable {
    /// Sees what of a token the list is to be asked for.
    pub(crate) fn new(list: &RevocationList, token: &Identity<'_>) -> Self {
        let named = [
            (Kind::Id, token.id),
            (Kind::Session, token.session),
            (Kind::Subject, token.subject),
            (Kind::Client, token.client),
        ];
        let named = named.into_iter().filter_map(|(kind, name)| Some((kind, name?.as_bytes())));
        let marks = named.chain([(Kind::Text, token.text)]).map(|(kind, value)| Mark::new(kind, token.issuer, value));
        // one that does not say when it was issued was issued before now, and so was one that is
        // dated ahead
        let now = list.now();
        let latest = UnixTime(now.0.saturating_add(LEEWAY));
        let from = token.issued.filter(|issued| *issued <= latest).unwrap_or(now);
        let life = token.expires.0.saturating_sub(from.0);
        Self {
            marks: marks.chain([Mark::ALL]).collect(),
            issued: token.issued.map(|issued| millis(issued.0)),
            expires: token.expires,
            too_long: Some(life).filter(|life| *life > list.max_lifetime()),
            ends: token.ends,
            list: list.clone(),
        }
    }

    /// Returns what it takes, in bytes.
    pub(crate) fn weight(&self) -> usize {
        size_of_val(&*self.marks).saturating_add(size_of::<Self>())
    }

    /// Asks the list.
    pub(crate) fn find(&self) -> Finding {
        let found = self.list.find(&self.marks, self.issued);
        let unsure = self.too_long.is_some() || !self.list.is_connected();
        match found {
            Some(kind) => Finding::Revoked(kind),
            None if unsure => Finding::Unknown(self.why()),
            None => Finding::Clear,
        }
    }

    fn why(&self) -> Cow<'static, str> {
        let Some(life) = self.too_long else { return self.list.why_disconnected() };
        let (life, remembered) = (life.as_secs(), self.list.max_lifetime().as_secs());
        if self.ends {
            return format!("the token lives for {life} s, and the revocation list remembers for {remembered} s")
                .into();
        }
        format!(
            "the token does not say when it expires, and would have lived for {life} s, while the revocation list \
             remembers for {remembered} s; set the issuer's max_age to no more than that, and such a token is refused \
             as expired"
        )
        .into()
    }

    /// Revokes this one token.
    pub(crate) fn revoke_in(&self, list: &RevocationList) {
        let own = |mark: &&Mark| mark.kind == Kind::Id;
        let text = |mark: &&Mark| mark.kind == Kind::Text;
        if let Some(mark) = self.marks.iter().find(own).or_else(|| self.marks.iter().find(text)) {
            list.revoke_one(*mark, Some(self.expires).filter(|_| self.ends));
        }
    }
}

impl fmt::Debug for Revocable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocable").finish_non_exhaustive()
    }
}

/// Waits until a token is revoked.
#[cfg(feature = "deadline")]
pub(crate) struct Watch {
    token: Arc<Revocable>,
    ticket: Option<Ticket>,
}

#[cfg(feature = "deadline")]
impl Watch {
    pub(crate) fn new(token: Arc<Revocable>) -> Self {
        Self { token, ticket: None }
    }

    /// May be polled again after it has completed.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (watchers, marks) = (self.token.list.watchers(), &self.token.marks);
        // first, so that what is revoked in between wakes
        match &self.ticket {
            Some(ticket) => ticket.wait_in(cx.waker()),
            None => self.ticket = Some(watchers.enter(marks, cx.waker())),
        }
        if matches!(self.token.find(), Finding::Revoked(_)) { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[cfg(feature = "deadline")]
impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(ticket) = &self.ticket {
            self.token.list.watchers().leave(&self.token.marks, ticket);
        }
    }
}
