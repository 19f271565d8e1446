//! Who acts for the subject of a token (RFC 8693 §4.1).

use std::fmt;
use std::iter;

use crate::error::{Error, ErrorKind};
use crate::jose::Value;

/// More actors than a chain of services has; a token that names more is refused as malformed.
const MAX_ACTORS: usize = 8;

/// Who acts for the subject of a token (`act`, RFC 8693 §4.1); from
/// [`AccessToken::actor`](crate::AccessToken::actor).
///
/// # Security
///
/// The actor is whoever the issuer says. What the token permits, it permits to its subject *by* this
/// actor. Those who have acted before ([`before`](Self::before)) are history: the RFC forbids to
/// decide by them.
///
/// An identifier is unique at its issuer only: compare [`subject`](Self::subject) together with
/// [`issuer`](Self::issuer).
#[derive(Clone, Copy)]
pub struct Actor<'t>(Value<'t>);

impl<'t> Actor<'t> {
    /// Reads a claim `act` that was [checked](check_actors); `null` is none.
    pub(crate) fn of(act: Option<Value<'t>>) -> Option<Self> {
        act.filter(|act| !act.is_null()).map(Self)
    }

    fn text(self, name: &str) -> Option<&'t str> {
        self.0.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// Returns the actor's identifier (`sub`), if there is one: mostly that of a client.
    #[must_use]
    pub fn subject(self) -> Option<&'t str> {
        self.text("sub")
    }

    /// Returns whose identifier that is (`iss`); without one, it is the issuer of the token.
    #[must_use]
    pub fn issuer(self) -> Option<&'t str> {
        self.text("iss")
    }

    /// Returns the client that the actor is, or uses (`client_id`), if the token says so.
    #[must_use]
    pub fn client_id(self) -> Option<&'t str> {
        self.text("client_id")
    }

    /// Returns who has acted before, and has called this actor: for logs, not for decisions.
    #[must_use]
    pub fn before(self) -> Option<Self> {
        Self::of(self.0.get("act"))
    }

    /// Returns this actor, and those who have acted before, the last one first; 8 at most.
    pub fn chain(self) -> impl Iterator<Item = Self> {
        iter::successors(Some(self), |actor| actor.before()).take(MAX_ACTORS)
    }
}

impl fmt::Debug for Actor<'_> {
    /// Shows nothing of the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Actor").finish_non_exhaustive()
    }
}

/// Checks that a claim `act` names actors, so that nobody takes a token that was issued to one for
/// a token without.
pub(crate) fn check_actors(act: Option<Value<'_>>) -> Result<(), Error> {
    let malformed = |what: String| Err(Error::new(ErrorKind::MalformedClaim, what));
    let mut next = Actor::of(act);
    for _ in 0..MAX_ACTORS {
        let Some(actor) = next else { return Ok(()) };
        if !actor.0.is_object() {
            return malformed(format!("act is {}, not an object", actor.0.type_name()));
        }
        for name in ["sub", "iss", "client_id"] {
            if let Some(value) = actor.0.get(name).filter(|value| value.as_str().is_none() && !value.is_null()) {
                return malformed(format!("act.{name} is {}, not a string", value.type_name()));
            }
        }
        next = actor.before();
    }
    if next.is_none() { Ok(()) } else { malformed(format!("act is nested more than {MAX_ACTORS} deep")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::Json;

    fn json(act: &str) -> Json {
        Json::parse_all(format!("{{\"act\":{act}}}").into_bytes()).unwrap()
    }

    /// `act` in `act`, so often.
    fn nested(depth: usize) -> String {
        format!("{}null{}", "{\"act\":".repeat(depth), "}".repeat(depth))
    }

    #[test]
    fn an_actor_is_an_object_with_texts_and_so_are_those_before() {
        for good in ["null", "{}", r#"{"sub":null}"#, r#"{"sub":"a","act":null}"#, r#"{"x":7}"#, &nested(MAX_ACTORS)] {
            assert!(check_actors(json(good).root().get("act")).is_ok(), "{good}");
        }
        for bad in [
            "\"a\"",
            "7",
            "[]",
            r#"[{"sub":"a"}]"#,
            "true",
            r#"{"sub":7}"#,
            r#"{"sub":["a"]}"#,
            r#"{"iss":{}}"#,
            r#"{"client_id":false}"#,
            r#"{"sub":"a","act":"b"}"#,
            r#"{"sub":"a","act":{"sub":7}}"#,
            &nested(MAX_ACTORS + 1),
            &nested(40),
        ] {
            assert_eq!(
                check_actors(json(bad).root().get("act")).unwrap_err().kind(),
                ErrorKind::MalformedClaim,
                "{bad}"
            );
        }
    }

    #[test]
    fn the_chain_begins_with_who_acts_now() {
        let json =
            json(r#"{"sub":"stock","iss":"https://x/","act":{"sub":"orders","act":{"client_id":"web","sub":""}}}"#);
        let actor = Actor::of(json.root().get("act")).unwrap();
        let chain: Vec<_> = actor.chain().map(|actor| (actor.subject(), actor.issuer(), actor.client_id())).collect();
        assert_eq!(
            chain,
            [(Some("stock"), Some("https://x/"), None), (Some("orders"), None, None), (None, None, Some("web"))]
        );
        assert_eq!(format!("{actor:?}"), "Actor { .. }");
        assert!(Actor::of(json.root().get("none")).is_none());
    }
}
