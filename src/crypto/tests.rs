//! The seam's own tests use the examples of RFC 8037, whose key and signature are fixed. See `jwks/vectors.rs` for more.

use super::*;
use crate::jose::decode_base64url;

const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const MESSAGE: &[u8] = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
const SIGNATURE: &str = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

fn key() -> VerifyingKey {
    let x = decode_base64url(X).unwrap().try_into().unwrap();
    VerifyingKey::new(Algorithm::Ed25519, &Material::Ed25519 { x }).unwrap()
}

#[test]
fn each_flipped_byte_of_a_signature_or_message_is_noticed() {
    let key = key();
    let signature = decode_base64url(SIGNATURE).unwrap();
    assert_eq!(key.verify(MESSAGE, &signature), Ok(SignatureVerified(())));
    for index in 0..signature.len() {
        let mut forged = signature.clone();
        forged[index] ^= 1;
        assert_eq!(key.verify(MESSAGE, &forged), Err(BadSignature), "byte {index}");
    }
    let mut message = MESSAGE.to_vec();
    message[20] ^= 1;
    assert_eq!(key.verify(&message, &signature), Err(BadSignature));
}

#[test]
fn signatures_of_any_length_are_refused_without_a_panic() {
    for len in [0, 1, 32, 63, 65, 128, 256, 64 * 1024] {
        assert_eq!(key().verify(MESSAGE, &vec![0x30; len]), Err(BadSignature), "{len}");
    }
}

#[test]
fn a_key_cannot_be_prepared_for_an_algorithm_that_is_not_its_own() {
    let material = Material::Ec { curve: Curve::P256, x: vec![1; 32], y: vec![1; 32] };
    for algorithm in [Algorithm::Es384, Algorithm::Rs256, Algorithm::Ed25519, Algorithm::Hs256] {
        assert!(VerifyingKey::new(algorithm, &material).is_err());
    }
    // and a point that is not on the curve is no key at all
    assert!(VerifyingKey::new(Algorithm::Es256, &material).is_err());
}

#[test]
fn debug_shows_no_key_material() {
    let shown = format!("{:?} {:?}", key(), Material::Secret(b"hunter2".to_vec()));
    assert_eq!(shown, "VerifyingKey(EdDSA) Secret(…)");
}
