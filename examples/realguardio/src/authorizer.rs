//! May this caller do this to this system? Who has which role where is known to the customer service, and comes from there in one of four ways.
//!
//! | way | where the roles are | cost | how fresh |
//! |---|---|---|---|
//! | [`FromToken`] (*provide*) | in the token, put there when it was issued | none | as old as the token |
//! | [`FromCustomers`] (*fetch*) | at the customer service, which is asked with the caller's own token | a call for each location | fresh |
//! | [`FromReplica`] (*replicate*) | in a table here, fed by the customer service's events | a query | some seconds old |
//! | [`Delegated`] (*delegate*) | in the same table, and a policy engine decides by policies in a file | a query and an evaluation | some seconds old |

mod delegated;
mod from_customers;
mod from_replica;
mod from_token;

use std::collections::BTreeMap;

pub use self::delegated::Delegated;
pub use self::from_customers::FromCustomers;
pub use self::from_replica::{FromReplica, Replica};
pub use self::from_token::FromToken;
use crate::domain::{Action, Actor, LocationId, SecuritySystem};
use crate::problem::Unavailable;

/// Decides about employees. What is no yes is a no, and what cannot be found out is neither.
#[tonic::async_trait]
pub trait Authorizer: Send + Sync + 'static {
    /// Tells whether the actor may do this to this system.
    async fn allows(&self, actor: &Actor, action: Action, system: &SecuritySystem) -> Result<bool, Unavailable>;

    /// Keeps the systems to which the actor may do this. All systems of a location are alike.
    async fn filter(
        &self,
        actor: &Actor,
        action: Action,
        systems: Vec<SecuritySystem>,
    ) -> Result<Vec<SecuritySystem>, Unavailable> {
        let mut decided: BTreeMap<LocationId, bool> = BTreeMap::new();
        let mut kept = Vec::new();
        for system in systems {
            let allowed = match decided.get(&system.location) {
                Some(allowed) => *allowed,
                None => self.allows(actor, action, &system).await?,
            };
            decided.insert(system.location, allowed);
            if allowed {
                kept.push(system);
            }
        }
        Ok(kept)
    }
}
