//! What an issuer says of a token when it is asked, under the same terms as what a JWT says (RFC
//! 7662 §2.2).

use std::sync::Arc;

use super::claims::{Claimed, Seen, check_audience, check_claims, seen, spell_ids};
use super::dates::{Dates, as_numeric_date};
use crate::claims::Registered;
use crate::clock::UnixTime;
use crate::error::{Error, ErrorKind, Scheme};
use crate::introspection::Active;
use crate::issuer::Policy;
use crate::jose::{Json, Value};
use crate::possession::Binding;

/// What the issuer was asked about.
#[derive(Clone)]
pub(crate) enum About {
    /// A token of which only the answer says anything.
    Opaque,
    /// A JWT, whose own claims were checked and count.
    Jwt(Arc<Names>),
}

/// What a verified JWT calls itself and its subject, and what it is bound to.
pub(crate) struct Names {
    id: Option<Box<str>>,
    subject: Option<Box<str>>,
    /// What it is bound to; `None` if that cannot be read.
    binding: Option<Binding>,
}

impl About {
    /// A JWT with these claims, whose signature was verified.
    pub(crate) fn jwt(claims: Value<'_>) -> Self {
        let name = |claim| claims.get(claim).and_then(Value::as_str).map(Into::into);
        Self::Jwt(Arc::new(Names {
            id: name("jti"),
            subject: name("sub"),
            binding: Binding::read(claims.get("cnf")).ok(),
        }))
    }
}

/// What an issuer has said of a token that is active, and that holds under its terms.
///
/// Nothing but [`check`](Self::check) makes one.
pub(crate) struct Stated(Claimed);

impl Stated {
    /// Checks what an issuer says. A token for which it names no end ends here.
    pub(crate) fn check(
        active: Active,
        about: &About,
        policy: &Arc<Policy>,
        (now, end): (UnixTime, UnixTime),
    ) -> Result<Self, Error> {
        let mut json = active.into_claims();
        spell_ids(&mut json, policy);
        let read = checks((&json, about), policy, (now, end), |_, _, result| result);
        // what was not read was not checked
        let read = read.and_then(|read| read.ok_or_else(|| ErrorKind::MissingClaim.into()));
        let (dates, binding) = read.map_err(|error| error.at(&policy.issuer))?;
        Ok(Self(Claimed { json, policy: Arc::clone(policy), dates, binding }))
    }

    /// Returns when the token expires.
    pub(crate) fn expires(&self) -> UnixTime {
        self.0.dates.expires
    }

    pub(crate) fn into_claimed(self) -> Claimed {
        self.0
    }
}

/// All checks; see those of a JWT.
fn checks<'t>(
    (json, about): (&'t Json, &About),
    policy: &'t Policy,
    (now, end): (UnixTime, UnixTime),
    mut judge: impl FnMut(&'static str, &dyn Fn() -> Seen<'t>, Result<(), Error>) -> Result<(), Error>,
) -> Result<Option<(Dates, Binding)>, Error> {
    let (claims, registered) = (json.root(), Registered::of(json).without_nulls());
    let (mut dates, mut binding) = (None, None);
    if let About::Jwt(names) = about {
        judge("token", &|| seen(claims, ["jti", "sub"]), check_names(claims, names))?;
    }
    judge("issuer", &|| seen(claims, ["iss"]), check_issuer(claims, policy))?;
    judge("token type", &|| seen(claims, ["token_type", "token_use"]), check_token_type(claims))?;
    let unsaid = Some(as_numeric_date(end));
    let times = match about {
        About::Opaque => Dates::read(&registered, unsaid, policy, now),
        // how long it may live was held against its own dates
        About::Jwt(_) => Dates::read_repeated(&registered, unsaid, policy, now),
    };
    let times = times.map(|read| dates = Some(read));
    judge("times", &|| seen(claims, ["exp", "nbf", "iat"]), times)?;
    match about {
        About::Opaque => check_claims(&registered, json, policy, &mut judge)?,
        About::Jwt(_) if registered.aud.is_some() => {
            judge("audience", &|| seen(claims, ["aud"]), check_audience(&registered, json, policy))?;
        }
        About::Jwt(_) => {}
    }
    let acceptable = check_cnf(registered.cnf).and_then(Binding::read).and_then(|read| {
        // a JWT is bound by its own cnf, which the answer need not repeat
        let judged = match (about, &read) {
            (About::Jwt(_), Binding::Unbound) => Ok(()),
            (About::Jwt(jwt), _) if jwt.binding.as_ref() == Some(&read) => Ok(()),
            (About::Jwt(_), Binding::Bound(_)) => {
                let detail = "its issuer says that the token is bound to a sender (cnf), and the JWT says otherwise";
                Err(Error::new(ErrorKind::SenderConstrained, detail))
            }
            (About::Opaque, _) => policy.terms.sender_constraint.check(&read),
        };
        let own = match about {
            About::Jwt(jwt) => jwt.binding.as_ref(),
            About::Opaque => Some(&read),
        };
        judged.and_then(|()| check_scheme(claims, own)).map(|()| binding = Some(read))
    });
    judge("sender constraint", &|| seen(claims, ["cnf", "token_type"]), acceptable)?;
    Ok(dates.zip(binding))
}

