//! What a layer asks of a request besides its token: where that is, whether one is needed, and what the operation needs.

use std::sync::Arc;

use http::{Extensions, Request};

use crate::access_token::{AccessToken, Anonymous};
use crate::authz::{Access, AuthzRules, Route, Routes};
use crate::challenge::wire;
use crate::credential::{Credential, Places, RequestHead, Shown, TokenSource, find};
use crate::error::{ConfigError, Error, ErrorKind};
use crate::reject::NoGrpc;
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
    /// The routes that need no token, where there are no rules.
    public: Option<Arc<Routes<()>>>,
    /// `None` is the `Authorization` header.
    pub(crate) sources: Option<Vec<TokenSource>>,
    pub(crate) rules: Option<AuthzRules>,
    /// Whether the token's text is kept, to be passed on.
    pub(crate) relayable: bool,
    /// Whether no request is gRPC, whatever it looks like.
    pub(crate) without_grpc: bool,
}

impl Gate {
    /// Tells whether it asks for nothing but a token in the `Authorization` header.
    pub(crate) fn is_plain(&self) -> bool {
        let Self { mode, public, sources, rules, relayable, without_grpc } = self;
        *mode == Mode::Required
            && public.is_none()
            && sources.is_none()
            && rules.is_none()
            && !relayable
            && !without_grpc
    }

    /// Opens a route to everybody.
    pub(crate) fn open(&mut self, route: Route<()>, mut problems: ConfigError) -> Result<(), ConfigError> {
        if self.rules.is_some() {
            let path = format!("public[{} {}]", route.method, route.pattern);
            problems.push(path, "the layer has rules; write a rule that says Access::Public");
        }
        let mut listed = self.public.as_ref().map(|routes| routes.listed().to_vec()).unwrap_or_default();
        listed.push(route);
        self.public = Some(Arc::new(Routes::new("public", listed, &mut problems)));
        problems.or(())
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
        let Some(rules) = &self.rules else {
            let public = self.public.as_ref().is_some_and(|public| public.find(method, path).is_some());
            return if public { Need::Nothing } else { Need::ByMode };
        };
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
                None => Err(no_rule(&caller())),
            },
            Need::Impossible => Err(no_rule(&caller())),
        }
    }
}

/// Refuses whoever calls, in the realm that has looked at them.
fn no_rule(caller: &Result<&AccessToken, Error>) -> Error {
    let realm = match caller {
        Ok(token) => Some(&token.policy().server.realm),
        Err(anonymous) => anonymous.realm(),
    };
    let error = Error::new(ErrorKind::NoRule, "there is no rule for this method and path");
    realm.iter().fold(error, |error, realm| error.in_realm(realm))
}

/// Marks a request that is not gRPC, whatever it looks like, for all who could refuse it.
pub(crate) fn mark<B>(gate: Option<&Gate>, request: &mut Request<B>) {
    if gate.is_some_and(|gate| gate.without_grpc) {
        request.extensions_mut().insert(NoGrpc);
    }
}

/// Tells how much of an address a `Reject` may see, be there a token in it or not.
pub(crate) fn shown(gate: Option<&Gate>) -> Shown {
    // which header it is in is known of all sources but `dangerously_query` and `custom`
    let in_address = |gate: &Gate| gate.sources.iter().flatten().any(|source| source.header_name().is_none());
    if gate.is_some_and(in_address) { Shown::Path } else { Shown::Query }
}

/// Finds what a request needs.
pub(crate) fn need<B>(gate: Option<&Gate>, request: &Request<B>) -> Need {
    gate.map_or(Need::ByMode, |gate| gate.need(request))
}

/// Finds the credential of a request, and all places of tokens.
pub(crate) fn find_credential<'r, B>(
    gate: Option<&Gate>,
    request: &'r Request<B>,
) -> (Result<Credential<'r>, Error>, Places) {
    match gate.and_then(|gate| gate.sources.as_deref()) {
        Some(sources) => find(sources, RequestHead::from(request)),
        None => (Credential::from_authorization(request.headers()), Places::default()),
    }
}

/// Keeps a token's text, if it is to be passed on.
pub(crate) fn keep(gate: Option<&Gate>, credential: &Credential<'_>) -> Option<CallerToken> {
    gate.filter(|gate| gate.relayable).and_then(|_| CallerToken::new(&credential.token))
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
