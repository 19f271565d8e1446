use std::time::SystemTime;

use serde_json::json;

use super::*;
use crate::error::ErrorKind;
use crate::issuer::Issuer;
use crate::server::ResourceServer;
use crate::testing::{Idp, ManualClock, TokenBuilder};

/// A token that was verified at 1,000,000 s, by a clock with which the test goes on.
fn verified(change: impl FnOnce(TokenBuilder) -> TokenBuilder) -> (AccessToken<()>, ManualClock) {
    let clock = ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW));
    let idp = Idp::new("https://id.test/").clock(clock.clone());
    let keys = crate::jwks::StaticKeys::jwks(&idp.jwks().to_string()).unwrap();
    let issuer = Issuer::new("https://id.test/").leeway(Duration::from_secs(LEEWAY));
    let server = ResourceServer::new("https://api.test").trust((issuer, keys)).clock(clock.clone()).build().unwrap();
    let token = change(idp.token("alice")).sign();
    (futures_util::FutureExt::now_or_never(server.authenticate(&token)).unwrap().unwrap(), clock)
}

const NOW: u64 = 1_000_000;
const LEEWAY: u64 = 5;

/// A verified token with these scopes and roles.
fn token(scopes: &str, roles: &[&str]) -> AccessToken<()> {
    verified(|token| token.scope(scopes).claim("roles", roles.to_vec())).0
}

fn acr(values: &'static [&'static str]) -> Rule {
    Rule::acr(values.iter().copied())
}

fn within(seconds: u64) -> Rule {
    Rule::authenticated_within(Duration::from_secs(seconds))
}

fn scope(name: &'static str) -> Rule {
    Rule::scope(name)
}

fn role(name: &'static str) -> Rule {
    Rule::role(name)
}

