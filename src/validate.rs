//! Step 5, pure: the registered claims hold under the issuer's policy at this moment. Everything
//! that can refuse a token for little comes here, before the signature; what has passed is
//! *plausible*, not true.

mod dates;
mod load_balancer;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use self::dates::Dates;
pub(crate) use self::dates::numeric_date;
use self::load_balancer::{check_padding, check_signer};
use crate::claims::{Audience, Claim, Registered, Unmet};
use crate::clock::UnixTime;
use crate::crypto::SignatureVerified;
use crate::error::{Error, ErrorKind};
use crate::issuer::{Policy, differ_little};
use crate::jose::{Algorithm, Compact, Header, Json, Number, Signed, Value, media_type};
use crate::possession::Binding;

/// A token whose claims hold, if its signature does.
///
/// Nothing but [`check`](Self::check) makes one.
pub(crate) struct Plausible<'t> {
    algorithm: Algorithm,
    signed: Signed<'t>,
    claimed: Claimed,
}

/// The part of a plausible token that its signature is to vouch for.
pub(crate) struct Claimed {
    /// The protected header, and after it the claims.
    pub(crate) json: Json,
    pub(crate) policy: Arc<Policy>,
    pub(crate) dates: Dates,
    pub(crate) binding: Binding,
}

impl<'t> Plausible<'t> {
    /// Checks the header and the claims of a token that names the policy's issuer.
    pub(crate) fn check(token: Compact<'t>, policy: &Arc<Policy>, now: UnixTime) -> Result<Self, Error> {
        let Compact { mut json, algorithm, signed, padded } = token;
        spell_ids(&mut json, policy);
        let header = Header::of(json.first(), algorithm);
        let read = checks((header, &json, padded), policy, now, |_, _, result| result);
        // what was not read was not checked
        let read = read.and_then(|read| read.ok_or_else(|| ErrorKind::MissingClaim.into()));
        let (dates, binding) = read.map_err(|error| error.at(&policy.issuer))?;
        let claimed = Claimed { json, policy: Arc::clone(policy), dates, binding };
        Ok(Self { algorithm, signed, claimed })
    }

    pub(crate) fn header(&self) -> Header<'_> {
        Header::of(self.claimed.json.first(), self.algorithm)
    }

    pub(crate) fn issuer(&self) -> &Arc<str> {
        &self.claimed.policy.issuer
    }

    pub(crate) fn signed(&self) -> Signed<'t> {
        self.signed
    }

    /// Lets go of the claims, given the evidence that their signature was verified.
    pub(crate) fn into_claimed(self, _: SignatureVerified) -> Claimed {
        self.claimed
    }
}

/// What a check looks at, as the token has it.
pub(crate) type Seen<'t> = Vec<(Cow<'t, str>, Option<Value<'t>>)>;

