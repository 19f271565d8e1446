//! Private keys: of this service, by which it authenticates to an issuer, and of the test issuer.

#[cfg(feature = "aws-lc-rs")]
#[path = "private/aws_lc.rs"]
mod backend;
#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
#[path = "private/rust_crypto.rs"]
mod backend;
#[cfg(feature = "testing")]
mod public;

pub(crate) use self::backend::Private;
#[cfg(feature = "introspection")]
use crate::jose::{Algorithm, Family};

#[cfg(feature = "introspection")]
impl Private {
    /// Reads a private key in PEM: `PRIVATE KEY` (PKCS #8), or `RSA PRIVATE KEY` (PKCS #1). `None`
    /// if it is none, or is not for the algorithm.
    pub(crate) fn from_pem(algorithm: Algorithm, text: &str) -> Option<Self> {
        let (label, der) = spki::der::pem::decode_vec(text.trim().as_bytes()).ok()?;
        let rsa = matches!(algorithm.family(), Family::RsaPkcs1 | Family::RsaPss);
        match label {
            "PRIVATE KEY" => Self::from_pkcs8(algorithm.family(), &der),
            "RSA PRIVATE KEY" if rsa => Self::from_pkcs1(&der),
            _ => None,
        }
    }
}
