use super::*;

#[tokio::test]
async fn authelia() {
    let provider = Provider::of(Issuer::authelia("https://auth.test").only_audiences(["https://api.test"]));
    let header = json!({ "alg": "RS256", "typ": "at+jwt" });
    let claims =
        json!({ "aud": ["https://api.test"], "client_id": "c", "sub": "u", "scp": ["read"], "groups": ["ops"] });
    let token = provider.accept(&header, &claims).await;
    assert_eq!((scopes(&token), roles(&token), token.principal()), (vec!["read"], vec!["ops"], Principal::User));
    let machine = provider.accept(&header, &but(&claims, &json!({ "sub": null, "groups": null }))).await;
    assert_eq!(machine.principal(), Principal::Client);
    let id_token = json!({ "alg": "RS256", "typ": "JWT" });
    assert_eq!(provider.refuse(&id_token, &claims).await, ErrorKind::WrongType);
    assert_eq!(provider.refuse(&header, &but(&claims, &json!({ "aud": [] }))).await, ErrorKind::WrongAudience);
}

#[tokio::test]
async fn authentik() {
    let provider = Provider::of(Issuer::authentik("https://ak.test/", "app").only_audiences(["c"]));
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
async fn duende() {
    let provider = Provider::of(Issuer::duende("https://id.test").only_audiences(["invoice"]));
    let header = json!({ "alg": "RS256", "typ": "at+jwt" });
    let claims = json!({
        "aud": ["invoice", "customer"], "client_id": "c", "sub": "123", "scope": ["invoice.read", "customer.read"], "role": "admin",
    });
    let token = provider.accept(&header, &claims).await;
    assert_eq!((scopes(&token), roles(&token)), (vec!["invoice.read", "customer.read"], vec!["admin"]));
    let machine = but(&claims, &json!({ "sub": null, "role": ["a", "b"] }));
    let token = provider.accept(&header, &machine).await;
    assert_eq!((token.subject(), roles(&token), token.principal()), (None, vec!["a", "b"], Principal::Client));
    let id_token = json!({ "alg": "RS256", "typ": "JWT" });
    assert_eq!(provider.refuse(&id_token, &claims).await, ErrorKind::WrongType);
    assert_eq!(provider.refuse(&header, &but(&claims, &json!({ "aud": null }))).await, ErrorKind::MissingClaim);
}

#[tokio::test]
async fn fusionauth() {
    let provider = Provider::of(Issuer::fusionauth("https://auth.test/", "acme.com", "app-id"));
    let header = json!({ "alg": "RS256", "typ": "JWT", "gty": ["authorization_code"] });
    let claims = json!({ "aud": "app-id", "applicationId": "app-id", "sub": "u", "roles": ["admin"], "tid": "t", "scope": "openid" });
    let token = provider.accept(&header, &claims).await;
    assert_eq!((roles(&token), token.client_id(), token.tenant()), (vec!["admin"], Some("app-id"), Some("t")));
    for (wrong, expected) in [
        (json!({ "at_hash": "x" }), ErrorKind::WrongType),
        (json!({ "nonce": "x" }), ErrorKind::WrongType),
        (json!({ "aud": "other" }), ErrorKind::WrongAudience),
        (json!({ "iss": "acme.co" }), ErrorKind::UnknownIssuer),
    ] {
        assert_eq!(provider.refuse(&header, &but(&claims, &wrong)).await, expected, "{wrong}");
    }
}

#[tokio::test]
async fn hydra() {
    let provider = Provider::of(Issuer::hydra("https://hydra.test/").only_audiences(["https://api.test"]));
    let header = json!({ "alg": "RS256", "typ": "JWT" });
    let claims = json!({
        "aud": ["https://api.test"], "client_id": "c", "sub": "u", "scp": ["a", "b"], "ext": { "roles": ["admin"] },
    });
    let token = provider.accept(&header, &claims).await;
    assert_eq!((scopes(&token), roles(&token), token.principal()), (vec!["a", "b"], vec!["admin"], Principal::User));
    let machine = provider.accept(&header, &but(&claims, &json!({ "sub": "c" }))).await;
    assert_eq!(machine.principal(), Principal::Client);
    for (wrong, expected) in [
        (json!({ "aud": [] }), ErrorKind::WrongAudience),
        (json!({ "aud": ["c"], "client_id": null, "at_hash": "x" }), ErrorKind::WrongAudience),
        (json!({ "client_id": null }), ErrorKind::MissingClaim),
        (json!({ "at_hash": "x" }), ErrorKind::WrongType),
    ] {
        assert_eq!(provider.refuse(&header, &but(&claims, &wrong)).await, expected, "{wrong}");
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
    let token = provider.accept(&header, &claims).await;
    assert_eq!((scopes(&token), token.session_id()), (vec!["openid", "admin"], Some("s")));
    assert_eq!(token.principal(), Principal::User);
    let id_token = json!({ "alg": "ES256", "typ": "JWT" });
    assert_eq!(provider.refuse(&id_token, &claims).await, ErrorKind::WrongType);
    let other = but(&claims, &json!({ "iss": "https://idm.test/oauth2/openid/other" }));
    assert_eq!(provider.refuse(&header, &other).await, ErrorKind::UnknownIssuer);
}

#[tokio::test]
async fn keycloak() {
    let provider = Provider::of(Issuer::keycloak("https://sso.test/", "demo").only_audiences(["api"]));
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
    let base = claims.clone();
    for (claims, principal) in [
        (json!({ "sid": "s" }), Principal::User),
        (json!({ "client_id": "job", "preferred_username": "service-account-job" }), Principal::Client),
        (json!({ "clientId": "job" }), Principal::Client),
        (json!({ "sid": "s", "preferred_username": "service-account-of-mine" }), Principal::Unknown),
        (json!({}), Principal::Unknown),
    ] {
        assert_eq!(provider.accept(&header, &but(&base, &claims)).await.principal(), principal, "{claims}");
    }
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
    let provider = Provider::of(Issuer::keycloak("https://sso.test", "demo").only_audiences(["api"]).roles(both));
    assert_eq!(roles(&provider.accept(&header, &claims).await), ["offline_access", "admin", "writer"]);
}

#[tokio::test]
async fn spring() {
    let provider = Provider::of(Issuer::spring("https://iam.test").only_audiences(["realguardio-client"]));
    let header = json!({ "alg": "RS256" });
    let claims = json!({
        "aud": "realguardio-client", "sub": "a@b.test", "nbf": 0, "scope": ["openid", "profile"], "jti": "j",
        "authorities": ["REALGUARDIO_ADMIN"],
    });
    let token = provider.accept(&header, &claims).await;
    assert_eq!((scopes(&token), roles(&token)), (vec!["openid", "profile"], vec!["REALGUARDIO_ADMIN"]));
    for (wrong, expected) in [
        (json!({ "azp": "realguardio-client", "scope": null }), ErrorKind::WrongType),
        (json!({ "nonce": "n" }), ErrorKind::WrongType),
        (json!({ "aud": "other-client" }), ErrorKind::WrongAudience),
    ] {
        assert_eq!(provider.refuse(&header, &but(&claims, &wrong)).await, expected, "{wrong}");
    }
}

#[tokio::test]
async fn wso2() {
    let provider = Provider::of(Issuer::wso2("https://h.test:9443/").only_audiences(["api"]));
    let header = json!({ "alg": "RS256", "typ": "at+jwt", "x5t": "w" });
    let claims = json!({
        "aut": "APPLICATION_USER", "aud": ["c", "api"], "azp": "c", "client_id": "c", "sub": "u", "scope": "openid",
        "groups": ["Internal/everyone", "org-admin"], "org_id": "o",
    });
    let token = provider.accept(&header, &claims).await;
    assert_eq!(roles(&token), ["Internal/everyone", "org-admin"]);
    assert_eq!(caller(&token), (Principal::User, Some("o")));
    let machine = provider.accept(&header, &but(&claims, &json!({ "aut": "APPLICATION", "sub": "c" }))).await;
    assert_eq!(machine.principal(), Principal::Client);
    let agent = provider.accept(&header, &but(&claims, &json!({ "aut": "AGENT" }))).await;
    assert_eq!(agent.principal(), Principal::Unknown);
    for (wrong, expected) in [
        (json!({ "aut": null, "aud": ["c"] }), ErrorKind::WrongAudience),
        (json!({ "aut": null }), ErrorKind::MissingClaim),
        (json!({ "at_hash": "x" }), ErrorKind::WrongType),
    ] {
        assert_eq!(provider.refuse(&header, &but(&claims, &wrong)).await, expected, "{wrong}");
    }
}

#[tokio::test]
async fn zitadel() {
    let path = ["urn:zitadel:iam:org:project:roles"];
    let preset = || Issuer::zitadel("https://z.test").only_audiences(["project1"]);
    let header = json!({ "alg": "RS256", "typ": "JWT" });
    let claims = json!({
        "aud": ["client1", "project1"], "sub": "u", "urn:zitadel:iam:user:resourceowner:id": "202",
        path[0]: { "admin": { "201": "acme.test" }, "viewer": { "202": "b.test" } },
    });
    let token = Provider::of(preset()).accept(&header, &claims).await;
    assert_eq!((roles(&token), token.tenant()), (vec!["admin", "viewer"], Some("202")));
    let own = Segment::value_of("urn:zitadel:iam:user:resourceowner:id");
    let provider = Provider::of(preset().roles(Roles::at(path).only_granted_in(own)));
    assert_eq!(roles(&provider.accept(&header, &claims).await), ["viewer"]);
    let other = but(&claims, &json!({ "aud": ["client1", "project2"] }));
    assert_eq!(provider.refuse(&header, &other).await, ErrorKind::WrongAudience);
    for id_token in [json!({ "auth_time": 1 }), json!({ "at_hash": "x" })] {
        assert_eq!(provider.refuse(&header, &but(&claims, &id_token)).await, ErrorKind::WrongType, "{id_token}");
    }
}
