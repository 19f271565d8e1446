use super::*;

fn check(claim: &Claim, claims: &str) -> Result<(), Unmet> {
    claim.check(&Json::parse_all(claims.as_bytes().to_vec()).unwrap())
}

#[test]
fn a_value_is_compared_by_its_type_and_a_number_by_its_value() {
    let is = |value: ClaimValue| Claim::at(["x"]).equals(value);
    for (claim, same, others) in [
        (is(true.into()), &["true"][..], &["\"true\"", "1", "false", "[true]", "{}", "null"][..]),
        (is("true".into()), &["\"true\"", "\"\\u0074rue\""], &["true", "\"True\"", "\"true \"", "[\"true\"]"]),
        (is(10133.into()), &["10133", "10133.0", "1.0133e4"], &["\"10133\"", "10134", "10133.5", "-10133", "true"]),
        (is(0.into()), &["0", "-0", "0.0"], &["false", "null", "\"\"", "\"0\"", "1e-300"]),
        (is((-7).into()), &["-7", "-7.0"], &["7", "\"-7\""]),
        (is(u64::MAX.into()), &["18446744073709551615"], &["18446744073709551614", "18446744073709551616", "-1"]),
        (is(i64::MIN.into()), &["-9223372036854775808"], &["9223372036854775808", "-9223372036854775809"]),
        // beyond what a floating-point number can tell apart
        (is(9_007_199_254_740_993_i64.into()), &["9007199254740993"], &["9007199254740993.0", "9007199254740992"]),
    ] {
        for text in same {
            assert_eq!(check(&claim, &format!("{{\"x\":{text}}}")), Ok(()), "{claim:?} {text}");
        }
        for text in others {
            assert!(check(&claim, &format!("{{\"x\":{text}}}")).is_err(), "{claim:?} {text}");
        }
    }
}

