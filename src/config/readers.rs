//! Where in the claims something is, as data.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::field::{Field, OneOrMany, pairs, refuse_unknown};
use crate::claims::{Roles, Scopes, Segment};
use crate::error::ConfigError;

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

/// Where the scopes are; `scope` and `scp` by default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields, rename = "Scopes"))]
pub(super) struct ScopesConfig {
    /// The path; that of the preset, if there is one, by default.
    at: Field<PathConfig>,
    /// Other paths, whose scopes are added.
    and: Field<Vec<PathConfig>>,
    /// What separates the scopes of a string, besides spaces; not within an array's strings.
    separated_by: Field<char>,
    /// Takes only scopes that begin with this, and leaves it out.
    with_prefix: Field<String>,
    #[serde(flatten)]
    #[cfg_attr(test, schemars(skip))]
    unknown: BTreeMap<String, IgnoredAny>,
}

/// Where the roles are; `roles` by default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields, rename = "Roles"))]
pub(super) struct RolesConfig {
    /// The path; that of the preset, if there is one, by default.
    at: Field<PathConfig>,
    /// Other paths, whose roles are added.
    and: Field<Vec<PathConfig>>,
    /// What separates the roles of a string; not within an array's strings.
    separated_by: Field<char>,
    /// Takes only roles that begin with this, and leaves it out.
    with_prefix: Field<String>,
    /// Takes only roles whose value has this member, with a value that says yes: those that are
    /// granted in one organisation.
    granted_in: Field<SegmentConfig>,
    /// The application's own names for the issuer's; roles without one keep theirs.
    renamed: Field<BTreeMap<String, OneOrMany>>,
    /// The application's own names for the issuer's; roles without one are left out.
    only_renamed: Field<BTreeMap<String, OneOrMany>>,
    #[serde(flatten)]
    #[cfg_attr(test, schemars(skip))]
    unknown: BTreeMap<String, IgnoredAny>,
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

impl ScopesConfig {
    /// Reads it as a change of the scopes of an issuer.
    pub(super) fn read(self, former: &Scopes, path: &str, problems: &mut ConfigError) -> Scopes {
        let at = |field: &str| format!("{path}.{field}");
        let first = self.at.take(&at("at"), problems);
        let scopes = first.map_or_else(|| former.clone(), |path| Scopes::at(path.read()));
        let others = self.and.take(&at("and"), problems).unwrap_or_default();
        let mut scopes = others.into_iter().map(PathConfig::read).fold(scopes, Scopes::and);
        if let Some(separator) = self.separated_by.take(&at("separated_by"), problems) {
            scopes = scopes.separated_by(separator);
        }
        if let Some(prefix) = self.with_prefix.take(&at("with_prefix"), problems) {
            scopes = scopes.with_prefix(prefix);
        }
        refuse_unknown(path, &self.unknown, problems);
        scopes
    }
}

impl RolesConfig {
    /// Reads it as a change of the roles of an issuer.
    pub(super) fn read(self, former: &Roles, path: &str, problems: &mut ConfigError) -> Roles {
        let at = |field: &str| format!("{path}.{field}");
        let first = self.at.take(&at("at"), problems);
        let roles = first.map_or_else(|| former.clone(), |path| Roles::at(path.read()));
        let others = self.and.take(&at("and"), problems).unwrap_or_default();
        let mut roles = others.into_iter().map(PathConfig::read).fold(roles, Roles::and);
        if let Some(separator) = self.separated_by.take(&at("separated_by"), problems) {
            roles = roles.separated_by(separator);
        }
        if let Some(prefix) = self.with_prefix.take(&at("with_prefix"), problems) {
            roles = roles.with_prefix(prefix);
        }
        if let Some(member) = self.granted_in.take(&at("granted_in"), problems) {
            roles = roles.granted_in(member.read());
        }
        let renamed = self.renamed.take(&at("renamed"), problems);
        let only_renamed = self.only_renamed.take(&at("only_renamed"), problems);
        if renamed.is_some() && only_renamed.is_some() {
            problems
                .push(at("only_renamed"), "roles without a name are kept or left out; drop only_renamed or renamed");
        }
        if let Some(names) = renamed {
            roles = roles.renamed(pairs(names));
        }
        if let Some(names) = only_renamed {
            roles = roles.only_renamed(pairs(names));
        }
        refuse_unknown(path, &self.unknown, problems);
        roles
    }
}
