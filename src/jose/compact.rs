//! The compact serialization (RFC 7515 §3.1, §5.2).

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use memchr::memchr_iter;

use super::Algorithm;
use super::base64url::{self, Fault};
use super::header::Header;
use super::json::Json;
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
        malformed(match base64url::fault($text) {
            Fault::Characters => concat!($part_is, " not base64url: it does not have all of these characters"),
            Fault::CutOff => concat!($part_is, " not base64url: no text of this length is, so some of it was cut off"),
            Fault::Padded => {
                concat!($part_is, " wrongly padded base64url (=), and RFC 7515 §2 forbids any: leave the padding out")
            }
            Fault::StandardAlphabet => concat!($part_is, " base64 (+ and /), not base64url (- and _, RFC 7515 §2)"),
            Fault::StrayBits => concat!($part_is, " not base64url: bits are left over, so it was cut off or altered"),
        })
    };
}

impl<'t> Compact<'t> {
    pub(crate) fn parse(token: BearerToken<'t>) -> Result<Self, Error> {
        let (header, claims, signed) = split(token.as_str())?;
        if header.len() > MAX_HEADER_LEN.saturating_mul(4).div_ceil(3) {
            return Err(malformed("the protected header is longer than 4 KiB"));
        }
        let room = base64url::max_len(header).saturating_add(base64url::max_len(claims));
        let mut json = Json::with_capacity(room);
        let mut text = json.take_text();
        base64url::decode_to(header, &mut text).ok_or_else(|| not_base64url!("the protected header is", header))?;
        let parsed = json.parse(text, 0);
        parsed.map_err(|fault| malformed(format!("in the protected header, {fault}")))?;
        let algorithm = Header::read(json.root())?.algorithm;
        let mut text = json.take_text();
        let start = text.len();
        base64url::decode_to(claims, &mut text).ok_or_else(|| not_base64url!("the claims are", claims))?;
        json.parse(text, start).map_err(|fault| malformed(format!("in the claims, {fault}")))?;
        let padded = [header, claims, signed.signature].into_iter().any(base64url::is_padded);
        Ok(Self { json, algorithm, signed, padded })
    }
}

impl<'t> Signed<'t> {
    pub(crate) fn message(self) -> &'t [u8] {
        self.message.as_bytes()
    }

    /// Decodes the signature into the buffer.
    pub(crate) fn signature(self, buffer: &mut SignatureBuffer) -> Result<&[u8], Error> {
        if base64url::max_len(self.signature) > buffer.len() {
            return Err(Error::new(ErrorKind::BadSignature, "the signature is longer than that of any algorithm"));
        }
        let decoded = base64url::decode_into(self.signature, buffer);
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

fn malformed(detail: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::MalformedToken, detail)
}
