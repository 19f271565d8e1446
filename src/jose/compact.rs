//! The compact serialization of RFC 7515 (§3.1, §5.2), the protected header in it (§4), and the
//! encoding of its parts: base64url without padding, white space and stray bits (§2).
//!
//! In a token's parts, padding is read too, if it is what RFC 4648 §5 demands: whether a token may
//! have it is for its issuer's terms to say.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
#[cfg(feature = "introspection")]
use std::collections::HashMap;

use base64_simd::{AsOut, Base64, URL_SAFE, URL_SAFE_NO_PAD};
use memchr::memchr_iter;
#[cfg(feature = "introspection")]
use serde::de::IgnoredAny;

use super::Algorithm;
use super::json::{Json, Value};
use crate::credential::BearerToken;
use crate::error::{Error, ErrorKind};

/// The longest protected header, decoded, in bytes. Real ones have 60 to 200; with a certificate
/// chain inside, some 3000.
const MAX_HEADER_LEN: usize = 4 * 1024;

/// A token taken apart: decoded, strictly parsed, and nothing of it believed.
pub(crate) struct Compact<'t> {
    /// The protected header, and after it the claims.
    pub(crate) json: Json,
    pub(crate) algorithm: Algorithm,
    pub(crate) signed: Signed<'t>,
    /// Whether a part of it is padded, which RFC 7515 §2 forbids.
    pub(crate) padded: bool,
}

/// Room for the longest signature, that of an RSA key of 8192 bits, and for what a decoder
/// overestimates.
pub(crate) type SignatureBuffer = [u8; 1024 + 8];

/// What the signature covers, and the signature, as they were received.
#[derive(Clone, Copy)]
pub(crate) struct Signed<'t> {
    message: &'t str,
    signature: &'t str,
}

/// Says what is wrong with the encoding of a part, in a text that costs nothing to make.
macro_rules! not_base64url {
    ($part_is:literal, $text:expr) => {
        malformed(match NotBase64url::of($text) {
            NotBase64url::Characters => concat!($part_is, " not base64url: it does not have all of these characters"),
            NotBase64url::CutOff => {
                concat!($part_is, " not base64url: no text of this length is, so some of it was cut off")
            }
            NotBase64url::Padded => {
                concat!($part_is, " wrongly padded base64url (=), and RFC 7515 §2 forbids any: leave the padding out")
            }
            NotBase64url::StandardAlphabet => {
                concat!($part_is, " base64 (+ and /), not base64url (- and _, RFC 7515 §2)")
            }
            NotBase64url::StrayBits => {
                concat!($part_is, " not base64url: bits are left over, so it was cut off or altered")
            }
        })
    };
}

impl<'t> Compact<'t> {
    pub(crate) fn parse(token: BearerToken<'t>) -> Result<Self, Error> {
        let (header, claims, signed) = split(token.as_str())?;
        if header.len() > MAX_HEADER_LEN.saturating_mul(4).div_ceil(3) {
            return Err(malformed("the protected header is longer than 4 KiB"));
        }
        let room = max_len(header).saturating_add(max_len(claims));
        let mut json = Json::with_capacity(room);
        let mut text = json.take_text();
        decode_to(header, &mut text).ok_or_else(|| not_base64url!("the protected header is", header))?;
        let parsed = json.parse(text, 0);
        parsed.map_err(|fault| malformed(format!("in the protected header, {fault}")))?;
        let algorithm = Header::read(json.root())?.algorithm;
        let mut text = json.take_text();
        let start = text.len();
        decode_to(claims, &mut text).ok_or_else(|| not_base64url!("the claims are", claims))?;
        json.parse(text, start).map_err(|fault| malformed(format!("in the claims, {fault}")))?;
        let padded = [header, claims, signed.signature].into_iter().any(is_padded);
        Ok(Self { json, algorithm, signed, padded })
    }
}

