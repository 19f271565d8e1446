//! Each preset against tokens in its provider's shape: one that is accepted and read, and those of the wrong kind.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

use std::convert::Infallible;
use std::time::SystemTime;

use axum::body::Body;
use http::{Request, Response, header};
use serde_json::{Value, json};
use tower::service_fn;
use tower_bearer::testing::{Idp, ManualClock};
use tower_bearer::{
    AccessToken, Algorithm, Clock, ErrorKind, HttpClient, Issuer, ResourceServer, Roles, Scopes, Segment,
};

/// A provider in miniature: one key for each algorithm, published wherever the preset looks for it.
struct Provider {
    idp: Idp,
    server: ResourceServer,
}

impl Provider {
    fn of(preset: Issuer) -> Self {
        let idp = Idp::with_algorithms(preset.id(), &[Algorithm::Rs256, Algorithm::Es256]);
        let (issuer, jwks) = (preset.id().to_owned(), idp.jwks().to_string());
        let answer = service_fn(move |request: Request<Body>| {
            let metadata = json!({ "issuer": issuer, "jwks_uri": "https://keys.test/jwks" }).to_string();
            let wanted = request.uri().path().contains("/.well-known/openid-configuration");
            let body = if wanted { metadata } else { jwks.clone() };
            let response = Response::builder().header(header::CONTENT_TYPE, "application/json").body(Body::from(body));
            async { Ok::<_, Infallible>(response.unwrap()) }
        });
        let server =
            ResourceServer::new("https://api.test").trust(preset).http_client(HttpClient::from_service(answer));
        Self { idp, server: server.build().unwrap() }
    }

    /// Signs this header and these claims, which get the provider's `iss` and times unless they have their own.
    fn sign(&self, header: &Value, claims: &Value) -> String {
        let now = ManualClock::new().now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let (mut header, mut all) = (header.clone(), json!({ "iss": self.idp.issuer(), "iat": now, "exp": now + 300 }));
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        let jwks = self.idp.jwks();
        let key = jwks["keys"].as_array().unwrap().iter().find(|key| key["alg"] == header["alg"]).unwrap();
        header["kid"] = key["kid"].clone();
        let algorithm = if header["alg"] == "ES256" { Algorithm::Es256 } else { Algorithm::Rs256 };
        let token = self.idp.token_signed_with(algorithm, "");
        token.raw_header(header.to_string()).raw_claims(all.to_string()).sign()
    }

    async fn accept(&self, header: &Value, claims: &Value) -> AccessToken<()> {
        self.server.authenticate(&self.sign(header, claims)).await.unwrap()
    }

    async fn refuse(&self, header: &Value, claims: &Value) -> ErrorKind {
        self.server.authenticate(&self.sign(header, claims)).await.expect_err("a token of the wrong kind").kind()
    }
}

