use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::deserializer::Deserializer as Second;
use super::*;

fn claims(text: &str) -> Json {
    Json::parse_all(text.as_bytes().to_vec()).unwrap()
}

/// What an operator is told, after the type's name.
fn told<T: DeserializeOwned + Debug + 'static>(text: &str) -> String {
    let error = read_claims::<T>(&claims(text)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MalformedClaim);
    let text = error.to_string();
    let (_, told) = text.split_once(&format!("the claims do not fit {}: ", type_name::<T>())).unwrap();
    told.to_owned()
}

#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "only read by serde")]
struct Tenant {
    tenant_id: String,
    #[serde(default)]
    level: u8,
    #[serde(default)]
    weight: Option<f32>,
    #[serde(default, alias = "mail")]
    email: Option<String>,
    #[serde(default)]
    flags: Vec<bool>,
    #[serde(default)]
    profile: Option<Profile>,
    #[serde(default)]
    by_name: BTreeMap<String, Profile>,
    #[serde(default)]
    by_number: HashMap<u8, Kind>,
    #[serde(default)]
    pair: Option<(u8, bool)>,
    #[serde(default)]
    shape: Option<Shape>,
    #[serde(default)]
    letter: Option<char>,
    #[serde(default)]
    id: Option<Id>,
    #[serde(default)]
    either: Option<Either>,
    #[serde(default, deserialize_with = "even")]
    even: u64,
    #[serde(default)]
    nothing: (),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "only read by serde")]
struct Profile {
    level: i8,
    #[serde(default)]
    kind: Option<Kind>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    User,
    Machine,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "only read by serde")]
enum Shape {
    Point,
    Circle(u8),
    Line(u8, u8),
    Box { side: u8 },
}

#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "only read by serde")]
struct Id(u32);

#[derive(Debug, Deserialize)]
#[serde(untagged)]
#[allow(dead_code, reason = "only read by serde")]
enum Either {
    Flag(bool),
    List(Vec<bool>),
}

/// A type of the application's that repeats what it has found in each of serde's ways.
fn even<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    use serde::de::Unexpected;
    let value = serde_json::Value::deserialize(deserializer)?;
    match &value {
        serde_json::Value::Number(number) => number.as_u64().filter(|number| number % 2 == 0).ok_or_else(|| {
            D::Error::invalid_value(Unexpected::Other(&value.to_string()), &format!("not {value}").as_str())
        }),
        serde_json::Value::String(text) => {
            Err(D::Error::invalid_type(Unexpected::Str(text), &format!("not {text}").as_str()))
        }
        serde_json::Value::Array(items) => Err(D::Error::invalid_length(items.len(), &format!("not {value}").as_str())),
        serde_json::Value::Object(members) => {
            let name = members.keys().next().map_or("", String::as_str);
            Err(if members.len() > 1 {
                D::Error::unknown_field(name, &["a"])
            } else {
                D::Error::unknown_variant(name, &["a"])
            })
        }
        serde_json::Value::Null | serde_json::Value::Bool(_) => Err(D::Error::custom(format!("not {value}"))),
    }
}

