use super::*;

#[tokio::test]
async fn cloudflare_access() {
    let provider = Provider::of(Issuer::cloudflare_access("t", "32ea"));
    let header = json!({ "alg": "RS256", "typ": "JWT" });
    let service = json!({ "aud": ["32ea"], "type": "app", "common_name": "x.access", "sub": "" });
    let token = provider.accept(&header, &service).await;
    assert_eq!((token.subject(), token.client_id(), token.principal()), (None, Some("x.access"), Principal::Client));
    let user = but(&service, &json!({ "common_name": null, "sub": "u", "email": "a@b.test" }));
    let token = provider.accept(&header, &user).await;
    assert_eq!((token.subject(), token.client_id(), token.principal()), (Some("u"), None, Principal::User));
    for (wrong, expected) in [
        (json!({ "type": "org" }), ErrorKind::WrongClaim),
        (json!({ "type": null }), ErrorKind::MissingClaim),
        (json!({ "aud": ["33ea"] }), ErrorKind::WrongAudience),
        (json!({ "iss": "https://u.cloudflareaccess.com" }), ErrorKind::UnknownIssuer),
    ] {
        assert_eq!(provider.refuse(&header, &but(&user, &wrong)).await, expected, "{wrong}");
    }
}

#[tokio::test]
async fn github_actions() {
    let preset = Issuer::github_actions(["65"]).audience("https://github.com/o");
    let provider = Provider::of(preset);
    let header = json!({ "alg": "RS256", "typ": "JWT" });
    let claims = json!({
        "aud": "https://github.com/o", "sub": "repo:o@1/r@2:ref:refs/heads/main", "repository": "o/r", "repository_id": "2",
        "repository_owner_id": "65", "ref": "refs/heads/main",
    });
    assert_eq!(caller(&provider.accept(&header, &claims).await), (Principal::Client, Some("65")));
    let two = Provider::of(Issuer::github_actions(["65", "66"]).audience("https://github.com/o"));
    for owner in ["65", "66"] {
        let claims = but(&claims, &json!({ "repository_owner_id": owner }));
        assert_eq!(two.accept(&header, &claims).await.tenant(), Some(owner));
    }
    assert_eq!(
        two.refuse(&header, &but(&claims, &json!({ "repository_owner_id": "67" }))).await,
        ErrorKind::WrongClaim
    );
    for (wrong, expected) in [
        (json!({ "repository_owner_id": "66" }), ErrorKind::WrongClaim),
        (json!({ "repository_owner_id": 65 }), ErrorKind::WrongClaim),
        (json!({ "repository_id": null }), ErrorKind::MissingClaim),
        (json!({ "aud": "sts.amazonaws.com" }), ErrorKind::WrongAudience),
    ] {
        assert_eq!(provider.refuse(&header, &but(&claims, &wrong)).await, expected, "{wrong}");
    }
}

#[tokio::test]
async fn gitlab_ci() {
    let provider = Provider::of(Issuer::gitlab_ci("https://gitlab.test/", ["72"]).audience("https://api.test"));
    let header = json!({ "alg": "RS256", "typ": "JWT" });
    let claims = json!({
        "aud": "https://api.test", "sub": "project_path:g/p:ref_type:branch:ref:main", "ref_protected": "true", "runner_id": 1,
        "project_id": "20", "namespace_id": "72",
    });
    assert_eq!(caller(&provider.accept(&header, &claims).await), (Principal::Client, Some("72")));
    for (wrong, expected) in [
        (json!({ "namespace_id": "73" }), ErrorKind::WrongClaim),
        (json!({ "namespace_id": 72 }), ErrorKind::WrongClaim),
        (json!({ "project_id": null }), ErrorKind::MissingClaim),
        (json!({ "aud": "https://gitlab.test" }), ErrorKind::WrongAudience),
    ] {
        assert_eq!(provider.refuse(&header, &but(&claims, &wrong)).await, expected, "{wrong}");
    }
}

