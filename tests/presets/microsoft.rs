use super::*;

const TENANT: &str = "11111111-1111-1111-1111-111111111111";
const OTHER_TENANT: &str = "33333333-3333-3333-3333-333333333333";

#[tokio::test]
async fn adfs() {
    const ROLE: &str = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role";
    let api = "microsoft:identityserver:orders";
    let provider = Provider::of(Issuer::adfs("https://adfs.test/").only_audiences([api]));
    let claims = json!({
        "aud": api, "apptype": "Confidential", "appid": "c", "authmethod": "urn:oasis:names:tc:SAML:2.0:ac:classes:Password",
        "auth_time": "2026-11-30T10:21:15.733Z", "ver": "1.0", "scp": "openid orders", "sub": "xBZp=", "role": "editor",
        ROLE: ["auditor", "site admin"],
    });
    // access tokens have the thumbprint of the certificate alone, others both
    for header in [
        json!({ "alg": "RS256", "typ": "JWT", "x5t": "l_OZUmitFFug_qgT4aBrvnyxm94" }),
        json!({ "alg": "RS256", "typ": "JWT" }),
    ] {
        let token = provider.accept(&header, &claims).await;
        assert_eq!(token.issuer(), "http://adfs.test/adfs/services/trust");
        assert_eq!(
            (scopes(&token), roles(&token)),
            (vec!["openid", "orders"], vec!["editor", "auditor", "site admin"])
        );
        assert_eq!((token.client_id(), token.principal()), (Some("c"), Principal::User));
        assert_eq!(token.auth_time(), None, "it is a text");
        let machine = but(&claims, &json!({ "scp": null, "sub": null, "role": null, ROLE: null }));
        let machine = provider.accept(&header, &machine).await;
        assert_eq!((machine.subject(), machine.principal()), (None, Principal::Unknown));
        for (wrong, expected) in [
            // an ID token
            (json!({ "iss": "https://adfs.test/adfs", "aud": "c", "appid": null }), ErrorKind::UnknownIssuer),
            (json!({ "iss": "https://adfs.test/adfs/services/trust" }), ErrorKind::UnknownIssuer),
            (json!({ "aud": "urn:microsoft:userinfo" }), ErrorKind::WrongAudience),
            (json!({ "aud": "orders" }), ErrorKind::WrongAudience),
            (json!({ "appid": null }), ErrorKind::MissingClaim),
        ] {
            assert_eq!(provider.refuse(&header, &but(&claims, &wrong)).await, expected, "{wrong}");
        }
    }
}

#[tokio::test]
async fn entra() {
    let api = "22222222-2222-2222-2222-222222222222";
    let provider = Provider::of(Issuer::entra(TENANT).only_audiences([api]));
    let header = json!({ "alg": "RS256", "typ": "JWT" });
    let machine = json!({
        "aud": api, "ver": "2.0", "azp": "c", "idtyp": "app", "roles": ["Job.Run"], "tid": TENANT, "uti": "u",
    });
    let token = provider.accept(&header, &machine).await;
    assert_eq!((scopes(&token), roles(&token), token.client_id()), (vec![], vec!["Job.Run"], Some("c")));
    assert_eq!(caller(&token), (Principal::Client, Some(TENANT)));
    let user = but(
        &machine,
        &json!({ "idtyp": null, "roles": null, "scp": "a b", "sub": "s", "oid": "o",
        "_claim_names": { "groups": "src1" }, "_claim_sources": { "src1": { "endpoint": "https://graph.test" } } }),
    );
    let token = provider.accept(&header, &user).await;
    assert_eq!((scopes(&token), roles(&token)), (vec!["a", "b"], vec![]), "groups beyond 200 are no roles");
    assert_eq!(token.principal(), Principal::User);
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
    let first = Provider::of(Issuer::entra_v1(TENANT).only_audiences(["api://app"]));
    let claims = json!({
        "aud": "api://app", "ver": "1.0", "appid": "c", "scp": "access_as_user", "tid": TENANT, "oid": "o", "roles": ["Admin"],
    });
    let token = first.accept(&header, &claims).await;
    assert_eq!((scopes(&token), roles(&token), token.client_id()), (vec!["access_as_user"], vec!["Admin"], Some("c")));
    assert_eq!(first.refuse(&header, &but(&claims, &json!({ "tid": OTHER_TENANT }))).await, ErrorKind::WrongClaim);
}

