use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Value as Claims, json};

use super::*;
use crate::claims::Claim;
use crate::clock::{SharedClock, SystemClock};
use crate::credential::{BearerToken, DEFAULT_MAX_LEN};
use crate::error::{ConfigError, ProtectionSpace};
use crate::issuer::{Issuer, ServerPolicy};

const NOW: u64 = 1_800_000_000;

fn policy(issuer: Issuer) -> Arc<Policy> {
    let server = ServerPolicy {
        audiences: vec!["api".into()],
        space: ProtectionSpace::new("api").unwrap().into(),
        clock: SharedClock::new(SystemClock),
        max_token_len: DEFAULT_MAX_LEN,
        knows_revocations: false,
    };
    let mut problems = ConfigError::default();
    let policy = issuer.terms.into_policy(issuer.id, &Arc::new(server), None, &mut problems);
    assert!(problems.problems().is_empty(), "{problems}");
    Arc::new(policy)
}

fn check_raw(policy: &Arc<Policy>, header: &str, claims: &str) -> Result<(), Error> {
    let token = format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let compact = Compact::parse(BearerToken::from_bytes(token.as_bytes(), policy.server.max_token_len)?)?;
    Plausible::check(compact, policy, UnixTime(Duration::from_secs(NOW))).map(drop)
}

