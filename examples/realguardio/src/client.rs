//! The client's half of OAuth 2.0, which is not tower-bearer's business: signing users in (OpenID Connect), refreshing their tokens, and tokens for ourselves.

use std::pin::Pin;
use std::time::Duration;

use http::HeaderMap;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use openidconnect::core::{
    CoreAuthPrompt, CoreAuthenticationFlow, CoreClient, CoreErrorResponseType, CoreProviderMetadata,
};
use openidconnect::url::form_urlencoded::{Serializer, byte_serialize};
use openidconnect::{
    AsyncHttpClient, AuthenticationContextClass, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret,
    CsrfToken, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IssuerUrl, Nonce,
    OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope,
    StandardErrorResponse, TokenResponse,
};
use serde::{Deserialize, Serialize};

use crate::guard::AUDIENCE;
use crate::system::Fault;

/// How long an answer of another service is waited for.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// `openidconnect`'s type for a client whose issuer was discovered.
type Discovered =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

/// What an identity service knows a client by.
#[derive(Clone)]
pub struct Credentials {
    pub id: String,
    pub secret: String,
}

/// A client of an identity service.
#[derive(Clone)]
pub struct Client {
    issuer: String,
    credentials: Credentials,
    /// Where users come back to.
    redirect: String,
    http: Http,
}

/// What the identity service has issued.
pub struct Tokens {
    pub access_token: String,
    pub refresh_token: Option<String>,
}

/// How a user must sign in, where a service asks for more than it has found in a token (RFC 9470).
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct StepUp {
    /// One of these ways, separated by spaces.
    pub acr_values: Option<String>,
    /// No longer ago than so many seconds.
    pub max_age: Option<u64>,
}

impl StepUp {
    /// Reads what a service asks for, if that is a sign-in.
    pub fn asked_for(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        values.filter_map(|text| http_auth::parse_challenges(text).ok()).flatten().find_map(|challenge| {
            let said = |name: &str| {
                let said = challenge.params.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
                said.map(|(_, value)| value.to_unescaped())
            };
            let step_up = said("error")? == "insufficient_user_authentication";
            let max_age = said("max_age").and_then(|seconds| seconds.parse().ok());
            step_up.then(|| Self { acr_values: said("acr_values"), max_age })
        })
    }

    /// As parameters of an address.
    pub fn query(&self) -> String {
        let mut query = Serializer::new(String::new());
        query.extend_pairs(self.acr_values.iter().map(|values| ("acr_values", values)));
        query.extend_pairs(self.max_age.iter().map(|seconds| ("max_age", seconds.to_string())));
        query.finish()
    }
}

/// A sign-in that has begun, as the browser that has begun it keeps it.
#[derive(Deserialize, Serialize)]
pub struct SigningIn {
    pub state: String,
    nonce: String,
    verifier: String,
}

impl Client {
    pub fn new(issuer: &str, credentials: Credentials, redirect: String) -> Result<Self, Fault> {
        Ok(Self { issuer: issuer.to_owned(), credentials, redirect, http: Http(http_client()?) })
    }

    /// Begins to sign a user in. Returns where to send them, and what must still be known when they come back.
    pub async fn sign_in(&self, step_up: &StepUp) -> Result<(String, SigningIn), Fault> {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let client = self.discovered().await?;
        let request = client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
            .set_pkce_challenge(challenge)
            .add_scope(Scope::new("offline_access".to_owned()))
            // whom the access token is for (RFC 8707); not every server asks
            .add_extra_param("resource", AUDIENCE);
        let acr_values = step_up.acr_values.iter().flat_map(|values| values.split_ascii_whitespace());
        let request = acr_values.fold(request, |request, acr| {
            request.add_auth_context_value(AuthenticationContextClass::new(acr.to_owned()))
        });
        let request = step_up.max_age.map(Duration::from_secs).into_iter().fold(request, |request, longest| {
            // it would do not to be asked again who has signed in that recently; a person who has left may be the reason why a service asks
            request.set_max_age(longest).add_prompt(CoreAuthPrompt::Login)
        });
        let (url, state, nonce) = request.url();
        let (state, nonce) = (state.into_secret(), nonce.secret().clone());
        Ok((url.into(), SigningIn { state, nonce, verifier: verifier.into_secret() }))
    }

