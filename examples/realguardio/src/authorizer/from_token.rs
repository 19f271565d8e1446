//! *Provide*: the identity service has put the roles into the token.

use super::{Authorizer, Permitted, by_roles};
use crate::actor::Actor;
use crate::domain::{Action, Roles, SecuritySystem};

/// Reads the roles of the token.
#[derive(Clone, Copy, Debug)]
pub struct FromToken;

#[tonic::async_trait]
impl Authorizer for FromToken {
    async fn filter(&self, actor: &Actor, action: Action, systems: &[SecuritySystem]) -> Permitted {
        let roles = actor.token.claims().locations.as_ref();
        by_roles(roles.unwrap_or(&Roles::new()), action, systems)
    }
}
