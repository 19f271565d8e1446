//! The examples of RFC 7515 appendix A, RFC 7520 §4 and RFC 8037 appendix A: published keys, as
//! JWKs, verify published signatures, and no other key or message does.

use super::{KeySet, Selection};
use crate::jose::{Algorithm, decode_base64url};

/// RFC 7515 appendix A: the claims of the examples.
const CLAIMS: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

/// RFC 7520 figure 8: the payload of the examples.
const PAYLOAD: &str = "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0a\
                       GUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG\
                       1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4";

/// RFC 7520 figure 3, without the private members.
const BILBO: &str = r#"{"kty":"RSA","kid":"bilbo.baggins@hobbiton.example","use":"sig","e":"AQAB","n":"n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw"}"#;

struct Vector {
    name: &'static str,
    jwk: &'static str,
    algorithm: Algorithm,
    header: &'static str,
    payload: &'static str,
    signature: &'static str,
}

const VECTORS: &[Vector] = &[
    Vector {
        name: "RFC 7515 A.2",
        jwk: r#"{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}"#,
        algorithm: Algorithm::Rs256,
        header: "eyJhbGciOiJSUzI1NiJ9",
        payload: CLAIMS,
        signature: "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    },
    Vector {
        name: "RFC 7515 A.3",
        jwk: r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
        algorithm: Algorithm::Es256,
        header: "eyJhbGciOiJFUzI1NiJ9",
        payload: CLAIMS,
        signature: "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    },
    Vector {
        name: "RFC 7520 4.1",
        jwk: BILBO,
        algorithm: Algorithm::Rs256,
        header: "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
        payload: PAYLOAD,
        signature: "MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg",
    },
    Vector {
        name: "RFC 7520 4.2",
        jwk: BILBO,
        algorithm: Algorithm::Ps384,
        header: "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
        payload: PAYLOAD,
        signature: "cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw",
    },
    Vector {
        name: "RFC 8037 A.4",
        jwk: r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        algorithm: Algorithm::Ed25519,
        header: "eyJhbGciOiJFZERTQSJ9",
        payload: "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
        signature: "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    },
];

fn verify(set: &KeySet, algorithm: Algorithm, message: &str, signature: &[u8]) -> bool {
    let Selection::Candidates(candidates) = set.select(None, algorithm, "https://id.test/") else {
        panic!("no key fits {algorithm}")
    };
    let candidates: Vec<_> = candidates.collect();
    assert_eq!(candidates.len(), 1);
    candidates[0].verify(message.as_bytes(), signature).is_some()
}

#[test]
fn the_published_keys_verify_the_published_signatures_and_nothing_else() {
    for Vector { name, jwk, algorithm, header, payload, signature } in VECTORS {
        let set = KeySet::parse(format!("{{\"keys\":[{jwk}]}}").as_bytes(), None).unwrap();
        let signature = decode_base64url(signature).unwrap();
        assert!(verify(&set, *algorithm, &format!("{header}.{payload}"), &signature), "{name}");
        assert!(!verify(&set, *algorithm, &format!("{header}.{payload}A"), &signature), "{name}");
        for forged in [&signature[1..], &signature[..signature.len() - 1], &[], &vec![0; signature.len()]] {
            assert!(!verify(&set, *algorithm, &format!("{header}.{payload}"), forged), "{name}");
        }
        let extended = [&*signature, &[0]].concat();
        assert!(!verify(&set, *algorithm, &format!("{header}.{payload}"), &extended), "{name}");
    }
}

#[test]
fn ecdsa_signatures_of_zeros_or_of_the_groups_order_are_refused() {
    let Vector { jwk, header, payload, .. } = &VECTORS[1];
    let set = KeySet::parse(format!("{{\"keys\":[{jwk}]}}").as_bytes(), None).unwrap();
    let order = [
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
        0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let one = [&[0; 31][..], &[1]].concat();
    for (r, s) in [(&[0; 32][..], &[0; 32][..]), (&one, &[0; 32]), (&[0; 32], &one), (&order, &order), (&order, &one)] {
        let message = format!("{header}.{payload}");
        assert!(!verify(&set, Algorithm::Es256, &message, &[r, s].concat()));
    }
}

#[test]
fn the_symmetric_keys_of_the_examples_are_not_used() {
    // RFC 7515 A.1 and RFC 7520 figure 5
    let set = KeySet::parse(
        br#"{"keys":[{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"},
            {"kty":"oct","kid":"018c0ae5-4d9b-471b-bfd6-eef314bc7037","use":"sig","alg":"HS256","k":"hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg"}]}"#,
        None,
    );
    let set = set.unwrap();
    assert!(set.keys.is_empty());
    assert_eq!(set.skipped.len(), 2);
}