/// The same claims with others, or without those that are `null` here.
fn but(claims: &Value, others: &Value) -> Value {
    let mut claims = claims.clone();
    for (name, value) in others.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn scopes(token: &AccessToken<()>) -> Vec<&str> {
    token.scopes().collect()
}

fn roles(token: &AccessToken<()>) -> Vec<&str> {
    token.roles().collect()
}

#[tokio::test]
async fn keycloak() {
    let provider = Provider::of(Issuer::keycloak("https://sso.test/", "demo").audience("api"));
    assert_eq!(provider.idp.issuer(), "https://sso.test/realms/demo");
    let header = json!({ "alg": "RS256", "typ": "JWT" });
    let claims = json!({
        "aud": ["api", "account"], "sub": "u1", "typ": "Bearer", "azp": "web", "scope": "openid profile",
        "realm_access": { "roles": ["offline_access", "admin"] },
        "resource_access": { "api": { "roles": ["writer"] } },
    });
    let token = provider.accept(&header, &claims).await;
    assert_eq!((scopes(&token), roles(&token)), (vec!["openid", "profile"], vec!["offline_access", "admin"]));
    assert_eq!((token.subject(), token.client_id()), (Some("u1"), Some("web")));
    for (wrong, expected) in [
        (json!({ "typ": "ID", "aud": "web" }), ErrorKind::WrongAudience),
        (json!({ "typ": "ID" }), ErrorKind::WrongClaim),
        (json!({ "typ": "Refresh" }), ErrorKind::WrongClaim),
        (json!({ "typ": null }), ErrorKind::MissingClaim),
        (json!({ "aud": null }), ErrorKind::MissingClaim),
        (json!({ "aud": "account" }), ErrorKind::WrongAudience),
        (json!({ "iss": "https://sso.test/realms/other" }), ErrorKind::UnknownIssuer),
    ] {
        assert_eq!(provider.refuse(&header, &but(&claims, &wrong)).await, expected, "{wrong}");
    }
    let both = Roles::at(["realm_access", "roles"]).and(["resource_access", "api", "roles"]);
    let provider = Provider::of(Issuer::keycloak("https://sso.test", "demo").audience("api").roles(both));
    assert_eq!(roles(&provider.accept(&header, &claims).await), ["offline_access", "admin", "writer"]);
}

#[tokio::test]
async fn auth0() {
    let provider = Provider::of(Issuer::auth0("t.auth0.test"));
    let header = json!({ "alg": "RS256", "typ": "JWT" });
    let claims = json!({
        "aud": ["https://api.test", "https://t.auth0.test/userinfo"], "sub": "auth0|1", "azp": "cid",
        "scope": "openid read:x", "permissions": ["read:y"],
    });
    let token = provider.accept(&header, &claims).await;
    assert_eq!((scopes(&token), token.client_id()), (vec!["openid", "read:x"], Some("cid")), "what was asked for");
    let permissions = Provider::of(Issuer::auth0("t.auth0.test").scopes(Scopes::at(["permissions"])));
    assert_eq!(scopes(&permissions.accept(&header, &claims).await), ["read:y"]);
    let machine =
        json!({ "aud": "https://api.test", "sub": "cid@clients", "client_id": "cid", "jti": "j", "scope": "read:x" });
    let token = provider.accept(&json!({ "alg": "RS256", "typ": "at+jwt" }), &machine).await;
    assert_eq!(token.client_id(), Some("cid"));
    let id_token = but(&claims, &json!({ "aud": "cid", "nonce": "n" }));
    assert_eq!(provider.refuse(&header, &id_token).await, ErrorKind::WrongAudience);
    let elsewhere = but(&claims, &json!({ "iss": "https://t.auth0.test" }));
    assert_eq!(provider.refuse(&header, &elsewhere).await, ErrorKind::UnknownIssuer, "without its slash");
}

#[tokio::test]
async fn okta() {
    let provider = Provider::of(Issuer::okta("https://o.test/", "default").audience("api://default"));
    let header = json!({ "alg": "RS256" });
    let claims = json!({
        "ver": 1, "jti": "AT.x", "aud": "api://default", "cid": "0oa", "uid": "00u", "scp": ["openid", "read"],
        "sub": "a@b.test", "groups": ["Everyone"],
    });
    let token = provider.accept(&header, &claims).await;
    assert_eq!((scopes(&token), roles(&token)), (vec!["openid", "read"], vec!["Everyone"]));
    assert_eq!(token.client_id(), Some("0oa"));
    let id_token = but(&claims, &json!({ "aud": "0oa", "jti": "ID.x", "cid": null }));
    assert_eq!(provider.refuse(&header, &id_token).await, ErrorKind::WrongAudience);
    let organisation = but(&claims, &json!({ "iss": "https://o.test" }));
    assert_eq!(provider.refuse(&header, &organisation).await, ErrorKind::UnknownIssuer);
    // even where the client is the API
    let id_token = but(&claims, &json!({ "jti": "ID.x", "cid": null }));
    assert_eq!(provider.refuse(&header, &id_token).await, ErrorKind::MissingClaim);
}

const TENANT: &str = "11111111-1111-1111-1111-111111111111";
const OTHER_TENANT: &str = "33333333-3333-3333-3333-333333333333";

#[tokio::test]
async fn entra() {
    let api = "22222222-2222-2222-2222-222222222222";
    let provider = Provider::of(Issuer::entra(TENANT).audience(api));
    let header = json!({ "alg": "RS256", "typ": "JWT" });
    let machine = json!({
        "aud": api, "ver": "2.0", "azp": "c", "idtyp": "app", "roles": ["Job.Run"], "tid": TENANT, "uti": "u",
    });
    let token = provider.accept(&header, &machine).await;
    assert_eq!((scopes(&token), roles(&token), token.client_id()), (vec![], vec!["Job.Run"], Some("c")));
    let user = but(
        &machine,
        &json!({ "idtyp": null, "roles": null, "scp": "a b", "sub": "s", "oid": "o",
        "_claim_names": { "groups": "src1" }, "_claim_sources": { "src1": { "endpoint": "https://graph.test" } } }),
    );
    let token = provider.accept(&header, &user).await;
    assert_eq!((scopes(&token), roles(&token)), (vec!["a", "b"], vec![]), "groups beyond 200 are no roles");
    for (wrong, expected) in [
        (json!({ "tid": OTHER_TENANT }), ErrorKind::WrongClaim),
        (json!({ "tid": null }), ErrorKind::MissingClaim),
        (json!({ "azp": null }), ErrorKind::MissingClaim),
        (json!({ "aud": "c" }), ErrorKind::WrongAudience),
        (json!({ "aud": "https://graph.microsoft.com" }), ErrorKind::WrongAudience),
        (json!({ "iss": format!("https://login.microsoftonline.com/{OTHER_TENANT}/v2.0") }), ErrorKind::UnknownIssuer),
    ] {
        assert_eq!(provider.refuse(&header, &but(&user, &wrong)).await, expected, "{wrong}");
    }
    let first = Provider::of(Issuer::entra_v1(TENANT).audience("api://app"));
    let claims = json!({
        "aud": "api://app", "ver": "1.0", "appid": "c", "scp": "access_as_user", "tid": TENANT, "oid": "o", "roles": ["Admin"],
    });
    let token = first.accept(&header, &claims).await;
    assert_eq!((scopes(&token), roles(&token), token.client_id()), (vec!["access_as_user"], vec!["Admin"], Some("c")));
    assert_eq!(first.refuse(&header, &but(&claims, &json!({ "tid": OTHER_TENANT }))).await, ErrorKind::WrongClaim);
}

#[tokio::test]
async fn cognito() {
    let provider = Provider::of(Issuer::cognito("eu-west-1", "eu-west-1_x", ["c"]));
    let header = json!({ "alg": "RS256" });
    let claims = json!({
        "sub": "u", "client_id": "c", "token_use": "access", "scope": "aws.cognito.signin.user.admin api/read",
        "cognito:groups": ["admin"], "username": "u",
    });
    let token = provider.accept(&header, &claims).await;
    assert_eq!((scopes(&token), roles(&token)), (vec!["aws.cognito.signin.user.admin", "api/read"], vec!["admin"]));
    for (wrong, expected) in [
        (json!({ "token_use": "id", "aud": "c", "client_id": null }), ErrorKind::WrongAudience),
        (json!({ "token_use": "id" }), ErrorKind::WrongClaim),
        (json!({ "token_use": null }), ErrorKind::MissingClaim),
        (json!({ "client_id": "other" }), ErrorKind::WrongAudience),
        (json!({ "client_id": null }), ErrorKind::MissingClaim),
        (json!({ "aud": "https://other.test" }), ErrorKind::WrongAudience),
        (json!({ "aud": "c" }), ErrorKind::WrongAudience),
    ] {
        assert_eq!(provider.refuse(&header, &but(&claims, &wrong)).await, expected, "{wrong}");
    }
    let bound =
        provider.accept(&header, &but(&claims, &json!({ "aud": "https://api.test", "client_id": "other" }))).await;
    assert_eq!(bound.client_id(), Some("other"), "bound to this resource");
}

#[tokio::test]
async fn firebase() {
    let provider = Provider::of(Issuer::firebase("proj").roles(Roles::at(["roles"])));
    let header = json!({ "alg": "RS256", "typ": "JWT" });
    let claims = json!({
        "aud": "proj", "sub": "u", "auth_time": 1_700_000_000, "roles": ["admin"],
        "firebase": { "sign_in_provider": "password", "tenant": "t1", "identities": {} },
    });
    let token = provider.accept(&header, &claims).await;
    assert_eq!((roles(&token), token.auth_time().is_some()), (vec!["admin"], true));
    for (wrong, expected) in [
        (json!({ "aud": "other" }), ErrorKind::WrongAudience),
        (json!({ "sub": null }), ErrorKind::MissingClaim),
        (json!({ "auth_time": null }), ErrorKind::MissingClaim),
        (json!({ "iss": "https://session.firebase.google.com/proj" }), ErrorKind::UnknownIssuer),
    ] {
        assert_eq!(provider.refuse(&header, &but(&claims, &wrong)).await, expected, "{wrong}");
    }
    let es256 = provider.refuse(&json!({ "alg": "ES256", "typ": "JWT" }), &claims).await;
    assert_eq!(es256, ErrorKind::UnsupportedAlgorithm);
}

#[tokio::test]
async fn duende() {
    let provider = Provider::of(Issuer::duende("https://id.test").audience("invoice"));
    let header = json!({ "alg": "RS256", "typ": "at+jwt" });
    let claims = json!({
        "aud": ["invoice", "customer"], "client_id": "c", "sub": "123", "scope": ["invoice.read", "customer.read"], "role": "admin",
    });
    let token = provider.accept(&header, &claims).await;
    assert_eq!((scopes(&token), roles(&token)), (vec!["invoice.read", "customer.read"], vec!["admin"]));
    let machine = but(&claims, &json!({ "sub": null, "role": ["a", "b"] }));
    let token = provider.accept(&header, &machine).await;
    assert_eq!((token.subject(), roles(&token)), (None, vec!["a", "b"]));
    let id_token = json!({ "alg": "RS256", "typ": "JWT" });
    assert_eq!(provider.refuse(&id_token, &claims).await, ErrorKind::WrongType);
    assert_eq!(provider.refuse(&header, &but(&claims, &json!({ "aud": null }))).await, ErrorKind::MissingClaim);
}

#[tokio::test]
async fn zitadel() {
    let path = ["urn:zitadel:iam:org:project:roles"];
    let preset = || Issuer::zitadel("https://z.test").audience("project1");
    let header = json!({ "alg": "RS256", "typ": "JWT" });
    let claims = json!({
        "aud": ["client1", "project1"], "sub": "u", "urn:zitadel:iam:user:resourceowner:id": "202",
        path[0]: { "admin": { "201": "acme.test" }, "viewer": { "202": "b.test" } },
    });
    let token = Provider::of(preset()).accept(&header, &claims).await;
    assert_eq!(roles(&token), ["admin", "viewer"]);
    let own = Segment::value_of("urn:zitadel:iam:user:resourceowner:id");
    let provider = Provider::of(preset().roles(Roles::at(path).granted_in(own)));
    assert_eq!(roles(&provider.accept(&header, &claims).await), ["viewer"]);
    let other = but(&claims, &json!({ "aud": ["client1", "project2"] }));
    assert_eq!(provider.refuse(&header, &other).await, ErrorKind::WrongAudience);
    for id_token in [json!({ "auth_time": 1 }), json!({ "at_hash": "x" })] {
        assert_eq!(provider.refuse(&header, &but(&claims, &id_token)).await, ErrorKind::WrongType, "{id_token}");
    }
}

#[tokio::test]
async fn kanidm() {
    let provider = Provider::of(Issuer::kanidm("https://idm.test", "app"));
    let header = json!({ "alg": "ES256", "typ": "at+jwt" });
    let claims = json!({
        "aud": "app", "client_id": "app", "sub": "00000000-0000-0000-0000-000000000001", "scope": "openid admin",
        "nonce": "n", "session_id": "s", "nbf": 0, "jti": "s",
    });
    assert_eq!(scopes(&provider.accept(&header, &claims).await), ["openid", "admin"]);
    let id_token = json!({ "alg": "ES256", "typ": "JWT" });
    assert_eq!(provider.refuse(&id_token, &claims).await, ErrorKind::WrongType);
    let other = but(&claims, &json!({ "iss": "https://idm.test/oauth2/openid/other" }));
    assert_eq!(provider.refuse(&header, &other).await, ErrorKind::UnknownIssuer);
}

#[tokio::test]
async fn authentik() {
    let provider = Provider::of(Issuer::authentik("https://ak.test/", "app").audience("c"));
    let header = json!({ "alg": "ES256", "typ": "JWT" });
    let claims = json!({ "aud": "c", "azp": "c", "uid": "x", "sub": "hash", "auth_time": 0, "groups": ["ops"] });
    let token = provider.accept(&header, &claims).await;
    assert_eq!((roles(&token), token.client_id()), (vec!["ops"], Some("c")));
    assert_eq!(provider.refuse(&header, &but(&claims, &json!({ "aud": "other" }))).await, ErrorKind::WrongAudience);
    for id_token in [json!({ "uid": null }), json!({ "azp": null })] {
        assert_eq!(provider.refuse(&header, &but(&claims, &id_token)).await, ErrorKind::MissingClaim, "{id_token}");
    }
    let shared = provider.idp.token("x").secret(Algorithm::Hs256, &[7; 32]).audience("c").sign();
    let refused = provider.server.authenticate(&shared).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::UnsupportedAlgorithm);
}

