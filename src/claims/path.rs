//! Where in the claims something is.

use std::fmt;

use crate::jose::{Json, Value};

/// One step of a path into the claims: a member's name, taken literally, or what another claim says.
///
/// Names of claims hold dots, colons and slashes, so a path is a list of these and not a text. A `&str` or `String` is a name.
///
/// # Examples
///
/// ```
/// use tower_bearer::{Roles, Segment};
///
/// // {"dct": "T1", "tenants": {"T1": {"roles": ["admin"]}, "T2": {"roles": ["owner"]}}}
/// let current_tenant = Roles::at([Segment::from("tenants"), Segment::value_of("dct"), "roles".into()]);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Segment(Step);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Step {
    Name(Box<str>),
    ValueOf(Box<str>),
}

impl Segment {
    /// Steps into the member whose name is the value of this top-level claim, a string; nowhere if the token does not have it.
    ///
    /// # Security
    ///
    /// Who can choose the claim's value chooses the member: name a claim that only the issuer sets.
    pub fn value_of(claim: impl Into<String>) -> Self {
        Self(Step::ValueOf(claim.into().into()))
    }

    pub(super) fn is_sound(&self) -> bool {
        match &self.0 {
            Step::Name(name) | Step::ValueOf(name) => !name.is_empty(),
        }
    }

    pub(super) fn of<'a>(&'a self, payload: &'a Json) -> Option<&'a str> {
        match &self.0 {
            Step::Name(name) => Some(name),
            Step::ValueOf(claim) => payload.root().get(claim)?.as_str(),
        }
    }
}

impl From<&str> for Segment {
    fn from(name: &str) -> Self {
        Self(Step::Name(name.into()))
    }
}

impl From<String> for Segment {
    fn from(name: String) -> Self {
        Self(Step::Name(name.into()))
    }
}

/// A way from the claims as a whole to one value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Path(Vec<Segment>);

impl Path {
    pub(crate) fn new<I>(segments: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Segment>,
    {
        Self(segments.into_iter().map(Into::into).collect())
    }

    /// Tells whether it leads somewhere, by names that are there, and begins with one: what a claim says may be the user's own.
    pub(crate) fn is_sound(&self) -> bool {
        matches!(self.0.first(), Some(Segment(Step::Name(_)))) && self.0.iter().all(Segment::is_sound)
    }

    pub(crate) fn follow<'a>(&'a self, payload: &'a Json) -> Option<Value<'a>> {
        self.0.iter().try_fold(payload.root(), |value, segment| value.get(segment.of(payload)?))
    }
}

impl fmt::Display for Path {
    /// Writes a sole name as it is, and others behind slashes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [Segment(Step::Name(name))] = self.0.as_slice() {
            return f.write_str(name);
        }
        self.0.iter().try_for_each(|Segment(step)| match step {
            Step::Name(name) => write!(f, "/{name}"),
            Step::ValueOf(claim) => write!(f, "/{{{claim}}}"),
        })
    }
}
