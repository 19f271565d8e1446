//! A signed answer (RFC 9701 §5): a JWT of the issuer for this service, with the claims inside.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;

use crate::claims::{Audience, Registered, numeric_date};
use crate::clock::{Moment, UnixTime};
use crate::credential::BearerToken;
use crate::error::{Error, ErrorKind};
use crate::introspection::{Fault, SIGNED, Said, read_claims};
use crate::issuer::Policy;
use crate::jose::{Compact, Header, Value, media_type};
use crate::jwks::{Cause, Keys, Refresh};

/// As long as any document that is fetched.
const MAX_LEN: usize = 512 * 1024;
/// An answer is made when it is asked for; beside the leeway of the clocks, one that is so old is
/// that to another question.
const MAX_AGE: Duration = Duration::from_secs(60);

/// Verifies a signed answer, and reads it. Newer keys are fetched if they are needed, and if that
/// is permitted.
pub(super) async fn read(text: &str, client: &str, policy: &Arc<Policy>, keys: &Keys) -> Result<Said, Fault> {
    let fault = |error: &Error| Fault::of_answer(format!("the signed answer is of no use: {error}"));
    let token = BearerToken::from_bytes(text.as_bytes(), MAX_LEN).map_err(|error| fault(&error))?;
    let answer = Compact::parse(token).map_err(|error| fault(&error))?;
    check(&answer, client, policy, policy.server.clock.now()).map_err(|error| fault(&error))?;
    loop {
        let (error, cause, generation) = match verify(&answer, policy, keys, policy.server.clock.moment()) {
            Ok(()) => return claims(&answer),
            Err(Unverified { error, cause, generation }) => (error, cause, generation),
        };
        let Some(cause) = cause else { return Err(fault(&error)) };
        match keys.refresh(cause, generation) {
            Refresh::Newer => {}
            Refresh::Refused => return Err(fault(&error)),
            Refresh::Pending(fetch) => {
                let joined = fetch.joined();
                let ended = timeout(keys.max_fetch(), fetch.ended()).await.is_ok();
                if !joined || !ended {
                    let again = verify(&answer, policy, keys, policy.server.clock.moment());
                    return again.map_err(|unverified| fault(&unverified.error)).and_then(|()| claims(&answer));
                }
            }
        }
    }
}

/// Why a signature was not verified, and for what reason newer keys may help.
struct Unverified {
    error: Error,
    cause: Option<Cause>,
    generation: u64,
}

fn verify(answer: &Compact<'_>, policy: &Arc<Policy>, keys: &Keys, now: Moment) -> Result<(), Unverified> {
    let current = keys.current_with_task(now.instant);
    let generation = current.as_ref().map_or(0, |snapshot| snapshot.generation);
    let Some(set) = current.as_ref().and_then(|snapshot| snapshot.keys(policy.terms.max_stale, now)) else {
        let error = Error::new(ErrorKind::KeysUnavailable, "the issuer's keys are not there");
        return Err(Unverified { error, cause: Some(Cause::NoKeys), generation });
    };
    let header = Header::of(answer.json.first(), answer.algorithm);
    set.verify(header, answer.signed, &policy.issuer).map(drop).map_err(|error| {
        let unknown = error.kind() == ErrorKind::UnknownKey;
        let cause = unknown.then(|| Cause::UnknownKid(keys.fingerprint(header.kid())));
        Unverified { error, cause, generation }
    })
}

/// Checks all but the signature.
fn check(answer: &Compact<'_>, client: &str, policy: &Policy, now: UnixTime) -> Result<(), Error> {
    let fail = |kind, detail: &'static str| Err(Error::new(kind, detail));
    let header = Header::of(answer.json.first(), answer.algorithm);
    if answer.padded {
        return fail(ErrorKind::MalformedToken, "a part of it is padded base64url (=)");
    }
    if !policy.terms.algorithms().contains(&header.algorithm) {
        return fail(ErrorKind::UnsupportedAlgorithm, "its algorithm is not among those of the issuer");
    }
    if !header.typ().is_some_and(|typ| media_type(typ).eq_ignore_ascii_case(SIGNED)) {
        return fail(ErrorKind::WrongType, "its typ is not token-introspection+jwt");
    }
    let claims = answer.json.root();
    if claims.get("iss").and_then(Value::as_str) != Some(&*policy.issuer) {
        return fail(ErrorKind::UnknownIssuer, "its iss is not the issuer that was asked");
    }
    let registered = Registered::of(&answer.json);
    let audience = registered.aud.map(Audience::read).transpose()?;
    if !audience.is_some_and(|audience| audience.iter().any(|named| named == client)) {
        return fail(ErrorKind::WrongAudience, "its aud is not the client by which this service asks");
    }
    let Some(issued) = registered.iat else { return fail(ErrorKind::MissingClaim, "it has no iat") };
    let issued = numeric_date("iat", issued)?;
    let leeway = policy.terms.leeway;
    if issued.ahead(now).is_some_and(|ahead| ahead > leeway) {
        return fail(ErrorKind::NotYetValid, "its iat lies ahead");
    }
    if issued.passed(now).is_some_and(|age| age > MAX_AGE.saturating_add(leeway)) {
        return fail(ErrorKind::Expired, "its iat lies more than a minute back, so it answers another question");
    }
    Ok(())
}

/// Reads the claims inside, and no others.
fn claims(answer: &Compact<'_>) -> Result<Said, Fault> {
    #[derive(Deserialize)]
    struct Outside<'a> {
        #[serde(borrow)]
        token_introspection: &'a RawValue,
    }

    // the whole was read strictly before
    let outside: Result<Outside<'_>, _> = serde_json::from_str(answer.json.text());
    let inside = outside.map_err(|_| Fault::of_answer("the signed answer has no member token_introspection"))?;
    read_claims(inside.token_introspection.get().as_bytes().to_vec())
}
