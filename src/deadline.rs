//! The end of what a token has opened: streams that would otherwise outlive it.
//!
//! A request is checked when it comes. A stream of events, a WebSocket or a gRPC stream may then go
//! on for hours, long after the token has expired. It ends, too, when the token is revoked, if the
//! server has a [`RevocationList`](crate::revocation::RevocationList).
//!
//! | what | ends by |
//! |---|---|
//! | server-sent events and gRPC streams to the client | [`DeadlineLayer`], for all responses of a service |
//! | any stream, also those from the client | [`Deadline::end`], [`Deadline::end_with`] |
//! | WebSockets, and everything else | [`Deadline`], a future, in `select!` |
//!
//! # Examples
//!
//! ```
//! use axum::extract::ws::{Message, WebSocket};
//! use tower_bearer::AccessToken;
//!
//! async fn echo(token: AccessToken, mut socket: WebSocket) {
//!     let mut deadline = token.deadline();
//!     loop {
//!         tokio::select! {
//!             () = &mut deadline => break, // and the client connects again, with a new token
//!             Some(Ok(message)) = socket.recv() => {
//!                 let _ = socket.send(message).await;
//!             }
//!             else => break,
//!         }
//!     }
//!     let _ = socket.send(Message::Close(None)).await;
//! }
//! ```

mod layer;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

pub use self::layer::{DeadlineBody, DeadlineFuture, DeadlineLayer, EndAtDeadline};
use crate::access_token::AccessToken;
use crate::clock::{SharedClock, UnixTime};
use crate::error::ErrorKind;
use crate::revocation::Watch;

/// After how long the wall clock is looked at again: it may be set, and goes on while a suspended
/// machine does not.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

impl<C: ?Sized> AccessToken<C> {
    /// Returns a future that completes when the token expires: at `exp`, or when it is as old as
    /// its issuer's [`max_age`](crate::Issuer::max_age) allows, if that is earlier; without any
    /// leeway, and by the server's clock. And it completes at once when the token is
    /// [revoked](crate::revocation).
    pub fn deadline(&self) -> Deadline {
        let watch = self.revocable().map(|revocable| Watch::new(Arc::clone(revocable)));
        Deadline { at: self.ends(), clock: self.policy().server.clock.clone(), sleep: None, watch, reason: None }
    }

    /// Returns a future that completes when the token would not be accepted any more.
    fn last_moment(&self) -> Deadline {
        Deadline { at: UnixTime(self.ends().0.saturating_add(self.policy().terms.leeway)), ..self.deadline() }
    }
}

/// Completes when a token expires or is revoked; made by [`AccessToken::deadline`].
///
/// It needs a tokio runtime with timers, and may be polled again after it has completed.
///
/// # Cancel safety
///
/// May be dropped at any time.
#[must_use = "futures do nothing unless polled"]
pub struct Deadline {
    at: UnixTime,
    clock: SharedClock,
    sleep: Option<Pin<Box<Sleep>>>,
    watch: Option<Watch>,
    /// Why it has completed.
    reason: Option<ErrorKind>,
}

impl Deadline {
    /// Returns why it has completed: [`Expired`](ErrorKind::Expired) or
    /// [`Revoked`](ErrorKind::Revoked); `None` before.
    pub fn reason(&self) -> Option<ErrorKind> {
        self.reason
    }

    /// Ends a stream when the token expires, if it has not ended before.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use axum::response::sse::{Event, Sse};
    /// use tokio_stream::Stream;
    /// use tower_bearer::AccessToken;
    ///
    /// fn events() -> impl Stream<Item = Result<Event, Infallible>> {
    ///     // …
    /// #   tokio_stream::pending()
    /// }
    ///
    /// async fn watch(token: AccessToken) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    ///     Sse::new(token.deadline().end(events()))
    /// }
    /// ```
    pub fn end<S: Stream>(self, stream: S) -> UntilDeadline<S> {
        UntilDeadline { stream: Some(stream), deadline: self, last: None }
    }

    /// Ends a stream with one more item when the token expires, if it has not ended before: with a
    /// status, for gRPC.
    ///
    /// ```
    /// use tokio_stream::Stream;
    /// use tonic::Status;
    /// use tower_bearer::{AccessToken, Error, ErrorKind};
    ///
    /// fn watch(token: &AccessToken, orders: impl Stream<Item = Result<u64, Status>>) -> impl Stream<Item = Result<u64, Status>> {
    ///     let expired = Error::from(ErrorKind::Expired); // UNAUTHENTICATED
    ///     token.deadline().end_with(orders, Err(expired.into()))
    /// }
    /// ```
    pub fn end_with<S: Stream>(self, stream: S, last: S::Item) -> UntilDeadline<S> {
        UntilDeadline { stream: Some(stream), deadline: self, last: Some(last) }
    }
}

impl Future for Deadline {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.watch.as_mut().is_some_and(|watch| watch.poll(cx).is_ready()) {
            this.reason = Some(ErrorKind::Revoked);
            return Poll::Ready(());
        }
        loop {
            let Some(left) = this.at.0.checked_sub(this.clock.now().0).filter(|left| !left.is_zero()) else {
                this.reason = Some(ErrorKind::Expired);
                return Poll::Ready(());
            };
            let sleep = this.sleep.get_or_insert_with(|| Box::pin(sleep(left.min(LOOK_AGAIN))));
            ready!(sleep.as_mut().poll(cx));
            this.sleep = None;
        }
    }
}

impl fmt::Debug for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Deadline").field(&self.at).finish()
    }
}

pin_project! {
    /// A stream that ends with a token; made by [`Deadline::end`] and [`Deadline::end_with`].
    #[must_use = "streams do nothing unless polled"]
    pub struct UntilDeadline<S: Stream> {
        #[pin]
        stream: Option<S>,
        deadline: Deadline,
        // Taken once.
        last: Option<S::Item>,
    }
}

impl<S: Stream> Stream for UntilDeadline<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut this = self.project();
        let Some(stream) = this.stream.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        // before each item, so that a stream that is always ready ends too
        if Pin::new(this.deadline).poll(cx).is_ready() {
            this.stream.set(None);
            return Poll::Ready(this.last.take());
        }
        let item = ready!(stream.poll_next(cx));
        if item.is_none() {
            this.stream.set(None);
        }
        Poll::Ready(item)
    }
}

impl<S: Stream> fmt::Debug for UntilDeadline<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UntilDeadline").field(&self.deadline).finish()
    }
}
