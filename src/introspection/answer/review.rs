//! Kubernetes' TokenReview, read as the answer to the same question.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::said::{Active, Fault, Said, parse};

/// What is read of one; what is not there of `status` is Go's zero value.
#[derive(Deserialize)]
struct Review {
    kind: String,
    status: Status,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    authenticated: bool,
    error: Option<String>,
    audiences: Option<Vec<String>>,
    #[serde(default)]
    user: User,
}

#[derive(Default, Deserialize)]
struct User {
    #[serde(default)]
    username: String,
    uid: Option<String>,
    groups: Option<Vec<String>>,
    extra: Option<Map<String, Value>>,
}

/// Reads one. A token that cannot be authenticated is not active, whatever is said to be the reason.
pub(super) fn read(body: Vec<u8>) -> Result<Said, Fault> {
    // strictly first: of a member that comes twice, nobody knows which one counts
    let strict = parse(body)?;
    let malformed = || Fault::of_answer("the answer is no TokenReview with a status of the right types");
    let review: Review = serde_json::from_str(strict.text()).map_err(|_| malformed())?;
    let Status { authenticated, error, audiences, user } = review.status;
    if review.kind != "TokenReview" {
        return Err(malformed());
    }
    if !authenticated {
        return Ok(Said::Inactive);
    }
    if error.is_some_and(|error| !error.is_empty()) {
        return Err(Fault::of_answer("the TokenReview says that the token is authenticated, and names an error"));
    }
    if user.username.is_empty() {
        return Err(Fault::of_answer("the TokenReview names no user"));
    }
    let mut claims = Map::new();
    claims.insert("sub".into(), user.username.into());
    let others = [("aud", json!(audiences)), ("uid", json!(user.uid)), ("groups", json!(user.groups))];
    let others = others.into_iter().chain([("extra", json!(user.extra))]);
    claims.extend(others.filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.to_owned(), value)));
    Ok(Said::Active(Active::stated(parse(Value::Object(claims).to_string().into_bytes())?)))
}
