mod formats;
mod schema;

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::claims::{Claim, ClaimValue, Roles, Scopes, Segment};
use crate::error::ConfigProblem;
use crate::introspection::{ClientAuthentication, ClientKey, Introspection, JwtIntrospection, Secret};
use crate::issuer::{Argument, Issuer, Preset, presets};
use crate::jose::Algorithm;

fn problems(config: Value) -> Vec<ConfigProblem> {
    let config: ResourceServerConfig = serde_json::from_value(config).unwrap();
    let Err(error) = config.builder().build() else { return Vec::new() };
    error.problems().to_vec()
}

fn paths(config: Value) -> Vec<String> {
    problems(config).iter().map(|problem| problem.path().to_owned()).collect()
}

/// The issuer of a configuration that has one, as its `Debug` shows it.
fn issuer(config: Value) -> String {
    let mut problems = ConfigError::default();
    let config: IssuerConfig = serde_json::from_value(config).unwrap();
    let issuer = config.read(&mut Place::root(&mut problems));
    problems.or(()).unwrap();
    format!("{:?}", issuer.unwrap())
}

#[test]
fn every_setting_is_what_the_method_of_its_name_does() {
    let config = json!({
        "issuer": "https://id.test/",
        "also_known_as": ["id", "id.test"],
        "accept_absent_iss": true,
        "jwks_uri": "https://keys.test/jwks",
        "only_audiences": ["a", "b"],
        "accept_absent_aud_if": { "claim": "client_id", "one_of": ["c", "d"] },
        "dangerously_accept_any_aud": true,
        "dangerously_accept_absent_aud": true,
        "only_clients": ["c"],
        "only_actors": ["d"],
        "client_claim": "cid",
        "only_algorithms": ["ES256", "EdDSA"],
        "leeway_seconds": 5,
        "max_age_seconds": 60,
        "max_lifetime_seconds": 120,
        "max_stale_seconds": 10,
        "only_types": "at+jwt",
        "rfc9068": true,
        "accept_dpop": true,
        "require_dpop": true,
        "accept_mtls": true,
        "require_mtls": true,
        "require_sender_constraint": true,
        "fapi2": true,
        "require": [
            { "claim": "x" },
            { "claim": "/a/b", "equals": "access" },
            { "claim": ["email_verified"], "equals": true },
            { "claim": "tenant", "one_of": [10133, -1, 18_446_744_073_709_551_615_u64, "true", "7"] },
            { "claim": "sub", "starts_with": "spiffe://", "not_equals": "spiffe://x" },
            { "claim": "amr", "contains": "mfa" },
            { "claim": "nonce", "absent": "true" },
            { "claim": "[\"sts\"]", "if_present": true, "not_equals": "pending" },
        ],
        "accept_numeric_ids": true,
        "scopes": { "at": "/a/b~1c~0", "and": ["https://x/y", ["d", { "value_of": "e" }]], "separated_by": ",", "only_with_prefix": "p:" },
        "roles": { "at": ["r"], "separated_by": ";", "only_with_prefix": "q", "only_granted_in": { "value_of": "org" }, "only_renamed": { "ops": ["admin", "user"] } },
        "tenant_at": "/firebase/tenant",
        "introspection": {
            "client": { "private_key_jwt": { "client_id": "c", "algorithm": "ES256", "key": { "file": "/k" }, "kid": "k" } },
            "endpoint": "https://id.test/introspect",
            "ttl_seconds": 20,
            "inactive_ttl_seconds": 1,
            "signed": true,
            "introspect_jwts_every_seconds": 300,
            "without_keys": true,
            "only_prefix": "id_",
        },
    });
    let client =
        ClientAuthentication::private_key_jwt("c", ClientKey::pem(Algorithm::Es256, Secret::file("/k")).kid("k"));
    let by_hand = Issuer::new("https://id.test/")
        .also_known_as("id")
        .also_known_as("id.test")
        .accept_absent_iss()
        .jwks_uri("https://keys.test/jwks")
        .only_audiences(["a", "b"])
        .accept_absent_aud_if("client_id", ["c", "d"])
        .dangerously_accept_any_aud()
        .dangerously_accept_absent_aud()
        .only_clients(["c"])
        .only_actors(["d"])
        .client_claim("cid")
        .only_algorithms([Algorithm::Es256, Algorithm::Ed25519])
        .leeway(Duration::from_secs(5))
        .max_age(Duration::from_secs(60))
        .max_lifetime(Duration::from_secs(120))
        .max_stale(Duration::from_secs(10))
        .only_types(["at+jwt"])
        .rfc9068()
        .accept_dpop()
        .require_dpop()
        .accept_mtls()
        .require_mtls()
        .require_sender_constraint()
        .fapi2()
        .require(Claim::at(["x"]))
        .require(Claim::at(["a", "b"]).equals("access"))
        .require(Claim::at(["email_verified"]).equals(true))
        .require(Claim::at(["tenant"]).one_of([
            10133.into(),
            (-1).into(),
            u64::MAX.into(),
            ClaimValue::from("true"),
            "7".into(),
        ]))
        .require(Claim::at(["sub"]).not_equals("spiffe://x").starts_with("spiffe://"))
        .require(Claim::at(["amr"]).contains("mfa"))
        .require(Claim::absent(["nonce"]))
        .require(Claim::if_present(["sts"]).not_equals("pending"))
        .accept_numeric_ids()
        .scopes(
            Scopes::at(["a", "b/c~"])
                .and(["https://x/y"])
                .and([Segment::from("d"), Segment::value_of("e")])
                .separated_by(',')
                .only_with_prefix("p:"),
        )
        .roles(
            Roles::at(["r"])
                .separated_by(';')
                .only_with_prefix("q")
                .only_granted_in(Segment::value_of("org"))
                .only_renamed([("ops", "admin"), ("ops", "user")]),
        )
        .tenant_at(["firebase", "tenant"])
        .introspection(
            Introspection::new(client)
                .endpoint("https://id.test/introspect")
                .ttl(Duration::from_secs(20))
                .inactive_ttl(Duration::from_secs(1))
                .signed()
                .introspect_jwts(JwtIntrospection::Every(Duration::from_secs(300)))
                .without_keys()
                .only_prefix("id_"),
        );
    assert_eq!(issuer(config.clone()), format!("{by_hand:?}"));
    let schema: Value = serde_json::from_str(ResourceServerConfig::JSON_SCHEMA).unwrap();
    let known = schema["$defs"]["Issuer"]["properties"].as_object().unwrap();
    let tried: Vec<_> = config.as_object().unwrap().keys().collect();
    assert_eq!(known.keys().filter(|name| *name != "preset").collect::<Vec<_>>(), tried, "none is left out here");
}

