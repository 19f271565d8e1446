use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::error::{Needed, ProtectionSpace, Scheme, Spoken};

const ROWS: &[(ErrorKind, u16, u8, &str)] = &[
    (ErrorKind::AccessDenied, 403, 7, ""),
    (ErrorKind::BadSignature, 401, 16, "invalid_token"),
    (ErrorKind::CheckUnavailable, 503, 14, ""),
    (ErrorKind::CriticalHeader, 401, 16, "invalid_token"),
    (ErrorKind::CrossOriginRequest, 403, 7, ""),
    (ErrorKind::EncryptedToken, 401, 16, "invalid_token"),
    (ErrorKind::Expired, 401, 16, "invalid_token"),
    (ErrorKind::Inactive, 401, 16, "invalid_token"),
    (ErrorKind::InsufficientAuthentication, 401, 16, "insufficient_user_authentication"),
    (ErrorKind::InsufficientScope, 403, 7, "insufficient_scope"),
    (ErrorKind::IntrospectionUnavailable, 503, 14, ""),
    (ErrorKind::InvalidProof, 401, 16, "DPoP invalid_dpop_proof"),
    (ErrorKind::KeysUnavailable, 503, 14, ""),
    (ErrorKind::LayerMissing, 500, 13, ""),
    (ErrorKind::MalformedClaim, 401, 16, "invalid_token"),
    (ErrorKind::MalformedRequest, 400, 16, "invalid_request"),
    (ErrorKind::MalformedToken, 401, 16, "invalid_token"),
    (ErrorKind::MissingClaim, 401, 16, "invalid_token"),
    (ErrorKind::MissingToken, 401, 16, "-"),
    (ErrorKind::NoRule, 403, 7, ""),
    (ErrorKind::NonceRequired, 401, 16, "DPoP use_dpop_nonce"),
    (ErrorKind::NotSenderConstrained, 401, 16, "invalid_token"),
    (ErrorKind::NotYetValid, 401, 16, "invalid_token"),
    (ErrorKind::OpaqueToken, 401, 16, "invalid_token"),
    (ErrorKind::ReplayUnavailable, 503, 14, ""),
    (ErrorKind::Revoked, 401, 16, "invalid_token"),
    (ErrorKind::SenderConstrained, 401, 16, "invalid_token"),
    (ErrorKind::UnknownIssuer, 401, 16, "invalid_token"),
    (ErrorKind::UnknownKey, 401, 16, "invalid_token"),
    (ErrorKind::UnsupportedAlgorithm, 401, 16, "invalid_token"),
    (ErrorKind::WrongAudience, 401, 16, "invalid_token"),
    (ErrorKind::WrongClaim, 401, 16, "invalid_token"),
    (ErrorKind::WrongType, 401, 16, "invalid_token"),
];

#[test]
fn each_kind_of_error_has_its_row() {
    assert_eq!(ROWS.iter().map(|(kind, ..)| *kind).collect::<Vec<_>>(), ErrorKind::ALL);
    for (kind, status, grpc, code) in ROWS {
        let challenge = match *code {
            "" => Challenge::No,
            "-" => Challenge::Bare,
            code if code.starts_with("DPoP ") => Challenge::Proof(&code[5..]),
            code => Challenge::Code(code),
        };
        assert_eq!(
            wire(*kind),
            Wire { status: StatusCode::from_u16(*status).unwrap(), grpc: *grpc, challenge },
            "{kind:?}"
        );
    }
}

#[test]
fn the_guide_knows_every_text() {
    let guide = include_str!("../guide/refused.md");
    for kind in ErrorKind::ALL {
        assert!(guide.contains(&format!("| {}", kind.text())), "{kind:?}");
    }
}

#[test]
fn every_text_may_stand_in_an_error_description() {
    // RFC 6750 §3: %x20-21 / %x23-5B / %x5D-7E
    for kind in ErrorKind::ALL {
        let text = kind.to_string();
        assert!(text.bytes().all(|byte| matches!(byte, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E)), "{text}");
        assert_eq!(percent_encoded(&text), text);
    }
}

