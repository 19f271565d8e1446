//! Where in the claims something is, as data.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::field::OneOrMany;
use crate::claims::{Roles, Scopes, Segment};
use crate::error::ConfigError;

/// A path into the claims: a JSON Pointer (`/realm_access/roles`), the name of one claim, or a list of names.
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
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Scopes"))]
pub(super) struct ScopesConfig {
    /// The paths, whose scopes are joined; those of the preset by default.
    #[serde(default)]
    at: Vec<PathConfig>,
    /// What separates the scopes of a string, besides spaces.
    separated_by: Option<char>,
    /// Takes only scopes that begin with this, and leaves it out.
    with_prefix: Option<String>,
}

/// Where the roles are; `roles` by default.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Roles"))]
pub(super) struct RolesConfig {
    /// The paths, whose roles are joined; those of the preset by default.
    #[serde(default)]
    at: Vec<PathConfig>,
    /// What separates the roles of a string.
    separated_by: Option<char>,
    /// Takes only roles that begin with this, and leaves it out.
    with_prefix: Option<String>,
    /// Takes only roles whose value has this member: those that are granted in one organisation.
    granted_in: Option<SegmentConfig>,
    /// The application's own names for the issuer's; roles without one keep theirs.
    renamed: Option<BTreeMap<String, OneOrMany>>,
    /// The application's own names for the issuer's; roles without one are left out.
    only_renamed: Option<BTreeMap<String, OneOrMany>>,
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
    pub(super) fn read(self, former: &Scopes) -> Scopes {
        let mut paths = self.at.into_iter().map(PathConfig::read);
        let mut scopes = match paths.next() {
            Some(first) => paths.fold(Scopes::at(first), Scopes::and),
            None => former.clone(),
        };
        if let Some(separator) = self.separated_by {
            scopes = scopes.separated_by(separator);
        }
        if let Some(prefix) = self.with_prefix {
            scopes = scopes.with_prefix(prefix);
        }
        scopes
    }
}

impl RolesConfig {
    /// Reads it as a change of the roles of an issuer.
    pub(super) fn read(self, former: &Roles, path: &str, problems: &mut ConfigError) -> Roles {
        let mut paths = self.at.into_iter().map(PathConfig::read);
        let mut roles = match paths.next() {
            Some(first) => paths.fold(Roles::at(first), Roles::and),
            None => former.clone(),
        };
        if let Some(separator) = self.separated_by {
            roles = roles.separated_by(separator);
        }
        if let Some(prefix) = self.with_prefix {
            roles = roles.with_prefix(prefix);
        }
        if let Some(member) = self.granted_in {
            roles = roles.granted_in(member.read());
        }
        if self.renamed.is_some() && self.only_renamed.is_some() {
            problems.push(
                format!("{path}.only_renamed"),
                "roles without a name are kept or left out; drop this or renamed",
            );
        }
        if let Some(names) = self.renamed {
            roles = roles.renamed(pairs(names));
        }
        if let Some(names) = self.only_renamed {
            roles = roles.only_renamed(pairs(names));
        }
        roles
    }
}

fn pairs(names: BTreeMap<String, OneOrMany>) -> impl Iterator<Item = (String, String)> {
    let pairs =
        |(theirs, ours): (String, OneOrMany)| Vec::from(ours).into_iter().map(move |ours| (theirs.clone(), ours));
    names.into_iter().flat_map(pairs)
}
