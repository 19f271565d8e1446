use super::*;
use crate::issuer::Issuer;
use crate::server::ResourceServer;
use crate::testing::Idp;

/// A verified token with these scopes and roles.
fn token(scopes: &str, roles: &[&str]) -> AccessToken<()> {
    let idp = Idp::new("https://id.test/");
    let keys = crate::jwks::StaticKeys::jwks(&idp.jwks().to_string()).unwrap();
    let server =
        ResourceServer::new("https://api.test").trust((Issuer::new("https://id.test/"), keys)).build().unwrap();
    let token = idp.token("alice").scope(scopes).claim("roles", roles.to_vec()).sign();
    futures_util::FutureExt::now_or_never(server.authenticate(&token)).unwrap().unwrap()
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
