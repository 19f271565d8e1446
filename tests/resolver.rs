//! Issuers that are found at run time: who decides, how often, and what a forged issuer can cost.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use serde_json::json;
use support::kind;
use support::resolver::Table;
use tokio::net::TcpListener;
use tokio::time::sleep;
use tower_bearer::keys::FetchError;
use tower_bearer::testing::Idp;
use tower_bearer::trust::{IssuerResolver, IssuerTemplate, Trust};
use tower_bearer::{ErrorKind, Issuer, ResourceServer};

const MINUTE: Duration = Duration::from_secs(60);
const API: &str = "https://api.test";

fn trusting(table: &Table) -> ResourceServer {
    ResourceServer::new(API).trust_with(table.clone()).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_issuer_is_decided_on_once_and_only_then_are_its_keys_fetched() {
    let (a, b) = (Idp::new("https://a.test/"), Idp::new("https://b.test/"));
    let stranger = Idp::new("https://stranger.test/");
    let table = Table::with(&[&a, &b]);
    let server = trusting(&table);
    let token = a.token("alice").sign();
    *table.slow.lock().unwrap() = Duration::from_millis(100);
    let verdicts = join_all((0..100).map(|_| server.authenticate(&token))).await;
    assert!(verdicts.iter().all(Result::is_ok));
    assert_eq!((table.asked(), a.fetches(), b.fetches()), (1, 1, 0), "one question, one fetch");
    assert_eq!(kind(&server, &token).await, None);
    assert_eq!(kind(&server, &b.token("bob").sign()).await, None);
    assert_eq!(table.asked(), 2);
    let forged = stranger.token("mallory").sign();
    for _ in 0..10 {
        assert_eq!(kind(&server, &forged).await, Some(ErrorKind::UnknownIssuer));
    }
    assert_eq!((table.asked(), stranger.fetches()), (3, 0), "a refusal is remembered");
    let issuers: Vec<_> = server.status().into_iter().map(|status| (status.issuer, status.keys.len())).collect();
    assert_eq!(issuers, [("https://a.test/".into(), 1), ("https://b.test/".into(), 1)]);
    // signed by one in the name of the other, who shares its kid
    assert_eq!(kind(&server, &a.token("m").issuer("https://b.test/").sign()).await, Some(ErrorKind::BadSignature));
}

#[tokio::test(start_paused = true)]
async fn the_configured_issuers_are_not_asked_about() {
    let (a, b) = (Idp::new("https://a.test/"), Idp::new("https://b.test/"));
    let table = Table::with(&[&b]);
    let server = ResourceServer::new(API).trust(&a).trust_with(table.clone()).build().unwrap();
    assert_eq!(kind(&server, &a.token("alice").sign()).await, None);
    assert_eq!(table.asked(), 0);
    assert_eq!(kind(&server, &b.token("bob").sign()).await, None);
    for odd in [json!(7), json!(["https://b.test/"]), json!(null)] {
        assert_eq!(kind(&server, &b.token("bob").issuer(odd).sign()).await, Some(ErrorKind::MalformedClaim));
    }
    assert_eq!(table.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_decision_is_made_again_in_time_without_a_wait_and_a_removed_issuer_is_gone() {
    let idp = Idp::new("https://a.test/");
    let table = Table::with(&[&idp]);
    let server = trusting(&table);
    let token = idp.token("alice").sign();
    assert_eq!(kind(&server, &token).await, None);
    *table.slow.lock().unwrap() = Duration::from_secs(1);
    for minute in 1..=12 {
        sleep(MINUTE).await;
        let begin = tokio::time::Instant::now();
        assert_eq!(kind(&server, &token).await, None, "minute {minute}");
        assert_eq!(begin.elapsed(), Duration::ZERO, "a busy issuer's requests do not wait");
    }
    assert_eq!(table.asked(), 3, "when 4 minutes are over and it is used");
    table.known.lock().unwrap().clear();
    sleep(5 * MINUTE).await;
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::UnknownIssuer));
    table.known.lock().unwrap().insert("https://a.test/".to_owned(), idp.clone());
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::UnknownIssuer), "a refusal holds for a minute");
    sleep(MINUTE).await;
    assert_eq!(kind(&server, &token).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_is_down_is_an_outage_for_new_issuers_and_none_for_known_ones() {
    let (a, b) = (Idp::new("https://a.test/"), Idp::new("https://b.test/"));
    let table = Table::with(&[&a, &b]);
    let server = trusting(&table);
    let (known, new) = (a.token("alice").sign(), b.token("bob").sign());
    assert_eq!(kind(&server, &known).await, None);
    table.down.store(true, Ordering::SeqCst);
    for _ in 0..11 {
        sleep(5 * MINUTE).await;
        assert_eq!(kind(&server, &known).await, None);
    }
    let error = server.authenticate(&new).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeysUnavailable);
    assert!(error.to_string().contains("table is locked") && error.retry_after().is_some(), "{error}");
    sleep(10 * MINUTE).await;
    assert_eq!(kind(&server, &known).await, Some(ErrorKind::KeysUnavailable), "the decision is an hour old");
    table.down.store(false, Ordering::SeqCst);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(kind(&server, &known).await, None);
    assert_eq!(kind(&server, &new).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_is_slow_costs_two_seconds_and_its_answer_is_kept() {
    let idp = Idp::new("https://a.test/");
    let table = Table::with(&[&idp]);
    *table.slow.lock().unwrap() = Duration::from_secs(3);
    let server = trusting(&table);
    let token = idp.token("alice").sign();
    let begin = tokio::time::Instant::now();
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::KeysUnavailable));
    assert_eq!(begin.elapsed(), Duration::from_secs(2));
    assert_eq!(kind(&server, &token).await, None, "the question went on");
    assert_eq!(table.asked(), 1);
}

