//! Asks issuers about their tokens: one question over HTTP, and how often that may be done.
//!
//! What is asked and what the answer says is pure (`question`, and `read` of
//! [`Introspection`](crate::introspection::Introspection)), and so is the pace.

mod assertion;
mod endpoint;
mod pace;
mod question;
mod signed;

pub(crate) use self::endpoint::Endpoint;
pub(crate) use self::pace::{Pace, Turn};
