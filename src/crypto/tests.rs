//! The seam's own tests use the examples of RFC 8037, whose key and signature are fixed. See
//! `jwks/key_set/vectors.rs` for more.

use super::*;
use crate::jose::{Curve, decode_base64url};

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
    assert_eq!(key.verify(MESSAGE, &signature), Some(SignatureVerified(())));
    for index in 0..signature.len() {
        let mut forged = signature.clone();
        forged[index] ^= 1;
        assert_eq!(key.verify(MESSAGE, &forged), None, "byte {index}");
    }
    let mut message = MESSAGE.to_vec();
    message[20] ^= 1;
    assert_eq!(key.verify(&message, &signature), None);
}

#[test]
fn signatures_of_any_length_are_refused_without_a_panic() {
    for len in [0, 1, 32, 63, 65, 128, 256, 64 * 1024] {
        assert_eq!(key().verify(MESSAGE, &vec![0x30; len]), None, "{len}");
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

/// p = 2^255 - 19 and a little more or less, as an Ed25519 public key; with the sign of x, if it is
/// negative.
fn near_p(more: i16, negative: bool) -> [u8; 32] {
    let mut key = [0xff; 32];
    key[0] = u8::try_from(0xed + more).unwrap();
    key[31] = if negative { 0xff } else { 0x7f };
    key
}

fn small(y: u8, negative: bool) -> [u8; 32] {
    let mut key = [0; 32];
    key[0] = y;
    key[31] = if negative { 0x80 } else { 0 };
    key
}

/// Both back ends must agree, and so the same table runs on each.
#[test]
fn an_ed25519_key_must_decode_and_must_not_be_of_small_order() {
    let order_8 = |text: &str| decode_base64url(text).unwrap().try_into().unwrap();
    let (a, b): ([u8; 32], [u8; 32]) = (
        order_8("JuiVj8KyJ7BFw_SJ8u-Y8NXfrAXTxjM5sTgCiG1T_AU"),
        order_8("xxdqcD1N2E-6PAt2DRBnDyogU_osOczGTsf9d5KsA3o"),
    );
    let negative = |mut key: [u8; 32]| {
        key[31] |= 0x80;
        key
    };
    let table = [
        // these are on the curve
        (small(3, false), None),
        (small(3, true), None),
        (small(4, false), None),
        (near_p(-3, false), None),
        // RFC 8032 §5.1.3: y must be below p
        (near_p(0, false), Some(BadKey::Invalid)),
        (near_p(0, true), Some(BadKey::Invalid)),
        (near_p(1, false), Some(BadKey::Invalid)),
        (near_p(1, true), Some(BadKey::Invalid)),
        (near_p(3, false), Some(BadKey::Invalid)),
        (near_p(18, false), Some(BadKey::Invalid)),
        (near_p(18, true), Some(BadKey::Invalid)),
        // and if x is 0, it has no sign; but these are of small order anyway
        (small(1, true), Some(BadKey::SmallOrder)),
        (near_p(-1, true), Some(BadKey::SmallOrder)),
        (small(1, false), Some(BadKey::SmallOrder)),
        (near_p(-1, false), Some(BadKey::SmallOrder)),
        (small(0, false), Some(BadKey::SmallOrder)),
        (small(0, true), Some(BadKey::SmallOrder)),
        (a, Some(BadKey::SmallOrder)),
        (negative(a), Some(BadKey::SmallOrder)),
        (b, Some(BadKey::SmallOrder)),
        (negative(b), Some(BadKey::SmallOrder)),
    ];
    for (x, expected) in table {
        let key = VerifyingKey::new(Algorithm::Ed25519, &Material::Ed25519 { x });
        assert_eq!(key.err(), expected, "{x:02x?}");
    }
}

#[test]
fn an_ed25519_key_that_is_not_on_the_curve_verifies_nothing() {
    // aws-lc-rs looks at the point for each signature, dalek once
    for x in [small(2, false), small(7, true)] {
        let key = VerifyingKey::new(Algorithm::Ed25519, &Material::Ed25519 { x });
        let signature = decode_base64url(SIGNATURE).unwrap();
        for signature in [&*signature, &[0; 64], &[&x[..], &[0; 32]].concat()] {
            assert!(key.as_ref().is_err() || key.as_ref().is_ok_and(|key| key.verify(MESSAGE, signature).is_none()));
        }
    }
}

#[test]
fn a_point_must_be_on_its_curve_and_its_coordinates_below_the_order_of_the_field() {
    // NIST SP 800-186 §3.2.1.3: the point of P-256 with x = 0, and p
    let y = decode_base64url("ZkhceA4vg9ckM71dhKBrtlQcKvMdrocXKL-FahdPk_Q").unwrap();
    let p = decode_base64url("_____wAAAAEAAAAAAAAAAAAAAAD_______________8").unwrap();
    let key = |x: &[u8], y: &[u8]| {
        let material = Material::Ec { curve: Curve::P256, x: x.to_vec(), y: y.to_vec() };
        VerifyingKey::new(Algorithm::Es256, &material).err()
    };
    assert_eq!(key(&[0; 32], &y), None);
    for (x, y) in [(&*p, &*y), (&[0; 32], &[0; 32]), (&[0; 32], &[1; 32]), (&[0xff; 32], &[0xff; 32])] {
        assert_eq!(key(x, y), Some(BadKey::Invalid), "{x:02x?}");
    }
}

#[test]
fn sha256_is_that_of_the_whole() {
    // FIPS 180-4's own example
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let hex = |hash: [u8; 32]| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(sha256(&[b"abc"])), abc);
    assert_eq!(hex(sha256(&[b"a", b"", b"bc"])), abc);
}

/// RFC 4231 §4.3 and §4.7: a short key, and one that is longer than a block.
#[cfg(feature = "dpop")]
#[test]
fn authentication_codes_are_those_of_the_rfc() {
    let long: &[u8] = b"Test Using Larger Than Block-Size Key - Hash Key First";
    for (secret, message, code) in [
        (
            b"Jefe".to_vec(),
            &b"what do ya want for nothing?"[..],
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (vec![0xaa; 131], long, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
    ] {
        let key = MacKey::new(&secret).unwrap();
        let (first, rest) = message.split_at(7);
        let made = key.sign(&[first, rest]);
        assert_eq!(made.map(|byte| format!("{byte:02x}")).concat(), code);
        for len in 1..=32 {
            assert!(key.knows(&[message], &made[..len]));
            let mut forged = made;
            forged[len - 1] ^= 1;
            assert!(!key.knows(&[message], &forged[..len]) && !key.knows(&[rest, first], &made[..len.max(4)]));
        }
        assert!(!key.knows(&[message], &[]) && !key.knows(&[message], &[made.as_slice(), &[0]].concat()));
    }
}

#[cfg(feature = "dpop")]
#[test]
fn no_two_random_secrets_are_the_same() {
    assert!(random_secret().is_some_and(|secret| secret != [0; 32]));
    assert_ne!(random_secret(), random_secret());
}
