use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;

fn routes(patterns: &[String]) -> Option<Routes<usize>> {
    let mut problems = ConfigError::default();
    // some have the same value
    let route =
        |(place, pattern): (usize, &String)| Route { method: Method::GET, pattern: pattern.clone(), value: place % 3 };
    let routes = Routes::new("rules", patterns.iter().enumerate().map(route).collect(), &mut problems);
    problems.or(routes).ok()
}

fn value(routes: &Routes<usize>, path: &str) -> Option<usize> {
    routes.find(&Method::GET, path).map(|(_, value)| *value)
}

/// A segment as it is meant, by another way than that of the code.
fn meaning(segment: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = segment.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
                bytes.push(digit(*high) * 16 + digit(*low));
                rest = tail;
            }
            _ => bytes.push(*first),
        }
    }
    let text = String::from_utf8(bytes).unwrap();
    text.trim().trim_end_matches(['.', ' ']).to_owned()
}

/// Tells whether a pattern fits a path, both of them as they are meant; and how exactly, segment by
/// segment.
fn fits(pattern: &str, path: &[String]) -> Option<Vec<u8>> {
    let mut exactness = Vec::new();
    let segments: Vec<_> = pattern.split('/').collect();
    for (place, segment) in segments.iter().enumerate() {
        let own = path.get(place)?;
        match *segment {
            "{*r}" => {
                exactness.push(0);
                return (!own.is_empty() || path.len() > place + 1).then_some(exactness);
            }
            "{x}" | "{y}" if !own.is_empty() => exactness.push(1),
            "{x}" | "{y}" => return None,
            literal if meaning(literal) == *own => exactness.push(2),
            _ => return None,
        }
    }
    (segments.len() == path.len()).then_some(exactness)
}

/// The value of the pattern that fits best.
fn best(patterns: &[String], path: &str) -> Option<usize> {
    let path: Vec<_> = path.split('/').map(meaning).collect();
    let fitting = patterns.iter().enumerate().filter_map(|(place, pattern)| Some((fits(pattern, &path)?, place)));
    fitting.max_by(|(one, _), (other, _)| one.partial_cmp(other).unwrap_or(Ordering::Equal)).map(|(_, place)| place % 3)
}

/// A spelling of a segment.
fn spelled(segment: &str, encoded: u8, upper: bool, end: &str) -> String {
    let mut text = String::new();
    for (place, byte) in segment.bytes().enumerate() {
        let must = !byte.is_ascii();
        match must || encoded >> (place % 8) & 1 == 1 {
            true if upper => text.push_str(&format!("%{byte:02X}")),
            true => text.push_str(&format!("%{byte:02x}")),
            false => text.push(char::from(byte)),
        }
    }
    text + end
}

const PATTERN: &str = r"(/(a|@a|%40a|\$a|%24a|%C3%A9|%c3%a9|é|a\.|\{x\}|\{y\})){1,3}(/|/\{\*r\})?";

/// Of which many fit one path.
const FEW: &str = r"(/(a|@a|@a|%40a|%C3%A9|a\.|\{x\}|\{x\})){1,2}(/|/\{\*r\})?";

fn segment() -> impl Strategy<Value = String> {
    let text = prop::sample::select(vec!["a", "@a", "@a", "é", "@b"]);
    let end = prop::sample::select(vec!["", "", "", "", ".", "%20", ".%20", "%C2%A0"]);
    (text, prop_oneof![Just(0), Just(1), any::<u8>()], any::<bool>(), end)
        .prop_map(|(text, encoded, upper, end)| spelled(text, encoded, upper, end))
}

proptest! {
    #[test]
    fn a_spelling_has_the_rule_of_its_decoded_form_or_none(
        patterns in prop::collection::vec(FEW, 2..7),
        segments in prop::collection::vec(segment(), 1..3),
        slash in prop::sample::select(vec!["", "/"]),
    ) {
        let path = format!("/{}{slash}", segments.join("/"));
        if let Some(routes) = routes(&patterns) {
            let found = value(&routes, &path);
            prop_assert!(found.is_none() || found == best(&patterns, &path), "{found:?} {:?}", best(&patterns, &path));
        }
    }

    #[test]
    fn a_path_that_can_be_read_in_one_way_only_has_the_rule_of_the_most_exact_pattern(
        patterns in prop::collection::vec(r"(/(a|@a|\{x\}|\{y\})){1,3}(/\{\*r\})?", 1..6),
        path in "(/(a|@a|b|%C3%A9|@b)){1,4}",
    ) {
        if let Some(routes) = routes(&patterns) {
            prop_assert_eq!(value(&routes, &path), best(&patterns, &path));
        }
    }

    #[test]
    fn whether_a_slash_matters_is_known_beforehand(
        patterns in prop::collection::vec(PATTERN, 1..6),
        path in "(/(a|@a|b|%40a|c)){1,3}/?",
    ) {
        // patterns that do not go together are none of this test's business
        if let Some(mut routes) = routes(&patterns) {
            let found = value(&routes, &path);
            routes.as_sent.slash_matters = true;
            routes.as_read.iter_mut().for_each(|index| index.slash_matters = true);
            prop_assert_eq!(found, value(&routes, &path));
        }
    }

    #[test]
    fn no_pattern_makes_it_panic(patterns in prop::collection::vec(r"(/[a{}*%74Bé]{0,6}){1,3}", 1..8), path in "(/[a{}*%7B]{0,3}){1,3}") {
        if let Some(routes) = routes(&patterns) {
            let _ = routes.find(&Method::GET, &path);
        }
    }
}
