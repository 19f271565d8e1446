//! Certificates of clients, to which tokens are bound: mutual TLS (RFC 8705 §3).
//!
//! Whoever ends TLS has seen the client's certificate, and the client's proof that it has the key.
//! [`ClientCertificates`] says where it then is:
//!
//! | TLS ends in | certificates |
//! |---|---|
//! | tonic's server | [`ClientCertificates::new`], the default, with the features `tonic` and `mtls` |
//! | axum-server, from 0.9 on | [`from_connection`](ClientCertificates::from_connection), one line |
//! | code of your own | inserts a [`ClientCertificate`] into the extensions of its requests; the default finds it |
//! | a proxy in front | [`from_header`](ClientCertificates::from_header), with the format and the proxy's addresses |
//! | something else | [`from_fn`](ClientCertificates::from_fn) |
//!
//! The certificate is compared with the token by its SHA-256 thumbprint, and by nothing else: a
//! token is bound to one certificate, be it self-signed or not (RFC 8705 §6.2). Who may connect at
//! all is for TLS to say. It must ask clients for a certificate, and let in those without one if
//! some tokens are not bound. What to set in proxies, and what goes wrong with them:
//! [the guide](crate::guide::certificates).

mod certificate;
mod certificates;
mod connection;
mod header;
mod peers;
#[cfg(test)]
mod tests;
#[cfg(feature = "tonic")]
mod tonic;

pub use self::certificate::ClientCertificate;
pub use self::certificates::ClientCertificates;
pub use self::header::CertificateHeader;
pub use self::peers::TrustedPeers;