/// Checks a good token with one claim changed, or removed if `null` stands for it.
fn with(name: &str, value: Claims) -> Option<ErrorKind> {
    let mut claims = json!({ "iss": "https://id.test/", "aud": "api", "exp": NOW + 60 });
    claims[name] = value;
    let found = check_raw(&policy(Issuer::new("https://id.test/")), r#"{"alg":"ES256"}"#, &claims.to_string());
    found.err().map(|error| error.kind())
}

fn raw(name: &str, text: &str) -> Option<ErrorKind> {
    let others = match name {
        "exp" => r#""iss":"i","aud":"api""#.to_owned(),
        _ => format!(r#""iss":"i","aud":"api","exp":{}"#, NOW + 60),
    };
    let claims = format!("{{{others},\"{name}\":{text}}}");
    check_raw(&policy(Issuer::new("i")), r#"{"alg":"ES256"}"#, &claims).err().map(|error| error.kind())
}

#[test]
fn a_wrong_type_is_never_taken_for_an_absent_claim() {
    for name in ["exp", "nbf", "iat"] {
        for wrong in ["\"1800000060\"", "null", "[]", "{}", "true", "-1", "9223372036854775808", "1800000060000"] {
            assert_eq!(raw(name, wrong), Some(ErrorKind::MalformedClaim), "{name}: {wrong}");
        }
        assert_eq!(raw(name, "1e400"), Some(ErrorKind::MalformedToken), "{name}");
    }
    for name in ["sub", "client_id", "azp", "jti"] {
        for wrong in ["1", "[]", "{}", "true", "[\"a\"]"] {
            assert_eq!(raw(name, wrong), Some(ErrorKind::MalformedClaim), "{name}: {wrong}");
        }
        assert_eq!(raw(name, "\"\""), None, "{name} may be empty");
        assert_eq!(raw(name, "null"), None, "{name} is then absent");
    }
}

#[test]
fn times_are_checked_to_the_second() {
    // the leeway is 30 s
    assert_eq!(with("exp", json!(NOW)), None);
    assert_eq!(with("exp", json!(NOW - 29)), None);
    assert_eq!(with("exp", json!(NOW - 30)), Some(ErrorKind::Expired));
    assert_eq!(with("exp", json!(NOW as f64 - 29.5)), None);
    assert_eq!(with("exp", json!(0)), Some(ErrorKind::Expired));
    assert_eq!(with("nbf", json!(NOW)), None);
    assert_eq!(with("nbf", json!(NOW + 30)), None);
    assert_eq!(with("nbf", json!(NOW + 31)), Some(ErrorKind::NotYetValid));
    assert_eq!(with("nbf", json!(0)), None);
    assert_eq!(with("iat", json!(NOW + 3600)), None, "RFC 7519 §4.1.6 has no rule on it");
    assert_eq!(raw("x", "1"), None);
    let without = check_raw(&policy(Issuer::new("i")), r#"{"alg":"ES256"}"#, r#"{"iss":"i","aud":"api"}"#);
    assert_eq!(without.unwrap_err().kind(), ErrorKind::MissingClaim);
}

#[test]
fn the_maximum_age_counts_from_iat_which_must_be_there() {
    let policy = policy(Issuer::new("i").max_age(Duration::from_secs(300)));
    let with = |iat: &str| {
        let claims = format!(r#"{{"iss":"i","aud":"api","exp":{}{iat}}}"#, NOW + 3600);
        check_raw(&policy, r#"{"alg":"ES256"}"#, &claims).err().map(|error| error.kind())
    };
    let iat = |ahead: i64| with(&format!(r#","iat":{}"#, NOW as i64 + ahead));
    // the leeway is 30 s
    assert_eq!(iat(0), None);
    assert_eq!(iat(-330), None);
    assert_eq!(iat(-331), Some(ErrorKind::Expired));
    assert_eq!(iat(30), None);
    assert_eq!(iat(31), Some(ErrorKind::NotYetValid));
    assert_eq!(with(""), Some(ErrorKind::MissingClaim));
    assert_eq!(with(r#","iat":null"#), Some(ErrorKind::MalformedClaim));
}

#[test]
fn an_audience_is_one_exact_string_among_those_of_the_token() {
    for good in [json!("api"), json!(["api"]), json!(["x", "api"]), json!(["api", "api"])] {
        assert_eq!(with("aud", good.clone()), None, "{good}");
    }
    for wrong in
        [json!("API"), json!("api "), json!("ap"), json!("api/"), json!("my api"), json!(""), json!([]), json!(["x"])]
    {
        assert_eq!(with("aud", wrong.clone()), Some(ErrorKind::WrongAudience), "{wrong}");
    }
    for wrong in [json!(7), json!(null), json!({"api": 1}), json!(["api", 7]), json!([["api"]]), json!(true)] {
        assert_eq!(with("aud", wrong.clone()), Some(ErrorKind::MalformedClaim), "{wrong}");
    }
}

/// Checks claims that are good but for what the issuer's terms say of them.
fn under(issuer: Issuer, claims: &str) -> Option<ErrorKind> {
    let claims = format!(r#"{{"iss":"i","exp":{}{claims}}}"#, NOW + 60);
    check_raw(&policy(issuer), r#"{"alg":"ES256"}"#, &claims).err().map(|error| error.kind())
}

#[test]
fn a_clock_before_1970_is_called_wrong_and_accepts_nothing() {
    let clock = SharedClock::new(|| std::time::SystemTime::UNIX_EPOCH - Duration::from_secs(1));
    let token = format!(
        "{}.{}.c2ln",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#),
        URL_SAFE_NO_PAD.encode(format!(r#"{{"iss":"i","aud":"api","exp":{NOW}}}"#))
    );
    let compact = Compact::parse(BearerToken::from_bytes(token.as_bytes(), usize::MAX).unwrap()).unwrap();
    let error = Plausible::check(compact, &policy(Issuer::new("i")), clock.now()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Expired);
    assert!(error.to_string().contains("clock of this machine is set before 1970"), "{error}");
}

#[test]
fn another_claim_stands_for_the_audience_only_where_there_is_none() {
    use ErrorKind::{MalformedClaim, MissingClaim, WrongAudience};
    let issuer = || Issuer::new("i").accept_absent_aud_if("client_id", ["mine"]).only_audiences(["api"]);
    for (claims, expected) in [
        (r#","client_id":"mine""#, None),
        (r#","client_id":"other""#, Some(WrongAudience)),
        (r#","client_id":"Mine""#, Some(WrongAudience)),
        (r#","client_id":"""#, Some(WrongAudience)),
        (r#","azp":"mine""#, Some(MissingClaim)),
        ("", Some(MissingClaim)),
        (r#","aud":"api","client_id":"other""#, None),
        (r#","aud":"other","client_id":"mine""#, Some(WrongAudience)),
        // an ID token names the client
        (r#","aud":"mine","client_id":"mine""#, Some(WrongAudience)),
        (r#","aud":[],"client_id":"mine""#, Some(WrongAudience)),
        (r#","aud":null,"client_id":"mine""#, Some(MalformedClaim)),
        (r#","aud":7,"client_id":"mine""#, Some(MalformedClaim)),
    ] {
        assert_eq!(under(issuer(), claims), expected, "{claims}");
    }
    let elsewhere = Issuer::new("i").accept_absent_aud_if("x", ["mine"]);
    assert_eq!(under(elsewhere.clone(), r#","x":["mine"]"#), Some(WrongAudience));
    assert_eq!(under(elsewhere, r#","x":null"#), Some(MissingClaim));
}

#[test]
fn any_audience_is_accepted_only_by_its_frightening_name() {
    let any = || Issuer::new("i").dangerously_accept_any_aud();
    for claims in ["", r#","aud":"x""#, r#","aud":[]"#] {
        assert_eq!(under(any(), claims), None, "{claims}");
        assert!(under(Issuer::new("i"), claims).is_some(), "{claims}");
    }
    assert_eq!(under(any(), r#","aud":7"#), Some(ErrorKind::MalformedClaim));
}

#[test]
fn only_allowed_clients_are_let_in_and_only_by_the_claim_that_names_them() {
    use ErrorKind::{MalformedClaim, MissingClaim, WrongClaim};
    let issuer = || Issuer::new("i").dangerously_accept_any_aud().only_clients(["a", "b"]);
    for (claims, expected) in [
        (r#","client_id":"a""#, None),
        (r#","azp":"b""#, None),
        (r#","client_id":"a","azp":"x""#, None),
        (r#","client_id":"x","azp":"a""#, Some(WrongClaim)),
        (r#","client_id":null,"azp":"a""#, None),
        (r#","client_id":null"#, Some(MissingClaim)),
        (r#","client_id":"A""#, Some(WrongClaim)),
        (r#","client_id":"""#, Some(WrongClaim)),
        (r#","client_id":["a"]"#, Some(MalformedClaim)),
        (r#","cid":"a""#, Some(MissingClaim)),
        ("", Some(MissingClaim)),
    ] {
        assert_eq!(under(issuer(), claims), expected, "{claims}");
    }
    let okta = || issuer().client_claim("cid");
    assert_eq!(under(okta(), r#","cid":"a""#), None);
    assert_eq!(under(okta(), r#","cid":["a"]"#), Some(WrongClaim));
    assert_eq!(under(okta(), r#","client_id":"a""#), Some(MissingClaim));
}

#[test]
fn a_claim_that_must_not_be_there_gives_another_kind_of_token_away() {
    let issuer = || {
        let any = Issuer::new("i").dangerously_accept_any_aud();
        any.require(Claim::absent(["at_hash"])).require(Claim::absent(["nonce"]))
    };
    assert_eq!(under(issuer(), ""), None);
    for claims in [r#","at_hash":"x""#, r#","nonce":null"#] {
        assert_eq!(under(issuer(), claims), Some(ErrorKind::WrongType), "{claims}");
    }
}

#[test]
fn what_is_demanded_of_a_claim_must_hold_and_its_value_is_not_repeated() {
    let any = || Issuer::new("i").dangerously_accept_any_aud();
    let issuer =
        || any().require(Claim::at(["tenant"]).equals(10133)).require(Claim::at(["email_verified"]).equals(true));
    assert_eq!(under(issuer(), r#","tenant":10133,"email_verified":true"#), None);
    for (claims, kind, detail) in [
        (r#","tenant":10133"#, ErrorKind::MissingClaim, "email_verified is absent"),
        (r#","tenant":10133,"email_verified":null"#, ErrorKind::MissingClaim, "email_verified is absent"),
        (
            r#","tenant":"secret","email_verified":true"#,
            ErrorKind::WrongClaim,
            "tenant, a string, is not what the terms of its issuer demand",
        ),
    ] {
        let claims = format!(r#"{{"iss":"i","exp":{}{claims}}}"#, NOW + 60);
        let error = check_raw(&policy(issuer()), r#"{"alg":"ES256"}"#, &claims).unwrap_err();
        assert_eq!(error.kind(), kind, "{claims}");
        assert!(error.to_string().contains(detail) && !error.to_string().contains("secret"), "{error}");
    }
}

#[test]
fn numbers_are_identifiers_only_where_the_issuer_writes_them() {
    let any = || Issuer::new("i").dangerously_accept_any_aud();
    let numeric = || any().accept_numeric_ids();
    for name in ["sub", "client_id", "azp", "jti"] {
        for number in ["7", "0", "-7", "18446744073709551615", "-9223372036854775808"] {
            let claims = format!(r#","{name}":{number}"#);
            assert_eq!(under(any(), &claims), Some(ErrorKind::MalformedClaim), "{claims}");
            let same = || numeric().require(Claim::at([name]).equals(number));
            assert_eq!(under(same(), &claims), None, "{claims}");
            assert_eq!(under(same(), &format!(r#","{name}":"{number}""#)), None, "a string stays one");
            assert_eq!(under(same(), &format!(r#","{name}":1"#)), Some(ErrorKind::WrongClaim), "{claims}");
        }
        for wrong in ["7.0", "7.5", "1e3", "18446744073709551616", "true", "[7]", "{}"] {
            let claims = format!(r#","{name}":{wrong}"#);
            assert_eq!(under(numeric(), &claims), Some(ErrorKind::MalformedClaim), "{claims}");
        }
    }
    assert_eq!(under(numeric().only_clients(["7"]), r#","azp":7"#), None);
    assert_eq!(under(numeric().only_clients(["8"]), r#","azp":7"#), Some(ErrorKind::WrongClaim));
    assert_eq!(under(numeric().client_claim("cid").only_clients(["7"]), r#","cid":7"#), None);
}

#[test]
fn a_bound_token_is_refused_and_a_malformed_binding_is_no_less() {
    for cnf in
        [r#"{}"#, r#"{"jkt":"x"}"#, r#"{"jkt":"x","kid":"y"}"#, r#"{"x5t#S256":"x"}"#, "null", "\"x\"", "[]", "0"]
    {
        let cnf: serde_json::Value = serde_json::from_str(cnf).unwrap();
        assert_eq!(with("cnf", cnf.clone()), Some(ErrorKind::SenderConstrained), "{cnf}");
    }
}

#[test]
fn the_kind_of_token_is_decided_by_typ() {
    let claims = json!({ "iss": "i", "aud": "api", "exp": NOW + 60 }).to_string();
    let kind = |issuer: Issuer, typ: Option<&str>| {
        let header = typ.map_or_else(|| json!({ "alg": "ES256" }), |typ| json!({ "alg": "ES256", "typ": typ }));
        check_raw(&policy(issuer), &header.to_string(), &claims).err().map(|error| error.kind())
    };
    let default = || Issuer::new("i");
    for good in [
        None,
        Some("JWT"),
        Some("jwt"),
        Some("at+jwt"),
        Some("AT+JWT"),
        Some("application/at+jwt"),
        Some("Application/JWT"),
    ] {
        assert_eq!(kind(default(), good), None, "{good:?}");
    }
    for wrong in [
        "dpop+jwt",
        "logout+jwt",
        "token-introspection+jwt",
        "statuslist+jwt",
        "id_token",
        "",
        "application/",
        "text/jwt",
        "application/application/jwt",
        "at+jwt ",
    ] {
        assert_eq!(kind(default(), Some(wrong)), Some(ErrorKind::WrongType), "{wrong}");
    }
    let own = || Issuer::new("i").only_types(["application/X+jwt", "y"]);
    for good in ["x+jwt", "Y", "application/y"] {
        assert_eq!(kind(own(), Some(good)), None, "{good}");
    }
    for wrong in [None, Some("JWT"), Some("at+jwt")] {
        assert_eq!(kind(own(), wrong), Some(ErrorKind::WrongType), "{wrong:?}");
    }
}

#[test]
fn only_the_issuers_algorithms_are_plausible() {
    use crate::jose::Algorithm;
    let claims = json!({ "iss": "i", "aud": "api", "exp": NOW + 60 }).to_string();
    let kind = |issuer: Issuer, alg: &str| {
        check_raw(&policy(issuer), &json!({ "alg": alg }).to_string(), &claims).err().map(|error| error.kind())
    };
    for good in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "Ed25519"] {
        assert_eq!(kind(Issuer::new("i"), good), None, "{good}");
    }
    for wrong in ["HS256", "HS384", "HS512", "none", "ES512", "ES256K", "RS1"] {
        assert_eq!(kind(Issuer::new("i"), wrong), Some(ErrorKind::UnsupportedAlgorithm), "{wrong}");
    }
    let only = || Issuer::new("i").only_algorithms([Algorithm::Es256, Algorithm::Ed25519]);
    assert_eq!(kind(only(), "ES256"), None);
    assert_eq!(kind(only(), "RS256"), Some(ErrorKind::UnsupportedAlgorithm));
}

#[test]
fn the_operator_learns_what_was_expected_and_nothing_of_the_token() {
    let claims = json!({ "iss": "i", "aud": ["secret-aud", "b"], "exp": NOW + 60, "sub": "secret-sub" }).to_string();
    let error = check_raw(&policy(Issuer::new("i")), r#"{"alg":"ES256"}"#, &claims).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the token is meant for another audience: expected one of [\"api\"], and the token names 2 other; was it issued for \
         this service? (issuer i)"
    );
}

#[test]
fn the_operator_learns_which_audience_was_probably_meant() {
    let detail = |issuer: Issuer, claims: Claims| {
        let mut claims = claims;
        (claims["iss"], claims["exp"]) = (json!("i"), json!(NOW + 60));
        check_raw(&policy(issuer), r#"{"alg":"ES256"}"#, &claims.to_string()).unwrap_err().to_string()
    };
    let api = || Issuer::new("i").only_audiences(["https://Api.test/orders"]);
    let only = "differs from \"https://Api.test/orders\" only by scheme, case or a trailing slash";
    for near in ["https://Api.test/orders/", "https://api.test/orders", "http://Api.test/orders", "api.TEST/orders/"] {
        assert!(detail(api(), json!({ "aud": near })).contains(&format!("aud {only}")), "{near}");
        assert!(detail(api(), json!({ "aud": ["x", near] })).contains(&format!("aud {only}")), "{near}");
    }
    for far in [json!(""), json!("/"), json!("https://api.test"), json!("https://api.test/orders2"), json!([])] {
        assert!(detail(api(), json!({ "aud": far })).contains("expected one of"), "{far}");
    }
    let many: Vec<_> =
        (0..1000).map(|index| format!("x{index}")).chain(["https://api.test/orders".to_owned()]).collect();
    assert!(detail(api(), json!({ "aud": many })).contains("expected one of"), "not all are compared");
    let origin = || Issuer::new("i").accept_absent_aud_if("azp", ["https://Api.test/orders"]);
    let text = detail(origin(), json!({ "azp": "https://api.test/orders" }));
    assert!(text.contains(&format!("aud is absent, and azp {only}")), "{text}");
    let client = || Issuer::new("i").only_clients(["https://Api.test/orders"]);
    let text = detail(client(), json!({ "aud": "api", "client_id": "https://Api.test/orders/" }));
    assert!(text.contains(&format!("client_id {only}")), "{text}");
}

fn any_json() -> impl Strategy<Value = Claims> {
    let leaf = prop_oneof![
        Just(Claims::Null),
        any::<bool>().prop_map(Claims::from),
        any::<i64>().prop_map(Claims::from),
        any::<f64>().prop_map(Claims::from),
        "[a-z \"\\\\é]{0,8}".prop_map(Claims::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Claims::from),
            proptest::collection::btree_map("[a-z]{1,3}", inner, 0..4).prop_map(|members| json!(members)),
        ]
    })
}

proptest! {
    /// Any claims whatever give an answer of the token's kind, never a panic, and never an answer
    /// that blames the server.
    #[test]
    fn any_claims_give_a_verdict(
        claims in proptest::collection::btree_map("iss|aud|exp|nbf|iat|sub|cnf|azp|jti|scope|roles|[a-z]{1,4}", any_json(), 0..8),
    ) {
        let claims = json!(claims).to_string();
        if let Err(error) = check_raw(&policy(Issuer::new("i")), r#"{"alg":"ES256"}"#, &claims) {
            prop_assert!(!matches!(error.kind(), ErrorKind::KeysUnavailable | ErrorKind::LayerMissing));
        }
    }
}
