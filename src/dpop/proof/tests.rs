//! Proofs that are good, and the examples of the standards; see `wrong` for all others.

mod wrong;

use std::time::Duration;

use http::Method;
use proptest::collection::vec;
use proptest::prelude::*;

use super::parsed::MAX_LEN;
use super::verified::VerifiedProof;
use super::*;
use crate::clock::UnixTime;
use crate::credential::BearerToken;
use crate::crypto::sha256;
use crate::error::{Error, ErrorKind};
use crate::jose::{Algorithm, Compact, SignatureBuffer, decode_base64url};
use crate::jwks::PresentedKey;
use crate::origin::{PublicOrigin, Target};
use crate::testing::ProofKey;

const TOKEN: &str = "the.access.token";
const NOW: u64 = 1_700_000_000;
const MAX_AGE: Duration = Duration::from_secs(60);
const LEEWAY: Duration = Duration::from_secs(5);
const BY_CLOCK: Dating = Dating::ByClock { max_age: MAX_AGE, leeway: LEEWAY };

const ADDRESS: &str = "https://api.example.com/orders";

fn key_for(algorithm: Algorithm) -> ProofKey {
    ProofKey::with_algorithm(algorithm).clock(|| std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(NOW))
}

fn key() -> ProofKey {
    key_for(Algorithm::Es256)
}

fn jkt(key: &ProofKey) -> [u8; 32] {
    decode_base64url(&key.thumbprint()).unwrap().try_into().unwrap()
}

fn at(seconds: u64) -> UnixTime {
    UnixTime(Duration::from_secs(seconds))
}

/// Judges a proof for a GET to [`ADDRESS`] with [`TOKEN`].
fn judge(proof: &[u8], bound_to: &[u8; 32], keys: &PreparedKeys) -> Result<VerifiedProof, Error> {
    judge_at(proof, bound_to, keys, BY_CLOCK, NOW)
}

fn judge_at(
    proof: &[u8],
    bound_to: &[u8; 32],
    keys: &PreparedKeys,
    dating: Dating,
    now: u64,
) -> Result<VerifiedProof, Error> {
    let request = http::Request::get("/orders").body(()).unwrap();
    let origin = PublicOrigin::from("https://api.example.com");
    let target: Target<'_> = origin.target((&request).into())?;
    let demands = Demands {
        bound_to,
        method: &Method::GET,
        target: &target,
        token_hash: &sha256(&[TOKEN.as_bytes()]),
        dating,
        now: at(now),
    };
    Proof::parse(proof, Algorithm::ASYMMETRIC)?.check(&demands)?.verify(keys)
}

fn is_good(proof: &str, key: &ProofKey) -> bool {
    judge(proof.as_bytes(), &jkt(key), &PreparedKeys::new()).is_ok()
}

#[test]
fn a_proof_by_each_algorithm_is_good() {
    let keys = PreparedKeys::new();
    for algorithm in Algorithm::ASYMMETRIC {
        let key = key_for(*algorithm);
        let proof = key.proof("GET", ADDRESS).token(TOKEN).claim("jti", "one").sign();
        // once with a new key, once with a prepared one
        for _ in 0..2 {
            let verified = judge(proof.as_bytes(), &jkt(&key), &keys).unwrap();
            let used = verified.used_at(at(NOW));
            assert_eq!((used.key_thumbprint(), *used.jti_hash()), (&jkt(&key), sha256(&[b"one"])), "{algorithm}");
            assert_eq!(used.until(), at(NOW + 65).to_system_time().unwrap());
        }
    }
    assert_eq!(keys.len(), Algorithm::ASYMMETRIC.len());
}

#[test]
fn what_the_standard_leaves_open_is_accepted() {
    let key = key();
    let begin = || key.proof("GET", ADDRESS).token(TOKEN);
    let mut jwk = key.jwk().clone();
    for (name, value) in [("kid", "a"), ("use", "sig"), ("alg", "ES256"), ("x5u", "https://evil.test"), ("else", "b")] {
        jwk[name] = value.into();
    }
    let mut nulls = key.jwk().clone();
    nulls["alg"] = serde_json::Value::Null;
    let table = [
        begin().header("jwk", jwk),
        begin().header("jwk", nulls),
        begin().header("kid", "another").header("x5u", "https://evil.test").header("jku", "https://evil.test"),
        begin().header("x5c", serde_json::json!(["AAAA"])),
        begin().claim("exp", 1).claim("else", serde_json::json!({ "a": [1] })),
        begin().nonce("one that nobody has asked for is for the nonces to judge"),
        begin().claim("jti", "j".repeat(1024)),
        begin().claim("iat", serde_json::json!(1_700_000_000.5)),
        begin().claim("htu", "HTTPS://API.example.com:443/./orders?a=1#b"),
        begin().made_before(MAX_AGE + LEEWAY),
        begin().made_ahead(LEEWAY),
    ];
    for (index, proof) in table.iter().enumerate() {
        let judged = judge(proof.sign().as_bytes(), &jkt(&key), &PreparedKeys::new());
        assert!(judged.is_ok(), "{index}: {judged:?}");
    }
    // white space around a header's value is none of it
    assert!(is_good(&format!(" \t{} ", begin().sign()), &key));
    // two keys may prove the same; each is good for its own token only
    let other = self::key();
    let proof = other.proof("GET", ADDRESS).token(TOKEN).sign();
    assert!(is_good(&proof, &other) && !is_good(&proof, &key));
}