#[tokio::test]
async fn google_iap() {
    let audience = "/projects/1/global/backendServices/2";
    let provider = Provider::of(Issuer::google_iap(audience));
    let header = json!({ "alg": "ES256", "typ": "JWT" });
    let claims = json!({ "aud": audience, "sub": "accounts.google.com:1", "email": "a@b.test", "hd": "b.test" });
    let token = provider.accept(&header, &claims).await;
    assert_eq!((token.subject(), token.tenant()), (Some("accounts.google.com:1"), Some("b.test")));
    for (wrong, expected) in [
        (json!({ "aud": "/projects/1/global/backendServices/3" }), ErrorKind::WrongAudience),
        (json!({ "sub": null }), ErrorKind::MissingClaim),
        (json!({ "iss": "https://accounts.google.com" }), ErrorKind::UnknownIssuer),
    ] {
        assert_eq!(provider.refuse(&header, &but(&claims, &wrong)).await, expected, "{wrong}");
    }
    assert_eq!(provider.refuse(&json!({ "alg": "RS256" }), &claims).await, ErrorKind::UnsupportedAlgorithm);
}

#[tokio::test]
async fn kubernetes() {
    let hour = Duration::from_secs(3600);
    let preset = Issuer::kubernetes("https://kubernetes.default.svc.cluster.local").audience("api").max_lifetime(hour);
    let provider = Provider::of(preset);
    let header = json!({ "alg": "RS256" });
    let claims = json!({
        "aud": ["api"], "sub": "system:serviceaccount:ns:sa",
        "kubernetes.io": { "namespace": "ns", "serviceaccount": { "name": "sa", "uid": "u" }, "warnafter": 3607 },
    });
    assert_eq!(caller(&provider.accept(&header, &claims).await), (Principal::Client, Some("ns")));
    assert_eq!(provider.accept(&json!({ "alg": "RS256", "typ": "JWT" }), &claims).await.client_id(), None);
    let year = ManualClock::new().now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + 365 * 86_400;
    for (wrong, expected) in [
        (json!({ "exp": year }), ErrorKind::WrongClaim),
        (json!({ "iat": year - 600, "exp": year }), ErrorKind::NotYetValid),
        (json!({ "sub": "system:node:n1" }), ErrorKind::WrongClaim),
        (json!({ "kubernetes.io": null }), ErrorKind::MissingClaim),
        (json!({ "aud": ["https://kubernetes.default.svc.cluster.local"] }), ErrorKind::WrongAudience),
        (json!({ "aud": null }), ErrorKind::MissingClaim),
    ] {
        assert_eq!(provider.refuse(&header, &but(&claims, &wrong)).await, expected, "{wrong}");
    }
    let unlimited = Provider::of(Issuer::kubernetes("https://kubernetes.default.svc.cluster.local").audience("api"));
    assert!(unlimited.accept(&header, &but(&claims, &json!({ "exp": year }))).await.subject().is_some());
}

#[tokio::test]
async fn spiffe() {
    let provider = Provider::of(Issuer::spiffe("td.test", "https://spire.test/keys").audience("reports"));
    let header = json!({ "alg": "ES256" });
    let claims = json!({ "iss": null, "aud": ["reports"], "sub": "spiffe://td.test/web" });
    let token = provider.accept(&header, &claims).await;
    assert_eq!((token.issuer(), token.subject()), ("spiffe://td.test", Some("spiffe://td.test/web")));
    assert_eq!(token.principal(), Principal::Client);
    for (wrong, expected) in [
        (json!({ "sub": "spiffe://other.test/web" }), ErrorKind::WrongClaim),
        (json!({ "sub": "spiffe://td.test.evil/web" }), ErrorKind::WrongClaim),
        (json!({ "aud": ["other"] }), ErrorKind::WrongAudience),
        (json!({ "iss": "https://spire.test" }), ErrorKind::UnknownIssuer),
    ] {
        assert_eq!(provider.refuse(&header, &but(&claims, &wrong)).await, expected, "{wrong}");
    }
    let wrong = provider.refuse(&header, &json!({ "iss": null, "sub": "spiffe://td.test/web" })).await;
    assert_eq!(wrong, ErrorKind::MissingClaim);
}
