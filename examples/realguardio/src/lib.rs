//! A small system of services that `tower-bearer` guards. Read it from the top:
//!
//! 1. [`domain`]: employees of customers have roles at locations, where security systems are armed and disarmed.
//! 2. [`guard`]: whom the services believe, and what each operation needs of a token; [`actor`]: who calls, as handlers see it.
//! 3. [`customers`], [`systems`], [`statistics`]: the services.
//! 4. [`authorizer`]: the question that no layer can answer, in four ways: may this caller do this to this system?
//! 5. [`bff`]: the gateway, which signs users in at the identity service ([`iam`]) as an OAuth [`client`], and calls the services in their name.
//! 6. [`system`] starts all of it.

pub mod actor;
pub mod authorizer;
pub mod bff;
pub mod client;
pub mod customers;
pub mod domain;
pub mod guard;
pub mod iam;
pub mod problem;
pub mod statistics;
pub mod system;
pub mod systems;

/// The generated gRPC service.
pub mod proto {
    #![allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated code")]
    tonic::include_proto!("realguardio.v1");
}
