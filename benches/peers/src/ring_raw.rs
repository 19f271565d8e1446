//! The raw signature by ring, with which jsonwebtoken 9 verifies. It prepares its key each time; there is no other way.

use std::hint::black_box;

use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256};
use ring::signature::{RsaPublicKeyComponents, UnparsedPublicKey};
use tower_bearer::keys::Algorithm;
use tower_bearer::testing::Idp;

use crate::harness::Signed;

pub(crate) fn raw(idp: &Idp, algorithm: Algorithm, token: &str) -> Box<dyn FnMut()> {
    let signed = Signed::new(idp, algorithm, token);
    match algorithm {
        Algorithm::Rs256 => {
            let key = RsaPublicKeyComponents { n: signed.member("n"), e: signed.member("e") };
            Box::new(move || {
                let signature = black_box(&signed.signature);
                key.verify(&RSA_PKCS1_2048_8192_SHA256, signed.message.as_bytes(), signature).unwrap();
            })
        }
        Algorithm::Es256 => verifying(UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, signed.point()), signed),
        _ => verifying(UnparsedPublicKey::new(&ED25519, signed.member("x")), signed),
    }
}

fn verifying(key: UnparsedPublicKey<Vec<u8>>, signed: Signed) -> Box<dyn FnMut()> {
    Box::new(move || key.verify(signed.message.as_bytes(), black_box(&signed.signature)).unwrap())
}
