//! The five demands of the FAPI 2.0 Security Profile on resource servers (§5.3.3), each with its test.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get as route;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Request, Response};
use serde_json::json;
use support::send;
use tower_bearer::checks::{Answer, RequestContext, TokenCheck};
use tower_bearer::config::ResourceServerConfig;
use tower_bearer::credential::TokenSource;
use tower_bearer::dpop::Dpop;
use tower_bearer::introspection::{ClientAuthentication, Introspection, JwtIntrospection};
use tower_bearer::keys::{Algorithm, StaticKeys};
use tower_bearer::mtls::ClientCertificate;
use tower_bearer::revocation::RevocationList;
use tower_bearer::testing::{Idp, TokenBuilder};
use tower_bearer::{
    AccessToken, BearerAuthLayer, ConfigError, Error, ErrorKind, Issuer, RequireLayer, ResourceServer, Rule,
};

const ISSUER: &str = "https://bank.test";
const CERTIFICATE: [u8; 32] = [7; 32];

fn list() -> RevocationList {
    RevocationList::builder(Duration::from_secs(3600)).build()
}

fn issuer() -> Issuer {
    Issuer::new(ISSUER).fapi2()
}

fn idp() -> Idp {
    Idp::with_algorithms(ISSUER, &[Algorithm::Es256])
}

fn server(idp: &Idp, list: &RevocationList) -> ResourceServer {
    let server = ResourceServer::new("https://api.test").trust((issuer(), idp.clone()));
    server.public_origin("https://api.test").revocation_list(list.clone()).build().unwrap()
}

/// Bound to the certificate.
fn bound(token: TokenBuilder) -> TokenBuilder {
    token.claim("cnf", json!({ "x5t#S256": URL_SAFE_NO_PAD.encode(CERTIFICATE) }))
}

fn good(idp: &Idp) -> TokenBuilder {
    bound(idp.token("alice").scope("payments"))
}

/// A request over a connection with a certificate.
fn request(certificate: Option<[u8; 32]>) -> Request<Body> {
    let mut request = Request::get("/").body(Body::empty()).unwrap();
    if let Some(certificate) = certificate {
        request.extensions_mut().insert(ClientCertificate::from_thumbprint(certificate));
    }
    request
}

fn with(token: &str) -> Request<Body> {
    let mut request = request(Some(CERTIFICATE));
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

fn app(layer: BearerAuthLayer) -> Router {
    let rule = RequireLayer::new(Rule::scope("payments"));
    Router::new().route("/", route(async |_: AccessToken| "in")).route_layer(rule).layer(layer)
}

/// The status, and why.
fn outcome(response: &Response<Body>) -> (u16, Option<ErrorKind>) {
    (response.status().as_u16(), response.extensions().get::<Error>().map(Error::kind))
}

/// The parameters of the challenge of the scheme `Bearer`; there may be one of DPoP, too.
fn bearer(response: &Response<Body>) -> BTreeMap<String, String> {
    let values = response.headers().get_all("www-authenticate").iter().map(|value| value.to_str().unwrap());
    let mut challenges = values.flat_map(|text| http_auth::parse_challenges(text).unwrap());
    let bearer = challenges.find(|challenge| challenge.scheme == "Bearer").unwrap();
    bearer.params.iter().map(|(name, value)| ((*name).to_owned(), value.to_unescaped())).collect()
}

/// What `build` says of an issuer.
fn problems(issuer: Issuer, list: Option<RevocationList>) -> String {
    let server = ResourceServer::new("https://api.test").trust(issuer).public_origin("https://api.test");
    let server = list.into_iter().fold(server, |server, list| server.revocation_list(list));
    server.build().err().map(|problems| problems.to_string()).unwrap_or_default()
}

#[tokio::test]
async fn first_a_token_is_accepted_in_the_authorization_header_and_nowhere_else() {
    let (idp, list) = (idp(), list());
    let server = server(&idp, &list);
    let token = good(&idp).sign();
    assert_eq!(outcome(&send(&app(BearerAuthLayer::new(server.clone())), with(&token)).await), (200, None));
    let named = BearerAuthLayer::new(server.clone()).token_sources([TokenSource::authorization()]).unwrap();
    assert_eq!(outcome(&send(&app(named), with(&token)).await), (200, None));
    // a layer that looks elsewhere is a mistake
    for source in [
        TokenSource::cookie("token"),
        TokenSource::header(http::HeaderName::from_static("x-token")),
        TokenSource::web_socket_protocol(),
        TokenSource::custom(|_| None),
    ] {
        let sources = [TokenSource::authorization(), source.clone()];
        let error = BearerAuthLayer::new(server.clone()).token_sources(sources).unwrap_err();
        assert!(error.to_string().contains("fapi2"), "{source:?}: {error}");
    }
    // and where the layer was there before the issuer, the token is refused
    let configured = |issuer: Issuer| {
        let server = ResourceServer::new("https://api.test").trust((issuer, idp.clone()));
        server.public_origin("https://api.test").revocation_list(list.clone())
    };
    let reloaded = configured(Issuer::new(ISSUER).require_mtls()).build().unwrap();
    let sources = [
        TokenSource::authorization(),
        TokenSource::header(http::HeaderName::from_static("x-token")),
        TokenSource::cookie("token"),
    ];
    let app = app(BearerAuthLayer::new(reloaded.clone()).token_sources(sources).unwrap());
    let elsewhere = |name: &'static str, value: String| {
        let mut request = request(Some(CERTIFICATE));
        request.headers_mut().insert(name, value.parse().unwrap());
        request
    };
    let others = || [elsewhere("x-token", token.clone()), elsewhere("cookie", format!("token={token}"))];
    for other in others() {
        assert_eq!(outcome(&send(&app, other).await), (200, None));
    }
    reloaded.reload(configured(issuer())).unwrap();
    // the first time, and again when the token is known
    for other in others().into_iter().chain(others()) {
        let response = send(&app, other).await;
        assert_eq!(outcome(&response), (400, Some(ErrorKind::MalformedRequest)));
        assert_eq!(bearer(&response)["error"], "invalid_request");
        assert_eq!(outcome(&send(&app, with(&token)).await), (200, None));
    }
}