#[tokio::test]
async fn supabase() {
    let provider = Provider::of(Issuer::supabase("r"));
    let header = json!({ "alg": "ES256", "typ": "JWT" });
    let claims = json!({
        "aud": "authenticated", "role": "authenticated", "sub": "u", "aal": "aal1",
        "amr": [{ "method": "password", "timestamp": 0 }], "app_metadata": { "roles": ["admin"] },
        "user_metadata": { "roles": ["forged"] }, "is_anonymous": false,
    });
    let token = provider.accept(&header, &claims).await;
    assert_eq!((roles(&token), token.amr().count()), (vec!["admin"], 0));
    for (wrong, expected) in
        [(json!({ "aud": "anon" }), ErrorKind::WrongAudience), (json!({ "iss": "supabase" }), ErrorKind::UnknownIssuer)]
    {
        assert_eq!(provider.refuse(&header, &but(&claims, &wrong)).await, expected, "{wrong}");
    }
}

#[tokio::test]
async fn github_actions() {
    let preset = Issuer::github_actions("65").audience("https://github.com/o");
    let provider = Provider::of(preset);
    let header = json!({ "alg": "RS256", "typ": "JWT" });
    let claims = json!({
        "aud": "https://github.com/o", "sub": "repo:o@1/r@2:ref:refs/heads/main", "repository": "o/r", "repository_id": "2",
        "repository_owner_id": "65", "ref": "refs/heads/main",
    });
    assert!(provider.accept(&header, &claims).await.subject().is_some());
    for (wrong, expected) in [
        (json!({ "repository_owner_id": "66" }), ErrorKind::WrongClaim),
        (json!({ "repository_owner_id": 65 }), ErrorKind::WrongClaim),
        (json!({ "repository_id": null }), ErrorKind::MissingClaim),
        (json!({ "aud": "sts.amazonaws.com" }), ErrorKind::WrongAudience),
    ] {
        assert_eq!(provider.refuse(&header, &but(&claims, &wrong)).await, expected, "{wrong}");
    }
}
