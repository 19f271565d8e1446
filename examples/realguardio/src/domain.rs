//! What the system is about.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The roles in tokens: what somebody is in the whole system, and not at a location.
pub const ADMIN: &str = "admin";
pub const AUDITOR: &str = "auditor";
pub const EMPLOYEE: &str = "employee";

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
