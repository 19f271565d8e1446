//! What a token's claims must be, but for its times and what binds it: of a JWT, and of what an
//! issuer says of an opaque token.

use std::borrow::Cow;
use std::sync::Arc;

use super::dates::Dates;
use crate::claims::{Actor, Audience, Claim, Registered, Unmet, check_actors};
use crate::error::{Error, ErrorKind};
use crate::issuer::{Policy, differ_little};
use crate::jose::{Json, Number, Value};
use crate::possession::Binding;

/// The part of a token that its signature, or its issuer's answer, is to vouch for.
pub(crate) struct Claimed {
    /// The protected header, and after it the claims.
    pub(crate) json: Json,
    pub(crate) policy: Arc<Policy>,
    pub(crate) dates: Dates,
    pub(crate) binding: Binding,
}

/// What a check looks at, as the token has it.
pub(crate) type Seen<'t> = Vec<(Cow<'t, str>, Option<Value<'t>>)>;

/// The checks of the claims.
pub(super) fn check_claims<'t>(
    claims: &Registered<'t>,
    json: &'t Json,
    policy: &'t Policy,
    mut judge: impl FnMut(&'static str, &dyn Fn() -> Seen<'t>, Result<(), Error>) -> Result<(), Error>,
) -> Result<(), Error> {
    let (parameters, object) = (json.first(), json.root());
    let named = policy.terms.absent_aud_if.as_ref().map(|(name, _)| &**name);
    let audience = || seen(object, ["aud"].into_iter().chain(named));
    judge("audience", &audience, check_audience(claims, json, policy))?;
    judge("string claims", &|| seen(object, ["sub", "client_id", "azp", "jti"]), check_texts(claims))?;
    let client = || match &*policy.terms.client_claims {
        [] => seen(parameters, ["client"]),
        names => seen(object, names.iter().map(|name| &**name)),
    };
    judge("client", &client, check_client(json, policy))?;
    judge("actor", &|| seen(object, ["act"]), check_actor(claims, policy))?;
    for claim in &policy.terms.demands {
        let values = || claim.values(json).map(|value| (claim.name().into(), Some(value))).collect();
        judge("demanded claim", &values, check_demand(json, claim))?;
    }
    Ok(())
}

pub(super) fn seen<'t>(object: Value<'t>, names: impl IntoIterator<Item = &'t str>) -> Seen<'t> {
    names.into_iter().map(|name| (name.into(), object.get(name))).collect()
}

/// Reads identifiers that are integers as text, where the issuer's terms say so.
pub(super) fn spell_ids(json: &mut Json, policy: &Policy) {
    if policy.terms.numeric_ids {
        json.spell_integers(["sub", "jti", "client_id", "azp"]);
        json.spell_integers(policy.terms.client_claims.iter().map(|name| &**name));
    }
}

/// RFC 7519 §4.1.3, RFC 9068 §4, RFC 8725 §3.9.
pub(super) fn check_audience(claims: &Registered<'_>, payload: &Json, policy: &Policy) -> Result<(), Error> {
    let ours = policy.audiences();
    let aud = claims.aud.map(Audience::read).transpose()?;
    if policy.terms.any_aud {
        return Ok(());
    }
    let Some(audience) = aud else {
        let Some((name, clients)) = &policy.terms.absent_aud_if else {
            if policy.terms.absent_aud {
                return Ok(());
            }
            let detail = format!("aud is absent, expected one of {ours:?}; the issuer must be told to add it");
            return Err(Error::new(ErrorKind::MissingClaim, detail));
        };
        let claim = payload.root().get(name).filter(|value| !value.is_null());
        let Some(named) = claim.map(|value| value.as_str().unwrap_or_default()) else {
            let detail = format!("aud is absent, and so is {name}, which stands for it; expected one of {clients:?}");
            return Err(Error::new(ErrorKind::MissingClaim, detail));
        };
        if clients.iter().any(|client| **client == *named) {
            return Ok(());
        }
        let detail = nearly(name, [named], clients)
            .unwrap_or_else(|| format!("{name}, which stands for it, is none of {clients:?}"));
        return Err(Error::new(ErrorKind::WrongAudience, format!("aud is absent, and {detail}")));
    };
    if audience.names(ours) {
        return Ok(());
    }
    let detail = nearly("aud", audience.iter(), ours).unwrap_or_else(|| {
        let count = audience.iter().count();
        format!("expected one of {ours:?}, and the token names {count} other; was it issued for this service?")
    });
    Err(Error::new(ErrorKind::WrongAudience, detail))
}