/// Trusts whatever it is asked about, on terms that cannot be met.
struct Credulous;

impl IssuerResolver for Credulous {
    async fn resolve(&self, issuer: &str) -> Result<Option<Trust>, FetchError> {
        Ok(Some(match issuer {
            "https://other.test/" => Issuer::new("https://a.test/").into(),
            "https://broken.test/" => Issuer::new(issuer).only_algorithms([]).into(),
            _ => Issuer::new(issuer).into(),
        }))
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_never_turns_a_resolvers_mistake_into_an_outage_or_a_panic() {
    let server = ResourceServer::new(API).trust_with(Credulous).build().unwrap();
    let idp = Idp::new("https://a.test/");
    for issuer in [
        "https://other.test/",
        "https://broken.test/",
        "acme.com",
        "",
        "http://id.test/",
        "https://10.0.0.1/",
        "https://127.0.0.1/",
        "http://127.0.0.1:9/",
        "http://localhost/",
        "https://[::1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://user:pw@id.test/",
        "https://id.test/\nx",
        &format!("https://id.test/{}", "x".repeat(2000)),
    ] {
        let verdict = kind(&server, &idp.token("m").issuer(issuer).sign()).await;
        assert_eq!(verdict, Some(ErrorKind::UnknownIssuer), "{issuer:?}");
    }
}

#[tokio::test]
async fn a_hundred_thousand_forged_issuers_cost_no_fetch_and_evict_no_real_one() {
    let idp = Idp::new("https://a.test/");
    let table = Table::with(&[&idp]);
    let server = trusting(&table);
    let good = idp.token("alice").sign();
    assert_eq!(kind(&server, &good).await, None);
    // the signature is not looked at before the issuer is trusted
    let forge = |n: u32| {
        let claims = URL_SAFE_NO_PAD.encode(json!({ "iss": format!("https://forged-{n}.test/") }).to_string());
        let parts: Vec<_> = good.split('.').collect();
        [parts[0], &claims, parts[2]].join(".")
    };
    for flood in 0..100_u32 {
        let forged: Vec<_> = (0..1000).map(|n| forge(flood * 1000 + n)).collect();
        for verdicts in forged.chunks(64) {
            for verdict in join_all(verdicts.iter().map(|token| kind(&server, token))).await {
                assert_eq!(verdict, Some(ErrorKind::UnknownIssuer));
            }
        }
    }
    let asked = table.asked();
    assert_eq!(kind(&server, &good).await, None);
    assert_eq!((table.asked(), idp.fetches()), (asked, 1), "it is still known");
    assert_eq!(server.status().len(), 1);
}

/// A host with many tenants: one key set for all of them, or one for each.
struct Tenants {
    base: String,
    idps: Vec<Idp>,
    fetches: Arc<AtomicU64>,
    down: Arc<AtomicBool>,
}

impl Tenants {
    fn fetches(&self) -> u64 {
        self.fetches.load(Ordering::SeqCst)
    }
}

async fn tenants() -> Tenants {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let idps: Vec<_> = ["a", "b"].map(|tenant| Idp::new(format!("{base}/{tenant}/v2.0"))).into();
    let fetches = Arc::new(AtomicU64::new(0));
    let down = Arc::new(AtomicBool::new(false));
    let (published, count, own, is_down) = (idps.clone(), Arc::clone(&fetches), base.clone(), Arc::clone(&down));
    let app = Router::new().fallback(async move |uri: http::Uri| {
        if is_down.load(Ordering::SeqCst) {
            return http::StatusCode::BAD_GATEWAY.into_response();
        }
        let json =
            |value: serde_json::Value| ([("content-type", "application/json")], value.to_string()).into_response();
        let idp = published.iter().find(|idp| uri.path().starts_with(&idp.issuer()[own.len()..][..3]));
        let jwk = |idp: &Idp, kid: &str, issuer: &str| {
            let mut jwk = idp.jwks()["keys"][0].clone();
            jwk["kid"] = kid.into();
            jwk["issuer"] = issuer.into();
            jwk
        };
        if uri.path() == "/common/keys" {
            count.fetch_add(1, Ordering::SeqCst);
            let template = format!("{own}/{{tenantid}}/v2.0");
            let keys = [
                jwk(&published[0], "for-all", &template),
                jwk(&published[0], "for-a", published[0].issuer()),
                jwk(&published[0], "elsewhere", "https://elsewhere.test/"),
            ];
            return json(json!({ "keys": keys }));
        }
        match idp {
            Some(idp) if uri.path().ends_with("/keys") => {
                count.fetch_add(1, Ordering::SeqCst);
                json(idp.jwks())
            }
            Some(idp) => json(json!({ "issuer": idp.issuer(), "jwks_uri": format!("{}/keys", idp.issuer()) })),
            None => json(json!({})),
        }
    });
    tokio::spawn(axum::serve(listener, app).into_future());
    Tenants { base, idps, fetches, down }
}

#[tokio::test]
async fn a_template_trusts_its_tenants_and_checks_that_the_token_names_them_twice() {
    let tenants = tenants().await;
    let (base, idps) = (&tenants.base, &tenants.idps);
    let template = IssuerTemplate::new(format!("{base}/{{tenant}}/v2.0"), |tenant| tenant == "a" || tenant == "b")
        .tenant_claim("tid")
        .terms(|issuer| issuer.only_audiences(["api://tenants"]));
    let server = ResourceServer::new(API).trust_with(template).allow_private_host("127.0.0.1").build().unwrap();
    let token = |idp: &Idp, tid: serde_json::Value| idp.token("u").audience("api://tenants").claim("tid", tid).sign();
    assert_eq!(kind(&server, &token(&idps[0], json!("a"))).await, None);
    assert_eq!(kind(&server, &token(&idps[1], json!("b"))).await, None);
    assert_eq!(kind(&server, &token(&idps[1], json!("a"))).await, Some(ErrorKind::WrongClaim));
    assert_eq!(kind(&server, &token(&idps[1], json!(["b"]))).await, Some(ErrorKind::WrongClaim));
    assert_eq!(
        kind(&server, &idps[1].token("u").audience("api://tenants").sign()).await,
        Some(ErrorKind::MissingClaim)
    );
    let stranger = Idp::new(format!("{base}/c/v2.0"));
    assert_eq!(kind(&server, &token(&stranger, json!("c"))).await, Some(ErrorKind::UnknownIssuer));
    assert_eq!(tenants.fetches(), 2);
    // without permission, a private host is out of reach
    let template = IssuerTemplate::new(format!("{base}/{{tenant}}/v2.0"), |_| true);
    let server = ResourceServer::new(API).trust_with(template).build().unwrap();
    assert_eq!(kind(&server, &idps[0].token("u").sign()).await, Some(ErrorKind::UnknownIssuer));
    assert_eq!(tenants.fetches(), 2);
}

#[tokio::test]
async fn tenants_that_share_a_key_set_share_its_fetches_and_a_key_of_one_is_not_for_another() {
    let tenants = tenants().await;
    let (base, idps) = (&tenants.base, &tenants.idps);
    let template =
        IssuerTemplate::new(format!("{base}/{{tenant}}/v2.0"), |_| true).jwks_uri(format!("{base}/common/keys"));
    let server = ResourceServer::new(API).trust_with(template).allow_private_host("127.0.0.1").build().unwrap();
    // all are signed with the one key, and name it by its three names
    let token = |issuer: &str, kid: &str| idps[0].token("u").issuer(issuer).header("kid", kid).sign();
    let (a, b) = (idps[0].issuer(), idps[1].issuer());
    for (issuer, kid, expected) in [
        (a, "for-all", None),
        (b, "for-all", None),
        (a, "for-a", None),
        (b, "for-a", Some(ErrorKind::UnknownKey)),
        (a, "elsewhere", Some(ErrorKind::UnknownKey)),
    ] {
        assert_eq!(kind(&server, &token(issuer, kid)).await, expected, "{issuer} {kid}");
    }
    assert_eq!(tenants.fetches(), 3, "one, and two that unknown keys have forced");
    let status = server.status();
    assert_eq!(status.len(), 1);
    assert_eq!(*status[0].issuer, format!("{base}/common/keys"));
    // tenants that do not exist cost no fetch
    let forged: Vec<_> = (0..100).map(|n| token(&format!("{base}/made-up-{n}/v2.0"), "for-a")).collect();
    join_all(forged.iter().map(|token| kind(&server, token))).await;
    assert_eq!(tenants.fetches(), 3);
}

#[test]
fn a_template_without_a_placeholder_is_reported_when_the_server_is_built() {
    let problems = |template: IssuerTemplate| {
        let error = ResourceServer::new(API).trust_with(template).build().unwrap_err();
        assert_eq!(error.problems().len(), 1);
        error.to_string()
    };
    assert!(problems(IssuerTemplate::new("https://id.test/", |_| true)).contains("placeholder"));
    let bad = IssuerTemplate::new("https://id.test/{t}/", |_| true).jwks_uri("https://id.test/{t}/{t}");
    assert!(problems(bad).contains("jwks_uri"));
}

#[tokio::test(start_paused = true)]
async fn a_reload_asks_the_new_resolver() {
    let idp = Idp::new("https://a.test/");
    let table = Table::with(&[&idp]);
    let server = trusting(&table);
    let token = idp.token("alice").sign();
    assert_eq!(kind(&server, &token).await, None);
    server.reload(ResourceServer::new(API).trust_with(Table::default())).unwrap();
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::UnknownIssuer));
}

