use super::*;
use crate::jose::Json;

const KEY: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
const CERTIFICATE: &str = "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2";

fn bytes(text: &str) -> Thumbprint {
    decode_base64url(text).unwrap().try_into().unwrap()
}

fn certificate() -> String {
    // a canonical one: the last character has no spare bits set
    format!("{}0", &CERTIFICATE[..42])
}

fn read(cnf: &str) -> Result<Binding, Error> {
    let text = format!("{{\"cnf\":{cnf}}}");
    let json = Json::parse_all(text.into_bytes()).unwrap();
    Binding::read(json.root().get("cnf"))
}

fn bound(key: bool, certificate_too: bool) -> Binding {
    let key = key.then(|| bytes(KEY));
    let certificate = certificate_too.then(|| bytes(&certificate()));
    if key.is_none() && certificate.is_none() {
        return Binding::Unbound;
    }
    Binding::Bound(Box::new(Bound { key, certificate }))
}

#[test]
fn what_is_not_understood_binds_the_token_too() {
    let x5t = certificate();
    assert_eq!(Binding::read(None).unwrap(), Binding::Unbound);
    assert_eq!(read(&format!(r#"{{"jkt":"{KEY}"}}"#)).unwrap(), bound(true, false));
    assert_eq!(read(&format!(r#"{{"x5t#S256":"{x5t}"}}"#)).unwrap(), bound(false, true));
    assert_eq!(read(&format!(r#"{{"x5t#S256":"{x5t}","jkt":"{KEY}"}}"#)).unwrap(), bound(true, true));
    let spare_bits = format!("{}J", &KEY[..42]);
    let hex = "d1".repeat(32);
    for wrong in [
        "null".to_owned(),
        "\"x\"".to_owned(),
        "[]".to_owned(),
        "true".to_owned(),
        "7".to_owned(),
        "{}".to_owned(),
        r#"{"kid":"x"}"#.to_owned(),
        r#"{"jwk":{}}"#.to_owned(),
        r#"{"JKT":"x"}"#.to_owned(),
        format!(r#"{{"jkt":"{KEY}","kid":"x"}}"#),
        format!(r#"{{"jkt":"{KEY}","x5t":"x"}}"#),
        format!(r#"{{"jkt":"{KEY}","x5t#S256":null}}"#),
        format!(r#"{{"jkt":"{KEY}","x5t#S256":""}}"#),
        format!(r#"{{"jkt":null,"x5t#S256":"{x5t}"}}"#),
        format!(r#"{{"jkt":["{KEY}"]}}"#),
        format!(r#"{{"jkt":"{KEY}="}}"#),
        format!(r#"{{"jkt":" {KEY}"}}"#),
        format!(r#"{{"jkt":"{}"}}"#, &KEY[..42]),
        format!(r#"{{"jkt":"{KEY}A"}}"#),
        format!(r#"{{"jkt":"{spare_bits}"}}"#),
        format!(r#"{{"jkt":"{}"}}"#, KEY.replace('-', "+")),
        format!(r#"{{"jkt":"{hex}"}}"#),
        r#"{"x5t#S256":"2jmj7l5rSw0yVb_vlWAYkK_YBwk"}"#.to_owned(),
        r#"{"jkt":""}"#.to_owned(),
    ] {
        let error = read(&wrong).expect_err(&wrong);
        assert_eq!(error.kind(), ErrorKind::SenderConstrained, "{wrong}");
        assert!(!error.to_string().contains(KEY), "{error}");
    }
}

#[test]
fn each_thing_that_a_token_is_bound_to_must_be_shown() {
    let (key, x5t, other) = (Some(bytes(KEY)), Some(bytes(&certificate())), Some([7; 32]));
    for has_key in [false, true] {
        for has_certificate in [false, true] {
            for scheme in [Scheme::Bearer, Scheme::Dpop] {
                for shown_key in [None, other, key] {
                    for shown_certificate in [None, other, x5t] {
                        let shown = Shown { key: shown_key, certificate: shown_certificate };
                        let good = has_key == (scheme == Scheme::Dpop)
                            && (!has_key || shown_key == key)
                            && (!has_certificate || shown_certificate == x5t);
                        let proven = bound(has_key, has_certificate).prove(scheme, &shown);
                        assert_eq!(proven.is_ok(), good, "{has_key} {has_certificate} {scheme:?} {shown:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn an_issuer_says_how_its_tokens_may_be_bound() {
    use ErrorKind::{NotSenderConstrained as Not, SenderConstrained as Bound};
    use Stance::{Accepted, Refused, Required};

    let [none, key, x5t, both] = [(false, false), (true, false), (false, true), (true, true)];
    let table = [
        ((Refused, Refused, false), [(none, None), (key, Some(Bound)), (x5t, Some(Bound)), (both, Some(Bound))]),
        ((Accepted, Refused, false), [(none, None), (key, None), (x5t, Some(Bound)), (both, Some(Bound))]),
        ((Refused, Accepted, false), [(none, None), (key, Some(Bound)), (x5t, None), (both, Some(Bound))]),
        ((Accepted, Accepted, false), [(none, None), (key, None), (x5t, None), (both, None)]),
        ((Required, Refused, false), [(none, Some(Not)), (key, None), (x5t, Some(Not)), (both, Some(Bound))]),
        ((Required, Accepted, false), [(none, Some(Not)), (key, None), (x5t, Some(Not)), (both, None)]),
        ((Refused, Required, false), [(none, Some(Not)), (key, Some(Bound)), (x5t, None), (both, Some(Bound))]),
        ((Accepted, Required, false), [(none, Some(Not)), (key, Some(Not)), (x5t, None), (both, None)]),
        ((Required, Required, false), [(none, Some(Not)), (key, Some(Not)), (x5t, Some(Not)), (both, None)]),
        ((Accepted, Accepted, true), [(none, Some(Not)), (key, None), (x5t, None), (both, None)]),
        ((Accepted, Refused, true), [(none, Some(Not)), (key, None), (x5t, Some(Bound)), (both, Some(Bound))]),
    ];
    for ((dpop, mtls, required), rows) in table {
        let terms = SenderConstraint { dpop, mtls, required, fapi2: false };
        for ((has_key, has_certificate), refused) in rows {
            let checked = terms.check(&bound(has_key, has_certificate));
            assert_eq!(checked.err().map(|error| error.kind()), refused, "{terms:?} {has_key} {has_certificate}");
        }
    }
}

#[test]
fn a_scheme_is_spoken_where_some_token_could_be_accepted_under_it() {
    for dpop in [Stance::Refused, Stance::Accepted, Stance::Required] {
        for mtls in [Stance::Refused, Stance::Accepted, Stance::Required] {
            for required in [false, true] {
                let terms = SenderConstraint { dpop, mtls, required, fapi2: false };
                for scheme in [Scheme::Bearer, Scheme::Dpop] {
                    let tokens = [(false, false), (true, false), (false, true), (true, true)];
                    let possible = tokens.into_iter().map(|(key, certificate)| bound(key, certificate));
                    let some =
                        possible.filter(|token| token.scheme() == scheme).any(|token| terms.check(&token).is_ok());
                    // a server without proofs of any kind accepts nothing here, and says Bearer
                    assert_eq!(terms.speaks(scheme), some, "{terms:?} {scheme:?}");
                }
            }
        }
    }
}
