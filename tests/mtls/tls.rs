//! Certificates of clients over real TLS: servers that end it themselves, and real proxies in front.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod ends_here;
mod pki;
#[path = "../support/program.rs"]
mod program;
mod proxies;
mod service;
