//! *Provide*: the identity service has put the roles into the token.

use super::Authorizer;
use crate::domain::{Action, Actor, SecuritySystem};
use crate::problem::Unavailable;

/// Reads the roles of the token.
#[derive(Clone, Copy, Debug)]
pub struct FromToken;

#[tonic::async_trait]
impl Authorizer for FromToken {
    async fn allows(&self, actor: &Actor, action: Action, system: &SecuritySystem) -> Result<bool, Unavailable> {
        let roles = actor.token.claims().locations.get(&system.location.0.to_string());
        Ok(roles.is_some_and(|roles| action.is_for(roles)))
    }
}
