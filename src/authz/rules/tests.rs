use super::*;

fn rules() -> AuthzRules {
    let rules = AuthzRules::new()
        .route(Method::GET, "/health", Access::Public)
        .route(Method::GET, "/orders/{id}", Rule::scope("orders:read"))
        .route(
            Method::DELETE,
            "/orders/{id}",
            Rule::scope("orders:write") & (Rule::role("admin") | Rule::role("clerk")),
        )
        .route(Method::GET, "/orders/mine", Access::Authenticated)
        .route(Method::GET, "/files/{*rest}", Access::Authenticated)
        .route(Method::GET, "/files/private", Rule::role("hr"))
        .route(Method::GET, "/", Access::Public)
        .grpc_service("shop.v1.Orders", Access::Authenticated)
        .grpc_method("shop.v1.Orders/Place", Rule::scope("orders:write"));
    rules.build().unwrap()
}

#[test]
fn what_has_no_rule_is_permitted_to_nobody() {
    let rules = rules();
    let read = Access::from(Rule::scope("orders:read"));
    let permitted = [
        (Method::GET, "/health", Access::Public),
        (Method::HEAD, "/health", Access::Public),
        (Method::GET, "/", Access::Public),
        (Method::GET, "/orders/7", read.clone()),
        (Method::HEAD, "/orders/7", read.clone()),
        (Method::GET, "/orders/a%20b", read.clone()),
        (Method::GET, "/orders/%C3%A4%3A", read.clone()),
        (Method::GET, "/orders/%40mine", read.clone()),
        (Method::GET, "/orders/7%20", read.clone()),
        (Method::GET, "/orders/Acme%20Inc.", read.clone()),
        (Method::GET, "/orders/..a", read),
        (Method::GET, "/orders/mine", Access::Authenticated),
        (Method::GET, "/files/a/b", Access::Authenticated),
        (Method::GET, "/files/a/", Access::Authenticated),
        (Method::POST, "/shop.v1.Orders/Place", Rule::scope("orders:write").into()),
        (Method::POST, "/shop.v1.Orders/Watch", Access::Authenticated),
    ];
    for (method, path, access) in permitted {
        assert_eq!(rules.access(&method, path), Some(&access), "{method} {path}");
    }
    let refused = [
        (Method::POST, "/health"),
        (Method::GET, "/health/"),
        (Method::GET, "/Health"),
        (Method::GET, "//health"),
        (Method::GET, "/%68ealth"),
        (Method::OPTIONS, "*"),
        (Method::OPTIONS, "/orders/7"),
        (Method::DELETE, "/orders/mine"),
        (Method::GET, "/orders/"),
        (Method::GET, "/orders/7/"),
        (Method::GET, "/orders/7/x"),
        (Method::GET, "/orders/.."),
        (Method::GET, "/orders/%2e%2E"),
        (Method::GET, "/orders/7;admin"),
        (Method::GET, "/orders/7%3badmin"),
        (Method::GET, "/orders/a%2fb"),
        (Method::GET, "/orders/a%5Cb"),
        (Method::GET, "/orders/a\\b"),
        (Method::GET, "/files/private/"),
        (Method::GET, "/orders/a%3Fb"),
        (Method::GET, "/orders/a%23b"),
        (Method::GET, "/orders/a%0ab"),
        (Method::GET, "/orders/%6dine"),
        (Method::GET, "/orders/%7E"),
        (Method::GET, "/orders/a%252Fb"),
        (Method::GET, "/orders/a%00"),
        (Method::GET, "/orders/%C0%AF"),
        (Method::GET, "/orders/%C3"),
        (Method::GET, "/orders/mine%20"),
        (Method::GET, "/orders/mine."),
        (Method::GET, "/orders/%20mine"),
        (Method::GET, "/orders/mine%C2%A0"),
        (Method::GET, "/orders/..."),
        (Method::GET, "/orders/%20"),
        (Method::GET, "/files/private."),
        (Method::GET, "/files/private%20/x/.."),
        (Method::GET, "/orders/a%C2%85b"),
        (Method::GET, "/orders/a%"),
        (Method::GET, "/orders/a%2"),
        (Method::GET, "/orders/a%zz"),
        (Method::GET, "/files/"),
        (Method::GET, "/files/a//b"),
        (Method::GET, "/files/../health"),
        (Method::GET, "/files/a/./b"),
        (Method::GET, "/shop.v1.Orders/Place"),
        (Method::POST, "/shop.v1.Orders/"),
        (Method::POST, "/shop.v1.Other/Place"),
        (Method::GET, ""),
    ];
    for (method, path) in refused {
        assert_eq!(rules.access(&method, path), None, "{method} {path}");
    }
}

