//! Who acts for the subject of a token (RFC 8693), and what it permits in detail (RFC 9396), of JWTs and of issuers' answers.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use axum::Router;
use axum::routing::get as route;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use support::endpoint::{self, Endpoint, ISSUER};
use support::{get_with, kind, send};
use tower_bearer::authz::AuthzRules;
use tower_bearer::introspection::{ClientAuthentication, Introspection};
use tower_bearer::testing::Idp;
use tower_bearer::{BearerAuthLayer, Error, ErrorKind, Issuer, Require, ResourceServer, Rule, permissions};

permissions! {
    Pay = scope("payments") & authorization_details("payment_initiation");
}

fn server(change: impl FnOnce(Issuer) -> Issuer) -> (Idp, ResourceServer) {
    let idp = Idp::new(ISSUER);
    let issuer = change(Issuer::new(ISSUER));
    let server = ResourceServer::new("https://api.test").trust((issuer, idp.clone())).build().unwrap();
    (idp, server)
}

/// A server that asks about opaque tokens, and an issuer that says this of all.
fn asking(change: impl FnOnce(Issuer) -> Issuer, claims: &[(&str, Value)]) -> ResourceServer {
    let mut answer: Value = serde_json::from_str(&endpoint::alice()).unwrap();
    for (name, value) in claims {
        answer[name] = value.clone();
    }
    let endpoint = Endpoint::new(move |_| endpoint::json(200, &answer.to_string()));
    let introspection = Introspection::new(ClientAuthentication::client_secret_basic("orders", "s3cret"));
    let introspection = introspection.endpoint(format!("{ISSUER}/introspect")).without_keys();
    let issuer = change(Issuer::new(ISSUER).introspection(introspection));
    ResourceServer::new("https://api.test").trust(issuer).http_client(endpoint.client()).build().unwrap()
}

#[tokio::test]
async fn only_listed_actors_act_for_others_and_history_does_not_count() {
    use ErrorKind::{MalformedClaim, WrongClaim};
    let (any, listed, none) = (
        server(|issuer| issuer),
        server(|issuer| issuer.also_known_as("id").only_actors(["gateway", "assistant"])),
        server(|issuer| issuer.only_actors([""; 0])),
    );
    // `act`, and what becomes of it: without a list, with one, and with an empty one
    let table = [
        (json!(null), None, None, None),
        (json!({ "sub": "gateway" }), None, None, Some(WrongClaim)),
        (json!({ "sub": "assistant", "iss": ISSUER }), None, None, Some(WrongClaim)),
        (json!({ "sub": "assistant", "iss": "id" }), None, None, Some(WrongClaim)),
        (json!({ "sub": "assistant", "iss": "https://evil.test" }), None, Some(WrongClaim), Some(WrongClaim)),
        (json!({ "sub": "Gateway" }), None, Some(WrongClaim), Some(WrongClaim)),
        (json!({ "sub": "" }), None, Some(WrongClaim), Some(WrongClaim)),
        (json!({}), None, Some(WrongClaim), Some(WrongClaim)),
        (json!({ "client_id": "gateway" }), None, Some(WrongClaim), Some(WrongClaim)),
        // one that has acted before does not let another act now
        (json!({ "sub": "mallory", "act": { "sub": "gateway" } }), None, Some(WrongClaim), Some(WrongClaim)),
        (json!({ "sub": "gateway", "act": { "sub": "mallory" } }), None, None, Some(WrongClaim)),
        // times and audiences in it mean nothing
        (json!({ "sub": "gateway", "exp": 0, "nbf": 9e15, "aud": "https://other.test" }), None, None, Some(WrongClaim)),
        (json!("gateway"), Some(MalformedClaim), Some(MalformedClaim), Some(MalformedClaim)),
        (json!([{ "sub": "gateway" }]), Some(MalformedClaim), Some(MalformedClaim), Some(MalformedClaim)),
        (json!({ "sub": ["gateway"] }), Some(MalformedClaim), Some(MalformedClaim), Some(MalformedClaim)),
    ];
    for (act, by_any, by_listed, by_none) in table {
        for ((idp, server), expected) in [(&any, by_any), (&listed, by_listed), (&none, by_none)] {
            let token = idp.token("alice").claim("act", act.clone()).sign();
            assert_eq!(kind(server, &token).await, expected, "{act}");
        }
        // an answer that cannot be read is no fault of the caller's
        let answered =
            asking(|issuer| issuer.only_actors(["gateway", "assistant"]).also_known_as("id"), &[("act", act.clone())]);
        let expected =
            by_listed.map(|kind| if kind == MalformedClaim { ErrorKind::IntrospectionUnavailable } else { kind });
        assert_eq!(kind(&answered, "opaque").await, expected, "{act}");
    }
    let (idp, server) = &listed;
    let error =
        server.authenticate(&idp.token("alice").claim("act", json!({ "sub": "s3cret" })).sign()).await.unwrap_err();
    assert!(error.to_string().contains("only_actors") && !error.to_string().contains("s3cret"), "{error}");
}