/// Names which of ours was probably meant, without repeating what the token says.
fn nearly<'t>(name: &str, theirs: impl IntoIterator<Item = &'t str>, ours: &[Box<str>]) -> Option<String> {
    /// Real tokens name a few audiences; a refusal is not to cost more for one that names
    /// thousands.
    const MAX_COMPARED: usize = 16;
    let meant = |theirs| ours.iter().find(|own| differ_little(theirs, own));
    let meant = theirs.into_iter().take(MAX_COMPARED).find_map(meant)?;
    Some(format!(
        "{name} differs from {meant:?} only by scheme, case or a trailing slash; it must be configured byte for byte"
    ))
}

/// Only some clients may be let in (RFC 9068 §5 tells users and clients apart; this tells clients
/// apart).
fn check_client(payload: &Json, policy: &Policy) -> Result<(), Error> {
    let Some(clients) = &policy.terms.clients else { return Ok(()) };
    let Some((name, client)) = policy.terms.client(payload) else {
        let expected =
            if policy.terms.client_claims.is_empty() { "client" } else { &policy.terms.client_claims.join(" or ") };
        let detail = format!("the token names no client; expected in {expected}");
        return Err(Error::new(ErrorKind::MissingClaim, detail));
    };
    if client.as_str().is_some_and(|client| clients.iter().any(|allowed| **allowed == *client)) {
        return Ok(());
    }
    let detail = nearly(name, client.as_str(), clients)
        .unwrap_or_else(|| format!("the token was issued to another client than {clients:?}"));
    Err(Error::new(ErrorKind::WrongClaim, detail))
}

/// Only some may act for others (RFC 8693 §4.1); those who have acted before do not count.
fn check_actor(claims: &Registered<'_>, policy: &Policy) -> Result<(), Error> {
    check_actors(claims.act)?;
    let (Some(actor), Some(actors)) = (Actor::of(claims.act), &policy.terms.actors) else { return Ok(()) };
    // another issuer may give the same identifier to somebody else
    let ours = actor.issuer().is_none_or(|issuer| {
        *policy.issuer == *issuer || policy.terms.also_known_as.iter().any(|name| **name == *issuer)
    });
    if !ours {
        let detail = "the actor (act) is one of another issuer's, and none of only_actors";
        return Err(Error::new(ErrorKind::WrongClaim, detail));
    }
    let Some(subject) = actor.subject() else {
        return Err(Error::new(ErrorKind::WrongClaim, "the actor (act) has no sub, and is none of only_actors"));
    };
    if actors.iter().any(|allowed| **allowed == *subject) {
        return Ok(());
    }
    let detail = nearly("act.sub", [subject], actors)
        .unwrap_or_else(|| format!("another acts for the subject than one of {actors:?}; see only_actors"));
    Err(Error::new(ErrorKind::WrongClaim, detail))
}

/// The claims that the accessors hand out as text are text, or absent, as `null` is.
fn check_texts(claims: &Registered<'_>) -> Result<(), Error> {
    let texts = [("sub", claims.sub), ("client_id", claims.client_id), ("azp", claims.azp), ("jti", claims.jti)];
    for (name, claim) in texts {
        if let Some(value) = claim.filter(|value| value.as_str().is_none() && !value.is_null()) {
            let hint = if matches!(value.as_number(), Some(Number::Unsigned(_) | Number::Negative(_))) {
                "; accept_numeric_ids reads integers as text"
            } else {
                ""
            };
            let detail = format!("{name} is {}, not a string{hint}", value.type_name());
            return Err(Error::new(ErrorKind::MalformedClaim, detail));
        }
    }
    Ok(())
}

/// What else the issuer's terms demand.
fn check_demand(payload: &Json, claim: &Claim) -> Result<(), Error> {
    let Err(unmet) = claim.check(payload) else { return Ok(()) };
    let name = claim.name();
    let (kind, detail) = match unmet {
        Unmet::Missing => (ErrorKind::MissingClaim, format!("{name} is absent")),
        Unmet::Present => {
            (ErrorKind::WrongType, format!("the token has {name}, which access tokens of this issuer do not have"))
        }
        // what is demanded is not repeated: that of a template comes from the token
        Unmet::Wrong(found) => {
            (ErrorKind::WrongClaim, format!("{name}, {found}, is not what the terms of its issuer demand"))
        }
    };
    Err(Error::new(kind, detail))
}
