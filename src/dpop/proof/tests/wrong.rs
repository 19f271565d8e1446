//! Each wrong proof, and why it is refused.

use serde_json::{Value, json};

use super::*;
use crate::jose::encode_base64url;
use crate::testing::ProofBuilder;

/// Stands in what a proof says, and in no error.
const SECRET: &str = "s3cret";

/// What is wrong, the proof, and a part of the reason that the operator reads.
type Row = (String, Vec<u8>, &'static str);

fn row(name: impl Into<String>, proof: impl Into<Vec<u8>>, reason: &'static str) -> Row {
    (name.into(), proof.into(), reason)
}

/// Of each JSON type but for strings and numbers.
fn others() -> [Value; 5] {
    [Value::Null, json!(true), json!([]), json!([SECRET]), json!({ "a": SECRET })]
}

fn forms(begin: &dyn Fn() -> ProofBuilder) -> Vec<Row> {
    let good = begin().sign();
    let parts: Vec<_> = good.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("three parts") };
    let long = begin().claim("else", "l".repeat(MAX_LEN)).sign();
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(70), "]".repeat(70));
    vec![
        row("nothing", "", "empty"),
        row("spaces", " \t ", "empty"),
        row("one part", header, "three parts"),
        row("two parts", format!("{header}.{claims}"), "three parts"),
        row("four parts", format!("{good}.{SECRET}"), "three parts"),
        row("five parts", format!("{good}.{SECRET}.{SECRET}"), "three parts"),
        row("two proofs", format!("{good},{good}"), "comma"),
        row("two proofs and a space", format!("{good}, {good}"), "comma"),
        row("a comma behind", format!("{good},"), "comma"),
        row("a comma before", format!(",{good}"), "comma"),
        row("two proofs without a comma", format!("{good} {good}"), "three parts"),
        row("a space inside", format!("{header}. {claims}.{signature}"), "neither base64url"),
        row("a tab inside", format!("{header}\t.{claims}.{signature}"), "neither base64url"),
        row("a line end inside", format!("{header}.{claims}\r\n.{signature}"), "neither base64url"),
        row("a zero byte", format!("{good}\0"), "neither base64url"),
        row("a byte that is not ASCII", [good.as_bytes(), &[0xff]].concat(), "neither base64url"),
        row("quotes", format!("\"{good}\""), "neither base64url"),
        row("a scheme before it", format!("DPoP {good}"), "neither base64url"),
        row("8 KiB and more", long, "8192 are the most"),
        row("a padded header", format!("{header}==.{claims}.{signature}"), "="),
        row("padded claims", format!("{header}.{claims}==.{signature}"), "="),
        row("a padded signature", format!("{good}=="), "a part of it is padded"),
        row("the other alphabet", format!("{header}.{claims}.+{}", &signature[1..]), "base64"),
        row("a character too few", format!("{header}.{}.{signature}", &claims[..claims.len() - 1]), "claims"),
        row("no header", format!(".{claims}.{signature}"), "header"),
        row("no claims", format!("{header}..{signature}"), "claims"),
        row("no signature", format!("{header}.{claims}."), "signature"),
        row("a long header", begin().header("else", "l".repeat(5000)).sign(), "4 KiB"),
        row("a header that is no JSON", begin().raw_header(SECRET).sign(), "malformed"),
        row("a header that is an array", begin().raw_header("[]").sign(), "not an object"),
        row("claims that are no JSON", begin().raw_claims(SECRET).sign(), "malformed"),
        row("claims that are an array", begin().raw_claims("[]").sign(), "not an object"),
        row("claims that are a string", begin().raw_claims("\"\"").sign(), "not an object"),
        row("claims that are null", begin().raw_claims("null").sign(), "not an object"),
        row("text behind the claims", begin().raw_claims("{} {}").sign(), "malformed"),
        row("a byte order mark", begin().raw_claims("\u{feff}{}").sign(), "malformed"),
        row("a lone surrogate", begin().raw_claims(r#"{"jti":"\ud800"}"#).sign(), "malformed"),
        row("deep claims", begin().raw_claims(deep).sign(), "64 deep"),
        row(
            "a header that is not UTF-8",
            format!("{}.{claims}.{signature}", encode_base64url(b"{\"\xff\":1}")),
            "UTF-8",
        ),
    ]
}

fn duplicates(begin: &dyn Fn() -> ProofBuilder, key: &ProofKey) -> Vec<Row> {
    let claims = Value::Object(begin().claims().clone()).to_string();
    let twice = |name: &str, value: &str| {
        let again = claims.replacen('{', &format!("{{\"{name}\":{value},"), 1);
        row(format!("{name} twice"), begin().raw_claims(again).sign(), "twice")
    };
    let jwk = key.jwk().to_string();
    let header = |typ: &str, jwk: &str| format!(r#"{{"typ":"dpop+jwt",{typ}"alg":"ES256","jwk":{jwk}}}"#);
    let mut rows: Vec<_> = ["htm", "htu", "ath", "jti"].map(|name| twice(name, "\"GET\"")).into();
    rows.push(twice("iat", "1700000000"));
    rows.push(row("nonce twice", begin().raw_claims(r#"{"nonce":"a","nonce":"a"}"#).sign(), "twice"));
    rows.push(row("a name twice, once escaped", begin().raw_claims(r#"{"jti":"a","j\u0074i":"a"}"#).sign(), "twice"));
    rows.push(row("typ twice", begin().raw_header(header(r#""typ":"dpop+jwt","#, &jwk)).sign(), "twice"));
    rows.push(row("alg twice", begin().raw_header(header(r#""alg":"none","#, &jwk)).sign(), "twice"));
    let again = jwk.replacen('{', "{\"x\":\"AAAA\",", 1);
    rows.push(row("a member of the key twice", begin().raw_header(header("", &again)).sign(), "twice"));
    rows.push(row("jwk twice", begin().raw_header(header(&format!("\"jwk\":{jwk},"), &jwk)).sign(), "twice"));
    rows
}

fn headers(begin: &dyn Fn() -> ProofBuilder) -> Vec<Row> {
    let mut rows = vec![row("no typ", begin().without_header("typ").sign(), "typ is not dpop+jwt")];
    for typ in ["JWT", "at+jwt", "", "DPOP+JWT", "dpop+JWT", "application/dpop+jwt", "dpop+jwt ", " dpop+jwt", SECRET] {
        rows.push(row(format!("typ {typ:?}"), begin().header("typ", typ).sign(), "typ is not dpop+jwt"));
    }
    rows.push(row("no alg", begin().without_header("alg").sign(), "no alg"));
    for alg in ["es256", "ES256 ", "ES512", "ES256K", "RSA-OAEP", "dir", "", SECRET] {
        rows.push(row(format!("alg {alg:?}"), begin().header("alg", alg).sign(), "alg is unknown"));
    }
    for alg in ["ES384", "EdDSA", "Ed25519", "RS256", "PS512"] {
        rows.push(row(
            format!("another type's alg {alg}"),
            begin().header("alg", alg).sign(),
            "no signature algorithm",
        ));
    }
    for alg in ["HS256", "HS384", "HS512"] {
        rows.push(row(format!("alg {alg}"), begin().header("alg", alg).sign(), "not among those"));
    }
    let secret = json!({ "kty": "oct", "k": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" });
    rows.push(row(
        "a secret in the header",
        begin().secret(Algorithm::Hs256, &[0; 32]).header("jwk", secret).sign(),
        "not among those",
    ));
    rows.push(row("unsigned", begin().unsigned().sign(), "unsigned"));
    rows.push(row("unsigned in capitals", begin().unsigned().header("alg", "NONE").sign(), "unsigned"));
    for name in ["typ", "alg", "kid"] {
        rows.push(row(format!("{name} a number"), begin().header(name, 7).sign(), "not a string"));
        for value in others() {
            let name = format!("{name} {value}");
            let proof = begin().header(name.split(' ').next().unwrap(), value).sign();
            rows.push(row(name, proof, "not a string"));
        }
    }
    for crit in [json!([]), json!(["exp"]), json!(["b64"]), Value::Null, json!(SECRET)] {
        rows.push(row(format!("crit {crit}"), begin().header("crit", crit).sign(), "crit"));
    }
    rows.push(row("b64", begin().header("b64", false).sign(), "b64"));
    rows
}

fn jwks(begin: &dyn Fn() -> ProofBuilder, key: &ProofKey) -> Vec<Row> {
    let mut rows = vec![
        row("no jwk", begin().without_header("jwk").sign(), "no jwk"),
        row("a jwk that is a number", begin().header("jwk", 7).sign(), "not an object"),
        row("a jwk that is a string", begin().header("jwk", key.jwk().to_string()).sign(), "not an object"),
        row("an empty jwk", begin().header("jwk", json!({})).sign(), "no signature algorithm"),
        row("a set of keys", begin().header("jwk", json!({ "keys": [key.jwk()] })).sign(), "no signature algorithm"),
        row(
            "a certificate in place of the key",
            begin().header("jwk", json!({ "kty": "EC", "crv": "P-256", "x5c": ["AAAA"] })).sign(),
            "a member is missing",
        ),
    ];
    for value in [Value::Null, json!(true), json!([])] {
        rows.push(row(format!("jwk {value}"), begin().header("jwk", value).sign(), "not an object"));
    }
    let mut with = |name: &str, value: Value, reason| {
        let mut jwk = key.jwk().clone();
        jwk[name] = value.clone();
        rows.push(row(format!("jwk with {name} {value}"), begin().header("jwk", jwk).sign(), reason));
    };
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth"] {
        with(name, json!(SECRET), "private members");
    }
    with("d", json!([]), "private members");
    with("k", json!(SECRET), "symmetric");
    with("kty", json!("oct"), "symmetric");
    for name in ["kty", "crv", "x", "y", "alg", "use", "kid"] {
        with(name, json!(7), "wrong type");
        with(name, json!([SECRET]), "wrong type");
    }
    for name in ["kty", "crv"] {
        with(name, Value::Null, "no signature algorithm");
        with(name, json!("RSA"), "no signature algorithm");
        with(name, json!(SECRET), "no signature algorithm");
    }
    with("kty", json!("OKP"), "no signature algorithm");
    with("crv", json!("P-384"), "no signature algorithm");
    with("crv", json!("p-256"), "no signature algorithm");
    for name in ["x", "y"] {
        with(name, Value::Null, "a member is missing");
        for wrong in ["a\"b", "a\\b", "AAAA=", "AA+A", "AA/A", " AAAA", "é"] {
            with(name, json!(wrong), "not base64url");
        }
    }
    with("use", json!("enc"), "use or key_ops");
    with("use", json!(SECRET), "use or key_ops");
    with("key_ops", json!(["sign"]), "use or key_ops");
    with("key_ops", json!(["verify", "encrypt"]), "use or key_ops");
    with("key_ops", json!("verify"), "wrong type");
    with("key_ops", json!([7]), "wrong type");
    with("alg", json!("ES384"), "no signature algorithm");
    with("alg", json!("none"), "no signature algorithm");
    rows
}

/// Keys whose thumbprint a token could have, but by which nothing can be proven.
fn unusable_keys() -> Vec<(&'static str, Algorithm, Value, &'static str)> {
    let rsa = |bits: usize, e: &str| json!({ "kty": "RSA", "n": encode_base64url(&vec![0xff; bits / 8]), "e": e });
    let ec =
        |x: &[u8], y: &[u8]| json!({ "kty": "EC", "crv": "P-256", "x": encode_base64url(x), "y": encode_base64url(y) });
    let ed = |x: &[u8]| json!({ "kty": "OKP", "crv": "Ed25519", "x": encode_base64url(x) });
    vec![
        ("an RSA key of 1024 bits", Algorithm::Rs256, rsa(1024, "AQAB"), "modulus"),
        ("an RSA key of 2040 bits", Algorithm::Ps256, rsa(2040, "AQAB"), "modulus"),
        ("an RSA key of 16384 bits", Algorithm::Rs256, rsa(16_384, "AQAB"), "modulus"),
        ("an RSA key without a modulus", Algorithm::Rs256, json!({ "kty": "RSA", "n": "", "e": "AQAB" }), "modulus"),
        ("the exponent 1", Algorithm::Rs256, rsa(2048, "AQ"), "exponent"),
        ("an even exponent", Algorithm::Rs256, rsa(2048, "BA"), "exponent"),
        ("a long exponent", Algorithm::Rs256, rsa(2048, "AQAAAAAB"), "exponent"),
        ("no point of the curve", Algorithm::Es256, ec(&[1; 32], &[1; 32]), "values are invalid"),
        ("the point 0", Algorithm::Es256, ec(&[0; 32], &[0; 32]), "values are invalid"),
        ("a short coordinate", Algorithm::Es256, ec(&[1; 31], &[1; 32]), "length of its curve"),
        ("a long coordinate", Algorithm::Es256, ec(&[1; 33], &[1; 32]), "length of its curve"),
        ("an Ed25519 key of small order", Algorithm::Ed25519, ed(&[0; 32]), "small order"),
        ("a short Ed25519 key", Algorithm::Ed25519, ed(&[1; 31]), "length of its curve"),
        ("stray bits", Algorithm::Ed25519, json!({ "kty": "OKP", "crv": "Ed25519", "x": "AB" }), "not base64url"),
    ]
}

fn claims(begin: &dyn Fn() -> ProofBuilder, key: &ProofKey) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, absent) in [("htm", "no htm"), ("htu", "no htu"), ("ath", "no ath"), ("jti", "no jti"), ("nonce", "")] {
        if !absent.is_empty() {
            rows.push(row(format!("no {name}"), begin().without(name).sign(), absent));
        }
        for value in others().into_iter().chain([json!(7)]) {
            rows.push(row(format!("{name} {value}"), begin().claim(name, value).sign(), "not a string"));
        }
    }
    let mut with = |name: &str, value: Value, reason| {
        let shown: String = value.to_string().chars().take(40).collect();
        rows.push(row(format!("{name} {shown}"), begin().claim(name, value).sign(), reason));
    };
    with("jti", json!(""), "0 bytes");
    with("jti", json!("j".repeat(1025)), "1025 bytes");
    for htm in ["get", "Get", "POST", "GET ", " GET", "", "GET,POST", "*", "HEAD", SECRET] {
        with("htm", json!(htm), "not the method");
    }
    for (htu, reason) in [
        ("https://api.example.com/other", "another path"),
        ("https://api.example.com/orders/", "another path"),
        ("https://api.example.com//orders", "another path"),
        ("https://api.example.com/s3cret", "another path"),
        ("http://api.example.com/orders", "another scheme"),
        ("https://s3cret.example.com/orders", "another host"),
        ("https://api.example.com:8443/orders", "another port"),
        ("https://s3cret@api.example.com/orders", "credentials"),
        ("ftp://api.example.com/orders", "not an absolute address"),
        ("/orders", "not an absolute address"),
        ("*", "not an absolute address"),
        ("", "not an absolute address"),
        ("https://", "no host"),
    ] {
        with("htu", json!(htu), reason);
    }
    let hash = sha256(&[TOKEN.as_bytes()]);
    let good = encode_base64url(&hash);
    for ath in [
        encode_base64url(&sha256(&[b"another token"])),
        hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        format!("{good}="),
        format!(" {good}"),
        format!("{good} "),
        good.to_ascii_uppercase(),
        good[..42].to_owned(),
        good.replace('_', "/").replace('-', "+") + "=",
        TOKEN.to_owned(),
        String::new(),
    ] {
        with("ath", json!(ath), "not the hash of the token");
    }
    for iat in [json!("1700000000"), json!("now"), Value::Null, json!(true), json!([NOW]), json!({})] {
        with("iat", iat, "not a number");
    }
    with("iat", json!(-1), "no date");
    with("iat", json!(-0.5), "no date");
    with("iat", json!(NOW * 1000), "milliseconds");
    with("iat", json!(1e300), "no date");
    with("iat", json!(0), "s back");
    with("iat", json!(NOW - 66), "66 s back");
    with("iat", json!(1_699_999_934.5), "66 s back");
    with("iat", json!(NOW + 6), "6 s ahead");
    with("iat", json!(1_700_000_005.5), "6 s ahead");
    with("iat", json!(NOW + 3600), "3600 s ahead");
    rows.push(row("no iat", begin().without("iat").sign(), "no iat"));
    let stranger = key_for(Algorithm::Es256).proof("GET", ADDRESS).token(TOKEN);
    rows.push(row("another key", stranger.sign(), "by another key"));
    rows.push(row("another key, signed by this one", stranger.signed_by(key).sign(), "by another key"));
    rows
}

fn signatures(begin: &dyn Fn() -> ProofBuilder) -> Vec<Row> {
    const BAD: &str = "signature is not by the key";

    let good = begin().sign();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (_, other) = good.split_once('.').unwrap();
    let bytes = decode_base64url(signature).unwrap();
    let with = |bytes: &[u8]| format!("{message}.{}", encode_base64url(bytes));
    let swapped = [&bytes[32..], &bytes[..32]].concat();
    let mut flipped = bytes.clone();
    flipped[63] ^= 1;
    let another_header = begin().header("kid", "a").sign();
    vec![
        row("a flipped bit", with(&flipped), BAD),
        row("r and s the other way round", with(&swapped), BAD),
        row("zeros", with(&[0; 64]), BAD),
        row("ones", with(&[0xff; 64]), BAD),
        row("a byte", with(&[1]), BAD),
        row("a byte too few", with(&bytes[..63]), BAD),
        row("a byte too many", with(&[&*bytes, &[0]].concat()), BAD),
        row("in DER", with(&[&[0x30, 0x44, 0x02, 0x20], &bytes[..32], &[0x02, 0x20], &bytes[32..]].concat()), BAD),
        row("a long signature", with(&[1; 2000]), "longer than that of any algorithm"),
        row("that of another proof", format!("{message}.{}", begin().sign().rsplit_once('.').unwrap().1), BAD),
        row("another header", format!("{}.{other}", another_header.split_once('.').unwrap().0), BAD),
        row("of another key", begin().signed_by(&key()).sign(), BAD),
    ]
}

#[test]
fn each_wrong_proof_is_refused_for_its_reason() {
    let (key, keys) = (key(), PreparedKeys::new());
    let begin = || key.proof("GET", ADDRESS).token(TOKEN);
    assert!(is_good(&begin().sign(), &key));
    let rows = [
        forms(&begin),
        duplicates(&begin, &key),
        headers(&begin),
        jwks(&begin, &key),
        claims(&begin, &key),
        signatures(&begin),
    ]
    .concat();
    assert!(rows.len() > 250, "{}", rows.len());
    for (name, proof, reason) in &rows {
        let error = judge(proof, &jkt(&key), &keys).expect_err(name);
        let strangers = reason.contains("another key");
        let kind = if strangers { ErrorKind::SenderConstrained } else { ErrorKind::InvalidProof };
        assert_eq!(error.kind(), kind, "{name}: {error}");
        assert!(error.to_string().contains(reason), "{name}: {error}");
        assert!(!error.to_string().contains(SECRET), "{name}: {error}");
        assert_eq!(keys.len(), 0, "{name}: its key is kept");
    }
}

#[test]
fn a_key_by_which_nothing_can_be_proven_is_refused() {
    for (name, algorithm, jwk, reason) in unusable_keys() {
        let proof = key().proof("GET", ADDRESS).token(TOKEN).header("alg", algorithm.name()).header("jwk", jwk).sign();
        let proof = Proof::parse(proof.as_bytes(), Algorithm::ASYMMETRIC).expect(name);
        let error = judge(proof.text(), proof.thumbprint(), &PreparedKeys::new()).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::InvalidProof, "{name}: {error}");
        assert!(error.to_string().contains(reason), "{name}: {error}");
    }
}

#[test]
fn an_algorithm_must_be_among_those_that_are_accepted() {
    let proof = key().proof("GET", ADDRESS).token(TOKEN).sign();
    let parse = |accepted: &[Algorithm]| Proof::parse(proof.as_bytes(), accepted).map_err(|error| error.to_string());
    assert!(parse(&[Algorithm::Rs256, Algorithm::Es256]).is_ok());
    assert!(parse(&[Algorithm::Rs256, Algorithm::Ps256]).unwrap_err().contains("accepted: RS256, PS256"));
    assert!(parse(&[]).is_err());
    // were a secret accepted by mistake, it still would not be
    let proof = key().proof("GET", ADDRESS).token(TOKEN).secret(Algorithm::Hs256, b"s").sign();
    assert!(Proof::parse(proof.as_bytes(), &[Algorithm::Hs256]).is_err());
}