#[test]
fn what_does_not_fit_is_told_by_the_field_and_the_kind_of_mismatch() {
    const OWN: &str = "refused by code of the type's own, or fits no variant of an untagged enum";
    let own = format!("`even`: {OWN}");
    let either = format!("`either`: {OWN}");
    for (members, expected) in [
        ("", "missing field `tenant_id`"),
        (r#""tenant_id":null"#, "`tenant_id`: null, where a string is expected"),
        (r#""tenant_id":7"#, "`tenant_id`: a number, where a string is expected"),
        (r#""tenant_id":["t"]"#, "`tenant_id`: an array, where a string is expected"),
        (r#""level":300"#, "`level`: a number out of the range of u8"),
        (r#""level":-1"#, "`level`: a number out of the range of u8"),
        (r#""level":1.5"#, "`level`: a number with a fraction or exponent, where u8 is expected"),
        (r#""level":"7""#, "`level`: a string, where u8 is expected"),
        (r#""weight":true"#, "`weight`: a boolean, where f32 is expected"),
        (r#""email":"a","mail":"b""#, "two members for the field `email`"),
        (r#""flags":[true,0]"#, "`flags.1`: a number, where a boolean is expected"),
        (r#""flags":{"a":true}"#, "`flags`: an object, where an array is expected"),
        (r#""profile":{}"#, "`profile`: missing field `level`"),
        (r#""profile":"x""#, "`profile`: a string, where an object is expected"),
        (r#""profile":{"level":128}"#, "`profile.level`: a number out of the range of i8"),
        (r#""profile":{"level":1,"x":1}"#, "`profile`: a member that is none of the fields `level`, `kind`"),
        (r#""profile":{"level":1,"kind":"x"}"#, "`profile.kind`: none of the variants `user`, `machine`"),
        (
            r#""profile":{"level":1,"kind":7}"#,
            "`profile.kind`: a number, where a string, or an object of one member, is expected",
        ),
        (r#""by_name":{"a":{"level":1},"b":{"level":"x"}}"#, "`by_name.*.level`: a string, where i8 is expected"),
        (r#""by_number":{"1":"user","x":"user"}"#, "`by_number`: the name of a member, where u8 is expected"),
        (r#""by_number":{"1":"x"}"#, "`by_number.*`: none of the variants `user`, `machine`"),
        (r#""pair":[1]"#, "`pair`: another number of elements than the type has"),
        (r#""pair":[1,true,2]"#, "`pair`: more elements than the type has"),
        (r#""shape":{"Circle":300}"#, "`shape.Circle`: a number out of the range of u8"),
        (r#""shape":{"Line":[1]}"#, "`shape.Line`: another number of elements than the type has"),
        (r#""shape":{"Box":{"side":"x"}}"#, "`shape.Box.side`: a string, where u8 is expected"),
        (r#""shape":{"Point":1}"#, "`shape.Point`: a number, where null is expected"),
        (r#""shape":"Circle""#, "`shape`: a variant without content, where the type has something else"),
        (r#""letter":"xy""#, "`letter`: a string that is not a character"),
        (r#""id":"x""#, "`id`: a string, where u32 is expected"),
        (r#""either":"x""#, &either),
        (r#""even":null"#, &own),
        (r#""even":7"#, "`even`: a value that the type does not take"),
        (r#""even":"x""#, "`even`: a string, where the type has something else"),
        (r#""even":[]"#, "`even`: another number of elements than the type has"),
        (r#""nothing":1"#, "`nothing`: a number, where null is expected"),
    ] {
        let tenant = if members.is_empty() || members.contains("tenant_id") { "" } else { r#""tenant_id":"t","# };
        assert_eq!(told::<Tenant>(&format!("{{{tenant}{members}}}")), expected, "{members}");
    }
    assert_eq!(told::<Vec<u8>>("{}"), "an object, where an array is expected");
    assert_eq!(told::<HashMap<String, u8>>(r#"{"a":"x"}"#), "`*`: a string, where u8 is expected");
}

#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "only read by serde")]
struct Flat {
    own: u8,
    #[serde(flatten)]
    inner: Inner,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "only read by serde")]
struct Inner {
    tenant_id: String,
    #[serde(default)]
    level: u8,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", deny_unknown_fields)]
#[allow(dead_code, reason = "only read by serde")]
enum Tagged {
    A { level: u8 },
    B { name: String },
}

#[test]
fn what_serde_reads_by_way_of_a_buffer_is_told_without_a_name_for_its_place() {
    assert_eq!(told::<Flat>(r#"{"own":1,"level":1}"#), "missing field `tenant_id`");
    assert_eq!(told::<Flat>(r#"{"own":"x","tenant_id":"t","level":1}"#), "`*`: a string, where u8 is expected");
    assert_eq!(told::<Flat>(r#"{"own":1,"tenant_id":"t","level":300}"#), "a number out of the range of u8");
    assert_eq!(told::<Tagged>(r#"{"level":1}"#), "missing field `kind`");
    assert_eq!(told::<Tagged>(r#"{"kind":"C"}"#), "`*`: none of the variants `A`, `B`");
    assert_eq!(told::<Tagged>(r#"{"kind":"A","level":"x"}"#), "a string, where u8 is expected");
    assert_eq!(told::<Tagged>(r#"{"kind":"B","name":"x","more":1}"#), "a member that is none of the fields `name`");
}

/// Each JSON value with a secret in it, which is a string, a number, a name.
fn secrets() -> Vec<String> {
    let leaves = [r#""SECRET""#, "424242", "-424242", "4242.42", "4242e42", "true", "null"];
    let inside = |leaf: &str| {
        vec![
            leaf.to_owned(),
            format!("[{leaf}]"),
            format!("[{leaf},{leaf},{leaf}]"),
            format!(r#"{{"SECRET":{leaf}}}"#),
            format!(r#"{{"SECRET":{leaf},"level":1}}"#),
            format!(r#"{{"level":{leaf}}}"#),
            format!(r#"{{"level":1,"kind":{leaf}}}"#),
            format!(r#"{{"level":1,"kind":{{"SECRET":{leaf}}}}}"#),
            format!(r#"{{"user":{leaf}}}"#),
            format!(r#"{{"Circle":{leaf}}}"#),
            format!(r#"{{"Line":[{leaf},{leaf}]}}"#),
            format!(r#"{{"Box":{{"side":{leaf},"SECRET":1}}}}"#),
            format!(r#"{{"a":{{"level":{leaf}}},"SECRET":{{"level":{leaf},"SECRET":1}}}}"#),
            format!(r#"{{"7":"user","SECRET":{leaf},"424242":{leaf}}}"#),
        ]
    };
    leaves.into_iter().flat_map(inside).collect()
}

#[test]
fn no_value_and_no_name_of_the_token_is_told() {
    let check = |text: Option<Error>, claims: &str| {
        let Some(error) = text else { return 0 };
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(!text.contains("SECRET") && !text.contains("4242"), "{claims}: {text}");
        }
        1
    };
    let mut told = 0;
    for field in [
        "tenant_id",
        "level",
        "weight",
        "email",
        "flags",
        "profile",
        "by_name",
        "by_number",
        "pair",
        "shape",
        "letter",
        "id",
        "either",
        "even",
        "nothing",
    ] {
        for secret in secrets() {
            let tenant = if field == "tenant_id" { "" } else { r#""tenant_id":"t","# };
            let text = format!(r#"{{"SECRET":"SECRET",{tenant}"{field}":{secret}}}"#);
            told += check(read_claims::<Tenant>(&claims(&text)).err(), &text);
        }
    }
    for secret in secrets() {
        for text in [
            format!(r#"{{"kind":{secret}}}"#),
            format!(r#"{{"kind":"A","level":{secret}}}"#),
            format!(r#"{{"kind":"B","name":"x","SECRET":{secret}}}"#),
            format!(r#"{{"own":{secret},"tenant_id":"t","level":1}}"#),
            format!(r#"{{"own":1,"tenant_id":{secret},"level":{secret}}}"#),
            format!(r#"{{"SECRET":{secret}}}"#),
        ] {
            let json = claims(&text);
            told += check(read_claims::<Tagged>(&json).err(), &text) + check(read_claims::<Flat>(&json).err(), &text);
            told += check(read_claims::<Either>(&json).err(), &text) + check(read_claims::<Shape>(&json).err(), &text);
            told += check(read_claims::<HashMap<String, u8>>(&json).err(), &text);
            told += check(read_claims::<Profile>(&json).err(), &text);
        }
    }
    assert!(told > 2000, "{told}");
}

/// Whatever serde_json reads, the second reader reads alike; else it could blame what is right.
/// Where serde reads by way of a buffer, there is no number here: with serde_json's feature
/// `arbitrary_precision`, serde_json does not read it.
#[track_caller]
fn same<T: DeserializeOwned + Debug + 'static>(text: &str) {
    let json = claims(text);
    let first = serde_json::from_str::<T>(text).map(|value| format!("{value:?}")).unwrap();
    let second = T::deserialize(Second(json.root())).map(|value| format!("{value:?}"));
    assert_eq!(second.map_err(|misfit| misfit.to_string()), Ok(first), "{text}");
}

#[test]
fn the_second_reader_takes_what_the_first_takes() {
    same::<serde_json::Value>(r#"{"a":[1,-1,1.5,null,true,"x\u00e9",{"b":{}}]}"#);
    same::<HashMap<u64, u8>>(r#"{"18446744073709551615":1}"#);
    same::<HashMap<bool, i128>>(r#"{"true":-1}"#);
    same::<BTreeMap<i32, f32>>(r#"{"-1":1,"2":1.5}"#);
    same::<HashMap<char, u128>>(r#"{"x":18446744073709551615}"#);
    same::<HashMap<Option<String>, Option<()>>>(r#"{"x":null}"#);
    same::<BTreeMap<String, Shape>>(
        r#"{"a":"Point","b":{"Circle":1},"c":{"Line":[1,2]},"d":{"Box":{"side":1}},"e":{"Point":null}}"#,
    );
    same::<BTreeMap<String, Either>>(r#"{"a":true,"b":[true,false]}"#);
    same::<BTreeMap<String, Profile>>(r#"{"a":{"level":1},"b":[1,"user"]}"#);
    same::<Flat>(r#"{"own":1,"tenant_id":"t","more":[{}]}"#);
    same::<Tagged>(r#"{"name":"x","kind":"B"}"#);
    same::<Tenant>(
        r#"{"tenant_id":"t","level":255,"weight":1,"mail":"m","flags":[true],"profile":{"level":-128,"kind":"machine"},
            "by_name":{"x":{"level":0}},"by_number":{"7":"user"},"pair":[1,true],"shape":{"Box":{"side":1}},"letter":"x",
            "id":7,"either":[true],"even":2,"nothing":null,"more":{"a":[1]}}"#,
    );
}

/// Reads as serde_json's `RawValue` does, where that feature is on.
#[derive(Debug)]
struct Raw;

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RawVisitor;
        impl<'de> Visitor<'de> for RawVisitor {
            type Value = Raw;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("any valid JSON value")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Raw, A::Error> {
                assert_eq!(members.next_key()?, Some("$serde_json::private::RawValue".to_owned()));
                members.next_value::<String>().map(|_| Raw)
            }
        }
        deserializer.deserialize_newtype_struct("$serde_json::private::RawValue", RawVisitor)
    }
}

#[test]
fn a_raw_value_is_never_what_does_not_fit() {
    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only read by serde")]
    struct WithRaw {
        raw: Raw,
        tenant_id: String,
    }
    assert_eq!(told::<WithRaw>(r#"{"raw":{"a":[1]}}"#), "missing field `tenant_id`");
}

#[test]
fn claims_are_as_deep_for_the_applications_type_as_for_us() {
    let text = format!("{}1{}", "{\"a\":".repeat(64), "}".repeat(64));
    same::<serde_json::Value>(&text);
    let value: serde_json::Value = read_claims(&claims(&text)).unwrap();
    assert_eq!(value.to_string(), text);
}

#[test]
fn where_identifiers_are_read_as_text_the_type_still_sees_numbers() {
    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only read by serde")]
    struct Numbered {
        sub: u64,
        level: u8,
    }
    let told = |text: &str| {
        let mut claims = claims(text);
        claims.spell_integers(["sub"]);
        read_claims::<Numbered>(&claims).map_err(|error| error.to_string())
    };
    assert_eq!(told(r#"{"sub":7,"level":1}"#).unwrap().sub, 7);
    let missing = told(r#"{"sub":7}"#).unwrap_err();
    assert!(missing.ends_with("missing field `level`"), "{missing}");
}