#[tokio::test]
async fn second_a_token_in_the_query_is_none() {
    let idp = idp();
    let (token, server) = (good(&idp).sign(), server(&idp, &list()));
    let asked = |app: Router| async move {
        let mut request = request(Some(CERTIFICATE));
        *request.uri_mut() = format!("/?access_token={token}").parse().unwrap();
        request.headers_mut().insert("accept", "text/event-stream".parse().unwrap());
        outcome(&send(&app, request).await)
    };
    assert_eq!(asked(app(BearerAuthLayer::new(server.clone()))).await, (401, Some(ErrorKind::MissingToken)));
    let sources = [TokenSource::dangerously_query()];
    let error = BearerAuthLayer::new(server).token_sources(sources).unwrap_err();
    assert!(error.to_string().contains("fapi2"), "{error}");
}

/// Lets everybody in.
struct Status;

impl TokenCheck for Status {
    fn name(&self) -> &'static str {
        "status"
    }

    fn check(&self, _: &AccessToken, _: &RequestContext<'_>) -> Answer {
        Answer::Yes
    }
}

#[tokio::test]
async fn third_validity_integrity_expiration_and_revocation_are_verified() {
    let (idp, list) = (idp(), list());
    let app = app(BearerAuthLayer::new(server(&idp, &list)));
    for (token, kind) in [
        (good(&idp).audience("https://other.test"), ErrorKind::WrongAudience),
        (good(&idp).issuer("https://evil.test"), ErrorKind::UnknownIssuer),
        (good(&idp).not_yet_valid(), ErrorKind::NotYetValid),
        (good(&idp).wrong_key(), ErrorKind::BadSignature),
        (good(&idp).unsigned(), ErrorKind::UnsupportedAlgorithm),
        (good(&idp).expired(), ErrorKind::Expired),
    ] {
        assert_eq!(outcome(&send(&app, with(&token.sign())).await), (401, Some(kind)));
    }
    let token = good(&idp).claim("jti", "4711").sign();
    assert_eq!(outcome(&send(&app, with(&token)).await), (200, None));
    list.revoke_jti(ISSUER, "4711");
    assert_eq!(outcome(&send(&app, with(&token)).await), (401, Some(ErrorKind::Revoked)));

    // whether it was revoked must be known somehow, of JWTs and opaque tokens alike
    let client = || Introspection::new(ClientAuthentication::client_secret_basic("api", "s3cret"));
    for (ways, known) in [
        (problems(issuer(), None), false),
        (problems(issuer().introspection(client()), None), false),
        (problems(issuer(), Some(self::list())), true),
        (
            problems(issuer().introspection(client().introspect_jwts(JwtIntrospection::Every(Duration::ZERO))), None),
            true,
        ),
        (problems(issuer().introspection(client().without_keys()), None), true),
    ] {
        assert_eq!(ways.is_empty(), known, "{ways}");
        assert_eq!(ways.contains("revocation status"), !known, "{ways}");
    }
    let checked = ResourceServer::new("a").trust(issuer()).public_origin("https://api.test").check(Status).build();
    assert!(checked.is_ok(), "{checked:?}");
}