#[test]
fn what_a_caller_lacks_is_named_and_what_operators_know_is_not() {
    let api = Arc::new(ProtectionSpace::new("api").unwrap());
    let needed = Needed { scope: Some("a b".into()), ..Needed::default() };
    let error = Error::new(ErrorKind::InsufficientScope, "secret detail").needing(needed).in_space(Some(&api));
    let text = "Bearer realm=\"api\", error=\"insufficient_scope\", \
         error_description=\"the token does not permit this operation\", scope=\"a b\"";
    assert!(challenges(&error).eq([text]) && challenges_of_401(&error).eq([text]));
    let missing = Error::from(ErrorKind::MissingToken);
    assert!(challenges(&missing).eq(["Bearer realm=\"\""]));
    assert!(challenges(&missing.in_space(Some(&api))).eq(["Bearer realm=\"api\""]));
    let unavailable = Error::from(ErrorKind::KeysUnavailable).in_space(Some(&api));
    assert_eq!(challenges(&unavailable).count(), 0);
    assert!(challenges_of_401(&unavailable).eq(["Bearer realm=\"api\""]));
}

#[test]
fn a_sign_in_is_asked_for_in_whole_seconds_and_in_grpc_too() {
    let needed = Needed {
        acr_values: Some("urn:x:gold silver".into()),
        max_age: Some(Duration::from_millis(300_999)),
        ..Needed::default()
    };
    let error = Error::new(ErrorKind::InsufficientAuthentication, "secret detail").needing(needed);
    let text = "Bearer realm=\"\", error=\"insufficient_user_authentication\", \
         error_description=\"the user must sign in again, or in a stronger way\", \
         acr_values=\"urn:x:gold silver\", max_age=\"300\"";
    assert!(challenges(&error).eq([text]) && grpc_challenges(&error).eq([text]));
    assert_eq!(grpc_challenges(&ErrorKind::InsufficientScope.into()).count(), 0);
}

#[test]
fn a_grpc_message_is_percent_encoded() {
    assert_eq!(percent_encoded("100 % é\n"), "100 %25 %C3%A9%0A");
}

#[test]
fn each_scheme_that_is_spoken_has_one_challenge_and_the_used_one_the_error() {
    let space = |bearer, dpop: Option<&str>| {
        let spoken = Spoken { bearer, dpop: dpop.map(Into::into) };
        Arc::new(ProtectionSpace { spoken, ..ProtectionSpace::new("api").unwrap() })
    };
    let (bare_bearer, bare_dpop) = ("Bearer realm=\"api\"", "DPoP realm=\"api\", algs=\"ES256 EdDSA\"");
    let told = |scheme: &str, code: &str, kind: ErrorKind| {
        let algs = if scheme == "DPoP" { ", algs=\"ES256 EdDSA\"" } else { "" };
        format!("{scheme} realm=\"api\", error=\"{code}\", error_description=\"{kind}\"{algs}")
    };
    use ErrorKind as K;
    let all = Some("ES256 EdDSA");
    type Row = (bool, Option<&'static str>, K, Scheme, Vec<String>);
    let table: [Row; 13] = [
        (true, None, K::MissingToken, Scheme::Bearer, vec![bare_bearer.into()]),
        (true, all, K::MissingToken, Scheme::Bearer, vec![bare_bearer.into(), bare_dpop.into()]),
        (false, all, K::MissingToken, Scheme::Bearer, vec![bare_dpop.into()]),
        (true, all, K::Expired, Scheme::Bearer, vec![told("Bearer", "invalid_token", K::Expired), bare_dpop.into()]),
        (true, all, K::Expired, Scheme::Dpop, vec![told("DPoP", "invalid_token", K::Expired), bare_bearer.into()]),
        (false, all, K::Expired, Scheme::Bearer, vec![told("DPoP", "invalid_token", K::Expired)]),
        (true, None, K::Expired, Scheme::Dpop, vec![told("Bearer", "invalid_token", K::Expired)]),
        (
            true,
            all,
            K::InvalidProof,
            Scheme::Dpop,
            vec![told("DPoP", "invalid_dpop_proof", K::InvalidProof), bare_bearer.into()],
        ),
        (false, all, K::NonceRequired, Scheme::Dpop, vec![told("DPoP", "use_dpop_nonce", K::NonceRequired)]),
        (true, all, K::InsufficientScope, Scheme::Dpop, vec![told("DPoP", "insufficient_scope", K::InsufficientScope)]),
        (true, all, K::MalformedRequest, Scheme::Bearer, vec![told("Bearer", "invalid_request", K::MalformedRequest)]),
        (true, all, K::ReplayUnavailable, Scheme::Dpop, vec![]),
        (true, all, K::AccessDenied, Scheme::Dpop, vec![]),
    ];
    for (bearer, dpop, kind, scheme, expected) in table {
        let error = Error::from(kind).in_space(Some(&space(bearer, dpop))).under(scheme);
        let written: Vec<_> = challenges(&error).map(|value| value.to_str().unwrap().to_owned()).collect();
        assert_eq!(written, expected, "{kind:?} {scheme:?} {bearer} {dpop:?}");
    }
}