#[tokio::test]
async fn a_reload_keeps_the_keys_of_issuers_that_stay() {
    let tenants = tenants().await;
    let (base, idps) = (&tenants.base, &tenants.idps);
    let tenant = |idp: &Idp| Issuer::new(idp.issuer());
    let template = || IssuerTemplate::new(format!("{base}/{{tenant}}/v2.0"), |_| true);
    let configuration =
        || ResourceServer::new(API).trust(tenant(&idps[0])).trust_with(template()).allow_private_host("127.0.0.1");
    let server = configuration().build().unwrap();
    let accepted = async || {
        for idp in idps {
            assert_eq!(kind(&server, &idp.token("u").sign()).await, None);
        }
    };
    accepted().await;
    assert_eq!(tenants.fetches(), 2);
    server.reload(configuration()).unwrap();
    accepted().await;
    assert_eq!(tenants.fetches(), 2, "both are kept: the configured one and the one that was found");
    server.reload(configuration().trust(tenant(&idps[1]))).unwrap();
    accepted().await;
    assert_eq!(tenants.fetches(), 3, "one that becomes a configured one begins anew");
    server.reload(ResourceServer::new(API).trust(tenant(&idps[0]).jwks_uri(format!("{base}/a/keys")))).unwrap();
    assert_eq!(kind(&server, &idps[0].token("u").sign()).await, None);
    assert_eq!(tenants.fetches(), 4, "another address, other keys");
    // a longer outage is bridged by a longer max_stale, also in the middle of it
    let jwks_uri = format!("{base}/a/keys");
    let stale = |max_stale| ResourceServer::new(API).trust(tenant(&idps[0]).jwks_uri(&jwks_uri).max_stale(max_stale));
    server.reload(stale(Duration::ZERO)).unwrap();
    tenants.down.store(true, Ordering::SeqCst);
    tokio::time::pause();
    tokio::time::advance(11 * MINUTE).await;
    tokio::time::resume();
    assert_eq!(kind(&server, &idps[0].token("u").sign()).await, Some(ErrorKind::KeysUnavailable));
    server.reload(stale(60 * MINUTE)).unwrap();
    assert_eq!(kind(&server, &idps[0].token("u").sign()).await, None);
}

