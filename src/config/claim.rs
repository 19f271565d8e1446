//! Demands on claims as data.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

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
#[serde(try_from = "Value")]
pub(super) struct ValueConfig(ClaimValue);

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
        let mut claim = match (absent, if_present) {
            (false, false) => Claim::at(segments?),
            (false, true) => Claim::if_present(segments?),
            (true, false) => Claim::absent(segments?),
            (true, true) => {
                place.problem_as(Conflict, "absent and if_present contradict each other; drop one of them");
                return None;
            }
        };
        if let Some(ValueConfig(value)) = self.equals {
            claim = claim.equals(value);
        }
        if let Some(ValueConfig(value)) = self.not_equals {
            claim = claim.not_equals(value);
        }
        if let Some(values) = self.one_of {
            claim = claim.one_of(values.into_iter().map(|ValueConfig(value)| value));
        }
        if let Some(prefix) = self.starts_with {
            claim = claim.starts_with(prefix);
        }
        if let Some(ValueConfig(element)) = self.contains {
            claim = claim.contains(element);
        }
        Some(claim)
    }
}

impl TryFrom<Value> for ValueConfig {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        let integer = |number: &serde_json::Number| {
            number.as_i64().map(ClaimValue::from).or_else(|| number.as_u64().map(ClaimValue::from))
        };
        let value = match &value {
            Value::Bool(value) => Some((*value).into()),
            Value::Number(number) => integer(number),
            Value::String(text) => Some(text.as_str().into()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        value.map(Self).ok_or("expected a string, a truth value or an integer")
    }
}
