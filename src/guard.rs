//! Who gets in: where the token is, whether one is needed, and what the operation requires.

use std::sync::Arc;

use http::header::{AUTHORIZATION, Entry};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request};

use crate::access_token::{AccessToken, Anonymous};
use crate::authz::{Access, AuthzRules, Route, Routes};
use crate::challenge::wire;
use crate::credential::{Credential, DPOP, Places, RequestHead, Shown, TokenSource, find};
use crate::error::{ConfigError, ConfigProblemKind, Error, ErrorKind};
use crate::reject::NoGrpc;
use crate::relay::CallerToken;
use crate::server::LayerOrigin;

/// What a layer asks of requests. By default that is a token in the `Authorization` header, and
/// costs nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guard(Option<Arc<GuardSettings>>);

/// The settings of a layer that most do not use.
#[derive(Clone, Debug, Default)]
pub(crate) struct GuardSettings {
    pub(crate) mode: Mode,
    /// The routes that need no token, where there are no rules.
    public: Option<Arc<Routes<()>>>,
    /// `None` is the `Authorization` header.
    pub(crate) sources: Option<Vec<TokenSource>>,
    pub(crate) rules: Option<AuthzRules>,
    /// Whether the token's text is kept, to be passed on.
    pub(crate) relayable: bool,
    /// Where the layer is reached, if it is not where the server is.
    pub(crate) origin: Option<LayerOrigin>,
    /// The header with the certificates of clients, if there is one.
    certificate: Option<HeaderName>,
    /// Whether no request is gRPC, whatever it looks like.
    pub(crate) without_grpc: bool,
}

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

/// What an operation requires of its caller, as it is found for a request, once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Requirement {
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

impl Guard {
    /// Sees to it, besides, that nothing prints the certificates in this header.
    pub(crate) fn hiding(certificate: Option<HeaderName>) -> Self {
        let mut guard = Self::default();
        if certificate.is_some() {
            guard.settings().certificate = certificate;
        }
        guard
    }

    /// Returns the settings, to be changed.
    pub(crate) fn settings(&mut self) -> &mut GuardSettings {
        Arc::make_mut(self.0.get_or_insert_default())
    }

    /// Sees to it that nothing prints the credentials, whatever becomes of them; what custom
    /// sources find is hidden afterwards. Marks a request that is not gRPC, whatever it looks like,
    /// for all who could refuse it.
    pub(crate) fn prepare<B>(&self, request: &mut Request<B>) {
        let headers = request.headers_mut();
        let Some(settings) = &self.0 else {
            // were there two, the request would be refused
            let Some(credentials) = headers.get_mut(AUTHORIZATION) else { return };
            credentials.set_sensitive(true);
            if may_have_proof(credentials) {
                hide(&DPOP, headers);
            }
            return;
        };
        let sources = settings.sources.iter().flatten().filter_map(|source| source.header_name());
        for name in [&AUTHORIZATION, &DPOP].into_iter().chain(&settings.certificate).chain(sources) {
            hide(name, headers);
        }
        if settings.without_grpc {
            request.extensions_mut().insert(NoGrpc);
        }
    }

    /// Finds what a request's operation requires.
    pub(crate) fn requirement<B>(&self, request: &Request<B>) -> Requirement {
        let Some(settings) = &self.0 else { return Requirement::ByMode };
        let (method, path) = (request.method(), request.uri().path());
        let Some(rules) = &settings.rules else {
            let public = settings.public.as_ref().is_some_and(|public| public.find(method, path).is_some());
            return if public { Requirement::Nothing } else { Requirement::ByMode };
        };
        match rules.find(method, path) {
            None => Requirement::Impossible,
            Some((_, Access::Public)) => Requirement::Nothing,
            Some((_, Access::Authenticated)) => Requirement::Token,
            Some((place, Access::Rule(_))) => Requirement::Rule(place),
        }
    }