#[tokio::test]
async fn reload_after_reload_keeps_the_keys_of_found_issuers() {
    let tenants = tenants().await;
    let template = || IssuerTemplate::new(format!("{}/{{tenant}}/v2.0", tenants.base), |_| true);
    let configuration = || ResourceServer::new(API).trust_with(template()).allow_private_host("127.0.0.1");
    let server = configuration().build().unwrap();
    let token = tenants.idps[0].token("u").sign();
    assert_eq!(kind(&server, &token).await, None);
    for _ in 0..3 {
        server.reload(configuration()).unwrap();
    }
    tenants.down.store(true, Ordering::SeqCst);
    assert_eq!(kind(&server, &token).await, None);
}

#[tokio::test]
async fn tenants_share_their_key_set_after_a_reload_too() {
    let tenants = tenants().await;
    let (base, idps) = (&tenants.base, &tenants.idps);
    let template =
        || IssuerTemplate::new(format!("{base}/{{tenant}}/v2.0"), |_| true).jwks_uri(format!("{base}/common/keys"));
    let configuration = || ResourceServer::new(API).trust_with(template()).allow_private_host("127.0.0.1");
    let server = configuration().build().unwrap();
    let token = |issuer: &str, kid: &str| idps[0].token("u").issuer(issuer).header("kid", kid).sign();
    let (a, b) = (idps[0].issuer(), idps[1].issuer());
    assert_eq!(kind(&server, &token(a, "for-all")).await, None);
    server.reload(configuration()).unwrap();
    assert_eq!(kind(&server, &token(b, "for-all")).await, None);
    assert_eq!(kind(&server, &token(a, "for-all")).await, None);
    for n in 0..10 {
        for issuer in [a, b] {
            assert_eq!(kind(&server, &token(issuer, &format!("unknown-{n}"))).await, Some(ErrorKind::UnknownKey));
        }
    }
    assert_eq!((server.status().len(), tenants.fetches()), (1, 3), "one, and two that unknown keys have forced");
}

