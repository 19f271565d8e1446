//! What a claim must be: a check of a payload, and nothing else.

#[cfg(test)]
mod tests;

use super::path::{Path, Segment};
use crate::jose::{Json, Number, Value};

/// Demands something of one claim of a token; for [`Issuer::require`](crate::Issuer::require).
///
/// Say where the claim is, and what must hold of it:
///
/// * [`at`](Self::at): the claim must be present.
/// * [`if_present`](Self::if_present): the claim may be absent.
/// * [`absent`](Self::absent): the claim must not be there.
///
/// The other methods add conditions on its value. All of them must hold.
///
/// Values are compared exactly: strings byte for byte, numbers by their value. A string never
/// equals a number or a truth value: `"true"` is not `true`.
///
/// `null` is no value. It does not meet a demand for presence. It does not meet a demand for
/// absence either: the token has the member.
///
/// If the path leads through lists, one element must meet the conditions, and no element may be
/// what [`not_equals`](Self::not_equals) names.
///
/// # Examples
///
/// ```
/// use tower_bearer::claims::Claim;
/// use tower_bearer::Issuer;
///
/// let issuer = Issuer::new("https://id.example.com/")
///     .require(Claim::at(["email_verified"]).equals(true))
///     .require(Claim::at(["tenant"]).one_of([10133, 10134]))
///     .require(Claim::at(["amr"]).contains("mfa"))
///     .require(Claim::absent(["nonce"]));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a demand does nothing until it is made"]
pub struct Claim {
    path: Path,
    presence: Presence,
    conditions: Vec<Condition>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Presence {
    Demanded,
    Optional,
    Forbidden,
}

#[derive(Clone, Debug, PartialEq)]
enum Condition {
    OneOf(Vec<ClaimValue>),
    Not(ClaimValue),
    StartsWith(Box<str>),
    Contains(ClaimValue),
}

/// A string, a truth value or an integer, to compare a [`Claim`] with.
///
/// Made from `&str`, `String`, `bool` and integers.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimValue(Scalar);

#[derive(Clone, Debug, PartialEq)]
enum Scalar {
    Bool(bool),
    Integer(i128),
    Text(Box<str>),
}

/// Why a demand is not met.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unmet {
    /// The claim is absent.
    Missing,
    /// The claim must not be there, and is.
    Present,
    /// The claim has another value, which is of this type.
    Wrong(&'static str),
}

impl Claim {
    /// Demands that the claim at this path is present.
    ///
    /// The path is a list of member names, as for [`Roles::at`](crate::claims::Roles::at).
    pub fn at(path: impl IntoIterator<Item = impl Into<Segment>>) -> Self {
        Self { path: Path::new(path), presence: Presence::Demanded, conditions: Vec::new() }
    }

    /// Makes demands on the claim at this path only if the token has it.
    ///
    /// ```
    /// use tower_bearer::claims::Claim;
    ///
    /// // a sign-in that is complete: "active", or nothing is said
    /// let complete = Claim::if_present(["sts"]).not_equals("pending");
    /// ```
    pub fn if_present(path: impl IntoIterator<Item = impl Into<Segment>>) -> Self {
        Self { presence: Presence::Optional, ..Self::at(path) }
    }

    /// Demands that there is no claim at this path.
    ///
    /// Use it for claims that only another kind of token has, such as `at_hash` of ID tokens.
    pub fn absent(path: impl IntoIterator<Item = impl Into<Segment>>) -> Self {
        Self { presence: Presence::Forbidden, ..Self::at(path) }
    }

    /// Demands that the claim has this value.
    pub fn equals(self, value: impl Into<ClaimValue>) -> Self {
        self.one_of([value])
    }

    /// Demands that the claim has another value, and is no list with this one in it.
    pub fn not_equals(self, value: impl Into<ClaimValue>) -> Self {
        self.and(Condition::Not(value.into()))
    }

    /// Demands that the claim has one of these values.
    pub fn one_of(self, values: impl IntoIterator<Item = impl Into<ClaimValue>>) -> Self {
        self.and(Condition::OneOf(values.into_iter().map(Into::into).collect()))
    }

    /// Demands that the claim is a string that begins with this prefix.
    ///
    /// ```
    /// use tower_bearer::claims::Claim;
    ///
    /// // one namespace of a Kubernetes cluster
    /// let namespace = Claim::at(["sub"]).starts_with("system:serviceaccount:shop:");
    /// ```
    ///
    /// # Security
    ///
    /// End the prefix with what separates the parts: `…:shop` also admits `…:shop2`.
    pub fn starts_with(self, prefix: impl Into<String>) -> Self {
        self.and(Condition::StartsWith(prefix.into().into()))
    }

    /// Demands that the claim is a list with this element.
    ///
    /// A sole value counts as a list of one, as it does in `aud`. A part of a string is no element.
    pub fn contains(self, element: impl Into<ClaimValue>) -> Self {
        self.and(Condition::Contains(element.into()))
    }