/// All checks, those of least cost first. `judge` is given the name of each, what it looks at, and
/// what it says, and decides whether the others follow. Returns what they have read.
fn checks<'t>(
    (header, json, padded): (Header<'t>, &'t Json, bool),
    policy: &'t Policy,
    now: UnixTime,
    mut judge: impl FnMut(&'static str, &dyn Fn() -> Seen<'t>, Result<(), Error>) -> Result<(), Error>,
) -> Result<Option<(Dates, Binding)>, Error> {
    let (parameters, claims, registered) = (json.first(), json.root(), Registered::of(json));
    let (mut dates, mut binding) = (None, None);
    if padded {
        judge("padding", &Vec::new, check_padding(policy))?;
    }
    judge("algorithm", &|| seen(parameters, ["alg"]), check_algorithm(header, policy))?;
    judge("type", &|| seen(parameters, ["typ"]), check_type(header, policy))?;
    let times = Dates::read(&registered, policy, now).map(|read| dates = Some(read));
    judge("times", &|| seen(claims, ["exp", "nbf", "iat"]), times)?;
    if let Some(ours) = &policy.terms.load_balancers {
        judge("load balancer", &|| seen(parameters, ["signer"]), check_signer(json, ours))?;
    }
    let named = policy.terms.absent_aud_if.as_ref().map(|(name, _)| &**name);
    let audience = || seen(claims, ["aud"].into_iter().chain(named));
    judge("audience", &audience, check_audience(&registered, json, policy))?;
    judge("string claims", &|| seen(claims, ["sub", "client_id", "azp", "jti"]), check_texts(&registered))?;
    let client = || match &*policy.terms.client_claims {
        [] => seen(parameters, ["client"]),
        names => seen(claims, names.iter().map(|name| &**name)),
    };
    judge("client", &client, check_client(json, policy))?;
    for claim in &policy.terms.demands {
        let values = || claim.values(json).map(|value| (claim.name().into(), Some(value))).collect();
        judge("demanded claim", &values, check_demand(json, claim))?;
    }
    // one that cannot be proven is refused here already, before anything is done for the token's
    // signature
    let provable = Binding::read(registered.cnf).and_then(|read| read.prove().map(|_| binding = Some(read)));
    judge("sender constraint", &|| seen(claims, ["cnf"]), provable)?;
    Ok(dates.zip(binding))
}

fn seen<'t>(object: Value<'t>, names: impl IntoIterator<Item = &'t str>) -> Seen<'t> {
    names.into_iter().map(|name| (name.into(), object.get(name))).collect()
}

/// Runs every check of [`Plausible::check`], whatever those before it say, and tells of each.
pub(crate) fn explain<'t>(
    token: &'t mut Compact<'_>,
    policy: &'t Policy,
    now: UnixTime,
    mut tell: impl FnMut(&'static str, Seen<'t>, Result<(), Error>),
) {
    spell_ids(&mut token.json, policy);
    let json = &token.json;
    // what fails was told
    let _ =
        checks((Header::of(json.first(), token.algorithm), json, token.padded), policy, now, |name, seen, result| {
            tell(name, seen(), result);
            Ok(())
        });
}

/// Reads identifiers that are integers as text, where the issuer's terms say so.
fn spell_ids(json: &mut Json, policy: &Policy) {
    if policy.terms.numeric_ids {
        json.spell_integers(["sub", "jti", "client_id", "azp"]);
        json.spell_integers(policy.terms.client_claims.iter().map(|name| &**name));
    }
}

/// RFC 8725 §3.1: only what the policy allows for this issuer.
fn check_algorithm(header: Header<'_>, policy: &Policy) -> Result<(), Error> {
    let algorithm = header.algorithm;
    if policy.terms.algorithms().contains(&algorithm) {
        return Ok(());
    }
    let detail = if algorithm.is_symmetric() {
        format!("the token is signed with {algorithm}, a shared secret; is a signing key configured at the issuer?")
    } else {
        format!("{algorithm} is not among the issuer's allowed algorithms")
    };
    Err(Error::new(ErrorKind::UnsupportedAlgorithm, detail))
}

/// RFC 8725 §3.11: if `typ` is there, it must be one that we take.
fn check_type(header: Header<'_>, policy: &Policy) -> Result<(), Error> {
    let accepted = match header.typ().map(media_type) {
        Some(typ) => policy.terms.types.iter().any(|accepted| accepted.eq_ignore_ascii_case(typ)),
        None => policy.terms.untyped,
    };
    if accepted {
        return Ok(());
    }
    let found = if header.typ().is_some() { "another" } else { "none" };
    let detail = format!("typ is expected to be one of {:?}, and the token has {found}", policy.terms.types);
    Err(Error::new(ErrorKind::WrongType, detail))
}

/// RFC 7519 §4.1.3, RFC 9068 §4, RFC 8725 §3.9.
fn check_audience(claims: &Registered<'_>, payload: &Json, policy: &Policy) -> Result<(), Error> {
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
