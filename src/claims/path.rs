//! Where in the claims something is.

use std::fmt;

use crate::jose::{Json, Row, Value};

/// A path has at most this many steps: claims of real tokens nest 5 deep. The way through lists is
/// kept in an array of this length, so that following a path allocates nothing.
const MAX_STEPS: usize = 8;

/// One step of a path into the claims: a member's name, taken literally, or what another claim
/// says.
///
/// Names of claims hold dots, colons and slashes, so a path is a list of these and not a text. A
/// `&str` or `String` is a name. A step into an array leads into each of its elements that is an
/// object.
///
/// # Examples
///
/// ```
/// use tower_bearer::claims::{Roles, Segment};
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
    /// Steps into the member whose name is the value of this top-level claim, a string.
    ///
    /// It leads nowhere if the token does not have the claim, or if the string is empty.
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
            Step::ValueOf(claim) => payload.root().get(claim)?.as_str().filter(|name| !name.is_empty()),
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

/// A way from the claims as a whole to the values at its end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Path(Vec<Segment>);

impl Path {
    pub(crate) fn new(segments: impl IntoIterator<Item = impl Into<Segment>>) -> Self {
        Self(segments.into_iter().map(Into::into).collect())
    }

    /// Tells whether it leads somewhere, by names that are there, and begins with one: what a claim
    /// says may be the user's own.
    pub(crate) fn is_sound(&self) -> bool {
        let begins = matches!(self.0.first(), Some(Segment(Step::Name(_))));
        begins && self.0.len() <= MAX_STEPS && self.0.iter().all(Segment::is_sound)
    }

    /// Finds the values to which it leads.
    ///
    /// A step into an array is one into each of its elements that is an object; an array within an
    /// array is not entered. No value is looked at more than twice: as what a step leads to, and as
    /// where the next one begins.
    pub(crate) fn follow<'a>(&'a self, payload: &'a Json) -> Follow<'a> {
        let mut follow = Follow { payload, steps: self.0.len(), levels: [Level::default(); MAX_STEPS], level: 0 };
        for (level, segment) in follow.levels.iter_mut().zip(&self.0) {
            let Some(name) = segment.of(payload) else { return follow };
            level.name = name;
        }
        if let Some(first) = follow.levels.first_mut() {
            first.within = payload.root().each();
        }
        follow
    }
}

/// The values to which a path leads, in the order of the claims.
pub(crate) struct Follow<'a> {
    payload: &'a Json,
    steps: usize,
    /// One for each step, from the claims inwards.
    levels: [Level<'a>; MAX_STEPS],
    /// The step that is being taken.
    level: usize,
}

/// A step, and where it can still be taken.
#[derive(Clone, Copy, Default)]
struct Level<'a> {
    name: &'a str,
    within: Row,
    /// Whether the way here leads through an array.
    listed: bool,
}

impl<'a> Iterator for Follow<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        loop {
            let Level { name, within, listed } = self.levels.get_mut(self.level)?;
            let (name, listed) = (*name, *listed);
            let Some(object) = self.payload.next_of(within) else {
                self.level = self.level.checked_sub(1)?;
                continue;
            };
            let Some(value) = object.get(name) else { continue };
            let inner = self.level.saturating_add(1);
            if inner == self.steps {
                return Some(Found { value, listed });
            }
            let level = self.levels.get_mut(inner)?;
            (level.within, level.listed) = (value.each(), listed || value.is_array());
            self.level = inner;
        }
    }
}

/// A value at the end of a path.
#[derive(Clone, Copy)]
pub(crate) struct Found<'a> {
    pub(crate) value: Value<'a>,
    /// Whether the path leads to it through an array, so that it is one of several.
    listed: bool,
}

impl<'a> Found<'a> {
    /// Returns the string that stands alone, and may be a list in itself.
    pub(super) fn sole(self) -> Option<&'a str> {
        self.value.as_str().filter(|_| !self.listed)
    }

    /// Returns the strings that are elements of an array, each of them one thing, whatever
    /// characters it has.
    pub(super) fn elements(self) -> impl Iterator<Item = &'a str> {
        let listed = self.value.as_str().filter(|_| self.listed);
        listed.into_iter().chain(self.value.items().filter_map(Value::as_str))
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