#[test]
fn only_keys_that_have_verified_a_proof_are_kept_and_not_all_of_them() {
    let (keys, key) = (PreparedKeys::new(), key());
    let begin = || key.proof("GET", ADDRESS).token(TOKEN);
    for wrong in [begin().signed_by(&self::key()), begin().without("ath"), begin().claim("htm", "PUT")] {
        assert!(judge(wrong.sign().as_bytes(), &jkt(&key), &keys).is_err());
    }
    assert_eq!(keys.len(), 0);
    assert!(judge(begin().sign().as_bytes(), &jkt(&key), &keys).is_ok());
    let prepared = keys.find(&(jkt(&key), Algorithm::Es256)).unwrap();
    for number in 0..10_000_u32 {
        keys.keep((sha256(&[&number.to_be_bytes()]), Algorithm::Es256), std::sync::Arc::clone(&prepared));
    }
    assert!((1000..=4096).contains(&keys.len()), "{}", keys.len());
    // what was pushed out is prepared once more
    assert!(judge(begin().sign().as_bytes(), &jkt(&key), &keys).is_ok());
}

#[test]
fn a_known_key_must_keep_the_rules_too() {
    let (keys, key) = (PreparedKeys::new(), key());
    let begin = || key.proof("GET", ADDRESS).token(TOKEN);
    assert!(judge(begin().sign().as_bytes(), &jkt(&key), &keys).is_ok());
    for (name, value) in [("d", "AAAA"), ("k", "AAAA"), ("use", "enc"), ("alg", "ES384")] {
        let mut jwk = key.jwk().clone();
        jwk[name] = value.into();
        let judged = judge(begin().header("jwk", jwk).sign().as_bytes(), &jkt(&key), &keys);
        assert_eq!(judged.unwrap_err().kind(), ErrorKind::InvalidProof, "{name}");
    }
}

/// So that a request with a proof allocates no more than its budget, the layer included. The pure-Rust
/// back end verifies with allocations of its own.
#[cfg(feature = "aws-lc-rs")]
#[test]
fn a_proof_by_a_known_key_allocates_its_text_and_its_members_only() {
    let (key, keys) = (key(), PreparedKeys::new());
    let request = http::Request::get("/orders").body(()).unwrap();
    let origin = PublicOrigin::from("https://api.example.com");
    let (bound_to, token_hash) = (jkt(&key), sha256(&[TOKEN.as_bytes()]));
    let judge = |proof: &[u8]| {
        let target = &origin.target((&request).into()).unwrap();
        let (method, token_hash, bound_to) = (&Method::GET, &token_hash, &bound_to);
        let demands = Demands { bound_to, method, target, token_hash, dating: BY_CLOCK, now: at(NOW) };
        Proof::parse(proof, Algorithm::ASYMMETRIC).unwrap().check(&demands).unwrap().verify(&keys).unwrap();
    };
    let proofs = [0, 1].map(|_| key.proof("GET", ADDRESS).token(TOKEN).sign());
    judge(proofs[0].as_bytes());
    let allocated = allocation_counter::measure(|| judge(proofs[1].as_bytes())).count_total;
    assert!(allocated <= 3, "{allocated}");
}

#[test]
fn there_is_exactly_one_header() {
    let proof = key().proof("GET", ADDRESS).token(TOKEN).sign();
    let find = |values: &[&str]| {
        let mut headers = http::HeaderMap::new();
        for value in values {
            headers.append("DPoP", value.parse().unwrap());
        }
        Proof::find(&headers, Algorithm::ASYMMETRIC).map(|proof| proof.is_some()).map_err(|error| error.kind())
    };
    assert_eq!(find(&[]), Ok(false));
    assert_eq!(find(&[&proof]), Ok(true));
    for wrong in [&[&*proof, &proof][..], &["", &proof], &[&proof, ""], &[""], &["none"]] {
        assert_eq!(find(wrong), Err(ErrorKind::InvalidProof));
    }
}

