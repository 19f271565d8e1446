//! What a layer asks of a request besides its token: where that is, whether one is needed, and what the operation needs.

mod public;

use http::{Extensions, Request};

pub(crate) use self::public::Public;
use crate::access_token::{AccessToken, Anonymous};
use crate::authz::{Access, AuthzRules};
use crate::bearer::{RequestHead, Search, TokenSource, Traces, credentials, find};
use crate::challenge::wire;
use crate::error::{Error, ErrorKind};
use crate::relay::CallerToken;

/// What becomes of requests without a valid token.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Mode {
    /// They are refused.
    #[default]
    Required,
    /// Without any, they are anonymous.
    Optional,
    /// With a bad one, they are anonymous too.
    Lenient,
}

/// What an operation needs of its caller, as it is found for a request, once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Need {
    /// What the mode says: there are no rules.
    ByMode,
    /// Nothing: a token is not looked at.
    Nothing,
    /// A token.
    Token,
    /// What a rule says, by its place.
    Rule(usize),
    /// What nobody has: no rule permits it.
    Impossible,
}

/// The settings of a layer that most do not use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate {
    pub(crate) mode: Mode,
    pub(crate) public: Vec<Public>,
    /// `None` is the `Authorization` header.
    pub(crate) sources: Option<Vec<TokenSource>>,
    pub(crate) rules: Option<AuthzRules>,
    /// Whether the token's text is kept, to be passed on.
    pub(crate) relayable: bool,
}

impl Gate {
    /// Tells whether it asks for nothing but a token in the `Authorization` header.
    pub(crate) fn is_plain(&self) -> bool {
        let Self { mode, public, sources, rules, relayable } = self;
        *mode == Mode::Required && public.is_empty() && sources.is_none() && rules.is_none() && !relayable
    }

    fn lets_through(&self, error: &Error) -> bool {
        match self.mode {
            Mode::Required => false,
            Mode::Optional => error.kind() == ErrorKind::MissingToken,
            // what is our fault makes nobody anonymous
            Mode::Lenient => !wire(error.kind()).status.is_server_error(),
        }
    }

    fn need<B>(&self, request: &Request<B>) -> Need {
        let (method, path) = (request.method(), request.uri().path());
        if self.public.iter().any(|public| public.is(method, path)) {
            return Need::Nothing;
        }
        let Some(rules) = &self.rules else { return Need::ByMode };
        match rules.find(method, path) {
            None => Need::Impossible,
            Some((_, Access::Public)) => Need::Nothing,
            Some((_, Access::Authenticated)) => Need::Token,
            Some((place, Access::Rule(_))) => Need::Rule(place),
        }
    }

    fn permits(&self, need: Need, extensions: &Extensions) -> Result<(), Error> {
        let caller = || AccessToken::from_extensions(extensions);
        match need {
            Need::ByMode | Need::Nothing => Ok(()),
            Need::Token => caller().map(|_: &AccessToken| ()),
            Need::Rule(place) => match self.rules.as_ref().and_then(|rules| rules.at(place)) {
                Some(rule) => caller().and_then(|token: &AccessToken| token.require(rule)),
                None => Err(no_rule()),
            },
            Need::Impossible => Err(no_rule()),
        }
    }
}

fn no_rule() -> Error {
    Error::new(ErrorKind::NoRule, "the rules have none for this method and path")
}

/// Finds what a request needs.
pub(crate) fn need<B>(gate: Option<&Gate>, request: &Request<B>) -> Need {
    gate.map_or(Need::ByMode, |gate| gate.need(request))
}

/// Finds the token of a request.
pub(crate) fn find_token<'r, B>(gate: Option<&Gate>, request: &'r Request<B>) -> Search<'r> {
    match gate.and_then(|gate| gate.sources.as_deref()) {
        Some(sources) => find(sources, RequestHead::of(request)),
        None => Search { token: credentials(request.headers()).map(Into::into), traces: Traces::default() },
    }
}

/// Keeps a token's text, if it is to be passed on.
pub(crate) fn keep(gate: Option<&Gate>, token: &[u8]) -> Option<CallerToken> {
    gate.filter(|gate| gate.relayable).and_then(|_| CallerToken::new(token))
}

/// Lets a request in as an anonymous one.
pub(crate) fn let_in<B>(anonymous: Anonymous, request: &mut Request<B>) {
    // of an outer layer, to which the caller was somebody
    request.extensions_mut().remove::<CallerToken>();
    anonymous.enter(request.extensions_mut());
}

/// Lets a request in with its token, or as an anonymous one, if that is how it may come in.
pub(crate) fn admit<B, C: Send + Sync + 'static>(
    gate: Option<&Gate>,
    need: Need,
    verdict: Result<AccessToken<C>, Error>,
    caller: Option<CallerToken>,
    request: &mut Request<B>,
) -> Result<(), Error> {
    let Some(gate) = gate else {
        return verdict.map(|token| token.enter(request.extensions_mut()));
    };
    match verdict {
        Ok(token) => {
            // of an outer layer, to which the caller was nobody
            request.extensions_mut().remove::<Error>();
            if let Some(caller) = caller {
                caller.enter(&token, request.extensions_mut());
            }
            token.enter(request.extensions_mut());
        }
        Err(error) if gate.lets_through(&error) => let_in(Anonymous::after(error), request),
        Err(error) => return Err(error),
    }
    gate.permits(need, request.extensions())
}