#[test]
fn no_value_that_may_be_secret_is_shown() {
    let secret = "https://id.test/keys?api_key=secret";
    for issuer in [
        json!({ "issuer": "https://id.test/", "jwks_uri": secret }),
        json!({ "issuer": "https://id.test/", "jwks_url": secret }),
        json!({ "issuer": "https://id.test/", "roles": { "jwks_uri": secret } }),
        json!({ "preset": { "spiffe": { "trust_domain": "id.test", "jwks_uri": secret } } }),
    ] {
        let config: ResourceServerConfig =
            serde_json::from_value(json!({ "audience": "a", "issuers": [issuer] })).unwrap();
        assert!(!format!("{config:?}").contains("secret"), "{config:?}");
        let builder = config.builder();
        assert!(!format!("{builder:?}").contains("secret") && !format!("{:?}", builder.build()).contains("secret"));
    }
}

#[test]
#[cfg(feature = "http-client")]
fn hosts_that_keys_come_from_over_plain_http_are_named_one_by_one() {
    let issuers = json!([{ "issuer": "http://keycloak:8080/realms/shop" }]);
    let named = |hosts: Value| {
        paths(json!({ "audience": "a", "issuers": issuers, "dangerously_fetch_keys_over_plain_http_from": hosts }))
    };
    assert_eq!(named(json!("keycloak:8080")), [""; 0]);
    assert_eq!(named(json!(["other", "keycloak:8080"])), [""; 0]);
    assert_eq!(named(json!("keycloak")), ["issuers[http://keycloak:8080/realms/shop].id"]);
    let fault = "dangerously_fetch_keys_over_plain_http_from";
    assert_eq!(named(json!("http://keycloak:8080")), [fault, "issuers[http://keycloak:8080/realms/shop].id"]);
    assert_eq!(named(json!(true)), [fault, "issuers[http://keycloak:8080/realms/shop].id"]);
}