#[tokio::test]
async fn entra_tenants() {
    let api = "22222222-2222-2222-2222-222222222222";
    let (idp, consumers) =
        (Idp::new("https://login.microsoftonline.com/{tenantid}/v2.0"), "9188040d-6c67-4c5b-b112-36a304b66dad");
    let jwks = idp.jwks().to_string();
    let answer = service_fn(move |_: Request<Body>| {
        let response =
            Response::builder().header(header::CONTENT_TYPE, "application/json").body(Body::from(jwks.clone()));
        async { Ok::<_, Infallible>(response.unwrap()) }
    });
    let tenants =
        IssuerTemplate::entra(|tenant| tenant == TENANT).terms(|issuer| issuer.max_age(Duration::from_secs(7200)));
    let server =
        ResourceServer::new(api).trust_with(tenants).http_client(HttpClient::from_service(answer)).build().unwrap();
    let token = |tenant: &str, tid: &str| {
        let iss = format!("https://login.microsoftonline.com/{tenant}/v2.0");
        let now = ManualClock::new().now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let claims =
            json!({ "iss": iss, "tid": tid, "aud": api, "azp": "c", "scp": "a", "iat": now, "exp": now + 300 });
        idp.token("").raw_claims(claims.to_string()).sign()
    };
    let accepted = server.authenticate(&token(TENANT, TENANT)).await.unwrap();
    assert_eq!(caller(&accepted), (Principal::User, Some(TENANT)));
    let kind = async |token: &str| server.authenticate(token).await.unwrap_err().kind();
    assert_eq!(kind(&token(TENANT, OTHER_TENANT)).await, ErrorKind::WrongClaim, "with terms of one's own, too");
    assert_eq!(kind(&token(OTHER_TENANT, OTHER_TENANT)).await, ErrorKind::UnknownIssuer);
    assert_eq!(kind(&token(consumers, consumers)).await, ErrorKind::UnknownIssuer);
}

#[tokio::test]
async fn entra_b2c() {
    let provider = Provider::of(Issuer::entra_b2c("contoso", TENANT, "B2C_1_In").only_audiences(["api"]));
    let header = json!({ "alg": "RS256", "typ": "JWT" });
    let claims = json!({ "aud": "api", "azp": "web", "scp": "read", "sub": "u", "ver": "1.0", "tfp": "B2C_1_In" });
    let token = provider.accept(&header, &claims).await;
    assert_eq!((scopes(&token), token.client_id(), token.principal()), (vec!["read"], Some("web"), Principal::User));
    let tfp = format!("https://contoso.b2clogin.com/tfp/{TENANT}/b2c_1_in/v2.0/");
    assert_eq!(scopes(&provider.accept(&header, &but(&claims, &json!({ "iss": tfp }))).await), ["read"]);
    for (wrong, expected) in [
        (json!({ "tfp": "B2C_1_Edit" }), ErrorKind::WrongClaim),
        (json!({ "tfp": null, "acr": "b2c_1_in" }), ErrorKind::MissingClaim),
        (json!({ "scp": null, "nonce": "n" }), ErrorKind::MissingClaim),
        (json!({ "nonce": "n" }), ErrorKind::WrongType),
        (json!({ "aud": "web" }), ErrorKind::WrongAudience),
        (json!({ "iss": format!("https://contoso.b2clogin.com/{OTHER_TENANT}/v2.0/") }), ErrorKind::UnknownIssuer),
    ] {
        assert_eq!(provider.refuse(&header, &but(&claims, &wrong)).await, expected, "{wrong}");
    }
}
