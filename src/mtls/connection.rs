//! Certificates of connections that end in this process, hashed once each.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Weak};

use foldhash::fast::RandomState;
use http::Extensions;
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use super::certificate::ClientCertificate;

/// So many connections are known at a time: 2 MiB. For others, certificates are hashed anew.
const MAX_CONNECTIONS: u16 = 16_384;

/// The thumbprints of certificates, by the address of what a connection shares with its requests.
///
/// A `Weak` keeps the place from being given to another connection, and the certificate is not
/// changed behind an `Arc`: what is found for an address is what was hashed there.
pub(super) struct Connections(Cache<usize, (Held, Option<ClientCertificate>), UnitWeighter, RandomState>);

type Held = Weak<dyn Any + Send + Sync>;

impl Connections {
    pub(super) fn new() -> Self {
        Self(Cache::with(
            MAX_CONNECTIONS.into(),
            MAX_CONNECTIONS.into(),
            UnitWeighter,
            RandomState::default(),
            DefaultLifecycle::default(),
        ))
    }

    /// Returns the certificate of the connection that has shared this.
    pub(super) fn certificate<T: Any + Send + Sync>(
        &self,
        shared: &Arc<T>,
        find: impl FnOnce(&T) -> Option<&[u8]>,
    ) -> Option<ClientCertificate> {
        let place = Arc::as_ptr(shared).addr();
        if let Some((_, certificate)) = self.0.get(&place) {
            return certificate;
        }
        let certificate = find(shared).map(ClientCertificate::new);
        let held: Arc<dyn Any + Send + Sync> = Arc::<T>::clone(shared);
        self.0.insert(place, (Arc::downgrade(&held), certificate));
        certificate
    }

    /// Finds the certificate where tonic's server leaves it.
    #[cfg(feature = "tonic")]
    pub(super) fn of_tonic(&self, extensions: &Extensions) -> Option<ClientCertificate> {
        let certificates = extensions.get::<super::tonic::TlsConnectInfo>()?.peer_certs()?;
        self.certificate(&certificates, |chain| chain.first().map(AsRef::as_ref))
    }

    #[cfg(not(feature = "tonic"))]
    pub(super) fn of_tonic(&self, _: &Extensions) -> Option<ClientCertificate> {
        None
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connections")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Chain = Vec<Vec<u8>>;

    #[test]
    fn a_certificate_is_hashed_once_per_connection() {
        let connections = Connections::new();
        let shared: Arc<Chain> = Arc::new(vec![b"leaf".to_vec(), b"issuer".to_vec()]);
        let hashed = std::cell::Cell::new(0);
        let ask = |shared: &Arc<Chain>| {
            connections.certificate(shared, |chain| {
                hashed.set(hashed.get() + 1);
                chain.first().map(Vec::as_slice)
            })
        };
        for _ in 0..3 {
            assert_eq!(ask(&shared), Some(ClientCertificate::new(b"leaf")));
            // another handle of the same connection
            assert_eq!(ask(&Arc::clone(&shared)), Some(ClientCertificate::new(b"leaf")));
        }
        assert_eq!(hashed.get(), 1);
        assert_eq!(ask(&Arc::new(Chain::new())), None);
        assert_eq!(hashed.get(), 2);
    }

    /// The allocator gives a freed place to the next that asks: a connection that has ended must not
    /// lend its certificate to it.
    #[test]
    fn a_new_connection_never_has_the_certificate_of_one_that_has_ended() {
        let connections = Connections::new();
        for number in 0..3 * u32::from(MAX_CONNECTIONS) {
            let leaf = number.to_le_bytes().to_vec();
            let expected = (number % 3 != 0).then(|| ClientCertificate::new(&leaf));
            let shared: Arc<Chain> = Arc::new(if expected.is_some() { vec![leaf] } else { Chain::new() });
            assert_eq!(connections.certificate(&shared, |chain| chain.first().map(Vec::as_slice)), expected);
        }
        assert!(connections.0.len() <= usize::from(MAX_CONNECTIONS));
    }

    /// Two kinds of connections in one server.
    #[test]
    fn connections_of_different_types_do_not_meet() {
        let connections = Connections::new();
        for number in 0_u32..10_000 {
            let one = Arc::new(number);
            assert_eq!(connections.certificate(&one, |_| Some(b"one")), Some(ClientCertificate::new(b"one")));
            drop(one);
            let two = Arc::new([number]);
            assert_eq!(connections.certificate(&two, |_| None), None);
        }
    }
}
