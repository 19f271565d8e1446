//! A configuration says the same in whatever format it is written.

use ::config::{Config, Environment, File, FileFormat};
use serde::de::DeserializeOwned;

use super::*;

fn read<T: DeserializeOwned>(format: FileFormat, text: &str) -> T {
    Config::builder().add_source(File::from_str(text, format)).build().unwrap().try_deserialize().unwrap()
}

/// All that a configuration says, whatever form it says it in.
fn shown(config: ResourceServerConfig) -> String {
    let mut problems = ConfigError::default();
    let mut root = Place::root(&mut problems);
    let audience = config.audience.clone().take(&mut root).map(|audiences| audiences.0);
    let cache = config.token_cache_bytes.clone().take(&mut root);
    let issuers = config.issuers.clone().take(&mut root).unwrap().into_iter();
    let issuers: Vec<_> = issuers.map(|issuer| issuer.take(&mut root).unwrap().read(&mut root).unwrap()).collect();
    config.builder().build().unwrap();
    problems.or(format!("{audience:?} {cache:?} {issuers:?}")).unwrap()
}

#[test]
fn yaml_toml_json_and_the_environment_say_the_same() {
    let json = r#"{ "audience": ["a", "b"], "token_cache_bytes": 0, "issuers": [
        { "preset": { "okta": { "base": "https://o.test", "server": "default" } }, "leeway_seconds": 5, "roles": { "renamed": { "Every one": "user" } } },
        { "issuer": "https://id.test/", "rfc9068": true } ] }"#;
    let yaml = "
audience: [a, b]
token_cache_bytes: 0
issuers:
  - preset: { okta: { base: https://o.test, server: default } }
    leeway_seconds: 5
    roles: { renamed: { Every one: user } }
  - issuer: https://id.test/
    rfc9068: true
";
    let toml = r#"
audience = ["a", "b"]
token_cache_bytes = 0

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
        ("API_TOKEN_CACHE_BYTES", "0"),
        ("API_ISSUERS", &json[json.find("[\n").unwrap()..json.rfind('}').unwrap()]),
    ];
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let environment = Environment::with_prefix("API").source(Some(variables));
    let config: ResourceServerConfig =
        Config::builder().add_source(environment).build().unwrap().try_deserialize().unwrap();
    assert_eq!(shown(config), shown_directly);
}

#[test]
fn a_name_that_comes_twice_is_refused_wherever_it_stands() {
    for twice in [
        r#"{ "audience": "a", "audience": "b" }"#,
        r#"{ "issuers": [{ "issuer": "a", "issuer": "b" }] }"#,
        r#"{ "issuers": [{ "roles": { "at": "a", "at": "b" } }] }"#,
        r#"{ "issuers": [{ "require": [{ "claim": "b", "claim": "c" }] }] }"#,
    ] {
        assert!(serde_json::from_str::<ResourceServerConfig>(twice).is_err(), "{twice}");
    }
}
