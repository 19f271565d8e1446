//! What is wrong with a text that is no token (RFC 6750 §2.1), in words that hold nothing of it.

/// Names what the text has that no token has.
pub(super) fn of(text: &[u8]) -> &'static str {
    let has = |wrong: fn(&u8) -> bool| text.iter().any(wrong);
    if text.is_empty() {
        "the token is empty"
    } else if begins_with_scheme(text) {
        "the scheme Bearer stands before the token where only the token is expected"
    } else if text.starts_with(b"{\"") {
        "it is a JSON document, and not the token in it"
    } else if has(|byte| matches!(byte, b'"' | b'\'')) {
        "the token has quotes around it or in it"
    } else if has(|byte| *byte == b',') {
        "there is a comma: more than one token, or something behind it"
    } else if has(|byte| matches!(byte, b'\n' | b'\r')) {
        "the token has a line break at its end or in it"
    } else if has(u8::is_ascii_whitespace) {
        "the token has white space in it, or there is a word before or behind it"
    } else if has(|byte| matches!(byte, b'<' | b'>' | b'{' | b'}' | b'$')) {
        "the token has brackets or a dollar sign, as a placeholder has that was not filled in"
    } else if has(|byte| *byte == b'%') {
        "the token is percent-encoded"
    } else if has(|byte| !byte.is_ascii_graphic()) {
        "the token has control characters, or some that are not ASCII"
    } else if has(|byte| *byte == b'=') {
        "the token has an equals sign that is not at the end of a part, or is all of one"
    } else {
        "the token has characters that RFC 6750 §2.1 does not allow"
    }
}

fn begins_with_scheme(text: &[u8]) -> bool {
    let (scheme, rest) = text.split_at_checked(b"bearer".len()).unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"bearer") && rest.first().is_some_and(u8::is_ascii_whitespace)
}

#[cfg(test)]
mod tests {
    use super::super::{BearerToken, DEFAULT_MAX_LEN};

    #[test]
    fn what_is_no_token_is_told_by_what_is_in_its_way() {
        for (text, says) in [
            ("", "empty"),
            ("Bearer s3cr3t.a.b", "the scheme Bearer"),
            ("bearer  s3cr3t", "the scheme Bearer"),
            ("{\"access_token\":\"s3cr3t\"}", "JSON"),
            ("\"s3cr3t\"", "quotes"),
            ("'s3cr3t'", "quotes"),
            ("s3cr3t, s3cr3t", "a comma"),
            ("s3cr3t\n", "a line break"),
            ("s3cr3t\r\ns3cr3t", "a line break"),
            ("s3cr3t s3cr3t", "white space"),
            ("JWT s3cr3t", "white space"),
            ("s3cr3t\t", "white space"),
            ("<s3cr3t>", "a placeholder"),
            ("{{s3cr3t}}", "a placeholder"),
            ("$s3cr3t", "a placeholder"),
            ("s3cr3t%2Es3cr3t", "percent-encoded"),
            ("s3cr3t\u{0}", "control characters"),
            ("s3cr3t\u{7f}", "control characters"),
            ("s3cr3tä", "not ASCII"),
            ("s3cr3t\u{200b}", "not ASCII"),
            ("s3cr3t==.=.s3cr3t", "an equals sign"),
            ("s3cr3t=..s3cr3t", "an equals sign"),
            ("s3=cr3t", "an equals sign"),
            ("==", "an equals sign"),
            ("s3cr3t;", "does not allow"),
            ("s3cr3t:s3cr3t", "does not allow"),
        ] {
            let error = BearerToken::from_bytes(text.as_bytes(), DEFAULT_MAX_LEN).unwrap_err().to_string();
            assert!(error.contains(says), "{text:?}: {error}");
            assert!(!error.contains("s3"), "{text:?}: {error}");
        }
    }
}
