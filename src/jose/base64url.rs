//! base64url as RFC 7515 §2 wants it: no padding, no white space, no stray bits.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::{DecodeSliceError, Engine};

/// Decodes `text`; `None` if it is anything but canonical, unpadded base64url.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Decodes `text` into a buffer.
pub(super) fn decode_into<'b>(text: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], DecodeSliceError> {
    let len = URL_SAFE_NO_PAD.decode_slice(text, buffer)?;
    Ok(buffer.get(..len).unwrap_or_default())
}
