//! Step 5, pure: the registered claims hold under the issuer's policy at this moment. Everything
//! that can refuse a token for little comes here, before the signature; what has passed is
//! *plausible*, not true.

#[cfg(feature = "introspection")]
mod answer;
mod claims;
mod dates;
mod load_balancer;
#[cfg(test)]
mod tests;

use std::sync::Arc;

#[cfg(feature = "introspection")]
pub(crate) use self::answer::{About, Stated};
pub(crate) use self::claims::{Claimed, Seen};
use self::claims::{check_claims, seen, spell_ids};
use self::dates::Dates;
use self::load_balancer::{check_padding, check_signer};
use crate::claims::Registered;
use crate::clock::UnixTime;
use crate::crypto::SignatureVerified;
use crate::error::{Error, ErrorKind};
use crate::issuer::Policy;
#[cfg(feature = "introspection")]
use crate::jose::Value;
use crate::jose::{Algorithm, Compact, Header, Json, Signed, media_type};
use crate::possession::Binding;

/// A token whose claims hold, if its signature does.
///
/// Nothing but [`check`](Self::check) makes one.
pub(crate) struct Plausible<'t> {
    algorithm: Algorithm,
    signed: Signed<'t>,
    claimed: Claimed,
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

    /// Returns the claims, which are nobody's word before the signature was verified.
    #[cfg(feature = "introspection")]
    pub(crate) fn claims(&self) -> Value<'_> {
        self.claimed.json.root()
    }

    pub(crate) fn signed(&self) -> Signed<'t> {
        self.signed
    }

    /// Lets go of the claims, given the evidence that their signature was verified.
    pub(crate) fn into_claimed(self, _: SignatureVerified) -> Claimed {
        self.claimed
    }
}

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
    let typed = check_type(header, policy).and_then(|()| check_logout(&registered, policy));
    judge("type", &|| seen(parameters, ["typ"]), typed)?;
    let times = Dates::read(&registered, None, policy, now).map(|read| dates = Some(read));
    judge("times", &|| seen(claims, ["exp", "nbf", "iat"]), times)?;
    if let Some(ours) = &policy.terms.load_balancers {
        judge("load balancer", &|| seen(parameters, ["signer"]), check_signer(json, ours))?;
    }
    check_claims(&registered, json, policy, &mut judge)?;
    // one that nobody can prove is refused here already, before anything is done for the token's
    // signature
    let acceptable = Binding::read(registered.cnf)
        .and_then(|read| policy.terms.sender_constraint.check(&read).map(|()| binding = Some(read)));
    judge("sender constraint", &|| seen(claims, ["cnf"]), acceptable)?;
    Ok(dates.zip(binding))
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

/// The event that makes a token one of logout (OpenID Connect Back-Channel Logout 1.0 §2.4).
const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A logout token is no access token, whatever its `typ`, and no other token is one of logout.
fn check_logout(claims: &Registered<'_>, policy: &Policy) -> Result<(), Error> {
    let event = claims.events.and_then(|events| events.get(LOGOUT));
    match (event, policy.terms.logout) {
        (None, false) => Ok(()),
        (Some(event), true) if event.is_object() => Ok(()),
        (Some(_), true) => Err(Error::new(ErrorKind::WrongType, "the event of logout is not an object")),
        (Some(_), false) => Err(Error::new(ErrorKind::WrongType, "it is a logout token")),
        (None, true) => Err(Error::new(ErrorKind::WrongType, "it has no event of logout")),
    }
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
