//! Which patterns fit a path.

use matchit::Router;

use crate::error::ConfigError;

/// Finds the patterns that fit a path, by the router that axum has, too.
pub(super) struct Index {
    router: Router<Vec<usize>>,
    /// Whether a pattern ends with a slash, so that one more at the end of a path could make a
    /// difference.
    pub(super) slash_matters: bool,
}

/// The parameters that matchit can tell apart in one pattern: it panics at one more.
const MAX_PARAMETERS: usize = 25;

impl Index {
    /// Makes the index of these patterns. Problems are called `name[…]`.
    pub(super) fn new<'p>(name: &str, patterns: impl Iterator<Item = &'p str>, problems: &mut ConfigError) -> Self {
        let mut groups: Vec<(&str, Vec<usize>)> = Vec::new();
        for (place, pattern) in patterns.enumerate() {
            match groups.iter_mut().find(|(own, _)| *own == pattern) {
                Some((_, places)) => places.push(place),
                None => groups.push((pattern, vec![place])),
            }
        }
        let slash_matters = groups.iter().any(|(pattern, _)| pattern.len() > 1 && pattern.ends_with('/'));
        let mut router = Router::new();
        for (pattern, places) in groups {
            let parameters = exactness(pattern).filter(|(kind, _)| *kind != Kind::Literal).count();
            let inserted = if parameters > MAX_PARAMETERS {
                Err(format!("a path has at most {MAX_PARAMETERS} parameters"))
            } else {
                router.insert(pattern, places).map_err(|error| error.to_string())
            };
            if let Err(problem) = inserted {
                problems.push(format!("{name}[{pattern}]"), problem);
            }
        }
        Self { router, slash_matters }
    }

    /// Finds the places of the routes whose pattern fits best.
    pub(super) fn at(&self, path: &str) -> Option<&[usize]> {
        let found = self.router.at(path).ok()?;
        // matchit lets `/v{n}/x` fit `/v/x`; others would take that for `/{any}/x`
        let stands_for_nothing = found.params.iter().any(|(_, value)| value.is_empty());
        (!stands_for_nothing).then_some(found.value.as_slice())
    }

    /// Finds the routes of the path with a slash more or less at its end.
    pub(super) fn but_for_a_slash(&self, path: &str) -> Option<&[usize]> {
        match path.strip_suffix('/') {
            Some(less) => self.at(less),
            // `{*rest}` alone would fit with a slash more, and it fits without, too
            None if self.slash_matters => self.at(&[path, "/"].concat()),
            None => None,
        }
    }
}

/// How exactly a segment of a pattern says what it fits, least first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Kind {
    CatchAll,
    Parameter,
    Literal,
}

/// Ranks a pattern as routers do: by the first segment that differs, and in it by how much stands
/// before a parameter. A slash at the end does not count.
pub(super) fn exactness(pattern: &str) -> impl Iterator<Item = (Kind, usize)> {
    pattern.strip_suffix('/').unwrap_or(pattern).split('/').map(|segment| {
        let mut rest = segment;
        while let Some((_, after)) = rest.split_once('{') {
            // `{{` is a brace
            let Some(after_brace) = after.strip_prefix('{') else {
                let kind = if after.starts_with('*') { Kind::CatchAll } else { Kind::Parameter };
                return (kind, segment.len().saturating_sub(after.len()));
            };
            rest = after_brace;
        }
        (Kind::Literal, 0)
    })
}
