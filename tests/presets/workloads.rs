use super::load_balancer::{ARN, PROVIDER, Region, claims};
use super::*;

/// The server of a region whose keys are asked for by these terms.
fn behind_alb(region: &Region, issuer: Issuer) -> ResourceServer {
    let region = region.clone();
    let client = HttpClient::from_service(service_fn(move |request: Request<Body>| {
        let answer = region.answer::<Body>(&request.uri().to_string());
        async { Ok::<_, Infallible>(answer) }
    }));
    ResourceServer::new("https://api.test").trust(issuer).http_client(client).build().unwrap()
}

#[tokio::test]
async fn aws_alb() {
    let region = Region::default();
    let (key, server) = (region.key(), behind_alb(&region, Issuer::aws_alb(PROVIDER, [ARN])));
    let now = ManualClock::new().now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let claims = claims(now + 120);
    let token = server.authenticate(&key.sign(&claims)).await.unwrap();
    assert_eq!((token.issuer(), token.subject()), (PROVIDER, Some("4b5bef9c-f2b5-40ff-a412-412cba9d0702")));
    assert_eq!(token.client_id(), Some("3a33a02r5hn3onhtu1mr0dit20"), "of the header");
    assert_eq!((caller(&token), scopes(&token), roles(&token)), ((Principal::User, None), vec![], vec![]));

    for (name, wrong, expected) in [
        ("signer", json!(ARN.replace("373508513302", "373508513303")), ErrorKind::WrongClaim),
        ("signer", json!(null), ErrorKind::MissingClaim),
        ("kid", json!("es256-1"), ErrorKind::UnknownKey),
        ("kid", json!("abb8289f-e3a4-4a34-9472-c21000000009"), ErrorKind::UnknownKey),
        ("exp", json!(now + 121), ErrorKind::WrongClaim),
        ("iss", json!("https://other.test"), ErrorKind::WrongClaim),
        ("alg", json!("RS256"), ErrorKind::UnsupportedAlgorithm),
    ] {
        let token = key.sign_with(&but(&key.header(&claims), &json!({ name: wrong })), &claims);
        assert_eq!(server.authenticate(&token).await.unwrap_err().kind(), expected, "{name}: {wrong}");
        let step = server.explain(&token).await.to_string();
        assert!(step.ends_with("refused") && step.contains("\nload balancer      "), "{step}");
    }
    for (wrong, expected) in [
        (json!({ "sub": null }), ErrorKind::MissingClaim),
        (json!({ "exp": null }), ErrorKind::MissingClaim),
        (json!({ "exp": now - 120 }), ErrorKind::Expired),
        (json!({ "aud": "https://other.test" }), ErrorKind::WrongAudience),
        (json!({ "iss": "https://other.test" }), ErrorKind::UnknownIssuer),
    ] {
        let token = key.sign(&but(&claims, &wrong));
        assert_eq!(server.authenticate(&token).await.unwrap_err().kind(), expected, "{wrong}");
    }
    // what the provider itself signs for the same client is none of the load balancer's
    let provider = Provider::of(Issuer::new(PROVIDER));
    let own = provider.sign(&json!({ "alg": "ES256" }), &claims);
    assert_eq!(server.authenticate(&own).await.unwrap_err().kind(), ErrorKind::MissingClaim);
    let padded = provider.server.authenticate(&key.sign(&claims)).await.unwrap_err();
    assert_eq!(padded.kind(), ErrorKind::MalformedToken);
    assert!(padded.to_string().contains("a part of the token is padded base64url (=)"), "{padded}");
}

#[test]
fn aws_alb_is_for_application_load_balancers_of_one_region() {
    let elsewhere = ARN.replace("eu-west-1", "eu-west-2");
    let right = [vec![ARN], vec![ARN, ARN]];
    let wrong = [
        vec![],
        vec![ARN, &elsewhere],
        vec!["app/shop/a4df45643ccf98ac"],
        vec!["arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/net/shop/a4df"],
        vec!["arn:aws:elasticloadbalancing:eu-west-1.evil.test/:1:loadbalancer/app/shop/a4df"],
        vec!["arn:aws:elasticloadbalancing::1:loadbalancer/app/shop/a4df"],
    ];
    for (arns, expected) in right.map(|arns| (arns, true)).into_iter().chain(wrong.map(|arns| (arns, false))) {
        let built = ResourceServer::new("a").trust(Issuer::aws_alb(PROVIDER, arns.clone())).build();
        assert_eq!(built.is_ok(), expected, "{arns:?}");
    }
}

#[tokio::test]
async fn the_keys_of_aws_alb_are_in_the_region_of_the_load_balancer() {
    let now = ManualClock::new().now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    for (partition, place, base) in [
        ("aws", "us-east-1", "https://public-keys.auth.elb.us-east-1.amazonaws.com"),
        (
            "aws-us-gov",
            "us-gov-west-1",
            "https://s3-us-gov-west-1.amazonaws.com/aws-elb-public-keys-prod-us-gov-west-1",
        ),
        ("aws-cn", "cn-north-1", "https://public-keys.auth.elb.cn-north-1.amazonaws.com.cn"),
    ] {
        let region = Region::default();
        let arn = format!("arn:{partition}:elasticloadbalancing:{place}:1:loadbalancer/app/shop/a4df");
        let (key, server) = (region.key(), behind_alb(&region, Issuer::aws_alb(PROVIDER, [&*arn])));
        let claims = claims(now + 120);
        let token = key.sign_with(&but(&key.header(&claims), &json!({ "signer": arn })), &claims);
        assert!(server.authenticate(&token).await.is_ok());
        assert_eq!(region.asked(), [format!("{base}/{}", key.kid)]);
    }
}

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
    let preset = Issuer::github_actions(["65"]).only_audiences(["https://github.com/o"]);
    let provider = Provider::of(preset);
    let header = json!({ "alg": "RS256", "typ": "JWT" });
    let claims = json!({
        "aud": "https://github.com/o", "sub": "repo:o@1/r@2:ref:refs/heads/main", "repository": "o/r", "repository_id": "2",
        "repository_owner_id": "65", "ref": "refs/heads/main",
    });
    assert_eq!(caller(&provider.accept(&header, &claims).await), (Principal::Client, Some("65")));
    let two = Provider::of(Issuer::github_actions(["65", "66"]).only_audiences(["https://github.com/o"]));
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
    let provider = Provider::of(Issuer::gitlab_ci("https://gitlab.test/", ["72"]).only_audiences(["https://api.test"]));
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
    let preset =
        Issuer::kubernetes("https://kubernetes.default.svc.cluster.local").only_audiences(["api"]).max_lifetime(hour);
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
    let unlimited =
        Provider::of(Issuer::kubernetes("https://kubernetes.default.svc.cluster.local").only_audiences(["api"]));
    assert!(unlimited.accept(&header, &but(&claims, &json!({ "exp": year }))).await.subject().is_some());
}

#[tokio::test]
async fn spiffe() {
    let provider = Provider::of(Issuer::spiffe("td.test", "https://spire.test/keys").only_audiences(["reports"]));
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