/// Tells whether a token has the form of a JWT, be it a good one or not: three parts in base64url,
/// of which the first is an object with `alg`.
#[cfg(feature = "introspection")]
pub(crate) fn is_jwt(token: &str) -> bool {
    let parts: Vec<_> = token.split('.').map(decode_base64url).collect();
    let [Some(header), Some(_), Some(_)] = parts.as_slice() else { return false };
    // as lenient as the most lenient reader, so that nothing that one takes for a JWT is another
    // thing here
    let members: Result<HashMap<String, IgnoredAny>, _> = serde_json::from_slice(header);
    members.is_ok_and(|members| members.contains_key("alg"))
}

impl<'t> Signed<'t> {
    /// Finds the parts of a token that was taken apart before.
    #[cfg(feature = "dpop")]
    pub(crate) fn of(token: BearerToken<'t>) -> Result<Self, Error> {
        split(token.as_str()).map(|(.., signed)| signed)
    }

    pub(crate) fn message(self) -> &'t [u8] {
        self.message.as_bytes()
    }

    /// Decodes the signature into the buffer.
    pub(crate) fn signature(self, buffer: &mut SignatureBuffer) -> Result<&[u8], Error> {
        if max_len(self.signature) > buffer.len() {
            return Err(Error::new(ErrorKind::BadSignature, "the signature is longer than that of any algorithm"));
        }
        let decoded = decode_into(self.signature, buffer);
        decoded.ok_or_else(|| not_base64url!("the signature is", self.signature))
    }
}

/// Tells the form of a token, which is all that is known before its issuer, and splits a JWS. There
/// are exactly two dots in a JWS, four in a JWE (RFC 7516 §9), and none in an opaque token.
fn split(token: &str) -> Result<(&str, &str, Signed<'_>), Error> {
    let mut dots = memchr_iter(b'.', token.as_bytes());
    let Some(first) = dots.next() else {
        let detail = "the token has no dots; if the issuer can issue JWTs, this client has not asked for one, often for \
                      want of an audience";
        return Err(Error::new(ErrorKind::OpaqueToken, detail));
    };
    let Some(second) = dots.next() else {
        return Err(malformed("the token has two parts, not three"));
    };
    match dots.take(3).count() {
        0 => {}
        2 => return Err(Error::new(ErrorKind::EncryptedToken, "the token has five parts: a JWE")),
        _ => return Err(malformed("the token has neither three parts nor five")),
    }
    let parts = || {
        let (message, signature) = token.split_at_checked(second)?;
        let (header, payload) = message.split_at_checked(first)?;
        let signed = Signed { message, signature: signature.strip_prefix('.')? };
        Some((header, payload.strip_prefix('.')?, signed))
    };
    parts().ok_or_else(|| Error::from(ErrorKind::MalformedToken))
}

/// What a JWS protected header says that matters here. Parameters that are not understood are
/// ignored, as RFC 7515 §4 demands; among them `jku`, `x5u`, `x5c` and `jwk`: a token cannot bring
/// its own key.
#[derive(Clone, Copy)]
pub(crate) struct Header<'j> {
    object: Value<'j>,
    pub(crate) algorithm: Algorithm,
}

impl<'j> Header<'j> {
    pub(crate) fn read(object: Value<'j>) -> Result<Self, Error> {
        // RFC 7515 §4.1.11: no extension is understood here, so whatever is critical is refused,
        // and so is an empty list. RFC 7797 §7: a JWT must not use b64; without `crit` it would be
        // ignored by one reader and honoured by another
        for (name, detail) in [
            ("crit", "the protected header has the parameter crit"),
            ("b64", "the protected header has the parameter b64"),
        ] {
            if object.get(name).is_some() {
                return Err(Error::new(ErrorKind::CriticalHeader, detail));
            }
        }
        let Some(name) = string(object, "alg")? else {
            return Err(malformed("the protected header has no alg"));
        };
        let Some(algorithm) = Algorithm::from_name(name) else {
            let detail =
                if name.eq_ignore_ascii_case("none") { "the token is unsigned" } else { "alg is unknown here" };
            return Err(Error::new(ErrorKind::UnsupportedAlgorithm, detail));
        };
        string(object, "kid")?;
        string(object, "typ")?;
        Ok(Self { object, algorithm })
    }

