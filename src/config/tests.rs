use std::path::Path;
use std::time::Duration;

use ::config::{Config, Environment, File, FileFormat};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::*;
use crate::claims::{Roles, Scopes, Segment};
use crate::issuer::Issuer;
use crate::jose::Algorithm;

#[test]
fn the_schema_is_that_of_the_types() {
    let mut schema = schemars::schema_for!(ResourceServerConfig);
    schema.insert("$id".into(), "https://docs.rs/tower-bearer/resource-server.schema.json".into());
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/schema.json"), &text).unwrap();
    }
    assert!(text == ResourceServerConfig::JSON_SCHEMA, "`UPDATE_SCHEMA=1 cargo test --lib schema` writes it anew");
}

fn problems(config: Value) -> Vec<(String, String)> {
    let config: ResourceServerConfig = serde_json::from_value(config).unwrap();
    let Err(error) = config.builder().build() else { return Vec::new() };
    error.problems().iter().map(|problem| (problem.path().to_owned(), problem.message().to_owned())).collect()
}

fn paths(config: Value) -> Vec<String> {
    problems(config).into_iter().map(|(path, _)| path).collect()
}

/// The issuer of a configuration that has one, as its `Debug` shows it.
fn issuer(config: Value) -> String {
    let mut problems = ConfigError::default();
    let config: IssuerConfig = serde_json::from_value(config).unwrap();
    let issuer = config.read("issuer", &mut problems);
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
        "audience": ["a", "b"],
        "audience_claim": { "name": "client_id", "values": ["c", "d"] },
        "dangerously_accept_any_audience": true,
        "dangerously_accept_absent_audience": true,
        "allow_clients": ["c"],
        "client_claim": "cid",
        "algorithms": ["ES256", "EdDSA"],
        "leeway_seconds": 5,
        "max_age_seconds": 60,
        "max_lifetime_seconds": 120,
        "max_stale_seconds": 10,
        "accept_typ": "at+jwt",
        "rfc9068": true,
        "require_claims": ["x", "y"],
        "require_claim_values": { "token_use": "access" },
        "require_claim_prefixes": { "sub": "spiffe://" },
        "forbid_claims": "nonce",
        "forbid_claim_values": { "sts": ["pending"] },
        "scopes": { "at": ["/a/b~1c~0", "https://x/y", ["d", { "value_of": "e" }]], "separated_by": ",", "with_prefix": "p:" },
        "roles": { "at": [["r"]], "separated_by": ";", "with_prefix": "q", "granted_in": { "value_of": "org" }, "only_renamed": { "ops": ["admin", "user"] } },
        "tenant_at": "/firebase/tenant",
    });
    let by_hand = Issuer::new("https://id.test/")
        .also_known_as("id")
        .also_known_as("id.test")
        .accept_absent_iss()
        .jwks_uri("https://keys.test/jwks")
        .audience("a")
        .audience("b")
        .audience_claim("client_id", ["c", "d"])
        .dangerously_accept_any_audience()
        .dangerously_accept_absent_audience()
        .allow_clients(["c"])
        .client_claim("cid")
        .algorithms([Algorithm::Es256, Algorithm::Ed25519])
        .leeway(Duration::from_secs(5))
        .max_age(Duration::from_secs(60))
        .max_lifetime(Duration::from_secs(120))
        .max_stale(Duration::from_secs(10))
        .accept_typ("at+jwt")
        .rfc9068()
        .require_claims(["x", "y"])
        .require_claim_value("token_use", "access")
        .require_claim_prefix("sub", "spiffe://")
        .forbid_claims(["nonce"])
        .forbid_claim_value("sts", "pending")
        .scopes(
            Scopes::at(["a", "b/c~"])
                .and(["https://x/y"])
                .and([Segment::from("d"), Segment::value_of("e")])
                .separated_by(',')
                .with_prefix("p:"),
        )
        .roles(
            Roles::at(["r"])
                .separated_by(';')
                .with_prefix("q")
                .granted_in(Segment::value_of("org"))
                .only_renamed([("ops", "admin"), ("ops", "user")]),
        )
        .tenant_at(["firebase", "tenant"]);
    assert_eq!(issuer(config.clone()), format!("{by_hand:?}"));
    let schema: Value = serde_json::from_str(ResourceServerConfig::JSON_SCHEMA).unwrap();
    let known = schema["$defs"]["Issuer"]["properties"].as_object().unwrap();
    let tried: Vec<_> = config.as_object().unwrap().keys().collect();
    assert_eq!(known.keys().filter(|name| *name != "preset").collect::<Vec<_>>(), tried, "none is left out here");
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
    let schema: Value = serde_json::from_str(ResourceServerConfig::JSON_SCHEMA).unwrap();
    let presets = schema["$defs"]["Preset"]["oneOf"].as_array().unwrap();
    assert_eq!(presets.len(), 30);
    for preset in presets {
        // with an argument of each name, each must be read
        let (name, arguments) = preset["properties"].as_object().unwrap().iter().next().unwrap();
        let arguments = arguments["properties"].as_object().into_iter().flatten();
        let arguments: serde_json::Map<_, _> = arguments
            .map(|(name, _)| {
                let address =
                    ["base", "endpoint", "frontend_api", "instance", "issuer", "jwks_uri", "origin"].contains(&&**name);
                (name.clone(), if address { "https://x.test".into() } else { "x.test".into() })
            })
            .collect();
        assert_eq!(
            paths(json!({ "audience": "a", "issuers": [{ "preset": { name: arguments } }] })),
            [""; 0],
            "{name}"
        );
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once_and_where() {
    let config = json!({
        "audience": 7,
        "realm": ["x"],
        "token_cache": -1,
        "isuers": [],
        "issuers": [
            { "issuer": "http://id.test", "leeway_seconds": "a minute", "max_age_seconds": "0", "algorithms": ["RS255"], "algoritms": [], "rfc9068": "maybe" },
            { "preset": { "keycloak": { "base": "https://id.test" } } },
            { "preset": { "keycloack": {} } },
            { "preset": { "google": {} }, "issuer": "https://accounts.google.com" },
            {},
            7,
            { "issuer": "https://b.test/", "roles": { "ad": ["x"] }, "scopes": { "at": [["a", 1]] }, "audience": null },
            { "issuer": "https://c.test/", "tenant_at": "", "roles": { "renamed": {}, "only_renamed": {} } },
        ],
    });
    let found = problems(config);
    let found_paths: Vec<_> = found.iter().map(|(path, _)| path.as_str()).collect();
    let expected = [
        "audience",
        "audience",
        "realm",
        "token_cache",
        "issuers[0].algorithms",
        "issuers[0].leeway_seconds",
        "issuers[0].rfc9068",
        "issuers[0].algoritms",
        "issuers[1].preset",
        "issuers[1]",
        "issuers[2].preset",
        "issuers[2]",
        "issuers[3]",
        "issuers[4]",
        "issuers[5]",
        "issuers[6].audience",
        "issuers[6].scopes",
        "issuers[6].roles",
        "issuers[7].roles.only_renamed",
        "isuers",
        "issuers[http://id.test].id",
        "issuers[http://id.test].max_age",
        "issuers[https://c.test/].tenant_at",
    ];
    assert_eq!(found_paths, expected, "{found:#?}");
    assert!(found.iter().all(|(_, message)| !message.is_empty()));
    assert_eq!(paths(json!({})), ["audience", "issuers"]);
    assert_eq!(paths(json!({ "audience": [] , "issuers": [] })), ["audience", "issuers"]);
}

fn read<T: DeserializeOwned>(format: FileFormat, text: &str) -> T {
    Config::builder().add_source(File::from_str(text, format)).build().unwrap().try_deserialize().unwrap()
}

/// What is trusted, and of what audience and realm.
fn shown(config: ResourceServerConfig) -> String {
    let builder = config.builder();
    let shown = format!("{builder:?}");
    builder.build().unwrap();
    shown
}

#[test]
fn yaml_toml_json_and_the_environment_say_the_same() {
    let json = r#"{ "audience": ["a", "b"], "token_cache": 0, "issuers": [
        { "preset": { "okta": { "base": "https://o.test", "server": "default" } }, "leeway_seconds": 5, "roles": { "renamed": { "Every one": "user" } } },
        { "issuer": "https://id.test/", "rfc9068": true } ] }"#;
    let yaml = "