#[tokio::test]
async fn a_token_tells_who_acts_and_who_has_acted_before() {
    let act = json!({ "sub": "stock", "iss": ISSUER, "act": { "sub": "orders", "client_id": "web", "roles": ["admin"] }, "scope": "admin" });
    let (idp, server) = server(|issuer| issuer);
    let by_jwt = server.authenticate(&idp.token("alice").claim("act", act.clone()).sign()).await.unwrap();
    let by_answer = asking(|issuer| issuer, &[("act", act)]).authenticate("opaque").await.unwrap();
    for token in [by_jwt, by_answer] {
        let actor = token.actor().unwrap();
        assert_eq!((actor.subject(), actor.issuer(), actor.client_id()), (Some("stock"), Some(ISSUER), None));
        let before = actor.before().unwrap();
        assert_eq!((before.subject(), before.client_id()), (Some("orders"), Some("web")));
        assert!(before.before().is_none());
        assert_eq!(actor.chain().filter_map(|actor| actor.subject()).collect::<Vec<_>>(), ["stock", "orders"]);
        // nothing in it permits anything
        assert_eq!(token.subject(), Some("alice"));
        assert!(!token.has_scope("admin") && !token.has_role("admin"));
    }
    assert!(server.authenticate(&idp.token("alice").sign()).await.unwrap().actor().is_none());
}

#[derive(Debug, Deserialize, PartialEq)]
struct Payment {
    creditor: String,
    amount: f64,
}

fn payment() -> Value {
    json!([
        { "type": "account_information", "actions": ["list"], "locations": ["https://accounts.test"] },
        { "type": "payment_initiation", "actions": ["initiate", 7, "cancel"], "datatypes": ["amount"], "identifier": "4711",
          "privileges": ["admin"], "creditor": "merchant", "amount": 123.5 },
        { "type": "payment_initiation", "creditor": 7 },
        { "creditor": "nobody" }, "payment_initiation", null, ["payment_initiation"], { "type": ["payment_initiation"] },
    ])
}