#[test]
fn they_explain_themselves() {
    let text = "\
GET     /health                   public
GET     /orders/{id}              scope(orders:read)
DELETE  /orders/{id}              scope(orders:write) & (role(admin) | role(clerk))
GET     /orders/mine              authenticated
GET     /files/{*rest}            authenticated
GET     /files/private            role(hr)
GET     /                         public
POST    /shop.v1.Orders/{method}  authenticated
POST    /shop.v1.Orders/Place     scope(orders:write)
everything else: nobody";
    assert_eq!(rules().to_string(), text);
}

#[test]
fn every_rule_that_cannot_be_meant_is_named() {
    let error = AuthzRules::new()
        .route(Method::GET, "orders", Access::Public)
        .route(Method::GET, "/orders/{id}", Access::Public)
        .route(Method::GET, "/orders/{id}", Access::Authenticated)
        .route(Method::POST, "/orders/{name}", Access::Public)
        .route(Method::GET, "/a/../b", Access::Public)
        .route(Method::GET, "/a/{", Access::Public)
        .route(Method::GET, "/é", Access::Public)
        .route(Method::GET, format!("/{}", "{x}/".repeat(26)), Access::Public)
        .grpc_method("Place", Access::Public)
        .grpc_method("shop.Orders/{any}", Access::Public)
        .grpc_service("", Access::Public)
        .grpc_service("shop/Orders", Access::Public)
        .route(Method::GET, "/scope", Rule::role("admin") | Rule::scope("orders read"))
        .route(Method::GET, "/role", Rule::role("") & Rule::scope("orders:read"))
        .build()
        .unwrap_err();
    let paths: Vec<_> = error.problems().iter().map(|problem| problem.path()).collect();
    for path in [
        "rules[Place]",
        "rules[shop.Orders/{any}]",
        "rules[]",
        "rules[shop/Orders]",
        "rules[GET orders]",
        "rules[GET /orders/{id}]",
        "rules[GET /a/../b]",
        "rules[/orders/{name}]",
        "rules[/a/{]",
        "rules[GET /scope]",
        "rules[GET /role]",
    ] {
        assert!(paths.contains(&path), "{path}: {paths:?}");
    }
}

#[test]
fn a_slash_at_the_end_is_no_way_around_a_more_exact_rule() {
    let rules = AuthzRules::new()
        .route(Method::GET, "/{page}/", Access::Public)
        .route(Method::GET, "/{page}", Access::Public)
        .route(Method::GET, "/admin", Rule::role("admin"))
        .route(Method::GET, "/staff/", Rule::role("staff"))
        .build()
        .unwrap();
    for (path, access) in [
        ("/news", Some(Access::Public)),
        ("/news/", Some(Access::Public)),
        ("/admin", Some(Rule::role("admin").into())),
        ("/admin/", None),
        ("/staff/", Some(Rule::role("staff").into())),
        ("/staff", None),
    ] {
        assert_eq!(rules.access(&Method::GET, path), access.as_ref(), "{path}");
    }
}

#[test]
fn a_path_that_would_get_another_rule_if_it_were_decoded_has_none() {
    let admin = || Rule::role("admin");
    let rules = AuthzRules::new()
        .route(Method::GET, "/users/{id}", Access::Authenticated)
        .route(Method::GET, "/users/@all", admin())
        .route(Method::POST, "/{page}", Access::Authenticated)
        .route(Method::POST, "/$batch", admin())
        .route(Method::GET, "/{page}", Access::Public)
        .route(Method::GET, "/caf%C3%A9", admin())
        .route(Method::GET, "/{{x}}", admin())
        .route(Method::GET, "/v1.", admin())
        .route(Method::GET, "/{page}/@same", admin())
        .route(Method::GET, "/@x/{page}", admin())
        .build()
        .unwrap();
    for (method, path, access) in [
        (Method::GET, "/users/@all", Some(admin().into())),
        (Method::GET, "/users/%40all", None),
        (Method::GET, "/users/@al%6C", None),
        (Method::GET, "/users/%40other", Some(Access::Authenticated)),
        (Method::GET, "/users/a%40example.com", Some(Access::Authenticated)),
        (Method::POST, "/$batch", Some(admin().into())),
        (Method::POST, "/%24batch", None),
        (Method::POST, "/%24other", Some(Access::Authenticated)),
        (Method::GET, "/caf%C3%A9", Some(admin().into())),
        (Method::GET, "/caf%c3%a9", None),
        (Method::GET, "/caf%C3%a9", None),
        (Method::GET, "/café", None),
        (Method::GET, "/th%C3%A9", Some(Access::Public)),
        (Method::GET, "/{x}", Some(admin().into())),
        (Method::GET, "/%7Bx%7D", None),
        (Method::GET, "/%7By%7D", Some(Access::Public)),
        (Method::GET, "/v1.", Some(admin().into())),
        (Method::GET, "/v1", None),
        (Method::GET, "/v1..", None),
        // another route with the same rule
        (Method::GET, "/%40x/@same", Some(admin().into())),
    ] {
        assert_eq!(rules.access(&method, path), access.as_ref(), "{method} {path}");
    }
}

