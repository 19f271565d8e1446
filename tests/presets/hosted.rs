use super::*;

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
    assert_eq!((token.client_id(), token.principal()), (Some("cid"), Principal::Client));
    let organisation = provider.accept(&header, &but(&claims, &json!({ "org_id": "org_1" }))).await;
    assert_eq!(caller(&organisation), (Principal::User, Some("org_1")));
    let id_token = but(&claims, &json!({ "aud": "cid", "nonce": "n" }));
    assert_eq!(provider.refuse(&header, &id_token).await, ErrorKind::WrongAudience);
    let elsewhere = but(&claims, &json!({ "iss": "https://t.auth0.test" }));
    assert_eq!(provider.refuse(&header, &elsewhere).await, ErrorKind::UnknownIssuer, "without its slash");
}

#[tokio::test]
async fn clerk() {
    let provider = Provider::of(Issuer::clerk("https://x.clerk.accounts.test/", ["https://app.test"]));
    let header = json!({ "alg": "RS256", "typ": "JWT", "oiat": 0 });
    let claims = json!({
        "azp": "https://app.test", "sub": "user_1", "sid": "sess_1", "v": 2,
        "o": { "id": "org_1", "rol": "admin", "per": "read,manage", "fpm": "3,2" }, "fea": "o:dash,o:teams",
    });
    let token = provider.accept(&header, &claims).await;
    assert_eq!((scopes(&token), roles(&token)), (vec![], vec!["admin"]));
    assert_eq!(caller(&token), (Principal::User, Some("org_1")));
    let active = provider.accept(&header, &but(&claims, &json!({ "sts": "active", "o": null }))).await;
    assert_eq!((roles(&active), active.tenant(), active.session_id()), (vec![], None, Some("sess_1")));
    provider.accept(&header, &but(&claims, &json!({ "aud": "https://api.test" }))).await;
    for (wrong, expected) in [
        (json!({ "azp": "https://evil.test" }), ErrorKind::WrongAudience),
        (json!({ "azp": null }), ErrorKind::MissingClaim),
        (json!({ "sts": "pending" }), ErrorKind::WrongClaim),
        (json!({ "sub": "mch_1", "sid": null }), ErrorKind::MissingClaim),
        (json!({ "sub": "mch_1" }), ErrorKind::WrongClaim),
        (json!({ "aud": "https://elsewhere.test" }), ErrorKind::WrongAudience),
        // an audience of its own does not make up for the origin
        (json!({ "aud": "https://api.test", "azp": "https://evil.test" }), ErrorKind::WrongClaim),
        (json!({ "aud": "https://api.test", "azp": null }), ErrorKind::MissingClaim),
    ] {
        assert_eq!(provider.refuse(&header, &but(&claims, &wrong)).await, expected, "{wrong}");
    }
    let oauth = provider.refuse(&json!({ "alg": "RS256", "typ": "at+jwt" }), &claims).await;
    assert_eq!(oauth, ErrorKind::WrongType);
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
    assert_eq!(token.principal(), Principal::User);
    let machine = provider.accept(&header, &but(&claims, &json!({ "username": null, "sub": "c" }))).await;
    assert_eq!(machine.principal(), Principal::Client);
    for (wrong, expected) in [
        (json!({ "token_use": "id", "aud": "c", "client_id": null }), ErrorKind::WrongAudience),
        (json!({ "token_use": "id" }), ErrorKind::WrongClaim),
        (json!({ "token_use": null }), ErrorKind::MissingClaim),
        (json!({ "client_id": "other" }), ErrorKind::WrongAudience),
        (json!({ "client_id": null }), ErrorKind::MissingClaim),
        (json!({ "aud": "https://other.test" }), ErrorKind::WrongAudience),
        (json!({ "aud": "c" }), ErrorKind::WrongAudience),
        // bound to this resource, but issued to another client
        (json!({ "aud": "https://api.test", "client_id": "other" }), ErrorKind::WrongClaim),
        (json!({ "aud": "https://api.test", "client_id": null }), ErrorKind::MissingClaim),
    ] {
        assert_eq!(provider.refuse(&header, &but(&claims, &wrong)).await, expected, "{wrong}");
    }
    let bound = provider.accept(&header, &but(&claims, &json!({ "aud": "https://api.test" }))).await;
    assert_eq!(bound.client_id(), Some("c"), "bound to this resource");
}