#[tokio::test]
async fn details_are_found_by_type_and_read_into_a_type() {
    let (idp, server) = server(|issuer| issuer);
    let by_jwt =
        server.authenticate(&idp.token("alice").claim("authorization_details", payment()).sign()).await.unwrap();
    let by_answer =
        asking(|issuer| issuer, &[("authorization_details", payment())]).authenticate("opaque").await.unwrap();
    for token in [by_jwt, by_answer] {
        let details: Vec<_> = token.authorization_details("payment_initiation").collect();
        assert_eq!(details.len(), 2);
        let first = details[0];
        assert_eq!(first.type_name(), "payment_initiation");
        assert_eq!(first.actions().collect::<Vec<_>>(), ["initiate", "cancel"]);
        assert_eq!(first.datatypes().chain(first.privileges()).collect::<Vec<_>>(), ["amount", "admin"]);
        assert_eq!((first.identifier(), first.locations().count()), (Some("4711"), 0));
        assert_eq!(first.read::<Payment>().unwrap(), Payment { creditor: "merchant".into(), amount: 123.5 });
        assert_eq!(first.read::<Value>().unwrap(), payment()[1]);
        let error = details[1].read::<Payment>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MalformedClaim);
        assert!(error.to_string().contains("`creditor`: a number, where a string is expected"), "{error}");
        assert_eq!(format!("{first:?}"), "AuthorizationDetail { .. }");
        let accounts = token.authorization_details("account_information").next().unwrap();
        assert_eq!(accounts.locations().collect::<Vec<_>>(), ["https://accounts.test"]);
        assert_eq!(token.authorization_details("Payment_initiation").count(), 0);
        assert_eq!(token.authorization_details("").count(), 0);
    }
    // one that does not say for which places it is, in a way that is understood, is for none
    for (locations, found) in [
        (json!(null), 1),
        (json!(["https://api.test"]), 1),
        (json!("https://other.test"), 0),
        (json!([7]), 0),
        (json!(["https://api.test", { "uri": "https://other.test" }]), 0),
        (json!({ "uri": "https://other.test" }), 0),
        (json!(false), 0),
    ] {
        let detail = json!([{ "type": "payment_initiation", "locations": locations }]);
        let token = server.authenticate(&idp.token("a").claim("authorization_details", detail).sign()).await.unwrap();
        assert_eq!(token.authorization_details("payment_initiation").count(), found, "{locations}");
        assert_eq!(token.permits(&Rule::authorization_details("payment_initiation")), found == 1, "{locations}");
    }
    // whatever else is there permits nothing
    for odd in [
        json!(null),
        json!("payment_initiation"),
        json!(payment()[1]),
        json!("[{\"type\":\"payment_initiation\"}]"),
        json!([]),
    ] {
        let token = server.authenticate(&idp.token("a").claim("authorization_details", odd).sign()).await.unwrap();
        assert_eq!(token.authorization_details("payment_initiation").count(), 0);
    }
}

#[tokio::test]
async fn a_rule_demands_a_detail_by_type_or_by_what_it_says() {
    let (idp, server) = server(|issuer| issuer);
    let cancels =
        Rule::authorization_details_where("payment_initiation", |detail| detail.actions().any(|a| a == "cancel"));
    let refunds =
        Rule::authorization_details_where("payment_initiation", |detail| detail.actions().any(|a| a == "refund"));
    let token = server
        .authenticate(&idp.token("a").scope("payments").claim("authorization_details", payment()).sign())
        .await
        .unwrap();
    for (rule, permitted) in [
        (Rule::authorization_details("payment_initiation"), true),
        (Rule::authorization_details("other"), false),
        (Rule::authorization_details(""), false),
        (cancels.clone(), true),
        (refunds.clone(), false),
        (refunds.clone() | cancels.clone(), true),
        (Rule::authorization_details_where("other", |_| true), false),
        (Rule::of::<Pay>(), true),
    ] {
        assert_eq!(token.permits(&rule), permitted, "{rule}");
    }
    assert_eq!(cancels, cancels.clone());
    assert_ne!(cancels, refunds);
    assert_eq!(cancels.to_string(), "authorization_details_where(payment_initiation, …)");
    let problems = AuthzRules::new().route(Method::GET, "/", Rule::authorization_details("")).build().unwrap_err();
    assert!(problems.to_string().contains("no token can have authorization_details()"), "{problems}");

    let app =
        Router::new().route("/pay", route(async |_: Require<Pay>| "paid")).layer(BearerAuthLayer::new(server.clone()));
    let with = |details| idp.token("a").scope("payments").claim("authorization_details", details).sign();
    assert_eq!(send(&app, get_with("/pay", &with(payment()))).await.status(), 200);
    let refused = send(&app, get_with("/pay", &with(json!([{ "type": "account_information" }])))).await;
    assert_eq!(refused.status(), 403);
    let error = refused.extensions().get::<Error>().unwrap();
    assert_eq!((error.kind(), error.scope()), (ErrorKind::InsufficientScope, None));
    assert!(error.to_string().contains("authorization detail"), "{error}");
}

#[test]
fn an_actor_without_a_name_is_a_mistake() {
    let issuer = Issuer::new(ISSUER).only_actors(["gateway", ""]);
    let problems = ResourceServer::new("a").trust(issuer).build().unwrap_err();
    assert!(problems.to_string().contains("only_actors"), "{problems}");
}
