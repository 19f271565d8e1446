//! What the back ends are given, and how they refuse.

use crate::jose::{Algorithm, Curve, Family};

/// What a key consists of, before it is prepared for an algorithm. Never a private key, but it
/// may be a shared secret: it has no `Debug`, so that nothing prints it.
#[derive(Clone, Eq, PartialEq)]
pub(crate) enum Material {
    /// The coordinates, each of the curve's full length.
    Ec {
        curve: Curve,
        x: Vec<u8>,
        y: Vec<u8>,
    },
    Ed25519 {
        x: [u8; 32],
    },
    /// Big-endian, without leading zeros.
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    Secret(Vec<u8>),
}

impl Material {
    /// Tells whether this is the kind of key that the algorithm needs.
    pub(crate) fn fits(&self, algorithm: Algorithm) -> bool {
        match self {
            Self::Ec { curve, .. } => algorithm.family() == Family::Ecdsa(*curve),
            Self::Ed25519 { .. } => algorithm.family() == Family::Ed25519,
            Self::Rsa { .. } => matches!(algorithm.family(), Family::RsaPkcs1 | Family::RsaPss),
            Self::Secret(_) => algorithm.is_symmetric(),
        }
    }
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BadKey {
    /// It is not on its curve, out of range, or refused by the back end.
    Invalid,
    /// Its order on the curve is small, so that anybody can make signatures that it verifies.
    SmallOrder,
}
