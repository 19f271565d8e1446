//! What Amazon's application load balancers sign: they alone may pad, and must say which of them
//! has signed.

use std::borrow::Cow;

use super::{Error, ErrorKind, Json, Policy};
use crate::claims::numeric_date;
use crate::issuer::is_guid;
use crate::jose::Value;

/// RFC 7515 §2 forbids padding. The load balancers write it, and their signature covers it.
pub(super) fn check_padding(policy: &Policy) -> Result<(), Error> {
    if policy.terms.load_balancers.is_some() {
        return Ok(());
    }
    let detail = "a part of the token is padded base64url (=), which RFC 7515 §2 forbids: leave the padding out";
    Err(Error::new(ErrorKind::MalformedToken, detail))
}

/// The keys are those of all load balancers of a region, so that the protected header must name one
/// of ours, and a key such as they have. Its `iss` and `exp` are what Amazon documents: they must
/// be those of the claims (RFC 7519 §5.3).
pub(super) fn check_signer(json: &Json, ours: &[Box<str>]) -> Result<(), Error> {
    let (header, claims) = (json.first(), json.root());
    let fail = |kind, detail: Cow<'static, str>| Err(Error::new(kind, detail));
    let text = |name| header.get(name).and_then(Value::as_str);
    let Some(signer) = text("signer") else {
        return fail(ErrorKind::MissingClaim, "the protected header has no signer, the load balancer's ARN".into());
    };
    if !ours.iter().any(|arn| **arn == *signer) {
        return fail(
            ErrorKind::WrongClaim,
            format!("the token was signed by another load balancer than {ours:?}").into(),
        );
    }
    if !text("kid").is_some_and(is_guid) {
        return fail(ErrorKind::UnknownKey, "the token names no key as load balancers name theirs, by a UUID".into());
    }
    if text("iss") != claims.get("iss").and_then(Value::as_str) {
        return fail(ErrorKind::WrongClaim, "the protected header and the claims differ in iss".into());
    }
    let expires = |object: Value<'_>| object.get("exp").map(|exp| numeric_date("exp", exp)).transpose();
    if expires(header)? != expires(claims)? {
        return fail(ErrorKind::WrongClaim, "the protected header and the claims differ in exp".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use base64::Engine;
    use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
    use serde_json::{Value, json};

    use super::*;
    use crate::clock::{SharedClock, SystemClock, UnixTime};
    use crate::credential::{BearerToken, DEFAULT_MAX_LEN};
    use crate::error::{ConfigError, ProtectionSpace};
    use crate::issuer::{Issuer, ServerPolicy};
    use crate::jose::Compact;
    use crate::validate::Plausible;

    const NOW: u64 = 1_800_000_000;
    const ARN: &str = "arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/app/shop/50dc6c495c0c9188";

    fn check(issuer: Issuer, token: &str) -> Option<ErrorKind> {
        let server = ServerPolicy {
            audiences: vec!["api".into()],
            space: ProtectionSpace::new("api").unwrap().into(),
            clock: SharedClock::new(SystemClock),
            max_token_len: DEFAULT_MAX_LEN,
            knows_revocations: false,
        };
        let mut problems = ConfigError::default();
        let policy = Arc::new(issuer.terms.into_policy(issuer.id, &Arc::new(server), None, &mut problems));
        problems.or(()).unwrap();
        let compact = BearerToken::from_bytes(token.as_bytes(), DEFAULT_MAX_LEN).and_then(Compact::parse);
        let checked = compact.and_then(|token| Plausible::check(token, &policy, UnixTime(Duration::from_secs(NOW))));
        checked.err().map(|error| error.kind())
    }

    fn header() -> Value {
        json!({
            "typ": "JWT", "kid": "abb8289f-e3a4-4a34-9472-c2105e2b2482", "alg": "ES256", "iss": "https://id.test/",
            "client": "c", "signer": ARN, "exp": NOW + 60,
        })
    }

    fn claims() -> Value {
        json!({ "sub": "u", "exp": NOW + 60, "iss": "https://id.test/" })
    }

    fn alb() -> Issuer {
        Issuer::aws_alb("https://id.test/", [ARN])
    }

    #[test]
    fn only_load_balancers_may_pad_and_nobody_wrongly() {
        let plain = || Issuer::new("https://id.test/").dangerously_accept_absent_aud();
        // whose lengths leave 1 byte and 2 bytes over
        let (mut header, mut claims) = (header().to_string(), claims().to_string());
        while header.len() % 3 != 1 {
            header.push(' ');
        }
        while claims.len() % 3 != 2 {
            claims.push(' ');
        }
        let unpadded = [&header, &claims].map(|part| URL_SAFE_NO_PAD.encode(part));
        let padded = [&header, &claims].map(|part| URL_SAFE.encode(part));
        assert!(padded[0].ends_with("==") && padded[1].ends_with('='));
        let malformed = Some(ErrorKind::MalformedToken);
        for (token, by_alb, by_others) in [
            (format!("{}.{}.c2ln", unpadded[0], unpadded[1]), None, None),
            (format!("{}.{}.c2ln", padded[0], padded[1]), None, malformed),
            (format!("{}.{}.c2ln", padded[0], unpadded[1]), None, malformed),
            (format!("{}.{}.c2ln", unpadded[0], padded[1]), None, malformed),
            (format!("{}.{}.c2k=", unpadded[0], unpadded[1]), None, malformed),
            (format!("{}=.{}.c2ln", unpadded[0], padded[1]), malformed, malformed),
            (format!("{}=.{}.c2ln", padded[0], padded[1]), malformed, malformed),
            (format!("{}.{}=.c2ln", padded[0], padded[1]), malformed, malformed),
        ] {
            assert_eq!(check(alb(), &token), by_alb, "{token}");
            assert_eq!(check(plain(), &token), by_others, "{token}");
        }
    }

    #[test]
    fn the_header_names_our_load_balancer_its_key_and_what_the_claims_say() {
        use ErrorKind::{MalformedClaim, MissingClaim, UnknownKey, UnsupportedAlgorithm, WrongClaim};
        let other = ARN.replace("shop", "shoq");
        for (name, value, expected) in [
            ("typ", json!("JWT"), None),
            ("client", Value::Null, None),
            ("signer", json!(other), Some(WrongClaim)),
            ("signer", json!(format!("{ARN}/")), Some(WrongClaim)),
            ("signer", json!(""), Some(WrongClaim)),
            ("signer", json!([ARN]), Some(MissingClaim)),
            ("signer", Value::Null, Some(MissingClaim)),
            ("kid", Value::Null, Some(UnknownKey)),
            ("kid", json!("../../x"), Some(UnknownKey)),
            ("kid", json!("abb8289f-e3a4-4a34-9472-c2105e2b248/"), Some(UnknownKey)),
            ("kid", json!("abb8289f-e3a4-4a34-9472-c2105e2b24820"), Some(UnknownKey)),
            ("iss", json!("https://id.test"), Some(WrongClaim)),
            ("iss", Value::Null, Some(WrongClaim)),
            ("exp", json!(NOW + 61), Some(WrongClaim)),
            ("exp", Value::Null, Some(WrongClaim)),
            ("exp", json!("never"), Some(MalformedClaim)),
            ("alg", json!("ES384"), Some(UnsupportedAlgorithm)),
        ] {
            let mut header = header();
            header[name] = value.clone();
            if value.is_null() {
                header.as_object_mut().unwrap().remove(name);
            }
            let token =
                format!("{}.{}.c2ln", URL_SAFE.encode(header.to_string()), URL_SAFE.encode(claims().to_string()));
            assert_eq!(check(alb(), &token), expected, "{name}: {value}");
        }
    }

    #[test]
    fn of_several_load_balancers_and_clients_each_may_sign() {
        let token = format!("{}.{}.c2ln", URL_SAFE.encode(header().to_string()), URL_SAFE.encode(claims().to_string()));
        let other = ARN.replace("shop", "other");
        assert_eq!(check(Issuer::aws_alb("https://id.test/", [&*other, ARN]), &token), None);
        assert_eq!(check(alb().only_clients(["b", "c"]), &token), None);
        assert_eq!(check(alb().only_clients(["b"]), &token), Some(ErrorKind::WrongClaim));
        assert_eq!(check(alb().only_clients(["c"]).client_claim("azp"), &token), Some(ErrorKind::MissingClaim));
    }
}
