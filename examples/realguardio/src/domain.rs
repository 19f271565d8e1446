//! What the system is about.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tower_bearer::AccessToken;
use tower_bearer::relay::CallerToken;

/// A company that has locations and employees.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, sqlx::Type)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct CustomerId(pub i64);

/// A place of a customer's.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, sqlx::Type)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct LocationId(pub i64);

/// A security system, which guards a location.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, sqlx::Type)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct SystemId(pub i64);

/// A security system as it is stored.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, sqlx::FromRow)]
pub struct SecuritySystem {
    pub id: SystemId,
    pub location: LocationId,
    pub armed: bool,
}

/// What an employee, or a team, may be at a location.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(rename_all = "lowercase")]
pub enum Role {
    Viewer,
    Armer,
    Disarmer,
}

/// The roles of one employee, at each location where they have any.
pub type Roles = BTreeMap<LocationId, BTreeSet<Role>>;

/// What can be done to a security system.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    View,
    Arm,
    Disarm,
}

impl Action {
    /// Tells whether someone with these roles may do it to this system.
    pub fn is_for(self, roles: &Roles, system: &SecuritySystem) -> bool {
        roles.get(&system.location).is_some_and(|roles| match self {
            Self::View => !roles.is_empty(),
            Self::Arm => roles.contains(&Role::Armer),
            Self::Disarm => roles.contains(&Role::Disarmer),
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Arm => "arm",
            Self::Disarm => "disarm",
        }
    }
}

/// What our own tokens say of an employee, if they were issued with it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Claims {
    #[serde(default)]
    pub locations: Roles,
}

/// Who calls.
#[derive(Clone, Debug)]
pub struct Actor {
    pub token: AccessToken<Claims>,
    /// To ask another service in the caller's name.
    pub caller: CallerToken,
}

impl Actor {
    /// The subject: employees are known by their e-mail address.
    pub fn name(&self) -> &str {
        self.token.subject().unwrap_or_default()
    }

    pub fn is_admin(&self) -> bool {
        self.token.has_role("admin")
    }

    /// A client that acts for itself is its token's subject (RFC 9068 §2.2).
    pub fn is_machine(&self) -> bool {
        self.token.client_id().is_some_and(|client| client == self.name())
    }
}
