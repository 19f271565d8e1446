//! base64url as RFC 7515 §2 wants it: no padding, no white space, no stray bits. In a token's
//! parts, padding is read too, if it is what RFC 4648 §5 demands: whether a token may have it is
//! for its issuer's terms to say.

use base64_simd::{AsOut, Base64, URL_SAFE, URL_SAFE_NO_PAD};

/// Encodes bytes.
#[cfg(any(feature = "http-client", feature = "testing", feature = "rust-crypto"))]
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode_to_string(bytes)
}

/// Decodes `text`; `None` if it is anything but canonical, unpadded base64url.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode_to_vec(text).ok()
}

/// Tells whether a part of a token has padding; where its `=` is not at the end, it cannot be
/// decoded anyway.
pub(super) fn is_padded(part: &str) -> bool {
    part.ends_with('=')
}

/// Decodes a part of a token, padded or not, and appends what it stands for.
pub(super) fn decode_to(text: &str, bytes: &mut Vec<u8>) -> Option<()> {
    codec(text).decode_append(text, bytes).ok()
}

/// Decodes a part of a token, padded or not, into a buffer; `None` also if this is shorter than
/// [`max_len`], for which the library would panic.
pub(super) fn decode_into<'b>(text: &str, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    if max_len(text) > buffer.len() {
        return None;
    }
    codec(text).decode(text.as_bytes(), buffer.as_out()).ok().map(|decoded| &*decoded)
}

/// Both are strict: one refuses padding, the other demands it where it belongs.
fn codec(text: &str) -> &'static Base64 {
    if is_padded(text) { &URL_SAFE } else { &URL_SAFE_NO_PAD }
}

/// Why a text is no base64url.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    Characters,
    CutOff,
    Padded,
    StandardAlphabet,
    StrayBits,
}

/// Finds out why a text could not be decoded; most often it was encoded by what knows base64 only.
pub(super) fn fault(text: &str) -> Fault {
    let has = |wrong: fn(u8) -> bool| text.bytes().any(wrong);
    if has(|byte| byte == b'=') {
        Fault::Padded
    } else if has(|byte| byte == b'+' || byte == b'/') {
        Fault::StandardAlphabet
    } else if has(|byte| !byte.is_ascii_alphanumeric() && byte != b'-' && byte != b'_') {
        Fault::Characters
    } else if text.len() % 4 == 1 {
        Fault::CutOff
    } else {
        Fault::StrayBits
    }
}

/// Returns how many bytes a text of this length can stand for at most.
pub(super) fn max_len(text: &str) -> usize {
    text.len().div_ceil(4).saturating_mul(3)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Two libraries, one by the book and one by vectors, agree on what is canonical, and on
        /// what it says.
        #[test]
        fn another_decoder_reads_the_same(mut text in "[A-Za-z0-9_-]{0,140}", odd in "[A-Z=+/. \n\u{0}\u{e9}]?", at: prop::sample::Index) {
            text.insert_str(at.index(text.len() + 1), &odd);
            let expected = general_purpose::URL_SAFE_NO_PAD.decode(&text).ok();
            let decoded = decode(&text);
            prop_assert_eq!(decoded.as_deref(), expected.as_deref());
            let mut buffer = [0; 200];
            if !is_padded(&text) {
                prop_assert_eq!(decode_into(&text, &mut buffer), expected.as_deref());
            }
            if let Some(bytes) = expected {
                prop_assert_eq!(decode(&general_purpose::URL_SAFE_NO_PAD.encode(&bytes)), Some(bytes));
            }
        }

        /// And so they do on what is padded rightly.
        #[test]
        fn another_decoder_reads_the_same_padding(bytes: Vec<u8>, mut odd in "[A-Za-z0-9_=-]{0,12}={1,3}") {
            odd.insert_str(0, "AAAA");
            for text in [general_purpose::URL_SAFE.encode(&bytes), odd] {
                let expected = general_purpose::URL_SAFE.decode(&text).ok();
                let (mut appended, mut buffer) = (Vec::new(), vec![0; max_len(&text)]);
                prop_assert_eq!(decode_to(&text, &mut appended).map(|()| &*appended), expected.as_deref());
                prop_assert_eq!(decode_into(&text, &mut buffer), expected.as_deref());
                prop_assert!(!is_padded(&text) || decode(&text).is_none(), "members of keys have none");
            }
        }
    }

    #[test]
    fn what_is_no_base64url_is_told_apart() {
        for (text, expected) in [
            ("e30=", Fault::Padded),
            ("e3=0", Fault::Padded),
            ("+/8=", Fault::Padded),
            ("+/8", Fault::StandardAlphabet),
            ("e30~", Fault::Characters),
            ("e3\n0", Fault::Characters),
            ("é", Fault::Characters),
            ("e30AA", Fault::CutOff),
            ("e31", Fault::StrayBits),
        ] {
            assert_eq!((decode(text), fault(text)), (None, expected), "{text:?}");
        }
    }

    #[test]
    fn a_text_that_might_not_fit_is_not_decoded() {
        assert_eq!(decode_into("AAAA", &mut [0; 3]), Some(&[0; 3][..]));
        assert_eq!(decode_into("AAAA", &mut [0; 2]), None);
        assert_eq!(decode_into("AAAAA", &mut [0; 3]), None);
    }
}
