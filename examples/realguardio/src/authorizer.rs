//! May this caller do this to this system? Who has which role where is the customer service's to say, and is known here in one of four ways.
//!
//! | way | where the roles are | cost | how fresh |
//! |---|---|---|---|
//! | [`FromToken`] (*provide*) | in the token, put there when it was issued | none | as old as the token, and as what the identity service knows |
//! | [`FromCustomers`] (*fetch*) | at the customer service, which is asked with the caller's own token | a call | fresh |
//! | [`FromReplica`] (*replicate*) | in a table here, fed by the customer service's events | a query | a second old; after a minute without news, no answer |
//! | [`Delegated`] (*delegate*) | in the same table, and a policy engine decides by policies in a file | queries and an evaluation for each system | the same |

mod delegated;
mod from_customers;
mod from_replica;
mod from_token;

pub use self::delegated::Delegated;
pub use self::from_customers::FromCustomers;
pub use self::from_replica::{FromReplica, Replica};
pub use self::from_token::FromToken;
use crate::actor::Actor;
use crate::domain::{Action, Roles, SecuritySystem};
use crate::problem::Unavailable;

/// Decides about employees. Anything but a clear yes is a no; if the facts cannot be had, the answer is [`Unavailable`].
#[tonic::async_trait]
pub trait Authorizer: Send + Sync + 'static {
    /// Keeps the systems to which the actor may do this.
    async fn filter(&self, actor: &Actor, action: Action, systems: &[SecuritySystem]) -> Permitted;

    /// Tells whether the actor may do this to this system.
    async fn allows(&self, actor: &Actor, action: Action, system: SecuritySystem) -> Result<bool, Unavailable> {
        Ok(self.filter(actor, action, &[system]).await?.contains(&system))
    }
}

/// Those systems for which the answer is yes.
type Permitted = Result<Vec<SecuritySystem>, Unavailable>;

/// What the actor's roles permit.
fn by_roles(roles: &Roles, action: Action, systems: &[SecuritySystem]) -> Permitted {
    Ok(systems.iter().copied().filter(|system| action.is_for(roles, system)).collect())
}
