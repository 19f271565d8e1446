//! Where in the claims something is, as data.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::field::{Field, OneOrMany, Place, pairs, settings};
use crate::claims::{Roles, Scopes, Segment};
use crate::error::ConfigProblemKind::Conflict;

/// A path into the claims: a JSON Pointer (`/realm_access/roles`), the name of one claim, or a list
/// of names; at most 8 of them. An array on the way has no step of its own: each of its elements
/// that is an object is entered.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a JSON Pointer, the name of a claim, or a list of names")]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Path"))]
pub(super) enum PathConfig {
    Text(String),
    List(Vec<SegmentConfig>),
}

/// One step: a name, or what another claim says.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields, expecting = "expected a name, or {\"value_of\": …}")]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Segment"))]
pub(super) enum SegmentConfig {
    Name(String),
    ValueOf {
        /// The top-level claim whose value is the name.
        value_of: String,
    },
}

settings! {
    /// Where the scopes are; `scope` and `scp` by default.
    #[cfg_attr(test, schemars(rename = "Scopes"))]
    pub(super) struct ScopesConfig {}
    for Scopes {
        /// The path; that of the preset, if there is one, by default.
        at: PathConfig => |_former, path| Scopes::at(path.read()),
        /// Other paths, whose scopes are added.
        and: Vec<PathConfig> => |scopes, paths| paths.into_iter().map(PathConfig::read).fold(scopes, Scopes::and),
        /// What separates the scopes of a string, besides spaces; not within an array's strings.
        separated_by: char => |scopes, separator| scopes.separated_by(separator),
        /// Takes only scopes that begin with this, and leaves it out.
        only_with_prefix: String => |scopes, prefix| scopes.only_with_prefix(prefix),
    }
}

settings! {
    /// Where the roles are; `roles` by default.
    #[cfg_attr(test, schemars(rename = "Roles"))]
    pub(super) struct RolesConfig {}
    for Roles {
        /// The path; that of the preset, if there is one, by default.
        at: PathConfig => |_former, path| Roles::at(path.read()),
        /// Other paths, whose roles are added.
        and: Vec<PathConfig> => |roles, paths| paths.into_iter().map(PathConfig::read).fold(roles, Roles::and),
        /// What separates the roles of a string; not within an array's strings.
        separated_by: char => |roles, separator| roles.separated_by(separator),
        /// Takes only roles that begin with this, and leaves it out.
        only_with_prefix: String => |roles, prefix| roles.only_with_prefix(prefix),
        /// Takes only roles whose value has this member, with a value that says yes: those that are
        /// granted in one organisation.
        only_granted_in: SegmentConfig => |roles, member| roles.only_granted_in(member.read()),
        /// The application's own names for the issuer's; roles without one keep theirs.
        renamed: BTreeMap<String, OneOrMany> => |roles, names| roles.renamed(pairs(names)),
        /// The application's own names for the issuer's; roles without one are left out.
        only_renamed: BTreeMap<String, OneOrMany> => |roles, names| roles.only_renamed(pairs(names)),
    }
}

impl PathConfig {
    pub(super) fn read(self) -> Vec<Segment> {
        match self {
            Self::List(segments) => segments.into_iter().map(SegmentConfig::read).collect(),
            Self::Text(text) => match text.strip_prefix('/') {
                // RFC 6901 §4
                Some(pointer) => {
                    pointer.split('/').map(|name| name.replace("~1", "/").replace("~0", "~").into()).collect()
                }
                None => vec![text.into()],
            },
        }
    }
}

impl SegmentConfig {
    fn read(self) -> Segment {
        match self {
            Self::Name(name) => name.into(),
            Self::ValueOf { value_of } => Segment::value_of(value_of),
        }
    }
}

impl RolesConfig {
    /// Reads it as a change of the roles of an issuer.
    pub(super) fn read(self, former: Roles, place: &mut Place<'_>) -> Roles {
        if let (Field::Right(_), Field::Right(_)) = (&self.renamed, &self.only_renamed) {
            let fix = "roles without a name are kept or left out; drop only_renamed or renamed";
            place.of("only_renamed").problem_as(Conflict, fix);
        }
        self.change(former, place)
    }
}
