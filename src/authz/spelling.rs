//! What makes a path ambiguous: how a service that reads paths most leniently would read one.

use std::borrow::Cow;

/// Returns a path as the most lenient service reads it: percent-decoded, and without white space
/// around a segment or dots at its end. `None` if services could split it into different segments.
pub(super) fn leniently(path: &str) -> Option<Cow<'_, str>> {
    // one segment less for whoever merges slashes
    if path.contains("//") {
        return None;
    }
    if path.split('/').all(is_plain) {
        return Some(path.into());
    }
    let segments: Vec<_> = path.split('/').map(segment).collect::<Option<_>>()?;
    Some(segments.join("/").into())
}

/// Reads a pattern as the most lenient service reads its paths. A brace that was encoded is no
/// parameter's.
pub(super) fn pattern_as_read(pattern: &str) -> String {
    let braces = [("%7B", "{{"), ("%7b", "{{"), ("%7D", "}}"), ("%7d", "}}")];
    let escaped = braces.iter().fold(pattern.to_owned(), |pattern, (from, to)| pattern.replace(from, to));
    leniently(&escaped).map(Into::into).unwrap_or_default()
}

/// Tells whether every service reads a segment alike.
fn is_plain(segment: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'%' | b'\\' | b';');
    segment.bytes().all(plain) && !segment.ends_with('.')
}

fn segment(sent: &str) -> Option<String> {
    if sent.contains(['\\', ';']) {
        return None;
    }
    let decoded = decode(sent)?;
    let read = decoded.trim_start_matches(is_space).trim_end_matches(|char| char == '.' || is_space(char));
    // what is left out as a whole (`.`, `..`, `%20`) changes which segments there are
    let vanishes = read.is_empty() && !sent.is_empty();
    (!vanishes && !read.contains(char::is_control)).then(|| read.to_owned())
}

/// Tells whether a service may take this for white space; JavaScript counts the byte order mark.
fn is_space(char: char) -> bool {
    char.is_whitespace() || char == '\u{feff}'
}

/// Decodes a segment (RFC 3986 §2.1); `None` if it is malformed, no UTF-8, or has an encoding that
/// it should not have.
fn decode(segment: &str) -> Option<String> {
    let mut parts = segment.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let byte = u8::from_str_radix(digits, 16).ok().filter(|byte| is_hex && !is_needless(*byte))?;
        bytes.push(byte);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// Tells whether a byte need not be encoded (RFC 3986 §6.2.2.2), or could be taken for syntax when
/// it is decoded.
fn is_needless(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte.is_ascii_control() || b"-._~/\\;%?#".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_as_the_most_lenient_service_would() {
        for (sent, read) in [
            ("", ""),
            ("*", "*"),
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("/a.b/..c", "/a.b/..c"),
            ("/{id}/{{a}}/{*rest}", "/{id}/{{a}}/{*rest}"),
            ("/users/%40all", "/users/@all"),
            ("/%24batch", "/$batch"),
            ("/caf%C3%A9", "/café"),
            ("/caf%c3%a9", "/café"),
            ("/café", "/café"),
            ("/a%20b", "/a b"),
            ("/admin.", "/admin"),
            ("/admin...", "/admin"),
            ("/admin%20", "/admin"),
            ("/admin%20.", "/admin"),
            ("/admin.%20.%C2%A0/x", "/admin/x"),
            ("/%20admin/x", "/admin/x"),
            ("/%E3%80%80admin", "/admin"),
            ("/admin\u{a0}", "/admin"),
            ("/admin%EF%BB%BF.", "/admin"),
            ("/\u{feff}admin", "/admin"),
        ] {
            assert_eq!(leniently(sent).as_deref(), Some(read), "{sent}");
        }
    }

    #[test]
    fn what_could_be_split_in_another_way_is_not_read() {
        for sent in [
            "//",
            "//a",
            "/a//b",
            "/a//",
            "/.",
            "/..",
            "/a/../b",
            "/a/./b",
            "/...",
            "/a/%20/b",
            "/a/%20",
            "/a/%EF%BB%BF",
            "/. .",
            "/%20..",
            "/a\\b",
            "/a;b",
            "/%2e%2E",
            "/a%2fb",
            "/a%5Cb",
            "/a%3Bb",
            "/a%3Fb",
            "/a%23b",
            "/a%252Fb",
            "/%61",
            "/%7E",
            "/a%00",
            "/a%0a",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%+a",
            "/a%é",
            "/%C0%AF",
            "/%C3",
            "/%FF",
            "/%ED%A0%80",
            "/a%C2%85b",
        ] {
            assert_eq!(leniently(sent), None, "{sent}");
        }
    }
}