    /// Finds the credential of a request, and all places of tokens.
    pub(crate) fn find<'r, B>(&self, request: &'r Request<B>) -> (Result<Credential<'r>, Error>, Places) {
        match self.0.as_ref().and_then(|settings| settings.sources.as_deref()) {
            Some(sources) => find(sources, RequestHead::from(request)),
            None => (Credential::from_authorization(request.headers()), Places::default()),
        }
    }

    pub(crate) fn origin(&self) -> Option<&LayerOrigin> {
        self.0.as_ref()?.origin.as_ref()
    }

    /// Keeps a token's text, if it is to be passed on.
    pub(crate) fn keep(&self, credential: &Credential<'_>) -> Option<CallerToken> {
        let settings = self.0.as_ref().filter(|settings| settings.relayable);
        settings.and_then(|_| CallerToken::new(&credential.token))
    }

    /// Tells how much of an address a `Reject` may see, be there a token in it or not.
    pub(crate) fn shown(&self) -> Shown {
        let mut sources = self.0.iter().flat_map(|settings| settings.sources.iter().flatten());
        // which header it is in is known of all sources but `dangerously_query` and `custom`
        if sources.any(|source| source.header_name().is_none()) { Shown::Path } else { Shown::Query }
    }

    /// Lets a request in as an anonymous one.
    pub(crate) fn admit_anonymous<B>(anonymous: Anonymous, request: &mut Request<B>) {
        // of an outer layer, to which the caller was somebody
        request.extensions_mut().remove::<CallerToken>();
        anonymous.enter(request.extensions_mut());
    }

    /// Lets a request in with its token, or as an anonymous one, if that is how it may come in.
    pub(crate) fn let_in<B, C: Send + Sync + 'static>(
        &self,
        requirement: Requirement,
        verdict: Result<AccessToken<C>, Error>,
        caller: Option<CallerToken>,
        request: &mut Request<B>,
    ) -> Result<(), Error> {
        let Some(settings) = &self.0 else {
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
            Err(error) if settings.mode.lets_through(&error) => {
                Self::admit_anonymous(Anonymous::after(error), request);
            }
            Err(error) => return Err(error),
        }
        settings.permit(requirement, request.extensions())
    }
}

impl Mode {
    fn lets_through(self, error: &Error) -> bool {
        match self {
            Self::Required => false,
            Self::Optional => error.kind() == ErrorKind::MissingToken,
            // what is our fault makes nobody anonymous; nor is a thief just nobody
            Self::Lenient => !wire(error.kind()).status.is_server_error() && !is_of_sender(error.kind()),
        }
    }
}

/// Tells whether a token may be good, and is not this sender's to use.
fn is_of_sender(kind: ErrorKind) -> bool {
    use ErrorKind as K;
    matches!(kind, K::InvalidProof | K::NonceRequired | K::NotSenderConstrained | K::SenderConstrained)
}

impl GuardSettings {
    /// Opens a route to everybody.
    pub(crate) fn open(&mut self, route: Route<()>, mut problems: ConfigError) -> Result<(), ConfigError> {
        let mut listed = self.public.as_ref().map(|routes| routes.listed().to_vec()).unwrap_or_default();
        listed.push(route);
        self.public = Some(Arc::new(Routes::new("public", listed, &mut problems)));
        self.check(problems)
    }

    /// Demands what the rules say.
    pub(crate) fn authorize(&mut self, rules: AuthzRules) -> Result<(), ConfigError> {
        self.rules = Some(rules);
        self.check(ConfigError::default())
    }

    /// Finds public routes beside rules, which alone decide.
    fn check(&self, mut problems: ConfigError) -> Result<(), ConfigError> {
        let public = self.public.iter().filter(|_| self.rules.is_some()).flat_map(|routes| routes.listed());
        for route in public {
            let text = "the layer has rules; write a rule that says Access::Public";
            problems.push_as(ConfigProblemKind::Conflict, route.problem_path("public"), text);
        }
        problems.or(())
    }

    /// Refuses whoever does not have what is required.
    fn permit(&self, requirement: Requirement, extensions: &Extensions) -> Result<(), Error> {
        let caller = || AccessToken::from_extensions(extensions);
        let rule = match requirement {
            Requirement::ByMode | Requirement::Nothing => return Ok(()),
            Requirement::Token => return caller().map(|_: &AccessToken| ()),
            Requirement::Rule(place) => self.rules.as_ref().and_then(|rules| rules.at(place)),
            Requirement::Impossible => None,
        };
        rule.map_or_else(|| Err(no_rule(&caller())), |rule| caller()?.require(rule))
    }
}

/// Tells, for the cost of a byte, whether these could be credentials that have a proof beside them.
fn may_have_proof(credentials: &HeaderValue) -> bool {
    cfg!(feature = "dpop") && !matches!(credentials.as_bytes().first(), Some(b'B' | b'b'))
}

/// Sees to it that nothing prints the header.
fn hide(name: &HeaderName, headers: &mut HeaderMap) {
    if let Entry::Occupied(mut values) = headers.entry(name) {
        values.iter_mut().for_each(|value| value.set_sensitive(true));
    }
}

/// Refuses whoever calls, in the protection space that has looked at them.
fn no_rule(caller: &Result<&AccessToken, Error>) -> Error {
    let (space, scheme) = match caller {
        Ok(token) => (Some(&token.policy().server.space), token.scheme()),
        Err(anonymous) => (anonymous.space(), anonymous.scheme()),
    };
    Error::new(ErrorKind::NoRule, "there is no rule for this method and path").in_space(space).under(scheme)
}