#[test]
fn a_preset_is_named_like_its_constructor_and_its_settings_stay_unless_replaced() {
    let keycloak = json!({ "keycloak": { "base": "https://id.test", "realm": "shop" } });
    let plain = Issuer::keycloak("https://id.test", "shop");
    assert_eq!(issuer(json!({ "preset": keycloak })), format!("{plain:?}"));
    let roles = json!({ "only_renamed": { "shop-admins": "admin" } });
    let renamed = Roles::at(["realm_access", "roles"]).only_renamed([("shop-admins", "admin")]);
    assert_eq!(issuer(json!({ "preset": keycloak, "roles": roles })), format!("{:?}", plain.roles(renamed)));
    assert_eq!(issuer(json!({ "preset": { "google": {} } })), format!("{:?}", Issuer::google()));
}

#[test]
fn every_preset_takes_its_arguments_by_their_names() {
    for Preset { name: preset, arguments, make } in presets() {
        let built = |given: &Value| paths(json!({ "audience": "a", "issuers": [{ "preset": { *preset: given } }] }));
        let examples =
            arguments.iter().map(|argument| argument.example.iter().map(|text| (*text).to_owned()).collect());
        let by_hand = make(&mut examples.collect::<Vec<_>>().into_iter());
        let value =
            |argument: &Argument| if argument.is_list { json!(argument.example) } else { json!(argument.example[0]) };
        let given: Value = arguments.iter().map(|argument| (argument.name.to_owned(), value(argument))).collect();
        assert_eq!(issuer(json!({ "preset": { *preset: given } })), format!("{by_hand:?}"));
        assert_eq!(built(&given), [""; 0], "{preset}");
        for Argument { name, is_list, .. } in *arguments {
            let mut wrong = given.clone();
            wrong[name] = if *is_list { json!([]) } else { json!([given[name]]) };
            assert_eq!(built(&wrong), ["issuers[0].preset"], "{preset}: {name}");
            wrong.as_object_mut().unwrap().remove(*name);
            assert_eq!(built(&wrong), ["issuers[0].preset"], "{preset}: {name}");
        }
        let mut more = given.clone();
        more["more"] = json!("x");
        assert_eq!(built(&more), ["issuers[0].preset"], "{preset}");
    }
    let okta = json!({ "okta": { "base": "https://b.test", "server": "s" } });
    assert_eq!(issuer(json!({ "preset": okta })), format!("{:?}", Issuer::okta("https://b.test", "s")));
    const BASE: &str = "https://b.test/";
    // whose identifier may end with a slash, and whose address may not
    assert_eq!(
        [Issuer::hydra(BASE), Issuer::duende(BASE)].map(|issuer| issuer.id().to_owned()),
        [BASE, "https://b.test"]
    );
    let clerk = json!({ "clerk": { "base": "https://b.test", "origins": "o" } });
    assert_eq!(issuer(json!({ "preset": clerk })), format!("{:?}", Issuer::clerk("https://b.test", ["o"])));
}

#[test]
fn what_a_preset_has_turned_on_is_turned_off_by_false() {
    let descope = json!({ "descope": { "project": "p" } });
    let strict = issuer(json!({ "preset": descope, "dangerously_accept_absent_aud": false }));
    assert!(strict.contains("absent_aud: false") && issuer(json!({ "preset": descope })).contains("absent_aud: true"));
    let spiffe = json!({ "spiffe": { "trust_domain": "t", "jwks_uri": "https://k.test" } });
    assert!(issuer(json!({ "preset": spiffe, "accept_absent_iss": "false" })).contains("absent_iss: false"));
}

