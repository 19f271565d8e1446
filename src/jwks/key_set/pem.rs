//! Public keys in PEM (RFC 7468): `PUBLIC KEY` (SubjectPublicKeyInfo), `RSA PUBLIC KEY` (PKCS #1),
//! and those of a `CERTIFICATE` (RFC 5280).

use pkcs1::RsaPublicKey;
use spki::der::asn1::{AnyRef, ObjectIdentifier};
use spki::der::{Decode, SliceReader, Tag, Tagged, pem};
use spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};

use crate::crypto::Material;
use crate::jose::Curve;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// Reads one public key. Of a chain of certificates, the first is the one that counts.
pub(crate) fn parse(text: &str) -> Option<Material> {
    let first = text.split_inclusive("-----END CERTIFICATE-----").next()?;
    let (label, der) = pem::decode_vec(first.trim().as_bytes()).ok()?;
    match label {
        "CERTIFICATE" => from_certificate(&der),
        "PUBLIC KEY" => from_spki(&SubjectPublicKeyInfoRef::from_der(&der).ok()?),
        "RSA PUBLIC KEY" => from_pkcs1(&der),
        _ => None,
    }
}

/// Reads the public key of a certificate in DER (RFC 5280 §4.1), and nothing else of it: not its
/// dates, names and extensions, and not who has signed it.
pub(super) fn from_certificate(der: &[u8]) -> Option<Material> {
    let certificate = AnyRef::from_der(der).ok()?;
    let mut tbs = inside(AnyRef::decode(&mut inside(certificate)?).ok()?)?;
    let version = AnyRef::decode(&mut tbs).ok()?;
    // a certificate of version 1 does not say so, and begins with its serial number
    let before = if version.tag().is_context_specific() { 5 } else { 4 };
    // serial number, algorithm, issuer, validity, subject
    for _ in 0..before {
        AnyRef::decode(&mut tbs).ok()?;
    }
    from_spki(&SubjectPublicKeyInfoRef::decode(&mut tbs).ok()?)
}

fn inside(sequence: AnyRef<'_>) -> Option<SliceReader<'_>> {
    if sequence.tag() == Tag::Sequence { SliceReader::new(sequence.value()).ok() } else { None }
}

fn from_spki(key: &SubjectPublicKeyInfoRef<'_>) -> Option<Material> {
    let AlgorithmIdentifierRef { oid, .. } = key.algorithm;
    let bits = key.subject_public_key.as_bytes()?;
    if oid == RSA {
        return from_pkcs1(bits);
    }
    if oid == ED25519 {
        return Some(Material::Ed25519 { x: bits.try_into().ok()? });
    }
    if oid != EC {
        return None;
    }
    let curve = match key.algorithm.parameters_oid().ok()? {
        P256 => Curve::P256,
        P384 => Curve::P384,
        _ => return None,
    };
    let (x, y) = bits.strip_prefix(&[4])?.split_at_checked(curve.coordinate_len())?;
    (y.len() == x.len()).then(|| Material::Ec { curve, x: x.to_vec(), y: y.to_vec() })
}

fn from_pkcs1(der: &[u8]) -> Option<Material> {
    let key = RsaPublicKey::from_der(der).ok()?;
    Some(Material::Rsa { modulus: key.modulus.as_bytes().to_vec(), exponent: key.public_exponent.as_bytes().to_vec() })
}