    /// Returns a header that was read before.
    pub(crate) fn of(object: Value<'j>, algorithm: Algorithm) -> Self {
        Self { object, algorithm }
    }

    pub(crate) fn kid(self) -> Option<&'j str> {
        self.object.get("kid").and_then(Value::as_str)
    }

    /// Returns the thumbprint of the key's certificate (RFC 7515 §4.1.7). It is a hint, and nothing
    /// is demanded of it.
    pub(crate) fn x5t(self) -> Option<&'j str> {
        self.object.get("x5t").and_then(Value::as_str)
    }

    pub(crate) fn typ(self) -> Option<&'j str> {
        self.object.get("typ").and_then(Value::as_str)
    }
}

/// Takes the prefix `application/` from a `typ`, so that two of them can be compared, without
/// regard to case (RFC 7515 §4.1.9, RFC 8725 §3.11).
pub(crate) fn media_type(typ: &str) -> &str {
    const PREFIX: &str = "application/";
    let (prefix, rest) = typ.split_at_checked(PREFIX.len()).unwrap_or(("", typ));
    if prefix.eq_ignore_ascii_case(PREFIX) && !rest.contains('/') { rest } else { typ }
}

fn string<'j>(root: Value<'j>, name: &str) -> Result<Option<&'j str>, Error> {
    let Some(value) = root.get(name) else { return Ok(None) };
    let text = value.as_str();
    text.map(Some)
        .ok_or_else(|| malformed(format!("the header parameter {name} is {}, not a string", value.type_name())))
}

/// Encodes bytes.
#[cfg(any(feature = "dpop", feature = "http-client", feature = "testing", feature = "rust-crypto"))]
pub(crate) fn encode_base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode_to_string(bytes)
}

/// Decodes `text`; `None` if it is anything but canonical, unpadded base64url.
pub(crate) fn decode_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode_to_vec(text).ok()
}

/// Tells whether a part of a token has padding; where its `=` is not at the end, it cannot be
/// decoded anyway.
fn is_padded(part: &str) -> bool {
    part.ends_with('=')
}

/// Decodes a part of a token, padded or not, and appends what it stands for.
fn decode_to(text: &str, bytes: &mut Vec<u8>) -> Option<()> {
    codec(text).decode_append(text, bytes).ok()
}

/// Decodes a part of a token, padded or not, into a buffer; `None` also if this is shorter than
/// [`max_len`], for which the library would panic.
fn decode_into<'b>(text: &str, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
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
enum NotBase64url {
    Characters,
    CutOff,
    Padded,
    StandardAlphabet,
    StrayBits,
}

impl NotBase64url {
    /// Finds out why a text could not be decoded; most often it was encoded by what knows base64
    /// only.
    fn of(text: &str) -> Self {
        let has = |wrong: fn(u8) -> bool| text.bytes().any(wrong);
        if has(|byte| byte == b'=') {
            Self::Padded
        } else if has(|byte| byte == b'+' || byte == b'/') {
            Self::StandardAlphabet
        } else if has(|byte| !byte.is_ascii_alphanumeric() && byte != b'-' && byte != b'_') {
            Self::Characters
        } else if text.len() % 4 == 1 {
            Self::CutOff
        } else {
            Self::StrayBits
        }
    }
}

/// Returns how many bytes a text of this length can stand for at most.
fn max_len(text: &str) -> usize {
    text.len().div_ceil(4).saturating_mul(3)
}

fn malformed(detail: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::MalformedToken, detail)
}
