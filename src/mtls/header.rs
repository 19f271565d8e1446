//! Headers by which proxies tell what certificate their client has shown.

mod envoy;
mod hex;
#[cfg(test)]
mod tests;

use base64_simd::STANDARD;
use http::HeaderName;
use spki::der::{Decode as _, Tag, Tagged as _, asn1::AnyRef, pem};

use super::certificate::ClientCertificate;

/// A header by which a proxy tells what certificate its client has shown: its name, and its format.
///
/// The proxy must *set* the header, in place of whatever its client has sent:
///
/// | proxy | setting | header |
/// |---|---|---|
/// | HAProxy | `http-request set-header Client-Cert :%[ssl_c_der,base64]:` | [`client_cert`](Self::client_cert) |
/// | Google Cloud's load balancers | a custom header with the value `{client_cert_leaf}` | [`byte_sequence`](Self::byte_sequence) |
/// | Envoy | `forward_client_cert_details: SANITIZE_SET` | [`envoy`](Self::envoy) |
/// | nginx | `proxy_set_header X-Client-Cert $ssl_client_escaped_cert;` | [`escaped_pem`](Self::escaped_pem) |
/// | AWS's load balancers (ALB), mode *verify* | none: `X-Amzn-Mtls-Clientcert-Leaf` | [`escaped_pem`](Self::escaped_pem) |
///
/// An empty header says that the client has shown none, as does a header that is not there.
#[derive(Clone, Debug)]
pub struct CertificateHeader {
    name: HeaderName,
    format: Format,
}

#[derive(Clone, Copy, Debug)]
enum Format {
    ByteSequence,
    Envoy,
    EscapedPem,
}

/// What is wrong with a header, for the operator.
type Wrong = &'static str;

impl CertificateHeader {
    /// `Client-Cert` (RFC 9440): the certificate in base64, between colons.
    #[must_use]
    pub fn client_cert() -> Self {
        Self::byte_sequence(HeaderName::from_static("client-cert"))
    }

    /// A header of this name, in the format of `Client-Cert` (RFC 9440).
    #[must_use]
    pub fn byte_sequence(name: HeaderName) -> Self {
        Self { name, format: Format::ByteSequence }
    }

    /// `X-Forwarded-Client-Cert`, as Envoy writes it. Of what it says, `Hash` counts.
    ///
    /// The header must have one element, as `SANITIZE_SET` makes it, which says what the peer of
    /// the trusted proxy has shown. With two, as `APPEND_FORWARD` adds them, the request is refused:
    /// Envoy neither quotes nor escapes the names in a certificate (`URI`, `DNS`), so that a
    /// self-made one can make what looks like a further element, or another `Hash`.
    #[must_use]
    pub fn envoy() -> Self {
        Self { name: HeaderName::from_static("x-forwarded-client-cert"), format: Format::Envoy }
    }

    /// A header of this name, with one certificate in PEM, percent-encoded.
    #[must_use]
    pub fn escaped_pem(name: HeaderName) -> Self {
        Self { name, format: Format::EscapedPem }
    }

    pub(crate) fn name(&self) -> &HeaderName {
        &self.name
    }

    /// Reads the header's value; `None` if the client has shown no certificate.
    pub(super) fn read(&self, value: &[u8]) -> Result<Option<ClientCertificate>, Wrong> {
        if value.is_empty() {
            return Ok(None);
        }
        match self.format {
            Format::ByteSequence => byte_sequence(value),
            Format::Envoy => envoy::hash(value).map(ClientCertificate::from_thumbprint).map(Some),
            Format::EscapedPem => escaped_pem(value).map(Some),
        }
    }
}

/// Reads a byte sequence (RFC 9651 §3.3.5), without parameters.
fn byte_sequence(value: &[u8]) -> Result<Option<ClientCertificate>, Wrong> {
    let inner = value.strip_prefix(b":").and_then(|value| value.strip_suffix(b":"));
    let inner = inner.ok_or("base64 between colons was expected, and nothing else (RFC 9440)")?;
    if inner.is_empty() {
        return Ok(None);
    }
    let der =
        STANDARD.decode_to_vec(inner).map_err(|_| "what is between the colons is not base64, or not one value")?;
    certificate(&der).map(Some)
}

fn escaped_pem(value: &[u8]) -> Result<ClientCertificate, Wrong> {
    let text = unescape(value).ok_or("a % is not followed by two hexadecimal digits")?;
    let begins = text.starts_with(b"-----BEGIN CERTIFICATE-----");
    let (_, der) = pem::decode_vec(&text).ok().filter(|_| begins).ok_or("one certificate in PEM was expected")?;
    certificate(&der)
}

/// Decodes `%XX` (RFC 3986 §2.1). A `+` is itself: base64 has it.
fn unescape(value: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&first, behind)) = rest.split_first() {
        let byte = match (first, behind) {
            (b'%', [high, low, ..]) => hex::byte(*high, *low)?,
            (b'%', _) => return None,
            (byte, _) => byte,
        };
        text.push(byte);
        rest = if first == b'%' { behind.get(2..)? } else { behind };
    }
    Some(text)
}

/// Takes what looks like one certificate: one ASN.1 sequence, and nothing behind it.
fn certificate(der: &[u8]) -> Result<ClientCertificate, Wrong> {
    let is_one = AnyRef::from_der(der).is_ok_and(|value| value.tag() == Tag::Sequence);
    if is_one { Ok(ClientCertificate::new(der)) } else { Err("what it has is not one certificate in DER") }
}