#[tokio::test]
async fn tenants_that_share_a_key_set_go_by_their_own_max_stale() {
    let tenants = tenants().await;
    let (base, idps) = (&tenants.base, &tenants.idps);
    let (a, b) = (idps[0].issuer(), idps[1].issuer());
    let strict = a.to_owned();
    let template = IssuerTemplate::new(format!("{base}/{{tenant}}/v2.0"), |_| true)
        .jwks_uri(format!("{base}/common/keys"))
        .terms(move |issuer| {
            let max_stale = if issuer.id() == strict { Duration::ZERO } else { 24 * 60 * MINUTE };
            issuer.max_stale(max_stale)
        });
    let server = ResourceServer::new(API).trust_with(template).allow_private_host("127.0.0.1").build().unwrap();
    let token = |issuer: &str| idps[0].token("u").issuer(issuer).header("kid", "for-all").sign();
    assert_eq!(kind(&server, &token(a)).await, None);
    assert_eq!(kind(&server, &token(b)).await, None);
    tenants.down.store(true, Ordering::SeqCst);
    tokio::time::pause();
    tokio::time::advance(12 * MINUTE).await;
    tokio::time::resume();
    assert_eq!(kind(&server, &token(b)).await, None);
    assert_eq!(kind(&server, &token(a)).await, Some(ErrorKind::KeysUnavailable));
}

/// A token that nobody has signed, though it does not say so.
fn unsigned(idp: &Idp, issuer: &str) -> String {
    idp.token("m").issuer(issuer).unsigned().header("alg", "ES256").sign() + "AAAA"
}

/// A host that publishes nothing, or one key set under any name of it, and counts requests.
async fn counting(keys: Option<serde_json::Value>) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&requests);
    let app = Router::new().fallback(async move || {
        count.fetch_add(1, Ordering::SeqCst);
        let keys = keys.clone().map(|keys| ([("content-type", "application/json")], keys.to_string()));
        keys.map_or_else(|| http::StatusCode::NOT_FOUND.into_response(), IntoResponse::into_response)
    });
    tokio::spawn(axum::serve(listener, app).into_future());
    (base, requests)
}

