//! Demands on claims as data.

use serde::{Deserialize, Deserializer};

use super::field::{Field, Place};
use super::readers::PathConfig;
use crate::claims::{Claim, ClaimValue};
use crate::error::ConfigProblemKind::{Conflict, Missing};

/// What must hold of a claim. By default, it must be there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Claim", !default, extend("required" = ["claim"])))]
pub(super) struct ClaimConfig {
    /// Where the claim is.
    claim: Field<PathConfig>,
    /// Whether the claim must not be there.
    absent: Field<bool>,
    /// Whether the claim may be absent.
    if_present: Field<bool>,
    /// The value that it must have.
    #[serde(deserialize_with = "given")]
    #[cfg_attr(test, schemars(with = "ValueConfig"))]
    equals: Option<ValueConfig>,
    /// The value that it must not have.
    #[serde(deserialize_with = "given")]
    #[cfg_attr(test, schemars(with = "ValueConfig"))]
    not_equals: Option<ValueConfig>,
    /// The values of which it must have one.
    #[serde(deserialize_with = "given")]
    #[cfg_attr(test, schemars(with = "Vec<ValueConfig>"))]
    one_of: Option<Vec<ValueConfig>>,
    /// What it must begin with, as a string.
    #[serde(deserialize_with = "given")]
    #[cfg_attr(test, schemars(with = "String"))]
    starts_with: Option<String>,
    /// The element that it must have, as a list.
    #[serde(deserialize_with = "given")]
    #[cfg_attr(test, schemars(with = "ValueConfig"))]
    contains: Option<ValueConfig>,
}

/// Reads a condition that is there: `null` is none, and not the absence of one.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// What a claim is compared with. A string is taken as it is: `"true"` is not `true`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a string, a truth value or an integer")]
pub(super) enum ValueConfig {
    Bool(bool),
    Integer(i64),
    Large(u64),
    Text(String),
}

impl ClaimConfig {
    /// Reads the demand, if it says of which claim, and notes whatever is wrong with it.
    pub(super) fn read(self, place: &mut Place<'_>) -> Option<Claim> {
        let unnamed = self.claim.is_absent();
        let segments = self.claim.take(&mut place.of("claim")).map(PathConfig::read);
        let absent = self.absent.take(&mut place.of("absent")).unwrap_or_default();
        let if_present = self.if_present.take(&mut place.of("if_present")).unwrap_or_default();
        if unnamed {
            place.problem_as(Missing, "the claim is not named");
        }
        let claim = match (absent, if_present) {
            (false, false) => Claim::at(segments?),
            (false, true) => Claim::if_present(segments?),
            (true, false) => Claim::absent(segments?),
            (true, true) => {
                place.problem_as(Conflict, "absent and if_present contradict each other; drop one of them");
                return None;
            }
        };
        let claim = self.equals.into_iter().fold(claim, Claim::equals);
        let claim = self.not_equals.into_iter().fold(claim, Claim::not_equals);
        let claim = self.one_of.into_iter().fold(claim, Claim::one_of);
        let claim = self.starts_with.into_iter().fold(claim, Claim::starts_with);
        Some(self.contains.into_iter().fold(claim, Claim::contains))
    }
}

impl From<ValueConfig> for ClaimValue {
    fn from(value: ValueConfig) -> Self {
        match value {
            ValueConfig::Bool(value) => value.into(),
            ValueConfig::Integer(value) => value.into(),
            ValueConfig::Large(value) => value.into(),
            ValueConfig::Text(text) => text.into(),
        }
    }
}