#[test]
fn a_rule_permits_and_else_names_the_scopes_to_ask_for() {
    // scopes, roles, rule, permitted or the scope of the challenge
    type Row = (&'static str, &'static [&'static str], Rule, Result<(), Option<&'static str>>);
    let table: Vec<Row> = vec![
        ("a", &[], scope("a"), Ok(())),
        ("x a y", &[], scope("a"), Ok(())),
        ("", &[], scope("a"), Err(Some("a"))),
        ("aa a:b A", &[], scope("a"), Err(Some("a"))),
        ("", &["a"], scope("a"), Err(Some("a"))),
        ("a", &[], role("a"), Err(None)),
        ("", &["a"], role("a"), Ok(())),
        ("", &[""], role(""), Err(None)),
        ("a b", &[], scope("a") & scope("b"), Ok(())),
        // all scopes of the operation, also the one that is there
        ("a", &[], scope("a") & scope("b"), Err(Some("a b"))),
        ("", &[], scope("a") & scope("b") & scope("a"), Err(Some("a b"))),
        // of alternatives the first
        ("", &[], scope("a") | scope("b"), Err(Some("a"))),
        ("b", &[], scope("a") | scope("b"), Ok(())),
        // but not one in place of another that is there
        ("b", &[], (scope("a") | scope("b")) & scope("c"), Err(Some("b c"))),
        ("", &["r"], (scope("a") | role("r")) & scope("c"), Err(Some("c"))),
        // a role that is missing cannot be asked for, and does not hide the scope
        ("", &[], scope("a") & role("r"), Err(Some("a"))),
        ("", &[], role("r") & scope("a"), Err(Some("a"))),
        ("", &[], role("q") | (scope("a") & role("r")), Err(Some("a"))),
        ("", &["r"], scope("a") & role("r"), Err(Some("a"))),
        ("a", &[], scope("a") & role("r"), Err(None)),
        ("", &[], role("r") | scope("a"), Err(Some("a"))),
        ("", &[], (scope("a") & role("r")) | scope("b"), Err(Some("b"))),
        ("", &["r"], (scope("a") & role("r")) | scope("b"), Err(Some("a"))),
        ("a", &["q"], scope("a") & (role("r") | role("q")), Ok(())),
        // what can be no scope is held by nobody and never written into a header
        ("a b", &[], scope("a b"), Err(None)),
        ("\"", &[], scope("\""), Err(None)),
        ("", &[], scope(""), Err(None)),
        ("a", &[], scope("x\r\ny") | scope("a"), Ok(())),
    ];
    for (scopes, roles, rule, expected) in table {
        let token = token(scopes, roles);
        let found = token.require(&rule);
        assert_eq!(token.permits(&rule), found.is_ok());
        let found = found.map_err(|error| {
            assert_eq!(error.kind(), ErrorKind::InsufficientScope);
            error.scope().map(ToOwned::to_owned)
        });
        assert_eq!(found, expected.map_err(|scope| scope.map(ToOwned::to_owned)), "{scopes:?} {roles:?} {rule:?}");
    }
}

/// What a challenge says: the kind, `scope`, `acr_values` and `max_age`.
type Told = (ErrorKind, Option<&'static str>, Option<&'static str>, Option<u64>);

fn assert_told(token: &AccessToken<()>, rule: &Rule, expected: Result<(), Told>) {
    let found = token.require(rule);
    assert_eq!(token.permits(rule), found.is_ok(), "{rule}");
    let found = found.as_ref().copied().map_err(|error| {
        let max_age = error.max_age().map(|longest| longest.as_secs());
        (error.kind(), error.scope(), error.acr_values(), max_age)
    });
    assert_eq!(found, expected, "{rule}");
}

#[test]
fn a_sign_in_is_asked_for_where_nothing_else_is_lacking() {
    let (signs_in, lacks) = (ErrorKind::InsufficientAuthentication, ErrorKind::InsufficientScope);
    let again = |acr_values, max_age| Err((signs_in, None, acr_values, max_age));
    let scoped = |scope, acr_values, max_age| Err((lacks, scope, acr_values, max_age));
    // a token with the scope `a`, the role `r` and `acr` `silver`, whose user signed in 100 s ago
    let (token, _) = verified(|token| {
        token.scope("a").role("r").claim("acr", "silver").authenticated_before(Duration::from_secs(100))
    });
    for (rule, expected) in [
        (within(100), Ok(())),
        (within(95), Ok(())),
        (within(94), again(None, Some(94))),
        (within(0), again(None, Some(0))),
        (Rule::authenticated_within(Duration::MAX), Ok(())),
        (Rule::authenticated_within(Duration::from_millis(60_999)), again(None, Some(60))),
        (acr(&["silver"]), Ok(())),
        (acr(&["gold", "silver"]), Ok(())),
        (acr(&["gold"]), again(Some("gold"), None)),
        (acr(&["platinum", "gold"]), again(Some("platinum gold"), None)),
        (acr(&["Silver"]), again(Some("Silver"), None)),
        // all that the operation needs, also what the token has
        (acr(&["silver"]) & within(60), again(Some("silver"), Some(60))),
        (acr(&["gold"]) & within(600), again(Some("gold"), Some(600))),
        (within(60) & within(30) & within(90), again(None, Some(30))),
        (acr(&["gold", "silver", "bronze"]) & acr(&["bronze", "gold"]), again(Some("gold bronze"), None)),
        (scope("a") & role("r") & within(60), again(None, Some(60))),
        // of alternatives the one that holds, else the first for which a sign-in is enough
        (acr(&["gold"]) | acr(&["silver"]), Ok(())),
        ((acr(&["gold"]) | acr(&["silver"])) & within(60), again(Some("silver"), Some(60))),
        (acr(&["gold"]) | within(60), again(Some("gold"), None)),
        (within(60) | acr(&["gold"]), again(None, Some(60))),
        (scope("b") | within(60), again(None, Some(60))),
        (role("q") | (scope("a") & within(60)), again(None, Some(60))),
        // who lacks a scope need not sign in first, and can ask for both
        (scope("b") & within(60), scoped(Some("b"), None, Some(60))),
        (within(60) & scope("b") & scope("a"), scoped(Some("b a"), None, Some(60))),
        (scope("b") & acr(&["gold"]) & within(600), scoped(Some("b"), Some("gold"), Some(600))),
        (scope("b") & acr(&["silver"]) & within(600), scoped(Some("b"), None, None)),
        ((scope("b") & within(60)) | scope("c"), scoped(Some("b"), None, Some(60))),
        // no sign-in gives a role
        (role("q") & within(60), scoped(None, None, None)),
        (role("q") & scope("b") & within(60), scoped(Some("b"), None, Some(60))),
        // what no sign-in can give is not asked for
        (acr(&[]), scoped(None, None, None)),
        (acr(&["a b"]), scoped(None, None, None)),
        (acr(&["gold"]) & acr(&["silver"]), scoped(None, None, None)),
        (acr(&[]) | within(60), again(None, Some(60))),
        (acr(&["x\r\ny", "gold"]), again(Some("gold"), None)),
    ] {
        assert_told(&token, &rule, expected);
    }
}

#[test]
fn a_sign_in_that_the_token_does_not_prove_has_not_been() {
    let told = |acr_values, max_age| Err((ErrorKind::InsufficientAuthentication, None, acr_values, max_age));
    for acr_claim in [json!(null), json!(""), json!(["gold"]), json!(7), json!({ "gold": true }), json!("gold silver")]
    {
        let (token, _) = verified(|token| token.claim("acr", acr_claim));
        assert_told(&token, &acr(&["gold", "silver"]), told(Some("gold silver"), None));
    }
    assert_told(&verified(|token| token.claim("acr", "")).0, &acr(&["", "gold"]), told(Some("gold"), None));
    assert_told(&verified(|token| token).0, &acr(&["gold"]), told(Some("gold"), None));
    assert_told(&verified(|token| token).0, &within(60), told(None, Some(60)));
    for (auth_time, recent) in [
        (json!(NOW), true),
        (json!(1_000_000.5), true),
        (json!(NOW + LEEWAY), true),
        (json!(NOW + LEEWAY + 1), false),
        (json!(NOW - 60 - LEEWAY), true),
        (json!(NOW - 61 - LEEWAY), false),
        (json!(0), false),
        (json!(null), false),
        (json!("1000000"), false),
        (json!([NOW]), false),
        (json!(-1), false),
        (json!(true), false),
        // milliseconds
        (json!(NOW * 1000), false),
        (json!(u64::MAX), false),
        (json!(1e300), false),
    ] {
        let (token, _) = verified(|token| token.claim("auth_time", auth_time));
        assert_told(&token, &within(60), if recent { Ok(()) } else { told(None, Some(60)) });
    }
}

#[test]
fn a_sign_in_grows_old_while_its_token_is_known() {
    let (token, clock) = verified(|token| token.authenticated_before(Duration::from_secs(50)));
    assert!(token.permits(&within(60)));
    clock.advance(Duration::from_secs(10 + LEEWAY));
    assert!(token.permits(&within(60)));
    clock.advance(Duration::from_secs(1));
    let error = token.require(&within(60)).unwrap_err();
    let text =
        "the user must sign in again, or in a stronger way: the sign-in may be 60 s old; auth_time lies 66 s back";
    assert!(error.to_string().starts_with(text), "{error}");
    // a clock that must be wrong proves nothing
    clock.set(SystemTime::UNIX_EPOCH - Duration::from_secs(1));
    assert!(!token.permits(&Rule::authenticated_within(Duration::MAX)));
}

#[test]
fn a_rule_is_written_as_it_is_meant() {
    let rule = (scope("a") | role("r")) & acr(&["gold", "silver"]) & within(300);
    assert_eq!(rule.to_string(), "(scope(a) | role(r)) & acr(gold silver) & authenticated_within(300s)");
}