#[tokio::test]
async fn fourth_an_authorization_that_is_not_enough_is_refused_as_rfc_6750_says() {
    let idp = idp();
    let app = app(BearerAuthLayer::new(server(&idp, &list())));
    let response = send(&app, with(&good(&idp).scope("accounts").sign())).await;
    assert_eq!(outcome(&response), (403, Some(ErrorKind::InsufficientScope)));
    let told = bearer(&response);
    assert_eq!((&*told["error"], &*told["scope"]), ("insufficient_scope", "payments"));
}

#[tokio::test]
async fn fifth_a_token_is_bound_to_its_sender() {
    let idp = idp();
    let app = app(BearerAuthLayer::new(server(&idp, &list())));
    let token = good(&idp).sign();
    let plain = idp.token("alice").scope("payments").sign();
    let on = |certificate: Option<[u8; 32]>, token: &str| {
        let mut request = request(certificate);
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        request
    };
    for (request, status) in [
        (on(Some(CERTIFICATE), &token), 200),
        (on(Some([8; 32]), &token), 401),
        (on(None, &token), 401),
        (on(Some(CERTIFICATE), &plain), 401),
        (on(None, &plain), 401),
    ] {
        assert_eq!(send(&app, request).await.status(), status);
    }
    // nor is it good under a weaker setting that comes later
    let weaker = ResourceServer::new("https://api.test").trust((issuer().accept_mtls().accept_dpop(), idp.clone()));
    let weaker = weaker.public_origin("https://api.test").revocation_list(list()).build().unwrap();
    assert_eq!(send(&self::app(BearerAuthLayer::new(weaker)), on(Some(CERTIFICATE), &plain)).await.status(), 401);
}

#[tokio::test]
async fn only_ps256_es256_and_eddsa_are_accepted() {
    let idp = Idp::with_algorithms(ISSUER, Algorithm::ASYMMETRIC);
    let app = app(BearerAuthLayer::new(server(&idp, &list())));
    for algorithm in Algorithm::ASYMMETRIC {
        let token = bound(idp.token_signed_with(*algorithm, "alice").scope("payments")).sign();
        let allowed = [Algorithm::Ps256, Algorithm::Es256, Algorithm::Ed25519].contains(algorithm);
        let expected = if allowed { (200, None) } else { (401, Some(ErrorKind::UnsupportedAlgorithm)) };
        assert_eq!(outcome(&send(&app, with(&token)).await), expected, "{algorithm}");
    }
    assert_eq!(problems(issuer().only_algorithms([Algorithm::Es256]), Some(list())), "");
    let wrong = problems(issuer().only_algorithms([Algorithm::Es256, Algorithm::Rs256]), Some(list()));
    assert!(wrong.contains("fapi2") && wrong.contains("RS256"), "{wrong}");
    let secret = StaticKeys::hmac(Algorithm::Hs256, b"0123456789abcdef0123456789abcdef").unwrap();
    let server =
        ResourceServer::new("a").trust((issuer(), secret)).public_origin("https://api.test").revocation_list(list());
    assert!(server.build().unwrap_err().to_string().contains("HS256"));
}

/// A proof is a JWT that the resource server processes (§5.4).
#[tokio::test]
async fn proofs_are_of_these_algorithms_too_and_clients_are_told_so() {
    let algs = async |dpop: Option<Dpop>| {
        let server = ResourceServer::new("https://api.test").trust((issuer(), idp()));
        let server = server.public_origin("https://api.test").revocation_list(list());
        let server = dpop.into_iter().fold(server, |server, dpop| server.dpop(dpop)).build()?;
        let response = send(&app(BearerAuthLayer::new(server)), request(None)).await;
        let values = response.headers().get_all("www-authenticate").iter().map(|value| value.to_str().unwrap());
        let dpop = values.filter(|value| value.starts_with("DPoP ")).collect::<Vec<_>>().concat();
        Ok::<_, ConfigError>(dpop.split_once("algs=").unwrap().1.to_owned())
    };
    assert_eq!(algs(None).await.unwrap(), "\"ES256 EdDSA Ed25519 PS256\"");
    let narrow = Dpop::new().algorithms([Algorithm::Es384, Algorithm::Ps256]);
    assert_eq!(algs(Some(narrow)).await.unwrap(), "\"PS256\"");
    let none = algs(Some(Dpop::new().algorithms([Algorithm::Rs256]))).await.unwrap_err();
    assert!(none.to_string().contains("dpop.algorithms"), "{none}");
}

#[test]
fn a_configuration_says_it_by_one_line() {
    let config = |fapi2: bool| -> ResourceServerConfig {
        let text = json!({ "audience": "https://api.test", "issuers": [{ "issuer": ISSUER, "fapi2": fapi2 }] });
        serde_json::from_value(text).unwrap()
    };
    let build = |config: ResourceServerConfig| {
        config.builder().public_origin("https://api.test").build().err().map(|problems| problems.to_string())
    };
    assert_eq!(build(config(false)), None);
    assert!(build(config(true)).unwrap().contains("revocation status"));
}