#[test]
fn a_list_may_be_a_string_and_a_string_that_looks_like_one_must_be() {
    let plain = json!({ "issuer": "https://id.test/", "only_types": ["a", "b"], "tenant_at": ["x", "y"], "roles": { "only_granted_in": { "value_of": "org" } } });
    let texts = json!({ "issuer": "https://id.test/", "only_types": "[\"a\", \"b\"]", "tenant_at": "[\"x\", \"y\"]", "roles": "{\"only_granted_in\": \"{\\\"value_of\\\": \\\"org\\\"}\"}" });
    assert_eq!(issuer(texts), issuer(plain));
    for bad in ["['a', 'b']", " [\"a\"", "[\"a\"", "[a, b]", "{a}", "[]", "[1]"] {
        let found = paths(json!({ "audience": "a", "issuers": [{ "issuer": "https://id.test/", "only_types": bad }] }));
        assert_eq!(found, ["issuers[0].only_types"], "{bad}");
    }
    let twice = r#"[{"issuer":"https://id.test/","issuer":"https://evil.test/"}]"#;
    assert_eq!(paths(json!({ "audience": "a", "issuers": twice })), ["issuers"]);
    // values are values, though
    let value = json!({ "issuer": "https://id.test/", "require": "[{\"claim\": \"x\", \"equals\": \"[y]\"}]" });
    let by_hand = Issuer::new("https://id.test/").require(Claim::at(["x"]).equals("[y]"));
    assert_eq!(issuer(value), format!("{by_hand:?}"));
}