#[test]
fn patterns_that_differ_by_an_encoding_have_the_same_rule() {
    let rules = |pattern: &str, other: &str, access: Access| {
        let rules = AuthzRules::new().route(Method::GET, pattern, Access::Public).route(Method::GET, other, access);
        rules.route(Method::PUT, other, Rule::role("admin")).build()
    };
    for (pattern, other) in [("/users/@all", "/users/%40all"), ("/%C3%A9", "/%c3%a9"), ("/v1", "/v1.")] {
        let rules_of_both = rules(pattern, other, Access::Public).unwrap();
        for path in [pattern, other] {
            assert_eq!(rules_of_both.access(&Method::GET, path), Some(&Access::Public), "{path}");
        }
        let error = rules(pattern, other, Access::Authenticated).unwrap_err();
        assert_eq!(error.problems().len(), 1, "{error}");
        assert_eq!(error.problems()[0].path(), format!("rules[GET {other}]"));
    }
    assert!(rules("/@a/{x}", "/%40a/{y}", Access::Public).is_err(), "one path for two patterns");
}

#[test]
fn a_parameter_stands_for_something() {
    let rules = AuthzRules::new()
        .route(Method::GET, "/{any}/x", Rule::role("admin"))
        .route(Method::GET, "/v{n}/x", Access::Public)
        .route(Method::GET, "/v{n}/files/{*rest}", Access::Public)
        .build()
        .unwrap();
    assert_eq!(rules.access(&Method::GET, "/v1/x"), Some(&Access::Public));
    assert_eq!(rules.access(&Method::GET, "/w/x"), Some(&Rule::role("admin").into()));
    for path in ["/v/x", "/v/files/a"] {
        assert_eq!(rules.access(&Method::GET, path), None, "{path}");
    }
}

#[test]
fn with_a_slash_the_rule_that_a_router_would_take_first_decides() {
    let first = || Access::from(Rule::role("first"));
    let rules = AuthzRules::new()
        .route(Method::GET, "/{a}/y", Access::Public)
        .route(Method::GET, "/x/{b}/", first())
        .route(Method::GET, "/v{n}", Access::Public)
        .route(Method::GET, "/v1{n}/", first())
        .route(Method::GET, "/{{x}}/{n}", Access::Public)
        .route(Method::GET, "/{{x}}/{n}/", Access::Authenticated)
        .route(Method::GET, "/{{y}}", first())
        .route(Method::GET, "/{page}/", Access::Public)
        .route(Method::GET, "/files/{*rest}", Access::Public)
        .route(Method::GET, "/same", first())
        .route(Method::GET, "/{same}/z", first())
        .build()
        .unwrap();
    for (path, access) in [
        ("/x/y", None),
        ("/x/y/", Some(first())),
        ("/w/y", Some(Access::Public)),
        ("/v12", None),
        ("/v12/", Some(first())),
        ("/v2", Some(Access::Public)),
        ("/{x}/1", Some(Access::Public)),
        ("/{x}/1/", Some(Access::Authenticated)),
        ("/{y}", Some(first())),
        ("/{y}/", None),
        ("/files/a", Some(Access::Public)),
        ("/files/a/", Some(Access::Public)),
        ("/same/", None),
    ] {
        assert_eq!(rules.access(&Method::GET, path), access.as_ref(), "{path}");
    }
}
