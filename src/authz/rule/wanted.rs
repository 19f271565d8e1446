//! What a token must have that it does not have, to be told to its client.

use std::time::Duration;

use super::node::{Judged, Node, is_acr};
use crate::claims::is_scope_token;
use crate::clock::whole_seconds_up;
use crate::error::{Error, ErrorKind, Needed};

/// What a client has to ask for.
#[derive(Default)]
struct Wanted<'n> {
    scopes: Vec<&'n str>,
    /// Ways to sign in, of which one is needed; none of them would do if there are none.
    acr: Option<Vec<&'n str>>,
    /// How long ago the user may have signed in.
    max_age: Option<Duration>,
}

impl<'n> Wanted<'n> {
    /// Returns what a client has to ask for so that a token satisfies the rule, as far as a client
    /// can ask for it.
    ///
    /// This is all that the operation needs, also what the token has: a client that asks for it
    /// gets a token that will do. Of alternatives, the one that the token satisfies is taken, else
    /// the first for which a sign-in is enough, else the first for which asking is enough, else the
    /// first that has any scopes.
    fn by<C: ?Sized>(node: &'n Node, judged: &Judged<'_, C>) -> Self {
        let mut wanted = Self::default();
        wanted.add(node, judged);
        wanted
    }

    /// Adds what a part of the rule needs; tells whether it would be enough.
    fn add<C: ?Sized>(&mut self, node: &'n Node, judged: &Judged<'_, C>) -> bool {
        match node {
            Node::All(nodes) => {
                let [left, right] = nodes.each_ref().map(|node| self.add(node, judged));
                left && right
            }
            Node::Any(nodes) => {
                let held = nodes.iter().find(|node| node.holds(judged));
                if let Some(held) = held.or_else(|| nodes.iter().find(|node| node.holds_after_sign_in(judged))) {
                    return self.add(held, judged);
                }
                let alternatives = nodes.each_ref().map(|node| {
                    let mut wanted = Self::default();
                    (wanted.add(node, judged), wanted)
                });
                let enough = alternatives.iter().any(|(enough, _)| *enough);
                let chosen =
                    alternatives.into_iter().find(|(alone, wanted)| *alone || !enough && !wanted.scopes.is_empty());
                if let Some((_, wanted)) = chosen {
                    self.join(wanted);
                }
                enough
            }
            Node::Acr(values) => {
                let acr: Vec<_> = values.iter().map(|acr| &**acr).filter(|acr| is_acr(acr)).collect();
                let possible = !acr.is_empty();
                self.join(Self { acr: Some(acr), ..Self::default() });
                possible
            }
            Node::AuthenticatedWithin(longest) => {
                self.join(Self { max_age: Some(*longest), ..Self::default() });
                true
            }
            Node::Details(..) | Node::Role(_) => node.holds(judged),
            Node::Scope(scope) => {
                let valid = is_scope_token(scope);
                if valid && !self.scopes.contains(&&**scope) {
                    self.scopes.push(scope);
                }
                valid
            }
        }
    }

    /// Wants what is wanted by both.
    fn join(&mut self, other: Self) {
        let new = other.scopes.into_iter().filter(|scope| !self.scopes.contains(scope)).collect::<Vec<_>>();
        self.scopes.extend(new);
        match (&mut self.acr, other.acr) {
            (Some(both), Some(other)) => both.retain(|acr| other.contains(acr)),
            (acr, other) => *acr = acr.take().or(other),
        }
        self.max_age = match (self.max_age, other.max_age) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }

    /// Tells whether there is a sign-in that would help.
    fn is_sign_in(&self) -> bool {
        let possible = self.acr.as_ref().is_none_or(|acr| !acr.is_empty());
        possible && (self.acr.is_some() || self.max_age.is_some())
    }

    fn is_signed_in<C: ?Sized>(&self, judged: &Judged<'_, C>) -> bool {
        self.acr.as_ref().is_none_or(|acr| judged.has_acr(acr))
            && self.max_age.is_none_or(|longest| judged.is_authenticated_within(longest))
    }

    /// Says for the operator which sign-in is needed, and what is known of the one that there was.
    fn sign_in_detail<C: ?Sized>(&self, judged: &Judged<'_, C>) -> String {
        const TELL: &str = "the issuer must be told to write it into access tokens";
        let mut reasons = Vec::new();
        if let Some(acr) = self.acr.as_ref().filter(|acr| !judged.has_acr(acr)) {
            let found = if judged.token.acr().is_some() { "the token has another" } else { TELL };
            reasons.push(format!("acr must be one of {acr:?}; {found}"));
        }
        if let Some(longest) = self.max_age.filter(|longest| !judged.is_authenticated_within(*longest)) {
            let (longest, now) = (longest.as_secs(), judged.now());
            let found = match judged.token.authenticated().map(|then| (then.ahead(now), then.passed(now))) {
                Some((Some(ahead), _)) => format!("auth_time lies {} s ahead", whole_seconds_up(ahead)),
                Some((None, passed)) => {
                    format!("auth_time lies {} s back", whole_seconds_up(passed.unwrap_or_default()))
                }
                None => format!("auth_time is no date or absent; {TELL}"),
            };
            reasons.push(format!("the sign-in may be {longest} s old; {found}"));
        }
        reasons.join("; ")
    }
}

/// Refuses a token that does not satisfy a rule.
///
/// A sign-in is asked for where it is all that the token lacks (401). Where a scope is missing too,
/// the scope comes first (403), since no sign-in helps whoever does not get it; the challenge names
/// the sign-in beside it, so that a client can ask for both at once. Where a role or
/// an authorization detail is missing, there is nothing to ask for.
pub(super) fn refuse<C: ?Sized>(node: &Node, judged: &Judged<'_, C>) -> Error {
    let (policy, wanted) = (judged.token.policy(), Wanted::by(node, judged));
    let lacks_scope = wanted.scopes.iter().any(|scope| !judged.token.has_scope(scope));
    let lacks_sign_in = wanted.is_sign_in() && !wanted.is_signed_in(judged);
    let (kind, detail) = if lacks_sign_in && node.holds_after_sign_in(judged) {
        (ErrorKind::InsufficientAuthentication, wanted.sign_in_detail(judged))
    } else if lacks_scope {
        (ErrorKind::InsufficientScope, format!("the operation needs the scopes {:?}", wanted.scopes.join(" ")))
    } else if wanted.acr.as_ref().is_some_and(Vec::is_empty) {
        (ErrorKind::InsufficientScope, "no acr satisfies all parts of the rule".to_owned())
    } else {
        (
            ErrorKind::InsufficientScope,
            "the token lacks a role or an authorization detail that the operation needs".to_owned(),
        )
    };
    // as the issuer calls them, which is where the client asks
    let theirs = |scope: &&str| policy.terms.scopes.theirs(scope);
    let scope = lacks_scope.then(|| wanted.scopes.iter().map(theirs).collect::<Vec<_>>().join(" ").into());
    let told = lacks_sign_in && (lacks_scope || kind == ErrorKind::InsufficientAuthentication);
    let acr_values = wanted.acr.filter(|_| told).map(|acr| acr.join(" ").into());
    let max_age = wanted.max_age.filter(|_| told);
    Error::new(kind, detail)
        .needing(Needed { scope, acr_values, max_age })
        .at(&policy.issuer)
        .in_space(Some(&policy.server.space))
        .under(judged.token.scheme())
}
