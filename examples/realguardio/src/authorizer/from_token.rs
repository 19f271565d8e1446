//! *Provide*: the identity service has put the roles into the token.

use super::{Authorizer, Permitted, by_roles};
use crate::actor::Actor;
use crate::domain::{Action, SecuritySystem};

/// Reads the roles of the token.
#[derive(Clone, Copy, Debug)]
pub struct FromToken;

#[tonic::async_trait]
impl Authorizer for FromToken {
    async fn filter(&self, actor: &Actor, action: Action, systems: &[SecuritySystem]) -> Permitted {
        by_roles(&actor.token.claims().locations, action, systems)
    }
}