/// The answer about a JWT need not repeat what that calls itself; if it does otherwise, it is the
/// answer about another token, and nobody's fault but the issuer's.
fn check_names(claims: Value<'_>, names: &Names) -> Result<(), Error> {
    for (name, own) in [("jti", &names.id), ("sub", &names.subject)] {
        let said = claims.get(name).and_then(Value::as_str);
        if said.zip(own.as_deref()).is_some_and(|(said, own)| *said != *own) {
            let detail = format!("{name} is not that of the token, so the answer is about another one");
            return Err(Error::new(ErrorKind::MalformedClaim, detail));
        }
    }
    Ok(())
}

/// The answer need not name the issuer; if it does, it must be the one that was asked.
fn check_issuer(claims: Value<'_>, policy: &Policy) -> Result<(), Error> {
    let Some(iss) = claims.get("iss").filter(|iss| !iss.is_null()) else { return Ok(()) };
    let Some(iss) = iss.as_str() else {
        return Err(Error::new(ErrorKind::MalformedClaim, format!("iss is {}, not a string", iss.type_name())));
    };
    if *iss == *policy.issuer || policy.terms.also_known_as.iter().any(|name| **name == *iss) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::UnknownIssuer, "its issuer says that it is the token of another issuer"))
}

/// An endpoint may know other tokens, too, such as refresh tokens (RFC 7662 §2.1), and some say
/// which it is: the type by which it is used (RFC 6749 §5.1), or its kind.
fn check_token_type(claims: Value<'_>) -> Result<(), Error> {
    const KINDS: [(&str, &[&str]); 2] =
        [("token_type", &["bearer", "dpop", "access_token"]), ("token_use", &["access_token", "access"])];
    for (name, kinds) in KINDS {
        let Some(value) = claims.get(name).filter(|value| !value.is_null()) else { continue };
        let Some(kind) = value.as_str() else {
            let detail = format!("{name} is {}, not a string", value.type_name());
            return Err(Error::new(ErrorKind::MalformedClaim, detail));
        };
        if !kinds.iter().any(|known| known.eq_ignore_ascii_case(kind)) {
            return Err(Error::new(ErrorKind::WrongType, format!("{name} is not that of an access token")));
        }
    }
    Ok(())
}

/// What is no object says nothing that the caller could be blamed for.
fn check_cnf(cnf: Option<Value<'_>>) -> Result<Option<Value<'_>>, Error> {
    match cnf.filter(|cnf| !cnf.is_object()) {
        None => Ok(cnf),
        Some(other) => {
            Err(Error::new(ErrorKind::MalformedClaim, format!("cnf is {}, not an object", other.type_name())))
        }
    }
}

/// A token of the scheme DPoP is bound to a key, even where nothing says to which (RFC 9449 §6.2).
fn check_scheme(claims: Value<'_>, bound: Option<&Binding>) -> Result<(), Error> {
    let scheme = claims.get("token_type").and_then(Value::as_str).unwrap_or_default();
    if scheme.eq_ignore_ascii_case("DPoP") && bound.map(Binding::scheme) != Some(Scheme::Dpop) {
        let detail = "the token is one of DPoP, and the answer does not say to which key it is bound";
        return Err(Error::new(ErrorKind::SenderConstrained, detail));
    }
    Ok(())
}
