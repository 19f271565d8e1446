//! Everything that is wrong with a configuration, at once.

use std::fmt;

/// All that is wrong with a configuration: of a server, of a layer, or of
/// [`AuthzRules`](crate::authz::AuthzRules). Returned by each `build()`, by
/// [`reload`](crate::ResourceServer::reload), and by those methods of layers that can fail.
///
/// # Examples
///
/// ```
/// use tower_bearer::config::ConfigProblemKind;
/// use tower_bearer::{Issuer, ResourceServer};
///
/// let issuer = Issuer::new("https://id.example.com/").rfc9068().only_types(["JWT"]);
/// let error = ResourceServer::new("").trust(issuer).build().unwrap_err();
/// let problems: Vec<_> = error.problems().iter().map(|problem| (problem.path(), problem.kind())).collect();
/// assert_eq!(
///     problems,
///     [
///         ("audience", ConfigProblemKind::Invalid),
///         ("issuers[https://id.example.com/].rfc9068", ConfigProblemKind::Conflict),
///     ]
/// );
/// ```
#[derive(Clone, Debug, Default)]
pub struct ConfigError {
    problems: Vec<ConfigProblem>,
}

impl ConfigError {
    /// Notes that a value is not what its setting takes.
    pub(crate) fn push(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.push_as(ConfigProblemKind::Invalid, path, message);
    }

    pub(crate) fn push_as(&mut self, kind: ConfigProblemKind, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(ConfigProblem { kind, path: path.into(), message: message.into() });
    }

    pub(crate) fn extend(&mut self, others: Self) {
        self.problems.extend(others.problems);
    }

    /// Tells whether something is wrong there, or within.
    pub(crate) fn concerns(&self, path: &str) -> bool {
        self.problems.iter().any(|problem| problem.path.starts_with(path))
    }

    /// Returns `ok` if nothing was found, else the problems.
    pub(crate) fn or<T>(self, ok: T) -> Result<T, Self> {
        if self.problems.is_empty() { Ok(ok) } else { Err(self) }
    }

    /// Returns the problems in the order in which they were found.
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problems: Vec<_> = self.problems.iter().map(ToString::to_string).collect();
        f.write_str(&problems.join("; "))
    }
}

impl std::error::Error for ConfigError {}

/// One thing that is wrong with a configuration, and how to mend it.
#[derive(Clone, Debug)]
pub struct ConfigProblem {
    kind: ConfigProblemKind,
    path: String,
    message: String,
}

/// What is wrong with a setting.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ConfigProblemKind {
    /// The value is not what the setting takes: of another type, malformed, empty or out of bounds.
    Invalid,
    /// Something is not there that must be.
    Missing,
    /// There is no setting of this name.
    Unknown,
    /// It can be meant by itself, but not beside another setting.
    Conflict,
}

impl ConfigProblem {
    /// Returns what is wrong, for programs.
    pub fn kind(&self) -> ConfigProblemKind {
        self.kind
    }

    /// Returns where the problem is, such as `issuers[https://id.example.com].only_algorithms` or
    /// `rules[GET /orders]`. What a file says wrongly is named as the file has it,
    /// `issuers[0].leeway_seconds`; what it says well, but cannot be meant, by the issuer and the
    /// method.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns what is wrong and what to do about it.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}
