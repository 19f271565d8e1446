//! *Delegate*: a policy engine decides, by policies in a file and the facts of the copy.

use std::collections::{HashMap, HashSet};

use cedar_policy::{
    Authorizer as Engine, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet, Request,
    RestrictedExpression,
};

use super::{Authorizer, Permitted, Replica};
use crate::actor::Actor;
use crate::customers::Grantee;
use crate::domain::{Action, CustomerId, Role, SecuritySystem};
use crate::problem::Unavailable;
use crate::system::Fault;

/// The policies, as they are in the repository.
const POLICIES: &str = include_str!("../../policies/systems.cedar");

/// Asks Cedar, in this process.
pub struct Delegated {
    engine: Engine,
    policies: PolicySet,
    facts: Replica,
}

impl Delegated {
    /// Reads the policies.
    pub fn new(facts: Replica) -> Result<Self, Fault> {
        Ok(Self { engine: Engine::new(), policies: POLICIES.parse()?, facts })
    }

    async fn decide(
        &self,
        actor: &Actor,
        teams: &[(CustomerId, String)],
        action: Action,
        system: &SecuritySystem,
    ) -> Result<bool, Fault> {
        let principal = uid("Employee", actor.subject())?;
        let resource = uid("System", &system.id.0.to_string())?;
        let action = uid("Action", action.name())?;

        // the employee is in their teams, and both are in the groups that the system names
        let granted = self.facts.granted(system.location).await.map_err(|_| "the facts cannot be had")?;
        let groups = |of: &dyn Fn(CustomerId, &Grantee) -> bool| -> Result<HashSet<EntityUid>, Fault> {
            let own = granted.iter().filter(|(customer, grantee, _)| of(*customer, grantee));
            own.map(|(_, _, role)| group(*role, system)).collect()
        };
        let mut parents = groups(&|_, grantee| *grantee == Grantee::Employee(actor.subject().to_owned()))?;
        let mut entities = Vec::new();
        for (customer, team) in teams {
            let id = uid("Team", &format!("{}/{team}", customer.0))?;
            let team = Grantee::Team(team.clone());
            let groups = groups(&|of, grantee| of == *customer && *grantee == team)?;
            entities.push(Entity::new_no_attrs(id.clone(), groups));
            parents.insert(id);
        }
        entities.push(Entity::new_no_attrs(principal.clone(), parents));
        let mut attributes = HashMap::new();
        for (name, role) in [("viewers", Role::Viewer), ("armers", Role::Armer), ("disarmers", Role::Disarmer)] {
            let group = group(role, system)?;
            attributes.insert(name.to_owned(), RestrictedExpression::new_entity_uid(group));
        }
        entities.push(Entity::new(resource.clone(), attributes, HashSet::new())?);

        let request = Request::new(principal, action, resource, Context::empty(), None)?;
        let entities = Entities::from_entities(entities, None)?;
        let answer = self.engine.is_authorized(&request, &self.policies, &entities);
        // a policy that could not be evaluated may have been one that forbids
        match answer.diagnostics().errors().next() {
            Some(error) => Err(error.to_string().into()),
            None => Ok(answer.decision() == Decision::Allow),
        }
    }
}

fn uid(kind: &str, id: &str) -> Result<EntityUid, Fault> {
    let kind: EntityTypeName = kind.parse()?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

/// Those who have a role at a system's location.
fn group(role: Role, system: &SecuritySystem) -> Result<EntityUid, Fault> {
    uid("Group", &format!("{role:?} at {}", system.location.0))
}

#[tonic::async_trait]
impl Authorizer for Delegated {
    async fn filter(&self, actor: &Actor, action: Action, systems: &[SecuritySystem]) -> Permitted {
        self.facts.check_fresh()?;
        let teams = self.facts.teams(actor.subject()).await?;
        let mut kept = Vec::new();
        for system in systems {
            let decision = self.decide(actor, &teams, action, system).await;
            let allowed = decision.map_err(|error| {
                tracing::error!(error, "no decision");
                Unavailable
            });
            if allowed? {
                kept.push(*system);
            }
        }
        Ok(kept)
    }
}
