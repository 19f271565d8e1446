//! `X-Forwarded-Client-Cert`: elements with `,` between them, of pairs with `;` between them, whose
//! values may be quoted, with `\` before what is meant by itself.

use super::hex;

/// What is wrong with a header, for the operator.
type Wrong = &'static str;

/// Finds the `Hash` of the one element.
pub(super) fn hash(value: &[u8]) -> Result<[u8; 32], Wrong> {
    let mut found = None;
    let mut rest = value;
    loop {
        let end = rest.iter().position(|byte| *byte == b'=').ok_or("a pair without `=`")?;
        let (key, behind) = rest.split_at_checked(end).ok_or("a pair without `=`")?;
        if key.is_empty() || !key.iter().all(u8::is_ascii_alphabetic) {
            return Err("a name that is none");
        }
        let (value, behind) = value_of(behind.get(1..).unwrap_or_default())?;
        if key.eq_ignore_ascii_case(b"hash") && found.replace(digest(value)?).is_some() {
            return Err("it has two hashes");
        }
        match behind.split_first() {
            None => return found.ok_or("it has no hash"),
            Some((b';', behind)) => rest = behind,
            Some((b',', _)) => {
                return Err("it has more than one element: let the proxy set it anew (SANITIZE_SET), not append to it");
            }
            Some(_) => return Err("text behind a quoted value"),
        }
    }
}

/// Splits off the value with which the text begins, without its quotes.
fn value_of(text: &[u8]) -> Result<(&[u8], &[u8]), Wrong> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let end = text.iter().position(|byte| matches!(byte, b';' | b',')).unwrap_or(text.len());
        let (value, behind) = text.split_at_checked(end).unwrap_or((text, b""));
        return if value.contains(&b'"') { Err("a quote within a value") } else { Ok((value, behind)) };
    };
    let mut escaped = false;
    let end = quoted.iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    let (value, behind) = end.and_then(|end| quoted.split_at_checked(end)).ok_or("a quote that does not end")?;
    Ok((value, behind.get(1..).unwrap_or_default()))
}

/// Reads 64 hexadecimal digits.
fn digest(text: &[u8]) -> Result<[u8; 32], Wrong> {
    let wrong = "the hash is not 64 hexadecimal digits, so not SHA-256";
    let (pairs, rest) = text.as_chunks::<2>();
    let mut digest = [0; 32];
    if pairs.len() != digest.len() || !rest.is_empty() {
        return Err(wrong);
    }
    for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
        *byte = hex::byte(*high, *low).ok_or(wrong)?;
    }
    Ok(digest)
}