#[tokio::test]
async fn descope() {
    let provider = Provider::of(Issuer::descope("P2abc"));
    let header = json!({ "alg": "RS256", "typ": "JWT" });
    let claims = json!({
        "sub": "U2", "drn": "DS", "tenants": { "T1": { "roles": ["admin"], "permissions": ["x", "SSO Admin"] }, "T2": { "roles": ["owner"] } },
        "dct": "T1", "roles": ["user"],
    });
    let token = provider.accept(&header, &claims).await;
    assert_eq!((scopes(&token), roles(&token), token.tenant()), (vec!["x"], vec!["user", "admin"], Some("T1")));
    let address = but(&claims, &json!({ "iss": "https://api.descope.com/P2abc", "aud": ["P2abc"], "dct": null }));
    let token = provider.accept(&header, &address).await;
    assert_eq!((token.issuer(), roles(&token)), ("P2abc", vec!["user"]));
    for (wrong, expected) in [
        (json!({ "drn": "DSR" }), ErrorKind::WrongClaim),
        (json!({ "drn": null }), ErrorKind::MissingClaim),
        (json!({ "aud": "other" }), ErrorKind::WrongAudience),
        (json!({ "aud": [] }), ErrorKind::WrongAudience),
        (json!({ "iss": "https://api.descope.com/P3" }), ErrorKind::UnknownIssuer),
    ] {
        assert_eq!(provider.refuse(&header, &but(&claims, &wrong)).await, expected, "{wrong}");
    }
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
    assert_eq!(caller(&token), (Principal::User, Some("t1")));
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
async fn google() {
    let provider = Provider::of(Issuer::google().only_audiences(["1.apps.googleusercontent.test"]));
    let header = json!({ "alg": "RS256", "typ": "JWT" });
    let claims = json!({
        "aud": "1.apps.googleusercontent.test", "azp": "1.apps.googleusercontent.test", "sub": "110", "hd": "acme.test",
        "email": "a@acme.test", "at_hash": "x",
    });
    let token = provider.accept(&header, &claims).await;
    assert_eq!(
        (token.issuer(), caller(&token)),
        ("https://accounts.google.com", (Principal::Unknown, Some("acme.test")))
    );
    let bare = provider.accept(&header, &but(&claims, &json!({ "iss": "accounts.google.com" }))).await;
    assert_eq!(bare.issuer(), "https://accounts.google.com", "one issuer, whatever it calls itself");
    let robot = json!({ "email": "robot@project.iam.gserviceaccount.com", "hd": null });
    assert_eq!(caller(&provider.accept(&header, &but(&claims, &robot)).await), (Principal::Client, None));
    for (wrong, expected) in [
        (json!({ "aud": "2.apps.googleusercontent.test" }), ErrorKind::WrongAudience),
        (json!({ "iss": "https://accounts.google.com/" }), ErrorKind::UnknownIssuer),
        (json!({ "iss": "https://securetoken.google.com/p" }), ErrorKind::UnknownIssuer),
    ] {
        assert_eq!(provider.refuse(&header, &but(&claims, &wrong)).await, expected, "{wrong}");
    }
}

#[tokio::test]
async fn logto() {
    let resource = "urn:logto:organization:o1";
    let provider = Provider::of(Issuer::logto("https://t.logto.test/").only_audiences([resource]));
    let header = json!({ "alg": "ES384", "typ": "at+jwt" });
    let claims =
        json!({ "aud": resource, "client_id": "c", "sub": "u", "scope": "read:orders", "organization_id": "o1" });
    let token = provider.accept(&header, &claims).await;
    assert_eq!((scopes(&token), caller(&token)), (vec!["read:orders"], (Principal::User, Some("o1"))));
    let machine = provider.accept(&header, &but(&claims, &json!({ "sub": "c" }))).await;
    assert_eq!(machine.principal(), Principal::Client);
    let id_token = json!({ "alg": "ES384", "typ": "JWT" });
    assert_eq!(provider.refuse(&id_token, &claims).await, ErrorKind::WrongType);
    let other = but(&claims, &json!({ "aud": "urn:logto:organization:o2" }));
    assert_eq!(provider.refuse(&header, &other).await, ErrorKind::WrongAudience);
}

#[tokio::test]
async fn okta() {
    let provider = Provider::of(Issuer::okta("https://o.test/", "default").only_audiences(["api://default"]));
    let header = json!({ "alg": "RS256" });
    let claims = json!({
        "ver": 1, "jti": "AT.x", "aud": "api://default", "cid": "0oa", "uid": "00u", "scp": ["openid", "read"],
        "sub": "a@b.test", "groups": ["Everyone"],
    });
    let token = provider.accept(&header, &claims).await;
    assert_eq!((scopes(&token), roles(&token)), (vec!["openid", "read"], vec!["Everyone"]));
    assert_eq!((token.client_id(), token.principal()), (Some("0oa"), Principal::User));
    let machine = provider.accept(&header, &but(&claims, &json!({ "uid": null, "sub": "0oa" }))).await;
    assert_eq!(machine.principal(), Principal::Client);
    let id_token = but(&claims, &json!({ "aud": "0oa", "jti": "ID.x", "cid": null }));
    assert_eq!(provider.refuse(&header, &id_token).await, ErrorKind::WrongAudience);
    let organisation = but(&claims, &json!({ "iss": "https://o.test" }));
    assert_eq!(provider.refuse(&header, &organisation).await, ErrorKind::UnknownIssuer);
    // even where the client is the API
    let id_token = but(&claims, &json!({ "jti": "ID.x", "cid": null }));
    assert_eq!(provider.refuse(&header, &id_token).await, ErrorKind::MissingClaim);
}

#[tokio::test]
async fn pingone() {
    let provider = Provider::of(Issuer::pingone("auth.pingone.test", "e1").only_audiences(["api"]));
    assert_eq!(provider.idp.issuer(), "https://auth.pingone.test/e1/as");
    let claims = json!({ "aud": ["api"], "client_id": "c", "sub": "u", "sid": "s", "scope": "read write", "acr": "a" });
    for header in [json!({ "alg": "RS256" }), json!({ "alg": "RS256", "typ": "at+jwt" })] {
        let token = provider.accept(&header, &claims).await;
        assert_eq!((scopes(&token), token.principal()), (vec!["read", "write"], Principal::User), "{header}");
        let machine = provider.accept(&header, &but(&claims, &json!({ "sub": null, "sid": null, "acr": null }))).await;
        assert_eq!((machine.subject(), machine.principal()), (None, Principal::Client));
        let id_token = but(&claims, &json!({ "client_id": null }));
        assert_eq!(provider.refuse(&header, &id_token).await, ErrorKind::MissingClaim);
        let id_token = but(&claims, &json!({ "client_id": null, "aud": "c" }));
        assert_eq!(provider.refuse(&header, &id_token).await, ErrorKind::WrongAudience);
    }
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
    assert_eq!((roles(&token), token.amr().count(), token.principal()), (vec!["admin"], 0, Principal::User));
    for (wrong, expected) in
        [(json!({ "aud": "anon" }), ErrorKind::WrongAudience), (json!({ "iss": "supabase" }), ErrorKind::UnknownIssuer)]
    {
        assert_eq!(provider.refuse(&header, &but(&claims, &wrong)).await, expected, "{wrong}");
    }
}

#[tokio::test]
async fn workos() {
    let provider = Provider::of(Issuer::workos("client_1"));
    let header = json!({ "alg": "RS256" });
    let claims = json!({
        "sub": "user_1", "sid": "session_1", "org_id": "org_1", "role": "member", "roles": ["member", "auditor"],
        "permissions": ["posts:read", "SSO Admin"], "jti": "j",
    });
    for iss in ["https://api.workos.com/user_management/client_1", "https://api.workos.com", "https://api.workos.com/"]
    {
        let token = provider.accept(&header, &but(&claims, &json!({ "iss": iss }))).await;
        assert_eq!((scopes(&token), roles(&token)), (vec!["posts:read"], vec!["member", "auditor", "member"]));
        assert_eq!(caller(&token), (Principal::User, Some("org_1")));
    }
    assert!(provider.accept(&header, &but(&claims, &json!({ "aud": "client_1" }))).await.has_role("member"));
    for (wrong, expected) in [
        (json!({ "aud": "client_2" }), ErrorKind::WrongAudience),
        (json!({ "sid": null }), ErrorKind::MissingClaim),
        (json!({ "iss": "https://api.workos.com/user_management/client_2" }), ErrorKind::UnknownIssuer),
    ] {
        assert_eq!(provider.refuse(&header, &but(&claims, &wrong)).await, expected, "{wrong}");
    }
}
