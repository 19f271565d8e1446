use proptest::prelude::*;

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
        .grpc_method("Place", Access::Public)
        .grpc_method("shop.Orders/{any}", Access::Public)
        .grpc_service("", Access::Public)
        .grpc_service("shop/Orders", Access::Public)
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

proptest! {
    #[test]
    fn whether_a_slash_matters_is_known_beforehand(
        patterns in prop::collection::vec("(/(a|b|\\{x\\}|\\{y\\})){1,2}(/|/\\{\\*r\\})?", 1..5),
        path in "(/(a|b|c)){1,3}/?",
    ) {
        let listed = patterns.iter().fold(AuthzRules::new(), |rules, pattern| rules.route(Method::GET, pattern, Access::Public));
        // patterns that do not go together are none of this test's business
        if let Ok(rules) = listed.build() {
            let Rules { listed, router, .. } = &*rules.rules;
            let always = Rules { listed: listed.clone(), router: router.clone(), slash_matters: true };
            let always = AuthzRules { rules: Arc::new(always) };
            prop_assert_eq!(rules.access(&Method::GET, &path), always.access(&Method::GET, &path));
        }
    }
}
