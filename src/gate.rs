//! What a layer asks of a request besides its token: where that is, whether one is needed, and what the operation needs.

mod public;

use http::Request;

pub(crate) use self::public::Public;
use crate::access_token::{AccessToken, Anonymous};
use crate::authz::{Access, AuthzRules};
use crate::bearer::{Found, Place, TokenSource, credentials, find};
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

    fn permits<B>(&self, request: &Request<B>) -> Result<(), Error> {
        let Some(rules) = &self.rules else { return Ok(()) };
        let caller = || AccessToken::from_extensions(request.extensions());
        match rules.access(request.method(), request.uri().path()) {
            None => Err(Error::new(ErrorKind::NoRule, "the rules have none for this method and path")),
            Some(Access::Public) => Ok(()),
            Some(Access::Authenticated) => caller().map(|_: &AccessToken| ()),
            Some(Access::Rule(rule)) => caller().and_then(|token: &AccessToken| token.require(rule)),
        }
    }
}

/// Tells whether everybody may pass.
pub(crate) fn is_open<B>(gate: Option<&Gate>, request: &Request<B>) -> bool {
    gate.is_some_and(|gate| {
        let (method, path) = (request.method(), request.uri().path());
        let rule = gate.rules.as_ref().and_then(|rules| rules.access(method, path));
        matches!(rule, Some(Access::Public)) || gate.public.iter().any(|public| public.is(method, path))
    })
}

/// Finds the token of a request.
pub(crate) fn find_token<'r, B>(gate: Option<&Gate>, request: &'r Request<B>) -> Result<Found<'r>, Error> {
    match gate.and_then(|gate| gate.sources.as_deref()) {
        Some(sources) => find(sources, request),
        None => credentials(request.headers()).map(|token| Found { token, place: Place::Header }),
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
    gate.permits(request)
}