    /// Redeems the code that a user has come back with; `None` if it is none, or not one for this sign-in.
    pub async fn redeem(&self, code: String, begun: SigningIn) -> Result<Option<Tokens>, Fault> {
        let client = self.discovered().await?;
        let exchange = client.exchange_code(AuthorizationCode::new(code))?.add_extra_param("resource", AUDIENCE);
        let exchange = exchange.set_pkce_verifier(PkceCodeVerifier::new(begun.verifier));
        let Some(tokens) = granted(exchange.request_async(&self.http).await)? else { return Ok(None) };
        // that this is the answer to our question is what the ID token says; the access token is the services' to read
        let id_token = tokens.id_token().ok_or("no ID token")?;
        match id_token.claims(&client.id_token_verifier(), &Nonce::new(begun.nonce)) {
            Ok(_) => Ok(Some(issued(&tokens))),
            Err(error) => {
                // not the error's own text, which has claims in it
                let wrong = match error {
                    ClaimsVerificationError::Expired(_) => "exp",
                    ClaimsVerificationError::InvalidAudience(_) => "aud",
                    ClaimsVerificationError::InvalidIssuer(_) => "iss",
                    ClaimsVerificationError::InvalidNonce(_) => "nonce",
                    ClaimsVerificationError::SignatureVerification(_) => "the signature",
                    _ => "another claim",
                };
                tracing::warn!(wrong, "an ID token that is no answer to this sign-in");
                Ok(None)
            }
        }
    }

    /// Fetches fresh tokens; `None` if the identity service refuses, and the user must sign in again.
    pub async fn refresh(&self, token: String) -> Result<Option<Tokens>, Fault> {
        let (client, token) = (self.discovered().await?, RefreshToken::new(token));
        let exchange = client.exchange_refresh_token(&token)?.add_extra_param("resource", AUDIENCE);
        Ok(granted(exchange.request_async(&self.http).await)?.as_ref().map(issued))
    }

    /// Gives a refresh token back (RFC 7009), if the identity service takes it: all that was issued with it is then no good any more.
    pub async fn revoke(&self, token: &str) -> Result<(), Fault> {
        #[derive(Deserialize)]
        struct Metadata {
            revocation_endpoint: Option<String>,
        }
        let metadata = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let metadata = self.http.0.get(metadata).send().await?.error_for_status()?.bytes().await?;
        let Some(endpoint) = serde_json::from_slice::<Metadata>(&metadata)?.revocation_endpoint else { return Ok(()) };
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let Credentials { id, secret } = &self.credentials;
        let request = self.http.0.post(endpoint).basic_auth(encoded(id), Some(encoded(secret)));
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        request.body(format!("token={}", encoded(token))).send().await?.error_for_status()?;
        Ok(())
    }

    /// Fetches a token for this client itself (RFC 6749 §4.4).
    pub async fn own(&self, scope: &str) -> Result<Tokens, Fault> {
        let client = self.discovered().await?;
        let grant = client.exchange_client_credentials()?.add_scope(Scope::new(scope.to_owned()));
        let grant = grant.add_extra_param("resource", AUDIENCE);
        Ok(issued(&grant.request_async(&self.http).await?))
    }

    /// Asks anew each time, so that the ID token's keys are the newest; with many users, keep it for some minutes.
    async fn discovered(&self) -> Result<Discovered, Fault> {
        let issuer = IssuerUrl::new(self.issuer.clone())?;
        let metadata = CoreProviderMetadata::discover_async(issuer, &self.http).await?;
        let Credentials { id, secret } = self.credentials.clone();
        let client = CoreClient::from_provider_metadata(metadata, ClientId::new(id), Some(ClientSecret::new(secret)));
        Ok(client.set_redirect_uri(RedirectUrl::new(self.redirect.clone())?))
    }
}

/// What `openidconnect` sends its requests by.
#[derive(Clone)]
struct Http(reqwest::Client);

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = reqwest::Error;
    type Future = Pin<Box<dyn Future<Output = reqwest::Result<HttpResponse>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async {
            let response = self.0.execute(request.try_into()?).await?;
            let mut answer = HttpResponse::default();
            (*answer.status_mut(), *answer.headers_mut()) = (response.status(), response.headers().clone());
            *answer.body_mut() = response.bytes().await?.into();
            Ok(answer)
        })
    }
}

/// Tells that a code or a refresh token is no good, which is an answer, from whatever else goes wrong: that is no fault of the user's.
fn granted<T>(answer: Result<T, Refusal>) -> Result<Option<T>, Refusal> {
    match answer {
        Ok(tokens) => Ok(Some(tokens)),
        Err(RequestTokenError::ServerResponse(answer)) if is_refusal(answer.error()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Tells whether only the user can help, by signing in.
fn is_refusal(error: &CoreErrorResponseType) -> bool {
    match error {
        CoreErrorResponseType::InvalidGrant => true,
        CoreErrorResponseType::Extension(error) => ["interaction_required", "login_required"].contains(&error.as_str()),
        _ => false,
    }
}

type Refusal = RequestTokenError<reqwest::Error, StandardErrorResponse<CoreErrorResponseType>>;

fn issued(tokens: &impl OAuth2TokenResponse) -> Tokens {
    Tokens {
        access_token: tokens.access_token().secret().clone(),
        refresh_token: tokens.refresh_token().map(|token| token.secret().clone()),
    }
}

/// A client that follows no redirect and knows no proxy, which could lead it, and what it carries, elsewhere.
pub fn http_client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().timeout(PATIENCE).build()
}