/// Lets an hour pass, and returns how many requests have come by then.
async fn after_an_hour(base: &str, requests: &AtomicU64) -> u64 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for _ in 0..60 {
        tokio::time::pause();
        tokio::time::advance(MINUTE).await;
        tokio::time::resume();
        // one of ours, behind which any other would have come
        client.get(base).send().await.unwrap();
    }
    requests.load(Ordering::SeqCst) - 60
}

#[tokio::test]
async fn tokens_of_realms_that_do_not_exist_cost_a_fetch_for_each_turn_and_no_more_in_an_hour() {
    // metadata are looked for at four addresses
    for (jwks_uri, each) in [(false, 4), (true, 1)] {
        for realms in [1, 80] {
            let (base, requests) = counting(None).await;
            let template = IssuerTemplate::new(format!("{base}/realms/{{realm}}"), |realm| realm.starts_with("shop-"));
            let address = format!("{base}/realms/{{realm}}/certs");
            let template = if jwks_uri { template.jwks_uri(address) } else { template };
            let server = ResourceServer::new(API).trust_with(template).allow_private_host("127.0.0.1").build().unwrap();
            let idp = Idp::new("https://id.test/");
            let tokens: Vec<_> = (0..realms).map(|n| unsigned(&idp, &format!("{base}/realms/shop-{n}"))).collect();
            let begin = tokio::time::Instant::now();
            for verdict in join_all(tokens.iter().map(|token| kind(&server, token))).await {
                assert_eq!(verdict, Some(ErrorKind::KeysUnavailable));
            }
            let turns = realms.min(64 + 1 + begin.elapsed().as_secs());
            let cost = after_an_hour(&base, &requests).await;
            assert!(cost >= each && cost <= turns * each, "{cost} for {realms}");
        }
    }
}

#[tokio::test]
async fn a_reload_that_takes_a_private_host_back_ends_the_fetches_from_it() {
    let idp = Idp::new("https://id.test/");
    let (base, requests) = counting(Some(idp.jwks())).await;
    let settings = || {
        let template = IssuerTemplate::new(format!("{base}/realms/{{realm}}"), |realm| realm.starts_with("shop-"));
        ResourceServer::new(API).trust_with(template.jwks_uri(format!("{base}/certs")))
    };
    let server = settings().allow_private_host("127.0.0.1").build().unwrap();
    let token = idp.token("alice").issuer(format!("{base}/realms/shop-1")).sign();
    assert_eq!(kind(&server, &token).await, None);
    server.reload(settings()).unwrap();
    assert_eq!(after_an_hour(&base, &requests).await, 1);
    assert_eq!(kind(&server, &token).await, Some(ErrorKind::UnknownIssuer));
}

#[tokio::test]
async fn one_realm_in_many_spellings_is_no_way_round_the_limit() {
    let idp = Idp::new("https://id.test/");
    let (base, requests) = counting(Some(idp.jwks())).await;
    let template =
        IssuerTemplate::new(format!("{base}/realms/{{realm}}"), |realm| realm.eq_ignore_ascii_case("shop-abcdefg"))
            .jwks_uri(format!("{base}/realms/{{realm}}/certs"));
    let server = ResourceServer::new(API).trust_with(template).allow_private_host("127.0.0.1").build().unwrap();
    let spellings = (0..128_u32).map(|bits| {
        let letter =
            |(at, letter): (usize, char)| if bits >> at & 1 == 1 { letter.to_ascii_uppercase() } else { letter };
        "abcdefg".chars().enumerate().map(letter).collect::<String>()
    });
    let tokens: Vec<_> =
        spellings.map(|name| idp.token("m").issuer(format!("{base}/realms/shop-{name}")).wrong_key().sign()).collect();
    let begin = tokio::time::Instant::now();
    join_all(tokens.iter().map(|token| kind(&server, token))).await;
    let allowed = 64 + 1 + begin.elapsed().as_secs();
    assert!(requests.load(Ordering::SeqCst) <= allowed, "{requests:?}");
    assert_eq!(server.status().len(), 0);
}