#[test]
fn each_condition_holds_of_what_it_names() {
    let at = || Claim::at(["x"]);
    let wrong = |of| Err(Unmet::Wrong(of));
    for (claim, claims, expected) in [
        (at(), r#"{"x":1}"#, Ok(())),
        (at(), r#"{"x":""}"#, Ok(())),
        (at(), r#"{"x":false}"#, Ok(())),
        (at(), r#"{"x":null}"#, Err(Unmet::Missing)),
        (at(), "{}", Err(Unmet::Missing)),
        (at().equals("a"), "{}", Err(Unmet::Missing)),
        (Claim::absent(["x"]), "{}", Ok(())),
        (Claim::absent(["x"]), r#"{"x":1}"#, Err(Unmet::Present)),
        (Claim::absent(["x"]), r#"{"x":null}"#, Err(Unmet::Present)),
        (at().one_of(["a", "b"]), r#"{"x":"b"}"#, Ok(())),
        (at().one_of(["a", "b"]), r#"{"x":"c"}"#, wrong("a string")),
        (at().one_of(["a", "b"]), r#"{"x":["a"]}"#, wrong("an array")),
        (at().not_equals("a"), r#"{"x":"b"}"#, Ok(())),
        (at().not_equals("a"), r#"{"x":7}"#, Ok(())),
        (at().not_equals("a"), r#"{"x":"a"}"#, wrong("a string")),
        (at().not_equals("a"), "{}", Err(Unmet::Missing)),
        (at().starts_with("a:"), r#"{"x":"a:b"}"#, Ok(())),
        (at().starts_with("a:"), r#"{"x":"a"}"#, wrong("a string")),
        (at().starts_with("1"), r#"{"x":12}"#, wrong("a number")),
        (at().contains("a"), r#"{"x":["b","a"]}"#, Ok(())),
        (at().contains("a"), r#"{"x":"a"}"#, Ok(())),
        (at().contains("a"), r#"{"x":"ab"}"#, wrong("a string")),
        (at().contains("a"), r#"{"x":["ab","a b",["a"],{"a":1}]}"#, wrong("an array")),
        (at().contains("a"), r#"{"x":{"a":"a"}}"#, wrong("an object")),
        (at().contains(7), r#"{"x":[1,7.0]}"#, Ok(())),
        (at().contains(7), r#"{"x":["7"]}"#, wrong("an array")),
        // all of them
        (at().starts_with("a").not_equals("ab"), r#"{"x":"ac"}"#, Ok(())),
        (at().starts_with("a").not_equals("ab"), r#"{"x":"ab"}"#, wrong("a string")),
        (at().contains("a").contains("b"), r#"{"x":["b","a"]}"#, Ok(())),
        (at().contains("a").contains("b"), r#"{"x":["a"]}"#, wrong("an array")),
        // only of what is there
        (Claim::if_present(["x"]).not_equals("a"), "{}", Ok(())),
        (Claim::if_present(["x"]).not_equals("a"), r#"{"x":null}"#, Ok(())),
        (Claim::if_present(["x"]).not_equals("a"), r#"{"x":"a"}"#, wrong("a string")),
        (Claim::if_present(["x"]).equals(true), "{}", Ok(())),
        (Claim::if_present(["x"]).equals(true), r#"{"x":null}"#, wrong("null")),
        // at a path
        (Claim::at(["a", "b"]).equals(1), r#"{"a":{"b":1}}"#, Ok(())),
        (Claim::at(["a", "b"]).equals(1), r#"{"a":1,"b":1}"#, Err(Unmet::Missing)),
        (Claim::at([Segment::from("a"), Segment::value_of("t")]).equals(1), r#"{"t":"b","a":{"b":1}}"#, Ok(())),
    ] {
        assert_eq!(check(&claim, claims), expected, "{claim:?} {claims}");
    }
}

#[test]
fn what_no_token_could_meet_or_every_token_does_is_a_fault() {
    let at = || Claim::at(["x"]);
    for good in [
        at(),
        Claim::absent(["x"]),
        Claim::if_present(["x"]).equals(1),
        at().one_of([1, 2]).not_equals(1),
        at().equals("ab").starts_with("a").contains("ab"),
        at().contains("a").contains("b"),
    ] {
        assert_eq!(good.fault(std::slice::from_ref(&good)), None, "{good:?}");
    }
    let nothing: [&str; 0] = [];
    for (bad, why) in [
        (Claim::at(nothing), "path"),
        (Claim::at([""]), "path"),
        (Claim::at([Segment::value_of("x")]), "path"),
        (Claim::at(["x"; 9]), "more than 8"),
        (Claim::absent(["x"]).equals(1), "absent"),
        (Claim::absent(["x"]).not_equals(1), "absent"),
        (Claim::if_present(["x"]), "nothing"),
        (at().one_of(nothing), "empty"),
        (at().starts_with(""), "empty"),
        (at().equals("a").equals("b"), "contradict"),
        (at().equals(true).equals("true"), "contradict"),
        (at().equals("a").not_equals("a"), "contradict"),
        (at().one_of(["a", "b"]).starts_with("c"), "contradict"),
        (at().equals(1).starts_with("1"), "contradict"),
    ] {
        assert!(bad.fault(&[]).is_some_and(|fault| fault.contains(why)), "{bad:?} {:?}", bad.fault(&[]));
    }
    let both = [Claim::absent(["x"]), at().equals(1)];
    assert!(both[0].fault(&both).is_some() && both[1].fault(&both).is_none(), "it is said once");
    let either = [Claim::absent(["x"]), Claim::if_present(["x"]).equals(1), Claim::at(["y"])];
    assert_eq!(either[0].fault(&either), None);
}

#[test]
fn a_demand_is_called_by_its_path() {
    assert_eq!(Claim::at(["email_verified"]).name(), "email_verified");
    assert_eq!(Claim::at(["https://x.test/a"]).name(), "https://x.test/a");
    assert_eq!(Claim::at(["a", "b"]).name(), "/a/b");
    assert_eq!(Claim::at([Segment::from("a"), Segment::value_of("t")]).name(), "/a/{t}");
}