    fn and(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    /// Checks the claims of a token.
    pub(crate) fn check(&self, payload: &Json) -> Result<(), Unmet> {
        let Some(first) = self.values(payload).next() else {
            return if self.presence == Presence::Demanded { Err(Unmet::Missing) } else { Ok(()) };
        };
        match self.presence {
            Presence::Forbidden => return Err(Unmet::Present),
            Presence::Demanded if self.values(payload).all(Value::is_null) => return Err(Unmet::Missing),
            Presence::Demanded | Presence::Optional => {}
        }
        let excluded = |value| self.conditions.iter().any(|condition| condition.excludes(value));
        let meets = |value| self.conditions.iter().all(|condition| condition.is_met_by(value));
        let met = self.values(payload).any(meets) && !self.values(payload).any(excluded);
        if met { Ok(()) } else { Err(Unmet::Wrong(first.type_name())) }
    }

    /// Returns the values at the path, of which there is one unless it leads through lists.
    pub(crate) fn values<'a>(&'a self, payload: &'a Json) -> impl Iterator<Item = Value<'a>> {
        self.path.follow(payload).map(|found| found.value)
    }

    /// Returns the path as a text.
    pub(crate) fn name(&self) -> String {
        self.path.to_string()
    }

    /// Says what is wrong with it, in itself or together with the others.
    pub(crate) fn fault(&self, others: &[Self]) -> Option<&'static str> {
        let forbidden = self.presence == Presence::Forbidden;
        let demanded = |other: &Self| other.presence == Presence::Demanded && other.path == self.path;
        let empty = |condition: &Condition| match condition {
            Condition::OneOf(values) => values.is_empty(),
            Condition::StartsWith(prefix) => prefix.is_empty(),
            Condition::Not(_) | Condition::Contains(_) => false,
        };
        let listed = self.conditions.iter().find_map(|condition| match condition {
            Condition::OneOf(values) => Some(values),
            Condition::Not(_) | Condition::StartsWith(_) | Condition::Contains(_) => None,
        });
        let possible = |value: &ClaimValue| self.conditions.iter().all(|condition| condition.admits(value));
        if !self.path.is_sound() {
            Some("the path is empty, has an empty name or more than 8, or begins with the value of a claim")
        } else if forbidden && !self.conditions.is_empty() {
            Some("the claim must be absent, so it can meet no other condition")
        } else if forbidden && others.iter().any(demanded) {
            Some("the claim must be present, and must be absent, so no token could ever be accepted")
        } else if self.presence == Presence::Optional && self.conditions.is_empty() {
            Some("nothing is demanded of the claim; add a condition")
        } else if self.conditions.iter().any(empty) {
            Some("the list of values, or the prefix, is empty")
        } else if listed.is_some_and(|values| !values.iter().any(possible)) {
            Some("the conditions contradict each other, so no token could ever be accepted")
        } else {
            None
        }
    }
}

impl Condition {
    /// Tells whether a value has what this condition asks for.
    fn is_met_by(&self, value: Value<'_>) -> bool {
        match self {
            Self::OneOf(wanted) => wanted.iter().any(|wanted| wanted.is(value)),
            Self::Not(_) => true,
            Self::StartsWith(prefix) => value.as_str().is_some_and(|text| text.starts_with(&**prefix)),
            Self::Contains(wanted) => wanted.is(value) || value.items().any(|item| wanted.is(item)),
        }
    }

    /// Tells whether a value is what this condition rules out.
    fn excludes(&self, value: Value<'_>) -> bool {
        let Self::Not(unwanted) = self else { return false };
        unwanted.is(value) || value.items().any(|item| unwanted.is(item))
    }

    /// Tells whether a claim with this value could meet it.
    fn admits(&self, value: &ClaimValue) -> bool {
        match self {
            Self::OneOf(wanted) => wanted.contains(value),
            Self::Not(unwanted) => unwanted != value,
            Self::StartsWith(prefix) => matches!(&value.0, Scalar::Text(text) if text.starts_with(&**prefix)),
            Self::Contains(wanted) => wanted == value,
        }
    }
}

impl ClaimValue {
    fn is(&self, value: Value<'_>) -> bool {
        match &self.0 {
            Scalar::Bool(wanted) => value.as_bool() == Some(*wanted),
            Scalar::Integer(wanted) => value.as_number().is_some_and(|found| is_number(found, *wanted)),
            Scalar::Text(wanted) => value.as_str() == Some(wanted),
        }
    }
}

/// Tells whether a number has this value, however it is written: `1e3` is 1000.
fn is_number(found: Number, wanted: i128) -> bool {
    /// From 2^53 on, not every integer is a floating-point number, so that others would look the
    /// same.
    const INEXACT: f64 = 9_007_199_254_740_992.0;
    match found {
        Number::Unsigned(number) => i128::from(number) == wanted,
        Number::Negative(number) => i128::from(number) == wanted,
        Number::Float(number) => number.abs() < INEXACT && wanted.to_string().parse() == Ok(number),
    }
}

macro_rules! from_scalars {
    ($($type:ty => $scalar:ident),*) => {$(
        impl From<$type> for ClaimValue {
            fn from(value: $type) -> Self {
                Self(Scalar::$scalar(value.into()))
            }
        }
    )*};
}

// `i32` is what a literal is
from_scalars!(&str => Text, String => Text, bool => Bool, i32 => Integer, i64 => Integer, u32 => Integer, u64 => Integer);