audience: [a, b]
token_cache: 0
issuers:
  - preset: { okta: { base: https://o.test, server: default } }
    leeway_seconds: 5
    roles: { renamed: { Every one: user } }
  - issuer: https://id.test/
    rfc9068: true
";
    let toml = r#"
audience = ["a", "b"]
token_cache = 0

[[issuers]]
preset.okta = { base = "https://o.test", server = "default" }
leeway_seconds = 5
roles.renamed."Every one" = "user"

[[issuers]]
issuer = "https://id.test/"
rfc9068 = true
"#;
    let direct: ResourceServerConfig = serde_json::from_str(json).unwrap();
    let settings = format!("{direct:?}");
    for (format, text) in [(FileFormat::Json, json), (FileFormat::Yaml, yaml), (FileFormat::Toml, toml)] {
        let config: ResourceServerConfig = read(format, text);
        assert_eq!(format!("{config:?}"), settings, "{format:?}");
    }
    let shown_directly = shown(direct);

    let variables = [
        ("API_AUDIENCE", r#"["a", "b"]"#),
        ("API_TOKEN_CACHE", "0"),
        ("API_ISSUERS", &json[json.find("[\n").unwrap()..json.rfind('}').unwrap()]),
    ];
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let environment = Environment::with_prefix("API").source(Some(variables));
    let config: ResourceServerConfig =
        Config::builder().add_source(environment).build().unwrap().try_deserialize().unwrap();
    assert_eq!(shown(config), shown_directly);
}