#[test]
fn arguments_that_a_preset_cannot_mean_are_refused() {
    for (preset, path) in [
        (json!({ "entra": { "tenant": "common" } }), "tenant"),
        (json!({ "entra_v1": { "tenant": "contoso.onmicrosoft.com" } }), "tenant"),
        (json!({ "entra": { "tenant": "11111111-1111-1111-1111-11111111111A" } }), "tenant"),
        (json!({ "entra_b2c": { "name": "n", "tenant": "n", "policy": "p" } }), "tenant"),
        (json!({ "adfs": { "base": "https://b.test/adfs" } }), "base"),
        (json!({ "github_actions": { "owner_ids": ["1", "octocat"] } }), "owner_ids"),
        (json!({ "gitlab_ci": { "base": "https://b.test", "namespace_ids": "" } }), "namespace_ids"),
        (json!({ "aws_alb": { "issuer": "https://i.test", "arns": "app/shop/50dc6c495c0c9188" } }), "arns"),
        (json!({ "auth0": { "domain": "https://t.auth0.com" } }), "domain"),
        (json!({ "pingone": { "domain": "auth.pingone.eu/x", "environment": "e" } }), "domain"),
    ] {
        let found = paths(json!({ "audience": "a", "issuers": [{ "preset": preset }] }));
        assert!(found.iter().any(|found| found.ends_with(&format!("].{path}"))), "{preset}: {found:?}");
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once_and_where() {
    let config = json!({
        "audience": 7,
        "realm": ["x"],
        "token_cache_bytes": -1,
        "max_token_bytes": "64 KiB",
        "key_wait_timeout_seconds": "soon",
        "key_fetch_timeout_seconds": 1.5,
        "isuers": [],
        "issuers": [
            { "issuer": "http://id.test", "leeway_seconds": "a minute", "max_age_seconds": "0", "only_algorithms": ["RS255"], "algoritms": [], "rfc9068": "maybe" },
            { "preset": { "keycloak": { "base": "https://id.test" } } },
            { "preset": { "keycloack": {} } },
            { "preset": { "google": {} }, "issuer": "https://accounts.google.com" },
            {},
            7,
            { "issuer": "https://b.test/", "roles": { "ad": ["x"] }, "scopes": { "at": ["a", 1] }, "only_audiences": null },
            { "issuer": "https://d.test/", "require": "[{'claim': 'nonce'}]", "only_types": [], "roles": { "only_renamed": null, "only_granted_in": null } },
            { "issuer": "https://e.test/", "accept_absent_iss": true },
            { "issuer": "https://f.test/", "accept_absent_iss": true },
            { "issuer": "https://g.test/", "require": [
                { "claim": "a", "equals": 1.5 },
                { "claim": "a", "absent": true, "if_present": true },
                { "equals": 1 },
                { "claim": "a", "value": 1 },
                { "claim": "a", "starts_with": null },
                { "claim": "a", "one_of": [null] },
                { "claim": 7, "absent": 2 },
                { "claim": "a", "absent": true, "equals": 1 },
                { "claim": "" },
            ], "accept_numeric_ids": 1 },
            { "issuer": "https://c.test/", "tenant_at": "", "roles": { "renamed": {}, "only_renamed": {} } },
        ],
    });
    let found = problems(config);
    let found_paths: Vec<_> = found.iter().map(ConfigProblem::path).collect();
    let expected = [
        "audience",
        "realm",
        "token_cache_bytes",
        "max_token_bytes",
        "key_wait_timeout_seconds",
        "key_fetch_timeout_seconds",
        "issuers[0].only_algorithms",
        "issuers[0].leeway_seconds",
        "issuers[0].rfc9068",
        "issuers[0].algoritms",
        "issuers[1].preset",
        "issuers[2].preset",
        "issuers[3]",
        "issuers[4]",
        "issuers[5]",
        "issuers[6].only_audiences",
        "issuers[6].scopes.at",
        "issuers[6].roles.ad",
        "issuers[7].only_types",
        "issuers[7].require",
        "issuers[7].roles.only_granted_in",
        "issuers[7].roles.only_renamed",
        "issuers[10].require[0]",
        "issuers[10].require[1]",
        "issuers[10].require[2]",
        "issuers[10].require[3]",
        "issuers[10].require[4]",
        "issuers[10].require[5]",
        "issuers[10].require[6].claim",
        "issuers[10].require[6].absent",
        "issuers[10].accept_numeric_ids",
        "issuers[11].roles.only_renamed",
        "isuers",
        "issuers[http://id.test].id",
        "issuers[http://id.test].max_age",
        "issuers[https://f.test/]",
        "issuers[https://g.test/].require",
        "issuers[https://g.test/].require",
        "issuers[https://c.test/].tenant_at",
    ];
    assert_eq!(found_paths, expected, "{found:#?}");
    assert!(found.iter().all(|problem| !problem.message().is_empty()));
    let of = |kind| found.iter().filter(|problem| problem.kind() == kind).map(ConfigProblem::path).collect::<Vec<_>>();
    assert_eq!(of(ConfigProblemKind::Unknown), ["issuers[0].algoritms", "issuers[6].roles.ad", "isuers"]);
    assert_eq!(of(ConfigProblemKind::Missing), ["issuers[4]", "issuers[10].require[2]"]);
    let conflicts =
        ["issuers[3]", "issuers[10].require[1]", "issuers[11].roles.only_renamed", "issuers[https://f.test/]"];
    assert_eq!(of(ConfigProblemKind::Conflict), conflicts);
    assert_eq!(paths(json!({})), ["audience", "issuers"]);
    assert_eq!(paths(json!({ "audience": [] , "issuers": [] })), ["audience", "issuers"]);
}

#[test]
fn timeouts_have_bounds() {
    let found = |wait: u64, fetch: u64| {
        let issuer = json!({ "issuer": "https://id.test/" });
        let timeouts = json!({ "audience": "a", "issuers": [issuer], "key_wait_timeout_seconds": wait, "key_fetch_timeout_seconds": fetch });
        paths(timeouts)
    };
    for good in [(0, 1), (2, 5), (30, 30)] {
        assert_eq!(found(good.0, good.1), [""; 0], "{good:?}");
    }
    assert_eq!(found(31, 0), ["key_wait_timeout", "key_fetch_timeout"]);
    assert_eq!(found(u64::MAX, 31), ["key_wait_timeout", "key_fetch_timeout"]);
}

#[test]
fn what_a_setting_takes_is_said_in_the_words_of_the_configuration() {
    let issuer = json!({ "issuer": "https://id.test/", "accept_absent_aud_if": "client_id" });
    let problems = problems(json!({ "audience": "a", "issuers": [issuer] }));
    let messages: Vec<_> = problems.iter().map(ConfigProblem::message).collect();
    assert_eq!(messages, [r#"invalid type: string "client_id", expected an object with claim and one_of"#]);
}