// the examples of RFC 9449 (§4.1, §7.1), whose tokens are bound to this key (§6.1)
const RFC_HEADER: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19";
const RFC_JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
const RFC_AT_TOKEN_ENDPOINT: &str = "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";
const RFC_AT_RESOURCE: &str = "eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
const RFC_TOKEN: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";

#[test]
fn the_proofs_of_rfc_9449_are_good() {
    let proof = format!("{RFC_HEADER}.{RFC_AT_RESOURCE}");
    let proof = Proof::parse(proof.as_bytes(), &[Algorithm::Es256]).unwrap();
    let bound_to = decode_base64url(RFC_JKT).unwrap().try_into().unwrap();
    assert_eq!((proof.thumbprint(), proof.nonce()), (&bound_to, None));
    let request = http::Request::get("/protectedresource").body(()).unwrap();
    let origin = PublicOrigin::from("https://resource.example.org");
    let demands = Demands {
        bound_to: &bound_to,
        method: &Method::GET,
        target: &origin.target((&request).into()).unwrap(),
        token_hash: &sha256(&[RFC_TOKEN.as_bytes()]),
        dating: BY_CLOCK,
        now: at(1_562_262_618),
    };
    assert!(proof.check(&demands).unwrap().verify(&PreparedKeys::new()).is_ok());
    // one for the token endpoint has no ath: it is signed well, and no proof for a resource
    let proof = format!("{RFC_HEADER}.{RFC_AT_TOKEN_ENDPOINT}");
    let refused = Proof::parse(proof.as_bytes(), &[Algorithm::Es256]).unwrap_err();
    assert!(refused.to_string().contains("no ath"), "{refused}");
    let compact = Compact::parse(BearerToken::from_bytes(proof.as_bytes(), MAX_LEN).unwrap()).unwrap();
    let key = PresentedKey::read(compact.json.first().get("jwk").unwrap(), Algorithm::Es256).unwrap();
    let mut buffer: SignatureBuffer = [0; size_of::<SignatureBuffer>()];
    let signature = compact.signed.signature(&mut buffer).unwrap();
    assert!(key.prepare(Algorithm::Es256).unwrap().verify(compact.signed.message(), signature).is_some());
}

#[test]
fn thumbprints_are_those_of_rfc_7638_and_rfc_8037() {
    let rsa = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    let table = [
        (
            format!(r#"{{"kty":"RSA","n":"{rsa}","e":"AQAB","alg":"RS256","kid":"2011-04-29"}}"#),
            Algorithm::Rs256,
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
        ),
        (
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#.to_owned(),
            Algorithm::Ed25519,
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        ),
    ];
    for (jwk, algorithm, thumbprint) in table {
        let json = crate::jose::Json::parse_all(jwk.into_bytes()).unwrap();
        let key = PresentedKey::read(json.root(), algorithm).unwrap();
        assert_eq!(key.thumbprint().unwrap().to_vec(), decode_base64url(thumbprint).unwrap(), "{algorithm}");
        assert!(key.prepare(algorithm).is_ok());
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..200), parts in "[A-Za-z0-9_-]{0,40}[.][A-Za-z0-9_=-]{0,40}[.][A-Za-z0-9_-]{0,90}") {
        for proof in [&bytes, parts.as_bytes()] {
            prop_assert_eq!(Proof::parse(proof, Algorithm::ASYMMETRIC).unwrap_err().kind(), ErrorKind::InvalidProof);
        }
    }

    #[test]
    fn no_members_make_it_panic(header in "[{}\\[\\]\":,a-z0-9]{0,40}", claims in "[{}\\[\\]\":,a-z0-9]{0,40}") {
        let key = key();
        for proof in [key.proof("GET", ADDRESS).raw_header(&header), key.proof("GET", ADDRESS).raw_claims(&claims)] {
            prop_assert!(!is_good(&proof.sign(), &key));
        }
    }

    #[test]
    fn no_byte_of_a_proof_can_be_changed(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let (key, keys) = (key(), PreparedKeys::new());
        let proof = key.proof("GET", ADDRESS).token(TOKEN).sign();
        let mut changed = proof.clone().into_bytes();
        let place = place.index(changed.len());
        changed[place] = byte;
        let judged = judge(&changed, &jkt(&key), &keys).is_ok();
        // at its ends, a byte of white space would have to take the place of another, which is gone
        prop_assert_eq!(judged, changed == proof.as_bytes());
    }
}
